"""Which addresses a stranger's URL may lead to, and DNS lookups with a deadline."""

import ipaddress
import socket
import time
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from typing import Any

from dns.exception import DNSException, Timeout
from dns.inet import af_for_address
from dns.message import Message
from dns.nameserver import Do53Nameserver
from dns.query import udp
from dns.rdatatype import RdataType
from dns.resolver import NXDOMAIN, NoAnswer, Resolver

IPAddress = ipaddress.IPv4Address | ipaddress.IPv6Address
IPNetwork = ipaddress.IPv4Network | ipaddress.IPv6Network

LOOPBACK = ipaddress.IPv4Address("127.0.0.1")
# The public internet: IPv4, and the one block of IPv6 that IANA allocates from
# (https://www.iana.org/assignments/ipv6-address-space). The tables of Python's ipaddress
# change from version to version and let some of the blocks below through.
GLOBAL_UNICAST = (ipaddress.ip_network("0.0.0.0/0"), ipaddress.ip_network("2000::/3"))
# Except IANA's special-purpose registries
# (https://www.iana.org/assignments/iana-ipv4-special-registry, iana-ipv6-special-registry),
# whatever embeds an IPv4 address, and the clouds' own services.
SPECIAL_PURPOSE = tuple(
    ipaddress.ip_network(block)
    for block in (
        "0.0.0.0/8",
        "10.0.0.0/8",
        "100.64.0.0/10",  # carrier-grade NAT; pods on EKS, Alibaba's metadata
        "127.0.0.0/8",
        "168.63.129.16/32",  # Azure's platform address
        "169.254.0.0/16",
        "172.16.0.0/12",
        "192.0.0.0/24",
        "192.0.2.0/24",
        "192.31.196.0/24",
        "192.52.193.0/24",
        "192.88.99.0/24",
        "192.168.0.0/16",
        "192.175.48.0/24",
        "198.18.0.0/15",
        "198.51.100.0/24",
        "203.0.113.0/24",
        "224.0.0.0/4",
        "240.0.0.0/4",
        "2001::/23",  # Teredo, ORCHID and the other IETF protocols
        "2001:db8::/32",
        "2002::/16",  # 6to4
        "2620:4f:8000::/48",
        "3fff::/20",
    )
)
MAX_ANSWER = 1232  # bytes that fit into one packet on any network (dnsflagday.net, 2020)
ISATAP = (0x00005EFE, 0x02005EFE)  # RFC 5214: these 32 bits, then an IPv4 address


def is_public(address: IPAddress, refused: tuple[IPNetwork, ...] = ()) -> bool:
    """Whether an address belongs to the public internet and to it alone.

    Args:
        refused: public networks that are refused all the same, such as one's own.
    """
    if isinstance(address, ipaddress.IPv6Address) and (
        address.scope_id or (int(address) >> 32) & 0xFFFFFFFF in ISATAP
    ):
        return False
    special = any(address in block for block in (*SPECIAL_PURPOSE, *refused))
    return not special and any(address in block for block in GLOBAL_UNICAST)


def resolve(
    host: str, deadline: float, nameserver: tuple[str, int] | None = None
) -> list[IPAddress]:
    """Look a host up once, in DNS alone: no hosts file, no search domains.

    Args:
        host: an address, or a name as it stands in a URL.
        deadline: when to give up, on time.monotonic's clock.
        nameserver: address and port of the server to ask; none: those of /etc/resolv.conf.

    Raises:
        TimeoutError: no answer came before the deadline.
        OSError: the host has no address.
    """
    try:
        return [ipaddress.ip_address(host)]
    except ValueError:
        pass
    if host.lower().rstrip(".").rpartition(".")[2] == "localhost":  # RFC 6761, 6.3
        return [LOOPBACK]
    resolver = Resolver(configure=nameserver is None)
    servers = [nameserver] if nameserver else [(str(s), 53) for s in resolver.nameservers]
    resolver.nameservers = [SmallAnswers(*server) for server in servers]
    resolver.use_edns(payload=MAX_ANSWER)
    with ThreadPoolExecutor(2, thread_name_prefix="lookup") as lookups:  # both are waited for
        query = partial(_query_dns, resolver, host, deadline=deadline)
        answers = list(lookups.map(query, (RdataType.A, RdataType.AAAA)))
    addresses = [address for answer in answers if isinstance(answer, list) for address in answer]
    errors = [answer for answer in answers if isinstance(answer, OSError)]
    if not addresses:
        raise errors[0] if errors else OSError(f"{host!r} has no address")
    return addresses


class SmallPackets(socket.socket):
    def recvfrom(self, *_: int) -> tuple[bytes, Any]:
        return super().recvfrom(MAX_ANSWER)


class SmallAnswers(Do53Nameserver):
    """A name server of whose answer one packet counts.

    Parsing takes as long as the number of records times the length of their names: a second of
    processor time for the 64 kB that are allowed.
    """

    def query(self, request: Message, timeout: float, *_: object, **__: object) -> Message:
        with SmallPackets(af_for_address(self.address), socket.SOCK_DGRAM) as packets:
            packets.setblocking(False)
            return udp(
                request,
                self.address,
                timeout,
                self.port,
                ignore_unexpected=True,
                ignore_errors=True,
                sock=packets,
            )


def _query_dns(
    resolver: Resolver, host: str, kind: RdataType, deadline: float
) -> list[IPAddress] | OSError:
    """One query; an error is returned, as the query for the other kind may succeed."""
    left = max(0.001, (deadline - time.monotonic()) / 2)  # the rest is for the transfer
    try:
        answer = resolver.resolve(host, kind, lifetime=left, search=False)
    except (NoAnswer, NXDOMAIN):
        return []
    except Timeout:
        return TimeoutError(f"no answer for {host!r} within {left:.1f} s")
    except (DNSException, UnicodeError) as error:
        return OSError(f"{host!r} cannot be looked up: {error}")
    return [ipaddress.ip_address(record.address) for record in answer]

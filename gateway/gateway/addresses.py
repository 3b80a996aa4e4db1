"""Which addresses a stranger's URL may lead to."""

import ipaddress
import socket
from concurrent.futures import ThreadPoolExecutor
from concurrent.futures import TimeoutError as LookupTimeout

IPAddress = ipaddress.IPv4Address | ipaddress.IPv6Address

# Not private in Python's tables, and still not the public internet.
RESERVED = tuple(
    ipaddress.ip_network(block)
    for block in (
        "100.64.0.0/10",  # carrier-grade NAT, and pods on EKS
        "168.63.129.16/32",  # Azure's platform address
        "192.0.0.0/24",
        "192.88.99.0/24",  # 6to4 relays
        "2001::/23",  # Teredo, ORCHID and the other IETF blocks
        "2002::/16",  # 6to4 carries an IPv4 address
        "3fff::/20",
        "5f00::/16",
        "64:ff9b::/96",  # NAT64 carries an IPv4 address
        "64:ff9b:1::/48",
        "::/96",  # IPv4-compatible
        "fec0::/10",  # site-local, deprecated
    )
)
ISATAP = (0x00005EFE, 0x02005EFE)  # RFC 5214: these 32 bits, then an IPv4 address

# getaddrinfo cannot be told when to give up, so it waits in a thread of its own.
_lookups = ThreadPoolExecutor(max_workers=32, thread_name_prefix="lookup")


def is_public(address: IPAddress) -> bool:
    """Whether an address belongs to the public internet and to it alone."""
    if isinstance(address, ipaddress.IPv6Address):
        if address.ipv4_mapped is not None:
            return is_public(address.ipv4_mapped)
        if (int(address) >> 32) & 0xFFFFFFFF in ISATAP:
            return False
    if not address.is_global or address.is_multicast or address.is_reserved:
        return False
    return not any(address in block for block in RESERVED if block.version == address.version)


def resolve(host: str, port: int, seconds: float) -> list[IPAddress]:
    """Look a host up once.

    Raises:
        OSError: the host has no address, or none came within `seconds`.
    """
    lookup = _lookups.submit(socket.getaddrinfo, host, port, type=socket.SOCK_STREAM)
    try:
        answers = lookup.result(timeout=seconds)
    except LookupTimeout:
        lookup.cancel()
        raise TimeoutError(f"no answer for {host!r} within {seconds:.1f} s") from None
    except UnicodeError as error:  # a host that IDNA cannot spell
        raise OSError(f"{host!r} is no host name") from error
    return list(dict.fromkeys(ipaddress.ip_address(sockaddr[0]) for *_, sockaddr in answers))

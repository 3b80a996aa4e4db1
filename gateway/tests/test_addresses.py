import time
from collections.abc import Iterator
from ipaddress import IPv4Address, IPv6Address, ip_address, ip_network

import pytest
from gateway_testing.name_server import NameServer

from gateway.addresses import is_public, resolve

# IANA's special-purpose registries and whatever else is not the public internet.
# https://www.iana.org/assignments/iana-ipv4-special-registry
BLOCKS = """
0.0.0.0/8 10.0.0.0/8 100.64.0.0/10 127.0.0.0/8 169.254.0.0/16 172.16.0.0/12 192.0.0.0/24
192.0.0.0/29 192.0.0.8/32 192.0.0.9/32 192.0.0.10/32 192.0.0.170/32 192.0.0.171/32 192.0.2.0/24
192.31.196.0/24 192.52.193.0/24 192.88.99.0/24 192.168.0.0/16 192.175.48.0/24 198.18.0.0/15
198.51.100.0/24 203.0.113.0/24 224.0.0.0/4 233.252.0.0/24 240.0.0.0/4 255.255.255.255/32
::1/128 ::/128 ::/96 ::ffff:0:0/96 ::ffff:0:0:0/96 64:ff9b::/96 64:ff9b:1::/48 100::/64
100:0:0:1::/64 2001::/23 2001::/32 2001:1::1/128 2001:1::2/128 2001:1::3/128 2001:2::/48 2001:3::/32
2001:4:112::/48 2001:10::/28 2001:20::/28 2001:30::/28 2001:db8::/32 2002::/16 2620:4f:8000::/48
3fff::/20 5f00::/16 fc00::/7 fe80::/10 fec0::/10 ff00::/8
4000::/3 8000::/3 a000::/3 c000::/3 e000::/4 f000::/5 400::/6 800::/5
""".split()
# Metadata services and platform addresses of the clouds.
CLOUDS = """
169.254.169.254 169.254.170.2 169.254.169.123 169.254.0.23 100.100.100.200 192.0.0.192
168.63.129.16 fd00:ec2::254 fd20:ce::254 fe80::a9fe:a9fe
""".split()
PRIVATE_IPV4 = ["127.0.0.1", "10.0.0.1", "169.254.169.254", "192.168.1.1", "172.16.0.1"]
PUBLIC = """
1.1.1.1 8.8.8.8 1.0.0.0 9.255.255.255 11.0.0.0 99.255.255.255 100.63.255.255 100.128.0.1
126.255.255.255 128.0.0.0 168.63.129.15 168.63.129.17 169.253.255.255 169.255.0.0 172.15.255.255
172.32.0.0 191.255.255.255 192.0.1.0 192.0.3.0 192.167.255.255 192.169.0.0 198.17.255.255
198.20.0.0 203.0.112.255 203.0.114.0 223.255.255.255
2606:4700::1111 2001:4860:4860::8888 2400:cb00::1 2a00:1450::1 2001:200:: 2003:: 2c0f:f000::
""".split()


def edges(block: str) -> list[IPv4Address | IPv6Address]:
    network = ip_network(block)
    return [network[0], network[network.num_addresses // 2], network[-1]]


def carriers(inner: str) -> list[IPv6Address]:
    """The IPv6 addresses that embed this IPv4 address."""
    bits = int(IPv4Address(inner))
    return [
        IPv6Address(bits),  # IPv4-compatible, RFC 4291
        IPv6Address(0xFFFF << 32 | bits),  # IPv4-mapped, RFC 4291
        IPv6Address(0xFFFF << 48 | bits),  # IPv4-translated, RFC 2765
        IPv6Address(0x64FF9B << 96 | bits),  # NAT64, RFC 6052
        IPv6Address(0x64FF9B0001 << 80 | bits),  # NAT64 for local use, RFC 8215
        IPv6Address(0x2002 << 112 | bits << 80 | 1),  # 6to4, RFC 3056
        IPv6Address(0x20010000 << 96 | (bits ^ 0xFFFFFFFF)),  # Teredo's client, RFC 4380
        IPv6Address(0x20010000 << 96 | bits << 64),  # Teredo's server
        IPv6Address(0x26064700 << 96 | 0x5EFE << 32 | bits),  # ISATAP, RFC 5214
        IPv6Address(0x26064700 << 96 | 0x2005EFE << 32 | bits),
        IPv6Address(0xFE80 << 112 | 0x5EFE << 32 | bits),
    ]


REFUSED = [
    *(address for block in BLOCKS for address in edges(block)),
    *map(ip_address, CLOUDS),
    *(address for inner in PRIVATE_IPV4 for address in carriers(inner)),
    ip_address("2606:4700::1111%lo"),
]


@pytest.mark.parametrize("address", REFUSED, ids=str)
def test_special_addresses_are_not_public(address: IPv4Address | IPv6Address) -> None:
    assert not is_public(address)


def test_the_table_of_refused_addresses_is_long() -> None:
    assert len(set(REFUSED)) >= 200


@pytest.mark.parametrize("text", PUBLIC)
def test_other_addresses_are_public(text: str) -> None:
    assert is_public(ip_address(text))


def test_a_refused_network_is_not_public() -> None:
    own = (ip_network("1.1.0.0/16"), ip_network("2606:4700::/32"))
    assert not is_public(ip_address("1.1.1.1"), own)
    assert not is_public(ip_address("2606:4700::1111"), own)
    assert is_public(ip_address("8.8.8.8"), own)


@pytest.fixture
def name_server() -> Iterator[NameServer]:
    server = NameServer()
    yield server
    server.stop()


def look_up(name_server: NameServer, host: str, seconds: float = 20.0) -> list[str]:
    return list(map(str, resolve(host, time.monotonic() + seconds, name_server.address)))


def test_addresses_of_both_families_are_found(name_server: NameServer) -> None:
    name_server.names["example.com"] = ["1.1.1.1", "2606:4700::1111", "1.0.0.1"]
    assert look_up(name_server, "Example.com") == ["1.1.1.1", "1.0.0.1", "2606:4700::1111"]
    assert sorted(name_server.queries) == [("example.com", "A"), ("example.com", "AAAA")]


def test_an_international_name_is_looked_up_in_punycode(name_server: NameServer) -> None:
    name_server.names["xn--mnchen-3ya.example"] = ["1.1.1.1"]
    assert look_up(name_server, "münchen.example") == ["1.1.1.1"]


@pytest.mark.parametrize("host", ["1.1.1.1", "2606:4700::1111"])
def test_an_address_is_not_looked_up(name_server: NameServer, host: str) -> None:
    assert look_up(name_server, host) == [host]
    assert not name_server.queries


@pytest.mark.parametrize("host", ["localhost", "LocalHost", "localhost.", "a.localhost"])
def test_localhost_is_this_machine(name_server: NameServer, host: str) -> None:
    assert look_up(name_server, host) == ["127.0.0.1"]
    assert not name_server.queries


@pytest.mark.parametrize("host", ["2130706433", "0x7f000001", "0177.0.0.1", "127.1", "127.0.0.1."])
def test_other_spellings_of_an_address_are_unknown_names(
    name_server: NameServer, host: str
) -> None:
    with pytest.raises(OSError, match="no address"):
        look_up(name_server, host)


@pytest.mark.parametrize("host", ["a" * 64 + ".example", "a..example", "x" * 300])
def test_an_invalid_name_cannot_be_looked_up(name_server: NameServer, host: str) -> None:
    with pytest.raises(OSError, match="cannot be looked up"):
        look_up(name_server, host)


def test_a_silent_name_server_times_out(name_server: NameServer) -> None:
    name_server.names["example.com"] = None
    with pytest.raises(TimeoutError):
        look_up(name_server, "example.com", 0.4)


@pytest.mark.parametrize("packet", [b"", b"nonsense", bytes(600)])
def test_an_invalid_answer_is_an_error(name_server: NameServer, packet: bytes) -> None:
    name_server.names["example.com"] = packet
    with pytest.raises(OSError, match="example"):
        look_up(name_server, "example.com", 0.4)


def test_one_family_is_enough_if_the_other_gets_no_answer(
    name_server: NameServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    reply = name_server.reply
    name_server.names["example.com"] = ["1.1.1.1"]
    monkeypatch.setattr(
        name_server, "reply", lambda question: reply(question) if question.q.qtype == 1 else None
    )
    assert look_up(name_server, "example.com", 2.0) == ["1.1.1.1"]

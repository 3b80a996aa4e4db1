import threading
from ipaddress import ip_address

import pytest

from gateway import addresses
from gateway.addresses import is_public, resolve

PRIVATE = """
0.0.0.0 0.1.2.3 10.0.0.1 10.255.255.255 100.64.0.1 100.127.255.254 127.0.0.1 127.255.255.255
169.254.0.1 169.254.169.254 169.254.170.2 172.16.0.1 172.31.255.255 192.0.0.1 192.0.2.1
192.88.99.1 192.168.0.1 198.18.0.1 198.19.255.255 198.51.100.1 203.0.113.1 224.0.0.1
239.255.255.255 240.0.0.1 255.255.255.255 168.63.129.16
:: ::1 ::127.0.0.1 ::10.0.0.1 ::8.8.8.8 ::ffff:127.0.0.1 ::ffff:10.0.0.1 ::ffff:169.254.169.254
64:ff9b::127.0.0.1 64:ff9b::8.8.8.8 64:ff9b:1::1 100::1 2001::1 2001:20::1 2001:db8::1
2002:7f00:1:: 2002:808:808:: 2002:a9fe:a9fe::1 3fff::1 5f00::1 fc00::1 fd00:ec2::254 fe80::1
fec0::1 ff02::1 2606:4700::5efe:127.0.0.1 2606:4700::200:5efe:8.8.8.8
""".split()
PUBLIC = "1.1.1.1 8.8.8.8 99.255.255.255 100.128.0.1 172.32.0.1 2606:4700::1111 ::ffff:8.8.8.8"


@pytest.mark.parametrize("text", PRIVATE)
def test_not_public(text: str) -> None:
    assert not is_public(ip_address(text))


@pytest.mark.parametrize("text", PUBLIC.split())
def test_public(text: str) -> None:
    assert is_public(ip_address(text))


@pytest.mark.parametrize("host", ["127.0.0.1", "2130706433", "0x7f000001", "0177.0.0.1", "127.1"])
def test_every_spelling_of_an_address_is_resolved_to_it(host: str) -> None:
    assert resolve(host, 80, 1.0) == [ip_address("127.0.0.1")]


def test_a_name_that_does_not_exist() -> None:
    with pytest.raises(OSError, match=r"not known|resolution"):
        resolve("no-such-host.invalid", 80, 5.0)


def test_a_name_that_cannot_be_spelled() -> None:
    with pytest.raises(OSError, match="no host name"):
        resolve("a" * 64 + ".example", 80, 1.0)


def test_a_resolver_that_hangs_is_given_up(monkeypatch: pytest.MonkeyPatch) -> None:
    gate = threading.Event()
    monkeypatch.setattr(addresses.socket, "getaddrinfo", lambda *_, **__: gate.wait(10))
    with pytest.raises(TimeoutError):
        resolve("example.com", 80, 0.05)
    gate.set()

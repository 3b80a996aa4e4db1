"""Name servers that answer with hostile packets."""

import struct
from dataclasses import replace

import pytest
from dnslib import QTYPE, RR, A, DNSRecord
from gateway_testing.image_server import ImageServer
from gateway_testing.name_server import NameServer, Packet

from attacks.checks import PUBLIC, Attack, check_unreachable
from gateway.config import Settings

MAX_PACKET = 60_000  # bytes in a UDP packet
POINTER = 0xC000  # RFC 1035, 4.1.4: the rest of a name is at this offset of the packet


@pytest.fixture
def settings(settings: Settings) -> Settings:
    return replace(settings, fetch_timeout=1.0)


def header(query: DNSRecord, answers: int, flags: int = 0x8180) -> bytes:
    return struct.pack(">6H", query.header.id, flags, 1, answers, 0, 0)


def question(query: DNSRecord) -> bytes:
    packet: bytes = DNSRecord(q=query.q).pack()
    return packet[12:]


def record(name: bytes, kind: int, data: bytes) -> bytes:
    return name + struct.pack(">HHIH", kind, 1, 60, len(data)) + data


def nested_pointers(query: DNSRecord) -> bytes:
    """Records whose names are chains of pointers, each to the one before."""
    start = header(query, 4000) + question(query)
    offset = len(start)
    chain = struct.pack(">H", POINTER | 12)
    while offset + len(chain) < 0x3F00:
        chain += struct.pack(">H", POINTER | (offset + len(chain) - 2))
    last = struct.pack(">H", POINTER | (offset + len(chain) - 2))
    records = record(chain[:2], QTYPE.TXT, chain[2:])
    while len(start) + len(records) < MAX_PACKET:
        records += record(last, QTYPE.A, bytes([127, 1, 0, 1]))
    return start + records


def long_names(query: DNSRecord) -> bytes:
    """Four thousand records, each with a name of 120 labels."""
    name = b"\x01a" * 120 + bytes(1)
    start = header(query, 3700) + question(query)
    pointer = struct.pack(">H", POINTER | len(start))
    first = record(name, QTYPE.A, bytes([127, 1, 0, 1]))
    return start + first + 3699 * record(pointer, QTYPE.A, bytes([127, 1, 0, 1]))


def pointer_loop(query: DNSRecord) -> bytes:
    start = header(query, 1) + question(query)
    return start + record(struct.pack(">H", POINTER | len(start)), QTYPE.A, bytes([127, 1, 0, 1]))


def another_name(query: DNSRecord) -> bytes:
    reply = query.reply()
    reply.add_answer(RR("other.example", QTYPE.A, rdata=A(PUBLIC)))
    packet: bytes = reply.pack()
    return packet


def endless_aliases(query: DNSRecord) -> bytes:
    """The name is an alias of itself."""
    start = header(query, 1) + question(query)
    name = struct.pack(">H", POINTER | 12)
    return start + record(name, QTYPE.CNAME, name)


def truncated(query: DNSRecord) -> bytes:
    """Says to ask again over TCP, where nobody listens."""
    return header(query, 0, 0x8380) + question(query)


def cut_off(query: DNSRecord) -> bytes:
    return header(query, 5) + question(query) + b"\xc0\x0c\x00\x01"


def another_query(query: DNSRecord) -> bytes:
    """The answer to a query with another number, as somebody would send who cannot see ours."""
    reply = query.reply()
    reply.header.id ^= 1
    reply.add_answer(RR(query.q.qname, QTYPE.A, rdata=A(PUBLIC)))
    packet: bytes = reply.pack()
    return packet


@pytest.mark.parametrize(
    "packet",
    [nested_pointers, long_names, pointer_loop, another_name, endless_aliases, truncated, cut_off],
)
def test_27_a_hostile_packet_is_refused(
    attack: Attack, outside: ImageServer, name_server: NameServer, packet: Packet
) -> None:
    name_server.packets["hostile.example"] = packet
    response = attack(outside.url("/image.jpg", "hostile.example"))
    assert response.status_code in (422, 504)  # a packet that is broken counts as none
    assert not outside.requests
    assert attack(outside.url("/image.jpg", "public.example")).json == "cricket"


def test_27_an_answer_to_another_query_is_ignored(
    attack: Attack, outside: ImageServer, name_server: NameServer
) -> None:
    name_server.packets["hostile.example"] = another_query
    response = attack(outside.url("/image.jpg", "hostile.example"))
    assert response.status_code == 504
    assert not outside.requests


def test_28_each_of_fifty_addresses_is_checked(
    attack: Attack, outside: ImageServer, name_server: NameServer
) -> None:
    public = [PUBLIC, *(f"127.1.1.{n}" for n in range(50))]
    name_server.names |= {"public.example": public, "mixed.example": [*public, "10.0.0.1"]}
    assert attack(outside.url("/image.jpg", "public.example")).json == "cricket"
    check_unreachable(attack(outside.url("/image.jpg", "mixed.example")))


def test_28_of_a_thousand_addresses_none_is_used(
    attack: Attack, outside: ImageServer, name_server: NameServer
) -> None:
    name_server.names["many.example"] = [f"127.1.{n // 250}.{1 + n % 250}" for n in range(1000)]
    assert attack(outside.url("/image.jpg", "many.example")).status_code == 504
    assert not outside.requests


def test_28_an_alias_of_a_private_name_is_refused(
    attack: Attack, inside: ImageServer, name_server: NameServer
) -> None:
    def alias(query: DNSRecord) -> bytes:
        start = header(query, 2) + question(query)
        target = b"\x08internal\x07example\x00"
        return (
            start
            + record(struct.pack(">H", POINTER | 12), QTYPE.CNAME, target)
            + record(target, QTYPE.A, bytes([127, 0, 0, 1]))
        )

    name_server.packets["alias.example"] = alias
    check_unreachable(attack(inside.url("/", "alias.example")))

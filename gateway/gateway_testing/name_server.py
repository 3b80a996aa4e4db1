"""A real DNS server that answers what a test wants."""

import socketserver
import threading
from collections.abc import Callable
from ipaddress import ip_address

from dnslib import AAAA, QTYPE, RCODE, RR, A, DNSRecord

Answer = list[str] | bytes | None  # addresses; a packet to send unchanged; no answer
Packet = Callable[[DNSRecord], bytes]  # from the query to the packet that answers it


class NameServer:
    """Answers for `names`: a fixed answer, or a function of how often the name was queried."""

    def __init__(self) -> None:
        self.names: dict[str, Answer | Callable[[int], Answer]] = {}
        self.packets: dict[str, Packet] = {}  # for names that no well-formed answer is wanted for
        self.queries: list[tuple[str, str]] = []  # name and record type
        server = self

        class Handler(socketserver.BaseRequestHandler):
            def handle(self) -> None:
                data, socket = self.request
                packet = server.reply(DNSRecord.parse(data))
                if packet is not None:
                    socket.sendto(packet, self.client_address)

        self._server = socketserver.ThreadingUDPServer(("127.0.0.1", 0), Handler)
        self.address: tuple[str, int] = self._server.server_address[:2]  # type: ignore[assignment]
        threading.Thread(target=self._server.serve_forever, args=[0.01], daemon=True).start()

    def reply(self, question: DNSRecord) -> bytes | None:
        name, kind = str(question.q.qname).rstrip(".").lower(), QTYPE[question.q.qtype]
        times = self.queries.count((name, kind))
        self.queries.append((name, kind))
        if name in self.packets:
            return self.packets[name](question)
        answer = self.names.get(name, [])
        if callable(answer):
            answer = answer(times)
        if not isinstance(answer, list):
            return answer
        reply = question.reply()
        if name not in self.names:
            reply.header.rcode = RCODE.NXDOMAIN
        for address in answer:
            packed = tuple(ip_address(address).packed)
            if len(packed) == {"A": 4, "AAAA": 16}[kind]:
                data = A(packed) if kind == "A" else AAAA(packed)
                reply.add_answer(RR(question.q.qname, question.q.qtype, rdata=data))
        packet: bytes = reply.pack()
        return packet

    def stop(self) -> None:
        self._server.shutdown()
        self._server.server_close()

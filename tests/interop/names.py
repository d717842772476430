"""A DNS server of a few lines: answers for the records it is given, NXDOMAIN for the rest."""
import socket
import struct
import threading

from world import HOSTS

TYPES = {"A": 1, "AAAA": 28, "SRV": 33, "NAPTR": 35}


def encoded(name):
    """A domain name as it stands in a message."""
    return b"".join(bytes([len(label)]) + label.encode() for label in name.rstrip(".").split(".") if label) + b"\0"


def text(value):
    return bytes([len(value)]) + value.encode()


def rdata(kind, value):
    """The record's data: A and AAAA an address, SRV (priority, weight, port, target), NAPTR (order, preference, flags, service,
    replacement)."""
    if kind in ("A", "AAAA"):
        return socket.inet_pton(socket.AF_INET if kind == "A" else socket.AF_INET6, value)
    if kind == "SRV":
        return struct.pack(">HHH", *value[:3]) + encoded(value[3])
    return struct.pack(">HH", *value[:2]) + text(value[2]) + text(value[3]) + text("") + encoded(value[4])


class Names:
    """Serves `records`, a dictionary (name, type) -> list of values, on the desk until it is closed."""

    def __init__(self, records):
        self.records = {(n.lower(), TYPES[k]): [rdata(k, v) for v in values] for (n, k), values in records.items()}
        self.asked = []
        self.socket = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self.socket.bind((HOSTS["desk"], 53))
        threading.Thread(target=self._serve, daemon=True).start()

    def close(self):
        self.socket.close()

    def _serve(self):
        while True:
            try:
                query, peer = self.socket.recvfrom(4096)
            except OSError:
                return
            self.socket.sendto(self._answer(query), peer)

    def _answer(self, query):
        at, labels = 12, []
        while query[at]:
            labels.append(query[at + 1:at + 1 + query[at]].decode())
            at += 1 + query[at]
        name, kind = ".".join(labels).lower(), struct.unpack(">H", query[at + 1:at + 3])[0]
        question = query[12:at + 5]
        self.asked.append((name, kind))
        found = self.records.get((name, kind), [])
        exists = any(n == name for n, _ in self.records)
        flags = 0x8580 if found or exists else 0x8583
        records = b"".join(b"\xc0\x0c" + struct.pack(">HHIH", kind, 1, 60, len(data)) + data for data in found)
        return query[:2] + struct.pack(">HHHHH", flags, 1, len(found), 0, 0) + question + records

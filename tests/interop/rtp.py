"""The sound that travelled between two hosts, read from a capture."""
import struct

import numpy as np
import wav


def _ulaw():
    code = ~np.arange(256) & 0xFF
    magnitude = (((code & 0x0F) << 3) + 0x84 << (code >> 4 & 7)) - 0x84
    return np.where(code & 0x80, -magnitude, magnitude)


def _alaw():
    code = np.arange(256) ^ 0x55
    step, exponent = code & 0x0F, code >> 4 & 7
    magnitude = np.where(exponent, ((step << 4) + 0x108) << np.maximum(exponent - 1, 0), (step << 4) + 8)
    return np.where(code & 0x80, magnitude, -magnitude)


TABLES = {0: _ulaw(), 8: _alaw()}


def sound(capture, source, destination):
    """What `source` sent to `destination` (IPv4 addresses) as G.711, at wav.RATE, gaps filled with silence."""
    packets = {}
    for payload in _datagrams(capture, source, destination):
        if len(payload) < 13 or payload[0] >> 6 != 2 or payload[1] & 0x7F not in TABLES:
            continue
        timestamp, = struct.unpack(">I", payload[4:8])
        start = 12 + 4 * (payload[0] & 0x0F)
        packets[timestamp] = TABLES[payload[1] & 0x7F][np.frombuffer(payload[start:], np.uint8)]
    if not packets:
        return np.zeros(0)
    first, last = min(packets), max(packets)
    if last - first > 600 * wav.RATE:  # not one stream
        return np.zeros(0)
    heard = np.zeros(last - first + len(packets[last]))
    for timestamp, samples in packets.items():
        place = heard[timestamp - first:timestamp - first + len(samples)]
        place[:] = samples[:len(place)]
    return heard


def missing(capture, source, destination):
    """How many sequence numbers `source` left out in the RTP it sent to `destination`: what is not there was not sent."""
    streams = {}
    for payload in _datagrams(capture, source, destination):
        if len(payload) < 13 or payload[0] >> 6 != 2 or 64 <= payload[1] & 0x7F < 96:
            continue
        number, = struct.unpack(">H", payload[2:4])
        numbers = streams.setdefault(payload[8:12], [number])
        numbers.append(numbers[-1] + (number - numbers[-1] + 0x8000 & 0xFFFF) - 0x8000)
    return sum(max(numbers) - min(numbers) + 1 - len(set(numbers)) for numbers in streams.values())


def _datagrams(path, source, destination):
    """The payloads of the UDP datagrams of an Ethernet capture in libpcap's format."""
    with open(path, "rb") as file:
        content = file.read()
    order = "<" if content[:4] in (b"\xd4\xc3\xb2\xa1", b"\x4d\x3c\xb2\xa1") else ">"
    wanted = bytes(map(int, source.split("."))) + bytes(map(int, destination.split(".")))
    at = 24
    while at + 16 <= len(content):
        size, = struct.unpack(order + "I", content[at + 8:at + 12])
        frame = content[at + 16:at + 16 + size]
        at += 16 + size
        if frame[12:14] != b"\x08\x00" or len(frame) < 42 or frame[23] != 17 or frame[26:34] != wanted:
            continue
        header = 14 + 4 * (frame[14] & 0x0F)
        length, = struct.unpack(">H", frame[header + 4:header + 6])
        yield frame[header + 8:header + length]

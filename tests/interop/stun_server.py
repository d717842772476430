#!/usr/bin/env python3
"""The smallest STUN server: tells everybody the address that they are seen with (RFC 8489 Binding, IPv4).

stun_server.py ADDRESS PORT
"""
import socket
import struct
import sys

COOKIE = 0x2112A442


def main():
    server = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    server.bind((sys.argv[1], int(sys.argv[2])))
    print("listening", flush=True)
    while True:
        request, (address, port) = server.recvfrom(1500)
        if len(request) < 20 or struct.unpack_from("!HxxI", request) != (1, COOKIE):
            continue
        seen = struct.unpack("!I", socket.inet_aton(address))[0]
        value = struct.pack("!xBHI", 1, port ^ (COOKIE >> 16), seen ^ COOKIE)
        response = struct.pack("!HHI", 0x0101, 4 + len(value), COOKIE) + request[8:20] + struct.pack("!HH", 0x0020, len(value)) + value
        server.sendto(response, (address, port))


if __name__ == "__main__":
    main()

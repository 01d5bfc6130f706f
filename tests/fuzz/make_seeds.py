#!/usr/bin/env python3
# SPDX-License-Identifier: BSD-2-Clause
"""Writes the seed files beside it: a valid example of each frame and message. Run again when a format changes."""
import os
import struct

HERE = os.path.join(os.path.dirname(os.path.abspath(__file__)), "seeds")


def write(kind, name, data):
    os.makedirs(os.path.join(HERE, kind), exist_ok=True)
    with open(os.path.join(HERE, kind, name), "wb") as file:
        file.write(data)


def varint(number):
    out = b""
    while number > 127:
        out += bytes([number & 127 | 128])
        number >>= 7
    return out + bytes([number])


def field(number, value):
    """One field of a message; text and bytes have a length, numbers none."""
    if isinstance(value, bytes):
        return varint(number << 3 | 2) + varint(len(value)) + value
    return varint(number << 3) + varint(value)


def message(number, *values):
    """PeerMessage with body `number`, whose fields 1, 2, 3... are `values`; None leaves one out."""
    body = b"".join(field(at, value) for at, value in enumerate(values, 1) if value is not None)
    return field(number, body)


def frames():
    hello = b"RSMd" + struct.pack("<HBBQ", 1, 1, 0, 0x1122334455667788) + bytes(range(32)) + bytes(16)
    write("frame", "hello", b"\0" + hello)
    write("frame", "hello-other-version", b"\0" + hello.replace(b"RSMd\1", b"RSMd\2"))
    write("frame", "welcome", b"\1" + b"RSMd" + struct.pack("<HBBH6x", 1, 2, 0, 0))
    for name, op, flags, width, offset, length in (
        ("put", 1, 0, 0, 4096, 100),
        ("put-items", 1, 1, 8, 64, 64),
        ("put-end", 1, 0, 0, (1 << 20) - 1, 1),
        ("put-around", 1, 0, 0, (1 << 64) - 1, 2),
        ("get", 2, 1, 0, 0, 1 << 20),
        ("post", 3, 3, 0, 0, 0),
        ("fence", 4, 1, 0, 0, 0),
    ):
        write("frame", name, b"\2" + struct.pack("<BBBBIQQ", op, flags, width, 0, 7, offset, length))
    write("frame", "reply-get", b"\3" + struct.pack("<BBHIQ", 2, 0, 0, 7, 4096))
    write("frame", "reply-refused", b"\3" + struct.pack("<BBHIQ", 1, 0, 17, 7, 256))


def messages():
    write("peer", "hello", message(1, 1, 3, 2, b"two", b"tcp0", b"2.0.0", 1 << 63, 3000, 1, 77))
    write("peer", "bye", message(2, 40, b"not a configured peer"))
    write("peer", "beat", message(3, 123456789012345, 123456789000000))
    write("peer", "connect", message(4, 1, 0x400000, 0o600, 1000, 1000, bytes([4, 24, 27]), 4321, b"importer"))
    write("peer", "connected", message(5, 1, 0, b"", 9, 65536, 0o600, 4242, 1000, 5, bytes(range(32))))
    write("peer", "disconnect", message(6, 9))
    write("peer", "aborted", message(7, 1, 41, b"unpublished"))
    write("peer", "signal", message(8, 1, 1000, 1))
    write("peer", "unknown", message(100, 1, b"later"))
    write("peer", "empty", b"")
    write("peer", "two-bodies", message(6, 9) + message(6, 10))
    write("peer", "number-0", bytes.fromhex("81000042010708011001"))
    write("peer", "cut", message(2, 40, b"not a configured peer")[:-4])


frames()
messages()

# SPDX-License-Identifier: GPL-2.0
"""own_socket.py ADDRESS PORT FILE: own the socket of a connection to an echo server while the file
system of FILE is frozen.

A line on standard input starts a receive into FILE, which is mapped: the page fault waits until
the file system is thawed, with the socket locked. The data is checked, and exchanged once more.
"""

import mmap
import socket
import sys
import time

DATA = bytes(range(256)) * 8


def connect(address: str, port: int) -> socket.socket:
    """Connect to a server that may not listen yet."""
    while True:
        try:
            return socket.create_connection((address, port))
        except ConnectionRefusedError:
            time.sleep(0.1)


def main() -> None:
    """Exchange data, own the socket, exchange data again."""
    address, port, path = sys.argv[1:]
    sock = connect(address, int(port))
    with open(path, "r+b") as file:
        page = mmap.mmap(file.fileno(), len(DATA))
    # A page that was read: writing to it needs another fault.
    assert page[:] == bytes(len(DATA))
    sock.sendall(DATA)
    assert sock.recv(len(DATA), socket.MSG_PEEK | socket.MSG_WAITALL) == DATA
    print("connected", flush=True)
    sys.stdin.readline()
    assert sock.recv_into(page, len(DATA)) == len(DATA)
    assert page[:] == DATA
    sock.sendall(DATA)
    assert sock.recv(len(DATA), socket.MSG_WAITALL) == DATA


main()

# SPDX-License-Identifier: GPL-2.0
"""Print what the peer of a delegated connection sees, for selftests/sending.sh.

usage: sending.py CASE

Both ends are in this guest: the peer is in the network namespace `peer`.  The case is the name of a
function below.
"""

import ctypes
import os
import socket
import struct
import subprocess
import sys
import tempfile
import threading
import time

TCP_ULP = 31
CLONE_NEWNET = 0x40000000
libc = ctypes.CDLL(None, use_errno=True)


def listener() -> socket.socket:
    """A listening socket of the peer."""
    here = os.open("/proc/self/ns/net", os.O_RDONLY)
    there = os.open("/run/netns/peer", os.O_RDONLY)
    try:
        if libc.setns(there, CLONE_NEWNET) < 0:
            raise OSError(ctypes.get_errno(), "setns")
        return socket.create_server(("192.0.2.2", 0))
    finally:
        libc.setns(here, CLONE_NEWNET)
        os.close(here)
        os.close(there)


def pair(rcvbuf: int = 0) -> tuple[socket.socket, socket.socket]:
    """Both ends of a connection, the first delegated if net.toe.enable permits it."""
    server = listener()
    near = socket.socket()
    if rcvbuf:
        near.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, rcvbuf)
    near.connect(server.getsockname())
    far, _ = server.accept()
    with open("/proc/sys/net/toe/enable", encoding="ascii") as enable:
        wanted = int(enable.read()) > 0
    for attempt in range(50 if wanted else 0):
        try:
            near.setsockopt(socket.IPPROTO_TCP, TCP_ULP, b"toe")
            break
        except OSError:
            if attempt == 49:
                raise
            time.sleep(0.05)
    return near, far


def option(sock: socket.socket, name: int, value: int) -> None:
    sock.setsockopt(socket.IPPROTO_TCP, name, value)


def cork(sock: socket.socket) -> None:
    option(sock, socket.TCP_CORK, 1)


def uncork(sock: socket.socket) -> None:
    option(sock, socket.TCP_CORK, 0)


def nodelay(sock: socket.socket) -> None:
    option(sock, socket.TCP_NODELAY, 1)


def write(sock: socket.socket) -> None:
    sock.send(b"w" * 100)


def more(sock: socket.socket) -> None:
    sock.send(b"m" * 100, socket.MSG_MORE)


def segment_and_more(sock: socket.socket) -> None:
    sock.send(b"s" * 2000, socket.MSG_MORE)


def file(sock: socket.socket) -> None:
    """Sends a file as a server does that does not know its size."""
    with tempfile.TemporaryFile() as data:
        data.write(b"f" * 3000)
        data.flush()
        os.sendfile(sock.fileno(), data.fileno(), 0, 1 << 20)


def delay(*steps) -> int:
    """Milliseconds until the peer has all of what the steps send, beyond the delay of the path."""
    near, far = pair()
    far.settimeout(20)

    def measure(*steps) -> float:
        began, got = time.monotonic(), 0
        before = near_sent(near)
        for step in steps:
            step(near)
        wanted = near_sent(near) - before
        while got < wanted:
            got += len(far.recv(1 << 16))
        return time.monotonic() - began

    path = measure(write)
    # Nothing is in flight.
    while unacknowledged(near):
        time.sleep(0.01)
    return round((measure(*steps) - path) * 1000)


def ioctl(sock: socket.socket, request: int) -> int:
    import fcntl

    return struct.unpack("i", fcntl.ioctl(sock, request, b"\0" * 4))[0]


def unacknowledged(sock: socket.socket) -> int:
    return ioctl(sock, 0x5411)


def info(sock: socket.socket, offset: int, kind: str) -> int:
    """A field of struct tcp_info."""
    return struct.unpack_from(kind, sock.getsockopt(socket.IPPROTO_TCP, socket.TCP_INFO, 256), offset)[0]


def near_sent(sock: socket.socket) -> int:
    """Bytes written: acknowledged and not acknowledged."""
    while True:
        acked = info(sock, 120, "=Q")
        sent = acked + unacknowledged(sock)
        if info(sock, 120, "=Q") == acked:
            return sent


def file_end() -> int:
    return delay(file)


def cork_nodelay() -> int:
    return delay(cork, write, nodelay)


def more_nodelay() -> int:
    return delay(more, nodelay)


def cork_more_uncork() -> int:
    return delay(cork, more, uncork)


def more_acknowledged() -> int:
    """The acknowledgement of the first segment sends the rest."""
    return delay(segment_and_more)


def records() -> int:
    """Number of segments in which the peer receives three records."""
    near, far = pair()
    before = info(far, 152, "=I")
    for _ in range(3):
        near.send(b"r" * 100, socket.MSG_MORE | socket.MSG_EOR)
    nodelay(near)
    got = 0
    while got < 300:
        got += len(far.recv(1000))
    return info(far, 152, "=I") - before


def receive_alone() -> int:
    """Seconds in which 6 MB are received while no frame of this side's Linux is sent."""
    near, far = pair()
    subprocess.run(["tc", "qdisc", "replace", "dev", "toe0", "root", "netem", "loss", "100%"], check=True)
    left = size = 6_000_000
    near.settimeout(100)
    thread = threading.Thread(target=far.sendall, args=(b"r" * size,), daemon=True)
    thread.start()
    began = time.monotonic()
    while left:
        left -= len(near.recv(1 << 20))
    subprocess.run(["tc", "qdisc", "del", "dev", "toe0", "root"], check=True)
    return round(time.monotonic() - began)


def window() -> int:
    """Smallest window that a sender sees whose receiver keeps up, in percent of the largest."""
    near, far = pair(rcvbuf=1 << 20)
    far.setblocking(True)
    seen = []
    for turn in range(200):
        far.sendall(b"w" * 10_000)
        left = 10_000
        while left:
            left -= len(near.recv(left))
        time.sleep(0.002)
        if turn >= 100:
            seen.append(info(far, 228, "=I"))
    return min(seen) * 100 // max(seen)


if __name__ == "__main__":
    if len(sys.argv) != 2 or sys.argv[1] not in globals():
        sys.exit(__doc__)
    print(globals()[sys.argv[1]]())

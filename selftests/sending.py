# SPDX-License-Identifier: GPL-2.0
"""Print what the peer of a delegated connection sees, for selftests/sending.sh.

usage: sending.py CASE

Both ends are in this guest: the peer is in the network namespace `peer`.  The case is the name of a
function below.
"""

import ctypes
import fcntl
import json
import os
import select
import socket
import struct
import subprocess
import sys
import tempfile
import threading
import time
from itertools import accumulate
from typing import Callable, TypeVar

TCP_ULP = 31
CLONE_NEWNET = 0x40000000
libc = ctypes.CDLL(None, use_errno=True)


T = TypeVar("T")


def run(command: str) -> str:
    """The output of a command, whose words are separated by spaces."""
    return subprocess.run(command.split(), check=True, capture_output=True, text=True).stdout


def within(netns: str, function: Callable[[], T]) -> T:
    """Calls a function in a network namespace."""
    here = os.open("/proc/self/ns/net", os.O_RDONLY)
    there = os.open(f"/run/netns/{netns}", os.O_RDONLY)
    try:
        if libc.setns(there, CLONE_NEWNET) < 0:
            raise OSError(ctypes.get_errno(), "setns")
        return function()
    finally:
        libc.setns(here, CLONE_NEWNET)
        os.close(here)
        os.close(there)


def pair(
    rcvbuf: int = 0, netns: str = "peer", address: str = "192.0.2.2"
) -> tuple[socket.socket, socket.socket]:
    """Both ends of a connection, the first delegated if net.toe.enable permits it."""
    server = within(netns, lambda: socket.create_server((address, 0)))
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
    run("tc qdisc replace dev toe0 root netem loss 100%")
    left = size = 6_000_000
    near.settimeout(100)
    thread = threading.Thread(target=far.sendall, args=(b"r" * size,), daemon=True)
    thread.start()
    began = time.monotonic()
    while left:
        left -= len(near.recv(1 << 20))
    run("tc qdisc del dev toe0 root")
    return round(time.monotonic() - began)


def window() -> int:
    """Smallest window that a sender sees whose receiver keeps up, in percent of the largest before it:
    the window may still grow."""
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
    return min(now * 100 // most for now, most in zip(seen, accumulate(seen, max), strict=True))


def lowat() -> int:
    """Kilobytes written before a socket with TCP_NOTSENT_LOWAT is full, 9999 if it stays so."""
    near, far = pair()
    near.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 4 << 20)
    option(near, 25, 16_384)
    near.setblocking(False)

    def fill() -> int:
        written = 0
        try:
            while True:
                written += near.send(b"l" * 4096)
        except BlockingIOError:
            return written

    first = total = fill()
    ending = time.monotonic() + 60
    thread = threading.Thread(target=drain, args=(far,), daemon=True)
    thread.start()
    poll = select.poll()
    poll.register(near, select.POLLOUT)
    while total < 1_000_000:
        if time.monotonic() > ending or not poll.poll(20_000):
            return 9999
        total += fill()
    return first // 1000


def drain(sock: socket.socket) -> None:
    while sock.recv(1 << 20):
        pass


def returns() -> int:
    """Number of connections that have come back."""
    return sum(json.loads(run("toectl -j stats toe0"))[0]["returned"].values())


def header() -> str:
    """TOS, TTL and don't-fragment of a packet after options were set, and how many connections came
    back."""
    near, _far = pair()
    before = returns()
    capture = within(
        "peer", lambda: socket.socket(socket.AF_PACKET, socket.SOCK_DGRAM, socket.htons(0x800))
    )
    capture.settimeout(10)
    near.setsockopt(socket.IPPROTO_IP, socket.IP_TOS, 0x48)
    near.setsockopt(socket.IPPROTO_IP, socket.IP_TTL, 9)
    near.setsockopt(socket.IPPROTO_IP, 10, 0)  # IP_MTU_DISCOVER: IP_PMTUDISC_DONT
    near.setsockopt(socket.IPPROTO_TCP, socket.TCP_CONGESTION, b"cubic")
    near.send(b"h" * 77)
    while True:
        packet = capture.recv(2000)
        if packet.endswith(b"h" * 77):
            return f"{packet[1]:#x}-{packet[8]}-{packet[6]:#x}-{returns() - before}"


def reno() -> int:
    """Number of connections that come back for a congestion control that the adapter does not have."""
    near, _far = pair()
    before = returns()
    near.setsockopt(socket.IPPROTO_TCP, socket.TCP_CONGESTION, b"reno")
    return returns() - before


def control_messages() -> int:
    """Number of times that the connection of a program that sends with control messages comes back in
    three seconds."""
    near, far = pair()
    before = returns()
    end = time.monotonic() + 3
    while time.monotonic() < end:
        near.sendmsg([b"c" * 1000], [(socket.SOL_SOCKET, socket.SO_MARK, struct.pack("I", 0))])
        far.recv(1000)
    return returns() - before


def gives_up(user_timeout: int) -> int:
    """Milliseconds until the application is told that the peer does not answer."""
    near, far = pair()
    near.send(b"g")
    far.recv(1)
    while unacknowledged(near):
        time.sleep(0.01)
    option(near, 18, user_timeout)
    run("toectl impair toe0 loss 100%")
    began = time.monotonic()
    near.send(b"lost")
    poll = select.poll()
    poll.register(near, select.POLLERR)
    poll.poll(60_000)
    run("toectl impair toe0 off")
    return round((time.monotonic() - began) * 1000)


def user_timeout() -> int:
    return gives_up(2000)


def retries() -> int:
    return gives_up(0)


def timeout() -> int:
    """Retransmission timeout in milliseconds on a fast path."""
    near, far = pair()
    for _ in range(50):
        near.send(b"t")
        far.send(far.recv(1))
        near.recv(1)
    return info(near, 8, "=I") // 1000


def idle() -> int:
    """Congestion window after idle time, in percent of the one before."""
    near, far = pair()
    size = 8_000_000
    thread = threading.Thread(target=near.sendall, args=(b"i" * size,), daemon=True)
    thread.start()
    left = size
    while left:
        left -= len(far.recv(1 << 20))
    while unacknowledged(near):
        time.sleep(0.01)
    before = info(near, 80, "=I")
    time.sleep(1.5)
    near.send(b"i")
    while unacknowledged(near):
        time.sleep(0.01)
    return info(near, 80, "=I") * 100 // before


def path_mtu() -> int:
    """Longest silence in milliseconds after the MTU of the path has become smaller."""
    # Forgets what an earlier run has learned.
    run("ip route flush cache")
    near, far = pair(netns="far", address="10.9.0.2")
    ending = threading.Event()

    def send() -> None:
        while not ending.is_set():
            near.sendall(b"p" * 20_000)
            time.sleep(0.02)

    threading.Thread(target=send, daemon=True).start()
    far.settimeout(20)
    end = time.monotonic() + 1
    while time.monotonic() < end:
        far.recv(1 << 16)
    run("ip -n peer link set far0 mtu 1280")
    last, worst = time.monotonic(), 0.0
    while last < end + 2:
        far.recv(1 << 16)
        now = time.monotonic()
        worst = max(worst, now - last)
        last = now
    ending.set()
    run("ip -n peer link set far0 mtu 1500")
    return round(worst * 1000)


if __name__ == "__main__":
    if len(sys.argv) != 2 or sys.argv[1] not in globals():
        sys.exit(__doc__)
    print(globals()[sys.argv[1]]())

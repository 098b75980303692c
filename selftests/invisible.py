#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0
#
# A program does not notice that its connection was delegated unasked: every call gives what it gives
# without toe, at any moment of a hand-over or a return. TRIES (150) is the number of tries for each
# race.
# topology: pair wire
# timeout: 300

import array
import contextlib
import errno
import functools
import json
import os
import random
import select
import socket
import struct
import time
from collections.abc import Callable, Iterator
from typing import Any

import bpf
from puppet import TCP_ULP, at_peer, check, connections, finish, raw, run, within

ADDRESS = {4: "192.0.2.2", 6: "2001:db8:77::2"}
FAMILY = {4: socket.AF_INET, 6: socket.AF_INET6}
IPPROTO_MPTCP = 262
SOL_IP, SOL_TCP, IP_TOS = socket.IPPROTO_IP, socket.IPPROTO_TCP, socket.IP_TOS
SO_PRIORITY, SO_BUSY_POLL, SO_MAX_PACING_RATE = 12, 46, 47
TCP_REPAIR, TCP_REPAIR_QUEUE, TCP_QUEUE_SEQ, TCP_USER_TIMEOUT = 19, 20, 21, 18
# Beyond the last option of TCP.
TCP_OPTIONS = 64
REPAIR_OFF = -1
# What differs from connection to connection: options of TCP without a value that can be compared.
TCP_INFO, TCP_SAVED_SYN, TCP_CC_INFO, TCP_TIMESTAMP, TCP_ZEROCOPY_RECEIVE = 11, 28, 26, 24, 35
VARIABLE = {socket.TCP_MAXSEG, TCP_INFO, TCP_SAVED_SYN, TCP_CC_INFO, TCP_TIMESTAMP, TCP_ZEROCOPY_RECEIVE}
SOCKMAP, MAP_CREATE, MAP_UPDATE = 15, 0, 2
tries = int(os.environ.get("TRIES", "20" if os.environ.get("TOE_KERNEL") == "debug" else "150"))

servers = {version: at_peer(functools.partial(socket.create_server, (ADDRESS[version], 0),
                                              family=FAMILY[version], backlog=64))
           for version in (4, 6)}


def received(sock: socket.socket, length: int) -> bytes:
    """Receive as many bytes. With a timeout, Python heeds no MSG_WAITALL."""
    data = b""
    while len(data) < length and (more := sock.recv(length - len(data))):
        data += more
    return data


class Pair:
    """Both ends of a connection: `near` is delegated if the policy says so."""

    def __init__(self, version: int = 4, protocol: int = 0) -> None:
        self.near = socket.socket(FAMILY[version], socket.SOCK_STREAM, protocol)
        self.near.connect(servers[version].getsockname())
        self.far, _ = servers[version].accept()
        for end in self.near, self.far:
            end.settimeout(20)

    def delegated(self) -> "Pair":
        """Wait until the connection is delegated."""
        port = self.near.getsockname()[1]
        if not within(5, lambda: json.loads(run(f"toectl -j conn list --port {port}"))):
            raise RuntimeError("not delegated")
        return self

    def carries(self) -> bool:
        """Whether both directions carry data."""
        for source, sink in (self.near, self.far), (self.far, self.near):
            data = random.randbytes(3000)
            source.sendall(data)
            if received(sink, len(data)) != data:
                return False
        return True

    def close(self) -> None:
        """End the connection at once."""
        for end in self.near, self.far:
            end.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
            end.close()


def delegation(mode: int) -> None:
    """Switch automatic delegation on (2) or off (0)."""
    run(f"sysctl -qw net.toe.enable={mode} net.toe.min_bytes=0")
    within(5, lambda: mode or connections() == 0)


def result(call: Callable[..., Any], *arguments: object) -> Any:
    """What a call returns, or the name of its error."""
    try:
        return call(*arguments)
    except OSError as error:
        return errno.errorcode.get(error.errno or 0, str(error))


def same(name: str, observe: Callable[[Pair], object], version: int = 4) -> None:
    """Check that a program observes the same on a delegated connection as without toe."""
    seen = []
    for mode in 0, 2:
        delegation(mode)
        pair = Pair(version)
        if mode:
            pair.delegated()
        seen.append(observe(pair))
        check(f"{name}: data flows {'delegated' if mode else 'without toe'}", pair.carries())
        pair.close()
    check(f"{name}: as without toe", seen[0] == seen[1], seen)


def ulp(sock: socket.socket) -> Any:
    """TCP_ULP of a socket."""
    return result(sock.getsockopt, SOL_TCP, TCP_ULP, 16)


def options(pair: Pair) -> list[Any]:
    """All options of TCP, or their lengths."""
    seen = []
    for option in range(1, TCP_OPTIONS):
        value = result(pair.near.getsockopt, SOL_TCP, option, 256)
        seen.append((option, len(value) if option in VARIABLE else value))
    return seen


def settings(pair: Pair) -> list[Any]:
    """Options as a program sets and finds them."""
    wanted = [(socket.SOL_SOCKET, name, value) for name, value in (
        (socket.SO_SNDBUF, 100000), (socket.SO_RCVBUF, 100000), (socket.SO_KEEPALIVE, 1),
        (SO_PRIORITY, 5), (socket.SO_MARK, 7), (socket.SO_RCVLOWAT, 2), (socket.SO_OOBINLINE, 1),
        (socket.SO_REUSEADDR, 1), (socket.SO_DONTROUTE, 1), (SO_BUSY_POLL, 20),
        (SO_MAX_PACING_RATE, 10000000))]
    wanted += [(SOL_TCP, name, value) for name, value in (
        (socket.TCP_NODELAY, 1), (socket.TCP_CORK, 1), (socket.TCP_CORK, 0),
        (TCP_USER_TIMEOUT, 9000), (socket.TCP_KEEPIDLE, 9), (socket.TCP_KEEPCNT, 3),
        (socket.TCP_QUICKACK, 1), (socket.TCP_NOTSENT_LOWAT, 70000), (socket.TCP_WINDOW_CLAMP, 30000),
        (socket.TCP_MAXSEG, 1000), (200, 1))]
    wanted += [(SOL_IP, IP_TOS, 16), (SOL_IP, socket.IP_TTL, 70)]
    seen = []
    for level, name, value in wanted:
        seen.append((level, name, result(pair.near.setsockopt, level, name, value)))
        seen.append((level, name, result(pair.near.getsockopt, level, name)))
    return seen


def repair(pair: Pair) -> list[Any]:
    """Look at the queues in repair mode, as checkpointing does."""
    sock = pair.near
    seen = [result(sock.getsockopt, SOL_TCP, TCP_REPAIR_QUEUE), result(sock.setsockopt, SOL_TCP, TCP_REPAIR, 1),
            sock.getsockopt(SOL_TCP, TCP_REPAIR)]
    positions = []
    for _ in range(2):
        for queue in 1, 2:
            sock.setsockopt(SOL_TCP, TCP_REPAIR_QUEUE, queue)
            positions.append(sock.getsockopt(SOL_TCP, TCP_QUEUE_SEQ))
    seen.append(positions[:2] == positions[2:])
    seen.append(result(sock.setsockopt, SOL_TCP, TCP_REPAIR, REPAIR_OFF))
    return [*seen, sock.getsockopt(SOL_TCP, TCP_REPAIR)]


def ulps(pair: Pair) -> list[Any]:
    """Set one ULP after the other."""
    seen = [ulp(pair.near)]
    for name in b"no such ULP", b"espintcp", b"smc", b"tls", b"tls":
        seen += [name, result(pair.near.setsockopt, SOL_TCP, TCP_ULP, name), ulp(pair.near)]
    return seen


def inherited(pair: Pair) -> int:
    """Use the socket in a child."""
    child = os.fork()
    if not child:
        os._exit(0 if pair.carries() else 1)
    return os.waitpid(child, 0)[1]


def passed(pair: Pair) -> bool:
    """Pass the descriptor, close it, and go on with the received one."""
    ours, theirs = socket.socketpair()
    socket.send_fds(ours, [b"x"], [pair.near.fileno()])
    pair.near.close()
    _, descriptors, _, _ = socket.recv_fds(theirs, 1, 1)
    pair.near = socket.socket(fileno=descriptors[0])
    pair.near.settimeout(20)
    ours.close()
    theirs.close()
    return pair.carries()


for version in 4, 6:
    same(f"IPv{version}: all options of TCP", options, version)
    same(f"IPv{version}: TCP_ULP", ulps, version)
same("options that are set", settings)
same("TCP_REPAIR", repair)
same("fork", inherited)
same("descriptor passed", passed)


delegation(1)
pair = Pair()
run(f"toectl conn offload --port {pair.near.getsockname()[1]}")
check("delegated by command: no ULP is shown", ulp(pair.delegated().near) == b"", ulp(pair.near))
pair.near.setsockopt(SOL_TCP, TCP_ULP, b"toe")
check("delegated by TCP_ULP: the ULP is shown", ulp(pair.delegated().near)[:4] == b"toe\0", ulp(pair.near))
pair.close()


def multipath(mode: int) -> list[Any]:
    """What MPTCP shows that falls back to TCP, at both ends."""
    delegation(mode)
    pair = Pair(protocol=IPPROTO_MPTCP)
    seen = [pair.carries(), ulp(pair.near)]
    pair.close()
    listener = socket.socket(socket.AF_INET, socket.SOCK_STREAM, IPPROTO_MPTCP)
    listener.bind(("192.0.2.1", 0))
    listener.listen()
    client = at_peer(lambda: socket.create_connection(listener.getsockname()))
    accepted, _ = listener.accept()
    client.sendall(b"mptcp?")
    seen += [received(accepted, 6), ulp(accepted)]
    for sock in client, accepted, listener:
        sock.close()
    return seen


without, with_ = multipath(0), multipath(2)
check("MPTCP: as without toe", without == with_, [without, with_])

# A sockmap takes only sockets that are not delegated.
cgroup = "/run/toe_cgroup"


@contextlib.contextmanager
def sockops() -> Iterator[None]:
    """Run a program of type sockops for all sockets."""
    os.makedirs(cgroup, exist_ok=True)
    run(f"mountpoint -q {cgroup} || mount -t cgroup2 none {cgroup}")
    with bpf.attached(bpf.SOCK_OPS, bpf.returning(1), bpf.CGROUP_SOCK_OPS, cgroup):
        yield
    run(f"umount {cgroup}")


def insert(pair: Pair) -> Any:
    """Put a socket into a sockmap."""
    table = bpf.bpf(MAP_CREATE, struct.pack("<IIIII", SOCKMAP, 4, 4, 1, 0))
    key, value = array.array("I", [0]), array.array("I", [pair.near.fileno()])
    arguments = struct.pack("<IIQQQ", table, 0, key.buffer_info()[0], value.buffer_info()[0], 0)
    seen = result(bpf.bpf, MAP_UPDATE, arguments)
    os.close(table)
    return seen


for version in 4, 6:
    pair = Pair(version).delegated()
    check(f"IPv{version}: a sockmap refuses a delegated socket", isinstance(insert(pair), str))
    check(f"IPv{version}: refused by a sockmap: data flows", pair.carries())
    pair.close()
    with sockops():
        pair = Pair(version)
        pair.carries()
        time.sleep(0.2)
        check(f"IPv{version}: a sockmap takes a socket where sockops programs run",
              insert(pair) == 0, insert(pair))
        pair.close()

# Races with a hand-over: a connection is handed over right after its establishment.


def race(name: str, act: Callable[[Pair], object], expected: object,
         provoke: Callable[[Pair], object] = lambda _: None) -> None:
    """Check that `act` gives the same at any moment after a connection begins, or after `provoke`."""
    wrong: list[object] = []
    before = delegated()
    for attempt in range(tries):
        pair = Pair(4 + 2 * (attempt % 2))
        provoke(pair)
        end = time.perf_counter() + random.uniform(0, SPREAD)
        while time.perf_counter() < end:
            pass
        seen = act(pair)
        if seen != expected:
            wrong.append((attempt, seen))
        pair.close()
    check(f"{name}: {tries} tries", not wrong, f"{len(wrong)} wrong: {wrong[:3]}")
    print(f"# {name}: {delegated() - before} of them were delegated", flush=True)


def delegated() -> int:
    """Number of connections that were delegated so far."""
    return int(run("toectl -j stats toe0 | jq '.[0].delegated'"))


# Seconds in which most hand-overs end.
SPREAD = 0.004


def tls(pair: Pair) -> object:
    """Set the ULP tls, and look whether the connection survives it."""
    seen = result(pair.near.setsockopt, SOL_TCP, TCP_ULP, b"tls")
    return seen, ulp(pair.near)[:3], pair.carries()


capture = raw(at_peer(lambda: next(d for _, d in socket.if_nameindex() if d in ("eth0", "toe1"))))


def marked(pair: Pair) -> object:
    """Set the type of service, and return that of the next payload."""
    if pair.near.family == socket.AF_INET6:
        return 16
    while select.select([capture], [], [], 0)[0]:
        capture.recv(2000)
    pair.near.setsockopt(SOL_IP, IP_TOS, 16)
    pair.near.send(b"marked")
    while select.select([capture], [], [], 5)[0]:
        frame = capture.recv(2000)
        if frame[12:14] == b"\x08\x00" and frame.rstrip(b"\0").endswith(b"marked"):
            return frame[15]
    return "no frame"


def repaired(pair: Pair) -> object:
    """Enter and leave repair mode."""
    pair.near.setsockopt(SOL_TCP, TCP_REPAIR, 1)
    seen = pair.near.getsockopt(SOL_TCP, TCP_REPAIR)
    pair.near.setsockopt(SOL_TCP, TCP_REPAIR_QUEUE, 1)
    pair.near.setsockopt(SOL_TCP, TCP_REPAIR, REPAIR_OFF)
    return seen, pair.carries()


def urgent(pair: Pair) -> None:
    """Have the adapter return the connection, which is delegated by then."""
    time.sleep(SPREAD)
    pair.far.send(b"!", socket.MSG_OOB)


delegation(2)
race("TCP_ULP tls and a hand-over", tls, (None, b"tls", True))
race("TCP_ULP read and a hand-over", lambda pair: ulp(pair.near), b"")
race("IP_TOS and a hand-over", marked, 16)
race("TCP_REPAIR and a hand-over", repaired, (1, True))
race("TCP_ULP tls and a return", lambda pair: pair.near.setsockopt(SOL_TCP, TCP_ULP, b"tls"), None,
     urgent)
race("TCP_ULP read and a return", lambda pair: ulp(pair.near), b"", urgent)
run("sysctl -qw net.toe.min_bytes=65536")
finish()

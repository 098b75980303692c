#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0
#
# What only Linux implements keeps a connection with Linux, and returns a delegated one: what a
# socket sets is in force when the call returns. toectl says what it was. A connection is not
# handed over only to return.
# topology: pair wire
# timeout: 300

import atexit
import contextlib
import ctypes
import json
import os
import socket
import struct
import subprocess
import threading
import time
from collections.abc import Callable, Iterator

import bpf
from puppet import ACK, PSH, Puppet, check, connections, finish, run, stats, within

IP_TRANSPARENT, IP_MINTTL, IP_RECVOPTS, IP_FREEBIND, IP_XFRM_POLICY = 19, 21, 6, 15, 17
IPV6_MINHOPCOUNT = 73
SO_ATTACH_FILTER, SO_BINDTODEVICE, SO_PRIORITY, SO_MAX_PACING_RATE, SO_ATTACH_BPF = 26, 25, 12, 47, 50
TCP_TX_DELAY = 37
SOL_IP, SOL_IPV6, SOL_TCP = 0, 41, 6
PACING = "SO_MAX_PACING_RATE or packet scheduler fq"

run("sysctl -qw net.toe.enable=1")
cgroup = "/run/toe_cgroup"
os.makedirs(cgroup, exist_ok=True)
subprocess.run(["mount", "-t", "cgroup2", "none", cgroup], check=False)


class Watch:
    """`toectl watch`."""

    def __init__(self) -> None:
        self.process = subprocess.Popen(["toectl", "-j", "watch"], stdout=subprocess.PIPE, text=True)
        atexit.register(self.process.kill)
        self.reasons: dict[int, tuple[str, str]] = {}
        threading.Thread(target=self.read, daemon=True).start()
        time.sleep(0.5)

    def read(self) -> None:
        """Note the returns, by port of the host."""
        for line in self.process.stdout or []:
            event = json.loads(line)
            if event["event"] == "returned":
                port = int(event["local"].rsplit(":", 1)[1])
                self.reasons[port] = event["reason"], event.get("detail", "")

    def returned(self, puppet: Puppet) -> tuple[str, str]:
        """Reason and detail of the return of a connection."""
        within(2, lambda: puppet.ports[1] in self.reasons)
        return self.reasons.get(puppet.ports[1], ("", ""))


TRACING = "/sys/kernel/tracing"
watch = Watch()
run(f"mountpoint -q {TRACING} || mount -t tracefs none {TRACING}; echo 1 >{TRACING}/events/toe/enable")


def traced(event: str, puppet: Puppet, detail: str) -> bool:
    """Whether an event of a connection was traced with this detail."""
    with open(f"{TRACING}/trace") as trace:
        return any(f"toe_conn_{event}:" in line and f":{puppet.ports[1]} " in line
                   and f'detail="{detail}"' in line for line in trace)



def begin(version: int = 4, **options: object) -> Puppet:
    """Begin a delegated connection."""
    puppet = Puppet(version, **options)
    puppet.send(ACK | PSH, b"before")
    puppet.acknowledged(2)
    puppet.sock.recv(99)
    error = puppet.delegate()
    check("handed over", not error, error)
    return puppet


def hears(puppet: Puppet) -> bool:
    """Whether the host takes payload."""
    puppet.send(ACK | PSH, b"heard")
    taken = puppet.acknowledged(0.5)
    puppet.sock.setblocking(False)
    with contextlib.suppress(BlockingIOError):
        taken |= puppet.sock.recv(99) != b""
    return taken


def number(level: int, option: int) -> str:
    """Detail of a return for an option that passes the protocol's setsockopt."""
    return f"setsockopt level {level} option {option}"


def settings() -> Iterator[tuple[str, int, Callable[[socket.socket], object], str, str, str, bool]]:
    """Settings of a socket: name, IP version, how to set it, reason and detail of the refusal, detail
    of the return if that is another one, whether the socket is deaf."""
    drop = ctypes.create_string_buffer(struct.pack("HBBI", 6, 0, 0, 0))
    filter_ = struct.pack("HxxxxxxP", 1, ctypes.addressof(drop))
    yield ("socket filter", 4, lambda s: s.setsockopt(socket.SOL_SOCKET, SO_ATTACH_FILTER, filter_),
           "filter", "socket filter", "", True)
    program = bpf.load(bpf.SOCKET_FILTER, bpf.returning(0))
    yield ("BPF socket filter", 6,
           lambda s: s.setsockopt(socket.SOL_SOCKET, SO_ATTACH_BPF, program),
           "filter", "socket filter", "", True)
    yield ("IP_MINTTL", 4, lambda s: s.setsockopt(SOL_IP, IP_MINTTL, 255), "sockopt",
           "IP_MINTTL", number(SOL_IP, IP_MINTTL), True)
    yield ("IPV6_MINHOPCOUNT", 6,
           lambda s: s.setsockopt(SOL_IPV6, IPV6_MINHOPCOUNT, 255), "sockopt",
           "IPV6_MINHOPCOUNT", number(SOL_IPV6, IPV6_MINHOPCOUNT), True)
    yield ("pacing rate", 4,
           # Linux sets it without the lock: it is noticed when it matters.
           lambda s: (s.setsockopt(socket.SOL_SOCKET, SO_MAX_PACING_RATE, 1000000), s.send(b"paced")),
           "sockopt", PACING, "", False)
    yield ("transmit delay", 4,
           lambda s: s.setsockopt(SOL_TCP, TCP_TX_DELAY, 1), "sockopt",
           "TCP_TX_DELAY", number(SOL_TCP, TCP_TX_DELAY), False)
    yield ("pacing rate by bpf_setsockopt", 4, by_program, "sockopt", PACING, "", False)
    # An xfrm_userpolicy_info that allows everything.
    policy = bytearray(168)
    policy[40:42] = struct.pack("=H", socket.AF_INET)
    for limit in range(56, 88, 8):
        policy[limit:limit + 8] = b"\xff" * 8
    yield ("xfrm policy of the socket", 4,
           lambda s: s.setsockopt(SOL_IP, IP_XFRM_POLICY, bytes(policy)), "filter",
           "xfrm policy of the socket", number(SOL_IP, IP_XFRM_POLICY), False)


def by_program(sock: socket.socket) -> None:
    """Let a program set a pacing rate when the socket sets any option."""
    code = bpf.setting(socket.SOL_SOCKET, SO_MAX_PACING_RATE, 1000000)
    with bpf.attached(bpf.CGROUP_SOCKOPT, code, bpf.CGROUP_SETSOCKOPT, cgroup):
        sock.setsockopt(socket.SOL_SOCKET, SO_PRIORITY, 0)


for name, version, change, reason, detail, by_number, deaf in settings():
    puppet = Puppet(version)
    change(puppet.sock)
    error = puppet.delegate()
    check(f"{name}: refused", error == "Operation not supported", error)
    message = subprocess.run(["toectl", "conn", "offload", "--port", str(puppet.ports[1])],
                             check=False, capture_output=True, text=True).stderr
    check(f"{name}: toectl says why", detail in message, message)
    check(f"{name}: the tracepoint says why", traced("refused", puppet, detail))
    puppet.close()

    puppet = begin(version)
    change(puppet.sock)
    check(f"{name}: in force when the call returns", not puppet.delegated(), puppet.delegated())
    check(f"{name}: the peer is {'not ' * deaf}heard", hears(puppet) != deaf)
    # What passes the protocol's setsockopt returns the connection before it is set.
    expected = ("sockopt", by_number) if by_number else (reason, detail)
    answer = watch.returned(puppet)
    check(f"{name}: reason and detail of the return", answer == expected, answer)
    puppet.close()

puppet = begin()
puppet.sock.setsockopt(SOL_IP, IP_RECVOPTS, 1)
answer = watch.returned(puppet)
check("an option is named by its numbers", answer == ("sockopt", "setsockopt level 0 option 6"),
      answer)
puppet.close()


def surroundings() -> Iterator[tuple[str, Callable[[], contextlib.AbstractContextManager[None]], str]]:
    """Observers of several sockets: name, how to add it for a time, detail."""
    drop = bpf.returning(0)

    @contextlib.contextmanager
    def between(begin: str, end: str) -> Iterator[None]:
        run(begin)
        try:
            yield
        finally:
            run(end)

    yield ("cgroup ingress",
           lambda: bpf.attached(bpf.CGROUP_SKB, drop, bpf.CGROUP_INET_INGRESS, cgroup),
           "cgroup ingress program")
    yield ("cgroup egress",
           lambda: bpf.attached(bpf.CGROUP_SKB, drop, bpf.CGROUP_INET_EGRESS, cgroup),
           "cgroup egress program")
    yield ("inbound xfrm policy",
           lambda: between("ip xfrm policy add dir in proto tcp action block",
                           "ip xfrm policy del dir in proto tcp"),
           "inbound xfrm policy")
    yield ("netfilter",
           lambda: between("""nft add table inet toe_test
                nft 'add chain inet toe_test input { type filter hook input priority 0; }'""",
                           "nft delete table inet toe_test"),
           "netfilter input")
    yield ("tc",
           lambda: between("""tc qdisc add dev toe0 clsact
                              tc filter add dev toe0 ingress matchall action ok""",
                           "tc qdisc del dev toe0 clsact"),
           "tc ingress")


for name, added, detail in surroundings():
    puppet = begin()
    with added():
        # The first frame: earlier than the checks that are made once a second.
        puppet.send(ACK | PSH, b"first")
        check(f"{name}: the connection returns", within(2, lambda: not puppet.delegated()))
        answer = watch.returned(puppet)
        check(f"{name}: reason and detail of the return", answer == ("filter", detail), answer)
        check(f"{name}: traced", traced("returned", puppet, detail))
        error = puppet.delegate()
        check(f"{name}: refused", error == "Operation not supported", error)
    puppet.close()

# Addresses that are no addresses of the host, and those that are but need a closer look.


def stays(name: str, puppet: Puppet) -> None:
    """Check that a connection stays delegated for some checks of its surroundings."""
    error = puppet.delegate()
    check(f"{name}: handed over", not error, error)
    time.sleep(2.5)
    check(f"{name}: stays", puppet.delegated(), stats("returned"))
    check(f"{name}: receives", hears(puppet))
    puppet.close()


run("ip route add local 203.0.113.0/24 dev lo; ip -6 route add local 2001:db8:113::/64 dev lo")
for version, option, host in (4, IP_FREEBIND, "203.0.113.9"), (6, 78, "2001:db8:113::9"):
    level = SOL_IP if version == 4 else SOL_IPV6
    stays(f"IPv{version}: local route",
          Puppet(version, host=host, setup=lambda s: s.setsockopt(level, option, 1)))
run("ip route del local 203.0.113.0/24 dev lo; ip -6 route del local 2001:db8:113::/64 dev lo")

run("""ip rule add iif toe0 to 203.0.113.0/24 lookup 113
    ip route add local 203.0.113.0/24 dev lo table 113""")
puppet = Puppet(host="203.0.113.9", setup=lambda s: s.setsockopt(SOL_IP, IP_TRANSPARENT, 1))
error = puppet.delegate()
check("transparent proxy: refused", error == "Operation not supported", error)
check("transparent proxy: for reason address", stats("refused").get("address", 0) > 0)
check("transparent proxy: receives", hears(puppet))
puppet.close()
run("ip rule del iif toe0 to 203.0.113.0/24 lookup 113; ip route flush table 113")

run("""ip link add toe_vrf type vrf table 114; ip link set toe_vrf up; ip link set toe0 master toe_vrf
    ip addr replace 2001:db8:77::1/64 dev toe0 nodad""")
for version in 4, 6:
    stays(f"IPv{version}: VRF",
          Puppet(version, setup=lambda s: s.setsockopt(socket.SOL_SOCKET, SO_BINDTODEVICE, b"toe_vrf")))
run("""ip link set toe0 nomaster; ip link del toe_vrf
    ip addr replace 2001:db8:77::1/64 dev toe0 nodad""")

# Programs that may put a socket into a sockmap.
run("sysctl -qw net.toe.enable=2 net.toe.min_bytes=0")
with bpf.attached(bpf.SOCK_OPS, bpf.returning(1), bpf.CGROUP_SOCK_OPS, cgroup):
    puppet = Puppet()
    hears(puppet)
    time.sleep(0.5)
    check("sockops program: nothing is delegated unasked", connections() == 0)
    check("sockops program: delegated by name",
          subprocess.run(["toectl", "conn", "offload", "--port", str(puppet.ports[1])],
                         check=False).returncode == 0)
    puppet.close()
run("sysctl -qw net.toe.min_bytes=65536")

subprocess.run(["umount", cgroup], check=False)
finish()

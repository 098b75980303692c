#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0
#
# Segments of one byte for a process that does not read take little more memory than their payload.
# topology: pair wire
# timeout: 240

import re
import socket

from puppet import ACK, PSH, Puppet, check, finish, run

COUNT = 3000
# Two skbs for what a page holds, and the first one.
LIMIT = 16384
SO_TIMESTAMPNS = 35


def memory(puppet: Puppet) -> int:
    """Memory of payload that has not been read."""
    line = run(f"ss -tmnH state established sport = :{puppet.ports[1]}")
    found = re.search(r"skmem:\(r(\d+),", line)
    return int(found[1]) if found else -1


def stamped(sock: socket.socket) -> None:
    """Ask for the time at which payload arrives."""
    sock.setsockopt(socket.SOL_SOCKET, SO_TIMESTAMPNS, 1)


run("sysctl -qw net.toe.enable=1")
for name, setup in (("plain", lambda sock: None), ("with timestamps", stamped)):
    puppet = Puppet(setup=setup)
    check(f"{name}: handed over", not (error := puppet.delegate()), error)
    sent = bytes(n % 251 for n in range(COUNT))
    for n in range(COUNT):
        puppet.send(ACK | PSH, sent[n:n + 1])
        if n % 16 == 15:
            puppet.acknowledged(5)
    check(f"{name}: delegated", puppet.delegated())
    used = memory(puppet)
    check(f"{name}: memory is limited", COUNT <= used <= LIMIT, used)
    received = b""
    while len(received) < COUNT:
        received += puppet.sock.recv(COUNT)
    check(f"{name}: data correct", received == sent)
    check(f"{name}: no memory is left", memory(puppet) == 0, memory(puppet))
    # Large and small payload in turn.
    large = sent[:1400]
    for n in range(10):
        for part in large, sent[n:n + 100], large:
            puppet.send(ACK | PSH, part)
            puppet.acknowledged(5)
    wanted = b"".join(large + sent[n:n + 100] + large for n in range(10))
    received = b""
    while len(received) < len(wanted):
        received += puppet.sock.recv(len(wanted))
    check(f"{name}: large and small: data correct", received == wanted)
    puppet.close()

finish()

#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0
#
# What a return leaves behind: timestamps on the wire that do not go back, segments in flight that
# are not taken for overdue, and no payload that nobody sends.
# topology: pair wire
# timeout: 300

import ctypes
import mmap
import random
import socket
import struct
import threading
import time

from puppet import ACK, FIN, PSH, Puppet, check, finish, run, within

ADJ_TICK = 0x4000
libc = ctypes.CDLL(None, use_errno=True)


def set_tick(microseconds: int) -> None:
    """Set the speed of the host's clock: 10,000 is normal."""
    timex = ctypes.create_string_buffer(struct.pack("Ixxxx", ADJ_TICK), 256)
    # struct timex: the field tick.
    struct.pack_into("q", timex, 88, microseconds)
    if libc.adjtimex(timex) < 0:
        raise OSError(ctypes.get_errno(), "adjtimex")


def timeouts() -> int:
    """TcpExtTCPTimeouts."""
    with open("/proc/net/netstat") as file:
        names, values = (line.split() for line in file if line.startswith("TcpExt"))
    return int(values[names.index("TCPTimeouts")])


def begin(**options: object) -> Puppet:
    """Begin a delegated connection."""
    puppet = Puppet(**options)
    puppet.send(ACK | PSH, b"begin")
    puppet.acknowledged(2)
    puppet.sock.recv(99)
    error = puppet.delegate()
    check("handed over", not error, error)
    return puppet


def buffered(sock: socket.socket) -> None:
    """Let a socket take long writes."""
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 4 << 20)


def take_back(puppet: Puppet) -> None:
    """Return a connection by command."""
    run(f"toectl conn return --port {puppet.ports[1]}")


run("sysctl -qw net.toe.enable=1")

# The adapter's clock is ahead of Linux's, as after a pause of the virtual machine.
for name, command in (("return", "toectl conn return --all"),
                      ("reset", "bash -c '. ./lib.sh && reset_toe0'")):
    puppet = begin()
    set_tick(9000)
    time.sleep(4)
    set_tick(10000)
    puppet.sock.send(b"by the adapter")
    latest = puppet.drain(0.3, acknowledge=name == "return")[-1].tsval
    run(command)
    run("sysctl -qw net.toe.enable=1")
    check(f"{name}: the connection is Linux's", within(5, lambda: not puppet.delegated()))
    if name == "return":
        puppet.sock.send(b"by Linux")
    segments = [s for s in puppet.drain(3, acknowledge=False) if s.payload]
    check(f"{name}: Linux sends", segments)
    for segment in segments[:1]:
        ahead = (segment.tsval - latest + (1 << 31)) % (1 << 32) - (1 << 31)
        check(f"{name}: timestamps do not go back", ahead >= 0, ahead)
    puppet.close()

# Two segments are in flight at a time, and what waits was written long ago.
for sack in False, True:
    puppet = begin(window=2900 >> 7, sack=sack, setup=buffered)
    check("all is written at once", puppet.sock.send(b"x" * 150_000) == 150_000)
    for _ in range(25):
        segment = puppet.receive(2)
        time.sleep(0.05)
        if segment and segment.seq == puppet.rcv:
            puppet.rcv += len(segment.payload)
            puppet.send(ACK)
    before = timeouts()
    take_back(puppet)
    time.sleep(0.02)
    ends = []
    for _ in range(10):
        segment = puppet.receive(2)
        if segment and segment.seq == puppet.rcv:
            puppet.rcv += len(segment.payload)
            ends.append(puppet.rcv)
            puppet.send(ACK)
    name = f"in flight, {'with' if sack else 'without'} SACK"
    check(f"{name}: Linux goes on", len(ends) >= 5, ends)
    check(f"{name}: no timeout", timeouts() == before, timeouts() - before)
    puppet.close()

# The adapter holds payload out of order, and has answered each segment. A peer without SACK takes
# three more answers for another loss.
for sack in True, False:
    for cause in "command", "FIN":
        puppet = begin(sack=sack)
        name = f"out of order, {cause}, {'with' if sack else 'without'} SACK"
        start, size = puppet.snd, 1000
        data = bytes(range(256)) * 32
        for piece in 1, 2, 3, 5, 6:
            at = piece * size
            puppet.send(ACK, data[at:at + size], seq=start + at)
        answers = puppet.drain()
        check(f"{name}: each segment is answered", len(answers) == 5, answers)
        if cause == "FIN":
            puppet.send(FIN | ACK, seq=start + 7 * size)
        else:
            take_back(puppet)
        answers = puppet.drain(0.5)
        end = 7 * size + (cause == "FIN")
        blocks = {(start + size, start + 4 * size), (start + 5 * size, start + end)}
        check(f"{name}: the connection is Linux's", not puppet.delegated())
        limit = 1 + (cause == "FIN")
        check(f"{name}: no burst of answers", 1 <= len(answers) <= limit, answers)
        if sack:
            check(f"{name}: the last one has all blocks", set(answers[-1].sack) == blocks, answers)
            check(f"{name}: each one has blocks", all(a.sack for a in answers), answers)
        for piece in 0, 4:
            at = piece * size
            puppet.send(ACK, data[at:at + size], seq=start + at)
        puppet.snd = start + end
        check(f"{name}: all is acknowledged", puppet.acknowledged(5))
        check(f"{name}: data correct", puppet.sock.recv(9999) == data[:7 * size])
        puppet.close()

# The peer ends its stream while a process is in the middle of a write of many small segments. The
# source is a file that has to be read first, which takes long enough.
with open("../tools/target/release/toe-device", "rb") as file:
    source = mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ)
SIZE = 200_000
for attempt in range(12):
    offset = attempt * 1_000_000
    puppet = begin(window=4096 >> 7, setup=buffered)
    written = memoryview(source)[offset:offset + SIZE]
    writer = threading.Thread(target=lambda: puppet.sock.sendall(written))
    writer.start()
    time.sleep(random.random() * 0.03)
    puppet.send(FIN | ACK)
    received = bytearray()
    while segment := puppet.receive(5):
        if segment.payload and segment.seq == puppet.rcv:
            puppet.rcv += len(segment.payload)
            received += segment.payload
            puppet.send(ACK)
        if len(received) >= SIZE:
            break
    check("return within a write: all is sent", received == written, len(received))
    writer.join(5)
    puppet.close()

finish()

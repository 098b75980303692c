#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0
#
# Frames of the peer that come by an interface other than the adapter's return the connection
# at once; it stays with Linux while they do.
# topology: pair wire
# timeout: 240

import socket
import time

from puppet import (ACK, FIN, PSH, Puppet, check, finish, hardware_address, raw, run, stats,
                    within)

run("""sysctl -qw net.toe.enable=1
    ip link add toe_va type veth peer name toe_vb netns peer
    ip link set toe_va up; ip -n peer link set toe_vb up
    ip addr add 198.18.7.1/24 dev toe_va; ip addr add 2001:db8:7::1/64 dev toe_va nodad
    sysctl -qw net.ipv4.conf.all.rp_filter=0 net.ipv4.conf.toe_va.rp_filter=0""")
other = raw("toe_vb")
other_address = hardware_address("toe_va")


def begin(version: int) -> Puppet:
    """Begin a delegated connection whose frames come by the adapter's interface."""
    puppet = Puppet(version)
    puppet.send(ACK | PSH, b"one")
    puppet.acknowledged(2)
    puppet.sock.recv(9)
    check(f"IPv{version}: handed over", not (error := puppet.delegate()), error)
    return puppet


def divert(puppet: Puppet) -> None:
    """Let the peer send by the other interface."""
    puppet.out, puppet.destination = other, other_address


def returned(puppet: Puppet) -> bool:
    """Whether the connection returns."""
    return within(1, lambda: not puppet.delegated())


for version in 4, 6:
    # Payload.
    puppet, before = begin(version), stats("returned").get("interface", 0)
    divert(puppet)
    began = time.monotonic()
    puppet.send(ACK | PSH, b"two")
    check(f"IPv{version}: payload is acknowledged", puppet.acknowledged(5))
    took = time.monotonic() - began
    check(f"IPv{version}: at once", took < 1, f"{took:.2f} s")
    check(f"IPv{version}: payload is read", puppet.sock.recv(9) == b"two")
    check(f"IPv{version}: the connection returns", returned(puppet))
    check(f"IPv{version}: for reason interface", stats("returned").get("interface", 0) > before)
    error = puppet.delegate()
    check(f"IPv{version}: refused while the route is asymmetric", error == "Operation not supported",
          error)
    puppet.sock.send(b"answer")
    check(f"IPv{version}: Linux sends",
          [s.payload for s in puppet.drain() if s.payload] == [b"answer"])
    puppet.out, puppet.destination = puppet.port, hardware_address("toe0")
    # A refusal makes Linux note by which interface the next frame comes.
    puppet.delegate()
    puppet.send(ACK | PSH, b"three")
    puppet.acknowledged(2)
    check(f"IPv{version}: accepted once frames come by the adapter's interface again",
          not (error := puppet.delegate()), error)
    puppet.close()

    # Acknowledgements alone.
    puppet = begin(version)
    divert(puppet)
    puppet.sock.send(b"request")
    puppet.drain()
    check(f"IPv{version}: acknowledgements return the connection", returned(puppet))
    puppet.sock.send(b"next")
    sent = [s.payload for s in puppet.drain()]
    check(f"IPv{version}: nothing is sent twice", sent == [b"next"], sent)
    puppet.close()

    # The end of the peer's stream: the host's goes on, with timers.
    puppet = begin(version)
    divert(puppet)
    puppet.send(FIN | ACK)
    check(f"IPv{version}: FIN returns the connection", returned(puppet))
    check(f"IPv{version}: the stream ends", puppet.sock.recv(9) == b"")
    puppet.drain()
    puppet.sock.send(b"lost")
    segments = puppet.drain(3, acknowledge=False)
    check(f"IPv{version}: payload is retransmitted after FIN",
          [s.payload for s in segments].count(b"lost") > 1, segments)
    puppet.close()

    # In flight when FIN returns the connection.
    puppet = begin(version)
    divert(puppet)
    puppet.sock.send(b"in flight")
    puppet.drain(0.05, acknowledge=False)
    puppet.rcv = 1
    puppet.send(FIN | ACK)
    segments = puppet.drain(3, acknowledge=False)
    check(f"IPv{version}: payload in flight at FIN is retransmitted",
          any(s.payload == b"in flight" for s in segments), segments)
    puppet.close()

    # Not the peer's.
    puppet = begin(version)
    divert(puppet)
    for seq, ack in (1 << 30, None), (None, 1 << 30), (-(1 << 30), None):
        puppet.send(ACK, seq=puppet.snd if seq is None else seq, ack=ack)
    puppet.drain()
    check(f"IPv{version}: forged frames do not return it", puppet.delegated())
    puppet.out, puppet.destination = puppet.port, hardware_address("toe0")
    puppet.send(ACK | PSH, b"still here")
    check(f"IPv{version}: it still receives", puppet.acknowledged(2))
    puppet.sock.settimeout(2)
    check(f"IPv{version}: the payload", puppet.sock.recv(99) == b"still here")
    puppet.close()

run("ip link del toe_va; sysctl -qw net.toe.enable=2")
finish()

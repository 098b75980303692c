#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0
#
# The IPv6 flow label of a connection, by which routers choose one of several paths: it is the same
# before, during and after delegation, and changes when Linux would change it.
# topology: pair wire
# timeout: 240

import socket

from puppet import Puppet, check, finish, run, stats, within

IPV6_AUTOFLOWLABEL = 70
SYSCTL = "net.ipv6.auto_flowlabels"


def labels(puppet: Puppet, acknowledge: bool = True) -> set[int]:
    """Flow labels of the segments that carry one write."""
    puppet.sock.send(b"payload")
    return {s.flow_label for s in puppet.drain(0.5, acknowledge) if s.payload}


def begin() -> Puppet:
    """Begin a delegated connection."""
    puppet = Puppet(6)
    check("handed over", not (error := puppet.delegate()), error)
    return puppet


def becomes(puppet: Puppet, label: int) -> bool:
    """Whether the connection gets the label."""
    return within(3, lambda: labels(puppet) == {label})


default = run(f"sysctl -n {SYSCTL}").strip()
run("sysctl -qw net.toe.enable=1")
puppet = Puppet(6)
label = labels(puppet)
check("Linux sends with a label", len(label) == 1 and label != {0}, label)
check("handed over", not (error := puppet.delegate()), error)
check("the adapter sends with the same label", (now := labels(puppet)) == label, (now, label))
puppet.sock.setsockopt(socket.IPPROTO_IPV6, IPV6_AUTOFLOWLABEL, 0)
check("the socket option ends it", (now := labels(puppet)) == {0}, now)
puppet.sock.setsockopt(socket.IPPROTO_IPV6, IPV6_AUTOFLOWLABEL, 1)
check("and brings it back", (now := labels(puppet)) == label, (now, label))
check("still delegated", puppet.delegated(), stats("returned"))
run("toectl conn return --all")
check("Linux sends with the same label again", (now := labels(puppet)) == label, (now, label))
puppet.close()

# The socket has no preference.
puppet = begin()
label = labels(puppet)
run(f"sysctl -qw {SYSCTL}=0")
check("the sysctl ends it", becomes(puppet, 0))
run(f"sysctl -qw {SYSCTL}={default}")
check("and brings it back", becomes(puppet, *label))
check("still delegated", puppet.delegated(), stats("returned"))
puppet.close()

# Another path may work.
puppet = begin()
label = labels(puppet)
puppet.sock.send(b"lost")
seen: set[int] = set()


def rehashed() -> bool:
    """Whether a retransmission has another label."""
    seen.update(s.flow_label for s in puppet.drain(1, acknowledge=False) if s.payload)
    return bool(seen - label)


check("it changes when nothing is acknowledged", within(5, rehashed), seen)
check("still delegated", puppet.delegated(), stats("returned"))
puppet.send()
puppet.drain(1)
label = labels(puppet)
run("toectl conn return --all")
check("Linux goes on with the new label", (now := labels(puppet)) == label, (now, label))
puppet.close()

finish()

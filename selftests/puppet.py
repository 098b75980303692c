# SPDX-License-Identifier: GPL-2.0
"""A peer whose TCP is the test: it sends and receives single segments as raw frames.

The peer has addresses of its own, so that no other TCP answers. For topologies `pair` and
`wire`, where the peer's interface is in the network namespace `peer`.
"""

import json
import os
import random
import select
import socket
import struct
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, NoReturn

ETH_P_ALL = 3
PACKET_OUTGOING = 4
TCP_ULP = 31
FIN, SYN, RST, PSH, ACK = 0x01, 0x02, 0x04, 0x08, 0x10

HOST = {4: "192.0.2.1", 6: "2001:db8:77::1"}
PEER = {4: "192.0.2.77", 6: "2001:db8:77::77"}
FAMILY = {4: socket.AF_INET, 6: socket.AF_INET6}
SCALE = 7

failures = 0


def check(name: str, passed: object, shown: object = "") -> None:
    """Print the result of a check as `check` of lib.sh does."""
    global failures
    if passed:
        print(f"ok - {name}", flush=True)
    else:
        print(f"not ok - {name}: {shown}", flush=True)
        failures += 1


def finish() -> NoReturn:
    """End the test."""
    sys.exit(failures != 0)


def run(command: str) -> str:
    """Run a command and return its output."""
    return subprocess.run(command, shell=True, check=True, text=True, stdout=subprocess.PIPE).stdout


def within(seconds: float, condition: Callable[[], object]) -> bool:
    """Whether a condition becomes true; the debug kernel and a busy machine get more time."""
    scale = 20 if os.environ.get("TOE_KERNEL") == "debug" else 5
    end = time.monotonic() + seconds * scale
    while not condition():
        if time.monotonic() > end:
            return False
        time.sleep(0.05)
    return True


def stats(key: str) -> dict[str, int]:
    """Reasons of `refused` or `returned`, with their numbers."""
    return json.loads(run("toectl -j stats toe0"))[0][key]


def connections() -> int:
    """Number of delegated connections."""
    return len(json.loads(run("toectl -j conn list --dev toe0")))


def at_peer(create: Callable[[], Any]) -> Any:
    """Call `create` in the peer's network namespace."""
    here = os.open("/proc/self/ns/net", os.O_RDONLY)
    there = os.open("/run/netns/peer", os.O_RDONLY)
    os.setns(there, os.CLONE_NEWNET)
    try:
        return create()
    finally:
        os.setns(here, os.CLONE_NEWNET)
        os.close(here)
        os.close(there)


def raw(dev: str) -> socket.socket:
    """Return a socket for frames of an interface of the peer."""
    def create() -> socket.socket:
        s = socket.socket(socket.AF_PACKET, socket.SOCK_RAW, socket.htons(ETH_P_ALL))
        s.bind((dev, ETH_P_ALL))
        return s
    return at_peer(create)


def hardware_address(dev: str) -> bytes:
    """Hardware address of an interface of this namespace."""
    with open(f"/sys/class/net/{dev}/address") as file:
        return bytes.fromhex(file.read().strip().replace(":", ""))


def checksum(data: bytes) -> int:
    """Internet checksum."""
    data += b"\0" * (len(data) % 2)
    total = sum(struct.unpack(f">{len(data) // 2}H", data))
    while total >> 16:
        total = (total & 0xFFFF) + (total >> 16)
    return total ^ 0xFFFF


@dataclass
class Segment:
    """A segment that the host sent, with numbers relative to the initial ones."""

    flags: int
    seq: int
    ack: int
    payload: bytes
    tsval: int
    sack: list[tuple[int, int]]
    flow_label: int


class Puppet:
    """The peer's end of one connection, and `sock`, the host's."""

    def __init__(self, version: int = 4, setup: Callable[[socket.socket], None] = lambda _: None,
                 host: str = "", window: int = 0xFFFF, sack: bool = True) -> None:
        self.version, self.window, self.sack = version, window, sack
        self.host = host or HOST[version]
        dev = at_peer(lambda: next(d for _, d in socket.if_nameindex() if d in ("eth0", "toe1")))
        # What the peer sends by, and to which hardware address.
        self.port = raw(dev)
        self.out, self.destination = self.port, hardware_address("toe0")
        self.source = self.port.getsockname()[4]
        mac = self.source.hex(":")
        run(f"ip neigh replace {PEER[version]} lladdr {mac} dev toe0 nud permanent")
        self.iss, self.irs = random.getrandbits(32), 0
        self.snd, self.rcv = 0, 0
        self.ts_recent = 0
        self.ttl = 64
        self.listener = socket.socket(FAMILY[version], socket.SOCK_STREAM)
        setup(self.listener)
        self.listener.bind((self.host, 0))
        self.listener.listen()
        self.ports = random.randrange(20000, 60000), self.listener.getsockname()[1]
        self.open()
        self.sock, _ = self.listener.accept()
        self.sock.settimeout(10)

    def open(self) -> None:
        """Shake hands."""
        options = struct.pack(">BBHBBBB", 2, 4, 1460, 1, 3, 3, SCALE)
        self.send(SYN, options=options + (b"\4\2\1\1" if self.sack else b""))
        answer = self.receive(5)
        if not answer or not answer.flags & SYN:
            raise RuntimeError(f"no SYN-ACK but {answer}")
        self.snd, self.rcv = 1, 1
        self.send(ACK)

    def close(self) -> None:
        """End the connection at once."""
        self.send(RST | ACK)
        self.sock.close()
        self.listener.close()
        self.port.close()

    def delegate(self) -> str:
        """Hand the connection over. Return the error's name, if any."""
        for _ in range(50):
            try:
                self.sock.setsockopt(socket.IPPROTO_TCP, TCP_ULP, b"toe")
                return ""
            except BlockingIOError:
                time.sleep(0.05)
            except OSError as error:
                return os.strerror(error.errno or 0)
        return "busy"

    def delegated(self) -> list[dict[str, Any]]:
        """What toectl lists of the connection."""
        return json.loads(run(f"toectl -j conn list --port {self.ports[1]}"))

    def send(self, flags: int = ACK, payload: bytes = b"", seq: int | None = None,
             ack: int | None = None, options: bytes = b"") -> None:
        """Send a segment; without `seq` it is the next one."""
        numbers = (self.iss + (self.snd if seq is None else seq),
                   self.irs + (self.rcv if ack is None else ack))
        tsval = int(time.monotonic() * 1000) & 0xFFFFFFFF
        options += struct.pack(">BBBBII", 1, 1, 8, 10, tsval, self.ts_recent)
        header = struct.pack(">HHIIBBHHH", *self.ports, *(n & 0xFFFFFFFF for n in numbers),
                             (20 + len(options)) << 2, flags, self.window, 0, 0) + options
        self.out.send(self.frame(header + payload))
        if seq is None:
            self.snd += len(payload) + bool(flags & (SYN | FIN))

    def addresses(self) -> bytes:
        """Source and destination address."""
        family = FAMILY[self.version]
        return socket.inet_pton(family, PEER[self.version]) + socket.inet_pton(family, self.host)

    def frame(self, segment: bytes) -> bytes:
        """Put headers in front of a segment."""
        pseudo = self.addresses() + struct.pack(">II", len(segment), socket.IPPROTO_TCP)
        segment = segment[:16] + struct.pack(">H", checksum(pseudo + segment)) + segment[18:]
        if self.version == 6:
            header = struct.pack(">IHBB", 6 << 28, len(segment), socket.IPPROTO_TCP, self.ttl)
            ip, ethertype = header + self.addresses(), 0x86DD
        else:
            header = struct.pack(">BBHHHBBH", 0x45, 0, 20 + len(segment), 0, 0, self.ttl,
                                 socket.IPPROTO_TCP, 0)
            sum_ = checksum(header + self.addresses())
            ip, ethertype = header[:10] + struct.pack(">H", sum_) + self.addresses(), 0x0800
        return self.destination + self.source + struct.pack(">H", ethertype) + ip + segment

    def receive(self, seconds: float) -> Segment | None:
        """Return the next segment that arrives within a time."""
        end = time.monotonic() + seconds
        while select.select([self.port], [], [], max(0, end - time.monotonic()))[0]:
            frame, address = self.port.recvfrom(70000)
            segment = None if address[2] == PACKET_OUTGOING else self.parse(frame)
            if segment:
                return segment
        return None

    def parse(self, frame: bytes) -> Segment | None:
        """Decode a frame, if it is a segment of the connection."""
        if frame[12:14] != (b"\x86\xdd" if self.version == 6 else b"\x08\x00"):
            return None
        begin = 54 if self.version == 6 else 34
        length = struct.unpack_from(">H", frame, 18 if self.version == 6 else 16)[0]
        tcp = frame[begin:begin + length - (0 if self.version == 6 else 20)]
        if len(tcp) < 20 or struct.unpack_from(">HH", tcp) != self.ports[::-1]:
            return None
        seq, ack, offset, flags = struct.unpack_from(">IIBB", tcp, 4)
        offset = offset >> 4 << 2
        if flags & SYN:
            self.irs = seq
        tsval, sack, option = 0, [], 20
        while option < offset and tcp[option]:
            if tcp[option] == 5:
                edges = struct.iter_unpack(">II", tcp[option + 2:option + tcp[option + 1]])
                sack = [tuple((n - self.iss) & 0xFFFFFFFF for n in block) for block in edges]
            if tcp[option] == 8:
                tsval = struct.unpack_from(">I", tcp, option + 2)[0]
                self.ts_recent = tsval
            option += tcp[option + 1] if tcp[option] > 1 else 1
        return Segment(flags, (seq - self.irs) & 0xFFFFFFFF, (ack - self.iss) & 0xFFFFFFFF,
                       tcp[offset:], tsval, sack,
                       struct.unpack_from(">I", frame, 14)[0] & 0xFFFFF if self.version == 6 else 0)

    def drain(self, seconds: float = 0.3, acknowledge: bool = True) -> list[Segment]:
        """Take segments in until none comes for a time, and acknowledge payload."""
        segments = []
        while segment := self.receive(seconds):
            segments.append(segment)
            if segment.payload and segment.seq == self.rcv:
                self.rcv += len(segment.payload)
            if segment.payload and acknowledge:
                self.send(ACK)
        return segments

    def acknowledged(self, seconds: float) -> bool:
        """Whether the host acknowledges all that was sent within a time."""
        end = time.monotonic() + seconds
        while (left := end - time.monotonic()) > 0:
            segment = self.receive(left)
            if segment and segment.flags & ACK and segment.ack == self.snd:
                return True
        return False

# SPDX-License-Identifier: GPL-2.0
"""inject.py DEV PORT RATE SECONDS [foreign] KIND...: inject odd and forged frames into TCP streams.

Runs beside the sender of the streams. RATE frames a second, of the kinds in turn, leave by
DEV. Each is made from the latest frame that was sent from PORT. With "foreign", they are for
another host. Prints the rate that was reached.
"""

import random
import socket
import struct
import sys
import time
from collections import deque
from collections.abc import Callable, Iterator
from typing import Any

ETH_P_ALL = 3
ETH_P_IP = b"\x08\x00"
ETH_P_IPV6 = b"\x86\xdd"
# Ethernet and IP header.
IPV4 = 34
IPV6 = 54
SOL_PACKET = 263
PACKET_QDISC_BYPASS = 20
PACKET_OUTGOING = 4
FIN = 0x01
SYN = 0x02
RST = 0x04
PSH = 0x08
ACK = 0x10
URG = 0x20

# Frames of one batch, which leave back to back.
BATCH = 50
# Time after which the templates are made again.
REFRESH = 0.1


class Segment:
    """A captured TCP segment over Ethernet."""

    def __init__(self, frame: bytes) -> None:
        ipv6 = frame[12:14] == ETH_P_IPV6
        self.header = frame[:IPV6] if ipv6 else frame[:IPV4]
        self.addresses = frame[22:54] if ipv6 else frame[26:34]
        tcp = frame[len(self.header):]
        self.ports = tcp[:4]
        self.seq, self.ack = struct.unpack_from(">II", tcp, 4)
        self.window = tcp[14:16]
        doff = tcp[12] >> 4 << 2
        self.options = tcp[20:doff]
        total = struct.unpack_from(">H", frame, 18 if ipv6 else 16)[0]
        # Larger ones are segmented by the interface.
        self.payload = tcp[doff:min(total if ipv6 else total - 20, doff + 1400)]

    def timestamped(self) -> bool:
        """Whether the options are the timestamps alone, as in nearly all segments."""
        return self.options[:4] == b"\x01\x01\x08\x0a" and len(self.options) == 12


def tcp_segment(segment: Segment, seq: int = 0, ack: int = 0, options: bytes = b"",
                payload: bytes = b"", flags: int = 0) -> bytes:
    """Make a segment of the stream: seq and ack are added to those of `segment`."""
    tcp = segment.ports + struct.pack(
        ">IIBB", segment.seq + seq & 0xffffffff, segment.ack + ack & 0xffffffff,
        20 + len(options) << 2, ACK | (PSH if payload else 0) | flags) + segment.window
    rest = options + payload
    pseudo = segment.addresses + struct.pack(">HH", socket.IPPROTO_TCP, 20 + len(rest))
    return tcp + struct.pack(">HH", checksum(pseudo + tcp + rest), 0) + rest


def packet(segment: Segment, tcp: bytes, options: bytes = b"", more: bool = False,
           protocol: int = socket.IPPROTO_TCP, extension: bytes = b"") -> bytes:
    """Put headers in front of a segment: of IPv4 with options, as a first fragment if there is
    more; or of IPv6 with an extension header."""
    header = bytearray(segment.header)
    if len(header) == IPV4:
        header[14] = 0x40 | 20 + len(options) >> 2
        struct.pack_into(">HHHBBH", header, 16, 20 + len(options) + len(tcp), 1,
                         0x2000 if more else 0, 64, socket.IPPROTO_TCP, 0)
        header += options
        struct.pack_into(">H", header, 24, checksum(bytes(header[14:])))
    else:
        struct.pack_into(">HB", header, 18, len(extension) + len(tcp), protocol)
        header += extension
    return bytes(header) + tcp


def frame(segment: Segment, **changes: Any) -> bytes:
    """Make a frame with plain headers."""
    return packet(segment, tcp_segment(segment, **changes))


def fragment(segment: Segment, **changes: Any) -> bytes:
    """Make a first fragment."""
    extension = bytes([socket.IPPROTO_TCP, 0, 0, 1]) + random.randbytes(4)
    return packet(segment, tcp_segment(segment, **changes), more=True,
                  protocol=socket.IPPROTO_FRAGMENT, extension=extension)


def with_ip_option(segment: Segment, **changes: Any) -> bytes:
    """Make a frame with an option in the IP header."""
    return packet(segment, tcp_segment(segment, **changes), options=b"\1\1\1\0",
                  protocol=socket.IPPROTO_DSTOPTS,
                  extension=bytes([socket.IPPROTO_TCP, 0, 1, 4, 0, 0, 0, 0]))


def checksum(data: bytes) -> int:
    """RFC 1071."""
    data += b"\0" * (len(data) % 2)
    total = sum(struct.unpack(f">{len(data) // 2}H", data))
    while total >> 16:
        total = (total & 0xffff) + (total >> 16)
    return ~total & 0xffff


def garbage() -> bytes:
    """Payload that would be noticed in the stream."""
    return random.randbytes(64)


def timestamps(segment: Segment, later: int) -> bytes:
    """Timestamps, `later` milliseconds after those of the segment."""
    value, echo = struct.unpack_from(">II", segment.options, 4)
    return b"\1\1\x08\x0a" + struct.pack(">II", value + later & 0xffffffff, echo)


def unknown(segment: Segment) -> bytes:
    """Timestamps behind an option that nobody knows."""
    return b"\xc8\2" + timestamps(segment, AHEAD)[2:]


def ahead() -> int:
    """Distance of an acknowledgement that is in the window when it arrives."""
    return random.randrange(1, 1 << 20)


# Fifths of a second after which the streams should have begun.
STREAM_TIMEOUT = 500
# Milliseconds by which timestamps of acknowledgements are ahead: the stream goes on.
AHEAD = 200
# No payload is in the window: there TCP accepts it from anybody.
KINDS: dict[str, Callable[[Segment], bytes]] = {
    "duplicate": lambda s: frame(s, options=s.options, payload=s.payload),
    "old": lambda s: frame(s, seq=-1 << 24, options=timestamps(s, AHEAD), payload=garbage()),
    "old-option": lambda s: frame(s, seq=-1 << 24, options=unknown(s), payload=garbage()),
    "old-timestamp": lambda s: frame(s, options=timestamps(s, -60_000), payload=s.payload),
    "old-ack": lambda s: frame(s, seq=ahead(), ack=-1 << 30, options=timestamps(s, AHEAD)),
    "future": lambda s: frame(s, seq=1 << 30, options=timestamps(s, AHEAD), payload=garbage()),
    "future-ack": lambda s: frame(s, seq=ahead(), ack=1 << 30, options=timestamps(s, AHEAD)),
    "option": lambda s: frame(s, seq=ahead(), options=unknown(s)),
    "bare": lambda s: frame(s, seq=ahead()),
    "signed": lambda s: frame(s, seq=ahead(), options=unknown(s) + b"\1\1\x13\x12" + bytes(16)),
    "syn": lambda s: frame(s, seq=random.getrandbits(32), options=s.options, flags=SYN),
    "reset": lambda s: frame(s, seq=ahead(), flags=RST),
    "finish": lambda s: frame(s, seq=ahead(), ack=1 << 30, options=timestamps(s, AHEAD), flags=FIN),
    "urgent": lambda s: frame(s, seq=ahead(), ack=1 << 30, options=timestamps(s, AHEAD), flags=URG),
    "fragment": lambda s: fragment(s, seq=-1 << 24, options=timestamps(s, AHEAD)),
    "ip-option": lambda s: with_ip_option(s, seq=1 << 30, options=s.options),
}


def make(kinds: list[Callable[[Segment], bytes]], segment: Segment,
         foreign: bool) -> Iterator[bytes]:
    """Make a frame of each kind."""
    for kind in kinds:
        made = kind(segment)
        yield bytes([2] * 6) + made[6:] if foreign else made


class Stream:
    """Capture of the frames that a stream sends."""

    def __init__(self, dev: str, port: int) -> None:
        self.socket = socket.socket(socket.AF_PACKET, socket.SOCK_RAW, 0)
        # A few frames: an old one is of no use.
        self.socket.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        self.socket.setsockopt(SOL_PACKET, PACKET_QDISC_BYPASS, 1)
        self.socket.bind((dev, ETH_P_ALL))
        self.port = struct.pack(">H", port)

    def latest(self) -> Segment | None:
        """The next segment that is sent, if one is sent soon."""
        self.socket.setblocking(False)
        try:
            while True:
                self.socket.recv(1)
        except BlockingIOError:
            pass
        self.socket.settimeout(0.2)
        try:
            while True:
                data, address = self.socket.recvfrom(2048)
                if address[2] != PACKET_OUTGOING or not self.ours(data):
                    continue
                segment = Segment(data)
                if segment.timestamped():
                    return segment
        except TimeoutError:
            return None

    def ours(self, data: bytes) -> bool:
        """Whether the stream has sent this frame."""
        tcp = {ETH_P_IP: IPV4, ETH_P_IPV6: IPV6}.get(data[12:14])
        return tcp is not None and data[tcp:tcp + 2] == self.port and data[tcp + 13] in (
            ACK, ACK | PSH)


def main() -> None:
    """Inject for the time asked for, from the first frame of a stream on."""
    dev, port, rate, seconds = sys.argv[1], *map(int, sys.argv[2:5])
    foreign = sys.argv[5] == "foreign"
    kinds = [KINDS[kind] for kind in sys.argv[5 + foreign:]]
    stream = Stream(dev, port)
    segment = next(filter(None, (stream.latest() for _ in range(STREAM_TIMEOUT))), None)
    if segment is None:
        sys.exit(f"no frame is sent from port {port}")
    frames = deque(make(kinds, segment, foreign))
    sent = 0
    began = refreshed = time.monotonic()
    while (now := time.monotonic()) < began + seconds:
        if now - refreshed >= REFRESH:
            if segment := stream.latest():
                frames = deque(make(kinds, segment, foreign))
            refreshed = time.monotonic()
        for _ in range(BATCH):
            try:
                stream.socket.send(frames[0])
                sent += 1
            except OSError:
                # No room in the interface's ring.
                pass
            frames.rotate()
        if (ahead := began + sent / rate - time.monotonic()) > 0:
            time.sleep(ahead)
    print(round(sent / seconds))


main()

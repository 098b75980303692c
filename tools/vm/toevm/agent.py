# SPDX-License-Identifier: GPL-2.0
"""The machine's side of `peer` and `machine`: runs commands for the guest.

One virtio-serial channel carries one session at a time (guest/client.py has the
format).  A session whose client was killed in the guest is ended here when QEMU
reports that the guest closed the channel.
"""

import json
import os
import socket
import struct
import subprocess
import threading
import time
from typing import Callable, Dict, List, Optional

from .channel import start

HEADER = struct.Struct("<cII")
# A daemon may hold the output of a child that has ended: seconds to wait for more.
LINGER = 0.5

# Commands of the runner itself: by the first word, with the others as arguments.
Verbs = Dict[str, Callable[[List[str]], str]]


class Session:
    """One command on the machine."""

    def __init__(self, owner: "Channel", number: int, request: bytes) -> None:
        asked = json.loads(request)
        self.owner = owner
        self.number = number
        self.began = time.time()
        cwd = asked["cwd"] if os.path.isdir(asked["cwd"]) else "/"
        self.process = subprocess.Popen(
            asked["argv"], cwd=cwd, env={**os.environ, **asked["env"], **owner.environment},
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE,
            start_new_session=True)
        outputs = [start(self._forward, stream, kind) for stream, kind in
                   ((self.process.stdout, b"O"), (self.process.stderr, b"e"))]
        start(self._wait, outputs)

    def _forward(self, stream, kind: bytes) -> None:
        while data := os.read(stream.fileno(), 32768):
            self.owner.send(kind, self.number, data)

    def _wait(self, outputs: List[threading.Thread]) -> None:
        status = self.process.wait()
        for thread in outputs:
            thread.join(LINGER)
        self.owner.send(b"X", self.number, bytes([status if status >= 0 else 128 - status]))

    def input(self, data: bytes) -> None:
        """Pass data to its standard input; no data closes it."""
        try:
            if data:
                self.process.stdin.write(data)
                self.process.stdin.flush()
            else:
                self.process.stdin.close()
        except OSError:
            pass

    def signal(self, number: int) -> None:
        """Signal the process group, as a terminal does."""
        if self.process.poll() is None:
            try:
                os.killpg(self.process.pid, number)
            except ProcessLookupError:
                pass


class Channel:
    """One channel and the session on it."""

    def __init__(self, connection: socket.socket, environment: Dict[str, str],
                 verbs: Verbs) -> None:
        self.connection = connection
        self.environment = environment
        self.verbs = verbs
        self.session: Optional[Session] = None
        self._sending = threading.Lock()
        start(self._serve)

    def send(self, kind: bytes, number: int, data: bytes) -> None:
        """Send a frame to the guest."""
        with self._sending:
            try:
                self.connection.sendall(HEADER.pack(kind, number, len(data)) + data)
            except OSError:
                pass

    def closed(self, when: float) -> None:
        """End the session if it began before the guest closed the channel."""
        if self.session and self.session.began < when:
            self.session.signal(9)

    def _receive(self, length: int) -> bytes:
        data = b""
        while len(data) < length:
            more = self.connection.recv(length - len(data))
            if not more:
                raise EOFError
            data += more
        return data

    def _serve(self) -> None:
        try:
            while True:
                kind, number, length = HEADER.unpack(self._receive(HEADER.size))
                data = self._receive(length)
                if kind == b"R":
                    self._request(number, data)
                elif self.session and self.session.number == number:
                    if kind in b"IE":
                        self.session.input(data)
                    elif kind == b"K":
                        self.session.signal(data[0])
        except (EOFError, OSError):
            pass

    def _request(self, number: int, data: bytes) -> None:
        if self.session:
            self.session.signal(9)
            self.session = None
        words = json.loads(data)["argv"]
        try:
            if words[0] in self.verbs:
                self.send(b"O", number, self.verbs[words[0]](words[1:]).encode())
                self.send(b"X", number, b"\0")
            else:
                self.session = Session(self, number, data)
        except (OSError, RuntimeError) as error:
            self.send(b"e", number, f"toe: on the machine: {error}\n".encode())
            self.send(b"X", number, bytes([127]))


def watch_channels(path: str, channels: Dict[str, Channel]) -> None:
    """Follow QEMU's events for channels that the guest closes."""
    qmp = socket.socket(socket.AF_UNIX)
    for _attempt in range(100):
        try:
            qmp.connect(path)
            break
        except OSError:
            time.sleep(0.1)
    stream = qmp.makefile("r", encoding="utf-8")
    stream.readline()  # the greeting
    qmp.sendall(b'{"execute":"qmp_capabilities"}\n')
    try:
        for line in stream:
            message = json.loads(line)
            if message.get("event") != "VSERPORT_CHANGE" or message["data"]["open"]:
                continue
            stamp = message["timestamp"]
            channel = channels.get(message["data"]["id"])
            if channel:
                channel.closed(stamp["seconds"] + stamp["microseconds"] / 1e6)
    except (OSError, ValueError):
        pass

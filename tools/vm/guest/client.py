#!/usr/bin/python3
# SPDX-License-Identifier: GPL-2.0
"""In the guest: run a command on the machine's side, as if it were here.

Takes a free virtio-serial channel to the runner (toevm/agent.py) and carries
input, output, signals and the exit status.  A frame is a type, the session's
number (frames of a session that was killed may still be in the channel) and a
length.
"""

import fcntl
import json
import os
import random
import select
import signal
import struct
import sys

HEADER = struct.Struct("<cII")
SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP, signal.SIGQUIT)


def take_channel():
    """A channel nobody holds; the lock goes with this process."""
    for number in range(16):
        lock = os.open(f"/run/agent{number}.lock", os.O_CREAT | os.O_RDWR)
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            return os.open(f"/dev/toe/agent{number}", os.O_RDWR)
        except OSError:
            os.close(lock)
    sys.exit("toe: all channels to the machine are in use: end some of the commands on the other side.")


def main():
    """One session."""
    channel = take_channel()
    session = random.getrandbits(32)

    def send(kind, data=b""):
        frame = HEADER.pack(kind, session, len(data)) + data
        while frame:
            frame = frame[os.write(channel, frame):]

    environment = {name: os.environ[name] for name in os.environ if name.startswith("TOE_")}
    send(b"R", json.dumps({"argv": sys.argv[1:], "cwd": os.getcwd(), "env": environment}).encode())
    for number in SIGNALS:
        signal.signal(number, lambda got, _frame: send(b"K", bytes([got])))
    inputs = [channel, 0]
    received = b""
    while True:
        for source in select.select(inputs, [], [])[0]:
            if source == 0:
                try:
                    data = os.read(0, 32768)
                except OSError:
                    data = b""
                send(b"I" if data else b"E", data)
                if not data:
                    inputs.remove(0)
                continue
            data = os.read(channel, 65536)
            if not data:
                sys.exit("toe: the runner on the machine is gone.")
            received += data
            while len(received) >= HEADER.size:
                kind, owner, length = HEADER.unpack_from(received)
                if len(received) < HEADER.size + length:
                    break
                body = received[HEADER.size:HEADER.size + length]
                received = received[HEADER.size + length:]
                if owner != session:
                    continue
                if kind == b"X":
                    os._exit(body[0])
                target = 1 if kind == b"O" else 2
                while body:
                    body = body[os.write(target, body):]


main()

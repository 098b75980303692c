# SPDX-License-Identifier: GPL-2.0
"""COMMAND's input, output and terminal, carried over virtio-serial channels.

QEMU connects to our listening sockets when it starts.  Each relay is a thread
that blocks: a slow reader of our output slows the guest's writer and loses
nothing.
"""

import fcntl
import os
import select
import signal
import socket
import struct
import sys
import termios
import threading
import tty
from pathlib import Path
from typing import Any, Callable, Dict, List, Optional

ESCAPE = b"\x1d"  # Ctrl-]


class Channels:
    """Listening sockets before QEMU starts, connections afterwards."""

    def __init__(self, directory: Path, names: List[str]) -> None:
        self.listening: Dict[str, socket.socket] = {}
        self.connected: Dict[str, socket.socket] = {}
        for name in names:
            listener = socket.socket(socket.AF_UNIX)
            listener.bind(str(directory / f"{name}.chan"))
            listener.listen(1)
            self.listening[name] = listener

    def accept(self, alive: Callable[[], bool]) -> bool:
        """Accept QEMU's connections; return false if QEMU ended."""
        for name, listener in self.listening.items():
            listener.settimeout(0.2)
            while name not in self.connected:
                try:
                    self.connected[name], _ = listener.accept()
                except socket.timeout:
                    if not alive():
                        return False
            self.connected[name].settimeout(None)
        return True


def copy_out(source: socket.socket, target: int) -> None:
    """Copy from the guest to a descriptor until the guest ends."""
    broken = False
    while True:
        try:
            data = source.recv(65536)
        except OSError:
            return
        if not data:
            return
        try:
            while data and not broken:
                data = data[os.write(target, data):]
        except OSError:
            broken = True  # our reader went away: let the guest finish all the same


def copy_in(source: int, target: socket.socket) -> None:
    """Copy standard input to the guest in chunks with a length (guest/input)."""
    while True:
        try:
            data = os.read(source, 65536)
        except OSError:
            data = b""
        try:
            target.sendall(struct.pack("<I", len(data)) + data)
        except OSError:
            return
        if not data:
            return


def has_input() -> bool:
    """Whether standard input is anything but /dev/null."""
    try:
        return not os.path.samestat(os.fstat(0), os.stat("/dev/null"))
    except OSError:
        return False


def start(target: Callable[..., None], *arguments: Any) -> threading.Thread:
    """Start a thread that does not delay the exit."""
    thread = threading.Thread(target=target, args=arguments, daemon=True)
    thread.start()
    return thread


class Terminal:
    """The terminal in raw mode, connected to the guest's console."""

    def __init__(self, console: socket.socket, resize: Callable[[int, int], None],
                 escape: Callable[[], None]) -> None:
        self.console = console
        self.resize = resize
        self.escape = escape
        self.saved: Optional[List[Any]] = None
        signal.signal(signal.SIGWINCH, lambda *_: self.saved and self.report_size())

    @staticmethod
    def wanted() -> bool:
        """Whether standard input and output are terminals."""
        return os.isatty(0) and os.isatty(1)

    def open(self) -> None:
        """Set raw mode and start copying."""
        self.saved = termios.tcgetattr(0)
        tty.setraw(0)
        self.report_size()
        start(copy_out, self.console, 1)
        start(self._input)

    def close(self) -> None:
        """Restore the terminal."""
        if self.saved is not None:
            termios.tcsetattr(0, termios.TCSADRAIN, self.saved)
            self.saved = None
            sys.stdout.flush()

    def report_size(self) -> None:
        """Send the terminal size to the guest."""
        rows, columns = struct.unpack("HHHH", fcntl.ioctl(1, termios.TIOCGWINSZ, b"\0" * 8))[:2]
        self.resize(rows or 24, columns or 80)

    def _input(self) -> None:
        while True:
            select.select([0], [], [])
            data = os.read(0, 4096)
            if not data or ESCAPE in data:
                self.escape()
                return
            self.console.sendall(data)

# SPDX-License-Identifier: GPL-2.0
"""The adapter's process."""

import os
import signal
import subprocess
import threading
import time
from typing import IO, List, Optional

from . import cli
from .plan import Plan

START = 20.0  # seconds to be ready
STOP = 5.0


class Device:
    """Starts and ends the process, and detects its unexpected end."""

    def __init__(self, plan: Plan) -> None:
        self.plan = plan
        self.process: Optional[subprocess.Popen] = None
        self.complaint = ""
        self._expected = False
        self._log: IO[bytes] = open(plan.directory / "device.log", "ab", buffering=0)
        self._lock = threading.Lock()

    def start(self) -> None:
        """Start the process and wait until its functions can be attached."""
        sockets = [self.plan.sockets / f"{name}.sock" for name in self.plan.functions]
        for path in sockets:
            path.unlink(missing_ok=True)
        self._expected = False
        self.process = subprocess.Popen(self.plan.device(), stdin=subprocess.DEVNULL,
                                        stdout=self._log, stderr=self._log)
        threading.Thread(target=self._wait, args=(self.process,), daemon=True).start()
        give_up = time.monotonic() + START
        while not all(path.exists() for path in sockets):
            if self.process.poll() is not None or time.monotonic() > give_up:
                raise cli.Trouble(f"the adapter's process did not start:\n{self._tail()}")
            time.sleep(0.02)

    def stop(self) -> None:
        """End the process with SIGTERM; it is an error if it does not end."""
        if not self.process:
            return
        self._expected = True
        if self.process.poll() is None:
            self.process.terminate()
        try:
            status = self.process.wait(STOP)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.complaint = self.complaint or "the adapter's process did not end on SIGTERM"
            return
        if status not in (0, -signal.SIGTERM, -signal.SIGKILL):
            self._complain(status)

    def verb(self, words: List[str]) -> str:
        """`machine @device kill|start`: for tests of a failing adapter."""
        with self._lock:
            if words == ["kill"] and self.process:
                self._expected = True
                self.process.kill()
                self.process.wait()
            elif words == ["start"]:
                self.start()
            elif words == ["pid"] and self.process:
                return f"{self.process.pid}\n"
            else:
                raise RuntimeError("usage: machine @device kill|start|pid")
        return ""

    def _wait(self, process: subprocess.Popen) -> None:
        status = process.wait()
        if not self._expected:
            self._complain(status)

    def _complain(self, status: int) -> None:
        how = f"of signal {-status}" if status < 0 else f"with status {status}"
        self.complaint = self.complaint or f"the adapter's process ended {how}:\n{self._tail()}"

    def _tail(self) -> str:
        with open(self._log.name, encoding="utf-8", errors="replace") as log:
            log.seek(max(0, os.fstat(log.fileno()).st_size - 4000))
            return "\n".join(log.read().splitlines()[-15:])

# SPDX-License-Identifier: GPL-2.0
"""Follows the guest's kernel log and detects warnings and errors."""

import re
import sys
import threading
from pathlib import Path
from typing import List, Optional

# Kernel messages that indicate an error.
SPLAT = re.compile("|".join([
    r"WARNING: ", r"\bBUG: ", r"kernel BUG at", r"\bOops\b", r"general protection fault",
    r"Kernel panic", r"KASAN: ", r"UBSAN: ", r"KFENCE: ", r"ODEBUG: ",
    r"INFO: possible (recursive|circular|irq|deadlock)", r"possible circular locking",
    r"inconsistent lock state", r"bad unlock balance", r"suspicious RCU usage",
    r"INFO: trying to register non-static key", r"INFO: lockdep is turned off", r"BUG: MAX_LOCK",
    r"sleeping function called", r"scheduling while atomic",
    r"INFO: task .* blocked for more than", r"rcu: INFO: .*(stall|starved)", r"soft lockup",
    r"workqueue lockup", r"DMA-API: .*(device driver|cacheline|exceeded|out of memory|leak)",
    r"unreferenced object 0x", r"kmemleak: .*(disabled|empty|Cannot)",
    r"unregister_netdevice: waiting", r"refcount_t: ", r"ref_tracker: ", r"list_(add|del) corruption",
    r"page_pool_release_retry\(\) stalled", r"netdev.*still has .* references",
    r"rust.*panicked at", r"Call Trace:", r"stack-protector: ", r"page dumped because",
    r"NETDEV WATCHDOG", r"transmit queue \d+ timed out", r"nobody cared", r"Out of memory: ",
]))
# Harmless lines that match: messages of the boot, and of debugging aids whose allocations a test
# made to fail.
HARMLESS = re.compile(r"dma_debug|DMA-API: (preallocated|debugging enabled)"
                      r"|kmemleak: Cannot allocate a scan area|ref_tracker: memory allocation failure")
# vmalloc() prints a trace if a test makes its allocation fail: not an error.
DENIED = re.compile(r"vmalloc error: size \d+, (align .* vm_struct allocation failed|failed to allocate)")
TRACE = re.compile(r"Call Trace:")
# Lines between the message and its trace.
DENIED_TRACE = 8
END = re.compile(r"---\[ end |^\[[^]]*\] =+$")
EXCERPT = 60
BEFORE = 3


class Watch:
    """Follows a log file."""

    def __init__(self, path: Path, allowed: List[str], echo: bool) -> None:
        self.path = path
        self.allowed = [re.compile(expression) for expression in allowed]
        self.echo = echo
        self.lines: List[str] = []
        self.first: Optional[int] = None
        self.count = 0
        self._denied: Optional[int] = None
        self._ended = threading.Event()
        self._thread = threading.Thread(target=self._follow, daemon=True)

    def start(self) -> None:
        """Start following."""
        self._thread.start()

    def finish(self) -> None:
        """Read the rest and stop."""
        self._ended.set()
        self._thread.join()

    def tail(self, count: int) -> str:
        """The last lines, for a guest that did not start."""
        return "\n".join(self.lines[-count:])

    def excerpt(self) -> str:
        """The first error with surrounding lines."""
        assert self.first is not None
        begin = max(0, self.first - BEFORE)
        end = self.first + 1
        while end < len(self.lines) and end < self.first + EXCERPT:
            end += 1
            if END.search(self.lines[end - 1]) and end > self.first + 5:
                break
        return "\n".join(self.lines[begin:end])

    def _follow(self) -> None:
        rest = ""
        with open(self.path, encoding="utf-8", errors="replace") as log:
            while True:
                last = self._ended.is_set()
                rest += log.read()
                *complete, rest = rest.split("\n")
                for line in complete:
                    self._line(line.rstrip("\r"))
                if last:
                    if rest:
                        self._line(rest)
                    return
                self._ended.wait(0.2)

    def _line(self, line: str) -> None:
        self.lines.append(line)
        if self.echo:
            print(line, end="\r\n", file=sys.stderr, flush=True)
        if DENIED.search(line):
            self._denied = len(self.lines)
        if not SPLAT.search(line) or HARMLESS.search(line) or self._traces_denied(line):
            return
        if any(expression.search(line) for expression in self.allowed):
            return
        self.count += 1
        if self.first is None:
            self.first = len(self.lines) - 1
            print(f"toe: kernel log: {line}", end="\r\n", file=sys.stderr, flush=True)

    def _traces_denied(self, line: str) -> bool:
        """Whether the line begins the trace of a failed vmalloc()."""
        if self._denied is None or not TRACE.search(line):
            return False
        denied, self._denied = self._denied, None
        return len(self.lines) - denied <= DENIED_TRACE

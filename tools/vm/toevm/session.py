# SPDX-License-Identifier: GPL-2.0
"""A run from start to end, inside the root."""

import argparse
import os
import shlex
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path
from typing import List, Optional

from . import cli, network
from .agent import Channel, watch_channels
from .channel import Channels, Terminal, copy_in, copy_out, has_input, start
from .device import Device
from .plan import Plan
from .watch import Watch

# Time limits in seconds: for boot, and for power off after the command (unload, leak scans).
BOOT = {"release": 120, "debug": 400}
POWER_OFF = {"release": 60, "debug": 300}


class Session:
    """The processes of a run and their reports."""

    def __init__(self, plan: Plan) -> None:
        self.plan = plan
        self.kernel = plan.options.kernel
        self.trouble: List[str] = []
        self.status: Optional[int] = None
        self.qemu: Optional[subprocess.Popen] = None
        self.device = Device(plan) if plan.functions else None
        self.watch = Watch(plan.kernel_log, plan.options.allow, plan.options.verbose)
        self.terminal: Optional[Terminal] = None
        self.deadline = time.monotonic() + BOOT[self.kernel]
        self.waiting_for = "the guest to come up"

    def write_orders(self) -> None:
        """Settings that the guest's init reads."""
        options = self.plan.options
        settings = {
            "TOE_TOPOLOGY": options.topology, "TOE_KERNEL": options.kernel,
            "TOE_RUN": "/run/toe", "TOE_TREE": str(cli.TREE),
            "TOE_SMP": str(options.smp), "TOE_ACCEL": self.plan.accel,
            "TOE_MODULE": str(cli.module_path(options.kernel)),
            "TOE_NO_OFFLOAD": "1" if options.no_offload else "",
            "TOE_SHARE": "1" if options.share else "",
            "TOE_TTY": "1" if Terminal.wanted() else "",
            "TOE_INPUT": "1" if has_input() else "",
        }
        lines = [f"{name}={shlex.quote(value)}\n" for name, value in settings.items()]
        (self.plan.directory / "settings").write_text("".join(lines))
        (self.plan.directory / "command").write_bytes(
            b"".join(os.fsencode(word) + b"\0" for word in options.command))
        (self.plan.directory / "commandline").write_text(
            shlex.join(["tools/vm/run", *cli.unparse(options)]) + "\n")

    def run(self) -> None:
        """Start all processes and wait for the end of the run."""
        plan = self.plan
        self.write_orders()
        channels = Channels(plan.sockets, plan.channels())
        if self.device:
            self.device.start()
        plan.kernel_log.touch()
        self.watch.start()
        with open(plan.directory / "qemu.log", "wb") as log:
            command = [*plan.qemu(), "-qmp", f"unix:{plan.sockets}/qmp-runner,server=on,wait=off"]
            self.qemu = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=log, stderr=log)
        if not channels.accept(lambda: self.qemu.poll() is None):
            raise cli.Trouble(f"QEMU did not start: {(plan.directory / 'qemu.log').read_text().strip()}")
        outputs = self._connect(channels)
        self._wait()
        for thread in outputs:
            thread.join(10)
        if self.device:
            self.device.stop()
            if self.device.complaint:
                self.trouble.append(self.device.complaint)

    def _connect(self, channels: Channels) -> List[threading.Thread]:
        of = channels.connected
        control = of["ctl"]
        start(self._control, control)
        if Terminal.wanted():
            self.terminal = Terminal(
                of["con"], lambda rows, columns: control.sendall(b"size %d %d\n" % (rows, columns)),
                self._escape)
        elif has_input():
            start(copy_in, 0, of["in"])
        environment = {"TOE_QMP": f"{self.plan.sockets}/qmp", "TOE_RUN": str(self.plan.directory)}
        verbs = {"@device": self.device.verb} if self.device else {}
        agents = {name: Channel(of[name], environment, verbs)
                  for name in of if name.startswith("agent")}
        start(watch_channels, f"{self.plan.sockets}/qmp-runner", agents)
        return [start(copy_out, of["out"], 1), start(copy_out, of["err"], 2)]

    def _control(self, control) -> None:
        """Read the guest's reports: ready, status N, failed WORDS."""
        for line in control.makefile("r", encoding="utf-8", errors="replace"):
            verb, _, rest = line.strip().partition(" ")
            if verb == "ready":
                timeout = self.plan.options.timeout
                self.deadline = time.monotonic() + timeout if timeout else float("inf")
                self.waiting_for = "the command"
                if self.terminal:
                    self.terminal.open()
            elif verb == "status":
                self.status = int(rest)
                self._last_orders("the guest to power off")
            elif verb == "failed":
                self.trouble.append(f"the guest did not come up: {rest}")
                self._last_orders("the guest to power off")

    def _last_orders(self, what: str) -> None:
        self.waiting_for = what
        self.deadline = time.monotonic() + POWER_OFF[self.kernel]
        if self.terminal:
            self.terminal.close()

    def _escape(self) -> None:
        self.trouble.append("ended from the terminal")
        if self.qemu:
            self.qemu.kill()

    def _wait(self) -> None:
        """Wait until QEMU ends or exceeds its time limit."""
        assert self.qemu
        while True:
            try:
                self.qemu.wait(0.1)
                break
            except subprocess.TimeoutExpired:
                if time.monotonic() > self.deadline:
                    self.trouble.append(f"gave up waiting for {self.waiting_for}")
                    self.qemu.kill()
                    self.deadline = float("inf")
        if self.status is None and not self.trouble:
            how = self.qemu.returncode
            log = (self.plan.directory / "qemu.log").read_text(errors="replace").splitlines()
            self.trouble.append("the guest ended before the command did" if how == 0 else
                                f"QEMU ended with status {how}: {' '.join(log[-1:])}")

    def finish(self) -> int:
        """End remaining processes, report errors, return the exit status."""
        if self.terminal:
            self.terminal.close()
        if self.qemu and self.qemu.poll() is None:
            self.qemu.kill()
        self.watch.finish()
        if self.watch.count:
            self.trouble.append(f"{self.watch.count} reports in the kernel log, the first:\n"
                                f"{self.watch.excerpt()}")
        elif self.trouble and self.status is None:
            self.trouble.append(f"the end of the kernel log:\n{self.watch.tail(15)}")
        for text in self.trouble:
            print(f"toe: {text}", file=sys.stderr)
        if self.trouble:
            print(f"toe: RUN FAILED; logs: {self.plan.directory}", file=sys.stderr)
            return cli.TROUBLE
        return self.status if self.status is not None else cli.TROUBLE


def make_directory() -> Path:
    """Create out/<run> and point out/last to it."""
    out = cli.TREE / "out"
    out.mkdir(exist_ok=True)
    stamp = time.strftime("%Y%m%d-%H%M%S")
    for number in range(1000):
        path = out / (stamp + (f".{number}" if number else ""))
        try:
            path.mkdir()
        except FileExistsError:
            continue
        link = out / f".last.{os.getpid()}.{path.name}"
        link.symlink_to(path.name)
        link.replace(out / "last")
        return path
    raise cli.Trouble(f"no directory name left for this run in {out}: remove old ones.")


def run(options: argparse.Namespace) -> int:
    """Perform a run and return its exit status."""
    signal.signal(signal.SIGPIPE, signal.SIG_IGN)
    plan = Plan(options, cli.accelerator(options.accel), make_directory(), Path("/run/toe"))
    plan.sockets.mkdir(parents=True, exist_ok=True)
    network.enter_namespace()
    network.make_taps(plan)
    network.export_root(plan)
    session = Session(plan)
    try:
        session.run()
    except cli.Trouble as trouble:
        session.trouble.append(str(trouble))
    return session.finish()

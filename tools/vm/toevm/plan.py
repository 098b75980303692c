# SPDX-License-Identifier: GPL-2.0
"""Directories of a run, command lines of QEMU and the adapter.

Pure: what is to be started, from the options.  Nothing is started here.
"""

import argparse
import json
from dataclasses import dataclass
from pathlib import Path
from typing import List

from . import cli

# Number of concurrent sessions of `peer` and `machine`.
AGENT_PORTS = 16
# QEMU drops control messages when its queue of 32 is full. It sends three for each
# port in one burst at boot; a port with a lost message looks closed to the guest.
PORTS_PER_CONTROLLER = 8
# Slots of the root ports, by which the guest finds its interfaces (guest/lib.sh).
SLOT = {"toe0": 0x10, "toe1": 0x11, "eth0": 0x12, "peer": 0x13}
MAC = {"eth0": "52:54:00:88:00:01", "peer": "52:54:00:77:00:02"}
# The machine's interfaces of the host topology, with their addresses.
TAPS = {
    "toep": ["192.0.2.2/24", "2001:db8:77::2/64"],
    "ethp": ["198.51.100.2/24", "2001:db8:88::2/64"],
}


@dataclass
class Plan:
    """One run."""

    options: argparse.Namespace
    accel: str
    directory: Path  # out/<run>: what is kept
    sockets: Path    # what ends with the run

    @property
    def kernel_log(self) -> Path:
        """The guest's serial console."""
        return self.directory / "kernel.log"

    @property
    def functions(self) -> List[str]:
        """The adapter's functions, by the name of their PCI device."""
        return {"none": [], "pair": ["toe0", "toe1"]}.get(self.options.topology, ["toe0"])

    def port(self) -> str:
        """Port of each function."""
        wire = f"{self.sockets}/wire"
        return {
            "pair": "cable:peer",
            "wire": f"dgram:{wire}.device,{wire}.qemu",
            "host": "tap:toep",
        }[self.options.topology]

    def device(self) -> List[str]:
        """The adapter's process."""
        command = [str(cli.DEVICE), "--processors", str(self.options.processors)]
        command += self.options.device_arg
        for function in self.functions:
            command += ["--function", f"{self.sockets}/{function}.sock",
                        "--port", self.port()]
        return command

    def kernel_arguments(self) -> str:
        """The kernel command line."""
        options = self.options
        words = [
            "console=ttyS0", "panic=-1", "oops=panic", "init=/srv/init", "root=rootfs",
            "rootfstype=9p", "ro",
            "rootflags=trans=virtio,version=9p2000.L,cache=loose,msize=512000",
            # The machine is shared: a vCPU that waits to run is not a lockup.
            "rcupdate.rcu_cpu_stall_timeout=120", "watchdog_thresh=60", "tsc=nowatchdog",
            "no_timer_check",
        ]
        # No interfaces other than those of the run.
        words += ["fb_tunnels=none", "bonding.max_bonds=0", "dummy.numdummies=0", "ifb.numifbs=0"]
        if options.kernel == "debug":
            words += ["kunit.autorun=1", "kmemleak=on", "dma_debug_entries=262144"]
        return " ".join([*words, options.append]).strip()

    def qemu(self) -> List[str]:
        """QEMU's command line, without default devices."""
        options = self.options
        command = [
            "qemu-system-x86_64", "-nodefaults", "-no-user-config", "-no-reboot",
            "-display", "none", "-name", "toe",
            "-machine", "q35,usb=off,vmport=off,smbus=off,memory-backend=mem",
            # Native PCIe hot plug, as on a real machine, instead of ACPI's.
            "-global", "ICH9-LPC.acpi-pci-hotplug-with-bridge-support=off",
            "-accel", "tcg,thread=multi" if self.accel == "tcg" else "kvm",
            # la57: with five page table levels KASAN misjudges an address if an interrupt
            # occurs while the boot CPU's features are read again; TCG is slow enough for that.
            # erms, fsrm: TCG executes string instructions byte by byte, while a CPU with these
            # features moves cache lines. Without the features Linux and its C library copy by
            # words, and the cost of a copy is more realistic.
            "-cpu", "max,la57=off,erms=off,fsrm=off" if self.accel == "tcg" else "host",
            "-smp", str(options.smp), "-m", str(options.memory),
            # Shared, so that the adapter's process can access guest memory.
            "-object", f"memory-backend-memfd,id=mem,size={options.memory}M,share=on",
            "-kernel", str(cli.kernel_path(options.kernel) / "arch/x86/boot/bzImage"),
            "-append", self.kernel_arguments(),
            "-chardev", f"file,id=log,path={self.kernel_log}", "-serial", "chardev:log",
            "-qmp", f"unix:{self.sockets}/qmp,server=on,wait=off",
            "-device", "virtio-rng-pci",
        ]
        command += self._shared_directory("root", "/mnt", readonly=True)
        command += self._shared_directory("run", str(self.directory))
        if options.share:
            command += self._shared_directory("share", options.share)
        command += self._channels()
        if options.count:
            command += ["-plugin", f"{cli.COUNT},socket={self.sockets}/count.chan"]
        for name in self.functions:
            device = {"driver": "vfio-user-pci", "id": name, "bus": f"rp-{name}", "rombar": 0,
                      "socket": {"type": "unix", "path": f"{self.sockets}/{name}.sock"}}
            command += [*self._root_port(name), "-device", json.dumps(device)]
        if options.topology == "wire":
            wire = f"{self.sockets}/wire"
            command += self._virtio_net(
                "peer", f"dgram,id=peer,local.type=unix,local.path={wire}.qemu,"
                        f"remote.type=unix,remote.path={wire}.device")
        if options.topology in ("host", "none"):
            command += self._virtio_net(
                "eth0", "tap,id=eth0,ifname=ethp,script=no,downscript=no,vhost=off")
        return command

    def channels(self) -> List[str]:
        """The virtio-serial channels, each connected to a listening socket of the runner."""
        return ["con", "ctl", "in", "out", "err", *(f"agent{n}" for n in range(AGENT_PORTS))]

    def _channels(self) -> List[str]:
        command: List[str] = []
        names = self.channels()
        if self.options.count:
            names.append("count")
        for number, name in enumerate(names):
            controller, port = divmod(number, PORTS_PER_CONTROLLER)
            if port == 0:
                command += ["-device", f"virtio-serial-pci,id=serial{controller}"]
            # By the standard, port 0 of a controller is a console.
            driver, port = ("virtconsole", 0) if name == "con" else ("virtserialport", port + 1)
            # The plugin listens, which QEMU loads later.
            retry = ",reconnect-ms=100" if name == "count" else ""
            command += ["-chardev", f"socket,id={name},path={self.sockets}/{name}.chan{retry}",
                        "-device", f"{driver},bus=serial{controller}.0,nr={port},chardev={name},"
                                   f"id={name},name=toe.{name}"]
        return command

    @staticmethod
    def _root_port(name: str) -> List[str]:
        slot = SLOT[name]
        return ["-device", f"pcie-root-port,id=rp-{name},bus=pcie.0,addr={slot:#x},"
                           f"chassis={slot},slot={slot}"]

    @classmethod
    def _virtio_net(cls, name: str, netdev: str) -> List[str]:
        return [*cls._root_port(name), "-netdev", netdev,
                "-device", f"virtio-net-pci,netdev={name},bus=rp-{name},mac={MAC[name]},romfile="]

    @staticmethod
    def _shared_directory(name: str, path: str, readonly: bool = False) -> List[str]:
        tag = "rootfs" if name == "root" else name
        return ["-fsdev", f"local,id={name},path={path},security_model=none,multidevs=remap"
                          + (",readonly=on" if readonly else ""),
                "-device", f"virtio-9p-pci,fsdev={name},mount_tag={tag}"]

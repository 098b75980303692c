# SPDX-License-Identifier: GPL-2.0
"""The run's own network and mount namespaces, made before anything starts."""

import os
import subprocess
from pathlib import Path

from . import cli
from .plan import Plan, TAPS


def command(*words: str) -> None:
    """Run a command; raise an error with its output on failure."""
    done = subprocess.run(words, stdin=subprocess.DEVNULL, capture_output=True, text=True,
                          check=False)
    if done.returncode:
        raise cli.Trouble(f"'{' '.join(words)}' failed: {done.stderr.strip() or done.returncode}.")


def enter_namespace() -> None:
    """Enter new network and mount namespaces, so that parallel runs do not interfere."""
    os.unshare(os.CLONE_NEWNET | os.CLONE_NEWNS)
    # sysfs shows the devices of the namespace it was mounted in.
    command("mount", "-t", "sysfs", "sysfs", "/sys")
    command("ip", "link", "set", "lo", "up")
    # Queue length of datagram sockets: as many frames as a NIC's ring, instead of 10.
    Path("/proc/sys/net/unix/max_dgram_qlen").write_text("512", encoding="ascii")


def make_taps(plan: Plan) -> None:
    """Create the machine's interfaces of the host topology; only that of eth0 without an adapter."""
    names = {"host": list(TAPS), "none": ["ethp"]}.get(plan.options.topology, [])
    if names and not os.access("/dev/net/tun", os.R_OK | os.W_OK):
        raise cli.Trouble("/dev/net/tun cannot be opened: load the tun module, run as root, "
                          "or use --topology pair.")
    for name in names:
        kind = ["multi_queue"] if name == "toep" else []
        command("ip", "tuntap", "add", "dev", name, "mode", "tap", "vnet_hdr", *kind)
        for address in TAPS[name]:
            command("ip", "addr", "add", address, "dev", name,
                    *(["nodad"] if ":" in address else []))
        command("ip", "link", "set", name, "up")


def export_root(plan: Plan) -> None:
    """Make the guest's root at /mnt: this root without the file systems mounted in it.

    The tree stands at its own path there, the guest's scripts at /srv, the
    kernel's modules at /lib/modules, its source at /usr/src/linux and its own
    tests at /usr/lib/kselftest.
    """
    for path in (f"{cli.TREE}", "/usr/lib/modules", "/usr/src/linux", "/usr/lib/kselftest"):
        Path(path).mkdir(parents=True, exist_ok=True)
    command("mount", "--bind", "/", "/mnt")
    command("mount", "--bind", str(cli.TREE), f"/mnt{cli.TREE}")
    command("mount", "--bind", str(cli.TREE / "tools/vm/guest"), "/mnt/srv")
    kernel = cli.kernel_path(plan.options.kernel)
    for inside, path in (("lib/modules", kernel / "installed/lib/modules"),
                         ("src/linux", kernel / "source"),
                         ("lib/kselftest", cli.CACHE / "kselftest")):
        if path.is_dir():
            command("mount", "--bind", str(path), f"/mnt/usr/{inside}")

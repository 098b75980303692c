# SPDX-License-Identifier: GPL-2.0
"""Options of `tools/vm/run`, and checks before it starts.

Runs on the machine's own Python, which may be older than the root's.
"""

import argparse
import os
from pathlib import Path
from typing import List, Optional

TREE = Path(__file__).resolve().parents[3]
CACHE = Path(os.environ.get("TOE_CACHE") or Path.home() / ".cache" / "toe").absolute()

# Exit status of a failed run, regardless of COMMAND: a kernel warning, an adapter
# that ended, a guest that did not start.
TROUBLE = 125

DESCRIPTION = """\
Boots the test kernel in QEMU with the adapter, brings toe0 up as
192.0.2.1/24 and 2001:db8:77::1/64 with a peer at .2 and ::2, and runs COMMAND
there as root in this tree.  Input, output and exit status are passed through; on
a terminal COMMAND gets one (Ctrl-] ends the run).
"""

EPILOG = """\
topologies:
  pair   two functions of one adapter joined by a cable, the second one (toe1)
         in the guest's network namespace `peer`
  wire   the peer is virtio-net in namespace `peer`: an independent driver
  host   the peer is a private network namespace of this machine, reached by a
         TAP; virtio-net eth0, 198.51.100.1/24 and 2001:db8:88::1/64, leads to
         the same peer and is the comparator

in the guest:
  peer CMD...      runs CMD on the peer's side, in every topology
  machine CMD...   runs CMD on the machine (in the root, in the run's namespaces);
                   for example `machine tools/vm/qmp query-pci`
  machine @device kill|start    ends or starts the adapter's process
  /dev/toe/count   with --count: answers each line `sums` by `KERNEL USER COPIED`,
                   the instructions executed since boot by the kernel and in user
                   space, and the bytes copied by string instructions of the
                   kernel; tools/bench/profile has the same by symbol
  echo 1 >/sys/bus/pci/devices/0000:01:00.0/remove    removes toe0's function
                   (/sys/bus/pci/rescan adds it again; QEMU 11.1 itself aborts
                   on device_del of a vfio-user device with a mapped BAR page)
  TOE_TOPOLOGY, TOE_KERNEL, TOE_RUN (the directory under out/, writable)

The run fails with status 125, regardless of COMMAND, on a kernel warning, oops,
lockdep or KASAN report, leak or hang, and if the adapter's process ends.  Logs:
out/<run>/{kernel,device}.log; out/last is the latest run.

examples:
  tools/vm/run -- ping -c 3 192.0.2.2
  tools/vm/run --topology host -- sh -c 'peer iperf3 -s -1 -D; iperf3 -c 192.0.2.2'
  tools/vm/run --kernel debug --topology wire -- selftests/run
  tools/vm/run --topology host --count -- tools/bench/profile ping -c 100 192.0.2.2
  tools/vm/run                            a shell (also: make shell)
"""


class Trouble(Exception):
    """An error with its remedy, in one sentence."""


def parser() -> argparse.ArgumentParser:
    """The parser of the options."""
    result = argparse.ArgumentParser(
        prog="tools/vm/run", description=DESCRIPTION, epilog=EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
        usage="tools/vm/run [OPTION]... [--] [COMMAND...]")
    add = result.add_argument
    add("--topology", choices=["pair", "wire", "host", "none"], default="pair",
        help="peer (default: pair; none: no adapter)")
    add("--kernel", choices=["release", "debug"], default="release",
        help="test kernel (default: release)")
    add("--accel", choices=["auto", "tcg", "kvm"], default=os.environ.get("TOE_ACCEL", "auto"),
        help="auto uses KVM only if kvm_intel or kvm_amd is loaded "
             "(default: auto, or TOE_ACCEL)")
    add("--count", action="store_true",
        help="count the instructions that the guest executes (implies tcg): /dev/toe/count")
    add("--smp", type=int, default=2, metavar="N", help="guest CPUs (default: 2)")
    add("--memory", type=int, default=0, metavar="M",
        help="guest memory in MiB (default: 1024, debug kernel 2048)")
    add("--processors", type=int, default=2, metavar="N",
        help="offload processors of the adapter (default: 2)")
    add("--share", metavar="DIR", help="share DIR with the guest as /share, writable")
    add("--no-offload", action="store_true", help="set net.toe.enable to 0")
    add("--timeout", type=int, default=0, metavar="S",
        help="fail the run after S seconds (default: none)")
    add("--append", default="", metavar="WORDS", help="additional words of the kernel command line")
    add("--device-arg", action="append", default=[], metavar="ARG",
        help="additional argument of toe-device, may be repeated")
    add("--allow", action="append", default=[], metavar="REGEX",
        help="expected kernel log line that is not a failure, may be repeated")
    add("--verbose", action="store_true", help="show the kernel log on stderr")
    add("command", nargs="*", metavar="COMMAND", help="default: a shell")
    return result


def parse(arguments: List[str]) -> argparse.Namespace:
    """Parse the options; those after COMMAND belong to COMMAND, with or without `--`."""
    the_parser = parser()
    if "--" in arguments:
        at = arguments.index("--")
        options = the_parser.parse_args(arguments[:at])
        if options.command:
            the_parser.error(f"'{options.command[0]}' stands before --: put COMMAND after it")
        options.command = arguments[at + 1:]
    else:
        options = the_parser.parse_args(arguments)
    options.command = options.command or ["bash", "-l"]
    if options.count:
        if options.accel == "kvm":
            the_parser.error("--count: only TCG can count instructions: not with --accel kvm")
        options.accel = "tcg"
    if options.share:
        if not os.path.isdir(options.share):
            the_parser.error(f"--share: {options.share} is no directory")
        options.share = os.path.realpath(options.share)
    if not 1 <= options.smp <= 64:
        the_parser.error("--smp: 1 to 64")
    options.memory = options.memory or (2048 if options.kernel == "debug" else 1024)
    return options


def unparse(options: argparse.Namespace) -> List[str]:
    """The options as arguments."""
    result = []
    for name, value in vars(options).items():
        flag = "--" + name.replace("_", "-")
        if name == "command" or value in (None, False, "", []):
            continue
        for item in value if isinstance(value, list) else [value]:
            result.append(flag if item is True else f"{flag}={item}")
    return result + ["--", *options.command]


def module_path(kernel: str) -> Path:
    """toe.ko as built for this kernel."""
    return TREE / "out" / "build" / kernel / "toe.ko"


def kernel_path(kernel: str) -> Path:
    """The build tree of this kernel."""
    return CACHE / f"kernel-{kernel}"


TOOLS = TREE / "tools" / "target" / "release"
DEVICE = TOOLS / "toe-device"
COUNT = TOOLS / "libtoe_count.so"


def preflight(options: argparse.Namespace) -> None:
    """Report what is missing before anything is started."""
    if not (CACHE / "root.stamp").exists():
        raise Trouble(f"no root in {CACHE}: run 'make setup'.")
    if not (kernel_path(options.kernel) / "arch/x86/boot/bzImage").exists():
        raise Trouble(f"the {options.kernel} kernel is not built: run 'make setup'.")
    if options.count and not COUNT.exists():
        raise Trouble("the plugin that counts is not built: run 'make tools'.")
    if options.topology == "none":
        return
    if not module_path(options.kernel).exists():
        target = "module" if options.kernel == "release" else "module-debug"
        raise Trouble(f"toe.ko is not built for the {options.kernel} kernel: run 'make {target}'.")
    if not DEVICE.exists():
        raise Trouble("the adapter's process is not built: run 'make tools'.")


def accelerator(wanted: str) -> str:
    """Choose KVM if it can run an ordinary guest, else TCG.

    /dev/kvm alone says little: a paravirtual-only KVM has it too and hangs.
    """
    hardware: Optional[str] = next(
        (name for name in ("kvm_intel", "kvm_amd") if Path("/sys/module", name).exists()), None)
    if wanted == "tcg" or (wanted == "auto" and not (hardware and os.access("/dev/kvm", os.W_OK))):
        return "tcg"
    if not os.access("/dev/kvm", os.W_OK):
        raise Trouble("--accel kvm: /dev/kvm cannot be opened; use --accel tcg.")
    return "kvm"

# SPDX-License-Identifier: GPL-2.0
"""fail_bind.py QUEUE DENSITY BESIDE AFTER: bind memory to a receive queue of toe0 while
the N-th allocation fails, until there is no N that does, and unbind it.

BESIDE runs during each try and AFTER afterwards, and both have to succeed. From one N
to the next is one, and one in DENSITY of how many came before.
"""

import fcntl
import os
import random
import socket
import struct
import subprocess
import sys

LINUX = "/usr/src/linux"
sys.path.append(f"{LINUX}/tools/net/ynl")

from pyynl.lib import NlError, YnlFamily  # noqa: E402  (the path has to be set first)

SIZE = 4 << 20
# <linux/udmabuf.h>: UDMABUF_CREATE, struct udmabuf_create
UDMABUF_CREATE = 0x40187542


def dmabuf() -> int:
    """Memory that a device can receive into."""
    memory = os.memfd_create("toe", os.MFD_ALLOW_SEALING)
    os.ftruncate(memory, SIZE)
    fcntl.fcntl(memory, fcntl.F_ADD_SEALS, fcntl.F_SEAL_SHRINK)
    with open("/dev/udmabuf", "rb") as device:
        request = bytearray(struct.pack("IIQQ", memory, 0, 0, SIZE))
        # What can be changed makes it return what the device does.
        return fcntl.ioctl(device, UDMABUF_CREATE, request)


def attempt(nth: int, request: dict) -> tuple[Exception | None, bool]:
    """Bind and unbind while allocation `nth` fails: with what error, and whether there were so many."""
    netdev = YnlFamily(f"{LINUX}/Documentation/netlink/specs/netdev.yaml", schema="")
    fail = os.open("/proc/self/fail-nth", os.O_RDWR)
    error = None
    os.pwrite(fail, str(nth).encode(), 0)
    try:
        netdev.bind_rx(request)
    except (NlError, OSError, MemoryError) as caught:
        error = caught
    try:
        left = int(os.pread(fail, 16, 0))
    except OSError:
        left = 0
    os.pwrite(fail, b"0", 0)
    os.close(fail)
    # With its socket ends what was bound.
    netdev.sock.close()
    return error, left == 0


def main() -> None:
    """Try all of them."""
    queue, density, beside, after = int(sys.argv[1]), int(sys.argv[2]), sys.argv[3], sys.argv[4]
    request = {"ifindex": socket.if_nametoindex("toe0"), "fd": dmabuf(),
               "queues": [{"id": queue, "type": "rx"}]}
    nth = tries = failed = 0
    reached = True
    while reached:
        nth += 1 + (nth + random.randrange(density)) // density
        with subprocess.Popen(beside, shell=True, stdout=subprocess.DEVNULL) as stream:
            error, reached = attempt(nth, request)
        tries += 1
        failed += error is not None
        if stream.returncode:
            sys.exit(f"allocation {nth} ({error}): the other queue did not go on")
        if subprocess.run(after, shell=True, stdout=subprocess.DEVNULL, check=False).returncode:
            sys.exit(f"allocation {nth} ({error}): the queue does not receive")
    print(f"# {tries} tries up to the {nth}th allocation, of which {failed} failed")
    if error:
        sys.exit(f"no allocation failed, but binding did: {error}")
    if not failed:
        sys.exit("none failed")


main()

# SPDX-License-Identifier: GPL-2.0
"""fail_bind.py QUEUE DENSITY BESIDE AFTER: bind memory to a receive queue of toe0 while
the N-th allocation fails, and unbind it, for increasing N until no allocation fails.

The command BESIDE runs during each attempt, the command AFTER after it; both have to
succeed. The distance between two values of N is 1 plus N divided by DENSITY.
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
    """Create a dmabuf that a device can receive into, return its descriptor."""
    memory = os.memfd_create("toe", os.MFD_ALLOW_SEALING)
    os.ftruncate(memory, SIZE)
    fcntl.fcntl(memory, fcntl.F_ADD_SEALS, fcntl.F_SEAL_SHRINK)
    with open("/dev/udmabuf", "rb") as device:
        request = bytearray(struct.pack("IIQQ", memory, 0, 0, SIZE))
        # With a mutable buffer, ioctl() returns the result of the system call.
        return fcntl.ioctl(device, UDMABUF_CREATE, request)


def attempt(nth: int, request: dict) -> tuple[Exception | None, bool]:
    """Bind and unbind while allocation `nth` fails; return the error and whether it was reached."""
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
    # Closing the socket unbinds.
    netdev.sock.close()
    return error, left == 0


def main() -> None:
    """Test each allocation."""
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
            sys.exit(f"allocation {nth} ({error}): the other queue did not continue")
        if subprocess.run(after, shell=True, stdout=subprocess.DEVNULL, check=False).returncode:
            sys.exit(f"allocation {nth} ({error}): the queue does not receive")
    print(f"# {tries} attempts up to allocation {nth}, {failed} failed")
    if error:
        sys.exit(f"no allocation failed, but binding did: {error}")
    if not failed:
        sys.exit("no attempt failed")


main()

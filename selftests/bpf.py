# SPDX-License-Identifier: GPL-2.0
"""BPF programs of a few instructions, loaded without a compiler."""

import contextlib
import ctypes
import os
import struct
from collections.abc import Iterator

SYSCALL = 321
PROG_LOAD, PROG_ATTACH, PROG_DETACH = 5, 8, 9
SOCKET_FILTER, CGROUP_SKB, SOCK_OPS, CGROUP_SOCKOPT = 1, 8, 13, 25
CGROUP_INET_INGRESS, CGROUP_INET_EGRESS, CGROUP_SOCK_OPS, CGROUP_SETSOCKOPT = 0, 1, 3, 22

libc = ctypes.CDLL(None, use_errno=True)


def bpf(command: int, attributes: bytes) -> int:
    """Call bpf(2)."""
    buffer = ctypes.create_string_buffer(attributes, max(len(attributes), 128))
    result = libc.syscall(SYSCALL, command, buffer, len(buffer))
    if result < 0:
        error = ctypes.get_errno()
        raise OSError(error, os.strerror(error))
    return result


def instruction(code: int, destination: int = 0, source: int = 0, offset: int = 0,
                immediate: int = 0) -> bytes:
    """Encode an instruction."""
    return struct.pack("<BBhi", code, source << 4 | destination, offset, immediate)


EXIT = instruction(0x95)


def set_register(register: int, value: int) -> bytes:
    """Set a register to a constant."""
    return instruction(0xB7, register, immediate=value)


def returning(value: int) -> bytes:
    """Return a constant."""
    return set_register(0, value) + EXIT


def setting(level: int, name: int, value: int) -> bytes:
    """Set an option of the socket of a `struct bpf_sockopt`, and let the call go on."""
    return b"".join([
        instruction(0x79, 1, 1),                         # r1 = ctx->sk
        instruction(0x62, 10, offset=-4, immediate=value),
        set_register(2, level), set_register(3, name),
        instruction(0xBF, 4, 10), instruction(0x07, 4, immediate=-4),
        set_register(5, 4),
        instruction(0x85, immediate=49),                 # bpf_setsockopt()
        returning(1),
    ])


def load(kind: int, code: bytes, attach: int = 0) -> int:
    """Load a program and return its descriptor."""
    text, license_ = ctypes.create_string_buffer(code), ctypes.create_string_buffer(b"GPL")
    log = ctypes.create_string_buffer(1 << 16)
    attributes = struct.pack("<IIQQIIQII16sII", kind, len(code) // 8, ctypes.addressof(text),
                             ctypes.addressof(license_), 1, len(log), ctypes.addressof(log), 0, 0,
                             b"toe_test", 0, attach)
    try:
        return bpf(PROG_LOAD, attributes)
    except OSError as error:
        raise RuntimeError(log.value.decode()) from error


@contextlib.contextmanager
def attached(kind: int, code: bytes, attach: int, path: str) -> Iterator[None]:
    """Attach a program to a cgroup for a time."""
    program = load(kind, code, attach)
    cgroup = os.open(path, os.O_RDONLY)
    bpf(PROG_ATTACH, struct.pack("<IIII", cgroup, program, attach, 2))
    try:
        yield
    finally:
        bpf(PROG_DETACH, struct.pack("<III", cgroup, program, attach))
        os.close(cgroup)
        os.close(program)

"""What the converter's process gives up before it sees a stranger's bytes.

As far as the system goes along: each is one more wall, none of them the only one.
"""

from __future__ import annotations

import contextlib
import ctypes
import os
import resource
import struct
import sys

_EPERM = 1
_PR_SET_NO_NEW_PRIVS, _PR_SET_SECCOMP, _FILTER = 38, 22, 2
_ALLOW, _REFUSE, _KILL = 0x7FFF0000, 0x00050000 | _EPERM, 0x80000000

# Numbers of system calls by machine, x86-64 and arm64: what a decoder never needs, and one that
# was taken over would: other programs, other processes, a network.
# Source: Linux's arch/x86/entry/syscalls/syscall_64.tbl and include/uapi/asm-generic/unistd.h
_CALLS: dict[str, tuple[int | None, int | None]] = {
    "execve": (59, 221),
    "execveat": (322, 281),
    "socket": (41, 198),
    "socketpair": (53, 199),
    "connect": (42, 203),
    "bind": (49, 200),
    "listen": (50, 201),
    "accept": (43, 202),
    "accept4": (288, 242),
    "sendto": (44, 206),
    "ptrace": (101, 117),
    "process_vm_readv": (310, 270),
    "process_vm_writev": (311, 271),
    "pidfd_open": (434, 434),
    "pidfd_getfd": (438, 438),
    "kill": (62, 129),
    "tkill": (200, 130),
    "mount": (165, 40),
    "unshare": (272, 97),
    "setns": (308, 268),
    "bpf": (321, 280),
    "io_uring_setup": (425, 425),
    "keyctl": (250, 219),
    "userfaultfd": (323, 282),
    "unlink": (87, None),
    "unlinkat": (263, 35),
    "rename": (82, None),
    "renameat": (264, 38),
    "renameat2": (316, 276),
    "chmod": (90, None),
    "fchmodat": (268, 53),
    "truncate": (76, 45),
}
# Only fonts are still to be opened once all is loaded, and only for an SVG.
_FILE_CALLS: dict[str, tuple[int | None, int | None]] = {
    "open": (2, None),
    "creat": (85, None),
    "openat": (257, 56),
    "openat2": (437, 437),
}
_MACHINES = {"x86_64": (0, 0xC000003E), "aarch64": (1, 0xC00000B7)}


def limits() -> None:
    """Set what holds for good: no core, few open files."""
    for name, most in (("RLIMIT_CORE", 0), ("RLIMIT_NOFILE", 64)):
        with contextlib.suppress(OSError, ValueError):
            resource.setrlimit(getattr(resource, name), (most, most))


def shut(*, files: bool) -> bool:
    """Have the kernel refuse what a decoder never needs; tells whether it does.

    Args:
        files: may still be opened.
    """
    place, architecture = _MACHINES.get(os.uname().machine, (0, 0))
    if not architecture or sys.platform != "linux":
        return False
    calls = _CALLS if files else _CALLS | _FILE_CALLS
    numbers = [pair[place] for pair in calls.values()]
    program = _filter([number for number in numbers if number is not None], architecture)
    code = ctypes.create_string_buffer(program, len(program))

    class Program(ctypes.Structure):
        _fields_ = [("size", ctypes.c_ushort), ("code", ctypes.c_void_p)]

    whole = Program(len(program) // 8, ctypes.addressof(code))
    try:
        _prctl(_PR_SET_NO_NEW_PRIVS, 1)
        _prctl(_PR_SET_SECCOMP, _FILTER, ctypes.addressof(whole))
    except (OSError, AttributeError):
        return False
    return True


def _filter(numbers: list[int], architecture: int) -> bytes:
    """Write the filter: another architecture's call ends the process, one of these is refused.

    Source: https://docs.kernel.org/userspace-api/seccomp_filter.html
    """

    def line(code: int, jump_true: int, jump_false: int, value: int) -> bytes:
        return struct.pack("=HBBI", code, jump_true, jump_false, value)

    load, equal, at_least, answer = 0x20, 0x15, 0x35, 0x06
    lines = [
        line(load, 0, 0, 4),
        line(equal, 1, 0, architecture),
        line(answer, 0, 0, _KILL),
        line(load, 0, 0, 0),
        # x32: the same calls under other numbers.
        line(at_least, len(numbers) + 1, 0, 0x40000000),
    ]
    for place, number in enumerate(numbers):
        lines.append(line(equal, len(numbers) - place, 0, number))
    return b"".join([*lines, line(answer, 0, 0, _ALLOW), line(answer, 0, 0, _REFUSE)])


def _prctl(*arguments: int) -> None:
    libc = ctypes.CDLL(None, use_errno=True)
    # Five longs: what is left out would be whatever lies on the stack.
    padded = [ctypes.c_ulong(value) for value in (*arguments, 0, 0, 0, 0)[:5]]
    if libc.prctl(*padded) != 0:
        raise OSError(ctypes.get_errno(), "prctl")

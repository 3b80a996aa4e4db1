"""Takes from a process that decodes images whatever it does not need for that."""

import contextlib
import ctypes
import platform
import resource
import signal
import struct
import sys
from collections.abc import Iterable
from pathlib import Path

# <linux/prctl.h>, <linux/seccomp.h>, <linux/filter.h>
PR_SET_PDEATHSIG, PR_SET_SECCOMP, PR_SET_NO_NEW_PRIVS = 1, 22, 38
SECCOMP_MODE_FILTER, RET_ALLOW, RET_EPERM = 2, 0x7FFF0000, 0x00050001
LOAD, JUMP_IF_EQUAL, RETURN = 0x20, 0x15, 0x06
CALL_NUMBER, ARCHITECTURE = 0, 4  # offsets in struct seccomp_data
# The system calls left: brk clock_gettime exit exit_group futex getrandom madvise mmap mremap
# munmap read recvfrom rt_sigreturn sched_yield sendto setitimer write. Of each machine the number
# in <linux/audit.h>, and theirs in <asm/unistd.h>.
CALLS: dict[str, tuple[int, tuple[int, ...]]] = {
    "x86_64": (
        0xC000003E,
        (12, 228, 60, 231, 202, 318, 28, 9, 25, 11, 0, 45, 15, 24, 44, 38, 1),
    ),
    "aarch64": (
        0xC00000B7,
        (214, 113, 93, 94, 98, 278, 233, 222, 216, 215, 63, 207, 139, 124, 206, 103, 64),
    ),
}


def confine(open_files: int, max_bytes: int) -> None:
    """Open, start and connect to nothing from now on; what the system cannot forbid stays.

    Args:
        open_files: how many files are open.
        max_bytes: the memory that may be allocated from now on.
    """
    limits = {
        resource.RLIMIT_CORE: 0,
        resource.RLIMIT_FSIZE: 0,
        resource.RLIMIT_NPROC: 0,
        resource.RLIMIT_NOFILE: open_files,
    }
    if sys.platform == "linux":
        limits[resource.RLIMIT_AS] = _address_space() + max_bytes
        _set_process_options()
    for limit, value in limits.items():
        with contextlib.suppress(ValueError, OSError):
            resource.setrlimit(limit, (value, value))
    if sys.platform == "linux" and platform.machine() in CALLS:
        _filter_system_calls(*CALLS[platform.machine()])


def _address_space() -> int:
    """Bytes of this process's address space."""
    return int(Path("/proc/self/statm").read_text().split()[0]) * resource.getpagesize()


def _set_process_options() -> None:
    prctl = ctypes.CDLL(None).prctl
    prctl(PR_SET_PDEATHSIG, signal.SIGKILL)
    prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0)


def _filter_system_calls(architecture: int, calls: Iterable[int]) -> None:
    """Let all system calls but these fail with EPERM (seccomp's filter mode)."""

    class Program(ctypes.Structure):  # struct sock_fprog
        _fields_ = (("length", ctypes.c_ushort), ("instructions", ctypes.c_char_p))

    allowed = list(calls)
    refuse = len(allowed) + 1  # how many instructions to skip
    instructions = [
        (LOAD, 0, 0, ARCHITECTURE),
        (JUMP_IF_EQUAL, 0, refuse, architecture),
        (LOAD, 0, 0, CALL_NUMBER),
        *((JUMP_IF_EQUAL, len(allowed) - i, 0, call) for i, call in enumerate(allowed)),
        (RETURN, 0, 0, RET_EPERM),
        (RETURN, 0, 0, RET_ALLOW),
    ]
    packed = b"".join(struct.pack("=HBBI", *instruction) for instruction in instructions)
    program = Program(len(instructions), packed)
    ctypes.CDLL(None).prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, ctypes.byref(program), 0, 0)

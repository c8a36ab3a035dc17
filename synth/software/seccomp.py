"""The filter of system calls for code that nobody has read: what namespaces leave open, as a program of the kernel's packet filter.

A network namespace holds internet, local and netlink sockets; VSOCK, by which a virtual machine talks to its host, it does not. Memory that
need not be mapped to be held (memfd, System V, shared anonymous mappings) is counted by no limit. The rest takes interfaces of the kernel
away that tests have no use for. Calls of a foreign architecture end the process.
(seccomp(2), Documentation/userspace-api/seccomp_filter.rst.)
"""

import errno
import os
import socket
import struct
from collections.abc import Iterable
from typing import Any

# name: numbers on x86_64 and on aarch64 (arch/x86/entry/syscalls/syscall_64.tbl, include/uapi/asm-generic/unistd.h)
DENIED = {
    "ptrace": (101, 117),
    "process_vm_readv": (310, 270),
    "process_vm_writev": (311, 271),
    "pidfd_getfd": (438, 438),
    "kcmp": (312, 272),
    "mount": (165, 40),
    "umount2": (166, 39),
    "pivot_root": (155, 41),
    "chroot": (161, 51),
    "open_tree": (428, 428),
    "move_mount": (429, 429),
    "fsopen": (430, 430),
    "fsconfig": (431, 431),
    "fsmount": (432, 432),
    "fspick": (433, 433),
    "mount_setattr": (442, 442),
    "unshare": (272, 97),
    "setns": (308, 268),
    "open_by_handle_at": (304, 265),
    "keyctl": (250, 219),
    "add_key": (248, 217),
    "request_key": (249, 218),
    "bpf": (321, 280),
    "perf_event_open": (298, 241),
    "userfaultfd": (323, 282),
    "init_module": (175, 105),
    "finit_module": (313, 273),
    "kexec_load": (246, 104),
    "kexec_file_load": (320, 294),
    "personality": (135, 92),
    "syslog": (103, 116),
    "shmget": (29, 194),
    "msgget": (68, 186),
    "semget": (64, 190),
}
ABSENT = {  # answered as an older kernel would, so that libraries do without
    "clone3": (435, 435),
    "memfd_create": (319, 279),
    "memfd_secret": (447, 447),
    "io_uring_setup": (425, 425),
    "io_uring_enter": (426, 426),
    "io_uring_register": (427, 427),
}
SOCKET, CLONE, MMAP, SETSOCKOPT = (41, 198), (56, 220), (9, 222), (54, 208)
INT = 0xFFFFFFFF  # what the kernel reads of an argument of 64 bits that is an int; runtimes compare all of it
SOL_SOCKET, SO_SNDBUF = 1, 7  # a local socket holds what its buffer allows: the watcher counts sockets by the default
SHARED_ANONYMOUS = 0x21  # MAP_SHARED | MAP_ANONYMOUS: its pages stay when the process gives them back
SOCKETS = (socket.AF_UNIX, socket.AF_INET, socket.AF_INET6)
NEW_NAMESPACES = 0x7E020000 | 0x80  # CLONE_NEW*: cgroup, uts, ipc, user, pid, net, mount; time
ARCHITECTURES = {"x86_64": (0, 0xC000003E), "aarch64": (1, 0xC00000B7)}  # column of the tables, AUDIT_ARCH

_LOAD, _EQUAL, _AT_LEAST, _ANY_BIT = 0x20, 0x15, 0x35, 0x45  # BPF_LD|W|ABS, BPF_JMP|JEQ, JGE, JSET
_AND, _RETURN = 0x54, 0x06  # BPF_ALU|AND, BPF_RET
_NUMBER, _ARCHITECTURE, _FIRST_ARGUMENT, _SECOND_ARGUMENT, _THIRD_ARGUMENT, _FOURTH_ARGUMENT = (
    0,
    4,
    16,
    24,
    32,
    40,
)  # offsets in struct seccomp_data
_ALLOW, _KILL, _ERROR = 0x7FFF0000, 0x80000000, 0x00050000
_X32 = 0x40000000  # x86_64's second set of numbers


def program(machine: str | None = None) -> bytes:
    """The instructions for this machine, 8 bytes each. ValueError for an architecture whose numbers are not in the tables."""
    machine = machine or os.uname().machine
    if machine not in ARCHITECTURES:
        raise ValueError(
            f"no system calls are known of {machine}, only of {', '.join(ARCHITECTURES)}: use a container (TOKENLOOM_SANDBOX=docker)"
        )
    column, architecture = ARCHITECTURES[machine]
    made = [
        _instruction(_LOAD, _ARCHITECTURE),
        _instruction(_EQUAL, architecture, 1, 0),
        _instruction(_RETURN, _KILL),
        _instruction(_LOAD, _NUMBER),
        _instruction(_AT_LEAST, _X32, 0, 1),
        _instruction(_RETURN, _KILL),
    ]
    for numbers, code in ((DENIED, errno.EPERM), (ABSENT, errno.ENOSYS)):
        for both in numbers.values():
            made += [_instruction(_EQUAL, both[column], 0, 1), _instruction(_RETURN, _ERROR | code)]
    made += [
        _instruction(_EQUAL, CLONE[column], 0, 4),
        _instruction(_LOAD, _FIRST_ARGUMENT),
        _instruction(_ANY_BIT, NEW_NAMESPACES, 0, 1),
        _instruction(_RETURN, _ERROR | errno.EPERM),
        _instruction(_RETURN, _ALLOW),
        _instruction(_EQUAL, MMAP[column], 0, 5),
        _instruction(_LOAD, _FOURTH_ARGUMENT),
        _instruction(_AND, SHARED_ANONYMOUS),
        _instruction(_EQUAL, SHARED_ANONYMOUS, 0, 1),
        _instruction(_RETURN, _ERROR | errno.EPERM),
        _instruction(_RETURN, _ALLOW),
        _instruction(_EQUAL, SETSOCKOPT[column], 0, 6),
        _instruction(_LOAD, _SECOND_ARGUMENT),
        _instruction(_EQUAL, SOL_SOCKET, 0, 3),
        _instruction(_LOAD, _THIRD_ARGUMENT),
        _instruction(_EQUAL, SO_SNDBUF, 0, 1),
        _instruction(_RETURN, _ERROR | errno.EPERM),
        _instruction(_RETURN, _ALLOW),
        _instruction(_EQUAL, SOCKET[column], 1, 0),
        _instruction(_RETURN, _ALLOW),
        _instruction(_LOAD, _FIRST_ARGUMENT),
    ]
    for family in SOCKETS:
        made += [_instruction(_EQUAL, family, 0, 1), _instruction(_RETURN, _ALLOW)]
    return b"".join([*made, _instruction(_RETURN, _ERROR | errno.EAFNOSUPPORT)])


def profile() -> dict[str, Any]:
    """The same filter as container runtimes read it (OCI runtime specification, `linux.seccomp`), for any architecture that they know."""

    def refused(names: Iterable[str], code: int, *args: tuple[int, str, int, int]) -> dict[str, Any]:
        """`args`: (number of the argument, comparison, value or mask, what is masked); those of one rule hold together."""
        given = [
            {"index": index, "op": f"SCMP_CMP_{operator}", "value": value, "valueTwo": masked}
            for index, operator, value, masked in args
        ]
        return {"names": sorted(names), "action": "SCMP_ACT_ERRNO", "errnoRet": code, "args": given}

    flags = [1 << bit for bit in range(32) if NEW_NAMESPACES >> bit & 1]
    between = [family for family in range(max(SOCKETS)) if family not in SOCKETS]
    rules = [
        refused(DENIED, errno.EPERM),
        refused(ABSENT, errno.ENOSYS),
        *(refused(["clone"], errno.EPERM, (0, "MASKED_EQ", flag, flag)) for flag in flags),
        refused(["mmap"], errno.EPERM, (3, "MASKED_EQ", SHARED_ANONYMOUS, SHARED_ANONYMOUS)),
        refused(["setsockopt"], errno.EPERM, (1, "MASKED_EQ", INT, SOL_SOCKET), (2, "MASKED_EQ", INT, SO_SNDBUF)),
        refused(["socket"], errno.EAFNOSUPPORT, (0, "GT", max(SOCKETS), 0)),
        *(refused(["socket"], errno.EAFNOSUPPORT, (0, "EQ", family, 0)) for family in between),
    ]
    return {"defaultAction": "SCMP_ACT_ALLOW", "syscalls": rules}


def _instruction(code: int, value: int, if_true: int = 0, if_false: int = 0) -> bytes:
    """struct sock_filter: what to do, its operand, how many instructions to skip when a condition is true or false."""
    return struct.pack("=HBBI", code, if_true, if_false, value)

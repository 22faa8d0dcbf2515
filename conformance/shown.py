# SPDX-License-Identifier: Apache-2.0
"""Which errors of which system calls the cases show, read from their sources.

An error is shown by EXPECT_ERRNO(call, error), the call being a C library function, counted for the
system call it makes (SYSTEM_CALL_OF), or syscall(SYS_name, ...); INTERRUPTED(call) shows EINTR.
What a loop over a table shows stands in a comment beside it, which holds for its rows alone:

    /* shows: mkdir mkdirat rmdir: ENOENT ENOTDIR */
"""

import os
import re

SYSTEM_CALL_OF = {
    "open": "openat", "stat": "newfstatat", "lstat": "newfstatat", "fstat": "newfstatat",
    "fstatat": "newfstatat", "select": "pselect6", "pselect": "pselect6", "eventfd": "eventfd2",
    "signalfd": "signalfd4", "recv": "recvfrom", "send": "sendto", "wait": "wait4",
    "waitpid": "wait4", "wait3": "wait4", "sigaction": "rt_sigaction",
    "sigprocmask": "rt_sigprocmask", "sigsuspend": "rt_sigsuspend",
    "sigtimedwait": "rt_sigtimedwait", "sigwaitinfo": "rt_sigtimedwait",
    "sigqueue": "rt_sigqueueinfo", "sigpending": "rt_sigpending", "nanosleep": "clock_nanosleep",
    "usleep": "clock_nanosleep", "getrlimit": "prlimit64", "setrlimit": "prlimit64",
    "prlimit": "prlimit64", "utime": "utimensat", "utimes": "utimensat", "futimens": "utimensat",
    "futimes": "utimensat", "lutimes": "utimensat", "mq_send": "mq_timedsend",
    "mq_receive": "mq_timedreceive", "mq_getattr": "mq_getsetattr", "mq_setattr": "mq_getsetattr",
    "semop": "semtimedop", "posix_fadvise": "fadvise64", "pread": "pread64", "pwrite": "pwrite64",
    "execv": "execve", "execvp": "execve", "execl": "execve", "fexecve": "execveat",
    "umount": "umount2", "killpg": "kill", "nice": "setpriority", "futimesat": "futimesat",
    "sysinfo": "sysinfo", "opendir": "openat", "ftruncate64": "ftruncate", "tcgetattr": "ioctl",
    "tcsetattr": "ioctl", "tcsetpgrp": "ioctl", "tcgetpgrp": "ioctl",
}

_NAME = re.compile(r"\bSYS_(\w+)|\b([a-z]\w*)\s*\(")
_TABLE = re.compile(r"/\*[\s*]*shows:((?:[^*]|\*(?!/))*)\*/")


def _calls_in(expression):
    for raw, function in _NAME.findall(expression):
        yield raw or SYSTEM_CALL_OF.get(function, function)


def _argument_texts(text, start):
    """The arguments of the macro whose opening parenthesis stands before start."""
    depth, last, arguments, at = 1, start, [], start
    while depth and at < len(text):
        char = text[at]
        if char == '"':
            at = text.find('"', at + 1)
            while text[at - 1] == "\\":
                at = text.find('"', at + 1)
        elif char in "([{":
            depth += 1
        elif char in ")]}":
            depth -= 1
        if depth == 0 or (depth == 1 and char == ","):
            arguments.append(text[last:at].strip())
            last = at + 1
        at += 1
    return arguments


def read(folder):
    """{(call, error)} over all sources in folder."""
    shown = set()
    for name in sorted(os.listdir(folder)):
        if not name.endswith(".c") or name == "tap.c":
            continue
        with open(os.path.join(folder, name), encoding="utf-8") as file:
            text = file.read()
        for match in re.finditer(r"\bEXPECT_ERRNO\(", text):
            arguments = _argument_texts(text, match.end())
            error = arguments[-1]
            shown |= {(call, error) for call in _calls_in(", ".join(arguments[:-1]))}
        for match in re.finditer(r"\bINTERRUPTED\(", text):
            shown |= {(call, "EINTR") for call in
                      _calls_in(", ".join(_argument_texts(text, match.end())))}
        for match in _TABLE.finditer(text):
            calls, _, errors = match.group(1).replace("\n *", " ").partition(":")
            shown |= {(call, error) for call in calls.split() for error in errors.split()}
    return shown

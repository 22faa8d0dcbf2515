#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""What docs/style.md and docs/architecture.md say a machine can check, of the sources as text.

One line a finding: FILE:LINE: what. Exit 1 if there is any. Checks of objects (doors, file-scope
variables) are tools/lint-objects.py; of formatting and sleeping, rules/lint.mk.
"""
import os
import re
import subprocess
import sys

ROOMS = ["cli", "runtime", "controller", "loader", "gofer", "sentry/observe", "sentry/state", "sentry/syscalls",
         "sentry/exec", "sentry/net", "sentry/fs", "sentry/kernel", "sentry/memory", "sentry/sched", "oci", "wire",
         "platform", "host", "abi", "base"]
LINE_MAX = 130
FILE_MAX = 900
FUNCTION_MAX = 70
# Headers that a sentry file may include beside the project's own: freestanding ones, strings, and those
# that only name numbers of Linux's ABI.
SENTRY_SYSTEM_HEADERS = {"stdbool.h", "stddef.h", "stdint.h", "stdarg.h", "limits.h", "string.h", "stdlib.h", "stdio.h",
                         "errno.h", "fcntl.h", "sys/types.h", "xxhash.h", "zstd.h", "cpuid.h",
                         "sanitizer/common_interface_defs.h"}
findings = []


def find(path, line, text):
    findings.append(f"{path}:{line}: {text}")


def room_of(path):
    inner = path[len("src/"):]
    for room in sorted(ROOMS, key=len, reverse=True):
        if inner.startswith(room + "/"):
            return room
    return None


def check_arrows(path, number, include):
    room = room_of(path)
    other = room_of("src/" + include)
    if room is None or other is None or room == other:
        return
    if ROOMS.index(other) < ROOMS.index(room):
        find(path, number, f"room {room} must not know {other}, which is above it")


def check_lines(path, lines):
    is_test = path.endswith(("_test.c", "/testing.h")) or path.startswith("tests/")
    for number, line in enumerate(lines, 1):
        if len(line) > LINE_MAX:
            find(path, number, f"line of {len(line)} columns, {LINE_MAX} at most")
        if line.rstrip() != line:
            find(path, number, "blanks at the line's end")
        if "\t" in line and not path.endswith((".mk", "Makefile", ".S")):
            find(path, number, "a tab")
        if re.search(r"\b(TODO|FIXME|XXX)\b", line):
            find(path, number, "a mark for later: an absence is a row in spec/")
        match = re.match(r'\s*#include "([^"]+)"', line)
        if match and path.startswith("src/") and not is_test:
            check_arrows(path, number, match.group(1))
        match = re.match(r"\s*#include <([^>]+)>", line)
        if match and path.startswith("src/sentry/") and not is_test and match.group(1) not in SENTRY_SYSTEM_HEADERS:
            find(path, number, f"<{match.group(1)}> is the outside: sentry files reach it through host.h or platform.h")


def check_functions(path, lines):
    start = None
    for number, line in enumerate(lines, 1):
        if line == "{":
            start = number
        elif line == "}" and start is not None:
            length = number - start - 1
            if length > FUNCTION_MAX:
                find(path, start, f"a function of {length} lines, {FUNCTION_MAX} at most")
            start = None


def check_file(path):
    with open(path, encoding="utf-8") as source:
        lines = source.read().split("\n")
    if lines and lines[-1] == "":
        lines.pop()
    if not any("SPDX-License-Identifier: Apache-2.0" in line for line in lines[:3]):
        find(path, 1, "no SPDX line at the file's head")
    if len(lines) > FILE_MAX:
        find(path, FILE_MAX, f"a file of {len(lines)} lines, {FILE_MAX} at most")
    check_lines(path, lines)
    if path.endswith(".c"):
        check_functions(path, lines)


def check_kinds(paths):
    """Every kind with a field table stands in state/kinds.def."""
    named = set(re.findall(r"^KIND\((\w+)\)", open("src/sentry/state/kinds.def").read(), re.M))
    for path in paths:
        if not path.startswith("src/sentry/") or path.endswith("_test.c"):
            continue
        text = open(path, encoding="utf-8").read()
        for match in re.finditer(r"^(static )?const struct kind (\w+)_kind = \{([^;]*)\};", text, re.M | re.S):
            if ".fields" not in match.group(3):
                continue
            line = text[: match.start()].count("\n") + 1
            if match.group(2) not in named:
                find(path, line, f"kind {match.group(2)} is not in sentry/state/kinds.def")
            if match.group(1):
                find(path, line, f"kind {match.group(2)} is static: state/ cannot reach it")


def check_readmes():
    for room in ROOMS:
        if room not in ("abi",) and os.path.isdir(f"src/{room}") and not os.path.exists(f"src/{room}/README.md"):
            find(f"src/{room}", 0, "a room without README.md")


def main():
    files = subprocess.run(["git", "ls-files", "--cached", "--others", "--exclude-standard"], capture_output=True,
                           text=True, check=True).stdout.split("\n")
    code = [f for f in files if f.endswith((".c", ".h", ".def", ".S")) and os.path.exists(f)]
    for path in code:
        check_file(path)
    check_kinds([f for f in code if f.endswith(".c")])
    check_readmes()
    for text in findings:
        print(text)
    print(f"lint: {len(code)} files, {len(findings)} findings")
    return 1 if findings else 0


sys.exit(main())

#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""The two doors and nothing hidden: undefined symbols of the sentry's objects against a short allow-list,
and no mutable file-scope variable in them. Arguments: the room archives (build/lib/ROOM.a)."""
import re
import subprocess
import sys

# What may be reached without the doors: memory and string functions, formatting into memory, checksums,
# compression, and what compilers emit themselves.
ALLOWED = re.compile(
    r"^(mem(cpy|move|set|cmp|chr|rchr|mem)|__mem\w+_chk|str(len|nlen|cmp|ncmp|chr|rchr|str|spn|cspn|cpy|ncpy|cat|tol|toul|toull|casecmp|ncasecmp|pbrk)|"
    r"strto(l|ul|ull|ll)|v?snprintf|__v?snprintf_chk|__str\w+_chk|abort|__stack_chk_fail|"
    r"XXH\w+|ZSTD_\w+|__(asan|ubsan|sanitizer)\w*|_GLOBAL_OFFSET_TABLE_|__popcountdi2|__isoc99_sscanf|__ctype_b_loc)$")
# Rooms whose symbols the sentry may use: its own and those below it.
SENTRY = re.compile(r"/(sentry-|loader|controller|wire|oci)")
BELOW = re.compile(r"/(base|abi|host|platform)\.a$")


def nm(archive, *flags):
    out = subprocess.run(["nm", "-A", *flags, archive], capture_output=True, text=True, check=False).stdout
    return [line.split() for line in out.split("\n") if line]


def mutable_objects(archive):
    """Objects in writable sections; what the loader makes read-only again (.data.rel.ro) is a constant."""
    out = subprocess.run(["objdump", "-t", archive], capture_output=True, text=True, check=False).stdout
    member = ""
    for line in out.split("\n"):
        if ":     file format" in line:
            member = line.split(":", 1)[0]
        row = re.match(r"^[0-9a-f]{16} .{6}O (\S+)\s+[0-9a-f]+ +(?:\.hidden )?(\S+)$", line)
        if not row or not re.match(r"^(\.data|\.bss|\.tdata|\.tbss|\*COM\*)", row[1]) or row[1].startswith(".data.rel.ro"):
            continue
        if not row[2].startswith((".", "__")):
            yield member, row[2]


def main():
    archives = sys.argv[1:]
    defined = set()
    for archive in archives:
        for parts in nm(archive, "-g", "--defined-only"):
            defined.add(parts[-1])
    bad = 0
    for archive in archives:
        if not SENTRY.search(archive) or re.search(r"/(oci|wire)\.a$", archive):  # their libraries have the heap
            continue
        for parts in nm(archive, "-u"):
            symbol = parts[-1]
            if symbol not in defined and not ALLOWED.match(symbol):
                print(f"{parts[0]} reaches '{symbol}': not through a door (host.h, platform.h) and not on the allow-list")
                bad += 1
        for member, name in mutable_objects(archive):
            print(f"{archive}:{member} has the mutable file-scope variable '{name}': everything hangs off struct kernel")
            bad += 1
    print(f"lint: {len(archives)} archives, {bad} findings in their symbols")
    return 1 if bad else 0


sys.exit(main())

#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Add SYSCALL rows from standard input to table.def, sorted by number; a row that is there stays."""
import re
import sys

PATH = "src/sentry/syscalls/table.def"
text = open(PATH).read()
rows = re.findall(r"^SYSCALL\(.*\)$", text, re.M)
head = text[: text.index("*/", text.index("SYSCALL(number")) + 3]
have = {int(re.match(r"SYSCALL\((\d+)", r).group(1)): r for r in rows}
for row in sys.stdin.read().split("\n"):
    match = re.match(r"SYSCALL\((\d+)", row)
    if match:
        have.setdefault(int(match.group(1)), row)
open(PATH, "w").write(head + "\n".join(have[n] for n in sorted(have)) + "\n")

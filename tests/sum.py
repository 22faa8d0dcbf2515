#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""sum.py PROGRAM:ARGUMENT...: runs each program and adds up their "N passed, N failed, N skipped" lines. A program
that ends badly counts as one failure; its last lines are shown."""
import re
import subprocess
import sys

total = [0, 0, 0]
for word in sys.argv[1:]:
    run = subprocess.run(word.split(":"), capture_output=True, text=True, errors="replace", check=False)
    print(run.stdout, end="")
    counts = re.findall(r"^(\d+) passed, (\d+) failed, (\d+) skipped$", run.stdout, re.M)
    counts = [int(n) for n in counts[-1]] if counts else [0, 0, 0]
    if run.returncode and not counts[1]:
        counts[1] = 1
        print("\n".join((run.stdout + run.stderr).splitlines()[-40:]))
        print(f"{word}: exit status {run.returncode}")
    total = [a + b for a, b in zip(total, counts)]
print(f"{total[0]} passed, {total[1]} failed, {total[2]} skipped")
sys.exit(1 if total[1] else 0)

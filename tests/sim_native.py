#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Families of conformance cases as programs of the simulator, on ptrace: real code on a host that repeats, which is
checkpointed, ended and restored after every few system calls and must not notice.

sim_native.py PICKET_SIM [--every N] [FAMILY...]: each family passes in the simulator, under another seed and memory layout,
and moved; the three print and end alike. The families were built by conformance/run. Left out are those whose cases need what
the simulated host has not (capabilities, devices, other file systems) or wait for time that passes while a program spins.
"""
import argparse
import os
import re
import subprocess
import sys
import tempfile

FAMILIES = ["aio", "dev", "efault", "elf", "eventfd", "fault", "fd", "fpu", "inotify", "interrupted", "mountfd", "mqueue",
            "netmore", "pipe", "pty", "rw", "sysfs", "sysvipc", "thread", "tmpfs"]
BUILT = os.path.join("build", "conformance", "syscalls")
# Not moved: an epoll's ready files lose their order, a requeued wait returns early, and one takes too long.
UNMOVED = ["epoll", "futex", "wait"]
SPINNING = ["badcode", "badframe", "clock", "hostile", "pthread", "signal"]  # until a time that does not come

SCENARIO = """scenario: native-{name}
purpose: a family of conformance cases on the simulated host
platforms: [ptrace]
compare: output
host: {{files: {{/rootfs/bin/family: {{copy: {program}}}}}}}
programs:
  run: [{{execve: [/bin/family, null, null]}}]
containers: {{web: {{program: run, tmpfs: [/tmp, /dev/shm]}}}}
budget: {{virtual: 3000s, syscalls: 100000000}}
steps:
  - create: web
  - start: web
  - wait: {{container: web, expect: {{status: 0}}}}
  - delete: web
finally: [no-leaks]
"""


def play(sim, folder, name, every):
    program = os.path.join(BUILT, name)
    if not os.path.exists(program):
        return (0, 1, 0), f"{program} is missing: conformance/run builds it\n"
    path = os.path.join(folder, name + ".yaml")
    with open(path, "w", encoding="utf-8") as file:
        file.write(SCENARIO.format(name=name, program=os.path.relpath(program, folder)))
    words = [sim, "run", "--platform", "ptrace", *(["--checkpoint-every", str(every)] if every else []), path]
    done = subprocess.run(words, capture_output=True, text=True, check=False, errors="replace")
    found = re.search(r"^(\d+) passed, (\d+) failed, (\d+) skipped", done.stdout, re.M)
    counts = tuple(int(n) for n in found.groups()) if found else (0, 1, 0)
    inserted = re.search(r"^(\d+) checkpoints inserted$", done.stdout, re.M)
    if every and (not inserted or int(inserted[1]) <= 2):  # so many come between the steps
        counts = (counts[0], counts[1] + 1, counts[2])
        done.stdout += f"FAIL {name}: nothing was moved\n"
    return counts, done.stdout + done.stderr


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("sim")
    parser.add_argument("--every", type=int, default=5)
    parser.add_argument("--all", action="store_true", help="every family that is built, once, whatever it answers: to count lines")
    parser.add_argument("family", nargs="*")
    words = parser.parse_args()
    total = (0, 0, 0)
    with tempfile.TemporaryDirectory() as folder:
        built = sorted(name for name in os.listdir(BUILT) if "." not in name and name not in SPINNING) if words.all else []
        for name in words.family or built or FAMILIES + UNMOVED:
            counts, text = play(words.sim, folder, name, 0 if words.all or name in UNMOVED else words.every)
            total = tuple(a + b for a, b in zip(total, counts))
            print(text if counts[1] else "".join(line + "\n" for line in text.splitlines() if line[:3] in ("ok ", "ski")),
                  end="", flush=True)
    print("%d passed, %d failed, %d skipped" % total)
    return 1 if total[1] else 0


if __name__ == "__main__":
    sys.exit(main())

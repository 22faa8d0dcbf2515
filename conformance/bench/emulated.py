#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""What operations cost on each platform in instructions, and in exits on kvm, where no hardware can tell.

An emulated machine (tests/vm) whose clock counts executed instructions runs ops.c natively, on ptrace and on kvm.
Instructions are those of the whole machine: program, sentry and the machine's kernel with its KVM. An exit counts as
one instruction here and as a thousand cycles or more on hardware. The same run gives the same figures on a busy machine.
"""
import argparse
import os
import re
import sys

sys.dont_write_bytecode = True
HERE = os.path.dirname(os.path.abspath(__file__))
TOP = os.path.dirname(os.path.dirname(HERE))
sys.path.insert(0, os.path.join(TOP, "tests", "vm"))
import machine  # noqa: E402

NS_PER_INSTRUCTION = 2
ENVIRONMENTS = ("native", "ptrace", "kvm")
# Exits for one operation that kvm must not exceed: one for each call, none for mapped memory and the clock.
EXITS_MAX = {"getpid": 1, "clock_gettime": 0, "read_zero_1b": 1, "stat": 1, "open_close": 2, "create_unlink": 3, "pread_4k": 1,
             "pwrite_4k": 1, "epoll_wait_rdy": 1, "mmap_munmap": 2, "anon_fault": 1 / 32, "signal_raise": 2,
             "pipe_pingpong": 4, "unix_pingpong": 4, "futex_pingpong": 4, "cpu_1k_xorshift": 0}
EXITS_SLACK = 0.02  # timers, and pages that a longer run touches for the first time
# Where kvm may take more than ptrace, by paging: at most so many times as much, and why.
KNOWN = {(0, "anon_fault"): (1.25, "the host fills its shadow of eight pages an exit, and ptrace a run of 256 at once")}
UNITS = {"anon_fault": 256}  # operations in one turn, as ops.c has them
OP_NAMES = ("getpid clock_gettime read_zero_1b stat open_close create_unlink pread_4k pwrite_4k epoll_wait_rdy"
            " mmap_munmap anon_fault signal_raise pipe_pingpong unix_pingpong futex_pingpong thread_create fork_wait"
            " exec_wait cpu_1k_xorshift").split()


def parse_args():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--picket", default=os.path.join(TOP, "build", "picket"))
    parser.add_argument("--npt", type=int, choices=(0, 1), default=1)
    parser.add_argument("--batches", type=int, default=3)
    parser.add_argument("--batch-ms", type=int, default=5, help="of the machine's time (default: 5)")
    parser.add_argument("--turns", type=int, default=100, help="for the exits: so many and five times so many")
    parser.add_argument("--seconds", type=int, default=600)
    parser.add_argument("--judge", action="store_true",
                        help="fail where kvm takes more instructions than ptrace, or more exits than it may")
    parser.add_argument("op", nargs="*")
    return parser.parse_args()


def read_figures(text):
    """({environment: {op: instructions}}, {op: (exits, of them by the stub)} of one operation."""
    instructions = {environment: {} for environment in ENVIRONMENTS}
    for environment, op, value in re.findall(r"^@@ ns (\S+) (\S+) ([0-9.]+)$", text, re.M):
        instructions[environment][op] = float(value) / NS_PER_INSTRUCTION
    runs = {}
    for op, count, *counters in re.findall(r"^@@ exits (\S+) (\d+) (\d+) (\d+)$", text, re.M):
        runs.setdefault(op, []).append((int(count), *(int(counter) for counter in counters)))
    exits = {}
    for op, rows in runs.items():
        (count, *few), (more_count, *more) = rows[-2:]
        turns = (more_count - count) * UNITS.get(op, 1)
        exits[op] = tuple((b - a) / turns for a, b in zip(few, more))
    return instructions, exits


def print_table(names, instructions, exits, npt):
    """What is worse than it may be, a line each."""
    print("instructions for one operation; exits of the virtual machine on kvm, of them those of the stub")
    print(f"{'operation':16} {'native':>10} {'ptrace':>10} {'kvm':>10} {'kvm/ptrace':>10} {'exits':>8} {'stub':>8}")
    worse = []
    for name in names:
        row = [instructions[environment].get(name) for environment in ENVIRONMENTS]
        cells = ["-" if value is None else f"{value:.0f}" for value in row]
        ratio = "-"
        if row[1] and row[2]:
            ratio = f"{row[2] / row[1]:.2f}"
            # What neither platform has a part in is equal but for noise.
            bound, reason = KNOWN.get((npt, name), (1.02, ""))
            if row[2] > bound * row[1]:
                worse.append(f"{name}: kvm takes more instructions than ptrace")
            elif row[2] > 1.02 * row[1]:
                ratio += "*"
                print(f"* {name}: {reason}")
        counts = [f"{value:.2f}" for value in exits.get(name, ())] or ["-", "-"]
        if name in exits and exits[name][1] > EXITS_MAX.get(name, 1e9) + EXITS_SLACK:
            worse.append(f"{name}: {counts[1]} exits, {EXITS_MAX[name]:.2f} at most")
        print(f"{name:16} {cells[0]:>10} {cells[1]:>10} {cells[2]:>10} {ratio:>10} {counts[0]:>8} {counts[1]:>8}")
    return worse


def main():
    args = parse_args()
    names = args.op or OP_NAMES
    try:
        machine.check()
        image = machine.Image()
        image.add_program(args.picket, "/bin/picket")
        image.add_program(os.path.join(TOP, "build/conformance/bench/ops"), "/bin/ops")
        image.add_file(os.path.join(HERE, "inside.sh"), "/vm/inside.sh")
        command = ["/vm/inside.sh", str(args.batches), str(args.batch_ms), str(args.turns), *names]
        status, text = machine.boot(image, command, npt=args.npt, counted=True, seconds=args.seconds)
    except machine.Unavailable as reason:
        print(f"SKIP  {reason}")
        return machine.STATUS_SKIP
    instructions, exits = read_figures(text)
    worse = print_table(names, instructions, exits, args.npt)
    for line in text.splitlines():
        if not line.startswith("@@ "):
            print("output: " + line)
    if status == 0 and args.judge:
        missing = [name for name in names if name not in instructions["kvm"] or name not in exits]
        worse += [f"{name}: no figures" for name in missing]
    print("".join(f"worse: {line}\n" for line in worse), end="")
    print(f"{len(names) - len(worse)} passed, {len(worse)} failed, 0 skipped")
    return 1 if status or (args.judge and worse) else 0


if __name__ == "__main__":
    sys.exit(main())

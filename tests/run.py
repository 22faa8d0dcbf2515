#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""make test: every stage in turn, its output in build/test-logs, one line each, and the sum at the end.

A stage's counts come from its last "N passed, N failed, N skipped" line, or from CUnit's summary; a stage
without counts is one check. It fails when a test fails or its command does.
"""
import argparse
import os
import re
import subprocess
import sys
import time

ASAN = ["O=build/asan", "SAN=-fsanitize=address,undefined -fno-sanitize-recover=undefined", "CFLAGS=-O1 -g"]
JOBS = f"-j{os.cpu_count() or 2}"
LOGS = "build/test-logs"


def make(*words):
    return ["make", "-s", JOBS, *words]


STAGES = [
    # name, seconds at most, command
    ("build (gcc)", 1200, make("build")),
    ("build (clang, thread safety)", 1200, make("lint-sleeps")),
    ("lint", 300, make("lint-text", "lint-format", "lint-objects", "lint-fields")),
    ("unit tests", 900, make("-k", "-j1", "unit")),
    ("build (ASan, UBSan)", 1200, make(*ASAN, "unit-build")),
    ("unit tests under ASan and UBSan", 1200, make("-k", "-j1", *ASAN, "unit")),
    ("seeds of the fuzzers", 300, make(*ASAN, "fuzz-replay")),
    ("the fuzzers' canary", 120, make("fuzz-canary")),
    ("spec of the system calls", 60, ["python3", "conformance/check-spec.py", "--complete", "--no-gaps"]),
    ("spec of the control calls", 60, ["python3", "tools/rpc_spec.py"]),
    ("command line", 400, ["python3", "tests/cli/run.py"]),
    ("control calls against live sandboxes", 300, ["python3", "tests/cli/run.py", "spec", "hostile"]),
    ("container engines", 400, ["python3", "tests/cli/run.py", "client", "podman", "containerd"]),
    ("simulator", 600, make("sim")),
    ("conformance on ptrace", 1500, ["conformance/run", "--platform", "ptrace", "--jobs", "2",
                                     "--matrix", "build/conformance/matrix.html"]),
    ("conformance in the simulator, moved", 400, ["python3", "tests/sim_native.py", "build/picket-sim"]),
    ("checkpoint and restore", 300, ["python3", "tests/checkpoint/test.py", "build/picket"]),
    ("kvm in an emulated machine", 600, ["tests/vm/suite", "--seconds", "240", "--budget", "340"]),
]
DIRECT_KVM = ("conformance on kvm", 1500, ["conformance/run", "--no-build", "--platform", "kvm", "--jobs", "2"])
COUNTS = re.compile(r"^(\d+) passed, (\d+) failed(?:, (\d+) skipped)?", re.M)
CUNIT = re.compile(r"^\s+tests\s+(\d+)\s+(\d+)\s+(\d+)\s+(\d+)\s+(\d+)", re.M)


def counts_of(text):
    cunit = CUNIT.findall(text)
    if cunit:
        return (sum(int(row[2]) for row in cunit), sum(int(row[3]) for row in cunit), sum(int(row[4]) for row in cunit))
    found = COUNTS.findall(text)
    return tuple(int(n or 0) for n in found[-1]) if found else None


def has_kvm():
    return os.access("/dev/kvm", os.R_OK | os.W_OK)


def run_stage(name, seconds, command):
    slug = re.sub(r"\W+", "-", name).strip("-")
    log = os.path.join(LOGS, slug + ".txt")
    start = time.monotonic()
    with open(log, "w", encoding="utf-8") as out:
        try:
            code = subprocess.run(command, stdin=subprocess.DEVNULL, stdout=out, stderr=subprocess.STDOUT,
                                  timeout=seconds, check=False).returncode
        except subprocess.TimeoutExpired:
            code = 124
    with open(log, encoding="utf-8", errors="replace") as out:
        text = out.read()
    counts = counts_of(text) or ((1, 0, 0) if code == 0 else (0, 1, 0))
    passed, failed, skipped = counts
    if code != 0 and failed == 0:
        failed = 1
    print(f"{'ok  ' if failed == 0 else 'FAIL'}  {name}: {passed} passed, {failed} failed, {skipped} skipped "
          f"({time.monotonic() - start:.0f} s)", flush=True)
    for line in re.findall(r"^SKIP  .*", text, re.M):
        print(line, flush=True)
    if failed:
        why = "it took too long" if code == 124 else f"exit status {code}"
        print(f"      {why}; {' '.join(command)}; the end of {log}:")
        for line in text.splitlines()[-60:]:
            print("      | " + line)
    return passed, failed, skipped


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--only", metavar="WORD", help="stages whose name has this word")
    args = parser.parse_args()
    os.chdir(os.path.join(os.path.dirname(os.path.abspath(__file__)), ".."))
    os.makedirs(LOGS, exist_ok=True)
    total = [0, 0, 0]
    stages = STAGES + ([DIRECT_KVM] if has_kvm() else [])
    for name, seconds, command in stages:
        if not args.only or args.only in name:
            total = [a + b for a, b in zip(total, run_stage(name, seconds, command))]
    if not has_kvm():
        print("SKIP  kvm on this machine itself: it has no /dev/kvm")
        total[2] += 1
    print(f"{total[0]} passed, {total[1]} failed, {total[2]} skipped")
    return 1 if total[1] else 0


if __name__ == "__main__":
    sys.exit(main())

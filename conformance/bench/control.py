#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Figures of the control socket and of commands that look at a sandbox, side by side with Debian's runsc, and of a pod of
100 containers. Batches take turns; the quickest of many counts, since the machine is shared. Nothing is judged.
"""
import argparse
import json
import os
import shutil
import subprocess
import sys
import tempfile
import time

HERE = os.path.dirname(os.path.abspath(__file__))
TOP = os.path.dirname(os.path.dirname(HERE))
RATE = os.path.join(TOP, "build", "conformance", "bench", "rate")
ID = f"bench{os.getpid()}"


def rate(address, batches, calls, depth=1):
    """Microseconds of a small call in the quickest batch."""
    done = subprocess.run([RATE, address, ID, str(batches), str(calls), str(depth)], capture_output=True, text=True,
                          timeout=120, check=False)
    if done.returncode:
        raise SystemExit(f"bench: {address}: {done.stderr}")
    return float(done.stdout.split()[0])


class Runtime:
    def __init__(self, name, words, folder):
        self.name, self.folder = name, folder
        self.words = [*words, "--root", os.path.join(folder, name)]
        self.bundles = 0

    def call(self, *words):
        """The exit status. What it says is thrown away: a sandbox that has the pipe would keep it open."""
        return subprocess.run([*self.words, *words], stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL,
                              stderr=subprocess.DEVNULL, timeout=60, check=False).returncode

    def ok(self, *words):
        code = self.call(*words)
        if code:
            raise SystemExit(f"bench: {self.name} {' '.join(words)}: exit status {code}")

    def bundle(self, annotations):
        self.bundles += 1
        path = os.path.join(self.folder, f"{self.name}{self.bundles}")
        os.makedirs(path)
        config = {"ociVersion": "1.0.2", "root": {"path": os.path.join(self.folder, "rootfs"), "readonly": True},
                  "process": {"args": ["/bin/sleep", "1000"], "cwd": "/", "env": ["PATH=/bin"], "user": {"uid": 0, "gid": 0}},
                  "linux": {"namespaces": [{"type": kind} for kind in ("pid", "network", "ipc", "uts", "mount")]},
                  "annotations": annotations}
        with open(os.path.join(path, "config.json"), "w", encoding="utf-8") as file:
            json.dump(config, file)
        return path

    def start(self, name, annotations=()):
        """A running container; the milliseconds of `start` alone."""
        self.ok("create", "--bundle", self.bundle(dict(annotations)), name)
        begin = time.monotonic()
        self.ok("start", name)
        return (time.monotonic() - begin) * 1000

    def address(self):
        if self.name == "runsc":
            return "@runsc-sandbox." + ID
        with open(os.path.join(self.folder, self.name, f"{ID}_sandbox:{ID}.state"), encoding="utf-8") as file:
            return json.load(file)["sandbox"]["controlSocketPath"]

    def rate(self, batches, calls, depth=1):
        return rate(self.address(), batches, calls, depth)


def timed(runtime, *words):
    begin = time.monotonic()
    runtime.ok(*words)
    return (time.monotonic() - begin) * 1000


def side_by_side(runtimes, rounds, measure):
    """The smallest figure of each runtime, which take turns."""
    best = {}
    for _ in range(rounds):
        for runtime in runtimes:
            value = measure(runtime)
            best[runtime.name] = min(value, best.get(runtime.name, value))
    return best


def show(what, unit, best):
    line = f"{what:28}{best['picket']:12,.2f} {unit}"
    if "runsc" in best:
        line += f"{best['runsc']:12,.2f} {unit}   runsc/picket {best['runsc'] / best['picket']:6.1f}"
    print(line, flush=True)


def pod(picket, count):
    """Starts of COUNT containers of one sandbox, ms."""
    kind = "io.kubernetes.cri.container-type"
    picket.start("pod", {kind: "sandbox"})
    return [picket.start(f"sub{number}", {kind: "container", "io.kubernetes.cri.sandbox-id": "pod"})
            for number in range(count)]


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--picket", default=os.path.join(TOP, "build", "picket"))
    parser.add_argument("--rounds", type=int, default=10)
    parser.add_argument("--containers", type=int, default=100)
    args = parser.parse_args()
    if os.geteuid() != 0:
        sys.exit("bench: needs root")
    subprocess.run(["make", "-s", "-C", os.path.dirname(HERE), RATE.replace(TOP, "..")], check=True)
    folder = tempfile.mkdtemp(prefix="pcbench.")
    os.makedirs(os.path.join(folder, "rootfs", "bin"))
    shutil.copy("/bin/busybox", os.path.join(folder, "rootfs", "bin", "sleep"))
    runtimes = [Runtime("picket", [args.picket, "--network=none"], folder)]
    if shutil.which("runsc"):
        runtimes.append(Runtime("runsc", ["runsc", "--network=none", "--ignore-cgroups", "--platform=ptrace"], folder))
    starts = []
    try:
        for runtime in reversed(runtimes):  # the abstract name is runsc's, picket has a path
            runtime.start(ID)
        print(f"smallest of {args.rounds} rounds, taking turns; load {os.getloadavg()[0]:.1f}")
        best = side_by_side(runtimes, args.rounds, lambda runtime: runtime.rate(5, 100))
        show("small call, one connection", "us", best)
        floor = min(rate("echo", 5, 100) for _ in range(args.rounds))
        print(f"{'  an answer without a call':28}{floor:12,.2f} us: another process that only echoes")
        best["picket"] = min(runtimes[0].rate(5, 640, 64) for _ in range(args.rounds))
        show("the same, 64 in one write", "us", best)  # to runsc one at a time: it loses calls that come together
        for words in (("state", ID), ("ps", ID), ("list",), ("events", "--stats", ID)):
            show(words[0], "ms", side_by_side(runtimes, args.rounds, lambda runtime: timed(runtime, *words)))
        starts = pod(runtimes[0], args.containers)
        parts = [starts[at:at + 10] for at in range(0, len(starts), 10)]
        print(f"start of each of {len(starts)} subcontainers, ms: first {starts[0]:.1f}, of each ten the least: " +
              " ".join(f"{min(part):.1f}" for part in parts))
    finally:
        for runtime in runtimes:
            runtime.call("delete", "--force", ID)
        for name in [f"sub{number}" for number in range(len(starts) or args.containers)] + ["pod"]:
            if runtimes[0].call("state", name) == 0:
                runtimes[0].call("delete", "--force", name)
        shutil.rmtree(folder, ignore_errors=True)
    return 0


if __name__ == "__main__":
    sys.exit(main())

#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Measures operations, program loads and container life cycles natively, under crun, under runsc
and under picket, interleaved in one run, and prints tables with ratios to native.

Each environment sees the same root (this machine's, read-only) with an empty tmpfs at /tmp. Numbers
of one run belong together: on a shared machine compare ratios, and never figures of two runs.
"""

import argparse
import json
import os
import shutil
import signal
import statistics
import subprocess
import sys
import tempfile
import time

HERE = os.path.dirname(os.path.abspath(__file__))
TOP = os.path.dirname(os.path.dirname(HERE))
OPS = os.path.join(TOP, "build", "conformance", "bench", "ops")
WORKLOADS = os.path.join(HERE, "workloads.sh")
PICKET = os.path.join(TOP, "build", "picket")
ENVIRONMENT = {"PATH": "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin",
               "HOME": "/root", "LC_ALL": "C"}
OP_NAMES = ("getpid clock_gettime read_zero_1b stat open_close create_unlink pread_4k pwrite_4k"
            " epoll_wait_rdy mmap_munmap anon_fault signal_raise pipe_pingpong unix_pingpong"
            " futex_pingpong thread_create fork_wait exec_wait cpu_1k_xorshift"
            " tcp_pingpong").split()
WORKLOAD_NAMES = "find_usr tar_2000 git_500 gcc_o2 python_loop sh_100_true".split()
LIFECYCLE_NAMES = ("run_true_ms", "idle_pss_kib")
INNER = "CONFORMANCE_BENCH_INNER"


def config_for(args, root):
    """An OCI configuration of one process; enough for every runtime here."""
    def tmpfs(path, mode):
        return {"destination": path, "type": "tmpfs", "source": "tmpfs",
                "options": ["nosuid", f"mode={mode}", "size=1g"]}
    return {
        "ociVersion": "1.0.2",
        "process": {"user": {"uid": 0, "gid": 0}, "args": args, "cwd": "/",
                    "env": [f"{key}={value}" for key, value in ENVIRONMENT.items()],
                    "noNewPrivileges": True,
                    "capabilities": {key: ["CAP_CHOWN", "CAP_DAC_OVERRIDE", "CAP_FOWNER",
                                           "CAP_KILL", "CAP_SETUID", "CAP_SETGID"]
                                     for key in ("bounding", "effective", "permitted")}},
        "root": {"path": root, "readonly": True},
        "hostname": "bench",
        "mounts": [{"destination": "/proc", "type": "proc", "source": "proc"},
                   tmpfs("/dev", "755"), tmpfs("/tmp", "1777"),
                   {"destination": "/dev/shm", "type": "tmpfs", "source": "shm",
                    "options": ["nosuid", "mode=1777"]}],
        "linux": {"namespaces": [{"type": kind}
                                 for kind in ("pid", "ipc", "uts", "mount", "network")]},
    }


class Environment:
    """A way to run a program; run() gives what it printed."""

    def __init__(self, name, command, folder):
        self.name = name
        self.command = command  # words before "run --bundle B ID"; None is native
        self.folder = folder
        self.serial = 0
        if command:
            os.makedirs(os.path.join(folder, "state"), exist_ok=True)

    def start(self, args, **options):
        self.serial += 1
        if self.command is None:
            return subprocess.Popen(args, env=ENVIRONMENT, stdin=subprocess.DEVNULL,
                                    start_new_session=True, **options)
        bundle = os.path.join(self.folder, f"bundle{self.serial}")
        os.makedirs(bundle)
        with open(os.path.join(bundle, "config.json"), "w", encoding="utf-8") as file:
            json.dump(config_for(args, os.path.join(os.path.dirname(self.folder), "root")), file)
        words = [word.replace("{state}", os.path.join(self.folder, "state"))
                 for word in self.command]
        return subprocess.Popen(words + ["run", "--bundle", bundle, f"bench-{self.serial}"],
                                env=ENVIRONMENT, stdin=subprocess.DEVNULL,
                                start_new_session=True, **options)

    def run(self, args, timeout):
        """(stdout, complaint or None)"""
        process = self.start(args, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
        try:
            out, err = process.communicate(timeout=timeout)
        except subprocess.TimeoutExpired:
            self.end(process)
            out, err = process.communicate()
            return out, f"killed after {timeout} s"
        if process.returncode:
            last = err.strip().splitlines()[-1:] or ["no message"]
            return out, f"exit status {process.returncode}: {last[0][:300]}"
        return out, None

    def processes(self, process):
        """The pids of a started run: its tree, and what names our folder, with its tree."""
        children = {}
        found = {process.pid}
        for name in os.listdir("/proc"):
            if not name.isdigit():
                continue
            try:
                with open(f"/proc/{name}/stat", encoding="utf-8", errors="replace") as file:
                    parent = int(file.read().rsplit(")", 1)[1].split()[1])
                with open(f"/proc/{name}/cmdline", "rb") as file:
                    words = file.read()
            except OSError:
                continue
            children.setdefault(parent, []).append(int(name))
            if self.command and self.folder.encode() in words:
                found.add(int(name))
        todo = list(found)
        while todo:
            for child in children.get(todo.pop(), []):
                if child not in found:
                    found.add(child)
                    todo.append(child)
        return found

    def pss_kib(self, process):
        total = 0
        for pid in self.processes(process):
            try:
                with open(f"/proc/{pid}/smaps_rollup", encoding="utf-8") as file:
                    total += sum(int(line.split()[1]) for line in file if line.startswith("Pss:"))
            except OSError:
                continue
        return total

    def end(self, process):
        for pid in self.processes(process):
            try:
                os.kill(pid, signal.SIGKILL)
            except OSError:
                continue
        process.wait()


def make_environments(names, folder):
    environments = []
    missing = []
    for name in names:
        own = os.path.join(folder, name)
        if name == "native":
            command = None
        elif name == "crun":
            command = [shutil.which("crun"), "--root", "{state}", "--cgroup-manager=disabled"]
        elif name.startswith("runsc-"):
            command = [shutil.which("runsc"), "--root", "{state}", f"--platform={name[6:]}",
                       "--network=none", "--ignore-cgroups"]
        elif name.startswith("picket-"):
            command = [PICKET if os.path.exists(PICKET) else None, "--root", "{state}",
                       f"--platform={name[7:]}", "--network=none"]
        else:
            sys.exit(f"bench: unknown environment {name}")
        if command and command[0] is None:
            missing.append(f"{name}: the program is not there")
            continue
        environments.append(Environment(name, command, own))
    return environments, missing


class Table:
    def __init__(self, title, unit, names, statistic):
        self.title = title
        self.statistic = statistic
        self.unit = unit
        self.names = names
        self.samples = {}  # (row, environment): [value]

    def add(self, row, environment, value):
        self.samples.setdefault((row, environment), []).append(value)

    def value(self, row, environment):
        values = self.samples.get((row, environment))
        if not values:
            return None
        return min(values) if self.statistic == "min" else statistics.median(values)

    def lines(self, environments):
        base = environments[0]
        others = environments[1:]
        head = f"{self.title:16}{base + ' ' + self.unit:>16}"
        head += "".join(f"{name:>16}{'x':>7}" for name in others)
        yield head
        for row in self.names:
            native = self.value(row, base)
            line = f"{row:16}{self.number(native):>16}"
            for name in others:
                value = self.value(row, name)
                ratio = f"{value / native:.1f}" if value and native else "-"
                line += f"{self.number(value):>16}{ratio:>7}"
            yield line

    @staticmethod
    def number(value):
        if value is None:
            return "-"
        return f"{value:,.1f}" if value < 100 else f"{value:,.0f}"


def measure_ops(environment, args, table, complaints):
    command = [OPS, "--batches", str(args.batches), "--batch-ms", str(args.batch_ms)] + args.ops
    out, complaint = environment.run(command, args.timeout)
    for line in out.splitlines():
        words = line.split()
        if len(words) == 2 and words[0] in OP_NAMES and words[1] != "-":
            table.add(words[0], environment.name, float(words[1]))
    if complaint:
        complaints.append(f"{environment.name}: ops: {complaint}")


def measure_workloads(environment, args, table, facts, complaints):
    for name in args.workloads:
        out, complaint = environment.run(["/bin/bash", WORKLOADS, name], args.timeout)
        words = out.split()
        if complaint or len(words) != 3 or words[0] != name:
            complaints.append(f"{environment.name}: {name}: {complaint or 'printed ' + repr(out)}")
            continue
        if facts.setdefault(name, words[2]) != words[2]:
            complaints.append(f"{environment.name}: {name}: result {words[2]}, not {facts[name]}")
        table.add(name, environment.name, float(words[1]))


def measure_lifecycle(environment, args, table, complaints):
    start = time.monotonic()
    _, complaint = environment.run(["/bin/true"], args.timeout)
    if complaint:
        complaints.append(f"{environment.name}: /bin/true: {complaint}")
        return
    table.add("run_true_ms", environment.name, (time.monotonic() - start) * 1000)
    process = environment.start(["/bin/sh", "-c", "echo ready; exec sleep 100"],
                                stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True)
    try:
        if process.stdout.readline().strip() == "ready":
            time.sleep(0.5)
            table.add("idle_pss_kib", environment.name, environment.pss_kib(process))
    finally:
        environment.end(process)


def enter_private_mounts():
    """Start again in a mount namespace of our own, so that nothing has to be undone."""
    if os.environ.get(INNER):
        return
    os.environ[INNER] = "1"
    os.execvp("unshare", ["unshare", "--mount", "--propagation", "private", sys.executable]
              + [os.path.abspath(__file__)] + sys.argv[1:])


def prepare_mounts(folder):
    root = os.path.join(folder, "root")
    os.makedirs(root)
    subprocess.run(["mount", "--bind", "/", root], check=True)
    subprocess.run(["mount", "-o", "remount,bind,ro", root], check=True)
    # crun wants a pure view of control groups.
    if os.path.ismount("/sys/fs/cgroup/unified"):
        subprocess.run(["umount", "/sys/fs/cgroup/unified"], check=False)
    subprocess.run(["mount", "-t", "tmpfs", "-o", "mode=1777,size=1g", "tmpfs", "/tmp"], check=True)


def remove_folder(folder):
    """Only when this machine's root is surely no longer mounted in it."""
    root = os.path.join(folder, "root")
    subprocess.run(["umount", "--lazy", root], check=False)
    try:
        os.rmdir(root)
    except OSError as error:
        print(f"bench: {folder} is left behind: {error}", file=sys.stderr)
        return
    shutil.rmtree(folder, ignore_errors=True)


def parse_args():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--environments", default="native,crun,runsc-ptrace,picket-ptrace",
                        help="comma-separated: native, crun, runsc-PLATFORM, picket-PLATFORM;"
                             " ratios are to the first")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--batches", type=int, default=7)
    parser.add_argument("--batch-ms", type=int, default=10)
    parser.add_argument("--timeout", type=int, default=300, help="seconds a program may take")
    parser.add_argument("--only", choices=("ops", "workloads", "lifecycle"), action="append")
    parser.add_argument("--ops", nargs="*", default=[], choices=OP_NAMES, metavar="OP")
    parser.add_argument("--workloads", nargs="*", default=WORKLOAD_NAMES, choices=WORKLOAD_NAMES,
                        metavar="NAME")
    parser.add_argument("--statistic", choices=("median", "min"), default="median",
                        help="over the rounds; min for a machine that others use as well")
    parser.add_argument("--json", metavar="FILE", help="all samples")
    return parser.parse_args()


def main():
    args = parse_args()
    if os.geteuid() != 0:
        sys.exit("bench: needs root, for mounts and the runtimes")
    enter_private_mounts()
    subprocess.run(["make", "-s", "-C", os.path.dirname(HERE)], check=True)
    # Opened before /tmp is covered by a mount of our own.
    samples_file = open(args.json, "w", encoding="utf-8") if args.json else None
    folder = tempfile.mkdtemp(prefix="bench.", dir="/var/tmp")
    ops = Table("operation", "ns", args.ops or OP_NAMES, args.statistic)
    workloads = Table("program", "ms", args.workloads, args.statistic)
    lifecycle = Table("life cycle", "", LIFECYCLE_NAMES, args.statistic)
    facts = {}
    try:
        prepare_mounts(folder)
        environments, complaints = make_environments(args.environments.split(","), folder)
        kinds = args.only or ("ops", "workloads", "lifecycle")
        for turn in range(args.rounds):
            for environment in environments:
                print(f"round {turn + 1} of {args.rounds}: {environment.name}", file=sys.stderr)
                if "ops" in kinds:
                    measure_ops(environment, args, ops, complaints)
                if "workloads" in kinds:
                    measure_workloads(environment, args, workloads, facts, complaints)
                if "lifecycle" in kinds:
                    measure_lifecycle(environment, args, lifecycle, complaints)
    finally:
        remove_folder(folder)

    names = [environment.name for environment in environments]
    print(f"{args.statistic} of {args.rounds} rounds, interleaved; load {os.getloadavg()[0]:.1f}")
    for kind, table in (("ops", ops), ("workloads", workloads), ("lifecycle", lifecycle)):
        if kind in kinds:
            print("\n".join([""] + list(table.lines(names))))
    for complaint in complaints:
        print(f"bench: {complaint}")
    if samples_file:
        with samples_file:
            json.dump({f"{row} {name}": values for table in (ops, workloads, lifecycle)
                       for (row, name), values in table.samples.items()}, samples_file, indent=1)
    return 1 if complaints else 0


if __name__ == "__main__":
    sys.exit(main())

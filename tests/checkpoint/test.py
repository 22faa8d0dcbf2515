#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""test.py PICKET: checkpoints and restores a sandbox in which waits.c waits in every way there is, and sees that it
neither notices nor is disturbed when that fails. One line a check, and their sum."""
import json
import os
import shutil
import subprocess
import sys
import tempfile
import time

HERE = os.path.dirname(os.path.abspath(__file__))
SECONDS = 60


class Bench:
    def __init__(self, picket, folder, platform):
        self.folder, self.counts = folder, [0, 0, 0]
        self.root = os.path.join(folder, "root")
        self.command = [picket, "--root", self.root, "--platform", platform, "--network", "sandbox"]
        self.bundle = os.path.join(folder, "bundle")
        os.makedirs(os.path.join(self.bundle, "rootfs", "tmp"))
        os.makedirs(os.path.join(self.bundle, "rootfs", "proc"))
        os.makedirs(self.root)
        subprocess.run(["gcc", "-O1", "-g", "-static", "-D_GNU_SOURCE", "-o", os.path.join(self.bundle, "rootfs", "waits"),
                        os.path.join(HERE, "waits.c"), "-lm", "-lrt"], check=True)

    def configure(self, args, root="rootfs"):
        config = {
            "ociVersion": "1.0.2",
            "process": {"user": {"uid": 0, "gid": 0}, "args": args, "cwd": "/", "env": ["PATH=/usr/bin:/bin", "LC_ALL=C"]},
            "root": {"path": root, "readonly": True},
            "mounts": [{"destination": "/proc", "type": "proc", "source": "proc"},
                       {"destination": "/tmp", "type": "tmpfs", "source": "tmpfs"}],
            "linux": {"namespaces": [{"type": kind} for kind in ("pid", "ipc", "uts", "mount", "network")]},
        }
        with open(os.path.join(self.bundle, "config.json"), "w", encoding="utf-8") as file:
            json.dump(config, file)

    def path(self, name):
        return os.path.join(self.folder, name)

    def picket(self, *words, **options):
        return subprocess.run([*self.command, *words], capture_output=True, text=True, timeout=SECONDS, check=False, **options)

    def start(self, output, *words):
        with open(self.path(output), "wb") as out:
            return subprocess.Popen([*self.command, *words], stdin=subprocess.DEVNULL, stdout=out, stderr=subprocess.STDOUT)

    def text(self, output):
        with open(self.path(output), encoding="utf-8", errors="replace") as file:
            return file.read()

    def await_text(self, output, text):
        end = time.monotonic() + SECONDS
        while text not in self.text(output):
            if time.monotonic() > end:
                return False
            time.sleep(0.01)
        return True

    def check(self, name, holds, *details):
        self.counts[0 if holds else 1] += 1
        print(f"{'ok' if holds else 'not ok'} {name}", flush=True)
        if not holds:
            for detail in details:
                for line in str(detail).splitlines()[-30:]:
                    print("    " + line)

    def finish(self, process):
        try:
            return process.wait(timeout=SECONDS)
        except subprocess.TimeoutExpired:
            process.kill()
            return "no end"

    def clear(self, container):
        self.picket("delete", "--force", container)


def lines(text):
    return [line for line in text.splitlines() if line]


def every_wait(bench):
    """One image holds them all; what is printed before and after is what an undisturbed run prints."""
    bench.configure(["/waits"])
    undisturbed = bench.start("undisturbed", "run", "--bundle", bench.bundle, "u")
    status = bench.finish(undisturbed)
    expected = lines(bench.text("undisturbed"))
    bench.check("undisturbed", status == 0 and expected[-1:] == ["end 0"], status, bench.text("undisturbed"))
    run = bench.start("before", "run", "--bundle", bench.bundle, "w")
    bench.check("all wait", bench.await_text("before", "ready\n"), bench.text("before"))
    done = bench.picket("checkpoint", "--image-path", bench.path("image"), "w")
    bench.check("checkpoint", done.returncode == 0, done.stderr)
    bench.finish(run)
    bench.clear("w")
    before = lines(bench.text("before"))
    restore = bench.start("after", "restore", "--bundle", bench.bundle, "--image-path", bench.path("image"), "r")
    status = bench.finish(restore)
    after = lines(bench.text("after"))
    bench.check("restored to its end", status == 0, status, bench.text("after"))
    for line in expected:
        bench.check(f"restored: {line}", line in before + after, bench.text("after") if line == "end 0" else "")
    bench.clear("r")
    bench.clear("u")


def it_goes_on(bench):
    """With --leave-running the program goes on, and the image can be restored beside it."""
    run = bench.start("left", "run", "--bundle", bench.bundle, "l")
    bench.await_text("left", "ready\n")
    done = bench.picket("checkpoint", "--leave-running", "--image-path", bench.path("left-image"), "l")
    bench.check("checkpoint, leave running", done.returncode == 0, done.stderr)
    status = bench.finish(run)
    bench.check("goes on", status == 0 and lines(bench.text("left"))[-1:] == ["end 0"], status, bench.text("left"))
    restore = bench.start("copy", "restore", "--bundle", bench.bundle, "--image-path", bench.path("left-image"), "c")
    status = bench.finish(restore)
    bench.check("and its copy", status == 0 and lines(bench.text("copy"))[-1:] == ["end 0"], status, bench.text("copy"))
    bench.clear("l")
    bench.clear("c")


SESSIONS = {
    "python3": """
import os, sqlite3, subprocess, sys, threading, time
base = sqlite3.connect(":memory:")
base.execute("create table t(n integer, square integer)")
lock, seen = threading.Lock(), []
def work(start):
    for i in range(start, 40, 4):
        with lock:
            seen.append(i)
        time.sleep(0.05)
threads = [threading.Thread(target=work, args=(i,)) for i in range(4)]
for thread in threads:
    thread.start()
for i in range(20):
    base.execute("insert into t values(?, ?)", (i, i * i))
    print("step", i, base.execute("select sum(square) from t").fetchone()[0], flush=True)
    time.sleep(0.05)
for thread in threads:
    thread.join()
print(sorted(seen) == list(range(40)), subprocess.run(["echo", "child"], capture_output=True).stdout, flush=True)
""",
    "bash": """
declare -A map
exec 7<<< $'one\\ntwo\\nthree'
(while read -r line; do echo "from the pipe: $line"; done < <(for i in 1 2 3 4; do sleep 0.2; echo $i; done)) > /tmp/other &
for i in $(seq 20); do
    map[$i]=$((i * i)); echo "step $i ${map[$i]}"; sleep 0.05
done
read -r first <&7; read -r second <&7; echo "$first $second ${#map[@]}"
wait; cat /tmp/other; seq 100 | sort -rn | head -1
""",
}


def sessions(bench):
    """Interpreters of the machine's own root, broken off in mid-work; together they print what is printed undisturbed."""
    for name, script in SESSIONS.items():
        program = shutil.which(name, path="/usr/bin:/bin")
        if not program:
            bench.counts[2] += 1
            print(f"SKIP  no {name} on this machine")
            continue
        bench.configure([program, "-c", script], root="/")
        whole = bench.start("whole", "run", "--bundle", bench.bundle, "s")
        status = bench.finish(whole)
        bench.check(f"{name} undisturbed", status == 0 and "step 19" in bench.text("whole"), status, bench.text("whole"))
        run = bench.start("first", "run", "--bundle", bench.bundle, "t")
        bench.check(f"{name} is at work", bench.await_text("first", "step 7"), bench.text("first"))
        done = bench.picket("checkpoint", "--image-path", bench.path(name), "t")
        bench.finish(run)
        bench.clear("t")
        restore = bench.start("second", "restore", "--bundle", bench.bundle, "--image-path", bench.path(name), "u")
        status = bench.finish(restore)
        both = bench.text("first") + bench.text("second")
        bench.check(f"{name} goes on where it was", done.returncode == 0 and status == 0 and both == bench.text("whole"),
                    done.stderr, status, both)
        bench.clear("s")
        bench.clear("u")


def bad_images(bench):
    """A damaged or truncated image is refused in one line, and leaves nothing."""
    image = bench.path("image")
    for name in ("checkpoint.img",):
        whole = open(os.path.join(image, name), "rb").read()
        cuts = {"cut in half": whole[:len(whole) // 2], "empty": b"", "cut at its end": whole[:-1]}
        for part in (3, 40, 60, 90):
            place = len(whole) * part // 100
            cuts[f"damaged at {part} %"] = whole[:place] + bytes([whole[place] ^ 0x41]) + whole[place + 1:] if whole else b"x"
        for what, damaged in cuts.items():
            folder = bench.path("bad")
            shutil.rmtree(folder, ignore_errors=True)
            shutil.copytree(image, folder)
            with open(os.path.join(folder, name), "wb") as file:
                file.write(damaged)
            done = bench.picket("restore", "--detach", "--bundle", bench.bundle, "--image-path", folder, "b")
            left = bench.picket("list", "--quiet").stdout.split()
            bench.check(f"{name} {what}", done.returncode != 0 and len(lines(done.stderr)) == 1 and "b" not in left,
                        f"status {done.returncode}", done.stderr, left)
            bench.clear("b")


def failed_checkpoints(bench):
    """A checkpoint that cannot be written leaves no image and a program that goes on."""
    run = bench.start("failed", "run", "--bundle", bench.bundle, "f")
    bench.await_text("failed", "ready\n")
    full = bench.path("full")
    os.makedirs(full)
    mounted = subprocess.run(["mount", "-t", "tmpfs", "-o", "size=8k", "none", full], check=False).returncode == 0
    if mounted:
        done = bench.picket("checkpoint", "--image-path", os.path.join(full, "image"), "f")
        bench.check("no space: told in one line", done.returncode != 0 and len(lines(done.stderr)) == 1, done.returncode, done.stderr)
        left = [os.path.join(folder, name) for folder, _, names in os.walk(full) for name in names]
        bench.check("no space: no image", not left, left)
        subprocess.run(["umount", full], check=False)
    status = bench.finish(run)
    bench.check("and the program goes on", status == 0 and lines(bench.text("failed"))[-1:] == ["end 0"], status,
                bench.text("failed"))
    bench.clear("f")


def main():
    platform = sys.argv[2] if len(sys.argv) > 2 else "ptrace"
    folder = tempfile.mkdtemp(prefix="picket-checkpoint-")
    bench = Bench(os.path.abspath(sys.argv[1]), folder, platform)
    try:
        every_wait(bench)
        it_goes_on(bench)
        sessions(bench)
        bench.configure(["/waits"])
        failed_checkpoints(bench)
        bad_images(bench)
    finally:
        shutil.rmtree(folder, ignore_errors=True)
    print(f"{bench.counts[0]} passed, {bench.counts[1]} failed, {bench.counts[2]} skipped")
    return 1 if bench.counts[1] else 0


if __name__ == "__main__":
    sys.exit(main())

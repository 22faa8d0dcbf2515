# SPDX-License-Identifier: Apache-2.0
"""picket under containerd's runc shim, by `ctr run --runc-binary`. A containerd of our own, in a folder of its own."""
import json
import os
import shutil
import subprocess
import tempfile
import time

from harness import BUSYBOX, Box, Skip, test, wait_until


class Containerd:
    """A containerd with the image `bb`, which is imported as an OCI archive made here."""

    def __init__(self, box):
        for program in ("containerd", "ctr", "containerd-shim-runc-v2"):
            if not shutil.which(program):
                raise Skip(program + " is not installed")
        self.box = box
        self.dir = tempfile.mkdtemp(prefix="pctr-")  # socket addresses are short
        self.socket = os.path.join(self.dir, "s")
        with open(box.path("config.toml"), "w", encoding="utf-8") as file:
            file.write(f'version = 2\nroot = "{self.dir}/root"\nstate = "{self.dir}/state"\n'
                       'disabled_plugins = ["io.containerd.grpc.v1.cri", "io.containerd.snapshotter.v1.overlayfs", '
                       '"io.containerd.snapshotter.v1.btrfs", "io.containerd.snapshotter.v1.zfs", '
                       '"io.containerd.snapshotter.v1.devmapper", "io.containerd.internal.v1.opt"]\n'
                       f'[grpc]\n  address = "{self.socket}"\n[ttrpc]\n  address = "{self.socket}.t"\n')
        with open(box.path("containerd.log"), "wb") as log:
            self.daemon = subprocess.Popen(["containerd", "--config", box.path("config.toml")], stdout=log, stderr=log)
        try:
            wait_until(lambda: self.call("version").returncode == 0, "containerd", 15)
        except AssertionError as why:
            self.close()
            raise Skip("containerd does not start here: " + open(box.path("containerd.log"), encoding="utf-8").read()[-300:]) \
                from why

    def call(self, *words, timeout=40, **more):
        return subprocess.run(["ctr", "--address", self.socket, "--namespace", "picket", *words], capture_output=True,
                              text=True, errors="replace", timeout=timeout, check=False,
                              **{"stdin": subprocess.DEVNULL, **more})

    def run(self, name, *words, flags=(), runtime=None, **more):
        return self.call("run", "--runc-binary", runtime or self.box.program, *flags, "--rootfs", self.box.rootfs, name,
                         *words, **more)

    def ok(self, *words, out=None):
        done = self.call(*words)
        assert done.returncode == 0 and (out is None or done.stdout == out), f"ctr {' '.join(words)}: {done}"
        return done.stdout

    def close(self):
        for line in self.call("task", "list", "-q").stdout.split() if os.path.exists(self.socket) else []:
            self.call("task", "delete", "--force", line)
        for line in self.call("container", "list", "-q").stdout.split() if os.path.exists(self.socket) else []:
            self.call("container", "delete", line)
        self.daemon.terminate()
        try:
            self.daemon.wait(timeout=10)
        except subprocess.TimeoutExpired:
            self.daemon.kill()
            self.daemon.wait()
        shutil.rmtree(self.dir, ignore_errors=True)


def with_containerd(box, body):
    assert BUSYBOX
    daemon = Containerd(box)
    try:
        body(daemon)
    finally:
        daemon.close()
        shutil.rmtree("/run/containerd/runc/picket", ignore_errors=True)


@test
def ctr_run(box: Box):
    """ctr run --rm: output, exit codes, input"""
    def body(ctr):
        done = ctr.run("w0", "/bin/echo", "hi", flags=("--rm",), runtime=shutil.which("crun") or "runc")
        theirs = done.returncode == 0 and done.stdout == "hi\n"
        done = ctr.run("w1", "/bin/sh", "-c", "echo out; exit 7", flags=("--rm",))
        if not theirs and done.stdout != "out\n":
            raise Skip("ctr run works with crun neither: " + done.stderr.strip()[-200:])
        assert done.stdout == "out\n" and done.returncode == 7, done
        done = ctr.run("w2", "/bin/no-such", flags=("--rm",))
        assert done.returncode != 0 and "no such file" in done.stderr, done
    with_containerd(box, body)


@test
def ctr_life(box: Box):
    """ctr run -d; task list, ps, exec, pause, resume, kill, delete; container delete"""
    def body(ctr):
        done = ctr.run("w1", "/bin/sleep", "100", flags=("-d",))
        if done.returncode != 0 and "picket" not in done.stderr:
            raise Skip("ctr run -d: " + done.stderr.strip()[-200:])
        assert done.returncode == 0, done
        assert "RUNNING" in ctr.ok("task", "list")
        assert len(ctr.ok("task", "ps", "w1").splitlines()) == 2
        ctr.ok("task", "exec", "--exec-id", "e1", "w1", "/bin/echo", "inside", out="inside\n")
        done = ctr.call("task", "exec", "--exec-id", "e2", "w1", "/bin/sh", "-c", "exit 5")
        assert done.returncode == 5, done
        ctr.ok("task", "pause", "w1")
        assert "PAUSED" in ctr.ok("task", "list")
        ctr.ok("task", "resume", "w1")
        done = subprocess.Popen(["ctr", "--address", ctr.socket, "--namespace", "picket", "task", "exec", "--exec-id", "e3",
                                 "w1", "/bin/sleep", "101"], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        wait_until(lambda: len(ctr.ok("task", "ps", "w1").splitlines()) == 3, "the exec")
        ctr.ok("task", "kill", "--exec-id", "e3", "--signal", "KILL", "w1")
        assert done.wait(timeout=20) == 137
        ctr.ok("task", "kill", "--signal", "KILL", "w1")
        wait_until(lambda: "STOPPED" in ctr.ok("task", "list"), "the end")
        ctr.call("task", "delete", "w1")
        ctr.ok("container", "delete", "w1")
        assert json.dumps(ctr.ok("task", "list", "-q")) == '""'
        time.sleep(0.1)
    with_containerd(box, body)

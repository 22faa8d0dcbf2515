# SPDX-License-Identifier: Apache-2.0
"""picket as podman's runtime. What podman itself cannot do on this machine is found out with crun and skipped."""
import json
import os
import shutil
import subprocess
import time

from harness import BUSYBOX, Box, Skip, test, wait_until

NAMES = ("sh", "echo", "sleep", "cat", "ls", "id", "true", "stty", "kill", "head", "tail", "hostname", "stat", "df", "touch",
         "ps", "pwd", "chown", "tar", "grep")


class Podman:
    """podman with a store of its own and one image, `bb`."""

    def __init__(self, box):
        if not shutil.which("podman"):
            raise Skip("podman is not installed")
        self.box = box
        self.runtime = box.program
        self.environment = {**os.environ, "XDG_RUNTIME_DIR": box.path("xdg"), "CONTAINERS_CONF": box.path("conf")}
        os.makedirs(box.path("xdg"))
        with open(box.path("conf"), "w", encoding="utf-8") as file:
            file.write('[engine]\nevents_logger = "file"\n')
        image = box.path("image")
        os.makedirs(os.path.join(image, "bin"))
        shutil.copy(BUSYBOX, os.path.join(image, "bin", "busybox"))
        for name in NAMES:
            os.symlink("busybox", os.path.join(image, "bin", name))
        subprocess.run(["tar", "-C", image, "-cf", box.path("image.tar"), "."], check=True)
        done = self.call("import", box.path("image.tar"), "bb")
        if done.returncode != 0:
            raise Skip("podman import does not work here: " + done.stderr.strip()[-200:])

    def call(self, *words, runtime=None, **more):
        whole = ["podman", "--root", self.box.path("store"), "--runroot", self.box.path("run"), "--storage-driver", "vfs",
                 "--cgroup-manager", "cgroupfs", "--runtime", runtime or self.runtime, *words]
        return subprocess.run(whole, capture_output=True, text=True, errors="replace", timeout=60, check=False,
                              env=self.environment, **{"stdin": subprocess.DEVNULL, **more})

    def run(self, *words, **more):
        return self.call("run", "--network", "none", "--ulimit", "nofile=1024:1024", *words, **more)

    def ok(self, *words, out=None, code=0):
        done = self.call(*words)
        assert done.returncode == code, f"podman {' '.join(words)}: {done}"
        assert out is None or done.stdout == out, f"podman {' '.join(words)}: {done}"
        return done.stdout

    def status(self, name):
        return json.loads(self.ok("inspect", name))[0]["State"]["Status"]

    def need(self, *words):
        """Skip unless this works with crun."""
        if shutil.which("crun"):
            done = self.run(*words, runtime="crun")
            if done.returncode != 0:
                raise Skip("podman with crun: " + done.stderr.strip()[-160:])


def with_podman(box, body):
    podman = Podman(box)
    try:
        body(podman)
    finally:
        podman.call("rm", "--all", "--force", "--time", "0")
        subprocess.run(["umount", "-q", box.path("store", "vfs")], check=False, capture_output=True)
        for root in ("/run/runsc", "/var/run/runsc"):
            for name in os.listdir(root) if os.path.isdir(root) else []:
                assert not name.endswith(".state") or box.dir not in open(os.path.join(root, name), encoding="utf-8").read()


@test
def podman_run(box: Box):
    """podman run: output, exit codes, input, 126 and 127, user, environment"""
    def body(podman):
        done = podman.run("--rm", "bb", "/bin/sh", "-c", "echo out; echo err >&2; exit 7")
        assert (done.returncode, done.stdout, done.stderr) == (7, "out\n", "err\n"), done
        assert podman.run("--rm", "-i", "bb", "/bin/cat", stdin=None, input="given\n").stdout == "given\n"
        assert podman.run("--rm", "bb", "/bin/sh", "-c", "kill -9 $$; exit 3").returncode in (3, 137)
        assert podman.run("--rm", "bb", "no-such-program").returncode == 127
        assert podman.run("--rm", "bb", "/etc").returncode == 126
        done = podman.run("--rm", "--user", "5:6", "-e", "A=b", "-w", "/bin", "--hostname", "there", "bb", "/bin/sh", "-c",
                          "id -u; id -g; echo $A; pwd; hostname")
        assert done.stdout == "5\n6\nb\n/bin\nthere\n", done
        assert podman.run("--rm", "--read-only", "bb", "/bin/sh", "-c", "echo x > /new").returncode != 0
    with_podman(box, body)


@test
def podman_life(box: Box):
    """podman run -d, ps, logs, exec, pause, unpause, stats, kill, stop, start, restart, inspect, rm

    Not top and cp of a running container: podman looks for /proc and files in the mount namespace of the pid that it was
    told, and a sandbox's has an empty root."""
    def body(podman):
        script = "trap 'echo caught; exit 4' TERM; echo started; while :; do sleep 0.1; done"
        done = podman.run("-d", "--name", "one", "bb", "/bin/sh", "-c", script)
        assert done.returncode == 0, done
        wait_until(lambda: podman.ok("logs", "one") == "started\n", "the log")
        assert "Up" in podman.ok("ps"), podman.ok("ps")
        podman.ok("exec", "one", "echo", "inside", out="inside\n")
        podman.ok("exec", "one", "/bin/sh", "-c", "exit 5", code=5)
        podman.ok("exec", "-e", "A=b", "-w", "/bin", "-u", "9", "one", "/bin/sh", "-c", "echo $A $(pwd) $(id -u)",
                  out="b /bin 9\n")
        podman.ok("exec", "-t", "one", "/bin/sh", "-c", "test -t 0 && echo yes", out="yes\n")
        podman.ok("exec", "-d", "one", "sleep", "1")
        podman.ok("exec", "one", "no-such", code=127)
        podman.ok("pause", "one")
        assert podman.status("one") == "paused"
        podman.ok("unpause", "one")
        assert podman.status("one") == "running"
        podman.ok("stop", "--time", "10", "one")
        assert podman.ok("logs", "one") == "started\ncaught\n"
        assert json.loads(podman.ok("inspect", "one"))[0]["State"]["ExitCode"] == 4
        podman.ok("start", "one")
        assert "one" in podman.ok("stats", "--no-stream", "one")
        podman.ok("restart", "--time", "0", "one")
        assert podman.status("one") == "running"
        podman.ok("kill", "--signal", "KILL", "one")
        wait_until(lambda: podman.status("one") == "exited", "the end")
        assert json.loads(podman.ok("inspect", "one"))[0]["State"]["ExitCode"] == 137
        podman.ok("rm", "one")
        assert podman.ok("ps", "-a", "-q") == ""
    with_podman(box, body)


@test
def podman_stop_kills(box: Box):
    """podman stop of a program that ignores TERM; rm --force of one that runs; wait"""
    def body(podman):
        assert podman.run("-d", "--name", "one", "bb", "sleep", "100").returncode == 0
        start = time.monotonic()
        podman.ok("stop", "--time", "1", "one")
        assert time.monotonic() - start < 15
        assert json.loads(podman.ok("inspect", "one"))[0]["State"]["ExitCode"] == 137
        podman.ok("rm", "one")
        assert podman.run("-d", "--name", "two", "bb", "/bin/sh", "-c", "sleep 0.5; exit 6").returncode == 0
        podman.ok("wait", "two", out="6\n")
        podman.ok("rm", "two")
        assert podman.run("-d", "--name", "three", "bb", "sleep", "100").returncode == 0
        podman.ok("rm", "--force", "--time", "0", "three")
    with_podman(box, body)


@test
def podman_terminal_and_volumes(box: Box):
    """podman run -t; volumes; several containers"""
    def body(podman):
        done = podman.run("--rm", "-t", "bb", "/bin/sh", "-c", "test -t 0 && echo terminal")
        assert done.stdout == "terminal\n", done
        os.makedirs(box.path("volume"))
        done = podman.run("--rm", "-v", box.path("volume") + ":/v", "bb", "/bin/sh", "-c", "echo kept > /v/file")
        assert done.returncode == 0, done
        with open(box.path("volume", "file"), encoding="utf-8") as file:
            assert file.read() == "kept\n"
        for name in ("a", "b"):
            assert podman.run("-d", "--name", name, "bb", "sleep", "100").returncode == 0
        assert len(podman.ok("ps", "-q").split()) == 2
    with_podman(box, body)


@test
def podman_checkpoint(box: Box):
    """podman container checkpoint and restore"""
    def body(podman):
        if not shutil.which("criu"):
            raise Skip("podman wants criu installed before it asks the runtime")
        assert podman.run("-d", "--name", "one", "bb", "sleep", "100").returncode == 0
        podman.ok("container", "checkpoint", "one")
        podman.ok("container", "restore", "one")
        assert podman.status("one") == "running"
    with_podman(box, body)


@test
def podman_everyday_flags(box: Box):
    """what crun prints for the flags that people use, and picket as well"""
    def body(podman):
        os.makedirs(box.path("volume"))
        with open(box.path("volume", "f"), "w", encoding="utf-8") as file:
            file.write("kept\n")
        volume = box.path("volume") + ":/v"
        rows = (
            (("-v", volume + ":ro"), "cat /v/f; echo > /v/g", 1, "kept\n"),
            (("-v", box.path("volume", "f") + ":/etc/given:ro"), "cat /etc/given", 0, "kept\n"),
            (("--mount", "type=tmpfs,destination=/m"), "touch /m/x; ls /m", 0, "x\n"),
            (("--tmpfs", "/t:size=1m,mode=700"), "stat -c %a /t; df -k /t | grep -c 1024", 0, "700\n1\n"),
            (("--read-only",), "echo 2> /dev/null > /x; echo > /tmp/y; ls /tmp", 0, "y\n"),
            (("--cap-drop", "all"), "grep CapEff /proc/self/status; chown 5 /bin", 1, "CapEff:\t0000000000000000\n"),
            (("--cap-drop", "chown"), "chown 5 /bin", 1, ""),
            (("--security-opt", "no-new-privileges"), "grep NoNew /proc/self/status", 0, "NoNewPrivs:\t1\n"),
            (("--pids-limit", "4"), "for i in 1 2 3 4 5; do sleep 20 & done; wait", 2, ""),
            (("--pids-limit", "20"), "for i in 1 2 3 4 5; do sleep 0.1 & done; wait; echo all", 0, "all\n"),
            (("--ulimit", "nofile=77:78"), "ulimit -n; ulimit -Hn", 0, "77\n78\n"),
            (("--shm-size", "2m"), "df -k /dev/shm | grep -c 2048", 0, "1\n"),
            (("--umask", "077"), "umask; touch /a; stat -c %a /a", 0, "0077\n600\n"),
            (("--oom-score-adj", "100"), "cat /proc/self/oom_score_adj", 0, "100\n"),
            (("--user", "77:78", "--group-add", "9"), "id -u; id -g; id -G", 0, "77\n78\n78 9\n"),
            (("--memory", "64m"), "cat /sys/fs/cgroup/memory/memory.limit_in_bytes", 0, "67108864\n"),
        )
        for flags, script, code, out in rows:
            done = podman.run("--rm", *flags, "bb", "/bin/sh", "-c", script)
            assert (done.returncode, done.stdout) == (code, out), (flags, done)
        done = podman.run("-d", "--name", "one", "--health-cmd", "test -e /ok", "--health-interval", "disable", "bb",
                          "sleep", "100")
        assert done.returncode == 0, done
        podman.ok("healthcheck", "run", "one", code=1)
        podman.ok("exec", "one", "touch", "/ok")
        podman.ok("healthcheck", "run", "one")
        assert "sleep 100" in podman.ok("top", "one", "-ef")
        assert "new" in podman.ok("exec", "-i", "one", "sh", "-c", "touch /new; tar -C / -cf - new")
        podman.ok("rm", "--force", "--time", "0", "one")
    with_podman(box, body)

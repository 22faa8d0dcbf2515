# SPDX-License-Identifier: Apache-2.0
"""Debian's runsc package as a client of a live picket sandbox: records, sockets and calls as it knows them."""
import json
import os
import re
import shutil
import socket
import subprocess
import time

from harness import Box, Skip, is_alive, test, wait_until

RUNSC = shutil.which("runsc")


def client(box, *words, code=0, timeout=30):
    if not RUNSC:
        raise Skip("runsc is not installed")
    done = subprocess.run([RUNSC, "--root", box.root, *words], stdin=subprocess.DEVNULL, capture_output=True, text=True,
                          errors="replace", timeout=timeout, check=False)
    assert code is None or done.returncode == code, f"runsc {' '.join(words)}: {done}"
    return done.stdout


@test
def looks(box: Box):
    """runsc state, list, ps, events --stats, usage"""
    client(box, "--version")
    box.running("one", "sleep", "100")
    state = json.loads(client(box, "state", "one"))
    assert state["status"] == "running" and state["pid"] == box.state("one")["pid"], state
    assert "running" in client(box, "list")
    assert json.loads(client(box, "ps", "-format", "json", "one")) == [1]
    assert client(box, "ps", "one").splitlines()[1].split()[-1] == "sleep"
    assert json.loads(client(box, "events", "-stats", "one"))["data"]["pids"]["current"] == 1
    assert json.loads(client(box, "usage", "one"))["Total"] > 0
    assert json.loads(client(box, "usage", "-full", "one"))["Total"] > 0
    box.ok("delete", "--force", "one")


@test
def debugging(box: Box):
    """runsc debug --stacks, --ps, --strace, --log-level; trace procfs, list"""
    client(box, "--version")
    box.running("one", "sleep", "100")
    assert "task 1 sleep" in client(box, "debug", "--stacks", "one")
    assert "sleep" in client(box, "debug", "--ps", "one")
    client(box, "debug", "--strace=all", "--log-level=debug", "one")
    assert "SESSIONS (0)" in client(box, "trace", "list", "one")
    done = subprocess.run([RUNSC, "--root", box.root, "trace", "procfs", "one"], capture_output=True, text=True, timeout=30,
                          check=False)
    box.ok("delete", "--force", "one")
    if "is not supported" in done.stderr:
        raise Skip("ProcfsDump is not served yet")
    line = json.loads(done.stdout.splitlines()[-1])
    assert line["exe"].endswith("busybox") and line["status"]["pid"] == 1, line


@test
def execs(box: Box):
    """runsc exec: output, status, user, cwd, detached"""
    client(box, "--version")
    box.running("one", "sleep", "100")
    assert client(box, "exec", "one", "echo", "from there") == "from there\n"
    client(box, "exec", "one", "sh", "-c", "exit 9", code=9)
    assert client(box, "exec", "-user", "1000:5", "-cwd", "/tmp", "one", "sh", "-c", "id -u; pwd") == "1000\n/tmp\n"
    client(box, "exec", "-detach", "-pid-file", box.path("pid"), "one", "sleep", "2")
    assert client(box, "exec", "one", "no-such-program", code=None) == ""
    box.ok("exec", "one", "true")
    box.ok("delete", "--force", "one")
    pid = int(open(box.path("pid"), encoding="utf-8").read())
    wait_until(lambda: not is_alive(pid), "the end of runsc's waiter")


@test
def changes(box: Box):
    """runsc pause, resume, kill, wait and delete, and picket on the record that they wrote"""
    client(box, "--version")
    box.running("one", "sleep", "100")
    client(box, "pause", "one")
    assert box.status("one") == "paused"
    client(box, "resume", "one")
    assert box.status("one") == "running"
    box.ok("exec", "one", "true")
    waiting = subprocess.Popen([RUNSC, "--root", box.root, "wait", "one"], stdout=subprocess.PIPE, text=True)
    time.sleep(0.5)
    client(box, "kill", "one", "KILL")
    out, _ = waiting.communicate(timeout=20)
    assert re.search(r'"exitStatus": ?137', out), out
    wait_until(lambda: box.status("one") == "stopped", "the end")
    box.ok("delete", "one")


@test
def created_and_started(box: Box):
    """runsc start on a container that picket created; picket delete"""
    client(box, "--version")
    box.created("one", "sleep", "100")
    started = subprocess.run([RUNSC, "--root", box.root, "--network=none", "start", "one"], capture_output=True, text=True,
                             timeout=30, check=False)
    if started.returncode != 0:
        box.ok("delete", "--force", "one")
        raise Skip("runsc start: " + started.stderr.strip()[:200])
    assert box.status("one") == "running"
    box.ok("delete", "--force", "one")


@test
def checkpoints(box: Box):
    """runsc checkpoint, and picket restore of the image"""
    client(box, "--version")
    bundle = box.bundle("sleep", "100")
    box.ok("run", "--detach", "--bundle", bundle, "one")
    client(box, "checkpoint", "-image-path", box.path("image"), "one")
    wait_until(lambda: box.status("one") == "stopped", "the end")
    box.ok("delete", "--force", "one")
    box.ok("restore", "--detach", "--image-path", box.path("image"), "--bundle", bundle, "two")
    box.ok("delete", "--force", "two")


@test
def port_forward(box: Box):
    """runsc port-forward to a server inside"""
    client(box, "--version")
    box.running("one", "sh", "-c", "while :; do echo inside | nc -l -p 8080; done")
    time.sleep(0.3)
    served = box.run("exec", "one", "sh", "-c", "grep -q 1F90 /proc/net/tcp").code == 0
    if not served:
        box.ok("delete", "--force", "one")
        raise Skip("no internet sockets inside yet")
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    child = subprocess.Popen([RUNSC, "--root", box.root, "port-forward", "one", f"{port}:8080"], stdout=subprocess.PIPE,
                             stderr=subprocess.STDOUT, text=True)
    try:
        def fetch():
            try:
                with socket.create_connection(("127.0.0.1", port), 5) as peer:
                    peer.settimeout(5)
                    return peer.recv(100)
            except OSError:
                return b""
        got = wait_until(fetch, "an answer", 10)
        assert got == b"inside\n", got
    except AssertionError as why:
        child.kill()
        text = child.communicate()[0]
        if "not supported" in text:
            raise Skip("PortForward is not served yet") from why
        raise AssertionError(text) from why
    finally:
        child.kill()
        child.wait()
        box.ok("delete", "--force", "one")


@test
def records(box: Box):
    """the record has the names and members that such a client reads"""
    box.running("one", "sleep", "100")
    record = box.record("one")
    for name in ("id", "spec", "bundleDir", "createdAt", "owner", "consoleSocket", "status", "goferPid", "sandbox",
                 "compatCgroup", "saver"):
        assert name in record, name
    assert record["saver"] == {"rootDir": box.root, "id": {"sandboxId": "one", "containerId": "one"}}, record["saver"]
    assert sorted(os.listdir(box.root)) == ["one_sandbox:one.lock", "one_sandbox:one.state", "runsc-one.sock"]
    with socket.socket(socket.AF_UNIX) as old:
        old.connect("\0runsc-sandbox.one\0")
        old.sendall(b'{"method":"containerManager.Signal","arg":{"CID":"one","Signo":0,"PID":0,"Mode":0}}')
        assert json.loads(old.recv(4096)) == {"success": True, "err": "", "result": {}}
    box.ok("delete", "--force", "one")

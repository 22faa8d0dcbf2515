# SPDX-License-Identifier: Apache-2.0
"""Debian's runsc package as a client of a live picket sandbox: records, sockets and calls as it knows them."""
import contextlib
import json
import os
import re
import shutil
import socket
import subprocess
import sys

from harness import TREE, Box, Skip, is_alive, read, test, wait_until, write

sys.path.insert(0, os.path.join(TREE, "tools"))
import rpc_spec  # noqa: E402

RUNSC = shutil.which("runsc")
ONE, TWO = f"one-{os.getpid()}", f"two-{os.getpid()}"  # the client's abstract name has no folder: ids of our own


SEEN = {}  # the methods that a sandbox was asked for while runsc ran: the tests' names


def logged(box):
    """Flags for create: the sandbox notes each call."""
    os.makedirs(box.path("logs"), exist_ok=True)
    return ("--debug", "--debug-log", box.path("logs") + "/")


def calls(box):
    found = []
    for name in sorted(os.listdir(box.path("logs"))) if os.path.isdir(box.path("logs")) else []:
        if name.endswith(".boot.txt"):
            found += re.findall(r"controller\] call (\S+)", read(box.path("logs", name)))
    return found


@contextlib.contextmanager
def watched(box, test_name):
    """While it lasts nobody but runsc calls."""
    before = len(calls(box))
    yield
    for method in calls(box)[before:]:
        SEEN.setdefault(method, set()).add(test_name)


def client(box, *words, code=0, timeout=30):
    if not RUNSC:
        raise Skip("runsc is not installed")
    with watched(box, sys._getframe(1).f_code.co_name):
        done = subprocess.run([RUNSC, "--root", box.root, *words], stdin=subprocess.DEVNULL, capture_output=True, text=True,
                              errors="replace", timeout=timeout, check=False)
    assert code is None or done.returncode == code, f"runsc {' '.join(words)}: {done}"
    return done.stdout


@test
def looks(box: Box):
    """runsc state, list, ps, events --stats, usage, usage --fd"""
    client(box, "--version")
    box.running(ONE, "sleep", "100", flags=logged(box))
    state = json.loads(client(box, "state", ONE))
    assert state["status"] == "running" and state["pid"] == box.state(ONE)["pid"], state
    assert "running" in client(box, "list")
    assert json.loads(client(box, "ps", "-format", "json", ONE)) == [1]
    assert client(box, "ps", ONE).splitlines()[1].split()[-1] == "sleep"
    assert json.loads(client(box, "events", "-stats", ONE))["data"]["pids"]["current"] == 1
    assert json.loads(client(box, "usage", ONE))["Total"] > 0
    assert json.loads(client(box, "usage", "-full", ONE))["Total"] > 0
    assert re.match(r"Mapped \[0 [1-9]\d* ", client(box, "usage", "-fd", ONE))  # its own format string is broken
    box.ok("delete", "--force", ONE)


@test
def debugging(box: Box):
    """runsc debug --stacks, --ps, --strace, --log-level"""
    client(box, "--version")
    box.running(ONE, "sleep", "100", flags=logged(box))
    assert "task 1 sleep" in client(box, "debug", "--stacks", ONE)
    assert "sleep" in client(box, "debug", "--ps", ONE)
    client(box, "debug", "--strace=all", "--log-level=debug", ONE)
    box.ok("delete", "--force", ONE)


@test
def traces(box: Box):
    """runsc trace procfs, create, list, delete"""
    client(box, "--version")
    box.running(ONE, "sleep", "100", flags=logged(box))
    line = json.loads(client(box, "trace", "procfs", ONE).splitlines()[-1])
    assert line["exe"].endswith("busybox") and line["status"]["pid"] == 1, line
    assert "SESSIONS (0)" in client(box, "trace", "list", ONE)
    config = write(box.path("trace.json"), json.dumps({"trace_session": {
        "name": "Default", "points": [{"name": "container/start"}, {"name": "syscall/openat/enter"}],
        "sinks": [{"name": "remote", "config": {"endpoint": box.path("sink")}}]}}))  # it needs a sink with a descriptor
    collector = box.start("trace", "collect", box.path("sink"), stdout=-1)
    wait_until(lambda: os.path.exists(box.path("sink")), "the collector")
    client(box, "trace", "create", "-config", config, ONE)
    assert "SESSIONS (1)" in client(box, "trace", "list", ONE)
    box.ok("exec", ONE, "cat", "/etc/passwd")
    client(box, "trace", "delete", "-name", "Default", ONE)
    collector.terminate()
    assert "/etc/passwd" in collector.communicate(timeout=20)[0]
    assert "SESSIONS (0)" in client(box, "trace", "list", ONE)
    box.ok("delete", "--force", ONE)


@test
def profiles(box: Box):
    """runsc debug --profile-cpu, -heap, -block, -mutex, --trace: files are written"""
    client(box, "--version")
    box.running(ONE, "sleep", "100", flags=("--profile",) + logged(box))
    for flag in ("profile-cpu", "profile-heap", "profile-block", "profile-mutex", "trace"):
        client(box, "debug", f"--{flag}={box.path(flag)}", "--duration=100ms", "--delay=1ms", ONE)
        assert os.path.getsize(box.path(flag)) > 0, flag
    box.ok("delete", "--force", ONE)


@test
def control_files(box: Box):
    """runsc read-control, write-control"""
    client(box, "--version")
    box.running(ONE, "sleep", "100", flags=logged(box))
    assert client(box, "read-control", ONE, "pids", "/", "pids.current").strip() == "1"
    client(box, "write-control", ONE, "pids", "/", "pids.max", "50")
    assert client(box, "read-control", ONE, "pids", "/", "pids.max").strip() == "50"
    box.ok("delete", "--force", ONE)


@test
def execs(box: Box):
    """runsc exec: output, status, user, cwd, detached"""
    client(box, "--version")
    box.running(ONE, "sleep", "100", flags=logged(box))
    assert client(box, "exec", ONE, "echo", "from there") == "from there\n"
    client(box, "exec", ONE, "sh", "-c", "exit 9", code=9)
    assert client(box, "exec", "-user", "1000:5", "-cwd", "/tmp", ONE, "sh", "-c", "id -u; pwd") == "1000\n/tmp\n"
    client(box, "exec", "-detach", "-pid-file", box.path("pid"), ONE, "sleep", "2")
    assert client(box, "exec", ONE, "no-such-program", code=None) == ""
    box.ok("exec", ONE, "true")
    box.ok("delete", "--force", ONE)
    pid = int(open(box.path("pid"), encoding="utf-8").read())
    wait_until(lambda: not is_alive(pid), "the end of runsc's waiter")


@test
def changes(box: Box):
    """runsc pause, resume, kill, wait and delete, and picket on the record that they wrote"""
    client(box, "--version")
    box.running(ONE, "sleep", "100", flags=logged(box))
    client(box, "pause", ONE)
    assert box.status(ONE) == "paused"
    client(box, "resume", ONE)
    assert box.status(ONE) == "running"
    box.ok("exec", ONE, "true")
    with watched(box, "changes"):
        waiting = subprocess.Popen([RUNSC, "--root", box.root, "wait", ONE], stdout=subprocess.PIPE, text=True)
        wait_until(lambda: calls(box)[-1] == "containerManager.Wait", "the wait")
    client(box, "kill", ONE, "KILL")
    out, _ = waiting.communicate(timeout=20)
    assert re.search(r'"exitStatus": ?137', out), out
    wait_until(lambda: box.status(ONE) == "stopped", "the end")
    box.ok("delete", ONE)


@test
def created_and_started(box: Box):
    """runsc start on a container that picket created; picket delete"""
    client(box, "--version")
    box.created(ONE, "sleep", "100", flags=logged(box))
    client(box, "--network=none", "start", ONE)
    assert box.status(ONE) == "running"
    box.ok("delete", "--force", ONE)


@test
def subcontainers(box: Box):
    """runsc kill and delete on the second container of a sandbox, which goes on"""
    client(box, "--version")

    def pod(config):
        config["annotations"] = {"io.kubernetes.cri.container-type": "sandbox"}

    def second(config):
        config["annotations"] = {"io.kubernetes.cri.container-type": "container", "io.kubernetes.cri.sandbox-id": ONE}
    box.running(ONE, "sleep", "100", flags=logged(box), change=pod)
    box.running(TWO, "sleep", "100", change=second)
    assert json.loads(client(box, "ps", "-format", "json", TWO)) == [1]
    client(box, "kill", "--all", TWO, "KILL")
    wait_until(lambda: box.status(TWO) == "stopped", "the end of one container")
    client(box, "delete", TWO)
    assert box.status(ONE) == "running"
    box.ok("delete", "--force", ONE)


@test
def checkpoints(box: Box):
    """runsc checkpoint, and picket restore of the image"""
    client(box, "--version")
    bundle = box.bundle("sleep", "100")
    box.ok("run", "--detach", "--bundle", bundle, ONE, flags=logged(box))
    client(box, "checkpoint", "-image-path", box.path("image"), ONE)
    wait_until(lambda: box.status(ONE) == "stopped", "the end")
    box.ok("delete", "--force", ONE)
    box.ok("restore", "--detach", "--image-path", box.path("image"), "--bundle", bundle, TWO)
    box.ok("delete", "--force", TWO)


@test
def port_forward(box: Box):
    """runsc port-forward, which the package has not; so containerManager.PortForward by picket port-forward"""
    box.running(ONE, "sh", "-c", "while :; do echo inside | nc -l -p 8080; done")
    wait_until(lambda: box.run("exec", ONE, "grep", "-q", "1F90", "/proc/net/tcp", "/proc/net/tcp6").code == 0, "the server")
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    child = box.start("port-forward", ONE, f"{port}:8080")

    def fetch():
        try:
            with socket.create_connection(("127.0.0.1", port), 5) as peer:
                peer.settimeout(5)
                return peer.recv(100)
        except OSError:
            return b""
    try:
        assert wait_until(fetch, "an answer", 10) == b"inside\n"
    finally:
        child.kill()
        child.wait()
    if RUNSC:
        done = subprocess.run([RUNSC, "--root", box.root, "port-forward", ONE, f"{port}:8080"], capture_output=True,
                              text=True, timeout=20, check=False)
        assert "PortForward" not in done.stderr, done  # a package that can: the lines above should use it
    box.ok("delete", "--force", ONE)


@test
def records(box: Box):
    """the record has the names and members that such a client reads"""
    box.running(ONE, "sleep", "100", flags=logged(box))
    record = box.record(ONE)
    for name in ("id", "spec", "bundleDir", "createdAt", "owner", "consoleSocket", "status", "goferPid", "sandbox",
                 "compatCgroup", "saver"):
        assert name in record, name
    assert record["saver"] == {"rootDir": box.root, "id": {"sandboxId": ONE, "containerId": ONE}}, record["saver"]
    assert set(os.listdir(box.root)) == {f"runsc-{ONE}.sock", f"{ONE}_sandbox:{ONE}.lock", f"{ONE}_sandbox:{ONE}.state"}
    with socket.socket(socket.AF_UNIX) as old:
        old.connect(f"\0runsc-sandbox.{ONE}\0")
        old.sendall(f'{{"method":"containerManager.Signal","arg":{{"CID":"{ONE}","Signo":0,"PID":0,"Mode":0}}}}'.encode())
        assert json.loads(old.recv(4096)) == {"success": True, "err": "", "result": {}}
    box.ok("delete", "--force", ONE)


@test
def what_runsc_called(box: Box):
    """the rows `client` of spec/rpc-cases.yaml: each method was asked for in the test that the row names, and no other"""
    client(box, "--version")
    rows = {row["method"]: row["test"] for row in rpc_spec.load("rpc-cases.yaml")["client"]}
    if not set(rows.values()) <= set.union(set(), *SEEN.values()):
        raise Skip("the tests that call were not all run")
    for method, name in rows.items():
        assert name in SEEN.get(method, ()), f"{method} was not called in {name}, but in {SEEN.get(method)}"
    assert set(SEEN) <= set(rows), f"rows are missing: {({method: sorted(SEEN[method]) for method in set(SEEN) - set(rows)})}"

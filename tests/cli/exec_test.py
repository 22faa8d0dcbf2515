# SPDX-License-Identifier: Apache-2.0
"""exec: from flags and from a process object, attached and detached, with descriptors."""
import json
import os
import signal
import time

from harness import Box, is_alive, read, test, wait_until, write


@test
def exec_from_flags(box: Box):
    """exec: output, exit status, cwd, env, user, groups, capabilities"""
    box.running("one", "sleep", "100", env=["PATH=/bin", "FROM=container"])
    box.run("exec", "one", "sh", "-c", "echo out; echo err >&2; exit 4").want(4, out="out\n", err="err\n")
    box.run("exec", "one", "sh", "-c", "kill -9 $$").want(137)
    box.run("exec", "one", "cat", text="a\nb\n").want(out="a\nb\n")
    box.run("exec", "--cwd", "/data", "one", "pwd").want(out="/data\n")
    box.run("exec", "--env", "A=1", "-e", "B=2", "one", "sh", "-c", "echo $A $B $FROM").want(out="1 2 container\n")
    box.run("exec", "--env", "FROM=exec", "one", "sh", "-c", "echo $FROM").want(out="exec\n")
    box.run("exec", "--user", "1000:7", "one", "sh", "-c", "id -u; id -g").want(out="1000\n7\n")
    box.run("exec", "-u", "1000", "one", "id", "-u").want(out="1000\n")
    box.run("exec", "--additional-gids", "5", "--additional-gids", "6", "one", "id", "-G").want(out="0 5 6\n")
    box.run("exec", "--cap", "CAP_KILL", "one", "grep", "CapPrm", "/proc/self/status").want(
        out="CapPrm:\t0000000000000020\n")
    box.run("exec", "--user", "who", "one", "true").want(128)
    box.run("exec", "--cap", "CAP_WHAT", "one", "true").want(128)
    box.run("exec", "--env", "NOVALUE", "one", "true").want(128, line="*invalid variable: NOVALUE")
    box.ok("delete", "--force", "one")


@test
def exec_failures(box: Box):
    """exec of what is not there: one line, 128, and the container goes on"""
    box.running("one", "sleep", "100")
    box.run("exec", "one", "no-such").want(128, line="*no-such*")
    box.run("exec", "one", "/etc/passwd").want(128, line="*permission denied*")
    box.run("exec", "--cwd", "/no-such", "one", "true").want(128, line="*")
    box.run("exec", "one").want(128, line="usage*")
    box.run("exec", "other", "true").want(128, line="loading container*does not exist")
    box.ok("exec", "one", "true")
    box.ok("delete", "--force", "one")


@test
def exec_process_object(box: Box):
    """exec --process: an OCI process object, whose environment is its own alone"""
    box.running("one", "sleep", "100", env=["PATH=/bin", "FROM=container"])

    def process(**members):
        text = {"args": ["sh", "-c", "echo $A-$FROM $(pwd) $(id -u)"], "cwd": "/data", "env": ["PATH=/bin", "A=b"],
                "user": {"uid": 1000, "gid": 1000}, **members}
        return write(box.path("process.json"), json.dumps(text))

    box.run("exec", "--process", process(), "one").want(out="b- /data 1000\n")
    box.run("exec", "-p", process(), "one").want(out="b- /data 1000\n")
    box.run("exec", "--process", process(cwd="data"), "one").want(128, line="*cwd*")
    box.run("exec", "--process", process(args=[]), "one").want(128, line="*args*")
    box.run("exec", "--process", process(args="x"), "one").want(128, line="*")
    box.run("exec", "--process", write(box.path("bad"), "{"), "one").want(128, line="*")
    box.run("exec", "--process", box.path("none"), "one").want(128, line="*no such file or directory*")
    box.ok("delete", "--force", "one")


@test
def exec_detached(box: Box):
    """exec --detach: the pid file's process stands for it: signals pass, its death kills, its code comes through"""
    box.running("one", "sleep", "100")

    def detached(*words):
        box.ok("exec", "--detach", "--pid-file", box.path("pid"), "--internal-pid-file", box.path("inner"), "one", *words)
        return int(read(box.path("pid"))), int(read(box.path("inner")))

    def is_inside(inner):
        return inner in json.loads(box.ok("ps", "--format", "json", "one").out)

    pid, inner = detached("sleep", "101")
    assert is_alive(pid) and is_inside(inner)
    os.kill(pid, signal.SIGTERM)
    wait_until(lambda: not is_alive(pid), "the end of the waiter")
    assert not is_inside(inner)
    pid, inner = detached("sleep", "102")
    os.kill(pid, signal.SIGKILL)
    wait_until(lambda: not is_inside(inner), "the end of the process")
    pid, inner = detached("sh", "-c", "sleep 0.3")
    wait_until(lambda: not is_alive(pid), "the end of the waiter")
    pid, inner = detached("sleep", "103")
    box.ok("kill", "--pid", str(inner), "one", "9")
    wait_until(lambda: not is_alive(pid), "the end of the waiter")
    pid, inner = detached("sleep", "104")
    box.ok("delete", "--force", "one")
    wait_until(lambda: not is_alive(pid), "the end of the waiter")


@test
def exec_returns_at_once(box: Box):
    """a detached exec keeps none of its caller's pipes but the process's own"""
    box.running("one", "sleep", "100")
    start = time.monotonic()
    read_end, write_end = os.pipe()
    child = box.start("exec", "--detach", "one", "sleep", "100", stdout=-1, pass_fds=(write_end,))
    os.close(write_end)
    assert child.wait(timeout=20) == 0
    assert os.read(read_end, 1) == b"" and time.monotonic() - start < 10
    os.close(read_end)
    box.ok("delete", "--force", "one")
    assert child.stdout.read() == ""


@test
def exec_writes_to_a_file(box: Box):
    """output to a file opened by the caller appends after the caller's own"""
    box.running("one", "sleep", "100")
    words = " ".join(box.words("exec", "one", "echo", "middle"))
    os.system(f"(echo first; {words}; echo last) > {box.path('all')} 2>&1")
    assert read(box.path("all")) == "first\nmiddle\nlast\n"
    box.ok("delete", "--force", "one")


@test
def passed_descriptors(box: Box):
    """--pass-fd of run and exec"""
    write(box.path("file"), "passed\n")
    fd = os.open(box.path("file"), os.O_RDONLY)
    box.run("run", "--pass-fd", f"{fd}:7", "--bundle", box.bundle("sh", "-c", "cat <&7"), "x", pass_fds=(fd,)).want(
        out="passed\n")
    box.running("one", "sleep", "100")
    os.lseek(fd, 0, os.SEEK_SET)
    box.run("exec", "--pass-fd", f"{fd}:5", "one", "sh", "-c", "cat <&5", pass_fds=(fd,)).want(out="passed\n")
    box.run("exec", "--pass-fd", "99:5", "one", "true").want(128, line="*descriptor 99*")
    box.run("exec", "--pass-fd", "x", "one", "true").want(128, line="*")
    os.close(fd)
    box.ok("delete", "--force", "one")


@test
def attached_exec_passes_signals_on(box: Box):
    """a signal to an attached exec reaches its process"""
    box.running("one", "sleep", "100")
    child = box.start("exec", "one", "sh", "-c", "trap 'exit 6' USR1; echo up; while :; do sleep 0.05; done", stdout=-1)
    assert child.stdout.readline() == "up\n"
    child.send_signal(signal.SIGUSR1)
    assert child.wait(timeout=20) == 6
    box.ok("delete", "--force", "one")


@test
def exec_ends_with_its_container(box: Box):
    """an exec whose container is killed says how its process ended"""
    box.running("one", "sleep", "100")
    child = box.start("exec", "one", "sleep", "101", stderr=-1)
    wait_until(lambda: len(json.loads(box.ok("ps", "--format=json", "one").out)) == 2, "the second process")
    box.ok("kill", "one", "KILL")
    assert child.wait(timeout=20) in (128, 137)
    wait_until(lambda: box.status("one") == "stopped", "the end")
    box.ok("delete", "one")

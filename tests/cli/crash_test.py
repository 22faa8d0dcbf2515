# SPDX-License-Identifier: Apache-2.0
"""kill -9 of any process at some moments; then `delete --force` clears everything."""
import os
import signal
import time

from harness import Box, command_line, is_alive, test, wait_until


def sandbox_and_gofer(box, name):
    record = box.record(name)
    return record["sandbox"]["pid"], record["goferPid"]


@test
def sandbox_killed(box: Box):
    """the sandbox, created, running, paused and with an exec"""
    for state in ("created", "running", "paused", "exec"):
        box.created("one", "sh", "-c", "sleep 101 & sleep 102")
        child = None
        if state != "created":
            box.ok("start", "one")
        if state == "paused":
            box.ok("pause", "one")
        if state == "exec":
            child = box.start("exec", "one", "sleep", "103", stderr=-1)
            time.sleep(0.2)
        os.kill(sandbox_and_gofer(box, "one")[0], signal.SIGKILL)
        if child:
            assert child.wait(timeout=20) == 128
        wait_until(lambda: box.status("one") == "stopped", f"the end ({state})")  # dying takes a moment
        box.ok("delete", "--force", "one")
        left = box.left()
        assert not left, (state, left)


@test
def gofer_killed(box: Box):
    """the gofer: the sandbox does not hang, and delete clears both"""
    for state in ("created", "running"):
        box.created("one", "sh", "-c", "while :; do cat /etc/passwd /bin/busybox > /dev/null; done 2> /dev/null")
        if state == "running":
            box.ok("start", "one")
        os.kill(sandbox_and_gofer(box, "one")[1], signal.SIGKILL)
        if state == "created":
            done = box.run("start", "one", timeout=15)
            assert done.code in (0, 128), done
        time.sleep(0.2)
        box.run("state", "one").want(0)
        box.run("exec", "one", "true", timeout=15)
        box.ok("delete", "--force", "one", timeout=15)
        left = box.left()
        assert not left, (state, left)


@test
def stub_killed(box: Box):
    """a process that holds programs' memory"""
    box.running("one", "sh", "-c", "while :; do :; done")
    sandbox, gofer = sandbox_and_gofer(box, "one")
    others = [pid for pid in box.processes() if pid not in (sandbox, gofer)]
    if others:
        os.kill(others[-1], signal.SIGKILL)
        time.sleep(0.3)
    box.ok("delete", "--force", "one", timeout=20)


@test
def commands_killed(box: Box):
    """create, start, exec and delete themselves, at moments from their first to their last"""
    bundle = box.bundle("sleep", "100")
    for step in range(12):
        delay = step * 0.004
        child = box.start("create", "--bundle", bundle, "one")
        time.sleep(delay)
        child.kill()
        child.wait()
        box.ok("delete", "--force", "one")
        left = box.left()
        assert not left, (f"create killed after {delay} s", left)
    for words in (["start", "one"], ["exec", "--detach", "one", "sleep", "100"], ["exec", "one", "sleep", "100"],
                  ["delete", "--force", "one"], ["run", "--bundle", bundle, "two"], ["pause", "one"]):
        for delay in (0.002, 0.008, 0.03, 0.1):
            if words[0] != "run":
                box.ok("create", "--bundle", bundle, "one")
            if words[0] not in ("start", "run"):
                box.ok("start", "one")
            child = box.start(*words, stderr=-1)
            time.sleep(delay)
            child.kill()
            child.wait()
            for name in ("one", "two"):
                box.ok("delete", "--force", name)
            left = box.left()
            assert not left, (f"{' '.join(words)} killed after {delay} s", left)


@test
def exec_waiters_killed(box: Box):
    """a detached exec's waiter and its guard, in either order"""
    for order in (0, 1):
        box.running("one", "sleep", "100")
        before = set(box.processes())
        box.ok("exec", "--detach", "one", "sleep", "101")
        waiters = wait_until(lambda: [pid for pid in box.processes() if pid not in before and " exec " in command_line(pid)],
                             "the waiter")
        os.kill(waiters[0 if order == 0 else -1], signal.SIGKILL)
        if order == 0:
            wait_until(lambda: box.ok("ps", "--format=json", "one").out == "[1]\n", "the end of its process")
        box.ok("delete", "--force", "one")
        wait_until(lambda: not any(is_alive(pid) for pid in waiters), "the end of the waiters")


@test
def do_killed(box: Box):
    """do leaves neither process nor folder when it is killed"""
    child = box.start("do", "sleep", "100")
    time.sleep(0.3)
    child.kill()
    child.wait()
    wait_until(lambda: not box.processes(), "the end of its processes")


@test
def cgroups_of_the_killed(box: Box):
    """cgroups go with delete --force, whichever process was killed, and whenever"""
    def change(config):
        config["linux"]["cgroupsPath"] = f"/{box.cgroup}"
    bundle = box.bundle("sh", "-c", "sleep 101 & sleep 102", change=change)
    words = ["create", "--bundle", bundle, "one"]
    for state in ("created", "running"):
        for victim in (0, 1):
            box.ok(*words)
            if state == "running":
                box.ok("start", "one")
            os.kill(sandbox_and_gofer(box, "one")[victim], signal.SIGKILL)
            box.ok("delete", "--force", "one")
            left = box.left()
            assert not left, (state, victim, left)
    for step in range(25):
        child = box.start(*words)
        time.sleep(step * 0.002)
        child.kill()
        child.wait()
        box.ok("delete", "--force", "one")
        left = box.left()
        assert not left, (f"create killed after {step * 2} ms", left)
    for step in range(6):
        box.ok(*words)
        child = box.start("delete", "--force", "one")
        time.sleep(step * 0.003)
        child.kill()
        child.wait()
        box.ok("delete", "--force", "one")
        left = box.left()
        assert not left, (f"delete killed after {step * 3} ms", left)

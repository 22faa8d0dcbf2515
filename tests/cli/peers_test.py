# SPDX-License-Identifier: Apache-2.0
"""Faults that other runtimes were seen to have, and flags of engines that no other test passes: what is better here."""
import json
import os
import shutil
import signal
import subprocess

from harness import Box, Skip, is_alive, read, test, wait_until, write


def engine(box, *words, code=0, **more):
    return box.run(*words, **more).want(code)


@test
def inherited_files_keep_one_offset(box: Box):
    """a regular file as standard output is shared with the caller: nothing is overwritten, before, inside, or after"""
    bundle = box.bundle("sh", "-c", "echo inside; echo inside too; sleep 0.1; echo last")
    words = " ".join(box.words("run", "--bundle", bundle, "one"))
    for mode in (">", ">>"):
        path = write(box.path("out"), "")
        done = subprocess.run(["sh", "-c", f"(echo before; {words}; echo after) {mode} {path}"], stdin=subprocess.DEVNULL,
                              stderr=subprocess.PIPE, text=True, timeout=30, check=False)
        assert done.returncode == 0, done
        assert read(path) == "before\ninside\ninside too\nlast\nafter\n", read(path)
    box.running("one", "sleep", "100")
    words = " ".join(box.words("exec", "one", "sh", "-c", "'echo inside; echo error >&2'"))
    path = box.path("out2")
    subprocess.run(["sh", "-c", f"(echo before; {words}; echo after) > {path} 2>&1"], stdin=subprocess.DEVNULL, check=True,
                   timeout=30)
    assert read(path) == "before\ninside\nerror\nafter\n", read(path)
    box.ok("delete", "--force", "one")


@test
def inherited_input_is_read_where_it_is(box: Box):
    """a regular file as standard input goes on where the caller was, and the caller goes on behind it"""
    path = write(box.path("in"), "one\ntwo\nthree\nfour\n")
    bundle = box.bundle("sh", "-c", "dd bs=1 count=4 2> /dev/null")
    words = " ".join(box.words("run", "--bundle", bundle, "one"))
    done = subprocess.run(["sh", "-c", f"read a; {words}; cat"], stdin=open(path, "rb"), stdout=subprocess.PIPE, text=True,
                          timeout=30, check=False)
    assert done.stdout == "two\nthree\nfour\n", done


@test
def nobody_waits_by_polling(box: Box):
    """delete of a running container, and kill and delete, sleep in no clock: they wait for what ends"""
    strace = shutil.which("strace")
    if not strace:
        raise Skip("strace is not installed")
    for words in (["delete", "--force", "one"], ["run", "--bundle", None, "two"]):
        bundle = box.bundle("true")
        if words[0] == "delete":
            box.running("one", "sleep", "100")
        words = [bundle if word is None else word for word in words]
        trace = box.path("trace-" + words[0])
        done = subprocess.run([strace, "-e", "trace=nanosleep,clock_nanosleep,poll,ppoll,select,pselect6,epoll_wait", "-o",
                               trace, *box.words(*words)], stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL,
                              stderr=subprocess.PIPE, text=True, timeout=60, check=False)
        if "ptrace" in done.stderr:
            raise Skip("strace does not work here: " + done.stderr[:100])
        assert done.returncode == 0, done
        lines = read(trace).splitlines()
        assert not [line for line in lines if "nanosleep(" in line], lines
        timed_out = [line for line in lines if "= 0 (Timeout)" in line]
        assert len(timed_out) <= 1, timed_out


@test
def checkpoint_of_a_paused_container(box: Box):
    """it is saved, stays paused with --leave-running, and the command ends although the program goes on writing"""
    box.running("one", "sh", "-c", "while :; do echo x; sleep 0.02; done", flags=())
    box.ok("pause", "one")
    box.ok("checkpoint", "--image-path", box.path("a"), "--leave-running", "one")
    assert box.status("one") == "paused"
    box.ok("resume", "one")
    done = box.ok("checkpoint", "--image-path", box.path("b"), "--leave-running", "one")
    assert done.out == "", done
    box.ok("exec", "one", "true")
    box.ok("pause", "one")
    box.ok("checkpoint", "--image-path", box.path("c"), "one")
    wait_until(lambda: box.status("one") == "stopped", "the end")
    box.ok("delete", "one")


@test
def a_detached_exec_ends_with_its_host_process(box: Box):
    """TERM and KILL to the pid of its pid file end the process; its own end ends the host process with its status"""
    box.running("one", "sleep", "100")
    for signo in (signal.SIGTERM, signal.SIGKILL):
        box.ok("exec", "--detach", "--pid-file", box.path("pid"), "one", "sh", "-c", "sleep 101 & wait")
        pid = int(read(box.path("pid")))
        os.kill(pid, signo)
        wait_until(lambda: not is_alive(pid), "the end of the host process")
        wait_until(lambda: '"cmd": "sh"' not in box.ok("debug", "--ps", "one").out, "the end inside")
    box.ok("delete", "--force", "one")


@test
def preserved_descriptors(box: Box):
    """create and exec --preserve-fds N: descriptors from 3 on arrive"""
    for command in ("create", "exec"):
        read_end, write_end = os.pipe()
        script = "echo passed >&3; sleep 100"
        if command == "create":
            words = box.words("create", "--preserve-fds", "1", "--bundle", box.bundle("sh", "-c", script), "one")
        else:
            box.running("one", "sleep", "100")
            words = box.words("exec", "--detach", "--preserve-fds", "1", "one", "sh", "-c", f"'{script}'")
        line = " ".join(words)  # the shell puts the pipe at 3
        subprocess.run(["bash", "-c", f"exec 3>&{write_end}; exec {line}"], stdin=subprocess.DEVNULL,
                       stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, pass_fds=[write_end], timeout=30, check=True)
        os.close(write_end)
        if command == "create":
            box.ok("start", "one")
        assert os.read(read_end, 100) == b"passed\n"
        os.close(read_end)
        box.ok("delete", "--force", "one")


@test
def runtime_flags_before_everything(box: Box):
    """podman --runtime-flag a=b comes as --a=b first of all, and its clean-up's delete does not have it"""
    bundle = box.bundle("sleep", "100")
    engine(box, "--debug=false", "--network=none", "--log-format=json", "--log", box.path("log"), "create", "--bundle", bundle,
           "--pid-file", box.path("pid"), "one")
    engine(box, "--debug=false", "--network=none", "start", "one")
    engine(box, "--debug=false", "--network=none", "kill", "one", "9")
    wait_until(lambda: box.status("one") == "stopped", "the end")
    engine(box, "delete", "--force", "one")


@test
def rarer_lines_of_the_shim(box: Box):
    """--debug, ps --format table with options, events --interval, run, checkpoint with every flag, update by standard input"""
    first = ["--debug", "--log", box.path("log.json"), "--log-format", "json"]
    bundle = box.bundle("sleep", "100")
    engine(box, *first, "run", "--detach", "--bundle", bundle, "--pid-file", box.path("pid"), "--no-pivot", "w1")
    assert "sleep" in engine(box, *first, "ps", "--format", "table", "w1", "-ef").out
    child = box.start(*first, "events", "--interval=1s", "w1", stdout=subprocess.PIPE)
    assert json.loads(child.stdout.readline())["type"] == "stats"
    child.terminate()
    child.wait()
    engine(box, *first, "update", "--resources", "-", "w1", text='{"pids":{"limit":60}}')
    engine(box, *first, "checkpoint", "--image-path", box.path("i"), "--work-path", box.path("w"), "--leave-running",
           "--tcp-established", "--ext-unix-sk", "--shell-job", "--file-locks", "--manage-cgroups-mode", "soft", "--empty-ns",
           "network", "w1")
    engine(box, *first, "kill", "--all", "w1", "9")
    wait_until(lambda: box.status("w1") == "stopped", "the end")
    engine(box, *first, "delete", "w1")

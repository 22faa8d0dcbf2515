# SPDX-License-Identifier: Apache-2.0
"""Terminals: console sockets, the caller's own terminal, keys, window sizes, hang-up."""
import json
import os
import signal
import termios

from harness import Box, ConsoleSocket, is_alive, on_terminal, read, test, wait_until, write


def wait_status(pid):
    return os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])


@test
def console_of_a_container(box: Box):
    """create --console-socket: the terminal's master comes before create ends; keys and sizes work"""
    console = ConsoleSocket(box.path("s"))
    bundle = box.bundle("sh", terminal=True, consoleSize={"height": 30, "width": 90}, env=["PATH=/bin", "PS1=@> "])
    box.ok("create", "--bundle", bundle, "--console-socket", console.path, "one")
    terminal = console.terminal()
    box.ok("start", "one")
    terminal.expect("@> ")
    terminal.send("test -t 0 && test -t 2 && stty size\n")
    terminal.expect("30 90")
    termios.tcsetwinsize(terminal.master, (40, 100))
    terminal.send("stty size\n")
    terminal.expect("40 100")
    terminal.send("sleep 100\n")
    wait_until(lambda: "sleep" in box.ok("ps", "one").out, "sleep")
    terminal.send("\x03")
    terminal.expect("@> ")
    terminal.send("exit 3\n")
    wait_until(lambda: box.status("one") == "stopped", "the end")
    terminal.close()
    console.close()
    box.ok("delete", "one")


@test
def console_of_an_exec(box: Box):
    """exec --console-socket and --tty, detached, as conmon and the shim call it"""
    box.running("one", "sleep", "100")
    console = ConsoleSocket(box.path("s"))
    box.ok("exec", "--detach", "--tty", "--console-socket", console.path, "--pid-file", box.path("pid"), "one", "sh",
           "-c", "test -t 1 && echo $((1+1)) up; read line; echo got $line; sleep 100")
    terminal = console.terminal()
    terminal.expect("2 up")
    terminal.send("word\n")
    terminal.expect("got word")
    wait_until(lambda: box.ok("ps", "one").out.count("sleep") == 2, "sleep")
    terminal.send("\x03")
    pid = int(read(box.path("pid")))
    wait_until(lambda: not is_alive(pid), "the end after ^C")
    terminal.close()
    process = {"terminal": True, "args": ["sh", "-c", "test -t 0 && echo termi''nal"], "cwd": "/",
               "env": ["PATH=/bin"], "user": {"uid": 0, "gid": 0}}
    path = write(box.path("p.json"), json.dumps(process))
    box.ok("exec", "--detach", "--process", path, "--console-socket", console.path, "one")
    terminal = console.terminal()
    terminal.expect("terminal")
    terminal.close()
    console.close()
    box.ok("delete", "--force", "one")


@test
def the_callers_terminal(box: Box):
    """run and exec --tty on a terminal: job control inside, settings put back"""
    bundle = box.bundle("sh", terminal=True, env=["PATH=/bin", "PS1=@> "])
    pid, terminal = on_terminal(box.words("run", "--bundle", bundle, "one"))
    before = termios.tcgetattr(terminal.master)
    terminal.expect("@> ")
    terminal.send("stty -echo; stty size\n")
    terminal.expect("24 80")
    terminal.send("sleep 100\n")
    wait_until(lambda: "sleep" in box.ok("ps", "one").out, "sleep")
    terminal.send("\x1a")
    terminal.expect("Stopped")
    terminal.send("kill -9 %1; wait; exit 5\nexit 5\n")
    assert wait_status(pid) == 5
    assert termios.tcgetattr(terminal.master) == before, "settings of the terminal"
    terminal.close()
    box.running("two", "sleep", "100")
    pid, terminal = on_terminal(box.words("exec", "--tty", "two", "sh", "-c", "stty raw; echo $((1+1)) up; read -n 1 x; exit 6"))
    terminal.expect("2 up")
    terminal.send("x")
    assert wait_status(pid) == 6
    terminal.close()
    box.ok("delete", "--force", "two")


@test
def hang_up(box: Box):
    """the master's close hangs the container up"""
    console = ConsoleSocket(box.path("s"))
    bundle = box.bundle("sh", "-c", "trap 'exit 8' HUP; echo up; while :; do sleep 0.1; done", terminal=True)
    box.ok("create", "--bundle", bundle, "--console-socket", console.path, "one")
    terminal = console.terminal()
    box.ok("start", "one")
    waiting = box.start("wait", "one", stdout=-1)
    terminal.expect("up")
    terminal.close()
    assert json.loads(waiting.communicate(timeout=20)[0])["exitStatus"] == 8
    console.close()
    box.ok("delete", "one")


@test
def nobody_reads(box: Box):
    """a terminal that nobody reads does not hold the sandbox up"""
    console = ConsoleSocket(box.path("s"))
    box.ok("create", "--bundle", box.bundle("yes", terminal=True), "--console-socket", console.path, "one")
    terminal = console.terminal()
    box.ok("start", "one")
    terminal.expect("y")
    box.ok("exec", "one", "true", timeout=10)
    box.ok("kill", "one", "KILL", timeout=10)
    wait_until(lambda: box.status("one") == "stopped", "the end")
    box.ok("delete", "one")
    terminal.close()
    console.close()


@test
def no_console_socket_there(box: Box):
    """a console socket that nobody listens on: one line, nothing left"""
    bundle = box.bundle("sh", terminal=True)
    box.run("create", "--bundle", bundle, "--console-socket", box.path("none"), "one").want(128, line="*console socket*")
    box.running("two", "sleep", "100")
    box.run("exec", "--tty", "--detach", "--console-socket", box.path("none"), "two", "sh").want(
        128, line="*console socket*")
    box.ok("ps", "--format=json", "two").want(out="[1]\n")
    box.ok("delete", "--force", "two")


@test
def killed_before_its_terminal(box: Box):
    """kill -9 of an attached run on a terminal ends the container"""
    bundle = box.bundle("sh", terminal=True, env=["PATH=/bin", "PS1=@> "])
    pid, terminal = on_terminal(box.words("run", "--bundle", bundle, "one"))
    terminal.expect("@> ")
    os.kill(pid, signal.SIGKILL)
    assert wait_status(pid) == -9
    wait_until(lambda: box.status("one") == "stopped", "the end")
    terminal.close()
    box.ok("delete", "one")

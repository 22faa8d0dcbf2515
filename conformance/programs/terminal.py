#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""People at a terminal: shells driven through a pseudo terminal. Speaks the TAP of tour.sh.

What is shown are answers awaited by name, never the raw screen, so that timing leaves no trace.
"""

import fnmatch
import os
import pty
import re
import select
import signal
import sys
import termios
import time
import traceback

WAIT_S = 20
PROMPT = "@> "


class Terminal:
    """A program on a terminal of its own."""

    def __init__(self, *argv, rows=24, columns=80):
        self.pid, self.master = pty.fork()
        if self.pid == 0:
            os.environ.clear()
            os.environ.update(PATH="/usr/bin:/bin", HOME="/tmp", TERM="dumb", LC_ALL="C",
                              PS1=PROMPT, HISTFILE="/dev/null")
            os.execvp(argv[0], argv)
        termios.tcsetwinsize(self.master, (rows, columns))
        self.seen = ""

    def send(self, text):
        os.write(self.master, text.encode())

    def expect(self, pattern):
        """The first group (or all) of the pattern when it appears; what was before is dropped."""
        end = time.monotonic() + WAIT_S
        while not (match := re.search(pattern, self.seen)):
            left = end - time.monotonic()
            if left <= 0 or not select.select([self.master], [], [], left)[0]:
                raise AssertionError(f"{pattern!r} did not come, but {self.seen[-300:]!r}")
            try:
                self.seen += os.read(self.master, 4096).decode("utf-8", "replace")
            except OSError as error:
                raise AssertionError(f"{pattern!r} did not come before the end, but "
                                     f"{self.seen[-300:]!r}") from error
        self.seen = self.seen[match.end():]
        return match.group(1) if match.groups() else match.group(0)

    def command(self, text, pattern):
        """Type a line; the answer is looked for behind its echo."""
        self.send(text + "\n")
        self.expect(re.escape(text) + r"\r+\n")
        answer = self.expect(pattern)
        self.expect(PROMPT)
        return answer

    def interrupt(self):
        """Control-C; what is typed behind it too early would be flushed with the rest."""
        time.sleep(0.3)
        self.send("\x03")
        self.expect(PROMPT)

    def close(self):
        os.close(self.master)
        os.waitpid(self.pid, 0)


def bash():
    terminal = Terminal("bash", "--norc", "--noprofile", "--noediting", "-i")
    terminal.expect(PROMPT)
    return terminal


def run_bash_jobs():
    shell = bash()
    shell.send("sleep 100 &\n")
    yield shell.expect(r"\[1\] \d+")[:3]
    shell.expect(PROMPT)
    yield shell.command("jobs", r"\[1\]\+\s+Running\s+sleep 100")
    shell.send("sleep 200\n")
    time.sleep(0.3)
    shell.send("\x1a")
    yield shell.expect(r"(\[2\]\+\s+Stopped\s+sleep 200)")
    shell.expect(PROMPT)
    yield shell.command("bg %2", r"\[2\]\+ sleep 200 &")
    yield shell.command("kill %1; wait %1; echo status $?", r"status (\d+)")
    shell.send("fg %2\n")
    shell.expect("sleep 200\r")
    shell.interrupt()
    yield shell.command("echo status $?", r"status (\d+)")
    yield shell.command("jobs; echo none", r"none")
    shell.close()


def run_bash_interrupt():
    shell = bash()
    shell.send("while :; do :; done\n")
    shell.interrupt()
    yield shell.command("echo status $?", r"status (\d+)")
    shell.send("cat | cat\n")
    time.sleep(0.3)
    shell.send("line\n")
    yield shell.expect(r"line\r+\nline\r+\n") and "echoed"
    shell.interrupt()
    yield shell.command("echo status $?", r"status (\d+)")
    shell.send("bash -c \"trap 'echo caught; exit' INT; echo began;"
               " while :; do sleep 0.05; done\"\n")
    shell.expect(r"\nbegan")
    shell.send("\x03")
    yield shell.expect(r"(caught)\r")
    shell.close()


def run_end_of_input():
    shell = bash()
    shell.send("cat > /dev/null; echo after $?\n")
    time.sleep(0.2)
    shell.send("text\n\x04")
    yield shell.expect(r"after (\d)\r")
    shell.send("\x04")
    yield shell.expect("exit")
    _, status = os.waitpid(shell.pid, 0)
    yield os.waitstatus_to_exitcode(status)
    os.close(shell.master)


def run_window():
    shell = bash()
    yield shell.command("stty size", r"(\d+ \d+)\r")
    # In a shell of its own, which then is in the foreground group that is told.
    shell.send("bash -c \"trap 'stty size' WINCH; echo began; while :; do sleep 0.05; done\"\n")
    shell.expect(r"\nbegan")
    termios.tcsetwinsize(shell.master, (50, 132))
    yield shell.expect(r"\n(50 132)\r")
    shell.close()


def run_settings():
    shell = bash()
    yield shell.command("stty -a | grep -o -e '-*icanon' -e '-*isig'| xargs", r"(-?isig.*)\r")
    yield shell.command("tty | sed 's/[0-9]/N/g'", r"(/dev/\S+)\r")
    shell.send("stty -echo; read -r secret; stty echo; echo \"<$secret>\"\n")
    time.sleep(0.3)
    shell.send("hidden\n")
    yield shell.expect(r"<(\w+)>")
    yield shell.command("stty raw; printf 'a\\nb'; stty sane", r"(a\nb)") and "raw"
    shell.close()


def run_hangup():
    shell = bash()
    shell.send("trap 'echo x > hung' HUP; echo ready; while :; do sleep 0.05; done\n")
    shell.expect(r"\nready")
    os.close(shell.master)
    end = time.monotonic() + WAIT_S
    while not os.path.exists("hung") and time.monotonic() < end:
        time.sleep(0.02)
    yield os.path.exists("hung")
    os.kill(shell.pid, signal.SIGKILL)
    os.waitpid(shell.pid, 0)


def run_background_reader():
    shell = bash()
    shell.send("cat &\n")
    yield shell.expect(r"\[1\] \d+")[:3]
    shell.expect(PROMPT)
    time.sleep(0.3)
    yield shell.command("jobs", r"\[1\]\+\s+Stopped\s+cat")
    shell.send("fg\n")
    shell.expect(r"\ncat\r")
    time.sleep(0.2)
    shell.send("now\n")
    yield shell.expect(r"now\r\nnow\r") and "read"
    shell.send("\x04")
    shell.expect(PROMPT)
    yield shell.command("echo status $?", r"status (\d+)")
    shell.close()


def run_python_prompt():
    prompt = Terminal("/usr/bin/python3", "-q", "-E")
    prompt.expect(">>> ")
    prompt.send("sum(range(10))\n")
    yield prompt.expect(r"\n(45)\r")
    prompt.send("while True: pass\n\n")
    time.sleep(0.3)
    prompt.send("\x03")
    yield prompt.expect("KeyboardInterrupt")
    prompt.send("exit(3)\n")
    yield os.waitstatus_to_exitcode(os.waitpid(prompt.pid, 0)[1])


def run_line_editing():
    shell = Terminal("bash", "--norc", "--noprofile", "-i")
    shell.expect(PROMPT)
    shell.send("echo wxng\x1b[D\x1b[D\x1b[D\x7fro\x1b[C\n")
    yield shell.expect(r"\n(\w+)\r")
    shell.send("echo fi\x01\x1b[C\x05rst\n")
    yield shell.expect(r"\n(first)\r")
    shell.send("\x1b[A\n")
    yield shell.expect(r"\n(first)\r")
    shell.close()


def main():
    cases = {name[4:]: value for name, value in globals().items() if name.startswith("run_")}
    if sys.argv[1:] == ["--list"]:
        print("\n".join(f"terminal/{name}" for name in cases))
        return 0
    wanted = [name for name in cases
              if not sys.argv[1:] or any(fnmatch.fnmatchcase(name, glob) for glob in sys.argv[1:])]
    print(f"TAP version 13\n1..{len(wanted)}", flush=True)
    for number, name in enumerate(wanted, 1):
        pid = os.fork()
        if pid == 0:
            os._exit(execute(name, cases[name]))
        status = os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])
        print(f"{'not ok' if status else 'ok'} {number} - terminal/{name}", flush=True)
    return 0


def execute(name, case):
    signal.alarm(90)
    folder = f"/tmp/terminal.{os.getpid()}"
    os.mkdir(folder)
    os.chdir(folder)
    status = 0
    try:
        for value in case():
            print(f"# show: {value!r}", flush=True)
    except BaseException:
        print("".join(f"# {line}\n" for line in traceback.format_exc().splitlines()), end="",
              flush=True)
        status = 1
    os.chdir("/")
    for entry in os.listdir(folder):
        os.unlink(os.path.join(folder, entry))
    os.rmdir(folder)
    return status


if __name__ == "__main__":
    sys.exit(main())

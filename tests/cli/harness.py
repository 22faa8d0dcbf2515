# SPDX-License-Identifier: Apache-2.0
"""What the command line's tests share: a folder, bundles of busybox, the program, and the look at what it left.

A test is a function that @test names; it gets a Box: a --root of its own and a folder, gone afterwards. When it
has ended, no process of the program, no mount, no record, no socket and no cgroup of it may be left.
"""
import contextlib
import fnmatch
import glob
import json
import os
import pty
import re
import select
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import termios
import time
import traceback

TREE = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
BUSYBOX = "/bin/busybox"
TESTS = []
TIMEOUT_S = 20  # one command
TEST_S = 60


class Skip(Exception):
    """Raised by a test that this machine cannot run."""


def test(function):
    TESTS.append(function)
    return function


class Result:
    def __init__(self, words, code, out, err):
        self.words, self.code, self.out, self.err = words, code, out, err

    def __str__(self):
        return f"{' '.join(self.words)}\n    exit {self.code}\n    out {self.out!r}\n    err {self.err!r}"

    def want(self, code=0, out=None, err=None, line=None):
        """The exit status; OUT and ERR exactly, if given; LINE: the one line of standard error, as a glob."""
        assert self.code == code, f"exit status {code} expected: {self}"
        assert out is None or self.out == out, f"output {out!r} expected: {self}"
        assert err is None or self.err == err, f"error {err!r} expected: {self}"
        if line is not None:
            assert self.err.endswith("\n") and self.err.count("\n") == 1, f"one line expected: {self}"
            assert fnmatch.fnmatchcase(self.err[:-1], line), f"error {line!r} expected: {self}"
        return self


class Box:
    """One test's world."""

    program = os.path.join(TREE, "build", "picket")
    rootfs = None

    def __init__(self):
        self.dir = tempfile.mkdtemp(prefix="picket-cli-")
        self.root = os.path.join(self.dir, "root")
        self.cgroup = os.path.basename(self.dir)  # how names of cgroups begin that tests ask for
        self.ids = 0
        self.children = []

    def path(self, *parts):
        return os.path.join(self.dir, *parts)

    # ---- the program ----

    def words(self, *words, flags=()):
        return [self.program, "--root", self.root, *flags, *words]

    def run(self, *words, flags=(), stdin=subprocess.DEVNULL, text=None, timeout=TIMEOUT_S, **more):
        """The program to its end; its output as text. TEXT: standard input's."""
        whole = self.words(*words, flags=flags)
        given = {"input": text} if text is not None else {"stdin": stdin}
        # Files instead of pipes: a process left behind that holds one must not hang the test.
        with tempfile.TemporaryFile("w+") as out, tempfile.TemporaryFile("w+") as err:
            done = subprocess.run(whole, stdout=out, stderr=err, text=True, errors="replace", timeout=timeout,
                                  check=False, **given, **more)
            out.seek(0)
            err.seek(0)
            return Result(words, done.returncode, out.read(), err.read())

    def ok(self, *words, **more):
        return self.run(*words, **more).want(0)

    def start(self, *words, flags=(), **more):
        """The program beside the test; killed at its end if need be."""
        child = subprocess.Popen(self.words(*words, flags=flags), text=True, errors="replace",
                                 **{"stdin": subprocess.DEVNULL, **more})
        self.children.append(child)
        return child

    # ---- bundles ----

    def bundle(self, *args, name=None, change=None, **members):
        """A bundle whose process runs ARGS; MEMBERS are the process's, CHANGE may edit all of it."""
        self.ids += 1
        folder = self.path(name or f"bundle{self.ids}")
        os.makedirs(folder)
        config = {
            "ociVersion": "1.0.2",
            "process": {"args": list(args), "cwd": "/", "env": ["PATH=/bin", "HOME=/"],
                        "user": {"uid": 0, "gid": 0}, **members},
            "root": {"path": self.rootfs, "readonly": True},
            "hostname": "box",
            "mounts": [{"destination": "/proc", "type": "proc", "source": "proc"},
                       {"destination": "/tmp", "type": "tmpfs", "source": "tmpfs"}],
            "linux": {"namespaces": [{"type": kind} for kind in ("pid", "network", "ipc", "uts", "mount")]},
        }
        if change:
            change(config)
        with open(os.path.join(folder, "config.json"), "w", encoding="utf-8") as file:
            json.dump(config, file)
        return folder

    def created(self, name, *args, flags=(), more=(), **members):
        self.ok("create", "--bundle", self.bundle(*args, **members), *more, name, flags=flags)
        return name

    def running(self, name, *args, flags=(), more=(), **members):
        self.created(name, *args, flags=flags, more=more, **members)
        self.ok("start", name, flags=flags)
        return name

    def state(self, name):
        return json.loads(self.ok("state", name).out)

    def status(self, name):
        return self.state(name)["status"]

    def record(self, name, sandbox=None):
        with open(os.path.join(self.root, f"{name}_sandbox:{sandbox or name}.state"), encoding="utf-8") as file:
            return json.load(file)

    # ---- the end ----

    def close(self):
        for child in self.children:
            if child.poll() is None:
                child.kill()
            child.wait()
            for stream in (child.stdin, child.stdout, child.stderr):
                if stream:
                    stream.close()
        left = self.left()
        for pid in self.processes():
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
        shutil.rmtree(self.dir, ignore_errors=True)
        return left

    def processes(self):
        """Processes of the program (their executable is ours) that have to do with this box."""
        found = []
        for pid in processes_of(self.program):
            if pid not in THE_OLD:
                found.append(pid)
        return found

    def left(self):
        """What should not be there any more, as sentences."""
        deadline = time.monotonic() + 3
        while (alive := self.processes()) and time.monotonic() < deadline:
            time.sleep(0.02)
        found = [f"process {pid} ({command_line(pid)})" for pid in alive]
        if os.path.isdir(self.root):
            found += [f"file {name} in --root" for name in os.listdir(self.root)]
        with open("/proc/self/mountinfo", encoding="utf-8") as mounts:
            found += [f"mount {line.split()[4]}" for line in mounts if self.dir in line or "runsc-do-" in line]
        with open("/proc/net/unix", encoding="utf-8") as sockets:
            found += [f"socket {line.split()[-1]}" for line in sockets if self.dir in line]
        found += [f"cgroup {path}" for path in glob.glob(f"/sys/fs/cgroup/*/{self.cgroup}*") +
                  glob.glob(f"/sys/fs/cgroup/{self.cgroup}*")]
        return found


THE_OLD = set()


def processes_of(program):
    found = []
    for name in os.listdir("/proc"):
        if name.isdigit():
            with contextlib.suppress(OSError):
                if os.readlink(f"/proc/{name}/exe").removesuffix(" (deleted)") == program and state_of(name) != "Z":
                    found.append(int(name))
    return found


def state_of(pid):
    try:
        with open(f"/proc/{pid}/stat", encoding="utf-8", errors="replace") as file:
            return file.read().rpartition(")")[2].split()[0]
    except OSError:
        return ""


def command_line(pid):
    with contextlib.suppress(OSError), open(f"/proc/{pid}/cmdline", encoding="utf-8", errors="replace") as file:
        return file.read().replace("\0", " ")[:160]
    return "gone"


def is_alive(pid):
    return state_of(pid) not in ("", "Z", "X")


def wait_until(condition, what, seconds=10):
    deadline = time.monotonic() + seconds
    while not (value := condition()):
        assert time.monotonic() < deadline, f"{what} did not come in {seconds} s"
        time.sleep(0.02)
    return value


def read(path):
    with open(path, encoding="utf-8", errors="replace") as file:
        return file.read()


def write(path, text, mode=0o644):
    with open(path, "w", encoding="utf-8") as file:
        file.write(text)
    os.chmod(path, mode)
    return path


class Terminal:
    """The master's side of a terminal: what is typed and what is to be seen."""

    def __init__(self, master):
        self.master, self.seen = master, ""

    def send(self, text):
        os.write(self.master, text.encode())

    def expect(self, pattern, seconds=15):
        deadline = time.monotonic() + seconds
        while not (match := re.search(pattern, self.seen)):
            left = max(deadline - time.monotonic(), 0)
            ready = select.select([self.master], [], [], left)[0]
            assert ready, f"{pattern!r} was not seen, but {self.seen[-300:]!r}"
            try:
                self.seen += os.read(self.master, 4096).decode(errors="replace")
            except OSError as error:
                raise AssertionError(f"{pattern!r} was not seen before the end, but {self.seen!r}") from error
        self.seen = self.seen[match.end():]
        return match.group(0)

    def close(self):
        os.close(self.master)


class ConsoleSocket:
    """What conmon and the shim have: a socket that is sent a terminal's master."""

    def __init__(self, path):
        self.path = path
        self.socket = socket.socket(socket.AF_UNIX)
        self.socket.bind(path)
        self.socket.listen()
        self.socket.settimeout(15)

    def terminal(self):
        peer, _ = self.socket.accept()
        with peer:
            text, fds, _, _ = socket.recv_fds(peer, 4096, 4)
        assert len(fds) == 1 and text, f"a message with one descriptor, not {text!r} and {len(fds)}"
        assert os.isatty(fds[0]), "the descriptor is no terminal"
        return Terminal(fds[0])

    def close(self):
        self.socket.close()


def on_terminal(words, rows=24, columns=80):
    """WORDS as a child on a terminal of its own; (pid, Terminal)."""
    pid, master = pty.fork()
    if pid == 0:
        os.execvp(words[0], words)
    termios.tcsetwinsize(master, (rows, columns))
    return pid, Terminal(master)


def make_rootfs(folder):
    os.makedirs(os.path.join(folder, "bin"))
    for name in ("proc", "tmp", "dev", "sys", "etc", "data", "mnt"):
        os.mkdir(os.path.join(folder, name))
    shutil.copy(BUSYBOX, os.path.join(folder, "bin", "busybox"))
    names = subprocess.run([BUSYBOX, "--list"], capture_output=True, text=True, check=True).stdout.split()
    for name in names:
        if name != "busybox":
            os.symlink("busybox", os.path.join(folder, "bin", name))
    write(os.path.join(folder, "etc", "passwd"), "root:x:0:0:root:/:/bin/sh\nuser:x:1000:1000::/:/bin/sh\n")
    return folder


def too_long(_signo, _frame):
    raise TimeoutError(f"the test took more than {TEST_S} s")


def run_test(function, number):
    start = time.monotonic()
    box = Box()
    verdict, notes = "ok", []
    signal.signal(signal.SIGALRM, too_long)
    signal.alarm(TEST_S)
    try:
        function(box)
    except Skip as why:
        verdict, notes = "skip", [str(why)]
    except Exception:  # a failed test must not end the others
        verdict, notes = "FAIL", traceback.format_exc().splitlines()
    signal.alarm(0)
    left = box.close()
    if left:
        verdict = "FAIL"
        notes += ["left behind: " + what for what in left]
    name = f"{function.__module__}/{function.__name__}"
    print(f"{verdict:4}  {number:3} {name}: {function.__doc__.splitlines()[0]} ({time.monotonic() - start:.1f} s)")
    for note in notes:
        print("      | " + note)
    sys.stdout.flush()
    return verdict


def run_all(tests):
    THE_OLD.update(processes_of(Box.program))
    with tempfile.TemporaryDirectory(prefix="picket-rootfs-") as folder:
        os.chmod(folder, 0o755)
        Box.rootfs = make_rootfs(os.path.join(folder, "rootfs"))
        verdicts = [run_test(function, number) for number, function in enumerate(tests, 1)]
    counts = [verdicts.count(word) for word in ("ok", "FAIL", "skip")]
    print("{} passed, {} failed, {} skipped".format(*counts))
    return 1 if counts[1] else 0

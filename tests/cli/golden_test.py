# SPDX-License-Identifier: Apache-2.0
"""Each command line that podman 4.3 (through conmon) and containerd's runc shim send, as they send it."""
import json
import os
import signal
import subprocess
import time

from harness import Box, ConsoleSocket, is_alive, read, test, wait_until, write

ID = "0123456789abcdef" * 4


def call(box, *words, code=0, cwd=None, **more):
    """Without --root before it: both engines put their flags first."""
    return box.run(*words, cwd=cwd, **more).want(code)


def like_podman(config):
    """What podman 4.3 puts into its bundles."""
    config["root"]["readonly"] = False
    config["mounts"] = [
        {"destination": "/proc", "type": "proc", "source": "proc", "options": ["nosuid", "noexec", "nodev"]},
        {"destination": "/dev", "type": "tmpfs", "source": "tmpfs",
         "options": ["nosuid", "strictatime", "mode=755", "size=65536k"]},
        {"destination": "/sys", "type": "sysfs", "source": "sysfs", "options": ["nosuid", "noexec", "nodev", "ro"]},
        {"destination": "/dev/pts", "type": "devpts", "source": "devpts",
         "options": ["nosuid", "noexec", "newinstance", "ptmxmode=0666", "mode=0620", "gid=5"]},
        {"destination": "/dev/mqueue", "type": "mqueue", "source": "mqueue", "options": ["nosuid", "noexec", "nodev"]},
        {"destination": "/etc/hosts", "type": "bind", "source": "/etc/hosts", "options": ["bind", "rprivate"]},
        {"destination": "/sys/fs/cgroup", "type": "cgroup", "source": "cgroup",
         "options": ["rprivate", "nosuid", "noexec", "nodev", "relatime", "ro"]}]
    config["process"]["user"]["umask"] = 0o22
    config["process"]["rlimits"] = [{"type": "RLIMIT_NPROC", "hard": 4194304, "soft": 4194304}]
    config["annotations"] = {"io.container.manager": "libpod", "org.opencontainers.image.stopSignal": "15"}
    config["linux"].update({
        "cgroupsPath": "", "maskedPaths": ["/proc/acpi", "/proc/kcore", "/proc/keys", "/sys/firmware"],
        "readonlyPaths": ["/proc/asound", "/proc/bus", "/proc/fs", "/proc/irq", "/proc/sys"],
        "resources": {"devices": [{"allow": False, "access": "rwm"}], "pids": {"limit": 2048}},
        "seccomp": {"defaultAction": "SCMP_ACT_ERRNO", "defaultErrnoRet": 38, "architectures": ["SCMP_ARCH_X86_64"],
                    "syscalls": [{"names": ["read", "write", "openat"], "action": "SCMP_ACT_ALLOW"}]}})


@test
def podman_life(box: Box):
    """create, start, exec, kill, delete as conmon and podman call them"""
    bundle, run = box.bundle("sleep", "100", change=like_podman), box.path("run")
    os.makedirs(run)
    log = ["--log-format=json", "--log", os.path.join(run, "oci-log")]
    call(box, *log, "create", "--bundle", bundle, "--pid-file", os.path.join(run, "pidfile"), ID)
    pid = int(read(os.path.join(run, "pidfile")))
    call(box, "start", ID)
    process = {"terminal": False, "user": {"uid": 0, "gid": 0, "additionalGids": [10], "umask": 18},
               "args": ["sh", "-c", "echo hello; exit 7"], "env": ["PATH=/bin"], "cwd": "/",
               "capabilities": {"bounding": ["CAP_CHOWN", "CAP_BPF"], "effective": ["CAP_CHOWN"],
                                "permitted": ["CAP_CHOWN"]}, "apparmorProfile": "", "rlimits": []}
    path = write(os.path.join(run, "exec-process-1"), json.dumps(process))
    with open(os.path.join(run, "out"), "wb") as out:
        done = subprocess.run(box.words(*log, "exec", "--pid-file", os.path.join(run, "exec_pid"), "--process", path,
                                        "--detach", ID), stdin=subprocess.DEVNULL, stdout=out, stderr=out, check=False,
                              timeout=20)
    assert done.returncode == 0, read(os.path.join(run, "out"))
    waiter = int(read(os.path.join(run, "exec_pid")))
    wait_until(lambda: not is_alive(waiter), "the exec's end")
    assert read(os.path.join(run, "out")) == "hello\n"
    call(box, "kill", ID, "15")
    call(box, "pause", ID)
    call(box, "resume", ID)
    call(box, "update", "--resources=" + write(box.path("r"), '{"pids":{"limit":100}}'), ID)
    call(box, "state", ID)
    call(box, "kill", ID, "9")
    wait_until(lambda: not is_alive(pid), "the end")
    call(box, "kill", ID, "9", code=128)
    call(box, "delete", "--force", ID)
    call(box, "delete", "--force", ID)
    call(box, "--version")
    call(box, "checkpoint", "--help")


@test
def the_pid_of_the_pid_file(box: Box):
    """its reaper gets the container's status: exit codes and 128+n, for the container and for an exec"""
    import ctypes
    ctypes.CDLL(None).prctl(36, 1, 0, 0, 0)  # PR_SET_CHILD_SUBREAPER, as conmon does
    for script, code in (("exit 5", 5), ("kill -9 $$; sleep 9", 0), ("exit 200", 200)):
        bundle = box.bundle("sh", "-c", script)
        call(box, "create", "--bundle", bundle, "--pid-file", box.path("pid"), ID)
        call(box, "start", ID)
        pid = int(read(box.path("pid")))
        if code == 0:
            call(box, "kill", ID, "9")
            code = 137
        _, status = os.waitpid(pid, 0)
        assert os.waitstatus_to_exitcode(status) in (code, 128 - code), (script, status)
        call(box, "delete", "--force", ID)
    call(box, "create", "--bundle", box.bundle("sleep", "100"), ID)
    call(box, "start", ID)
    for script, code in (("exit 5", 5), ("kill -15 $$", 143)):
        call(box, "exec", "--detach", "--pid-file", box.path("pid"), ID, "sh", "-c", script)
        _, status = os.waitpid(int(read(box.path("pid"))), 0)
        assert os.waitstatus_to_exitcode(status) == code, (script, status)
    call(box, "delete", "--force", ID)
    ctypes.CDLL(None).prctl(36, 0, 0, 0, 0)
    while True:
        try:
            os.waitpid(-1, os.WNOHANG) != (0, 0) or time.sleep(0.05)
        except ChildProcessError:
            break


@test
def podman_terminals_and_descriptors(box: Box):
    """--console-socket, --preserve-fds, --tty; and --cgroup-manager, --systemd-cgroup before them"""
    console = ConsoleSocket(box.path("attach"))
    bundle = box.bundle("sh", "-c", "test -t 0 && echo on a terminal; sleep 100", change=like_podman, terminal=True)
    call(box, "--log-format=json", "--log", box.path("log"), "--cgroup-manager", "disabled", "create", "--bundle", bundle,
         "--pid-file", box.path("pid"), "--console-socket", console.path, "--preserve-fds", "0", ID)
    terminal = console.terminal()
    call(box, "--systemd-cgroup", "start", ID)
    terminal.expect("on a terminal")
    process = {"terminal": True, "user": {"uid": 0, "gid": 0}, "args": ["sh", "-c", "test -t 0 && echo an exec too; read x"],
               "env": ["PATH=/bin", "TERM=xterm"], "cwd": "/"}
    call(box, "--log-format=json", "--log", box.path("log"), "exec", "--pid-file", box.path("exec_pid"), "--process",
         write(box.path("exec-process-2"), json.dumps(process)), "--detach", "--tty", "--console-socket", console.path, ID)
    second = console.terminal()
    second.expect("an exec too")
    second.close()
    waiter = int(read(box.path("exec_pid")))
    wait_until(lambda: not is_alive(waiter), "the exec's end after the hang-up")
    terminal.close()
    console.close()
    call(box, "delete", "--force", ID)


@test
def podman_checkpoints(box: Box):
    """checkpoint and restore with podman's flags"""
    bundle = box.bundle("sleep", "100", change=like_podman)
    image = os.path.join(bundle, "checkpoint")
    call(box, "create", "--bundle", bundle, "--pid-file", box.path("pid"), ID)
    call(box, "start", ID)
    call(box, "checkpoint", "--image-path", image, "--work-path", bundle, "--leave-running", "--tcp-established",
         "--file-locks", "--leave-running", ID)
    assert box.status(ID) == "running" and os.path.exists(os.path.join(image, "inventory.img"))
    call(box, "checkpoint", "--image-path", image + "2", "--work-path", bundle, ID)
    call(box, "delete", "--force", ID)
    call(box, "--log-format=json", "--log", box.path("log"), "restore", "--bundle", bundle, "--pid-file", box.path("pid"),
         "--detach", "--image-path", image + "2", "--work-path", bundle, ID)
    assert box.status(ID) == "running" and is_alive(int(read(box.path("pid"))))
    call(box, "delete", "--force", ID)


@test
def texts_that_podman_matches(box: Box):
    """a missing program and one that may not be executed, at create, in the log file"""
    for word, text in (("no-such", "executable file not found in $PATH"), ("/no/such", "no such file or directory"),
                       ("/etc/passwd", "permission denied")):
        call(box, "--log-format=json", "--log", box.path("log"), "create", "--bundle",
             box.bundle(word, change=like_podman), "--pid-file", box.path("pid"), ID, code=128)
        line = json.loads(read(box.path("log")))
        assert text in line["msg"] and line["level"] == "error", line
        os.unlink(box.path("log"))
        assert os.listdir(box.root) == []


@test
def the_shims_life(box: Box):
    """containerd's runc shim: --root, --log, --log-format first, the task's folder as working directory"""
    bundle = box.bundle("sleep", "100")
    first = ["--log", os.path.join(bundle, "log.json"), "--log-format", "json"]
    call(box, *first, "create", "--bundle", bundle, "--pid-file", os.path.join(bundle, "init.pid"), "--no-pivot", "w1",
         cwd=bundle)
    call(box, *first, "start", "w1", cwd=bundle)
    process = {"args": ["sh", "-c", "exit 3"], "cwd": "/", "env": ["PATH=/bin"], "user": {"uid": 0, "gid": 0}}
    path = write(os.path.join(bundle, "exec.json"), json.dumps(process))
    call(box, *first, "exec", "--process", path, "--detach", "--pid-file", os.path.join(bundle, "e1.pid"), "w1", cwd=bundle)
    call(box, *first, "ps", "--format", "json", "w1", cwd=bundle)
    call(box, *first, "pause", "w1", cwd=bundle)
    call(box, *first, "checkpoint", "--image-path", box.path("i"), "--work-path", box.path("w"), "--leave-running", "w1",
         cwd=bundle)
    call(box, *first, "resume", "w1", cwd=bundle)
    assert json.loads(call(box, *first, "ps", "--format", "json", "w1").out) == [1]
    call(box, *first, "events", "--stats", "w1")
    call(box, *first, "list", "--format=json")
    call(box, *first, "state", "w1")
    done = subprocess.run(box.words(*first, "update", "--resources", "-", "w1"), input='{"pids":{"limit":50}}', text=True,
                          capture_output=True, timeout=20, check=False)
    assert done.returncode == 0, done
    call(box, *first, "kill", "--all", "w1", "9", cwd=bundle)
    wait_until(lambda: box.status("w1") == "stopped", "the end")
    call(box, *first, "delete", "w1", cwd=bundle)
    call(box, *first, "delete", "--force", "w1", cwd=bundle)
    call(box, *first, "delete", "w1", cwd=bundle, code=128)
    call(box, *first, "restore", "--image-path", box.path("i"), "--work-path", box.path("w"), "--detach", "--pid-file",
         os.path.join(bundle, "init.pid"), "--no-pivot", "-no-subreaper", "--bundle", bundle, "w1", cwd=bundle)
    call(box, *first, "kill", "w1", "9", cwd=bundle)
    call(box, *first, "checkpoint", "--image-path", box.path("j"), "--work-path", box.path("w"), "--parent-path", "x",
         "--tcp-established", "--ext-unix-sk", "--shell-job", "--page-server", "x", "--file-locks", "--manage-cgroups-mode",
         "soft", "--empty-ns", "network", "gone", code=128)
    call(box, *first, "delete", "--force", "w1", cwd=bundle)


@test
def signals_to_an_execs_host_process(box: Box):
    """the shim ends an exec by a signal to the pid of its pid file alone"""
    call(box, "create", "--bundle", box.bundle("sleep", "100"), "w1")
    call(box, "start", "w1")
    for signo in (signal.SIGTERM, signal.SIGKILL, signal.SIGUSR1):
        call(box, "exec", "--detach", "--pid-file", box.path("pid"), "w1", "sleep", "101")
        os.kill(int(read(box.path("pid"))), signo)
        wait_until(lambda: call(box, "ps", "--format", "json", "w1").out == "[1]\n", f"the end by signal {signo}")
    call(box, "delete", "--force", "w1")

# SPDX-License-Identifier: Apache-2.0
"""What flags and annotations change inside a container."""
import json
import os
import shutil
import subprocess

from harness import Box, Skip, read, test, wait_until, write


def with_seccomp(profile, annotations=None):
    def change(config):
        config["linux"]["seccomp"] = profile
        config["annotations"] = annotations or {}
    return change


ALL = {"defaultAction": "SCMP_ACT_ALLOW"}


def refuse(*names, action="SCMP_ACT_ERRNO", **more):
    return {**ALL, "architectures": ["SCMP_ARCH_X86_64"], "syscalls": [{"names": list(names), "action": action, **more}]}


@test
def seccomp_profile_is_applied(box: Box):
    """--oci-seccomp: the spec's filter judges the container's calls, and those of exec"""
    script = "mkdir /tmp/a 2>&1; grep Seccomp: /proc/self/status"
    flags = ("--oci-seccomp",)
    bundle = box.bundle("sh", "-c", script, change=with_seccomp(refuse("mkdir", "mkdirat", errnoRet=28)))
    box.run("run", "--bundle", bundle, "one", flags=flags).want(
        0, out="mkdir: can't create directory '/tmp/a': No space left on device\nSeccomp:\t2\n")
    box.run("run", "--bundle", bundle, "one").want(0, out="Seccomp:\t0\n")
    box.running("two", "sleep", "100", flags=flags, change=with_seccomp(refuse("mkdir", "no_such_call")))
    box.run("exec", "two", "mkdir", "/tmp/a").want(
        1, err="mkdir: can't create directory '/tmp/a': Operation not permitted\n")
    box.ok("delete", "--force", "two")


@test
def seccomp_profile_with_conditions(box: Box):
    """arguments' conditions hold together; twice the same argument means either; a list of what is allowed"""
    flags = ("--oci-seccomp",)
    # kill(2) of pid 1 with signal 0 is refused, with others not; ftruncate(2) to 5 or 6 kills the process.
    rules = [{"names": ["kill"], "action": "SCMP_ACT_ERRNO", "errnoRet": 77,
              "args": [{"index": 0, "value": 1, "op": "SCMP_CMP_EQ"}, {"index": 1, "value": 0, "op": "SCMP_CMP_EQ"}]},
             {"names": ["ftruncate"], "action": "SCMP_ACT_KILL_PROCESS",
              "args": [{"index": 1, "value": n, "op": "SCMP_CMP_EQ"} for n in (5, 6)]}]
    script = "kill -0 1; kill -CONT 1 && echo sent; for n in 4 5 6; do busybox truncate -s $n /tmp/f; echo $?; done"
    bundle = box.bundle("sh", "-c", script, change=with_seccomp({**ALL, "syscalls": rules}))
    result = box.run("run", "--bundle", bundle, "one", flags=flags)
    result.want(0, out="sent\n0\n159\n159\n")
    assert "Unknown error" in result.err or "File descriptor in bad state" in result.err, result
    profile = {"defaultAction": "SCMP_ACT_ERRNO", "syscalls": [
        {"names": ["read", "write", "exit", "exit_group", "brk", "arch_prctl", "set_tid_address", "set_robust_list", "rseq",
                   "prlimit64", "readlink", "getrandom", "mprotect", "ioctl", "mmap", "munmap", "getuid", "setuid", "setgid",
                   "getgid", "prctl", "fstat", "stat", "newfstatat"], "action": "SCMP_ACT_ALLOW"}]}
    bundle = box.bundle("cat", "/proc/version", change=with_seccomp(profile))
    box.run("run", "--bundle", bundle, "one", flags=flags).want(
        1, err="cat: can't open '/proc/version': Operation not permitted\n")


@test
def seccomp_profile_dropped(box: Box):
    """an annotation takes one container's profile away; a bad profile is one line before anything is made"""
    flags = ("--oci-seccomp",)
    annotations = {"io.kubernetes.cri.container-name": "web", "dev.gvisor.internal.seccomp.web": "RuntimeDefault"}
    bundle = box.bundle("mkdir", "/tmp/a", change=with_seccomp(refuse("mkdir"), annotations))
    box.run("run", "--bundle", bundle, "one", flags=flags).want(0, err="")
    for profile, text in (({"defaultAction": "SCMP_ACT_NONE"}, 'an unsupported action "SCMP_ACT_NONE"'),
                          (refuse("mkdir", action="SCMP_ACT_NOTIFY"), 'an unsupported action "SCMP_ACT_NOTIFY"'),
                          (refuse("mkdir", args=[{"index": 6, "value": 0, "op": "SCMP_CMP_EQ"}]), "an argument's index 6"),
                          (refuse("mkdir", args=[{"index": 0, "value": 0, "op": "EQ"}]), 'an unknown operator "EQ"'),
                          (7, "*is not an object")):
        bundle = box.bundle("true", change=with_seccomp(profile))
        box.run("create", "--bundle", bundle, "one", flags=flags).want(128, line=f"*linux.seccomp*{text}")
        assert not os.path.isdir(box.root) or os.listdir(box.root) == []


def on_the_machine(config):
    """The machine's own root in place of busybox's."""
    config["root"] = {"path": "/", "readonly": True}
    config["process"]["env"] = ["PATH=/usr/bin:/bin"]


@test
def user_log(box: Box):
    """--user-log: one line a kind of call that is not there, as JSON"""
    script = "for (1..3) { syscall(180, 0x10, 2); syscall(134) } print $! + 0"
    bundle = box.bundle("perl", "-e", script, change=on_the_machine)
    box.run("run", "--bundle", bundle, "--user-log", box.path("log"), "one").want(0, out="38")
    lines = [json.loads(line) for line in read(box.path("log")).splitlines() if "rseq" not in line]
    assert [sorted(line) for line in lines] == [["level", "log", "time"]] * 2, lines
    assert lines[0]["log"].startswith("Unsupported syscall nfsservctl(0x10,0x2,"), lines
    assert lines[1]["log"].startswith("Unsupported syscall uselib("), lines


@test
def debug_log_formats(box: Box):
    """--debug-log-format: text, json and json-k8s"""
    for form, name in (("json", "msg"), ("json-k8s", "log")):
        flags = ("--debug", "--debug-log", box.path(form + ".%COMMAND%"), "--debug-log-format", form)
        box.ok("run", "--bundle", box.bundle("true"), "one", flags=flags)
        lines = [json.loads(line) for line in read(box.path(form + ".boot")).splitlines()]
        assert lines and all(sorted(line) == sorted((name, "level", "time")) for line in lines), lines


SESSION = {"name": "Default",
           "points": [{"name": "container/start", "optional_fields": ["env"], "context_fields": ["container_id"]},
                      {"name": "syscall/chdir/enter", "context_fields": ["process_name"]},
                      {"name": "sentry/task_exit"}],
           "sinks": [{"name": "remote", "config": {"endpoint": None}}]}


def session_file(box, name="session"):
    session = json.loads(json.dumps(SESSION))
    session["sinks"][0]["config"]["endpoint"] = box.path("sink")
    write(box.path(name), json.dumps({"trace_session": session}))
    return box.path(name)


def collector(box, count):
    child = box.start("trace", "collect", "-count", str(count), box.path("sink"), stdout=-1)
    wait_until(lambda: os.path.exists(box.path("sink")), "the collector")
    return child


@test
def trace_of_a_new_sandbox(box: Box):
    """--pod-init-config: the collector is told of the container's very start"""
    collecting = collector(box, 3)
    flags = ("--pod-init-config", session_file(box))
    box.run("run", "--bundle", box.bundle("sh", "-c", "cd /tmp"), "one", flags=flags).want(0, err="")
    lines = collecting.communicate(timeout=20)[0].splitlines()
    assert len([line for line in lines if line.startswith("Start ") and '"one"' in line]) == 1, lines
    assert any(line.startswith("Chdir ") and "/tmp" in line for line in lines), lines
    write(box.path("bad"), '{"trace_session":{"name":"Other"}}')
    box.run("create", "--bundle", box.bundle("true"), "one", flags=("--pod-init-config", box.path("bad"))).want(
        128, line='*pod init config */bad: only a single "Default" session is supported')
    assert os.listdir(box.root) == []


@test
def trace_of_a_running_sandbox(box: Box):
    """trace create, list, delete and a collector"""
    box.running("one", "sh", "-c", "while :; do cd /tmp; sleep 0.1; cd /; done")
    box.run("trace", "create", "one").want(128, line="*missing path to configuration file, please set --config")
    box.run("trace", "create", "-config", session_file(box), "one").want(128, line="*connect(*/sink): *")
    box.ok("trace", "list", "one").want(out="SESSIONS (0)\n")
    collecting = collector(box, 4)
    box.ok("trace", "create", "-config", session_file(box), "one").want(out='Trace session "Default" created.\n')
    lines = collecting.communicate(timeout=20)[0].splitlines()
    assert len([line for line in lines if line.startswith("Chdir ")]) >= 2, lines
    listed = box.ok("trace", "list", "one").out
    assert listed.startswith('SESSIONS (1)\n"Default"\n\tSink: "remote", dropped: '), listed
    box.run("trace", "create", "-config", session_file(box), "one").want(128)
    box.ok("trace", "delete", "-name", "Default", "one").want(out='Trace session "Default" deleted.\n')
    box.run("trace", "delete", "-name", "Default", "one").want(128, line='*session "Default" not found')
    box.ok("delete", "--force", "one")


def make_image(box):
    if not shutil.which("mkfs.erofs"):
        raise Skip("no mkfs.erofs (package erofs-utils)")
    subprocess.run(["mkfs.erofs", box.path("root.img"), box.rootfs], check=True, stdout=subprocess.DEVNULL,
                   stderr=subprocess.DEVNULL)
    return box.path("root.img")


def with_root(source, kind="erofs", overlay="", readonly=False):
    def change(config):
        config["root"] = {"path": "/none", "readonly": readonly}
        config["annotations"] = {"dev.gvisor.spec.rootfs.source": source, "dev.gvisor.spec.rootfs.type": kind,
                                 "dev.gvisor.spec.rootfs.overlay": overlay}
    return change


@test
def root_from_an_image(box: Box):
    """annotations rootfs.*: an EROFS image is the root, without a gofer, with or without a layer above"""
    image = make_image(box)
    script = "echo here; echo new > /file; cat /file; ls /"
    bundle = box.bundle("sh", "-c", script, change=with_root(image))
    result = box.run("run", "--bundle", bundle, "one")
    assert result.out.startswith("here\n") and "Read-only file system" in result.err, result
    box.run("run", "--bundle", box.bundle("sh", "-c", script, change=with_root(image, overlay="memory")), "one").want(0, err="")
    box.running("two", "sleep", "100", change=with_root(image, overlay="self"))
    record = box.record("two")
    assert record["goferPid"] == 0 and record["goferMountConfs"][0] == {"lower": 2, "upper": 1}, record
    box.ok("exec", "two", "cat", "/proc/mounts")
    box.ok("delete", "--force", "two")
    box.run("do", "-erofs", image, "-cwd", "/", "--", "sh", "-c", "echo $0 > /x; cat /x").want(0, out="sh\n")


@test
def root_hints(box: Box):
    """annotations rootfs.*: a folder of the host; what makes no sense is one line"""
    shutil.copytree(box.rootfs, box.path("tree"), symlinks=True)
    bundle = box.bundle("sh", "-c", "echo new > /file", change=with_root(box.path("tree"), "bind"))
    box.run("run", "--bundle", bundle, "one").want(0, err="")
    assert read(box.path("tree/file")) == "new\n", "no layer was asked for"
    for change, text in ((with_root("tree"), 'source "tree" is not absolute'), (with_root("/", "ext4"), 'type "ext4" is neither*'),
                         (with_root("/", "bind", "disk"), 'unknown overlay "disk"'), (with_root("/", "erofs"), "*not an image's file"),
                         (with_root("/nowhere"), '"/nowhere": no such file or directory')):
        box.run("create", "--bundle", box.bundle("true", change=change), "one").want(128, line="*root*" + text)
    write(box.path("bad.img"), "x" * 5000)
    box.created("one", "true", change=with_root(box.path("bad.img")))
    box.run("start", "one").want(128, line="*mounting the root*")
    box.ok("delete", "--force", "one")


@test
def limit_of_tasks(box: Box):
    """the spec's limit of tasks bounds what programs start, not the sandbox itself; update changes it"""
    script = "for i in 1 2 3 4 5 6; do sleep 20 & done; wait; echo all"

    def change(limit):
        def edit(config):
            config["linux"]["resources"] = {"pids": {"limit": limit}}
        return edit
    done = box.run("run", "--bundle", box.bundle("sh", "-c", script, change=change(4)), "few")
    assert done.code == 2 and "can't fork" in done.err, done
    box.ok("create", "--bundle", box.bundle("sleep", "100", change=change(50)), "one")
    box.ok("start", "one")
    assert box.ok("exec", "one", "sh", "-c", "sleep 0.1 & sleep 0.1 & sleep 0.1 & wait; echo all").out == "all\n"
    box.ok("update", "--pids-limit", "3", "one")
    assert box.ok("read-control", "one", "pids", "/one", "pids.max").out == "3\n"
    done = box.run("exec", "one", "sh", "-c", script)
    assert done.code == 2 and "can't fork" in done.err, done
    box.ok("update", "--pids-limit", "-1", "--memory", "64m", "one")
    assert box.ok("read-control", "one", "pids", "/one", "pids.max").out == "max\n"
    assert box.ok("read-control", "one", "memory", "/one", "memory.limit_in_bytes").out == f"{64 << 20}\n"
    box.ok("delete", "--force", "one")


@test
def flags_without_effect(box: Box):
    """who asks for what is not there is told in one line, and gets the rest; defaults and what tunes others are no question"""
    bundle = box.bundle("echo", "ran")
    done = box.run("run", "--bundle", bundle, "one", flags=("--pcap-log=x", "--gso=false", "--watchdog-action=log", "--trace="))
    done.want(0, out="ran\n", err="warning: flag -pcap-log has no effect: no packets leave the sandbox\n")
    box.run("run", "--bundle", bundle, "one", flags=("--nvproxy", "--nvproxy=false", "--host-settings=ignore")).want(
        0, out="ran\n", err="")
    done = box.run("do", "-ip=10.0.0.1", "-quiet", "true", flags=("--profile-cpu=/f",)).want(0)
    assert done.err == ("warning: flag -ip has no effect: the network inside is a loopback\n"
                        "warning: flag -profile-cpu has no effect: use picket debug --profile-cpu FILE ID\n"), done
    done = box.run("run", "--bundle", bundle, "one", flags=("--overlay2=root:dir=/tmp",)).want(0, out="ran\n")
    assert done.err == "warning: flag -overlay2=root:dir=/tmp keeps what is written in memory, not in a folder\n", done
    assert box.ok("list", flags=("--pcap-log=x",)).err == "", "only where a sandbox is made"
    for words in (("create", "--bundle", bundle), ("run", "--bundle", bundle)):
        box.run(*words, "--exec-fd", "0", "one").want(128, line="*starting a program from a descriptor (-exec-fd) is not supported")
    assert os.listdir(box.root) == []


@test
def run_keep(box: Box):
    """run --keep: the container stays, stopped, for delete"""
    box.run("run", "--keep", "-b", box.bundle("sh", "-c", "exit 3"), "one").want(3)
    assert box.status("one") == "stopped"
    box.ok("delete", "one")

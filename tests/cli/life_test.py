# SPDX-License-Identifier: Apache-2.0
"""A container's life by the command line: what each command prints, leaves and answers."""
import json
import os
import signal
import socket
import subprocess
import time

from harness import Box, is_alive, read, test, wait_until


@test
def create_start_kill_delete(box: Box):
    """states and pids from create to delete"""
    bundle = box.bundle("sleep", "100")
    box.ok("create", "--bundle", bundle, "--pid-file", box.path("pid"), "one").want(out="", err="")
    pid = int(read(box.path("pid")))
    assert read(box.path("pid")) == str(pid), "no newline in a pid file"
    state = box.state("one")
    assert state == {"ociVersion": "1.2.0", "id": "one", "status": "created", "pid": pid, "bundle": bundle}, state
    box.run("kill", "one").want(128, line='cannot signal container "one" in state created')
    box.run("exec", "one", "true").want(128)
    box.ok("start", "one").want(out="", err="")
    assert box.status("one") == "running"
    box.run("start", "one").want(128, line='cannot start container "one" in state running')
    box.run("delete", "one").want(128, line="cannot delete container that is not stopped without --force flag")
    box.ok("kill", "one", "KILL")
    wait_until(lambda: box.status("one") == "stopped", "the end")
    assert box.state("one")["pid"] == -1
    box.run("kill", "one").want(128)
    box.ok("delete", "one").want(out="", err="")
    assert not is_alive(pid)
    box.run("state", "one").want(128, line="loading container*file does not exist")


@test
def run_ends_as_the_program(box: Box):
    """run: exit codes, output, the record gone"""
    for script, code in (("exit 0", 0), ("exit 7", 7), ("exit 255", 255), ("sh -c 'kill -TERM $$' 2>/dev/null; exit $?", 143)):
        box.run("run", "--bundle", box.bundle("sh", "-c", script), "one").want(code, out="", err="")
        assert os.listdir(box.root) == []
    box.run("run", "--bundle", box.bundle("sh", "-c", "echo out; echo err >&2"), "x").want(out="out\n", err="err\n")
    box.run("run", "--bundle", box.bundle("cat"), "x", text="given\n").want(out="given\n")


@test
def run_shares_a_file_with_others(box: Box):
    """output to an inherited file goes where the others' went, not over it"""
    bundle = box.bundle("echo", "middle")
    words = " ".join(box.words("run", "--bundle", bundle, "x"))
    os.system(f"(echo first; {words}; echo last) > {box.path('all')} 2>&1")
    assert read(box.path("all")) == "first\nmiddle\nlast\n", read(box.path("all"))


@test
def run_detached(box: Box):
    """run --detach returns; wait tells the exit status and state stays until delete"""
    bundle = box.bundle("sh", "-c", "trap 'exit 5' TERM; while :; do sleep 0.1; done")
    box.ok("run", "--detach", "--bundle", bundle, "--pid-file", box.path("pid"), "one").want(out="", err="")
    waiting = box.start("wait", "one", stdout=-1)
    time.sleep(0.3)
    box.ok("kill", "one", "TERM")
    out, _ = waiting.communicate(timeout=20)
    assert waiting.returncode == 0 and out == '{"id":"one","exitStatus":5}\n', out
    assert box.status("one") == "stopped"
    box.run("wait", "one").want(
        128, line='waiting on container "one": sandbox no longer running and its exit status is unavailable')
    box.ok("delete", "one")


@test
def wait_names_a_signal(box: Box):
    """wait: 128+n, and one process's status"""
    box.running("one", "sleep", "100")
    waiting = box.start("wait", "one", stdout=-1)
    box.ok("exec", "-detach", "-internal-pid-file", box.path("pid"), "one", "sh", "-c", "sleep 0.7; exit 9")
    box.ok("wait", "-pid", read(box.path("pid")), "one").want(out='{"id":"one","exitStatus":9}\n')
    box.run("wait", "-pid", "77", "one").want(128)
    box.ok("kill", "one", "9")
    assert waiting.communicate(timeout=20)[0] == '{"id":"one","exitStatus":137}\n'
    box.ok("delete", "one")


@test
def first_process_and_signals(box: Box):
    """the first process lives through signals that it has no handler for, as in any pid namespace"""
    box.running("one", "sleep", "100")
    for signo in ("TERM", "USR1", "SIGint", "sighup", "15"):
        box.ok("kill", "one", signo)
    assert box.status("one") == "running"
    box.run("kill", "one", "0").want(128, line='unknown signal "0"')
    box.run("kill", "one", "64").want(128, line='unknown signal "64"')
    box.run("kill", "one", "WHAT").want(128, line='unknown signal "WHAT"')
    box.run("kill", "--all", "--pid", "1", "one").want(128, line="it is invalid to specify both --all and --pid")
    box.run("kill", "--pid", "99", "one", "9").want(128)
    box.ok("kill", "--all", "one", "KILL")
    wait_until(lambda: box.status("one") == "stopped", "the end")
    box.ok("delete", "one")


@test
def kill_one_process_or_group(box: Box):
    """kill --pid and --pgid reach what they name"""
    box.running("one", "sh", "-c", "sleep 101 & sleep 102 & wait; echo never; sleep 103")
    wait_until(lambda: box.ok("ps", "--format", "json", "one").out == "[1,2,3]\n", "three processes")
    box.ok("kill", "--pid", "2", "one", "KILL")
    wait_until(lambda: box.ok("ps", "--format", "json", "one").out == "[1,3]\n", "two processes")
    box.ok("kill", "--pgid", "1", "one", "KILL")
    wait_until(lambda: box.status("one") == "stopped", "the end")
    box.ok("delete", "one")


@test
def tables(box: Box):
    """ps and list, as tables and as JSON"""
    assert box.run("list").want(err="").out.split() == ["ID", "PID", "STATUS", "BUNDLE", "CREATED", "OWNER"]
    box.ok("list", "--format", "json").want(out="null\n")
    box.ok("list", "--quiet").want(out="")
    box.running("one", "sleep", "100")
    box.created("two", "sleep", "100")
    lines = box.ok("ps", "one").out.splitlines()
    assert lines[0].split() == ["UID", "PID", "PPID", "C", "TTY", "STIME", "TIME", "CMD"], lines
    assert len(lines) == 2 and lines[1].split()[:3] == ["0", "1", "0"] and lines[1].split()[-1] == "sleep", lines
    box.ok("ps", "--format", "json", "one").want(out="[1]\n")
    box.ok("ps", "-f", "json", "one").want(out="[1]\n")
    box.run("ps", "--format", "xml", "one").want(128)
    rows = [line.split() for line in box.ok("list").out.splitlines()]
    assert [row[0] for row in rows] == ["ID", "one", "two"] and rows[1][2] == "running" and rows[2][2] == "created"
    items = json.loads(box.ok("list", "-format=json").out)
    assert [(item["id"], item["status"]) for item in items] == [("one", "running"), ("two", "created")], items
    assert sorted(items[0]) == ["bundle", "id", "ociVersion", "pid", "status"], items
    box.ok("list", "-q").want(out="one\ntwo\n")
    box.ok("delete", "--force", "one")
    box.ok("delete", "two")


@test
def short_ids(box: Box):
    """an id may be shortened while it is clear which one"""
    box.created("alpha", "true")
    box.created("alone", "true")
    assert box.state("alp")["id"] == "alpha"
    box.run("state", "al").want(128, line='id "al" is ambiguous*')
    box.run("state", "b").want(128, line="loading container*file does not exist")
    box.ok("delete", "alp")
    box.ok("delete", "a")


@test
def pause_and_resume(box: Box):
    """a paused container stands still, and refuses what it must"""
    box.running("one", "sh", "-c", "i=0; while :; do i=$((i+1)); echo $i > /tmp/n; sleep 0.05; done")
    wait_until(lambda: box.run("exec", "one", "cat", "/tmp/n").out, "the count")
    box.ok("pause", "one").want(out="", err="")
    assert box.status("one") == "paused"
    assert box.ok("ps", "--format=json", "one").out.startswith("[1")
    box.run("pause", "one").want(128, line='cannot pause container "one" in state paused')
    box.run("exec", "one", "true").want(128, line='cannot execute in container "one" in state paused')
    box.ok("resume", "one").want(out="", err="")
    box.run("resume", "one").want(128, line='cannot resume container "one" in state running')
    before = int(box.ok("exec", "one", "cat", "/tmp/n").out or 0)
    wait_until(lambda: int(box.ok("exec", "one", "cat", "/tmp/n").out or 0) > before, "a higher count")
    box.ok("pause", "one")
    box.ok("kill", "one", "9")
    wait_until(lambda: box.status("one") == "stopped", "the end of a paused container")
    box.ok("delete", "one")
    box.created("two", "true")
    box.run("pause", "two").want(128, line='cannot pause container "two" in state created')
    box.ok("delete", "two")


@test
def events(box: Box):
    """events --stats: one sample as JSON; without it one after the other until the end"""
    box.running("one", "sleep", "100")
    sample = json.loads(box.ok("events", "--stats", "one").out)
    assert sample["type"] == "stats" and sample["id"] == "one", sample
    assert sample["data"]["pids"]["current"] == 1 and sample["data"]["memory"]["usage"]["usage"] > 0, sample
    samples = box.start("events", "--interval", "1", "one", stdout=-1)
    assert json.loads(samples.stdout.readline())["type"] == "stats"
    samples.terminate()
    samples.wait()
    box.ok("delete", "--force", "one")


@test
def usage_and_debug(box: Box):
    """usage, usage --fd and debug look into the sandbox"""
    box.running("one", "sleep", "100")
    usage = json.loads(box.ok("usage", "one").out)
    assert list(usage) == ["Unknown", "System", "Anonymous", "PageCache", "Mapped", "Tmpfs", "Ramdiskfs", "Total"]
    assert usage["Total"] == usage["Unknown"] + usage["Mapped"] > 0
    assert json.loads(box.ok("usage", "--full", "one").out)["Total"] > 0
    pid = box.state("one")["pid"]
    assert box.ok("debug", "--stacks", "one").out.startswith(f'Found sandbox "one", PID: {pid}\n')
    assert "*** Stack dump ***" in box.ok("debug", "--stacks", "one").out
    assert '"cmd": "sleep"' in box.ok("debug", "--ps", "one").out
    box.ok("debug", "--strace=all", "--log-level=debug", "one")
    box.ok("delete", "--force", "one")


@test
def delete_several(box: Box):
    """delete takes several ids; --force is content with none at all"""
    box.created("one", "true")
    box.running("two", "sleep", "100")
    box.run("delete", "one", "two").want(128)
    box.ok("delete", "--force", "two")
    box.ok("delete", "--force", "unknown")
    box.run("delete", "unknown").want(128, line="loading container*does not exist")


@test
def bundle_members(box: Box):
    """user, groups, capabilities, rlimits, cwd, env, hostname, read-only root, masked paths, umask"""
    caps = ["CAP_KILL", "CAP_NET_BIND_SERVICE"]

    def change(config):
        config["linux"]["maskedPaths"] = ["/proc/meminfo"]
        config["linux"]["readonlyPaths"] = ["/tmp"]
        config["annotations"] = {"some.one": "said <this>"}

    script = ("id; pwd; echo $WORD; hostname; grep CapEff /proc/self/status; ulimit -n; umask; "
              "touch /data/x; cat /proc/meminfo; touch /tmp/x; echo $0 $$")
    bundle = box.bundle(
        "sh", "-c", script, "name", cwd="/data", env=["PATH=/bin", "WORD=a b"], change=change,
        user={"uid": 1000, "gid": 100, "additionalGids": [7], "umask": 0o27},
        capabilities={kind: caps for kind in ("bounding", "effective", "permitted", "inheritable", "ambient")},
        rlimits=[{"type": "RLIMIT_NOFILE", "hard": 99, "soft": 88}])
    done = box.run("run", "--bundle", bundle, "one").want(0)
    assert done.out == ("uid=1000(user) gid=100 groups=7\n/data\na b\nbox\nCapEff:\t0000000000000420\n88\n0027\n"
                        "name 1\n"), done
    assert done.err.splitlines() == ["touch: /data/x: Read-only file system", "touch: /tmp/x: Read-only file system"], done
    box.created("two", "true", change=change)
    assert '"some.one": "said \\u003cthis\\u003e"' in box.ok("state", "two").out
    box.ok("delete", "two")


@test
def root_overlay_and_binds(box: Box):
    """a writable root is written in memory, a bind mount on the host"""
    os.makedirs(box.path("shared"))

    def change(config):
        config["root"]["readonly"] = False
        config["mounts"].append({"destination": "/mnt", "type": "bind", "source": box.path("shared"),
                                 "options": ["rbind", "rw"]})
        config["mounts"].append({"destination": "/etc/one", "type": "bind", "source": box.path("file"),
                                 "options": ["bind", "ro"]})

    with open(box.path("file"), "w", encoding="utf-8") as file:
        file.write("bound\n")
    script = "echo x > /new; cat /new; rm /bin/vi; echo y > /mnt/kept; cat /etc/one; echo z > /etc/one"
    done = box.run("run", "--bundle", box.bundle("sh", "-c", script, change=change), "one")
    done.want(1, out="x\nbound\n")
    assert not os.path.exists(os.path.join(box.rootfs, "new")) and os.path.lexists(os.path.join(box.rootfs, "bin/vi"))
    assert read(box.path("shared", "kept")) == "y\n"
    assert read(box.path("file")) == "bound\n"


@test
def attached_run_passes_signals_on(box: Box):
    """a signal to an attached run reaches the program; its death ends the sandbox"""
    bundle = box.bundle("sh", "-c", "trap 'exit 3' USR2; echo up; while :; do sleep 0.05; done")
    child = box.start("run", "--bundle", bundle, "one", stdout=-1)
    assert child.stdout.readline() == "up\n"
    child.send_signal(signal.SIGUSR2)
    assert child.wait(timeout=20) == 3
    child = box.start("run", "--bundle", bundle, "two", stdout=-1)
    assert child.stdout.readline() == "up\n"
    child.kill()
    child.wait()
    wait_until(lambda: box.status("two") == "stopped", "the end")
    box.ok("delete", "two")


@test
def do_on_this_machine(box: Box):
    """do: this machine's files, changes in memory, exit status"""
    with open(box.path("here"), "w", encoding="utf-8") as file:
        file.write("host\n")
    box.run("do", "cat", box.path("here")).want(out="host\n", err="")
    box.run("do", "sh", "-c", f"echo changed > {box.path('here')}; cat {box.path('here')}; pwd", cwd=box.dir).want(
        out=f"changed\n{box.dir}\n")
    assert read(box.path("here")) == "host\n"
    box.run("do", "sh", "-c", "exit 9").want(9)
    limits = box.words("do", "bash", "-c", "ulimit -Sn; ulimit -Hn")
    shell = subprocess.run(["sh", "-c", 'ulimit -Sn 77; ulimit -Hn 333; exec "$@"', "sh", *limits],
                           capture_output=True, text=True, timeout=60)
    assert shell.stdout == "77\n333\n", shell
    box.run("do", "no-such-program").want(128)
    box.run("do").want(128)
    assert not os.path.exists(box.root) or os.listdir(box.root) == []


@test
def spec_and_help(box: Box):
    """spec writes a bundle once; help, flags, version; wrong usage"""
    os.makedirs(box.path("b"))
    box.ok("spec", "--bundle", box.path("b"), "--", "/bin/echo", "a b")
    config = json.loads(read(box.path("b", "config.json")))
    assert config["process"]["args"] == ["/bin/echo", "a b"] and config["root"] == {"path": "rootfs", "readonly": True}
    assert read(box.path("b", "config.json")).startswith('{\n    "ociVersion": "1.0.0"')
    box.run("spec", "--bundle", box.path("b")).want(128, line='file "*config.json" already exists')
    os.symlink(box.rootfs, box.path("b", "rootfs"))
    box.run("run", "--bundle", box.path("b"), "one").want(out="a b\n")
    version = box.ok("--version").out.splitlines()
    assert len(version) == 2 and version[0].startswith("runsc version ") and version[1].startswith("spec: "), version
    commands = box.ok("help").out
    for word in ("checkpoint", "create", "delete", "do", "events", "exec", "kill", "list", "pause", "ps", "restore",
                 "resume", "run", "spec", "start", "state", "update", "wait"):
        assert f"  {word} " in commands, word
        assert box.ok("help", word).out and box.ok(word, "--help").out and box.ok(word, "-h").out
    box.ok("flags")
    box.ok("help", "platforms")
    box.run("--no-such-flag", "list").want(2)
    box.run("list", "--no-such-flag").want(128)
    box.run("nonsense").want(128, line="unknown command*")
    box.run().want(128)
    for words in (["create"], ["start"], ["start", "a", "b"], ["kill"], ["exec", "x"], ["state"]):
        box.run(*words).want(128)


@test
def errors_in_the_log_file(box: Box):
    """--log FILE gets a JSON object for each error, appended"""
    for name in ("one", "two"):
        box.run("state", name, flags=("--log", box.path("log"), "--log-format=json")).want(128)
    text = read(box.path("log"))
    first, end = json.JSONDecoder().raw_decode(text)
    second = json.loads(text[end:])
    assert first["level"] == "error" and 'container "one"' in first["msg"] or "does not exist" in first["msg"], first
    assert sorted(second) == ["level", "msg", "time"], second


@test
def debug_logs(box: Box):
    """--debug-log writes a file for each process; --strace the program's calls"""
    os.makedirs(box.path("logs"))
    box.run("run", "--bundle", box.bundle("cat", "/etc/passwd"), "one",
            flags=("--debug", "--strace", "--debug-log", box.path("logs") + "/")).want(0)
    names = os.listdir(box.path("logs"))
    assert any(".boot." in name for name in names), names
    text = "".join(read(box.path("logs", name)) for name in names)
    assert '"/etc/passwd"' in text or "/etc/passwd" in text, names


@test
def several_containers_in_one_sandbox(box: Box):
    """containers that annotations put into another's sandbox live and die by themselves"""
    def container(config):
        config["annotations"] = {"io.kubernetes.cri.container-type": "container",
                                 "io.kubernetes.cri.sandbox-id": "pod"}

    def sandbox(config):
        config["annotations"] = {"io.kubernetes.cri.container-type": "sandbox"}

    box.running("pod", "sleep", "100", change=sandbox)
    box.running("sub", "sleep", "100", change=container)
    assert box.state("sub")["pid"] == box.state("pod")["pid"]
    box.ok("exec", "sub", "hostname").want(out="box\n")
    box.ok("list", "-quiet", "-sandbox").want(out="pod\n")
    waiting = box.start("wait", "sub", stdout=-1)
    time.sleep(0.2)
    box.ok("kill", "sub", "KILL")
    assert waiting.communicate(timeout=20)[0] == '{"id":"sub","exitStatus":137}\n'
    wait_until(lambda: box.status("sub") == "stopped", "the end of one container")
    assert box.status("pod") == "running"
    box.ok("delete", "sub")
    box.running("sub2", "sleep", "100", change=container)
    box.ok("delete", "--force", "sub2")
    assert box.status("pod") == "running"
    box.ok("delete", "--force", "pod")


LINKS = {
    "LoopbackLinks": [{"Name": "lo", "Addresses": [{"Address": "127.0.0.1", "PrefixLen": 8}]}],
    "FDBasedLinks": [{
        "Name": "eth0", "MTU": 1400, "LinkAddress": "AgAAAAAB",
        "Addresses": [{"Address": "10.1.0.2", "PrefixLen": 24}, {"Address": "fd00::2", "PrefixLen": 64}],
        "Routes": [{"Destination": {"IP": "10.9.0.0", "Mask": "//8AAA=="}, "Gateway": "10.1.0.1"}],
        "Neighbors": [{"IP": "10.1.0.1", "HardwareAddr": "AgAAAAAC"}]}],
    "Defaultv4Gateway": {"Route": {"Gateway": "10.1.0.1"}, "Name": "eth0"}}


@test
def links_of_a_client_are_seen_by_ip(box: Box):
    """links, addresses, routes and neighbours that a client sets are what ip(8) inside shows, also after a restore"""
    bundle = box.bundle("sleep", "1000")
    box.ok("create", "--bundle", bundle, "one")
    with socket.socket(socket.AF_UNIX) as client:
        client.connect(os.path.join(box.root, "runsc-one.sock"))
        client.send(json.dumps({"method": "containerManager.SetNetworkArgs", "arg": LINKS}).encode())
        assert json.loads(client.recv(4096)) == {"success": True, "err": "", "result": {}}
    box.ok("start", "one")
    look = "ip -o addr; ip link show eth0; ip route; ip -6 route; ip neigh"
    seen = box.ok("exec", "one", "sh", "-c", look).out
    for line in ("inet 10.1.0.2/24 scope global eth0", "inet6 fd00::2/64", "link/ether 02:00:00:00:00:01", "mtu 1400",
                 "default via 10.1.0.1 dev eth0", "10.9.0.0/16 via 10.1.0.1 dev eth0", "fd00::/64 dev eth0",
                 "10.1.0.1 dev eth0 lladdr 02:00:00:00:00:02 PERMANENT"):
        assert line in seen, (line, seen)
    box.ok("checkpoint", "--image-path", box.path("image"), "one")
    box.ok("delete", "--force", "one")
    box.ok("restore", "--detach", "--image-path", box.path("image"), "--bundle", bundle, "two")
    assert box.ok("exec", "two", "sh", "-c", look).out == seen
    box.ok("delete", "--force", "two")


def with_groups(config):
    config["mounts"].append({"destination": "/sys/fs/cgroup", "type": "cgroup", "source": "cgroup",
                             "options": ["nosuid", "noexec", "nodev", "ro"]})
    config["linux"]["resources"] = {"pids": {"limit": 200}, "memory": {"limit": 1 << 28}, "cpu": {"shares": 512}}


@test
def control_groups_inside(box: Box):
    """a cgroup mount shows a container its own group; what is set outside is read inside, also after a restore"""
    bundle = box.bundle("sleep", "1000", change=with_groups)
    box.ok("create", "--bundle", bundle, "one")
    box.ok("start", "one")
    look = ("cd /sys/fs/cgroup && ls && cat pids/pids.max memory/memory.limit_in_bytes cpu/cpu.shares job/job.id "
            "cpuset/cpuset.mems devices/devices.list; cat /proc/self/cgroup; grep pids /proc/cgroups")
    seen = box.ok("exec", "one", "sh", "-c", look).out
    assert seen.splitlines() == ["cpu", "cpuacct", "cpuset", "devices", "job", "memory", "pids", "200", str(1 << 28), "512", "0",
                                 "0", "a *:* rwm", "7:pids:/", "6:memory:/", "5:job:/", "4:devices:/", "3:cpuset:/",
                                 "2:cpuacct:/", "1:cpu:/", "pids\t7\t1\t1"], seen
    box.run("exec", "one", "sh", "-c", "echo 9 > /sys/fs/cgroup/pids/pids.max").want(1)
    box.ok("write-control", "one", "pids", "/one", "pids.max", "5")
    box.ok("write-control", "one", "job", "/one", "job.id", "41")
    assert "5" == box.ok("exec", "one", "cat", "/sys/fs/cgroup/pids/pids.max").out.strip()
    fork = "for i in 1 2 3 4 5 6; do sleep 100 & done; cat /sys/fs/cgroup/pids/pids.current"
    assert "resource temporarily unavailable" in box.run("exec", "one", "sh", "-c", fork).err.lower()
    box.ok("checkpoint", "--image-path", box.path("image"), "one")
    box.ok("delete", "--force", "one")
    box.ok("restore", "--detach", "--image-path", box.path("image"), "--bundle", bundle, "two")
    look = "cat /sys/fs/cgroup/pids/pids.max /sys/fs/cgroup/job/job.id /sys/fs/cgroup/memory/memory.limit_in_bytes"
    assert box.ok("exec", "two", "sh", "-c", look).out == f"5\n41\n{1 << 28}\n"
    box.ok("read-control", "two", "pids", "/two", "pids.max").want(out="5\n")
    usage = json.loads(box.ok("events", "--stats", "two").out)["data"]
    assert usage["pids"]["current"] >= 1 and usage["memory"]["usage"]["usage"] > 0
    box.ok("delete", "--force", "two")

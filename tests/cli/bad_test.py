# SPDX-License-Identifier: Apache-2.0
"""Bad input: one clear line, the conventional exit status, nothing left."""
import json
import os
import random
import shutil
import signal
import socket
import stat
import struct
import subprocess
import time

from harness import BUSYBOX, Box, read, test, wait_until, write


def refused(box, bundle, line, command="create"):
    done = box.run(command, "--bundle", bundle, "one").want(128, out="", line=line)
    assert not os.path.isdir(box.root) or os.listdir(box.root) == [], os.listdir(box.root)
    return done


@test
def bundles(box: Box):
    """a bundle that is not there, without config.json, with rubbish in it"""
    refused(box, box.path("none"), "*no such file or directory*")
    os.makedirs(box.path("empty"))
    refused(box, box.path("empty"), "*config.json*no such file or directory*")
    for number, text in enumerate((b"", b"{", b"[]", b"null", b"{} {}", b'{"process": 3}', b"\xff\xfe\x00", b'{"a":"\\ud800"}',
                                   b"{" * 5000, b'{"x":' + b"[" * 100000, b'{"ociVersion":"1.0.0"}')):
        os.makedirs(box.path(f"b{number}"))
        with open(box.path(f"b{number}", "config.json"), "wb") as file:
            file.write(text)
        refused(box, box.path(f"b{number}"), "*")
        refused(box, box.path(f"b{number}"), "*", "run")
    os.makedirs(box.path("folder", "config.json"))
    refused(box, box.path("folder"), "*")


@test
def configurations(box: Box):
    """members of the wrong type, missing or senseless ones, each named"""
    def case(line, change):
        refused(box, box.bundle("true", change=change), line)

    def put(path, value):
        def change(config):
            *parents, last = path.split(".")
            for part in parents:
                config = config[int(part) if part.isdigit() else part]
            config[last] = value
        return change

    case("*args*", put("process.args", []))
    case("*args*", put("process.args", "true"))
    case("*args*", put("process.args", [1]))
    case("*uid*", put("process.user.uid", "root"))
    case("*uid*", put("process.user.uid", -1))
    case("*uid*", put("process.user.uid", 1 << 40))
    case("*process*", put("process", None))
    case("*root*", put("root", None))
    case("*path*", put("root.path", ""))
    case("*mounts*", put("mounts", {"a": 1}))
    case("*destination*", put("mounts.0.destination", "proc"))
    case("*CAP_NONE*", put("process.capabilities", {"bounding": ["CAP_NONE"]}))
    case("*RLIMIT_NONE*", put("process.rlimits", [{"type": "RLIMIT_NONE", "hard": 1, "soft": 1}]))
    case("*cwd*", put("process.cwd", "relative"))
    case("*type*", put("linux.namespaces", [{"type": "no-such"}]))


@test
def roots(box: Box):
    """a root that is missing, a file, or not to be opened"""
    def change(config):
        config["root"]["path"] = "no-such"
    refused(box, box.bundle("true", change=change), "*no such file or directory*")
    write(box.path("file"), "")

    def to_file(config):
        config["root"]["path"] = box.path("file")
    refused(box, box.bundle("true", change=to_file), "*ot a directory*")

    def bind(config):
        config["mounts"].append({"destination": "/mnt", "type": "bind", "source": box.path("none"), "options": ["bind"]})
    refused(box, box.bundle("true", change=bind), "*no such file or directory*")


def programs(box):
    """A root with faulty programs."""
    root = box.path("rootfs")
    os.makedirs(os.path.join(root, "bin"))
    elf = open(BUSYBOX, "rb").read()
    shutil.copy(BUSYBOX, os.path.join(root, "bin", "busybox"))

    def add(name, content, mode=0o755):
        with open(os.path.join(root, "bin", name), "wb") as file:
            file.write(content)
        os.chmod(os.path.join(root, "bin", name), mode)

    def patched(offset, form, value):
        changed = bytearray(elf)
        struct.pack_into(form, changed, offset, value)
        return bytes(changed)

    for size in (1, 20, 63, 64, 100, 4096):
        add(f"cut{size}", elf[:size])
    add("machine", patched(18, "<H", 183))
    add("class", patched(4, "<B", 1))
    add("type", patched(16, "<H", 4))
    add("headers", patched(56, "<H", 65535))
    add("far", patched(32, "<Q", 1 << 62))
    add("entry", patched(24, "<Q", 0x10))
    add("loop", b"#!/bin/loop\n")
    add("ping", b"#!/bin/pong\n")
    add("pong", b"#!/bin/ping\n")
    add("nowhere", b"#!/no/such/interpreter\n")
    add("empty", b"")
    add("mode", elf, 0o644)
    add("text", b"just text\n")
    add("noise", random.Random(1).randbytes(5000))
    os.mkdir(os.path.join(root, "bin", "folder"))
    os.symlink("/../../../../../../../../bin/busybox-outside", os.path.join(root, "bin", "escape"))
    os.symlink("self", os.path.join(root, "bin", "self"))
    return root


@test
def faulty_programs(box: Box):
    """truncated, foreign, looping and missing programs end create or start with one line; nothing stays"""
    root = programs(box)

    def change(config):
        config["root"]["path"] = root
    for name in sorted(os.listdir(os.path.join(root, "bin"))) + ["missing", "busybox/x"]:
        if name in ("busybox", "entry"):
            continue
        bundle = box.bundle("/bin/" + name, change=change)
        done = box.run("run", "--bundle", bundle, "one").want(128, out="", line="*")
        assert "\n" not in done.err[:-1] and len(done.err) < 400, done
        assert os.listdir(box.root) == [], (name, os.listdir(box.root))
    bundle = box.bundle("/bin/entry", change=change)
    box.run("run", "--bundle", bundle, "one").want(128 + signal.SIGSEGV)
    bundle = box.bundle("/bin/missing", change=change)
    refused(box, bundle, "*no such file or directory*")
    refused(box, box.bundle("missing", change=change, env=["PATH=/bin"]), "*executable file not found in $PATH*")
    refused(box, box.bundle("/bin/mode", change=change), "*permission denied*")


@test
def a_failed_start(box: Box):
    """a program that fails at start: one line, the container is stopped, delete clears it"""
    root = programs(box)

    def change(config):
        config["root"]["path"] = root
    box.created("one", "/bin/cut100", change=change)
    box.run("start", "one").want(128, line="*")
    assert box.status("one") == "stopped"
    box.run("start", "one").want(128, line='cannot start container "one" in state stopped')
    box.ok("delete", "one")


@test
def escaping_paths(box: Box):
    """links and .. that lead out of the root stay inside"""
    root = box.path("rootfs")
    os.makedirs(os.path.join(root, "bin"))
    shutil.copy(BUSYBOX, os.path.join(root, "bin", "busybox"))
    write(box.path("secret"), "outside\n")
    os.symlink("../" * 20 + box.path("secret").lstrip("/"), os.path.join(root, "relative"))
    os.symlink(box.path("secret"), os.path.join(root, "absolute"))
    os.symlink(box.dir, os.path.join(root, "folder"))

    def change(config):
        config["root"] = {"path": root, "readonly": False}
    up = "../" * 30
    script = f"cat /relative /absolute /folder/secret /{up}{box.path('secret')} /proc/1/root/{box.path('secret')}"
    done = box.run("run", "--bundle", box.bundle("/bin/busybox", "sh", "-c", script, change=change), "one").want(1, out="")
    assert done.err.count("No such file or directory") == 5, done

    def mount_outside(config):
        config["root"] = {"path": root, "readonly": False}
        config["mounts"] = [{"destination": "/folder/new", "type": "tmpfs", "source": "tmpfs"},
                            {"destination": "/../../" + box.path("up"), "type": "tmpfs", "source": "tmpfs"}]
    box.run("run", "--bundle", box.bundle("/bin/busybox", "true", change=mount_outside), "one")
    assert not os.path.exists(box.path("new")) and not os.path.exists(box.path("up"))


@test
def ids(box: Box):
    """ids that exist, do not exist, or are none"""
    bundle = box.bundle("sleep", "100")
    for name in ("", "a/b", "..", ".", "a b", "a\nb", "x" * 2000, "-x", "ä"):
        done = box.run("create", "--bundle", bundle, "--", name) if name.startswith("-") else box.run(
            "create", "--bundle", bundle, name)
        if done.code == 0:
            box.ok("delete", "--force", "--", name)
            assert name in ("-x", "ä"), name
        else:
            done.want(128, out="")
            assert done.err.count("\n") <= 2 and len(done.err) < 3000, done
    box.ok("create", "--bundle", bundle, "one")
    box.run("create", "--bundle", bundle, "one").want(
        128, line="*cannot lock container metadata file: container already exists")
    box.run("run", "--bundle", bundle, "one").want(128, line="*container already exists")
    assert box.status("one") == "created"
    box.ok("delete", "one")
    for words in (["start"], ["state"], ["kill"], ["pause"], ["resume"], ["ps"], ["delete"], ["wait"], ["events"],
                  ["exec", None, "true"], ["usage"], ["debug", "--stacks"], ["checkpoint", "--image-path", box.path("i")]):
        line = [word if word is not None else "gone" for word in words]
        done = box.run(*(line if None in words else line + ["gone"])).want(128, out="")
        assert done.err.endswith("file does not exist\n") and done.err.count("\n") == 1, done
    assert not os.path.exists(box.path("i", "checkpoint.img"))


@test
def dead_sandbox(box: Box):
    """commands to a container whose sandbox was killed: stopped, one line, delete clears it"""
    box.running("one", "sleep", "100")
    os.kill(box.state("one")["pid"], signal.SIGKILL)
    wait_until(lambda: box.status("one") == "stopped", "the end")
    for words in (["kill", "one"], ["exec", "one", "true"], ["ps", "one"], ["pause", "one"], ["start", "one"],
                  ["events", "--stats", "one"], ["usage", "one"], ["debug", "--stacks", "one"], ["wait", "one"],
                  ["checkpoint", "--image-path", box.path("i"), "one"]):
        done = box.run(*words).want(128)
        assert done.err.count("\n") == 1, done
    assert [item["status"] for item in json.loads(box.ok("list", "--format=json").out)] == ["stopped"]
    box.ok("delete", "one")


@test
def records_that_cannot_be_read(box: Box):
    """rubbish where a record should be: one line; list goes on; delete --force takes it away"""
    box.created("good", "true")
    path = os.path.join(box.root, "bad_sandbox:bad.state")
    for text in ("", "{", "[]", '{"id":3}', '{"id":"bad"}', "{}" * 100):
        write(path, text)
        box.run("state", "bad").want(128, line="*")
        assert "good" in box.run("list").out
        box.run("delete", "--force", "bad").want(0)
        assert not os.path.exists(path)
    os.mkfifo(path)
    write(os.path.join(box.root, "notes.txt"), "not ours")
    os.unlink(path)
    assert box.ok("list", "-q").out == "good\n"
    os.unlink(os.path.join(box.root, "notes.txt"))
    box.ok("delete", "good")


def descriptors(pid):
    return len(os.listdir(f"/proc/{pid}/fd"))


@test
def rubbish_on_the_control_socket(box: Box):
    """bytes that are no call, too large or cut anywhere, with descriptors: the sandbox goes on and keeps none"""
    box.running("one", "sleep", "100")
    pid = box.state("one")["pid"]
    path = box.record("one")["sandbox"]["controlSocketPath"]
    box.ok("state", "one")
    time.sleep(0.2)
    before = descriptors(pid)
    call = b'{"method":"containerManager.ContainerRuntimeState","arg":"one"}'
    noise = random.Random(2)
    texts = [b"", b"\0", b"nonsense", b"{" * 100000, b'{"method":', b'"' + b"x" * 3000000, b"[]", b"{}", b"null",
             b'{"method":"a.b","arg":null}', b'{"method":3}', call[:-1], call + call[:10], b"\xff" * 1000,
             noise.randbytes(10000)] + [call[:i] for i in range(1, len(call), 3)]
    for text in texts:
        with socket.socket(socket.AF_UNIX) as client, open("/dev/null", "rb") as null:
            client.settimeout(5)
            client.connect(path)
            try:
                socket.send_fds(client, [text[:1] or b" "], [null.fileno()] * 3)
                client.sendall(text[1:])
            except OSError:
                pass  # it had hung up on us
    for _ in range(20):
        with socket.socket(socket.AF_UNIX) as client:
            client.connect(path)
    # Beside clients that say nothing and stay.
    idle = [socket.socket(socket.AF_UNIX) for _ in range(30)]
    for client in idle:
        client.connect(path)
    box.ok("exec", "one", "echo", "fine").want(out="fine\n")
    for client in idle:
        client.close()
    wait_until(lambda: descriptors(pid) <= before, f"{before} descriptors, not {descriptors(pid)}")
    box.ok("delete", "--force", "one")


@test
def files_that_cannot_be_written(box: Box):
    """pid files, logs, user logs and roots in places that do not exist"""
    bundle = box.bundle("sleep", "100")
    none = box.path("none", "file")
    box.run("create", "--bundle", bundle, "--pid-file", none, "one").want(128, line="*pid file*no such file or directory")
    assert os.listdir(box.root) == []
    box.run("create", "--bundle", bundle, "--user-log", none, "one").want(128, line="*no such file or directory")
    for flags in (("--log", none), ("--log-fd", "99")):
        box.run("state", "one", flags=flags).want(128, line="error opening log file*")
    box.running("one", "sleep", "100")
    for flag in ("--pid-file", "--internal-pid-file"):
        box.run("exec", "--detach", flag, none, "one", "sleep", "100").want(128, line="*")
    wait_until(lambda: box.ok("ps", "--format=json", "one").out == "[1]\n", "the end of failed execs")
    box.ok("delete", "--force", "one")
    write(box.path("file"), "")
    box.run("--root", box.path("file", "x"), "create", "--bundle", bundle, "one").want(128, line="*")


@test
def wrong_flag_values(box: Box):
    """global flags with values that there are not"""
    bundle = box.bundle("true")
    for flag in ("--platform=none", "--network=what", "--overlay2=nonsense", "--overlay2=root:dir=relative",
                 "--file-access=maybe", "--host-uds=x", "--log-format=xml", "--debug=maybe", "--restore-spec-validation=x"):
        done = box.run("create", "--bundle", bundle, "one", flags=(flag,)).want(128)
        assert done.err.count("\n") == 1, done
    assert not os.path.isdir(box.root) or os.listdir(box.root) == []


@test
def bytes_that_a_terminal_obeys(box: Box):
    """what is odd in words comes back escaped, in one line"""
    os.makedirs(box.root)
    for word, shown in (("a\nb", "a\\nb"), ("a\x1b[2Jb", "a\\x1b[2Jb"), (b"\xff\xfe", "\\xff\\xfe"), ("\u0085", "\\x85"), ("\u00e9", "\u00e9")):
        box.run("state", word).want(128, err=f"invalid container id: {shown}\n")


@test
def output_that_nobody_takes(box: Box):
    """a full disk as standard output is an error; a closed pipe ends a command as it ends others"""
    os.makedirs(box.root)
    for words in (("list",), ("flags",), ("help",), ("--version",), ("features",)):
        with open("/dev/full", "wb") as full:
            done = subprocess.run(box.words(*words), stdout=full, stderr=subprocess.PIPE, text=True, check=False)
        assert (done.returncode, done.stderr) == (128, "write standard output: no space left on device\n"), (words, done)
        reader, writer = os.pipe()
        os.close(reader)
        done = subprocess.run(box.words(*words), stdout=writer, stderr=subprocess.PIPE, text=True, check=False)
        os.close(writer)
        assert (done.returncode, done.stderr) == (-signal.SIGPIPE, ""), (words, done)


@test
def pid_files_that_are_no_files(box: Box):
    """a device, or what a link leads to, is written to and stays what it is"""
    os.mknod(box.path("device"), stat.S_IFCHR | 0o600, os.makedev(1, 3))
    os.symlink("target", box.path("link"))
    write(box.path("target"), "some longer text")
    for name in ("device", "link"):
        box.ok("run", "-b", box.bundle("true"), "--pid-file", box.path(name), "one")
    assert stat.S_ISCHR(os.lstat(box.path("device")).st_mode) and os.path.islink(box.path("link"))
    assert int(read(box.path("target"))) > 1
    os.unlink(box.path("device"))
    os.mknod(box.path("device"), stat.S_IFCHR | 0o600, os.makedev(1, 7))
    box.run("create", "-b", box.bundle("true"), "--pid-file", box.path("device"), "one").want(
        128, line="*cannot write the pid file*no space left on device")
    assert os.listdir(box.root) == []

# SPDX-License-Identifier: Apache-2.0
"""checkpoint and restore by the command line: programs in mid-work, refusals, damaged images."""
import glob
import json
import os
import shutil
import signal
import subprocess
import time

from harness import Box, ConsoleSocket, read, test, wait_until, write

COUNTER = "i=0; while :; do i=$((i+1)); echo $i; sleep 0.02; done"


def last_line(path):
    lines = read(path).splitlines()
    return int(lines[-1]) if lines else 0


def counting(box, name="one"):
    """A container that counts into a file of the host; the file's path."""
    bundle = box.bundle("sh", "-c", COUNTER, name="counter")
    out = box.path("count")
    with open(out, "wb") as file:
        subprocess.run(box.words("create", "--bundle", bundle, name), stdin=subprocess.DEVNULL, stdout=file, stderr=file,
                       check=True, timeout=20)
    box.ok("start", name)
    wait_until(lambda: last_line(out) > 5, "the count")
    return out


@test
def checkpoint_ends_and_restore_goes_on(box: Box):
    """checkpoint ends the container with 0; restore goes on where it was, under another id"""
    out = counting(box)
    waiting = box.start("wait", "one", stdout=-1)
    time.sleep(0.2)
    box.ok("checkpoint", "--image-path", box.path("image"), "one").want(out="", err="")
    assert json.loads(waiting.communicate(timeout=20)[0])["exitStatus"] == 0
    wait_until(lambda: box.status("one") == "stopped", "the end")
    assert {"checkpoint.img", "inventory.img"} <= set(os.listdir(box.path("image")))
    box.ok("delete", "one")
    before = last_line(out)
    second = box.start("restore", "--image-path", box.path("image"), "--bundle", box.path("counter"), "two", stdout=-1)
    assert int(second.stdout.readline()) == before + 1, "the count goes on"
    assert int(second.stdout.readline()) == before + 2
    assert box.status("two") == "running"
    box.ok("kill", "two", "KILL")
    second.stdout.read()
    assert second.wait(timeout=20) == 137
    box.ok("delete", "two")


@test
def checkpoint_leaves_running(box: Box):
    """--leave-running: the container goes on and the command ends at once, also from pause"""
    out = counting(box)
    box.ok("checkpoint", "--leave-running", "--image-path", box.path("a"), "one", timeout=15).want(out="", err="")
    before = last_line(out)
    wait_until(lambda: last_line(out) > before + 3, "a higher count")
    box.ok("pause", "one")
    box.ok("checkpoint", "--leave-running", "--image-path", box.path("b"), "--work-path", box.path("b"), "one")
    assert box.status("one") == "paused"
    before = last_line(out)
    time.sleep(0.2)
    assert last_line(out) == before, "it stays paused"
    box.ok("resume", "one")
    wait_until(lambda: last_line(out) > before, "a higher count")
    box.run("checkpoint", "--leave-running", "--image-path", box.path("a"), "one").want(
        128, line="*checkpoint.img*file exists*")
    before = last_line(out)
    wait_until(lambda: last_line(out) > before + 3, "a count that goes on after a refusal")
    box.ok("delete", "--force", "one")
    box.ok("restore", "--detach", "--image-path", box.path("b"), "--bundle", box.path("counter"),
           "--pid-file", box.path("pid"), "two")
    assert int(read(box.path("pid"))) == box.state("two")["pid"]
    box.ok("kill", "two", "KILL")
    wait_until(lambda: box.status("two") == "stopped", "the end")
    box.ok("delete", "two")


@test
def bash_on_a_terminal(box: Box):
    """a shell with job control on a terminal: variables, a stopped job and the prompt come back"""
    console = ConsoleSocket(box.path("s"))
    bundle = box.bundle("/bin/bash", "--norc", "-i", terminal=True, change=machine, env=["PATH=/bin:/usr/bin", "PS1=@> "])
    box.ok("create", "--bundle", bundle, "--console-socket", console.path, "one")
    terminal = console.terminal()
    box.ok("start", "one")
    terminal.expect("@> ")
    terminal.send("word=kept; f() { echo f-$word; }\n")
    terminal.expect("@> ")
    terminal.send("sleep 1000\n")
    wait_until(lambda: "sleep" in box.ok("ps", "one").out, "sleep")
    terminal.send("\x1a")
    terminal.expect("Stopped")
    box.ok("checkpoint", "--image-path", box.path("image"), "one")
    terminal.close()
    box.ok("delete", "--force", "one")
    box.ok("restore", "--detach", "--image-path", box.path("image"), "--bundle", bundle, "--console-socket", console.path,
           "two")
    terminal = console.terminal()
    terminal.send("f; jobs\n")
    terminal.expect("f-kept")
    terminal.expect(r"\[1\]\+\s+Stopped\s+sleep 1000")
    terminal.send("kill -9 %1; wait; exit 4\nexit 4\n")  # "There are stopped jobs" may come first
    wait_until(lambda: box.status("two") == "stopped", "the end")
    terminal.close()
    console.close()
    box.ok("delete", "two")


def machine(config):
    """This machine's own root, read-only."""
    config["root"]["path"] = "/"


PYTHON = """
import threading, time, sys, subprocess, os
total, lock = 0, threading.Lock()
def work(n):
    global total
    for i in range(60):
        time.sleep(0.02)
        with lock:
            total += n
threads = [threading.Thread(target=work, args=(n,)) for n in range(1, 5)]
child = subprocess.Popen(["cat"], stdin=subprocess.PIPE, stdout=subprocess.PIPE)
r, w = os.pipe()
os.write(w, b"in the pipe")
print("started", flush=True)
[t.start() for t in threads]; [t.join() for t in threads]
child.stdin.write(b"through cat"); child.stdin.close()
print(total, os.read(r, 100), child.stdout.read(), child.wait(), flush=True)
"""


@test
def python_in_mid_work(box: Box):
    """python3 with threads, a child, pipes: checkpointed in the middle, it ends with the same sums"""
    bundle = box.bundle("/usr/bin/python3", "-c", PYTHON, change=machine, env=["PATH=/usr/bin"])
    first = box.start("run", "--bundle", bundle, "one", stdout=-1)
    assert first.stdout.readline() == "started\n"
    time.sleep(0.4)
    box.ok("checkpoint", "--image-path", box.path("image"), "one")
    assert first.wait(timeout=20) == 0 and first.stdout.read() == ""
    done = box.run("restore", "--image-path", box.path("image"), "--bundle", bundle, "two")
    done.want(0, out="600 b'in the pipe' b'through cat' 0\n", err="")
    box.ok("delete", "two")


@test
def refusals(box: Box):
    """no image path, no image, wrong states: one line each, and nothing left"""
    bundle = box.bundle("sleep", "100")
    box.run("checkpoint", "one").want(128, line="*")
    box.running("one", "sleep", "100")
    box.run("checkpoint", "one").want(128, line="image-path flag must be provided")
    box.run("checkpoint", "--image-path", box.path("i"), "--compression", "what", "one").want(128, line="*what*")
    box.run("restore", "--bundle", bundle, "two").want(128, line="image-path flag must be provided")
    box.run("restore", "--image-path", box.path("none"), "--bundle", bundle, "two").want(
        128, line="*no such file or directory*")
    box.run("restore", "--image-path", box.path("none"), "--bundle", bundle, "one").want(128, line="*")
    assert box.status("one") == "running"
    write(box.path("file"), "")
    box.run("checkpoint", "--image-path", box.path("file"), "one").want(128, line="*ot a directory*")
    assert box.status("one") == "running"
    box.ok("delete", "--force", "one")


@test
def damaged_images(box: Box):
    """an image cut short, changed or of something else is refused, and nothing stays"""
    bundle = box.bundle("sleep", "100")
    box.ok("run", "--detach", "--bundle", bundle, "one")
    box.ok("checkpoint", "--image-path", box.path("good"), "--compression", "none", "one")
    box.ok("delete", "--force", "one")
    names = sorted(os.path.basename(path) for path in glob.glob(box.path("good", "*.img")))
    main = max(names, key=lambda name: os.path.getsize(box.path("good", name)) if "checkpoint" in name else 0)
    text = open(box.path("good", main), "rb").read()
    number = 0
    for changed in (b"", text[:7], text[:100], text[:len(text) // 2], text[:-1], b"x" + text[1:],
                    text[:len(text) // 2] + bytes([text[len(text) // 2] ^ 1]) + text[len(text) // 2 + 1:], b"\0" * 5000):
        number += 1
        shutil.copytree(box.path("good"), box.path(f"bad{number}"))
        with open(box.path(f"bad{number}", main), "wb") as file:
            file.write(changed)
        box.run("restore", "--detach", "--image-path", box.path(f"bad{number}"), "--bundle", bundle, "two").want(
            128, line="*")
        box.run("delete", "--force", "two").want(0)
        assert os.listdir(box.root) == [], number
    for name in names:
        if name not in (main, "inventory.img"):
            shutil.copytree(box.path("good"), box.path("without" + name))
            with open(box.path("without" + name, name), "r+b") as file:
                file.truncate(os.path.getsize(box.path("good", name)) // 2)
            box.run("restore", "--detach", "--image-path", box.path("without" + name), "--bundle", bundle, "two").want(
                128, line="*")
            box.run("delete", "--force", "two").want(0)
    box.ok("restore", "--detach", "--image-path", box.path("good"), "--bundle", bundle, "two")
    box.ok("delete", "--force", "two")


@test
def another_specification(box: Box):
    """a bundle that differs where it must not is refused by name; warning and ignore let it pass"""
    bundle = box.bundle("sleep", "100")
    box.ok("run", "--detach", "--bundle", bundle, "one")
    box.ok("checkpoint", "--image-path", box.path("i"), "one")
    box.ok("delete", "--force", "one")
    other = box.bundle("sleep", "100", cwd="/data")
    box.run("restore", "--detach", "--image-path", box.path("i"), "--bundle", other, "two").want(
        128, line='*"process.cwd" does not match across checkpoint restore for container: "__no_name_0", '
        'checkpoint / restore /data')
    box.run("delete", "--force", "two").want(0)
    for policy in ("warning", "ignore"):
        box.ok("restore", "--detach", "--image-path", box.path("i"), "--bundle", other, "two",
               flags=("--restore-spec-validation", policy))
        box.ok("delete", "--force", "two")
    may_differ = box.bundle("/bin/sleep", "100", env=["PATH=/bin", "OTHER=1"],
                            change=lambda config: config.update(hostname="other"))
    box.ok("restore", "--detach", "--image-path", box.path("i"), "--bundle", may_differ, "two")
    box.ok("delete", "--force", "two")


@test
def killed_while_saving(box: Box):
    """kill -9 of checkpoint at some moments: the container goes on or is gone, never half; the next one works"""
    out = counting(box)
    for delay in (0.0, 0.005, 0.02, 0.05):
        child = box.start("checkpoint", "--leave-running", "--image-path", box.path(f"i{delay}"), "one", stderr=-1)
        time.sleep(delay)
        child.send_signal(signal.SIGKILL)
        child.wait()
        before = last_line(out)
        wait_until(lambda before=before: last_line(out) > before, f"a higher count after {delay} s")
    box.ok("checkpoint", "--leave-running", "--image-path", box.path("last"), "one")
    box.ok("delete", "--force", "one")


def writable(config):
    config["root"]["readonly"] = False


@test
def file_systems_alone(box: Box):
    """fscheckpoint saves what was written to memory; a container made later begins with it, deletions included"""
    over = ("--overlay2", "root:memory")
    script = "cd /; mkdir -p etc/new; echo made > etc/new/file; ln -s new etc/link; rm etc/passwd; echo t > /tmp/t; sleep 1000"
    bundle = box.bundle("sh", "-c", script, change=writable)
    box.ok("create", "--bundle", bundle, "one", flags=over)
    box.run("fscheckpoint", "one").want(128, line="*image-path flag must be provided")
    box.ok("start", "one")
    wait_until(lambda: "sleep" in box.ok("ps", "one").out, "sleep")
    image = box.path("image")
    box.ok("fscheckpoint", "--leave-running", "--image-path", image, "--path", "/", "--path", "/tmp", "one").want(out="")
    assert {"fscheckpoint.pb", "multitar.img", "pages_meta.img", "pages.img"} == set(os.listdir(image))
    ids = [(item["ResourceID"]["ContainerName"], item["ResourceID"]["Path"])
           for item in json.loads(read(os.path.join(image, "fscheckpoint.pb")))["Tmpfs"]]
    assert ids == [("__no_name_0", "/"), ("__no_name_0", "/tmp")], ids
    box.run("fscheckpoint", "--image-path", image, "one").want(128, line="*fscheckpoint.pb*file exists*")
    box.run("fscheckpoint", "--image-path", box.path("bad"), "--path", "/nowhere", "one").want(
        128, line='*no checkpointable filesystem at "/nowhere"')
    assert os.listdir(box.path("bad")) == []
    assert box.status("one") == "running"
    box.ok("fscheckpoint", "--image-path", box.path("last"), "one")
    wait_until(lambda: box.status("one") == "stopped", "the end")
    box.ok("delete", "one")
    look = "cat /etc/link/file /tmp/t; ls /etc; ls -ld /etc/new"
    bundle = box.bundle("sh", "-c", look, change=writable)
    done = box.run("run", "--bundle", bundle, "--fs-restore-image-path", image, "two", flags=over)
    assert done.code == 0 and done.out.startswith("made\nt\nlink\nnew\n"), done
    box.ok("create", "--bundle", box.bundle("sleep", "1000", change=writable), "--fs-restore-image-path", box.path("last"),
           "three", flags=over)
    waiting = box.start("wait", "--fsrestore", "three")
    box.ok("start", "three")
    assert waiting.wait(timeout=20) == 0
    box.ok("exec", "three", "cat", "/etc/new/file").want(out="made\n")
    box.run("create", "--bundle", bundle, "--fs-restore-image-path", box.path("bad"), "four", flags=over).want(
        128, line="*opening filesystem checkpoint file*fscheckpoint.pb*")
    box.ok("delete", "--force", "three")


@test
def root_of_an_image_comes_back(box: Box):
    """a root in an EROFS image is read on after a restore, from the restoring side's descriptor; another image is refused"""
    if not shutil.which("mkfs.erofs"):
        raise Skip("no mkfs.erofs here")
    root, image = box.path("rootfs"), box.path("img")
    shutil.copytree(box.rootfs, root, symlinks=True)
    write(os.path.join(root, "data", "big"), "0123456789" * 100000)
    subprocess.run(["mkfs.erofs", "--quiet", image, root], check=True, timeout=20)

    def from_image(config):
        config["annotations"] = {"dev.gvisor.spec.rootfs.source": image, "dev.gvisor.spec.rootfs.type": "erofs",
                                 "dev.gvisor.spec.rootfs.overlay": "memory"}

    bundle = box.bundle("sleep", "1000", change=from_image)
    box.ok("create", "--bundle", bundle, "one")
    box.ok("start", "one")
    box.ok("checkpoint", "--image-path", box.path("state"), "one")
    box.ok("delete", "--force", "one")
    box.ok("restore", "--detach", "--image-path", box.path("state"), "--bundle", bundle, "two")
    box.ok("exec", "two", "sh", "-c", "wc -c < /data/big").want(out="1000000\n")
    box.ok("delete", "--force", "two")
    write(os.path.join(root, "data", "more"), "x" * 100000)
    os.unlink(image)
    subprocess.run(["mkfs.erofs", "--quiet", image, root], check=True, timeout=20)
    box.run("restore", "--detach", "--image-path", box.path("state"), "--bundle", bundle, "three").want(
        128, line="*stale file handle")
    box.run("delete", "--force", "three")

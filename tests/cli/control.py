# SPDX-License-Identifier: Apache-2.0
"""A client of the control socket for tests: calls as bytes, descriptors of every kind, answers as text."""
import contextlib
import json
import os
import re
import select
import shutil
import socket
import subprocess

from harness import Skip, wait_until, write

DECODER = json.JSONDecoder()


class Closed(Exception):
    """The sandbox has closed the connection instead of answering."""


class Connection:
    def __init__(self, path, timeout=20):
        self.socket = socket.socket(socket.AF_UNIX)
        self.socket.connect(path)  # blocking: else it fails while the sandbox has yet to accept others
        self.socket.settimeout(timeout)
        self.text, self.fds = "", []

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.close()

    def close(self):
        for fd in self.fds:
            os.close(fd)
        self.fds = []
        self.socket.close()

    def send(self, method, arg="null", fds=()):
        """ARG is JSON text; None: no argument at all."""
        more = "" if arg is None else f',"arg":{arg}'
        self.send_bytes(f'{{"method":"{method}"{more}}}'.encode(), fds)

    def send_bytes(self, data, fds=()):
        try:
            sent = socket.send_fds(self.socket, [data], list(fds)) if fds else 0
            self.socket.sendall(data[sent:])
        except (BrokenPipeError, ConnectionResetError) as why:
            raise Closed from why

    def is_quiet(self, seconds=0.1):
        return not select.select([self.socket], [], [], seconds)[0]

    def read(self):
        """One answer's text; its descriptors are closed with the connection."""
        while True:
            with contextlib.suppress(json.JSONDecodeError):
                _, end = DECODER.raw_decode(self.text)
                answer, self.text = self.text[:end], self.text[end:]
                return answer
            try:
                data, fds, _, _ = socket.recv_fds(self.socket, 1 << 20, 128)
            except ConnectionResetError as why:
                raise Closed from why
            self.fds += fds
            if not data:
                raise Closed
            self.text += data.decode(errors="replace")

    def call(self, method, arg="null", fds=()):
        self.send(method, arg, fds)
        return self.read()

    def ok(self, method, arg="null", fds=()):
        answer = self.call(method, arg, fds)
        assert answer.startswith('{"success":true'), f"{method} {arg}: {answer}"
        return json.loads(answer)["result"]


def fits(pattern, text):
    """PATTERN with * for any text."""
    return re.fullmatch(".*".join(re.escape(part) for part in pattern.split("*")), text, re.S) is not None


def json_text(text):
    """As the sandbox writes a string."""
    plain = json.dumps(text, ensure_ascii=False)
    return plain.replace("<", "\\u003c").replace(">", "\\u003e").replace("&", "\\u0026")


def wanted(error=None, result="{}"):
    """The whole answer, as a pattern."""
    if error is not None:
        return f'{{"success":false,"err":{json_text(error)},"result":null}}'
    return f'{{"success":true,"err":"","result":{result}' + ("" if result.endswith("*") else "}")


def descriptors(pid):
    return len(os.listdir(f"/proc/{pid}/fd"))


def expect_descriptors(pid, count):
    wait_until(lambda: descriptors(pid) <= count, f"{count} descriptors of the sandbox, which has {descriptors(pid)}")


class Descriptors:
    """Descriptors for calls, by the words of spec/rpc-cases.yaml; FOLDER holds their files."""

    def __init__(self, folder):
        self.folder, self.open, self.images = folder, [], {}
        os.makedirs(folder, exist_ok=True)

    def path(self, name):
        return os.path.join(self.folder, name)

    def add(self, fd):
        self.open.append(fd)
        return fd

    def close(self):
        for fd in self.open:
            os.close(fd)
        self.open = []

    def of(self, words):
        found = []
        for word in words.split():
            kind, _, count = word.partition("*")
            found += [self.one(kind) for _ in range(int(count or 1))]
        return found

    def one(self, kind):
        if kind == "null":
            return self.add(os.open("/dev/null", os.O_RDWR))
        if kind == "dir":
            return self.add(os.open(self.folder, os.O_RDONLY))
        if kind == "file":
            return self.add(os.open(write(self.path("file"), ""), os.O_RDWR))
        if kind == "data":
            return self.add(os.open(write(self.path("data"), "some text"), os.O_RDONLY))
        if kind == "out":
            return self.pair(*os.pipe())
        if kind == "stream":
            ours, theirs = socket.socketpair(socket.AF_UNIX)
            return self.pair(ours.detach(), theirs.detach())
        return self.add(os.open(self.image(kind), os.O_RDONLY))

    def pair(self, ours, theirs):
        self.add(ours)
        return self.add(theirs)

    def image(self, kind):
        changes = {"count": (b'"container_count":"1"', b'"container_count":"x"'),
                   "zero": (b'"container_count":"1"', b'"container_count":"0"'),
                   "version": (b'"runsc_version"', b'"runsc_without"')}
        path = self.path(kind)
        if kind == "erofs" and not os.path.exists(path):
            if not shutil.which("mkfs.erofs"):
                raise Skip("mkfs.erofs is not installed")
            os.makedirs(self.path("tree"))
            write(self.path("tree/inside"), "of the image\n")
            subprocess.run(["mkfs.erofs", "--quiet", path, self.path("tree")], check=True, stdout=subprocess.DEVNULL)
        elif kind in changes or kind == "torn":
            with open(self.images["image"], "rb") as file:
                data = file.read()
            changed = data[:len(data) // 2] if kind == "torn" else data.replace(*changes[kind], 1)
            assert changed != data, kind
            with open(path, "wb") as file:
                file.write(changed)
        return self.images.get(kind, path)

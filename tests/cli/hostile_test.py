# SPDX-License-Identifier: Apache-2.0
"""Clients of a live sandbox's control socket that mean harm or do not care: each is told off or cut off, others are served
meanwhile, no descriptor stays, the sandbox lives. Nothing here is judged by time: who is "delayed" is told by counting."""
import contextlib
import os
import random
import resource
import socket
import sys
import time

from control import Closed, Connection, Descriptors, descriptors, expect_descriptors, json_text, wanted
from harness import TREE, Box, is_alive, test

sys.path.insert(0, os.path.join(TREE, "tools"))
import rpc_spec  # noqa: E402

STATE = "containerManager.ContainerRuntimeState"
RUNNING = wanted(result="2")
CALL = f'{{"method":"{STATE}","arg":"one"}}'.encode()


class Scene:
    """A running sandbox and a good client, who is served all the time."""

    def __init__(self, box):
        self.box = box
        box.running("one", "sleep", "1000")
        record = box.record("one")["sandbox"]
        self.path, self.pid = record["controlSocketPath"], record["pid"]
        self.good = self.connect()
        self.serve()
        self.before = descriptors(self.pid)
        self.fds = Descriptors(box.path("fds"))

    def connect(self):
        return Connection(self.path)

    def serve(self, count=1):
        for _ in range(count):
            assert self.good.call(STATE, '"one"') == RUNNING

    def cut_off(self, data):
        """DATA ends its connection without an answer."""
        with self.connect() as client, contextlib.suppress(Closed):
            client.send_bytes(data)
            raise AssertionError(f"{data[:100]!r} ({len(data)} bytes) was answered {client.read()}")
        self.serve()

    def end(self):
        self.serve()
        expect_descriptors(self.pid, self.before)
        assert is_alive(self.pid)
        self.good.close()
        self.fds.close()
        self.box.ok("exec", "one", "true")
        self.box.ok("delete", "--force", "one")


@contextlib.contextmanager
def scene_of(box):
    scene = Scene(box)
    yield scene
    scene.end()


@test
def nesting_and_lengths(box: Box):
    """64 levels and 4 MiB are taken, more ends the connection; so does what is no JSON"""
    with scene_of(box) as scene:
        head = f'{{"method":"{STATE}","arg":'.encode()

        def nested(depth):
            return head + b"[" * depth + b"]" * depth + b"}"
        with scene.connect() as client:
            client.send_bytes(nested(63))
            assert "cannot unmarshal array" in client.read()
        for data in (nested(64), nested(100000), head + b"[" * 1000000, head + b'"' + b"x" * (5 << 20) + b'"}',
                     head + b"1" * (5 << 20) + b"}", b'{"method":"' + b"y" * (5 << 20)):
            scene.cut_off(data)
        with scene.connect() as client:
            client.send_bytes(b" \n" * (3 << 20) + CALL)  # white space before a call is no part of it
            assert client.read() == RUNNING
        for size in (1 << 10, 1 << 20, (4 << 20) - 200):
            with scene.connect() as client:
                client.send_bytes(head + b'"' + b"x" * size + b'"}')
                assert client.read() == wanted(result="3")
        for data in (b"{", b"}", b"[]", b"nothing", b"{,}", b'{"method":7}', b'{"method":null,,}', b"\xff\xfe", b"{}}",
                     b'{"method":"a" "arg":1}', b'{"method":"a","arg":01}', b'{"method":"a","arg":+1}', b"\0" * 100,
                     b'{"method":"\x01"}', b"'x'"):
            with scene.connect() as client, contextlib.suppress(Closed):
                client.send_bytes(data)
                client.socket.shutdown(socket.SHUT_WR)
                answer = client.read()
                assert answer.startswith('{"success":false'), (data, answer)
            scene.serve()


@test
def duplicates_and_letter_case(box: Box):
    """of members that come twice the last counts, whatever their letters' case; unknown ones do not matter"""
    with scene_of(box) as scene, scene.connect() as client:
        for text in (f'{{"method":"no","arg":7,"METHOD":"{STATE}","arg":"x","Arg":"one"}}',
                     f'{{"x":{{"method":"no"}},"method":"{STATE}","y":[[]],"arg":"one","z":1e999}}',
                     f' \n\t{{"method" : "{STATE}" , "arg" : "one"}}'):
            client.send_bytes(text.encode())
            assert client.read() == RUNNING, text
        answer = client.call("containerManager.Signal", '{"CID":"one","cid":"two","CID":"one","SIGNO":0,"pid":7,"PID":0}')
        assert answer == wanted(), answer
        answer = client.call("containerManager.Signal", '{"CID":7,"CID":"one"}')
        assert "cannot unmarshal number into Go struct field SignalArgs.CID of type string" in answer, answer


@test
def broken_text(box: Box):
    """broken UTF-8 and lone surrogates are replaced, a NUL byte is refused, numbers are exact"""
    with scene_of(box) as scene, scene.connect() as client:
        for data, text in ((b"a\xff\xc3(\xed\xa0\x80", "a\ufffd\ufffd(\ufffd\ufffd\ufffd"), (b"\\ud800", "\ufffd"),
                           (b"\\ud83d\\ude00", "\U0001f600"), (b"\xf4\x90\x80\x80", "\ufffd" * 4),
                           (b"<&>", "<&>"), ("\u2028".encode(), "\u2028")):
            client.send_bytes(b'{"method":"containerManager.Wait","arg":"' + data + b'"}')
            want = wanted(f'container "{text}" not found').replace("\u2028", "\\u2028")
            assert client.read() == want, data
        assert "NUL" in client.call("containerManager.Wait", '"a\\u0000b"')
        answer = client.call("containerManager.WaitPID", '{"PID":2147483648,"CID":"one"}')
        assert "cannot unmarshal number 2147483648" in answer
        for number in ("1e3", "1.0", "0x1", "1e999", "-0.0"):
            with contextlib.suppress(Closed), scene.connect() as other:
                assert '"success":false' in other.call("containerManager.WaitPID", f'{{"PID":{number},"CID":"one"}}')


@test
def descriptors_128_and_129(box: Box):
    """128 descriptors come with a call, 129 end the connection; those of calls that fail are closed"""
    with scene_of(box) as scene:
        fds = scene.fds.of("null*128")
        with scene.connect() as client:
            assert client.call(STATE, '"one"', fds) == RUNNING
            assert client.call("containerManager.Wait", '"zz"', fds) == wanted('container "zz" not found')
            assert client.call("Fs.Cat", "{}", fds) == wanted("exactly one output file must be provided")
            client.send_bytes(CALL[:1], fds)  # one message cannot carry more; two of one call can
            scene.serve()
            try:
                client.send_bytes(CALL[1:], fds[:1])
                raise AssertionError("129 descriptors were answered " + client.read())
            except Closed:
                pass
        scene.serve()
        with scene.connect() as client:
            client.send_bytes(CALL[:5], fds)  # and hangs up in the middle
        with scene.connect() as client:
            for at in range(len(CALL)):  # a descriptor with every byte
                client.send_bytes(CALL[at:at + 1], fds[:1])
            assert client.read() == RUNNING


@test
def a_byte_now_and_then(box: Box):
    """a client sends a byte every 50 ms; another's calls are all answered in between"""
    with scene_of(box) as scene, scene.connect() as slow:
        for at in range(len(CALL)):
            assert slow.is_quiet(0)
            slow.send_bytes(CALL[at:at + 1])
            scene.serve(20)  # twenty whole calls for each byte
            time.sleep(0.05)
        assert slow.read() == RUNNING


@test
def a_thousand_clients(box: Box):
    """1,000 clients at once, some of whom stop in mid-call: the others are answered, and a 1,001st"""
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    soft_before = resource.getrlimit(resource.RLIMIT_NOFILE)[0]
    resource.setrlimit(resource.RLIMIT_NOFILE, (min(hard, 4096), hard))
    with scene_of(box) as scene:
        crowd = []
        for number in range(1000):
            client = scene.connect()
            client.send_bytes(CALL if number % 3 else CALL[:9])
            crowd.append(client)
            if number % 50 == 0:
                scene.serve()
        scene.serve(10)
        for number, client in enumerate(crowd):
            if number % 3:
                assert client.read() == RUNNING, number
        for number, client in enumerate(crowd):
            if not number % 3:
                assert client.is_quiet(0)
        assert box.ok("exec", "one", "echo", "served").out == "served\n"
        for client in crowd[:500]:
            client.close()
        scene.serve(10)
        for client in crowd[500:]:
            client.close()
    resource.setrlimit(resource.RLIMIT_NOFILE, (soft_before, hard))


@test
def clients_that_never_read(box: Box):
    """who calls and calls and never reads is not read for ever, and holds up nobody but itself"""
    data = b'{"method":"Metrics.GetRegisteredMetrics","arg":null}'
    with scene_of(box) as scene:
        deaf = [scene.connect() for _ in range(5)]
        sent = 0
        for client in deaf:
            client.socket.setblocking(False)
            idle = 0
            while idle < 50 and sent < 100000:
                try:
                    client.socket.send(data)
                    sent, idle = sent + 1, 0
                except BlockingIOError:
                    idle += 1
                    scene.serve()
        assert sent < 100000, "it is read for ever"
        scene.serve(50)
        for client in deaf:
            client.close()


@test
def hanging_up(box: Box):
    """clients go at every byte of a call, after it, and while it waits; half-closed ones get their answer"""
    wait = b'{"method":"containerManager.Wait","arg":"one"}'
    with scene_of(box) as scene:
        for size in range(len(CALL) + 1):
            with scene.connect() as client:
                client.send_bytes(CALL[:size])
        waiters = [scene.connect() for _ in range(20)]
        for client in waiters:
            client.send_bytes(wait)
        scene.serve(5)
        assert all(client.is_quiet(0) for client in waiters)
        for client in waiters:
            client.close()
        with scene.connect() as client:
            client.send_bytes(CALL * 3)  # three at once
            assert [client.read() for _ in range(3)] == [RUNNING] * 3
        with scene.connect() as client:
            client.send_bytes(CALL)
            client.socket.shutdown(socket.SHUT_WR)
            with contextlib.suppress(Closed):
                assert client.read() == RUNNING


# What a changed byte must not turn into: a signal to the container, its end, a call that writes where it likes.
NOT_CHANGED = ("Signal", "SignalProcess", "DestroySubcontainer", "Checkpoint", "Save", "FSSave", "Pause", "ExecuteAsync", "Exec")


def mutated(noise, data):
    data = bytearray(data)
    for _ in range(noise.choice((1, 1, 2, 5))):
        at = noise.randrange(len(data)) if data else 0
        kind = noise.randrange(6)
        if kind == 0 and data:
            data[at] = noise.randrange(256)
        elif kind == 1:
            data[at:at] = noise.choice((b"{", b"}", b"[", b"]", b'"', b",", b":", b"\\", b"null", b"-", b"e9", b"\xff"))
        elif kind == 2:
            del data[at:at + noise.randrange(1, 9)]
        elif kind == 3:
            data[at:at] = data[at:at + noise.randrange(1, 40)]
        elif kind == 4:
            del data[at:]
        elif data:
            data[at] ^= 1 << noise.randrange(8)
    return bytes(data)


@test
def changed_calls(box: Box):
    """2,000 calls of spec/rpc-cases.yaml with bytes changed: an answer or the end of the connection for each"""
    noise = random.Random(7)
    rows = [row for row in rpc_spec.load("rpc-cases.yaml")["cases"]
            if row["method"].partition(".")[2] not in NOT_CHANGED and row.get("where") != "sim" and "$" not in row["arg"]]
    answered = 0
    with scene_of(box) as scene:
        scene.good.call("Fs.Cat", '{"files":["/etc/passwd"]}', scene.fds.of("file"))  # a file that stays open
        scene.before = descriptors(scene.pid)
        for number in range(2000):
            row = noise.choice(rows)
            data = mutated(noise, f'{{"method":"{row["method"]}","arg":{row["arg"]}}}'.replace("c1", "one").encode())
            fds = scene.fds.of("null") if number % 5 == 0 else []
            with scene.connect() as client, contextlib.suppress(Closed):
                client.send_bytes(data or b" ", fds)
                client.socket.shutdown(socket.SHUT_WR)
                if b"Wait" in data and client.is_quiet():
                    continue
                try:
                    answer = client.read()
                except TimeoutError as why:
                    raise AssertionError(f"no answer to {data}") from why
                assert answer.startswith('{"success":'), (data, answer)
                answered += 1
            scene.fds.close()
            if number % 100 == 0:
                scene.serve()
        scene.good.call("containerManager.DeleteTraceSession", json_text("Default"))
    print(f"      | 2000 calls, {answered} answered")

#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""What Python programs ask of a kernel. Every function run_* is a case; TAP as of tour.sh."""

import fnmatch
import os
import sys
import traceback


def run_threads():
    import queue
    import threading
    jobs, results = queue.Queue(), queue.Queue()

    def work():
        while (job := jobs.get()) is not None:
            results.put(job * job)

    threads = [threading.Thread(target=work) for _ in range(8)]
    for thread in threads:
        thread.start()
    for job in range(100):
        jobs.put(job)
    for _ in threads:
        jobs.put(None)
    for thread in threads:
        thread.join()
    yield sum(results.get() for _ in range(100))
    barrier = threading.Barrier(4)
    order = []

    def meet():
        barrier.wait()
        order.append(1)

    threads = [threading.Thread(target=meet) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    yield len(order)
    event = threading.Event()
    threading.Timer(0.02, event.set).start()
    yield event.wait(10)
    yield threading.Event().wait(0.01)


def run_subprocess():
    import subprocess
    yield subprocess.run(["cat"], input=b"through", capture_output=True, check=True).stdout
    yield subprocess.run(["sh", "-c", "exit 5"], check=False).returncode
    yield subprocess.run(["sh", "-c", "kill -9 $$"], check=False).returncode
    try:
        subprocess.run(["sleep", "10"], timeout=0.1, check=True)
    except subprocess.TimeoutExpired:
        yield "timeout"
    try:
        subprocess.run(["/missing/program"], check=True)
    except FileNotFoundError as error:
        yield error.strerror
    first = subprocess.Popen(["seq", "1", "1000"], stdout=subprocess.PIPE)
    second = subprocess.Popen(["wc", "-l"], stdin=first.stdout, stdout=subprocess.PIPE)
    first.stdout.close()
    yield second.communicate()[0]
    yield first.wait()
    many = [subprocess.Popen(["sh", "-c", f"exit {i}"]) for i in range(20)]
    yield [process.wait() for process in many]
    yield subprocess.run(["pwd"], cwd="/usr", capture_output=True, check=True).stdout
    yield subprocess.run(["sh", "-c", "echo $X"], env={"X": "env"}, capture_output=True,
                         check=True).stdout


def run_multiprocessing():
    import multiprocessing
    context = multiprocessing.get_context("fork")
    with context.Pool(3) as pool:
        yield pool.map(abs, range(-10, 0))
    pipe, child_end = context.Pipe()
    process = context.Process(target=lambda: child_end.send({"answer": 42}))
    process.start()
    yield pipe.recv()
    process.join()
    yield process.exitcode
    value = context.Value("i", 0)

    def add():
        for _ in range(200):
            with value.get_lock():
                value.value += 1

    processes = [context.Process(target=add) for _ in range(4)]
    for process in processes:
        process.start()
    for process in processes:
        process.join()
    yield value.value


def run_sqlite():
    import sqlite3
    db = sqlite3.connect(":memory:")
    db.execute("create table t (k integer primary key, v text)")
    db.executemany("insert into t values (?, ?)", ((i, str(i * i)) for i in range(1000)))
    yield db.execute("select count(*), sum(k), max(length(v)) from t").fetchone()
    file = sqlite3.connect("base.db")
    file.execute("pragma journal_mode=wal")
    file.execute("create table t (v)")
    for i in range(5):
        with file:
            file.execute("insert into t values (?)", (i,))
    other = sqlite3.connect("base.db", timeout=0.1)
    yield other.execute("select sum(v) from t").fetchone()
    file.execute("begin immediate")
    try:
        other.execute("insert into t values (9)")
    except sqlite3.OperationalError as error:
        yield str(error)
    file.rollback()
    yield file.execute("pragma integrity_check").fetchone()


def run_files():
    import mmap
    import pathlib
    import shutil
    import tempfile
    with open("file", "w+b") as file:
        file.write(b"0123456789" * 1000)
        file.flush()
        with mmap.mmap(file.fileno(), 0) as view:
            yield view[5:15], view.find(b"90"), len(view)
            view[0:4] = b"abcd"
        file.seek(0)
        yield file.read(6)
    path = pathlib.Path("tree/a/b")
    path.mkdir(parents=True)
    (path / "leaf").write_text("text")
    yield sorted(str(entry) for entry in pathlib.Path("tree").rglob("*"))
    shutil.copytree("tree", "copy")
    shutil.rmtree("tree")
    yield os.path.exists("tree"), os.path.getsize("copy/a/b/leaf")
    with tempfile.NamedTemporaryFile() as file:
        yield os.stat(file.fileno()).st_mode & 0o777
    os.link("file", "hard")
    os.replace("hard", "renamed")
    yield os.stat("renamed").st_nlink, os.path.samefile("file", "renamed")
    yield sorted(entry.name for entry in os.scandir(".") if entry.is_dir())
    os.truncate("file", 3)
    yield open("file", "rb").read()
    shutil.make_archive("pack", "zip", "copy")
    shutil.unpack_archive("pack.zip", "unpacked")
    yield sorted(os.listdir("unpacked/a/b"))


def run_asyncio():
    import asyncio

    async def main():
        found = []

        async def serve(reader, writer):
            writer.write((await reader.readline()).upper())
            await writer.drain()
            writer.close()

        server = await asyncio.start_server(serve, "127.0.0.1", 0)
        port = server.sockets[0].getsockname()[1]

        async def ask(i):
            reader, writer = await asyncio.open_connection("127.0.0.1", port)
            writer.write(b"line %d\n" % i)
            found.append(await reader.read())
            writer.close()

        await asyncio.gather(*(ask(i) for i in range(10)))
        server.close()
        process = await asyncio.create_subprocess_exec("echo", "child",
                                                       stdout=asyncio.subprocess.PIPE)
        out, _ = await process.communicate()
        try:
            await asyncio.wait_for(asyncio.sleep(10), 0.05)
        except asyncio.TimeoutError:
            found.append(b"timeout")
        return sorted(found), out, process.returncode

    yield asyncio.run(main())


def run_sockets():
    import array
    import select
    import socket
    left, right = socket.socketpair()
    reader, writer = os.pipe()
    left.sendmsg([b"fd"], [(socket.SOL_SOCKET, socket.SCM_RIGHTS, array.array("i", [writer]))])
    data, ancillary, _, _ = right.recvmsg(10, socket.CMSG_LEN(4))
    passed = array.array("i", ancillary[0][2])[0]
    os.close(writer)
    os.write(passed, b"through it")
    os.close(passed)
    yield data, os.read(reader, 100), os.read(reader, 100)
    server = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
    server.bind("dgram")
    client = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
    client.sendto(b"datagram", "dgram")
    yield server.recv(100)
    poller = select.epoll()
    poller.register(left, select.EPOLLIN)
    yield poller.poll(0)
    right.send(b"x")
    yield [event for _, event in poller.poll(5)] == [select.EPOLLIN]
    udp = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    udp.bind(("127.0.0.1", 0))
    udp.sendto(b"self", udp.getsockname())
    yield udp.recvfrom(100)[0]
    left.settimeout(0.02)
    left.recv(10)
    try:
        left.recv(10)
    except socket.timeout:
        yield "timeout"


def run_http():
    import http.server
    import threading
    import urllib.request
    handler = http.server.SimpleHTTPRequestHandler
    handler.log_message = lambda *args: None
    with open("page.txt", "w", encoding="ascii") as file:
        file.write("a page\n" * 1000)
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        url = f"http://127.0.0.1:{server.server_address[1]}/"
        with urllib.request.urlopen(url + "page.txt") as response:
            yield response.status, len(response.read())
        try:
            urllib.request.urlopen(url + "missing")
        except urllib.error.HTTPError as error:
            yield error.code
        server.shutdown()


def run_signals():
    import signal
    import time
    seen = []
    signal.signal(signal.SIGUSR1, lambda number, frame: seen.append(number))
    os.kill(os.getpid(), signal.SIGUSR1)
    yield seen == [signal.SIGUSR1]
    signal.setitimer(signal.ITIMER_REAL, 0.02)
    signal.signal(signal.SIGALRM, lambda number, frame: seen.append(number))
    time.sleep(0.1)
    yield seen[1:] == [signal.SIGALRM]
    signal.pthread_sigmask(signal.SIG_BLOCK, [signal.SIGUSR2])
    os.kill(os.getpid(), signal.SIGUSR2)
    yield signal.SIGUSR2 in signal.sigpending(), signal.sigwait([signal.SIGUSR2]).name
    yield signal.sigtimedwait([signal.SIGUSR2], 0.01)
    pid = os.fork()
    if pid == 0:
        signal.pause()
    os.kill(pid, signal.SIGTERM)
    yield os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])


def run_pty():
    import pty
    import select
    pid, master = pty.fork()
    if pid == 0:
        os.execvp("sh", ["sh", "-c", "stty -echo; test -t 1 && echo tty; read x; echo got $x"])
    os.write(master, b"input\n")
    output = b""
    while select.select([master], [], [], 10)[0]:
        try:
            output += os.read(master, 1000)
        except OSError:
            break
    yield b"got input" in output, b"tty" in output
    yield os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])


def run_computing():
    import decimal
    import hashlib
    import json
    import random
    import re
    import struct
    import zlib
    data = bytes(range(256)) * 1000
    yield hashlib.sha256(data).hexdigest(), zlib.crc32(data)
    yield zlib.decompress(zlib.compress(data)) == data
    yield random.Random(1).sample(range(1000), 5)
    yield json.loads(json.dumps({"a": [1, 2.5, None]})), struct.unpack("<hI", b"\1\0\2\0\0\0")
    yield re.sub(r"(\w+) (\w+)", r"\2 \1", "hello world"), decimal.Decimal(1) / 7
    yield sum(i * i for i in range(200000)), 2 ** 200 % 1000007
    yield 0.1 + 0.2, (2.0 ** 0.5).hex()


def main():
    cases = {name[4:]: value for name, value in globals().items() if name.startswith("run_")}
    if sys.argv[1:] == ["--list"]:
        print("\n".join(f"python/{name}" for name in cases))
        return 0
    wanted = [name for name in cases
              if not sys.argv[1:] or any(fnmatch.fnmatchcase(name, glob) for glob in sys.argv[1:])]
    print(f"TAP version 13\n1..{len(wanted)}", flush=True)
    for number, name in enumerate(wanted, 1):
        sys.stdout.flush()
        pid = os.fork()
        if pid == 0:
            os._exit(execute(cases[name]))
        status = os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])
        print(f"{'not ok' if status else 'ok'} {number} - python/{name}", flush=True)
    return 0


def execute(case):
    import shutil
    import signal
    import tempfile
    signal.alarm(90)
    folder = tempfile.mkdtemp(prefix="python.", dir="/tmp")
    os.chdir(folder)
    try:
        for value in case():
            print(f"# show: {value!r}", flush=True)
        return 0
    except BaseException:
        print("".join(f"# {line}\n" for line in traceback.format_exc().splitlines()), end="",
              flush=True)
        return 1
    finally:
        os.chdir("/")
        shutil.rmtree(folder, ignore_errors=True)


if __name__ == "__main__":
    sys.exit(main())

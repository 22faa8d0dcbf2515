# SPDX-License-Identifier: Apache-2.0
"""An emulated machine in which KVM works: QEMU's software emulation with AMD's SVM under Debian's cloud kernel.

    image = Image()
    image.add_program("build/picket", "/bin/picket")
    status, text = boot(image, ["picket", "help"])

Everything lies in build/vm. Unavailable tells why this machine cannot emulate another.
"""
import contextlib
import fcntl
import glob
import os
import re
import selectors
import shutil
import stat
import subprocess
import sys
import tempfile
import time

TOP = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
BUILD = os.path.join(TOP, "build", "vm")
QEMU = "qemu-system-x86_64"
KERNEL = "linux-image-cloud-amd64"
MODULES = ["virt/lib/irqbypass.ko", "arch/x86/kvm/kvm.ko", "arch/x86/kvm/kvm-amd.ko"]
COUNTED_KHZ = 1000000  # with -icount the counter runs at 1 GHz
CPU = "max,-smap,-la57"  # QEMU reads the stack of lret and iretq as the kernel; four levels are usual
COUNTED_CPU = CPU + ",-erms,-fsrm"  # else copies count an instruction a byte
REAL_PROGRAMS = ["sh", "cat", "true"]  # run under other names, which busybox does not bear
STATUS_SKIP = 77  # of programs that find no machine can be emulated
STATUS_LATE = 124
STATUS_DIED = 125
ACCOUNTS = {"/etc/passwd": "root:x:0:0:root:/root:/bin/sh\nnobody:x:65534:65534:nobody:/:/bin/false\n",
            "/etc/group": "root:x:0:\ntty:x:5:\nnogroup:x:65534:\n",
            "/etc/hosts": "127.0.0.1 localhost\n::1 localhost\n",
            "/etc/nsswitch.conf": "passwd: files\ngroup: files\nhosts: files\n"}


class Unavailable(Exception):
    """Something that an emulated machine needs cannot be had here."""


def run(command, what, **options):
    """What COMMAND prints; Unavailable if it cannot be run or fails."""
    try:
        done = subprocess.run(command, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE,
                              text=True, check=False, **options)
    except (OSError, subprocess.TimeoutExpired) as error:
        raise Unavailable(f"{what}: {error}") from error
    if done.returncode != 0:
        last = (done.stderr.strip().splitlines() or [f"exit status {done.returncode}"])[-1]
        raise Unavailable(f"{what}: {last}")
    return done.stdout


@contextlib.contextmanager
def locked():
    os.makedirs(BUILD, exist_ok=True)
    with open(os.path.join(BUILD, "lock"), "w", encoding="utf-8") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield


def kernel_download(folder):
    """Name of the package that now lies in FOLDER."""
    depends = run(["apt-cache", "depends", KERNEL], f"no kernel package {KERNEL}")
    match = re.search(r"Depends: (linux-image-[0-9]\S*)", depends)
    if not match:
        raise Unavailable(f"no kernel package {KERNEL}: apt does not know it")
    run(["apt-get", "download", match.group(1)], f"cannot download {match.group(1)}", cwd=folder, timeout=300)
    return match.group(1)


def kernel():
    """The folder with vmlinuz and *.ko, unpacked from the package that the distribution offers today."""
    with locked():
        found = sorted(glob.glob(os.path.join(BUILD, "linux-image-*", "vmlinuz")))
        if found:
            return os.path.dirname(found[-1])
        with tempfile.TemporaryDirectory(dir=BUILD) as work:
            try:
                package = kernel_download(work)
            except Unavailable:
                if os.geteuid() != 0:
                    raise
                run(["apt-get", "update", "-qq"], "apt-get update", timeout=300)  # the lists may be old or missing
                package = kernel_download(work)
            run(["dpkg-deb", "-x", glob.glob(os.path.join(work, "*.deb"))[0], work], f"cannot unpack {package}")
            folder = os.path.join(work, "kernel")
            os.mkdir(folder)
            shutil.copy(glob.glob(os.path.join(work, "boot", "vmlinuz-*"))[0], os.path.join(folder, "vmlinuz"))
            for module in MODULES:
                shutil.copy(glob.glob(os.path.join(work, "lib/modules/*/kernel", module))[0], folder)
            os.rename(folder, os.path.join(BUILD, package))
        return os.path.join(BUILD, package)


def own_program(name):
    """Path of build/vm/NAME, built if need be."""
    path = os.path.join("build", "vm", name)
    with locked():
        subprocess.run(["make", "-s", "-C", TOP, path], check=True)
    return os.path.join(TOP, path)


def check():
    """Raise Unavailable if no machine can be emulated here."""
    if os.uname().machine != "x86_64":
        raise Unavailable("the host is not x86-64")
    if not shutil.which(QEMU):
        raise Unavailable(f"{QEMU} is not installed")
    kernel()


class Image:
    """The first file system of a machine: an archive in cpio's "newc" format, written as files are added."""

    def __init__(self):
        self.parts = []
        self.known = {"/"}
        self.number = 0
        for folder, mode in (("/root", 0o700), ("/vm", 0o755), ("/dev", 0o755), ("/proc", 0o755), ("/sys", 0o755),
                             ("/run", 0o755), ("/tmp", 0o1777), ("/var/tmp", 0o1777), ("/mnt", 0o755)):
            self.add_folder(folder, mode)
        self.entry("/dev/console", stat.S_IFCHR | 0o600, b"", (5, 1))
        for path, text in ACCOUNTS.items():
            self.add_bytes(path, text.encode())
        self.add_file(own_program("init"), "/init")
        for module in glob.glob(os.path.join(kernel(), "*.ko")):
            self.add_file(module, "/vm/modules/" + os.path.basename(module))
        self.add_busybox()

    def entry(self, path, mode, data, device=(0, 0)):
        self.known.add(path)
        self.number += 1
        name = path.lstrip("/").encode() + b"\0"
        fields = (self.number, mode, 0, 0, 2 if stat.S_ISDIR(mode) else 1, 0, len(data), 0, 0, *device, len(name), 0)
        head = b"070701" + b"".join(b"%08x" % field for field in fields) + name
        self.parts += [head, b"\0" * (-len(head) % 4), data, b"\0" * (-len(data) % 4)]

    def add_folder(self, path, mode=0o755):
        if path in self.known:
            return
        self.add_folder(os.path.dirname(path))
        self.entry(path, stat.S_IFDIR | mode, b"")

    def add_bytes(self, path, data, mode=0o644):
        if path in self.known:
            raise ValueError(f"{path} is there already")
        self.add_folder(os.path.dirname(path))
        self.entry(path, stat.S_IFREG | mode, data)

    def add_file(self, source, path):
        with open(source, "rb") as file:
            self.add_bytes(path, file.read(), stat.S_IMODE(os.stat(source).st_mode))

    def add_link(self, path, target):
        self.add_folder(os.path.dirname(path))
        self.entry(path, stat.S_IFLNK | 0o777, target.encode())

    def add_program(self, source, path):
        """A program and the shared libraries that it names."""
        self.add_file(source, path)
        listing = subprocess.run(["ldd", source], stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True,
                                 check=False).stdout
        for library in re.findall(r"(?:=> |^\s+)(/\S+) \(0x", listing, re.M):
            if library not in self.known:
                self.add_file(os.path.realpath(library), library)

    def add_busybox(self):
        busybox = shutil.which("busybox")
        if not busybox:
            raise Unavailable("busybox is not installed")
        self.add_program(busybox, "/bin/busybox")
        for name in REAL_PROGRAMS:
            self.add_program(os.path.realpath(shutil.which(name)), "/bin/" + name)
        for applet in run([busybox, "--list"], "busybox").split():
            if "/bin/" + applet not in self.known:
                self.add_link("/bin/" + applet, "busybox")
        self.add_link("/usr/bin", "../bin")

    def add(self, source, path):
        """A program, another file or a whole folder."""
        if os.path.isdir(source):
            for name in sorted(os.listdir(source)):
                self.add(os.path.join(source, name), path.rstrip("/") + "/" + name)
        elif os.access(source, os.X_OK):
            self.add_program(source, path)
        else:
            self.add_file(source, path)

    def write(self, path, command):
        """The archive with COMMAND, which init runs, as a file at PATH."""
        parts, number, known = list(self.parts), self.number, set(self.known)
        self.add_bytes("/vm/command", b"".join(word.encode() + b"\0" for word in command))
        self.entry("/TRAILER!!!", 0, b"")
        with open(path, "wb") as file:
            for part in self.parts:
                file.write(part)
        self.parts, self.number, self.known = parts, number, known


def qemu_command(initrd, console, npt, counted, cpus, memory_mib, kvm):
    """Options, each with its reason, in tests/vm/README.md."""
    khz = COUNTED_KHZ if counted else int(run([own_program("tsc_khz")], "tsc_khz"))
    words = ("console=ttyS0 quiet panic=-1 reboot=t mitigations=off cryptomgr.notests tsc=reliable "
             f"tsc_early_khz={khz} kvm={kvm} kvm_amd=npt={npt}")
    command = ["setpriv", "--pdeathsig", "KILL", "--", QEMU, "-machine", "microvm,rtc=on", "-accel",
               "tcg,thread=single", "-cpu", COUNTED_CPU if counted else CPU, "-m", str(memory_mib), "-smp", str(cpus), "-nodefaults", "-display",
               "none", "-no-reboot", "-serial", f"file:{console}", "-chardev", "stdio,id=out,signal=off", "-device",
               "isa-debugcon,iobase=0xe9,chardev=out", "-device", "isa-debug-exit,iobase=0x501,iosize=4", "-kernel",
               os.path.join(kernel(), "vmlinuz"), "-initrd", initrd, "-append", words]
    if counted:
        command += ["-icount", "shift=1,sleep=off", "-rtc", "base=2024-01-01,clock=vm", "-seed", "1"]
    return command


def pump(process, seconds, sink):
    """What PROCESS writes; None instead of the second value if it was not done in time."""
    chunks = []
    deadline = time.monotonic() + seconds
    with selectors.DefaultSelector() as selector:
        selector.register(process.stdout, selectors.EVENT_READ)
        while (left := deadline - time.monotonic()) > 0:
            if not selector.select(left):
                continue
            chunk = os.read(process.stdout.fileno(), 65536)
            if not chunk:
                return b"".join(chunks), process.wait()
            chunks.append(chunk)
            if sink:
                sink.write(chunk)
                sink.flush()
    return b"".join(chunks), None


def boot(image, command, *, npt=1, counted=False, cpus=1, memory_mib=2048, seconds=120, kvm="must", sink=None):
    """(status, output) of COMMAND in a fresh machine; statuses as tests/vm/run --help says. Output goes to SINK too."""
    if counted and cpus != 1:
        raise ValueError("a machine with an instruction clock has one processor")
    with tempfile.TemporaryDirectory(prefix="run.", dir=BUILD) as work:
        initrd, console = os.path.join(work, "initrd"), os.path.join(work, "console")
        image.write(initrd, command)
        with subprocess.Popen(qemu_command(initrd, console, npt, counted, cpus, memory_mib, kvm),
                              stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT) as process:
            try:
                output, code = pump(process, seconds, sink)
            finally:
                process.kill()
        text = output.decode("utf-8", "replace")
        if code is not None and code >= 0 and code & 1:
            return code >> 1, text
        why = (f"no verdict within {seconds} s" if code is None else
               f"the machine ended without a verdict (QEMU's status {code})")
        with open(console, encoding="utf-8", errors="replace") as file:
            lines = ["machine: " + why] + ["console: " + line for line in file.read().splitlines()[-20:]]
        note = "\n".join(lines) + "\n"
        if sink:
            sink.write(note.encode())
        else:
            sys.stderr.write(note)
        return STATUS_LATE if code is None else STATUS_DIED, text + note

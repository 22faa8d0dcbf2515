# SPDX-License-Identifier: Apache-2.0
"""spec/rpc.yaml, spec/rpc-cases.yaml and spec/lifecycle.yaml played against live sandboxes over their control sockets."""
import json
import os
import shutil
import sys

from control import Connection, Descriptors, descriptors, expect_descriptors, fits, wanted
from harness import TREE, Box, Skip, is_alive, test, wait_until, write

sys.path.insert(0, os.path.join(TREE, "tools"))
import rpc_spec  # noqa: E402

# Methods that change nothing when they succeed: they share a sandbox with calls that fail.
READERS = """Processes Event ContainerRuntimeState ListTraceSessions ProcfsDump GetSavings WaitRestore Wait WaitCheckpoint Stacks
Collect UsageFD Reduce GetFileIoStats GetRegisteredMetrics Export ReadControlFiles WriteControlFiles Ps Cat Read Change
TarRootfsUpperLayer PauseExternalNetworking ResumeExternalNetworking Shutdown IsContainerRunning CreateLinksAndRoutes
SetNetworkArgs CPU Heap Block Mutex Trace Goroutine""".split()
RESTORES = {"restoring": "two", "restored": "image", "restoreFailed": "torn", "restoringUnstarted": "two"}


class Stage:
    """The scenes of spec/rpc-cases.yaml, one sandbox after the other; its root container is c1."""

    def __init__(self, box):
        self.box = box
        self.fds = Descriptors(box.path("fds"))
        self.rootfs = box.path("rootfs")
        shutil.copytree(box.rootfs, self.rootfs, symlinks=True)
        write(os.path.join(self.rootfs, "bin/hello"), "#!/bin/sh\necho hello\nexit 7\n", 0o755)
        write(os.path.join(self.rootfs, "bin/broken"), "\x7fELF" + "x" * 60, 0o755)
        self.scene, self.client, self.pid, self.count = None, None, 0, 0

    def config(self, config):
        config["root"] = {"path": self.rootfs, "readonly": False}
        config["linux"]["namespaces"] = [item for item in config["linux"]["namespaces"] if item["type"] != "pid"]
        config["annotations"] = {"io.kubernetes.cri.container-type": "sandbox"}

    def config_of_c2(self, config):
        self.config(config)
        config["annotations"] = {"io.kubernetes.cri.container-type": "container", "io.kubernetes.cri.sandbox-id": "c1"}

    def spec(self, terminal=False, name=None):
        config = {"ociVersion": "1.2.0", "root": {"path": self.rootfs},
                  "process": {"terminal": terminal, "user": {"uid": 0, "gid": 0}, "args": ["sleep", "1000"],
                              "env": ["PATH=/bin"], "cwd": "/"}}
        if name:
            config["annotations"] = {"io.kubernetes.cri.container-name": name}
        return json.dumps(config)

    def arg(self, text):
        for token, spec in (("$SPEC", self.spec()), ("$TTY", self.spec(True)), ("$OTHER", self.spec(name="other")),
                            ("$TWIN", self.spec(name="__no_name_0"))):
            text = text.replace(token, spec)
        return text

    def connect(self):
        return Connection(self.box.record("c1")["sandbox"]["controlSocketPath"])

    def end(self):
        if self.client:
            self.client.close()
        self.fds.close()
        if self.scene:
            self.box.ok("delete", "--force", "c1")
            if os.path.exists(os.path.join(self.box.root, "c2_sandbox:c1.state")):
                self.box.ok("delete", "--force", "c2")
        self.scene = self.client = None

    def set(self, scene):
        self.end()
        self.scene, box = scene, self.box
        flags = {"profiled": ("--profile",), "nonet": ("--network=none",)}.get(scene, ())
        bundle = box.bundle("broken" if scene == "broken" else "sleep", "1000", change=self.config)
        box.ok("create", "--bundle", bundle, "c1", flags=flags)
        self.pid = box.record("c1")["sandbox"]["pid"]
        if scene not in ("created", "broken") and scene not in RESTORES:
            box.ok("start", "c1")
        if scene in ("creating", "running", "stopped"):
            box.created("c2", "sleep", "1000", change=self.config_of_c2)
            if scene != "creating":
                box.ok("start", "c2")
        self.client = self.connect()
        if scene == "stopped":
            self.client.ok("containerManager.Signal", '{"CID":"c2","Signo":9}')
            self.client.call("containerManager.Wait", '"c2"')
        if scene == "paused":
            self.client.ok("containerManager.Pause")
        if scene in RESTORES:
            self.make_images()
            self.client.call("containerManager.Restore", "{}", self.fds.of(RESTORES[scene]))
            self.fds.close()
            if scene != "restoreFailed":  # there the sandbox ends, but serves whom it knows while they stay
                self.client.close()  # a restore ends older connections
                self.client = self.connect()

    def make_images(self):
        """The images that scenes and cases restore: of c1, and of c1 and c2."""
        if self.fds.images:
            return
        scene, images = self.scene, {}
        for kind, of in (("image", "started"), ("two", "running")):
            self.set(of)
            images[kind] = self.fds.path(kind)
            with open(images[kind], "wb") as file:
                self.client.ok("containerManager.Checkpoint", '{"Resume":true}', [file.fileno()])
        self.fds.images = images
        self.set(scene)

    # ---- cases ----

    def beside(self, row):
        if "beside" not in row:
            return None
        method, arg, fds = row["beside"]
        other = self.connect()
        other.send(method, arg, self.fds.of(fds))
        assert other.is_quiet(), f"{method} {arg} should be under way"
        self.fds.close()
        return other

    def play(self, row):
        self.count += 1
        for method, arg, *fails in row.get("before", ()):
            (self.client.call if fails else self.client.ok)(method, arg)
        other = self.beside(row)
        self.client.send(row["method"], self.arg(row["arg"]), self.fds.of(row.get("fds", "")))
        if row.get("waits"):
            assert self.client.is_quiet(), f"{row}: no answer should come"
            self.client.close()
            self.client = self.connect()
        else:
            answer, want = self.client.read(), wanted(row.get("error"), row.get("result", "{}"))
            assert fits(want, answer), f"{row}\n    got  {answer}\n    want {want}"
        self.fds.close()
        if other:
            other.close()

    def play_all(self, rows):
        """Those that change nothing first, together; the sandbox then has as many descriptors as before."""
        quiet = [row for row in rows if is_quiet(row)]
        before = 0
        for row in quiet:
            if not before:
                self.set(row["scene"])
                self.client.call("Fs.Cat", '{"files":["/etc/passwd"]}', self.fds.of("file"))  # a file that stays open
                before = descriptors(self.pid)
            self.play(row)
        if quiet:
            expect_descriptors(self.pid, before)
            assert is_alive(self.pid)
        for row in rows:
            if not is_quiet(row):
                self.set(row["scene"])
                self.play(row)
        self.end()


def is_quiet(row):
    is_reader = row["method"].partition(".")[2] in READERS
    return not row.get("changes") and not row.get("before") and (is_reader or "error" in row)


def add_tests(scenes):
    def body(box):
        stage = Stage(box)
        rows = [row for row in rpc_spec.load("rpc-cases.yaml")["cases"]  # all have one scene
                if row["scene"] == scene and row.get("where") != "sim" and (part is None or is_quiet(row) == part)]
        if any(word in ("image", "two", "torn", "count", "zero", "version")
               for row in rows for word in row.get("fds", "").replace("*", " ").split()):
            stage.scene = None
            stage.set("created")
            stage.make_images()
        stage.play_all(rows)
        print(f"      | {stage.count} cases")

    scene, _, half = scenes.partition(" ")
    part = {"": None, "quiet": True, "changing": False}[half]
    body.__name__ = "cases_" + scenes.replace(" ", "_")
    body.__doc__ = f"spec/rpc-cases.yaml, scene {scenes}: each call answers as it says and no descriptor stays"
    test(body)


for name in ("created", "started quiet", "started changing", "paused", "creating", "running", "stopped", "restoring",
             "restored", "restoreFailed", "profiled", "nonet", "broken"):
    add_tests(name)


# ---- what each argument cannot be ------------------------------------------------------------------------------------

BITS = {"int": 63, "int32": 31, "int64": 63, "time.Duration": 63, "boot.SignalDeliveryMode": 63, "boot.BindOpt": 63,
        "uint8": 8, "uint16": 16, "uint32": 32, "uint64": 64, "auth.KUID": 32, "auth.KGID": 32, "auth.CapabilitySet": 64}


def numbers(kind):
    bits = BITS[kind]
    is_signed = bits in (31, 63)
    return ["1.5", str(1 << bits), str(-(1 << bits) - 1 if is_signed else -1)] if bits < 63 else [
        "1.5", "18446744073709551616", str(-(1 << 63) - 1) if is_signed else "-1"]


def go_type(structs, kind):
    """As a pattern: rpc.yaml leaves packages out."""
    if kind.startswith("list of "):
        return "[]" + go_type(structs, kind[8:])
    if kind.startswith("map of "):
        return "map[string]" + kind[7:]
    if kind == "bytes":
        return "[]uint8"
    return "*" if kind in structs or kind == "raw" else kind


def violations(structs, kind, before="", after="", path="", struct=""):
    """(argument, the error's pattern) of everything that KIND cannot be, one at a time."""
    kind = kind.removeprefix("optional ")
    place = f"Go struct field {struct}.{path}" if path else "Go value"

    def refused(value, word):
        return before + value + after, f"json: cannot unmarshal {word} into {place} of type {go_type(structs, kind)}"
    if kind == "raw":
        return
    yield refused("7", "number") if kind in ("string", "bytes") else refused('"x"', "string")
    if kind in BITS:
        for number in numbers(kind):
            yield refused(number, "number " + number)
    elif kind.startswith("list of "):
        yield from violations(structs, kind[8:], before + "[", "]" + after, path, struct)
    elif kind.startswith("map of "):
        yield from violations(structs, kind[7:], before + '{"k":', "}" + after, path, struct)
    elif kind in structs:
        yield refused("[]", "array")
        for member, inner in structs[kind]:
            yield from violations(structs, inner, f'{before}{{"{member}":', "}" + after,
                                  f"{path}.{member}" if path else member, kind.rpartition(".")[2])


@test
def arguments_of_the_wrong_type(box: Box):
    """every method refuses no argument, and each member that is missing its type or out of range"""
    stage, pairs = Stage(box), 0
    spec = rpc_spec.load("rpc.yaml")
    structs = {row["name"]: row["members"] for row in spec["structs"]}
    stage.set("profiled")
    stage.client.ok("Usage.Collect", "{}")  # the connection is there
    before = descriptors(stage.pid)
    for method in spec["methods"]:
        tries = [(None, "unexpected end of JSON input")]
        if method["arg"] != "none":
            tries += violations(structs, method["arg"])
        for arg, error in tries if method["served"] else tries[:1]:
            answer = stage.client.call(method["name"], arg, stage.fds.of("null"))
            stage.fds.close()
            assert fits(wanted(error), answer), f"{method['name']} {arg}\n    got  {answer}\n    want {wanted(error)}"
            pairs += 1
    expect_descriptors(stage.pid, before)
    stage.end()
    print(f"      | {pairs} (method, violation) pairs refused")


@test
def descriptors_nobody_asked_for(box: Box):
    """every method gets null and three descriptors too many: an answer or none, the sandbox lives and keeps none"""
    stage = Stage(box)
    stage.set("started")
    stage.client.ok("Usage.Collect", "{}")
    before = descriptors(stage.pid)
    for method in rpc_spec.load("rpc.yaml")["methods"]:
        if method["name"] in ("containerManager.Pause", "Lifecycle.Pause"):
            continue  # shown by cases
        with stage.connect() as client:
            client.send(method["name"], "null", stage.fds.of("null*3"))
            if not client.is_quiet(0.2):
                answer = client.read()
                assert answer.startswith('{"success":'), answer
            stage.fds.close()
    stage.client.ok("containerManager.Signal", '{"CID":"c1"}')
    expect_descriptors(stage.pid, before)
    stage.end()


@test
def methods_that_are_not_there(box: Box):
    """an unknown method whatever its argument, a method that is named and not served, Profile without --profile"""
    stage = Stage(box)
    stage.set("created")
    for method in ("", "x", "containerManager", "containerManager.", ".Wait", "containermanager.Wait", "Profile.CPU"):
        for arg in ("null", "7", '"c1"', "[[]]"):
            answer = stage.client.call(method, arg)
            assert answer == wanted("unknown method"), (method, answer)
    for method in rpc_spec.load("rpc.yaml")["methods"]:
        if not method["served"]:
            answer = stage.client.call(method["name"])
            assert answer == wanted(method["name"] + " is not supported"), answer
    stage.end()


# ---- the state machines ----------------------------------------------------------------------------------------------


class Machine(Stage):
    """Plays rows of spec/lifecycle.yaml."""

    def call_of(self, row, cid):
        method = "containerManager." + row["call"]
        if row["call"] == "Restore":
            guard = row.get("guard", "")
            return method, "{}", "two" if "several" in guard else "torn" if "damaged" in guard else "image"
        if row["call"] in ("StartSubcontainer", "RestoreSubcontainer"):
            arg = f'{{"Spec":{self.spec()},"Conf":{{}},"CID":"{cid}","GoferMountConfs":[{{"lower":1,"upper":0}}]}}'
            return method, arg, "null*4"
        if row["call"] == "Checkpoint":
            return method, '{"Resume":true}', "file"
        if row["call"] in ("CreateSubcontainer", "Signal"):
            return method, f'{{"CID":"{cid}"}}', ""
        if row["call"] == "WaitPID":
            return method, f'{{"PID":77,"CID":"{cid}"}}', ""
        if row["call"] == "PortForward":
            return method, f'{{"ContainerID":"{cid}","Port":9}}', "stream"
        if row["call"] == "ExecuteAsync":
            return method, f'{{"argv":["/bin/hello"],"wd":"/","ContainerID":"{cid}"}}', ""
        return method, "null" if row["call"] in ("Pause", "Resume") else f'"{cid}"', ""

    def sandbox_state(self):
        answer = json.loads(self.client.call("containerManager.StartRoot", '"zz"'))["err"]
        return answer.rpartition("state=")[2] if "state=" in answer else "created"

    def container_state(self):
        if "not found" in self.client.call("containerManager.Processes", '"c2"'):
            return "unknown"
        return ["invalid", "creating", "running", "stopped"][
            self.client.ok("containerManager.ContainerRuntimeState", '"c2"')]

    def play_row(self, row, cid):
        self.count += 1
        if row["call"] == "StartSubcontainer" and "next" in row:
            self.box.ok("start", cid)  # containerManager.StartSubcontainer with a gofer
        else:
            method, arg, fds = self.call_of(row, cid)
            answer = self.client.call(method, arg, self.fds.of(fds))
            self.fds.close()
            if "error" in row:
                want = wanted(row["error"].replace("CID", cid))
            else:
                want = wanted("*") if "damaged" in row.get("guard", "") else wanted(result="*")
            assert fits(want, answer), f"{row}\n    got  {answer}\n    want {want}"
        if "next" in row:
            if row["next"] != "restoreFailed":
                self.client.close()
                self.client = self.connect()
            state = self.sandbox_state() if cid == "c1" else self.container_state()
            assert state == row["next"], f"{row}: it is {state}"


def play_machine(box, kind, states):
    machine = Machine(box)
    rows = rpc_spec.load("lifecycle.yaml")[kind]
    cid = "c1" if kind == "sandbox" else "c2"
    for state in states:
        scene = {"unknown": "started"}.get(state, state)
        fresh = True
        for row in [row for row in rows if row["state"] == state]:
            if fresh:
                machine.set(scene)
                if row["call"] == "Restore":
                    machine.make_images()
            machine.play_row(row, cid)
            fresh = "next" in row and (row["next"] != state or row["call"] == "Pause")
            if row.get("next") == state and row["call"] == "Pause":
                machine.client.ok("containerManager.Resume")
                fresh = False
    machine.end()
    print(f"      | {machine.count} rows")


@test
def machine_of_the_sandbox(box: Box):
    """spec/lifecycle.yaml: each call in each state of a sandbox"""
    play_machine(box, "sandbox", ("created", "started", "restoringUnstarted", "restored", "restoreFailed"))


@test
def machine_of_a_container(box: Box):
    """spec/lifecycle.yaml: each call in each state of a container"""
    play_machine(box, "container", ("unknown", "creating", "running", "stopped"))


@test
def pod_restored(box: Box):
    """a pod of two by the command line: containerManager.Restore accepts, containerManager.RestoreSubcontainer of the last starts both"""
    stage = Stage(box)
    stage.set("created")
    stage.make_images()
    stage.end()
    os.makedirs(box.path("image"))
    shutil.copy(stage.fds.images["two"], box.path("image", "checkpoint.img"))
    words = ["restore", "--detach", "--image-path", box.path("image"), "--bundle"]
    first = box.start(*words, box.bundle("sleep", "1000", change=stage.config), "c1", stderr=-1)
    wait_until(lambda: os.path.exists(os.path.join(box.root, "c1_sandbox:c1.state")), "the first container's record")
    wait_until(lambda: box.run("state", "c1").code == 0, "the first container")
    box.ok(*words, box.bundle("sleep", "1000", change=stage.config_of_c2), "c2")
    assert first.wait(timeout=20) == 0, first.stderr.read()
    box.ok("exec", "c2", "true")
    assert json.loads(box.ok("ps", "--format=json", "c2").out) == [2]
    with stage.connect() as client:
        assert client.ok("containerManager.ContainerRuntimeState", '"c1"') == 2
    box.ok("delete", "--force", "c1")
    box.ok("delete", "--force", "c2")

# SPDX-License-Identifier: Apache-2.0
"""Hooks: order, what they are given, what a failing one undoes."""
import json
import os

from harness import Box, read, test, write

KINDS = ["prestart", "createRuntime", "createContainer", "startContainer", "poststart", "poststop"]


def with_hooks(box, scripts, **more):
    """A change of a configuration: KIND -> shell script."""
    def change(config):
        config["hooks"] = {kind: [{"path": "/bin/sh", "args": ["sh", "-c", script], "env": ["WHO=" + kind], **more}]
                           for kind, script in scripts.items()}
    return change


@test
def all_kinds_in_order(box: Box):
    """each kind runs once, in order, with its environment and the state on standard input"""
    script = f"echo $WHO >> {box.path('order')}; cat > {box.path('state')}.$WHO; echo noise"
    box.created("one", "true", change=with_hooks(box, dict.fromkeys(KINDS, script)))
    assert read(box.path("order")).split() == KINDS[:3]
    box.ok("start", "one")
    assert read(box.path("order")).split() == KINDS[:5]
    box.ok("delete", "--force", "one").want(out="", err="")
    assert read(box.path("order")).split() == KINDS
    statuses = [json.loads(read(box.path("state." + kind))) for kind in KINDS]
    assert [state["status"] for state in statuses] == ["creating"] * 3 + ["created", "running", "stopped"], statuses
    assert all(state["id"] == "one" and state["bundle"] == box.path("bundle1") for state in statuses)


@test
def hooks_have_a_clean_world(box: Box):
    """no descriptor but 0 to 2, no ignored or blocked signal, no variable but its own"""
    write(box.path("hook.py"), "import os,re\n"
          "fds = [fd for fd in os.listdir('/proc/self/fd') if int(fd) > 2 and os.path.exists(f'/proc/self/fd/{fd}')]\n"
          "status = open('/proc/self/status').read()\n"
          f"open({box.path('out')!r}, 'w').write(repr((fds, re.findall('Sig(?:Blk|Ign):.*', status), sorted(os.environ))))\n")

    def change(config):
        config["hooks"] = {"prestart": [{"path": "/usr/bin/env", "args": ["env", "-u", "LC_CTYPE", "python3", "-S",
                                                                          box.path("hook.py")],
                                         "env": ["PATH=/usr/bin", "ONE=1"]}]}
    box.created("one", "true", change=change)
    fds, masks, names = eval(read(box.path("out")))
    # Python itself ignores SIGPIPE and SIGXFSZ, has LC_CTYPE set, and opens one folder to look.
    assert len(fds) <= 1, fds
    assert masks == ["SigBlk:\t0000000000000000", "SigIgn:\t0000000001001000"], masks
    assert [name for name in names if name != "LC_CTYPE"] == ["ONE", "PATH"], names
    box.ok("delete", "one")


@test
def a_failing_hook(box: Box):
    """before start it undoes create or ends start with one line; after it there is a warning"""
    for kind in KINDS[:3]:
        change = with_hooks(box, {kind: "echo reason >&2; exit 3"})
        box.run("create", "--bundle", box.bundle("true", change=change), "one").want(
            128, line='creating container: failure executing hook "/bin/sh", err: exit status 3: reason')
        assert os.listdir(box.root) == []
    box.created("one", "true", change=with_hooks(box, {"startContainer": "exit 3"}))
    box.run("start", "one").want(128, line='*failure executing hook "/bin/sh", err: exit status 3')
    box.ok("delete", "--force", "one")
    box.created("one", "sleep", "100", change=with_hooks(box, {"poststart": "exit 3", "poststop": "kill -9 $$"}))
    assert "exit status 3" in box.ok("start", "one").err
    assert box.status("one") == "running"
    assert "signal" in box.ok("delete", "--force", "one").err


@test
def a_slow_hook(box: Box):
    """timeout: killed, and said"""
    change = with_hooks(box, {"prestart": "sleep 60"}, timeout=1)
    box.run("create", "--bundle", box.bundle("true", change=change), "one").want(
        128, line='creating container: timeout executing hook "/bin/sh"')


@test
def a_hook_that_is_not_there(box: Box):
    """no such file, not absolute"""
    for path, line in (("/no/such", "*no such file or directory*"), ("relative", "*not absolute*")):
        def change(config, path=path):
            config["hooks"] = {"createRuntime": [{"path": path}]}
        box.run("create", "--bundle", box.bundle("true", change=change), "one").want(128, line=line)
        assert not os.path.isdir(box.root) or os.listdir(box.root) == []

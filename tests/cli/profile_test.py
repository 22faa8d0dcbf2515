# SPDX-License-Identifier: Apache-2.0
"""Profiles, opened by readers that nobody here wrote: go tool pprof, protoc, and the rules of the trace event format."""
import json
import os
import re
import shutil
import subprocess

from harness import Box, Skip, read, test

BUSY = "while :; do i=$((i+1)); done"
UNITS = {"cpu": ("samples/count", "cpu/nanoseconds"), "heap": ("inuse_objects/count", "inuse_space/bytes"),
         "block": ("contentions/count", "delay/nanoseconds"), "mutex": ("contentions/count", "delay/nanoseconds")}


def profiled(box):
    """A sandbox with one busy and one sleeping process; the files of all its profiles, by kind."""
    box.running("one", "sh", "-c", f"sleep 1000 & {BUSY}", flags=("--profile",))
    files = {kind: box.path(kind) for kind in UNITS}
    words = [f"--profile-{kind}={path}" for kind, path in files.items()]
    box.ok("debug", *words, f"--trace={box.path('trace')}", "--duration=1s", "--delay=0s", "one", flags=("--profile",))
    box.ok("delete", "--force", "one")
    return files


def pprof(*words):
    done = subprocess.run(["go", "tool", "pprof", *words], capture_output=True, text=True, timeout=60, check=False,
                          env={**os.environ, "HOME": "/tmp", "PPROF_TMPDIR": "/tmp"})
    assert done.returncode == 0, (words, done.stderr)
    return done.stdout


@test
def pprof_opens_profiles(box: Box):
    """go tool pprof reads the four profiles: their types and units, who was busy, who slept, what memory is"""
    if not shutil.which("go"):
        raise Skip("no go here")
    files = profiled(box)
    for kind, units in UNITS.items():
        raw = pprof("-raw", files[kind])
        assert re.search(r"Samples:\n" + " ".join(units), raw), (kind, raw[:400])
        assert "Mappings" in raw and "Locations" in raw
    top = pprof("-top", "-sample_index=cpu", "-unit=ms", files["cpu"])
    assert "Type: cpu" in top and "Duration: 1s" in top, top
    assert re.search(r"[1-9][\d.]*m?s .*application code", top), top
    assert re.search(r"\bsh$", top, re.M), top
    assert re.search(r"sys_(pause|nanosleep|clock_nanosleep|wait4)|asleep", pprof("-top", files["block"]))
    heap = pprof("-top", "-sample_index=inuse_space", "-unit=kb", files["heap"])
    assert re.search(r"[1-9][\d.]*kB.*anonymous", heap), heap


@test
def protoc_takes_profiles_apart(box: Box):
    """every profile is one protobuf message whose fields have the types of profile.proto"""
    if not shutil.which("protoc"):
        raise Skip("no protoc here")
    for kind, path in profiled(box).items():
        with open(path, "rb") as file:
            done = subprocess.run(["protoc", "--decode_raw"], stdin=file, capture_output=True, text=True, timeout=30,
                                  check=False)
        assert done.returncode == 0, (kind, done.stderr)
        tops = [int(number) for number in re.findall(r"^(\d+)(?::| {)", done.stdout, re.M)]
        assert set(tops) <= {1, 2, 4, 5, 6, 9, 10, 11, 12} and tops.count(1) == 2 and tops.count(11) == 1, (kind, tops)
        assert tops.count(4) == tops.count(5) == 2 * tops.count(2), (kind, tops)


@test
def trace_follows_the_format(box: Box):
    """the trace is JSON of complete events with all members that viewers ask for; slices of a thread do not overlap"""
    profiled(box)
    events = json.loads(read(box.path("trace")))["traceEvents"]
    assert events, "no events in a second of work"
    ends = {}
    for event in sorted(events, key=lambda event: event["ts"]):
        assert set(event) >= {"name", "ph", "ts", "dur", "pid", "tid"} and event["ph"] == "X" and event["name"], event
        assert all(isinstance(event[name], int) and event[name] >= 0 for name in ("ts", "dur", "pid", "tid")), event
        thread = (event["pid"], event["tid"])
        assert event["ts"] >= ends.get(thread, 0), event
        ends[thread] = event["ts"] + event["dur"]

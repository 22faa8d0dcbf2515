#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""sim_tools.py PICKET-SIM SCENARIO...: what the simulator writes for others to read. Its trace events keep the format's
rules, and a scenario that fails is shrunk to one that fails alike. One line a check, and their sum."""
import json
import os
import re
import subprocess
import sys
import tempfile

FAILING = """scenario: too-much
purpose: one step of many fails
programs:
  hello: [{write: [1, "a"], want: 1}, {write: [1, "b"]}, {write: [1, "c"]}, {exit_group: [0]}]
  idle: [{loop: [{pause: []}]}]
containers: {a: {program: idle}, b: {program: hello}}
steps:
  - create: a
  - start: a
  - pause: a
  - resume: a
  - create: b
  - start: b
  - wait: {container: b, expect: {status: 0}}
  - expect: {output: {b: "ac"}}
  - ps: a
  - delete: a
"""
counts = [0, 0]


def check(is_good, what):
    counts[not is_good] += 1
    print("ok  " if is_good else "FAIL", what, flush=True)


def judge_events(events):
    """The first rule of the trace-event format that an event breaks, or None."""
    open_calls, named = set(), set()
    for event in events:
        phase, track = event.get("ph"), (event.get("pid"), event.get("tid"))
        if phase not in ("X", "b", "e", "i", "M") or not isinstance(event.get("name"), str):
            return f"phase and name: {event}"
        if not all(isinstance(number, int) for number in track) or event.get("ts", -1) < 0:
            return f"numbers: {event}"
        if phase == "M":
            named.add(track if event["name"] == "thread_name" else track[:1])
            if not isinstance(event["args"]["name"], str):
                return f"a name: {event}"
            continue
        if track not in named or track[:1] not in named:
            return f"a track without a name: {event}"
        if (phase == "X" and event.get("dur", -1) < 0) or (phase == "i" and event.get("s") != "t"):
            return f"a slice or an instant: {event}"
        key = (event["pid"], event.get("cat"), event.get("id"))
        if phase == "b" and (None in key or key in open_calls):
            return f"begun twice: {event}"
        if phase == "b":
            open_calls.add(key)
        if phase == "e" and key not in open_calls:
            return f"never begun: {event}"
        if phase == "e":
            open_calls.remove(key)
    return f"never ended: {open_calls}" if open_calls else None


def inserted(program, words, scenarios):
    """How many checkpoints a run that passes has inserted; 0 of one that does not."""
    done = subprocess.run([program, "run", "--no-twin", *words, *scenarios], capture_output=True, text=True, check=False)
    found = re.search(r"^(\d+) checkpoints inserted$", done.stdout, re.M)
    return int(found[1]) if found and done.returncode == 0 else 0


def main():
    program, scenarios = sys.argv[1], sys.argv[2:]
    with tempfile.TemporaryDirectory(prefix="picket-sim.") as folder:
        path = os.path.join(folder, "events.json")
        done = subprocess.run([program, "run", "--no-twin", "--perfetto", path, *scenarios], capture_output=True, check=False)
        with open(path, encoding="utf-8") as file:
            events = json.load(file)["traceEvents"]
        check(done.returncode == 0 and len(events) > 10 * len(scenarios), f"{len(events)} trace events")
        fault = judge_events(events)
        check(fault is None, f"trace events keep the format's rules{': ' + fault if fault else ''}")
        check({"sys", "rpc", "state"} <= {event.get("cat") for event in events}, "calls, control calls and states are slices")
        failing, small = os.path.join(folder, "failing.yaml"), os.path.join(folder, "small.yaml")
        with open(failing, "w", encoding="utf-8") as file:
            file.write(FAILING)
        done = subprocess.run([program, "shrink", "--out", small, failing], capture_output=True, text=True, check=False)
        check(done.returncode == 0, "a scenario that fails is shrunk")
        again = subprocess.run([program, "run", "--no-twin", small], capture_output=True, text=True, check=False)
        check(again.returncode == 1 and "wanted 'ac', but it is 'abc'" in again.stdout, "what is left fails alike")
        with open(small, encoding="utf-8") as file:
            text = file.read()
        check("pause" not in text and "exit_group" not in text and "start" in text, "nothing more than that is left")
        done = subprocess.run([program, "shrink", scenarios[0]], capture_output=True, text=True, check=False)
        check(done.returncode == 1 and "does not fail" in done.stdout, "what passes is not shrunk")
    between_steps, between_calls = (inserted(program, words, scenarios) for words in
                                    (["--checkpoint-everywhere"], ["--checkpoint-every", "1"]))
    check(0 < between_steps < between_calls, f"moved {between_steps} times between steps, {between_calls} with calls")
    print(f"{counts[0]} passed, {counts[1]} failed, 0 skipped")
    return counts[1] > 0


if __name__ == "__main__":
    sys.exit(main())

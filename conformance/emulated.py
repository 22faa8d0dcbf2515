# SPDX-License-Identifier: Apache-2.0
"""Families of cases in sandboxes of an emulated machine that has /dev/kvm (tests/vm): one machine for all of them,
and one more for cases that are missing because their sandbox died."""

import os
import re
import shlex
import sys
import tempfile

TOP = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
sys.path.insert(0, os.path.join(TOP, "tests", "vm"))
import machine  # noqa: E402

EXPECTED = os.path.join(TOP, "tests", "vm", "expected.txt")
FAMILY_SECONDS = 120
CASE_SECONDS = 30
LONE_CASES_MAX = 40
SECTION = re.compile(r"^@@ begin (\S+)\n(.*?)^@@ end \1 (\d+) ?(.*?)$", re.M | re.S)


class Sandboxes:
    """What the programs print in sandboxes of a machine with npt=NPT and CPUS processors, by platform and
    family. One processor's time follows its instructions, so that no case is late because the host is busy."""

    Unavailable = machine.Unavailable

    def __init__(self, picket_cmd, build, npt, cpus, seconds, parse_tap):
        values = {"top": TOP, "build": build, "root": "/tmp/root", "platform": "{platform}"}
        self.words = [word if word == "{command}" else word.format(**values) for word in shlex.split(picket_cmd)]
        self.npt = npt
        self.cpus = cpus
        self.seconds = seconds
        self.parse_tap = parse_tap
        self.found = {}

    def boot(self, platform, programs, plan):
        """[(family, results, complaint)] of the plan's lines that ran, and the machine's last word."""
        command = [word.format(platform=platform) for word in self.words if word != "{command}"]
        image = machine.Image()
        image.add_program(command[0], "/bin/picket")
        for family in {line.split()[1] for line in plan}:
            image.add_program(programs[family], "/conformance/" + family)
        image.add_file(os.path.join(TOP, "conformance", "inside.sh"), "/vm/inside.sh")
        image.add_bytes("/vm/plan", "".join(line + "\n" for line in plan).encode())
        with tempfile.TemporaryFile() as notes:
            status, text = machine.boot(image, ["/vm/inside.sh", "/vm/plan", "/bin/picket", *command[1:]],
                                        npt=self.npt, cpus=self.cpus, counted=self.cpus == 1,
                                        seconds=self.seconds, sink=notes)
        last = (text.strip().splitlines() or ["no output"])[-1] if status else ""
        return [(match[1], self.parse_tap(match[2]), f"exit status {match[3]}; {match[4] or 'no message'}")
                for match in SECTION.finditer(text)], last

    def run(self, platform, programs, selected, all_cases):
        """SELECTED is {family: [family/case]}."""
        def short(names):
            return " ".join(name.split("/", 1)[1] for name in names)

        plan = [f"{FAMILY_SECONDS} {family} {'' if names == all_cases[family] else short(names)}"
                for family, names in selected.items()]
        sections, last = self.boot(platform, programs, plan)
        found = {family: (results, complaint) for family, results, complaint in sections}
        for family in selected:
            found.setdefault(family, ({}, last or "the machine did not come to it"))
        missing = [name for family, names in selected.items() for name in names if name not in found[family][0]]
        if missing and not last and len(missing) <= LONE_CASES_MAX:
            plan = [f"{CASE_SECONDS} {name.split('/', 1)[0]} {short([name])}" for name in missing]
            for family, results, complaint in self.boot(platform, programs, plan)[0]:
                found[family][0].update(results)
                found[family] = (found[family][0], complaint)
        self.found[platform] = found

    def family(self, platform, family, names):
        results, complaint = self.found[platform][family]
        return {name: results[name] for name in names if name in results}, complaint

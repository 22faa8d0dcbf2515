#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""The command line as people and container engines use it: every test of this folder, against a built picket.

    tests/cli/run.py [--program PATH] [--only GLOB] [--list] [PART…]

A PART is a file of this folder without _test.py; without one all are run but those of the control socket
(spec, hostile) and of engines (podman, containerd, Debian's runsc), which have to be named.
"""
import argparse
import fnmatch
import importlib
import os
import sys

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
import harness  # noqa: E402

PARTS = ["profile", "life", "exec", "terminal", "hooks", "image", "bad", "crash", "golden", "peers", "options", "tour"]
CONTROL = ["spec", "hostile"]
ENGINES = ["client", "podman", "containerd"]


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("parts", nargs="*", metavar="PART")
    parser.add_argument("--program", default=harness.Box.program)
    parser.add_argument("--only", default="*", metavar="GLOB", help="tests whose name fits")
    parser.add_argument("--list", action="store_true")
    options = parser.parse_args()
    harness.Box.program = os.path.realpath(options.program)
    for part in options.parts or PARTS:
        importlib.import_module(part + "_test")
    tests = [f for f in harness.TESTS if fnmatch.fnmatchcase(f.__name__, options.only)]
    if options.list:
        for function in tests:
            print(f"{function.__module__}/{function.__name__}: {function.__doc__.splitlines()[0]}")
        return 0
    if os.geteuid() != 0:
        print("skip  the command line's tests need root\n0 passed, 0 failed, 1 skipped")
        return 0
    return harness.run_all(tests)


if __name__ == "__main__":
    sys.exit(main())

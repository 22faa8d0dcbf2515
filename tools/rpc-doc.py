#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""docs/rpc.md from spec/rpc.yaml: rpc-doc.py writes it, rpc-doc.py --check fails when it is not what would be written."""
import sys

import rpc_spec

SPEC, PAGE = "spec/rpc.yaml", "docs/rpc.md"
HEAD = """# Control calls

Made from `spec/rpc.yaml` by `make docs-rpc`; edit that file. The framing is in `spec/urpc.md`, which call is allowed when
in `spec/lifecycle.yaml`. A method that is not served answers `NAME is not supported`.

"""


def members(struct, name):
    rows = "".join(f"| `{member}` | {kind} |\n" for member, kind in struct["members"])
    return f"### {name}\n\n| member | type |\n| --- | --- |\n{rows}\n"


def method(row):
    lines = [f"### {row['name']}\n"]
    arg = "nothing is looked at" if row["arg"] == "none" else row["arg"]
    lines.append(f"Since {row['since']}; {'served' if row['served'] else 'not served'}.\n")
    lines.append(f"- argument: {arg}")
    if row["descriptors"]:
        lines.append(f"- descriptors: {row['descriptors']}")
    lines.append(f"- result: {row['result']}")
    lines += [f"- error: `{text}`" for text in row["errors"]]
    return "\n".join(lines) + "\n\n"


SEEN_HEAD = """## What was seen

`sim`: on the simulated host (`src/controller/rpc_cases_test.c` plays `spec/rpc-cases.yaml`). `live`: in a sandbox, over its
socket (`tests/cli/spec_test.py` plays the same). `runsc`: called by Debian's runsc package, and in which test of
`tests/cli/client_test.py`. "refuses": it was seen to answer its errors and has no other answer. A mark that no test shows
fails `tools/rpc_spec.py`, or the test of runsc's client.

| method | sim | live | runsc |
| --- | --- | --- | --- |
"""


def seen(methods):
    cases = rpc_spec.load("rpc-cases.yaml")
    client = {row["method"]: row["test"] for row in cases["client"]}
    rows, counts = "", {"sim": 0, "live": 0, "runsc": len(client)}
    for row in methods:
        marks = {where: rpc_spec.seen(cases, row["name"], where) if row["served"] else "" for where in ("sim", "live")}
        for where, mark in marks.items():
            counts[where] += mark != ""
        rows += f"| {row['name']} | {marks['sim'] or '-'} | {marks['live'] or '-'} | {client.get(row['name'], '-')} |\n"
    rows += f"| {len(methods)} methods | {counts['sim']} | {counts['live']} | {counts['runsc']} |\n"
    return SEEN_HEAD + rows + "\n"


def page():
    spec = rpc_spec.load("rpc.yaml")
    methods, text = spec["methods"], HEAD
    served = sum(1 for row in methods if row["served"])
    text += f"{len(methods)} methods, {served} served.\n\n" + seen(methods)
    for receiver in dict.fromkeys(row["receiver"] for row in methods):
        text += f"## {receiver}\n\n" + "".join(method(row) for row in methods if row["receiver"] == receiver)
    text += "## Structs\n\n" + "".join(members(struct, struct["name"]) for struct in spec["structs"])
    return text.rstrip() + "\n"


def main():
    want = page()
    if sys.argv[1:] == ["--check"]:
        try:
            with open(PAGE, encoding="utf-8") as file:
                is_current = file.read() == want
        except FileNotFoundError:
            is_current = False
        if not is_current:
            print(f"{PAGE} is not what {SPEC} says: make docs-rpc")
        return 0 if is_current else 1
    with open(PAGE, "w", encoding="utf-8") as file:
        file.write(want)
    return 0


sys.exit(main())

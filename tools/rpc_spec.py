#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Reads spec/rpc.yaml, spec/rpc-cases.yaml and spec/lifecycle.yaml; as a program it holds the cases against the methods.

Wrong are: a served method that no case shows at work, an error text of rpc.yaml that no case provokes, a case whose method or
error text rpc.yaml does not have, an `elsewhere` or `client` row whose test is not there.
"""
import json
import os
import re
import sys

TOP = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
TOKEN = re.compile(r"""'(?:[^']|'')*'|"(?:[^"\\]|\\.)*"|[{}\[\],]|[^{}\[\],"']+""")


PLACE = re.compile(r"%(?:\.[\d*]+)?(?:ll|z)?[sdu]")


def scalar(token):
    token = token.strip()
    if token.startswith("'"):
        return token[1:-1].replace("''", "'")
    if token.startswith('"'):
        return json.loads(token)
    return {"yes": True, "no": False}.get(token, token)


def value(tokens):
    """One flow value of YAML: a mapping, a list, a quoted or a plain scalar."""
    token = tokens.pop(0)
    if token not in "{[":
        return scalar(token)
    items = []
    while tokens[0] not in "}]":
        if token == "{":
            name, _, plain = tokens.pop(0).partition(":")
            if plain.strip():
                tokens.insert(0, plain.strip())
            items.append((name.strip(), value(tokens)))
        else:
            items.append(value(tokens))
        if tokens[0] == ",":
            tokens.pop(0)
    tokens.pop(0)
    return dict(items) if token == "{" else items


def load(name):
    """spec/NAME: block lists of flow mappings under names, all that these files use."""
    spec, rows = {}, None
    with open(os.path.join(TOP, "spec", name), encoding="utf-8") as file:
        for number, line in enumerate(file, 1):
            if line.startswith("- "):
                try:
                    rows.append(value([token for token in TOKEN.findall(line[2:].rstrip("\n")) if token.strip()]))
                except (IndexError, ValueError) as why:
                    raise SystemExit(f"spec/{name}:{number}: cannot be read: {why}") from why
            elif re.match(r"^\w+:$", line):
                rows = spec.setdefault(line.strip()[:-1], [])
    return spec


def template(text):
    """A regular expression for an error text with printf's places; it may wrap another text, and another it."""
    parts = PLACE.split(text)
    return re.compile("(.*: )?" + ".*".join(re.escape(part) for part in parts) + "(: .*)?", re.S)


def is_of(text, case_text):
    """Does the case's text (with * for anything) come from the template TEXT?"""
    return template(text).fullmatch(case_text) is not None or (
        "*" in case_text and template(text).fullmatch(case_text.replace("*", "0")) is not None)


def reads(path, text):
    try:
        with open(os.path.join(TOP, path), encoding="utf-8") as file:
            return text in file.read()
    except OSError:
        return False


def seen(cases, method, where):
    """METHOD on side WHERE: "yes" when a test shows it at work, "refuses" when it answers nothing but errors, or ""."""
    mine = [case for case in cases["cases"] if case["method"] == method and case.get("where", where) == where]
    if any("error" not in case for case in mine) or any(
            row["method"] == method and row["where"] == where for row in cases["elsewhere"]):
        return "yes"
    return "refuses" if mine else ""


def check_cases(methods, cases):
    for row in cases["cases"]:
        method = methods.get(row["method"])
        if not method or not method["served"]:
            yield f"{row['method']}: a case, but it is not served"
        elif row.get("error", "*") not in ("*", "unknown method") and not any(
                is_of(text, row["error"]) for text in method["errors"]):
            yield f"{row['method']}: rpc.yaml does not have the error {row['error']!r}"
    for row in cases["elsewhere"]:
        if not reads(row["test"], row["method"]):
            yield f"{row['method']}: {row['test']} does not have it"
    for row in cases["client"]:
        if not reads("tests/cli/client_test.py", f"def {row['test']}("):
            yield f"{row['method']}: client_test.py has no {row['test']}"
        if not methods.get(row["method"], {}).get("served"):
            yield f"{row['method']}: runsc's client cannot have seen it, it is not served"


def check_method(method, cases):
    name = method["name"]
    is_refusing = any(row["method"] == name for row in cases["refusing"])
    for where in ("sim", "live"):
        is_excused = any(row["method"] == name and row["where"] == where for row in cases["one_sided"])
        if seen(cases, name, where) != ("refuses" if is_refusing else "yes") and not is_excused:
            yield f"{name}: no case shows it at work in {where}"
    for text in method["errors"]:
        if not any(row["method"] == name and is_of(text, row.get("error", "")) for row in cases["cases"]) and not any(
                row["method"] == name and row["text"] == text for row in cases["unprovoked"]):
            yield f"{name}: no case provokes {text!r}"


def check():
    cases = load("rpc-cases.yaml")
    methods = {row["name"]: row for row in load("rpc.yaml")["methods"]}
    served = [row for row in methods.values() if row["served"]]
    wrong = list(check_cases(methods, cases))
    for row in served:
        wrong += check_method(row, cases)
    for text in wrong:
        print(f"spec/rpc-cases.yaml: {text}")
    print(f"{len(served)} served methods, {sum(len(row['errors']) for row in served)} error texts, {len(cases['cases'])} cases "
          f"({sum('error' in row for row in cases['cases'])} refusals), {len(cases['client'])} methods called by runsc's client; "
          f"{len(wrong)} wrong")
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(check())

#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Holds spec/syscalls.yaml against the kernel's table of handlers and the conformance cases.

Errors: a row of table.def that the specification does not know or gives another support; a full
row without cases; a glob that matches no case; numbers missing, out of order or twice. What the
specification promises and the table does not hold yet is counted, and an error with --complete.

Gaps: errors that a row lists and no case shows (shown.py says what counts). --gaps prints them,
--no-gaps makes those of full rows errors. ERROR!reason is listed but cannot be shown.
"""

import argparse
import fnmatch
import os
import re
import sys

sys.dont_write_bytecode = True
import shown  # noqa: E402
import spec  # noqa: E402

HERE = os.path.dirname(os.path.abspath(__file__))
TOP = os.path.dirname(HERE)
TABLE_ROW = re.compile(r"^\s*SYSCALL\(\s*(\d+)\s*,\s*(\w+)\s*,\s*(\w+)\s*[,)]")
CASE = re.compile(r"^CASE(?:_TIMEOUT)?\((\w+)")
SERVED = ("full", "partial", "refused")
# Why no case can provoke a documented error.
REASONS = {
    "clock": "somebody would have to set the machine's clock",
    "device": "belongs to a device, file system or configuration that is not there on both sides",
    "files": "the limit of open files of the whole system",
    "firewall": "a firewall's decision",
    "inner": "never reaches a program",
    "io": "the device below would have to fail",
    "lease": "leases are not served",
    "memory": "the kernel itself would have to run out of memory",
    "network": "needs a link or a peer that loses packets",
    "obsolete": "Linux does not answer it any more",
    "other": "Linux answers another error, or none, in the case that the manual describes",
    "quota": "needs a file system with quotas",
    "race": "two things would have to happen in the same moment",
    "size": "takes more objects or bytes than a case may use",
    "unserved": "belongs to what the row's note says is missing",
    "width": "cannot happen with 64-bit types",
}


def read_table(path):
    """[(line number, nr, name, support)]"""
    rows = []
    if not os.path.exists(path):
        return rows
    with open(path, encoding="utf-8") as file:
        for line_nr, line in enumerate(file, 1):
            match = TABLE_ROW.match(line)
            if match:
                rows.append((line_nr, int(match.group(1)), match.group(2),
                             match.group(3).lower()))
    return rows


def read_cases(folder):
    """family/case of every CASE in the sources; nothing has to be built for it."""
    cases = []
    for name in sorted(os.listdir(folder)):
        if not name.endswith(".c") or name == "tap.c":
            continue
        with open(os.path.join(folder, name), encoding="utf-8") as file:
            cases += [f"{name[:-2]}/{match.group(1)}" for match in map(CASE.match, file) if match]
    return cases


def check_numbers(rows):
    """Every number of Linux's table once and in order: 0 to 336 and 424 onwards."""
    errors = []
    numbers = [row["nr"] for row in rows]
    for before, after in zip(numbers, numbers[1:]):
        if after <= before:
            errors.append(f"{after} comes behind {before}")
    newest = max(numbers, default=0)
    wanted = set(range(0, 337)) | set(range(424, max(newest, 470) + 1))
    errors += [f"no row for number {nr}" for nr in sorted(wanted - set(numbers))]
    errors += [f"number {nr} is not Linux's" for nr in sorted(set(numbers) - wanted)]
    return errors


def check_cases(rows, cases):
    errors = []
    for row in rows:
        where = f"line {row['line']}: {row['name']}"
        if row["support"] == "full" and not row["cases"]:
            errors.append(f"{where}: full, but no case shows it")
        for glob in row["cases"]:
            if not any(fnmatch.fnmatchcase(case, glob) for case in cases):
                errors.append(f"{where}: {glob} matches no case")
    return errors


def check_table(rows, table):
    by_nr = {row["nr"]: row for row in rows}
    errors = []
    for line_nr, nr, name, support in table:
        row = by_nr.get(nr)
        if row is None:
            errors.append(f"table.def:{line_nr}: {nr} {name} is not in the specification")
        elif row["name"] != name:
            errors.append(f"table.def:{line_nr}: {nr} is {row['name']}, not {name}")
        elif row["support"] != support:
            errors.append(f"table.def:{line_nr}: {name} is {support}, the specification says"
                          f" {row['support']}")
    return errors


def find_gaps(rows, shown_errors):
    """([(row, [error])] of the gaps, number of errors that count, words that are wrong)."""
    gaps, wanted, errors = [], 0, []
    for row in rows:
        missing = []
        for word in row["errors"]:
            error, _, reason = word.partition("!")
            if "!" in word and reason not in REASONS:
                errors.append(f"line {row['line']}: {row['name']}: {word}: no such reason")
            if "!" in word:
                continue
            wanted += 1
            if (row["name"], error) not in shown_errors:
                missing.append(error)
        if missing:
            gaps.append((row, missing))
    return gaps, wanted, errors


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--complete", action="store_true",
                        help="what the specification promises has to be in the table")
    parser.add_argument("--gaps", action="store_true",
                        help="print the errors that no case shows")
    parser.add_argument("--no-gaps", action="store_true",
                        help="a full row with such an error fails")
    parser.add_argument("--spec", default=os.path.join(TOP, "spec", "syscalls.yaml"))
    parser.add_argument("--table",
                        default=os.path.join(TOP, "src", "sentry", "syscalls", "table.def"))
    args = parser.parse_args()
    try:
        rows = spec.parse(args.spec)
    except spec.SpecError as error:
        print(f"{args.spec}: {error}")
        return 1
    cases = read_cases(os.path.join(HERE, "syscalls"))
    table = read_table(args.table)
    errors = check_numbers(rows) + check_cases(rows, cases) + check_table(rows, table)

    gaps, wanted, wrong = find_gaps(rows, shown.read(os.path.join(HERE, "syscalls")))
    errors += wrong
    for row, missing in gaps:
        if row["support"] == "full" and args.no_gaps:
            errors.append(f"line {row['line']}: {row['name']}: no case shows {' '.join(missing)}")
        elif args.gaps:
            print(f"{row['support']:8} {row['name']:20} {' '.join(missing)}")

    present = {nr for _, nr, _, _ in table}
    absent = [row["name"] for row in rows if row["support"] in SERVED and row["nr"] not in present]
    if args.complete:
        errors += [f"{name} is promised, but not in table.def" for name in absent]
    for error in errors:
        print(f"check-spec: {error}")
    named = {glob for row in rows for glob in row["cases"]}
    named_count = sum(any(fnmatch.fnmatchcase(case, glob) for glob in named) for case in cases)
    counts = {support: sum(row["support"] == support for row in rows) for support in spec.SUPPORTS}
    print(f"check-spec: {len(rows)} numbers: " +
          ", ".join(f"{count} {support}" for support, count in counts.items()) +
          f"; {len(table)} in the table, {len(absent)} promised and absent;"
          f" {len(cases)} cases, {named_count} of them named by a row;"
          f" {wanted} documented errors, {sum(len(missing) for _, missing in gaps)} of them without"
          f" a case; {len(errors)} errors")
    return 1 if errors else 0


if __name__ == "__main__":
    sys.exit(main())

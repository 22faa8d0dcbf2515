# SPDX-License-Identifier: Apache-2.0
"""What a run found, as JUnit XML and as a matrix in Markdown or HTML."""

import fnmatch
import html
import os
from xml.sax.saxutils import escape, quoteattr

WORDS = {"passed": "passed", "failed": "FAILED", "skipped": "skipped",
         "expected": "fails as expected", None: "not run"}


def write_junit(path, outcomes):
    """outcomes: {environment: {case: Outcome}}."""
    lines = ['<?xml version="1.0" encoding="UTF-8"?>', "<testsuites>"]
    for environment, by_case in outcomes.items():
        states = [outcome.state for outcome in by_case.values()]
        lines.append(
            f'  <testsuite name={quoteattr(environment)} tests="{len(states)}"'
            f' failures="{states.count("failed")}"'
            f' skipped="{states.count("skipped") + states.count("expected")}">')
        for case, outcome in by_case.items():
            family, name = case.split("/", 1)
            head = (f'    <testcase classname={quoteattr(environment + "." + family)}'
                    f' name={quoteattr(name)}')
            if outcome.state == "passed":
                lines.append(head + "/>")
                continue
            lines.append(head + ">")
            if outcome.state == "failed":
                first = outcome.details[0] if outcome.details else "failed"
                lines.append(f"      <failure message={quoteattr(first)}>"
                             f"{escape(chr(10).join(outcome.details))}</failure>")
            else:
                reason = outcome.details[0] if outcome.details else outcome.state
                lines.append(f"      <skipped message={quoteattr(reason)}/>")
            lines.append("    </testcase>")
        lines.append("  </testsuite>")
    lines.append("</testsuites>")
    _write(path, "\n".join(lines) + "\n")


def matrix_tables(outcomes, spec_rows):
    """Three tables as (title, head, rows of cells): families, system calls, cases."""
    environments = list(outcomes)
    cases = sorted({case for by_case in outcomes.values() for case in by_case})
    families = sorted({case.split("/", 1)[0] for case in cases})

    def count(environment, wanted):
        states = [outcomes[environment][case].state for case in wanted
                  if case in outcomes[environment]]
        if not states:
            return "not run"
        text = f"{states.count('passed')}/{len(states)}"
        notes = [f"{states.count(state)} {word}" for state, word in
                 (("failed", "failed"), ("expected", "expected to fail"), ("skipped", "skipped"))
                 if state in states]
        return text + (f" ({', '.join(notes)})" if notes else "")

    family_rows = []
    for family in families:
        wanted = [case for case in cases if case.startswith(family + "/")]
        family_rows.append([family] + [count(environment, wanted) for environment in environments])
    family_rows.append(["all"] + [count(environment, cases) for environment in environments])

    call_rows = []
    for row in spec_rows:
        wanted = [case for case in cases
                  if any(fnmatch.fnmatchcase(case, glob) for glob in row["cases"])]
        call_rows.append([str(row["nr"]), row["name"], row["support"]] +
                         [count(environment, wanted) if wanted else "" for environment in
                          environments] + [row["note"]])

    case_rows = [[case] + [WORDS[outcomes[environment][case].state]
                           if case in outcomes[environment] else "not run"
                           for environment in environments] for case in cases]
    return [
        ("Families", ["family"] + environments, family_rows),
        ("System calls", ["nr", "name", "support"] + environments + ["note"], call_rows),
        ("Cases", ["case"] + environments, case_rows),
    ]


def write_matrix(path, outcomes, spec_rows):
    tables = matrix_tables(outcomes, spec_rows)
    _write(path, _as_html(tables) if path.endswith(".html") else _as_markdown(tables))


def _as_markdown(tables):
    lines = ["# Conformance", ""]
    for title, head, rows in tables:
        lines += [f"## {title}", "", "| " + " | ".join(head) + " |", "|" + " --- |" * len(head)]
        lines += ["| " + " | ".join(cell.replace("|", "\\|") for cell in row) + " |"
                  for row in rows]
        lines.append("")
    return "\n".join(lines)


def _cell_class(cell):
    if "FAILED" in cell or " failed" in cell:
        return ' class="bad"'
    return ' class="good"' if cell == "passed" or "/" in cell and cell[0].isdigit() else ""


def _as_html(tables):
    lines = ["<!doctype html>", '<html lang="en"><meta charset="utf-8"><title>Conformance</title>',
             "<style>body{font:14px sans-serif;margin:2em}table{border-collapse:collapse}"
             "td,th{border:1px solid #ccc;padding:2px 8px;text-align:left}"
             ".bad{background:#fcc}.good{background:#dfd}</style>", "<h1>Conformance</h1>"]
    for title, head, rows in tables:
        lines.append(f"<h2>{html.escape(title)}</h2><table><tr>")
        lines += [f"<th>{html.escape(cell)}</th>" for cell in head]
        lines.append("</tr>")
        for row in rows:
            cells = "".join(f"<td{_cell_class(cell) if i else ''}>{html.escape(cell)}</td>"
                            for i, cell in enumerate(row))
            lines.append(f"<tr>{cells}</tr>")
        lines.append("</table>")
    return "\n".join(lines) + "\n"


def _write(path, text):
    os.makedirs(os.path.dirname(path) or ".", exist_ok=True)
    with open(path, "w", encoding="utf-8") as file:
        file.write(text)

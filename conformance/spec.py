# SPDX-License-Identifier: Apache-2.0
"""Reads spec/syscalls.yaml: one flow-style mapping a line, so that no YAML library is needed."""

import re

FIELDS = ("nr", "name", "support", "note", "cases", "errors")
SUPPORTS = ("full", "partial", "refused", "none")

_TOKEN = re.compile(
    r'\s*(?:"((?:[^"\\]|\\.)*)"|([\[\]{},:])|([^\s\[\]{},:"][^\[\]{},:"]*?)(?=\s*[\[\]{},:]|\s*$))')


class SpecError(Exception):
    pass


def _tokens(text, line_nr):
    tokens = []
    at = 0
    text = text.rstrip()
    while at < len(text):
        match = _TOKEN.match(text, at)
        if not match:
            raise SpecError(f"line {line_nr}: cannot read {text[at:at + 30]!r}")
        quoted, mark, plain = match.groups()
        if mark:
            tokens.append(("mark", mark))
        elif quoted is not None:
            tokens.append(("text", re.sub(r"\\(.)", r"\1", quoted)))
        else:
            tokens.append(("text", plain))
        at = match.end()
    return tokens


class _Reader:
    def __init__(self, tokens, line_nr):
        self.tokens = tokens
        self.at = 0
        self.line_nr = line_nr

    def next(self, want=None):
        if self.at >= len(self.tokens):
            raise SpecError(f"line {self.line_nr}: ends too early")
        kind, text = self.tokens[self.at]
        self.at += 1
        if want and (kind, text) != ("mark", want):
            raise SpecError(f"line {self.line_nr}: {want!r} expected, got {text!r}")
        return kind, text

    def peek(self):
        return self.tokens[self.at] if self.at < len(self.tokens) else ("end", "")

    def value(self):
        kind, text = self.next()
        if kind == "text":
            return text
        if text != "[":
            raise SpecError(f"line {self.line_nr}: a value cannot begin with {text!r}")
        values = []
        while self.peek() != ("mark", "]"):
            values.append(self.next()[1])
            if self.peek() == ("mark", ","):
                self.next()
        self.next("]")
        return values

    def mapping(self):
        self.next("{")
        row = {}
        while self.peek() != ("mark", "}"):
            key = self.next()[1]
            self.next(":")
            if key in row:
                raise SpecError(f"line {self.line_nr}: {key} twice")
            row[key] = self.value()
            if self.peek() == ("mark", ","):
                self.next()
        self.next("}")
        return row


def parse(path):
    """The rows as dictionaries with nr as a number; raises SpecError."""
    rows = []
    with open(path, encoding="utf-8") as file:
        for line_nr, line in enumerate(file, 1):
            text = line.strip()
            if not text or text.startswith("#"):
                continue
            if not text.startswith("- "):
                raise SpecError(f"line {line_nr}: every row begins with '- '")
            reader = _Reader(_tokens(text[2:], line_nr), line_nr)
            row = reader.mapping()
            if reader.peek()[0] != "end":
                raise SpecError(f"line {line_nr}: text behind the mapping")
            if tuple(row) != FIELDS:
                raise SpecError(f"line {line_nr}: the fields are {', '.join(FIELDS)}")
            if not row["nr"].isdigit():
                raise SpecError(f"line {line_nr}: nr is a number")
            if row["support"] not in SUPPORTS:
                raise SpecError(f"line {line_nr}: support is one of {', '.join(SUPPORTS)}")
            for field in ("cases", "errors"):
                if not isinstance(row[field], list):
                    raise SpecError(f"line {line_nr}: {field} is a list")
            row["nr"] = int(row["nr"])
            row["line"] = line_nr
            rows.append(row)
    return rows

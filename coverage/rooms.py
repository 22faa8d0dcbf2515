#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""A figure for each room from lcov's file of counts: rooms.py PICKET.info"""
import collections
import os
import sys


def main():
    rooms = collections.defaultdict(lambda: [0, 0])
    name = None
    with open(sys.argv[1], encoding="utf-8") as file:
        for line in file:
            key, _, value = line.strip().partition(":")
            if key == "SF":
                name = room_of(value)
            elif key == "LF":
                rooms[name][1] += int(value)
            elif key == "LH":
                rooms[name][0] += int(value)
    for room, (hit, lines) in sorted(rooms.items()):
        print(f"{100 * hit / max(lines, 1):5.1f} % of {lines:6} lines  {room}")
    hit, lines = (sum(room[i] for room in rooms.values()) for i in (0, 1))
    print(f"{100 * hit / max(lines, 1):5.1f} % of {lines:6} lines  all")


def room_of(path):
    """src/sentry/fs/proc/pid.c is of room sentry/fs: a room's own folders count with it."""
    parts = path.split("/src/", 1)[-1].split("/")[:-1]
    deep = parts[0] in ("sentry", "wire")
    return os.path.join(*parts[:2 if deep else 1]) if parts else "src"


if __name__ == "__main__":
    main()

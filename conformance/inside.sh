#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
# Runs families of cases where no python is (tests/vm): a line of PLAN is "SECONDS FAMILY [case]...", the other arguments
# are the words before the program's. Markers tell emulated.py where a family's output begins and how it ended.
#     inside.sh PLAN WORD...
plan=$1
shift
while read -r seconds family cases; do
    echo "@@ begin $family"
    # shellcheck disable=SC2086
    timeout -k 5 "$seconds" "$@" "/conformance/$family" $cases < /dev/null 2> /vm/errors
    status=$?
    echo
    echo "@@ end $family $status $(tail -n 1 /vm/errors)"
done < "$plan"

#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
# Compile the named files with both compilers, linking nothing: a quick look while a room below is unfinished.
for f in "$@"; do
    for cc in gcc clang; do
        extra=
        [ $cc = clang ] && extra="-Wthread-safety -Wno-gnu -Wno-initializer-overrides"
        $cc -std=gnu17 -D_GNU_SOURCE -Isrc -I. -Wall -Wextra -Wconversion -Wno-sign-conversion -Wno-unused-parameter \
            -Wno-missing-field-initializers -Werror $extra -O2 -fno-strict-aliasing -c "$f" -o /dev/null || echo "FAILED $cc $f"
    done
done

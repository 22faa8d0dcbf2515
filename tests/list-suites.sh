#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
# From test files to the C table of their suites: file pipe_test.c defines pipe_suite.
echo '#include <stddef.h>'
for f in "$@"; do n=$(basename "$f" _test.c); echo "void ${n}_suite(void);"; done
echo 'void (*const test_suites[])(void) = {'
for f in "$@"; do n=$(basename "$f" _test.c); echo "    ${n}_suite,"; done
echo '    NULL};'

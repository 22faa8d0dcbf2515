#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
# A guest must not read the machine: no instruction whose result differs between platforms or hosts.
set -eu
bad=$(objdump -d "$1" | awk '{for (i = 2; i <= NF; i++) if ($i ~ /^(cpuid|rdtsc|rdtscp|rdpid|rdrand|rdseed|rdpmc|xgetbv|tpause|umwait|xbegin|sgdt|sidt|sldt|smsw|str|lsl)$/) print}')
[ -z "$bad" ] || { echo "lint: $1 reads the machine:"; echo "$bad"; exit 1; }

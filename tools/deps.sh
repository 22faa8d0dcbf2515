#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
# Debian packages that the named purpose needs, by name; installs only what is missing.
#   tools/deps.sh build|test|coverage|bench...
set -eu
packages=
for purpose in "$@"; do
    case $purpose in
    build) packages="$packages gcc libc6-dev make libseccomp-dev libcjson-dev libfyaml-dev libzstd-dev libxxhash-dev" ;;
    run) packages="$packages busybox-static procps" ;;
    test) packages="$packages gcc libc6-dev make git procps clang clang-format libclang-rt-14-dev python3 libcunit1-dev busybox-static
        qemu-system-x86
        libseccomp-dev libcjson-dev libfyaml-dev libzstd-dev libxxhash-dev" ;;
    coverage) packages="$packages lcov libcunit1-dev" ;;
    bench) packages="$packages crun runsc python3 git" ;;
    *) echo "deps.sh: no purpose '$purpose'" >&2; exit 2 ;;
    esac
done
missing=
for package in $packages; do
    case $(dpkg-query -W -f='${Status}' "$package" 2>/dev/null || true) in
    *'ok installed') ;;
    *) missing="$missing $package" ;;
    esac
done
[ -n "$missing" ] || exit 0
if [ "$(id -u)" != 0 ]; then
    echo "deps.sh: these Debian packages are missing; install them as root:$missing" >&2
    exit 1
fi
echo "installing:$missing"
export DEBIAN_FRONTEND=noninteractive
apt-get update -qq >/dev/null
# shellcheck disable=SC2086
apt-get install -y -qq --no-install-recommends $missing >/dev/null

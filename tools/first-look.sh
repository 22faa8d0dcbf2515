#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
# make run: the main job in a few steps, each shown before it is done.
#   tools/first-look.sh [FOLDER OF PROGRAMS]
set -eu
bin=$(cd "${1:-build}" && pwd)
picket="$bin/picket"
work=$(mktemp -d /tmp/picket-first-look.XXXXXX)
trap 'for id in tour again; do "$picket" --root "$work/root" delete --force $id 2>/dev/null || :; done; rm -rf "$work"' EXIT
trap 'exit 130' INT TERM

say() {
    if [ -t 1 ]; then printf '\n\033[1m%s\033[0m\n' "$*"; else printf '\n%s\n' "$*"; fi
}
show() {
    printf '  $ %s\n' "$(printf '%s' "$*" | sed "s#$bin/##; s#--root $work/root ##; s#$work/##g")"
    # Into a file: what a container keeps open would hold a pipe's reader up.
    "$@" > "$work/out" 2>&1 < /dev/null || printf '    (exit status %s)\n' $?
    sed 's/^/    /' "$work/out"
}
run() {
    show "$picket" --root "$work/root" "$@"
}

say "1. A session of this machine's own Debian, in a sandbox."
echo "   Its files are there, read-only; what the session writes stays in memory and goes with it. Its kernel is picket."
run do sh -c 'uname -sr; . /etc/os-release; echo "$PRETTY_NAME"; ls / | wc -l'
run do sh -c 'echo changed > /etc/hostname; cat /etc/hostname; ps -e | wc -l; seq 1000 | sort -r | head -1'
show cat /etc/hostname

say "2. An OCI bundle (busybox-static): created, started, exec'd into, checkpointed, restored, deleted."
mkdir -p "$work/bundle/rootfs/bin"
cp "$(command -v busybox)" "$work/bundle/rootfs/bin/busybox"
for name in sh echo sleep ls ps cat; do ln -s busybox "$work/bundle/rootfs/bin/$name"; done
run spec --bundle "$work/bundle" -- sh -c 'i=0; while i=$((i+1)); do echo $i > /dev/count; sleep 0.1; done'
sed -i 's/"terminal": true/"terminal": false/' "$work/bundle/config.json"
run create --bundle "$work/bundle" tour
run start tour
sleep 0.7
run exec tour sh -c 'echo "the count is at $(cat /dev/count)"'
run ps tour
run checkpoint --image-path "$work/image" tour
run delete tour
show ls "$work/image"
run restore --detach --image-path "$work/image" --bundle "$work/bundle" again
sleep 0.3
run exec again sh -c 'echo "it went on: $(cat /dev/count)"'
run state again
run delete --force again

say "3. A life as a scenario, replayed on two platforms and once more: each time the same trace, byte for byte."
scenario=$(dirname "$0")/../sim/scenarios/lifecycle.yaml
show "$bin/picket-sim" run --platform script,ptrace "$(realpath --relative-to=. "$scenario")"
say "That was picket. README.md has a first session to type; 'make test' tests everything that this machine can."

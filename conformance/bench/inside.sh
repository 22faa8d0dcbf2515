#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
# Inside the emulated machine (emulated.py): what operations cost natively and in sandboxes, by its instruction clock, and
# how many exits of the virtual machine they take, by KVM's own counters.
#     inside.sh BATCHES BATCH_MS TURNS [op]...
batches=$1 batch_ms=$2 turns=$3
shift 3
counters=/sys/kernel/debug/kvm
mount -t debugfs debugfs /sys/kernel/debug 2> /dev/null

for environment in native ptrace kvm; do
    sandbox="/bin/picket --platform=$environment --network=none do --quiet --"
    [ $environment = native ] && sandbox=
    # shellcheck disable=SC2086
    $sandbox /bin/ops --batches "$batches" --batch-ms "$batch_ms" "$@" < /dev/null | sed "s/^/@@ ns $environment /"
done

# One container for all of it; each operation comes in by exec, whose own exits cancel out in a difference.
bundle=/tmp/bundle
mkdir -p $bundle/rootfs/bin $bundle/rootfs/proc $bundle/rootfs/dev
cp /bin/busybox /bin/ops $bundle/rootfs/bin
cd $bundle && picket spec -- /bin/busybox sleep 1000000
sed -i -e 's/"readonly": true/"readonly": false/' config.json
mkdir -m 1777 rootfs/tmp
picket --root /tmp/root --platform=kvm --network=none create -bundle $bundle bench < /dev/null > /dev/null || exit 1
picket --root /tmp/root start bench || exit 1
for op in "$@"; do
    for count in "$turns" "$turns" $((turns * 5)); do # the first one warms up
        before="$(cat $counters/exits) $(cat $counters/io_exits)"
        picket --root /tmp/root exec bench /bin/ops --turns "$count" "$op" > /dev/null < /dev/null
        # shellcheck disable=SC2086
        set_of() { echo "$(($3 - $1)) $(($4 - $2))"; }
        # shellcheck disable=SC2086
        echo "@@ exits $op $count $(set_of $before "$(cat $counters/exits)" "$(cat $counters/io_exits)")"
    done
done
picket --root /tmp/root delete -force bench

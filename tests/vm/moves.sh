#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
# A container that counts is checkpointed on each platform and restored on each; it has to go on from where it was, with its
# file, its pipe and its floating-point registers. Runs in the emulated machine; a line for each pair, then the sum.
bundle=/tmp/moves
mkdir -p $bundle/rootfs/bin $bundle/rootfs/proc $bundle/rootfs/dev $bundle/shared
cp /bin/busybox $bundle/rootfs/bin
cat > $bundle/rootfs/bin/count <<'END'
#!/bin/busybox sh
busybox mkfifo /tmp/pipe
(while read -r line; do echo "$line"; done < /tmp/pipe > /shared/through) &
exec 5> /tmp/pipe
echo 0 > /tmp/kept
n=0
while :; do
    n=$((n + 1))
    [ "$(busybox awk "BEGIN { print $n / 4 * 4 }")" = $n ] || exit 9
    echo $n > /tmp/kept
    [ "$(busybox cat /tmp/kept)" = $n ] || exit 8
    echo $n >&5
    echo $n > /shared/count.new && busybox mv /shared/count.new /shared/count
    busybox sleep 0.05
done
END
chmod +x $bundle/rootfs/bin/count
cd $bundle && picket spec -- /bin/count || exit 1
# The default configuration with a writable root, a /tmp of its own and a folder shared with us.
tmp='{"destination": "/tmp", "type": "tmpfs", "source": "tmpfs"}'
shared='{"destination": "/shared", "type": "bind", "source": "/tmp/moves/shared"}'
sed -i -e 's/"readonly": true/"readonly": false/' -e "s|\"mounts\": \[|&$tmp, $shared,|" config.json

passed=0 failed=0
fail() {
    echo "not ok: $from to $to: $1"
    tail -n 3 /tmp/moves.log && echo
    failed=$((failed + 1))
}

# Wait until the count is above $1.
counts_past() {
    for _ in $(seq 300); do
        [ "$(cat shared/count 2> /dev/null || echo 0)" -gt "$1" ] && return 0
        sleep 0.1
    done
    return 1
}

move() {
    rm -rf image shared/* && mkdir image
    picket --root /tmp/root --platform=$from --network=none create -bundle . before > /tmp/moves.log 2>&1 < /dev/null &&
        picket --root /tmp/root start before >> /tmp/moves.log 2>&1 || { fail 'cannot start'; return; }
    counts_past 3 || { fail 'does not count'; return; }
    picket --root /tmp/root checkpoint -image-path image before >> /tmp/moves.log 2>&1 ||
        { fail 'cannot checkpoint'; return; }
    picket --root /tmp/root delete -force before >> /tmp/moves.log 2>&1
    at=$(cat shared/count)
    picket --root /tmp/root --platform=$to --network=none restore -detach -image-path image -bundle . after \
        >> /tmp/moves.log 2>&1 < /dev/null || { fail 'cannot restore'; return; }
    counts_past $((at + 3)) || { fail "stays at $(cat shared/count) after $at"; return; }
    cp shared/through through # it grows meanwhile
    seq "$(tail -n 1 through)" | cmp -s - through || { fail 'the pipe lost a line'; return; }
    echo "ok: $from to $to"
    passed=$((passed + 1))
}

for from in ptrace kvm; do
    for to in ptrace kvm; do
        move
        picket --root /tmp/root delete -force before > /dev/null 2>&1
        picket --root /tmp/root delete -force after > /dev/null 2>&1
    done
done
echo "$passed passed, $failed failed, 0 skipped"
[ $failed = 0 ]

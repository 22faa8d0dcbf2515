#!/bin/busybox sh
# SPDX-License-Identifier: Apache-2.0
# A tour of ordinary work with nothing but one static busybox, for places where nothing else is (tests/vm). Every section
# is a case and what it prints is part of the case's result.
#     busybox.sh [--list] [section]...
export LC_ALL=C TZ=UTC HOME=/tmp
umask 022

files() {
    mkdir -p dir/sub && printf 'one\ntwo\n' > dir/a && printf 'three\n' > dir/sub/b
    cp -a dir copy && mv copy/a copy/c && ln copy/c copy/hard && ln -s c copy/soft
    ls -1 dir copy dir/sub && cat copy/soft copy/hard | sort -r
    touch -d '2001-02-03 04:05:06' dir/a && chmod 640 dir/a
    stat -c '%n %s %a %h %F' dir/a copy/c copy/soft && stat -c %Y dir/a && readlink copy/soft
    dd if=/dev/zero of=zeros bs=1000 count=3 2> /dev/null && wc -c < zeros
    truncate -s 5K zeros && stat -c %s zeros && cmp dir/a copy/c && echo same
    diff -r dir copy > difference || grep -c . difference
    rm -r dir copy && ls
}

text() {
    seq 1 20 > numbers
    sort -rn numbers | head -n 3 | tr '\n' ,
    printf 'b 2\na 1\nb 2\nc 3\n' | sort | uniq -c | awk '{ print $1, $2, $3 }'
    printf 'x:y:z\n1:2:3\n' | cut -d: -f1,3 && echo 'hello world' | tr 'a-z' 'A-Z' | rev
    tac numbers | nl | sed -n '1p;20p' && fold -w 10 numbers | tail -n 1
    printf 'alpha 1\nbeta 2\n' | sed -e 's/\(.\)\(.*\) \(.\)/\3 \2\1/'
    awk 'BEGIN { "echo from a pipe" | getline line; print line; printf "%03d %x\n", 7, 255 }'
    awk '{ s += $1 } END { print s, s / NR }' numbers
    md5sum numbers && sha256sum < numbers && expr 6 \* 7 && date -u -d @86400 +%F
}

search() {
    mkdir -p tree/a/x tree/b/y
    for i in 1 2 3; do echo "needle $i" > tree/a/x/f$i; echo hay > tree/b/y/g$i.txt; done
    chmod 600 tree/b/y/g2.txt
    find tree -type f | sort && find tree -perm 600 && find tree -name 'f*' -exec cat {} + | sort
    find tree -type f -print0 | sort -z | xargs -0 -n 2 echo
    grep -rn needle tree | sort && ! grep -q nothing tree/a/x/f1 && echo absent
    rm -r tree && ls
}

archives() {
    mkdir src && for i in 1 2 3; do seq 1 $((i * 100)) > src/f$i; done && ln -s f1 src/link
    tar cf a.tar src && tar tf a.tar | sort && gzip -9 -c a.tar > a.tar.gz && gzip -t a.tar.gz
    zcat a.tar.gz | cmp - a.tar && mkdir out && tar xzf a.tar.gz -C out && diff -r src out/src && echo equal
    bzip2 -k a.tar && bzcat a.tar.bz2 | cmp - a.tar && echo bzip2
    tar cf - src | (mkdir piped && cd piped && tar xf -) && ls piped/src
}

shell() {
    (exit 7); echo "status $?"
    false | true; echo "pipe $?"
    cat <<END
heredoc $((1 + 2)) $(echo nested "$(echo deeper)")
END
    (trap 'echo at exit' EXIT; exit 0)
    sleep 0.01 & wait $!; echo "waited $?"
    sleep 50 & kill $!; wait $! 2> /dev/null; echo "killed $?"
    exec 5> fd5; echo five >&5; exec 5>&-; cat fd5
    ulimit -n 100; ulimit -n; umask
    timeout 0.1 sleep 50; echo "timeout $?"
    i=0; while [ $i -lt 20 ]; do sh -c 'exit 0' || echo failed; i=$((i + 1)); done; echo "$i shells"
    echo "${HOME##*/}"; set -- a 'b c' d; echo "$#" "$2"
}

pipeline() {
    seq 1 2000 | sed 's/$/ x/' | awk '{ print $1 * 3 }' | grep -v 7 | sort -n | tac | head -n 500 |
        tr '\n' ' ' | fold -w 50 | tail -n 3 | cat | sha256sum
    yes | head -n 20000 | tr -d '\n' | wc -c
    head -c 300000 /dev/zero | tr '\0' 'z' | md5sum
}

signals() {
    sleep 100 & pid=$!
    kill -STOP $pid; sleep 0.1; cut -d')' -f2 < /proc/$pid/stat | cut -c2
    kill -CONT $pid; kill -TERM $pid; wait $pid 2> /dev/null; echo "ended $?"
    (sh -c 'kill -SEGV $$'; echo "segv $?") 2> /dev/null
    sh -c 'trap "" TERM; kill -TERM $$; echo survived'
    sh -c 'trap "echo hup; exit 4" HUP; kill -HUP $$; sleep 5'; echo "hup $?"
}

processes() {
    id -u && pwd -P | cut -d/ -f1-2 && uname -s -m
    sleep 100 & pid=$!
    until grep -q ^sleep /proc/$pid/cmdline; do sleep 0.01; done
    tr '\0' ' ' < /proc/$pid/cmdline && echo && kill $pid; wait $pid 2> /dev/null
    [ -d /proc/$pid ] || echo gone
    mkfifo pipe && (echo fifo > pipe &) && cat pipe
    seq 8 | xargs -P 4 -n 1 sh -c 'exit 0' && echo parallel
    free > /dev/null && df /tmp > /dev/null && echo tools
    env -i A=1 env
}

sections='files text search archives shell pipeline signals processes'
if [ "${1-}" = --list ]; then
    for section in $sections; do echo "busybox/$section"; done
    exit 0
fi
busybox=$(readlink -f /proc/self/exe)
root=$("$busybox" mktemp -d /tmp/busybox.XXXXXX) || exit 1
"$busybox" mkdir "$root/bin" && "$busybox" --install -s "$root/bin" || exit 1
export PATH="$root/bin"
[ $# != 0 ] || set -- $sections
echo "TAP version 13"
echo "1..$#"
number=0 failed=0
for section in "$@"; do
    number=$((number + 1))
    mkdir "$root/$section"
    (cd "$root/$section" && "$section") > "$root/out" 2>&1 < /dev/null
    status=$?
    sed 's/^/# show: /' "$root/out"
    [ $status = 0 ] && echo "ok $number - busybox/$section" || echo "not ok $number - busybox/$section"
    [ $status = 0 ] || failed=1
done
rm -rf "$root"
exit $failed

#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# A tour of ordinary work. Every section is a case; what it prints is part of the case's result, so
# the same bytes have to come out natively and inside. Speaks the same TAP as the system call cases:
#     tour.sh [--list] [section]...
export LC_ALL=C TZ=UTC HOME=/tmp/tour.home
export PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin
umask 022

files() {
    mkdir -p dir/sub && printf 'one\ntwo\n' > dir/a && printf 'three\n' > dir/sub/b
    cp -a dir copy && mv copy/a copy/c && ln copy/c copy/hard && ln -s c copy/soft
    ls -1 dir copy dir/sub
    cat copy/soft copy/hard | sort -r
    touch -d '2001-02-03 04:05:06' dir/a && chmod 640 dir/a
    stat -c '%n %s %a %h %F' dir/a copy/c copy/soft && stat -c %Y dir/a
    readlink copy/soft && realpath -m --relative-to=. copy/soft
    install -m 750 dir/a installed && stat -c '%a' installed
    dd if=/dev/zero of=zeros bs=1000 count=3 status=none && wc -c < zeros
    truncate -s 5K zeros && stat -c %s zeros
    cmp dir/a copy/c && echo same
    diff -u dir copy | grep -v '^[-+][-+]' | head -3
    test -x installed && test ! -w /proc/version -o "$(id -u)" = 0 && echo tested
    rm -r dir copy && ls -A | tr '\n' ' '
}

text() {
    seq 1 20 > numbers
    paste -sd+ numbers && paste -sd+ numbers | sed 's/.*/echo $((&))/' | sh
    sort -rn numbers | head -3 | tr '\n' ,
    printf 'b 2\na 1\nb 2\nc 3\n' | sort | uniq -c | awk '{ print $1, $2, $3 }'
    printf 'x:y:z\n1:2:3\n' | cut -d: -f1,3
    echo 'hello world' | tr 'a-z' 'A-Z' | rev
    printf 'k1 a\nk2 b\n' > left && printf 'k1 c\nk3 d\n' > right
    join left right && comm -12 <(cut -d' ' -f1 left) <(cut -d' ' -f1 right)
    seq 1 100 | split -l 40 - part. && wc -l part.* | tail -4
    tac numbers | nl | sed -n '1p;20p'
    fold -w 10 <<< 'a line that is longer than ten' && expand -t 4 <<< $'a\tb'
    echo 'some bytes' | od -An -tx1 && echo 'some bytes' | base64
    md5sum numbers && sha256sum < numbers && cksum numbers
    numfmt --to=iec 1048576 && factor 360 && expr 6 \* 7
    date -u -d @86400 +%F && printf '%05.2f|%-5s|%x\n' 3.14159 ab 255
}

search() {
    mkdir -p tree/{a,b}/{x,y}
    for i in 1 2 3; do echo "needle $i" > tree/a/x/f$i; echo hay > tree/b/y/g$i.txt; done
    touch -d '2000-01-01' tree/b/y/g1.txt && chmod 600 tree/b/y/g2.txt
    find tree -type f | sort
    find tree -name '*.txt' -newermt '2010-01-01' | sort
    find tree -type d -empty | sort
    find tree -perm 600 -printf '%p %s %m\n'
    find tree -name 'f*' -exec cat {} + | sort
    find tree -type f -print0 | sort -z | xargs -0 -n 2 echo
    grep -rn needle tree | sort
    grep -rlZ hay tree | sort -z | xargs -0 -n1 basename
    grep -c . tree/a/x/f1 && ! grep -q nothing tree/a/x/f1 && echo absent
    find tree -delete && ls
}

sed_and_awk() {
    printf 'alpha 1\nbeta 2\ngamma 3\n' > in
    sed -e 's/\(.\)\(.*\) \(.\)/\3 \2\1/' -e '2d' in
    sed -n '/beta/,$p' in && sed -i 's/a/A/g' in && cat in
    awk '{ sum += $2; word[$1] = $2 } END { print sum; for (w in word) n++; print n }' in
    awk 'BEGIN { "echo from a pipe" | getline line; print line; printf "%d\n", 2 ^ 10 }'
    awk '{ print $1 | "sort -r" }' in
    awk 'BEGIN { while (i++ < 3) print i > ("out" i); close("out1") } END { }' /dev/null
    cat out1 out2 out3
}

archives() {
    mkdir src && for i in 1 2 3; do seq 1 $((i * 100)) > src/f$i; done && ln -s f1 src/link
    tar --sort=name --mtime=@0 --owner=0 --group=0 --numeric-owner -cf a.tar src
    sha256sum a.tar && tar tvf a.tar
    gzip -9nk a.tar && sha256sum a.tar.gz && gzip -t a.tar.gz && zcat a.tar.gz | cmp - a.tar
    mkdir out && tar xzf a.tar.gz -C out && diff -r src out/src && echo equal
    command -v bzip2 > /dev/null && bzip2 -k a.tar && bzcat a.tar.bz2 | cmp - a.tar && echo bzip2
    command -v xz > /dev/null && xz -k a.tar && xzcat a.tar.xz | cmp - a.tar && echo xz
    tar cf - src | (mkdir piped && cd piped && tar xf -) && ls piped/src
}

shell() {
    local list=(c a b) && printf '%s\n' "${list[@]}" | sort | tr '\n' ' ' && echo "${#list[@]}"
    declare -A map=([x]=1 [y]=2) && echo $((map[x] + map[y]))
    (exit 7); echo "status $?"
    false | true; echo "${PIPESTATUS[*]}"
    set -o pipefail; false | true; echo "pipefail $?"; set +o pipefail
    cat <(echo first) <(echo second)
    cat <<END
heredoc $((1 + 2)) $(echo nested "$(echo deeper)")
END
    trap 'echo trapped USR1' USR1; kill -USR1 $BASHPID; trap - USR1
    (trap 'echo at exit' EXIT; exit 0)
    sleep 0.01 & wait $!; echo "waited $?"
    sleep 5 & kill $!; wait $! 2> /dev/null; echo "killed $?"
    { sleep 0.02; exit 3; } & sleep 5 & wait -n; echo "first $?"; kill %2; wait 2> /dev/null
    coproc CAT { cat; }; echo through >&"${CAT[1]}"; read -r line <&"${CAT[0]}"; echo "$line"
    exec {CAT[1]}>&-; wait
    exec 5> fd5; echo five >&5; exec 5>&-; cat fd5
    ulimit -n 100; ulimit -n; kill -l 15; umask
    read -r -t 0.05 < <(exec sleep 1) || echo "read timed out"
    [[ abc =~ ^a(.)c$ ]] && echo "${BASH_REMATCH[1]}"
    timeout 0.05 sleep 5; echo "timeout $?"
    (timeout -s KILL 0.05 sleep 5; echo "killed $?") 2> /dev/null
    echo {1..3}{a,b} && echo "${HOME##*/}" "${PWD//[^\/]/}" | tr -d /
    printf 'nul\0separated\0' | while IFS= read -r -d '' word; do echo "$word"; done
}

pipeline_of_ten() {
    seq 1 5000 | sed 's/$/ x/' | awk '{ print $1 * 3 }' | grep -v 7 | sort -n | tac | head -1000 |
        tr '\n' ' ' | fold -w 50 | tail -3 | cat -A | sha256sum
    yes | head -100000 | tr -d '\n' | wc -c
    cat /dev/zero | head -c 1000000 | tr '\0' 'z' | md5sum
}

signals() {
    sleep 100 & local pid=$!
    kill -STOP $pid; sleep 0.05
    cut -d')' -f2 < /proc/$pid/stat | cut -c2
    kill -CONT $pid; kill -TERM $pid; wait $pid; echo "ended $?"
    (bash -c 'kill -SEGV $$'; echo "segv $?") 2> /dev/null
    bash -c 'trap "" TERM; kill -TERM $$; echo survived'
    sh -c 'trap "echo hup; exit 4" HUP; kill -HUP $$; sleep 5'; echo "hup $?"
    nohup sh -c 'kill -HUP $$; echo nohup' 2> /dev/null
    (
        trap 'echo usr1; exit' USR1
        sh -c 'sleep 0.02; kill -USR1 $PPID' &
        while :; do sleep 0.01; done
    )
}

perl_work() {
    perl -e 'my %h = map { $_ => length } qw(a bb ccc); print "$_=$h{$_}\n" for sort keys %h'
    perl -ne 'print if /o/' <<< $'one\ntwo\nsix'
    perl -e '$| = 1; my $pid = fork; if (!$pid) { exit 9 } waitpid $pid, 0; print $? >> 8, "\n"'
    perl -e 'open my $p, "-|", "echo piped" or die; print while <$p>; close $p'
    perl -e '$SIG{ALRM} = sub { print "alarm\n"; exit }; alarm 1; sleep 10'
    perl -MPOSIX -e 'printf "%s %d\n", strftime("%Y", gmtime 0), floor(2.7)'
    perl -MSocket -e 'socketpair my $a, my $b, AF_UNIX, SOCK_STREAM, 0;
                      syswrite $a, "x"; sysread $b, my $c, 9; print "$c\n"'
    perl -e 'open my $f, "+>", "t" or die; print $f "abc"; seek $f, 1, 0;
             read $f, my $x, 9; print "$x\n"; print -s "t", "\n"'
}

compiler() {
    cat > main.c <<'END'
#include <math.h>
#include <pthread.h>
#include <stdio.h>
static void *run(void *arg) { *(double *)arg = sqrt(*(double *)arg); return NULL; }
int main(int argc, char **argv)
{
    double values[4] = {1, 4, 9, 16};
    pthread_t threads[4];
    for (int i = 0; i < 4; i++)
        pthread_create(&threads[i], NULL, run, &values[i]);
    for (int i = 0; i < 4; i++)
        pthread_join(threads[i], NULL);
    printf("%s %g %g %g %g\n", argv[1], values[0], values[1], values[2], values[3]);
    return argc;
}
END
    printf 'main: main.o\n\tgcc -o $@ $< -lm -pthread\nmain.o: main.c\n\tgcc -O2 -c $<\n' > Makefile
    make && ./main arg; echo "status $?"
    gcc -static -O1 -o static main.c -lm -pthread && ./static arg
    printf 'int f(void) { return 42; }\n' > lib.c && gcc -shared -fPIC -o libf.so lib.c
    printf 'extern int f(void);\nint main(void) { return f(); }\n' > use.c
    gcc -o use use.c -L. -lf -Wl,-rpath,"$PWD" && ./use; echo "status $?"
    ar rc libs.a main.o && nm libs.a | grep -c ' T main'
    echo 'int main(void) { return x; }' > bad.c; gcc bad.c 2> /dev/null; echo "status $?"
}

git_work() {
    export GIT_CONFIG_NOSYSTEM=1
    export GIT_AUTHOR_DATE='2001-01-01T00:00:00Z' GIT_COMMITTER_DATE='2001-01-01T00:00:00Z'
    export GIT_AUTHOR_NAME=n GIT_AUTHOR_EMAIL=e GIT_COMMITTER_NAME=n GIT_COMMITTER_EMAIL=e
    git init -q -b main repo && cd repo || return
    for i in 1 2 3; do
        seq 1 $((i * 10)) > file$i && git add file$i && git commit -q -m "commit $i"
    done
    git log --oneline && git checkout -q -b side HEAD~1 && echo side > side && git add side
    git commit -q -m side && git merge -q --no-edit main && git log --format=%s | head -2
    git rev-parse HEAD && git diff --stat HEAD~1 | cat && git status --short
    git gc -q && git fsck 2>&1 && cd .. && git clone -q repo clone && git -C clone rev-parse HEAD
    git -C repo tag v1 && git -C repo describe && git -C repo archive v1 | tar t
}

identity() {
    id -u && whoami && groups
    getent passwd root | cut -d: -f1,3 && hostname | wc -l
    chmod 711 . && touch secret && chmod 600 secret
    setpriv --reuid=1000 --regid=1000 --clear-groups sh -c 'id -u; cat secret 2> /dev/null; echo $?'
    setpriv --no-new-privs grep NoNewPrivs /proc/self/status
    nice -n 19 nice && nproc > /dev/null && uname -s -m && pwd -P | cut -d/ -f1-2
    env -i A=1 /usr/bin/env && getconf PAGESIZE
}

proc_tools() {
    sleep 100 & local pid=$!
    ps -o comm= -p $pid && ps -o stat= -p $pid | cut -c1
    kill $pid; wait $pid 2> /dev/null
    ps -p $pid > /dev/null || echo gone
    head -1 /proc/mounts | wc -l && grep -c processor /proc/cpuinfo > /dev/null && echo cpuinfo
    free > /dev/null && uptime > /dev/null && df /tmp > /dev/null && echo tools
    flock lock -c 'echo locked'
    (flock 9; flock -n lock true || echo busy) 9> lock
    mkfifo pipe && (echo fifo > pipe &) && cat pipe
    script -qec 'echo from a terminal; test -t 0 && stty size > /dev/null && echo tty' /dev/null \
        < /dev/null | tr -d '\r'
    xargs -P 4 -n 1 sh -c 'exit 0' <<< '1 2 3 4 5 6 7 8' && echo parallel
}

network() {
    python3 - <<'END'
import socket, threading
server = socket.create_server(("127.0.0.1", 0))
def serve():
    peer, _ = server.accept()
    with peer:
        while data := peer.recv(100):
            peer.sendall(data.upper())
threading.Thread(target=serve, daemon=True).start()
with socket.create_connection(server.getsockname()) as client:
    client.sendall(b"hello")
    print(client.recv(100).decode())
    client.shutdown(socket.SHUT_WR)
    print(client.recv(100))
END
    (exec 3<> /dev/tcp/127.0.0.1/1) 2> /dev/null || echo "refused"
    getent hosts localhost > /dev/null && echo resolved
}

sections='files text search sed_and_awk archives shell pipeline_of_ten signals perl_work compiler
git_work identity proc_tools network'

if [[ ${1-} == --inner ]]; then
    cd "$2" && "$3"
    exit 0
fi
if [[ ${1-} == --list ]]; then
    printf 'tour/%s\n' $sections
    exit 0
fi
wanted=${*:-$sections}
number=0
set -- $wanted
echo "TAP version 13"
echo "1..$#"
mkdir -p "$HOME"
for section in "$@"; do
    number=$((number + 1))
    work=$(mktemp -d /tmp/tour.XXXXXX)
    timeout -k 2 90 bash "$0" --inner "$work" "$section" < /dev/null 2>&1 |
        awk '{ print "# show: " $0 }'
    status=${PIPESTATUS[0]}
    rm -rf "$work"
    [[ $status == 0 ]] && echo "ok $number - tour/$section" || echo "not ok $number - tour/$section"
done
rm -rf "$HOME"

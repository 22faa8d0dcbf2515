#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# Ordinary programs, timed inside their environment: prints "NAME MS CHECK" for each one named.
# Preparation is not timed; CHECK is a short fact of the result, equal everywhere.
export LC_ALL=C HOME=/tmp GIT_CONFIG_NOSYSTEM=1
export PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin
work=/tmp/workload.$$
mkdir -p "$work" && cd "$work" || exit 1
trap 'rm -rf "$work"' EXIT

make_files() { # COUNT FOLDER
    mkdir -p "$2"
    local i
    for ((i = 0; i < $1; i++)); do
        ((i % 100 == 0)) && mkdir -p "$2/d$((i / 100))"
        printf 'file %d %0200d\n' "$i" "$i" > "$2/d$((i / 100))/f$i"
    done
}

begin() { started=${EPOCHREALTIME/./}; }
finish() { # NAME CHECK
    local now=${EPOCHREALTIME/./}
    echo "$1 $(((now - started) / 1000)) $2"
}

find_usr() {
    begin
    local count
    count=$(find /usr -xdev | wc -l)
    finish find_usr "$((count > 1000))"
}

tar_2000() {
    make_files 2000 tree
    begin
    tar cf tree.tar tree && mkdir out && tar xf tree.tar -C out
    finish tar_2000 "$(find out -type f | wc -l)"
}

git_500() {
    make_files 500 repo
    cd repo || return
    begin
    git init -q . && git add . &&
        git -c user.name=n -c user.email=e@example.com -c gc.auto=0 commit -q -m first
    finish git_500 "$(git ls-files | wc -l)"
    cd ..
}

gcc_o2() {
    cat > small.c <<'END'
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
static int compare(const void *a, const void *b) { return *(const int *)a - *(const int *)b; }
int main(void)
{
    int values[100];
    for (int i = 0; i < 100; i++)
        values[i] = (i * 37) % 101;
    qsort(values, 100, sizeof values[0], compare);
    printf("%d %d\n", values[0], values[99]);
    return 0;
}
END
    begin
    gcc -O2 -o small small.c
    finish gcc_o2 "$(./small | tr ' ' ,)"
}

python_loop() {
    begin
    local result
    result=$(/usr/bin/python3 -c 's = 0
for i in range(3000000):
    s += i & 7
print(s)')
    finish python_loop "$result"
}

sh_100_true() {
    begin
    local i
    for ((i = 0; i < 100; i++)); do
        /bin/true
    done
    finish sh_100_true 100
}

for name in "${@:-find_usr tar_2000 git_500 gcc_o2 python_loop sh_100_true}"; do
    for each in $name; do
        "$each"
    done
done

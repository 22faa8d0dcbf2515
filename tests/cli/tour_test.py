# SPDX-License-Identifier: Apache-2.0
"""busybox-static as an OCI bundle: a tour of its tools, which print natively (under chroot) what they print inside."""
import os
import subprocess

from harness import Box, Skip, test

SECTIONS = {
    "files": "mkdir -p a/b; echo one > a/f; cp -a a c; ln -s f c/soft; ln c/f c/hard; ls -l c | awk '{print $1, $2, $9}'; "
             "stat -c '%n %s %a %h' c/f; rm -r a; ls; dd if=/dev/zero of=z bs=1k count=3 2>/dev/null; wc -c z; chmod 640 z; "
             "find . -type f | sort; touch -d '2001-02-03 04:05:06' z; date -r z +%s; readlink c/soft; du -s . >/dev/null",
    "text": "seq 20 | sort -rn | head -3; seq 100 | awk '{s+=$1} END {print s}'; echo a:b:c | cut -d: -f2; "
            "printf 'b\\na\\nb\\n' | sort | uniq -c; echo Hello | tr a-z A-Z | sed 's/L/l/g'; echo abc | md5sum; "
            "echo abc | sha256sum; echo abc | od -An -tx1; seq 5 | paste -s -d+ | bc; expr 6 '*' 7; printf '%05d\\n' 42; "
            "seq 9 | grep -c '[3-5]'; echo 'a b c' | xargs -n1 echo; seq 3 | tac; echo x | base64; factor 360",
    "archives": "mkdir d; for i in 1 2 3 4 5; do seq $((i*100)) > d/$i; done; tar -czf t.tgz d; mkdir e; tar -C e -xzf t.tgz; "
                "diff -r d e/d && echo same; tar -tzf t.tgz | sort; gzip -c d/5 | gunzip | md5sum; bzip2 -c d/5 | bunzip2 | wc -l; "
                "find d | cpio -o -H newc 2>/dev/null | cpio -t 2>/dev/null | sort",
    "processes": "sh -c 'sleep 100 & sleep 0.3; kill $!; wait $!; echo $?' 2>/dev/null; (exit 7); echo $?; sh -c 'kill -9 $$' 2>/dev/null; echo $?; "
                 "trap 'echo caught' USR1; kill -USR1 $$; f() { echo f $1; }; f x; x=$(echo sub | cat); echo $x; "
                 "seq 1000 | cat | cat | cat | cat | cat | cat | cat | cat | tail -1; mkfifo p; echo through > p & cat p; "
                 "ulimit -n 50; ulimit -n; nice -n 5 nice; timeout 1 sleep 9; echo $?; umask 027; umask; "
                 "for i in 1 2 3; do echo $i & done | sort; wait; test -t 0 || echo no terminal",
    "editing": "printf '1\\n2\\n3\\n' > f; sed -i 2d f; cat f; printf '1\\nx\\n3\\n' > g; diff f g; cmp f g; "
               "printf 'g/x/d\\nw\\nq\\n' | ed g >/dev/null; cat g; split -l 1 f s.; ls; vi -c ':wq' f </dev/null >/dev/null 2>&1; cat f",
    "system": "id -u; whoami; pwd; uname -s; env | grep HOME; [ -c /dev/null ] && echo null; echo x > /dev/null; "
              "head -c 5 /dev/zero | wc -c; cat /etc/passwd | wc -l; which ls; mktemp -u XXXXXX | wc -c; basename /a/b.c .c; "
              "dirname /a/b; realpath .; date -u -d @0 +%Y; cal 2 2001 | wc -l; usleep 1000; nproc >/dev/null && echo cpus",
}


def natively(box, script):
    """Under chroot in namespaces of its own, with what the bundle has mounted too."""
    inner = ("mount -t tmpfs t {root}/tmp && mount -t proc p {root}/proc && mount --bind /dev {root}/dev && "
             "exec chroot {root} /bin/env -i PATH=/bin HOME=/ /bin/sh -c \"$0\"").format(root=box.rootfs)
    return subprocess.run(["unshare", "--mount", "--pid", "--fork", "sh", "-c", inner, script], stdin=subprocess.DEVNULL,
                          capture_output=True, text=True, errors="replace", timeout=60, check=False)


@test
def the_same_as_natively(box: Box):
    """six sections of busybox's tools: the same output and exit status as under chroot"""
    if natively(box, "true").returncode != 0:
        raise Skip("no namespaces for the native run")
    for name, section in SECTIONS.items():
        script = f"exec 2>&1; mkdir -p /tmp/w; cd /tmp/w; {section}"
        native = natively(box, script)
        inside = box.run("run", "--bundle", box.bundle("/bin/sh", "-c", script), "tour-" + name, timeout=60)
        theirs, ours = native.stdout.splitlines(), inside.out.splitlines()
        differing = [pair for pair in zip(theirs, ours) if pair[0] != pair[1]]
        assert (native.returncode, theirs) == (inside.code, ours), (name, native.returncode, inside.code, differing[:5],
                                                                    len(theirs), len(ours))
        assert len(theirs) > 5, (name, theirs)
    assert os.listdir(box.root) == []

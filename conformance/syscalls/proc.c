/* SPDX-License-Identifier: Apache-2.0 */
/* The files of /proc that programs read. */
#include "tap.h"

#include <dirent.h>
#include <fcntl.h>
#include <pthread.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>

static char text[65536];

static const char *contents(const char *path)
{
    if (tap_read_file(path, text, sizeof text) < 0)
        snprintf(text, sizeof text, "(errno %s)", strerrorname_np(errno));
    return text;
}

/* The rest of the line that begins with this key, without leading blanks. */
static const char *value_of(const char *path, const char *key)
{
    static char value[512];
    const char *at = contents(path);
    size_t size = strlen(key);
    value[0] = '\0';
    for (; at && *at; at = strchr(at, '\n') ? strchr(at, '\n') + 1 : NULL) {
        if (strncmp(at, key, size) != 0)
            continue;
        at += size;
        at += strspn(at, " \t");
        snprintf(value, sizeof value, "%.*s", (int)strcspn(at, "\n"), at);
        break;
    }
    return value;
}

CASE(self_is_a_link_to_the_pid)
{
    char want[32];
    char got[32] = {0};
    snprintf(want, sizeof want, "%d", (int)getpid());
    EXPECT_EQ(readlink("/proc/self", got, sizeof got), strlen(want));
    EXPECT_STR(got, want);
    snprintf(want, sizeof want, "%d/task/%d", (int)getpid(), (int)syscall(SYS_gettid));
    memset(got, 0, sizeof got);
    EXPECT(readlink("/proc/thread-self", got, sizeof got) > 0);
    EXPECT_STR(got, want);
}

CASE(stat_fields)
{
    prctl(PR_SET_NAME, "odd) (name");
    int pid = 0, ppid = 0, group = 0, session = 0;
    char state = 0;
    const char *line = contents("/proc/self/stat");
    const char *end = strrchr(line, ')');
    REQUIRE(end != NULL);
    EXPECT(strstr(line, "(odd) (name)") != NULL);
    EXPECT_EQ(sscanf(line, "%d", &pid), 1);
    EXPECT_EQ(sscanf(end + 2, "%c %d %d %d", &state, &ppid, &group, &session), 4);
    EXPECT_EQ(pid, getpid());
    EXPECT_EQ(state, 'R');
    EXPECT_EQ(ppid, getppid());
    EXPECT_EQ(group, getpgrp());
    EXPECT_EQ(session, getsid(0));
    int fields = 2;
    for (const char *at = end + 1; *at; at++)
        fields += *at == ' ';
    EXPECT_EQ(fields, 52);
}

CASE(status_fields)
{
    char want[64];
    prctl(PR_SET_NAME, "proc_test");
    EXPECT_STR(value_of("/proc/self/status", "Name:"), "proc_test");
    snprintf(want, sizeof want, "%d", (int)getpid());
    EXPECT_STR(value_of("/proc/self/status", "Pid:"), want);
    EXPECT_STR(value_of("/proc/self/status", "Tgid:"), want);
    snprintf(want, sizeof want, "%d", (int)getppid());
    EXPECT_STR(value_of("/proc/self/status", "PPid:"), want);
    EXPECT_STR(value_of("/proc/self/status", "State:"), "R (running)");
    EXPECT_STR(value_of("/proc/self/status", "Uid:"), "0\t0\t0\t0");
    EXPECT_STR(value_of("/proc/self/status", "Gid:"), "0\t0\t0\t0");
    EXPECT_STR(value_of("/proc/self/status", "Threads:"), "1");
    EXPECT_STR(value_of("/proc/self/status", "TracerPid:"), "0");
    EXPECT_STR(value_of("/proc/self/status", "NoNewPrivs:"), "0");
    EXPECT_STR(value_of("/proc/self/status", "Seccomp:"), "0");
    MUST(setgid(7));
    MUST(setuid(1000));
    EXPECT_STR(value_of("/proc/self/status", "Uid:"), "1000\t1000\t1000\t1000");
    EXPECT_STR(value_of("/proc/self/status", "CapEff:"), "0000000000000000");
}

CASE(status_memory_and_masks)
{
    EXPECT(atol(value_of("/proc/self/status", "VmSize:")) > 0);
    EXPECT(atol(value_of("/proc/self/status", "VmRSS:")) > 0);
    sigset_t set;
    sigemptyset(&set);
    sigaddset(&set, SIGUSR1);
    sigprocmask(SIG_BLOCK, &set, NULL);
    raise(SIGUSR1);
    signal(SIGUSR2, SIG_IGN);
    EXPECT_STR(value_of("/proc/self/status", "SigBlk:"), "0000000000000200");
    EXPECT_STR(value_of("/proc/self/status", "SigPnd:"), "0000000000000200");
    EXPECT_EQ(strtoul(value_of("/proc/self/status", "SigIgn:"), NULL, 16) & 0x800, 0x800);
}

CASE(comm_can_be_written)
{
    prctl(PR_SET_NAME, "before");
    EXPECT_STR(contents("/proc/self/comm"), "before\n");
    int fd = MUST(open("/proc/self/comm", O_WRONLY));
    EXPECT_EQ(write(fd, "after", 5), 5);
    EXPECT_STR(contents("/proc/self/comm"), "after\n");
}

CASE(maps_lists_mappings)
{
    tap_tmpdir();
    tap_write_file("file", "x");
    char *anon = tap_pages(3);
    MUST(mprotect(anon + 4096, 4096, PROT_READ | PROT_EXEC));
    int fd = MUST(open("file", O_RDONLY));
    char *file = (char *)MUST(mmap(NULL, 4096, PROT_READ, MAP_SHARED, fd, 0));
    char want[64];
    contents("/proc/self/maps");
    snprintf(want, sizeof want, "%lx-%lx r-xp 00000000 00:00 0", (long)anon + 4096,
             (long)anon + 8192);
    EXPECT(strstr(text, want) != NULL);
    snprintf(want, sizeof want, "%lx-%lx r--s 00000000 ", (long)file, (long)file + 4096);
    const char *line = strstr(text, want);
    REQUIRE(line != NULL);
    char path[256] = {0};
    EXPECT_EQ(sscanf(line, "%*s %*s %*s %*s %*s %255s", path), 1);
    EXPECT(strstr(path, "/file") != NULL);
    EXPECT(strstr(text, "[stack]") != NULL);
    EXPECT(strstr(text, "[vdso]") != NULL);
    EXPECT(strstr(text, "[heap]") != NULL);
}

CASE(maps_are_in_order)
{
    unsigned long last = 0, start, end;
    contents("/proc/self/maps");
    for (const char *at = text; at && *at; at = strchr(at, '\n') + 1) {
        EXPECT_EQ(sscanf(at, "%lx-%lx", &start, &end), 2);
        EXPECT(start >= last && end > start);
        last = end;
    }
}

CASE(smaps_has_sizes)
{
    char *p = tap_pages(16);
    memset(p, 1, 16 * 4096);
    contents("/proc/self/smaps");
    EXPECT(strstr(text, "Size:") != NULL);
    EXPECT(strstr(text, "Rss:") != NULL);
    EXPECT(strstr(text, "Pss:") != NULL);
    EXPECT(strstr(text, "Private_Dirty:") != NULL);
}

CASE(fd_directory)
{
    int fds[2];
    MUST(pipe(fds));
    int seen = 0, total = 0;
    DIR *dir = opendir("/proc/self/fd");
    REQUIRE(dir != NULL);
    struct dirent *entry;
    while ((entry = readdir(dir))) {
        int number = atoi(entry->d_name);
        if (entry->d_name[0] == '.')
            continue;
        total++;
        seen += number == fds[0] || number == fds[1];
        EXPECT_EQ(entry->d_type, DT_LNK);
    }
    EXPECT_EQ(seen, 2);
    EXPECT(total >= 6);
    char path[64];
    struct stat st;
    snprintf(path, sizeof path, "/proc/self/fd/%d", fds[0]);
    EXPECT_EQ(lstat(path, &st), 0);
    EXPECT_EQ(st.st_mode, S_IFLNK | 0500);
    snprintf(path, sizeof path, "/proc/self/fd/%d", fds[1]);
    EXPECT_EQ(lstat(path, &st), 0);
    EXPECT_EQ(st.st_mode, S_IFLNK | 0300);
    close(fds[1]);
    EXPECT_ERRNO(lstat(path, &st), ENOENT);
}

CASE(fdinfo)
{
    tap_tmpdir();
    tap_write_file("file", "hello");
    int fd = MUST(open("file", O_RDONLY | O_CLOEXEC));
    char path[64], byte;
    EXPECT_EQ(read(fd, &byte, 1), 1);
    snprintf(path, sizeof path, "/proc/self/fdinfo/%d", fd);
    EXPECT_STR(value_of(path, "pos:"), "1");
    EXPECT_EQ(strtol(value_of(path, "flags:"), NULL, 8) & ~0100000, O_CLOEXEC);
}

CASE(links_exe_cwd_root)
{
    const char *top = tap_tmpdir();
    char got[512] = {0};
    EXPECT(readlink("/proc/self/exe", got, sizeof got - 1) > 0);
    EXPECT_STR(strrchr(got, '/'), "/proc");
    memset(got, 0, sizeof got);
    EXPECT(readlink("/proc/self/cwd", got, sizeof got - 1) > 0);
    EXPECT_STR(got, top);
    memset(got, 0, sizeof got);
    EXPECT_EQ(readlink("/proc/self/root", got, sizeof got - 1), 1);
    EXPECT_STR(got, "/");
    EXPECT_OK(open("/proc/self/exe", O_RDONLY));
}

CASE(cmdline_keeps_every_argument)
{
    CHILD(pid)
    {
        char *argv[] = {"zero", "-c", "kill -STOP $$", "", "x", NULL};
        execv("/bin/sh", argv);
    }
    EXPECT_EQ(waitpid(pid, NULL, WUNTRACED), pid);
    char path[64];
    snprintf(path, sizeof path, "/proc/%d/cmdline", (int)pid);
    EXPECT_EQ(tap_read_file(path, text, sizeof text), 25);
    EXPECT_MEM(text, "zero\0-c\0kill -STOP $$\0\0x", 25);
    kill(pid, SIGKILL);
    EXPECT_KILLED(pid, SIGKILL);
}

CASE(environ_is_the_first_environment)
{
    CHILD(pid)
    {
        char *argv[] = {"cat", "/proc/self/environ", NULL};
        char *envp[] = {"A=1", "B=two", NULL};
        tap_tmpdir();
        int fd = MUST(open("out", O_WRONLY | O_CREAT, 0644));
        dup2(fd, 1);
        execve("/bin/cat", argv, envp);
    }
    EXPECT_EXIT(pid, 0);
    const char *place = getenv("TAP_DIRECTORY");
    snprintf(text, sizeof text, "%s/conformance.%d/out", place ? place : "/tmp", (int)getpid());
    char path[64];
    snprintf(path, sizeof path, "%.60s", text);
    EXPECT_EQ(tap_read_file(path, text, sizeof text), 10);
    EXPECT_MEM(text, "A=1\0B=two", 10);
}

CASE(mounts)
{
    contents("/proc/self/mounts");
    EXPECT(strstr(text, " /proc proc ") != NULL);
    contents("/proc/mounts");
    EXPECT(strstr(text, " /proc proc ") != NULL);
    contents("/proc/self/mountinfo");
    EXPECT(strstr(text, " / /proc ") != NULL);
    EXPECT(strstr(text, " - proc ") != NULL);
}

CASE(limits_file)
{
    contents("/proc/self/limits");
    EXPECT(strncmp(text, "Limit                     Soft Limit           Hard Limit", 57) == 0);
    EXPECT(strstr(text, "\nMax open files ") != NULL);
    EXPECT(strstr(text, "\nMax stack size ") != NULL);
}

CASE(task_directory)
{
    struct stat st;
    char path[64];
    snprintf(path, sizeof path, "/proc/self/task/%d/status", (int)getpid());
    EXPECT_EQ(stat(path, &st), 0);
    EXPECT_EQ(stat("/proc/self/task", &st), 0);
    EXPECT_EQ(st.st_nlink, 3);
    EXPECT_ERRNO(stat("/proc/self/task/1234567", &st), ENOENT);
}

CASE(pids_come_and_go)
{
    char path[64];
    struct stat st;
    CHILD(pid)
    {
        for (;;)
            pause();
    }
    snprintf(path, sizeof path, "/proc/%d", (int)pid);
    EXPECT_EQ(stat(path, &st), 0);
    EXPECT_EQ(st.st_mode, S_IFDIR | 0555);
    int seen = 0;
    DIR *dir = opendir("/proc");
    struct dirent *entry;
    while ((entry = readdir(dir)))
        seen += atoi(entry->d_name) == pid;
    EXPECT_EQ(seen, 1);
    snprintf(path, sizeof path, "/proc/%d/status", (int)pid);
    int fd = MUST(open(path, O_RDONLY));
    kill(pid, SIGKILL);
    siginfo_t info;
    waitid(P_PID, (id_t)pid, &info, WEXITED | WNOWAIT);
    EXPECT_STR(value_of(path, "State:"), "Z (zombie)");
    EXPECT_KILLED(pid, SIGKILL);
    EXPECT_ERRNO(stat(path, &st), ENOENT);
    char byte;
    EXPECT_ERRNO(read(fd, &byte, 1), ESRCH);
}

CASE(another_users_process)
{
    pid_t parent = getpid();
    CHILD(pid)
    {
        MUST(setuid(1000));
        char path[64], link[64];
        snprintf(path, sizeof path, "/proc/%d/environ", (int)parent);
        EXPECT_ERRNO(open(path, O_RDONLY), EACCES);
        snprintf(path, sizeof path, "/proc/%d/exe", (int)parent);
        EXPECT_ERRNO(readlink(path, link, sizeof link), EACCES);
        snprintf(path, sizeof path, "/proc/%d/fd", (int)parent);
        EXPECT(opendir(path) == NULL);
        EXPECT_EQ(errno, EACCES);
        snprintf(path, sizeof path, "/proc/%d/status", (int)parent);
        EXPECT_OK(open(path, O_RDONLY));
        snprintf(path, sizeof path, "/proc/%d/cmdline", (int)parent);
        EXPECT_OK(open(path, O_RDONLY));
    }
    EXPECT_EXIT(pid, 0);
}

CASE(mem_file)
{
    char word[8] = "before";
    int fd = MUST(open("/proc/self/mem", O_RDWR));
    char back[8] = {0};
    EXPECT_EQ(pread(fd, back, 7, (off_t)(uintptr_t)word), 7);
    EXPECT_STR(back, "before");
    EXPECT_EQ(pwrite(fd, "after!", 7, (off_t)(uintptr_t)word), 7);
    EXPECT_STR(word, "after!");
    EXPECT_ERRNO(pread(fd, back, 7, 8), EIO);
}

CASE(system_files)
{
    EXPECT(strstr(contents("/proc/cpuinfo"), "processor\t: 0") != NULL);
    EXPECT(strstr(text, "flags\t\t: ") != NULL);
    EXPECT(strstr(text, " sse2 ") != NULL);
    EXPECT(atol(value_of("/proc/meminfo", "MemTotal:")) > 1000);
    EXPECT(strstr(text, "MemFree:") != NULL);
    EXPECT(strstr(text, "MemAvailable:") != NULL);
    double up = 0, idle = 0;
    EXPECT_EQ(sscanf(contents("/proc/uptime"), "%lf %lf", &up, &idle), 2);
    EXPECT(up >= 0);
    EXPECT(strncmp(contents("/proc/version"), "Linux version ", 14) == 0);
    double a, b, c;
    int running, total, last;
    EXPECT_EQ(sscanf(contents("/proc/loadavg"), "%lf %lf %lf %d/%d %d", &a, &b, &c, &running,
                     &total, &last), 6);
    EXPECT(strncmp(contents("/proc/stat"), "cpu  ", 5) == 0);
    EXPECT(strstr(text, "\ncpu0 ") != NULL);
    EXPECT(strstr(text, "\nbtime ") != NULL);
    EXPECT(strstr(text, "\nctxt ") != NULL);
    EXPECT(strstr(text, "\nprocesses ") != NULL);
    EXPECT(strstr(contents("/proc/filesystems"), "nodev\tproc\n") != NULL);
    EXPECT(strstr(text, "nodev\ttmpfs\n") != NULL);
}

CASE(kernel_settings)
{
    EXPECT_STR(contents("/proc/sys/kernel/ostype"), "Linux\n");
    EXPECT(strlen(contents("/proc/sys/kernel/osrelease")) > 3);
    char host[65] = {0};
    gethostname(host, 64);
    strcat(host, "\n");
    EXPECT_STR(contents("/proc/sys/kernel/hostname"), host);
    EXPECT(atoi(contents("/proc/sys/kernel/pid_max")) >= 301);
    EXPECT(atoi(contents("/proc/sys/kernel/cap_last_cap")) >= 37);
    EXPECT_EQ(strlen(contents("/proc/sys/kernel/random/uuid")), 37);
    char first[64];
    snprintf(first, sizeof first, "%.60s", contents("/proc/sys/kernel/random/boot_id"));
    EXPECT_STR(contents("/proc/sys/kernel/random/boot_id"), first);
    EXPECT(atol(contents("/proc/sys/fs/file-max")) > 0);
    EXPECT(atol(contents("/proc/sys/fs/pipe-max-size")) >= 65536);
    EXPECT(atol(contents("/proc/sys/fs/nr_open")) >= 1024);
    EXPECT(atol(contents("/proc/sys/vm/max_map_count")) > 0);
    EXPECT(atoi(contents("/proc/sys/vm/overcommit_memory")) <= 2);
    EXPECT(atoi(contents("/proc/sys/net/core/somaxconn")) > 0);
}

CASE(read_in_small_parts)
{
    contents("/proc/self/limits");
    static char parts[65536];
    size_t size = 0;
    int fd = MUST(open("/proc/self/limits", O_RDONLY));
    while (read(fd, parts + size, 1) == 1)
        size++;
    EXPECT_EQ(size, strlen(text));
    EXPECT_MEM(parts, text, size);
    EXPECT_EQ(pread(fd, parts, 10, 5), 10);
    EXPECT_MEM(parts, text + 5, 10);
    EXPECT_EQ(lseek(fd, 3, SEEK_SET), 3);
    EXPECT_EQ(read(fd, parts, 10), 10);
    EXPECT_MEM(parts, text + 3, 10);
}

CASE(no_changes_to_the_tree)
{
    EXPECT_ERRNO(mkdir("/proc/new", 0755), ENOENT);
    EXPECT_ERRNO(open("/proc/new", O_RDWR | O_CREAT, 0644), ENOENT);
    EXPECT_ERRNO(unlink("/proc/version"), EPERM);
    EXPECT_ERRNO(open("/proc/self/nothing", O_RDONLY), ENOENT);
    EXPECT_ERRNO(open("/proc/0", O_RDONLY), ENOENT);
    struct stat st;
    EXPECT_EQ(stat("/proc/version", &st), 0);
    EXPECT_EQ(st.st_mode, S_IFREG | 0444);
    EXPECT_EQ(st.st_size, 0);
}

CASE(namespaces_and_maps)
{
    char a[64] = {0};
    EXPECT(readlink("/proc/self/ns/pid", a, sizeof a - 1) > 0);
    EXPECT(strncmp(a, "pid:[", 5) == 0);
    EXPECT(readlink("/proc/self/ns/uts", a, sizeof a - 1) > 0);
    EXPECT(strncmp(a, "uts:[", 5) == 0);
    EXPECT(strstr(contents("/proc/self/uid_map"), "0") != NULL);
    EXPECT(strlen(contents("/proc/self/cgroup")) < sizeof text);
    EXPECT_EQ(atoi(contents("/proc/self/oom_score_adj")), 0);
    EXPECT(tap_read_file("/proc/self/auxv", text, sizeof text) >= 16);
    EXPECT_EQ(tap_read_file("/proc/self/auxv", text, sizeof text) % 16, 0);
}

CASE(statm_pages)
{
    long size = 0, resident = 0;
    EXPECT_EQ(sscanf(contents("/proc/self/statm"), "%ld %ld", &size, &resident), 2);
    EXPECT(size > 0 && resident > 0 && resident <= size);
}

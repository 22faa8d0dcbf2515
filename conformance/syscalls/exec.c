/* SPDX-License-Identifier: Apache-2.0 */
/* execve and execveat: images, scripts, what survives; this program is its own helper. */
#include "tap.h"

#include <elf.h>
#include <fcntl.h>
#include <linux/close_range.h>
#include <pthread.h>
#include <sys/auxv.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <time.h>

extern char **environ;

static void on_signal(int signal)
{
}

/* The exit code of a shell command run by execve, -1 if it did not exit. */
static int shell(const char *command)
{
    pid_t pid = MUST(fork());
    if (pid == 0) {
        execl("/bin/sh", "sh", "-c", command, NULL);
        _exit(127);
    }
    int status = 0;
    waitpid(pid, &status, 0);
    return WIFEXITED(status) ? WEXITSTATUS(status) : -1;
}

/* What a shell command printed. */
static const char *output_of(const char *path, char *const argv[], char *const envp[])
{
    static char text[8192];
    int fds[2];
    MUST(pipe(fds));
    pid_t pid = MUST(fork());
    if (pid == 0) {
        dup2(fds[1], 1);
        close(fds[0]);
        close(fds[1]);
        execve(path, argv, envp);
        printf("errno %s", strerrorname_np(errno));
        fflush(stdout);
        _exit(127);
    }
    close(fds[1]);
    size_t size = 0;
    ssize_t count;
    while ((count = read(fds[0], text + size, sizeof text - 1 - size)) > 0)
        size += (size_t)count;
    text[size] = '\0';
    close(fds[0]);
    waitpid(pid, NULL, 0);
    return text;
}

CASE(exit_code_comes_back)
{
    EXPECT_EQ(shell("exit 7"), 7);
    EXPECT_EQ(shell("true"), 0);
}

CASE(arguments_and_environment)
{
    char *argv[] = {"sh", "-c", "echo \"$0|$1|$2|$VAR|$#\"", "zero", "one two", "", NULL};
    char *envp[] = {"VAR=value", NULL};
    EXPECT_STR(output_of("/bin/sh", argv, envp), "zero|one two||value|2\n");
}

CASE(errors)
{
    tap_tmpdir();
    char *argv[] = {"x", NULL};
    tap_write_file("plain", "not a program");
    EXPECT_ERRNO(execve("missing", argv, environ), ENOENT);
    EXPECT_ERRNO(execve("plain", argv, environ), EACCES);
    EXPECT_ERRNO(execve("plain/x", argv, environ), ENOTDIR);
    EXPECT_ERRNO(execve(".", argv, environ), EACCES);
    MUST(chmod("plain", 0755));
    EXPECT_ERRNO(execve("plain", argv, environ), ENOEXEC);
    tap_write_file("empty", "");
    MUST(chmod("empty", 0755));
    EXPECT_ERRNO(execve("empty", argv, environ), ENOEXEC);
    EXPECT_ERRNO(execve("", argv, environ), ENOENT);
    EXPECT_ERRNO(execve((void *)8, argv, environ), EFAULT);
    EXPECT_ERRNO(syscall(SYS_execve, "/bin/sh", (void *)8, environ), EFAULT);
}

CASE(script_interpreter)
{
    tap_tmpdir();
    tap_write_file("script", "#!/bin/sh\necho \"$0|$1\"\n");
    MUST(chmod("script", 0755));
    char *argv[] = {"ignored", "arg", NULL};
    EXPECT_STR(output_of("./script", argv, environ), "./script|arg\n");
    tap_write_file("optional", "#! /bin/sh -e  \nfalse\necho no\n");
    MUST(chmod("optional", 0755));
    EXPECT_STR(output_of("./optional", argv, environ), "");
    tap_write_file("missing", "#!/missing/interpreter\n");
    MUST(chmod("missing", 0755));
    EXPECT_ERRNO(execve("./missing", argv, environ), ENOENT);
    tap_write_file("nothing", "#!\n");
    MUST(chmod("nothing", 0755));
    EXPECT_ERRNO(execve("./nothing", argv, environ), ENOEXEC);
}

CASE(script_of_scripts)
{
    tap_tmpdir();
    char name[16];
    char text[64];
    tap_write_file("s0", "#!/bin/sh\necho \"$0\"\n");
    MUST(chmod("s0", 0755));
    for (int i = 1; i <= 6; i++) {
        snprintf(name, sizeof name, "s%d", i);
        snprintf(text, sizeof text, "#!./s%d\n", i - 1);
        tap_write_file(name, text);
        MUST(chmod(name, 0755));
    }
    char *argv[] = {"x", NULL};
    EXPECT_STR(output_of("./s3", argv, environ), "./s0\n");
    EXPECT_ERRNO(execve("./s6", argv, environ), ELOOP);
}

CASE(text_file_busy)
{
    tap_tmpdir();
    EXPECT_EQ(shell("cp /bin/true ./prog"), 0);
    int fd = MUST(open("prog", O_WRONLY));
    char *argv[] = {"prog", NULL};
    EXPECT_ERRNO(execve("./prog", argv, environ), ETXTBSY);
    close(fd);
    EXPECT_STR(output_of("./prog", argv, environ), "");
}

CASE(argument_limits)
{
    static char big[131072 + 1];
    memset(big, 'a', sizeof big - 1);
    char *argv[] = {"true", big, NULL};
    EXPECT_ERRNO(execve("/bin/true", argv, environ), E2BIG);
    big[131072 - 1] = '\0';
    EXPECT_STR(output_of("/bin/true", argv, environ), "");
    static char *many[70];
    for (int i = 0; i < 69; i++)
        many[i] = big;
    EXPECT_ERRNO(execve("/bin/true", many, environ), E2BIG);
}

CASE(descriptors_over_exec)
{
    int keep = MUST(open("/dev/null", O_RDONLY));
    int gone = MUST(open("/dev/null", O_RDONLY | O_CLOEXEC));
    REQUIRE(keep < 10 && gone < 10);
    char command[64];
    snprintf(command, sizeof command, "test -e /proc/self/fd/%d", keep);
    EXPECT_EQ(shell(command), 0);
    snprintf(command, sizeof command, "test -e /proc/self/fd/%d", gone);
    EXPECT_EQ(shell(command), 1);
}

CASE(signals_over_exec)
{
    sigset_t set;
    sigemptyset(&set);
    sigaddset(&set, SIGUSR2);
    signal(SIGUSR1, SIG_IGN);
    tap_handle(SIGTERM, on_signal, 0);
    sigprocmask(SIG_BLOCK, &set, NULL);
    char *argv[] = {"grep", "-E", "^Sig(Blk|Ign|Cgt)", "/proc/self/status", NULL};
    const char *text = output_of("/bin/grep", argv, environ);
    unsigned long blocked = 0, ignored = 0, caught = 0;
    const char *at = strstr(text, "SigBlk:");
    EXPECT(at && sscanf(at, "SigBlk: %lx", &blocked) == 1);
    at = strstr(text, "SigIgn:");
    EXPECT(at && sscanf(at, "SigIgn: %lx", &ignored) == 1);
    at = strstr(text, "SigCgt:");
    EXPECT(at && sscanf(at, "SigCgt: %lx", &caught) == 1);
    EXPECT_EQ(blocked, 1ul << (SIGUSR2 - 1));
    EXPECT(ignored & (1ul << (SIGUSR1 - 1)));
    EXPECT_EQ(caught & (1ul << (SIGTERM - 1)), 0);
}

CASE(pid_and_current_directory_stay)
{
    const char *top = tap_tmpdir();
    char *argv[] = {"sh", "-c", "pwd -P; umask", NULL};
    umask(0174);
    char want[128];
    snprintf(want, sizeof want, "%s\n0174\n", top);
    EXPECT_STR(output_of("/bin/sh", argv, environ), want);
    int fds[2];
    MUST(pipe(fds));
    pid_t pid = MUST(fork());
    if (pid == 0) {
        dup2(fds[1], 1);
        execl("/bin/sh", "sh", "-c", "echo $$", NULL);
        _exit(127);
    }
    char text[32] = {0};
    EXPECT(read(fds[0], text, sizeof text - 1) > 0);
    EXPECT_EQ(atoi(text), pid);
    EXPECT_EXIT(pid, 0);
}

CASE(name_of_the_process)
{
    tap_tmpdir();
    MUST(symlink("/bin/cat", "a_long_name_for_a_program"));
    char *argv[] = {"zero", "/proc/self/comm", NULL};
    EXPECT_STR(output_of("./a_long_name_for_a_program", argv, environ), "a_long_name_for\n");
    char *cmdline[] = {"zero", "/proc/self/cmdline", NULL};
    EXPECT_MEM(output_of("/bin/cat", cmdline, environ), "zero\0/proc/self/cmdline", 24);
}

CASE(execveat_forms)
{
    int dir = MUST(open("/bin", O_RDONLY | O_DIRECTORY));
    char *argv[] = {"sh", "-c", "exit 3", NULL};
    CHILD(a)
    {
        syscall(SYS_execveat, dir, "sh", argv, environ, 0);
    }
    EXPECT_EXIT(a, 3);
    int fd = MUST(open("/bin/sh", O_PATH | O_CLOEXEC));
    CHILD(b)
    {
        syscall(SYS_execveat, fd, "", argv, environ, AT_EMPTY_PATH);
    }
    EXPECT_EXIT(b, 3);
    EXPECT_ERRNO(syscall(SYS_execveat, fd, "", argv, environ, 0), ENOENT);
    EXPECT_ERRNO(syscall(SYS_execveat, 999, "sh", argv, environ, 0), EBADF);
    EXPECT_ERRNO(syscall(SYS_execveat, dir, "sh", argv, environ, 0x4), EINVAL);
    tap_tmpdir();
    MUST(symlink("/bin/sh", "link"));
    EXPECT_ERRNO(syscall(SYS_execveat, AT_FDCWD, "link", argv, environ, AT_SYMLINK_NOFOLLOW),
                 ELOOP);
}

CASE(from_a_memfd)
{
    int fd = MUST(memfd_create("prog", MFD_CLOEXEC));
    int from = MUST(open("/bin/true", O_RDONLY));
    static char data[1 << 16];
    ssize_t count;
    while ((count = read(from, data, sizeof data)) > 0)
        EXPECT_EQ(write(fd, data, (size_t)count), count);
    CHILD(pid)
    {
        /* A writable description keeps the text busy. */
        char path[64];
        snprintf(path, sizeof path, "/proc/self/fd/%d", fd);
        int reader = MUST(open(path, O_RDONLY | O_CLOEXEC));
        close(fd);
        char *argv[] = {"true", NULL};
        syscall(SYS_execveat, reader, "", argv, environ, AT_EMPTY_PATH);
        _exit(errno);
    }
    close(fd);
    int status = 0;
    EXPECT_EQ(waitpid(pid, &status, 0), pid);
    EXPECT(WIFEXITED(status));
    EXPECT(WEXITSTATUS(status) == 0 || WEXITSTATUS(status) == ETXTBSY);
}

CASE(not_executable_for_a_user)
{
    tap_tmpdir();
    EXPECT_EQ(shell("cp /bin/true prog; chmod 700 prog"), 0);
    CHILD(pid)
    {
        MUST(setuid(1000));
        char *argv[] = {"prog", NULL};
        EXPECT_ERRNO(execve("./prog", argv, environ), EACCES);
    }
    EXPECT_EXIT(pid, 0);
}

CASE(auxiliary_vector)
{
    EXPECT_EQ(getauxval(AT_PAGESZ), 4096);
    EXPECT_EQ(getauxval(AT_CLKTCK), 100);
    EXPECT_EQ(getauxval(AT_UID), 0);
    EXPECT_EQ(getauxval(AT_SECURE), 0);
    EXPECT(getauxval(AT_PHDR) != 0);
    EXPECT_EQ(getauxval(AT_PHENT), sizeof(Elf64_Phdr));
    EXPECT(getauxval(AT_RANDOM) != 0);
    EXPECT(getauxval(AT_ENTRY) != 0);
    EXPECT(getauxval(AT_EXECFN) != 0);
    const Elf64_Ehdr *vdso = (const void *)getauxval(AT_SYSINFO_EHDR);
    REQUIRE(vdso != NULL);
    EXPECT_MEM(vdso->e_ident, ELFMAG, SELFMAG);
}

CASE(set_user_id_program)
{
    tap_tmpdir();
    EXPECT_EQ(shell("cp /usr/bin/id prog; chown 1234:1235 prog; chmod 6755 prog"), 0);
    char *argv[] = {"id", "-u", NULL};
    EXPECT_STR(output_of("./prog", argv, environ), "1234\n");
    char *group[] = {"id", "-g", NULL};
    EXPECT_STR(output_of("./prog", group, environ), "1235\n");
    char *real[] = {"id", "-ru", NULL};
    EXPECT_STR(output_of("./prog", real, environ), "0\n");
    CHILD(pid)
    {
        MUST(prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0));
        EXPECT_STR(output_of("./prog", argv, environ), "0\n");
    }
    EXPECT_EXIT(pid, 0);
}

static void *exec_from_thread(void *arg)
{
    execl("/bin/sh", "sh", "-c", "exit 8", NULL);
    return NULL;
}

CASE(from_another_thread)
{
    CHILD(pid)
    {
        pthread_t thread;
        pthread_create(&thread, NULL, exec_from_thread, NULL);
        for (;;)
            pause();
    }
    EXPECT_EXIT(pid, 8);
}

static void *spin(void *arg)
{
    for (;;)
        pause();
    return NULL;
}

CASE(ends_the_other_threads)
{
    CHILD(pid)
    {
        pthread_t thread;
        for (int i = 0; i < 5; i++)
            pthread_create(&thread, NULL, spin, NULL);
        execl("/bin/sh", "sh", "-c", "exit $(ls /proc/$$/task | wc -l)", NULL);
    }
    EXPECT_EXIT(pid, 1);
}

CASE(empty_argument_list)
{
    tap_tmpdir();
    tap_write_file("script", "#!/bin/sh\nexit $#\n");
    MUST(chmod("script", 0755));
    CHILD(pid)
    {
        char *none[] = {NULL};
        execve("./script", none, environ);
        _exit(99);
    }
    EXPECT_EXIT(pid, 0);
}

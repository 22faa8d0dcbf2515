/* SPDX-License-Identifier: Apache-2.0 */
/* Library functions that are small programs of system calls themselves. */
#include "tap.h"

#include <dirent.h>
#include <fcntl.h>
#include <ftw.h>
#include <glob.h>
#include <limits.h>
#include <spawn.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

extern char **environ;

CASE(system_and_popen)
{
    EXPECT_EQ(WEXITSTATUS(system("exit 3")), 3);
    EXPECT_EQ(system(NULL) != 0, 1);
    char text[64] = {0};
    FILE *pipe = popen("echo from the child", "r");
    REQUIRE(pipe != NULL);
    EXPECT(fgets(text, sizeof text, pipe) != NULL);
    EXPECT_STR(text, "from the child\n");
    EXPECT_EQ(pclose(pipe), 0);
    pipe = popen("read line; test \"$line\" = hello", "w");
    fputs("hello\n", pipe);
    EXPECT_EQ(pclose(pipe), 0);
}

CASE(posix_spawn_with_actions)
{
    tap_tmpdir();
    posix_spawn_file_actions_t actions;
    posix_spawnattr_t attr;
    posix_spawn_file_actions_init(&actions);
    posix_spawn_file_actions_addopen(&actions, 1, "out", O_WRONLY | O_CREAT, 0644);
    posix_spawnattr_init(&attr);
    posix_spawnattr_setflags(&attr, POSIX_SPAWN_SETPGROUP);
    char *argv[] = {"echo", "spawned", NULL};
    pid_t pid = 0;
    EXPECT_EQ(posix_spawnp(&pid, "echo", &actions, &attr, argv, environ), 0);
    EXPECT_EXIT(pid, 0);
    char text[32] = {0};
    EXPECT_EQ(tap_read_file("out", text, sizeof text), 8);
    EXPECT_STR(text, "spawned\n");
    EXPECT_EQ(posix_spawn(&pid, "/missing", NULL, NULL, argv, environ), ENOENT);
}

CASE(temporary_files)
{
    tap_tmpdir();
    char name[] = "fileXXXXXX";
    char dir[] = "dirXXXXXX";
    struct stat st;
    int fd = (int)MUST(mkstemp(name));
    EXPECT_EQ(fstat(fd, &st), 0);
    EXPECT_EQ(st.st_mode & 0777, 0600);
    EXPECT(mkdtemp(dir) != NULL);
    EXPECT_EQ(stat(dir, &st), 0);
    EXPECT_EQ(st.st_mode & 0777, 0700);
    FILE *file = tmpfile();
    REQUIRE(file != NULL);
    EXPECT_EQ(fprintf(file, "%d", 42), 2);
    rewind(file);
    int value = 0;
    EXPECT_EQ(fscanf(file, "%d", &value), 1);
    EXPECT_EQ(value, 42);
}

CASE(buffered_files)
{
    tap_tmpdir();
    FILE *file = fopen("file", "w+x");
    REQUIRE(file != NULL);
    for (int i = 0; i < 5000; i++)
        fprintf(file, "%d\n", i);
    EXPECT_EQ(fflush(file), 0);
    struct stat st;
    EXPECT_EQ(stat("file", &st), 0);
    EXPECT_EQ(st.st_size, 23890);
    EXPECT_EQ(fseek(file, -5, SEEK_END), 0);
    char text[16] = {0};
    EXPECT(fgets(text, sizeof text, file) != NULL);
    EXPECT_STR(text, "4999\n");
    EXPECT_EQ(fclose(file), 0);
    EXPECT(fopen("file", "wx") == NULL);
    EXPECT_EQ(errno, EEXIST);
}

static int visited;

static int visit(const char *path, const struct stat *st, int kind, struct FTW *where)
{
    visited++;
    return kind == FTW_DP ? rmdir(path) : unlink(path);
}

CASE(trees_and_patterns)
{
    tap_tmpdir();
    MUST(mkdir("tree", 0755));
    MUST(mkdir("tree/sub", 0755));
    tap_write_file("tree/a.txt", "");
    tap_write_file("tree/b.txt", "");
    tap_write_file("tree/sub/c.txt", "");
    MUST(symlink("a.txt", "tree/link"));
    glob_t found;
    EXPECT_EQ(glob("tree/*.txt", 0, NULL, &found), 0);
    EXPECT_EQ(found.gl_pathc, 2);
    EXPECT_STR(found.gl_pathv[1], "tree/b.txt");
    char path[PATH_MAX];
    EXPECT(realpath("tree/sub/../link", path) != NULL);
    EXPECT_STR(strrchr(path, '/'), "/a.txt");
    EXPECT_EQ(nftw("tree", visit, 5, FTW_DEPTH | FTW_PHYS), 0);
    EXPECT_EQ(visited, 6);
    EXPECT_ERRNO(access("tree", F_OK), ENOENT);
}

static int by_name(const struct dirent **a, const struct dirent **b)
{
    return strcmp((*a)->d_name, (*b)->d_name);
}

CASE(directory_streams)
{
    tap_tmpdir();
    char name[8];
    for (int i = 0; i < 40; i++) {
        snprintf(name, sizeof name, "f%02d", i);
        tap_write_file(name, "");
    }
    struct dirent **names;
    EXPECT_EQ(scandir(".", &names, NULL, by_name), 42);
    EXPECT_STR(names[2]->d_name, "f00");
    EXPECT_STR(names[41]->d_name, "f39");
    DIR *dir = opendir(".");
    for (int i = 0; i < 10; i++)
        EXPECT(readdir(dir) != NULL);
    long at = telldir(dir);
    struct dirent *entry = readdir(dir);
    REQUIRE(entry != NULL);
    char first[256];
    snprintf(first, sizeof first, "%s", entry->d_name);
    EXPECT(readdir(dir) != NULL);
    seekdir(dir, at);
    entry = readdir(dir);
    REQUIRE(entry != NULL);
    EXPECT_STR(entry->d_name, first);
}

CASE(removal_while_reading)
{
    tap_tmpdir();
    char name[8];
    for (int i = 0; i < 200; i++) {
        snprintf(name, sizeof name, "f%03d", i);
        tap_write_file(name, "");
    }
    int removed = 0;
    DIR *dir = opendir(".");
    struct dirent *entry;
    while ((entry = readdir(dir)))
        removed += entry->d_name[0] == 'f' && unlink(entry->d_name) == 0;
    EXPECT_EQ(removed, 200);
    rewinddir(dir);
    int left = 0;
    while ((entry = readdir(dir)))
        left++;
    EXPECT_EQ(left, 2);
}

CASE(system_parameters)
{
    EXPECT_EQ(sysconf(_SC_PAGESIZE), 4096);
    EXPECT_EQ(sysconf(_SC_CLK_TCK), 100);
    EXPECT(sysconf(_SC_NPROCESSORS_ONLN) >= 1);
    EXPECT(sysconf(_SC_PHYS_PAGES) > 0);
    EXPECT(sysconf(_SC_OPEN_MAX) > 0);
    EXPECT(sysconf(_SC_ARG_MAX) >= 131072);
    EXPECT_EQ(pathconf("/tmp", _PC_NAME_MAX), 255);
    struct statvfs st;
    EXPECT_EQ(statvfs("/proc", &st), 0);
    double loads[3];
    EXPECT_EQ(getloadavg(loads, 3), 3);
    EXPECT_EQ(getpagesize(), 4096);
    EXPECT(getdtablesize() > 0);
}

CASE(allocation)
{
    char *blocks[64];
    for (int i = 0; i < 64; i++) {
        blocks[i] = malloc((size_t)1 << (i % 22));
        REQUIRE(blocks[i] != NULL);
        memset(blocks[i], i, (size_t)1 << (i % 22));
    }
    for (int i = 0; i < 64; i++) {
        EXPECT_EQ(blocks[i][0], i);
        blocks[i] = realloc(blocks[i], ((size_t)1 << (i % 22)) * 2);
        EXPECT_EQ(blocks[i][((size_t)1 << (i % 22)) - 1], i);
        free(blocks[i]);
    }
    char *large = malloc((size_t)200 << 20);
    REQUIRE(large != NULL);
    large[0] = large[((size_t)200 << 20) - 1] = 1;
    free(large);
}

CASE(daemon_detaches)
{
    int fds[2];
    MUST(pipe(fds));
    CHILD(pid)
    {
        if (daemon(0, 0) < 0)
            _exit(1);
        char text[64];
        char cwd[16] = {0};
        getcwd(cwd, sizeof cwd);
        int size = snprintf(text, sizeof text, "%s %d", cwd, getsid(0) != getpid());
        write(fds[1], text, (size_t)size);
        _exit(0);
    }
    EXPECT_EXIT(pid, 0);
    close(fds[1]);
    char text[64] = {0};
    EXPECT(read(fds[0], text, sizeof text - 1) > 0);
    EXPECT(strncmp(text, "/ ", 2) == 0);
}

static int exit_order[4];
static int exit_count;

static void at_exit_a(void)
{
    exit_order[exit_count++] = 'a';
}

static void at_exit_b(void)
{
    exit_order[exit_count++] = 'b';
    if (exit_order[0] == 'b')
        _exit(7); /* the last registered runs first */
}

CASE(exit_handlers)
{
    CHILD(pid)
    {
        atexit(at_exit_a);
        atexit(at_exit_b);
        exit(1);
    }
    EXPECT_EXIT(pid, 7);
}

CASE(abort_and_assert)
{
    struct rlimit none = {0, 0};
    setrlimit(RLIMIT_CORE, &none);
    CHILD(pid)
    {
        signal(SIGABRT, SIG_IGN);
        abort(); /* even when ignored */
    }
    EXPECT_KILLED(pid, SIGABRT);
}

CASE(time_of_day)
{
    time_t zero = 0;
    struct tm parts;
    EXPECT(gmtime_r(&zero, &parts) != NULL);
    EXPECT_EQ(parts.tm_year, 70);
    EXPECT(time(NULL) > 1000000000);
    struct timespec now;
    EXPECT_EQ(timespec_get(&now, TIME_UTC), TIME_UTC);
    EXPECT(now.tv_sec - time(NULL) <= 1);
}

CASE(lockf_and_advice)
{
    tap_tmpdir();
    int fd = (int)MUST(open("file", O_RDWR | O_CREAT, 0644));
    EXPECT_EQ(posix_fallocate(fd, 0, 10000), 0);
    struct stat st;
    EXPECT_EQ(fstat(fd, &st), 0);
    EXPECT_EQ(st.st_size, 10000);
    EXPECT_EQ(lockf(fd, F_LOCK, 100), 0);
    CHILD(pid)
    {
        EXPECT_ERRNO(lockf(fd, F_TLOCK, 100), EAGAIN);
        EXPECT_ERRNO(lockf(fd, F_TEST, 100), EACCES);
    }
    EXPECT_EXIT(pid, 0);
    EXPECT_EQ(lockf(fd, F_ULOCK, 100), 0);
}

/* SPDX-License-Identifier: Apache-2.0 */
/* Processes, pid files, hooks, inner flags, the startup pipe, filters, program checks, cgroups in
 * records. */
#include "runtime/boot_flags.h"
#include "runtime/cgroup.h"
#include "runtime/filter.h"
#include "runtime/hooks.h"
#include "runtime/log.h"
#include "runtime/process.h"
#include "runtime/program.h"
#include "runtime/spawn.h"

#include <CUnit/Basic.h>
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

static void test_a_pid_is_believed_only_with_its_start_time(void)
{
    pid_t child = fork();
    if (child == 0) {
        pause();
        _exit(0);
    }
    i64 start = process_start(child);
    CU_ASSERT(start > 0);
    CU_ASSERT(process_is_alive(child, start));
    CU_ASSERT(process_is_alive(child, 0));
    CU_ASSERT(!process_is_alive(child, start + 1));
    CU_ASSERT_EQUAL(process_open(child, start + 1), -1);
    int pidfd = process_open(child, start);
    CU_ASSERT_FATAL(pidfd >= 0);
    int status = 0;
    CU_ASSERT(!process_wait_gone(pidfd, 0));
    CU_ASSERT(!process_reap(pidfd, &status));
    CU_ASSERT_EQUAL(process_signal(pidfd, SIGKILL), 0);
    CU_ASSERT(process_wait_gone(pidfd, 10000));
    CU_ASSERT(!process_is_alive(child, start)); /* a zombie is not alive */
    CU_ASSERT(process_reap(pidfd, &status));
    CU_ASSERT(WIFSIGNALED(status) && WTERMSIG(status) == SIGKILL);
    CU_ASSERT_EQUAL(process_signal(pidfd, SIGKILL), -ESRCH);
    close(pidfd);
    CU_ASSERT_EQUAL(process_start(0), 0);
    CU_ASSERT_EQUAL(process_open(-5, 0), -1);
}

static void test_a_pid_file_holds_the_number_alone(void)
{
    struct error err;
    char text[32] = "";
    unlink("/tmp/picket-test.pid");
    CU_ASSERT_EQUAL(pid_file_write("/tmp/picket-test.pid", 1234, &err), 0);
    int fd = open("/tmp/picket-test.pid", O_RDONLY);
    CU_ASSERT_EQUAL(read(fd, text, sizeof text - 1), 4);
    CU_ASSERT_STRING_EQUAL(text, "1234");
    close(fd);
    unlink("/tmp/picket-test.pid");
    CU_ASSERT_EQUAL(pid_file_write("/no/such/dir/pid", 1, &err), -1);
}

static int hook(const char *path, const char *arg, i64 *timeout, struct error *err)
{
    char *args[] = {(char *)(uintptr_t) "hook", (char *)(uintptr_t) "-c", (char *)(uintptr_t)arg};
    struct oci_hook one = {.path = (char *)(uintptr_t)path, .timeout = timeout};
    one.args.items = args;
    one.args.count = ARRAY_COUNT(args);
    struct oci_state state = {.id = "c", .status = "creating", .pid = 5, .bundle = "/b"};
    return hooks_run(&one, 1, &state, err);
}

static void test_hooks(void)
{
    struct error err;
    i64 second = 1;
    CU_ASSERT_EQUAL(hook("/bin/sh", "exit 0", NULL, &err), 0);
    CU_ASSERT_EQUAL(hook("/bin/sh",
                         "read x; test \"$x\" = '{\"ociVersion\":\"" OCI_VERSION
                         "\",\"id\":\"c\",\"status\":\"creating\",\"pid\":5,\"bundle\":\"/b\"}'",
                         NULL, &err),
                    0);
    CU_ASSERT_EQUAL(hook("/bin/sh", "echo why >&2; exit 3", NULL, &err), -1);
    CU_ASSERT_STRING_EQUAL(err.text, "failure executing hook \"/bin/sh\", err: exit status 3: why");
    CU_ASSERT_EQUAL(hook("/bin/sh", "kill -9 $$", NULL, &err), -1);
    CU_ASSERT(strstr(err.text, "err: signal: Killed") != NULL);
    CU_ASSERT_EQUAL(hook("sh", "exit 0", NULL, &err), -1);
    CU_ASSERT(strstr(err.text, "not absolute") != NULL);
    CU_ASSERT_EQUAL(hook("/no/such/hook", "", NULL, &err), -1);
    CU_ASSERT(strstr(err.text, "no such file or directory") != NULL);
    struct timespec before, after;
    clock_gettime(CLOCK_MONOTONIC, &before);
    CU_ASSERT_EQUAL(hook("/bin/sh", "sleep 60", &second, &err), -1);
    clock_gettime(CLOCK_MONOTONIC, &after);
    CU_ASSERT_STRING_EQUAL(err.text, "timeout executing hook \"/bin/sh\"");
    CU_ASSERT(after.tv_sec - before.tv_sec < 30);
    /* Much output neither blocks nor counts. */
    CU_ASSERT_EQUAL(hook("/bin/sh",
                         "i=0; while [ $i -lt 20000 ]; do echo 0123456789; i=$((i+1)); done", NULL,
                         &err),
                    0);
}

static void test_inner_flags_are_strict(void)
{
    const char *text = NULL, *id = NULL;
    int fd = -1;
    u64 number = 0;
    bool is_on = false;
    struct boot_fds fds = {.count = 0};
    const struct boot_flag rows[] = {{"text", BOOT_TEXT, &text},
                                     {"fd", BOOT_FD, &fd},
                                     {"number", BOOT_U64, &number},
                                     {"on", BOOT_BOOL, &is_on},
                                     {"fds", BOOT_FDS, &fds}};
    struct error err;
    char *good[] = {"boot",      "--text=a=b", "--fd=5", "--number=18446744073709551615",
                    "--on=true", "--fds=3,4",  "id"};
    CU_ASSERT_EQUAL(boot_flags_parse(rows, ARRAY_COUNT(rows), 7, good, &id, &err), 0);
    CU_ASSERT_STRING_EQUAL(text, "a=b");
    CU_ASSERT(fd == 5 && number == UINT64_MAX && is_on && fds.count == 2 && fds.fds[1] == 4);
    CU_ASSERT_STRING_EQUAL(id, "id");
    static const char *const bad[] = {"--fd=x",     "--fd=-1",  "--fd=",
                                      "--fds=3,,4", "--on=yes", "--none=1",
                                      "text=a",     "--text",   "--number=99999999999999999999"};
    for (size_t i = 0; i < ARRAY_COUNT(bad); i++) {
        char *argv[] = {"boot", (char *)(uintptr_t)bad[i], "id"};
        CU_ASSERT_EQUAL(boot_flags_parse(rows, ARRAY_COUNT(rows), 3, argv, &id, &err), -1);
    }
    CU_ASSERT(boot_fds_parse("", &fds) && fds.count == 0);
}

static void test_the_startup_pipe_tells_who_failed(void)
{
    struct error err;
    int pipes[2];
    CU_ASSERT_FATAL(pipe(pipes) == 0);
    startup_ready(pipes[1]);
    startup_ready(pipes[1]);
    CU_ASSERT_EQUAL(startup_wait(pipes[0], 2, &err), 0);
    startup_ready(pipes[1]);
    startup_fail(pipes[1], "it broke");
    CU_ASSERT_EQUAL(startup_wait(pipes[0], 2, &err), -1);
    CU_ASSERT_STRING_EQUAL(err.text, "it broke");
    startup_ready(pipes[1]);
    close(pipes[1]);
    CU_ASSERT_EQUAL(startup_wait(pipes[0], 2, &err), -1);
    CU_ASSERT(strstr(err.text, "before it was ready") != NULL);
    close(pipes[0]);
}

/* What became of a child that installs LISTS and then does DO. */
static int confined(const struct filter_list *lists, u32 count, void (*act)(void))
{
    fflush(NULL);
    pid_t child = fork();
    if (child == 0) {
        struct error err;
        prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0);
        if (filter_install(lists, count, &err) < 0)
            syscall(SYS_exit_group, 99);
        act();
        syscall(SYS_exit_group, 0);
    }
    int status;
    waitpid(child, &status, 0);
    return WIFSIGNALED(status) ? 1000 + WTERMSIG(status) : WEXITSTATUS(status);
}

static void do_nothing(void)
{
}
static void do_socket(void)
{
    syscall(SYS_socket, 2, 1, 0);
}
static void do_execve(void)
{
    syscall(SYS_execve, "/bin/true", NULL, NULL);
}
static void do_open(void)
{
    if (syscall(SYS_openat, AT_FDCWD, "/etc/passwd", O_RDONLY) != -1 || errno != ENOENT)
        syscall(SYS_exit_group, 1);
}
static void do_fork(void)
{
    syscall(SYS_clone, SIGCHLD, 0, 0, 0, 0);
}
static void do_mmap_exec(void)
{
    syscall(SYS_mmap, 0, 4096, 4 /* PROT_EXEC */, 0x22, -1, 0);
}
static void do_ptrace(void)
{
    syscall(SYS_ptrace, 0, 0, 0, 0);
}
static void do_kill(void)
{
    syscall(SYS_kill, 999999999, SIGTERM);
}
static void do_mkdir(void)
{
    syscall(SYS_mkdirat, -5, "x", 0700);
}

static void test_filters_allow_what_they_list_and_kill_for_the_rest(void)
{
    struct filter_list sandbox[] = {filter_base(), filter_sandbox(), filter_platform("ptrace")};
    struct filter_list gofer[] = {filter_base(), filter_gofer()};
    CU_ASSERT_EQUAL(confined(sandbox, 3, do_nothing), 0);
    CU_ASSERT_EQUAL(confined(sandbox, 3, do_open), 0); /* fails, and that is all */
    CU_ASSERT_EQUAL(confined(sandbox, 3, do_ptrace), 0);
    CU_ASSERT_EQUAL(confined(sandbox, 2, do_ptrace), 1000 + SIGSYS);
    CU_ASSERT_EQUAL(confined(sandbox, 3, do_socket), 1000 + SIGSYS);
    CU_ASSERT_EQUAL(confined(sandbox, 3, do_execve), 1000 + SIGSYS);
    CU_ASSERT_EQUAL(confined(sandbox, 3, do_fork), 1000 + SIGSYS);
    CU_ASSERT_EQUAL(confined(sandbox, 3, do_mmap_exec), 1000 + SIGSYS);
    CU_ASSERT_EQUAL(confined(sandbox, 3, do_kill), 1000 + SIGSYS);
    CU_ASSERT_EQUAL(confined(sandbox, 3, do_mkdir), 1000 + SIGSYS);
    CU_ASSERT_EQUAL(confined(gofer, 2, do_mkdir), 0);
    CU_ASSERT_EQUAL(confined(gofer, 2, do_socket), 1000 + SIGSYS);
    CU_ASSERT_EQUAL(confined(gofer, 2, do_execve), 1000 + SIGSYS);
    CU_ASSERT_EQUAL(confined(gofer, 2, do_fork), 1000 + SIGSYS);
}

static int check_program(const char *root, const char *name, const char *mount, struct error *err)
{
    char text[1024];
    AUTO_OCI_SPEC struct oci_spec *spec = NULL;
    snprintf(text, sizeof text,
             "{\"ociVersion\":\"1\",\"process\":{\"args\":[\"%s\"],\"cwd\":\"/"
             "sub\",\"env\":[\"PATH=/none:/bin\"]},"
             "\"root\":{\"path\":\"%s\"},\"mounts\":[{\"destination\":\"%s\",\"type\":\"tmpfs\","
             "\"source\":\"t\"}]}",
             name, root, mount);
    CU_ASSERT_FATAL(oci_spec_parse(text, strlen(text), &spec, err) == 0);
    return program_check(spec, err);
}

static void test_missing_programs_are_told_only_when_certain(void)
{
    char root[] = "/tmp/picket-program-XXXXXX", path[128];
    struct error err;
    CU_ASSERT_FATAL(mkdtemp(root) != NULL);
    static const char *const dirs[] = {"bin", "sub", "opt"};
    for (size_t i = 0; i < ARRAY_COUNT(dirs); i++) {
        snprintf(path, sizeof path, "%s/%s", root, dirs[i]);
        mkdir(path, 0755);
    }
    snprintf(path, sizeof path, "%s/bin/tool", root);
    close(open(path, O_CREAT | O_WRONLY, 0755));
    snprintf(path, sizeof path, "%s/bin/text", root);
    close(open(path, O_CREAT | O_WRONLY, 0644));
    snprintf(path, sizeof path, "%s/sub/link", root);
    CU_ASSERT_EQUAL(symlink("/bin/tool", path), 0); /* of the root, not of the host */
    CU_ASSERT_EQUAL(check_program(root, "/bin/tool", "/proc", &err), 0);
    CU_ASSERT_EQUAL(check_program(root, "tool", "/proc", &err), 0);
    CU_ASSERT_EQUAL(check_program(root, "./link", "/proc", &err), 0);
    CU_ASSERT_EQUAL(check_program(root, "/../../bin/tool", "/proc", &err), 0);
    CU_ASSERT_EQUAL(check_program(root, "/bin/sh", "/proc", &err), -1);
    CU_ASSERT_STRING_EQUAL(err.text, "exec: \"/bin/sh\": stat /bin/sh: no such file or directory");
    CU_ASSERT_EQUAL(check_program(root, "sh", "/dev/shm", &err), -1);
    CU_ASSERT_STRING_EQUAL(err.text, "exec: \"sh\": executable file not found in $PATH");
    CU_ASSERT_EQUAL(check_program(root, "/bin/text", "/proc", &err), -1);
    CU_ASSERT_STRING_EQUAL(err.text, "exec: \"/bin/text\": permission denied");
    CU_ASSERT_EQUAL(check_program(root, "/opt", "/proc", &err), -1);
    CU_ASSERT_EQUAL(check_program(root, "/opt/tool", "/opt", &err), 0); /* a mount may have it */
    snprintf(path, sizeof path, "rm -rf %s", root);
    CU_ASSERT_EQUAL(system(path), 0);
}

static void test_cgroups_survive_the_record(void)
{
    AUTO_POOL struct pool pool = {0};
    pool_init(&pool, NULL);
    struct cgroup cgroup = {.version = 1, .name = "/w1", .dir_count = 2}, read;
    cgroup.dirs[0] = (struct cgroup_dir){
        .controllers = "cpu", .path = "/sys/fs/cgroup/cpu/w1", .is_own = true};
    cgroup.dirs[1] = (struct cgroup_dir){.controllers = "pids", .path = "/sys/fs/cgroup/pids/w1"};
    cgroup_decode(cgroup_encode(&cgroup, &pool), &pool, &read);
    CU_ASSERT(read.version == 1 && read.dir_count == 2 && read.dirs[0].is_own &&
              !read.dirs[1].is_own);
    CU_ASSERT_STRING_EQUAL(read.dirs[1].path, "/sys/fs/cgroup/pids/w1");
    CU_ASSERT_STRING_EQUAL(read.name, "/w1");
    struct json_text none = cgroup_encode(&(struct cgroup){0}, &pool);
    CU_ASSERT_STRING_EQUAL(none.bytes, "{\"cgroupunknown\":null}");
    cgroup_decode(none, &pool, &read);
    CU_ASSERT_EQUAL(read.version, 0);
    CU_ASSERT_EQUAL(cgroup_cpu_ns(&read), -1);
    static const char other[] =
        "{\"cgroupv1\":{\"name\":\"/x\",\"parents\":{},\"own\":{\"cpu\":true}}}"; /* gVisor's */
    cgroup_decode((struct json_text){other, sizeof other - 1}, &pool, &read);
    CU_ASSERT_EQUAL(read.dir_count, 0);
}

static void test_no_cgroup_is_made_unless_asked_for(void)
{
    AUTO_POOL struct pool pool = {0};
    pool_init(&pool, NULL);
    struct config config = {.cgroup_manager = ""};
    struct error err;
    struct cgroup cgroup;
    AUTO_OCI_SPEC struct oci_spec *spec = NULL;
    static const char plain[] = "{\"ociVersion\":\"1\",\"linux\":{}}";
    CU_ASSERT_FATAL(oci_spec_parse(plain, sizeof plain - 1, &spec, &err) == 0);
    cgroup_create(&config, spec, "picket-none", -1, &pool, &cgroup);
    CU_ASSERT_EQUAL(cgroup.version, 0);
    spec->on_linux->cgroups_path = oci_strdup(spec, "/picket/../../x");
    cgroup_create(&config, spec, "picket-none", -1, &pool, &cgroup);
    CU_ASSERT_EQUAL(cgroup.version, 0);
    spec->on_linux->cgroups_path = oci_strdup(spec, "/picket-none");
    config.ignores_cgroups = true;
    cgroup_create(&config, spec, "picket-none", -1, &pool, &cgroup);
    CU_ASSERT_EQUAL(cgroup.version, 0);
    config = (struct config){.cgroup_manager = "disabled"};
    cgroup_create(&config, spec, "picket-none", -1, &pool, &cgroup);
    CU_ASSERT_EQUAL(cgroup.version, 0);
}

static void test_debug_logs_have_names_of_their_own(void)
{
    char dir[] = "/tmp/picket-log-XXXXXX", pattern[128], path[160], text[256] = "";
    CU_ASSERT_FATAL(mkdtemp(dir) != NULL);
    snprintf(pattern, sizeof pattern, "%s/%%COMMAND%%-%%ID%%.txt", dir);
    struct config config = {
        .debug_log = pattern, .debug_command = "!gofer", .debug_log_fd = -1, .log_fd = -1};
    CU_ASSERT_EQUAL(debug_log_open(&config, "gofer", "c"), -1);
    int fd = debug_log_open(&config, "boot", "c");
    CU_ASSERT_FATAL(fd >= 0);
    struct log log;
    runtime_log_init(&log, fd, "text", false);
    log_info(&log, "runtime", "a line");
    log_debug(&log, "runtime", "not this");
    snprintf(path, sizeof path, "%s/boot-c.txt", dir);
    int file = open(path, O_RDONLY);
    CU_ASSERT(read(file, text, sizeof text - 1) > 20);
    CU_ASSERT(text[0] == 'I' && strstr(text, " runtime] a line\n") && !strstr(text, "not this"));
    close(file);
    close(fd);
    unlink(path);
    config.debug_command = "run,exec";
    CU_ASSERT_EQUAL(debug_log_open(&config, "boot", "c"), -1);
    rmdir(dir);
}

void runtime_suite(void)
{
    CU_pSuite suite = CU_add_suite("runtime", NULL, NULL);
#define TEST(name) CU_add_test(suite, #name, test_##name)
    TEST(a_pid_is_believed_only_with_its_start_time);
    TEST(a_pid_file_holds_the_number_alone);
    TEST(hooks);
    TEST(inner_flags_are_strict);
    TEST(the_startup_pipe_tells_who_failed);
    TEST(filters_allow_what_they_list_and_kill_for_the_rest);
    TEST(missing_programs_are_told_only_when_certain);
    TEST(cgroups_survive_the_record);
    TEST(no_cgroup_is_made_unless_asked_for);
    TEST(debug_logs_have_names_of_their_own);
#undef TEST
}

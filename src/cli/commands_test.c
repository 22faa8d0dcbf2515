/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Whole commands, each in a process of its own, from words to what is printed, to the exit status
 * and to what is left behind; over the sandbox of fake_sandbox_test.c.
 */
#include "cli/cli.h"
#include "runtime/control.h"
#include "runtime/process.h"

#include <CUnit/Basic.h>
#include <errno.h>
#include <fcntl.h>
#include <ftw.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>

struct fixture {
    char dir[64]; /* has root/ (records), bundle/ with rootfs/ */
    char out[65536];
    char err[4096];
    pid_t background;
};

static char *path_in(const struct fixture *f, const char *name)
{
    static char path[4][256];
    static int turn;
    turn = (turn + 1) % 4;
    snprintf(path[turn], sizeof path[turn], "%s/%s", f->dir, name);
    return path[turn];
}

static void write_file(const char *path, const char *text)
{
    FILE *file = fopen(path, "we");
    CU_ASSERT_FATAL(file != NULL);
    fputs(text, file);
    fclose(file);
}

static void read_file(const char *path, char *out, size_t size)
{
    FILE *file = fopen(path, "re");
    size_t got = file ? fread(out, 1, size - 1, file) : 0;
    out[got] = 0;
    if (file)
        fclose(file);
}

/* A bundle whose program is WORDS, JSON of a list; MORE are further members of the spec. */
static void bundle(const struct fixture *f, const char *words, const char *more)
{
    char text[4096];
    snprintf(text, sizeof text,
             "{\"ociVersion\":\"1.0.0\",\"process\":{\"args\":%s,\"cwd\":\"/\",\"env\":[\"A=b\"]},"
             "\"root\":{\"path\":\"rootfs\"},\"annotations\":{\"k\":\"<v>\"}%s}",
             words, more);
    write_file(path_in(f, "bundle/config.json"), text);
}

static void setup(struct fixture *f)
{
    memset(f, 0, sizeof *f);
    alarm(120); /* a test that hangs is a failure */
    strcpy(f->dir, "/tmp/picket-cli-XXXXXX");
    CU_ASSERT_FATAL(mkdtemp(f->dir) != NULL);
    chmod(f->dir, 0755);
    mkdir(path_in(f, "bundle"), 0755);
    mkdir(path_in(f, "bundle/rootfs"), 0755);
}

static int remove_one(const char *path, const struct stat *stat, int type, struct FTW *walk)
{
    return remove(path);
}

static void teardown(struct fixture *f)
{
    alarm(0);
    nftw(f->dir, remove_one, 16, FTW_DEPTH | FTW_PHYS);
}

/* Start `picket --root DIR/root WORDS…`, its output into DIR/out and DIR/err. */
static pid_t start_command(const struct fixture *f, const char *words)
{
    char copy[1024];
    char *argv[40] = {(char *)(uintptr_t) "picket", (char *)(uintptr_t) "--root"};
    int argc = 2;
    char root[128];
    snprintf(root, sizeof root, "%s/root", f->dir);
    argv[argc++] = root;
    argv[argc++] = (char *)(uintptr_t) "--network=none";
    snprintf(copy, sizeof copy, "%s", words);
    for (char *word = strtok(copy, " "); word && argc < 39; word = strtok(NULL, " "))
        argv[argc++] = word;
    fflush(NULL);
    pid_t pid = fork();
    if (pid != 0)
        return pid;
    alarm(0);
    int null = open("/dev/null", O_RDONLY);
    int out = open(path_in(f, "out"), O_WRONLY | O_CREAT | O_TRUNC | O_APPEND, 0644);
    int err = open(path_in(f, "err"), O_WRONLY | O_CREAT | O_TRUNC | O_APPEND, 0644);
    dup2(null, 0);
    dup2(out, 1);
    dup2(err, 2);
    close(null);
    close(out);
    close(err);
    if (chdir(path_in(f, "bundle")) < 0)
        _exit(99);
    int status = cli_main(argc, argv);
    fflush(NULL);
    _exit(status);
}

static int end_command(struct fixture *f, pid_t pid)
{
    int status;
    CU_ASSERT_FATAL(waitpid(pid, &status, 0) == pid);
    read_file(path_in(f, "out"), f->out, sizeof f->out);
    read_file(path_in(f, "err"), f->err, sizeof f->err);
    return WIFEXITED(status) ? WEXITSTATUS(status) : 1000 + WTERMSIG(status);
}

static int command(struct fixture *f, const char *words)
{
    return end_command(f, start_command(f, words));
}

/* Until FILE in the fixture's folder is there; at most ten seconds. */
static bool appears(const struct fixture *f, const char *name)
{
    for (int i = 0; i < 2000; i++) {
        if (access(path_in(f, name), F_OK) == 0)
            return true;
        usleep(5000);
    }
    return false;
}

static bool has_status(struct fixture *f, const char *id, const char *status)
{
    char words[64], wanted[64];
    snprintf(words, sizeof words, "state %s", id);
    snprintf(wanted, sizeof wanted, "\"status\": \"%s\"", status);
    return command(f, words) == 0 && strstr(f->out, wanted);
}

static bool waits_for_status(struct fixture *f, const char *id, const char *status)
{
    for (int i = 0; i < 500; i++) {
        if (has_status(f, id, status))
            return true;
        usleep(10000);
    }
    return false;
}

static i64 pid_in(const struct fixture *f, const char *name)
{
    char text[64];
    read_file(path_in(f, name), text, sizeof text);
    return atoll(text);
}

/* No record, lock or socket is left. */
static bool is_clean(const struct fixture *f)
{
    int dir = open(path_in(f, "root"), O_RDONLY | O_DIRECTORY);
    if (dir < 0)
        return true;
    close(dir);
    char words[300];
    snprintf(words, sizeof words, "%s/root", f->dir);
    return rmdir(words) == 0;
}

/* ---- tests -------------------------------------------------------------------------------------- */

static void test_run_ends_as_the_program_ends_and_leaves_nothing(void)
{
    struct fixture f;
    setup(&f);
    bundle(&f, "[\"exit\",\"7\"]", "");
    CU_ASSERT_EQUAL(command(&f, "run c"), 7);
    CU_ASSERT_STRING_EQUAL(f.err, "");
    CU_ASSERT(is_clean(&f));
    bundle(&f, "[\"exit\",\"0\"]", "");
    CU_ASSERT_EQUAL(command(&f, "run c"), 0);
    CU_ASSERT(is_clean(&f));
    teardown(&f);
}

static void test_a_signal_to_run_goes_to_the_program(void)
{
    struct fixture f;
    setup(&f);
    bundle(&f, "[\"sleep\"]", "");
    pid_t run = start_command(&f, "run --pid-file ../pid c");
    CU_ASSERT(appears(&f, "pid"));
    CU_ASSERT(waits_for_status(&f, "c", "running"));
    kill(run, SIGTERM);
    CU_ASSERT_EQUAL(end_command(&f, run), 128 + SIGTERM);
    CU_ASSERT(is_clean(&f));
    teardown(&f);
}

static void test_create_start_state_kill_delete(void)
{
    struct fixture f;
    setup(&f);
    bundle(&f, "[\"sleep\"]", "");
    CU_ASSERT_EQUAL(command(&f, "create --pid-file ../pid c"), 0);
    i64 pid = pid_in(&f, "pid");
    CU_ASSERT(process_is_alive((pid_t)pid, 0));
    CU_ASSERT_EQUAL(command(&f, "state c"), 0);
    char wanted[512];
    snprintf(wanted, sizeof wanted,
             "{\n  \"ociVersion\": \"" OCI_VERSION
             "\",\n  \"id\": \"c\",\n  \"status\": \"created\",\n  \"pid\": %lld,\n"
             "  \"bundle\": \"%s/bundle\",\n  \"annotations\": {\n    \"k\": \"\\u003cv\\u003e\"\n "
             " }\n}\n",
             (long long)pid, f.dir);
    CU_ASSERT_STRING_EQUAL(f.out, wanted);
    CU_ASSERT_EQUAL(command(&f, "create c"), 128);
    CU_ASSERT_PTR_NOT_NULL(
        strstr(f.err, "cannot lock container metadata file: container already exists"));
    CU_ASSERT_EQUAL(command(&f, "kill c"), 128);
    CU_ASSERT_STRING_EQUAL(f.err, "cannot signal container \"c\" in state created\n");
    CU_ASSERT_EQUAL(command(&f, "start c"), 0);
    CU_ASSERT(has_status(&f, "c", "running"));
    CU_ASSERT_EQUAL(command(&f, "start c"), 128);
    CU_ASSERT_STRING_EQUAL(f.err, "cannot start container \"c\" in state running\n");
    CU_ASSERT_EQUAL(command(&f, "delete c"), 128);
    CU_ASSERT_STRING_EQUAL(f.err,
                           "cannot delete container that is not stopped without --force flag\n");
    CU_ASSERT_EQUAL(command(&f, "kill c SIGkill"), 0);
    CU_ASSERT(waits_for_status(&f, "c", "stopped"));
    CU_ASSERT_PTR_NOT_NULL(strstr(f.out, "\"pid\": -1"));
    CU_ASSERT_EQUAL(command(&f, "delete c"), 0);
    CU_ASSERT_EQUAL(command(&f, "state c"), 128);
    CU_ASSERT_PTR_NOT_NULL(strstr(f.err, "does not exist"));
    CU_ASSERT(!process_is_alive((pid_t)pid, 0));
    CU_ASSERT(is_clean(&f));
    teardown(&f);
}

static void test_a_killed_sandbox_is_stopped_and_can_be_deleted(void)
{
    struct fixture f;
    setup(&f);
    bundle(&f, "[\"sleep\"]", "");
    CU_ASSERT_EQUAL(command(&f, "run --detach --pid-file ../pid c"), 0);
    i64 pid = pid_in(&f, "pid");
    kill((pid_t)pid, SIGKILL);
    CU_ASSERT(waits_for_status(&f, "c", "stopped"));
    CU_ASSERT_EQUAL(command(&f, "exec c exit 0"), 128);
    CU_ASSERT_STRING_EQUAL(f.err, "cannot execute in container \"c\" in state stopped\n");
    CU_ASSERT_EQUAL(command(&f, "wait c"), 128);
    CU_ASSERT_STRING_EQUAL(f.err, "waiting on container \"c\": sandbox no longer running and its "
                                  "exit status is unavailable\n");
    CU_ASSERT_EQUAL(command(&f, "delete c"), 0);
    CU_ASSERT(is_clean(&f));
    teardown(&f);
}

static void test_a_killed_run_takes_its_sandbox_along_and_delete_clears_up(void)
{
    struct fixture f;
    setup(&f);
    bundle(&f, "[\"sleep\"]", "");
    pid_t run = start_command(&f, "run --pid-file ../pid c");
    CU_ASSERT(waits_for_status(&f, "c", "running"));
    int sandbox = process_open((pid_t)pid_in(&f, "pid"), 0);
    kill(run, SIGKILL);
    CU_ASSERT_EQUAL(end_command(&f, run), 1000 + SIGKILL);
    CU_ASSERT(process_wait_gone(sandbox, 10000));
    close(sandbox);
    CU_ASSERT(has_status(&f, "c", "stopped"));
    CU_ASSERT_EQUAL(command(&f, "delete --force c"), 0);
    CU_ASSERT(is_clean(&f));
    teardown(&f);
}

static void test_delete_with_force_of_nothing_succeeds(void)
{
    struct fixture f;
    setup(&f);
    CU_ASSERT_EQUAL(command(&f, "delete --force none"), 0);
    CU_ASSERT_EQUAL(command(&f, "delete none"), 128);
    bundle(&f, "[\"sleep\"]", "");
    CU_ASSERT_EQUAL(command(&f, "run -detach c"), 0);
    CU_ASSERT_EQUAL(command(&f, "delete -force c"), 0);
    CU_ASSERT(is_clean(&f));
    /* A record that cannot be read. */
    mkdir(path_in(&f, "root"), 0711);
    write_file(path_in(&f, "root/x_sandbox:x.state"), "{");
    write_file(path_in(&f, "root/x_sandbox:x.lock"), "");
    CU_ASSERT_EQUAL(command(&f, "delete x"), 128);
    CU_ASSERT_EQUAL(command(&f, "delete --force x"), 0);
    CU_ASSERT(is_clean(&f));
    teardown(&f);
}

static void test_what_cannot_be_made_leaves_nothing(void)
{
    static const struct {
        const char *config; /* NULL: no file */
        const char *text;
    } cases[] = {
        {NULL, "no such file or directory"},
        {"{", "unexpected end of JSON input"},
        {"{\"ociVersion\":\"1\",\"process\":7}", "process must be an object"},
        {"{\"ociVersion\":\"1\"}", "process must be defined"},
        {"{\"ociVersion\":\"1\",\"process\":{\"args\":[\"/x\"],\"cwd\":\"/"
         "\"},\"root\":{\"path\":\"none\"}}",
         "no such file or directory"},
        {"{\"ociVersion\":\"1\",\"process\":{\"args\":[\"/x\"],\"cwd\":\"/"
         "\"},\"root\":{\"path\":\"rootfs\"}}",
         "exec: \"/x\": stat /x: no such file or directory"},
        {"{\"ociVersion\":\"1\",\"process\":{\"args\":[\"x\"],\"cwd\":\"/\",\"env\":[\"PATH=/"
         "bin\"]},\"root\":{\"path\":\"rootfs\"}}",
         "exec: \"x\": executable file not found in $PATH"},
        {"{\"ociVersion\":\"1\",\"process\":{\"args\":[\"x\"],\"cwd\":\"/"
         "\"},\"root\":{\"path\":\"rootfs\"},"
         "\"hostname\":\"refuse-to-boot\"}",
         "refusing to boot"},
        {"{\"ociVersion\":\"1\",\"process\":{\"args\":[\"fail\",\"no such "
         "luck\"],\"cwd\":\"/\"},\"root\":{\"path\":\"rootfs\"}}",
         "no such luck"},
        {"{\"ociVersion\":\"1\",\"process\":{\"args\":[\"x\"],\"cwd\":\"/"
         "\"},\"root\":{\"path\":\"rootfs\"},"
         "\"mounts\":[{\"destination\":\"/m\",\"type\":\"bind\",\"source\":\"/no/such/source\"}]}",
         "no such file or directory"},
    };
    struct fixture f;
    setup(&f);
    for (size_t i = 0; i < ARRAY_COUNT(cases); i++) {
        (void)unlink(path_in(&f, "bundle/config.json"));
        if (cases[i].config)
            write_file(path_in(&f, "bundle/config.json"), cases[i].config);
        CU_ASSERT_EQUAL(command(&f, "run c"), 128);
        CU_ASSERT_PTR_NOT_NULL(strstr(f.err, cases[i].text));
        CU_ASSERT(strchr(f.err, '\n') == f.err + strlen(f.err) - 1); /* one line */
        CU_ASSERT(is_clean(&f));
    }
    teardown(&f);
}

static void test_a_failed_start_ends_the_sandbox(void)
{
    struct fixture f;
    setup(&f);
    bundle(&f, "[\"fail\",\"cannot be\"]", "");
    CU_ASSERT_EQUAL(command(&f, "create --pid-file ../pid c"), 0);
    CU_ASSERT_EQUAL(command(&f, "start c"), 128);
    CU_ASSERT_PTR_NOT_NULL(strstr(f.err, "cannot be"));
    CU_ASSERT(has_status(&f, "c", "stopped"));
    CU_ASSERT(!process_is_alive((pid_t)pid_in(&f, "pid"), 0));
    CU_ASSERT_EQUAL(command(&f, "delete c"), 0);
    CU_ASSERT(is_clean(&f));
    teardown(&f);
}

static void test_errors_go_to_the_log_file_too(void)
{
    struct fixture f;
    setup(&f);
    char text[1024];
    write_file(path_in(&f, "log"), "before");
    CU_ASSERT_EQUAL(command(&f, "--log ../log --log-format json state none"), 128);
    read_file(path_in(&f, "log"), text, sizeof text);
    CU_ASSERT(strncmp(text,
                      "before{\"msg\":\"loading container \\\"none\\\": file does not "
                      "exist\",\"level\":\"error\",\"time\":\"",
                      80) == 0);
    CU_ASSERT(text[strlen(text) - 1] == '}');
    teardown(&f);
}

static void test_exec_attached_and_detached(void)
{
    struct fixture f;
    setup(&f);
    bundle(&f, "[\"sleep\"]", "");
    CU_ASSERT_EQUAL(command(&f, "run --detach c"), 0);
    CU_ASSERT_EQUAL(command(&f, "exec c exit 5"), 5);
    CU_ASSERT_EQUAL(command(&f, "exec -user x c exit 5"), 128);
    CU_ASSERT_EQUAL(command(&f, "exec c"), 128);
    CU_ASSERT_EQUAL(
        command(&f, "exec --detach --pid-file ../epid --internal-pid-file ../ipid c sleep"), 0);
    CU_ASSERT_EQUAL(pid_in(&f, "ipid"), 3);
    int waiter = process_open((pid_t)pid_in(&f, "epid"), 0);
    CU_ASSERT(waiter >= 0);
    /* It passes on what can be caught, and then ends as the process did. */
    CU_ASSERT_EQUAL(process_signal(waiter, SIGUSR1), 0);
    CU_ASSERT(process_wait_gone(waiter, 10000));
    close(waiter);
    /* Killed, it takes the process along. */
    CU_ASSERT_EQUAL(
        command(&f, "exec --detach --pid-file ../epid --internal-pid-file ../ipid c sleep"), 0);
    CU_ASSERT_EQUAL(pid_in(&f, "ipid"), 4);
    kill((pid_t)pid_in(&f, "epid"), SIGKILL);
    CU_ASSERT_EQUAL(command(&f, "wait -pid 4 c"), 0);
    CU_ASSERT_STRING_EQUAL(f.out, "{\"id\":\"c\",\"exitStatus\":137}\n");
    write_file(path_in(&f, "process"), "{\"args\":[\"exit\",\"9\"],\"cwd\":\"/\"}");
    CU_ASSERT_EQUAL(command(&f, "exec --process ../process c"), 9);
    write_file(path_in(&f, "process"), "{\"args\":[],\"cwd\":\"/\"}");
    CU_ASSERT_EQUAL(command(&f, "exec --process ../process c"), 128);
    CU_ASSERT_EQUAL(command(&f, "delete --force c"), 0);
    CU_ASSERT(is_clean(&f));
    teardown(&f);
}

static void test_wait_prints_the_status(void)
{
    struct fixture f;
    setup(&f);
    bundle(&f, "[\"sleep\"]", "");
    CU_ASSERT_EQUAL(command(&f, "run --detach cc"), 0);
    pid_t wait = start_command(&f, "wait c"); /* short for cc */
    usleep(100000);
    struct fixture other = f;
    snprintf(other.dir, sizeof other.dir, "%s", f.dir);
    pid_t killer = fork();
    if (killer == 0) { /* apart: both write to DIR/out */
        AUTO_RECORD struct record *record = NULL;
        struct config config;
        struct runtime runtime;
        struct error err;
        config_init(&config);
        config.root = path_in(&f, "root");
        if (runtime_open(&config, false, &runtime, &err) < 0 ||
            container_find(&runtime, "cc", true, &record, &err) < 0 ||
            control_signal(record, 9, 0, CONTROL_PROCESS, 0, &err) < 0)
            _exit(1);
        _exit(0);
    }
    int status;
    CU_ASSERT(waitpid(killer, &status, 0) == killer && status == 0);
    CU_ASSERT_EQUAL(end_command(&f, wait), 0);
    CU_ASSERT_STRING_EQUAL(f.out, "{\"id\":\"cc\",\"exitStatus\":137}\n");
    CU_ASSERT_EQUAL(command(&f, "delete cc"), 0);
    CU_ASSERT(is_clean(&f));
    teardown(&f);
}

static void test_listings(void)
{
    struct fixture f;
    setup(&f);
    CU_ASSERT_EQUAL(command(&f, "list -format json"), 0);
    CU_ASSERT_STRING_EQUAL(f.out, "null\n");
    CU_ASSERT_EQUAL(command(&f, "list"), 0);
    CU_ASSERT_STRING_EQUAL(f.out,
                           "ID          PID         STATUS      BUNDLE      CREATED     OWNER\n");
    bundle(&f, "[\"sleep\"]", "");
    CU_ASSERT_EQUAL(command(&f, "run --detach c"), 0);
    CU_ASSERT_EQUAL(command(&f, "list -q"), 0);
    CU_ASSERT_STRING_EQUAL(f.out, "c\n");
    CU_ASSERT_EQUAL(command(&f, "list -format json"), 0);
    static const char begin[] = "[{\"ociVersion\":\"" OCI_VERSION
                                "\",\"id\":\"c\",\"status\":\"running\",\"pid\":";
    CU_ASSERT(strncmp(f.out, begin, sizeof begin - 1) == 0);
    CU_ASSERT_EQUAL(command(&f, "list -format xml"), 128);
    CU_ASSERT_EQUAL(command(&f, "ps c"), 0);
    CU_ASSERT_STRING_EQUAL(
        f.out, "UID       PID       PPID      C         TTY       STIME     TIME      CMD\n"
               "0         1         0         3         ?         06:55     10ms      sleep\n");
    CU_ASSERT_EQUAL(command(&f, "ps --format json c"), 0);
    CU_ASSERT_STRING_EQUAL(f.out, "[1]\n");
    CU_ASSERT_EQUAL(command(&f, "events --stats c"), 0);
    CU_ASSERT_STRING_EQUAL(
        f.out, "{\"type\":\"stats\",\"id\":\"c\",\"data\":{\"cpu\":{\"usage\":{\"total\":5000}},"
               "\"pids\":{\"current\":1}}}\n");
    CU_ASSERT_EQUAL(command(&f, "delete --force c"), 0);
    teardown(&f);
}

static void test_pause_resume_checkpoint_restore(void)
{
    struct fixture f;
    setup(&f);
    bundle(&f, "[\"sleep\"]", "");
    CU_ASSERT_EQUAL(command(&f, "run --detach c"), 0);
    CU_ASSERT_EQUAL(command(&f, "resume c"), 128);
    CU_ASSERT_EQUAL(command(&f, "pause c"), 0);
    CU_ASSERT(has_status(&f, "c", "paused"));
    CU_ASSERT_EQUAL(command(&f, "exec c exit 0"), 128);
    CU_ASSERT_STRING_EQUAL(f.err, "cannot execute in container \"c\" in state paused\n");
    CU_ASSERT_EQUAL(command(&f, "resume c"), 0);
    CU_ASSERT_EQUAL(command(&f, "checkpoint c"), 128);
    CU_ASSERT_STRING_EQUAL(f.err, "image-path flag must be provided\n");
    CU_ASSERT_EQUAL(command(&f, "checkpoint --image-path ../image --leave-running --file-locks c"),
                    0);
    CU_ASSERT(access(path_in(&f, "image/checkpoint.img"), R_OK) == 0);
    CU_ASSERT_EQUAL(command(&f, "checkpoint --image-path ../image c"), 128);
    CU_ASSERT_PTR_NOT_NULL(strstr(f.err, "creating checkpoint state file"));
    CU_ASSERT_EQUAL(command(&f, "delete --force c"), 0);
    CU_ASSERT_EQUAL(command(&f, "restore --image-path ../none d"), 128);
    CU_ASSERT(is_clean(&f));
    bundle(&f, "[\"exit\",\"6\"]", "");
    CU_ASSERT_EQUAL(command(&f, "restore --image-path ../image --work-path .. d"), 6);
    CU_ASSERT_EQUAL(command(&f, "delete --force d"), 0); /* restore does not delete */
    CU_ASSERT(is_clean(&f));
    teardown(&f);
}

static void test_hooks_run_in_order_and_a_failing_one_undoes_create(void)
{
    struct fixture f;
    setup(&f);
    char more[2048], text[8192];
    write_file(path_in(&f, "hook"),
               "#!/bin/sh\necho \"$1 $(cat)\" >> \"$2\"\n[ \"$1\" != \"$3\" ]\n");
    chmod(path_in(&f, "hook"), 0755);
    static const char *const kinds[] = {"prestart",       "createRuntime", "createContainer",
                                        "startContainer", "poststart",     "poststop"};
    for (int fails = 0; fails < 2; fails++) {
        size_t used = (size_t)snprintf(more, sizeof more, ",\"hooks\":{");
        for (size_t i = 0; i < ARRAY_COUNT(kinds); i++)
            used += (size_t)snprintf(more + used, sizeof more - used,
                                     "%s\"%s\":[{\"path\":\"%s/hook\",\"args\":[\"h\",\"%s\",\"%s/"
                                     "hooks\",\"%s\"],\"env\":[\"PATH=/bin:/usr/bin\"]}]",
                                     i ? "," : "", kinds[i], f.dir, kinds[i], f.dir,
                                     fails ? "createRuntime" : "none");
        snprintf(more + used, sizeof more - used, "}");
        bundle(&f, "[\"exit\",\"3\"]", more);
        (void)unlink(path_in(&f, "hooks"));
        CU_ASSERT_EQUAL(command(&f, "run c"), fails ? 128 : 3);
        CU_ASSERT(is_clean(&f));
        read_file(path_in(&f, "hooks"), text, sizeof text);
        const char *at = text;
        for (size_t i = 0; i < (fails ? 2 : ARRAY_COUNT(kinds)); i++) {
            at = strstr(at, kinds[i]);
            CU_ASSERT_FATAL(at != NULL);
            CU_ASSERT(strncmp(at + strlen(kinds[i]), " {\"ociVersion\":", 15) == 0);
        }
    }
    CU_ASSERT_PTR_NOT_NULL(strstr(f.err, "failure executing hook"));
    CU_ASSERT_PTR_NOT_NULL(strstr(f.err, "exit status 1"));
    teardown(&f);
}

/* The other end of --console-socket. */
static int console_receive(int listener)
{
    char bytes[32];
    union {
        struct cmsghdr align;
        char bytes[CMSG_SPACE(sizeof(int))];
    } control;
    struct iovec iov = {.iov_base = bytes, .iov_len = sizeof bytes};
    struct msghdr message = {.msg_iov = &iov,
                             .msg_iovlen = 1,
                             .msg_control = &control,
                             .msg_controllen = sizeof control};
    int fd = -1, socket = accept(listener, NULL, NULL);
    ssize_t got = recvmsg(socket, &message, 0);
    close(socket);
    struct cmsghdr *head = CMSG_FIRSTHDR(&message);
    CU_ASSERT(got == 10 && memcmp(bytes, "pty-master", 10) == 0);
    if (head && head->cmsg_type == SCM_RIGHTS)
        memcpy(&fd, CMSG_DATA(head), sizeof fd);
    return fd;
}

static void test_a_console_goes_to_its_socket(void)
{
    struct fixture f;
    setup(&f);
    write_file(path_in(&f, "bundle/config.json"), "{\"ociVersion\":\"1.0.0\",\"process\":{\"args\":"
                                                  "[\"sleep\"],\"cwd\":\"/\",\"terminal\":true},"
                                                  "\"root\":{\"path\":\"rootfs\"}}");
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    snprintf(address.sun_path, sizeof address.sun_path, "%s/console", f.dir);
    int listener = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
    CU_ASSERT_FATAL(bind(listener, (struct sockaddr *)&address, sizeof address) == 0 &&
                    listen(listener, 2) == 0);
    pid_t create = start_command(&f, "create --console-socket ../console c");
    int master = console_receive(listener);
    CU_ASSERT(master >= 0 && isatty(master));
    CU_ASSERT_EQUAL(end_command(&f, create), 0);
    close(master);
    CU_ASSERT_EQUAL(command(&f, "start c"), 0);
    CU_ASSERT_EQUAL(command(&f, "delete --force c"), 0);
    CU_ASSERT_EQUAL(command(&f, "create --console-socket ../nowhere c"), 128);
    CU_ASSERT_PTR_NOT_NULL(strstr(f.err, "console socket"));
    CU_ASSERT(is_clean(&f));
    close(listener);
    teardown(&f);
}

static void test_wrong_usage_has_its_status(void)
{
    static const struct {
        const char *words;
        int status;
        const char *text;
    } cases[] = {
        {"", 128, "no command"},
        {"bogus", 128, "unknown command \"bogus\""},
        {"--bogus state c", 2, "flag provided but not defined: -bogus"},
        {"--debug=maybe state c", 128, "invalid boolean value \"maybe\" for -debug: parse error"},
        {"state", 128, "usage: "},
        {"state -bogus c", 128, "flag provided but not defined: -bogus"},
        {"kill c 64", 128, "unknown signal \"64\""},
        {"kill -all -pid 3 c", 128, "it is invalid to specify both --all and --pid"},
        {"create a/b", 128, "invalid container id: a/b"},
        {"--overlay2=nonsense list", 128, "expected format is --overlay2={mount}:{medium}"},
        {"--version", 0, ""},
        {"-version", 0, ""},
        {"help", 0, ""},
        {"checkpoint --help", 0, ""},
        {"-h", 0, ""},
        {"help platforms", 0, ""},
        {"platform", 128, "usage: "},
        {"platform guess", 128, "unknown word \"guess\" after platform"},
        {"platform probe", 0, ""},
        {"flags", 0, ""},
        {"features", 0, ""},
        {"--cgroup-manager disabled --systemd-cgroup --log-format=json list", 0, ""},
        {"--nvproxy --platform=systrap --directfs=false --num-network-channels 1 list", 0, ""},
    };
    struct fixture f;
    setup(&f);
    for (size_t i = 0; i < ARRAY_COUNT(cases); i++) {
        CU_ASSERT_EQUAL(command(&f, cases[i].words), cases[i].status);
        CU_ASSERT_PTR_NOT_NULL(strstr(f.err, cases[i].text));
    }
    CU_ASSERT_EQUAL(command(&f, "--version"), 0);
    CU_ASSERT(strstr(f.out, " version ") && strstr(f.out, "\nspec: "));
    teardown(&f);
}

static void test_spec_writes_a_bundle_that_is_good(void)
{
    struct fixture f;
    setup(&f);
    char text[8192];
    CU_ASSERT_EQUAL(command(&f, "spec -- exit 4"), 0);
    CU_ASSERT_EQUAL(command(&f, "spec"), 128);
    CU_ASSERT_PTR_NOT_NULL(strstr(f.err, "already exists"));
    read_file(path_in(&f, "bundle/config.json"), text, sizeof text);
    CU_ASSERT_PTR_NOT_NULL(strstr(text, "\"hostname\": \"runsc\""));
    teardown(&f);
}

static void test_two_commands_at_once_make_one_container(void)
{
    struct fixture f;
    setup(&f);
    bundle(&f, "[\"sleep\"]", "");
    pid_t first = start_command(&f, "create c");
    pid_t second = start_command(&f, "create c");
    int a = end_command(&f, first), b = end_command(&f, second);
    CU_ASSERT((a == 0 && b == 128) || (a == 128 && b == 0));
    CU_ASSERT_EQUAL(command(&f, "delete --force c"), 0);
    CU_ASSERT(is_clean(&f));
    teardown(&f);
}

void commands_suite(void)
{
    CU_pSuite suite = CU_add_suite("commands", NULL, NULL);
#define TEST(name) CU_add_test(suite, #name, test_##name)
    TEST(run_ends_as_the_program_ends_and_leaves_nothing);
    TEST(a_signal_to_run_goes_to_the_program);
    TEST(create_start_state_kill_delete);
    TEST(a_killed_sandbox_is_stopped_and_can_be_deleted);
    TEST(a_killed_run_takes_its_sandbox_along_and_delete_clears_up);
    TEST(delete_with_force_of_nothing_succeeds);
    TEST(what_cannot_be_made_leaves_nothing);
    TEST(a_failed_start_ends_the_sandbox);
    TEST(errors_go_to_the_log_file_too);
    TEST(exec_attached_and_detached);
    TEST(wait_prints_the_status);
    TEST(listings);
    TEST(pause_resume_checkpoint_restore);
    TEST(hooks_run_in_order_and_a_failing_one_undoes_create);
    TEST(a_console_goes_to_its_socket);
    TEST(wrong_usage_has_its_status);
    TEST(spec_writes_a_bundle_that_is_good);
    TEST(two_commands_at_once_make_one_container);
#undef TEST
}

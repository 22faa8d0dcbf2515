/* SPDX-License-Identifier: Apache-2.0 */
/* Control calls against a whole sandbox on the sim host. */
#include "controller/testing.h"

#define SLEEPER BENCH_SPEC("\"sleep\"", "")
#define HELLO BENCH_SPEC("\"/bin/hello\"", "")

static void test_a_root_container_starts_runs_and_is_waited_for(void)
{
    struct bench bench;
    struct client client;
    bench_init(&bench, HELLO);
    client_open(&client, &bench);
    EXPECT(client_call(&client, "containerManager.ContainerRuntimeState", "\"c1\""),
           "{\"success\":true,\"err\":\"\",\"result\":1}");
    EXPECT(client_call(&client, "Network.CreateLinksAndRoutes",
                       "{\"LoopbackLinks\":[{\"Name\":\"lo\"}]}"),
           ANSWER_OK);
    EXPECT(client_call(&client, "containerManager.StartRoot", "\"c1\""), ANSWER_OK);
    EXPECT(bench_output(&bench), "hello\n");
    EXPECT(client_call(&client, "containerManager.Wait", "\"c1\""),
           "{\"success\":true,\"err\":\"\",\"result\":1792}");
    EXPECT(client_call(&client, "containerManager.ContainerRuntimeState", "\"c1\""),
           "{\"success\":true,\"err\":\"\",\"result\":3}");
    client_close(&client);
    bench_fini(&bench);
}

static void test_the_order_of_checks_is_the_wires(void)
{
    struct bench bench;
    struct client client;
    bench_init(&bench, SLEEPER);
    client_open(&client, &bench);
    EXPECT_ERROR(client_call(&client, "no.Such", "{\"CID\":7}"), "unknown method");
    static const char bare[] = "{\"method\":\"containerManager.Signal\"}";
    client_send(&client, bare, sizeof bare - 1, NULL, 0);
    bench_run(&bench);
    EXPECT_ERROR(client_read(&client), "unexpected end of JSON input");
    EXPECT_ERROR(
        client_call(&client, "containerManager.Signal", "{\"Signo\":\"x\"}"),
        "json: cannot unmarshal string into Go struct field SignalArgs.Signo of type int32");
    EXPECT_ERROR(client_call(&client, "containerManager.FSSave", "null"), "got 0 files, want 4");
    EXPECT_ERROR(client_call(&client, "containerManager.PortForward", "null"),
                 "stream FD is required for port forward");
    EXPECT_ERROR(client_call(&client, "Profile.CPU", "null"), "unknown method");
    client_send(&client, "}", 1, NULL, 0);
    bench_run(&bench);
    client_read(&client);
    CU_ASSERT(client.is_over);
    client_close(&client);
    bench_fini(&bench);
}

static void test_two_clients_are_served_independently(void)
{
    struct bench bench;
    struct client one, two;
    bench_init(&bench, SLEEPER);
    client_open(&one, &bench);
    client_open(&two, &bench);
    EXPECT(client_call(&one, "containerManager.StartRoot", "\"c1\""), ANSWER_OK);
    EXPECT(client_call(&one, "containerManager.Wait", "\"c1\""), "");
    EXPECT(client_call(&two, "containerManager.Signal", "{\"CID\":\"c1\",\"Signo\":0}"), ANSWER_OK);
    EXPECT(client_call(&two, "containerManager.Signal", "{\"CID\":\"c1\",\"Signo\":9}"), ANSWER_OK);
    EXPECT(client_read(&one), "{\"success\":true,\"err\":\"\",\"result\":9}");
    client_close(&one);
    client_close(&two);
    bench_fini(&bench);
}

static void test_a_dead_client_ends_its_pending_call_and_nothing_else(void)
{
    struct bench bench;
    struct client dead, other;
    bench_init(&bench, SLEEPER);
    client_open(&dead, &bench);
    client_open(&other, &bench);
    EXPECT(client_call(&dead, "containerManager.StartRoot", "\"c1\""), ANSWER_OK);
    EXPECT(client_call(&dead, "containerManager.Wait", "\"c1\""), "");
    CU_ASSERT_EQUAL(controller_connection_count(bench.controller), 2);
    client_close(&dead);
    bench_run(&bench);
    CU_ASSERT_EQUAL(controller_connection_count(bench.controller), 1);
    EXPECT(client_call(&other, "containerManager.ContainerRuntimeState", "\"c1\""),
           "{\"success\":true,\"err\":\"\",\"result\":2}");
    client_close(&other);
    bench_fini(&bench);
}

/* A client that dies between any two bytes of an exec with descriptors leaves nothing open. */
static void test_a_client_may_die_after_any_byte(void)
{
    static const char text[] = "{\"method\":\"containerManager.ExecuteAsync\",\"arg\":{\"argv\":["
                               "\"hello\"],\"ContainerID\":\"c1\",\"GuestFDs\":[1]}}";
    struct bench bench;
    struct client client;
    bench_init(&bench, SLEEPER);
    client_open(&client, &bench);
    EXPECT(client_call(&client, "containerManager.StartRoot", "\"c1\""), ANSWER_OK);
    client_close(&client);
    bench_run(&bench);
    struct sim_leaks before, after;
    sim_leaks(bench.host, &before);
    for (size_t size = 1; size < sizeof text; size++) {
        int fd = sim_dup(bench.host, bench.out_fd);
        client_open(&client, &bench);
        client_send(&client, text, size, &fd, 1);
        if (size % 2)
            bench_run(&bench);
        client_close(&client);
        sim_fd_close(bench.host, fd);
        bench_run(&bench);
        CU_ASSERT_EQUAL(controller_connection_count(bench.controller), 0);
    }
    sim_leaks(bench.host, &after);
    CU_ASSERT(after.fds <= before.fds + 4); /* the last, complete call may have run */
    bench_fini(&bench);
}

static void test_fragments_of_any_size_are_served(void)
{
    static const char text[] =
        "{\"method\":\"containerManager.ContainerRuntimeState\",\"arg\":\"c1\"}";
    struct bench bench;
    struct client client;
    bench_init(&bench, SLEEPER);
    client_open(&client, &bench);
    for (size_t piece = 1; piece < sizeof text; piece += 7) {
        for (size_t at = 0; at < sizeof text - 1; at += piece) {
            client_send(&client, text + at, MIN(piece, sizeof text - 1 - at), NULL, 0);
            bench_run(&bench);
        }
        EXPECT(client_read(&client), "{\"success\":true,\"err\":\"\",\"result\":1}");
    }
    client_close(&client);
    bench_fini(&bench);
}

static void test_exec_runs_beside_the_first_process(void)
{
    struct bench bench;
    struct client client;
    int pipe[2];
    bench_init(&bench, SLEEPER);
    client_open(&client, &bench);
    EXPECT(client_call(&client, "containerManager.StartRoot", "\"c1\""), ANSWER_OK);
    CU_ASSERT_EQUAL_FATAL(sim_pipe(bench.host, pipe), 0);
    int fds[3] = {pipe[1], pipe[1], pipe[1]};
    EXPECT(client_call_fds(&client, "containerManager.ExecuteAsync",
                           "{\"filename\":\"\",\"argv\":[\"hello\"],\"envv\":[\"PATH=/"
                           "bin\"],\"wd\":\"/\",\"KUID\":0,\"KGID\":0,\"ContainerID\":\"c1\"}",
                           fds, 3),
           "{\"success\":true,\"err\":\"\",\"result\":2}");
    EXPECT(client_call(&client, "containerManager.WaitPID", "{\"PID\":2,\"CID\":\"c1\"}"),
           "{\"success\":true,\"err\":\"\",\"result\":1792}");
    EXPECT_ERROR(client_call(&client, "containerManager.WaitPID", "{\"PID\":2,\"CID\":\"c1\"}"),
                 "waiting for PID 2: no such process");
    EXPECT_ERROR(client_call(&client, "containerManager.WaitPID", "{\"PID\":0,\"CID\":\"c1\"}"),
                 "PID (0) must be positive");
    int out = bench.out_fd;
    bench.out_fd = pipe[0];
    EXPECT(bench_output(&bench), "hello\n");
    bench.out_fd = out;
    sim_fd_close(bench.host, pipe[0]);
    sim_fd_close(bench.host, pipe[1]);
    client_close(&client);
    bench_fini(&bench);
}

static void test_exec_refuses_what_does_not_fit(void)
{
    static const struct {
        const char *arg, *error;
        u32 fd_count;
    } cases[] = {
        {"{\"argv\":[\"hello\"],\"ContainerID\":\"x\"}", "container \"x\" not found", 0},
        {"{\"argv\":[\"hello\"],\"ContainerID\":\"c1\",\"GuestFDs\":[0,1]}",
         "length of payload files does not match length of file descriptor array", 1},
        {"{\"argv\":[\"hello\"],\"ContainerID\":\"c1\",\"GuestFDs\":[-1]}",
         "guest file descriptors must be 0 or greater", 1},
        {"{\"filename\":\"/bin/hello\",\"ContainerID\":\"c1\",\"GuestFDs\":[1]}",
         "process must either be started from a file or a filename, not both", 2},
        {"{\"argv\":[\"hello\"],\"envv\":[\"BAD\"],\"wd\":\"/\",\"ContainerID\":\"c1\"}",
         "resolving env: invalid variable: BAD", 0},
        {"{\"argv\":[\"nothing\"],\"envv\":[\"PATH=/bin\"],\"wd\":\"/\",\"ContainerID\":\"c1\"}",
         "exec: \"nothing\": executable file not found in $PATH: no such file or directory", 0},
        {"{\"argv\":[\"/etc/passwd\"],\"wd\":\"/\",\"ContainerID\":\"c1\"}",
         "failed to load \"/etc/passwd\": permission denied", 0},
        {"{\"argv\":[\"/bin/hello\"],\"wd\":\"/nowhere\",\"ContainerID\":\"c1\"}",
         "working directory \"/nowhere\": no such file or directory", 0},
    };
    struct bench bench;
    struct client client;
    bench_init(&bench, SLEEPER);
    client_open(&client, &bench);
    EXPECT_ERROR(client_call(&client, "containerManager.ExecuteAsync",
                             "{\"argv\":[\"hello\"],\"ContainerID\":\"c1\"}"),
                 "container \"c1\" not started");
    EXPECT(client_call(&client, "containerManager.StartRoot", "\"c1\""), ANSWER_OK);
    for (size_t i = 0; i < ARRAY_COUNT(cases); i++) {
        int fds[2] = {bench.out_fd, bench.out_fd};
        EXPECT_ERROR(client_call_fds(&client, "containerManager.ExecuteAsync", cases[i].arg, fds,
                                     cases[i].fd_count),
                     cases[i].error);
    }
    client_close(&client);
    bench_fini(&bench);
}

static void test_pauses_nest_and_one_resume_too_many_is_an_error(void)
{
    struct bench bench;
    struct client client;
    bench_init(&bench, SLEEPER);
    client_open(&client, &bench);
    EXPECT(client_call(&client, "containerManager.StartRoot", "\"c1\""), ANSWER_OK);
    EXPECT(client_call(&client, "containerManager.Pause", "null"), ANSWER_OK);
    EXPECT(client_call(&client, "Lifecycle.Pause", "null"), ANSWER_OK);
    EXPECT(client_call(&client, "Lifecycle.Resume", "null"), ANSWER_OK);
    EXPECT(client_call(&client, "containerManager.Resume", "null"), ANSWER_OK);
    EXPECT_ERROR(client_call(&client, "containerManager.Resume", "null"), "sandbox is not paused");
    client_close(&client);
    bench_fini(&bench);
}

static void test_signals_find_their_processes_or_say_why_not(void)
{
    static const struct {
        const char *arg, *error;
    } cases[] = {
        {"{\"CID\":\"x\",\"Signo\":1}",
         "signaling process in container \"x\" PID 0: no such process with PID 0"},
        {"{\"CID\":\"c1\",\"Signo\":1,\"PID\":99}",
         "signaling process in container \"c1\" PID 99: no such process with PID 99"},
        {"{\"CID\":\"c1\",\"Signo\":1,\"PID\":-1}", "PID (-1) must be positive"},
        {"{\"CID\":\"c1\",\"Signo\":1,\"PID\":1,\"Mode\":1}",
         "PID (1) cannot be set when signaling all processes"},
        {"{\"CID\":\"x\",\"Signo\":1,\"Mode\":1}", "container \"x\" not started"},
        {"{\"CID\":\"c1\",\"Signo\":1,\"Mode\":2}",
         "signaling foreground process group in container \"c1\" PID 0: no TTY attached"},
        {"{\"CID\":\"c1\",\"Signo\":1,\"Mode\":2,\"PID\":9}",
         "signaling foreground process group in container \"c1\" PID 9: no thread group found: no "
         "such process with PID 9"},
        {"{\"CID\":\"c1\",\"Signo\":1,\"Mode\":3}",
         "PGID must be set when signaling a process group"},
        {"{\"CID\":\"c1\",\"Signo\":1,\"Mode\":3,\"PGID\":77}",
         "signaling process group 77: no such process"},
        {"{\"CID\":\"c1\",\"Signo\":1,\"Mode\":9}", "invalid signal delivery mode: 9"},
        {"{\"CID\":\"c1\",\"Signo\":1,\"Mode\":-1}", "invalid signal delivery mode: 4294967295"},
        {"{\"CID\":\"c1\",\"Signo\":65}", "invalid signal 65"},
    };
    struct bench bench;
    struct client client;
    bench_init(&bench, SLEEPER);
    client_open(&client, &bench);
    EXPECT_ERROR(client_call(&client, "containerManager.Signal", "{\"CID\":\"c1\",\"Signo\":0}"),
                 "signaling process in container \"c1\" PID 0: no such process with PID 0");
    EXPECT(client_call(&client, "containerManager.StartRoot", "\"c1\""), ANSWER_OK);
    for (size_t i = 0; i < ARRAY_COUNT(cases); i++)
        EXPECT_ERROR(client_call(&client, "containerManager.Signal", cases[i].arg), cases[i].error);
    EXPECT(client_call(&client, "containerManager.Signal",
                       "{\"CID\":\"c1\",\"Signo\":0,\"Mode\":3,\"PGID\":1}"),
           ANSWER_OK);
    EXPECT(
        client_call(&client, "containerManager.Signal", "{\"CID\":\"c1\",\"Signo\":9,\"Mode\":1}"),
        ANSWER_OK);
    EXPECT(client_call(&client, "containerManager.Wait", "\"c1\""),
           "{\"success\":true,\"err\":\"\",\"result\":9}");
    client_close(&client);
    bench_fini(&bench);
}

static void test_ps_and_events_show_the_container(void)
{
    struct bench bench;
    struct client client;
    bench_init(&bench, SLEEPER);
    client_open(&client, &bench);
    EXPECT(client_call(&client, "containerManager.Processes", "\"c1\""),
           "{\"success\":true,\"err\":\"\",\"result\":null}");
    EXPECT(client_call(&client, "containerManager.StartRoot", "\"c1\""), ANSWER_OK);
    const char *text = client_call(&client, "containerManager.Processes", "\"c1\"");
    CU_ASSERT_PTR_NOT_NULL(strstr(
        text, "\"result\":[{\"uid\":0,\"pid\":1,\"ppid\":0,\"pgid\":1,\"threads\":[1],\"c\":"));
    CU_ASSERT_PTR_NOT_NULL(strstr(text, "\"tty\":\"?\",\"stime\":\"22:13\",\"time\":\""));
    CU_ASSERT_PTR_NOT_NULL(strstr(text, "\"cmd\":\"sleep\"}]"));
    text = client_call(&client, "containerManager.Event", "\"c1\"");
    CU_ASSERT_PTR_NOT_NULL(strstr(
        text,
        "\"result\":{\"event\":{\"type\":\"stats\",\"id\":\"c1\",\"data\":{\"cpu\":{\"usage\":{"));
    CU_ASSERT_PTR_NOT_NULL(strstr(
        text,
        "\"pids\":{\"current\":1},\"network_interfaces\":null}},\"containerUsage\":{\"c1\":"));
    EXPECT_ERROR(client_call(&client, "containerManager.Event", "\"x\""),
                 "container \"x\" not found");
    EXPECT_ERROR(client_call(&client, "containerManager.Processes", "\"x\""),
                 "container \"x\" not found");
    text = client_call(&client, "Proc.Ps", "{\"JSON\":true}");
    EXPECT(text, "{\"success\":true,\"err\":\"\",\"result\":\"[1]\"}");
    text = client_call(&client, "Usage.Collect", "{\"Full\":false}");
    CU_ASSERT_PTR_NOT_NULL(
        strstr(text, "\"System\":0,\"Anonymous\":0,\"PageCache\":0,\"Mapped\":0,"));
    text = client_call(&client, "debug.Stacks", "null");
    CU_ASSERT_PTR_NOT_NULL(strstr(text, "\"result\":\"cpu 0: "));
    CU_ASSERT_PTR_NOT_NULL(strstr(text, "\\ntask 1 sleep: running, asleep, system call 34\\n"));
    client_close(&client);
    bench_fini(&bench);
}

static void test_a_subcontainer_lives_and_goes(void)
{
    struct bench bench;
    struct client client;
    char arg[2048];
    int pipe[2];
    bench_init(&bench, SLEEPER);
    client_open(&client, &bench);
    snprintf(
        arg, sizeof arg,
        "{\"Spec\":%s,\"Conf\":{},\"CID\":\"c2\",\"GoferMountConfs\":[{\"lower\":1,\"upper\":1}]}",
        SLEEPER);
    EXPECT_ERROR(client_call(&client, "containerManager.StartSubcontainer", arg),
                 "start arguments must contain at least 4 FDs, but only got 0");
    EXPECT(client_call(&client, "containerManager.StartRoot", "\"c1\""), ANSWER_OK);
    EXPECT(client_call(&client, "containerManager.CreateSubcontainer", "{\"CID\":\"c2\"}"),
           ANSWER_OK);
    EXPECT_ERROR(client_call(&client, "containerManager.CreateSubcontainer", "{\"CID\":\"c2\"}"),
                 "container \"c2\" already exists");
    CU_ASSERT_EQUAL_FATAL(sim_pipe(bench.host, pipe), 0);
    int gofer = bench_gofer(&bench, "/rootfs");
    int fds[4] = {pipe[1], pipe[1], pipe[1], gofer};
    EXPECT(client_call_fds(&client, "containerManager.StartSubcontainer", arg, fds, 4), ANSWER_OK);
    sim_fd_close(bench.host, gofer);
    EXPECT(client_call(&client, "containerManager.ContainerRuntimeState", "\"c2\""),
           "{\"success\":true,\"err\":\"\",\"result\":2}");
    EXPECT(client_call(&client, "containerManager.DestroySubcontainer", "\"c2\""), ANSWER_OK);
    EXPECT_ERROR(client_call(&client, "containerManager.DestroySubcontainer", "\"c2\""),
                 "container \"c2\" not found");
    EXPECT(client_call(&client, "containerManager.ContainerRuntimeState", "\"c1\""),
           "{\"success\":true,\"err\":\"\",\"result\":2}");
    sim_fd_close(bench.host, pipe[0]);
    sim_fd_close(bench.host, pipe[1]);
    client_close(&client);
    bench_fini(&bench);
}

static void test_stop_lets_clients_go_and_then_closes_idle_ones(void)
{
    struct bench bench;
    struct client idle, late;
    bench_init(&bench, SLEEPER);
    client_open(&idle, &bench);
    EXPECT(client_call(&idle, "containerManager.ContainerRuntimeState", "\"c1\""),
           "{\"success\":true,\"err\":\"\",\"result\":1}");
    struct task *task;
    CU_ASSERT_EQUAL_FATAL(task_create_kernel(bench.kernel, "stop", bench_stop_main, &bench, &task),
                          0);
    CU_ASSERT_EQUAL_FATAL(task_start(task), 0);
    REF_PUT(task);
    bench_advance(&bench, 14 * NS_PER_S);
    EXPECT(client_call(&idle, "containerManager.ContainerRuntimeState", "\"c1\""),
           "{\"success\":true,\"err\":\"\",\"result\":1}");
    CU_ASSERT(sim_connect(bench.host, bench.listen_fd) < 0);
    bench_advance(&bench, 2 * NS_PER_S);
    client_read(&idle);
    CU_ASSERT(idle.is_over);
    (void)late;
    client_close(&idle);
    bench_fini(&bench);
}

static void test_stop_ends_a_call_that_waits_for_ever(void)
{
    struct bench bench;
    struct client client;
    bench_init(&bench, SLEEPER);
    client_open(&client, &bench);
    static const char call[] = "{\"method\":\"containerManager.WaitCheckpoint\",\"arg\":null}";
    client_send(&client, call, sizeof call - 1, NULL, 0);
    bench_run(&bench);
    CU_ASSERT_EQUAL(controller_connection_count(bench.controller), 1);
    struct task *task;
    CU_ASSERT_EQUAL_FATAL(task_create_kernel(bench.kernel, "stop", bench_stop_main, &bench, &task),
                          0);
    CU_ASSERT_EQUAL_FATAL(task_start(task), 0);
    REF_PUT(task);
    bench_advance(&bench, 20 * NS_PER_S);
    CU_ASSERT_EQUAL(controller_connection_count(bench.controller), 0);
    client_close(&client);
    bench_fini(&bench);
}

/* What Debian's client asked, and what its sandbox answered where that is
 * not chance. */
static void test_captured_calls_get_the_captured_answers(void)
{
    static const struct {
        const char *call, *answer;
    } cases[] = {
        {"{\"method\":\"containerManager.Signal\",\"arg\":{\"CID\":\"c1\",\"Signo\":0,\"PID\":0,"
         "\"Mode\":0}}",
         ANSWER_OK},
        {"{\"method\":\"Lifecycle.Pause\",\"arg\":null}", ANSWER_OK},
        {"{\"method\":\"Lifecycle.Resume\",\"arg\":null}", ANSWER_OK},
        {"{\"method\":\"containerManager.ExecuteAsync\",\"arg\":{\"filename\":\"\",\"argv\":[\"/"
         "bin/"
         "hello\",\"hello-exec\"],\"envv\":[\"PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/"
         "bin:/sbin:/bin\",\"TERM=xterm\"],\"MountNamespace\":null,\"wd\":\"/"
         "\",\"KUID\":0,\"KGID\":0,"
         "\"ExtraKGIDs\":[],\"Capabilities\":{\"PermittedCaps\":536871968,\"InheritableCaps\":"
         "536871968,\"EffectiveCaps\":536871968,\"BoundingCaps\":536871968,\"AmbientCaps\":0},"
         "\"StdioIsPty\":false,\"ContainerID\":\"c1\",\"PIDNamespace\":null,\"Limits\":null}}",
         "{\"success\":true,\"err\":\"\",\"result\":2}"},
        {"{\"method\":\"containerManager.WaitPID\",\"arg\":{\"PID\":2,\"CID\":\"c1\"}}",
         "{\"success\":true,\"err\":\"\",\"result\":1792}"},
        {"{\"method\":\"containerManager.ListTraceSessions\",\"arg\":null}",
         "{\"success\":true,\"err\":\"\",\"result\":null}"},
    };
    struct bench bench;
    struct client client;
    bench_init(&bench, SLEEPER);
    client_open(&client, &bench);
    EXPECT(client_call(&client, "containerManager.StartRoot", "\"c1\""), ANSWER_OK);
    for (size_t i = 0; i < ARRAY_COUNT(cases); i++) {
        int fds[3] = {bench.out_fd, bench.out_fd, bench.out_fd};
        bool is_exec = strstr(cases[i].call, "ExecuteAsync") != NULL;
        client_send(&client, cases[i].call, strlen(cases[i].call), fds, is_exec ? 3 : 0);
        bench_run(&bench);
        EXPECT(client_read(&client), cases[i].answer);
    }
    client_close(&client);
    bench_fini(&bench);
}

/* What the client's death must not leave behind: a call that changes things runs to its end. */
static void test_a_pod_is_destroyed_though_the_client_has_gone(void)
{
    struct bench bench;
    struct client client, other;
    bench_init(&bench, SLEEPER);
    client_open(&client, &bench);
    client_open(&other, &bench);
    EXPECT(client_call(&client, "containerManager.StartRoot", "\"c1\""), ANSWER_OK);
    static const char call[] =
        "{\"method\":\"containerManager.Signal\",\"arg\":{\"CID\":\"c1\",\"Signo\":9,\"Mode\":1}}";
    client_send(&client, call, sizeof call - 1, NULL, 0);
    client_close(&client);
    bench_run(&bench);
    EXPECT(client_call(&other, "containerManager.Wait", "\"c1\""),
           "{\"success\":true,\"err\":\"\",\"result\":9}");
    client_close(&other);
    bench_fini(&bench);
}

static void test_the_end_of_the_gofer_is_the_containers(void)
{
    struct bench bench;
    struct client client;
    bench_init(&bench, SLEEPER);
    client_open(&client, &bench);
    EXPECT(client_call(&client, "containerManager.StartRoot", "\"c1\""), ANSWER_OK);
    EXPECT(client_call(&client, "containerManager.Wait", "\"c1\""), "");
    bench_gofer_end(&bench.gofers[0]);
    bench_run(&bench);
    EXPECT(client_read(&client), "{\"success\":true,\"err\":\"\",\"result\":9}");
    client_close(&client);
    bench_fini(&bench);
}

void controller_suite(void)
{
    CU_pSuite suite = CU_add_suite("controller", NULL, NULL);
    CU_ADD_TEST(suite, test_a_root_container_starts_runs_and_is_waited_for);
    CU_ADD_TEST(suite, test_the_order_of_checks_is_the_wires);
    CU_ADD_TEST(suite, test_two_clients_are_served_independently);
    CU_ADD_TEST(suite, test_a_dead_client_ends_its_pending_call_and_nothing_else);
    CU_ADD_TEST(suite, test_a_client_may_die_after_any_byte);
    CU_ADD_TEST(suite, test_fragments_of_any_size_are_served);
    CU_ADD_TEST(suite, test_exec_runs_beside_the_first_process);
    CU_ADD_TEST(suite, test_exec_refuses_what_does_not_fit);
    CU_ADD_TEST(suite, test_pauses_nest_and_one_resume_too_many_is_an_error);
    CU_ADD_TEST(suite, test_signals_find_their_processes_or_say_why_not);
    CU_ADD_TEST(suite, test_ps_and_events_show_the_container);
    CU_ADD_TEST(suite, test_a_subcontainer_lives_and_goes);
    CU_ADD_TEST(suite, test_stop_lets_clients_go_and_then_closes_idle_ones);
    CU_ADD_TEST(suite, test_stop_ends_a_call_that_waits_for_ever);
    CU_ADD_TEST(suite, test_the_end_of_the_gofer_is_the_containers);
    CU_ADD_TEST(suite, test_captured_calls_get_the_captured_answers);
    CU_ADD_TEST(suite, test_a_pod_is_destroyed_though_the_client_has_gone);
}

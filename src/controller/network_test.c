/* SPDX-License-Identifier: Apache-2.0 */
/* What Network's methods make: objects that programs see, and another stack for sockets. */
#include "controller/internal.h"
#include "controller/testing.h"
#include "sentry/net/net.h"
#include "sentry/net/ns.h"
#include "sentry/net/plugin.h"

#define SLEEPER BENCH_SPEC("\"sleep\"", "")
#define LINKS "Network.CreateLinksAndRoutes"
#define FULL                                                                                       \
    "{\"LoopbackLinks\":[{\"Name\":\"lo\",\"Addresses\":[{\"Address\":\"127.0.0.1\",\"PrefixLen\"" \
    ":8},{\"Address\":\"::1\",\"PrefixLen\":128}],\"Routes\":[{\"Destination\":{\"IP\":\"127.0.0"  \
    ".0\",\"Mask\":\"/wAAAA==\"}}]},{\"Name\":\"lo1\",\"Addresses\":[{\"Address\":\"10.77.0.1\","  \
    "\"PrefixLen\":32}]}],\"FDBasedLinks\":[{\"Name\":\"eth0\",\"MTU\":1400,\"LinkAddress\":"      \
    "\"AgAAAAAB\",\"Addresses\":[{\"Address\":\"10.1.0.2\",\"PrefixLen\":24},{\"Address\":"        \
    "\"fd00::2\",\"PrefixLen\":64}],\"Routes\":[{\"Destination\":{\"IP\":\"10.9.0.0\",\"Mask\":"   \
    "\"//8AAA==\"},\"Gateway\":\"10.1.0.1\"}],\"Neighbors\":[{\"IP\":\"10.1.0.1\","                \
    "\"HardwareAddr\":\"AgAAAAAC\"}]}],\"Defaultv4Gateway\":{\"Route\":{\"Gateway\":\"10.1.0.1\"}" \
    ",\"Name\":\"eth0\"},\"Defaultv6Gateway\":{\"Route\":{\"Gateway\":\"fd00::1\"},\"Name\":"      \
    "\"eth0\"}}"

/* /proc/net/NAME as the first process reads it. */
static const char *proc_net(struct bench *bench, const char *name)
{
    static char text[8192];
    struct arena heap;
    AUTO_BUF struct buf out;
    struct task *task = NULL, *each;
    heap_arena_init(&heap);
    buf_init(&out, &heap, 0);
    list_for_each (each, &bench->kernel->tasks, kernel_link)
        if (!each->is_kernel)
            task = each;
    CU_ASSERT_PTR_NOT_NULL_FATAL(task);
    CU_ASSERT_EQUAL(net_proc_show(task, name, &out), 0);
    snprintf(text, sizeof text, "%s", buf_text(&out));
    return text;
}

static void expect_line(struct bench *bench, const char *name, const char *line)
{
    const char *text = proc_net(bench, name);
    if (!strstr(text, line))
        fprintf(stderr, "/proc/net/%s has no '%s':\n%s\n", name, line, text);
    CU_ASSERT_PTR_NOT_NULL(strstr(text, line));
}

static void expect_objects(struct bench *bench)
{
    struct net_ns *ns = bench->kernel->net->root_ns;
    CU_ASSERT_EQUAL(ns->link_count, 3);
    CU_ASSERT_EQUAL(ns->address_count, 5);
    CU_ASSERT_EQUAL(ns->neighbour_count, 1);
    CU_ASSERT_EQUAL(ns->route_count, 5); /* two that come with addresses, one, two defaults */
    const struct net_link *link = net_link_find_name(ns, "eth0");
    CU_ASSERT_PTR_NOT_NULL_FATAL(link);
    CU_ASSERT(link->mtu == 1400 && link->flags & LINUX_IFF_UP);
    CU_ASSERT(memcmp(link->hardware, "\2\0\0\0\0\1", 6) == 0);
    expect_line(bench, "dev", "  eth0:");
    expect_line(bench, "dev", "   lo1:");
    expect_line(bench, "route", "eth0\t00000000\t0100010A\t0003\t0\t0\t0\t00000000");
    expect_line(bench, "route", "eth0\t0000090A\t0100010A\t0003\t0\t0\t0\t0000FFFF");
    expect_line(bench, "route", "eth0\t0000010A\t00000000\t0001\t0\t0\t0\t00FFFFFF");
    CU_ASSERT_PTR_NULL(strstr(proc_net(bench, "route"), "lo\t"));
    expect_line(bench, "if_inet6", "fd000000000000000000000000000002 03 40 00 80     eth0");
    expect_line(bench, "arp", "10.1.0.1");
    expect_line(bench, "arp", "02:00:00:00:00:02");
}

static void test_links_and_routes_are_objects_that_programs_see(void)
{
    struct bench bench;
    struct client client;
    bench_init(&bench, SLEEPER);
    client_open(&client, &bench);
    EXPECT(client_call(&client, LINKS, FULL), ANSWER_OK);
    EXPECT(client_call(&client, "containerManager.StartRoot", "\"c1\""), ANSWER_OK);
    expect_objects(&bench);
    EXPECT(client_call(&client, "containerManager.SetNetworkArgs", FULL), ANSWER_OK);
    expect_objects(&bench); /* again is no error and no second time */
    client_close(&client);
    bench_fini(&bench);
}

static void test_what_is_refused_has_made_nothing(void)
{
    struct bench bench;
    struct client client;
    bench_init(&bench, SLEEPER);
    client_open(&client, &bench);
    EXPECT_ERROR(client_call(&client, LINKS,
                             "{\"FDBasedLinks\":[{\"Name\":\"eth0\"},{\"Name\":\"eth1\","
                             "\"Addresses\":[{\"Address\":\"x\"}]}]}"),
                 "invalid IP address: x");
    EXPECT_ERROR(client_call_fds(&client, LINKS,
                                 "{\"FDBasedLinks\":[{\"Name\":\"eth0\",\"NumChannels\":1}]}",
                                 &bench.out_fd, 1),
                 "only loopback interfaces are supported: run with --network=none");
    CU_ASSERT_EQUAL(bench.kernel->net->root_ns->link_count, 1);
    const char *none = client_call(&client, "containerManager.GetNetworkConfig", "null");
    CU_ASSERT_PTR_NOT_NULL(strstr(none, "\"result\":{\"LoopbackLinks\":null,"));
    client_close(&client);
    bench_fini(&bench);
}

static void test_the_arguments_come_back_as_they_were_understood(void)
{
    struct bench bench;
    struct client client;
    bench_init(&bench, SLEEPER);
    client_open(&client, &bench);
    EXPECT(client_call(&client, "containerManager.SetNetworkArgs", FULL), ANSWER_OK);
    char *first = strdup(client_call(&client, "containerManager.GetNetworkConfig", "null"));
    CU_ASSERT_PTR_NOT_NULL(strstr(first, "\"LinkAddress\":\"AgAAAAAB\""));
    CU_ASSERT_PTR_NOT_NULL(strstr(first, "{\"Address\":\"fd00::2\",\"PrefixLen\":64}"));
    char *result = strdup(strstr(first, "\"result\":") + 9);
    result[strlen(result) - 1] = '\0';
    EXPECT(client_call(&client, "containerManager.SetNetworkArgs", result), ANSWER_OK);
    EXPECT(client_call(&client, "containerManager.GetNetworkConfig", "null"), first);
    free(result);
    free(first);
    client_close(&client);
    bench_fini(&bench);
}

static void test_addresses_are_read_as_people_write_them(void)
{
    static const struct {
        const char *text;
        u8 bytes[16];
        bool is_good;
    } rows[] = {
        {"1.2.3.4", {0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 255, 255, 1, 2, 3, 4}, true},
        {"::ffff:1.2.3.4", {0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 255, 255, 1, 2, 3, 4}, true},
        {"::", {0}, true},
        {"::1", {[15] = 1}, true},
        {"1::", {0, 1}, true},
        {"fe80::1:2", {0xfe, 0x80, [13] = 1, [15] = 2}, true},
        {"1:2:3:4:5:6:7:8", {0, 1, 0, 2, 0, 3, 0, 4, 0, 5, 0, 6, 0, 7, 0, 8}, true},
        {"", {0}, false},
        {"1.2.3", {0}, false},
        {"1.2.3.4.5", {0}, false},
        {"1.2.3.256", {0}, false},
        {"01.2.3.4", {0}, false},
        {"1.2.3.4 ", {0}, false},
        {":", {0}, false},
        {":::", {0}, false},
        {"1:2:3:4:5:6:7", {0}, false},
        {"1:2:3:4:5:6:7:8:9", {0}, false},
        {"1:2:3:4:5:6:7::8", {0}, false},
        {"1::2::3", {0}, false},
        {"12345::", {0}, false},
        {"1:2:3:4:5:6:7:", {0}, false},
        {"::1%eth0", {0}, false},
        {"1:2:3:4:5:6:7:1.2.3.4", {0}, false},
    };
    for (size_t i = 0; i < ARRAY_COUNT(rows); i++) {
        struct ip ip = {{0}};
        bool is_good = ip_parse(rows[i].text, &ip);
        if (is_good != rows[i].is_good || memcmp(ip.bytes, rows[i].bytes, 16) != 0)
            fprintf(stderr, "'%s' is read wrongly\n", rows[i].text);
        CU_ASSERT_EQUAL(is_good, rows[i].is_good);
        CU_ASSERT(memcmp(ip.bytes, rows[i].bytes, 16) == 0);
    }
    CU_ASSERT_EQUAL(ip_mask_prefix((const u8[]){255, 255, 240, 0}, 4), 20);
    CU_ASSERT_EQUAL(ip_mask_prefix((const u8[]){0, 0, 0, 0}, 4), 0);
    CU_ASSERT_EQUAL(ip_mask_prefix((const u8[]){255, 0, 255, 0}, 4), -1);
}

/* ---- another stack -------------------------------------------------------------------------- */

struct toy {
    char text[32];
    u32 fd_count, created;
    int answer;
};

SLEEPS static int toy_init(const struct net_plugin *plugin, struct task *task, const char *text,
                           const int *fds, u32 fd_count)
{
    struct toy *toy = plugin->owner;
    snprintf(toy->text, sizeof toy->text, "%s", text);
    toy->fd_count = fd_count;
    host_close_fds(task->kernel->host, fds, fd_count);
    return toy->answer;
}

static int toy_create(const struct net_plugin *plugin, struct task *task, i32 domain, i32 type,
                      i32 protocol, struct socket **out)
{
    struct toy *toy = plugin->owner;
    toy->created++;
    return -EPROTONOSUPPORT;
}

static void test_another_stack_makes_internet_sockets(void)
{
    struct bench bench;
    struct client client;
    struct toy toy = {.answer = -EIO};
    const struct net_plugin plugin = {
        .name = "toy", .owner = &toy, .init = toy_init, .create = toy_create};
    struct program program = {0};
    bench_init(&bench, BENCH_SPEC("\"/bin/socket\"", ""));
    program_call(&program, 41, 3, (u64[]){2, 1, 0});
    program_call(&program, 41, 3, (u64[]){10, 2, 0});
    program_call(&program, 41, 3, (u64[]){1, 1, 0});
    program_exit(&program, 0);
    program_install(&program, bench.host, "/rootfs/bin/socket");
    client_open(&client, &bench);
    EXPECT_ERROR(client_call(&client, "Network.InitPluginStack", "{\"InitStr\":\"a\"}"),
                 "plugin stack is not registered");
    bench.kernel->net->plugin = &plugin;
    EXPECT_ERROR(client_call(&client, "Network.InitPluginStack", "{\"InitStr\":\"a\"}"),
                 "initializing the plugin stack: input/output error");
    toy.answer = 0;
    EXPECT(client_call_fds(&client, "Network.InitPluginStack", "{\"InitStr\":\"b\"}", &bench.out_fd,
                           1),
           ANSWER_OK);
    CU_ASSERT_STRING_EQUAL(toy.text, "b");
    CU_ASSERT_EQUAL(toy.fd_count, 1);
    EXPECT_ERROR(client_call(&client, "Network.InitPluginStack", "{}"),
                 "initializing the plugin stack: device or resource busy");
    EXPECT(client_call(&client, "containerManager.StartRoot", "\"c1\""), ANSWER_OK);
    CU_ASSERT_EQUAL(toy.created, 2); /* unix sockets stay the sandbox's */
    client_close(&client);
    bench_fini(&bench);
}

void network_suite(void)
{
    CU_pSuite suite = CU_add_suite("controller/network", NULL, NULL);
    CU_ADD_TEST(suite, test_links_and_routes_are_objects_that_programs_see);
    CU_ADD_TEST(suite, test_what_is_refused_has_made_nothing);
    CU_ADD_TEST(suite, test_the_arguments_come_back_as_they_were_understood);
    CU_ADD_TEST(suite, test_addresses_are_read_as_people_write_them);
    CU_ADD_TEST(suite, test_another_stack_makes_internet_sockets);
}

/* SPDX-License-Identifier: Apache-2.0 */
/* What only the simulated host has: seeds, faults, space, pieces, damage, and an account of what is
 * left. */
#include "host/sim/sim.h"

#include "base/arena_plain.h"
#include "host/contract_env.h"

#include <CUnit/CUnit.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>

/* ---- the environment of the contract tests ---- */

static u32 count_fds(struct env *env)
{
    struct sim_leaks leaks;
    sim_leaks(env->host, &leaks);
    return leaks.fds;
}

static int make_pipe(struct env *env, int fds[2])
{
    return sim_pipe(env->host, fds);
}

static int make_terminal(struct env *env, int fds[2])
{
    return sim_terminal(env->host, fds);
}

static int make_listener(struct env *env, const char *name)
{
    char path[128];
    snprintf(path, sizeof path, "%s/%s", env->path, name);
    return sim_listen(env->host, path);
}

static void env_fini(struct env *env)
{
    host_file_put(env->dir);
    CU_ASSERT_EQUAL(sim_leak_count(env->host), 0);
    host_put(env->host);
}

void env_sim_init(struct env *env)
{
    *env = (struct env){
        .make_pipe = make_pipe,
        .make_terminal = make_terminal,
        .make_listener = make_listener,
        .count_fds = count_fds,
        .fini = env_fini,
        .path = "/share/dir",
    };
    const struct sim_config config = {
        .seed = 1, .epoch_ns = 1767225600000000000, .fill_byte = 0x5a};
    env->host = host_sim_create(&config);
    CU_ASSERT_EQUAL_FATAL(sim_put_directory(env->host, env->path, 0755), 0);
    CU_ASSERT_EQUAL_FATAL(
        host_open_path(env->host, env->path, O_RDONLY | O_DIRECTORY, 0, &env->dir), 0);
}

/* ---- helpers ---- */

static struct host *sim_with(u64 seed)
{
    const struct sim_config config = {
        .seed = seed, .epoch_ns = 1767225600000000000, .fill_byte = 0xa5};
    return host_sim_create(&config);
}

static struct host_file *open_good(struct host *host, const char *path, int flags)
{
    struct host_file *file = NULL;
    CU_ASSERT_EQUAL_FATAL(host_open_path(host, path, flags, 0644, &file), 0);
    return file;
}

static int open_and_put(struct host *host, const char *path, int flags)
{
    struct host_file *file;
    int err = host_open_path(host, path, flags, 0644, &file);
    if (!err)
        host_file_put(file);
    return err;
}

/* ---- seeds ---- */

struct order {
    char text[64];
    size_t used;
};

struct numbered {
    struct host_op op;
    struct order *order;
    char name;
};

static void numbered_done(struct host_op *op)
{
    struct numbered *numbered = container_of(op, struct numbered, op);
    numbered->order->text[numbered->order->used++] = numbered->name;
}

/* The order in which eight writes to the same byte complete, and the byte that is left. */
static void run_eight(u64 seed, struct order *order)
{
    struct host *host = sim_with(seed);
    struct host_file *file = open_good(host, "/f", O_RDWR | O_CREAT);
    struct numbered writes[8];
    *order = (struct order){.used = 0};
    for (int i = 0; i < 8; i++) {
        writes[i] = (struct numbered){.order = order, .name = (char)('a' + i)};
        writes[i].op = (struct host_op){.type = HOST_OP_PWRITE,
                                        .file = file,
                                        .iov_count = 1,
                                        .iov = {{&writes[i].name, 1}},
                                        .done = numbered_done};
        if (host_submit(host, &writes[i].op))
            order->text[order->used++] = (char)('A' + i);
    }
    while (host_pending_count(host))
        host_reap(host);
    CU_ASSERT_EQUAL(order->used, 8);
    char last;
    CU_ASSERT_EQUAL(host_pread(file, &last, 1, 0), 1);
    CU_ASSERT_EQUAL(last | 0x20, order->text[7] | 0x20); /* an operation acts when it completes */
    host_file_put(file);
    host_put(host);
}

static void the_seed_decides_the_order_of_completions(void)
{
    struct order first, again;
    bool differs = false;
    for (u64 seed = 1; seed < 6; seed++) {
        run_eight(seed, &first);
        run_eight(seed, &again);
        CU_ASSERT_STRING_EQUAL(first.text, again.text);
        run_eight(seed + 100, &again);
        differs |= strcmp(first.text, again.text) != 0;
    }
    CU_ASSERT_TRUE(differs);
}

static void named_streams_do_not_disturb_each_other(void)
{
    struct host *a = sim_with(3);
    struct host *b = sim_with(3);
    u8 bytes[2][16];
    for (int i = 0; i < 50; i++)
        (void)host_choose(a, "sched", 7);
    CU_ASSERT_EQUAL(host_entropy(a, bytes[0], 16), 0);
    CU_ASSERT_EQUAL(host_entropy(b, bytes[1], 16), 0);
    CU_ASSERT_EQUAL(memcmp(bytes[0], bytes[1], 16), 0);
    for (int i = 0; i < 20; i++)
        CU_ASSERT_EQUAL(host_choose(a, "fault", 1000), host_choose(b, "fault", 1000));
    host_put(a);
    host_put(b);
}

struct decider {
    u32 asked;
    bool reverses;
};

static u32 decide(void *arg, const char *stream, u32 count, u32 drawn)
{
    struct decider *decider = arg;
    CU_ASSERT_TRUE(count > 1 && drawn < count);
    decider->asked++;
    return decider->reverses ? count - 1 : drawn;
}

static void each_draw_can_be_recorded_and_replaced(void)
{
    struct decider decider = {.reverses = true};
    const struct sim_config config = {.seed = 1, .decide = decide, .decide_arg = &decider};
    struct host *host = host_sim_create(&config);
    CU_ASSERT_EQUAL(host_choose(host, "sched", 5), 4);
    CU_ASSERT_EQUAL(host_choose(host, "sched", 1), 0);
    CU_ASSERT_EQUAL(decider.asked, 1); /* one candidate is no choice */
    host_put(host);
}

/* ---- time ---- */

static void time_moves_only_when_it_is_moved(void)
{
    struct host *host = sim_with(1);
    CU_ASSERT_EQUAL(host_monotonic_ns(host), NS_PER_S);
    CU_ASSERT_EQUAL(host_realtime_ns(host), 1767225600000000000u);
    host_wait(host, NO_DEADLINE);
    CU_ASSERT_EQUAL(host_monotonic_ns(host), NS_PER_S);
    host_clock_advance(host, 3 * NS_PER_S);
    host_clock_advance(host, 2 * NS_PER_S); /* never back */
    CU_ASSERT_EQUAL(host_monotonic_ns(host), 3 * NS_PER_S);
    CU_ASSERT_EQUAL(host_realtime_ns(host), 1767225602000000000u);
    sim_clock_jump(host, -(i64)NS_PER_S);
    CU_ASSERT_EQUAL(host_realtime_ns(host), 1767225601000000000u);
    sim_clock_drift(host, 1000); /* a thousandth faster */
    CU_ASSERT_EQUAL(host_realtime_ns(host), 1767225601000000000u);
    host_clock_advance(host, 13 * NS_PER_S);
    CU_ASSERT_EQUAL(host_realtime_ns(host), 1767225611010000000u);
    host_put(host);
}

/* ---- faults ---- */

static void faults_count_paths_times_and_arming(void)
{
    struct host *host = sim_with(1);
    CU_ASSERT_EQUAL(sim_put_directory(host, "/img/a", 0755), 0);
    CU_ASSERT_EQUAL(sim_put_directory(host, "/other", 0755), 0);
    struct host_file *file = open_good(host, "/img/a/pages", O_RDWR | O_CREAT);
    struct host_file *other = open_good(host, "/other/x", O_RDWR | O_CREAT);
    const struct sim_fault fault = {
        .id = "eio", .at = "host.write", .path = "/img/**", .nth = 3, .error = EIO, .times = 2};
    CU_ASSERT_EQUAL(sim_fault_add(host, &fault), 0);
    CU_ASSERT_EQUAL(sim_fault_add(host, &fault), -EEXIST);
    const struct sim_fault bad = {.id = "x", .at = "host.nonsense"};
    CU_ASSERT_EQUAL(sim_fault_add(host, &bad), -EINVAL);
    for (int i = 0; i < 5; i++)
        CU_ASSERT_EQUAL(host_pwrite(file, "x", 1, 0), 1); /* not armed */
    CU_ASSERT_TRUE(sim_fault_arm(host, "eio", true));
    CU_ASSERT_FALSE(sim_fault_arm(host, "none", true));
    for (int i = 1; i <= 6; i++) {
        CU_ASSERT_EQUAL(host_pwrite(other, "x", 1, 0), 1);
        CU_ASSERT_EQUAL(host_pwrite(file, "x", 1, 0), i == 3 || i == 4 ? -EIO : 1);
    }
    CU_ASSERT_EQUAL(sim_fault_hits(host, "eio"), 2);
    CU_ASSERT_TRUE(sim_fault_arm(host, "all", true)); /* counts anew */
    CU_ASSERT_EQUAL(host_pwrite(file, "x", 1, 0), 1);
    CU_ASSERT_TRUE(sim_fault_arm(host, "all", false));
    for (int i = 0; i < 5; i++)
        CU_ASSERT_EQUAL(host_pwrite(file, "x", 1, 0), 1);
    CU_ASSERT_EQUAL(sim_call_count(host, SIM_CALL_write), 5 + 12 + 1 + 5);
    CU_ASSERT_EQUAL(sim_call_count(host, SIM_CALL_open), 2);
    CU_ASSERT_EQUAL(sim_call_total(host), 25);
    host_file_put(file);
    host_file_put(other);
    host_put(host);
}

static void a_write_may_be_short_or_torn(void)
{
    struct host *host = sim_with(1);
    struct host_file *file = open_good(host, "/f", O_RDWR | O_CREAT);
    const struct sim_fault shorter = {
        .id = "s", .at = "host.write", .short_size = 3, .times = 1, .is_armed = true};
    CU_ASSERT_EQUAL(sim_fault_add(host, &shorter), 0);
    CU_ASSERT_EQUAL(host_pwrite(file, "abcdef", 6, 0), 3);
    CU_ASSERT_EQUAL(host_pwrite(file, "abcdef", 6, 0), 6);
    sim_fault_remove_all(host);
    const struct sim_fault torn = {.id = "t", .at = "host.write", .torn = true, .is_armed = true};
    CU_ASSERT_EQUAL(sim_fault_add(host, &torn), 0);
    char big[1000];
    memset(big, 'x', sizeof big);
    CU_ASSERT_EQUAL(host_pwrite(file, big, sizeof big, 6), -EIO);
    struct host_stat stat;
    CU_ASSERT_EQUAL(host_stat(file, &stat), 0);
    CU_ASSERT_TRUE(stat.size > 6 && stat.size < 1006); /* this seed tears in the middle */
    host_file_put(file);
    host_put(host);
}

static void a_delayed_operation_waits_for_virtual_time(void)
{
    struct host *host = sim_with(1);
    struct host_file *file = open_good(host, "/f", O_RDWR | O_CREAT);
    const struct sim_fault late = {
        .id = "l", .at = "host.sync", .delay_ns = 500, .error = EIO, .times = 1, .is_armed = true};
    CU_ASSERT_EQUAL(sim_fault_add(host, &late), 0);
    struct order order = {.used = 0};
    struct numbered sync = {.order = &order, .name = 's'};
    sync.op = (struct host_op){.type = HOST_OP_SYNC, .file = file, .done = numbered_done};
    CU_ASSERT_FALSE(host_submit(host, &sync.op));
    u64 due = host_monotonic_ns(host) + 500;
    CU_ASSERT_EQUAL(host_reap(host), 0);
    CU_ASSERT_EQUAL(host_next_completion_ns(host), due);
    host_clock_advance(host, due);
    CU_ASSERT_EQUAL(host_next_completion_ns(host), NO_DEADLINE);
    CU_ASSERT_EQUAL(host_reap(host), 1);
    CU_ASSERT_EQUAL(sync.op.result, -EIO);
    host_file_put(file);
    host_put(host);
}

static void allocations_and_entropy_fail_as_planned(void)
{
    struct host *host = sim_with(1);
    struct arena *arena = host_arena_create(host, 0);
    const struct sim_fault alloc = {
        .id = "a", .at = "alloc", .nth = 2, .times = 1, .is_armed = true};
    const struct sim_fault entropy = {.id = "e", .at = "entropy", .times = 1, .is_armed = true};
    CU_ASSERT_EQUAL(sim_fault_add(host, &alloc), 0);
    CU_ASSERT_EQUAL(sim_fault_add(host, &entropy), 0);
    void *a = arena_alloc(arena, 10);
    CU_ASSERT_PTR_NOT_NULL(a);
    CU_ASSERT_PTR_NULL(arena_alloc(arena, 10));
    void *b = arena_alloc(arena, 10);
    CU_ASSERT_PTR_NOT_NULL(b);
    arena_free(arena, a, 10);
    arena_free(arena, b, 10);
    CU_ASSERT_EQUAL(sim_alloc_total(host), 3);
    u8 bytes[8];
    CU_ASSERT_EQUAL(host_entropy(host, bytes, 8), -EIO);
    CU_ASSERT_EQUAL(host_entropy(host, bytes, 8), 0);
    host_arena_destroy(host, arena);
    host_put(host);
}

/* A little of everything; must end clean whatever fails. Returns false if the n-th call was never
 * reached. */
static void do_a_little_of_everything(struct host *host)
{
    struct host_file *dir = NULL, *file = NULL;
    struct host_stream *a = NULL, *b = NULL;
    struct host_stat stat;
    if (host_open_path(host, "/", O_RDONLY | O_DIRECTORY, 0, &dir))
        return;
    (void)!host_mkdir_at(dir, "d", 0755);
    (void)!host_symlink_at(dir, "s", "d");
    if (host_open_at(dir, "f", O_RDWR | O_CREAT, 0600, &file) == 0) {
        (void)!host_pwrite(file, "x", 1, 0);
        (void)!host_stat(file, &stat);
        (void)!host_link_at(file, dir, "g");
        (void)!host_set_xattr(file, "user.a", "b", 1, 0);
        int fd = host_file_fd(file);
        if (host_stream_pair(host, SOCK_STREAM, &a, &b) == 0) {
            (void)!host_stream_write(a, "x", 1, &fd, 1);
            int got;
            u32 count = 1;
            char byte;
            if (host_stream_read(b, &byte, 1, &got, &count) >= 0)
                host_close_fds(host, &got, count);
            host_stream_put(a);
            host_stream_put(b);
        }
        host_file_put(file);
    }
    (void)!host_rename_at(dir, "f", dir, "h", 0);
    (void)!host_unlink_at(dir, "g", 0);
    host_file_put(dir);
}

static void any_single_call_may_fail(void)
{
    struct host *host = sim_with(1);
    do_a_little_of_everything(host);
    u64 total = sim_call_total(host);
    CU_ASSERT_EQUAL(sim_leak_count(host), 0);
    host_put(host);
    CU_ASSERT_TRUE(total > 10);
    for (u64 nth = 1; nth <= total; nth++)
        for (u64 times = 0; times < 2; times++) {
            host = sim_with(1);
            const struct sim_fault fault = {.id = "n",
                                            .at = "host.*",
                                            .nth = nth,
                                            .times = times,
                                            .error = EIO,
                                            .is_armed = true};
            CU_ASSERT_EQUAL(sim_fault_add(host, &fault), 0);
            do_a_little_of_everything(host);
            CU_ASSERT_TRUE(sim_fault_hits(host, "n") >= 1);
            CU_ASSERT_EQUAL(sim_leak_count(host), 0);
            host_put(host);
        }
}

/* ---- files ---- */

static void the_engine_sees_and_makes_files_by_path(void)
{
    struct host *host = sim_with(1);
    struct arena *arena = arena_plain_create();
    struct buf buf;
    buf_init(&buf, arena, 0);
    CU_ASSERT_EQUAL(sim_put_file(host, "/a/b/c.txt", "content", 7, 0600), 0);
    CU_ASSERT_EQUAL(sim_put_symlink(host, "/link", "a/b"), 0);
    CU_ASSERT_EQUAL(sim_put_symlink(host, "/loop", "loop"), 0);
    CU_ASSERT_EQUAL(sim_get_file(host, "/link/c.txt", &buf), 0);
    CU_ASSERT_STRING_EQUAL(buf_text(&buf), "content");
    buf_clear(&buf);
    CU_ASSERT_EQUAL(sim_get_symlink(host, "/link", &buf), 0);
    CU_ASSERT_STRING_EQUAL(buf_text(&buf), "a/b");
    CU_ASSERT_EQUAL(sim_get_file(host, "/loop/x", &buf), -ELOOP);
    CU_ASSERT_EQUAL(sim_get_file(host, "/a/b", &buf), -EISDIR);
    CU_ASSERT_EQUAL(sim_get_file(host, "/a/../a/./b//none", &buf), -ENOENT);
    CU_ASSERT_EQUAL(sim_get_file(host, "/a/b/c.txt/d", &buf), -ENOTDIR);
    CU_ASSERT_EQUAL(open_and_put(host, "/link", O_RDONLY), 0); /* host_open_path follows */
    CU_ASSERT_EQUAL(sim_damage_bit(host, "/a/b/c.txt", 0), 0);
    buf_clear(&buf);
    CU_ASSERT_EQUAL(sim_get_file(host, "/a/b/c.txt", &buf), 0);
    CU_ASSERT_STRING_EQUAL(buf_text(&buf), "bontent");
    CU_ASSERT_EQUAL(sim_damage_truncate(host, "/a/b/c.txt", 3), 0);
    CU_ASSERT_EQUAL(sim_damage_bytes(host, "/a/b/c.txt", 2, "xy", 2), -EINVAL);
    CU_ASSERT_EQUAL(sim_damage_bit(host, "/a/b/c.txt", 24), -EINVAL);
    CU_ASSERT_EQUAL(sim_remove(host, "/a"), 0);
    struct host_stat stat;
    CU_ASSERT_EQUAL(sim_get_stat(host, "/a", &stat), -ENOENT);
    buf_fini(&buf);
    arena_plain_destroy(arena);
    host_put(host);
}

static void append_path(void *arg, const char *path, const struct host_stat *stat)
{
    strcat(arg, path);
    strcat(arg, S_ISDIR(stat->mode) ? "/ " : " ");
}

static void a_walk_is_sorted(void)
{
    struct host *host = sim_with(1);
    CU_ASSERT_EQUAL(sim_put_file(host, "/d/z", "", 0, 0600), 0);
    CU_ASSERT_EQUAL(sim_put_file(host, "/d/a/x", "", 0, 0600), 0);
    CU_ASSERT_EQUAL(sim_put_file(host, "/d/m", "", 0, 0600), 0);
    char text[256] = "";
    CU_ASSERT_EQUAL(sim_walk(host, "/d", append_path, text), 0);
    CU_ASSERT_STRING_EQUAL(text, "/d/ /d/a/ /d/a/x /d/m /d/z ");
    host_put(host);
}

static void space_runs_out_and_comes_back(void)
{
    struct host *host = sim_with(1);
    CU_ASSERT_EQUAL(sim_put_file(host, "/img/old", "x", 1, 0600), 0);
    CU_ASSERT_EQUAL(sim_space_limit(host, "/img", 16384), 0);
    CU_ASSERT_EQUAL(sim_space_used(host, "/img"), 4096);
    struct host_file *file = open_good(host, "/img/new", O_RDWR | O_CREAT);
    static char block[32768];
    CU_ASSERT_EQUAL(host_pwrite(file, block, sizeof block, 0), 12288); /* what fits */
    CU_ASSERT_EQUAL(host_pwrite(file, block, 1, 12288), -ENOSPC);
    CU_ASSERT_EQUAL(host_pwrite(file, block, 1, 100), 1); /* in place */
    struct host_statfs figures;
    CU_ASSERT_EQUAL(host_statfs(file, &figures), 0);
    CU_ASSERT_EQUAL(figures.blocks, 4);
    CU_ASSERT_EQUAL(figures.blocks_free, 0);
    CU_ASSERT_EQUAL(sim_remove(host, "/img/old"), 0);
    CU_ASSERT_EQUAL(host_pwrite(file, block, 1, 12288), 1);
    CU_ASSERT_EQUAL(sim_put_directory(host, "/img/sub", 0755), 0);
    CU_ASSERT_EQUAL(sim_space_limit(host, "/img/sub", UINT64_MAX), 0);
    CU_ASSERT_EQUAL(sim_put_file(host, "/img/sub/x", "x", 1, 0600),
                    -ENOSPC); /* the outer limit counts too */
    CU_ASSERT_EQUAL(sim_space_limit(host, "/img", UINT64_MAX), 0);
    CU_ASSERT_EQUAL(sim_put_file(host, "/img/sub/x", "x", 1, 0600), 0);
    struct host_file *root = open_good(host, "/", O_RDONLY | O_DIRECTORY);
    struct host_file *img = open_good(host, "/img", O_RDONLY | O_DIRECTORY);
    CU_ASSERT_EQUAL(host_rename_at(img, "new", root, "new", 0), -EXDEV);
    CU_ASSERT_EQUAL(host_link_at(file, root, "new"), -EXDEV);
    host_file_put(root);
    host_file_put(img);
    host_file_put(file);
    host_put(host);
}

static void rights_are_those_of_the_configured_user(void)
{
    const struct sim_config config = {.seed = 1, .uid = 1000, .gid = 100};
    struct host *host = host_sim_create(&config);
    CU_ASSERT_EQUAL(sim_put_file(host, "/secret", "x", 1, 0600), 0);
    CU_ASSERT_EQUAL(sim_put_file(host, "/group", "x", 1, 0640), 0);
    CU_ASSERT_EQUAL(sim_set_owner(host, "/group", 0, 100), 0);
    CU_ASSERT_EQUAL(sim_put_file(host, "/closed/x", "x", 1, 0666), 0);
    CU_ASSERT_EQUAL(sim_put_directory(host, "/closed", 0700), 0);
    CU_ASSERT_EQUAL(sim_put_directory(host, "/tmp", 01777), 0);
    CU_ASSERT_EQUAL(sim_put_file(host, "/tmp/theirs", "x", 1, 0666), 0);
    CU_ASSERT_EQUAL(open_and_put(host, "/secret", O_RDONLY), -EACCES);
    CU_ASSERT_EQUAL(open_and_put(host, "/group", O_RDONLY), 0);
    CU_ASSERT_EQUAL(open_and_put(host, "/group", O_RDWR), -EACCES);
    CU_ASSERT_EQUAL(open_and_put(host, "/closed/x", O_RDONLY), -EACCES);
    CU_ASSERT_EQUAL(open_and_put(host, "/mine", O_RDWR | O_CREAT), -EACCES);
    CU_ASSERT_EQUAL(open_and_put(host, "/tmp/mine", O_RDWR | O_CREAT), 0);
    struct host_file *tmp = open_good(host, "/tmp", O_RDONLY | O_DIRECTORY);
    CU_ASSERT_EQUAL(host_unlink_at(tmp, "theirs", 0), -EPERM);
    CU_ASSERT_EQUAL(host_unlink_at(tmp, "mine", 0), 0);
    struct host_file *theirs = open_good(host, "/tmp/theirs", O_RDWR);
    struct host_set_attr attr = {.mask = HOST_ATTR_MODE, .mode = 0777};
    CU_ASSERT_EQUAL(host_set_attr(theirs, &attr), -EPERM);
    CU_ASSERT_EQUAL(host_mknod_at(tmp, "null", S_IFCHR | 0666, 1, 3), -EPERM);
    host_file_put(theirs);
    host_file_put(tmp);
    host_put(host);
}

/* ---- streams ---- */

static void count_notify(struct host_watch *watch, u32 ready)
{
    ++*(u32 *)watch->owner;
}

static void bytes_may_arrive_in_pieces(void)
{
    struct host *host = sim_with(1);
    int fds[2];
    CU_ASSERT_EQUAL_FATAL(sim_pair(host, SOCK_STREAM, fds), 0);
    sim_fragment(host, fds[1], 3);
    struct host_stream *client = sim_engine_stream(host, fds[0]);
    struct host_stream *server = host_stream_from_fd(host, fds[1]);
    u32 told = 0;
    struct host_watch watch = {.notify = count_notify, .owner = &told};
    host_stream_watch(server, &watch);
    CU_ASSERT_EQUAL(host_stream_write(client, "0123456789", 10, NULL, 0), 10);
    host_stream_put(client); /* the end comes behind the last piece */
    char text[16] = "";
    size_t used = 0;
    u32 reads = 0;
    CU_ASSERT_EQUAL(host_stream_read(server, text, sizeof text, NULL, NULL), -EAGAIN);
    for (int turns = 0; turns < 40; turns++) {
        host_reap(host);
        i64 got = host_stream_read(server, text + used, sizeof text - used, NULL, NULL);
        if (got == 0)
            break;
        if (got > 0) {
            CU_ASSERT_TRUE(got <= 3);
            used += (size_t)got;
            reads++;
        }
    }
    CU_ASSERT_STRING_EQUAL(text, "0123456789");
    CU_ASSERT_TRUE(reads >= 4 && told > 0);
    CU_ASSERT_EQUAL(sim_call_count(host, SIM_CALL_stream_write), 0); /* the engine is not counted */
    host_stream_put(server);
    host_put(host);
}

static void late_bytes_hold_back_what_follows(void)
{
    struct host *host = sim_with(1);
    struct host_stream *a, *b;
    CU_ASSERT_EQUAL_FATAL(host_stream_pair(host, SOCK_STREAM, &a, &b), 0);
    const struct sim_fault late = {
        .id = "l", .at = "host.stream_write", .delay_ns = 1000, .times = 1, .is_armed = true};
    CU_ASSERT_EQUAL(sim_fault_add(host, &late), 0);
    CU_ASSERT_EQUAL(host_stream_write(a, "first", 5, NULL, 0), 5);
    CU_ASSERT_EQUAL(host_stream_write(a, "second", 6, NULL, 0), 6);
    char out[16] = "";
    host_reap(host);
    CU_ASSERT_EQUAL(host_stream_read(b, out, sizeof out, NULL, NULL), -EAGAIN);
    host_clock_advance(host, host_next_completion_ns(host));
    while (host_reap(host) > 0)
        continue;
    CU_ASSERT_EQUAL(host_stream_read(b, out, sizeof out, NULL, NULL), 11);
    CU_ASSERT_EQUAL(memcmp(out, "firstsecond", 11), 0);
    host_stream_put(a);
    host_stream_put(b);
    host_put(host);
}

static void the_table_of_descriptors_may_be_full(void)
{
    const struct sim_config config = {.seed = 1, .fds_max = 7};
    struct host *host = host_sim_create(&config);
    struct host_stream *a, *b;
    CU_ASSERT_EQUAL_FATAL(host_stream_pair(host, SOCK_STREAM, &a, &b), 0); /* 3, 4 */
    int fds[2] = {host_stream_fd(a), host_stream_fd(b)};
    CU_ASSERT_EQUAL(host_stream_write(a, "x", 1, fds, 2), 1);
    CU_ASSERT_EQUAL(host_stream_write(a, "y", 1, fds, 2), 1);
    CU_ASSERT_EQUAL(sim_put_file(host, "/f", "", 0, 0600), 0);
    struct host_file *file = open_good(host, "/f", O_RDONLY); /* 5 */
    char byte;
    u32 count = 2;
    CU_ASSERT_EQUAL(host_stream_read(b, &byte, 1, fds, &count), -EMFILE); /* 6 is free, 7 is none */
    CU_ASSERT_EQUAL(count, 0);
    host_file_put(file);
    count = 2;
    CU_ASSERT_EQUAL(host_stream_read(b, &byte, 1, fds, &count), 1);
    CU_ASSERT_EQUAL(count, 2);
    CU_ASSERT_EQUAL(open_and_put(host, "/f", O_RDONLY), -EMFILE);
    host_close_fds(host, fds, 2);
    host_stream_put(a);
    host_stream_put(b);
    host_put(host);
}

/* ---- what is left ---- */

static void count_line(void *arg, const char *text)
{
    ++*(u32 *)arg;
}

static void leaks_are_counted_and_a_dead_process_leaves_none(void)
{
    struct host *host = sim_with(1);
    CU_ASSERT_EQUAL(sim_owner(host, 7), 0);
    struct arena *arena = host_arena_create(host, 0);
    CU_ASSERT_PTR_NOT_NULL(arena_alloc(arena, 100));
    struct host_file *file = open_good(host, "/f", O_RDWR | O_CREAT);
    struct host_stream *a, *b;
    CU_ASSERT_EQUAL_FATAL(host_stream_pair(host, SOCK_STREAM, &a, &b), 0);
    u32 told = 0;
    struct host_watch watch = {.notify = count_notify, .owner = &told};
    host_stream_watch(a, &watch);
    int own = host_stream_fd(b);
    CU_ASSERT_EQUAL(host_stream_write(a, "x", 1, &own, 1), 1); /* b in b's own queue */
    const struct sim_fault late = {.id = "l", .at = "host.sync", .delay_ns = 9, .is_armed = true};
    CU_ASSERT_EQUAL(sim_fault_add(host, &late), 0);
    struct order order = {.used = 0};
    struct numbered sync = {.order = &order};
    sync.op = (struct host_op){.type = HOST_OP_SYNC, .file = file, .done = numbered_done};
    CU_ASSERT_FALSE(host_submit(host, &sync.op));
    CU_ASSERT_EQUAL(sim_owner(host, 0), 7);
    struct host_file *mine = open_good(host, "/mine", O_RDWR | O_CREAT);
    int pair[2];
    CU_ASSERT_EQUAL(sim_pair(host, SOCK_STREAM, pair), 0);

    struct sim_leaks leaks;
    sim_leaks(host, &leaks);
    CU_ASSERT_EQUAL(leaks.files, 2);
    CU_ASSERT_EQUAL(leaks.streams, 2);
    CU_ASSERT_EQUAL(leaks.watches, 1);
    CU_ASSERT_EQUAL(leaks.fds, 6);
    CU_ASSERT_EQUAL(leaks.ops, 1);
    CU_ASSERT_EQUAL(leaks.arenas, 1);
    CU_ASSERT_EQUAL(leaks.arena_bytes, 100);
    u32 lines = 0;
    sim_leak_lines(host, count_line, &lines);
    CU_ASSERT_EQUAL(lines, 12);

    sim_drop(host, 7);
    sim_leaks(host, &leaks);
    CU_ASSERT_EQUAL(leaks.files, 1);
    CU_ASSERT_EQUAL(leaks.streams, 0);
    CU_ASSERT_EQUAL(leaks.arenas, 0);
    CU_ASSERT_EQUAL(leaks.fds, 3);
    host_file_put(mine);
    sim_drop(host, SIM_OWNER_ALL);
    CU_ASSERT_EQUAL(sim_leak_count(host), 0);
    host_put(host);
}

void sim_suite(void)
{
    CU_pSuite suite = CU_add_suite("host/sim", NULL, NULL);
#define ADD(test) CU_add_test(suite, #test, test)
    ADD(the_seed_decides_the_order_of_completions);
    ADD(named_streams_do_not_disturb_each_other);
    ADD(each_draw_can_be_recorded_and_replaced);
    ADD(time_moves_only_when_it_is_moved);
    ADD(faults_count_paths_times_and_arming);
    ADD(a_write_may_be_short_or_torn);
    ADD(a_delayed_operation_waits_for_virtual_time);
    ADD(allocations_and_entropy_fail_as_planned);
    ADD(any_single_call_may_fail);
    ADD(the_engine_sees_and_makes_files_by_path);
    ADD(a_walk_is_sorted);
    ADD(space_runs_out_and_comes_back);
    ADD(rights_are_those_of_the_configured_user);
    ADD(bytes_may_arrive_in_pieces);
    ADD(late_bytes_hold_back_what_follows);
    ADD(the_table_of_descriptors_may_be_full);
    ADD(leaks_are_counted_and_a_dead_process_leaves_none);
#undef ADD
}

/* SPDX-License-Identifier: Apache-2.0 */
/* Every message of the gofer against a real folder, and what a hostile client may try. */
#include "abi/fcntl.h"
#include "abi/stat.h"
#include "gofer/gofer_core.h"
#include "gofer/gofer_serve.h"
#include "wire/gofer/gofer_wire.h"

#include <CUnit/Basic.h>
#include <errno.h>
#include <fcntl.h>
#include <ftw.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

struct fixture {
    char dir[64]; /* holds `root`, which is served, and `secret` beside it */
    struct host *host;
    struct gofer_core *core;
    struct gofer_donation donation;
    u32 root;
    mode_t umask;
};

static u8 request_bytes[GOFER_MESSAGE_MAX];
static u8 reply_bytes[GOFER_MESSAGE_MAX];

/* Send encoded bytes; 0 or an errno; -1: the connection would end; the reply stays in reply_bytes.
 */
static int ask_bytes(struct fixture *f, i64 size, i64 *reply_size)
{
    CU_ASSERT_FATAL(size > 0);
    host_file_put(f->donation.file);
    if (f->donation.stream)
        host_stream_put(f->donation.stream);
    *reply_size = gofer_core_handle(f->core, request_bytes, (size_t)size, reply_bytes,
                                    &f->donation);
    if (*reply_size < 0)
        return -1;
    if (*reply_size == 0)
        return 0;
    struct gofer_header header;
    CU_ASSERT_FATAL(gofer_get_header(reply_bytes, (size_t)*reply_size, &header) == 0);
    CU_ASSERT(header.tag == 77);
    CU_ASSERT(header.flags & GOFER_REPLY);
    CU_ASSERT_EQUAL((header.flags & GOFER_FD) != 0, f->donation.file || f->donation.stream);
    return header.flags & GOFER_ERROR ? gofer_get_error(reply_bytes, (size_t)*reply_size) : 0;
}

#define ASK(f, name, reply, ...)                                                                 \
    __extension__({                                                                              \
        struct gofer_##name ask_ = {__VA_ARGS__};                                                \
        i64 size_ = gofer_put_##name(request_bytes, sizeof request_bytes, 77, &ask_);            \
        int err_ = ask_bytes((f), size_, &size_);                                                \
        if (err_ == 0 && size_ > 0)                                                              \
            CU_ASSERT_FATAL(gofer_get_##name##_reply(reply_bytes, (size_t)size_, (reply)) == 0); \
        err_;                                                                                    \
    })

static void put_file(const struct fixture *f, const char *name, const char *text)
{
    char path[128];
    snprintf(path, sizeof path, "%s/%s", f->dir, name);
    FILE *file = fopen(path, "w");
    CU_ASSERT_FATAL(file != NULL);
    fputs(text, file);
    fclose(file);
}

static void serve(struct fixture *f, const struct gofer_options *options)
{
    char path[128];
    snprintf(path, sizeof path, "%s/root", f->dir);
    struct host_file *root;
    CU_ASSERT_FATAL(host_open_path(f->host, path, O_PATH | O_DIRECTORY, 0, &root) == 0);
    gofer_core_destroy(f->core);
    CU_ASSERT_FATAL(gofer_core_create(f->host, root, options, &f->core) == 0);
    struct gofer_attach_reply attach;
    CU_ASSERT_FATAL(ASK(f, attach, &attach, .version = GOFER_VERSION) == 0);
    f->root = attach.root.fid;
}

static void setup(struct fixture *f)
{
    *f = (struct fixture){.dir = "/tmp/gofer-test-XXXXXX", .umask = umask(0)};
    CU_ASSERT_FATAL(mkdtemp(f->dir) != NULL);
    char path[128];
    snprintf(path, sizeof path, "%s/root", f->dir);
    CU_ASSERT_FATAL(mkdir(path, 0755) == 0);
    snprintf(path, sizeof path, "%s/root/a", f->dir);
    CU_ASSERT_FATAL(mkdir(path, 0755) == 0);
    snprintf(path, sizeof path, "%s/root/a/b", f->dir);
    CU_ASSERT_FATAL(mkdir(path, 0755) == 0);
    put_file(f, "root/a/b/file", "hello");
    put_file(f, "secret", "host");
    snprintf(path, sizeof path, "%s/root/link", f->dir);
    CU_ASSERT_FATAL(symlink("../secret", path) == 0);
    f->host = host_linux_create();
    CU_ASSERT_FATAL(f->host != NULL);
    serve(f, &(struct gofer_options){0});
}

static int remove_one(const char *path, const struct stat *stat, int type, struct FTW *walk)
{
    return remove(path);
}

static void teardown(struct fixture *f)
{
    host_file_put(f->donation.file);
    if (f->donation.stream)
        host_stream_put(f->donation.stream);
    gofer_core_destroy(f->core);
    host_put(f->host);
    nftw(f->dir, remove_one, 16, FTW_DEPTH | FTW_PHYS);
    umask(f->umask);
}

/* The fid of one name below DIR; 0 when there is none. */
static u32 find(struct fixture *f, u32 dir, const char *name)
{
    struct gofer_walk_reply walk;
    CU_ASSERT_FATAL(ASK(f, walk, &walk, .fid = dir, .count = 1, .names = {name}) == 0);
    return walk.count ? walk.nodes[0].fid : 0;
}

static void test_attach_comes_first_and_once(void)
{
    struct fixture f;
    setup(&f);
    struct gofer_attach_reply attach;
    CU_ASSERT_EQUAL(ASK(&f, attach, &attach, .version = GOFER_VERSION), EALREADY);
    struct host_file *root;
    CU_ASSERT_FATAL(host_open_path(f.host, f.dir, O_PATH, 0, &root) == 0);
    gofer_core_destroy(f.core);
    CU_ASSERT_FATAL(gofer_core_create(f.host, root, &(struct gofer_options){0}, &f.core) == 0);
    struct gofer_get_attr_reply attr;
    CU_ASSERT_EQUAL(ASK(&f, get_attr, &attr, .fid = 1), EPERM);
    CU_ASSERT_EQUAL(ASK(&f, attach, &attach, .version = GOFER_VERSION + 1), EPROTONOSUPPORT);
    CU_ASSERT_EQUAL(ASK(&f, attach, &attach, .version = GOFER_VERSION), 0);
    CU_ASSERT(S_ISDIR(attach.root.stat.mode));
    teardown(&f);
}

static void test_a_walk_takes_many_names_and_stops_where_it_must(void)
{
    struct fixture f;
    setup(&f);
    struct gofer_walk_reply walk;
    CU_ASSERT_EQUAL(ASK(&f, walk, &walk, .fid = f.root, .count = 3, .names = {"a", "b", "file"}),
                    0);
    CU_ASSERT_EQUAL(walk.count, 3);
    CU_ASSERT_EQUAL(walk.error, 0);
    CU_ASSERT_EQUAL(walk.nodes[2].stat.size, 5);
    CU_ASSERT_STRING_EQUAL(walk.target, "");
    CU_ASSERT_EQUAL(gofer_core_fid_count(f.core), 4);

    CU_ASSERT_EQUAL(ASK(&f, walk, &walk, .fid = f.root, .count = 3, .names = {"a", "none", "file"}),
                    0);
    CU_ASSERT_EQUAL(walk.count, 1);
    CU_ASSERT_EQUAL(walk.error, ENOENT);

    CU_ASSERT_EQUAL(ASK(&f, walk, &walk, .fid = f.root, .count = 2, .names = {"link", "x"}), 0);
    CU_ASSERT_EQUAL(walk.count, 1);
    CU_ASSERT_EQUAL(walk.error, 0);
    CU_ASSERT(S_ISLNK(walk.nodes[0].stat.mode));
    CU_ASSERT_STRING_EQUAL(walk.target, "../secret");

    CU_ASSERT_EQUAL(
        ASK(&f, walk, &walk, .fid = f.root, .count = 4, .names = {"a", "b", "file", "x"}), 0);
    CU_ASSERT_EQUAL(walk.count, 3);
    CU_ASSERT_EQUAL(walk.error, ENOTDIR);
    CU_ASSERT_EQUAL(ASK(&f, walk, &walk, .fid = walk.nodes[2].fid, .count = 1, .names = {"x"}),
                    ENOTDIR);
    CU_ASSERT_EQUAL(ASK(&f, walk, &walk, .fid = 4000, .count = 1, .names = {"x"}), EBADF);
    CU_ASSERT_EQUAL(ASK(&f, walk, &walk, .fid = 0, .count = 1, .names = {"x"}), EBADF);
    teardown(&f);
}

/* The encoder refuses these names, so they are written over a good one of the same length. */
static void test_names_that_lead_elsewhere_are_refused(void)
{
    static const struct {
        const char *good, *bad;
        size_t size;
    } cases[] = {{"xx", "..", 2},     {"x", ".", 1},    {"a!b", "a/b", 3},
                 {"!etc", "/etc", 4}, {"a!", "a\0", 2}, {"xy", "\0\0", 2}};
    struct fixture f;
    setup(&f);
    for (size_t i = 0; i < ARRAY_COUNT(cases); i++) {
        struct gofer_walk walk = {.fid = f.root, .count = 1, .names = {cases[i].good}};
        i64 size = gofer_put_walk(request_bytes, sizeof request_bytes, 77, &walk);
        u8 *at = memmem(request_bytes, (size_t)size, cases[i].good, cases[i].size);
        CU_ASSERT_FATAL(at != NULL);
        memcpy(at, cases[i].bad, cases[i].size);
        CU_ASSERT_EQUAL(ask_bytes(&f, size, &size), EINVAL);
        struct gofer_rename rename = {
            .from_dir = f.root, .from = "a", .to_dir = f.root, .to = cases[i].good};
        size = gofer_put_rename(request_bytes, sizeof request_bytes, 77, &rename);
        at = memmem(request_bytes, (size_t)size, cases[i].good, cases[i].size);
        memcpy(at, cases[i].bad, cases[i].size);
        CU_ASSERT_EQUAL(ask_bytes(&f, size, &size), EINVAL);
    }
    struct gofer_walk walk = {.fid = f.root, .count = 1, .names = {".."}};
    CU_ASSERT_EQUAL(gofer_put_walk(request_bytes, sizeof request_bytes, 77, &walk), -EINVAL);
    walk.names[0] = "";
    CU_ASSERT_EQUAL(gofer_put_walk(request_bytes, sizeof request_bytes, 77, &walk), -EINVAL);
    teardown(&f);
}

/* The host swaps a directory for a symlink, as a second container sharing the files could. */
static void test_a_swapped_directory_does_not_lead_out(void)
{
    struct fixture f;
    setup(&f);
    u32 a = find(&f, f.root, "a");
    char from[128], to[128];
    snprintf(from, sizeof from, "%s/root/a", f.dir);
    snprintf(to, sizeof to, "%s/root/gone", f.dir);
    CU_ASSERT_EQUAL_FATAL(rename(from, to), 0);
    CU_ASSERT_EQUAL_FATAL(symlink("/etc", from), 0);
    struct gofer_walk_reply walk;
    /* The fid is the directory it always was; the name is a symlink now, and is not followed. */
    CU_ASSERT_EQUAL(ASK(&f, walk, &walk, .fid = a, .count = 1, .names = {"b"}), 0);
    CU_ASSERT_EQUAL(walk.count, 1);
    CU_ASSERT_EQUAL(ASK(&f, walk, &walk, .fid = f.root, .count = 2, .names = {"a", "passwd"}), 0);
    CU_ASSERT_EQUAL(walk.count, 1);
    CU_ASSERT(S_ISLNK(walk.nodes[0].stat.mode));
    struct gofer_open_reply open;
    CU_ASSERT_EQUAL(ASK(&f, open, &open, .fid = walk.nodes[0].fid), ELOOP);
    struct gofer_mkdir_reply made;
    CU_ASSERT_EQUAL(ASK(&f, mkdir, &made, .dir = walk.nodes[0].fid, .name = "x", .mode = 0755),
                    ENOTDIR);
    struct gofer_create_reply created;
    CU_ASSERT_EQUAL(ASK(&f, create, &created, .dir = f.root, .name = "link", .mode = 0644), EEXIST);
    teardown(&f);
}

static void test_open_donates_what_it_was_asked_for(void)
{
    struct fixture f;
    setup(&f);
    struct gofer_walk_reply walk;
    CU_ASSERT_EQUAL(ASK(&f, walk, &walk, .fid = f.root, .count = 3, .names = {"a", "b", "file"}),
                    0);
    u32 fid = walk.nodes[2].fid;
    struct gofer_open_reply open;
    CU_ASSERT_EQUAL(ASK(&f, open, &open, .fid = fid, .flags = O_RDONLY), 0);
    CU_ASSERT_FATAL(f.donation.file != NULL);
    char text[8] = "";
    CU_ASSERT_EQUAL(host_pread(f.donation.file, text, 5, 0), 5);
    CU_ASSERT_STRING_EQUAL(text, "hello");
    CU_ASSERT(host_pwrite(f.donation.file, text, 5, 0) < 0);
    CU_ASSERT_EQUAL(ASK(&f, open, &open, .fid = fid, .flags = O_RDWR | O_TRUNC), 0);
    CU_ASSERT_EQUAL(open.stat.size, 0);
    CU_ASSERT_EQUAL(host_pwrite(f.donation.file, "new", 3, 0), 3);
    CU_ASSERT_EQUAL(ASK(&f, open, &open, .fid = fid, .flags = O_TRUNC), EINVAL);
    CU_ASSERT_EQUAL(ASK(&f, open, &open, .fid = fid, .flags = O_RDWR | O_CREAT), EINVAL);
    CU_ASSERT_EQUAL(ASK(&f, open, &open, .fid = fid, .flags = O_ACCMODE), EINVAL);
    CU_ASSERT_EQUAL(ASK(&f, open, &open, .fid = f.root), EISDIR);
    teardown(&f);
}

static void test_devices_and_fifos_are_opened_only_when_allowed(void)
{
    struct fixture f;
    setup(&f);
    struct gofer_mknod_reply node;
    CU_ASSERT_EQUAL(ASK(&f, mknod, &node, .dir = f.root, .name = "null", .mode = S_IFCHR | 0666,
                        .major = 1, .minor = 3),
                    EPERM);
    CU_ASSERT_EQUAL(ASK(&f, mknod, &node, .dir = f.root, .name = "fifo", .mode = S_IFIFO | 0666),
                    0);
    struct gofer_open_reply open;
    CU_ASSERT_EQUAL(ASK(&f, open, &open, .fid = node.node.fid), EPERM);
    serve(&f, &(struct gofer_options){.has_devices = true});
    CU_ASSERT_EQUAL(ASK(&f, open, &open, .fid = find(&f, f.root, "fifo")),
                    0); /* does not wait for a writer */
    CU_ASSERT_EQUAL(ASK(&f, mknod, &node, .dir = f.root, .name = "d", .mode = S_IFDIR | 0777),
                    EINVAL);
    teardown(&f);
}

static void test_new_entries_have_the_owner_and_mode_asked_for(void)
{
    struct fixture f;
    setup(&f);
    struct gofer_create_reply created;
    CU_ASSERT_EQUAL(ASK(&f, create, &created, .dir = f.root, .name = "new", .flags = O_RDWR,
                        .mode = 06751, .uid = 1000, .gid = 1001),
                    0);
    CU_ASSERT_FATAL(f.donation.file != NULL);
    CU_ASSERT_EQUAL(created.node.stat.mode, S_IFREG | 06751);
    CU_ASSERT_EQUAL(created.node.stat.uid, 1000);
    CU_ASSERT_EQUAL(created.node.stat.gid, 1001);
    CU_ASSERT_EQUAL(host_pwrite(f.donation.file, "x", 1, 0), 1);
    CU_ASSERT_EQUAL(
        ASK(&f, create, &created, .dir = f.root, .name = "new", .flags = O_RDWR, .mode = 0600),
        EEXIST);

    struct gofer_mkdir_reply made;
    CU_ASSERT_EQUAL(
        ASK(&f, mkdir, &made, .dir = f.root, .name = "d", .mode = 01777, .uid = 5, .gid = 6), 0);
    CU_ASSERT_EQUAL(made.node.stat.mode, S_IFDIR | 01777);
    CU_ASSERT_EQUAL(made.node.stat.uid, 5);
    struct gofer_symlink_reply linked;
    CU_ASSERT_EQUAL(ASK(&f, symlink, &linked, .dir = made.node.fid, .name = "s",
                        .target = "/any/../where", .uid = 7),
                    0);
    CU_ASSERT_EQUAL(linked.node.stat.uid, 7);
    struct gofer_readlink_reply target;
    CU_ASSERT_EQUAL(ASK(&f, readlink, &target, .fid = linked.node.fid), 0);
    CU_ASSERT_STRING_EQUAL(target.target, "/any/../where");
    CU_ASSERT_EQUAL(ASK(&f, readlink, &target, .fid = f.root), EINVAL);
    CU_ASSERT_EQUAL(ASK(&f, mkdir, &made, .dir = f.root, .name = "d", .mode = 0755), EEXIST);
    teardown(&f);
}

static void test_names_are_linked_renamed_and_removed(void)
{
    struct fixture f;
    setup(&f);
    struct gofer_walk_reply walk;
    CU_ASSERT_EQUAL(ASK(&f, walk, &walk, .fid = f.root, .count = 3, .names = {"a", "b", "file"}),
                    0);
    u32 b = walk.nodes[1].fid, file = walk.nodes[2].fid;
    struct gofer_link_reply link;
    CU_ASSERT_EQUAL(ASK(&f, link, &link, .fid = file, .dir = f.root, .name = "hard"), 0);
    CU_ASSERT_EQUAL(link.stat.link_count, 2);
    CU_ASSERT_EQUAL(ASK(&f, link, &link, .fid = b, .dir = f.root, .name = "dirlink"), EPERM);
    struct gofer_rename_reply renamed;
    CU_ASSERT_EQUAL(ASK(&f, rename, &renamed, .from_dir = f.root, .from = "hard", .to_dir = b,
                        .to = "file", .flags = 1),
                    EEXIST);
    CU_ASSERT_EQUAL(
        ASK(&f, rename, &renamed, .from_dir = f.root, .from = "hard", .to_dir = b, .to = "moved"),
        0);
    CU_ASSERT_EQUAL(ASK(&f, rename, &renamed, .from_dir = b, .from = "file", .to_dir = b,
                        .to = "moved", .flags = 16),
                    EINVAL);
    struct gofer_unlink_reply removed;
    CU_ASSERT_EQUAL(ASK(&f, unlink, &removed, .dir = b, .name = "moved"), 0);
    CU_ASSERT_EQUAL(ASK(&f, unlink, &removed, .dir = b, .name = "moved"), ENOENT);
    CU_ASSERT_EQUAL(
        ASK(&f, unlink, &removed, .dir = walk.nodes[0].fid, .name = "b", .flags = AT_REMOVEDIR),
        ENOTEMPTY);
    CU_ASSERT_EQUAL(ASK(&f, unlink, &removed, .dir = b, .name = "file"), 0);
    CU_ASSERT_EQUAL(ASK(&f, unlink, &removed, .dir = walk.nodes[0].fid, .name = "b"), EISDIR);
    CU_ASSERT_EQUAL(
        ASK(&f, unlink, &removed, .dir = walk.nodes[0].fid, .name = "b", .flags = AT_REMOVEDIR), 0);
    /* An unlinked file's fid still is that file. */
    struct gofer_get_attr_reply attr;
    CU_ASSERT_EQUAL(ASK(&f, get_attr, &attr, .fid = file), 0);
    CU_ASSERT_EQUAL(attr.stat.link_count, 0);
    teardown(&f);
}

static void test_attributes_are_set_and_reported(void)
{
    struct fixture f;
    setup(&f);
    struct gofer_walk_reply walk;
    CU_ASSERT_EQUAL(ASK(&f, walk, &walk, .fid = f.root, .count = 3, .names = {"a", "b", "file"}),
                    0);
    struct gofer_set_attr_reply set;
    struct host_set_attr attr = {.mask = HOST_ATTR_MODE | HOST_ATTR_UID | HOST_ATTR_SIZE |
                                         HOST_ATTR_MTIME,
                                 .mode = 04711,
                                 .uid = 12,
                                 .size = 3,
                                 .mtime_ns = 1500000000123456789};
    CU_ASSERT_EQUAL(ASK(&f, set_attr, &set, .fid = walk.nodes[2].fid, .attr = attr), 0);
    CU_ASSERT_EQUAL(set.stat.mode & 07777, 04711);
    CU_ASSERT_EQUAL(set.stat.uid, 12);
    CU_ASSERT_EQUAL(set.stat.size, 3);
    CU_ASSERT_EQUAL(set.stat.mtime_ns, 1500000000123456789);
    CU_ASSERT_EQUAL(ASK(&f, set_attr, &set, .fid = f.root, .attr = attr), EISDIR);
    CU_ASSERT_EQUAL(ASK(&f, set_attr, &set, .fid = f.root, .attr = {.mask = 1u << 20}), EINVAL);
    struct gofer_statfs_reply fs;
    CU_ASSERT_EQUAL(ASK(&f, statfs, &fs, .fid = f.root), 0);
    CU_ASSERT(fs.statfs.block_size > 0);
    struct gofer_sync_reply synced;
    CU_ASSERT_EQUAL(ASK(&f, sync, &synced, .fid = f.root), 0);
    teardown(&f);
}

static void test_a_listing_names_every_entry_once_with_its_attributes(void)
{
    enum { COUNT = 700 };
    struct fixture f;
    setup(&f);
    char name[64];
    for (int i = 0; i < COUNT; i++) {
        snprintf(name, sizeof name, "root/a/b/entry-%03d", i);
        put_file(&f, name, i % 2 ? "odd" : "");
    }
    struct gofer_walk_reply walk;
    CU_ASSERT_EQUAL(ASK(&f, walk, &walk, .fid = f.root, .count = 2, .names = {"a", "b"}), 0);
    static u8 seen[COUNT];
    memset(seen, 0, sizeof seen);
    u64 cookie = 0;
    int turns = 0, others = 0;
    struct gofer_read_dir_reply list = {0};
    while (!list.is_end) {
        u32 room = turns++ % 2 ? 4096 : 1500;
        CU_ASSERT_EQUAL_FATAL(ASK(&f, read_dir, &list, .fid = walk.nodes[1].fid, .cookie = cookie,
                                  .size_max = room, .name = ""),
                              0);
        struct gofer_entry entry;
        for (size_t at = 0; gofer_entry_next(&list, &at, &entry); cookie = entry.cookie) {
            int number = -1;
            if (sscanf(entry.name, "entry-%d", &number) == 1 && number >= 0 && number < COUNT) {
                seen[number]++;
                CU_ASSERT_EQUAL(entry.stat.size, number % 2 ? 3 : 0);
            } else {
                others++;
            }
        }
    }
    CU_ASSERT(turns > 20);
    CU_ASSERT_EQUAL(others, 1); /* file; neither . nor .. */
    for (int i = 0; i < COUNT; i++)
        CU_ASSERT_EQUAL(seen[i], 1);
    CU_ASSERT_EQUAL(ASK(&f, read_dir, &list, .fid = walk.nodes[1].fid,
                        .size_max = GOFER_MESSAGE_MAX, .name = ""),
                    0);
    CU_ASSERT(list.count > 400);
    CU_ASSERT_EQUAL(ASK(&f, read_dir, &list, .fid = walk.nodes[1].fid, .cookie = UINT64_MAX,
                        .size_max = 1024, .name = ""),
                    EINVAL);
    teardown(&f);
}

/* Does a walk to COUNT names, the last one NAMES, donate a descriptor? */
static bool walk_opens(struct fixture *f, u32 flags, u32 count, const char *const *names)
{
    struct gofer_walk_reply walk;
    struct gofer_walk request = {.fid = f->root, .flags = flags, .count = count};
    for (u32 i = 0; i < count; i++)
        request.names[i] = names[i];
    i64 size = gofer_put_walk(request_bytes, sizeof request_bytes, 77, &request);
    CU_ASSERT_FATAL(size > 0);
    CU_ASSERT_EQUAL_FATAL(ask_bytes(f, size, &size), 0);
    CU_ASSERT_EQUAL_FATAL(gofer_get_walk_reply(reply_bytes, (size_t)size, &walk), 0);
    struct gofer_header header;
    CU_ASSERT_EQUAL(gofer_get_header(reply_bytes, (size_t)size, &header), 0);
    CU_ASSERT_EQUAL((header.flags & GOFER_FD) != 0, f->donation.file != NULL);
    return f->donation.file != NULL;
}

static void test_a_walk_opens_a_regular_file_at_its_end(void)
{
    struct fixture f;
    setup(&f);
    CU_ASSERT(walk_opens(&f, GOFER_WALK_OPEN, 3, (const char *[]){"a", "b", "file"}));
    char text[8] = "";
    CU_ASSERT_EQUAL(pread(host_file_fd(f.donation.file), text, sizeof text, 0), 5);
    CU_ASSERT_STRING_EQUAL(text, "hello");
    CU_ASSERT_EQUAL(fcntl(host_file_fd(f.donation.file), F_GETFL) & O_ACCMODE, O_RDONLY);
    CU_ASSERT_FALSE(walk_opens(&f, 0, 3, (const char *[]){"a", "b", "file"}));
    CU_ASSERT_FALSE(walk_opens(&f, GOFER_WALK_OPEN, 2, (const char *[]){"a", "b"}));
    CU_ASSERT_FALSE(walk_opens(&f, GOFER_WALK_OPEN, 1, (const char *[]){"link"}));
    CU_ASSERT_FALSE(walk_opens(&f, GOFER_WALK_OPEN, 2, (const char *[]){"a", "none"}));
    char path[128];
    snprintf(path, sizeof path, "%s/root/fifo", f.dir);
    CU_ASSERT_EQUAL(mkfifo(path, 0644), 0);
    CU_ASSERT_FALSE(walk_opens(&f, GOFER_WALK_OPEN, 1, (const char *[]){"fifo"}));
    teardown(&f);
}

static void test_a_listing_of_names_says_nothing_more(void)
{
    struct fixture f;
    setup(&f);
    struct gofer_read_dir_reply list;
    struct gofer_entry entry;
    CU_ASSERT_EQUAL_FATAL(ASK(&f, read_dir, &list, .fid = f.root, .size_max = 4096,
                              .flags = GOFER_LIST_NAMES, .name = ""),
                          0);
    CU_ASSERT(list.is_end);
    CU_ASSERT_EQUAL(list.count, 2); /* a, link */
    for (size_t at = 0; gofer_entry_next(&list, &at, &entry);)
        CU_ASSERT_EQUAL(entry.stat.link_count, 0);
    teardown(&f);
}

static void test_a_directory_is_walked_to_and_listed_in_one(void)
{
    struct fixture f;
    setup(&f);
    put_file(&f, "root/a/b/some", "odd");
    struct gofer_walk_reply walk;
    CU_ASSERT_EQUAL(ASK(&f, walk, &walk, .fid = f.root, .count = 1, .names = {"a"}), 0);
    struct gofer_read_dir_reply list;
    CU_ASSERT_EQUAL_FATAL(ASK(&f, read_dir, &list, .fid = walk.nodes[0].fid, .size_max = 4096,
                              .flags = GOFER_LIST_PLAIN, .name = "b"),
                          0);
    CU_ASSERT_NOT_EQUAL(list.node.fid, GOFER_FID_NONE);
    CU_ASSERT_EQUAL(list.node.stat.mode & LINUX_S_IFMT, LINUX_S_IFDIR);
    u32 fid = list.node.fid;
    for (int turn = 0; turn < 2; turn++) { /* and again, from the beginning, by its fid */
        CU_ASSERT(list.is_end);
        u32 found = 0;
        struct gofer_entry entry;
        for (size_t at = 0; gofer_entry_next(&list, &at, &entry);) {
            if (strcmp(entry.name, "some") != 0)
                continue;
            found++;
            CU_ASSERT_EQUAL(entry.stat.mode & LINUX_S_IFMT, LINUX_S_IFREG);
            CU_ASSERT_EQUAL(entry.stat.size, turn ? 3 : 0); /* plain: nothing is said of it */
        }
        CU_ASSERT_EQUAL(found, 1);
        CU_ASSERT_EQUAL(ASK(&f, read_dir, &list, .fid = fid, .size_max = 4096, .name = ""), 0);
        CU_ASSERT_EQUAL(list.node.fid, GOFER_FID_NONE);
    }
    u32 count = gofer_core_fid_count(f.core);
    CU_ASSERT_EQUAL(ASK(&f, read_dir, &list, .fid = fid, .size_max = 4096, .name = "some"),
                    ENOTDIR);
    CU_ASSERT_EQUAL(ASK(&f, read_dir, &list, .fid = fid, .size_max = 4096, .name = "none"), ENOENT);
    CU_ASSERT_EQUAL(gofer_core_fid_count(f.core), count);
    teardown(&f);
}

static void test_a_read_only_mount_refuses_every_change(void)
{
    struct fixture f;
    setup(&f);
    serve(&f, &(struct gofer_options){.is_readonly = true});
    struct gofer_walk_reply walk;
    CU_ASSERT_EQUAL(ASK(&f, walk, &walk, .fid = f.root, .count = 3, .names = {"a", "b", "file"}),
                    0);
    u32 dir = walk.nodes[1].fid, file = walk.nodes[2].fid;
    union {
        struct gofer_create_reply create;
        struct gofer_mkdir_reply mkdir;
        struct gofer_mknod_reply mknod;
        struct gofer_symlink_reply symlink;
        struct gofer_link_reply link;
        struct gofer_unlink_reply unlink;
        struct gofer_rename_reply rename;
        struct gofer_set_attr_reply set_attr;
        struct gofer_open_reply open;
        struct gofer_set_xattr_reply set_xattr;
        struct gofer_remove_xattr_reply remove_xattr;
    } r;
    CU_ASSERT_EQUAL(ASK(&f, create, &r.create, .dir = dir, .name = "x", .mode = 0644), EROFS);
    CU_ASSERT_EQUAL(ASK(&f, mkdir, &r.mkdir, .dir = dir, .name = "x"), EROFS);
    CU_ASSERT_EQUAL(ASK(&f, mknod, &r.mknod, .dir = dir, .name = "x", .mode = S_IFREG), EROFS);
    CU_ASSERT_EQUAL(ASK(&f, symlink, &r.symlink, .dir = dir, .name = "x", .target = "y"), EROFS);
    CU_ASSERT_EQUAL(ASK(&f, link, &r.link, .fid = file, .dir = dir, .name = "x"), EROFS);
    CU_ASSERT_EQUAL(ASK(&f, unlink, &r.unlink, .dir = dir, .name = "file"), EROFS);
    CU_ASSERT_EQUAL(
        ASK(&f, rename, &r.rename, .from_dir = dir, .from = "file", .to_dir = dir, .to = "x"),
        EROFS);
    CU_ASSERT_EQUAL(ASK(&f, set_attr, &r.set_attr, .fid = file, .attr = {.mask = HOST_ATTR_MODE}),
                    EROFS);
    CU_ASSERT_EQUAL(ASK(&f, open, &r.open, .fid = file, .flags = O_WRONLY), EROFS);
    CU_ASSERT_EQUAL(ASK(&f, open, &r.open, .fid = file, .flags = O_RDWR | O_TRUNC), EROFS);
    CU_ASSERT_EQUAL(ASK(&f, open, &r.open, .fid = file, .flags = O_RDONLY), 0);
    CU_ASSERT_EQUAL(ASK(&f, set_xattr, &r.set_xattr, .fid = file, .name = "user.x",
                        .value = (const u8 *)"v", .size = 1),
                    EROFS);
    CU_ASSERT_EQUAL(ASK(&f, remove_xattr, &r.remove_xattr, .fid = file, .name = "user.x"), EROFS);
    teardown(&f);
}

static void test_only_user_attributes_pass(void)
{
    struct fixture f;
    setup(&f);
    u32 a = find(&f, f.root, "a");
    struct gofer_set_xattr_reply set;
    int err = ASK(&f, set_xattr, &set, .fid = a, .name = "user.k", .value = (const u8 *)"value",
                  .size = 5);
    if (err != EOPNOTSUPP) { /* a file system without them */
        CU_ASSERT_EQUAL(err, 0);
        struct gofer_get_xattr_reply got;
        CU_ASSERT_EQUAL(ASK(&f, get_xattr, &got, .fid = a, .name = "user.k", .size = 100), 0);
        CU_ASSERT_EQUAL(got.size, 5);
        CU_ASSERT(got.value && memcmp(got.value, "value", 5) == 0);
        CU_ASSERT_EQUAL(ASK(&f, get_xattr, &got, .fid = a, .name = "user.k"), 0);
        CU_ASSERT(got.size == 5 && got.value == NULL);
        CU_ASSERT_EQUAL(ASK(&f, get_xattr, &got, .fid = a, .name = "user.k", .size = 2), ERANGE);
        struct gofer_list_xattr_reply list;
        CU_ASSERT_EQUAL(ASK(&f, list_xattr, &list, .fid = a, .size = 100), 0);
        CU_ASSERT(list.size == 7 && memcmp(list.names, "user.k", 7) == 0);
        struct gofer_remove_xattr_reply removed;
        CU_ASSERT_EQUAL(ASK(&f, remove_xattr, &removed, .fid = a, .name = "user.k"), 0);
        CU_ASSERT_EQUAL(ASK(&f, get_xattr, &got, .fid = a, .name = "user.k", .size = 100), ENODATA);
    }
    CU_ASSERT_EQUAL(ASK(&f, set_xattr, &set, .fid = a, .name = "trusted.k",
                        .value = (const u8 *)"v", .size = 1),
                    EPERM);
    CU_ASSERT_EQUAL(ASK(&f, set_xattr, &set, .fid = a, .name = "security.capability",
                        .value = (const u8 *)"v", .size = 1),
                    EPERM);
    struct gofer_get_xattr_reply got;
    CU_ASSERT_EQUAL(ASK(&f, get_xattr, &got, .fid = a, .name = "trusted.k", .size = 10),
                    EOPNOTSUPP);
    teardown(&f);
}

static void test_host_sockets_are_reached_only_when_allowed(void)
{
    struct fixture f;
    setup(&f);
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    snprintf(address.sun_path, sizeof address.sun_path, "%s/root/sock", f.dir);
    int listener = socket(AF_UNIX, SOCK_STREAM, 0);
    CU_ASSERT_FATAL(bind(listener, (struct sockaddr *)&address, sizeof address) == 0 &&
                    listen(listener, 1) == 0);
    struct gofer_connect_reply reply;
    CU_ASSERT_EQUAL(ASK(&f, connect, &reply, .dir = f.root, .name = "sock", .type = SOCK_STREAM),
                    EPERM);
    serve(&f, &(struct gofer_options){.has_sockets = true});
    CU_ASSERT_EQUAL(ASK(&f, connect, &reply, .dir = f.root, .name = "sock", .type = SOCK_STREAM),
                    0);
    CU_ASSERT(f.donation.stream != NULL);
    CU_ASSERT_EQUAL(ASK(&f, connect, &reply, .dir = f.root, .name = "a", .type = SOCK_STREAM),
                    ECONNREFUSED);
    CU_ASSERT_EQUAL(ASK(&f, connect, &reply, .dir = f.root, .name = "sock", .type = SOCK_RAW),
                    EINVAL);
    close(listener);
    teardown(&f);
}

static void test_fids_are_bounded_and_come_back(void)
{
    struct fixture f;
    setup(&f);
    serve(&f, &(struct gofer_options){.fid_max = 3});
    struct gofer_walk_reply walk;
    CU_ASSERT_EQUAL(ASK(&f, walk, &walk, .fid = f.root, .count = 3, .names = {"a", "b", "file"}),
                    0);
    CU_ASSERT_EQUAL(walk.count, 2);
    CU_ASSERT_EQUAL(walk.error, EMFILE);
    struct gofer_close_reply closed;
    CU_ASSERT_EQUAL(
        ASK(&f, close, &closed, .count = 3, .fids = {walk.nodes[0].fid, 99, walk.nodes[0].fid}), 0);
    CU_ASSERT_EQUAL(gofer_core_fid_count(f.core), 2);
    CU_ASSERT(find(&f, walk.nodes[1].fid, "file") != 0);
    teardown(&f);
}

static void test_broken_messages_are_answered_or_end_the_connection(void)
{
    struct fixture f;
    setup(&f);
    i64 size;
    struct gofer_get_attr attr = {.fid = f.root};
    size = gofer_put_get_attr(request_bytes, sizeof request_bytes, 77, &attr);
    request_bytes[0]++; /* size */
    CU_ASSERT_EQUAL(ask_bytes(&f, size, &size), -1);
    size = gofer_put_get_attr(request_bytes, sizeof request_bytes, 77, &attr);
    request_bytes[4] = 200; /* type */
    CU_ASSERT_EQUAL(ask_bytes(&f, size, &size), -1);
    size = gofer_put_get_attr(request_bytes, sizeof request_bytes, 77, &attr);
    request_bytes[6] = GOFER_REPLY;
    CU_ASSERT_EQUAL(ask_bytes(&f, size, &size), -1);
    size = gofer_put_get_attr(request_bytes, sizeof request_bytes, 77, &attr);
    request_bytes[0] = (u8)(size + 3); /* three bytes too many */
    CU_ASSERT_EQUAL(ask_bytes(&f, size + 3, &size), EINVAL);
    CU_ASSERT_EQUAL(ask_bytes(&f, 5, &size), -1);
    teardown(&f);
}

/* Bits flipped in good requests: never a crash, and the reply is always well-formed. */
static void test_random_damage_is_survived(void)
{
    struct fixture f;
    setup(&f);
    u64 seed = 1;
    for (int round = 0; round < 20000; round++) {
        struct gofer_walk walk = {.fid = f.root, .count = 3, .names = {"a", "b", "file"}};
        struct gofer_rename rename = {.from_dir = f.root, .from = "a", .to_dir = f.root, .to = "a"};
        struct gofer_set_xattr xattr = {
            .fid = f.root, .name = "user.a", .value = (const u8 *)"1234", .size = 4};
        struct gofer_read_dir list = {.fid = f.root, .size_max = 2000, .name = ""};
        i64 size;
        switch (round % 4) {
        case 0:
            size = gofer_put_walk(request_bytes, sizeof request_bytes, 77, &walk);
            break;
        case 1:
            size = gofer_put_rename(request_bytes, sizeof request_bytes, 77, &rename);
            break;
        case 2:
            size = gofer_put_set_xattr(request_bytes, sizeof request_bytes, 77, &xattr);
            break;
        default:
            size = gofer_put_read_dir(request_bytes, sizeof request_bytes, 77, &list);
            break;
        }
        for (int flips = 1 + round % 3; flips > 0; flips--) {
            seed = seed * 6364136223846793005u + 1442695040888963407u;
            u64 bit = (seed >> 33) % ((u64)(size - 8) * 8);
            u64 at = bit / 8 < 8 ? bit / 8 : bit / 8 + 8; /* the tag stays */
            request_bytes[at] ^= (u8)(1u << bit % 8);
        }
        (void)ask_bytes(&f, size, &size);
    }
    teardown(&f);
}

struct server_args {
    struct host *host;
    struct gofer_mount mounts[2];
    int result;
};

static void *server_thread(void *arg)
{
    struct server_args *args = arg;
    struct error err;
    args->result = gofer_serve(args->host, args->mounts, 2, &err);
    return NULL;
}

static int attach_over(int socket)
{
    struct gofer_attach attach = {.version = GOFER_VERSION};
    u8 bytes[1024];
    i64 size = gofer_put_attach(bytes, sizeof bytes, 5, &attach);
    if (send(socket, bytes, (size_t)size, 0) != size)
        return -1;
    ssize_t got = recv(socket, bytes, sizeof bytes, 0);
    struct gofer_attach_reply reply;
    return got > 0 ? gofer_get_attach_reply(bytes, (size_t)got, &reply) : -1;
}

static void test_the_server_ends_when_all_connections_have(void)
{
    struct fixture f;
    setup(&f);
    int a[2], b[2];
    CU_ASSERT_FATAL(socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, a) == 0);
    CU_ASSERT_FATAL(socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, b) == 0);
    struct server_args args = {.host = f.host, .result = -1};
    args.mounts[0] = (struct gofer_mount){.socket = a[1], .root = open(f.dir, O_PATH)};
    args.mounts[1] = (struct gofer_mount){.socket = b[1], .root = open(f.dir, O_PATH)};
    pthread_t thread;
    CU_ASSERT_FATAL(pthread_create(&thread, NULL, server_thread, &args) == 0);
    CU_ASSERT_EQUAL(attach_over(a[0]), 0);
    CU_ASSERT_EQUAL(attach_over(b[0]), 0);
    CU_ASSERT_EQUAL(send(a[0], "nonsense", 8, 0), 8); /* ends this one alone */
    u8 byte;
    CU_ASSERT_EQUAL(recv(a[0], &byte, 1, 0), 0);
    struct gofer_get_attr attr = {.fid = 1};
    u8 bytes[1024];
    i64 size = gofer_put_get_attr(bytes, sizeof bytes, 5, &attr);
    CU_ASSERT_EQUAL(send(b[0], bytes, (size_t)size, 0), size);
    CU_ASSERT(recv(b[0], bytes, sizeof bytes, 0) > 16);
    close(a[0]);
    close(b[0]);
    pthread_join(thread, NULL);
    CU_ASSERT_EQUAL(args.result, 0);
    teardown(&f);
}

void gofer_core_suite(void)
{
    CU_pSuite suite = CU_add_suite("gofer_core", NULL, NULL);
#define TEST(name) CU_add_test(suite, #name, test_##name)
    TEST(attach_comes_first_and_once);
    TEST(a_walk_takes_many_names_and_stops_where_it_must);
    TEST(names_that_lead_elsewhere_are_refused);
    TEST(a_swapped_directory_does_not_lead_out);
    TEST(open_donates_what_it_was_asked_for);
    TEST(devices_and_fifos_are_opened_only_when_allowed);
    TEST(new_entries_have_the_owner_and_mode_asked_for);
    TEST(names_are_linked_renamed_and_removed);
    TEST(attributes_are_set_and_reported);
    TEST(a_listing_names_every_entry_once_with_its_attributes);
    TEST(a_directory_is_walked_to_and_listed_in_one);
    TEST(a_walk_opens_a_regular_file_at_its_end);
    TEST(a_listing_of_names_says_nothing_more);
    TEST(a_read_only_mount_refuses_every_change);
    TEST(only_user_attributes_pass);
    TEST(host_sockets_are_reached_only_when_allowed);
    TEST(fids_are_bounded_and_come_back);
    TEST(broken_messages_are_answered_or_end_the_connection);
    TEST(random_damage_is_survived);
    TEST(the_server_ends_when_all_connections_have);
#undef TEST
}

/* SPDX-License-Identifier: Apache-2.0 */
/*
 * An overlay beside a plain tmpfs with the same content: random changes on both must answer the
 * same and leave the same tree. Only what overlays refuse by design (EXDEV for a lower directory)
 * may differ.
 */
#include "base/rand.h"
#include "sentry/fs/overlay/overlay.h"
#include "sentry/fs/testing.h"

#define STEPS 3000u
#define DEPTH_MAX 3u
static const char *const names[] = {"a", "b", "c", "d"};

/* ---- making both -------------------------------------------------------------------------- */

SLEEPS static void fill(struct task *task, const char *root, u64 seed)
{
    struct rand rand;
    rand_init(&rand, seed, "fill");
    char path[64];
    for (u32 i = 0; i < 4; i++) {
        snprintf(path, sizeof path, "%s/%s", root, names[i]);
        if (rand_chance(&rand, 1, 3)) {
            write_text(task, path, path + strlen(root));
            continue;
        }
        CU_ASSERT_EQUAL(vfs_mkdir(task, NULL, path, 0755), 0);
        for (u32 k = 0; k < 4; k++) {
            snprintf(path, sizeof path, "%s/%s/%s", root, names[i], names[k]);
            u64 kind = rand_below(&rand, 4);
            if (kind == 0)
                CU_ASSERT_EQUAL(vfs_mkdir(task, NULL, path, 0755), 0);
            if (kind == 1)
                write_text(task, path, path + strlen(root));
            if (kind == 2)
                CU_ASSERT_EQUAL(vfs_symlink(task, "../a", NULL, path), 0);
        }
    }
}

SLEEPS static void make_both(struct task *task, u64 seed)
{
    static const char *const dirs[] = {"/plain", "/low1", "/low2", "/up", "/over", "/work"};
    for (u32 i = 0; i < ARRAY_COUNT(dirs); i++)
        CU_ASSERT_EQUAL(vfs_mkdir(task, NULL, dirs[i], 0755), 0);
    fill(task, "/plain", seed);
    fill(task, "/low1", seed);
    CU_ASSERT_EQUAL(vfs_mount(task, "o", "/over", "overlay", 0,
                              "lowerdir=/low1:/low2,upperdir=/up,workdir=/work"),
                    0);
}

/* ---- one change on one of them -------------------------------------------------------------- */

struct change {
    u32 what;
    char from[32], to[32]; /* "/a/b" */
    u64 number;
};

static void random_path(struct rand *rand, char *out)
{
    u64 depth = 1 + rand_below(rand, DEPTH_MAX);
    out[0] = 0;
    for (u64 i = 0; i < depth; i++) {
        strcat(out, "/");
        strcat(out, names[rand_below(rand, 4)]);
    }
}

SLEEPS static int write_at(struct task *task, const char *path, u32 flags, const struct change *c)
{
    AUTO_PUT struct file *file = NULL;
    int err = vfs_open(task, NULL, path, LINUX_O_WRONLY | flags, 0644, 0, &file);
    if (err)
        return err;
    i64 moved = file_write_kernel(task, file, c->from, strlen(c->from));
    return moved < 0 ? (int)moved : 0;
}

SLEEPS static int link_at(struct task *task, const char *from, const char *to)
{
    AUTO_PATH struct path old = {0};
    int err = path_walk(task, NULL, from, 0, &old);
    return err ? err : vfs_link(task, &old, NULL, to);
}

SLEEPS static int set_at(struct task *task, const char *path, const struct change *c)
{
    AUTO_PATH struct path found = {0};
    int err = path_walk(task, NULL, path, WALK_FOLLOW, &found);
    const struct attr attr = {.mask = ATTR_MODE | ATTR_UID,
                              .mode = 0600u + (u32)(c->number & 077),
                              .uid = (u32)c->number & 3};
    if (err)
        return err;
    return c->number & 64 ? vfs_truncate(task, &found, c->number & 15)
                          : vfs_setattr(task, &found, &attr);
}

SLEEPS static int apply(struct task *task, const char *root, const struct change *c)
{
    char from[48], to[48];
    snprintf(from, sizeof from, "%s%s", root, c->from);
    snprintf(to, sizeof to, "%s%s", root, c->to);
    switch (c->what) {
    case 0:
        return vfs_mkdir(task, NULL, from, 0755);
    case 1:
        return vfs_unlink(task, NULL, from, LINUX_AT_REMOVEDIR);
    case 2:
        return vfs_unlink(task, NULL, from, 0);
    case 3:
        return write_at(task, from, LINUX_O_CREAT | LINUX_O_TRUNC, c);
    case 4:
        return write_at(task, from, LINUX_O_APPEND, c);
    case 5:
        return vfs_symlink(task, "../b", NULL, from);
    case 6:
        return vfs_rename(task, NULL, from, NULL, to, 0);
    case 7:
        return vfs_rename(task, NULL, from, NULL, to,
                          c->number & 1 ? LINUX_RENAME_EXCHANGE : LINUX_RENAME_NOREPLACE);
    case 8:
        return set_at(task, from, c);
    default:
        return link_at(task, from, to);
    }
}

/* ---- comparing ------------------------------------------------------------------------------ */

SLEEPS static u32 compare_node(struct task *task, const char *at, char *plain, char *over);

SLEEPS static u32 compare_dir(struct task *task, const char *at)
{
    u32 wrong = 0, count[2] = {0};
    char below[32], one[64], two[64], listing[512];
    static const char *const roots[] = {"/plain", "/over"};
    for (u32 i = 0; i < 2; i++) {
        snprintf(one, sizeof one, "%s%s", roots[i], at);
        for (const char *c = names_at(task, one, listing); *c; c++)
            count[i] += *c == ' ';
    }
    wrong += count[0] != count[1];
    for (u32 i = 0; i < 4; i++) {
        snprintf(below, sizeof below, "%s/%s", at, names[i]);
        wrong += compare_node(task, below, one, two);
    }
    return wrong;
}

/* The same kind, owner, mode, size and content below both. */
SLEEPS static u32 compare_node(struct task *task, const char *at, char *plain, char *over)
{
    snprintf(plain, 64, "/plain%s", at);
    snprintf(over, 64, "/over%s", at);
    AUTO_PATH struct path p = {0};
    AUTO_PATH struct path o = {0};
    int plain_err = path_walk(task, NULL, plain, 0, &p);
    int over_err = path_walk(task, NULL, over, 0, &o);
    if (plain_err || over_err)
        return plain_err != over_err;
    const struct inode *a = p.dentry->inode;
    CU_ASSERT_EQUAL(vfs_getattr(task, o.dentry->inode), 0);
    const struct inode *b = o.dentry->inode;
    u32 wrong = a->mode != b->mode || a->uid != b->uid;
    if (inode_is_dir(a))
        return wrong + compare_dir(task, at);
    wrong += a->size != b->size || a->link_count != b->link_count;
    char text[64] = {0}, other[64] = {0};
    if (inode_is_symlink(a)) {
        wrong += vfs_readlink(task, &p, text, 64) != vfs_readlink(task, &o, other, 64);
    } else {
        AUTO_PUT struct file *f = must_open(task, plain, LINUX_O_RDONLY);
        AUTO_PUT struct file *g = must_open(task, over, LINUX_O_RDONLY);
        wrong += file_pread_kernel(task, f, text, 63, 0) !=
                 file_pread_kernel(task, g, other, 63, 0);
    }
    return wrong + (memcmp(text, other, 64) != 0);
}

SLEEPS static bool run_seed(struct task *task, u64 seed)
{
    struct rand rand;
    rand_init(&rand, seed, "changes");
    make_both(task, seed);
    for (u32 i = 0; i < STEPS; i++) {
        struct change c = {.what = (u32)rand_below(&rand, 10), .number = rand_u64(&rand)};
        random_path(&rand, c.from);
        random_path(&rand, c.to);
        int over = apply(task, "/over", &c);
        int plain = over == -EXDEV ? over : apply(task, "/plain", &c);
        if (rand_chance(&rand, 1, 50))
            vfs_drop_cache(task->kernel);
        if (over == plain && (i % 20 || compare_dir(task, "") == 0))
            continue;
        printf("\n  seed %llu, step %u: %u %s %s %llu: overlay %d, tmpfs %d",
               (unsigned long long)seed, i, c.what, c.from, c.to,
               (unsigned long long)c.number & 127, over, plain);
        return false;
    }
    return true;
}

SLEEPS_ROOT static void seeds(struct task *task, struct world *world)
{
    static u64 seed;
    CU_ASSERT(run_seed(task, ++seed));
}

static void test_an_overlay_behaves_as_a_plain_file_system(void)
{
    for (u32 i = 0; i < 12; i++)
        world_test(seeds);
}

void overlay_model_suite(void);
void overlay_model_suite(void)
{
    CU_pSuite suite = CU_add_suite("fs/overlay model", NULL, NULL);
    CU_ADD_TEST(suite, test_an_overlay_behaves_as_a_plain_file_system);
}

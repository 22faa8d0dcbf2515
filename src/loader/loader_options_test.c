/* SPDX-License-Identifier: Apache-2.0 */
/* mount(8) options of specs. */
#include <CUnit/Basic.h>
#include <string.h>

#include "abi/mount.h"
#include "base/arena_plain.h"
#include "loader/internal.h"

static void test_options_become_flags_and_data(void)
{
    static const struct {
        const char *options[6];
        u64 flags;
        const char *data;
    } cases[] = {
        {{"ro", "nosuid", "noexec", "nodev"},
         LINUX_MS_RDONLY | LINUX_MS_NOSUID | LINUX_MS_NOEXEC | LINUX_MS_NODEV,
         NULL},
        {{"ro", "rw"}, 0, NULL},
        {{"rw", "ro", "defaults"}, LINUX_MS_RDONLY, NULL},
        {{"rbind", "rprivate", "ro"}, LINUX_MS_RDONLY, NULL},
        {{"newinstance", "ptmxmode=0666", "mode=0620", "gid=5", "nosuid"},
         LINUX_MS_NOSUID,
         "newinstance,ptmxmode=0666,mode=0620,gid=5"},
        {{"size=65536k", "mode=755", "strictatime"}, LINUX_MS_STRICTATIME, "size=65536k,mode=755"},
        {{"nosuid", "suid", "noatime", "atime"}, 0, NULL},
    };
    struct arena *arena = arena_plain_create();
    for (size_t i = 0; i < ARRAY_COUNT(cases); i++) {
        struct mount_options out;
        size_t count = 0;
        while (count < 6 && cases[i].options[count])
            count++;
        CU_ASSERT_EQUAL_FATAL(
            mount_options_parse(arena, (char *const *)(uintptr_t)cases[i].options, count, &out), 0);
        CU_ASSERT_EQUAL(out.flags, cases[i].flags);
        CU_ASSERT_STRING_EQUAL(out.data ? out.data : "", cases[i].data ? cases[i].data : "");
        arena_free_string(arena, out.data);
    }
    arena_plain_destroy(arena);
}

static void test_propagation_is_told_apart(void)
{
    struct arena *arena = arena_plain_create();
    struct mount_options out;
    CU_ASSERT_EQUAL(mount_options_parse(arena, (char *[]){"rslave"}, 1, &out), 0);
    CU_ASSERT_EQUAL(out.propagation, LINUX_MS_SLAVE);
    CU_ASSERT_EQUAL(out.flags, 0);
    CU_ASSERT(out.is_recursive);
    arena_plain_destroy(arena);
}

void loader_options_suite(void)
{
    CU_pSuite suite = CU_add_suite("loader/options", NULL, NULL);
    CU_ADD_TEST(suite, test_options_become_flags_and_data);
    CU_ADD_TEST(suite, test_propagation_is_told_apart);
}

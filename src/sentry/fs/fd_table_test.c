/* SPDX-License-Identifier: Apache-2.0 */
/* Descriptor tables against a model: the lowest free number, both or neither, what exec and fork
 * keep. */
#include "base/rand.h"
#include "sentry/fs/testing.h"

#define NUMBERS 200u

/* 0 free, 1 open, 2 open and closed by exec. */
static u8 model[NUMBERS];

static i32 model_lowest(i32 from)
{
    for (u32 fd = (u32)from; fd < NUMBERS; fd++)
        if (!model[fd])
            return (i32)fd;
    return -1;
}

static u32 differences(const struct fd_table *table)
{
    u32 wrong = 0, count = 0;
    for (u32 fd = 0; fd < NUMBERS; fd++) {
        bool is_open = fd < table->capacity && table->files[fd];
        count += model[fd] != 0;
        wrong += is_open != (model[fd] != 0);
        wrong += is_open && fd_is_cloexec(table, (i32)fd) != (model[fd] == 2);
    }
    return wrong + (table->count != count);
}

SLEEPS static bool step(struct task *task, struct rand *rand, struct file *file)
{
    i32 fd = (i32)rand_below(rand, NUMBERS / 2);
    bool is_cloexec = rand_chance(rand, 1, 2);
    u32 flags = is_cloexec ? LINUX_O_CLOEXEC : 0;
    u8 mark = is_cloexec ? 2 : 1;
    switch (rand_below(rand, 6)) {
    case 0:
    case 1: {
        i32 want = model_lowest(0);
        bool ok = fd_install(task, REF_GET(file), flags) == want;
        model[want] = mark;
        return ok;
    }
    case 2: {
        i32 want = model_lowest(fd);
        bool ok = fd_install_from(task, REF_GET(file), fd, flags) == want;
        model[want] = mark;
        return ok;
    }
    case 3: {
        bool ok = fd_install_at(task, fd, REF_GET(file), flags) == 0;
        model[fd] = mark;
        return ok;
    }
    default: {
        int want = model[fd] ? 0 : -EBADF;
        model[fd] = 0;
        return fd_close(task, fd) == want;
    }
    }
}

SLEEPS_ROOT static void random_numbers(struct task *task, struct world *world)
{
    AUTO_PUT struct file *file = must_open(task, "/", LINUX_O_RDONLY);
    struct rand rand;
    rand_init(&rand, 3, "fds");
    memset(model, 0, sizeof model);
    u32 wrong = 0;
    for (u32 i = 0; i < 20000 && wrong == 0; i++) {
        if (model_lowest(NUMBERS / 2) < 0 || task->fds->count > NUMBERS / 2 - 2)
            for (i32 fd = 0; fd < (i32)NUMBERS; fd++)
                model[fd] = fd_close(task, fd) ? model[fd] : 0;
        wrong += !step(task, &rand, file);
        if (i % 64 == 0)
            wrong += differences(task->fds);
    }
    CU_ASSERT_EQUAL(wrong, 0);
    AUTO_PUT struct fd_table *child = NULL;
    CU_ASSERT_EQUAL_FATAL(fd_table_fork(task->fds, &child), 0);
    CU_ASSERT_EQUAL(differences(child), 0);
    fd_close_on_exec(task);
    CU_ASSERT_EQUAL(differences(child), 0);
    for (u32 fd = 0; fd < NUMBERS; fd++)
        model[fd] = model[fd] == 2 ? 0 : model[fd];
    CU_ASSERT_EQUAL(differences(task->fds), 0);
}

static void test_numbers_equal_a_model(void)
{
    world_test(random_numbers);
}

SLEEPS_ROOT static void reservations(struct task *task, struct world *world)
{
    AUTO_PUT struct file *file = must_open(task, "/", LINUX_O_RDONLY);
    struct fd_slots first = {0}, second = {0};
    CU_ASSERT_EQUAL(fd_slots_reserve(task, 2, 0, &first), 0);
    CU_ASSERT_EQUAL(fd_slots_reserve(task, 2, 0, &second), 0);
    CU_ASSERT(first.fds[0] == 0 && first.fds[1] == 1 && second.fds[0] == 2);
    CU_ASSERT_EQUAL(fd_install_at(task, 1, REF_GET(file), 0), -EBUSY); /* dup2(2)'s race */
    CU_ASSERT_PTR_NULL(fd_get(task, 0));                               /* not yet there */
    fd_slots_install(&first, 1, REF_GET(file), 0);
    fd_slots_release(&first);
    CU_ASSERT_EQUAL(fd_install(task, REF_GET(file), 0), 0);
    fd_slots_release(&second);
    CU_ASSERT_EQUAL(fd_install(task, REF_GET(file), 0), 2);
    CU_ASSERT_EQUAL(fd_install_at(task, -1, REF_GET(file), 0), -EBADF);
    CU_ASSERT_EQUAL(fd_install_at(task, 1 << 30, REF_GET(file), 0), -EBADF);
    CU_ASSERT_EQUAL(fd_close(task, 99), -EBADF);
}

static void test_reserved_numbers_come_together_or_not_at_all(void)
{
    world_test(reservations);
}

void fd_table_suite(void);
void fd_table_suite(void)
{
    CU_pSuite suite = CU_add_suite("fs/fd_table", NULL, NULL);
    CU_ADD_TEST(suite, test_numbers_equal_a_model);
    CU_ADD_TEST(suite, test_reserved_numbers_come_together_or_not_at_all);
}

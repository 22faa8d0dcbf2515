/* SPDX-License-Identifier: Apache-2.0 */
/* Page tables against a plain array of entries, and what a machine would read in them. */
#include "platform/pagetable.h"
#include "base/rand.h"
#include <CUnit/Basic.h>
#include <errno.h>

#define RWX (PROT_READ_BIT | PROT_WRITE_BIT | PROT_EXEC_BIT)

static void test_an_entry_is_found_as_it_was_set(void)
{
    static const u64 addresses[] = {0x10000, 0x400000, 0x7ffffffff000 - PAGE_SIZE, 0x200000000000,
                                    0x1ff000};
    struct pagetable_pool pool;
    struct pagetable table;
    struct pagetable_entry entry;
    CU_ASSERT_EQUAL_FATAL(pagetable_pool_init(&pool), 0);
    CU_ASSERT_EQUAL(pagetable_init(&table, &pool), 0);
    for (u32 i = 0; i < ARRAY_COUNT(addresses); i++) {
        uaddr address = uaddr_make(addresses[i]);
        CU_ASSERT_FALSE(pagetable_get(&table, address, &entry));
        CU_ASSERT_EQUAL(pagetable_reserve(&table, address, 1), 0);
        CU_ASSERT_FALSE(pagetable_get(&table, address, &entry));
        for (u32 prot = 0; prot <= RWX; prot++) {
            pagetable_set(&table, address, (frame){i + 5}, prot);
            CU_ASSERT_TRUE(pagetable_get(&table, uaddr_add(address, 7), &entry));
            CU_ASSERT_EQUAL(entry.address.value, addresses[i]);
            CU_ASSERT_EQUAL(entry.frame.index, i + 5);
            CU_ASSERT_EQUAL(entry.prot, prot);
            u64 word = *pagetable_slot(&table, address);
            CU_ASSERT_EQUAL(word & PAGETABLE_FRAME_MASK, (i + 5) << PAGE_SHIFT);
            CU_ASSERT_EQUAL((word & PAGETABLE_P) != 0, prot != 0);
            CU_ASSERT_EQUAL((word & PAGETABLE_W) != 0, (prot & PROT_WRITE_BIT) != 0);
            CU_ASSERT_TRUE(prot == 0 || ((word & PAGETABLE_NX) != 0) == !(prot & PROT_EXEC_BIT));
            CU_ASSERT_TRUE(prot == 0 || (word & PAGETABLE_U));
        }
        pagetable_clear(&table, address);
        CU_ASSERT_FALSE(pagetable_get(&table, address, &entry));
    }
    pagetable_fini(&table);
    CU_ASSERT_EQUAL(pool.used_count, 0);
    pagetable_pool_fini(&pool);
}

static void test_addresses_outside_are_refused(void)
{
    struct pagetable_pool pool;
    struct pagetable table;
    struct pagetable_entry entry;
    CU_ASSERT_EQUAL_FATAL(pagetable_pool_init(&pool), 0);
    CU_ASSERT_EQUAL(pagetable_init(&table, &pool), 0);
    CU_ASSERT_EQUAL(pagetable_reserve(&table, uaddr_make(0x7ffffffff000), 2), -EINVAL);
    CU_ASSERT_EQUAL(pagetable_reserve(&table, uaddr_make(0), UINT64_MAX), -EINVAL);
    CU_ASSERT_EQUAL(pagetable_reserve(&table, uaddr_make(UINT64_MAX - 5), 1), -EINVAL);
    CU_ASSERT_FALSE(pagetable_get(&table, uaddr_make(0xffff800000000000), &entry));
    CU_ASSERT_FALSE(pagetable_next(&table, uaddr_make(0), uaddr_make(UINT64_MAX), &entry));
    pagetable_fini(&table);
    pagetable_pool_fini(&pool);
}

/* COUNT entries from PAGE on become those of consecutive frames, or nothing. */
static void run_edit(struct pagetable *table, u64 base, u64 *model, u64 page, u64 count,
                     bool is_set)
{
    u64 old[64];
    for (u64 done = 0; done < count;) {
        uaddr address = uaddr_make(base + (page + done) * PAGE_SIZE);
        u64 word = is_set ? pagetable_word((frame){page + done + 1}, PROT_READ_BIT) : 0;
        CU_ASSERT_EQUAL(pagetable_reserve(table, address, 1), 0);
        u64 step = pagetable_exchange_run(table, address, MIN(count - done, 64u), word, old);
        CU_ASSERT_FATAL(step > 0 && step <= MIN(count - done, 64u));
        for (u64 i = 0; i < step; i++) {
            u64 at = page + done + i;
            CU_ASSERT_EQUAL((old[i] & PAGETABLE_FRAME_MASK) >> PAGE_SHIFT, model[at] >> 3);
            model[at] = is_set ? (at + 1) << 3 | PROT_READ_BIT : 0;
        }
        done += step;
    }
}

/* Sets, clears and searches at random against an array. */
static void test_random_edits_agree_with_an_array(void)
{
    enum { PAGES = 2048 };
    static u64 model[PAGES];                       /* frame << 3 | prot, or 0 */
    const u64 base = 0x40000000 - 700 * PAGE_SIZE; /* across tables of two levels */
    struct pagetable_pool pool;
    struct pagetable table;
    struct rand rand;
    rand_init(&rand, 7, "pagetable");
    CU_ASSERT_EQUAL_FATAL(pagetable_pool_init(&pool), 0);
    CU_ASSERT_EQUAL(pagetable_init(&table, &pool), 0);
    for (u32 round = 0; round < 20000; round++) {
        u64 page = rand_below(&rand, PAGES);
        uaddr address = uaddr_make(base + page * PAGE_SIZE);
        if (rand_chance(&rand, 1, 2)) {
            u64 frame_index = rand_chance(&rand, 3, 4) ? page + 1 : rand_below(&rand, 1000) + 1;
            u32 prot = (u32)rand_below(&rand, 3);
            CU_ASSERT_EQUAL(pagetable_reserve(&table, address, 1), 0);
            pagetable_set(&table, address, (frame){frame_index}, prot);
            model[page] = frame_index << 3 | prot;
        } else {
            pagetable_clear(&table, address);
            model[page] = 0;
        }
        if (round % 64)
            continue;
        u64 length = rand_below(&rand, 200) + 1;
        if (page + length <= PAGES)
            run_edit(&table, base, model, page, length, rand_chance(&rand, 1, 2));
        pagetable_release_unlinked(&table);
        u64 from = rand_below(&rand, PAGES), want = from, count;
        struct pagetable_entry entry;
        while (want < PAGES && model[want] == 0)
            want++;
        bool is_found = pagetable_next_run(&table, uaddr_make(base + from * PAGE_SIZE),
                                           uaddr_make(base + PAGES * PAGE_SIZE), 50, &entry,
                                           &count);
        CU_ASSERT_EQUAL(is_found, want < PAGES);
        if (!is_found)
            continue;
        CU_ASSERT_EQUAL(entry.address.value, base + want * PAGE_SIZE);
        CU_ASSERT_EQUAL(entry.frame.index << 3 | entry.prot, model[want]);
        u64 run = 1;
        while (run < 50 && want + run < PAGES && model[want + run] == model[want] + (run << 3))
            run++;
        CU_ASSERT_EQUAL(count, run);
    }
    for (u64 page = 0; page < PAGES; page++)
        pagetable_clear(&table, uaddr_make(base + page * PAGE_SIZE));
    pagetable_release_unlinked(&table);
    CU_ASSERT_EQUAL(pool.used_count, 1); /* the root; empty tables are gone */
    pagetable_fini(&table);
    CU_ASSERT_EQUAL(pool.used_count, 0);
    pagetable_pool_fini(&pool);
}

static void test_a_sparse_program_does_not_keep_its_tables(void)
{
    struct pagetable_pool pool;
    struct pagetable table;
    CU_ASSERT_EQUAL_FATAL(pagetable_pool_init(&pool), 0);
    CU_ASSERT_EQUAL(pagetable_init(&table, &pool), 0);
    for (u64 i = 1; i < 20000; i++) {
        uaddr address = uaddr_make(i << 31);
        CU_ASSERT_EQUAL(pagetable_reserve(&table, address, 1), 0);
        pagetable_set(&table, address, (frame){1}, PROT_READ_BIT);
        pagetable_clear(&table, address);
        pagetable_release_unlinked(&table);
    }
    CU_ASSERT_TRUE(pool.frame_next < 20);
    pagetable_fini(&table);
    pagetable_pool_fini(&pool);
}

static void test_any_right_lets_reads_in(void)
{
    CU_ASSERT_FALSE(pagetable_allows(0, PROT_READ_BIT));
    CU_ASSERT_TRUE(pagetable_allows(PROT_EXEC_BIT, PROT_READ_BIT));
    CU_ASSERT_TRUE(pagetable_allows(PROT_WRITE_BIT, PROT_READ_BIT));
    CU_ASSERT_FALSE(pagetable_allows(PROT_READ_BIT, PROT_WRITE_BIT));
    CU_ASSERT_FALSE(pagetable_allows(PROT_READ_BIT | PROT_WRITE_BIT, PROT_EXEC_BIT));
}

void pagetable_suite(void);
void pagetable_suite(void)
{
    static CU_TestInfo tests[] = {
        {"an entry is found as it was set", test_an_entry_is_found_as_it_was_set},
        {"addresses outside are refused", test_addresses_outside_are_refused},
        {"random edits agree with an array", test_random_edits_agree_with_an_array},
        {"a sparse program does not keep its tables",
         test_a_sparse_program_does_not_keep_its_tables},
        {"any right lets reads in", test_any_right_lets_reads_in},
        CU_TEST_INFO_NULL,
    };
    CU_SuiteInfo suites[] = {{"page tables", NULL, NULL, NULL, NULL, tests}, CU_SUITE_INFO_NULL};
    ASSERT(CU_register_suites(suites) == CUE_SUCCESS);
}

/* SPDX-License-Identifier: Apache-2.0 */
#include <CUnit/CUnit.h>
#include <stdio.h>

#include "sentry/memory/testing.h"

static struct test_world world;
static struct mm *mm;

SLEEPS_ROOT static void begin(u64 frames_max)
{
    test_world_begin(&world, frames_max);
    mm = test_mm(&world);
}

SLEEPS_ROOT static void end(void)
{
    CU_ASSERT(test_mm_is_right(mm));
    REF_CLEAR(mm);
    test_world_end(&world);
}

/* The answer of a fault: 0 or the signal; its code in *CODE. */
SLEEPS_ROOT static i32 fault_at(u64 address, u32 access, i32 *code)
{
    i32 signo = 0;
    *code = 0;
    int err = mm_fault(mm, NULL, address, access, &signo, code);
    return err ? signo : 0;
}

SLEEPS_ROOT static void test_places_are_found_from_the_top_and_hints_are_taken(void)
{
    begin(1024);
    mm->mmap_top = 0x10000000;
    CU_ASSERT_EQUAL(test_map(mm, 0, 2, RW, 0), 0xfffe000);
    CU_ASSERT_EQUAL(test_map(mm, 0, 1, RW, 0), 0xfffd000);
    CU_ASSERT_EQUAL(mm->vma_count, 1); /* joined */
    struct mm_map_request request = {.address = 0x5000001, .size = 1, .prot = RW};
    CU_ASSERT_EQUAL(mm_map(mm, NULL, &request), 0x5001000);
    CU_ASSERT_EQUAL(mm_map(mm, NULL, &request), 0xfffc000); /* taken: found elsewhere */
    request = (struct mm_map_request){.address = 0x5001000, .size = 1, .is_noreplace = true};
    CU_ASSERT_EQUAL(mm_map(mm, NULL, &request), -EEXIST);
    request = (struct mm_map_request){.address = 0x5001001, .size = 1, .is_fixed = true};
    CU_ASSERT_EQUAL(mm_map(mm, NULL, &request), -EINVAL);
    request.address = 0x1000;
    CU_ASSERT_EQUAL(mm_map(mm, NULL, &request), -EPERM);
    request.address = SPACE_ADDRESS_END;
    CU_ASSERT_EQUAL(mm_map(mm, NULL, &request), -ENOMEM);
    request = (struct mm_map_request){.size = UINT64_MAX};
    CU_ASSERT_EQUAL(mm_map(mm, NULL, &request), -ENOMEM);
    request = (struct mm_map_request){.size = 0};
    CU_ASSERT_EQUAL(mm_map(mm, NULL, &request), -EINVAL);
    request = (struct mm_map_request){.size = PAGE_SIZE, .is_below_2g = true};
    CU_ASSERT(mm_map(mm, NULL, &request) < (i64)1 << 31);
    end();
}

SLEEPS_ROOT static void test_a_fault_fills_a_run_that_grows_in_order(void)
{
    begin(4096);
    u64 at = (u64)test_map(mm, 0x1000000, 512, RW, 0);
    i32 code;
    CU_ASSERT_EQUAL(fault_at(at, PROT_WRITE_BIT, &code), 0);
    CU_ASSERT_EQUAL(mm->resident_count, 16);
    CU_ASSERT_EQUAL(fault_at(at + 16 * PAGE_SIZE, PROT_WRITE_BIT, &code), 0);
    CU_ASSERT_EQUAL(mm->resident_count, 32);
    CU_ASSERT_EQUAL(fault_at(at + 32 * PAGE_SIZE, PROT_WRITE_BIT, &code), 0);
    CU_ASSERT_EQUAL(mm->resident_count, 64);
    CU_ASSERT_EQUAL(fault_at(at + 64 * PAGE_SIZE, PROT_READ_BIT, &code), 0);
    CU_ASSERT_EQUAL(mm->resident_count, 128);
    CU_ASSERT_EQUAL(fault_at(at + 509 * PAGE_SIZE, PROT_READ_BIT, &code), 0);
    CU_ASSERT_EQUAL(mm->resident_count, 144);
    CU_ASSERT_EQUAL(test_entry(mm, at), 8 | PROT_READ_BIT | PROT_WRITE_BIT);
    struct pagetable_entry first, second;
    CU_ASSERT(pagetable_get(space_table(mm->space), uaddr_make(at), &first));
    CU_ASSERT(pagetable_get(space_table(mm->space), uaddr_make(at + 40 * PAGE_SIZE), &second));
    CU_ASSERT_EQUAL(second.frame.index, first.frame.index + 40); /* neighbours in the memfile */
    end();
}

SLEEPS_ROOT static void test_bad_accesses_get_the_right_signal(void)
{
    begin(1024);
    i32 code;
    u64 at = (u64)test_map(mm, 0x1000000, 1, LINUX_PROT_READ, 0);
    CU_ASSERT_EQUAL(fault_at(0x2000000, PROT_READ_BIT, &code), LINUX_SIGSEGV);
    CU_ASSERT_EQUAL(code, LINUX_SEGV_MAPERR);
    CU_ASSERT_EQUAL(fault_at(at, PROT_WRITE_BIT, &code), LINUX_SIGSEGV);
    CU_ASSERT_EQUAL(code, LINUX_SEGV_ACCERR);
    CU_ASSERT_EQUAL(fault_at(at, PROT_EXEC_BIT, &code), LINUX_SIGSEGV);
    CU_ASSERT_EQUAL(fault_at(UINT64_MAX, PROT_READ_BIT, &code), LINUX_SIGSEGV);
    CU_ASSERT_EQUAL(fault_at(at, PROT_READ_BIT, &code), 0);
    struct test_file *file = test_file_create(&world, 2);
    at = (u64)test_map_file(mm, file, 4, LINUX_PROT_READ, 0);
    CU_ASSERT_EQUAL(fault_at(at + PAGE_SIZE, PROT_READ_BIT, &code), 0);
    CU_ASSERT_EQUAL(fault_at(at + 2 * PAGE_SIZE, PROT_READ_BIT, &code), LINUX_SIGBUS);
    CU_ASSERT_EQUAL(code, LINUX_BUS_ADRERR);
    file->error = -EIO;
    u64 other = (u64)test_map_file(mm, file, 2, LINUX_PROT_READ, 0);
    CU_ASSERT_EQUAL(fault_at(other + PAGE_SIZE, PROT_READ_BIT, &code), 0); /* cached */
    CU_ASSERT_EQUAL(fault_at(other, PROT_READ_BIT, &code), 0);             /* read around it */
    struct test_file *bad = test_file_create(&world, 2);
    bad->error = -EIO;
    other = (u64)test_map_file(mm, bad, 2, LINUX_PROT_READ, 0);
    CU_ASSERT_EQUAL(fault_at(other, PROT_READ_BIT, &code), LINUX_SIGBUS);
    REF_PUT(bad);
    REF_PUT(file);
    end();
}

SLEEPS_ROOT static void test_no_memory_is_a_kill_and_nothing_leaks(void)
{
    begin(8);
    u64 at = (u64)test_map(mm, 0x1000000, 64, RW, 0);
    i32 code;
    CU_ASSERT_EQUAL(fault_at(at + 3 * PAGE_SIZE, PROT_WRITE_BIT, &code), 0); /* a shorter run */
    CU_ASSERT_EQUAL(mm->resident_count, 8);
    CU_ASSERT_NOT_EQUAL(test_entry(mm, at + 3 * PAGE_SIZE), 0);
    CU_ASSERT_EQUAL(fault_at(at + 40 * PAGE_SIZE, PROT_WRITE_BIT, &code), LINUX_SIGKILL);
    CU_ASSERT_EQUAL(mm_advise(mm, NULL, at, 64 * PAGE_SIZE, LINUX_MADV_DONTNEED), 0);
    CU_ASSERT_EQUAL(fault_at(at + 40 * PAGE_SIZE, PROT_WRITE_BIT, &code), 0);
    end();
}

SLEEPS_ROOT static void test_unmapping_cuts_vmas_and_frees_frames(void)
{
    begin(1024);
    u64 at = (u64)test_map(mm, 0x1000000, 16, RW, 0);
    CU_ASSERT_EQUAL(test_store(mm, at, 1), 0);
    CU_ASSERT_EQUAL(mm_unmap(mm, NULL, at + 4 * PAGE_SIZE, 4 * PAGE_SIZE), 0);
    CU_ASSERT_EQUAL(mm->vma_count, 2);
    CU_ASSERT_EQUAL(mm->virtual_size, 12 * PAGE_SIZE);
    CU_ASSERT_EQUAL(mm->resident_count, 12);
    CU_ASSERT_EQUAL(memory_used(world.memory), 12);
    CU_ASSERT_EQUAL(test_load(mm, at + 5 * PAGE_SIZE), -EFAULT);
    CU_ASSERT_EQUAL(test_load(mm, at), 1);
    CU_ASSERT_EQUAL(mm_unmap(mm, NULL, at + 1, PAGE_SIZE), -EINVAL);
    CU_ASSERT_EQUAL(mm_unmap(mm, NULL, at, 0), -EINVAL);
    CU_ASSERT_EQUAL(mm_unmap(mm, NULL, at, UINT64_MAX - 100), -EINVAL);
    CU_ASSERT_EQUAL(mm_unmap(mm, NULL, 0x5000000, PAGE_SIZE), 0); /* nothing there: fine */
    CU_ASSERT_EQUAL(test_map(mm, at + 4 * PAGE_SIZE, 4, RW, 0), (i64)(at + 4 * PAGE_SIZE));
    CU_ASSERT_EQUAL(mm->vma_count, 1); /* joined again */
    CU_ASSERT_EQUAL(test_load(mm, at + 5 * PAGE_SIZE), 0);
    end();
}

SLEEPS_ROOT static void test_protection_follows_rules_and_pages_stay(void)
{
    begin(1024);
    u64 at = (u64)test_map(mm, 0x1000000, 8, RW, 0);
    CU_ASSERT_EQUAL(test_store(mm, at + PAGE_SIZE, 7), 0);
    CU_ASSERT_EQUAL(mm_protect(mm, NULL, at + PAGE_SIZE, PAGE_SIZE, 0), 0);
    CU_ASSERT_EQUAL(mm->vma_count, 3);
    CU_ASSERT_EQUAL(test_load(mm, at + PAGE_SIZE), -EFAULT);
    CU_ASSERT_EQUAL(test_entry(mm, at + PAGE_SIZE), 8);
    CU_ASSERT(test_mm_is_right(mm));
    CU_ASSERT_EQUAL(mm_protect(mm, NULL, at + PAGE_SIZE, PAGE_SIZE, RW), 0);
    CU_ASSERT_EQUAL(mm->vma_count, 1);
    CU_ASSERT_EQUAL(test_load(mm, at + PAGE_SIZE), 7);
    CU_ASSERT_EQUAL(test_entry(mm, at + PAGE_SIZE), 8 | PROT_READ_BIT | PROT_WRITE_BIT);
    CU_ASSERT_EQUAL(mm_protect(mm, NULL, at + 4 * PAGE_SIZE, 8 * PAGE_SIZE, LINUX_PROT_READ),
                    -ENOMEM);
    CU_ASSERT_EQUAL(test_store(mm, at + 5 * PAGE_SIZE, 1), -EFAULT); /* changed up to the hole */
    CU_ASSERT_EQUAL(mm_protect(mm, NULL, at, PAGE_SIZE, 64), -EINVAL);
    CU_ASSERT_EQUAL(mm_protect(mm, NULL, at, PAGE_SIZE, LINUX_PROT_READ | LINUX_PROT_GROWSDOWN),
                    -EINVAL);
    struct test_file *file = test_file_create(&world, 2);
    u64 readonly = (u64)test_map_file(mm, file, 2, LINUX_PROT_READ, VMA_SHARED);
    CU_ASSERT_EQUAL(mm_protect(mm, NULL, readonly, PAGE_SIZE, RW), -EACCES);
    u64 private = (u64)test_map_file(mm, file, 2, LINUX_PROT_READ, VMA_NOEXEC);
    CU_ASSERT_EQUAL(mm_protect(mm, NULL, private, PAGE_SIZE, RW), 0);
    CU_ASSERT_EQUAL(mm_protect(mm, NULL, private, PAGE_SIZE, LINUX_PROT_EXEC), -EACCES);
    REF_PUT(file);
    end();
}

SLEEPS_ROOT static void test_limits_of_address_space_data_and_vmas_hold(void)
{
    begin(1024);
    mm->limit_as = 10 * PAGE_SIZE;
    CU_ASSERT(test_map(mm, 0x1000000, 8, RW, 0) > 0);
    CU_ASSERT_EQUAL(test_map(mm, 0, 3, RW, 0), -ENOMEM);
    CU_ASSERT(test_map(mm, 0x1000000, 9, RW, 0) > 0); /* replaces eight of its nine pages */
    mm->limit_as = UINT64_MAX;
    mm->limit_data = 10 * PAGE_SIZE;
    CU_ASSERT_EQUAL(test_map(mm, 0, 2, RW, 0), -ENOMEM);
    i64 readonly = test_map(mm, 0, 2, LINUX_PROT_READ, 0);
    CU_ASSERT(readonly > 0);
    CU_ASSERT_EQUAL(mm_protect(mm, NULL, (u64)readonly, 2 * PAGE_SIZE, RW), -ENOMEM);
    mm->limit_data = UINT64_MAX;
    mm->limit_memlock = PAGE_SIZE;
    CU_ASSERT_EQUAL(test_map(mm, 0, 2, RW, VMA_LOCKED), -EAGAIN);
    CU_ASSERT_EQUAL(mm_lock(mm, NULL, 0x1000000, 2 * PAGE_SIZE, true), -ENOMEM);
    CU_ASSERT_EQUAL(mm_lock(mm, NULL, 0x1000000, PAGE_SIZE, true), 0);
    CU_ASSERT_EQUAL(mm->locked_size, PAGE_SIZE);
    CU_ASSERT_NOT_EQUAL(test_entry(mm, 0x1000000), 0);
    CU_ASSERT_EQUAL(mm_lock(mm, NULL, 0x1000000, PAGE_SIZE, false), 0);
    CU_ASSERT_EQUAL(mm->locked_size, 0);
    end();
    begin(1024);
    u64 at = 0x1000000;
    while (mm->vma_count < VMA_COUNT_MAX) {
        i64 got = test_map(mm, at, 1, mm->vma_count & 1 ? RW : LINUX_PROT_READ, 0);
        CU_ASSERT_FATAL(got == (i64)at);
        at += PAGE_SIZE;
    }
    CU_ASSERT_EQUAL(test_map(mm, 0, 1, RW, 0), -ENOMEM);
    CU_ASSERT_EQUAL(mm_unmap(mm, NULL, 0x1000000, PAGE_SIZE), 0);
    CU_ASSERT(test_map(mm, 0, 1, RW, 0) > 0);
    end();
}

SLEEPS_ROOT static void test_a_stack_grows_to_its_limit_and_keeps_its_gap(void)
{
    begin(1024);
    u64 top = 0x10000000;
    i32 code;
    CU_ASSERT(test_map(mm, top - PAGE_SIZE, 1, RW, VMA_GROWSDOWN | VMA_STACK) > 0);
    mm->limit_stack = 1024 * PAGE_SIZE;
    CU_ASSERT_EQUAL(fault_at(top - 100 * PAGE_SIZE, PROT_WRITE_BIT, &code), 0);
    CU_ASSERT_EQUAL(mm_find_vma(mm, top - 1)->start, top - 100 * PAGE_SIZE);
    CU_ASSERT_EQUAL(fault_at(top - 1025 * PAGE_SIZE, PROT_WRITE_BIT, &code), LINUX_SIGSEGV);
    CU_ASSERT_EQUAL(test_store(mm, top - 1024 * PAGE_SIZE, 1), 0); /* copies grow it too */
    mm->limit_stack = UINT64_MAX;
    u64 below = top - 2048 * PAGE_SIZE;
    CU_ASSERT(test_map(mm, below, 1, RW, 0) > 0);
    CU_ASSERT_EQUAL(fault_at(below + 257 * PAGE_SIZE, PROT_WRITE_BIT, &code), 0);
    CU_ASSERT_EQUAL(fault_at(below + 256 * PAGE_SIZE, PROT_WRITE_BIT, &code), LINUX_SIGSEGV);
    mm->mmap_top = below + 257 * PAGE_SIZE; /* no mapping goes into the gap either */
    CU_ASSERT_EQUAL(test_map(mm, 0, 1, LINUX_PROT_READ, 0), (i64)(below - PAGE_SIZE));
    end();
}

SLEEPS_ROOT static void test_brk_grows_shrinks_and_stops(void)
{
    begin(1024);
    mm->brk_start = mm->brk_end = 0x2000100;
    CU_ASSERT_EQUAL(mm_brk(mm, NULL, 0), 0x2000100);
    CU_ASSERT_EQUAL(mm_brk(mm, NULL, 0x2005001), 0x2005001);
    CU_ASSERT_EQUAL(test_store(mm, 0x2005fff, 1), 0);
    CU_ASSERT_STRING_EQUAL(mm_find_vma(mm, 0x2005000)->name, "[heap]");
    CU_ASSERT_EQUAL(mm_brk(mm, NULL, 0x2009000), 0x2009000);
    CU_ASSERT_EQUAL(mm->vma_count, 1);
    CU_ASSERT_EQUAL(mm_brk(mm, NULL, 0x2004000), 0x2004000);
    CU_ASSERT_EQUAL(test_load(mm, 0x2005fff), -EFAULT);
    CU_ASSERT(test_map(mm, 0x2008000, 1, RW, 0) > 0);
    CU_ASSERT_EQUAL(mm_brk(mm, NULL, 0x2009000), 0x2004000);
    CU_ASSERT_EQUAL(mm_brk(mm, NULL, UINT64_MAX), 0x2004000);
    mm->limit_data = 0x4000;
    CU_ASSERT_EQUAL(mm_brk(mm, NULL, 0x2005000), 0x2004000);
    end();
}

SLEEPS_ROOT static void test_fork_copies_on_write_and_the_last_owner_writes_in_place(void)
{
    begin(4096);
    struct mm *child = NULL;
    u64 at = (u64)test_map(mm, 0x1000000, 32, RW, 0);
    u64 shared = (u64)test_map(mm, 0, 2, RW, VMA_SHARED);
    u64 wiped = (u64)test_map(mm, 0x3000000, 1, RW, VMA_WIPEONFORK);
    u64 unforked = (u64)test_map(mm, 0x4000000, 1, RW, VMA_DONTFORK);
    for (u64 i = 0; i < 32; i++)
        CU_ASSERT_EQUAL(test_store(mm, at + (i << PAGE_SHIFT), (u8)i), 0);
    CU_ASSERT_EQUAL(test_store(mm, shared, 1), 0);
    CU_ASSERT_EQUAL(test_store(mm, wiped, 1), 0);
    CU_ASSERT_EQUAL(test_store(mm, unforked, 1), 0);
    u64 used = memory_used(world.memory);
    CU_ASSERT_EQUAL(mm_fork(mm, NULL, &child), 0);
    CU_ASSERT_EQUAL(memory_used(world.memory), used); /* nothing copied yet */
    CU_ASSERT(test_mm_is_right(mm) && test_mm_is_right(child));
    CU_ASSERT_EQUAL(test_entry(mm, at), 8 | PROT_READ_BIT);
    CU_ASSERT_EQUAL(test_load(child, wiped), 0);
    CU_ASSERT_EQUAL(test_load(child, unforked), -EFAULT);

    CU_ASSERT_EQUAL(test_store(child, at + 3 * PAGE_SIZE, 99), 0);
    CU_ASSERT_EQUAL(test_load(mm, at + 3 * PAGE_SIZE), 3);
    CU_ASSERT_EQUAL(test_store(mm, at + 20 * PAGE_SIZE, 98), 0);
    CU_ASSERT_EQUAL(test_load(child, at + 20 * PAGE_SIZE), 20);
    CU_ASSERT_EQUAL(test_store(child, shared + 1, 5), 0);
    CU_ASSERT_EQUAL(test_load(mm, shared + 1), 5);
    CU_ASSERT(memory_used(world.memory) < used + 32); /* small runs only */
    REF_CLEAR(child);

    struct pagetable_entry before, after;
    CU_ASSERT(pagetable_get(space_table(mm->space), uaddr_make(at), &before));
    CU_ASSERT_EQUAL(test_store(mm, at, 7), 0);
    CU_ASSERT(pagetable_get(space_table(mm->space), uaddr_make(at), &after));
    CU_ASSERT_EQUAL(before.frame.index, after.frame.index);
    CU_ASSERT_EQUAL(test_entry(mm, at + 31 * PAGE_SIZE), 8 | PROT_READ_BIT | PROT_WRITE_BIT);
    for (u64 i = 1; i < 20; i++)
        CU_ASSERT_EQUAL(test_load(mm, at + (i << PAGE_SHIFT)), (int)i);
    end();
}

SLEEPS_ROOT static void test_private_file_pages_are_copied_and_shared_ones_dirty(void)
{
    begin(1024);
    struct test_file *file = test_file_create(&world, 16);
    u64 private = (u64)test_map_file(mm, file, 16, RW, 0);
    u64 shared = (u64)test_map_file(mm, file, 16, RW, VMA_SHARED | VMA_MAY_WRITE);
    CU_ASSERT_EQUAL(file->mapping.writable_shared_count, 1);
    CU_ASSERT_EQUAL(test_load(mm, private + 2 * PAGE_SIZE), 3);
    CU_ASSERT_EQUAL(file->fill_count, 1);
    CU_ASSERT_EQUAL(test_store(mm, private + 2 * PAGE_SIZE, 77), 0);
    CU_ASSERT_EQUAL(test_load(mm, shared + 2 * PAGE_SIZE), 3);
    CU_ASSERT(world.memory->used[FRAME_ANON] <= 4);
    CU_ASSERT_EQUAL(file->mapping.dirty_count, 0);

    CU_ASSERT_EQUAL(test_entry(mm, shared + 5 * PAGE_SIZE), 8 | PROT_READ_BIT);
    CU_ASSERT_EQUAL(test_store(mm, shared + 5 * PAGE_SIZE, 55), 0);
    CU_ASSERT_EQUAL(file->mapping.dirty_count, 1);
    CU_ASSERT_EQUAL(test_entry(mm, shared + 5 * PAGE_SIZE), 8 | PROT_READ_BIT | PROT_WRITE_BIT);
    CU_ASSERT_EQUAL(test_load(mm, private + 5 * PAGE_SIZE), 55); /* not copied yet: seen */
    CU_ASSERT(test_mm_is_right(mm));
    CU_ASSERT_EQUAL(mapping_sync(&file->mapping, NULL), 0);
    CU_ASSERT_EQUAL(file->bytes[5 * PAGE_SIZE], 55);
    CU_ASSERT_EQUAL(test_entry(mm, shared + 5 * PAGE_SIZE), 8 | PROT_READ_BIT); /* closed again */
    CU_ASSERT_EQUAL(test_store(mm, shared + 5 * PAGE_SIZE, 56), 0);
    CU_ASSERT_EQUAL(file->mapping.dirty_count, 1);

    mapping_truncate(&file->mapping, NULL, 2 * PAGE_SIZE);
    CU_ASSERT_EQUAL(test_load(mm, private + 2 * PAGE_SIZE), -EFAULT); /* the copy goes too */
    CU_ASSERT_EQUAL(test_load(mm, shared + 5 * PAGE_SIZE), -EFAULT);
    CU_ASSERT_EQUAL(test_load(mm, shared + PAGE_SIZE), 2);
    CU_ASSERT_EQUAL(world.memory->used[FRAME_ANON], 2); /* those before it stay */
    CU_ASSERT_EQUAL(mm_unmap(mm, NULL, shared, 16 * PAGE_SIZE), 0);
    CU_ASSERT_EQUAL(file->mapping.writable_shared_count, 0);
    REF_PUT(file);
    end();
}

SLEEPS_ROOT static void test_a_program_begins_with_what_the_cache_has_and_its_own_data(void)
{
    begin(1024);
    struct test_file *file = test_file_create(&world, 16);
    u64 first = (u64)test_map_file(mm, file, 16, LINUX_PROT_READ, 0);
    CU_ASSERT_EQUAL(test_entry(mm, first), 0);
    CU_ASSERT_EQUAL(test_load(mm, first + 9 * PAGE_SIZE), 10); /* one fill, pages before it too */
    CU_ASSERT_EQUAL(file->fill_count, 1);
    u64 again = (u64)test_map_file(mm, file, 16, LINUX_PROT_READ, 0);
    for (u64 i = 0; i < 16; i++)
        CU_ASSERT_EQUAL(test_entry(mm, again + (i << PAGE_SHIFT)), 8 | PROT_READ_BIT);
    struct mm_map_request data = {.address = again + 4 * PAGE_SIZE,
                                  .size = 4 * PAGE_SIZE,
                                  .prot = RW,
                                  .is_fixed = true,
                                  .file = &file->object,
                                  .mapping = &file->mapping,
                                  .offset = 4 * PAGE_SIZE};
    CU_ASSERT_EQUAL(mm_map(mm, NULL, &data), (i64)data.address);
    CU_ASSERT_EQUAL(world.memory->used[FRAME_ANON], 4);
    CU_ASSERT_EQUAL(test_entry(mm, data.address), 8 | PROT_READ_BIT | PROT_WRITE_BIT);
    CU_ASSERT_EQUAL(test_load(mm, data.address), 5);
    CU_ASSERT_EQUAL(test_map(mm, again + 8 * PAGE_SIZE, 4, RW, 0), (i64)again + 8 * PAGE_SIZE);
    CU_ASSERT_EQUAL(test_entry(mm, again + 11 * PAGE_SIZE), 8 | PROT_READ_BIT | PROT_WRITE_BIT);
    CU_ASSERT_EQUAL(test_entry(mm, again + 12 * PAGE_SIZE), 8 | PROT_READ_BIT);
    u64 large = (u64)test_map(mm, 0, 16, RW, 0); /* nobody knows whether it is wanted */
    CU_ASSERT_EQUAL(test_entry(mm, large), 0);
    CU_ASSERT_EQUAL(test_load(mm, first + 5 * PAGE_SIZE), 6);
    REF_PUT(file);
    end();
}

SLEEPS_ROOT static void test_remapping_moves_grows_shrinks_and_duplicates(void)
{
    begin(1024);
    u32 may_move = LINUX_MREMAP_MAYMOVE;
    u64 at = (u64)test_map(mm, 0x1000000, 8, RW, 0);
    CU_ASSERT_EQUAL(test_store(mm, at + 7 * PAGE_SIZE, 7), 0);
    CU_ASSERT_EQUAL(mm_remap(mm, NULL, at, 8 * PAGE_SIZE, 16 * PAGE_SIZE, 0, 0), (i64)at);
    CU_ASSERT_EQUAL(mm->virtual_size, 16 * PAGE_SIZE);
    CU_ASSERT(test_map(mm, at + 16 * PAGE_SIZE, 1, LINUX_PROT_READ, 0) > 0);
    CU_ASSERT_EQUAL(mm_remap(mm, NULL, at, 16 * PAGE_SIZE, 32 * PAGE_SIZE, 0, 0), -ENOMEM);
    i64 moved = mm_remap(mm, NULL, at, 16 * PAGE_SIZE, 32 * PAGE_SIZE, may_move, 0);
    CU_ASSERT(moved > 0 && (u64)moved != at);
    CU_ASSERT_EQUAL(test_load(mm, (u64)moved + 7 * PAGE_SIZE), 7);
    CU_ASSERT_EQUAL(test_load(mm, at + 7 * PAGE_SIZE), -EFAULT);
    CU_ASSERT_EQUAL(mm_remap(mm, NULL, (u64)moved, 32 * PAGE_SIZE, 8 * PAGE_SIZE, 0, 0), moved);
    CU_ASSERT_EQUAL(mm->virtual_size, 9 * PAGE_SIZE);

    u64 to = 0x5000000;
    CU_ASSERT(test_map(mm, to, 2, RW, 0) > 0);
    CU_ASSERT_EQUAL(mm_remap(mm, NULL, (u64)moved + 6 * PAGE_SIZE, 2 * PAGE_SIZE, 2 * PAGE_SIZE,
                             may_move | LINUX_MREMAP_FIXED, to),
                    (i64)to);
    CU_ASSERT_EQUAL(test_load(mm, to + PAGE_SIZE), 7);
    CU_ASSERT_EQUAL(mm_remap(mm, NULL, to, PAGE_SIZE, PAGE_SIZE, LINUX_MREMAP_FIXED, 0x6000000),
                    -EINVAL);
    CU_ASSERT_EQUAL(mm_remap(mm, NULL, to, 2 * PAGE_SIZE, 2 * PAGE_SIZE,
                             may_move | LINUX_MREMAP_FIXED, to + PAGE_SIZE),
                    -EINVAL);
    CU_ASSERT_EQUAL(mm_remap(mm, NULL, 0x7000000, PAGE_SIZE, 2 * PAGE_SIZE, may_move, 0), -EFAULT);
    CU_ASSERT_EQUAL(mm_remap(mm, NULL, to, 3 * PAGE_SIZE, 4 * PAGE_SIZE, may_move, 0), -EFAULT);
    CU_ASSERT_EQUAL(mm_remap(mm, NULL, to, 0, PAGE_SIZE, may_move, 0), -EINVAL);
    CU_ASSERT_EQUAL(mm_remap(mm, NULL, to, PAGE_SIZE, 0, may_move, 0), -EINVAL);

    u64 kept = (u64)mm_remap(mm, NULL, to, 2 * PAGE_SIZE, 2 * PAGE_SIZE,
                             may_move | LINUX_MREMAP_DONTUNMAP, 0);
    CU_ASSERT_EQUAL(test_load(mm, kept + PAGE_SIZE), 7);
    CU_ASSERT_EQUAL(test_load(mm, to + PAGE_SIZE), 0);
    u64 shared = (u64)test_map(mm, 0, 2, RW, VMA_SHARED);
    CU_ASSERT_EQUAL(test_store(mm, shared, 4), 0);
    i64 twin = mm_remap(mm, NULL, shared, 0, 2 * PAGE_SIZE, may_move, 0);
    CU_ASSERT_EQUAL(test_store(mm, (u64)twin, 5), 0);
    CU_ASSERT_EQUAL(test_load(mm, shared), 5);
    end();
}

SLEEPS_ROOT static void test_advice_changes_what_it_names(void)
{
    begin(1024);
    u64 at = (u64)test_map(mm, 0x1000000, 8, RW, 0);
    CU_ASSERT_EQUAL(test_store(mm, at, 1), 0);
    CU_ASSERT_EQUAL(mm_advise(mm, NULL, at, PAGE_SIZE, LINUX_MADV_DONTNEED), 0);
    CU_ASSERT_EQUAL(test_load(mm, at), 0);
    CU_ASSERT_EQUAL(mm_advise(mm, NULL, at, PAGE_SIZE, LINUX_MADV_WILLNEED), 0);
    CU_ASSERT_EQUAL(mm_advise(mm, NULL, at + 1, PAGE_SIZE, LINUX_MADV_DONTNEED), -EINVAL);
    CU_ASSERT_EQUAL(mm_advise(mm, NULL, at, PAGE_SIZE, 1000), -EINVAL);
    CU_ASSERT_EQUAL(mm_advise(mm, NULL, at, 9 * PAGE_SIZE, LINUX_MADV_DONTNEED), -ENOMEM);
    CU_ASSERT_EQUAL(mm_advise(mm, NULL, at + PAGE_SIZE, PAGE_SIZE, LINUX_MADV_DONTFORK), 0);
    CU_ASSERT_EQUAL(mm->vma_count, 3);
    CU_ASSERT_EQUAL(mm_advise(mm, NULL, at, 8 * PAGE_SIZE, LINUX_MADV_DOFORK), 0);
    CU_ASSERT_EQUAL(mm->vma_count, 1);
    CU_ASSERT_EQUAL(mm_advise(mm, NULL, at, 8 * PAGE_SIZE, LINUX_MADV_POPULATE_WRITE), 0);
    CU_ASSERT_EQUAL(mm->resident_count, 8);
    CU_ASSERT_EQUAL(mm_advise(mm, NULL, at, PAGE_SIZE, LINUX_MADV_REMOVE), -EINVAL);
    u64 shared = (u64)test_map(mm, 0, 2, RW, VMA_SHARED);
    CU_ASSERT_EQUAL(test_store(mm, shared, 4), 0);
    CU_ASSERT_EQUAL(mm_advise(mm, NULL, shared, PAGE_SIZE, LINUX_MADV_DONTNEED), 0);
    CU_ASSERT_EQUAL(test_load(mm, shared), 4); /* the memory itself stays */
    CU_ASSERT_EQUAL(mm_advise(mm, NULL, shared, PAGE_SIZE, LINUX_MADV_REMOVE), 0);
    CU_ASSERT_EQUAL(test_load(mm, shared), 0);
    CU_ASSERT_EQUAL(mm_advise(mm, NULL, shared, PAGE_SIZE, LINUX_MADV_FREE), -EINVAL);
    CU_ASSERT_EQUAL(mm_set_name(mm, at, PAGE_SIZE, "pool"), 0);
    CU_ASSERT_STRING_EQUAL(mm_find_vma(mm, at)->name, "pool");
    CU_ASSERT_EQUAL(mm->vma_count, 3);
    end();
}

SLEEPS_ROOT static void test_copies_cross_pages_and_stop_at_bad_memory(void)
{
    begin(1024);
    u64 at = (u64)test_map(mm, 0x1000000, 3, RW, 0);
    char text[3 * 4096], back[sizeof text];
    memset(text, 'a', sizeof text);
    CU_ASSERT_EQUAL(mm_copy_out(mm, NULL, uaddr_make(at + 10), text, 2 * PAGE_SIZE), 0);
    CU_ASSERT_EQUAL(mm_copy_in(mm, NULL, back, uaddr_make(at + 10), 2 * PAGE_SIZE), 0);
    CU_ASSERT(memcmp(text, back, 2 * PAGE_SIZE) == 0);
    CU_ASSERT_EQUAL(
        mm_copy_out_some(mm, NULL, uaddr_make(at + 2 * PAGE_SIZE + 5), text, sizeof text),
        (i64)PAGE_SIZE - 5);
    CU_ASSERT_EQUAL(mm_copy_out(mm, NULL, uaddr_make(at + 2 * PAGE_SIZE + 5), text, sizeof text),
                    -EFAULT);
    CU_ASSERT_EQUAL(mm_copy_in_some(mm, NULL, back, uaddr_make(UINT64_MAX - 3), 100), -EFAULT);
    CU_ASSERT_EQUAL(mm_copy_in_some(mm, NULL, back, uaddr_make(SPACE_ADDRESS_END), 100), -EFAULT);
    CU_ASSERT_EQUAL(mm_copy_in_some(mm, NULL, back, uaddr_make(0), 0), 0);
    CU_ASSERT_EQUAL(mm_copy_string(mm, NULL, back, uaddr_make(at + 10), sizeof back), -EFAULT);
    CU_ASSERT_EQUAL(test_store(mm, at + 2 * PAGE_SIZE, 0), 0);
    CU_ASSERT_EQUAL(mm_copy_string(mm, NULL, back, uaddr_make(at + 10), sizeof back),
                    (i64)(2 * PAGE_SIZE - 10));
    CU_ASSERT_EQUAL(mm_copy_string(mm, NULL, back, uaddr_make(at + 10), 5), -ENAMETOOLONG);
    u64 readonly = (u64)test_map(mm, 0x2000000, 1, LINUX_PROT_READ, 0);
    CU_ASSERT_EQUAL(test_store(mm, readonly, 1), -EFAULT);
    CU_ASSERT_EQUAL(mm_copy_force(mm, NULL, text, uaddr_make(readonly), 10, true), 10);
    CU_ASSERT_EQUAL(test_load(mm, readonly), 'a');
    struct test_file *file = test_file_create(&world, 2);
    u64 code = (u64)test_map_file(mm, file, 2, LINUX_PROT_READ | LINUX_PROT_EXEC, 0);
    CU_ASSERT_EQUAL(test_load(mm, code), 1);
    CU_ASSERT_EQUAL(mm_copy_force(mm, NULL, text, uaddr_make(code), 1, true), 1); /* a breakpoint */
    CU_ASSERT_EQUAL(test_load(mm, code), 'a');
    CU_ASSERT(mapping_find_page(&file->mapping, 0, &(frame){0}));
    frame page;
    CU_ASSERT(mapping_find_page(&file->mapping, 0, &page));
    CU_ASSERT_EQUAL(frame_bytes(world.memory, page)[0], 1);
    frame_put(world.memory, page);
    frame_put(world.memory, page);
    u64 shared = (u64)test_map_file(mm, file, 2, LINUX_PROT_READ, VMA_SHARED);
    CU_ASSERT_EQUAL(mm_copy_force(mm, NULL, text, uaddr_make(shared), 1, true), -EFAULT);
    u64 closed = (u64)test_map(mm, 0x3000000, 1, 0, 0);
    CU_ASSERT_EQUAL(mm_copy_force(mm, NULL, back, uaddr_make(closed), 1, false), 1);
    CU_ASSERT_EQUAL(test_load(mm, closed), -EFAULT);
    REF_PUT(file);
    end();
}

SLEEPS_ROOT static void test_futex_keys_tell_private_words_from_shared_ones(void)
{
    begin(1024);
    struct mm *child = NULL;
    u64 private = (u64)test_map(mm, 0x1000000, 1, RW, 0);
    u64 shared = (u64)test_map(mm, 0, 2, RW, VMA_SHARED);
    CU_ASSERT_EQUAL(mm_fork(mm, NULL, &child), 0);
    struct futex_key a, b;
    u32 *word, *other;
    CU_ASSERT_EQUAL(mm_futex_word(mm, NULL, uaddr_make(shared + 8), true, false, &word, &a), 0);
    CU_ASSERT_EQUAL(mm_futex_word(child, NULL, uaddr_make(shared + 8), true, true, &other, &b), 0);
    CU_ASSERT(a.object == b.object && a.offset == b.offset && word == other);
    CU_ASSERT_EQUAL(mm_futex_word(mm, NULL, uaddr_make(private), true, false, &word, &a), 0);
    CU_ASSERT_EQUAL(mm_futex_word(child, NULL, uaddr_make(private), true, false, &word, &b), 0);
    CU_ASSERT(a.object != b.object && a.offset == b.offset);
    CU_ASSERT_EQUAL(mm_futex_word(mm, NULL, uaddr_make(0x9000000), false, false, &word, &a),
                    -EFAULT);
    REF_PUT(child);
    end();
}

SLEEPS_ROOT static void test_file_io_through_user_memory_survives_its_own_pages(void)
{
    begin(1024);
    struct test_file *file = test_file_create(&world, 8);
    u64 shared = (u64)test_map_file(mm, file, 8, RW, VMA_SHARED | VMA_MAY_WRITE);
    struct uio_segment segments[2] = {{shared, PAGE_SIZE}, {0x9000000, 10}};
    struct uio uio;
    uio_init_user(&uio, mm, NULL, segments, 2);
    CU_ASSERT_EQUAL(mapping_write(&file->mapping, NULL, &uio, 100),
                    (i64)PAGE_SIZE); /* overlaps itself */
    CU_ASSERT_EQUAL(test_load(mm, shared + 200), 1);
    uio_init_user(&uio, mm, NULL, segments, 2);
    CU_ASSERT_EQUAL(mapping_read(&file->mapping, NULL, &uio, 2 * PAGE_SIZE), (i64)PAGE_SIZE);
    CU_ASSERT_EQUAL(test_load(mm, shared), 3);
    segments[0].base = 0x9000000;
    uio_init_user(&uio, mm, NULL, segments, 1);
    CU_ASSERT_EQUAL(mapping_write(&file->mapping, NULL, &uio, 40 * PAGE_SIZE), -EFAULT);
    CU_ASSERT_EQUAL(file->mapping.size, 8 * PAGE_SIZE);
    REF_PUT(file);
    end();
}

/* Random maps, unmaps, protects, stores and forks against a byte model of one window of pages. */
#define MODEL_PAGES 48
#define MODEL_START 0x1000000ull
struct model {
    bool is_mapped[MODEL_PAGES];
    u32 prot[MODEL_PAGES];
    u8 byte[MODEL_PAGES];
};

SLEEPS_ROOT static void model_step(struct mm *m, struct model *model, u64 random)
{
    u64 first = (random >> 8) % MODEL_PAGES, count = 1 + (random >> 16) % (MODEL_PAGES - first);
    u64 at = MODEL_START + (first << PAGE_SHIFT), size = count << PAGE_SHIFT;
    u32 prot = (random >> 32) & 1 ? RW : LINUX_PROT_READ;
    bool all = true;
    for (u64 i = first; i < first + count; i++)
        all = all && model->is_mapped[i];
    switch (random % 8) {
    case 0:
        CU_ASSERT_EQUAL_FATAL(test_map(m, at, count, prot, 0), (i64)at);
        for (u64 i = first; i < first + count; i++) {
            model->is_mapped[i] = true;
            model->prot[i] = prot;
            model->byte[i] = 0;
        }
        break;
    case 1:
        CU_ASSERT_EQUAL_FATAL(mm_unmap(m, NULL, at, size), 0);
        for (u64 i = first; i < first + count; i++)
            model->is_mapped[i] = false;
        break;
    case 2:
        if (all) {
            CU_ASSERT_EQUAL_FATAL(mm_protect(m, NULL, at, size, prot), 0);
            for (u64 i = first; i < first + count; i++)
                model->prot[i] = prot;
        }
        break;
    case 3:
        if (all) {
            CU_ASSERT_EQUAL_FATAL(mm_advise(m, NULL, at, size, LINUX_MADV_DONTNEED), 0);
            for (u64 i = first; i < first + count; i++)
                model->byte[i] = 0;
        }
        break;
    default: {
        bool may = model->is_mapped[first] && (model->prot[first] & LINUX_PROT_WRITE);
        CU_ASSERT_EQUAL_FATAL(test_store(m, at + random % 4096, (u8)(random >> 40)),
                              may ? 0 : -EFAULT);
        CU_ASSERT_EQUAL_FATAL(test_store(m, at, (u8)(random >> 48)), may ? 0 : -EFAULT);
        if (may)
            model->byte[first] = (u8)(random >> 48);
    }
    }
}

SLEEPS_ROOT static void model_compare(struct mm *m, const struct model *model)
{
    for (u64 i = 0; i < MODEL_PAGES; i++) {
        int want = model->is_mapped[i] ? model->byte[i] : -EFAULT;
        CU_ASSERT_EQUAL_FATAL(test_load(m, MODEL_START + (i << PAGE_SHIFT)), want);
    }
    CU_ASSERT_FATAL(test_mm_is_right(m));
}

SLEEPS_ROOT static void test_a_long_random_course_with_forks_agrees_with_a_plain_model(void)
{
    begin(600);
    struct mm *spaces[4] = {mm};
    static struct model models[4];
    memset(models, 0, sizeof models);
    u64 state = 7;
    for (int step = 0; step < 6000; step++) {
        state = state * 6364136223846793005u + 1442695040888963407u;
        u64 who = (state >> 60) % 4, other = (state >> 56) % 4;
        u64 random = hash_u64(state);
        if (!spaces[who])
            continue;
        if (random % 29 == 0 && other && other != who) {
            REF_CLEAR(spaces[other]);
            CU_ASSERT_EQUAL_FATAL(mm_fork(spaces[who], NULL, &spaces[other]), 0);
            models[other] = models[who];
        }
        model_step(spaces[who], &models[who], random >> 4);
        if (step % 16 == 0)
            for (int i = 0; i < 4; i++)
                if (spaces[i])
                    model_compare(spaces[i], &models[i]);
    }
    for (int i = 1; i < 4; i++)
        REF_PUT(spaces[i]);
    end();
}

SLEEPS_ROOT static int whole_course(void)
{
    struct mm *child = NULL;
    i64 at = test_map(mm, 0, 20, RW, 0);
    if (at < 0)
        return (int)at;
    int err = mm_populate(mm, NULL, (u64)at, 20 * PAGE_SIZE, true);
    if (!err)
        err = mm_protect(mm, NULL, (u64)at + PAGE_SIZE, PAGE_SIZE, LINUX_PROT_READ);
    if (!err)
        err = mm_fork(mm, NULL, &child);
    if (!err)
        err = test_store(child, (u64)at, 1) ? -ENOMEM : 0;
    if (!err) {
        i64 moved = mm_remap(mm, NULL, (u64)at + 4 * PAGE_SIZE, 4 * PAGE_SIZE, 40 * PAGE_SIZE,
                             LINUX_MREMAP_MAYMOVE, 0);
        err = moved < 0 ? (int)moved : 0;
    }
    if (!err)
        err = test_map(mm, 0, 2, RW, VMA_SHARED) < 0 ? -ENOMEM : 0;
    if (!err)
        err = mm_unmap(mm, NULL, (u64)at + 2 * PAGE_SIZE, PAGE_SIZE);
    REF_PUT(child);
    return err;
}

SLEEPS_ROOT static void test_every_refused_allocation_is_an_error_and_nothing_is_lost(void)
{
    for (u64 nth = 1; nth < 200; nth++) {
        begin(1024);
        arena_plain_fail(world.arena, nth, false);
        int err = whole_course();
        arena_plain_fail(world.arena, 0, false);
        CU_ASSERT(err == 0 || err == -ENOMEM);
        CU_ASSERT(test_mm_is_right(mm));
        end();
        if (err == 0 && nth > 60)
            break;
    }
}

void mm_suite(void);
void mm_suite(void)
{
    CU_pSuite suite = CU_add_suite("memory/mm", NULL, NULL);
    CU_ADD_TEST(suite, test_places_are_found_from_the_top_and_hints_are_taken);
    CU_ADD_TEST(suite, test_a_fault_fills_a_run_that_grows_in_order);
    CU_ADD_TEST(suite, test_bad_accesses_get_the_right_signal);
    CU_ADD_TEST(suite, test_no_memory_is_a_kill_and_nothing_leaks);
    CU_ADD_TEST(suite, test_unmapping_cuts_vmas_and_frees_frames);
    CU_ADD_TEST(suite, test_protection_follows_rules_and_pages_stay);
    CU_ADD_TEST(suite, test_limits_of_address_space_data_and_vmas_hold);
    CU_ADD_TEST(suite, test_a_stack_grows_to_its_limit_and_keeps_its_gap);
    CU_ADD_TEST(suite, test_brk_grows_shrinks_and_stops);
    CU_ADD_TEST(suite, test_fork_copies_on_write_and_the_last_owner_writes_in_place);
    CU_ADD_TEST(suite, test_private_file_pages_are_copied_and_shared_ones_dirty);
    CU_ADD_TEST(suite, test_a_program_begins_with_what_the_cache_has_and_its_own_data);
    CU_ADD_TEST(suite, test_remapping_moves_grows_shrinks_and_duplicates);
    CU_ADD_TEST(suite, test_advice_changes_what_it_names);
    CU_ADD_TEST(suite, test_copies_cross_pages_and_stop_at_bad_memory);
    CU_ADD_TEST(suite, test_futex_keys_tell_private_words_from_shared_ones);
    CU_ADD_TEST(suite, test_file_io_through_user_memory_survives_its_own_pages);
    CU_ADD_TEST(suite, test_a_long_random_course_with_forks_agrees_with_a_plain_model);
    CU_ADD_TEST(suite, test_every_refused_allocation_is_an_error_and_nothing_is_lost);
}

/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Taking mappings out of a stub. What no application page is mapped at holds a reservation, pages
 * that nobody may touch, so that the host keeps its page tables: it takes and gives back one (2
 * MiB of addresses) when the only mapping there comes and goes, and that costs several times the
 * mapping itself. A stub that goes to another space is cleared in the batch of that space's first
 * mappings. If the space has pages where the one before it had its own (they are children of one
 * process), all pages go in one call (one flush of the TLB), then a reservation comes over each
 * range and the tables stay. Otherwise everything goes.
 *
 * Surprising: a range ends a page behind a page table's boundary, never on it, since replacing all
 * that one table serves would free the table.
 */
#include "platform/ptrace/internal.h"
#include <sys/mman.h>
#include <sys/syscall.h>

#define TABLE_SIZE ((u64)2 << 20)
#define KEPT_COUNT_MAX 64u

struct stub_op op_reserve(u64 start, u64 size)
{
    return (struct stub_op){
        .nr = SYS_mmap,
        .args = {start, size, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED | MAP_NORESERVE,
                 (u32)-1, 0}, /* the upper half is a key's (stub_code.S) */
    };
}

_Static_assert(STUB_SPACE_START == SPACE_ADDRESS_MIN, "stub_code.S reserves from there");

u32 op_clear_all(struct stub_op *ops)
{
    /* Not by a reservation alone: at the host's limit of mappings it would be refused. */
    ops[0] = (struct stub_op){.nr = SYS_munmap, .args = {0, STUB_BASE}};
    ops[1] = op_reserve(SPACE_ADDRESS_MIN, STUB_BASE - SPACE_ADDRESS_MIN);
    return 2;
}

void stub_left_note(struct stub *stub, u64 start, u64 end)
{
    for (u32 i = 0; i < stub->left_count; i++) {
        struct stub_left *left = &stub->left[i];
        if (start <= left->end + STUB_GAP_MAX && left->start <= end + STUB_GAP_MAX) {
            left->start = MIN(left->start, start);
            left->end = MAX(left->end, end);
            return;
        }
    }
    if (stub->left_count == STUB_LEFT_MAX)
        stub->left_is_unknown = true;
    else
        stub->left[stub->left_count++] = (struct stub_left){start, end};
}

/* Reservations over LEFT, one a page table. How many, or 0 when they would be more than MAX. */
static u32 left_reserve(const struct stub_left *left, struct stub_op *ops, u32 max)
{
    u32 count = 0;
    for (u64 at = left->start; at < left->end; count++) {
        u64 end = MIN(left->end, ALIGN_DOWN(at + TABLE_SIZE - PAGE_SIZE, TABLE_SIZE) + PAGE_SIZE);
        if (count == max)
            return 0;
        ops[count] = op_reserve(at, end - at);
        at = end;
    }
    return count;
}

bool stub_left_suits(const struct stub *stub, const struct pagetable *table)
{
    u32 count = 0;
    for (u32 i = 0; i < stub->left_count; i++) {
        const struct stub_left *left = &stub->left[i];
        struct pagetable_entry entry;
        count += pagetable_next(table, uaddr_make(left->start),
                                uaddr_make(MIN(left->end, SPACE_ADDRESS_END)), &entry);
    }
    return !stub->left_is_unknown && count > 0 && count * 2 >= stub->left_count;
}

u32 stub_left_clear(struct stub *stub, const struct pagetable *table, struct stub_op *ops)
{
    u32 left_count = stub->left_count;
    u32 count = 1;
    bool is_unknown = stub->left_is_unknown;
    if (left_count == 0 && !is_unknown)
        return 0;
    /* Tables that nobody uses again are given back, the others now and then all the same. */
    if (!stub_left_suits(stub, table) || ++stub->kept_count >= KEPT_COUNT_MAX)
        is_unknown = true;
    stub->left_count = 0;
    stub->left_is_unknown = false;
    ops[0] = (struct stub_op){
        .nr = SYS_madvise,
        .args = {SPACE_ADDRESS_MIN, STUB_BASE - SPACE_ADDRESS_MIN, MADV_DONTNEED},
    };
    for (u32 i = 0; i < left_count && !is_unknown; i++) {
        u32 more = left_reserve(&stub->left[i], ops + count, STUB_CLEAR_OPS_MAX - count);
        is_unknown = more == 0;
        count += more;
    }
    if (!is_unknown)
        return count;
    stub->kept_count = 0;
    return op_clear_all(ops);
}

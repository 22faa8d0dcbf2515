/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Faults and exceptions as spec/platform.md wants them. Surprising: a page fault's error code is
 * computed from the page table, so that it is the same where the platform's cache of it differs.
 */
#include "platform/fault.h"
#include <signal.h>
#include <string.h>

#define TASK_END 0x7ffffffff000ull
#define NONCANONICAL_START 0x800000000000ull
#define NONCANONICAL_END 0xffff800000000000ull

void event_exception(struct event *event, int signo, int code, u32 trapno, u32 error_code)
{
    *event = (struct event){
        .type = EVENT_EXCEPTION,
        .signo = signo,
        .code = code,
        .trapno = trapno,
        .error_code = error_code,
    };
}

void event_fault(const struct space *space, u64 address, u32 access, struct event *event)
{
    struct pagetable_entry entry;
    bool is_present = address >= TASK_END ||
                      (pagetable_get(&space->table, uaddr_make(address), &entry) && entry.prot);
    *event = (struct event){
        .type = EVENT_FAULT,
        .address = address,
        .access = access,
        .trapno = TRAP_PF,
        .error_code = PF_USER | (is_present ? PF_PRESENT : 0) |
                      (access == PROT_WRITE_BIT ? PF_WRITE : 0) |
                      (access == PROT_EXEC_BIT ? PF_FETCH : 0),
    };
}

bool event_refuse(const struct space *space, const struct regs *regs, struct event *event)
{
    if ((regs->cs != REGS_CS_USER && regs->cs != CS_USER_32) || regs->ss != REGS_SS_USER) {
        bool is_cs_bad = regs->cs != REGS_CS_USER && regs->cs != CS_USER_32;
        event_exception(event, SIGSEGV, SI_KERNEL, TRAP_GP,
                        (u32)(is_cs_bad ? regs->cs : regs->ss) & 0xfffcu);
        return true;
    }
    if (regs->rip >= NONCANONICAL_START && regs->rip < NONCANONICAL_END) {
        event_exception(event, SIGSEGV, SI_KERNEL, TRAP_GP, 0);
        return true;
    }
    if (regs->rip >= SPACE_ADDRESS_END) {
        event_fault(space, regs->rip, PROT_EXEC_BIT, event);
        return true;
    }
    return false;
}

size_t code_read(const struct space *space, u64 address, u8 *out, size_t size)
{
    size_t done = 0;
    while (done < size) {
        u64 at = address + done;
        struct pagetable_entry entry;
        if (!pagetable_get(&space->table, uaddr_make(at), &entry) || entry.prot == 0)
            break;
        u64 offset = at % PAGE_SIZE;
        size_t part = MIN(size - done, (size_t)(PAGE_SIZE - offset));
        const u8 *page = machine_frame(space->platform->memory, entry.frame);
        memcpy(out + done, page + offset, part);
        done += part;
    }
    return done;
}

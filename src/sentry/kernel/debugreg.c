/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Debug registers (ptrace(2), PTRACE_POKEUSER; Intel's manual, volume 3, chapter 17.2). Platforms
 * know nothing of them: a task whose registers are on makes one step at a time, and what a watched
 * address holds is compared before and after it. Surprising: a write that leaves what was there is
 * therefore no write, and what another thread writes during the step counts as the step's.
 */
#include "sentry/kernel/debugreg.h"

#include <string.h>

#include "abi/errno.h"
#include "sentry/kernel/signal.h"
#include "sentry/kernel/task.h"

#define DEBUG_RESERVED 0xffff0ff0ull /* bits of DR6 that read as ones */
#define DEBUG_STEP 0x4000ull
#define TYPE_CODE 0u
#define TYPE_WRITE 1u
#define TYPE_PORT 2u

const struct field task_debug_fields[] = {
    FIELD_BYTES(struct task_debug, addresses),
    FIELD(struct task_debug, status),
    FIELD(struct task_debug, control),
    FIELD(struct task_debug, passed_at),
    FIELD_END,
};
FIELDS_COMPLETE(struct task_debug, task_debug_fields);

static bool is_on(u64 control, u32 index)
{
    return control >> (2 * index) & 3;
}

static u32 type_of(u64 control, u32 index)
{
    return control >> (16 + 4 * index) & 3;
}

static u32 size_of(u64 control, u32 index)
{
    static const u8 sizes[] = {1, 2, 8, 4};
    return sizes[control >> (18 + 4 * index) & 3];
}

/* ---- the tracer's view ------------------------------------------------------------------------ */

u64 task_debug_read(const struct task_debug *debug, u32 nr)
{
    if (nr < DEBUG_ADDRESS_COUNT)
        return debug->addresses[nr];
    return nr == 6 ? debug->status ^ DEBUG_RESERVED : nr == 7 ? debug->control : 0;
}

static int judge(const u64 addresses[DEBUG_ADDRESS_COUNT], u64 control)
{
    for (u32 i = 0; i < DEBUG_ADDRESS_COUNT; i++) {
        u32 type = type_of(control, i), size = size_of(control, i);
        if (!is_on(control, i))
            continue;
        if (type == TYPE_PORT || (type == TYPE_CODE && size != 1) || addresses[i] % size)
            return -EINVAL;
        if (type != TYPE_CODE && type != TYPE_WRITE)
            return -ENOSPC;
    }
    return 0;
}

int task_debug_write(struct task_debug *debug, u32 nr, u64 value)
{
    struct task_debug changed = *debug;
    if (nr < DEBUG_ADDRESS_COUNT && value >= SPACE_ADDRESS_END)
        return -EINVAL;
    if (nr < DEBUG_ADDRESS_COUNT)
        changed.addresses[nr] = value;
    else if (nr == 6)
        changed.status = value ^ DEBUG_RESERVED;
    else if (nr == 7)
        changed.control = value;
    else
        return -EIO;
    int err = judge(changed.addresses, changed.control);
    if (!err)
        *debug = changed;
    return err;
}

/* ---- the task's ------------------------------------------------------------------------------- */

/* What is there now; 0 where nothing is. */
SLEEPS static void look_at(struct task *task, u64 values[DEBUG_ADDRESS_COUNT])
{
    const struct task_debug *debug = &task->debug;
    for (u32 i = 0; i < DEBUG_ADDRESS_COUNT; i++) {
        values[i] = 0;
        if (is_on(debug->control, i) && type_of(debug->control, i) == TYPE_WRITE &&
            copy_from_user(task, &values[i], uaddr_make(debug->addresses[i]),
                           size_of(debug->control, i)))
            values[i] = 0;
    }
}

static u64 code_hits(const struct task_debug *debug, u64 rip)
{
    u64 hits = 0;
    for (u32 i = 0; i < DEBUG_ADDRESS_COUNT; i++)
        if (is_on(debug->control, i) && type_of(debug->control, i) == TYPE_CODE &&
            debug->addresses[i] == rip)
            hits |= 1ull << i;
    return hits;
}

SLEEPS bool task_debug_begin(struct task *task, struct debug_look *look)
{
    struct task_debug *debug = &task->debug;
    u64 rip = task->context.regs.rip;
    u64 hits = debug->passed_at == rip ? 0 : code_hits(debug, rip);
    if (hits) {
        struct linux_siginfo info;
        memset(&info, 0, sizeof info);
        info.signo = LINUX_SIGTRAP;
        info.code = LINUX_TRAP_HWBKPT;
        info.fault.address = rip;
        debug->passed_at = rip;
        debug->status = hits;
        signal_force(task, &info);
        return false;
    }
    look_at(task, look->values);
    look->was_stepping = task->context.single_step;
    task->context.single_step = true;
    return true;
}

SLEEPS bool task_debug_end(struct task *task, const struct debug_look *look, struct event *event)
{
    struct task_debug *debug = &task->debug;
    bool is_step = event->type == EVENT_EXCEPTION && event->signo == LINUX_SIGTRAP &&
                   event->code == LINUX_TRAP_TRACE;
    task->context.single_step = look->was_stepping;
    if (is_step || event->type == EVENT_SYSCALL)
        debug->passed_at = 0;
    if (!is_step)
        return false;
    u64 now[DEBUG_ADDRESS_COUNT], hits = 0;
    look_at(task, now);
    for (u32 i = 0; i < DEBUG_ADDRESS_COUNT; i++)
        hits |= (u64)(now[i] != look->values[i]) << i;
    bool is_wanted = look->was_stepping || task->context.regs.eflags & EFLAGS_TF;
    if (!hits && !is_wanted)
        return true;
    debug->status = hits | (is_wanted ? DEBUG_STEP : 0);
    if (!is_wanted)
        event->code = LINUX_TRAP_HWBKPT;
    return false;
}

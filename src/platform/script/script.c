/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The script platform: interprets byte code (bytecode.h) from guest memory, in process. The program
 * counter is rip itself. While a system call is out, rip stands 2 bytes behind its instruction's
 * start, as behind a real `syscall`, so that the kernel's way of making a call again (rip -= 2)
 * works here too.
 *
 * Memory is reached through the page table of the space; an entry that is absent or closed gives
 * EVENT_FAULT with the registers as before the instruction, which then runs again from its start.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "platform/ops.h"
#include "platform/script/bytecode.h"

#define STEPS_MAX 100000u /* of one run: then a kick, so that nothing spins for ever unseen */
#define SYS_EXIT 60u
#define SYS_FORK 57u
#define SYS_CLONE 56u
#define SYS_SIGRETURN 15u
#define SIGNAL_ILL 4
#define ILL_ILLOPN 2
#define ERROR_PRESENT 1u
#define ERROR_WRITE 2u
#define ERROR_USER 4u
#define LINUX_ADDRESS_END 0x7ffffffff000u /* faults from here on say "present" */

struct script_cpu {
    struct cpu cpu;
    struct space *space;
    struct context *context;
    u32 kick; /* atomic */
    u64 seen; /* atomic: the last batch made before it reached for memory; 0: it does not run */
};

struct script_platform {
    struct platform platform;
    struct script_cpu *cpus;
    u64 batch; /* atomic; from 1 on */
};

/* One run's hands: where it is and how it must end. */
struct run {
    struct script_cpu *cpu;
    struct regs *regs;
    struct event *event;
    bool is_over;
};

/* ---- memory --------------------------------------------------------------------------------- */

/* CODE_PRESENT: the error code's bit 0. */
static void fault(struct run *run, u64 address, u32 access, u32 code_present)
{
    u32 code = ERROR_USER | code_present | (access == PROT_WRITE_BIT ? ERROR_WRITE : 0);
    *run->event = (struct event){.type = EVENT_FAULT,
                                 .address = address,
                                 .access = access,
                                 .trapno = 14,
                                 .error_code = code};
    run->is_over = true;
}

/* The sentry's pointer to guest ADDRESS; NULL after a fault. Good up to the page's end. */
static u8 *reach(struct run *run, u64 address, u32 access)
{
    struct pagetable_entry entry = {0};
    struct space *space = run->cpu->space;
    if (address >= SPACE_ADDRESS_END ||
        !pagetable_get(&space->table, uaddr_make(address), &entry) ||
        !pagetable_allows(entry.prot, access)) {
        fault(run, address, access, entry.prot || address >= LINUX_ADDRESS_END ? ERROR_PRESENT : 0);
        return NULL;
    }
    return (u8 *)machine_frame(space->platform->memory, entry.frame) + (address & (PAGE_SIZE - 1));
}

static bool fetch(struct run *run, u64 address, void *out, size_t size)
{
    u8 *to = out;
    while (size > 0) {
        const u8 *from = reach(run, address, PROT_READ_BIT);
        if (!from)
            return false;
        size_t step = MIN(size, PAGE_SIZE - (address & (PAGE_SIZE - 1)));
        memcpy(to, from, step);
        to += step;
        address += step;
        size -= step;
    }
    return true;
}

static bool load_var(struct run *run, u32 index, u64 *out)
{
    return fetch(run, BYTECODE_VARS + index * sizeof(u64), out, sizeof *out);
}

static bool store_var(struct run *run, u32 index, u64 value)
{
    u8 *at = reach(run, BYTECODE_VARS + index * sizeof(u64), PROT_WRITE_BIT);
    if (at)
        memcpy(at, &value, sizeof value);
    return at != NULL;
}

/* ---- events --------------------------------------------------------------------------------- */

static void illegal(struct run *run)
{
    *run->event = (struct event){.type = EVENT_EXCEPTION,
                                 .signo = SIGNAL_ILL,
                                 .code = ILL_ILLOPN,
                                 .address = run->regs->rip,
                                 .trapno = 6};
    run->is_over = true;
}

static void system_call(struct run *run, u64 nr)
{
    struct regs *regs = run->regs;
    regs->orig_rax = nr;
    regs->rax = (u64)-ENOSYS;
    regs->rip += 2;
    regs->rcx = regs->rip;
    regs->r11 = regs->eflags;
    *run->event = (struct event){.type = EVENT_SYSCALL};
    run->is_over = true;
}

/* Operand I behind the instruction at rip. */
static bool operand(struct run *run, u32 i, u64 *value)
{
    struct bytecode_instruction arg;
    if (!fetch(run, run->regs->rip + (i + 1) * sizeof arg, &arg, sizeof arg))
        return false;
    if (arg.a == 0) {
        *value = arg.imm64;
        return true;
    }
    if (!load_var(run, arg.b, value))
        return false;
    if (arg.a == 2)
        *value += arg.imm64;
    return true;
}

static void begin_sys(struct run *run, const struct bytecode_instruction *op)
{
    struct regs *regs = run->regs;
    u64 *const slots[6] = {&regs->rdi, &regs->rsi, &regs->rdx, &regs->r10, &regs->r8, &regs->r9};
    u64 values[6] = {0};
    if (op->a > 6) {
        illegal(run);
        return;
    }
    for (u32 i = 0; i < op->a; i++)
        if (!operand(run, i, &values[i]))
            return;
    for (u32 i = 0; i < 6; i++)
        *slots[i] = values[i];
    system_call(run, op->imm);
}

static void begin_thread(struct run *run)
{
    u64 count;
    if (!load_var(run, BYTECODE_VAR_THREADS, &count) ||
        !store_var(run, BYTECODE_VAR_THREADS, count + 1))
        return;
    struct regs *regs = run->regs;
    u64 stack = BYTECODE_STACKS + (count % BYTECODE_STACK_COUNT + 1) * BYTECODE_STACK_SIZE - 16;
    regs->rdi = BYTECODE_CLONE_FLAGS;
    regs->rsi = stack;
    regs->rdx = regs->r10 = regs->r8 = regs->r9 = 0;
    system_call(run, SYS_CLONE);
}

/* ---- instructions --------------------------------------------------------------------------- */

static void next(struct run *run, u32 count)
{
    run->regs->rip += count * sizeof(struct bytecode_instruction);
}

static void jump(struct run *run, u32 offset)
{
    run->regs->rip = BYTECODE_SEGMENT + offset;
}

/* The call at OP has come back: its result is in rax. */
static void end_sys(struct run *run, const struct bytecode_instruction *op)
{
    u64 result = run->regs->rax;
    if (!store_var(run, BYTECODE_VAR_RESULT, result) ||
        (op->b != 255 && !store_var(run, op->b, result)))
        return;
    run->regs->rip -= 2;
    bool is_child = (op->op == OP_FORK || op->op == OP_THREAD) && result == 0;
    if (is_child)
        jump(run, op->imm);
    else
        next(run, op->op == OP_SYS ? op->a + 1u : 1u);
}

static u64 xorshift(u64 *state)
{
    *state ^= *state << 13;
    *state ^= *state >> 7;
    *state ^= *state << 17;
    return *state;
}

/* Bytes [address, address+size) by seed; pages are reached one by one, and a fault begins the whole
 * again. */
static void fill(struct run *run, const struct bytecode_instruction *op)
{
    u64 address, size, state = op->imm64;
    if (!load_var(run, op->b, &address) || !load_var(run, op->c, &size))
        return;
    u64 step = op->op == OP_TOUCH ? PAGE_SIZE : 8;
    for (u64 at = 0; at < size; at += step) {
        u8 *to = reach(run, address + at, PROT_WRITE_BIT);
        if (!to)
            return;
        if (op->op == OP_TOUCH) {
            *to = 1;
        } else {
            u64 word = op->imm == 1 ? op->imm64 * 0x0101010101010101u : xorshift(&state);
            memcpy(to, &word, MIN(size - at, (u64)8));
        }
    }
    next(run, 1);
}

static void sum(struct run *run, const struct bytecode_instruction *op)
{
    u64 address, size, hash = 0xcbf29ce484222325u;
    if (!load_var(run, op->b, &address) || !load_var(run, op->c, &size))
        return;
    for (u64 at = 0; at < size; at++) {
        const u8 *from = reach(run, address + at, PROT_READ_BIT);
        if (!from)
            return;
        hash = (hash ^ *from) * 0x100000001b3u;
    }
    if (store_var(run, op->a, hash))
        next(run, 1);
}

static void load(struct run *run, const struct bytecode_instruction *op)
{
    u64 value = 0;
    if (op->b > 8) {
        illegal(run);
        return;
    }
    if (fetch(run, op->imm64, &value, op->b) && store_var(run, op->a, value))
        next(run, 1);
}

static void compare(struct run *run, const struct bytecode_instruction *op)
{
    u64 value;
    if (!load_var(run, op->a, &value))
        return;
    bool takes = op->op == OP_JUMP_EQ   ? value == op->imm64
                 : op->op == OP_JUMP_NE ? value != op->imm64
                                        : (i64)value < (i64)op->imm64;
    if (takes)
        jump(run, op->imm);
    else
        next(run, 1);
}

static void arithmetic(struct run *run, const struct bytecode_instruction *op)
{
    u64 value = op->imm64;
    if (op->op == OP_COPY && !load_var(run, op->b, &value))
        return;
    if (op->op == OP_ADD || op->op == OP_LOOP) {
        u64 old;
        if (!load_var(run, op->a, &old))
            return;
        value = op->op == OP_LOOP ? old - 1 : old + op->imm64;
    }
    if (!store_var(run, op->a, value))
        return;
    if (op->op == OP_LOOP && value != 0)
        jump(run, op->imm);
    else
        next(run, 1);
}

/* A handler's end: as `ret` to the restorer, which makes rt_sigreturn. */
static void handler_return(struct run *run)
{
    u64 address;
    if (!fetch(run, run->regs->rsp, &address, sizeof address))
        return;
    if (address != BYTECODE_RESTORER) {
        illegal(run);
        return;
    }
    run->regs->rsp += sizeof address;
    run->regs->rip = BYTECODE_RESTORER + 5; /* behind the mov: at the syscall */
    system_call(run, SYS_SIGRETURN);
}

static void execute(struct run *run, const struct bytecode_instruction *op)
{
    switch ((enum bytecode_op)op->op) {
    case OP_END:
        run->regs->rdi = 0;
        system_call(run, SYS_EXIT);
        return;
    case OP_SYS:
        begin_sys(run, op);
        return;
    case OP_FORK:
        system_call(run, SYS_FORK);
        return;
    case OP_THREAD:
        begin_thread(run);
        return;
    case OP_SET:
    case OP_COPY:
    case OP_ADD:
    case OP_LOOP:
        arithmetic(run, op);
        return;
    case OP_LOAD:
        load(run, op);
        return;
    case OP_JUMP:
        jump(run, op->imm);
        return;
    case OP_JUMP_EQ:
    case OP_JUMP_NE:
    case OP_JUMP_LT:
        compare(run, op);
        return;
    case OP_RETURN:
        handler_return(run);
        return;
    case OP_FILL:
    case OP_TOUCH:
        fill(run, op);
        return;
    case OP_SUM:
        sum(run, op);
        return;
    case OP_ARG:
        break;
    }
    illegal(run);
}

/* Where native code would be: the entry, a handler's trampoline, the restorer. False: nothing that
 * is known. */
static bool enter_native(struct run *run)
{
    u64 rip = run->regs->rip;
    struct bytecode_header header;
    if (!fetch(run, BYTECODE_SEGMENT, &header, sizeof header))
        return true; /* a fault is the answer */
    if (header.magic != BYTECODE_MAGIC)
        return false;
    if (rip == BYTECODE_START) {
        jump(run, header.start);
        return true;
    }
    u64 index = (rip - BYTECODE_HANDLERS) / BYTECODE_HANDLER_SIZE;
    if (rip < BYTECODE_HANDLERS || index >= BYTECODE_HANDLER_COUNT || !header.handlers[index])
        return false;
    jump(run, header.handlers[index]);
    return true;
}

static void step(struct run *run)
{
    u64 rip = run->regs->rip;
    if (rip < BYTECODE_SEGMENT || rip >= BYTECODE_ARENA) {
        if (!enter_native(run))
            illegal(run);
        return;
    }
    struct bytecode_instruction op;
    bool is_back = (rip - BYTECODE_SEGMENT) % 8 == 2; /* instructions are 8-byte aligned */
    if (!fetch(run, is_back ? rip - 2 : rip, &op, sizeof op))
        return;
    if (is_back)
        end_sys(run, &op);
    else
        execute(run, &op);
}

/* ---- the platform --------------------------------------------------------------------------- */

static int script_init(struct platform *platform, char *err_text, size_t err_size)
{
    struct script_platform *script = container_of(platform, struct script_platform, platform);
    script->cpus = calloc(platform->cpu_count, sizeof *script->cpus);
    if (!script->cpus)
        return -ENOMEM;
    script->batch = 1;
    for (u32 i = 0; i < platform->cpu_count; i++)
        script->cpus[i].cpu = (struct cpu){.platform = platform, .index = i};
    return 0;
}

static void script_fini(struct platform *platform)
{
    free(container_of(platform, struct script_platform, platform)->cpus);
}

static int script_space_init(struct space *space)
{
    return 0;
}

static void script_space_fini(struct space *space)
{
}

static void script_space_map(struct space *space, uaddr address, frame first, u64 count, u32 prot)
{
    for (u64 i = 0; i < count; i++)
        pagetable_set(&space->table, uaddr_add(address, i << PAGE_SHIFT), (frame){first.index + i},
                      prot);
}

static void script_space_unmap(struct space *space, uaddr address, u64 count)
{
    struct pagetable_entry entry;
    uaddr end = uaddr_add(address, count << PAGE_SHIFT);
    while (pagetable_next(&space->table, address, end, &entry)) {
        pagetable_clear(&space->table, entry.address);
        address = uaddr_add(entry.address, PAGE_SIZE);
    }
}

static void script_space_protect(struct space *space, uaddr address, u64 count, u32 prot)
{
    struct pagetable_entry entry;
    uaddr end = uaddr_add(address, count << PAGE_SHIFT);
    while (pagetable_next(&space->table, address, end, &entry)) {
        pagetable_set(&space->table, entry.address, entry.frame, prot);
        address = uaddr_add(entry.address, PAGE_SIZE);
    }
}

/* Is a cpu in SPACE that may still use what it found there before BATCH? */
static bool is_in_use(struct space *space, u64 batch)
{
    struct script_platform *script = container_of(space->platform, struct script_platform,
                                                  platform);
    for (u32 i = 0; i < space->platform->cpu_count; i++) {
        u64 seen = __atomic_load_n(&script->cpus[i].seen, __ATOMIC_SEQ_CST);
        if (seen && seen < batch && script->cpus[i].space == space)
            return true;
    }
    return false;
}

/* Entries are looked at for each access: an edit is done when no cpu is in an access begun before.
 */
static u64 script_space_commit(struct space *space)
{
    struct script_platform *script = container_of(space->platform, struct script_platform,
                                                  platform);
    u64 batch = __atomic_add_fetch(&script->batch, 1, __ATOMIC_SEQ_CST);
    if (!is_in_use(space, batch))
        pagetable_release_unlinked(&space->table);
    return batch;
}

static bool script_space_is_done(struct space *space, u64 batch)
{
    return !is_in_use(space, batch);
}

static struct cpu *script_cpu(struct platform *platform, u32 index)
{
    return &container_of(platform, struct script_platform, platform)->cpus[index].cpu;
}

static struct script_cpu *cpu_of(struct cpu *cpu)
{
    return container_of(cpu, struct script_cpu, cpu);
}

static int script_cpu_attach(struct cpu *cpu)
{
    return 0;
}

static void script_cpu_detach(struct cpu *cpu)
{
}

static void script_cpu_enter(struct cpu *cpu, struct space *space, struct context *context)
{
    cpu_of(cpu)->space = space;
    cpu_of(cpu)->context = context;
    context->xstate_changed = false; /* xstate stays where it is: byte code has none */
}

static void script_cpu_run(struct cpu *cpu, struct event *event)
{
    struct script_cpu *script = cpu_of(cpu);
    struct script_platform *platform = container_of(cpu->platform, struct script_platform,
                                                    platform);
    struct run run = {.cpu = script, .regs = &script->context->regs, .event = event};
    for (u32 steps = 0; !run.is_over; steps++) {
        if (__atomic_exchange_n(&script->kick, 0, __ATOMIC_SEQ_CST) || steps == STEPS_MAX) {
            *event = (struct event){.type = EVENT_KICK};
            break;
        }
        u64 batch = __atomic_load_n(&platform->batch, __ATOMIC_SEQ_CST);
        if (batch != script->seen)
            __atomic_store_n(&script->seen, batch, __ATOMIC_SEQ_CST);
        step(&run);
    }
    __atomic_store_n(&script->seen, 0, __ATOMIC_SEQ_CST);
}

static void script_cpu_leave(struct cpu *cpu)
{
    cpu_of(cpu)->space = NULL;
    cpu_of(cpu)->context = NULL;
}

static void script_cpu_kick(struct cpu *cpu)
{
    __atomic_store_n(&cpu_of(cpu)->kick, 1, __ATOMIC_SEQ_CST);
}

static void script_context_sync(struct context *context)
{
}

static void script_context_forget(struct platform *platform, struct context *context)
{
}

const struct platform_ops script_platform_ops = {
    .features = {.name = "script", .is_preemptible = true},
    .platform_size = sizeof(struct script_platform),
    .init = script_init,
    .fini = script_fini,
    .space_size = sizeof(struct space),
    .space_init = script_space_init,
    .space_fini = script_space_fini,
    .space_map = script_space_map,
    .space_unmap = script_space_unmap,
    .space_protect = script_space_protect,
    .space_commit = script_space_commit,
    .space_is_done = script_space_is_done,
    .cpu = script_cpu,
    .cpu_attach = script_cpu_attach,
    .cpu_detach = script_cpu_detach,
    .cpu_enter = script_cpu_enter,
    .cpu_run = script_cpu_run,
    .cpu_leave = script_cpu_leave,
    .cpu_kick = script_cpu_kick,
    .context_sync = script_context_sync,
    .context_forget = script_context_forget,
};

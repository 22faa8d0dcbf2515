/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Classic BPF for seccomp(2): checked once, run at every call of the task. Every byte of a program
 * comes from a guest: the checker leaves nothing for the interpreter to refuse but a division by
 * zero.
 */
#include "sentry/kernel/seccomp.h"

#include <string.h>

#include "abi/errno.h"
#include "base/fields.h"
#include "base/state.h"
#include "sentry/kernel/task_internal.h"

#define BPF_CLASS(code) ((code)&7u)
#define BPF_LD 0u
#define BPF_LDX 1u
#define BPF_ST 2u
#define BPF_STX 3u
#define BPF_ALU 4u
#define BPF_JMP 5u
#define BPF_RET 6u
#define BPF_MISC 7u
#define BPF_X 8u /* operand: the index register, not k */
#define BPF_IMM 0x00u
#define BPF_ABS 0x20u
#define BPF_MEM 0x60u
#define BPF_LEN 0x80u
#define BPF_A 0x10u
#define BPF_TXA 0x80u
#define MEM_WORDS 16u
#define RET_DATA_MASK 0xffffu
#define ERRNO_MAX 4095u

/* ---- filters as objects ----------------------------------------------------------------------------- */

static const struct field instruction_fields[] = {
    FIELD(struct bpf_instruction, code),
    FIELD(struct bpf_instruction, jump_true),
    FIELD(struct bpf_instruction, jump_false),
    FIELD(struct bpf_instruction, k),
    FIELD_END,
};
FIELDS_COMPLETE(struct bpf_instruction, instruction_fields);

static const struct field seccomp_filter_fields[] = {
    FIELD_NONE(struct seccomp_filter, object, "the walker's own header"),
    FIELD_REF(struct seccomp_filter, parent, struct seccomp_filter),
    FIELD(struct seccomp_filter, count),
    FIELD_STRUCTS(struct seccomp_filter, code, struct bpf_instruction, instruction_fields, count),
    FIELD(struct seccomp_filter, total),
    FIELD_END,
};
FIELDS_COMPLETE(struct seccomp_filter, seccomp_filter_fields);

static void seccomp_filter_destroy(struct object *object)
{
    struct seccomp_filter *filter = container_of(object, struct seccomp_filter, object);
    arena_free(object->arena, filter->code, filter->count * sizeof *filter->code);
    REF_CLEAR(filter->parent);
}

static int seccomp_filter_loaded(struct object *object, struct state_reader *reader)
{
    const struct seccomp_filter *filter = container_of(object, struct seccomp_filter, object);
    return seccomp_check(filter->code, filter->count) ? 0 : -EINVAL;
}

const struct kind seccomp_filter_kind = {.name = "seccomp_filter",
                                         .size = sizeof(struct seccomp_filter),
                                         .fields = seccomp_filter_fields,
                                         .destroy = seccomp_filter_destroy,
                                         .loaded = seccomp_filter_loaded};

/* ---- checking -------------------------------------------------------------------------------------------- */

static bool check_load(const struct bpf_instruction *op)
{
    switch (op->code & ~7u) {
    case BPF_IMM:
    case BPF_LEN:
        return true;
    case BPF_ABS:
        return BPF_CLASS(op->code) == BPF_LD && op->k % 4 == 0 &&
               op->k < sizeof(struct seccomp_data);
    case BPF_MEM:
        return op->k < MEM_WORDS;
    default:
        return false;
    }
}

static bool check_alu(const struct bpf_instruction *op)
{
    bool has_k = !(op->code & BPF_X);
    switch (op->code >> 4) {
    case 3: /* DIV */
        return !has_k || op->k != 0;
    case 6: /* LSH */
    case 7: /* RSH */
        return !has_k || op->k < 32;
    case 8: /* NEG */
        return has_k;
    default:
        return op->code >> 4 <= 10 && op->code >> 4 != 9; /* no MOD */
    }
}

static bool check_jump(const struct bpf_instruction *op, u32 left)
{
    u32 kind = op->code >> 4;
    if (kind == 0)
        return !(op->code & BPF_X) && op->k < left;
    return kind <= 4 && op->jump_true < left && op->jump_false < left;
}

/* LEFT: instructions behind this one. */
static bool check_one(const struct bpf_instruction *op, u32 left)
{
    if (op->code > 0xff)
        return false;
    switch (BPF_CLASS(op->code)) {
    case BPF_LD:
    case BPF_LDX:
        return check_load(op);
    case BPF_ST:
    case BPF_STX:
        return op->code <= BPF_STX && op->k < MEM_WORDS;
    case BPF_ALU:
        return check_alu(op);
    case BPF_JMP:
        return check_jump(op, left);
    case BPF_RET:
        return op->code == BPF_RET || op->code == (BPF_RET | BPF_A);
    default:
        return op->code == BPF_MISC || op->code == (BPF_MISC | BPF_TXA);
    }
}

bool seccomp_check(const struct bpf_instruction *code, u32 count)
{
    if (count == 0 || count > SECCOMP_PROGRAM_MAX || BPF_CLASS(code[count - 1].code) != BPF_RET)
        return false;
    for (u32 i = 0; i < count; i++)
        if (!check_one(&code[i], count - i - 1))
            return false;
    return true;
}

/* ---- running ----------------------------------------------------------------------------------------------- */

struct machine {
    u32 a, x;
    u32 memory[MEM_WORDS];
    const struct seccomp_data *data;
};

static u32 load_word(const struct machine *machine, const struct bpf_instruction *op)
{
    u32 word = 0;
    switch (op->code & ~7u) {
    case BPF_IMM:
        return op->k;
    case BPF_LEN:
        return sizeof(struct seccomp_data);
    case BPF_MEM:
        return machine->memory[op->k];
    default:
        memcpy(&word, (const u8 *)machine->data + op->k, sizeof word);
        return word;
    }
}

/* False: a division by zero, which ends a program with 0. */
static bool do_alu(struct machine *machine, const struct bpf_instruction *op)
{
    u32 by = op->code & BPF_X ? machine->x : op->k;
    switch (op->code >> 4) {
    case 0:
        machine->a += by;
        break;
    case 1:
        machine->a -= by;
        break;
    case 2:
        machine->a *= by;
        break;
    case 3:
        if (by == 0)
            return false;
        machine->a /= by;
        break;
    case 4:
        machine->a |= by;
        break;
    case 5:
        machine->a &= by;
        break;
    case 6:
        machine->a = by < 32 ? machine->a << by : 0;
        break;
    case 7:
        machine->a = by < 32 ? machine->a >> by : 0;
        break;
    case 8:
        machine->a = -machine->a;
        break;
    default:
        machine->a ^= by;
        break;
    }
    return true;
}

static u32 jump_by(const struct machine *machine, const struct bpf_instruction *op)
{
    u32 with = op->code & BPF_X ? machine->x : op->k;
    bool is_true;
    switch (op->code >> 4) {
    case 0:
        return op->k;
    case 1:
        is_true = machine->a == with;
        break;
    case 2:
        is_true = machine->a > with;
        break;
    case 3:
        is_true = machine->a >= with;
        break;
    default:
        is_true = machine->a & with;
        break;
    }
    return is_true ? op->jump_true : op->jump_false;
}

u32 seccomp_run(const struct bpf_instruction *code, u32 count, const struct seccomp_data *data)
{
    struct machine machine = {.data = data};
    for (u32 at = 0; at < count; at++) { /* jumps go forwards only: it ends */
        const struct bpf_instruction *op = &code[at];
        switch (BPF_CLASS(op->code)) {
        case BPF_LD:
            machine.a = load_word(&machine, op);
            break;
        case BPF_LDX:
            machine.x = load_word(&machine, op);
            break;
        case BPF_ST:
            machine.memory[op->k] = machine.a;
            break;
        case BPF_STX:
            machine.memory[op->k] = machine.x;
            break;
        case BPF_ALU:
            if (!do_alu(&machine, op))
                return 0;
            break;
        case BPF_JMP:
            at += jump_by(&machine, op);
            break;
        case BPF_RET:
            return op->code & BPF_A ? machine.a : op->k;
        default:
            if (op->code & BPF_TXA)
                machine.a = machine.x;
            else
                machine.x = machine.a;
            break;
        }
    }
    ASSERT(false && "a checked program returns");
    return 0;
}

/* ---- installing ----------------------------------------------------------------------------------------------- */

int seccomp_filter_create(struct task *task, const struct bpf_instruction *code, u32 count,
                          struct seccomp_filter **out)
{
    if (!seccomp_check(code, count))
        return -EINVAL;
    u32 total = count + SECCOMP_FILTER_COST + (task->seccomp ? task->seccomp->total : 0);
    if (total > SECCOMP_TOTAL_MAX)
        return -ENOMEM;
    AUTO_PUT struct seccomp_filter *filter = object_create(task->kernel->arena,
                                                           &seccomp_filter_kind);
    if (!filter)
        return -ENOMEM;
    filter->code = arena_alloc_array(task->kernel->arena, count, sizeof *code);
    if (!filter->code)
        return -ENOMEM;
    memcpy(filter->code, code, count * sizeof *code);
    filter->count = count;
    filter->total = total;
    filter->parent = REF_GET(task->seccomp);
    *out = MOVE(filter);
    return 0;
}

static bool is_older(const struct seccomp_filter *filter, const struct seccomp_filter *than)
{
    if (!filter)
        return true;
    for (; than; than = than->parent)
        if (than == filter)
            return true;
    return false;
}

static void set_filter(struct task *task, struct seccomp_filter *filter)
{
    struct seccomp_filter *old = task->seccomp;
    task->seccomp = REF_GET(filter);
    REF_PUT(old);
    task->seccomp_mode = SECCOMP_MODE_FILTER_;
}

static int copy_no_new_privs(struct task *task)
{
    struct cred *cred;
    int err = cred_copy(task->cred, &cred);
    if (err)
        return err;
    cred->no_new_privs = true;
    task_set_cred(task, cred);
    return 0;
}

i64 seccomp_install(struct task *task, struct seccomp_filter *taken, u32 flags)
{
    AUTO_PUT struct seccomp_filter *filter = taken;
    struct task *other;
    if (flags & SECCOMP_FLAG_TSYNC) {
        list_for_each (other, &task->group->tasks, group_link)
            if (other->phase < PHASE_EXIT &&
                (other->seccomp_mode == SECCOMP_MODE_STRICT_ || !is_older(other->seccomp, filter)))
                return flags & SECCOMP_FLAG_TSYNC_ESRCH ? -ESRCH : (i64)other->tid;
        list_for_each (other, &task->group->tasks, group_link) {
            if (other == task || other->phase >= PHASE_EXIT)
                continue;
            if (task->cred->no_new_privs && !other->cred->no_new_privs && copy_no_new_privs(other))
                return -ENOMEM;
            set_filter(other, filter);
        }
    }
    set_filter(task, filter);
    return 0;
}

u32 seccomp_count(const struct seccomp_filter *filter)
{
    u32 count = 0;
    for (; filter; filter = filter->parent)
        count++;
    return count;
}

bool seccomp_action_is_known(u32 action)
{
    static const u32 known[] = {SECCOMP_KILL_PROCESS, SECCOMP_KILL_THREAD, SECCOMP_TRAP,
                                SECCOMP_ERRNO,        SECCOMP_TRACE,       SECCOMP_LOG,
                                SECCOMP_ALLOW};
    for (u32 i = 0; i < ARRAY_COUNT(known); i++)
        if (known[i] == action)
            return true;
    return false;
}

/* ---- judging ------------------------------------------------------------------------------------------------------ */

static void kill_thread(struct task *task)
{
    kernel_task_event(task, "seccomp", LINUX_SIGSYS);
    if (task->group->task_count == 1)
        thread_group_exit(task->group, LINUX_SIGSYS);
    else
        task_exit(task, LINUX_SIGSYS, false);
}

static void trap(struct task *task, u64 nr, u32 data)
{
    struct linux_siginfo info;
    memset(&info, 0, sizeof info);
    info.signo = LINUX_SIGSYS;
    info.error_number = (i32)data;
    info.code = LINUX_SYS_SECCOMP;
    info.sys.call_address = task->context.regs.rip;
    info.sys.nr = (i32)nr;
    info.sys.arch = AUDIT_ARCH_X86_64_;
    signal_force(task, &info);
}

static bool strict_allows(u64 nr)
{
    return nr == 0 || nr == 1 || nr == 60 || nr == 15; /* read, write, exit, rt_sigreturn */
}

static u32 verdict_of(const struct task *task, u64 nr, const struct sysargs *args)
{
    struct seccomp_data data = {
        .nr = (i32)nr, .arch = AUDIT_ARCH_X86_64_, .instruction_pointer = task->context.regs.rip};
    memcpy(data.args, args->v, sizeof data.args);
    u32 strictest = SECCOMP_ALLOW;
    for (const struct seccomp_filter *filter = task->seccomp; filter; filter = filter->parent) {
        u32 verdict = seccomp_run(filter->code, filter->count, &data);
        if ((i32)(verdict & SECCOMP_ACTION_MASK) < (i32)(strictest & SECCOMP_ACTION_MASK))
            strictest = verdict;
    }
    return strictest;
}

bool seccomp_allows(struct task *task, u64 nr, const struct sysargs *args, i64 *result)
{
    *result = -ENOSYS;
    if (task->seccomp_mode == SECCOMP_MODE_STRICT_) {
        if (strict_allows(nr))
            return true;
        thread_group_exit(task->group, LINUX_SIGKILL);
        return false;
    }
    u32 verdict = verdict_of(task, nr, args);
    u32 data = verdict & RET_DATA_MASK;
    switch (verdict & SECCOMP_ACTION_MASK) {
    case SECCOMP_ALLOW:
    case SECCOMP_LOG:
        return true;
    case SECCOMP_ERRNO:
        *result = -(i64)MIN(data, ERRNO_MAX);
        return false;
    case SECCOMP_TRAP:
        *result = (i64)nr; /* as if it had not been made */
        trap(task, nr, data);
        return false;
    case SECCOMP_TRACE:
        if (task->trace.is_passed_seccomp) {
            task->trace.is_passed_seccomp = false;
            return true;
        }
        if (trace_seccomp(task, data))
            *result = -ERESTARTSYS;
        return false;
    case SECCOMP_USER_NOTIF:
        return false; /* nobody listens: ENOSYS */
    case SECCOMP_KILL_THREAD:
        kill_thread(task);
        return false;
    default:
        kernel_task_event(task, "seccomp", LINUX_SIGSYS);
        thread_group_exit(task->group, LINUX_SIGSYS);
        return false;
    }
}

/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The native twin of platform/script: interprets the byte code segment with real system calls.
 * Built freestanding, static, at fixed addresses (guest.ld), without SSE and without anything that
 * reads the machine.
 */
#include "platform/script/bytecode.h"

typedef uint64_t u64;
typedef int64_t i64;

long vm_call(long nr, const long args[6]);
long vm_thread(long flags, long stack, long offset);

static const struct bytecode_header *const header = (const void *)(uintptr_t)BYTECODE_SEGMENT;

static volatile u64 *var(unsigned index)
{
    return (volatile u64 *)(uintptr_t)(BYTECODE_VARS + index * sizeof(u64));
}

static void result(const struct bytecode_instruction *op, u64 value)
{
    *var(BYTECODE_VAR_RESULT) = value;
    if (op->b != 255)
        *var(op->b) = value;
}

static u64 operand(const struct bytecode_instruction *arg)
{
    if (arg->a == 0)
        return arg->imm64;
    return *var(arg->b) + (arg->a == 2 ? arg->imm64 : 0);
}

static void sys(const struct bytecode_instruction *op)
{
    long args[6] = {0};
    for (unsigned i = 0; i < op->a && i < 6; i++)
        args[i] = (long)operand(&op[i + 1]);
    result(op, (u64)vm_call(op->imm, args));
}

static void fill(const struct bytecode_instruction *op)
{
    volatile unsigned char *to = (volatile unsigned char *)(uintptr_t)*var(op->b);
    u64 size = *var(op->c), state = op->imm64;
    if (op->op == OP_TOUCH) {
        for (u64 at = 0; at < size; at += 4096)
            to[at] = 1;
        return;
    }
    for (u64 at = 0; at < size; at += 8) {
        u64 word = op->imm64 * 0x0101010101010101u;
        if (op->imm != 1) {
            state ^= state << 13;
            state ^= state >> 7;
            state ^= state << 17;
            word = state;
        }
        for (u64 i = 0; i < 8 && at + i < size; i++)
            to[at + i] = (unsigned char)(word >> (8 * i));
    }
}

static u64 sum(const struct bytecode_instruction *op)
{
    const volatile unsigned char *from = (const volatile unsigned char *)(uintptr_t)*var(op->b);
    u64 size = *var(op->c), hash = 0xcbf29ce484222325u;
    for (u64 at = 0; at < size; at++)
        hash = (hash ^ from[at]) * 0x100000001b3u;
    return hash;
}

static u64 load(u64 address, unsigned size)
{
    const volatile unsigned char *from = (const volatile unsigned char *)(uintptr_t)address;
    u64 value = 0;
    for (unsigned i = 0; i < size; i++)
        value |= (u64)from[i] << (8 * i);
    return value;
}

static const struct bytecode_instruction *at(uint32_t offset)
{
    return (const void *)(uintptr_t)(BYTECODE_SEGMENT + offset);
}

/* Jumps: the instruction to go on with, or NULL for the next one. */
static const struct bytecode_instruction *jump(const struct bytecode_instruction *op)
{
    u64 value = *var(op->a);
    switch (op->op) {
    case OP_JUMP:
        return at(op->imm);
    case OP_JUMP_EQ:
        return value == op->imm64 ? at(op->imm) : 0;
    case OP_JUMP_NE:
        return value != op->imm64 ? at(op->imm) : 0;
    case OP_JUMP_LT:
        return (i64)value < (i64)op->imm64 ? at(op->imm) : 0;
    default:
        *var(op->a) = value - 1;
        return value - 1 ? at(op->imm) : 0;
    }
}

static void plain(const struct bytecode_instruction *op)
{
    switch (op->op) {
    case OP_SET:
        *var(op->a) = op->imm64;
        break;
    case OP_COPY:
        *var(op->a) = *var(op->b);
        break;
    case OP_ADD:
        *var(op->a) += op->imm64;
        break;
    case OP_LOAD:
        *var(op->a) = load(op->imm64, op->b);
        break;
    case OP_FILL:
    case OP_TOUCH:
        fill(op);
        break;
    case OP_SUM:
        *var(op->a) = sum(op);
        break;
    default:
        __builtin_trap();
    }
}

static const struct bytecode_instruction *fork(const struct bytecode_instruction *op)
{
    static const long none[6];
    if (op->op == OP_THREAD) {
        u64 count = *var(BYTECODE_VAR_THREADS);
        *var(BYTECODE_VAR_THREADS) = count + 1;
        u64 stack = BYTECODE_STACKS + (count % BYTECODE_STACK_COUNT + 1) * BYTECODE_STACK_SIZE - 16;
        result(op, (u64)vm_thread(BYTECODE_CLONE_FLAGS, (long)stack, op->imm));
        return op + 1;
    }
    u64 pid = (u64)vm_call(57, none);
    result(op, pid);
    return pid == 0 ? at(op->imm) : op + 1;
}

static void run(uint32_t offset)
{
    const struct bytecode_instruction *op = at(offset);
    static const long none[6];
    for (;;) {
        switch (op->op) {
        case OP_END:
            vm_call(60, none);
            break;
        case OP_RETURN:
            return;
        case OP_SYS:
            sys(op);
            op += op->a + 1;
            break;
        case OP_FORK:
        case OP_THREAD:
            op = fork(op);
            break;
        case OP_JUMP:
        case OP_JUMP_EQ:
        case OP_JUMP_NE:
        case OP_JUMP_LT:
        case OP_LOOP: {
            const struct bytecode_instruction *to = jump(op);
            op = to ? to : op + 1;
            break;
        }
        default:
            plain(op);
            op++;
        }
    }
}

void vm_main(void)
{
    run(header->start);
}

/* A thread: tells its first result as script does, then goes its way. */
void vm_child(uint32_t offset)
{
    *var(BYTECODE_VAR_RESULT) = 0;
    run(offset);
}

void vm_handler(unsigned index)
{
    run(header->handlers[index]);
}

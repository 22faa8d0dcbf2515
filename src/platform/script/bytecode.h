/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The byte code of scenario programs. One static ELF has it in a segment of its own beside a native
 * interpreter (sim/guests/): ptrace and kvm run the interpreter, script reads the same segment from
 * the same mappings. Both make the same system calls with the same arguments; only registers and
 * the pages of the interpreter's text and stack differ. Freestanding: the guest includes it too.
 *
 * Layout: everything at fixed addresses, so that addresses in traces are equal.
 */
#pragma once
#include <stdint.h>

#define BYTECODE_TEXT 0x400000u     /* the interpreter's ELF header and text */
#define BYTECODE_START 0x401000u    /* its entry */
#define BYTECODE_RESTORER 0x401040u /* mov $15,%eax; syscall */
#define BYTECODE_HANDLERS 0x401100u /* trampoline of handler i: + 16 * i */
#define BYTECODE_HANDLER_SIZE 16u
#define BYTECODE_HANDLER_COUNT 64u
#define BYTECODE_SEGMENT \
    0x10000000u                    /* struct bytecode_header, instructions, constants; read-only */
#define BYTECODE_ARENA 0x18000000u /* variables, buffers, threads' stacks; zero at the start */
#define BYTECODE_ARENA_SIZE 0x100000u
#define BYTECODE_VARS BYTECODE_ARENA /* u64 variables[256] */
#define BYTECODE_VAR_COUNT 256u
#define BYTECODE_BUFFERS (BYTECODE_ARENA + 0x10000u) /* where the compiler places $buf */
#define BYTECODE_STACKS (BYTECODE_ARENA + 0x80000u)  /* 32 thread stacks of 16 KiB */
#define BYTECODE_STACK_SIZE 0x4000u
#define BYTECODE_STACK_COUNT 32u
/* Variable 255 counts started threads; 254 holds the result of the last system call. */
#define BYTECODE_VAR_THREADS 255u
#define BYTECODE_VAR_RESULT 254u

#define BYTECODE_MAGIC 0x31424b4350u /* "PCKB1" */

struct bytecode_header {
    uint64_t magic;
    uint32_t start; /* byte offset of the first instruction from the segment's start */
    uint32_t size;  /* of the segment */
    uint32_t handlers[BYTECODE_HANDLER_COUNT]; /* offset of each handler's code; 0: none */
};

enum bytecode_op {
    OP_END,  /* exit(0) of the task: as SYS exit with 0 */
    OP_SYS,  /* a: argument count; imm: number; operands follow, one instruction each; result to var
                254 and var b (255: none) */
    OP_ARG,  /* operand: a = 0: value is imm64; 1: variable b; 2: variable b + imm64 */
    OP_SET,  /* var a = imm64 */
    OP_COPY, /* var a = var b */
    OP_ADD,  /* var a += imm64 */
    OP_LOAD, /* var a = the b (1, 2, 4, 8) bytes at address imm64 */
    OP_JUMP, /* to offset imm */
    OP_JUMP_EQ, /* if var a == imm64 to offset imm */
    OP_JUMP_NE,
    OP_JUMP_LT, /* signed */
    OP_LOOP,    /* if (--var a != 0) to offset imm */
    OP_FORK,    /* fork(2); the child goes to offset imm; pid to var 254 and var b */
    OP_THREAD,  /* clone of a thread on its own stack; it goes to offset imm; tid likewise */
    OP_RETURN,  /* of a handler */
    OP_FILL, /* var b: address, var c: size; imm64: seed of xorshift64, or a byte repeated if imm is
                1 */
    OP_TOUCH, /* var b: address, var c: size: one byte written a page */
    OP_SUM,   /* var a = FNV-1a of the bytes at var b, size var c */
};

/* 16 bytes; offsets in `imm` are from the segment's start. */
struct bytecode_instruction {
    uint8_t op, a, b, c;
    uint32_t imm;
    uint64_t imm64;
};
_Static_assert(sizeof(struct bytecode_instruction) == 16, "an instruction is 16 bytes");

#define BYTECODE_CLONE_FLAGS 0x50f00u /* VM FS FILES SIGHAND THREAD SYSVSEM */

/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What lies in a stub process above SPACE_ADDRESS_END, for C and for stub_code.S. The application
 * can read the code and the control pages and cannot write them; all results of the stub's own
 * system calls come back through kernel objects (an eventfd) and never through memory that an
 * application may forge.
 */
#pragma once

#define STUB_BASE 0x7fffff000000
#define STUB_END 0x7ffffffff000

/* From here to STUB_BASE: the application's pages, and a reservation where there are none. */
#define STUB_SPACE_START 0x10000

#define STUB_CODE STUB_BASE
#define STUB_CODE_SIZE 0x1000
#define STUB_CONTROL (STUB_BASE + 0x1000)
#define STUB_CONTROL_SIZE 0x4000
#define STUB_SLOT_COUNT_MAX 512
#define STUB_SLOTS_PER_CPU 4
/* A struct stub_flight for each slot, as closed to the application as the control pages. */
#define STUB_FLIGHTS (STUB_CONTROL + STUB_CONTROL_SIZE)
#define STUB_FLIGHT_SIZE 0x2000
/* A slot for each thread: the word that clone(2) writes its number to, then its signal stack. */
#define STUB_SLOTS (STUB_FLIGHTS + STUB_SLOT_COUNT_MAX * STUB_FLIGHT_SIZE)
#define STUB_SLOT_SIZE 0x4000
#define STUB_SLOT_STACK 64

/* struct stub_control, read by the helper */
#define CONTROL_REQUEST 0
#define CONTROL_COUNT 4
#define CONTROL_DONE_FD 8
#define CONTROL_FILE_FD 12
#define CONTROL_CHILD_OFFSET 16
#define CONTROL_SLOTS_SIZE 24
#define CONTROL_CLOSED_SIZE 32
#define CONTROL_OPS 64
#define STUB_OPS_MAX 240

/* struct stub_flight */
#define FLIGHT_OPS 216
#define STUB_FLIGHT_OPS_MAX 124

#define OP_KIND 0
#define OP_NR 8
#define OP_ARGS 16
#define OP_SIZE 64

#define OP_PLAIN 0
#define OP_THREAD \
    1 /* clone(2): the child takes the signal stack described at args[5], reports, parks */
#define OP_FORK 2 /* clone(2): the child maps its own control and slot pages and reports */

#ifndef __ASSEMBLER__
#include "abi/regs.h"
#include "base/base.h"

struct stub_op {
    u64 kind;
    u64 nr;
    u64 args[6];
};

struct stub_control {
    u32 request;      /* a futex: number of the newest request */
    u32 count;        /* how many of ops[] it has */
    i32 done_fd;      /* the eventfd that gets 1 + the number of operations that succeeded */
    i32 file_fd;      /* the memory file that these pages come from */
    u64 child_offset; /* OP_FORK: where in it the child's pages are */
    u64 slots_size;
    u64 closed_size; /* of the control pages and the flights behind them */
    u64 unused[3];
    struct stub_op ops[STUB_OPS_MAX];
};

/* What a thread does on its way to the application: operations, then the registers, which lie as
 * `pop` and `iretq` take them. */
struct stub_flight {
    struct regs regs;
    struct stub_op ops[STUB_FLIGHT_OPS_MAX];
};
_Static_assert(offsetof(struct stub_flight, ops) == FLIGHT_OPS, "stub_code.S counts on it");
_Static_assert(sizeof(struct stub_flight) <= STUB_FLIGHT_SIZE, "flight pages");
_Static_assert(offsetof(struct regs, rip) == 16 * sizeof(u64) &&
                   offsetof(struct regs, ss) == 20 * sizeof(u64),
               "stub_code.S pops them");
_Static_assert(sizeof(struct stub_op) == OP_SIZE, "stub_code.S counts on it");
_Static_assert(offsetof(struct stub_control, done_fd) == CONTROL_DONE_FD,
               "stub_code.S counts on it");
_Static_assert(offsetof(struct stub_control, slots_size) == CONTROL_SLOTS_SIZE,
               "stub_code.S counts on it");
_Static_assert(offsetof(struct stub_control, closed_size) == CONTROL_CLOSED_SIZE,
               "stub_code.S counts on it");
_Static_assert(offsetof(struct stub_control, ops) == CONTROL_OPS, "stub_code.S counts on it");
_Static_assert(sizeof(struct stub_control) <= STUB_CONTROL_SIZE, "control pages");

/* stub_code.S: position independent, copied to STUB_CODE; entries as addresses in this process. */
extern const u8 stub_code_start[], stub_code_end[], stub_code_boot[], stub_code_handler[],
    stub_code_park[], stub_code_edit[], stub_code_edit_over[], stub_code_edit_done[],
    stub_code_edit_failed[], stub_code_land_end[];
#endif

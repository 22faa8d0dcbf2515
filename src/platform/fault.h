/* SPDX-License-Identifier: Apache-2.0 */
/* What platforms that run x86 code say about faults and exceptions, all in the same words. */
#pragma once
#include "platform/ops.h"

#define TRAP_DE 0u
#define TRAP_DB 1u
#define TRAP_BP 3u
#define TRAP_OF 4u
#define TRAP_BR 5u
#define TRAP_UD 6u
#define TRAP_NM 7u
#define TRAP_NP 11u
#define TRAP_SS 12u
#define TRAP_GP 13u
#define TRAP_PF 14u
#define TRAP_MF 16u
#define TRAP_AC 17u
#define TRAP_XF 19u

#define PF_PRESENT 1u
#define PF_WRITE 2u
#define PF_USER 4u
#define PF_FETCH 16u

#define CS_USER_32 0x23u
#define INSTRUCTION_SIZE_MAX 15u
#define INT80_ERROR_CODE                                                     \
    (0x80u * 8 + 2) /* Linux without 32-bit emulation: a gate nobody may use \
                     */

/* EVENT_EXCEPTION without an address. */
void event_exception(struct event *event, int signo, int code, u32 trapno, u32 error_code);
/* EVENT_FAULT; its error code comes from SPACE's table. No lock. */
void event_fault(const struct space *space, u64 address, u32 access, struct event *event);
/* What the processor would refuse of REGS on the way to user mode; true with EVENT filled if it
 * would. */
bool event_refuse(const struct space *space, const struct regs *regs, struct event *event);
/* Bytes of the program at ADDRESS through SPACE's table; how many of SIZE could be read. No lock.
 */
size_t code_read(const struct space *space, u64 address, u8 *out, size_t size);

/* SPDX-License-Identifier: Apache-2.0 */
/* What an instruction that faulted wanted of the faulting address. */
#pragma once
#include "abi/regs.h"
#include "base/base.h"

/* The access (PROT_READ_BIT, PROT_WRITE_BIT) with which the instruction in CODE, run with REGS,
 * faulted at ADDRESS; 0 when this decoder cannot tell. Instruction fetches are not its affair. */
u32 decode_access(const u8 *code, size_t size, const struct regs *regs, u64 address);

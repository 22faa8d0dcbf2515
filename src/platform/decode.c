/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Does an x86-64 instruction read or write the address it faulted at? (AMD's manual, volume 3.)
 * ptrace does not show the page fault's error code, and finding it out costs one more stop; most
 * instructions that programs use tell by their opcode. What modifies memory faults as a write, also
 * when it reads first.
 */
#include "platform/decode.h"
#include "platform/platform.h"

#define WORD_MAX 8u /* widest operand of what is compared with rsp, rsi, rdi */

struct instruction {
    const u8 *at, *end;
    u8 repeat; /* f2, f3 */
    bool has_segment;
    u8 modrm;
    bool is_unknown; /* the bytes ended */
};

static u8 take(struct instruction *in)
{
    if (in->at == in->end) {
        in->is_unknown = true;
        return 0;
    }
    return *in->at++;
}

static unsigned modrm_reg(const struct instruction *in)
{
    return (in->modrm >> 3) & 7;
}

static bool has_memory(struct instruction *in)
{
    in->modrm = take(in);
    return in->modrm < 0xc0;
}

static bool is_near(u64 address, u64 operand)
{
    return address - operand < WORD_MAX;
}

static u32 write_if(bool is_write)
{
    return is_write ? PROT_WRITE_BIT : PROT_READ_BIT;
}

/* Opcodes 0f XX whose memory operand is written; in VEX map 1 too, as far as they exist there. */
static bool two_byte_writes(u8 opcode)
{
    switch (opcode) {
    case 0x11:
    case 0x13:
    case 0x17:
    case 0x29:
    case 0x2b:
    case 0x7f:
    case 0xd6:
    case 0xe7:
        return true; /* SSE stores */
    case 0xa4:
    case 0xa5:
    case 0xab:
    case 0xac:
    case 0xad:
    case 0xb3:
    case 0xbb:
        return true; /* shifts and bits */
    case 0xb0:
    case 0xb1:
    case 0xc0:
    case 0xc1:
    case 0xc3:
        return true; /* cmpxchg, xadd, movnti */
    default:
        return opcode >= 0x90 && opcode <= 0x9f; /* setcc */
    }
}

static u32 decode_two_byte(struct instruction *in, u64 address)
{
    u8 opcode = take(in);
    if (opcode == 0x38 || opcode == 0x3a)
        return 0;
    if (opcode == 0x05 || opcode == 0x0b || (opcode >= 0x80 && opcode < 0x90))
        return 0;
    if (opcode == 0xa0 || opcode == 0xa8) /* push fs, gs */
        return PROT_WRITE_BIT;
    if (opcode == 0xa1 || opcode == 0xa9)
        return PROT_READ_BIT;
    if (!has_memory(in))
        return 0;
    switch (opcode) {
    case 0x01: /* sgdt, sidt, smsw write; the rest needs privilege or is rare */
        return 0;
    case 0x7e: /* movd, movq store; f3: movq load */
        return write_if(in->repeat != 0xf3);
    case 0xae: /* fxsave fxrstor ldmxcsr stmxcsr xsave xrstor xsaveopt clflush */
        return write_if(modrm_reg(in) == 0 || modrm_reg(in) == 3 || modrm_reg(in) == 4 ||
                        modrm_reg(in) == 6);
    case 0xba:
        return write_if(modrm_reg(in) > 4);
    case 0xc7: /* cmpxchg8b, xsavec, xsaves; xrstors, vmx */
        return modrm_reg(in) == 1 || modrm_reg(in) == 4 ? PROT_WRITE_BIT : 0;
    default:
        return write_if(two_byte_writes(opcode));
    }
}

/* VEX: map 1 stores like the two-byte opcodes; 2 and 3 have a few stores of their own. */
static u32 decode_vex(struct instruction *in, u8 prefix)
{
    unsigned map = 1;
    u8 last = take(in);
    if (prefix == 0xc4) {
        map = last & 0x1f;
        last = take(in);
    }
    u8 opcode = take(in);
    if (!has_memory(in))
        return 0;
    switch (map) {
    case 1:
        if (opcode == 0x7e)
            return write_if((last & 3) != 2);
        if (opcode == 0xae)
            return write_if(modrm_reg(in) == 3);
        return write_if(two_byte_writes(opcode));
    case 2:
        return write_if(opcode == 0x2e || opcode == 0x2f || opcode == 0x8e);
    case 3:
        return write_if((opcode >= 0x14 && opcode <= 0x17) || opcode == 0x19 || opcode == 0x1d ||
                        opcode == 0x39);
    default:
        return 0;
    }
}

static u32 decode_x87(struct instruction *in, u8 opcode)
{
    if (!has_memory(in))
        return 0;
    unsigned reg = modrm_reg(in);
    switch (opcode) {
    case 0xd9:
        return write_if(reg == 2 || reg == 3 || reg == 6 || reg == 7);
    case 0xdb:
        return write_if((reg >= 1 && reg <= 3) || reg == 7);
    case 0xdd:
        return write_if((reg >= 1 && reg <= 3) || reg == 6 || reg == 7);
    case 0xdf:
        return write_if((reg >= 1 && reg <= 3) || reg == 6 || reg == 7);
    default:
        return PROT_READ_BIT;
    }
}

/* Two memory operands, one of them at a register: which one is ADDRESS in? */
static u32 decode_string(const struct instruction *in, u8 opcode, const struct regs *regs,
                         u64 address)
{
    switch (opcode & 0xfe) {
    case 0xa4: /* movs reads first */
        if (!in->has_segment)
            return write_if(!is_near(address, regs->rsi));
        return is_near(address, regs->rdi) ? PROT_WRITE_BIT : 0;
    case 0xaa:
        return PROT_WRITE_BIT;
    default: /* cmps, lods, scas */
        return PROT_READ_BIT;
    }
}

static u32 decode_group_ff(struct instruction *in, u8 opcode, const struct regs *regs, u64 address)
{
    if (!has_memory(in)) /* push, call of a register */
        return opcode == 0xff && (modrm_reg(in) == 2 || modrm_reg(in) == 6) ? PROT_WRITE_BIT : 0;
    switch (modrm_reg(in)) {
    case 0:
    case 1:
        return PROT_WRITE_BIT;
    case 2:
    case 3:
    case 6: /* calls and push read their operand and then write the stack */
        return write_if(is_near(address, regs->rsp - WORD_MAX));
    default:
        return PROT_READ_BIT;
    }
}

static u32 decode_one_byte(struct instruction *in, u8 opcode, const struct regs *regs, u64 address)
{
    if (opcode < 0x40) /* the eight arithmetic operations; 38, 39 is cmp */
        return (opcode & 6) == 4 || (opcode & 6) == 6 || !has_memory(in)
                   ? 0
                   : write_if((opcode & 7) < 2 && opcode < 0x38);
    if (opcode >= 0x50 && opcode < 0x60)
        return write_if(opcode < 0x58);
    if (opcode >= 0xd8 && opcode <= 0xdf)
        return decode_x87(in, opcode);
    switch (opcode) {
    case 0x63:
    case 0x69:
    case 0x6b:
    case 0x84 ... 0x85:
    case 0x8a ... 0x8b:
    case 0x8e:
        return has_memory(in) ? PROT_READ_BIT : 0;
    case 0x80 ... 0x81:
    case 0x83:
        return has_memory(in) ? write_if(modrm_reg(in) != 7) : 0;
    case 0x86 ... 0x89:
    case 0x8c:
    case 0xc0 ... 0xc1:
    case 0xc6 ... 0xc7:
    case 0xd0 ... 0xd3:
        return has_memory(in) ? PROT_WRITE_BIT : 0;
    case 0x8f: /* pop reads the stack and then writes its operand */
        return has_memory(in) ? write_if(!is_near(address, regs->rsp)) : 0;
    case 0xf6 ... 0xf7:
        return has_memory(in) ? write_if(modrm_reg(in) == 2 || modrm_reg(in) == 3) : 0;
    case 0xfe ... 0xff:
        return decode_group_ff(in, opcode, regs, address);
    case 0x68:
    case 0x6a:
    case 0x9c:
    case 0xa2 ... 0xa3:
    case 0xc8:
    case 0xe8:
        return PROT_WRITE_BIT;
    case 0x9d:
    case 0xa0 ... 0xa1:
    case 0xc2 ... 0xc3:
    case 0xc9 ... 0xcb:
    case 0xcf:
    case 0xd7:
        return PROT_READ_BIT;
    case 0xa4 ... 0xa7:
    case 0xaa ... 0xaf:
        return decode_string(in, opcode, regs, address);
    default:
        return 0;
    }
}

static bool take_prefix(struct instruction *in, u8 byte)
{
    switch (byte) {
    case 0xf2:
    case 0xf3:
        in->repeat = byte;
        return true;
    case 0x26:
    case 0x2e:
    case 0x36:
    case 0x3e:
    case 0x64:
    case 0x65:
        in->has_segment = true;
        return true;
    case 0x66:
    case 0x67:
    case 0xf0:
        return true;
    default:
        return false;
    }
}

u32 decode_access(const u8 *code, size_t size, const struct regs *regs, u64 address)
{
    struct instruction in = {.at = code, .end = code + size};
    if (regs->cs != REGS_CS_USER)
        return 0;
    u8 opcode = take(&in);
    while (take_prefix(&in, opcode))
        opcode = take(&in);
    if ((opcode & 0xf0) == 0x40) /* REX */
        opcode = take(&in);
    u32 access;
    if (opcode == 0x0f)
        access = decode_two_byte(&in, address);
    else if (opcode == 0xc4 || opcode == 0xc5)
        access = decode_vex(&in, opcode);
    else if (opcode == 0x62) /* EVEX */
        access = 0;
    else
        access = decode_one_byte(&in, opcode, regs, address);
    return in.is_unknown ? 0 : access;
}

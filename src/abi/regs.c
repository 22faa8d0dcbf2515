/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The one format of extended state: the standard XSAVE layout of Intel's manual, volume 1,
 * chapter 13. Surprising: the header's XSTATE_BV is a claim about the bytes, so it too is judged
 * here.
 */
#include "abi/regs.h"
#include <string.h>

#define FCW_OFFSET 0u
#define FOP_OFFSET 6u /* FOP, FIP and FDP: 18 bytes to 24 */
#define MXCSR_MASK_OFFSET 28u
#define LEGACY_USED 416u /* x87 and sixteen XMM registers; the rest is software's or reserved */
#define MXCSR_BITS 0xffffu

static void xstate_init_x87(u8 *bytes)
{
    u16 fcw = XSTATE_FCW_INIT;
    memset(bytes, 0, XSTATE_MXCSR_OFFSET);
    memset(bytes + 32, 0, 128);
    memcpy(bytes + FCW_OFFSET, &fcw, sizeof fcw);
}

void xstate_init(struct xstate *xstate)
{
    u32 mxcsr = XSTATE_MXCSR_INIT;
    memset(xstate, 0, sizeof *xstate);
    xstate_init_x87(xstate->bytes);
    memcpy(xstate->bytes + XSTATE_MXCSR_OFFSET, &mxcsr, sizeof mxcsr);
}

bool xstate_sanitize(struct xstate *xstate)
{
    u64 header[8];
    u8 *bytes = xstate->bytes;
    memcpy(header, bytes + XSTATE_HEADER_OFFSET, sizeof header);
    if (header[1] != 0) /* XCOMP_BV: the compacted form is another layout */
        return false;
    u64 features = header[0] & XSTATE_FEATURES;
    if (!(features & 1))
        xstate_init_x87(bytes);
    if (!(features & 2))
        memset(bytes + 160, 0, 256);
#define X(number, offset, size)         \
    if (!(features & (1u << (number)))) \
        memset(bytes + (offset), 0, (size));
    XSTATE_COMPONENTS(X)
#undef X

    u32 mxcsr;
    memcpy(&mxcsr, bytes + XSTATE_MXCSR_OFFSET, sizeof mxcsr);
    mxcsr &= MXCSR_BITS;
    memcpy(bytes + XSTATE_MXCSR_OFFSET, &mxcsr, sizeof mxcsr);
    memset(bytes + MXCSR_MASK_OFFSET, 0, 4);
    memset(bytes + FOP_OFFSET, 0, XSTATE_MXCSR_OFFSET - FOP_OFFSET);
    memset(bytes + LEGACY_USED, 0, XSTATE_HEADER_OFFSET - LEGACY_USED);
    memset(bytes + XSTATE_HEADER_OFFSET, 0, 64);
    header[0] = xstate_features_used(xstate);
    memcpy(bytes + XSTATE_HEADER_OFFSET, header, 8);
    return true;
}

bool xstate_header_is_good(const u64 header[8])
{
    return !(header[0] & ~(u64)XSTATE_FEATURES) && header[1] == 0 && header[2] == 0;
}

static bool is_zero(const u8 *bytes, size_t size)
{
    for (size_t i = 0; i < size; i++)
        if (bytes[i])
            return false;
    return true;
}

u64 xstate_features_used(const struct xstate *xstate)
{
    const u8 *bytes = xstate->bytes;
    u8 x87[XSTATE_HEADER_OFFSET];
    xstate_init_x87(x87);
    bool has_x87 = memcmp(bytes, x87, FOP_OFFSET) != 0 || !is_zero(bytes + 32, 128);
    bool has_sse = !is_zero(bytes + 160, 256);
    u64 used = (has_x87 ? 1u : 0) | (has_sse ? 2u : 0);
#define X(number, offset, size) used |= is_zero(bytes + (offset), (size)) ? 0 : 1u << (number);
    XSTATE_COMPONENTS(X)
#undef X
    return used;
}

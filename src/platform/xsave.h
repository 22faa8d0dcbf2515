/* SPDX-License-Identifier: Apache-2.0 */
/* Between the host's XSAVE area (standard form, the processor's offsets) and the canonical one. */
#pragma once
#include "abi/regs.h"
#include "base/base.h"

struct xsave_layout {
    size_t size;       /* of the host's area; 0: not known yet */
    size_t offsets[8]; /* of the components in it, by number; 0: the host has none */
    u64 features;      /* of ours, what the host has */
};

/* SIZE is that of the host's area, FEATURES its XCR0. */
void xsave_layout_init(struct xsave_layout *layout, size_t size, u64 features);
/* IMAGE has layout->size bytes. */
void xsave_to_canonical(const struct xsave_layout *layout, const u8 *image, struct xstate *out);
/* Every part of ours is loaded from its bytes; all others take their initial state. A damaged
 * XSTATE becomes the first one. */
void xsave_from_canonical(const struct xsave_layout *layout, const struct xstate *xstate,
                          u8 *image);

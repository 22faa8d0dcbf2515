/* SPDX-License-Identifier: Apache-2.0 */
/* Extended state between two layouts: Intel's manual, volume 1, chapter 13, and abi/regs.h. */
#include "platform/xsave.h"
#include <cpuid.h>
#include <string.h>

/* Where CPUID leaf 0xd puts component NUMBER in the host's area; 0 if it has none. */
static size_t host_offset(u32 number)
{
    u32 eax, ebx, ecx, edx;
    __cpuid_count(0xd, number, eax, ebx, ecx, edx);
    return ebx;
}

void xsave_layout_init(struct xsave_layout *layout, size_t size, u64 features)
{
    *layout = (struct xsave_layout){.size = size, .features = features & XSTATE_FEATURES};
#define X(number, place, bytes)                                                      \
    {                                                                                \
        size_t offset = host_offset(number);                                         \
        bool fits = offset >= XSTATE_HEADER_OFFSET + 64 && offset + (bytes) <= size; \
        layout->offsets[number] = fits ? offset : 0;                                 \
        if (!fits)                                                                   \
            layout->features &= ~(1ull << (number));                                 \
    }
    XSTATE_COMPONENTS(X)
#undef X
}

void xsave_to_canonical(const struct xsave_layout *layout, const u8 *image, struct xstate *out)
{
    memset(out, 0, sizeof *out);
    memcpy(out, image, XSTATE_HEADER_OFFSET + 64);
#define X(number, place, size)        \
    if (layout->offsets[number] != 0) \
        memcpy(out->bytes + (place), image + layout->offsets[number], (size));
    XSTATE_COMPONENTS(X)
#undef X
    u64 header[8] = {0};
    memcpy(&header[0], image + XSTATE_HEADER_OFFSET, sizeof header[0]);
    memcpy(out->bytes + XSTATE_HEADER_OFFSET, header, sizeof header);
    ASSERT(xstate_sanitize(out));
}

void xsave_from_canonical(const struct xsave_layout *layout, const struct xstate *xstate, u8 *image)
{
    struct xstate canonical = *xstate;
    if (!xstate_sanitize(&canonical))
        xstate_init(&canonical);
    memset(image, 0, layout->size);
    memcpy(image, &canonical, XSTATE_HEADER_OFFSET + 64);
#define X(number, place, size)        \
    if (layout->offsets[number] != 0) \
        memcpy(image + layout->offsets[number], canonical.bytes + (place), (size));
    XSTATE_COMPONENTS(X)
#undef X
    memcpy(image + XSTATE_HEADER_OFFSET, &layout->features, 8);
}

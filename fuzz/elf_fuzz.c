/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Bytes as an ELF file: whatever is accepted must be mappable without a further look
 * (sentry/exec/elf.h). make fuzz-elf_fuzz
 */
#include "sentry/exec/elf.h"

#include "platform/platform.h"

static void check(const struct elf_image *image, size_t size)
{
    u64 end = image->start;
    ASSERT(image->segment_count > 0 && image->segment_count <= ELF_SEGMENTS_MAX);
    ASSERT(!(image->start & ~PAGE_MASK) && !(image->end & ~PAGE_MASK) &&
           image->end <= SPACE_ADDRESS_END);
    ASSERT(is_power_of_two(image->align) && image->align >= PAGE_SIZE &&
           image->entry < SPACE_ADDRESS_END);
    for (u32 i = 0; i < image->segment_count; i++) {
        const struct elf_segment *segment = &image->segments[i];
        ASSERT(segment->memory_size > 0 && segment->file_size <= segment->memory_size);
        ASSERT(segment->address >= end && segment->memory_size <= image->end - segment->address);
        ASSERT(segment->offset <= size && segment->file_size <= size - segment->offset);
        ASSERT(segment->file_size == 0 || ((segment->address - segment->offset) & ~PAGE_MASK) == 0);
        end = segment->address + segment->memory_size;
    }
    ASSERT(!image->has_interp || image->interp_offset + image->interp_size <= size);
}

int LLVMFuzzerTestOneInput(const u8 *bytes, size_t size);
int LLVMFuzzerTestOneInput(const u8 *bytes, size_t size)
{
    struct elf_image image;
    if (elf_parse(bytes, size, &image) == 0)
        check(&image, size);
    return 0;
}

/* SPDX-License-Identifier: Apache-2.0 */
/* Pages of mappings in an image: those that exist nowhere else. */
#include "abi/errno.h"
#include "base/state.h"
#include "sentry/memory/cache.h"
#include "sentry/memory/mapping.h"

struct save {
    const struct mapping *mapping;
    struct state_writer *writer;
};

static int save_page(void *arg, u64 index, frame f, bool is_dirty)
{
    const struct save *save = arg;
    const struct mapping_ops *ops = save->mapping->ops;
    if (ops && ops->fill && !is_dirty)
        return 0; /* it can be read again */
    int err = state_write_u64(save->writer, index << 1 | is_dirty);
    return err ? err : state_write_frame(save->writer, f);
}

int mapping_save(const struct mapping *mapping, struct state_writer *writer)
{
    if (mapping->memory) {
        struct save save = {mapping, writer};
        int err = mapping_for_each_page(mapping, save_page, &save);
        if (err)
            return err;
    }
    return state_write_u64(writer, UINT64_MAX);
}

void mapping_loaded(struct mapping *mapping, struct memory *memory, const struct mapping_ops *ops,
                    void *owner)
{
    mapping->memory = memory;
    mapping->ops = ops;
    mapping->owner = owner;
    map_init(&mapping->pages, memory->arena);
    list_init(&mapping->vmas);
}

void mapping_discard(struct mapping *mapping)
{
    u64 index;
    if (!mapping->memory)
        return;
    mapping->charge = NULL; /* who paid is discarded too */
    for (struct page *page; (page = map_ceiling(&mapping->pages, 0, &index)) != NULL;)
        cache_remove(page);
    map_fini(&mapping->pages);
    mapping->memory = NULL;
}

int mapping_load(struct mapping *mapping, struct state_reader *reader)
{
    for (;;) {
        u64 word;
        frame f;
        int err = state_read_u64(reader, &word);
        if (err || word == UINT64_MAX)
            return err;
        if (!mapping->memory)
            return -EINVAL;
        err = state_read_frame(reader, &f);
        if (err)
            return err;
        err = mapping_load_page(mapping, word >> 1, f, word & 1);
        if (err) {
            frame_put(mapping->memory, f);
            return err;
        }
    }
}

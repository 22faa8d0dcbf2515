/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The page cache of one file: index -> frame. Files of tmpfs, memfd and shared anonymous memory
 * have nothing behind it; files of the gofer are filled and written back through mapping_ops, which
 * fs implements. Private and shared file mappings, read and write all go through it.
 */
#pragma once
#include "base/fields.h"
#include "base/list.h"
#include "base/map.h"
#include "base/object.h"
#include "sentry/memory/memory.h"
#include "sentry/sched/sched.h"

struct mapping;
struct uio;

struct mapping_ops {
    /* Read pages [index, index+count) into the frames' bytes (zero behind the end of file). 0 or
     * -errno. NULL: zero pages. */
    SLEEPS_OP int (*fill)(struct mapping *mapping, struct fiber *fiber, u64 index, u64 count,
                          u8 *const *pages);
    /* Write SIZE bytes of a dirty page back. 0 or -errno. NULL: nothing behind, pages stay dirty.
     */
    SLEEPS_OP int (*write_back)(struct mapping *mapping, struct fiber *fiber, u64 index,
                                const u8 *page, u64 size);
};

/* Embedded in an inode (fs) or alone in shared anonymous memory. */
struct mapping {
    struct memory *memory;
    const struct mapping_ops *ops; /* NULL: nothing behind it */
    void *owner;                   /* the inode */
    struct map pages;              /* index -> struct page (mapping.c's) */
    struct list vmas;              /* every vma that maps it, for truncation */
    enum frame_use use;
    u64 size; /* the file's, in bytes: accesses behind the last page get SIGBUS */
    u64 dirty_count;
    u32 writable_shared_count; /* for seals */
    u64 pages_max;             /* 0: no limit (tmpfs size= is charged through `charge`) */
    int (*charge)(struct mapping *mapping,
                  i64 pages); /* tmpfs quota; may refuse a growth with -ENOSPC; NULL */
    u64 id;                   /* unique among objects and mappings of the arena: futex keys, SysV */
};

void mapping_init(struct mapping *mapping, struct memory *memory, enum frame_use use,
                  const struct mapping_ops *ops, void *owner);
/* No vma maps it. Drops all pages, dirty ones too. */
void mapping_fini(struct mapping *mapping);
/* For READ_AHEAD: the pages around the one that is wanted. */
#define READ_AROUND UINT64_MAX
/*
 * The frame at INDEX with one more reference; filled on a miss, with READ_AHEAD pages more where
 * they are cheap. FOR_WRITE marks it dirty (the caller is about to change it). 0 or -errno
 * (-ENOMEM, -EIO, -ENOSPC).
 */
MUST_CHECK SLEEPS int mapping_get_page(struct mapping *mapping, struct fiber *fiber, u64 index,
                                       u64 read_ahead, bool for_write, frame *out);
/* A page that is there now, no filling: true and one more reference. */
bool mapping_find_page(struct mapping *mapping, u64 index, frame *out);
/* Bytes between file and UIO through the cache; the count moved or -errno when none was. Reading
 * stops at mapping->size; writing grows it. */
MUST_CHECK SLEEPS i64 mapping_read(struct mapping *mapping, struct fiber *fiber, struct uio *uio,
                                   u64 offset);
MUST_CHECK SLEEPS i64 mapping_write(struct mapping *mapping, struct fiber *fiber, struct uio *uio,
                                    u64 offset);
/* Change the size: pages behind the new end go, also out of every space that maps them; the tail of
 * the last page is zeroed. */
SLEEPS void mapping_truncate(struct mapping *mapping, struct fiber *fiber, u64 size);
/* Drop whole pages in [offset, offset+size), zero partial ones (FALLOC_FL_PUNCH_HOLE). */
MUST_CHECK SLEEPS int mapping_punch(struct mapping *mapping, struct fiber *fiber, u64 offset,
                                    u64 size);
/* Write all dirty pages back. 0 or the first -errno. */
MUST_CHECK SLEEPS int mapping_sync(struct mapping *mapping, struct fiber *fiber);
/* Forget clean pages nobody maps (host file changed underneath, memory pressure). */
void mapping_drop_clean(struct mapping *mapping);
/* Next offset >= OFFSET with data (or hole), for SEEK_DATA and SEEK_HOLE of memory files; -ENXIO.
 */
i64 mapping_seek(const struct mapping *mapping, u64 offset, bool data);

/* ---- saving and loading (called by the owner's kind: inode, shared memory) ------------------ */

/* For FIELD_STRUCT(struct x, mapping, mapping_fields): size, use, limits; pages go by the two
 * below. */
extern const struct field mapping_fields[];
/* In load_more, before mapping_load: what the fields cannot say; the loaded size, use and id stay.
 */
void mapping_loaded(struct mapping *mapping, struct memory *memory, const struct mapping_ops *ops,
                    void *owner);
/* In save_more and load_more: all pages with their frames (files with something behind: dirty ones
 * only). */
struct state_writer;
struct state_reader;
MUST_CHECK int mapping_save(const struct mapping *mapping, struct state_writer *writer);
MUST_CHECK int mapping_load(struct mapping *mapping, struct state_reader *reader);
/* In discard: gives the pages back. */
void mapping_discard(struct mapping *mapping);
/* The pieces of these: VISIT each page in order until it answers non-zero, which is returned. */
MUST_CHECK int mapping_for_each_page(const struct mapping *mapping,
                                     int (*visit)(void *arg, u64 index, frame f, bool is_dirty),
                                     void *arg);
/* Takes F's reference on success. 0, -EEXIST, -ENOMEM. */
MUST_CHECK int mapping_load_page(struct mapping *mapping, u64 index, frame f, bool is_dirty);
bool mapping_has_dirty_page(const struct mapping *mapping, u64 index);

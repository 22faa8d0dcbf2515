/* SPDX-License-Identifier: Apache-2.0 */
/* What state's own files share. */
#pragma once
#include <xxhash.h>

#include "base/buf.h"
#include "base/map.h"
#include "sentry/state/state.h"

#define STATE_MAGIC "gVisorSF"
#define PAGES_MAGIC "PICKETPM"
#define STATE_FORMAT_VERSION 2u
#define STATE_ROOTS 8u
#define STATE_CHUNK_SIZE ((size_t)1 << 20)
#define STATE_METADATA_MAX ((u64)16 << 20)
#define STATE_OBJECTS_MAX (1u << 24)
#define STATE_OBJECT_BYTES_MAX ((u64)48 << 20)
#define STATE_FRAMES_MAX ((u64)1 << 26)
#define STATE_PAGES_PER_CHUNK 256u

enum chunk_type {
    CHUNK_HEAD = 1, /* struct image_head */
    CHUNK_OBJECTS,  /* a piece of the object stream */
    CHUNK_PAGES,    /* first number, count, bitmap of pages that are not zero, those pages */
    CHUNK_END,      /* struct image_end; nothing follows */
};

struct chunk_header {
    u32 type;
    u32 raw_size;
    u32 stored_size; /* == raw_size: not compressed */
    u32 pad;
    u64 checksum; /* XXH3-64 of the header before this member and of the stored bytes */
};
_Static_assert(sizeof(struct chunk_header) == 24, "chunk_header");

struct image_head {
    u32 format_version;
    u32 has_pages_file;
    u64 metadata_hash; /* XXH3-64 of the metadata's bytes */
    u64 schema_hash;   /* of all kinds of the build */
};

struct image_end {
    u64 object_bytes;
    u64 object_count;
    u64 frame_count;
    u64 object_hash; /* XXH3-64 of the whole object stream */
};

/* ---- writing -------------------------------------------------------------------------------- */

struct state_writer {
    struct kernel *kernel;
    struct arena *arena;
    struct buf out;        /* object stream not yet taken */
    struct object **queue; /* objects by save_index - 1 */
    u32 queue_count, queue_capacity;
    struct object **marked; /* by the first walk: all whose save_index is not 0 */
    u32 marked_count, marked_capacity;
    u32 next;                  /* first whose body is not written */
    const struct kind **kinds; /* by number - 1, in order of first use */
    u32 kind_count, kind_capacity;
    struct map frames; /* frame index -> number + 1 */
    frame *frame_list; /* by number */
    u64 frame_count, frame_capacity;
    bool skips_local; /* portable hash: no registers, no memory */
    bool is_marking;  /* the first walk: what is held, and nothing is written */
    /* Hands over what is in `out`; NULL: it is left to grow. */
    SLEEPS_OP int (*flush)(struct state_writer *writer);
    void *flush_owner;
};
void writer_init(struct state_writer *writer, struct kernel *kernel);
void writer_fini(struct state_writer *writer); /* clears save_index of every object it met */
/* Roots, then every object that is held by what is reachable from them. What only weak pointers
 * lead to (somebody outside the image holds it) is left out. */
MUST_CHECK SLEEPS int writer_walk(struct state_writer *writer, struct object *extra_root);

/* ---- reading -------------------------------------------------------------------------------- */

struct state_reader {
    struct kernel *kernel;
    struct arena *arena;
    const u8 *at, *end;      /* the object stream, all in memory */
    struct object **objects; /* by index - 1 */
    u32 object_count;
    const struct kind **kinds;
    u32 kind_count, kind_capacity;
    frame *frames; /* by number; one reference each until reader_fini */
    u64 frame_count;
    struct object *roots[STATE_ROOTS];
    struct object **tasks;
    u32 task_count;
    struct object *extra_root;
    const char *complaint; /* what is wrong with the image */
};
/* Build the graph from the stream in [at, end). 0 or -errno with `complaint`. */
MUST_CHECK int reader_build(struct state_reader *reader);
/* Free a graph that was not published: no destroy hooks. */
void reader_discard(struct state_reader *reader);
void reader_fini(struct state_reader *reader);

/* ---- image.c: chunks ------------------------------------------------------------------------ */

MUST_CHECK SLEEPS int chunk_write(struct state_output *output, struct arena *arena,
                                  enum chunk_type type, const void *bytes, size_t size,
                                  bool is_compressed, u64 *total);
/* The next chunk into *OUT (arena memory of RAW_SIZE bytes, the caller frees). -errno, or -EBADMSG
 * for damage. */
MUST_CHECK SLEEPS int chunk_read(struct state_input *input, struct arena *arena,
                                 struct chunk_header *header, u8 **out);
MUST_CHECK SLEEPS int input_read_all(struct state_input *input, void *out, size_t size);

/* pages.c */
MUST_CHECK SLEEPS int pages_write(struct state_writer *writer, struct state_output *output,
                                  bool is_compressed, u64 *total);
MUST_CHECK int pages_take_chunk(struct state_reader *reader, const u8 *bytes, size_t size);
/* With files of their own: runs and checksums into META, bytes into PAGES. */
MUST_CHECK SLEEPS int pages_write_files(struct state_writer *writer, struct state_output *meta,
                                        struct state_output *pages, bool is_compressed, u64 *total);
MUST_CHECK SLEEPS int pages_read_files(struct state_reader *reader, struct state_input *meta,
                                       struct state_input *pages);

u64 state_schema_hash(void);

/* metadata.c */
MUST_CHECK int metadata_encode(const struct state_metadata *metadata, struct buf *out);
MUST_CHECK SLEEPS int metadata_read(struct state_input *input, struct state_metadata *out,
                                    u64 *hash, struct error *err);

/* SPDX-License-Identifier: Apache-2.0 */
/* Private to src/gofer: the core's struct and its handlers, one a message. */
#pragma once
#include "gofer/gofer_core.h"
#include "wire/gofer/gofer_wire.h"

/* One open file of the client's. Free slots have path NULL and are linked through `next_free`. */
struct gofer_fid {
    struct host_file *path; /* O_PATH; a directory that came by its listing is opened for reading */
    struct host_file *stream; /* a directory being listed, unless `path` serves */
    bool is_readable;         /* `path` serves */
    u64 stream_cookie;        /* where the one or the other stands */
    u32 type;                 /* S_IFMT bits: a file never changes its type */
    u32 next_free;
};

#define GOFER_SCRATCH_SIZE GOFER_MESSAGE_MAX
#define GOFER_DIRENT_SIZE ((size_t)8192)

struct gofer_core {
    struct host *host;
    struct arena *arena;
    struct gofer_options options;
    struct host_file *root; /* until ATTACH */
    struct gofer_fid *fids; /* number - 1 is the index */
    u32 fid_capacity;
    u32 fid_count;
    u32 fid_free; /* number of the first free slot, 0 for none */
    /* Of the message being served: too large for a stack. */
    union {
#define MESSAGE(name, NAME, number) struct gofer_##name name;
        GOFER_MESSAGES(MESSAGE)
#undef MESSAGE
    } request;
    union {
#define MESSAGE(name, NAME, number) struct gofer_##name##_reply name;
        GOFER_MESSAGES(MESSAGE)
#undef MESSAGE
    } reply;
    u8 scratch[GOFER_SCRATCH_SIZE]; /* what a reply points to */
    u8 dirents[GOFER_DIRENT_SIZE];
};

/* FILE (taken, also on failure) becomes a new fid with its attributes in OUT. 0 or -errno. */
MUST_CHECK int gofer_fid_add(struct gofer_core *core, struct host_file *file,
                             struct gofer_node *out);
void gofer_fid_close(struct gofer_core *core, u32 number);
/* The fid or NULL. */
struct gofer_fid *gofer_fid_find(struct gofer_core *core, u32 number);
/* The directory NUMBER: 0, -EBADF or -ENOTDIR. */
MUST_CHECK int gofer_fid_dir(struct gofer_core *core, u32 number, struct host_file **out);

/* Each answers 0 with *REPLY filled, or -errno. What it points to lies in core->scratch. */
#define MESSAGE(name, NAME, number)                                  \
    MUST_CHECK int gofer_handle_##name(                              \
        struct gofer_core *core, const struct gofer_##name *request, \
        struct gofer_##name##_reply *reply, struct gofer_donation *donation);
GOFER_MESSAGES(MESSAGE)
#undef MESSAGE

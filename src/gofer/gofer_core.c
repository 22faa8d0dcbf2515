/* SPDX-License-Identifier: Apache-2.0 */
/*
 * One connection: the table of fids and the dispatch of messages. A fid is an O_PATH descriptor, so
 * holding one neither opens devices nor blocks, and follows the file through renames. Numbers are
 * reused at once: only the one client of this connection can be confused by that, and it chose to.
 */
#include "gofer/gofer_core.h"

#include "abi/stat.h"
#include "gofer/internal.h"

#include <errno.h>
#include <string.h>

/* A fid and the directory it may be listing cost two descriptors and little memory. */
#define ARENA_BYTES_MAX ((u64)64 << 20)

int gofer_core_create(struct host *host, struct host_file *root,
                      const struct gofer_options *options, struct gofer_core **out)
{
    struct arena *arena = host_arena_create(host, ARENA_BYTES_MAX);
    struct gofer_core *core = arena ? arena_alloc(arena, sizeof *core) : NULL;
    if (!core) {
        host_arena_destroy(host, arena);
        host_file_put(root);
        return -ENOMEM;
    }
    core->host = host;
    core->arena = arena;
    core->root = root;
    core->options = *options;
    if (core->options.fid_max == 0)
        core->options.fid_max = GOFER_FID_DEFAULT;
    *out = core;
    return 0;
}

void gofer_core_destroy(struct gofer_core *core)
{
    if (!core)
        return;
    for (u32 number = 1; number <= core->fid_capacity; number++)
        gofer_fid_close(core, number);
    ASSERT(core->fid_count == 0);
    host_file_put(core->root);
    struct arena *arena = core->arena;
    struct host *host = core->host;
    arena_free(arena, core->fids, core->fid_capacity * sizeof *core->fids);
    arena_free(arena, core, sizeof *core);
    host_arena_destroy(host, arena);
}

u32 gofer_core_fid_count(const struct gofer_core *core)
{
    return core->fid_count;
}

/* ---- fids ---- */

/* Make room for one more. 0, -EMFILE or -ENOMEM. */
static int fids_grow(struct gofer_core *core)
{
    if (core->fid_free != 0)
        return 0;
    u32 old = core->fid_capacity;
    u32 capacity = MIN(MAX(old * 2, 64u), core->options.fid_max);
    if (capacity <= old)
        return -EMFILE;
    struct gofer_fid *fids = arena_realloc(core->arena, core->fids, old * sizeof *fids,
                                           capacity * sizeof *fids);
    if (!fids)
        return -ENOMEM;
    core->fids = fids;
    core->fid_capacity = capacity;
    for (u32 index = capacity; index > old; index--) {
        fids[index - 1].next_free = core->fid_free;
        core->fid_free = index;
    }
    return 0;
}

int gofer_fid_add(struct gofer_core *core, struct host_file *file, struct gofer_node *out)
{
    struct host_stat stat;
    int err = host_stat(file, &stat);
    if (!err)
        err = fids_grow(core);
    if (err) {
        host_file_put(file);
        return err;
    }
    u32 number = core->fid_free;
    struct gofer_fid *fid = &core->fids[number - 1];
    core->fid_free = fid->next_free;
    core->fid_count++;
    *fid = (struct gofer_fid){.path = file, .type = stat.mode & LINUX_S_IFMT};
    *out = (struct gofer_node){.fid = number, .stat = stat};
    return 0;
}

struct gofer_fid *gofer_fid_find(struct gofer_core *core, u32 number)
{
    if (number == GOFER_FID_NONE || number > core->fid_capacity)
        return NULL;
    struct gofer_fid *fid = &core->fids[number - 1];
    return fid->path ? fid : NULL;
}

void gofer_fid_close(struct gofer_core *core, u32 number)
{
    struct gofer_fid *fid = gofer_fid_find(core, number);
    if (!fid)
        return;
    host_file_put(fid->stream);
    host_file_put(fid->path);
    *fid = (struct gofer_fid){.next_free = core->fid_free};
    core->fid_free = number;
    ASSERT(core->fid_count > 0);
    core->fid_count--;
}

int gofer_fid_dir(struct gofer_core *core, u32 number, struct host_file **out)
{
    struct gofer_fid *fid = gofer_fid_find(core, number);
    if (!fid)
        return -EBADF;
    if (fid->type != LINUX_S_IFDIR)
        return -ENOTDIR;
    *out = fid->path;
    return 0;
}

/* ---- messages ---- */

/* Each serves one kind: decode, act, encode. The answer's size or -errno; a size of 0 is no answer.
 */
#define MESSAGE(name, NAME, number)                                                               \
    static i64 serve_##name(struct gofer_core *core, const void *bytes, size_t size, u64 tag,     \
                            void *reply, struct gofer_donation *donation)                         \
    {                                                                                             \
        if (gofer_get_##name(bytes, size, &core->request.name) < 0)                               \
            return -EINVAL;                                                                       \
        memset(&core->reply.name, 0, sizeof core->reply.name);                                    \
        int err = gofer_handle_##name(core, &core->request.name, &core->reply.name, donation);    \
        if (err)                                                                                  \
            return err;                                                                           \
        u16 flags = donation->file || donation->stream ? GOFER_FD : 0;                            \
        return gofer_put_##name##_reply(reply, GOFER_MESSAGE_MAX, tag, flags, &core->reply.name); \
    }
GOFER_MESSAGES(MESSAGE)
#undef MESSAGE

static i64 serve(struct gofer_core *core, const struct gofer_header *header, const void *bytes,
                 void *reply, struct gofer_donation *donation)
{
    if (core->root && header->type != GOFER_ATTACH)
        return -EPERM;
    switch (header->type) {
#define MESSAGE(name, NAME, number) \
    case GOFER_##NAME:              \
        return serve_##name(core, bytes, header->size, header->tag, reply, donation);
        GOFER_MESSAGES(MESSAGE)
#undef MESSAGE
    default:
        return -EOPNOTSUPP;
    }
}

i64 gofer_core_handle(struct gofer_core *core, const void *request, size_t size, void *reply,
                      struct gofer_donation *donation)
{
    *donation = (struct gofer_donation){0};
    struct gofer_header header;
    if (gofer_get_header(request, size, &header) < 0 || header.flags != 0)
        return -EPROTO;
    i64 answer = serve(core, &header, request, reply, donation);
    if (header.type == GOFER_CLOSE)
        return 0;
    if (answer > 0)
        return answer;
    host_file_put(donation->file);
    if (donation->stream)
        host_stream_put(donation->stream);
    *donation = (struct gofer_donation){0};
    u32 error = answer < 0 && answer >= -4095 ? (u32)-answer : EIO;
    return gofer_put_error(reply, GOFER_MESSAGE_MAX, header.type, header.tag, error);
}

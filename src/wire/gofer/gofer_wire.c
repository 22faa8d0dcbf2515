/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The codec of the file protocol. One function a struct walks its members in wire order, and the
 * same function encodes, decodes and judges: so the two directions cannot disagree. Errors stick in
 * the coder; past the first one nothing is read or written any more.
 */
#include "wire/gofer/gofer_wire.h"

#include <errno.h>
#include <string.h>

/* Decoding never writes through `at`, encoding never into the struct: so casting const away is
 * sound. */
struct coder {
    u8 *at;
    u8 *end;
    bool is_decoding;
    int err;
};

static void coder_fail(struct coder *coder, int err)
{
    if (!coder->err)
        coder->err = err;
}

/* Room for, or the presence of, SIZE bytes. */
static bool coder_has(struct coder *coder, size_t size)
{
    if (coder->err)
        return false;
    if ((size_t)(coder->end - coder->at) < size) {
        coder_fail(coder, coder->is_decoding ? -EPROTO : -EMSGSIZE);
        return false;
    }
    return true;
}

/* A rule that the struct must keep: the peer's fault when decoding, ours when encoding. */
static bool coder_want(struct coder *coder, bool is_kept)
{
    if (!is_kept)
        coder_fail(coder, coder->is_decoding ? -EPROTO : -EINVAL);
    return coder->err == 0;
}

static void code_number(struct coder *coder, u64 *value, size_t size)
{
    if (!coder_has(coder, size))
        return;
    if (coder->is_decoding)
        *value = 0;
    for (size_t i = 0; i < size; i++) {
        if (coder->is_decoding)
            *value |= (u64)coder->at[i] << (8 * i);
        else
            coder->at[i] = (u8)(*value >> (8 * i));
    }
    coder->at += size;
}

static void code_u64(struct coder *coder, u64 *value)
{
    code_number(coder, value, 8);
}

static void code_i64(struct coder *coder, i64 *value)
{
    u64 wide = coder->is_decoding ? 0 : (u64)*value;
    code_number(coder, &wide, 8);
    if (coder->is_decoding)
        *value = (i64)wide;
}

static void code_u32(struct coder *coder, u32 *value)
{
    u64 wide = coder->is_decoding ? 0 : *value;
    code_number(coder, &wide, 4);
    if (coder->is_decoding)
        *value = (u32)wide;
}

static void code_u16(struct coder *coder, u16 *value)
{
    u64 wide = coder->is_decoding ? 0 : *value;
    code_number(coder, &wide, 2);
    if (coder->is_decoding)
        *value = (u16)wide;
}

static void code_bool(struct coder *coder, bool *value)
{
    u32 wide = coder->is_decoding ? 0 : *value;
    code_u32(coder, &wide);
    if (coder_want(coder, wide <= 1) && coder->is_decoding)
        *value = wide == 1;
}

/* SIZE bytes that the message itself holds: lent when decoding. */
static void code_bytes(struct coder *coder, const u8 **bytes, size_t size)
{
    if (!coder_has(coder, size))
        return;
    if (coder->is_decoding)
        *bytes = coder->at;
    else if (size > 0)
        memcpy(coder->at, *bytes, size);
    coder->at += size;
}

/* u16 size, the bytes, a terminator. */
static void code_text(struct coder *coder, const char **text, size_t size_max)
{
    u16 size = 0;
    if (!coder->is_decoding) {
        size_t given = *text ? strnlen(*text, size_max + 1) : 0;
        if (!coder_want(coder, given <= size_max))
            return;
        size = (u16)given;
    }
    code_u16(coder, &size);
    if (!coder_want(coder, size <= size_max) || !coder_has(coder, (size_t)size + 1))
        return;
    if (coder->is_decoding) {
        *text = (const char *)coder->at;
        coder_want(coder, memchr(coder->at, 0, (size_t)size + 1) == coder->at + size);
    } else {
        memcpy(coder->at, *text ? *text : "", size);
        coder->at[size] = 0;
    }
    coder->at += (size_t)size + 1;
}

bool gofer_name_is_valid(const char *name)
{
    size_t size = strnlen(name, GOFER_NAME_MAX + 1);
    if (size == 0 || size > GOFER_NAME_MAX || memchr(name, '/', size))
        return false;
    return strcmp(name, ".") != 0 && strcmp(name, "..") != 0;
}

static void code_name(struct coder *coder, const char **name)
{
    code_text(coder, name, GOFER_NAME_MAX);
    if (!coder->err)
        coder_want(coder, *name && gofer_name_is_valid(*name));
}

static void code_xattr_name(struct coder *coder, const char **name)
{
    code_text(coder, name, GOFER_NAME_MAX);
    if (!coder->err)
        coder_want(coder, *name && **name);
}

/* A size that also counts bytes in the message, unless there are none (the size alone was asked
 * for). */
static void code_value(struct coder *coder, u32 *size, const u8 **value)
{
    bool has_value = !coder->is_decoding && *value != NULL;
    code_u32(coder, size);
    code_bool(coder, &has_value);
    if (!has_value) {
        if (coder->is_decoding)
            *value = NULL;
        return;
    }
    if (coder_want(coder, *size <= GOFER_XATTR_MAX))
        code_bytes(coder, value, *size);
}

static void code_stat(struct coder *coder, struct host_stat *stat)
{
    code_u64(coder, &stat->device);
    code_u64(coder, &stat->inode);
    code_u32(coder, &stat->mode);
    code_u32(coder, &stat->link_count);
    code_u32(coder, &stat->uid);
    code_u32(coder, &stat->gid);
    code_u32(coder, &stat->rdev_major);
    code_u32(coder, &stat->rdev_minor);
    code_u64(coder, &stat->size);
    code_u64(coder, &stat->blocks);
    code_u32(coder, &stat->block_size);
    code_i64(coder, &stat->atime_ns);
    code_i64(coder, &stat->mtime_ns);
    code_i64(coder, &stat->ctime_ns);
    code_i64(coder, &stat->btime_ns);
}

static void code_node(struct coder *coder, struct gofer_node *node)
{
    code_u32(coder, &node->fid);
    code_stat(coder, &node->stat);
    coder_want(coder, node->fid != GOFER_FID_NONE);
}

/* ---- one function a struct ---- */

static void code_attach(struct coder *coder, struct gofer_attach *m)
{
    code_u32(coder, &m->version);
}

static void code_attach_reply(struct coder *coder, struct gofer_attach_reply *m)
{
    code_u32(coder, &m->version);
    code_u32(coder, &m->flags);
    code_u32(coder, &m->fid_max);
    code_node(coder, &m->root);
}

static void code_walk(struct coder *coder, struct gofer_walk *m)
{
    code_u32(coder, &m->fid);
    code_u32(coder, &m->flags);
    code_u32(coder, &m->count);
    coder_want(coder, !(m->flags & ~GOFER_WALK_OPEN));
    if (!coder_want(coder, m->count >= 1 && m->count <= GOFER_WALK_MAX))
        return;
    for (u32 i = 0; i < m->count; i++)
        code_name(coder, &m->names[i]);
}

static void code_walk_reply(struct coder *coder, struct gofer_walk_reply *m)
{
    code_u32(coder, &m->count);
    code_u32(coder, &m->error);
    code_text(coder, &m->target, GOFER_TARGET_MAX);
    if (!coder_want(coder, m->count <= GOFER_WALK_MAX && m->error <= 4095))
        return;
    for (u32 i = 0; i < m->count; i++)
        code_node(coder, &m->nodes[i]);
}

static void code_get_attr(struct coder *coder, struct gofer_get_attr *m)
{
    code_u32(coder, &m->fid);
}

static void code_get_attr_reply(struct coder *coder, struct gofer_get_attr_reply *m)
{
    code_stat(coder, &m->stat);
}

static void code_set_attr(struct coder *coder, struct gofer_set_attr *m)
{
    code_u32(coder, &m->fid);
    code_u32(coder, &m->attr.mask);
    code_u32(coder, &m->attr.mode);
    code_u32(coder, &m->attr.uid);
    code_u32(coder, &m->attr.gid);
    code_u64(coder, &m->attr.size);
    code_i64(coder, &m->attr.atime_ns);
    code_i64(coder, &m->attr.mtime_ns);
}

static void code_set_attr_reply(struct coder *coder, struct gofer_set_attr_reply *m)
{
    code_stat(coder, &m->stat);
}

static void code_open(struct coder *coder, struct gofer_open *m)
{
    code_u32(coder, &m->fid);
    code_u32(coder, &m->flags);
}

static void code_open_reply(struct coder *coder, struct gofer_open_reply *m)
{
    code_stat(coder, &m->stat);
}

static void code_create(struct coder *coder, struct gofer_create *m)
{
    code_u32(coder, &m->dir);
    code_name(coder, &m->name);
    code_u32(coder, &m->flags);
    code_u32(coder, &m->mode);
    code_u32(coder, &m->uid);
    code_u32(coder, &m->gid);
}

static void code_create_reply(struct coder *coder, struct gofer_create_reply *m)
{
    code_node(coder, &m->node);
}

static void code_read_dir(struct coder *coder, struct gofer_read_dir *m)
{
    code_u32(coder, &m->fid);
    code_u32(coder, &m->size_max);
    code_u64(coder, &m->cookie);
    code_u32(coder, &m->flags);
    code_text(coder, &m->name, GOFER_NAME_MAX);
    coder_want(coder, m->size_max >= 1024 && m->size_max <= GOFER_MESSAGE_MAX);
    coder_want(coder, !(m->flags & ~(GOFER_LIST_PLAIN | GOFER_LIST_NAMES)));
    if (!coder->err && m->name && *m->name)
        coder_want(coder, gofer_name_is_valid(m->name));
}

static void code_entry(struct coder *coder, struct gofer_entry *entry)
{
    code_u64(coder, &entry->cookie);
    code_stat(coder, &entry->stat);
    code_name(coder, &entry->name);
}

static void code_read_dir_reply(struct coder *coder, struct gofer_read_dir_reply *m)
{
    u32 size = coder->is_decoding ? 0 : (u32)m->entries_size;
    code_u32(coder, &m->node.fid);
    code_stat(coder, &m->node.stat);
    code_u32(coder, &m->count);
    code_bool(coder, &m->is_end);
    code_u32(coder, &size);
    code_bytes(coder, &m->entries, size);
    if (coder->err || !coder->is_decoding)
        return;
    m->entries_size = size;
    struct coder entries = {.at = coder->at - size, .end = coder->at, .is_decoding = true};
    for (u32 i = 0; i < m->count && !entries.err; i++) {
        struct gofer_entry entry;
        code_entry(&entries, &entry);
    }
    coder_want(coder, !entries.err && entries.at == entries.end);
}

static void code_readlink(struct coder *coder, struct gofer_readlink *m)
{
    code_u32(coder, &m->fid);
}

static void code_readlink_reply(struct coder *coder, struct gofer_readlink_reply *m)
{
    code_text(coder, &m->target, GOFER_TARGET_MAX);
}

static void code_mkdir(struct coder *coder, struct gofer_mkdir *m)
{
    code_u32(coder, &m->dir);
    code_name(coder, &m->name);
    code_u32(coder, &m->mode);
    code_u32(coder, &m->uid);
    code_u32(coder, &m->gid);
}

static void code_mkdir_reply(struct coder *coder, struct gofer_mkdir_reply *m)
{
    code_node(coder, &m->node);
}

static void code_mknod(struct coder *coder, struct gofer_mknod *m)
{
    code_u32(coder, &m->dir);
    code_name(coder, &m->name);
    code_u32(coder, &m->mode);
    code_u32(coder, &m->uid);
    code_u32(coder, &m->gid);
    code_u32(coder, &m->major);
    code_u32(coder, &m->minor);
}

static void code_mknod_reply(struct coder *coder, struct gofer_mknod_reply *m)
{
    code_node(coder, &m->node);
}

static void code_symlink(struct coder *coder, struct gofer_symlink *m)
{
    code_u32(coder, &m->dir);
    code_name(coder, &m->name);
    code_text(coder, &m->target, GOFER_TARGET_MAX);
    code_u32(coder, &m->uid);
    code_u32(coder, &m->gid);
}

static void code_symlink_reply(struct coder *coder, struct gofer_symlink_reply *m)
{
    code_node(coder, &m->node);
}

static void code_link(struct coder *coder, struct gofer_link *m)
{
    code_u32(coder, &m->fid);
    code_u32(coder, &m->dir);
    code_name(coder, &m->name);
}

static void code_link_reply(struct coder *coder, struct gofer_link_reply *m)
{
    code_stat(coder, &m->stat);
}

static void code_unlink(struct coder *coder, struct gofer_unlink *m)
{
    code_u32(coder, &m->dir);
    code_name(coder, &m->name);
    code_u32(coder, &m->flags);
}

static void code_rename(struct coder *coder, struct gofer_rename *m)
{
    code_u32(coder, &m->from_dir);
    code_name(coder, &m->from);
    code_u32(coder, &m->to_dir);
    code_name(coder, &m->to);
    code_u32(coder, &m->flags);
}

static void code_statfs(struct coder *coder, struct gofer_statfs *m)
{
    code_u32(coder, &m->fid);
}

static void code_statfs_reply(struct coder *coder, struct gofer_statfs_reply *m)
{
    code_u64(coder, &m->statfs.type);
    code_u64(coder, &m->statfs.block_size);
    code_u64(coder, &m->statfs.blocks);
    code_u64(coder, &m->statfs.blocks_free);
    code_u64(coder, &m->statfs.blocks_available);
    code_u64(coder, &m->statfs.files);
    code_u64(coder, &m->statfs.files_free);
    code_u32(coder, &m->statfs.name_max);
}

static void code_sync(struct coder *coder, struct gofer_sync *m)
{
    code_u32(coder, &m->fid);
}

static void code_get_xattr(struct coder *coder, struct gofer_get_xattr *m)
{
    code_u32(coder, &m->fid);
    code_u32(coder, &m->size);
    code_xattr_name(coder, &m->name);
}

static void code_get_xattr_reply(struct coder *coder, struct gofer_get_xattr_reply *m)
{
    code_value(coder, &m->size, &m->value);
}

static void code_set_xattr(struct coder *coder, struct gofer_set_xattr *m)
{
    code_u32(coder, &m->fid);
    code_u32(coder, &m->flags);
    code_xattr_name(coder, &m->name);
    code_u32(coder, &m->size);
    if (coder_want(coder, m->size <= GOFER_XATTR_MAX))
        code_bytes(coder, &m->value, m->size);
}

static void code_list_xattr(struct coder *coder, struct gofer_list_xattr *m)
{
    code_u32(coder, &m->fid);
    code_u32(coder, &m->size);
}

static void code_list_xattr_reply(struct coder *coder, struct gofer_list_xattr_reply *m)
{
    code_value(coder, &m->size, &m->names);
    if (!coder->err && m->names && m->size > 0)
        coder_want(coder, m->names[m->size - 1] == 0);
}

static void code_remove_xattr(struct coder *coder, struct gofer_remove_xattr *m)
{
    code_u32(coder, &m->fid);
    code_xattr_name(coder, &m->name);
}

static void code_connect(struct coder *coder, struct gofer_connect *m)
{
    code_u32(coder, &m->dir);
    code_name(coder, &m->name);
    code_u32(coder, &m->type);
}

static void code_close(struct coder *coder, struct gofer_close *m)
{
    code_u32(coder, &m->count);
    if (!coder_want(coder, m->count >= 1 && m->count <= GOFER_CLOSE_MAX))
        return;
    for (u32 i = 0; i < m->count; i++)
        code_u32(coder, &m->fids[i]);
}

#define EMPTY(name)                                                                      \
    static void code_##name##_reply(struct coder *coder, struct gofer_##name##_reply *m) \
    {                                                                                    \
        if (coder->is_decoding)                                                          \
            m->unused = 0;                                                               \
    }
EMPTY(unlink)
EMPTY(rename)
EMPTY(sync)
EMPTY(set_xattr)
EMPTY(remove_xattr)
EMPTY(connect)
EMPTY(close)
#undef EMPTY

/* ---- messages ---- */

static void code_header(struct coder *coder, struct gofer_header *header)
{
    code_u32(coder, &header->size);
    code_u16(coder, &header->type);
    code_u16(coder, &header->flags);
    code_u64(coder, &header->tag);
}

/* Start a message in OUT; its size is not known yet. */
static struct coder put_begin(void *out, size_t size, struct gofer_header header)
{
    struct coder coder = {.at = out, .end = (u8 *)out + MIN(size, GOFER_MESSAGE_MAX)};
    code_header(&coder, &header);
    return coder;
}

static i64 put_end(struct coder *coder, void *out)
{
    if (coder->err)
        return coder->err;
    u32 size = (u32)(coder->at - (u8 *)out);
    struct coder head = {.at = out, .end = (u8 *)out + 4};
    code_u32(&head, &size);
    return size;
}

/* A coder never writes when decoding, so the bytes may be const. */
static struct coder get_begin(const void *bytes, size_t size)
{
    struct coder coder = {
        .at = (u8 *)(uintptr_t)bytes, .end = (u8 *)(uintptr_t)bytes + size, .is_decoding = true};
    if (coder_has(&coder, GOFER_HEADER_SIZE))
        coder.at += GOFER_HEADER_SIZE;
    return coder;
}

static int get_end(struct coder *coder)
{
    coder_want(coder, coder->at == coder->end); /* nothing unread */
    return coder->err;
}

#define MESSAGE(name, NAME, number)                                                                \
    i64 gofer_put_##name(void *out, size_t size, u64 tag, const struct gofer_##name *message)      \
    {                                                                                              \
        struct coder coder = put_begin(out, size,                                                  \
                                       (struct gofer_header){.type = number, .tag = tag});         \
        code_##name(&coder, (struct gofer_##name *)(uintptr_t)message);                            \
        return put_end(&coder, out);                                                               \
    }                                                                                              \
    i64 gofer_put_##name##_reply(void *out, size_t size, u64 tag, u16 flags,                       \
                                 const struct gofer_##name##_reply *message)                       \
    {                                                                                              \
        struct gofer_header header = {                                                             \
            .type = number, .tag = tag, .flags = (u16)(GOFER_REPLY | flags)};                      \
        struct coder coder = put_begin(out, size, header);                                         \
        code_##name##_reply(&coder, (struct gofer_##name##_reply *)(uintptr_t)message);            \
        return put_end(&coder, out);                                                               \
    }                                                                                              \
    int gofer_get_##name(const void *bytes, size_t size, struct gofer_##name *out)                 \
    {                                                                                              \
        struct coder coder = get_begin(bytes, size);                                               \
        code_##name(&coder, out);                                                                  \
        return get_end(&coder);                                                                    \
    }                                                                                              \
    int gofer_get_##name##_reply(const void *bytes, size_t size, struct gofer_##name##_reply *out) \
    {                                                                                              \
        struct coder coder = get_begin(bytes, size);                                               \
        code_##name##_reply(&coder, out);                                                          \
        return get_end(&coder);                                                                    \
    }
GOFER_MESSAGES(MESSAGE)
#undef MESSAGE

i64 gofer_put_error(void *out, size_t size, u16 type, u64 tag, u32 error)
{
    struct gofer_header header = {.type = type, .tag = tag, .flags = GOFER_REPLY | GOFER_ERROR};
    struct coder coder = put_begin(out, size, header);
    coder_want(&coder, error >= 1 && error <= 4095);
    code_u32(&coder, &error);
    return put_end(&coder, out);
}

int gofer_get_error(const void *bytes, size_t size)
{
    struct coder coder = get_begin(bytes, size);
    u32 error = 0;
    code_u32(&coder, &error);
    coder_want(&coder, error >= 1 && error <= 4095);
    int err = get_end(&coder);
    return err ? err : (int)error;
}

int gofer_get_header(const void *bytes, size_t size, struct gofer_header *out)
{
    struct coder coder = {
        .at = (u8 *)(uintptr_t)bytes, .end = (u8 *)(uintptr_t)bytes + size, .is_decoding = true};
    code_header(&coder, out);
    if (coder.err)
        return coder.err;
    u16 flags = out->flags;
    bool is_known = out->type >= 1 && out->type < GOFER_TYPE_END;
    bool is_good = flags == 0 || flags == GOFER_REPLY || flags == (GOFER_REPLY | GOFER_ERROR) ||
                   flags == (GOFER_REPLY | GOFER_FD);
    return out->size == size && size <= GOFER_MESSAGE_MAX && is_known && is_good ? 0 : -EPROTO;
}

bool gofer_entry_next(const struct gofer_read_dir_reply *reply, size_t *at, struct gofer_entry *out)
{
    if (*at >= reply->entries_size)
        return false;
    u8 *entries = (u8 *)(uintptr_t)reply->entries;
    struct coder coder = {
        .at = entries + *at, .end = entries + reply->entries_size, .is_decoding = true};
    code_entry(&coder, out);
    if (coder.err)
        return false;
    *at = (size_t)(coder.at - entries);
    return true;
}

int gofer_entry_put(u8 *entries, size_t size, size_t *used, const struct gofer_entry *entry)
{
    struct coder coder = {.at = entries + *used, .end = entries + size};
    code_entry(&coder, (struct gofer_entry *)(uintptr_t)entry);
    if (coder.err)
        return coder.err;
    *used = (size_t)(coder.at - entries);
    return 0;
}

const char *gofer_type_name(u16 type)
{
    static const char *const names[] = {
#define MESSAGE(name, NAME, number) [number] = #name,
        GOFER_MESSAGES(MESSAGE)
#undef MESSAGE
    };
    return type < ARRAY_COUNT(names) ? names[type] : NULL;
}

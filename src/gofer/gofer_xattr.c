/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Extended attributes. Only "user." ones pass: a sandbox that could set security.capability or
 * trusted.* on files of the host would hand out rights that only the host has to give. Those exist
 * on regular files and directories only (xattr(7)), which can be opened: the f*xattr calls refuse
 * the O_PATH descriptor of a fid.
 */
#include "abi/fcntl.h"
#include "abi/stat.h"
#include "gofer/internal.h"

#include <errno.h>
#include <string.h>

#define XATTR_FLAGS 3u /* XATTR_CREATE, XATTR_REPLACE */

static bool name_is_open(const char *name)
{
    return strncmp(name, "user.", 5) == 0 && name[5] != 0;
}

/* The file of a fid, opened. 0 or -errno. */
static int xattr_open(struct gofer_core *core, u32 number, struct host_file **out)
{
    struct gofer_fid *fid = gofer_fid_find(core, number);
    if (!fid)
        return -EBADF;
    if (fid->type != LINUX_S_IFREG && fid->type != LINUX_S_IFDIR)
        return -EOPNOTSUPP;
    return host_reopen(fid->path, LINUX_O_RDONLY | LINUX_O_CLOEXEC, out);
}

int gofer_handle_get_xattr(struct gofer_core *core, const struct gofer_get_xattr *request,
                           struct gofer_get_xattr_reply *reply, struct gofer_donation *donation)
{
    if (!name_is_open(request->name))
        return -EOPNOTSUPP;
    if (request->size > GOFER_XATTR_MAX)
        return -E2BIG;
    struct host_file *file;
    int err = xattr_open(core, request->fid, &file);
    if (err)
        return err;
    i64 size = host_get_xattr(file, request->name, core->scratch, request->size);
    host_file_put(file);
    if (size < 0)
        return (int)size;
    reply->size = (u32)size;
    reply->value = request->size > 0 ? core->scratch : NULL;
    return 0;
}

int gofer_handle_set_xattr(struct gofer_core *core, const struct gofer_set_xattr *request,
                           struct gofer_set_xattr_reply *reply, struct gofer_donation *donation)
{
    if (core->options.is_readonly)
        return -EROFS;
    if (!name_is_open(request->name))
        return -EPERM;
    if (request->flags & ~XATTR_FLAGS)
        return -EINVAL;
    struct host_file *file;
    int err = xattr_open(core, request->fid, &file);
    if (err)
        return err;
    err = host_set_xattr(file, request->name, request->value, request->size, (int)request->flags);
    host_file_put(file);
    return err;
}

/* Keep only the names that pass, in place; the new size. */
static size_t names_filter(char *names, size_t size)
{
    size_t kept = 0;
    for (size_t at = 0; at < size;) {
        size_t name_size = strnlen(names + at, size - at) + 1;
        if (at + name_size > size)
            break;
        if (name_is_open(names + at)) {
            memmove(names + kept, names + at, name_size);
            kept += name_size;
        }
        at += name_size;
    }
    return kept;
}

int gofer_handle_list_xattr(struct gofer_core *core, const struct gofer_list_xattr *request,
                            struct gofer_list_xattr_reply *reply, struct gofer_donation *donation)
{
    if (request->size > GOFER_XATTR_MAX)
        return -E2BIG;
    struct host_file *file;
    int err = xattr_open(core, request->fid, &file);
    if (err)
        return err;
    i64 size = host_list_xattr(file, (char *)core->scratch, sizeof core->scratch);
    host_file_put(file);
    if (size < 0)
        return (int)size;
    reply->size = (u32)names_filter((char *)core->scratch, (size_t)size);
    if (request->size == 0)
        return 0;
    if (reply->size > request->size)
        return -ERANGE;
    reply->names = core->scratch;
    return 0;
}

int gofer_handle_remove_xattr(struct gofer_core *core, const struct gofer_remove_xattr *request,
                              struct gofer_remove_xattr_reply *reply,
                              struct gofer_donation *donation)
{
    if (core->options.is_readonly)
        return -EROFS;
    if (!name_is_open(request->name))
        return -EPERM;
    struct host_file *file;
    int err = xattr_open(core, request->fid, &file);
    if (err)
        return err;
    err = host_remove_xattr(file, request->name);
    host_file_put(file);
    return err;
}

/* SPDX-License-Identifier: Apache-2.0 */
/* mount(8) options to mount(2) flags; what is no flag is data for the file system. */
#include <errno.h>
#include <string.h>

#include "abi/mount.h"
#include "loader/internal.h"

struct option_row {
    const char *name;
    u64 set;
    u64 clear;
    bool is_recursive;
};
static const struct option_row rows[] = {
    {"defaults", 0, 0, false},
    {"ro", LINUX_MS_RDONLY, 0, false},
    {"rw", 0, LINUX_MS_RDONLY, false},
    {"rro", LINUX_MS_RDONLY, 0, true},
    {"rrw", 0, LINUX_MS_RDONLY, true},
    {"suid", 0, LINUX_MS_NOSUID, false},
    {"nosuid", LINUX_MS_NOSUID, 0, false},
    {"dev", 0, LINUX_MS_NODEV, false},
    {"nodev", LINUX_MS_NODEV, 0, false},
    {"exec", 0, LINUX_MS_NOEXEC, false},
    {"noexec", LINUX_MS_NOEXEC, 0, false},
    {"sync", LINUX_MS_SYNCHRONOUS, 0, false},
    {"async", 0, LINUX_MS_SYNCHRONOUS, false},
    {"dirsync", LINUX_MS_DIRSYNC, 0, false},
    {"atime", 0, LINUX_MS_NOATIME, false},
    {"noatime", LINUX_MS_NOATIME, 0, false},
    {"diratime", 0, LINUX_MS_NODIRATIME, false},
    {"nodiratime", LINUX_MS_NODIRATIME, 0, false},
    {"relatime", LINUX_MS_RELATIME, 0, false},
    {"norelatime", 0, LINUX_MS_RELATIME, false},
    {"strictatime", LINUX_MS_STRICTATIME, 0, false},
    {"nostrictatime", 0, LINUX_MS_STRICTATIME, false},
    {"bind", LINUX_MS_BIND, 0, false},
    {"rbind", LINUX_MS_BIND | LINUX_MS_REC, 0, true},
    {"remount", 0, 0, false},
    {"private", LINUX_MS_PRIVATE, 0, false},
    {"rprivate", LINUX_MS_PRIVATE, 0, true},
    {"slave", LINUX_MS_SLAVE, 0, false},
    {"rslave", LINUX_MS_SLAVE, 0, true},
    {"mand", 0, 0, false},
    {"nomand", 0, 0, false},
    {"silent", 0, 0, false},
    {"loud", 0, 0, false},
    {"iversion", 0, 0, false},
    {"noiversion", 0, 0, false},
    {"tmpcopyup", 0, 0, false},
    {"idmap", 0, 0, false},
    {"ridmap", 0, 0, true},
};

static const struct option_row *find_row(const char *name)
{
    for (size_t i = 0; i < ARRAY_COUNT(rows); i++)
        if (strcmp(rows[i].name, name) == 0)
            return &rows[i];
    return NULL;
}

/* Kept by the mount itself, not by how it is made. */
#define MOUNT_FLAGS                                                                                \
    (LINUX_MS_RDONLY | LINUX_MS_NOSUID | LINUX_MS_NODEV | LINUX_MS_NOEXEC | LINUX_MS_SYNCHRONOUS | \
     LINUX_MS_DIRSYNC | LINUX_MS_NOATIME | LINUX_MS_NODIRATIME | LINUX_MS_RELATIME |               \
     LINUX_MS_STRICTATIME)

static int add_data(struct buf *data, const char *option)
{
    int err = buf_is_empty(data) ? 0 : buf_append_text(data, ",");
    return err ? err : buf_append_text(data, option);
}

int mount_options_parse(struct arena *arena, char *const *options, size_t count,
                        struct mount_options *out)
{
    AUTO_BUF struct buf data;
    u64 flags = 0;
    *out = (struct mount_options){0};
    buf_init(&data, arena, PAGE_SIZE);
    for (size_t i = 0; i < count; i++) {
        const char *name = options[i] ? options[i] : "";
        const struct option_row *row = find_row(name);
        int err = row || !*name ? 0 : add_data(&data, name);
        if (err)
            return err;
        if (!row)
            continue;
        flags = (flags & ~row->clear) | row->set;
        out->is_recursive |= row->is_recursive && !(row->set & LINUX_MS_BIND);
    }
    out->flags = flags & MOUNT_FLAGS;
    out->propagation = (u32)(flags & (LINUX_MS_PRIVATE | LINUX_MS_SLAVE));
    if (buf_is_empty(&data))
        return 0;
    out->data = arena_strndup(arena, (char *)buf_bytes(&data), data.size);
    return out->data ? 0 : -ENOMEM;
}

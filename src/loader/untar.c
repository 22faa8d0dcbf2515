/* SPDX-License-Identifier: Apache-2.0 */
/*
 * An archive of tar.c, or of tar(1), back into a fresh file system. Names are judged: no ".." leads
 * anywhere, and links are followed below the file system's own root only. Surprising: it is read
 * twice, for a folder's time is right only when everything is in it.
 */
#include <errno.h>
#include <string.h>

#include "abi/fcntl.h"
#include "loader/internal.h"
#include "sentry/fs/overlay/overlay.h"

#define BLOCK 512u
#define PIECE_SIZE ((u64)64 << 10)
#define PATH_SIZE_MAX 4096u
#define EXTRA_SIZE_MAX ((u64)1 << 20)

/* One entry, as its header and what stood before it say. */
struct entry {
    char path[PATH_SIZE_MAX + 1]; /* "/a/b", judged; "/" for the root */
    char link[PATH_SIZE_MAX + 1];
    char type;
    u32 mode, uid, gid, rdev;
    u64 size;
    i64 mtime_ns;
    bool is_opaque;
};

struct untar {
    struct task *by;
    struct host_file *file;
    u64 at, end;
    u8 *piece;           /* PIECE_SIZE */
    struct entry *entry; /* the one under way */
    bool has_path, has_link, has_time;
    i64 time_ns;    /* of a pax header */
    struct buf pax; /* the records of the one before the entry */
};

/* ---- reading -------------------------------------------------------------------------------- */

/* All SIZE bytes from OFFSET of the archive. */
SLEEPS static int get_bytes(struct untar *untar, u64 offset, void *out, u64 size)
{
    if (offset > untar->end || size > untar->end - offset)
        return -EBADMSG;
    int err = loader_read_all(untar->by, untar->file, offset, out, size);
    return err == -ENODATA ? -EBADMSG : err;
}

/* Octal with blanks or a terminator at its end, or GNU's base 256. */
static bool get_number(const u8 *field, u32 size, u64 *out)
{
    u32 i = 0;
    *out = 0;
    if (field[0] & 0x80) {
        for (i = 1; i < size; i++) {
            if (*out >> 56)
                return false;
            *out = *out << 8 | field[i];
        }
        return field[0] == 0x80;
    }
    while (i < size && field[i] == ' ')
        i++;
    for (; i < size && field[i] >= '0' && field[i] <= '7'; i++)
        *out = *out << 3 | (u64)(field[i] - '0');
    for (; i < size; i++)
        if (field[i] != ' ' && field[i] != 0)
            return false;
    return true;
}

/* PLAIN of at most SIZE bytes as a path from the root: "./a//b/" is "/a/b". */
static int judge_path(const char *plain, size_t size, char *out)
{
    size_t used = 0;
    size = strnlen(plain, size);
    for (size_t at = 0; at < size;) {
        size_t length = 0;
        while (at + length < size && plain[at + length] != '/')
            length++;
        bool is_dots = length == 2 && memcmp(plain + at, "..", 2) == 0;
        if (is_dots || used + length + 1 > PATH_SIZE_MAX)
            return -EBADMSG;
        if (length > 0 && !(length == 1 && plain[at] == '.')) {
            out[used++] = '/';
            memcpy(out + used, plain + at, length);
            used += length;
        }
        at += length + 1;
    }
    if (used == 0)
        out[used++] = '/';
    out[used] = 0;
    return 0;
}

/* ---- pax records ---------------------------------------------------------------------------- */

struct record {
    const char *key, *value; /* lent; the key is not terminated */
    size_t key_size, value_size;
};

/* The record at *AT: 1, 0 at the end, -EBADMSG. "LENGTH KEY=VALUE\n". */
static int next_record(const char **at, const char *end, struct record *out)
{
    const char *start = *at, *text = start;
    size_t length = 0;
    if (start == end)
        return 0;
    while (text < end && *text >= '0' && *text <= '9' && length <= EXTRA_SIZE_MAX)
        length = length * 10 + (size_t)(*text++ - '0');
    if (text == start || text == end || *text != ' ' || length > (size_t)(end - start) ||
        length < (size_t)(text - start) + 3 || start[length - 1] != '\n')
        return -EBADMSG;
    const char *last = start + length - 1;
    out->key = ++text;
    const char *equals = memchr(text, '=', (size_t)(last - text));
    if (!equals)
        return -EBADMSG;
    out->key_size = (size_t)(equals - text);
    out->value = equals + 1;
    out->value_size = (size_t)(last - out->value);
    *at = start + length;
    return 1;
}

static bool has_key(const struct record *record, const char *key)
{
    return record->key_size == strlen(key) && memcmp(record->key, key, record->key_size) == 0;
}

/* "SECONDS.PARTS", parts down to nanoseconds; before 1970 is no time of ours. */
static bool get_time(const struct record *record, i64 *out)
{
    u64 seconds = 0, ns = 0, unit = NS_PER_S;
    bool has_point = false;
    for (size_t i = 0; i < record->value_size; i++) {
        char c = record->value[i];
        if (c == '.' && !has_point) {
            has_point = true;
        } else if (c < '0' || c > '9' || seconds > (u64)INT32_MAX * 16) {
            return false;
        } else if (has_point) {
            unit /= 10;
            ns += unit * (u64)(c - '0');
        } else {
            seconds = seconds * 10 + (u64)(c - '0');
        }
    }
    *out = (i64)(seconds * NS_PER_S + ns);
    return record->value_size > 0;
}

static int judge_pax(struct untar *untar)
{
    const char *at = (const char *)buf_bytes(&untar->pax), *end = at + untar->pax.size;
    struct record record;
    int more;
    while ((more = next_record(&at, end, &record)) == 1) {
        if (has_key(&record, "SCHILY.xattr.trusted.overlay.opaque"))
            untar->entry->is_opaque = record.value_size == 1 && record.value[0] == 'y';
        else if (has_key(&record, "mtime"))
            untar->has_time = get_time(&record, &untar->time_ns);
    }
    return more;
}

/* All attributes of the pax header but the one that an overlay answers for. */
SLEEPS static int set_xattrs(struct untar *untar, struct inode *inode)
{
    static const char prefix[] = "SCHILY.xattr.";
    const char *at = (const char *)buf_bytes(&untar->pax), *end = at + untar->pax.size;
    struct record record;
    char name[256];
    int err = 0;
    while (!err && next_record(&at, end, &record) == 1) {
        size_t size = record.key_size - MIN(record.key_size, sizeof prefix - 1);
        if (size == 0 || memcmp(record.key, prefix, sizeof prefix - 1) != 0 ||
            has_key(&record, "SCHILY.xattr.trusted.overlay.opaque"))
            continue;
        if (size >= sizeof name || !inode->ops->setxattr)
            return size >= sizeof name ? -EBADMSG : -EOPNOTSUPP;
        memcpy(name, record.key + sizeof prefix - 1, size);
        name[size] = 0;
        err = inode->ops->setxattr(untar->by, inode, name, record.value, record.value_size, 0);
    }
    return err;
}

/* What an entry of type L, K or x says of the next one. */
SLEEPS static int read_extra(struct untar *untar, char type, u64 offset, u64 size)
{
    struct entry *entry = untar->entry;
    if (size > (type == 'x' ? EXTRA_SIZE_MAX : PIECE_SIZE))
        return -EBADMSG;
    if (type == 'x') {
        buf_clear(&untar->pax);
        u8 *room;
        int failed = buf_reserve(&untar->pax, size, &room);
        if (!failed)
            failed = get_bytes(untar, offset, room, size);
        if (failed)
            return failed;
        buf_grow(&untar->pax, size);
        return judge_pax(untar);
    }
    int err = get_bytes(untar, offset, untar->piece, size);
    if (err)
        return err;
    const char *text = (const char *)untar->piece;
    if (type == 'L') {
        untar->has_path = true;
        return judge_path(text, size, entry->path);
    }
    size = strnlen(text, size);
    if (size > PATH_SIZE_MAX)
        return -EBADMSG;
    memcpy(entry->link, text, size);
    entry->link[size] = 0;
    untar->has_link = true;
    return 0;
}

static bool has_checksum(const u8 *header)
{
    u64 want;
    u32 sum = 0;
    for (u32 i = 0; i < BLOCK; i++)
        sum += i >= 148 && i < 156 ? ' ' : header[i];
    return get_number(header + 148, 8, &want) && want == sum;
}

static int read_header(struct untar *untar, const u8 *header)
{
    struct entry *entry = untar->entry;
    u64 mode, uid, gid, mtime, major = 0, minor = 0;
    if (!has_checksum(header) || !get_number(header + 100, 8, &mode) ||
        !get_number(header + 108, 8, &uid) || !get_number(header + 116, 8, &gid) ||
        !get_number(header + 124, 12, &entry->size) || !get_number(header + 136, 12, &mtime))
        return -EBADMSG;
    entry->type = header[156] ? (char)header[156] : '0';
    bool is_device = entry->type == '3' || entry->type == '4';
    if (is_device && (!get_number(header + 329, 8, &major) || !get_number(header + 337, 8, &minor)))
        return -EBADMSG;
    entry->mode = (u32)mode & 07777;
    entry->uid = (u32)uid;
    entry->gid = (u32)gid;
    entry->mtime_ns = (i64)(MIN(mtime, (u64)INT64_MAX / NS_PER_S) * NS_PER_S);
    if (untar->has_time)
        entry->mtime_ns = untar->time_ns;
    entry->rdev = (u32)((minor & 0xff) | (major & 0xfff) << 8 | (minor & 0xfff00) << 12);
    if (!untar->has_link) {
        memcpy(entry->link, header + 157, 100);
        entry->link[100] = 0;
    }
    if (untar->has_path)
        return 0;
    char plain[256];
    size_t prefix = memcmp(header + 257, "ustar", 6) == 0 ? strnlen((const char *)header + 345, 155)
                                                          : 0;
    memcpy(plain, header + 345, prefix);
    plain[prefix] = '/';
    memcpy(plain + prefix + 1, header, 100);
    return judge_path(plain, prefix + 1 + strnlen((const char *)header, 100), entry->path);
}

/* ---- making --------------------------------------------------------------------------------- */

static bool is_zero(const u8 *bytes, u64 size)
{
    return size > 0 && bytes[0] == 0 && memcmp(bytes, bytes + 1, size - 1) == 0;
}

/* Pieces of zeros stay holes. */
SLEEPS static int make_content(struct untar *untar, struct file *file, u64 offset)
{
    u64 size = untar->entry->size;
    for (u64 at = 0; at < size;) {
        u64 step = MIN(size - at, PIECE_SIZE);
        int err = get_bytes(untar, offset + at, untar->piece, step);
        if (err)
            return err;
        if (!is_zero(untar->piece, step)) {
            i64 moved = file_seek(untar->by, file, (i64)at, 0);
            if (moved >= 0)
                moved = file_write_kernel(untar->by, file, untar->piece, step);
            if (moved < 0)
                return (int)moved;
        }
        at += step;
    }
    return file_truncate(untar->by, file, size);
}

SLEEPS static int make_file(struct untar *untar, u64 offset)
{
    AUTO_PUT struct file *file = NULL;
    int err = vfs_open(untar->by, NULL, untar->entry->path,
                       LINUX_O_CREAT | LINUX_O_EXCL | LINUX_O_WRONLY | LINUX_O_NOFOLLOW, 0600, 0,
                       &file);
    return err ? err : make_content(untar, file, offset);
}

SLEEPS static int make_link(struct untar *untar)
{
    char target[PATH_SIZE_MAX + 1];
    AUTO_PATH struct path old = {0};
    int err = judge_path(untar->entry->link, PATH_SIZE_MAX, target);
    if (!err)
        err = path_walk(untar->by, NULL, target, 0, &old);
    return err ? err : vfs_link(untar->by, &old, NULL, untar->entry->path);
}

SLEEPS static int make_folder(struct untar *untar)
{
    const struct entry *entry = untar->entry;
    int err = strcmp(entry->path, "/") == 0 ? 0 : vfs_mkdir(untar->by, NULL, entry->path, 0700);
    if (err == -EEXIST)
        err = 0;
    if (err || !entry->is_opaque)
        return err;
    AUTO_PATH struct path path = {0};
    err = path_walk(untar->by, NULL, entry->path, WALK_DIRECTORY, &path);
    return err ? err : overlay_set_opaque(untar->by, path.dentry);
}

SLEEPS static int set_attributes(struct untar *untar, bool is_last)
{
    const struct entry *entry = untar->entry;
    AUTO_PATH struct path path = {0};
    int err = path_walk(untar->by, NULL, entry->path, 0, &path);
    if (err)
        return err;
    if (!is_last && (err = set_xattrs(untar, path.dentry->inode)) != 0)
        return err;
    struct attr attr = {.mask = ATTR_MTIME, .mtime_ns = entry->mtime_ns};
    if (!is_last) {
        attr.mask |= ATTR_UID | ATTR_GID | (entry->type == '2' ? 0 : ATTR_MODE);
        attr.uid = entry->uid;
        attr.gid = entry->gid;
        attr.mode = (path.dentry->inode->mode & LINUX_S_IFMT) | entry->mode;
    }
    return vfs_setattr(untar->by, &path, &attr);
}

SLEEPS static int make_entry(struct untar *untar, u64 offset)
{
    const struct entry *entry = untar->entry;
    int err;
    switch (entry->type) {
    case '0':
        err = make_file(untar, offset);
        break;
    case '1':
        return make_link(untar);
    case '2':
        err = vfs_symlink(untar->by, entry->link, NULL, entry->path);
        break;
    case '3':
        err = vfs_mknod(untar->by, NULL, entry->path, LINUX_S_IFCHR | 0600, entry->rdev);
        break;
    case '4':
        err = vfs_mknod(untar->by, NULL, entry->path, LINUX_S_IFBLK | 0600, entry->rdev);
        break;
    case '5':
        err = make_folder(untar);
        break;
    case '6':
        err = vfs_mknod(untar->by, NULL, entry->path, LINUX_S_IFIFO | 0600, 0);
        break;
    default:
        return -EBADMSG;
    }
    return err ? err : set_attributes(untar, false);
}

/* ---- the whole ------------------------------------------------------------------------------ */

static void forget_extras(struct untar *untar)
{
    untar->has_path = untar->has_link = untar->has_time = untar->entry->is_opaque = false;
    buf_clear(&untar->pax);
}

/* The entry at untar->at, and past it. 1 at the archive's end. */
SLEEPS static int next_entry(struct untar *untar, bool is_last)
{
    u8 header[BLOCK];
    static const u8 zeros[BLOCK];
    if (untar->at == untar->end)
        return 1;
    int err = get_bytes(untar, untar->at, header, BLOCK);
    if (err || memcmp(header, zeros, BLOCK) == 0)
        return err ? err : 1;
    err = read_header(untar, header);
    u64 offset = untar->at + BLOCK, size = untar->entry->size;
    if (err || size > untar->end - offset || ALIGN_UP(size, (u64)BLOCK) > untar->end - offset)
        return err ? err : -EBADMSG;
    untar->at = offset + ALIGN_UP(size, (u64)BLOCK);
    char type = untar->entry->type;
    if (type == 'g')
        return 0;
    if (type == 'L' || type == 'K' || type == 'x')
        return read_extra(untar, type, offset, size);
    if (!is_last)
        err = make_entry(untar, offset);
    else if (type == '5')
        err = set_attributes(untar, true);
    forget_extras(untar);
    return err;
}

SLEEPS static int read_all(struct untar *untar, u64 start)
{
    for (u32 pass = 0; pass < 2; pass++) {
        int err = 0;
        untar->at = start;
        forget_extras(untar);
        while (err == 0)
            err = untar->by->fiber.is_interrupted ? -EINTR : next_entry(untar, pass == 1);
        if (err < 0)
            return err;
    }
    return 0;
}

int tar_read(struct task *by, struct host_file *file, u64 start, u64 end, struct super *super)
{
    struct arena *arena = by->kernel->arena;
    struct untar untar = {.by = by, .file = file, .end = end};
    AUTO_PUT struct mount_ns *ns = NULL;
    AUTO_PUT struct fs_context *fs = NULL;
    struct view view;
    if (start > end)
        return -EBADMSG;
    buf_init(&untar.pax, arena, EXTRA_SIZE_MAX);
    untar.piece = arena_alloc(arena, PIECE_SIZE);
    untar.entry = arena_alloc(arena, sizeof *untar.entry);
    int err = untar.piece && untar.entry ? mount_ns_create(by->kernel, super, 0, &ns) : -ENOMEM;
    if (!err)
        err = view_root(by->kernel, ns, &fs);
    if (!err) {
        view_enter(&view, by, fs, NULL, NULL);
        err = read_all(&untar, start);
        view_leave(&view);
    }
    buf_fini(&untar.pax);
    arena_free(arena, untar.piece, PIECE_SIZE);
    arena_free(arena, untar.entry, sizeof *untar.entry);
    return err;
}

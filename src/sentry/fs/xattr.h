/* SPDX-License-Identifier: Apache-2.0 */
/* Extended attributes in memory (xattr(7)), for file systems that have nothing behind them. */
#pragma once
#include "base/fields.h"
#include "base/list.h"
#include "base/object.h"

struct xattr {
    struct object object;
    struct list link;
    char *name;
    u8 *value;
    u64 size;
};
extern const struct kind xattr_kind;

/* Embedded in an inode; zeroed is empty. Saved with FIELD_STRUCT(struct x, xattrs,
 * xattr_list_fields). */
struct xattr_list {
    struct list list; /* struct xattr.link, owned */
    u64 bytes;        /* names and values */
};
extern const struct field xattr_list_fields[];

#define XATTR_BYTES_MAX ((u64)256 << 10) /* of one inode; more: -ENOSPC */

void xattr_list_fini(struct xattr_list *list);
/* The value, cut never: its size, -ERANGE when OUT is too small (SIZE 0: only the size), -ENODATA.
 */
MUST_CHECK i64 xattr_list_get(const struct xattr_list *list, const char *name, void *out,
                              size_t size);
/* FLAGS: XATTR_CREATE, XATTR_REPLACE. */
MUST_CHECK int xattr_list_set(struct xattr_list *list, struct arena *arena, const char *name,
                              const void *value, size_t size, int flags);
MUST_CHECK int xattr_list_remove(struct xattr_list *list, const char *name);
/* Names with terminators, in order of creation: their size. */
MUST_CHECK i64 xattr_list_names(const struct xattr_list *list, char *out, size_t size);

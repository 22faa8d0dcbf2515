/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What a directory's last listing said of its entries: a walk through a tree (find, tar) then needs
 * one call a directory and not one a file. Bounded; dropped at the first change in the directory.
 */
#include <errno.h>
#include <string.h>

#include "base/hash.h"
#include "base/map.h"
#include "sentry/fs/gofer/gofer.h"

#define HINTS_MAX 4096u

struct hint {
    struct hint *next; /* of the same hash */
    struct host_stat stat;
    char name[]; /* with terminator */
};

struct gofer_hints {
    struct map by_hash;
    u32 count;
    bool is_complete;
};

static u64 name_hash(const char *name)
{
    return hash_text(name, 0);
}

static struct hint *find(const struct gofer_hints *hints, const char *name)
{
    for (struct hint *hint = map_find(&hints->by_hash, name_hash(name)); hint; hint = hint->next)
        if (strcmp(hint->name, name) == 0)
            return hint;
    return NULL;
}

int gofer_hints_add(struct gofer_inode *dir, const char *name, const struct host_stat *stat)
{
    struct arena *arena = dir->inode.object.arena;
    if (!dir->hints) {
        dir->hints = arena_alloc(arena, sizeof *dir->hints);
        if (!dir->hints)
            return -ENOMEM;
        map_init(&dir->hints->by_hash, arena);
    }
    struct gofer_hints *hints = dir->hints;
    struct hint *known = find(hints, name);
    if (known) {
        known->stat = *stat;
        return 0;
    }
    if (hints->count >= HINTS_MAX)
        return -ENOMEM;
    size_t name_size = strlen(name) + 1;
    struct hint *hint = arena_alloc(arena, sizeof *hint + name_size);
    if (!hint)
        return -ENOMEM;
    hint->stat = *stat;
    memcpy(hint->name, name, name_size);
    u64 hash = name_hash(name);
    struct hint *same = map_find(&hints->by_hash, hash);
    if (same) {
        hint->next = same->next;
        same->next = hint;
    } else if (map_add(&hints->by_hash, hash, hint)) {
        arena_free(arena, hint, sizeof *hint + name_size);
        return -ENOMEM;
    }
    hints->count++;
    return 0;
}

void gofer_hints_complete(struct gofer_inode *dir)
{
    if (dir->hints)
        dir->hints->is_complete = true;
}

int gofer_hints_find(struct gofer_inode *dir, const char *name, struct host_stat *stat)
{
    if (!dir->hints)
        return -1;
    const struct hint *hint = find(dir->hints, name);
    if (hint) {
        *stat = hint->stat;
        return 1;
    }
    return dir->hints->is_complete ? 0 : -1;
}

void gofer_hints_drop(struct gofer_inode *dir)
{
    struct gofer_hints *hints = dir->hints;
    struct arena *arena = dir->inode.object.arena;
    if (!hints)
        return;
    struct hint *hint;
    map_for_each (&hints->by_hash, key, hint) {
        while (hint) {
            struct hint *next = hint->next;
            arena_free(arena, hint, sizeof *hint + strlen(hint->name) + 1);
            hint = next;
        }
    }
    map_fini(&hints->by_hash);
    arena_free(arena, hints, sizeof *hints);
    dir->hints = NULL;
}

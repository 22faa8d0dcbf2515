/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What a directory's last listing said of its entries: a walk through a tree (find, tar) then needs
 * one call a directory and not one a file. Bounded; dropped at the first change in the directory.
 * And which names there are at all, asked for when programs look for several that are not there (a
 * compiler's search for headers, a shell's for programs).
 */
#include <errno.h>
#include <string.h>

#include "base/hash.h"
#include "base/map.h"
#include "sentry/fs/gofer/call.h"

#define HINTS_MAX 4096u
/* A directory's names are asked for after so many misses, after twice as many the next time; what
 * does not fit one answer is not asked for again. */
#define NAMES_AFTER 2u
#define NAMES_ASKED_MAX 16u

struct hint {
    struct hint *next; /* of the same hash */
    struct host_stat stat;
    char name[]; /* with terminator */
};

struct gofer_hints {
    struct map by_hash;
    u32 count;
    bool is_complete;
    struct map names; /* hashes of all names there are, if has_names */
    bool has_names;
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

MUST_CHECK static int hints_get(struct gofer_inode *dir)
{
    struct arena *arena = dir->inode.object.arena;
    if (dir->hints)
        return 0;
    dir->hints = arena_alloc(arena, sizeof *dir->hints);
    if (!dir->hints)
        return -ENOMEM;
    map_init(&dir->hints->by_hash, arena);
    map_init(&dir->hints->names, arena);
    return 0;
}

int gofer_hints_add(struct gofer_inode *dir, const char *name, const struct host_stat *stat)
{
    struct arena *arena = dir->inode.object.arena;
    int err = hints_get(dir);
    if (err)
        return err;
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
    if (dir->hints->is_complete)
        return 0;
    return dir->hints->has_names && !map_find(&dir->hints->names, name_hash(name)) ? 0 : -1;
}

/* All names of REPLY; true if that are all there are and memory was left. */
static bool take_names(struct gofer_inode *dir, const struct gofer_read_dir_reply *reply)
{
    size_t at = 0;
    struct gofer_entry entry;
    if (!reply->is_end || hints_get(dir))
        return false;
    struct map *names = &dir->hints->names;
    while (gofer_entry_next(reply, &at, &entry))
        if (map_add(names, name_hash(entry.name), dir->hints) == -ENOMEM)
            return false; /* some are told, nothing is concluded: has_names stays false */
    return true;
}

SLEEPS void gofer_hints_missed(struct gofer_inode *dir, struct fiber *fiber)
{
    if (++dir->miss_count < NAMES_AFTER << dir->names_asked || dir->names_asked >= NAMES_ASKED_MAX)
        return;
    struct gofer_read_dir message = {
        .size_max = GOFER_MESSAGE_MAX, .flags = GOFER_LIST_NAMES, .name = ""};
    struct gofer_read_dir_reply reply;
    struct gofer_call call;
    dir->miss_count = 0;
    dir->names_asked++;
    if (gofer_inode_fid(dir, fiber, &message.fid))
        return;
    int err = gofer_do_read_dir(dir->conn, fiber, &message, &reply, &call);
    if (!err && take_names(dir, &reply))
        dir->hints->has_names = true;
    else
        dir->names_asked = NAMES_ASKED_MAX;
    gofer_call_fini(dir->conn, &call);
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
    map_fini(&hints->names);
    arena_free(arena, hints, sizeof *hints);
    dir->hints = NULL;
}

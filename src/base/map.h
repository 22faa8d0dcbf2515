/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Ordered map from u64 to a pointer: a balanced tree whose order is the key's, so that walking it
 * is deterministic. Used for page caches, descriptor-like tables, futex keys, pid tables.
 */
#pragma once
#include "base/arena.h"
#include "base/base.h"

struct map_node;
struct map {
    struct map_node *root;
    size_t count;
    struct arena *arena;
};

void map_init(struct map *map, struct arena *arena);
/* Frees the nodes, not what they point to. */
void map_fini(struct map *map);
/* 0, -EEXIST or -ENOMEM. VALUE is not NULL. */
MUST_CHECK int map_add(struct map *map, u64 key, void *value);
/* Returns the value removed, or NULL. Never fails for want of memory. */
void *map_remove(struct map *map, u64 key);
void *map_find(const struct map *map, u64 key);
/* The entry with the smallest key >= KEY (largest <= KEY): value, and its key in *FOUND; or NULL.
 */
void *map_ceiling(const struct map *map, u64 key, u64 *found);
void *map_floor(const struct map *map, u64 key, u64 *found);
/* Replace the value of an existing key; NULL if there is none. Returns the old value. */
void *map_replace(struct map *map, u64 key, void *value);

/* for each in key order; the map must not change in the body except by removing KEY itself */
#define map_for_each(map, key, value)                                     \
    for (u64 key = 0, map_again_ = 1;                                     \
         map_again_ && ((value) = map_ceiling((map), key, &key)) != NULL; \
         map_again_ = (key != UINT64_MAX), key++)

/* Red-black tree with the node inside the member, for callers that cannot allocate. */
struct tree_node {
    struct tree_node *parent, *left, *right;
    u64 key;
    bool is_red;
};
struct tree {
    struct tree_node *root;
};
/* Equal keys are allowed: a new one goes after the old ones. */
void tree_insert(struct tree *tree, struct tree_node *node);
void tree_remove(struct tree *tree, struct tree_node *node);
struct tree_node *tree_first(const struct tree *tree);
struct tree_node *tree_last(const struct tree *tree);
struct tree_node *tree_next(const struct tree_node *node);
struct tree_node *tree_prev(const struct tree_node *node);
struct tree_node *tree_floor(const struct tree *tree, u64 key);   /* last with key <= KEY */
struct tree_node *tree_ceiling(const struct tree *tree, u64 key); /* first with key >= KEY */
static inline bool tree_is_linked(const struct tree *tree, const struct tree_node *node)
{
    return node->parent != NULL || tree->root == node;
}

/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The ordered map: nodes from the arena, each a tree_node and a value. Only map_add allocates, so
 * removing never fails.
 */
#include "base/map.h"

#include <errno.h>

struct map_node {
    struct tree_node node; /* first: a tree_node is its map_node */
    void *value;
};

void map_init(struct map *map, struct arena *arena)
{
    *map = (struct map){.arena = arena};
}

static struct tree map_tree(const struct map *map)
{
    return (struct tree){.root = map->root ? &map->root->node : NULL};
}

static struct map_node *map_node_of(struct tree_node *node)
{
    return node ? container_of(node, struct map_node, node) : NULL;
}

void map_fini(struct map *map)
{
    /* Downward along left links, freeing leaves: no stack, no rebalancing. */
    struct tree_node *node = map_tree(map).root;
    while (node) {
        struct tree_node *next = node->left ? node->left : node->right;
        if (!next) {
            next = node->parent;
            if (next && next->left == node)
                next->left = NULL;
            else if (next)
                next->right = NULL;
            arena_free(map->arena, map_node_of(node), sizeof(struct map_node));
        }
        node = next;
    }
    map->root = NULL;
    map->count = 0;
}

static struct map_node *map_find_node(const struct map *map, u64 key)
{
    struct tree_node *node = map_tree(map).root;
    while (node && node->key != key)
        node = key < node->key ? node->left : node->right;
    return map_node_of(node);
}

int map_add(struct map *map, u64 key, void *value)
{
    ASSERT(value != NULL);
    if (map_find_node(map, key))
        return -EEXIST;
    struct map_node *node = arena_alloc(map->arena, sizeof *node);
    if (!node)
        return -ENOMEM;
    node->node.key = key;
    node->value = value;
    struct tree tree = map_tree(map);
    tree_insert(&tree, &node->node);
    map->root = map_node_of(tree.root);
    map->count++;
    return 0;
}

void *map_remove(struct map *map, u64 key)
{
    struct map_node *node = map_find_node(map, key);
    if (!node)
        return NULL;
    void *value = node->value;
    struct tree tree = map_tree(map);
    tree_remove(&tree, &node->node);
    map->root = map_node_of(tree.root);
    ASSERT(map->count > 0);
    map->count--;
    arena_free(map->arena, node, sizeof *node);
    return value;
}

void *map_find(const struct map *map, u64 key)
{
    struct map_node *node = map_find_node(map, key);
    return node ? node->value : NULL;
}

static void *map_found(struct tree_node *node, u64 *found)
{
    if (!node)
        return NULL;
    if (found)
        *found = node->key;
    return map_node_of(node)->value;
}

void *map_ceiling(const struct map *map, u64 key, u64 *found)
{
    struct tree tree = map_tree(map);
    return map_found(tree_ceiling(&tree, key), found);
}

void *map_floor(const struct map *map, u64 key, u64 *found)
{
    struct tree tree = map_tree(map);
    return map_found(tree_floor(&tree, key), found);
}

void *map_replace(struct map *map, u64 key, void *value)
{
    ASSERT(value != NULL);
    struct map_node *node = map_find_node(map, key);
    if (!node)
        return NULL;
    void *old = node->value;
    node->value = value;
    return old;
}

/* SPDX-License-Identifier: Apache-2.0 */
/* Maps and trees against a sorted array, and the laws of red-black trees after every change. */
#include "base/map.h"

#include "base/arena_plain.h"
#include "base/rand.h"

#include <CUnit/CUnit.h>
#include <errno.h>
#include <stdlib.h>

#define KEYS 200

/* The number of black nodes on each way down, or -1 where a law is broken. */
static int black_height(const struct tree_node *node)
{
    if (!node)
        return 0;
    const struct tree_node *left = node->left, *right = node->right;
    if ((left && left->parent != node) || (right && right->parent != node))
        return -1;
    if (node->is_red && ((left && left->is_red) || (right && right->is_red)))
        return -1;
    if ((left && left->key > node->key) || (right && right->key < node->key))
        return -1;
    int a = black_height(left), b = black_height(right);
    if (a < 0 || a != b)
        return -1;
    return a + !node->is_red;
}

static void map_check(const struct map *map, const bool *model)
{
    size_t count = 0;
    u64 expected = 0;
    void *value;
    map_for_each (map, key, value) {
        while (expected < KEYS && !model[expected])
            expected++;
        CU_ASSERT_EQUAL_FATAL(key, expected);
        CU_ASSERT_EQUAL((uintptr_t)value, key + 1);
        expected++;
        count++;
    }
    CU_ASSERT_EQUAL_FATAL(count, map->count);
    struct tree_node *root = (struct tree_node *)(void *)map->root;
    CU_ASSERT_TRUE_FATAL(!root || (!root->is_red && black_height(root) >= 0));
}

static void find_neighbours(const struct map *map, const bool *model, u64 key)
{
    u64 up = key, down = key + 1, found = 0;
    while (up < KEYS && !model[up])
        up++;
    while (down > 0 && (down > KEYS || !model[down - 1]))
        down--;
    void *value = map_ceiling(map, key, &found);
    CU_ASSERT_EQUAL(value != NULL, up < KEYS);
    if (value)
        CU_ASSERT_EQUAL(found, up);
    value = map_floor(map, key, &found);
    CU_ASSERT_EQUAL(value != NULL, down > 0);
    if (value)
        CU_ASSERT_EQUAL(found, down - 1);
}

static void a_map_agrees_with_an_array(void)
{
    struct arena *arena = arena_plain_create();
    struct map map;
    map_init(&map, arena);
    bool model[KEYS] = {false};
    struct rand rand;
    rand_init(&rand, 2, "map");
    for (int step = 0; step < 5000; step++) {
        u64 key = rand_below(&rand, KEYS);
        /* Phases of growth and of shrinking. */
        if (rand_below(&rand, 100) < (step / 500 % 2 ? 30u : 70u)) {
            int err = map_add(&map, key, (void *)(uintptr_t)(key + 1));
            CU_ASSERT_EQUAL(err, model[key] ? -EEXIST : 0);
            model[key] = true;
        } else {
            void *value = map_remove(&map, key);
            CU_ASSERT_EQUAL((uintptr_t)value, model[key] ? key + 1 : 0);
            model[key] = false;
        }
        find_neighbours(&map, model, rand_below(&rand, KEYS));
        if (step % 16 == 0)
            map_check(&map, model);
    }
    map_check(&map, model);
    map_fini(&map);
    CU_ASSERT_EQUAL(arena->bytes_live, 0);
    arena_plain_destroy(arena);
}

static void a_map_takes_the_ends_of_the_range(void)
{
    struct arena *arena = arena_plain_create();
    struct map map;
    map_init(&map, arena);
    int a, b;
    CU_ASSERT_EQUAL(map_add(&map, 0, &a), 0);
    CU_ASSERT_EQUAL(map_add(&map, UINT64_MAX, &b), 0);
    u64 sum = 0;
    void *value;
    map_for_each (&map, key, value)
        sum += key;
    CU_ASSERT_EQUAL(sum, UINT64_MAX);
    CU_ASSERT_PTR_EQUAL(map_replace(&map, 0, &b), &a);
    CU_ASSERT_PTR_EQUAL(map_find(&map, 0), &b);
    CU_ASSERT_PTR_NULL(map_replace(&map, 1, &b));
    arena_plain_fail(arena, 1, false);
    CU_ASSERT_EQUAL(map_add(&map, 5, &a), -ENOMEM);
    CU_ASSERT_EQUAL(map.count, 2);
    map_for_each (&map, key, value) /* removing the key itself is allowed */
        CU_ASSERT_PTR_EQUAL(map_remove(&map, key), &b);
    CU_ASSERT_EQUAL(map.count, 0);
    map_fini(&map);
    arena_plain_destroy(arena);
}

struct item {
    struct tree_node node;
    u32 order;
    bool is_in;
};

static void equal_keys_of_a_tree_keep_their_order(void)
{
    enum { COUNT = 300 };
    struct tree tree = {NULL};
    struct item *items = calloc(COUNT, sizeof *items);
    struct rand rand;
    rand_init(&rand, 3, "tree");
    u32 order = 0, in = 0;
    for (int step = 0; step < 6000; step++) {
        struct item *item = &items[rand_below(&rand, COUNT)];
        CU_ASSERT_EQUAL(tree_is_linked(&tree, &item->node), item->is_in);
        if (item->is_in) {
            tree_remove(&tree, &item->node);
            in--;
        } else {
            item->node.key = rand_below(&rand, 20);
            item->order = order++;
            tree_insert(&tree, &item->node);
            in++;
        }
        item->is_in = !item->is_in;
        if (step % 8)
            continue;
        CU_ASSERT_TRUE_FATAL(black_height(tree.root) >= 0);
        u32 count = 0;
        struct tree_node *last = NULL;
        for (struct tree_node *node = tree_first(&tree); node; node = tree_next(node)) {
            CU_ASSERT_PTR_EQUAL(tree_prev(node), last);
            if (last && last->key == node->key)
                CU_ASSERT_TRUE(container_of(last, struct item, node)->order <
                               container_of(node, struct item, node)->order);
            last = node;
            count++;
        }
        CU_ASSERT_EQUAL_FATAL(count, in);
        CU_ASSERT_PTR_EQUAL(tree_last(&tree), last);
        struct tree_node *floor = tree_floor(&tree, 10);
        struct tree_node *ceiling = tree_ceiling(&tree, 10);
        CU_ASSERT_TRUE(!floor ||
                       (floor->key <= 10 && (!tree_next(floor) || tree_next(floor)->key > 10)));
        CU_ASSERT_TRUE(!ceiling || (ceiling->key >= 10 &&
                                    (!tree_prev(ceiling) || tree_prev(ceiling)->key < 10)));
    }
    free(items);
}

void map_suite(void)
{
    CU_pSuite suite = CU_add_suite("base/map and tree", NULL, NULL);
#define ADD(test) CU_add_test(suite, #test, test)
    ADD(a_map_agrees_with_an_array);
    ADD(a_map_takes_the_ends_of_the_range);
    ADD(equal_keys_of_a_tree_keep_their_order);
#undef ADD
}

/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A red-black tree with parent links (Cormen et al., "Introduction to Algorithms", chapter 13), its
 * nodes inside the members. A missing child counts as black; removal therefore carries the parent
 * along instead of a sentinel.
 */
#include "base/map.h"

static bool is_red(const struct tree_node *node)
{
    return node && node->is_red;
}

/* Where the tree points to NODE, a child of PARENT or the root. */
static struct tree_node **slot_of(struct tree *tree, struct tree_node *parent,
                                  const struct tree_node *node)
{
    if (!parent)
        return &tree->root;
    return parent->left == node ? &parent->left : &parent->right;
}

static void rotate_left(struct tree *tree, struct tree_node *node)
{
    struct tree_node *up = node->right;
    *slot_of(tree, node->parent, node) = up;
    up->parent = node->parent;
    node->right = up->left;
    if (node->right)
        node->right->parent = node;
    up->left = node;
    node->parent = up;
}

static void rotate_right(struct tree *tree, struct tree_node *node)
{
    struct tree_node *up = node->left;
    *slot_of(tree, node->parent, node) = up;
    up->parent = node->parent;
    node->left = up->right;
    if (node->left)
        node->left->parent = node;
    up->right = node;
    node->parent = up;
}

/* Rotate NODE down to its left (or right), by a flag, so that mirrored cases are written once. */
static void rotate(struct tree *tree, struct tree_node *node, bool to_left)
{
    if (to_left)
        rotate_left(tree, node);
    else
        rotate_right(tree, node);
}

void tree_insert(struct tree *tree, struct tree_node *node)
{
    struct tree_node *parent = NULL;
    struct tree_node **slot = &tree->root;
    while (*slot) {
        parent = *slot;
        slot = node->key < parent->key ? &parent->left : &parent->right;
    }
    *slot = node;
    node->parent = parent;
    node->left = node->right = NULL;
    node->is_red = true;

    while (is_red(node->parent)) {
        parent = node->parent;
        struct tree_node *grand = parent->parent; /* exists: the root is black */
        bool is_left = grand->left == parent;
        struct tree_node *uncle = is_left ? grand->right : grand->left;
        if (is_red(uncle)) {
            parent->is_red = uncle->is_red = false;
            grand->is_red = true;
            node = grand;
            continue;
        }
        if (node == (is_left ? parent->right : parent->left)) {
            rotate(tree, parent, is_left);
            node = parent;
            parent = node->parent;
        }
        parent->is_red = false;
        grand->is_red = true;
        rotate(tree, grand, !is_left);
    }
    tree->root->is_red = false;
}

/* The side of NODE (may be NULL) below PARENT lacks one black: repair. */
static void remove_fixup(struct tree *tree, struct tree_node *parent, struct tree_node *node)
{
    while (node != tree->root && !is_red(node)) {
        bool is_left = parent->left == node;
        struct tree_node *sibling = is_left ? parent->right : parent->left;
        if (sibling->is_red) {
            sibling->is_red = false;
            parent->is_red = true;
            rotate(tree, parent, is_left);
            sibling = is_left ? parent->right : parent->left;
        }
        if (!is_red(sibling->left) && !is_red(sibling->right)) {
            sibling->is_red = true;
            node = parent;
            parent = node->parent;
            continue;
        }
        if (!is_red(is_left ? sibling->right : sibling->left)) {
            struct tree_node *near = is_left ? sibling->left : sibling->right;
            near->is_red = false;
            sibling->is_red = true;
            rotate(tree, sibling, !is_left);
            sibling = near;
        }
        struct tree_node *far = is_left ? sibling->right : sibling->left;
        sibling->is_red = parent->is_red;
        parent->is_red = false;
        far->is_red = false;
        rotate(tree, parent, is_left);
        node = tree->root;
    }
    if (node)
        node->is_red = false;
}

void tree_remove(struct tree *tree, struct tree_node *node)
{
    ASSERT(tree_is_linked(tree, node));
    struct tree_node *child, *parent;
    bool was_red;
    if (node->left && node->right) {
        /* Its successor takes its place and colour; the gap is where the successor was. */
        struct tree_node *next = node->right;
        while (next->left)
            next = next->left;
        was_red = next->is_red;
        child = next->right;
        parent = next->parent == node ? next : next->parent;
        if (next->parent != node) {
            next->parent->left = child;
            if (child)
                child->parent = next->parent;
            next->right = node->right;
            next->right->parent = next;
        }
        *slot_of(tree, node->parent, node) = next;
        next->parent = node->parent;
        next->left = node->left;
        next->left->parent = next;
        next->is_red = node->is_red;
    } else {
        was_red = node->is_red;
        child = node->left ? node->left : node->right;
        parent = node->parent;
        *slot_of(tree, parent, node) = child;
        if (child)
            child->parent = parent;
    }
    if (!was_red)
        remove_fixup(tree, parent, child);
    node->parent = node->left = node->right = NULL;
}

struct tree_node *tree_first(const struct tree *tree)
{
    struct tree_node *node = tree->root;
    while (node && node->left)
        node = node->left;
    return node;
}

struct tree_node *tree_last(const struct tree *tree)
{
    struct tree_node *node = tree->root;
    while (node && node->right)
        node = node->right;
    return node;
}

struct tree_node *tree_next(const struct tree_node *node)
{
    if (node->right) {
        struct tree_node *next = node->right;
        while (next->left)
            next = next->left;
        return next;
    }
    while (node->parent && node->parent->right == node)
        node = node->parent;
    return node->parent;
}

struct tree_node *tree_prev(const struct tree_node *node)
{
    if (node->left) {
        struct tree_node *prev = node->left;
        while (prev->right)
            prev = prev->right;
        return prev;
    }
    while (node->parent && node->parent->left == node)
        node = node->parent;
    return node->parent;
}

struct tree_node *tree_floor(const struct tree *tree, u64 key)
{
    struct tree_node *best = NULL;
    for (struct tree_node *node = tree->root; node;) {
        if (node->key <= key) {
            best = node;
            node = node->right;
        } else {
            node = node->left;
        }
    }
    return best;
}

struct tree_node *tree_ceiling(const struct tree *tree, u64 key)
{
    struct tree_node *best = NULL;
    for (struct tree_node *node = tree->root; node;) {
        if (node->key >= key) {
            best = node;
            node = node->left;
        } else {
            node = node->right;
        }
    }
    return best;
}

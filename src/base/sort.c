/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Runs of a few elements are sorted by insertion, then neighbours are merged by rotation: SymMerge
 * of Kim and Kutzner, "Stable Minimum Storage Merging by Symmetric Comparisons" (2004).
 */
#include "base/sort.h"

#define RUN_COUNT 16

struct sort {
    u8 *base;
    size_t size;
    int (*compare)(const void *a, const void *b, void *arg);
    void *arg;
};

static void *at(const struct sort *sort, size_t index)
{
    return sort->base + index * sort->size;
}

static bool is_less(const struct sort *sort, size_t a, size_t b)
{
    return sort->compare(at(sort, a), at(sort, b), sort->arg) < 0;
}

static void swap(const struct sort *sort, size_t a, size_t b, size_t count)
{
    u8 *left = at(sort, a);
    u8 *right = at(sort, b);
    for (size_t i = 0; i < count * sort->size; i++) {
        u8 byte = left[i];
        left[i] = right[i];
        right[i] = byte;
    }
}

static void insertion_sort(const struct sort *sort, size_t first, size_t end)
{
    for (size_t i = first + 1; i < end; i++)
        for (size_t j = i; j > first && is_less(sort, j, j - 1); j--)
            swap(sort, j, j - 1, 1);
}

/* Exchange [first, middle) and [middle, end). */
static void rotate(const struct sort *sort, size_t first, size_t middle, size_t end)
{
    size_t left = middle - first;
    size_t right = end - middle;
    while (left != right) {
        if (left > right) {
            swap(sort, middle - left, middle, right);
            left -= right;
        } else {
            swap(sort, middle - left, middle + right - left, left);
            right -= left;
        }
    }
    swap(sort, middle - left, middle, left);
}

/* Merge the sorted [first, middle) and [middle, end); the depth of recursion is log2 of the count.
 */
static void merge(const struct sort *sort, size_t first, size_t middle, size_t end)
{
    if (first >= middle || middle >= end)
        return;
    if (end - first == 2) {
        if (is_less(sort, middle, first))
            swap(sort, first, middle, 1);
        return;
    }
    size_t half = first + (end - first) / 2;
    size_t sum = half + middle;
    size_t start, stop;
    if (middle > half) {
        start = sum - end;
        stop = half;
    } else {
        start = first;
        stop = middle;
    }
    while (start < stop) {
        size_t probe = start + (stop - start) / 2;
        if (is_less(sort, sum - 1 - probe, probe))
            stop = probe;
        else
            start = probe + 1;
    }
    stop = sum - start;
    if (start < middle && middle < stop)
        rotate(sort, start, middle, stop);
    merge(sort, first, start, half);
    merge(sort, half, stop, end);
}

void sort_stable(void *base, size_t count, size_t size,
                 int (*compare)(const void *a, const void *b, void *arg), void *arg)
{
    struct sort sort = {base, size, compare, arg};
    for (size_t first = 0; first < count; first += RUN_COUNT)
        insertion_sort(&sort, first, MIN(first + RUN_COUNT, count));
    for (size_t run = RUN_COUNT; run < count; run *= 2)
        for (size_t first = 0; first + run < count; first += 2 * run)
            merge(&sort, first, first + run, MIN(first + 2 * run, count));
}

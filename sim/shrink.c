/* SPDX-License-Identifier: Apache-2.0 */
/*
 * picket-sim shrink: takes out of a scenario that fails whatever it fails alike without: steps
 * first, then lines of programs, then faults, clients, programs and containers. Alike means: the
 * same text behind the place. The result is an ordinary scenario file.
 */
#include "sim/shrink.h"

#include <getopt.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "platform/platform.h"
#include "sim/outcome.h"
#include "sim/swarm.h"

#define SIGNATURE_SIZE 48u
#define PIECES_MAX 512u
#define ROUNDS_MAX 8u

struct shrinking {
    const char *file;
    struct fy_document *document;
    struct run_config config;
    char signature[512];
    u32 runs, taken;
};

/* The failure's text without the place. */
static const char *reason_of(const struct outcome *outcome)
{
    const char *space = strstr(outcome->message, ": ");
    return space ? space + 2 : outcome->message;
}

static bool fails_alike(struct shrinking *shrinking)
{
    struct sim_error err;
    shrinking->runs++;
    if (scenario_check(shrinking->file, shrinking->document, &err))
        return false;
    struct outcome outcome = outcome_play(shrinking->file, shrinking->document, &shrinking->config);
    bool is_alike = !outcome.has_passed &&
                    strncmp(reason_of(&outcome), shrinking->signature, SIGNATURE_SIZE) == 0;
    outcome_fini(&outcome);
    return is_alike;
}

/* Takes COUNT items of LIST out, from AT on; true if it fails alike without them. Else they are
 * back. */
static bool try_without(struct shrinking *shrinking, struct fy_node *list, int at, int count)
{
    struct fy_node *out[PIECES_MAX];
    for (int i = 0; i < count; i++)
        out[i] = fy_node_sequence_remove(list, fy_node_sequence_get_by_index(list, at));
    bool is_alike = fails_alike(shrinking);
    struct fy_node *before = at ? fy_node_sequence_get_by_index(list, at - 1) : NULL;
    for (int i = count; i-- > 0;) {
        if (is_alike)
            fy_node_free(out[i]);
        else if (before ? fy_node_sequence_insert_after(list, before, out[i])
                        : fy_node_sequence_prepend(list, out[i]))
            abort();
    }
    shrinking->taken += is_alike ? (u32)count : 0;
    return is_alike;
}

static void shrink_list(struct shrinking *shrinking, struct fy_node *list)
{
    int total = fy_node_sequence_item_count(list);
    for (int size = MIN(MAX(total / 2, 1), (int)PIECES_MAX); total > 0; size /= 2) {
        for (int at = 0; at < total;) {
            int count = MIN(size, total - at);
            if (try_without(shrinking, list, at, count))
                total -= count;
            else
                at += count;
        }
        if (size <= 1)
            return;
    }
}

/* Each pair of MAP alone, and what lies in the values that stay. */
static void shrink_map(struct shrinking *shrinking, struct fy_node *map)
{
    for (int at = fy_node_mapping_item_count(map); at-- > 0;) {
        struct fy_node_pair *pair = fy_node_mapping_get_by_index(map, at);
        struct fy_node *key = fy_node_pair_key(pair), *value = fy_node_pair_value(pair);
        char *name = fy_node_get_scalar0(key) ? strdup(fy_node_get_scalar0(key)) : NULL;
        struct fy_node *out = name ? fy_node_mapping_remove_by_key(
                                         map, fy_node_copy(shrinking->document, key))
                                   : NULL;
        bool is_gone = out && fails_alike(shrinking);
        shrinking->taken += is_gone;
        if (out && !is_gone &&
            fy_node_mapping_append(
                map, fy_node_create_scalar_copy(shrinking->document, name, FY_NT), out))
            abort();
        if (!is_gone && fy_node_is_sequence(value))
            shrink_list(shrinking, value);
        free(name);
    }
}

static void shrink_all(struct shrinking *shrinking)
{
    static const char *const parts[] = {"steps",   "programs",   "faults",
                                        "clients", "containers", "finally"};
    struct fy_node *root = fy_document_root(shrinking->document);
    u32 before = UINT32_MAX;
    for (u32 round = 0; round < ROUNDS_MAX && before != shrinking->taken; round++) {
        before = shrinking->taken;
        for (size_t i = 0; i < ARRAY_COUNT(parts); i++) {
            struct fy_node *part = node_get(root, parts[i]);
            if (part && fy_node_is_sequence(part))
                shrink_list(shrinking, part);
            else if (part && fy_node_is_mapping(part))
                shrink_map(shrinking, part);
        }
    }
}

static int usage(void)
{
    fprintf(stderr,
            "usage: picket-sim shrink [--platform NAME] [--seed N | --swarm SEED] [--out FILE] "
            "SCENARIO.yaml\n"
            "Writes the smallest scenario found that fails as SCENARIO does (FILE: shrunk.yaml).\n"
            "--swarm SEED: as it fails under that seed of `picket-sim swarm`.\n"
            "Exit status: 0 it was shrunk, 1 it does not fail, 2 bad usage or scenario.\n");
    return STATUS_BAD;
}

static int shrink(struct shrinking *shrinking, const char *path)
{
    struct outcome outcome = outcome_play(shrinking->file, shrinking->document, &shrinking->config);
    bool has_passed = outcome.has_passed;
    snprintf(shrinking->signature, sizeof shrinking->signature, "%s", reason_of(&outcome));
    outcome_fini(&outcome);
    if (has_passed) {
        printf("%s does not fail\n", shrinking->file);
        return STATUS_FAILED;
    }
    printf("it fails: %s\n", shrinking->signature);
    shrink_all(shrinking);
    if (fy_emit_document_to_file(shrinking->document, FYECF_DEFAULT | FYECF_WIDTH_132, path)) {
        fprintf(stderr, "picket-sim: cannot write %s\n", path);
        return STATUS_BAD;
    }
    printf("%u pieces less after %u runs: %s\n", shrinking->taken, shrinking->runs, path);
    return 0;
}

int shrink_main(int argc, char **argv)
{
    static const struct option longs[] = {{"platform", required_argument, NULL, 'p'},
                                          {"seed", required_argument, NULL, 's'},
                                          {"swarm", required_argument, NULL, 'w'},
                                          {"out", required_argument, NULL, 'o'},
                                          {NULL, 0, NULL, 0}};
    struct shrinking shrinking = {.config = {.platform = "script", .fill_byte = 0x5a}};
    const char *path = "shrunk.yaml", *swarm = NULL;
    for (int c; (c = getopt_long(argc, argv, "", longs, NULL)) != -1;) {
        if (c == '?')
            return usage();
        if (c == 'p')
            shrinking.config.platform = optarg;
        else if (c == 'o')
            path = optarg;
        else if (c == 'w')
            swarm = optarg;
        else
            shrinking.config.seed = strtoull(optarg, NULL, 0);
        shrinking.config.has_seed |= c == 's';
    }
    if (optind + 1 != argc)
        return usage();
    struct sim_error err;
    struct run_counts counts = {0};
    shrinking.file = argv[optind];
    shrinking.document = document_read(shrinking.file);
    if (!shrinking.document || scenario_check(shrinking.file, shrinking.document, &err))
        return STATUS_BAD;
    if (swarm && swarm_count(shrinking.file, shrinking.document, &counts))
        shrinking.config = swarm_draw(strtoull(swarm, NULL, 0), &counts);
    int status = shrink(&shrinking, path);
    fy_document_destroy(shrinking.document);
    return status;
}

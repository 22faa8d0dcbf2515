/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The explorer of control calls. explore_draw.c draws sequences, explore_play.c plays one and holds
 * it against the model, explore.c runs many, shrinks a failure and writes it down as a scenario.
 */
#pragma once
#include "sim/program.h"

#define EXPLORE_IDS 3u /* the containers "a", "b", "c"; the root is "r" */
#define EXPLORE_OPS_MAX 2000u
#define EXPLORE_ARG_SIZE 700u
#define EXPLORE_ROWS_MAX 256u
#define EXPLORE_FILES_MAX 5u

enum op_client { CLIENT_WHOLE, CLIENT_SPLIT, CLIENT_CUT };

struct op {
    const char
        *call; /* of lifecycle.yaml, whose rows say what is wanted; NULL: the model is silent */
    const char *method; /* NULL: ARG is raw bytes */
    char arg[EXPLORE_ARG_SIZE];
    u8 id;          /* whose state it is about; EXPLORE_IDS: nobody's */
    u8 client;      /* enum op_client */
    u16 after;      /* CUT: bytes that are sent */
    u8 file_count;  /* descriptors; the last of a start is a gofer's */
    bool has_gofer; /* is it? */
    bool ends;      /* start: the program ends at once; signal: it kills */
    bool may_wait;  /* no answer is right as long as nothing happens */
    bool is_served;
};

/* A row of rpc.yaml, and one of lifecycle.yaml. Texts are the document's. */
struct explore_method {
    const char *name, *arg;
    bool is_served;
};
struct explore_rule {
    const char *call, *state, *next, *error;
};
struct explore_spec {
    struct explore_method methods[EXPLORE_ROWS_MAX];
    u32 method_count;
    struct explore_rule rules[EXPLORE_ROWS_MAX];
    u32 rule_count;
    struct buf sleeper, gone; /* programs */
};

/* Each op depends on SEED and its own number only. */
void explore_draw(const struct explore_spec *spec, u64 seed, struct op *ops, u32 count);
/*
 * Plays OPS in a sandbox of their own; false: WHY says what is wrong, *AT at which op (COUNT: at
 * the end). After a failure this process is no good any more.
 */
MUST_CHECK bool explore_play(const struct explore_spec *spec, const struct op *ops, u32 count,
                             char *why, size_t why_size, u32 *at);
/* `picket-sim explore ...`; the exit status. */
int explore_main(int argc, char **argv);

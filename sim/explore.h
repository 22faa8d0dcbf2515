/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The explorer of control calls. explore_draw.c draws sequences, explore_play.c plays one and holds
 * it against the models, explore_model.c judges an answer by its method, explore.c runs many,
 * shrinks a failure and writes it down as a scenario.
 */
#pragma once
#include "sim/program.h"

#define EXPLORE_IDS 3u /* the containers "a", "b", "c"; the root is "r" */
#define EXPLORE_OPS_MAX 2000u
#define EXPLORE_ARG_SIZE 700u
#define EXPLORE_ROWS_MAX 256u
#define EXPLORE_FILES_MAX 5u
#define EXPLORE_ERRORS_MAX 24u

/* At once; in pieces; cut off; the rest later, other calls in between; on a connection that has
 * served others. */
enum op_client { CLIENT_WHOLE, CLIENT_SPLIT, CLIENT_CUT, CLIENT_SLOW, CLIENT_KEPT };

/* A row of rpc.yaml. Texts are the document's. */
struct explore_method {
    const char *name, *arg, *result;
    const char *errors[EXPLORE_ERRORS_MAX];
    u32 error_count;
    bool is_served;
};

struct op {
    const char
        *call; /* of lifecycle.yaml, whose rows say what is wanted; NULL: the model is silent */
    const struct explore_method *row; /* NULL: ARG is raw bytes */
    char arg[EXPLORE_ARG_SIZE];
    u8 id;          /* whose state it is about; EXPLORE_IDS: nobody's */
    u8 client;      /* enum op_client */
    u16 after;      /* CUT: bytes that are sent */
    u8 file_count;  /* descriptors; the last of a start is a gofer's */
    bool has_gofer; /* is it? */
    bool ends;      /* start: the program ends at once; signal: it kills */
    bool may_wait;  /* no answer is right as long as nothing happens */
    u8 pauses;      /* so many Pauses, a look around, and as many Resumes; not a single call */
};

/* A row of lifecycle.yaml. */
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

/* Does ANSWER fit METHOD's row? If not, WHY says so. */
MUST_CHECK bool explore_judge(const struct explore_method *method, const char *answer, char *why,
                              size_t why_size);
const struct explore_method *explore_method_find(const struct explore_spec *spec, const char *name);
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

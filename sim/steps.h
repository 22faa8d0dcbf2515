/* SPDX-License-Identifier: Apache-2.0 */
/* What the files of verbs share: calls.c, steps.c, expect.c. VALUE is a step's. */
#pragma once
#include "sim/run.h"

struct answer {
    bool is_ok, is_cut; /* cut: the sandbox hung up without one */
    char error[1024];
    char result[1024];
};

/* The bare value of a step, or of its KEY; NULL. */
const char *step_text(struct fy_node *value, const char *key);
void step_trace(struct run *run, const char *kind, const char *what, const char *text);
/* The container that a step is about, in *ID. 0, or -1 with the run's error (so do all below). */
MUST_CHECK int step_container(struct run *run, struct fy_node *value, const char **id);
/* When the step's time is over, in *END. */
MUST_CHECK int step_within(struct run *run, struct fy_node *value, u64 *end);
/* WANTED is /a pattern/ or the whole text. */
bool step_text_fits(const char *text, const char *wanted);
MUST_CHECK int step_trouble(struct run *run, struct fy_node *value);
MUST_CHECK int step_no_sandbox(struct run *run, struct fy_node *value, const char *what);
/* Runs until CALL is answered, time going on from deadline to deadline. */
MUST_CHECK int step_finish(struct run *run, struct fy_node *value, const char *what,
                           struct call *call, struct answer *out);
/* Does ANSWER fit what VALUE expects? Without `expect` it must be a success. */
MUST_CHECK int answer_judge(struct run *run, struct fy_node *value, const char *what,
                            const struct answer *answer);
/* One call, judged; or with `async` left under way. RESULT (may be NULL) gets its answer. */
MUST_CHECK int step_call_with(struct run *run, struct fy_node *value, const char *what,
                              const char *method, const char *arg, const int *fds, u32 fd_count,
                              struct answer *result);
MUST_CHECK int step_call(struct run *run, struct fy_node *value, const char *what,
                         const char *method, const char *arg);
/* The state of container ID in a word of spec/lifecycle.yaml; static. */
const char *run_state_word(struct run *run, const char *id);

/* expect.c */
MUST_CHECK int step_advance(struct run *run, struct fy_node *value);
MUST_CHECK int step_until(struct run *run, struct fy_node *value);
MUST_CHECK int step_damage(struct run *run, struct fy_node *value);
MUST_CHECK int step_hash(struct run *run, struct fy_node *value);
MUST_CHECK int step_check_now(struct run *run, struct fy_node *value);
MUST_CHECK int step_expect(struct run *run, struct fy_node *value);

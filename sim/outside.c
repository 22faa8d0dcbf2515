/* SPDX-License-Identifier: Apache-2.0 */
/* What a scenario does to a run from outside: faults, clients that misbehave, the host, budgets,
 * and what must hold at the end. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/marks.h"
#include "sim/run.h"
#include "sim/steps.h"

#define SEEDED_PIECE 16u
#define CLIENT_PREFIX "client."

static const char *text_or(struct fy_node *map, const char *key, const char *missing)
{
    const char *text = node_text(map, key);
    return text ? text : missing;
}

static bool is_word(struct fy_node *map, const char *key, const char *word)
{
    return strcmp(text_or(map, key, ""), word) == 0;
}

/* KEY of MAP as a number, or MISSING. */
static int number_or(struct run *run, struct fy_node *map, const char *key, i64 missing, i64 *out)
{
    struct fy_node *node = node_get(map, key);
    *out = missing;
    return node ? node_number(run, node, out) : 0;
}

/* ---- judging the file -----------------------------------------------------------------------------
 */

static int check_each(const char *file, struct fy_node *root, const char *name, bool is_list,
                      const char *keys, struct sim_error *err)
{
    struct fy_node *node = node_get(root, name), *item;
    struct fy_node_pair *pair;
    void *at = NULL;
    if (!node)
        return 0;
    if (is_list ? !fy_node_is_sequence(node) : !fy_node_is_mapping(node))
        return sim_error_at(err, file, node, "%s must be a %s", name, is_list ? "list" : "mapping");
    while (is_list && (item = fy_node_sequence_iterate(node, &at)) != NULL)
        if (keys ? node_check_keys(err, file, item, name, keys) : !fy_node_is_scalar(item))
            return keys ? -1 : sim_error_at(err, file, item, "%s is a list of words", name);
    while (!is_list && (pair = fy_node_mapping_iterate(node, &at)) != NULL)
        if (node_check_keys(err, file, fy_node_pair_value(pair), name, keys))
            return -1;
    return 0;
}

static int check_marks(const char *file, struct fy_node *list, struct sim_error *err)
{
    struct fy_node *item;
    void *at = NULL;
    while (list && (item = fy_node_sequence_iterate(list, &at)) != NULL)
        if (marks_find(fy_node_get_scalar0(item)) == MARK_COUNT)
            return sim_error_at(err, file, item, "there is no mark '%s'",
                                fy_node_get_scalar0(item));
    return 0;
}

static int check_finally(const char *file, struct fy_node *list, struct sim_error *err)
{
    struct fy_node *item;
    void *at = NULL;
    if (list && !fy_node_is_sequence(list))
        return sim_error_at(err, file, list, "finally must be a list");
    while (list && (item = fy_node_sequence_iterate(list, &at)) != NULL) {
        const char *word = fy_node_get_scalar0(item);
        if (word ? strcmp(word, "no-leaks") != 0 && strcmp(word, "no-waiters") != 0 &&
                       strcmp(word, "model-agrees") != 0
                 : !node_text(item, "no-partial-images"))
            return sim_error_at(err, file, item,
                                "finally has: no-leaks no-waiters model-agrees "
                                "{no-partial-images: FOLDER}");
    }
    return 0;
}

int outside_check(const char *file, struct fy_node *root, struct sim_error *err)
{
    struct fy_node *budget = node_get(root, "budget");
    if (budget && node_check_keys(err, file, budget, "budget", "virtual syscalls wall"))
        return -1;
    if (check_each(file, root, "clients", false, "fragments", err) ||
        check_each(file, root, "faults", true,
                   "id at path nth times error short delay torn armed after_bytes do", err) ||
        check_each(file, root, "covers", true, NULL, err) ||
        check_each(file, root, "marks", true, NULL, err) ||
        check_each(file, root, "platforms", true, NULL, err))
        return -1;
    return check_marks(file, node_get(root, "marks"), err) ||
                   check_finally(file, node_get(root, "finally"), err)
               ? -1
               : 0;
}

/* ---- faults ---------------------------------------------------------------------------------------
 */

static bool is_client_fault(struct fy_node *fault)
{
    return strncmp(text_or(fault, "at", ""), CLIENT_PREFIX, strlen(CLIENT_PREFIX)) == 0;
}

static void struck(void *arg, const char *id, const char *at, const char *path)
{
    struct run *run = arg;
    trace_put(&run->trace, host_monotonic_ns(run->host), "fault", "%s %s %s", id, at, path);
}

static int add_fault(struct run *run, struct fy_node *node)
{
    i64 nth, times, error, size, delay;
    struct fy_node *name = node_get(node, "error");
    if (!node_text(node, "id") || !node_text(node, "at"))
        return FAIL_AT(run, node, "a fault needs its id and a point (at)");
    if (is_client_fault(node))
        return node_get(node, "after_bytes")
                   ? 0
                   : FAIL_AT(run, node, "a client's fault needs after_bytes");
    if (number_or(run, node, "nth", 0, &nth) || number_or(run, node, "times", 0, &times) ||
        number_or(run, node, "error", 0, &error) || number_or(run, node, "short", 0, &size) ||
        number_or(run, node, "delay", 0, &delay))
        return -1;
    if (error > 0)
        return FAIL_AT(run, name, "an errno's name is wanted here");
    const struct sim_fault fault = {.id = node_text(node, "id"),
                                    .at = node_text(node, "at"),
                                    .path = node_text(node, "path"),
                                    .nth = (u64)nth,
                                    .times = (u64)times,
                                    .error = (int)-error,
                                    .short_size = (u64)size,
                                    .delay_ns = (u64)delay,
                                    .torn = is_word(node, "torn", "true"),
                                    .is_armed = !is_word(node, "armed", "false")};
    int err = sim_fault_add(run->host, &fault);
    return err ? FAIL_AT(run, node, "no such fault: %s",
                         err == -EEXIST ? "the id is taken" : "there is no such point")
               : 0;
}

int outside_begin(struct run *run)
{
    struct fy_node *item;
    void *at = NULL;
    sim_fault_watch(run->host, struck, run);
    while ((item = fy_node_sequence_iterate(node_get(run->root, "faults"), &at)) != NULL)
        if (add_fault(run, item))
            return -1;
    return 0;
}

int step_arm(struct run *run, struct fy_node *value)
{
    const char *id = fy_node_get_scalar0(value);
    return sim_fault_arm(run->host, id, true) ? 0 : FAIL_AT(run, value, "no fault '%s'", id);
}

int step_disarm(struct run *run, struct fy_node *value)
{
    const char *id = fy_node_get_scalar0(value);
    if (strcmp(id, "all") == 0)
        run->clients_behave = true;
    return sim_fault_arm(run->host, id, false) || run->clients_behave
               ? 0
               : FAIL_AT(run, value, "no fault '%s'", id);
}

/* ---- clients --------------------------------------------------------------------------------------
 */

int run_client(struct run *run, struct fy_node *value, struct client *out)
{
    const char *name = node_text(value, "client");
    struct fy_node *node = node_get(node_get(run->root, "clients"), name ? name : ""), *item;
    void *at = NULL;
    i64 number;
    *out = (struct client){.random = run->seed};
    if (!name)
        return 0;
    if (!node)
        return FAIL_AT(run, value, "the scenario has no client '%s'; list it under clients", name);
    if (is_word(node, "fragments", "seeded"))
        out->piece_max = SEEDED_PIECE;
    else if (number_or(run, node, "fragments", 0, &number))
        return -1;
    else
        out->piece_max = (u32)number;
    struct fy_node *faults = node_get(run->root, "faults");
    while (!run->clients_behave && (item = fy_node_sequence_iterate(faults, &at)) != NULL) {
        if (!is_client_fault(item) ||
            strcmp(node_text(item, "at") + strlen(CLIENT_PREFIX), name) != 0)
            continue;
        if (node_number(run, node_get(item, "after_bytes"), &number))
            return -1;
        out->is_cut = true;
        out->after = (u64)number;
    }
    return 0;
}

/* ---- the host -------------------------------------------------------------------------------------
 */

static int set_space(struct run *run, struct fy_node *map)
{
    struct fy_node_pair *pair;
    void *at = NULL;
    while ((pair = fy_node_mapping_iterate(map, &at)) != NULL) {
        const char *path = fy_node_get_scalar0(fy_node_pair_key(pair));
        struct fy_node *value = fy_node_pair_value(pair);
        const char *text = fy_node_get_scalar0(value);
        i64 number = -1;
        if (!text || (strcmp(text, "unlimited") != 0 && node_number(run, value, &number)))
            return FAIL_AT(run, value, "a size or unlimited is wanted here");
        int err = sim_space_limit(run->host, path, (u64)number);
        if (err)
            return FAIL_AT(run, value, "cannot limit '%s': %s", path, errno_text(-err));
    }
    return 0;
}

int step_host(struct run *run, struct fy_node *value)
{
    struct fy_node *space = node_get(value, "space"), *jump = node_get(value, "clock_jump"),
                   *drift = node_get(value, "clock_drift");
    i64 number;
    if (space && set_space(run, space))
        return -1;
    if (jump) {
        if (node_number(run, jump, &number))
            return -1;
        sim_clock_jump(run->host, number);
    }
    if (drift) {
        if (node_number(run, drift, &number))
            return -1;
        sim_clock_drift(run->host, (i32)number);
    }
    return 0;
}

int step_kill(struct run *run, struct fy_node *value)
{
    struct fy_node *gofer = node_get(value, "gofer");
    i64 index;
    if (!run->sandbox || !gofer)
        return FAIL_AT(run, value, "kill needs a sandbox, and gofer: its number");
    if (node_number(run, gofer, &index))
        return -1;
    sandbox_kill_gofer(run->sandbox, (u32)index);
    return run_settle(run, value) ? 0 : step_trouble(run, value);
}

/* ---- the end --------------------------------------------------------------------------------------
 */

static void find_partial(void *arg, const char *path, const struct host_stat *stat)
{
    struct run *run = arg;
    if ((stat->mode & 0170000) == 0100000 && stat->size == 0 && !run->err->text[0])
        FAIL_AT(run, NULL, "a partial image is left: %s", path);
}

static int judge_budget(struct run *run)
{
    struct fy_node *budget = node_get(run->root, "budget");
    i64 time, calls;
    if (number_or(run, budget, "virtual", INT64_MAX, &time) ||
        number_or(run, budget, "syscalls", INT64_MAX, &calls))
        return -1;
    u64 spent = host_monotonic_ns(run->host) - run->begin_ns - run->trace.shift_ns;
    if (spent > (u64)time)
        return FAIL_AT(run, budget, "the budget of virtual time is exceeded: %llu ns",
                       (unsigned long long)spent);
    return run->syscall_count > (u64)calls
               ? FAIL_AT(run, budget, "the budget of system calls is exceeded: %llu",
                         (unsigned long long)run->syscall_count)
               : 0;
}

int outside_end(struct run *run)
{
    struct fy_node *item, *marks = node_get(run->root, "marks");
    void *at = NULL;
    while ((item = fy_node_sequence_iterate(marks, &at)) != NULL)
        if (!run->marks.counts[marks_find(fy_node_get_scalar0(item))])
            return FAIL_AT(run, item, "the mark '%s' was never hit", fy_node_get_scalar0(item));
    at = NULL;
    struct fy_node *finally = node_get(run->root, "finally");
    while ((item = fy_node_sequence_iterate(finally, &at)) != NULL) {
        const char *word = fy_node_get_scalar0(item), *path = node_text(item, "no-partial-images");
        if (path && sim_walk(run->host, path, find_partial, run))
            return FAIL_AT(run, item, "no folder '%s' on the simulated host", path);
        if (word && strcmp(word, "no-waiters") == 0 && run->left_waiting)
            return FAIL_AT(run, item, "%u calls were never answered or joined", run->left_waiting);
    }
    if (run->err->text[0])
        return -1;
    return judge_budget(run);
}

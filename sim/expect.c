/* SPDX-License-Identifier: Apache-2.0 */
/* Verbs of time, of the outside, and of what is expected: advance, until, damage, hash, check,
 * expect. */
#include <cjson/cJSON.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "sim/steps.h"

/* ---- time, the outside and expectations ----------------------------------------------------------- */

int step_advance(struct run *run, struct fy_node *value)
{
    i64 ns;
    if (node_number(run, value, &ns))
        return -1;
    if (!run->sandbox)
        return step_no_sandbox(run, value, "advance");
    u64 end = run_now(run) + (u64)ns;
    int more = run_settle(run, value) ? 1 : -1;
    while (more > 0)
        more = run_next(run, value, end);
    if (more < 0)
        return step_trouble(run, value);
    sched_advance_to(run->sandbox->kernel->sched, end + run->trace.shift_ns);
    return run_settle(run, value) ? 0 : step_trouble(run, value);
}

static bool output_has(struct source *source, const char *text)
{
    size_t size = strlen(text);
    return size == 0 || memmem(buf_bytes(&source->text), source->text.size, text, size) != NULL;
}

int step_until(struct run *run, struct fy_node *value)
{
    const char *of = node_text(value, "of"), *text = node_text(value, "output");
    struct source *source = of ? run_source(run, of) : NULL;
    u64 end;
    if (!source || !text || !run->sandbox)
        return FAIL_AT(run, value,
                       "until needs output, and of: a container or process that was started");
    if (step_within(run, value, &end))
        return -1;
    if (!run_settle(run, value))
        return step_trouble(run, value);
    while (!output_has(source, text)) {
        int more = run_next(run, value, end);
        if (more < 0)
            return step_trouble(run, value);
        if (more == 0)
            return FAIL_AT(run, value, "'%s' does not write '%s' within its time; it wrote '%s'",
                           of, text, buf_text(&source->text) ? buf_text(&source->text) : "");
    }
    return 0;
}

int step_damage(struct run *run, struct fy_node *value)
{
    const char *path = node_text(value, "file");
    struct fy_node *bit = node_get(value, "flip_bit"), *end = node_get(value, "truncate");
    i64 number;
    if (!path || !bit == !end)
        return FAIL_AT(run, value, "damage needs a file and one of flip_bit, truncate");
    if (node_number(run, bit ? bit : end, &number))
        return -1;
    int err = bit ? sim_damage_bit(run->host, path, (u64)number)
                  : sim_damage_truncate(run->host, path, (u64)number);
    return err ? FAIL_AT(run, value, "cannot damage '%s': %s", path, errno_text(-err)) : 0;
}

const char *run_state_word(struct run *run, const char *id)
{
    static const char *const words[] = {"invalid", "creating", "running", "stopped"};
    const char *known;
    for (u32 i = 0; run->sandbox && (known = loader_container_id(run->sandbox->loader, i)) != NULL;
         i++)
        if (strcmp(known, id) == 0)
            return words[loader_container_state(run->sandbox->loader, id)];
    return "unknown";
}

static int take_hash(struct run *run, struct fy_node *value, char digest[33])
{
    if (!run->sandbox)
        return step_no_sandbox(run, value, "hash");
    int err = sandbox_hash(run->sandbox, digest);
    return err ? FAIL_AT(run, value, "no hash of the state: %s", errno_text(-err)) : 0;
}

static const char *hash_of(struct run *run, const char *name)
{
    for (u32 i = 0; i < run->hash_count; i++)
        if (strcmp(run->hashes[i].name, name) == 0)
            return run->hashes[i].digest;
    return "";
}

int step_hash(struct run *run, struct fy_node *value)
{
    const char *name = fy_node_get_scalar0(value);
    if (run->hash_count == RUN_HASHES_MAX)
        return FAIL_AT(run, value, "more than %u hashes", RUN_HASHES_MAX);
    u32 at = run->hash_count++;
    snprintf(run->hashes[at].name, sizeof run->hashes[at].name, "%s", name);
    if (take_hash(run, value, run->hashes[at].digest))
        return -1;
    return 0; /* not in the trace: seeds are in it */
}

int step_check_now(struct run *run, struct fy_node *value)
{
    const char *what = fy_node_get_scalar0(value);
    return strcmp(what, "invariants") == 0 ? 0 : FAIL_AT(run, value, "check is for: invariants");
}

static int expect_one(struct run *run, const char *key, const char *name, struct fy_node *wanted)
{
    const char *text = fy_node_get_scalar0(wanted), *got = NULL;
    char number[32], digest[33];
    struct buf file;
    buf_init(&file, &run->heap, 0);
    if (!text)
        return FAIL_AT(run, wanted, "a word or text is wanted here");
    if (strcmp(key, "state") == 0) {
        got = run_state_word(run, name);
    } else if (strcmp(key, "processes") == 0) {
        snprintf(number, sizeof number, "%u",
                 run->sandbox ? loader_container_process_count(run->sandbox->loader, name) : 0);
        got = number;
    } else if (strcmp(key, "output") == 0) {
        struct source *source = run_source(run, name);
        if (!source)
            return FAIL_AT(run, wanted, "no container or process '%s' was started", name);
        got = buf_text(&source->text);
    } else if (strcmp(key, "faults") == 0) {
        snprintf(number, sizeof number, "%llu",
                 (unsigned long long)sim_fault_hits(run->host, name));
        got = number;
    } else if (strcmp(key, "hash") == 0) {
        int err = take_hash(run, wanted, digest);
        if (err)
            return err;
        got = strcmp(name, "same_as") == 0 && strcmp(digest, hash_of(run, text)) == 0 ? text
                                                                                      : "another";
    } else {
        int err = sim_get_file(run->host, name, &file);
        got = err == -ENOENT ? "absent" : err ? errno_text(-err) : buf_text(&file);
        if (!err && strcmp(text, "present") == 0)
            got = "present";
    }
    if (!got || !step_text_fits(got, text))
        return FAIL_AT(run, wanted, "%s of '%s': wanted '%s', but it is '%s'", key, name, text,
                       got ? got : "");
    trace_put(&run->trace, host_monotonic_ns(run->host), "is", "%s %s", key, name);
    buf_fini(&file);
    return 0;
}

int step_expect(struct run *run, struct fy_node *value)
{
    struct fy_node_pair *pair, *inner;
    void *at = NULL;
    while ((pair = fy_node_mapping_iterate(value, &at)) != NULL) {
        struct fy_node *map = fy_node_pair_value(pair);
        const char *key = fy_node_get_scalar0(fy_node_pair_key(pair));
        void *each = NULL;
        if (strcmp(key, "sandbox") == 0) {
            const char *is = run->sandbox ? loader_state_name(loader_state(run->sandbox->loader))
                                          : "gone";
            const char *text = fy_node_get_scalar0(map);
            if (!text || strcmp(text, is) != 0)
                return FAIL_AT(run, map, "wanted the sandbox to be '%s', but it is '%s'",
                               text ? text : "", is);
            continue;
        }
        if (!fy_node_is_mapping(map))
            return FAIL_AT(run, map, "%s must be a mapping from names", key);
        while ((inner = fy_node_mapping_iterate(map, &each)) != NULL) {
            const char *name = fy_node_get_scalar0(fy_node_pair_key(inner));
            if (!name || expect_one(run, key, name, fy_node_pair_value(inner)))
                return name ? -1 : FAIL_AT(run, map, "a name is wanted");
        }
    }
    return 0;
}

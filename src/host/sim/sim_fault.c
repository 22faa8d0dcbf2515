/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The fault plan and the counts of calls. Each armed fault counts the calls that match it, whether
 * or not another one strikes first; of several that would strike the same call the oldest does.
 */
#include "host/sim/internal.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

static const char *const call_names[SIM_CALL_COUNT] = {
#define CALL(name) #name,
    SIM_CALLS(CALL)
#undef CALL
};

const char *sim_call_name(enum sim_call call)
{
    ASSERT(call < SIM_CALL_COUNT);
    return call_names[call];
}

/* * stays within a path component (and within one part of a point), ** does not, ? is any one byte.
 */
bool sim_glob(const char *pattern, const char *text)
{
    for (; *pattern; pattern++, text++) {
        if (*pattern == '*') {
            bool crosses = pattern[1] == '*';
            pattern += crosses ? 2 : 1;
            for (;; text++) {
                if (sim_glob(pattern, text))
                    return true;
                if (*text == '\0' || (*text == '/' && !crosses))
                    return false;
            }
        }
        if (*text == '\0' || (*pattern != '?' && *pattern != *text))
            return false;
    }
    return *text == '\0';
}

#define POINT_SIZE 32
static void point_name(enum sim_call call, char out[POINT_SIZE])
{
    snprintf(out, POINT_SIZE, "host.%s", sim_call_name(call));
}

static bool point_exists(const char *at)
{
    if (sim_glob(at, "alloc") || sim_glob(at, "entropy"))
        return true;
    for (int call = 0; call < SIM_CALL_COUNT; call++) {
        char point[POINT_SIZE];
        point_name(call, point);
        if (sim_glob(at, point))
            return true;
    }
    return false;
}

static struct sim_plan *plan_find(struct sim_host *sim, const char *id)
{
    struct sim_plan *plan;
    list_for_each (plan, &sim->plans, link)
        if (strcmp(plan->fault.id, id) == 0)
            return plan;
    return NULL;
}

int sim_fault_add(struct host *host, const struct sim_fault *fault)
{
    struct sim_host *sim = sim_of(host);
    if (!fault->id || !fault->at || !point_exists(fault->at) || fault->error < 0)
        return -EINVAL;
    if (plan_find(sim, fault->id))
        return -EEXIST;
    struct sim_plan *plan = sim_new(sim, sizeof *plan);
    plan->fault = *fault;
    plan->fault.id = sim_text(sim, fault->id);
    plan->fault.at = sim_text(sim, fault->at);
    plan->fault.path = fault->path ? sim_text(sim, fault->path) : NULL;
    if (plan->fault.nth == 0)
        plan->fault.nth = 1;
    list_add_tail(&sim->plans, &plan->link);
    return 0;
}

static void text_delete(struct sim_host *sim, const char *text)
{
    if (text)
        sim_delete(sim, (void *)(uintptr_t)text, strlen(text) + 1);
}

static void plan_remove(struct sim_host *sim, struct sim_plan *plan)
{
    list_remove(&plan->link);
    text_delete(sim, plan->fault.id);
    text_delete(sim, plan->fault.at);
    text_delete(sim, plan->fault.path);
    sim_delete(sim, plan, sizeof *plan);
}

void sim_faults_fini(struct sim_host *sim)
{
    struct sim_plan *plan, *next;
    list_for_each_safe (plan, next, &sim->plans, link)
        plan_remove(sim, plan);
}

void sim_fault_remove_all(struct host *host)
{
    sim_faults_fini(sim_of(host));
}

static void plan_arm(struct sim_plan *plan, bool is_armed)
{
    plan->fault.is_armed = is_armed;
    plan->seen = 0;
}

bool sim_fault_arm(struct host *host, const char *id, bool is_armed)
{
    struct sim_host *sim = sim_of(host);
    struct sim_plan *plan;
    bool is_all = strcmp(id, "all") == 0;
    bool found = is_all;
    list_for_each (plan, &sim->plans, link) {
        if (!is_all && strcmp(plan->fault.id, id) != 0)
            continue;
        found = true;
        plan_arm(plan, is_armed);
    }
    return found;
}

u64 sim_fault_hits(struct host *host, const char *id)
{
    struct sim_host *sim = sim_of(host);
    if (strcmp(id, "all") == 0)
        return sim->plan_hits;
    struct sim_plan *plan = plan_find(sim, id);
    return plan ? plan->hits : 0;
}

void sim_fault_watch(struct host *host,
                     void (*struck)(void *arg, const char *id, const char *at, const char *path),
                     void *arg)
{
    struct sim_host *sim = sim_of(host);
    sim->struck = struck;
    sim->struck_arg = arg;
}

/* Does the plan strike the call AT on PATH? Counts it in every fault that matches. */
static bool plan_strikes(struct sim_host *sim, const char *at, const char *path,
                         struct sim_strike *out)
{
    struct sim_plan *plan;
    struct sim_plan *first = NULL;
    list_for_each (plan, &sim->plans, link) {
        const struct sim_fault *fault = &plan->fault;
        if (!fault->is_armed || !sim_glob(fault->at, at) ||
            (fault->path && !sim_glob(fault->path, path)))
            continue;
        plan->seen++;
        u64 after = plan->seen - fault->nth; /* wraps when it is not yet its turn */
        bool strikes = plan->seen >= fault->nth && (fault->times == 0 || after < fault->times);
        if (strikes && !first)
            first = plan;
    }
    if (!first)
        return false;
    first->hits++;
    sim->plan_hits++;
    *out = (struct sim_strike){
        .error = first->fault.error,
        .short_size = first->fault.short_size,
        .delay_ns = first->fault.delay_ns,
        .torn = first->fault.torn,
    };
    if (sim->struck)
        sim->struck(sim->struck_arg, first->fault.id, at, path);
    return true;
}

int sim_call(struct sim_host *sim, enum sim_call call, const char *path, struct sim_strike *strike)
{
    sim->call_counts[call]++;
    sim->call_total++;
    struct sim_strike got = {0};
    if (!list_is_empty(&sim->plans)) {
        char point[POINT_SIZE];
        point_name(call, point);
        (void)plan_strikes(sim, point, path ? path : "", &got);
    }
    if (strike)
        *strike = got;
    /* What is torn or late fails later, in the hands of the caller. */
    bool is_later = strike && (got.torn || got.delay_ns);
    return is_later ? 0 : -got.error;
}

bool sim_alloc_fails(struct sim_host *sim)
{
    sim->alloc_total++;
    struct sim_strike strike;
    return !list_is_empty(&sim->plans) && plan_strikes(sim, "alloc", "", &strike);
}

bool sim_entropy_fails(struct sim_host *sim)
{
    sim->entropy_total++;
    struct sim_strike strike;
    return !list_is_empty(&sim->plans) && plan_strikes(sim, "entropy", "", &strike);
}

u64 sim_call_count(struct host *host, enum sim_call call)
{
    ASSERT(call < SIM_CALL_COUNT);
    return sim_of(host)->call_counts[call];
}

u64 sim_call_total(struct host *host)
{
    return sim_of(host)->call_total;
}

u64 sim_alloc_total(struct host *host)
{
    return sim_of(host)->alloc_total;
}

u64 sim_entropy_total(struct host *host)
{
    return sim_of(host)->entropy_total;
}

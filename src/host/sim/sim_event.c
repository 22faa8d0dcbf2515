/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What is under way: submitted operations, bytes in flight, watches to be told. host_reap takes all
 * that is due at its beginning and delivers it in drawn order; what a delivery brings about is for
 * the next host_reap. Nothing runs by itself and nobody is ever interrupted: whoever drives the
 * fibers reaps.
 */
#include "host/sim/internal.h"

#include <errno.h>
#include <string.h>

void sim_watch_ready(struct sim_host *sim, struct host_watch *watch, u32 ready)
{
    if (!watch || ready == 0)
        return;
    if (watch->ready == 0)
        list_add_tail(&sim->ready, &watch->link);
    watch->ready |= ready;
}

void sim_watch_forget(struct sim_host *sim, struct host_watch *watch)
{
    if (watch->ready == 0)
        return;
    watch->ready = 0;
    list_remove(&watch->link);
}

/* ---- submitting ---- */

static enum sim_call call_of(enum host_op_type type)
{
    switch (type) {
    case HOST_OP_PREAD:
    case HOST_OP_READ:
        return SIM_CALL_read;
    case HOST_OP_PWRITE:
    case HOST_OP_WRITE:
        return SIM_CALL_write;
    case HOST_OP_SYNC:
        return SIM_CALL_sync;
    case HOST_OP_STAT:
        return SIM_CALL_stat;
    case HOST_OP_SET_ATTR:
        return SIM_CALL_set_attr;
    case HOST_OP_ALLOCATE:
        return SIM_CALL_allocate;
    case HOST_OP_SEEK:
        return SIM_CALL_seek;
    case HOST_OP_READ_DIR:
        return SIM_CALL_read_dir;
    case HOST_OP_CONNECT:
        break;
    }
    return SIM_CALL_connect;
}

static bool submit(struct host *host, struct host_op *op)
{
    struct sim_host *sim = sim_of(host);
    struct sim_strike strike;
    /* An error of the plan may come at once or later like any other result. */
    int err = sim_call(sim, call_of(op->type), sim_desc_of(op->file)->label, &strike);
    if (err)
        strike.error = -err;
    op->result = 0;
    if (strike.delay_ns == 0 && !sim_choose_percent(sim, "host", sim->config.later_percent)) {
        op->result = sim_op_run(sim, op, &strike);
        return true;
    }
    struct sim_pending *pending = sim_new(sim, sizeof *pending);
    pending->op = op;
    pending->due_ns = sim->monotonic_ns + strike.delay_ns;
    pending->owner = sim->owner;
    pending->strike = strike;
    list_add_tail(&sim->pending, &pending->link);
    return false;
}

/* ---- reaping ---- */

static void collect(struct sim_host *sim)
{
    struct sim_pending *pending, *pending_next;
    list_for_each_safe (pending, pending_next, &sim->pending, link) {
        if (pending->due_ns > sim->monotonic_ns)
            continue;
        list_remove(&pending->link);
        list_add_tail(&sim->reaping_ops, &pending->link);
    }
    struct sim_desc *desc, *desc_next;
    list_for_each_safe (desc, desc_next, &sim->flights, flight) {
        if (sim_flight_due(desc) > sim->monotonic_ns)
            continue;
        list_remove(&desc->flight);
        list_add_tail(&sim->reaping_flights, &desc->flight);
    }
    list_splice_tail(&sim->reaping_watches, &sim->ready);
}

static u32 list_count(const struct list *head)
{
    u32 count = 0;
    for (const struct list *link = head->next; link != head; link = link->next)
        count++;
    return count;
}

static struct list *list_at(struct list *head, u32 index)
{
    struct list *link = head->next;
    while (index-- > 0)
        link = link->next;
    return link;
}

static void deliver_op(struct sim_host *sim, struct sim_pending *pending)
{
    struct host_op *op = pending->op;
    list_remove(&pending->link);
    op->result = sim_op_run(sim, op, &pending->strike);
    sim_delete(sim, pending, sizeof *pending);
    op->done(op);
}

static void deliver_watch(struct host_watch *watch)
{
    u32 ready = watch->ready;
    list_remove(&watch->link);
    watch->ready = 0;
    watch->notify(watch, ready);
}

/* Deliver one thing of those collected; false when none is left. */
static bool deliver_one(struct sim_host *sim)
{
    u32 ops = list_count(&sim->reaping_ops);
    u32 flights = list_count(&sim->reaping_flights);
    u32 watches = list_count(&sim->reaping_watches);
    if (ops + flights + watches == 0)
        return false;
    u32 choice = sim_choose(sim, "host", ops + flights + watches);
    if (choice < ops)
        deliver_op(sim, list_entry(list_at(&sim->reaping_ops, choice), struct sim_pending, link));
    else if (choice < ops + flights)
        sim_arrive(
            sim, list_entry(list_at(&sim->reaping_flights, choice - ops), struct sim_desc, flight));
    else
        deliver_watch(list_entry(list_at(&sim->reaping_watches, choice - ops - flights),
                                 struct host_watch, link));
    return true;
}

static u32 reap(struct host *host)
{
    struct sim_host *sim = sim_of(host);
    ASSERT(list_is_empty(&sim->reaping_ops)); /* not from within `done` or `notify` */
    collect(sim);
    u32 count = 0;
    while (deliver_one(sim))
        count++;
    return count;
}

static u32 pending_count(struct host *host)
{
    struct sim_host *sim = sim_of(host);
    return list_count(&sim->pending) + list_count(&sim->flights) + list_count(&sim->ready);
}

static u64 next_completion_ns(struct host *host)
{
    struct sim_host *sim = sim_of(host);
    u64 next = NO_DEADLINE;
    struct sim_pending *pending;
    list_for_each (pending, &sim->pending, link)
        if (pending->due_ns > sim->monotonic_ns)
            next = MIN(next, pending->due_ns);
    struct sim_desc *desc;
    list_for_each (desc, &sim->flights, flight) {
        u64 due = sim_flight_due(desc);
        if (due > sim->monotonic_ns)
            next = MIN(next, due);
    }
    return next;
}

/* ---- the poller, which is none ---- */

static int poller_start(struct host *host, struct host_interrupt *interrupt)
{
    struct sim_host *sim = sim_of(host);
    int err = sim_call(sim, SIM_CALL_poller_start, NULL, NULL);
    if (!err)
        sim->interrupt = interrupt;
    return err;
}

static void poller_stop(struct host *host)
{
    sim_of(host)->interrupt = NULL;
}

static void poller_set_deadline(struct host *host, u64 deadline_ns)
{
    /* Who moves the clock asks the timers themselves. */
}

/* Waiting may end early, and in simulation it always does: time moves by host_clock_advance alone.
 */
static void wait_at_once(struct host *host, u64 deadline_ns)
{
}

static void wait_end(struct host *host)
{
}

void sim_event_ops_set(struct host_ops *ops)
{
    ops->submit = submit;
    ops->reap = reap;
    ops->pending_count = pending_count;
    ops->next_completion_ns = next_completion_ns;
    ops->poller_start = poller_start;
    ops->poller_stop = poller_stop;
    ops->poller_set_deadline = poller_set_deadline;
    ops->wait = wait_at_once;
    ops->wait_end = wait_end;
}

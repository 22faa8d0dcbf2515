/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Who waits in epoll. An idle cpu waits there itself, so that an event costs one thread wake-up.
 * Only while no cpu is idle does the poller thread look, and it must not be woken each time a cpu
 * turns busy or idle, so it works in steps:
 *
 *   naps    cpus came and went in the last step: sleep a step without epoll, then look once;
 *   waits   no cpu has been idle for a whole step: wait in epoll itself, a few steps at a time;
 *   asleep  a cpu has been idle for a whole step: sleep until the last idle cpu turns busy.
 *
 * So a ping-pong of idle and busy costs one wake-up of this thread a step (1 ms) at most, and the
 * price is that an event is seen up to a step late when a cpu has just turned busy and stays so.
 */
#include "host/linux/linux.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/timerfd.h>
#include <time.h>
#include <unistd.h>

#define STEP_NS (NS_PER_MS)
#define WAIT_STEPS \
    8 /* a wait of the poller ends after so many, to see whether cpus are idle again */

#define DATA_EVENT UINT64_MAX
#define DATA_TIMER (UINT64_MAX - 1)

static u64 now_ns(void)
{
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (u64)now.tv_sec * NS_PER_S + (u64)now.tv_nsec;
}

static u64 step_end(u64 now, u64 steps, u64 deadline)
{
    return MIN(now + steps * STEP_NS, deadline);
}

static struct timespec timespec_of(u64 ns)
{
    return (struct timespec){.tv_sec = (time_t)MIN(ns / NS_PER_S, (u64)INT32_MAX),
                             .tv_nsec = (long)(ns % NS_PER_S)};
}

/* ---- sources ---- */

u32 linux_ready_bits(u32 events, bool is_socket)
{
    u32 ready = 0;
    if (events & (EPOLLIN | EPOLLRDHUP | EPOLLHUP))
        ready |= HOST_READABLE;
    if (events & (EPOLLOUT | EPOLLERR))
        ready |= HOST_WRITABLE;
    if (events & (EPOLLHUP | EPOLLERR))
        ready |= HOST_HANGUP;
    if (events & EPOLLERR && is_socket)
        ready |= HOST_READABLE;
    return ready;
}

static bool slots_grow(struct linux_host *host)
{
    u32 count = host->slot_count ? host->slot_count * 2 : 16;
    struct linux_slot *slots = reallocarray(host->slots, count, sizeof *slots);
    if (!slots)
        return false;
    for (u32 i = host->slot_count; i < count; i++)
        slots[i] = (struct linux_slot){.next_free = i + 1};
    host->slots = slots;
    host->slot_free = host->slot_count;
    host->slot_count = count;
    return true;
}

int linux_source_init(struct linux_source *source, struct linux_host *host, int fd, bool is_socket)
{
    pthread_mutex_lock(&host->lock);
    bool is_good = host->slot_free < host->slot_count || slots_grow(host);
    if (is_good) {
        u32 slot = host->slot_free;
        host->slot_free = host->slots[slot].next_free;
        host->slots[slot].source = source;
        *source = (struct linux_source){
            .host = host, .fd = fd, .slot = slot, .is_socket = is_socket};
    }
    pthread_mutex_unlock(&host->lock);
    return is_good ? 0 : -ENOMEM;
}

/* With the lock held. True: it is the first thing to reap. */
static bool watch_ready(struct linux_host *host, struct host_watch *watch, u32 ready)
{
    if (!watch || ready == 0)
        return false;
    bool is_new = watch->ready == 0;
    watch->ready |= ready;
    if (!is_new)
        return false;
    list_add_tail(&host->ready_watches, &watch->link);
    return atomic_fetch_add(&host->reapable, 1) == 0;
}

/* With the lock held. */
static void watch_forget(struct linux_host *host, struct host_watch *watch)
{
    if (!watch || watch->ready == 0)
        return;
    watch->ready = 0;
    list_remove(&watch->link);
    atomic_fetch_sub(&host->reapable, 1);
}

void linux_source_watch(struct linux_source *source, struct host_watch *watch)
{
    struct linux_host *host = source->host;
    bool must_tell = false;
    pthread_mutex_lock(&host->lock);
    struct linux_slot *slot = &host->slots[source->slot];
    watch_forget(host, source->watch);
    source->watch = watch;
    if (watch)
        watch->ready = 0;
    int op = source->is_registered ? (watch ? EPOLL_CTL_MOD : EPOLL_CTL_DEL) : EPOLL_CTL_ADD;
    if (watch || source->is_registered) {
        struct epoll_event event = {
            .events = EPOLLIN | EPOLLOUT | EPOLLRDHUP | EPOLLET,
            .data.u64 = (u64)slot->generation << 32 | source->slot,
        };
        bool is_good = epoll_ctl(host->epoll_fd, op, source->fd, &event) == 0;
        source->is_registered = watch && is_good;
        /* EPERM: a file that has no notion of waiting. It is ready, now and always. Other failures
         * (out of memory or watches) are told as ready once too, so that the owner tries. */
        if (watch && !is_good)
            must_tell = watch_ready(host, watch, HOST_READABLE | HOST_WRITABLE);
    }
    if (!watch)
        slot->generation++;
    pthread_mutex_unlock(&host->lock);
    if (must_tell)
        linux_tell(host);
}

void linux_source_fini(struct linux_source *source)
{
    struct linux_host *host = source->host;
    linux_source_watch(source, NULL);
    pthread_mutex_lock(&host->lock);
    struct linux_slot *slot = &host->slots[source->slot];
    slot->source = NULL;
    slot->generation++;
    slot->next_free = host->slot_free;
    host->slot_free = source->slot;
    pthread_mutex_unlock(&host->lock);
}

/* With the lock held: give events to their watches. True: something to reap where there was
 * nothing. */
static bool harvest(struct linux_host *host, const struct epoll_event *events, int count)
{
    bool is_first = false;
    for (int i = 0; i < count; i++) {
        u64 data = events[i].data.u64;
        if (data == DATA_EVENT)
            continue;
        if (data == DATA_TIMER) {
            host->timer_ns = NO_DEADLINE;
            continue;
        }
        u32 index = (u32)data;
        ASSERT(index < host->slot_count);
        struct linux_slot *slot = &host->slots[index];
        struct linux_source *source = slot->source;
        if (!source || slot->generation != (u32)(data >> 32))
            continue; /* it went away after the event had been fetched */
        u32 ready = linux_ready_bits(events[i].events, source->is_socket);
        is_first |= watch_ready(host, source->watch, ready);
    }
    return is_first;
}

/* ---- completions ---- */

bool linux_complete(struct linux_host *host, struct host_op *op)
{
    list_add_tail(&host->done_ops, &op->link);
    return atomic_fetch_add(&host->reapable, 1) == 0;
}

void linux_tell(struct linux_host *host)
{
    pthread_mutex_lock(&host->lock);
    bool is_idle = host->idle_count > 0;
    struct host_interrupt *interrupt = host->interrupt;
    pthread_mutex_unlock(&host->lock);
    if (is_idle)
        eventfd_write(host->event_fd, 1);
    else if (interrupt)
        interrupt->interrupt(interrupt);
}

/* Take the next completed op or ready watch; false when there is none. */
static bool reap_one(struct linux_host *host)
{
    pthread_mutex_lock(&host->lock);
    struct host_op *op = list_first_or_null(&host->done_ops, struct host_op, link);
    struct host_watch *watch = list_first_or_null(&host->ready_watches, struct host_watch, link);
    u32 ready = 0;
    if (op) {
        list_remove(&op->link);
        ASSERT(host->pending_count > 0);
        host->pending_count--;
    } else if (watch) {
        list_remove(&watch->link);
        ready = watch->ready;
        watch->ready = 0;
    }
    if (op || watch)
        atomic_fetch_sub(&host->reapable, 1);
    pthread_mutex_unlock(&host->lock);
    if (op)
        op->done(op);
    else if (watch)
        watch->notify(watch, ready);
    return op || watch;
}

u32 linux_reap(struct host *base)
{
    struct linux_host *host = linux_of(base);
    /* What `done` and `notify` bring about is for the next time: no loop without end. */
    u32 count = atomic_load(&host->reapable);
    u32 reaped = 0;
    while (reaped < count && reap_one(host))
        reaped++;
    return reaped;
}

/* ---- waiting ---- */

/* With the lock held: has the deadline of host_poller_set_deadline come? It is told once. */
static bool deadline_came(struct linux_host *host, u64 now)
{
    if (host->deadline_ns > now)
        return false;
    host->deadline_ns = NO_DEADLINE;
    return true;
}

static int epoll_until(struct linux_host *host, struct epoll_event *events, u64 deadline_ns)
{
    struct timespec timeout;
    struct timespec *limit = NULL;
    if (deadline_ns != NO_DEADLINE) {
        u64 now = now_ns();
        timeout = timespec_of(deadline_ns > now ? deadline_ns - now : 0);
        limit = &timeout;
    }
    int count = epoll_pwait2(host->epoll_fd, events, EVENTS_MAX, limit, NULL);
    return MAX(count, 0); /* EINTR: as if the time were up; who waits may wake early */
}

void linux_wait(struct host *base, u64 deadline_ns)
{
    struct linux_host *host = linux_of(base);
    struct epoll_event events[EVENTS_MAX];
    pthread_mutex_lock(&host->lock);
    if (atomic_load(&host->reapable) > 0 || host->tokens > 0) {
        host->tokens -= host->tokens > 0;
        pthread_mutex_unlock(&host->lock);
        return;
    }
    host->idle_count++;
    host->transitions++;
    deadline_ns = MIN(deadline_ns, host->deadline_ns);
    pthread_mutex_unlock(&host->lock);

    int count = epoll_until(host, events, deadline_ns);

    pthread_mutex_lock(&host->lock);
    (void)harvest(host, events, count);
    (void)deadline_came(host, now_ns());
    host->idle_count--;
    host->transitions++;
    host->tokens -= host->tokens > 0;
    bool pass_on = host->tokens > 0 && host->idle_count > 0;
    if (host->idle_count == 0 && host->state == POLLER_ASLEEP)
        pthread_cond_signal(&host->poller_wake);
    pthread_mutex_unlock(&host->lock);
    if (pass_on)
        eventfd_write(host->event_fd, 1);
}

/* Ends one cpu's wait; when none waits, the next wait ends at once. */
void linux_wait_end(struct host *base)
{
    struct linux_host *host = linux_of(base);
    pthread_mutex_lock(&host->lock);
    bool is_idle = host->idle_count > 0;
    if (host->tokens < MAX(host->idle_count, 1))
        host->tokens++;
    pthread_mutex_unlock(&host->lock);
    if (is_idle)
        eventfd_write(host->event_fd, 1);
}

void linux_poller_set_deadline(struct host *base, u64 deadline_ns)
{
    struct linux_host *host = linux_of(base);
    pthread_mutex_lock(&host->lock);
    host->deadline_ns = deadline_ns;
    bool someone_waits = host->idle_count > 0 || host->state == POLLER_WAITS;
    if (someone_waits && deadline_ns < host->timer_ns) {
        host->timer_ns = deadline_ns;
        struct itimerspec timer = {.it_value = timespec_of(MAX(deadline_ns, (u64)1))};
        timerfd_settime(host->timer_fd, TFD_TIMER_ABSTIME, &timer, NULL);
    }
    pthread_mutex_unlock(&host->lock);
}

/* ---- the thread ---- */

/* With the lock held: look into epoll without waiting. True: a cpu must be told. */
static bool poller_look(struct linux_host *host)
{
    struct epoll_event events[EVENTS_MAX];
    int count = epoll_wait(host->epoll_fd, events, EVENTS_MAX, 0);
    bool must_tell = harvest(host, events, MAX(count, 0));
    return deadline_came(host, now_ns()) || must_tell;
}

/* With the lock held, which is released meanwhile. True: a cpu must be told. */
static bool poller_wait(struct linux_host *host)
{
    struct epoll_event events[EVENTS_MAX];
    u64 until = step_end(now_ns(), WAIT_STEPS, host->deadline_ns);
    host->state = POLLER_WAITS;
    pthread_mutex_unlock(&host->lock);
    int count = epoll_until(host, events, until);
    pthread_mutex_lock(&host->lock);
    host->state = POLLER_NAPS;
    bool must_tell = harvest(host, events, count);
    /* A cpu may have begun to wait beside us, and we may have got the edge that was meant for it.
     */
    if (host->idle_count > 0 && (atomic_load(&host->reapable) > 0 || host->tokens > 0))
        must_tell = true;
    return deadline_came(host, now_ns()) || must_tell;
}

static void poller_nap(struct linux_host *host)
{
    struct timespec until = timespec_of(step_end(now_ns(), 1, host->deadline_ns));
    host->state = POLLER_NAPS;
    pthread_cond_timedwait(&host->poller_wake, &host->lock, &until);
}

static void poller_sleep(struct linux_host *host)
{
    host->state = POLLER_ASLEEP;
    while (host->idle_count > 0 && !host->poller_stop)
        pthread_cond_wait(&host->poller_wake, &host->lock);
    host->state = POLLER_NAPS;
}

static void *poller(void *arg)
{
    struct linux_host *host = arg;
    pthread_mutex_lock(&host->lock);
    u64 seen = host->transitions;
    while (!host->poller_stop) {
        bool must_tell = false;
        bool is_steady = host->transitions == seen;
        seen = host->transitions;
        if (host->idle_count > 0 && is_steady)
            poller_sleep(host);
        else if (host->idle_count > 0)
            poller_nap(host);
        else if (is_steady)
            must_tell = poller_wait(host);
        else if (!(must_tell = poller_look(host)))
            poller_nap(host);
        if (must_tell) {
            pthread_mutex_unlock(&host->lock);
            linux_tell(host);
            pthread_mutex_lock(&host->lock);
        }
    }
    pthread_mutex_unlock(&host->lock);
    return NULL;
}

int linux_poller_start(struct host *base, struct host_interrupt *interrupt)
{
    struct linux_host *host = linux_of(base);
    ASSERT(!host->has_poller);
    host->interrupt = interrupt;
    host->poller_stop = false;
    host->state = POLLER_NAPS; /* no thread yet */
    int err = linux_thread_start(&host->poller, poller, host);
    host->has_poller = err == 0;
    if (err)
        host->interrupt = NULL;
    return err;
}

void linux_poller_stop(struct host *base)
{
    struct linux_host *host = linux_of(base);
    if (host->has_poller) {
        pthread_mutex_lock(&host->lock);
        host->poller_stop = true;
        pthread_cond_signal(&host->poller_wake);
        pthread_mutex_unlock(&host->lock);
        eventfd_write(host->event_fd, 1);
        pthread_join(host->poller, NULL);
        host->has_poller = false;
    }
    linux_workers_stop(host);
    host->interrupt = NULL;
}

static bool epoll_add(struct linux_host *host, int fd, u64 data)
{
    struct epoll_event event = {.events = EPOLLIN | EPOLLET, .data.u64 = data};
    return fd >= 0 && epoll_ctl(host->epoll_fd, EPOLL_CTL_ADD, fd, &event) == 0;
}

int linux_poller_init(struct linux_host *host)
{
    list_init(&host->done_ops);
    list_init(&host->ready_watches);
    list_init(&host->queue);
    list_init(&host->closing);
    host->deadline_ns = NO_DEADLINE;
    host->timer_ns = NO_DEADLINE;
    pthread_condattr_t attr;
    pthread_condattr_init(&attr);
    pthread_condattr_setclock(&attr, CLOCK_MONOTONIC);
    pthread_cond_init(&host->poller_wake, &attr);
    pthread_condattr_destroy(&attr);
    pthread_cond_init(&host->work, NULL);
    host->epoll_fd = epoll_create1(EPOLL_CLOEXEC);
    host->event_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    host->timer_fd = timerfd_create(CLOCK_MONOTONIC, TFD_CLOEXEC | TFD_NONBLOCK);
    host->stop_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    if (host->epoll_fd >= 0 && host->stop_fd >= 0 && epoll_add(host, host->event_fd, DATA_EVENT) &&
        epoll_add(host, host->timer_fd, DATA_TIMER))
        return 0;
    linux_poller_fini(host);
    return -EMFILE;
}

void linux_poller_fini(struct linux_host *host)
{
    const int fds[] = {host->epoll_fd, host->event_fd, host->timer_fd, host->stop_fd};
    for (size_t i = 0; i < ARRAY_COUNT(fds); i++)
        if (fds[i] >= 0)
            close(fds[i]);
    for (u32 i = 0; i < host->slot_count; i++)
        ASSERT(host->slots[i].source == NULL); /* every stream and listener has been put */
    free(host->slots);
    pthread_cond_destroy(&host->poller_wake);
    pthread_cond_destroy(&host->work);
}

/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Pending signals: two queues (a task's own, its process's), and the names and default actions of
 * signals (signal(7)). A standard signal is pending at most once; when memory is short its bit
 * alone is set and its siginfo is made up when it is taken.
 */
#include "sentry/kernel/signal.h"

#include <string.h>

#include "abi/errno.h"
#include "base/fields.h"
#include "base/state.h"
#include "sentry/kernel/signal_internal.h"
#include "sentry/kernel/task.h"
#include "sentry/kernel/timers.h"

/* ---- names ---------------------------------------------------------------------------------- */

static const char *const signal_names[LINUX_NSIG + 1] = {
    "SIG0",     "SIGHUP",   "SIGINT",    "SIGQUIT",  "SIGILL",   "SIGTRAP",   "SIGABRT",
    "SIGBUS",   "SIGFPE",   "SIGKILL",   "SIGUSR1",  "SIGSEGV",  "SIGUSR2",   "SIGPIPE",
    "SIGALRM",  "SIGTERM",  "SIGSTKFLT", "SIGCHLD",  "SIGCONT",  "SIGSTOP",   "SIGTSTP",
    "SIGTTIN",  "SIGTTOU",  "SIGURG",    "SIGXCPU",  "SIGXFSZ",  "SIGVTALRM", "SIGPROF",
    "SIGWINCH", "SIGIO",    "SIGPWR",    "SIGSYS",   "SIGRT_0",  "SIGRT_1",   "SIGRT_2",
    "SIGRT_3",  "SIGRT_4",  "SIGRT_5",   "SIGRT_6",  "SIGRT_7",  "SIGRT_8",   "SIGRT_9",
    "SIGRT_10", "SIGRT_11", "SIGRT_12",  "SIGRT_13", "SIGRT_14", "SIGRT_15",  "SIGRT_16",
    "SIGRT_17", "SIGRT_18", "SIGRT_19",  "SIGRT_20", "SIGRT_21", "SIGRT_22",  "SIGRT_23",
    "SIGRT_24", "SIGRT_25", "SIGRT_26",  "SIGRT_27", "SIGRT_28", "SIGRT_29",  "SIGRT_30",
    "SIGRT_31", "SIGRT_32",
};

const char *signal_name(i32 signo)
{
    return signo > 0 && signo <= LINUX_NSIG ? signal_names[signo] : "SIG?";
}

static char upper(char c)
{
    return c >= 'a' && c <= 'z' ? (char)(c - 'a' + 'A') : c;
}

static bool is_same_name(const char *a, const char *b)
{
    while (*a && upper(*a) == upper(*b))
        a++, b++;
    return *a == 0 && *b == 0;
}

static i32 parse_number(const char *text)
{
    i32 value = 0;
    for (; *text >= '0' && *text <= '9' && value <= LINUX_NSIG; text++)
        value = value * 10 + (*text - '0');
    return *text == 0 && value > 0 && value <= LINUX_NSIG ? value : -1;
}

/* "RTMIN", "RTMIN+3", "RTMAX-2" as kill(1) has them: the C library's first is 34. */
static i32 realtime_by_name(const char *name)
{
    static const struct {
        const char *prefix;
        char sign;
        i32 base;
    } forms[] = {{"RTMIN", '+', 34}, {"RTMAX", '-', 64}};
    for (u32 i = 0; i < ARRAY_COUNT(forms); i++) {
        u32 at = 0;
        while (forms[i].prefix[at] && upper(name[at]) == forms[i].prefix[at])
            at++;
        if (forms[i].prefix[at])
            continue;
        if (name[at] == 0)
            return forms[i].base;
        i32 offset = name[at] == forms[i].sign ? parse_number(name + at + 1) : -1;
        i32 signo = forms[i].sign == '+' ? forms[i].base + offset : forms[i].base - offset;
        return offset > 0 && signo >= 34 && signo <= LINUX_NSIG ? signo : -1;
    }
    return -1;
}

i32 signal_by_name(const char *name)
{
    if (*name >= '0' && *name <= '9')
        return parse_number(name);
    if (upper(name[0]) == 'S' && upper(name[1]) == 'I' && upper(name[2]) == 'G')
        name += 3;
    static const struct {
        const char *name;
        i32 signo;
    } aliases[] = {{"IOT", LINUX_SIGABRT},
                   {"CLD", LINUX_SIGCHLD},
                   {"POLL", LINUX_SIGIO},
                   {"UNUSED", LINUX_SIGSYS}};
    for (u32 i = 0; i < ARRAY_COUNT(aliases); i++)
        if (is_same_name(name, aliases[i].name))
            return aliases[i].signo;
    for (i32 i = 1; i < LINUX_SIGRTMIN; i++)
        if (is_same_name(name, signal_names[i] + 3))
            return i;
    return realtime_by_name(name);
}

enum signal_default signal_default_action(i32 signo)
{
    switch (signo) {
    case LINUX_SIGQUIT:
    case LINUX_SIGILL:
    case LINUX_SIGTRAP:
    case LINUX_SIGABRT:
    case LINUX_SIGBUS:
    case LINUX_SIGFPE:
    case LINUX_SIGSEGV:
    case LINUX_SIGXCPU:
    case LINUX_SIGXFSZ:
    case LINUX_SIGSYS:
        return SIGNAL_DEFAULT_CORE;
    case LINUX_SIGSTOP:
    case LINUX_SIGTSTP:
    case LINUX_SIGTTIN:
    case LINUX_SIGTTOU:
        return SIGNAL_DEFAULT_STOP;
    case LINUX_SIGCHLD:
    case LINUX_SIGURG:
    case LINUX_SIGWINCH:
        return SIGNAL_DEFAULT_IGNORE;
    case LINUX_SIGCONT:
        return SIGNAL_DEFAULT_CONTINUE;
    default:
        return SIGNAL_DEFAULT_TERMINATE;
    }
}

/* ---- fields --------------------------------------------------------------------------------- */

static const struct field pending_signal_fields[] = {
    FIELD_NONE(struct pending_signal, object, "the walker's own header"),
    FIELD_NONE(struct pending_signal, link, "its queue's list"),
    FIELD_BYTES(struct pending_signal, info),
    FIELD_REF(struct pending_signal, timer, struct posix_timer),
    FIELD_END,
};
FIELDS_COMPLETE(struct pending_signal, pending_signal_fields);

static void pending_signal_destroy(struct object *object)
{
    object_put(container_of(object, struct pending_signal, object)->timer);
}

static int pending_signal_loaded(struct object *object, struct state_reader *reader)
{
    struct pending_signal *pending = container_of(object, struct pending_signal, object);
    if (pending->info.signo < 1 || pending->info.signo > LINUX_NSIG)
        return -EINVAL;
    if (pending->timer && pending->timer->kind != &posix_timer_kind)
        return -EINVAL;
    return 0;
}

const struct kind pending_signal_kind = {.name = "pending_signal",
                                         .size = sizeof(struct pending_signal),
                                         .fields = pending_signal_fields,
                                         .destroy = pending_signal_destroy,
                                         .loaded = pending_signal_loaded};

static const struct field signal_queue_fields[] = {
    FIELD(struct signal_queue, set),
    FIELD(struct signal_queue, count),
    FIELD_LIST(struct signal_queue, list, struct pending_signal, link, true),
    FIELD_END,
};
FIELDS_COMPLETE(struct signal_queue, signal_queue_fields);

static const struct field linux_stack_fields[] = {
    FIELD(struct linux_stack, sp),
    FIELD(struct linux_stack, flags),
    FIELD_NONE(struct linux_stack, pad, "padding"),
    FIELD(struct linux_stack, size),
    FIELD_END,
};
FIELDS_COMPLETE(struct linux_stack, linux_stack_fields);

const struct field task_signals_fields[] = {
    FIELD_STRUCT(struct task_signals, queue, signal_queue_fields),
    FIELD(struct task_signals, mask),
    FIELD(struct task_signals, saved_mask),
    FIELD(struct task_signals, has_saved_mask),
    FIELD_STRUCT(struct task_signals, altstack, linux_stack_fields),
    FIELD(struct task_signals, wait_set),
    FIELD_NONE(struct task_signals, changed, "a sleeper starts its system call again"),
    FIELD(struct task_signals, forced_kill),
    FIELD_END,
};
FIELDS_COMPLETE(struct task_signals, task_signals_fields);

const struct field group_signals_fields[] = {
    FIELD_STRUCT(struct group_signals, queue, signal_queue_fields),
    FIELD(struct group_signals, stop_signal),
    FIELD(struct group_signals, is_stopped),
    FIELD(struct group_signals, stop_reported),
    FIELD(struct group_signals, is_continued),
    FIELD_NONE(struct group_signals, continued, "stopped tasks come back to it at their boundary"),
    FIELD_END,
};
FIELDS_COMPLETE(struct group_signals, group_signals_fields);

/* ---- queues --------------------------------------------------------------------------------- */

static void queue_prepare(struct signal_queue *queue)
{
    if (!queue->list.next)
        list_init(&queue->list);
}

bool signal_queue_has(const struct signal_queue *queue, i32 signo)
{
    return queue->set & SIGNAL_BIT(signo);
}

int signal_queue_add(struct signal_queue *queue, struct arena *arena,
                     const struct linux_siginfo *info, u64 limit, struct object *timer)
{
    i32 signo = info->signo;
    bool is_realtime = signo >= LINUX_SIGRTMIN;
    if (!is_realtime && signal_queue_has(queue, signo))
        return 0;
    queue_prepare(queue);
    struct pending_signal *pending = NULL;
    if (!is_realtime || queue->count < limit || timer)
        pending = object_create(arena, &pending_signal_kind);
    if (!pending) {
        /* Linux: kill(2) and the kernel get through without a siginfo, sigqueue(2) and timers do
         * not. */
        if (is_realtime && info->code != LINUX_SI_USER && info->code != LINUX_SI_KERNEL)
            return -EAGAIN;
        queue->set |= SIGNAL_BIT(signo);
        return 0;
    }
    pending->info = *info;
    if (timer) {
        object_get_(timer);
        pending->timer = timer;
    }
    list_add_tail(&queue->list, &pending->link);
    queue->count++;
    queue->set |= SIGNAL_BIT(signo);
    return 0;
}

static void remove_pending(struct signal_queue *queue, struct pending_signal *pending)
{
    list_remove(&pending->link);
    queue->count--;
    object_put(&pending->object);
}

static struct pending_signal *find_pending(const struct signal_queue *queue, i32 signo,
                                           struct pending_signal *after)
{
    if (!queue->list.next)
        return NULL;
    const struct list *link = after ? after->link.next : queue->list.next;
    for (; link != &queue->list; link = link->next) {
        struct pending_signal *pending = list_entry(link, struct pending_signal, link);
        if (pending->info.signo == signo)
            return pending;
    }
    return NULL;
}

/* Faults first, then the lowest number. */
static i32 next_signo(u64 set)
{
    const u64 synchronous = SIGNAL_BIT(LINUX_SIGSEGV) | SIGNAL_BIT(LINUX_SIGBUS) |
                            SIGNAL_BIT(LINUX_SIGILL) | SIGNAL_BIT(LINUX_SIGTRAP) |
                            SIGNAL_BIT(LINUX_SIGFPE) | SIGNAL_BIT(LINUX_SIGSYS);
    if (set & synchronous)
        set &= synchronous;
    return __builtin_ctzll(set) + 1;
}

bool signal_queue_take(struct signal_queue *queue, u64 set, struct linux_siginfo *info)
{
    if (!(queue->set & set))
        return false;
    i32 signo = next_signo(queue->set & set);
    struct pending_signal *pending = find_pending(queue, signo, NULL);
    if (!pending) {
        *info = (struct linux_siginfo){.signo = signo, .code = LINUX_SI_USER};
        queue->set &= ~SIGNAL_BIT(signo);
        return true;
    }
    *info = pending->info;
    if (!find_pending(queue, signo, pending))
        queue->set &= ~SIGNAL_BIT(signo);
    struct object *timer = MOVE(pending->timer);
    remove_pending(queue, pending);
    if (timer) {
        posix_timer_taken(timer, info);
        object_put(timer);
    }
    return true;
}

void signal_queue_drop(struct signal_queue *queue, u64 set)
{
    if (!(queue->set & set) || !queue->list.next) {
        queue->set &= ~set;
        return;
    }
    queue->set &= ~set;
    struct pending_signal *pending, *next;
    list_for_each_safe (pending, next, &queue->list, link) {
        if (!(SIGNAL_BIT(pending->info.signo) & set))
            continue;
        struct object *timer = MOVE(pending->timer);
        remove_pending(queue, pending);
        if (timer)
            posix_timer_taken(timer, NULL);
        object_put(timer);
    }
}

void signal_queue_clear(struct signal_queue *queue)
{
    signal_queue_drop(queue, UINT64_MAX);
}

/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Stub processes: made by the zygote, kept in a pool, asked for their system calls through a page
 * that only we can write. Answers come through an eventfd of the asker's, so that an application
 * that runs in the same process cannot forge one. Surprising: a stub's helper thread is not traced;
 * only the threads that run applications are, each by the host thread of its cpu, and they never
 * were in traced hands before.
 */
#include "platform/ptrace/internal.h"
#include <errno.h>
#include <linux/futex.h>
#include <poll.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/prctl.h>
#include <sys/ptrace.h>
#include <sys/random.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#define STUB_COUNT_MAX 65536u /* more than a host's usual pid_max */
#define IDLE_COUNT_MAX 32u
#define IDLE_COUNT_MIN 2u
#define ALIVE_CHECK_MS 50

#define THREAD_FLAGS                                                                    \
    (CLONE_VM | CLONE_FS | CLONE_FILES | CLONE_SIGHAND | CLONE_THREAD | CLONE_SYSVSEM | \
     CLONE_PARENT_SETTID)
#define THREAD_OPTIONS (PTRACE_O_EXITKILL | PTRACE_O_TRACESYSGOOD | PTRACE_O_TRACESECCOMP)

u64 stub_slots_size(const struct ptrace_platform *platform)
{
    return platform->base.cpu_count * (u64)(STUB_SLOTS_PER_CPU * STUB_SLOT_SIZE);
}

u64 stub_closed_size(const struct ptrace_platform *platform)
{
    return STUB_CONTROL_SIZE +
           platform->base.cpu_count * (u64)(STUB_SLOTS_PER_CPU * STUB_FLIGHT_SIZE);
}

static u64 stub_pages_size(const struct ptrace_platform *platform)
{
    return stub_closed_size(platform) + stub_slots_size(platform);
}

u8 *stub_slots(const struct stub *stub)
{
    return (u8 *)stub->control + stub_closed_size(stub->platform);
}

/* Where the kernel writes the number of the thread it makes for slot INDEX, in our view. */
static u32 *slot_tid(const struct stub *stub, u32 index)
{
    return (u32 *)(void *)(stub_slots(stub) + index * (u64)STUB_SLOT_SIZE);
}

/* ---- requests ------------------------------------------------------------------------------- */

/* Threads die together. A traced one that died is what we can see first: the leader waits for all
 * others to be reaped. */
static bool stub_is_alive(const struct stub *stub)
{
    siginfo_t info = {0};
    pid_t tid = stub->pid;
    for (u32 i = 0; i < stub->slot_count && tid == stub->pid; i++)
        if (stub->threads[i].tid)
            tid = stub->threads[i].tid;
    return waitid(P_PID, (id_t)tid, &info, WEXITED | WNOHANG | WNOWAIT | __WALL) == 0 &&
           info.si_pid == 0;
}

/* The number that arrives at eventfd FD, or -ESRCH when STUB died before it sent one. */
static int done_wait(const struct stub *stub, int fd)
{
    struct pollfd poll_fd = {.fd = fd, .events = POLLIN};
    for (;;) {
        u64 value;
        int ready = poll(&poll_fd, 1, ALIVE_CHECK_MS);
        if (ready > 0 && read(fd, &value, sizeof value) == sizeof value)
            return (int)value;
        if (ready == 0 && !stub_is_alive(stub))
            return -ESRCH;
    }
}

/* Let the helper make the first COUNT of control->ops; how many succeeded before one failed, or
 * -ESRCH when the process is gone. DONE indexes done_fds. */
static int stub_request(struct stub *stub, u32 done, u32 count)
{
    struct stub_control *control = stub->control;
    ASSERT(count <= STUB_OPS_MAX && done <= stub->platform->base.cpu_count);
    if (stub_is_gone(stub))
        return -ESRCH;
    control->count = count;
    control->done_fd = stub->platform->done_fds[done];
    __atomic_store_n(&control->request, ++stub->request, __ATOMIC_SEQ_CST);
    syscall(SYS_futex, &control->request, FUTEX_WAKE, 1, NULL, NULL, 0);
    int result = done_wait(stub, control->done_fd);
    if (result < 0) {
        stub_set_gone(stub);
        return result;
    }
    return result - 1;
}

/* ---- processes ------------------------------------------------------------------------------ */

/* A record with pages of its own and no process; from the spare ones if there are any. */
static struct stub *stub_record(struct ptrace_platform *platform)
{
    if (!list_is_empty(&platform->spare)) {
        struct stub *spare = container_of(platform->spare.next, struct stub, link);
        list_remove(&spare->link);
        return spare;
    }
    if (platform->stub_count == STUB_COUNT_MAX)
        return NULL;
    struct stub *stub = calloc(1, sizeof *stub);
    u32 slot_count = platform->base.cpu_count * STUB_SLOTS_PER_CPU;
    struct stub_thread *threads = calloc(slot_count, sizeof *threads);
    if (stub == NULL || threads == NULL) {
        free(stub);
        free(threads);
        return NULL;
    }
    stub->platform = platform;
    stub->threads = threads;
    stub->offset = STUB_CODE_SIZE + platform->stub_count++ * stub_pages_size(platform);
    stub->control = (struct stub_control *)(void *)(platform->control.base + stub->offset);
    stub->control->file_fd = platform->control.fd;
    stub->control->slots_size = stub_slots_size(platform);
    stub->control->closed_size = stub_closed_size(platform);
    pthread_mutex_init(&stub->edit, NULL);
    list_add_tail(&platform->all, &stub->all);
    stub->slot_count = slot_count;
    for (u32 i = 0; i < slot_count; i++) {
        threads[i].stub = stub;
        threads[i].cpu = &platform->cpus[i / STUB_SLOTS_PER_CPU];
        threads[i].slot = i;
    }
    return stub;
}

static void stub_free(struct stub *stub)
{
    for (u32 i = 0; i < stub->slot_count; i++)
        free(stub->threads[i].image);
    pthread_mutex_destroy(&stub->edit);
    free(stub->threads);
    free(stub);
}

static void reap(pid_t pid)
{
    int status = 0;
    pid_t got;
    do {
        got = waitpid(pid, &status, __WALL);
    } while ((got < 0 && errno == EINTR) ||
             (got == pid && !WIFEXITED(status) && !WIFSIGNALED(status)));
}

void stub_kill(struct stub *stub)
{
    struct ptrace_platform *platform = stub->platform;
    if (stub->pid) {
        kill(stub->pid, SIGKILL);
        for (u32 i = 0; i < stub->slot_count; i++) {
            struct stub_thread *thread = &stub->threads[i];
            if (thread->tid)
                reap(thread->tid);
            ASSERT(thread->context == NULL);
            thread->tid = 0;
            thread->is_traced = false;
        }
        reap(stub->pid);
    }
    stub->pid = 0;
    stub->request = 0;
    stub->control->request = 0;
    stub->left_count = 0;
    stub->left_is_unknown = false;
    stub->kept_count = 0;
    stub->is_gone = false;
    list_add_tail(&platform->spare, &stub->link);
}

/* Start STUB's process as a copy of the zygote. The zygote asks, the copy answers. */
static int stub_fork(struct stub *stub)
{
    struct stub *zygote = stub->platform->zygote;
    u32 done = stub->platform->base.cpu_count;
    zygote->control->child_offset = stub->offset;
    zygote->control->ops[0] = (struct stub_op){
        .kind = OP_FORK,
        .nr = SYS_clone,
        .args = {CLONE_PARENT | CLONE_PARENT_SETTID, 0, STUB_SLOTS},
    };
    int count = stub_request(zygote, done, 1);
    if (count != 1)
        return count < 0 ? count : -EAGAIN;
    stub->pid = (pid_t)*slot_tid(zygote, 0);
    stub->is_fresh = true;
    return 0;
}

/* Any that is alive. */
static struct stub *idle_take(struct ptrace_platform *platform)
{
    while (!list_is_empty(&platform->idle)) {
        struct stub *idle = container_of(platform->idle.next, struct stub, link);
        list_remove(&idle->link);
        platform->idle_count--;
        if (stub_is_alive(idle))
            return idle;
        stub_kill(idle);
    }
    return NULL;
}

/* One that suits; else the others are used in turn, unless there is but one: a process that forks
 * again and again, each child execing, does best with a stub for each of the two. NULL: make one.
 */
static struct stub *idle_choose(const struct ptrace_platform *platform,
                                const struct pagetable *table)
{
    struct stub *idle;
    list_for_each (idle, &platform->idle, link)
        if (stub_left_suits(idle, table))
            return idle;
    if (platform->idle_count < IDLE_COUNT_MIN)
        return NULL;
    return container_of(platform->idle.next, struct stub, link);
}

struct stub *stub_get(struct ptrace_platform *platform, const struct pagetable *table)
{
    struct stub *idle;
    while ((idle = idle_choose(platform, table)) != NULL) {
        list_remove(&idle->link);
        platform->idle_count--;
        if (stub_is_alive(idle))
            return idle;
        stub_kill(idle);
    }
    struct stub *stub = stub_record(platform);
    if (stub == NULL)
        return NULL;
    if (stub_fork(stub) == 0)
        return stub;
    list_add_tail(&platform->spare, &stub->link);
    return idle_take(platform);
}

void stub_put(struct stub *stub)
{
    struct ptrace_platform *platform = stub->platform;
    for (u32 i = 0; i < stub->slot_count; i++)
        xstate_evict(&stub->threads[i]);
    if (stub_is_gone(stub) || platform->idle_count == IDLE_COUNT_MAX) {
        stub_kill(stub);
        return;
    }
    list_add_tail(&platform->idle, &stub->link);
    platform->idle_count++;
}

/* ---- threads -------------------------------------------------------------------------------- */

int stub_thread_wait(struct stub_thread *thread)
{
    int status;
    pid_t got;
    do {
        got = waitpid(thread->tid, &status, __WALL);
    } while (got < 0 && errno == EINTR);
    if (got == thread->tid && WIFSTOPPED(status))
        return status;
    if (got == thread->tid)
        thread->tid = 0;
    stub_set_gone(thread->stub);
    return -ESRCH;
}

#define CODE_AT(label) (STUB_CODE + (u64)((label)-stub_code_start))

/* Let THREAD go on with the operations it has begun, until it has told how they ended. */
static enum stub_result edit_finish(struct stub_thread *thread)
{
    for (;;) {
        if (ptrace(PTRACE_CONT, thread->tid, NULL, NULL) != 0 && errno != ESRCH)
            break;
        int status = stub_thread_wait(thread);
        if (status < 0)
            return STUB_GONE;
        /* Signal and place tell; any other stop is a kick, or somebody's signal that is no concern
         * of ours. */
        errno = 0;
        u64 rip = (u64)ptrace(PTRACE_PEEKUSER, thread->tid, offsetof(struct regs, rip), NULL);
        if (errno)
            break;
        if (status >> 8 == SIGTRAP && rip == CODE_AT(stub_code_edit_done))
            return STUB_DONE;
        if (status >> 8 == SIGILL && rip == CODE_AT(stub_code_edit_failed))
            return STUB_FAILED;
    }
    stub_set_gone(thread->stub);
    return STUB_GONE;
}

/* Registers with which a thread makes COUNT operations from OPS, an address in the stub, on. */
static struct regs edit_regs(const struct stub_thread *thread, u64 ops, u32 count)
{
    const struct ptrace_platform *platform = thread->stub->platform;
    return (struct regs){
        .orig_rax = ~(u64)0,
        .rip = CODE_AT(stub_code_edit),
        .r12 = ops,
        .r13 = count,
        .r15 = platform->key_words[0],
        .rbp = platform->key_words[1],
        .cs = REGS_CS_USER,
        .ss = REGS_SS_USER,
        .eflags = EFLAGS_IF,
    };
}

/* Let THREAD itself make the first COUNT of control->ops. Both stay on one core then, which a busy
 * host does not grant to a third party like the helper. */
static enum stub_result thread_edit(struct stub_thread *thread, u32 count)
{
    struct regs regs = edit_regs(thread, STUB_CONTROL + CONTROL_OPS, count);
    thread->has_regs = false;
    if (ptrace(PTRACE_SETREGS, thread->tid, NULL, &regs) == 0)
        return edit_finish(thread);
    stub_set_gone(thread->stub);
    return STUB_GONE;
}

/* ---- flights -------------------------------------------------------------------------------- */

static u64 flight_address(const struct stub_thread *thread)
{
    return STUB_FLIGHTS + thread->slot * (u64)STUB_FLIGHT_SIZE;
}

static struct stub_flight *flight_of(const struct stub_thread *thread)
{
    u8 *flights = (u8 *)thread->stub->control + STUB_CONTROL_SIZE;
    return (struct stub_flight *)(void *)(flights + thread->slot * (u64)STUB_FLIGHT_SIZE);
}

void stub_lock(struct stub *stub)
{
    if (pthread_mutex_trylock(&stub->edit) == 0)
        return;
    __atomic_fetch_add(&stub->waiters, 1, __ATOMIC_SEQ_CST);
    pid_t flying = __atomic_load_n(&stub->flying, __ATOMIC_SEQ_CST);
    if (flying)
        syscall(SYS_tgkill, stub->pid, flying, SIGNAL_KICK);
    pthread_mutex_lock(&stub->edit);
    __atomic_fetch_sub(&stub->waiters, 1, __ATOMIC_SEQ_CST);
}

void flight_prepare(struct stub_thread *thread, u32 count)
{
    ASSERT(count > 0 && count <= STUB_FLIGHT_OPS_MAX && thread->flight_count == 0);
    memcpy(flight_of(thread)->ops, thread->stub->control->ops, count * sizeof(struct stub_op));
    thread->flight_count = count;
}

bool flight_begin(struct stub_thread *thread, const struct regs *regs)
{
    struct stub *stub = thread->stub;
    struct regs first = edit_regs(thread, flight_address(thread) + FLIGHT_OPS,
                                  thread->flight_count);
    __atomic_store_n(&stub->flying, thread->tid, __ATOMIC_SEQ_CST);
    if (__atomic_load_n(&stub->waiters, __ATOMIC_SEQ_CST))
        return false;
    flight_of(thread)->regs = *regs;
    first.rbx = flight_address(thread);
    memcpy(&first.fs_base, &regs->fs_base, sizeof *regs - offsetof(struct regs, fs_base));
    thread->has_regs = false;
    return ptrace(PTRACE_SETREGS, thread->tid, NULL, &first) == 0;
}

enum stub_result flight_land(struct stub_thread *thread, int status, bool *has_landed)
{
    const struct ptrace_platform *platform = thread->stub->platform;
    struct regs *regs = &thread->regs;
    u64 rip = regs->rip;
    bool has_keys = regs->r15 == platform->key_words[0] && regs->rbp == platform->key_words[1];
    bool is_taking = regs->rsp - flight_address(thread) < sizeof *regs;
    *has_landed = rip < CODE_AT(stub_code_edit) || rip >= CODE_AT(stub_code_land_end) ||
                  !(has_keys || is_taking);
    if (*has_landed)
        return STUB_DONE;
    thread->has_regs = false;
    if (status >> 8 == SIGILL && rip == CODE_AT(stub_code_edit_failed))
        return STUB_FAILED;
    if (rip >= CODE_AT(stub_code_edit_over) && rip != CODE_AT(stub_code_edit_failed))
        return STUB_DONE;
    regs->rbx = 0; /* a kick came before they were made: no further than that */
    if (ptrace(PTRACE_SETREGS, thread->tid, NULL, regs) == 0)
        return edit_finish(thread);
    stub_set_gone(thread->stub);
    return STUB_GONE;
}

enum stub_result flight_settle(struct stub_thread *thread)
{
    memcpy(thread->stub->control->ops, flight_of(thread)->ops,
           thread->flight_count * sizeof(struct stub_op));
    return stub_edit(thread->stub, thread, thread->flight_count);
}

struct stub_thread *stub_thread_find(struct stub *stub)
{
    for (u32 i = 0; i < stub->slot_count; i++)
        if (stub->threads[i].is_traced && cpu_is_ours(stub->threads[i].cpu))
            return &stub->threads[i];
    return NULL;
}

enum stub_result stub_edit(struct stub *stub, struct stub_thread *thread, u32 count)
{
    if (stub_is_gone(stub))
        return STUB_GONE;
    if (thread)
        return thread_edit(thread, count);
    int done = stub_request(stub, stub->platform->base.cpu_count, count);
    return done < 0 ? STUB_GONE : done == (int)count ? STUB_DONE : STUB_FAILED;
}

/* Let the helper make THREAD; its number or -errno. */
static pid_t thread_clone(const struct stub_thread *thread)
{
    struct stub *stub = thread->stub;
    u64 slot = STUB_SLOTS + thread->slot * (u64)STUB_SLOT_SIZE;
    u32 count = 0;
    stub_lock(stub);
    if (stub->is_fresh)
        stub->control->ops[count++] = (struct stub_op){.nr = SYS_prctl,
                                                       .args = {PR_SET_PDEATHSIG, SIGKILL}};
    stub->is_fresh = false;
    stack_t stack = {
        .ss_sp = (void *)(slot + STUB_SLOT_STACK),
        .ss_size = STUB_SLOT_SIZE - STUB_SLOT_STACK,
    };
    u64 stack_at = STUB_CONTROL + CONTROL_OPS + (count + 1) * (u64)OP_SIZE;
    memcpy(&stub->control->ops[count + 1], &stack, sizeof stack);
    stub->control->ops[count++] = (struct stub_op){
        .kind = OP_THREAD,
        .nr = SYS_clone,
        .args = {THREAD_FLAGS, 0, slot, 0, 0, stack_at},
    };
    int done = stub_request(stub, thread->cpu->base.index, count);
    pid_t tid = (pid_t)__atomic_load_n(slot_tid(stub, thread->slot), __ATOMIC_RELAXED);
    pthread_mutex_unlock(&stub->edit);
    if (done != (int)count)
        return done < 0 ? done : -EAGAIN;
    /* An application may have written here; so the number is judged: a thread of this process, no
     * helper, and (PTRACE_SEIZE sees to that) not traced yet. */
    if (tid == stub->pid || syscall(SYS_tgkill, stub->pid, tid, 0) != 0)
        return -ESRCH;
    return tid;
}

/* The thread for CONTEXT: where its state is; else one without a context; else a new one, or the
 * next. */
static struct stub_thread *thread_choose(struct stub *stub, struct ptrace_cpu *cpu,
                                         const struct context *context)
{
    struct stub_thread *threads = &stub->threads[cpu->base.index * STUB_SLOTS_PER_CPU];
    struct stub_thread *home = context->xstate_home;
    if (home && home->stub == stub && home->cpu == cpu)
        return home;
    for (u32 i = 0; i < STUB_SLOTS_PER_CPU; i++)
        if (threads[i].context == NULL)
            return &threads[i];
    return &threads[cpu->victim++ % STUB_SLOTS_PER_CPU];
}

struct stub_thread *stub_thread_get(struct stub *stub, struct ptrace_cpu *cpu,
                                    const struct context *context)
{
    if (stub_is_gone(stub))
        return NULL;
    struct stub_thread *thread = thread_choose(stub, cpu, context);
    if (thread->is_traced)
        return thread;
    pid_t tid = thread->tid ? thread->tid : thread_clone(thread);
    if (tid < 0)
        return NULL;
    if (ptrace(PTRACE_SEIZE, tid, NULL, THREAD_OPTIONS) != 0)
        goto gone;
    thread->tid = tid;
    thread->is_traced = true;
    thread->has_regs = false;
    thread->xstate_is_stale = true;
    thread->xstate_is_near = false;
    if (ptrace(PTRACE_INTERRUPT, tid, NULL, NULL) != 0 || stub_thread_wait(thread) < 0)
        goto gone;
    if (!xstate_prepare(thread))
        goto gone;
    return thread;

gone:
    stub_set_gone(stub);
    return NULL;
}

/* Set the stopped THREAD to the place where untraced threads wait, and let it go. */
static void thread_park(struct stub_thread *thread)
{
    const struct ptrace_platform *platform = thread->stub->platform;
    struct regs regs = {
        .orig_rax = ~(u64)0,
        .rip = CODE_AT(stub_code_park),
        .r13 = platform->key_words[0],
        .r12 = platform->key_words[1],
        .cs = REGS_CS_USER,
        .ss = REGS_SS_USER,
        .eflags = EFLAGS_IF,
    };
    thread->is_traced = false;
    if (ptrace(PTRACE_SETREGS, thread->tid, NULL, &regs) != 0 ||
        ptrace(PTRACE_DETACH, thread->tid, NULL, NULL) != 0)
        stub_set_gone(thread->stub);
}

void stubs_detach(struct ptrace_cpu *cpu)
{
    struct list *all = &container_of(cpu->base.platform, struct ptrace_platform, base)->all;
    for (struct list *link = all->next; link != all; link = link->next) {
        struct stub *stub = container_of(link, struct stub, all);
        struct stub_thread *threads = &stub->threads[cpu->base.index * STUB_SLOTS_PER_CPU];
        for (u32 i = 0; i < STUB_SLOTS_PER_CPU; i++) {
            xstate_evict(&threads[i]);
            if (threads[i].is_traced && !stub_is_gone(stub))
                thread_park(&threads[i]);
        }
    }
}

/* ---- the platform's part -------------------------------------------------------------------- */

static int done_fds_create(struct ptrace_platform *platform)
{
    u32 count = platform->base.cpu_count + 1;
    platform->done_fds = calloc(count, sizeof *platform->done_fds);
    if (platform->done_fds == NULL)
        return -ENOMEM;
    for (u32 i = 0; i < count; i++)
        platform->done_fds[i] = -1;
    for (u32 i = 0; i < count; i++) {
        platform->done_fds[i] = eventfd(0, EFD_CLOEXEC);
        if (platform->done_fds[i] < 0)
            return -errno;
    }
    return 0;
}

static int zygote_create(struct ptrace_platform *platform)
{
    struct stub *zygote = stub_record(platform);
    if (zygote == NULL)
        return -ENOMEM;
    platform->zygote = zygote;
    int done_fd = platform->done_fds[platform->base.cpu_count];
    pid_t pid = zygote_start(platform, zygote->offset, done_fd);
    if (pid < 0)
        return pid;
    zygote->pid = pid;
    return done_wait(zygote, done_fd) < 0 ? -ESRCH : 0;
}

static int keys_choose(struct ptrace_platform *platform)
{
    for (u32 i = 0; i < 2; i++) {
        do {
            if (getrandom(&platform->keys[i], sizeof platform->keys[i], 0) < 0)
                return -errno;
        } while (platform->keys[i] == 0);
        platform->key_words[i] = (u64)platform->keys[i] << 32;
    }
    return 0;
}

int stubs_init(struct ptrace_platform *platform, char *err_text, size_t err_size)
{
    list_init(&platform->all);
    list_init(&platform->idle);
    list_init(&platform->spare);
    if (platform->base.cpu_count > STUB_SLOT_COUNT_MAX / STUB_SLOTS_PER_CPU) {
        snprintf(err_text, err_size, "platform ptrace has at most %d cpus",
                 STUB_SLOT_COUNT_MAX / STUB_SLOTS_PER_CPU);
        return -EINVAL;
    }
    int err = keys_choose(platform);
    if (err) {
        snprintf(err_text, err_size, "platform ptrace gets no random numbers: %s", strerror(-err));
        return err;
    }
    u64 frame_count = 1 + STUB_COUNT_MAX * (stub_pages_size(platform) >> PAGE_SHIFT);
    err = machine_memory_create("picket-stubs", frame_count, &platform->control);
    if (!err) {
        ASSERT(stub_code_end - stub_code_start <= STUB_CODE_SIZE);
        memcpy(platform->control.base, stub_code_start, (size_t)(stub_code_end - stub_code_start));
        err = done_fds_create(platform);
    }
    if (!err)
        err = zygote_create(platform);
    if (err) {
        snprintf(err_text, err_size, "cannot make the first stub process of platform ptrace: %s",
                 strerror(-err));
        stubs_fini(platform);
    }
    return err;
}

void stubs_fini(struct ptrace_platform *platform)
{
    while (!list_is_empty(&platform->idle)) {
        struct stub *stub = container_of(platform->idle.next, struct stub, link);
        list_remove(&stub->link);
        stub_kill(stub);
    }
    if (platform->zygote)
        stub_kill(platform->zygote);
    while (!list_is_empty(&platform->spare)) {
        struct stub *stub = container_of(platform->spare.next, struct stub, link);
        list_remove(&stub->link);
        stub_free(stub);
    }
    for (u32 i = 0; platform->done_fds && i <= platform->base.cpu_count; i++)
        if (platform->done_fds[i] >= 0)
            close(platform->done_fds[i]);
    free(platform->done_fds);
    machine_memory_destroy(&platform->control);
}

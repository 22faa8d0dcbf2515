/* SPDX-License-Identifier: Apache-2.0 */
/*
 * spec/platform.md's rows about two cpus, each with a host thread of its own, and about limits of
 * the host. A mutex stands for the kernel lock, held as the sentry holds it.
 */
#include "platform/contract.h"
#include <pthread.h>
#include <sched.h>

static const char *platform_now;

#define SNIPPET(name, code)                                                             \
    __asm__(".pushsection .rodata\n" #name ":\n" code "\n" #name "_end:\n.popsection"); \
    extern const u8 name[], name##_end[]
#define BYTES(name) ((struct bytes){name, (size_t)(name##_end - name)})

#define R PROT_READ_BIT
#define W PROT_WRITE_BIT
#define X PROT_EXEC_BIT

/* A cpu's host thread: runs its guest while it is on, and keeps count of what it saw. */
struct worker {
    struct rig *rig;
    struct guest *guest;
    u32 index;
    pthread_t thread;
    pthread_mutex_t *lock; /* guards what follows */
    bool is_on;
    bool must_end;
    bool is_inside; /* between cpu_enter and cpu_leave */
    u64 counts[5];  /* of events by type */
    struct event last;
    void (*on_fault)(struct worker *worker, struct event *event); /* NULL: turn off */
};

static void worker_step(struct worker *worker)
{
    struct event event;
    struct cpu *cpu = platform_cpu(worker->rig->platform, worker->index);
    cpu_enter(cpu, worker->guest->space, &worker->guest->context);
    worker->is_inside = true;
    pthread_mutex_unlock(worker->lock);
    cpu_run(cpu, &event);
    pthread_mutex_lock(worker->lock);
    cpu_leave(cpu);
    worker->is_inside = false;
    worker->counts[event.type]++;
    worker->last = event;
    if (event.type == EVENT_FAULT && worker->on_fault)
        worker->on_fault(worker, &event);
    else if (event.type != EVENT_SYSCALL && event.type != EVENT_KICK)
        worker->is_on = false;
}

/* Let others have the lock: a mutex alone is not fair. */
static void lock_yield(pthread_mutex_t *lock)
{
    pthread_mutex_unlock(lock);
    sched_yield();
    pthread_mutex_lock(lock);
}

static void *worker_main(void *arg)
{
    struct worker *worker = arg;
    pthread_mutex_lock(worker->lock);
    rig_attach(worker->rig, worker->index);
    while (!worker->must_end) {
        if (worker->is_on)
            worker_step(worker);
        lock_yield(worker->lock);
    }
    rig_detach(worker->rig, worker->index);
    pthread_mutex_unlock(worker->lock);
    return NULL;
}

static void worker_start(struct worker *worker, struct guest *guest, u32 index,
                         pthread_mutex_t *lock)
{
    worker->rig = guest->rig;
    worker->guest = guest;
    worker->index = index;
    worker->lock = lock;
    worker->is_on = true;
    ASSERT(pthread_create(&worker->thread, NULL, worker_main, worker) == 0);
}

/* Wait until COUNT events of TYPE were seen, or the worker turned itself off. */
static void worker_wait(struct worker *worker, enum event_type type, u64 count)
{
    pthread_mutex_lock(worker->lock);
    while (worker->counts[type] < count && worker->is_on)
        lock_yield(worker->lock);
    pthread_mutex_unlock(worker->lock);
}

static void worker_wait_inside(struct worker *worker)
{
    struct timespec pause = {0, 5 * 1000 * 1000};
    pthread_mutex_lock(worker->lock);
    while (!worker->is_inside && worker->is_on)
        lock_yield(worker->lock);
    pthread_mutex_unlock(worker->lock);
    nanosleep(&pause, NULL);
}

/* Turn it off, and wait until it runs its guest no more. Its thread stays. */
static void worker_halt(struct worker *worker)
{
    pthread_mutex_lock(worker->lock);
    worker->is_on = false;
    if (worker->is_inside)
        cpu_kick(platform_cpu(worker->rig->platform, worker->index));
    while (worker->is_inside)
        lock_yield(worker->lock);
    pthread_mutex_unlock(worker->lock);
}

static void worker_end(struct worker *worker)
{
    pthread_mutex_lock(worker->lock);
    worker->must_end = true;
    pthread_mutex_unlock(worker->lock);
    pthread_join(worker->thread, NULL);
}

/* ---- two cpus ------------------------------------------------------------------------------- */

SNIPPET(cpus_count, "1: lock incq (%rbx); syscall; jmp 1b");

static void test_two_cpus_run_one_space_at_the_same_time(void)
{
    enum { CALLS = 3000 };
    struct rig rig;
    struct worker workers[2] = {0};
    struct guest guests[2];
    pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
    rig_create(&rig, platform_now, 2);
    guest_create(&guests[0], &rig, BYTES(cpus_count));
    guest_sibling(&guests[1], &guests[0]);
    u64 *data = (u64 *)(void *)guest_map(&guests[0], DATA_ADDRESS, 1, R | W);
    for (u32 i = 0; i < 2; i++) {
        guests[i].context.regs.rbx = DATA_ADDRESS;
        worker_start(&workers[i], &guests[i], i, &lock);
    }
    for (u32 i = 0; i < 2; i++)
        worker_wait(&workers[i], EVENT_SYSCALL, CALLS);
    for (u32 i = 0; i < 2; i++)
        worker_halt(&workers[i]);
    u64 done = workers[0].counts[EVENT_SYSCALL] + workers[1].counts[EVENT_SYSCALL];
    CU_ASSERT_TRUE(done >= 2 * CALLS);
    CU_ASSERT_TRUE(*data >= done &&
                   *data <= done + 2); /* a kick may come between the two instructions */
    CU_ASSERT_EQUAL(workers[0].last.type == EVENT_GONE || workers[1].last.type == EVENT_GONE,
                    false);
    context_forget(rig.platform, &guests[1].context);
    guest_destroy(&guests[0]);
    for (u32 i = 0; i < 2; i++)
        worker_end(&workers[i]);
    rig_destroy(&rig);
}

SNIPPET(cpus_store, "1: movq $7, (%rbx); jmp 1b");

/* No call, no fault: the entry goes away under its feet, and the frame may be used again after
 * that. */
static void test_an_unmapped_frame_is_out_of_reach_when_the_batch_is_done(void)
{
    struct rig rig;
    struct worker worker = {0};
    struct guest guest;
    pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
    rig_create(&rig, platform_now, 2);
    guest_create(&guest, &rig, BYTES(cpus_store));
    guest.context.regs.rbx = DATA_ADDRESS;
    u64 *data = (u64 *)(void *)guest_map(&guest, DATA_ADDRESS, 1, R | W);
    worker_start(&worker, &guest, 1, &lock);
    while (__atomic_load_n(data, __ATOMIC_ACQUIRE) != 7)
        sched_yield();
    pthread_mutex_lock(&lock);
    space_unmap(guest.space, uaddr_make(DATA_ADDRESS), 1);
    u64 batch = space_commit(guest.space);
    for (;;) {
        bool is_done = space_is_done(guest.space, batch);
        pthread_mutex_unlock(&lock);
        if (is_done)
            break;
        sched_yield();
        pthread_mutex_lock(&lock);
    }
    for (int i = 0; i < 200; i++) {
        __atomic_store_n(data, 9, __ATOMIC_RELEASE);
        sched_yield();
        CU_ASSERT_EQUAL(__atomic_load_n(data, __ATOMIC_ACQUIRE), 9);
    }
    worker_wait(&worker, EVENT_FAULT, 1);
    CU_ASSERT_EQUAL(worker.last.type, EVENT_FAULT);
    CU_ASSERT_EQUAL(worker.last.address, DATA_ADDRESS);
    CU_ASSERT_EQUAL(worker.last.access, W);
    worker_halt(&worker);
    guest_destroy(&guest);
    worker_end(&worker);
    rig_destroy(&rig);
}

/* A call, then a loop whose rcx and r11 no call leaves so, until (rbx) is not 0; then another call.
 */
SNIPPET(cpus_after_call,
        "syscall; mov $5, %ecx; mov $6, %r11d;"
        "1: cmp $5, %rcx; jne 2f; cmp $6, %r11; jne 2f; cmpq $0, (%rbx); je 1b; syscall;"
        "3: jmp 3b; 2: ud2");

static void edit_and_wait(struct guest *guest, u64 address, pthread_mutex_t *lock)
{
    pthread_mutex_lock(lock);
    space_unmap(guest->space, uaddr_make(address), 1);
    u64 batch = space_commit(guest->space);
    while (!space_is_done(guest->space, batch))
        sched_yield();
    pthread_mutex_unlock(lock);
}

/* The lock is held until the batch is done, as the sentry does it. */
static void test_edits_leave_the_registers_of_a_running_cpu_alone(void)
{
    enum { PAGES = 30 };
    struct rig rig;
    struct worker worker = {0};
    struct guest guest;
    pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
    rig_create(&rig, platform_now, 2);
    guest_create(&guest, &rig, BYTES(cpus_after_call));
    guest.context.regs.rbx = DATA_ADDRESS;
    u64 *data = (u64 *)(void *)guest_map(&guest, DATA_ADDRESS, 1, R | W);
    (void)guest_map(&guest, DATA_ADDRESS + PAGE_SIZE, PAGES, R | W);
    worker_start(&worker, &guest, 1, &lock);
    worker_wait(&worker, EVENT_SYSCALL, 1);
    for (u64 i = 1; i <= PAGES; i++) {
        worker_wait_inside(&worker);
        edit_and_wait(&guest, DATA_ADDRESS + i * PAGE_SIZE, &lock);
    }
    __atomic_store_n(data, 1, __ATOMIC_RELEASE);
    worker_wait(&worker, EVENT_SYSCALL, 2);
    CU_ASSERT_TRUE(worker.is_on);
    CU_ASSERT_EQUAL(worker.counts[EVENT_FAULT] + worker.counts[EVENT_EXCEPTION], 0);
    CU_ASSERT_EQUAL(worker.counts[EVENT_SYSCALL], 2);
    worker_halt(&worker);
    guest_destroy(&guest);
    worker_end(&worker);
    rig_destroy(&rig);
}

/* A call, so that both cpus have all that they need, then the code pages at rbx. */
SNIPPET(cpus_chain, "syscall; jmp *%rbx");

/* COUNT pages of code with a gap behind each: a store to the stack and a jump to the next one, and
 * calls at the end. */
static void chain_write(struct guest *guest, u64 address, u64 count)
{
    static const u8 start[] = {0x50, 0x58, 0xe9};     /* push %rax; pop %rax; jmp */
    static const u8 end[] = {0x0f, 0x05, 0xeb, 0xfc}; /* 1: syscall; jmp 1b */
    const i32 distance = 2 * PAGE_SIZE - (i32)sizeof start - 4;
    for (u64 i = 0; i < count; i++) {
        u8 *page = guest_map(guest, address + 2 * i * PAGE_SIZE, 1, R | X);
        memcpy(page, start, sizeof start);
        memcpy(page + sizeof start, &distance, sizeof distance);
        if (i + 1 == count)
            memcpy(page, end, sizeof end);
    }
}

/* Pages come in some at a time: what one cpu is only about to map is no fault of the other. */
static void test_cpus_meet_pages_that_are_just_mapped(void)
{
    enum { ROUNDS = 30, PAGES = 300 };
    struct rig rig;
    u64 faults = 0;
    rig_create(&rig, platform_now, 2);
    for (u32 round = 0; round < ROUNDS; round++) {
        struct worker workers[2] = {0};
        struct guest guests[2];
        pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
        guest_create(&guests[0], &rig, BYTES(cpus_chain));
        guest_sibling(&guests[1], &guests[0]);
        (void)guest_map(&guests[0], DATA_ADDRESS, 2, R | W); /* a stack for each */
        chain_write(&guests[0], DATA_ADDRESS + 4 * PAGE_SIZE, PAGES);
        for (u32 i = 0; i < 2; i++) {
            guests[i].context.regs.rbx = DATA_ADDRESS + 4 * PAGE_SIZE;
            guests[i].context.regs.rsp = DATA_ADDRESS + (i + 1) * PAGE_SIZE;
            worker_start(&workers[i], &guests[i], i, &lock);
        }
        for (u32 i = 0; i < 2; i++)
            worker_wait(&workers[i], EVENT_SYSCALL, 2);
        for (u32 i = 0; i < 2; i++) {
            worker_halt(&workers[i]);
            faults += workers[i].counts[EVENT_FAULT] + workers[i].counts[EVENT_EXCEPTION];
        }
        context_forget(rig.platform, &guests[1].context);
        guest_destroy(&guests[0]);
        for (u32 i = 0; i < 2; i++)
            worker_end(&workers[i]);
    }
    CU_ASSERT_EQUAL(faults, 0);
    rig_destroy(&rig);
}

SNIPPET(cpus_spin, "1: inc %rax; jmp 1b");

static void test_a_space_is_torn_down_while_another_cpu_runs_it(void)
{
    for (int round = 0; round < 5; round++) {
        struct rig rig;
        struct worker worker = {0};
        struct guest guest, other;
        pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
        rig_create(&rig, platform_now, 2);
        rig_attach(&rig, 0);
        guest_create(&guest, &rig, BYTES(cpus_spin));
        worker_start(&worker, &guest, 1, &lock);
        worker_wait_inside(&worker);
        pthread_mutex_lock(&lock);
        space_unmap(guest.space, uaddr_make(SPACE_ADDRESS_MIN),
                    (SPACE_ADDRESS_END - SPACE_ADDRESS_MIN) >> PAGE_SHIFT);
        (void)space_commit(guest.space);
        pthread_mutex_unlock(&lock);
        worker_wait(&worker, EVENT_FAULT, 1); /* nothing is left to execute */
        CU_ASSERT_EQUAL(worker.last.type, EVENT_FAULT);
        CU_ASSERT_EQUAL(worker.last.access, X);
        worker_halt(&worker);
        pthread_mutex_lock(&lock);
        guest_destroy(&guest);
        /* What the space used is fit for the next one. */
        guest_create(&other, &rig, BYTES(cpus_count));
        other.context.regs.rbx = DATA_ADDRESS;
        ASSERT_FAULT(guest_run(&other, 0), DATA_ADDRESS, W);
        (void)guest_map(&other, DATA_ADDRESS, 1, R | W);
        ASSERT_SYSCALL(guest_run(&other, 0));
        guest_destroy(&other);
        pthread_mutex_unlock(&lock);
        worker_end(&worker);
        rig_detach(&rig, 0);
        rig_destroy(&rig);
    }
}

SNIPPET(cpus_walk,
        "1: lock incq (%rbx); add $4096, %rbx; dec %rdx; jnz 1b; mov %r12, %rbx; mov %r13, %rdx;"
        "inc %r14; syscall; jmp 1b");

#define WALK_PAGES 64u

static void walk_fault(struct worker *worker, struct event *event)
{
    u64 at = event->address & PAGE_MASK;
    ASSERT(at >= DATA_ADDRESS && at < DATA_ADDRESS + WALK_PAGES * PAGE_SIZE);
    ASSERT(space_map(worker->guest->space, uaddr_make(at), rig_frames(worker->rig, 1), 1, R | W) ==
           0);
    (void)space_commit(worker->guest->space);
}

/* One cpu walks and fills, the other one's owner takes pages away. */
static void test_edits_of_one_cpu_meet_the_faults_of_the_other(void)
{
    struct rig rig;
    struct worker workers[2] = {0};
    struct guest guests[2];
    pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
    rig_create(&rig, platform_now, 2);
    guest_create(&guests[0], &rig, BYTES(cpus_walk));
    guest_sibling(&guests[1], &guests[0]);
    for (u32 i = 0; i < 2; i++) {
        struct regs *regs = &guests[i].context.regs;
        regs->rbx = regs->r12 = DATA_ADDRESS;
        regs->rdx = regs->r13 = WALK_PAGES;
        workers[i].on_fault = walk_fault;
        worker_start(&workers[i], &guests[i], i, &lock);
    }
    for (u64 i = 0; i < 400; i++) {
        pthread_mutex_lock(&lock);
        u64 page = i * 13 % WALK_PAGES;
        u64 count = MIN(i % 5 + 1, WALK_PAGES - page);
        if (i % 3)
            space_unmap(guests[0].space, uaddr_make(DATA_ADDRESS + page * PAGE_SIZE), count);
        else
            space_protect(guests[0].space, uaddr_make(DATA_ADDRESS + page * PAGE_SIZE), count, R);
        (void)space_commit(guests[0].space);
        bool has_stopped = !workers[0].is_on || !workers[1].is_on;
        pthread_mutex_unlock(&lock);
        if (has_stopped)
            break;
        sched_yield();
    }
    u64 seen[2];
    for (u32 i = 0; i < 2; i++) {
        pthread_mutex_lock(&lock);
        seen[i] = workers[i].counts[EVENT_SYSCALL];
        CU_ASSERT_TRUE(workers[i].is_on);
        pthread_mutex_unlock(&lock);
        worker_wait(&workers[i], EVENT_SYSCALL, seen[i] + 20); /* both still get on */
    }
    for (u32 i = 0; i < 2; i++)
        worker_halt(&workers[i]);
    CU_ASSERT_EQUAL(workers[0].counts[EVENT_GONE] + workers[1].counts[EVENT_GONE], 0);
    CU_ASSERT_EQUAL(workers[0].counts[EVENT_EXCEPTION] + workers[1].counts[EVENT_EXCEPTION], 0);
    context_forget(rig.platform, &guests[1].context);
    guest_destroy(&guests[0]);
    for (u32 i = 0; i < 2; i++)
        worker_end(&workers[i]);
    rig_destroy(&rig);
}

SNIPPET(cpus_add, "1: paddq %xmm1, %xmm0; movq %xmm0, %rdi; syscall; jmp 1b");

/* A context is run by one cpu and then by the other, again and again. */
static void test_extended_state_moves_between_cpus(void)
{
    enum { ROUNDS = 60 };
    struct rig rig;
    struct worker worker = {0};
    struct guest guest;
    pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
    u64 one = 1;
    rig_create(&rig, platform_now, 2);
    rig_attach(&rig, 0);
    guest_create(&guest, &rig, BYTES(cpus_add));
    memcpy(guest.xstate.bytes + 176, &one, sizeof one);
    guest.xstate.bytes[XSTATE_HEADER_OFFSET] = 2;
    worker_start(&worker, &guest, 1, &lock);
    for (u64 round = 1; round <= ROUNDS; round++) {
        worker_wait(&worker, EVENT_SYSCALL, round * 3);
        worker_halt(&worker);
        pthread_mutex_lock(&lock);
        u64 low;
        if (round % 2) { /* ask for a state that lives on the other cpu */
            context_sync(&guest.context);
            memcpy(&low, guest.xstate.bytes + 160, sizeof low);
        } else { /* take it along */
            low = guest.context.regs.rdi;
        }
        struct event event = guest_run(&guest, 0);
        ASSERT_SYSCALL(event);
        CU_ASSERT_TRUE(guest.context.regs.rdi - low <= 1); /* 0: the kick came between the two */
        CU_ASSERT_TRUE(low >= worker.counts[EVENT_SYSCALL]);
        worker.is_on = true;
        pthread_mutex_unlock(&lock);
    }
    worker_halt(&worker);
    pthread_mutex_lock(&lock);
    context_sync(&guest.context);
    u64 low;
    memcpy(&low, guest.xstate.bytes + 160, sizeof low);
    u64 calls = worker.counts[EVENT_SYSCALL] + ROUNDS;
    CU_ASSERT_TRUE(low == calls || low == calls + 1);
    guest_destroy(&guest);
    pthread_mutex_unlock(&lock);
    worker_end(&worker);
    rig_detach(&rig, 0);
    rig_destroy(&rig);
}

/* In simulation one host thread is all cpus. */
static void test_one_thread_may_be_all_cpus(void)
{
    enum { COUNT = 3 };
    struct rig rig;
    struct guest guest;
    rig_create(&rig, platform_now, COUNT);
    for (u32 i = 0; i < COUNT; i++)
        rig_attach(&rig, i);
    guest_create(&guest, &rig, BYTES(cpus_add));
    u64 one = 1;
    memcpy(guest.xstate.bytes + 176, &one, sizeof one);
    guest.xstate.bytes[XSTATE_HEADER_OFFSET] = 2;
    for (u64 i = 0; i < 60; i++) {
        ASSERT_SYSCALL(guest_run(&guest, (u32)(i * i % COUNT)));
        CU_ASSERT_EQUAL(guest.context.regs.rdi, i + 1);
    }
    cpu_kick(platform_cpu(rig.platform, 1)); /* a kick is one cpu's own */
    ASSERT_SYSCALL(guest_run(&guest, 0));
    ASSERT_KICK(guest_run(&guest, 1));
    guest_destroy(&guest);
    for (u32 i = 0; i < COUNT; i++)
        rig_detach(&rig, i);
    rig_destroy(&rig);
}

/* ---- the host's limits ---------------------------------------------------------------------- */

/* rdx reads at rbx, rbx + r13, …, which shall be r12, r12 - r14, … */
SNIPPET(cpus_touch,
        "1: mov (%rbx), %rax; cmp %rax, %r12; jne 2f; sub %r14, %r12; add %r13, %rbx; dec %rdx;"
        "jnz 1b; xor %edi, %edi; syscall; 2: mov $1, %edi; syscall");

static u64 host_mapping_limit(void)
{
    u64 limit = 65530;
    FILE *file = fopen("/proc/sys/vm/max_map_count", "re");
    if (file) {
        if (fscanf(file, "%lu", &limit) != 1)
            limit = 65530;
        fclose(file);
    }
    return limit;
}

/* Read COUNT words STEP pages apart from page INDEX on; page i holds TOP - i. */
static bool touch(struct guest *guest, u64 index, u64 count, u64 step, u64 top)
{
    struct regs *regs = &guest->context.regs;
    regs->rip = CODE_ADDRESS;
    regs->rbx = DATA_ADDRESS + index * PAGE_SIZE;
    regs->rdx = count;
    regs->r12 = top - index;
    regs->r13 = step * PAGE_SIZE;
    regs->r14 = step;
    struct event event = guest_run(guest, 0);
    return event.type == EVENT_SYSCALL && regs->rdi == 0;
}

/* Frames run backwards, so that on the host every page is a mapping of its own. */
static void test_there_may_be_more_mappings_than_the_host_allows(void)
{
    const u64 step = 1024, stride = 64;
    u64 count = ALIGN_UP(host_mapping_limit() + 2 * step, step);
    if (count > 100000) {
        CU_PASS("the limit of this host is too high to meet here");
        return;
    }
    struct rig rig;
    struct guest guest;
    rig_create(&rig, platform_now, 1);
    rig_attach(&rig, 0);
    guest_create(&guest, &rig, BYTES(cpus_touch));
    frame first = rig_frames(&rig, count);
    ASSERT(machine_populate(&rig.memory, first, count) == 0);
    for (u64 i = 0; i < count; i++)
        *(u64 *)machine_frame(&rig.memory, (frame){first.index + i}) = count - i;

    /* A plain mapping that the platform's cache gets to know, and then its pages the other way
     * round. */
    ASSERT(space_map(guest.space, uaddr_make(DATA_ADDRESS), first, count, R) == 0);
    (void)space_commit(guest.space);
    CU_ASSERT_TRUE(touch(&guest, 0, count / stride, stride, count));
    for (u64 i = 0; i < count; i++)
        *(u64 *)machine_frame(&rig.memory, (frame){first.index + i}) = i + 1;
    for (u64 at = 0; at < count; at += step) {
        for (u64 i = at; i < at + step; i++)
            ASSERT(space_map(guest.space, uaddr_make(DATA_ADDRESS + i * PAGE_SIZE),
                             (frame){first.index + count - 1 - i}, 1, R) == 0);
        (void)space_commit(guest.space);
        CU_ASSERT_TRUE(touch(&guest, at, step / stride, stride, count));
        CU_ASSERT_TRUE(touch(&guest, at + step - 1, 1, 1, count));
    }
    CU_ASSERT_TRUE(touch(&guest, 0, count / (8 * stride), 8 * stride, count));
    guest_destroy(&guest);
    rig_detach(&rig, 0);
    rig_destroy(&rig);
}

static CU_TestInfo cpu_tests[] = {
    {"PP1 two cpus run one space at the same time", test_two_cpus_run_one_space_at_the_same_time},
    {"PP2 an unmapped frame is out of reach when the batch is done",
     test_an_unmapped_frame_is_out_of_reach_when_the_batch_is_done},
    {"PP3 a space is torn down while another cpu runs it",
     test_a_space_is_torn_down_while_another_cpu_runs_it},
    {"PP4 edits of one cpu meet the faults of the other",
     test_edits_of_one_cpu_meet_the_faults_of_the_other},
    {"PP5 extended state moves between cpus", test_extended_state_moves_between_cpus},
    {"PP6 one thread may be all cpus", test_one_thread_may_be_all_cpus},
    {"PP8 edits leave the registers of a running cpu alone",
     test_edits_leave_the_registers_of_a_running_cpu_alone},
    {"PP9 cpus meet pages that are just mapped", test_cpus_meet_pages_that_are_just_mapped},
    {"PL1 there may be more mappings than the host allows",
     test_there_may_be_more_mappings_than_the_host_allows},
    CU_TEST_INFO_NULL,
};

#define SUITE_START(index)                   \
    static int suite_start_##index(void)     \
    {                                        \
        platform_now = platform_name(index); \
        return 0;                            \
    }
SUITE_START(0)
SUITE_START(1)
SUITE_START(2)
static int (*const suite_starts[])(void) = {suite_start_0, suite_start_1, suite_start_2};

void contract_cpus_suite(void);
void contract_cpus_suite(void)
{
    static char names[ARRAY_COUNT(suite_starts)][64];
    for (u32 i = 0; i < ARRAY_COUNT(suite_starts) && platform_name(i); i++) {
        if (strcmp(platform_name(i), "script") == 0)
            continue;
        snprintf(names[i], sizeof names[i], "platform contract, cpus: %s", platform_name(i));
        CU_SuiteInfo suites[] = {
            {names[i], suite_starts[i], NULL, NULL, NULL, cpu_tests},
            CU_SUITE_INFO_NULL,
        };
        ASSERT(CU_register_suites(suites) == CUE_SUCCESS);
        suite_check(names[i], platform_name(i));
    }
}

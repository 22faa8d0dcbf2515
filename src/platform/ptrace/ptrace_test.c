/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What only ptrace has: stub processes that die, what they can reach, their pool. Looks inside; the
 * contract is held by the suites beside platform.h.
 */
#include "platform/contract.h"
#include "platform/ptrace/internal.h"
#include <dirent.h>
#include <errno.h>
#include <pthread.h>
#include <stdlib.h>
#include <sys/wait.h>

static const u8 code_call[] = {0x0f, 0x05, 0xeb, 0xfc};
static const u8 code_spin[] = {0xeb, 0xfe};

static void setup(struct rig *rig, struct guest *guest, struct bytes code)
{
    rig_create(rig, "ptrace", 1);
    rig_attach(rig, 0);
    guest_create(guest, rig, code);
}

static void teardown(struct rig *rig, struct guest *guest)
{
    guest_destroy(guest);
    rig_detach(rig, 0);
    rig_destroy(rig);
}

static struct stub *stub_of(const struct guest *guest)
{
    return container_of(guest->space, struct ptrace_space, base)->stub;
}

static struct ptrace_platform *ptrace_of(const struct rig *rig)
{
    return container_of(rig->platform, struct ptrace_platform, base);
}

/* ---- death ---------------------------------------------------------------------------------- */

static void test_a_killed_stub_is_gone_and_others_are_not(void)
{
    struct rig rig;
    struct guest guest, other;
    setup(&rig, &guest, (struct bytes){code_call, sizeof code_call});
    guest_create(&other, &rig, (struct bytes){code_call, sizeof code_call});
    ASSERT_SYSCALL(guest_run(&guest, 0));
    ASSERT_SYSCALL(guest_run(&other, 0));
    kill(stub_of(&guest)->pid, SIGKILL);
    for (int i = 0; i < 3; i++)
        CU_ASSERT_EQUAL(guest_run(&guest, 0).type, EVENT_GONE);
    context_sync(&guest.context);
    ASSERT_SYSCALL(guest_run(&other, 0));
    guest_destroy(&guest);
    guest_create(&guest, &rig, (struct bytes){code_call, sizeof code_call});
    ASSERT_SYSCALL(guest_run(&guest, 0));
    guest_destroy(&other);
    teardown(&rig, &guest);
}

static void *kill_later(void *arg)
{
    struct timespec pause = {0, 20 * 1000 * 1000};
    nanosleep(&pause, NULL);
    kill(*(pid_t *)arg, SIGKILL);
    return NULL;
}

static void test_a_stub_killed_while_it_runs_is_gone(void)
{
    struct rig rig;
    struct guest guest;
    pthread_t thread;
    setup(&rig, &guest, (struct bytes){code_spin, sizeof code_spin});
    cpu_kick(platform_cpu(rig.platform, 0));
    ASSERT_KICK(guest_run(&guest, 0));
    pid_t pid = stub_of(&guest)->pid;
    ASSERT(pthread_create(&thread, NULL, kill_later, &pid) == 0);
    CU_ASSERT_EQUAL(guest_run(&guest, 0).type, EVENT_GONE);
    pthread_join(thread, NULL);
    teardown(&rig, &guest);
}

struct runner {
    struct guest *guest;
    u32 index;
    pthread_mutex_t *lock;
    enum event_type last;
};

static void *run_until_gone(void *arg)
{
    struct runner *runner = arg;
    struct cpu *cpu = platform_cpu(runner->guest->rig->platform, runner->index);
    struct event event = {.type = EVENT_KICK};
    pthread_mutex_lock(runner->lock);
    rig_attach(runner->guest->rig, runner->index);
    while (event.type == EVENT_KICK || event.type == EVENT_SYSCALL) {
        cpu_enter(cpu, runner->guest->space, &runner->guest->context);
        pthread_mutex_unlock(runner->lock);
        cpu_run(cpu, &event);
        pthread_mutex_lock(runner->lock);
        cpu_leave(cpu);
    }
    runner->last = event.type;
    rig_detach(runner->guest->rig, runner->index);
    pthread_mutex_unlock(runner->lock);
    return NULL;
}

/* The kernel reports a process's first thread only after all others; nobody may wait for the wrong
 * one. */
static void test_a_stub_killed_under_two_cpus_is_gone_for_both(void)
{
    for (int round = 0; round < 5; round++) {
        struct rig rig;
        struct guest guests[2];
        struct runner runners[2];
        pthread_t threads[2];
        pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
        rig_create(&rig, "ptrace", 2);
        guest_create(&guests[0], &rig, (struct bytes){code_spin, sizeof code_spin});
        guest_sibling(&guests[1], &guests[0]);
        for (u32 i = 0; i < 2; i++) {
            runners[i] = (struct runner){&guests[i], i, &lock, EVENT_KICK};
            ASSERT(pthread_create(&threads[i], NULL, run_until_gone, &runners[i]) == 0);
        }
        struct timespec pause = {0, 20 * 1000 * 1000};
        pid_t pid = 0;
        while (pid == 0) {
            nanosleep(&pause, NULL);
            pthread_mutex_lock(&lock);
            pid = stub_of(&guests[0]) ? stub_of(&guests[0])->pid : 0;
            pthread_mutex_unlock(&lock);
        }
        kill(pid, SIGKILL);
        for (u32 i = 0; i < 2; i++) {
            pthread_join(threads[i], NULL);
            CU_ASSERT_EQUAL(runners[i].last, EVENT_GONE);
        }
        context_forget(rig.platform, &guests[1].context);
        guest_destroy(&guests[0]);
        rig_destroy(&rig);
    }
}

static void test_a_stub_killed_before_an_edit_is_gone(void)
{
    struct rig rig;
    struct guest guest;
    setup(&rig, &guest, (struct bytes){code_call, sizeof code_call});
    ASSERT_SYSCALL(guest_run(&guest, 0));
    kill(stub_of(&guest)->pid, SIGKILL);
    guest_code(&guest, CODE_ADDRESS,
               (struct bytes){code_spin, sizeof code_spin}); /* needs the helper */
    CU_ASSERT_EQUAL(guest_run(&guest, 0).type, EVENT_GONE);
    teardown(&rig, &guest);
}

static void test_a_dead_stub_in_the_pool_is_not_lent(void)
{
    struct rig rig;
    struct guest guest;
    setup(&rig, &guest, (struct bytes){code_call, sizeof code_call});
    ASSERT_SYSCALL(guest_run(&guest, 0));
    pid_t pid = stub_of(&guest)->pid;
    guest_destroy(&guest);
    CU_ASSERT_EQUAL(ptrace_of(&rig)->idle_count, 1);
    kill(pid, SIGKILL);
    struct timespec pause = {0, 30 * 1000 * 1000};
    nanosleep(&pause, NULL);
    guest_create(&guest, &rig, (struct bytes){code_call, sizeof code_call});
    ASSERT_SYSCALL(guest_run(&guest, 0));
    CU_ASSERT_NOT_EQUAL(stub_of(&guest)->pid, pid);
    teardown(&rig, &guest);
}

static void test_without_a_zygote_there_are_no_new_spaces_but_no_harm(void)
{
    struct rig rig;
    struct guest guest, other;
    setup(&rig, &guest, (struct bytes){code_call, sizeof code_call});
    ASSERT_SYSCALL(guest_run(&guest, 0));
    kill(ptrace_of(&rig)->zygote->pid, SIGKILL);
    guest_create(&other, &rig, (struct bytes){code_call, sizeof code_call});
    CU_ASSERT_EQUAL(guest_run(&other, 0).type, EVENT_GONE);
    ASSERT_SYSCALL(guest_run(&guest, 0));
    guest_destroy(&other);
    teardown(&rig, &guest);
}

static void test_foreign_signals_are_nothing_to_the_program(void)
{
    static const int signals[] = {SIGSEGV, SIGTRAP, SIGTERM, SIGINT,
                                  SIGCHLD, SIGUSR1, SIGURG,  SIGWINCH};
    struct rig rig;
    struct guest guest;
    setup(&rig, &guest, (struct bytes){code_call, sizeof code_call});
    ASSERT_SYSCALL(guest_run(&guest, 0));
    for (size_t i = 0; i < ARRAY_COUNT(signals); i++) {
        struct stub *stub = stub_of(&guest);
        tgkill(stub->pid, stub->threads[0].tid, signals[i]);
        ASSERT_SYSCALL(guest_run(&guest, 0));
        CU_ASSERT_EQUAL(guest.context.regs.rip, CODE_ADDRESS + 2);
    }
    teardown(&rig, &guest);
}

/* ---- what a program can reach --------------------------------------------------------------- */

static void test_a_stub_has_nothing_but_its_own_pages(void)
{
    struct rig rig;
    struct guest guest;
    char path[64], line[256];
    u64 start, end;
    setup(&rig, &guest, (struct bytes){code_call, sizeof code_call});
    ASSERT_SYSCALL(guest_run(&guest, 0));
    snprintf(path, sizeof path, "/proc/%d/maps", stub_of(&guest)->pid);
    FILE *maps = fopen(path, "re");
    ASSERT(maps != NULL);
    while (fgets(line, sizeof line, maps)) {
        if (strstr(line, "[vsyscall]"))
            continue;
        CU_ASSERT_EQUAL(sscanf(line, "%lx-%lx", &start, &end), 2);
        bool is_guest = start >= SPACE_ADDRESS_MIN && end <= SPACE_ADDRESS_END &&
                        strstr(line, "picket-memory");
        bool is_stub = start >= STUB_BASE &&
                       end <= STUB_SLOTS + STUB_SLOTS_PER_CPU * STUB_SLOT_SIZE &&
                       strstr(line, "picket-stubs");
        bool is_reserved = end <= STUB_BASE && strstr(line, " ---p ") && !strchr(line, '/');
        CU_ASSERT_TRUE(is_guest || is_stub || is_reserved);
        CU_ASSERT_TRUE(strstr(line, "picket-stubs") == NULL || start >= STUB_SLOTS ||
                       strstr(line, " rw") == NULL);
    }
    fclose(maps);

    u32 fd_count = 0;
    snprintf(path, sizeof path, "/proc/%d/fd", stub_of(&guest)->pid);
    DIR *dir = opendir(path);
    ASSERT(dir != NULL);
    for (struct dirent *entry = readdir(dir); entry; entry = readdir(dir))
        fd_count += entry->d_name[0] != '.';
    closedir(dir);
    CU_ASSERT_EQUAL(fd_count, 4); /* memory, stub pages, two eventfds */
    teardown(&rig, &guest);
}

/* The stub's own code, run by a program with registers of its choice, makes no host call. */
static void test_the_stubs_code_is_of_no_use_to_a_program(void)
{
    struct rig rig;
    struct guest guest;
    setup(&rig, &guest, (struct bytes){code_call, sizeof code_call});
    ASSERT_SYSCALL(guest_run(&guest, 0));
    u64 size = (u64)(stub_code_end - stub_code_start);
    u32 calls = 0;
    /* By a jump: the sentry's own word about rip is refused above SPACE_ADDRESS_END. */
    static const u8 jump[] = {0xff, 0xe3}; /* jmp *%rbx */
    guest_code(&guest, CODE_ADDRESS, (struct bytes){jump, sizeof jump});
    for (u64 i = 0; i + 1 < size; i++) {
        if (stub_code_start[i] != 0x0f || stub_code_start[i + 1] != 0x05)
            continue;
        guest.context.regs.rip = CODE_ADDRESS;
        guest.context.regs.rbx = STUB_CODE + i;
        guest.context.regs.rax = 39;
        ASSERT_SYSCALL(guest_run(&guest, 0));
        CU_ASSERT_EQUAL(guest.context.regs.orig_rax, 39);
        CU_ASSERT_EQUAL(guest.context.regs.rip, STUB_CODE + i + 2);
        calls++;
    }
    CU_ASSERT_TRUE(calls >= 8);

    static const u8 store[] = {0x48, 0x89, 0x03, 0x0f, 0x05}; /* mov %rax, (%rbx); syscall */
    guest_code(&guest, CODE_ADDRESS, (struct bytes){store, sizeof store});
    static const u64 closed[] = {STUB_CODE, STUB_CONTROL, STUB_CONTROL + CONTROL_OPS, STUB_FLIGHTS,
                                 STUB_END - 8};
    for (size_t i = 0; i < ARRAY_COUNT(closed); i++) {
        guest.context.regs.rip = CODE_ADDRESS;
        guest.context.regs.rbx = closed[i];
        ASSERT_FAULT(guest_run(&guest, 0), closed[i], PROT_WRITE_BIT);
    }
    teardown(&rig, &guest);
}

/* ---- flights -------------------------------------------------------------------------------- */

/* Edits that wait for the next run: it begins as a flight. */
static void edit_for_flight(struct guest *guest)
{
    static const u64 at = 0x7000000;
    (void)guest_map(guest, at, 1, PROT_READ_BIT | PROT_WRITE_BIT);
    space_unmap(guest->space, uaddr_make(CODE_ADDRESS), 1);
    (void)space_commit(guest->space);
}

/* Likewise when the thread's calls are not stopped, with and without one of the keys. */
static void test_a_flight_leaves_nothing_to_a_program(void)
{
    struct rig rig;
    struct guest guest;
    static const u8 jump[] = {0xff, 0xe3}; /* jmp *%rbx */
    setup(&rig, &guest, (struct bytes){jump, sizeof jump});
    const struct ptrace_platform *platform = ptrace_of(&rig);
    u64 size = (u64)(stub_code_end - stub_code_start);
    for (u64 i = 0; i + 1 < size; i++) {
        for (u32 known = 0; known < 3; known++) {
            if (stub_code_start[i] != 0x0f || stub_code_start[i + 1] != 0x05)
                continue;
            edit_for_flight(&guest);
            guest_code(&guest, CODE_ADDRESS, (struct bytes){jump, sizeof jump});
            guest.context.regs.rip = CODE_ADDRESS;
            guest.context.regs.rbx = STUB_CODE + i;
            guest.context.regs.rax = 11; /* munmap */
            guest.context.regs.rdi = STACK_ADDRESS - PAGE_SIZE;
            guest.context.regs.rsi = PAGE_SIZE;
            guest.context.regs.r8 = known == 1 ? platform->key_words[0] : 0;
            guest.context.regs.r10 = known == 2 ? platform->key_words[1] : 0;
            ASSERT_SYSCALL(guest_run(&guest, 0));
            CU_ASSERT_EQUAL(guest.context.regs.orig_rax, 11);
            CU_ASSERT_EQUAL(guest.context.regs.rip, STUB_CODE + i + 2);
        }
    }
    teardown(&rig, &guest);
}

/* A call that ends one is served by the sentry like any other, also if only its result is new. */
static void test_a_call_behind_a_flight_is_not_the_hosts(void)
{
    struct rig rig;
    struct guest guest;
    setup(&rig, &guest, (struct bytes){code_call, sizeof code_call});
    for (u32 round = 0; round < 3; round++) {
        edit_for_flight(&guest);
        guest_code(&guest, CODE_ADDRESS, (struct bytes){code_call, sizeof code_call});
        guest.context.regs.rip = CODE_ADDRESS;
        guest.context.regs.rax = 231; /* exit_group */
        ASSERT_SYSCALL(guest_run(&guest, 0));
        CU_ASSERT_EQUAL(guest.context.regs.orig_rax, 231);
        guest.context.regs.rax = 39;
        ASSERT_SYSCALL(guest_run(&guest, 0));
        CU_ASSERT_EQUAL(guest.context.regs.orig_rax, 39);
    }
    teardown(&rig, &guest);
}

/* What a program finds in its registers behind one: what it had, and no key. */
static void test_a_flight_brings_all_registers(void)
{
    struct rig rig;
    struct guest guest;
    setup(&rig, &guest, (struct bytes){code_call, sizeof code_call});
    for (u32 round = 0; round < 100; round++) {
        struct regs *regs = &guest.context.regs, before;
        edit_for_flight(&guest);
        guest_code(&guest, CODE_ADDRESS, (struct bytes){code_call, sizeof code_call});
        guest.context.regs.rip = CODE_ADDRESS;
        u64 *words = (u64 *)regs;
        for (u32 i = 0; i < 15; i++)
            words[i] = round * 0x0123456789abcdefu + i;
        regs->rax = 39;
        regs->rip = CODE_ADDRESS;
        regs->rsp = STACK_ADDRESS - 8 * round;
        regs->eflags = EFLAGS_IF | 2 | (round & 1 ? 0x8d5u : 0) | (round & 2 ? EFLAGS_DF : 0);
        regs->fs_base = round & 4 ? 0x10000 * (u64)round : 0;
        regs->gs_base = round & 8 ? 0x20000 * (u64)round : 0;
        before = *regs;
        ASSERT_SYSCALL(guest_run(&guest, 0));
        before.rip += 2;
        before.rcx = before.rip;
        before.r11 = before.eflags;
        before.rax = regs->rax;
        before.orig_rax = 39;
        before.ds = regs->ds;
        CU_ASSERT_EQUAL(memcmp(regs, &before, sizeof before), 0);
    }
    teardown(&rig, &guest);
}

struct kicker {
    struct cpu *cpu;
    bool must_end; /* atomic */
};

static void *kick_often(void *arg)
{
    struct kicker *kicker = arg;
    for (u32 i = 0; !__atomic_load_n(&kicker->must_end, __ATOMIC_ACQUIRE); i++) {
        struct timespec pause = {0, (long)(i * 7919 % 60000)};
        nanosleep(&pause, NULL);
        cpu_kick(kicker->cpu);
    }
    return NULL;
}

/* Wherever a kick meets one, the program is where it was or has gone on. */
static void test_a_kick_may_come_at_any_time_of_a_flight(void)
{
    struct rig rig;
    struct guest guest;
    pthread_t thread;
    /* 1: inc %rax; jmp 1b */
    static const u8 count[] = {0x48, 0xff, 0xc0, 0xeb, 0xfb};
    setup(&rig, &guest, (struct bytes){count, sizeof count});
    struct kicker kicker = {platform_cpu(rig.platform, 0), false};
    ASSERT(pthread_create(&thread, NULL, kick_often, &kicker) == 0);
    u64 last = 0;
    for (u32 round = 0; round < 300; round++) {
        u64 *words = (u64 *)&guest.context.regs;
        edit_for_flight(&guest);
        guest_code(&guest, CODE_ADDRESS, (struct bytes){count, sizeof count});
        for (u32 i = 0; i < 15; i++)
            if (i != 10)
                words[i] = round + i;
        ASSERT_KICK(guest_run(&guest, 0));
        for (u32 i = 0; i < 15; i++)
            if (i != 10)
                CU_ASSERT_EQUAL(words[i], round + i);
        CU_ASSERT_TRUE(guest.context.regs.rax >= last);
        CU_ASSERT_TRUE(guest.context.regs.rip - CODE_ADDRESS < sizeof count);
        CU_ASSERT_EQUAL(guest.context.regs.rsp, STACK_ADDRESS);
        last = guest.context.regs.rax;
    }
    __atomic_store_n(&kicker.must_end, true, __ATOMIC_RELEASE);
    pthread_join(thread, NULL);
    guest_code(&guest, CODE_ADDRESS, (struct bytes){code_call, sizeof code_call});
    guest.context.regs.rip = CODE_ADDRESS;
    struct event event = guest_run(&guest, 0);
    if (event.type == EVENT_KICK) /* the last kick was for nobody */
        event = guest_run(&guest, 0);
    ASSERT_SYSCALL(event);
    teardown(&rig, &guest);
}

static void test_a_second_cpu_gets_a_thread_of_its_own(void)
{
    struct rig rig;
    struct guest guest;
    rig_create(&rig, "ptrace", 2);
    rig_attach(&rig, 0);
    rig_attach(&rig, 1);
    guest_create(&guest, &rig, (struct bytes){code_call, sizeof code_call});
    ASSERT_SYSCALL(guest_run(&guest, 0));
    struct stub *stub = stub_of(&guest);
    CU_ASSERT_PTR_NOT_NULL(stub_thread_get(stub, &ptrace_of(&rig)->cpus[1], &guest.context));
    CU_ASSERT_NOT_EQUAL(stub->threads[0].tid, stub->threads[STUB_SLOTS_PER_CPU].tid);
    ASSERT_SYSCALL(guest_run(&guest, 1));
    ASSERT_SYSCALL(guest_run(&guest, 0));
    guest_destroy(&guest);
    rig_detach(&rig, 1);
    rig_detach(&rig, 0);
    rig_destroy(&rig);
}

/* ---- the pool ------------------------------------------------------------------------------- */

static u32 children_count(void)
{
    char path[64], line[8192] = "";
    u32 count = 0;
    snprintf(path, sizeof path, "/proc/self/task/%d/children", getpid());
    FILE *file = fopen(path, "re");
    if (file == NULL)
        return 0;
    if (fgets(line, sizeof line, file))
        for (char *at = line; *at; at++)
            count += *at == ' ';
    fclose(file);
    return count;
}

static void test_stubs_are_used_again_and_none_is_left(void)
{
    struct rig rig;
    struct guest guest;
    u32 before = children_count();
    setup(&rig, &guest, (struct bytes){code_call, sizeof code_call});
    ASSERT_SYSCALL(guest_run(&guest, 0));
    pid_t pid = stub_of(&guest)->pid;
    for (int i = 0; i < 50; i++) {
        guest_destroy(&guest);
        guest_create(&guest, &rig, (struct bytes){code_call, sizeof code_call});
        ASSERT_SYSCALL(guest_run(&guest, 0));
        CU_ASSERT_EQUAL(stub_of(&guest)->pid, pid);
    }
    teardown(&rig, &guest);
    CU_ASSERT_EQUAL(children_count(), before);
}

static void *other_thread(void *arg)
{
    struct guest *guest = arg;
    rig_attach(guest->rig, 0);
    ASSERT_SYSCALL(guest_run(guest, 0));
    rig_detach(guest->rig, 0);
    return NULL;
}

static void test_a_cpu_may_go_to_another_host_thread(void)
{
    struct rig rig;
    struct guest guest;
    pthread_t thread;
    setup(&rig, &guest, (struct bytes){code_call, sizeof code_call});
    ASSERT_SYSCALL(guest_run(&guest, 0));
    pid_t pid = stub_of(&guest)->pid;
    for (int i = 0; i < 5; i++) {
        rig_detach(&rig, 0);
        ASSERT(pthread_create(&thread, NULL, other_thread, &guest) == 0);
        pthread_join(thread, NULL);
        rig_attach(&rig, 0);
        ASSERT_SYSCALL(guest_run(&guest, 0));
        CU_ASSERT_EQUAL(stub_of(&guest)->pid, pid);
    }
    teardown(&rig, &guest);
}

static void test_many_platforms_live_at_a_time(void)
{
    enum { COUNT = 8 };
    struct rig rigs[COUNT];
    struct guest guests[COUNT];
    for (int i = 0; i < COUNT; i++)
        setup(&rigs[i], &guests[i], (struct bytes){code_call, sizeof code_call});
    for (int i = 0; i < 2 * COUNT; i++)
        ASSERT_SYSCALL(guest_run(&guests[i % COUNT], 0));
    for (int i = 0; i < COUNT; i++)
        teardown(&rigs[i], &guests[i]);
}

static CU_TestInfo ptrace_tests[] = {
    {"a killed stub is gone and others are not", test_a_killed_stub_is_gone_and_others_are_not},
    {"a stub killed while it runs is gone", test_a_stub_killed_while_it_runs_is_gone},
    {"a stub killed under two cpus is gone for both",
     test_a_stub_killed_under_two_cpus_is_gone_for_both},
    {"a stub killed before an edit is gone", test_a_stub_killed_before_an_edit_is_gone},
    {"a dead stub in the pool is not lent", test_a_dead_stub_in_the_pool_is_not_lent},
    {"without a zygote there are no new spaces but no harm",
     test_without_a_zygote_there_are_no_new_spaces_but_no_harm},
    {"foreign signals are nothing to the program", test_foreign_signals_are_nothing_to_the_program},
    {"a stub has nothing but its own pages", test_a_stub_has_nothing_but_its_own_pages},
    {"the stub's code is of no use to a program", test_the_stubs_code_is_of_no_use_to_a_program},
    {"a flight leaves nothing to a program", test_a_flight_leaves_nothing_to_a_program},
    {"a call behind a flight is not the host's", test_a_call_behind_a_flight_is_not_the_hosts},
    {"a flight brings all registers", test_a_flight_brings_all_registers},
    {"a kick may come at any time of a flight", test_a_kick_may_come_at_any_time_of_a_flight},
    {"a second cpu gets a thread of its own", test_a_second_cpu_gets_a_thread_of_its_own},
    {"stubs are used again and none is left", test_stubs_are_used_again_and_none_is_left},
    {"a cpu may go to another host thread", test_a_cpu_may_go_to_another_host_thread},
    {"many platforms live at a time", test_many_platforms_live_at_a_time},
    CU_TEST_INFO_NULL,
};

void ptrace_suite(void);
void ptrace_suite(void)
{
    CU_SuiteInfo suites[] = {
        {"platform ptrace", NULL, NULL, NULL, NULL, ptrace_tests},
        CU_SUITE_INFO_NULL,
    };
    ASSERT(CU_register_suites(suites) == CUE_SUCCESS);
}

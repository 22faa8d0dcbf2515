/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A program that counts is stopped after chosen numbers of instructions, by a timer of the host.
 * Where the machine's clock counts instructions (tests/vm, counted) every number can be hit
 * exactly, and two such machines print the same; elsewhere only the kicks are judged.
 * tests/vm/suite compares what this prints with PICKET_COUNTED set.
 *
 * Surprising: the machine's timer goes in steps of eight instructions, so numbers between them are
 * hit by entering the program some instructions later. The search takes a few runs and is itself
 * repeatable.
 */
#include "platform/contract.h"
#include <signal.h>
#include <stdlib.h>
#include <time.h>

#define NS_AN_INSTRUCTION 2
#define TIMER_STEP 8 /* instructions: the timer of the machine counts 16 ns */
#define TRIES_MAX 600u
#define TRIES_OF_A_COURSE 12u
#define DELAY_NS 300000 /* of the first try */
#define DELAY_MIN_NS 1000
#define SIGNAL_TIMER (SIGRTMIN + 1)

static const u8 code_count[] = {0x48, 0xff, 0xc0, 0xeb, 0xfb}; /* 1: inc %rax; jmp 1b */
static struct cpu *cpu_now;                                    /* of the signal's handler */

static void on_timer(int signal)
{
    (void)signal;
    cpu_kick(cpu_now);
}

/* Instructions that the program has executed since its registers were cleared. */
static u64 instructions_of(const struct guest *guest)
{
    return guest->context.regs.rax * 2 - (guest->context.regs.rip != CODE_ADDRESS ? 1 : 0);
}

/* Begin anew and run until the timer, set so many nanoseconds ahead, with so many turns of three
 * instructions behind it. */
static u64 count_for(struct guest *guest, timer_t timer, i64 delay_ns, u32 turns)
{
    struct itimerspec span = {.it_value = {delay_ns / (i64)NS_PER_S, delay_ns % (i64)NS_PER_S}};
    guest->context.regs.rax = 0;
    guest->context.regs.rip = CODE_ADDRESS;
    ASSERT(timer_settime(timer, 0, &span, NULL) == 0);
    turns++;
    __asm__ volatile("1: dec %0\n\tnop\n\tjnz 1b" : "+r"(turns)::"cc");
    ASSERT_KICK(guest_run(guest, 0));
    return instructions_of(guest);
}

/* How many tries it took to stop the program behind exactly TARGET instructions; 0: it never did.
 */
static u32 hit(struct guest *guest, timer_t timer, u64 target)
{
    i64 delay_ns = DELAY_NS;
    u32 turns = 0;
    for (u32 i = 1; i <= TRIES_MAX; i++) {
        i64 surplus = (i64)count_for(guest, timer, delay_ns, turns) - (i64)target;
        if (surplus == 0)
            return i;
        if (surplus % TIMER_STEP != 0) /* three times three is one more than a step */
            turns = (turns + (u32)(surplus & (TIMER_STEP - 1)) * 3) % TIMER_STEP;
        delay_ns -= surplus / TIMER_STEP * TIMER_STEP * NS_AN_INSTRUCTION;
        if (delay_ns < DELAY_MIN_NS || i % TRIES_OF_A_COURSE == 0)
            delay_ns = DELAY_NS + (i64)i * 1000; /* it goes in circles: from somewhere else */
    }
    return 0;
}

static void preempt(const char *name)
{
    static const u64 targets[] = {1000, 1001, 4096, 65537, 99999};
    struct sigevent event = {.sigev_notify = SIGEV_SIGNAL, .sigev_signo = SIGNAL_TIMER};
    bool is_counted = getenv("PICKET_COUNTED") != NULL;
    struct rig rig;
    struct guest guest;
    timer_t timer;
    rig_create(&rig, name, 1);
    rig_attach(&rig, 0);
    guest_create(&guest, &rig, (struct bytes){code_count, sizeof code_count});
    cpu_now = platform_cpu(rig.platform, 0);
    ASSERT(timer_create(CLOCK_MONOTONIC, &event, &timer) == 0);
    for (u32 i = 0; i < 8 && !is_counted; i++)
        (void)count_for(&guest, timer, DELAY_NS, 0);
    for (u32 i = 0; i < 8 && is_counted; i++)
        printf("preempt %s: %u: %lu instructions\n", name, i,
               count_for(&guest, timer, DELAY_NS + 100 * i, 0));
    for (size_t i = 0; i < ARRAY_COUNT(targets) && is_counted; i++) {
        u32 tries = hit(&guest, timer, targets[i]);
        printf("preempt %s: %lu instructions, try %u, rax %lu, rip +%lu\n", name, targets[i], tries,
               guest.context.regs.rax, (u64)(guest.context.regs.rip - CODE_ADDRESS));
        CU_ASSERT_NOT_EQUAL(tries, 0);
    }
    timer_delete(timer);
    guest_destroy(&guest);
    rig_detach(&rig, 0);
    rig_destroy(&rig);
}

static void test_a_counting_program_is_stopped_at_chosen_instructions(void)
{
    char text[256];
    struct sigaction action = {.sa_handler = on_timer, .sa_flags = SA_RESTART}, old;
    sigaction(SIGNAL_TIMER, &action, &old);
    printf("\n");
    for (u32 i = 0; platform_name(i); i++)
        if (strcmp(platform_name(i), "script") != 0 &&
            platform_is_here(platform_name(i), text, sizeof text))
            preempt(platform_name(i));
    sigaction(SIGNAL_TIMER, &old, NULL);
}

void preempt_suite(void);
void preempt_suite(void)
{
    static CU_TestInfo tests[] = {
        {"a counting program is stopped at chosen instructions",
         test_a_counting_program_is_stopped_at_chosen_instructions},
        CU_TEST_INFO_NULL,
    };
    CU_SuiteInfo suites[] = {{"preemption", NULL, NULL, NULL, NULL, tests}, CU_SUITE_INFO_NULL};
    ASSERT(CU_register_suites(suites) == CUE_SUCCESS);
}

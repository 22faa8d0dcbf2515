/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Signal frames that a handler has damaged before it returns through them: what Linux takes, what it ignores, what it
 * kills for. A row's outcome is KILLED (by SIGSEGV) or which state was lost on the way, LOST_*; 0 is nothing.
 */
#include "tap.h"

#include <pthread.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <sys/ucontext.h>
#include <sys/wait.h>

enum { LOST_LOW = 1, LOST_HIGH = 2, LOST_CONTROL = 4, LOST_MXCSR = 8, LOST_ALL = 15, KILLED = 99 };
enum { SOFTWARE = 464, HEADER = 512, STATE_MAX = 4096 }; /* of struct _fpstate and behind it */
enum { FLAG_STRICT_SS = 4 };

static int has_avx;
static ucontext_t *frame; /* in the handler */
static char *state;

static void put(size_t offset, uint64_t value, size_t size)
{
    memcpy(state + offset, &value, size);
}

static uint32_t state_size(void)
{
    uint32_t size;
    memcpy(&size, state + SOFTWARE + 4, sizeof size);
    return size;
}

static void set_selector(int index, unsigned selector)
{
    frame->uc_mcontext.gregs[REG_CSGSFS] &= ~(0xffffll << (16 * index));
    frame->uc_mcontext.gregs[REG_CSGSFS] |= (long long)((unsigned long)selector << (16 * index));
}

/* Pages whose last is not there; the state's copy has so many bytes on the right side of the border. */
static char *before_nothing(size_t size)
{
    char *pages = tap_pages(4);
    munmap(pages + 3 * 4096, 4096);
    return pages + 3 * 4096 - size;
}

static void move_state(char *to, size_t size)
{
    memcpy(to, state, size);
    frame->uc_mcontext.fpregs = (void *)to;
}

static void return_through(void *at)
{
    __asm__ volatile("mov %0, %%rsp\n\tmov $15, %%eax\n\tsyscall\n\thlt" ::"r"(at) : "memory");
}

#define POINTER(value_) frame->uc_mcontext.fpregs = (void *)(value_)
#define REGISTER(name_, value_) frame->uc_mcontext.gregs[name_] = (long long)(value_)

#define ROWS(ROW)                                                                                 \
    ROW(nothing, 0, (void)0)                                                                      \
    /* The header of the extended state. */                                                      \
    ROW(unknown_feature, KILLED, put(HEADER, 1ull << 40 | 7, 8))                                  \
    ROW(last_feature, KILLED, put(HEADER, 1ull << 63 | 7, 8))                                     \
    ROW(all_features, KILLED, put(HEADER, ~0ull, 8))                                              \
    ROW(no_feature, LOST_LOW | LOST_HIGH | LOST_CONTROL, put(HEADER, 0, 8))                       \
    ROW(old_features, LOST_HIGH, put(HEADER, 3, 8))                                               \
    ROW(compact, KILLED, put(HEADER + 8, 1ull << 63 | 7, 8))                                      \
    ROW(compact_by_half, KILLED, put(HEADER + 8, 7, 8))                                           \
    ROW(reserved, KILLED, put(HEADER + 16, 1, 8))                                                 \
    ROW(mxcsr, KILLED, put(24, 0xffffffff, 4))                                                    \
    ROW(mxcsr_bit, KILLED, put(24, 0x17f80, 4))                                                   \
    ROW(mxcsr_mask, 0, put(28, 0xffffffff, 4))                                                    \
    /* What the kernel wrote for itself. */                                                      \
    ROW(first_magic, LOST_HIGH, put(SOFTWARE, 0, 4))                                              \
    ROW(second_magic, LOST_HIGH, put(state_size() - 4, 0x12345678, 4))                            \
    ROW(size_small, LOST_HIGH, put(SOFTWARE + 16, 0, 4))                                          \
    ROW(size_large, LOST_HIGH, put(SOFTWARE + 16, 0x7fffffff, 4))                                 \
    ROW(whole_size_small, LOST_HIGH, put(SOFTWARE + 4, 600, 4))                                   \
    ROW(software_features_none, LOST_ALL, put(SOFTWARE + 8, 0, 8))                                \
    ROW(software_features_old, LOST_HIGH, put(SOFTWARE + 8, 3, 8))                                \
    ROW(software_features_all, 0, put(SOFTWARE + 8, ~0ull, 8))                                    \
    /* Where it lies. */                                                                         \
    ROW(pointer_null, LOST_ALL, POINTER(0))                                                       \
    ROW(pointer_low, KILLED, POINTER(0x1000))                                                     \
    ROW(pointer_odd, KILLED, POINTER(0x1234567800000000))                                         \
    ROW(pointer_kernel, KILLED, POINTER(0xffff888000000000))                                      \
    ROW(pointer_last, KILLED, POINTER(~63ull))                                                    \
    ROW(elsewhere, 0, move_state(before_nothing(STATE_MAX), state_size()))                        \
    ROW(elsewhere_misaligned, KILLED, move_state(before_nothing(STATE_MAX) + 16, state_size()))   \
    ROW(cut_in_the_old_part, KILLED, move_state(before_nothing(256), 256))                        \
    ROW(cut_behind_the_header, KILLED, move_state(before_nothing(576), 576))                      \
    /* Selectors, the instruction, the stack, flags. */                                          \
    ROW(cs_kernel, KILLED, set_selector(0, 0x10))                                                 \
    ROW(cs_null, KILLED, set_selector(0, 0))                                                      \
    ROW(cs_data, KILLED, set_selector(0, 0x2b))                                                   \
    ROW(cs_beyond, KILLED, set_selector(0, 0xffff))                                               \
    ROW(cs_ring, 0, set_selector(0, 0x30))                                                        \
    ROW(ss_kernel, KILLED, set_selector(3, 0x18))                                                 \
    ROW(ss_null, KILLED, set_selector(3, 0))                                                      \
    ROW(ss_code, KILLED, set_selector(3, 0x33))                                                   \
    ROW(ss_beyond, KILLED, set_selector(3, 0xffff))                                               \
    ROW(ss_ring, 0, set_selector(3, 0x28))                                                        \
    ROW(ss_null_as_of_old, 0, (set_selector(3, 0), frame->uc_flags &= ~(unsigned long)FLAG_STRICT_SS)) \
    ROW(ss_code_as_of_old, 0, (set_selector(3, 0x33), frame->uc_flags = 0))                       \
    ROW(fs_and_gs, 0, (set_selector(1, 0x1b), set_selector(2, 0xffff)))                           \
    ROW(rip_null, KILLED, REGISTER(REG_RIP, 0))                                                   \
    ROW(rip_odd, KILLED, REGISTER(REG_RIP, 0x1234567800000000))                                   \
    ROW(rip_border, KILLED, REGISTER(REG_RIP, 0x800000000000))                                    \
    ROW(rip_kernel, KILLED, REGISTER(REG_RIP, 0xffffffff81000000))                                \
    ROW(rsp_odd, KILLED, REGISTER(REG_RSP, 0x1234567800000000))                                   \
    ROW(flags_all, KILLED, REGISTER(REG_EFL, ~0ull & ~0x40400ull)) /* a step, for TF is among them */ \
    ROW(flags_but_steps, 0, REGISTER(REG_EFL, ~0ull & ~0x40500ull))                               \
    /* What nobody believes. */                                                                  \
    ROW(context_flags, 0, frame->uc_flags = ~0ul)                                                 \
    ROW(link, 0, frame->uc_link = (void *)~0ul)                                                   \
    ROW(old_stack, 0, (frame->uc_stack.ss_flags = 0xffff, frame->uc_stack.ss_sp = (void *)~0ul))  \
    ROW(mask, 0, memset(&frame->uc_sigmask, 0xff, 8))                                             \
    ROW(reasons, 0, (REGISTER(REG_ERR, ~0ull), REGISTER(REG_TRAPNO, ~0ull), REGISTER(REG_CR2, ~0ull)))

#define FUNCTION_OF(name_, outcome_, action_)                                                     \
    static void damage_##name_(void)                                                              \
    {                                                                                             \
        action_;                                                                                  \
    }
ROWS(FUNCTION_OF)

struct row {
    const char *name;
    int outcome;
    void (*damage)(void);
};
#define ROW_OF(name_, outcome_, action_) {#name_, outcome_, damage_##name_},
static const struct row rows[] = {ROWS(ROW_OF)};

static void (*damage)(void);

static void on_signal(int signal, siginfo_t *info, void *context)
{
    frame = context;
    state = (char *)frame->uc_mcontext.fpregs;
    damage();
}

/* Whose state a signal interrupts, and what of it is left behind the handler. */
static int state_lost(void)
{
    uint64_t in[4] = {0x1111, 0x2222, 0x3333, 0x4444}, out[4] = {0};
    uint32_t mxcsr = 0x7f80, mxcsr_after = 0;
    uint16_t control = 0xf7f, control_after = 0;
    long pid = getpid();
    __asm__ volatile("ldmxcsr %0\n\tfldcw %1" ::"m"(mxcsr), "m"(control));
    if (has_avx)
        __asm__ volatile("vmovdqu (%[in]), %%ymm7\n\tsyscall\n\tvmovdqu %%ymm7, (%[out])\n\tvzeroupper" ::[in] "r"(in),
                         [out] "r"(out), "a"(SYS_kill), "D"(pid), "S"(SIGUSR1)
                         : "rcx", "r11", "xmm7", "memory");
    else
        __asm__ volatile("movdqu (%[in]), %%xmm7\n\tsyscall\n\tmovdqu %%xmm7, (%[out])" ::[in] "r"(in), [out] "r"(out),
                         "a"(SYS_kill), "D"(pid), "S"(SIGUSR1)
                         : "rcx", "r11", "xmm7", "memory");
    __asm__ volatile("stmxcsr %0\n\tfnstcw %1" : "=m"(mxcsr_after), "=m"(control_after));
    int lost = memcmp(in, out, 16) == 0 ? 0 : LOST_LOW;
    lost |= !has_avx || memcmp(in + 2, out + 2, 16) == 0 ? 0 : LOST_HIGH;
    lost |= control == control_after ? 0 : LOST_CONTROL;
    return lost | ((mxcsr & 0xffc0) == (mxcsr_after & 0xffc0) ? 0 : LOST_MXCSR);
}

static void setup(void)
{
    struct rlimit none = {0, 0};
    setrlimit(RLIMIT_CORE, &none);
    __builtin_cpu_init();
    has_avx = __builtin_cpu_supports("avx");
}

static int outcome_of(void (*action)(void))
{
    int status = 0;
    CHILD(pid)
    {
        damage = action;
        tap_handle_info(SIGUSR1, on_signal, 0);
        _exit(state_lost());
    }
    while (waitpid(pid, &status, 0) < 0 && errno == EINTR)
        ;
    if (WIFSIGNALED(status))
        return WTERMSIG(status) == SIGSEGV || WTERMSIG(status) == SIGTRAP ? KILLED : -WTERMSIG(status);
    return WEXITSTATUS(status);
}

static void expect_sanity(void)
{
    EXPECT_EQ(syscall(SYS_getppid), getppid());
    EXPECT_EQ(syscall(SYS_lseek, -1, 0, 0), -1);
}

CASE(damaged_frames)
{
    setup();
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        int want = rows[i].outcome == KILLED || has_avx ? rows[i].outcome : rows[i].outcome & ~LOST_HIGH;
        int have = outcome_of(rows[i].damage);
        if (have != want)
            tap_show("%s: outcome %d, expected %d", rows[i].name, have, want);
        EXPECT(have == want);
    }
    expect_sanity();
}

/* The whole frame, return address to the end of struct ucontext and siginfo, at another place. */
enum { FRAME_SIZE = 8 + 304 + 128 };

static void return_elsewhere(void)
{
    char *to = tap_pages(2) + 1; /* misaligned, even */
    memcpy(to, (char *)frame - 8, FRAME_SIZE);
    return_through(to + 8);
}

static void return_through_a_cut_frame(void)
{
    char *to = before_nothing(200);
    memcpy(to, (char *)frame - 8, 200);
    return_through(to + 8);
}

static void return_through_zeros(void)
{
    return_through(tap_pages(2) + 8);
}

static void return_through_ones(void)
{
    char *to = tap_pages(2);
    memset(to, 0xff, 8192);
    return_through(to + 8);
}

static void return_through_nothing(void)
{
    return_through((void *)0x1234567800000000);
}

CASE(frames_at_other_places)
{
    setup();
    EXPECT_EQ(outcome_of(return_elsewhere), 0);
    EXPECT_EQ(outcome_of(return_through_a_cut_frame), KILLED);
    EXPECT_EQ(outcome_of(return_through_zeros), KILLED);
    EXPECT_EQ(outcome_of(return_through_ones), KILLED);
    EXPECT_EQ(outcome_of(return_through_nothing), KILLED);
    expect_sanity();
}

static unsigned seed;

static unsigned random_below(unsigned limit)
{
    seed = seed * 1664525 + 1013904223;
    return (seed >> 8) % limit;
}

/* Some bytes of the frame and of the state's part that the kernel judges. */
static void damage_at_random(void)
{
    for (unsigned i = 0; i <= seed % 5; i++) {
        char *at = random_below(2) ? (char *)frame + random_below(304) : state + random_below(600);
        *at = (char)random_below(256);
    }
}

CASE_TIMEOUT(frames_damaged_at_random, 30)
{
    setup();
    for (unsigned turn = 1; turn <= 60; turn++) {
        CHILD(pid)
        {
            alarm(2); /* it may go on anywhere, and for ever */
            seed = turn;
            damage = damage_at_random;
            tap_handle_info(SIGUSR1, on_signal, 0);
            close(0), close(1), close(2);
            state_lost();
            _exit(0);
        }
        EXPECT_EQ(waitpid(pid, NULL, 0), pid);
    }
    expect_sanity();
}

static volatile char *shared_frame, *shared_state;
static volatile int is_over;

static void *scribble(void *arg)
{
    seed = 1;
    while (!is_over) {
        volatile char *at = shared_state;
        if (at)
            at[HEADER + random_below(64)] = (char)random_below(256);
        at = shared_frame;
        if (at)
            at[offsetof(ucontext_t, uc_mcontext) + 18 * 8 + random_below(8)] = (char)random_below(256);
    }
    return NULL;
}

static void hand_out(void)
{
    shared_state = state;
    shared_frame = (char *)frame;
    for (int i = 0; i < 50; i++)
        __asm__ volatile("pause");
}

/* The frame changes while the kernel judges it. */
CASE_TIMEOUT(frames_that_change_meanwhile, 30)
{
    setup();
    for (int turn = 0; turn < 10; turn++) {
        CHILD(pid)
        {
            pthread_t thread;
            alarm(2);
            damage = hand_out;
            tap_handle_info(SIGUSR1, on_signal, 0);
            close(0), close(1), close(2);
            REQUIRE(pthread_create(&thread, NULL, scribble, NULL) == 0);
            for (int i = 0; i < 20; i++)
                state_lost();
            _exit(0);
        }
        EXPECT_EQ(waitpid(pid, NULL, 0), pid);
    }
    expect_sanity();
}

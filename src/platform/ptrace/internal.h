/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The parts of the ptrace platform and what they share. README.md tells how they work together.
 *
 * Locks, outermost first: the kernel lock (the sentry's; guards what is not named below), stub.edit
 * (one request to a stub at a time), ptrace_space.queue_lock (queued edits and the entries they
 * speak of).
 */
#pragma once
#include "base/list.h"
#include "platform/ops.h"
#include "platform/ptrace/stub.h"
#include "platform/xsave.h"
#include <linux/filter.h>
#include <pthread.h>
#include <signal.h>
#include <sys/types.h>

struct ptrace_cpu;
struct ptrace_space;

/* ---- stub.c: stub processes and their threads ----------------------------------------------- */

/* A thread that runs application code on one cpu, traced by that cpu's host thread. Each cpu has a
 * few in a stub, so that contexts that take turns need not take their extended state along. */
struct stub_thread {
    struct stub *stub;
    struct ptrace_cpu *cpu;
    u32 slot;
    pid_t tid;            /* 0: not made yet */
    bool is_traced;       /* else it is parked in the stub's code */
    bool has_regs;        /* `regs` is what it has */
    bool is_at_call;      /* stopped by PTRACE_SYSEMU, whose call the kernel has forgotten */
    bool xstate_is_stale; /* its extended state is not `context`'s: load before it runs */
    bool xstate_is_near;  /* and was until the sentry wrote it: most of it may be right */
    u32 flight_count; /* of operations that it makes on its way to the program; stub.edit is held */
    struct regs regs;
    struct context *context; /* whose extended state it has, or gets before it runs */
    u8 *image;               /* xsave.size bytes for NT_X86_XSTATE */
};

/* Addresses [start, end) that may have mappings of an earlier space. */
struct stub_left {
    u64 start, end;
};
#define STUB_LEFT_MAX 16u
#define STUB_GAP_MAX ((u64)1 << 20) /* what is no farther apart is taken out by one call */

/* A stub process: an address space with a helper thread, lent to one space at a time. */
struct stub {
    struct list all;  /* in platform.all */
    struct list link; /* in idle or spare */
    struct ptrace_platform *platform;
    u64 offset;                   /* of its pages in platform.control */
    struct stub_control *control; /* those pages, our view */
    pid_t pid;                    /* of the helper; 0: no process */
    u32 request;                  /* the newest one's number */
    bool is_gone;                 /* atomic: found dead or unusable */
    u32 left_count;               /* ranges that an earlier space left */
    bool left_is_unknown;         /* there may be more of them: all must go */
    u32 kept_count;               /* how often it was cleared since all went */
    bool is_fresh;                /* has not yet been told to die with us */
    struct stub_left left[STUB_LEFT_MAX];
    pthread_mutex_t edit; /* taken by stub_lock */
    u32 waiters;          /* atomic: who wants it; then nobody flies */
    pid_t flying;         /* atomic: a thread that may run the program and holds it, or 0 */
    u32 slot_count;
    struct stub_thread *threads; /* STUB_SLOTS_PER_CPU for each cpu */
};

struct ptrace_platform {
    struct platform base;
    struct machine_memory control; /* page 0: the stub's code; then the pages of each stub */
    u64 stub_count;                /* how many have been given pages */
    struct stub *zygote;           /* never runs applications; all others are its copies */
    struct list all;               /* every record */
    struct list idle;              /* stubs without a space */
    u32 idle_count;
    struct list spare; /* stubs without a process */
    int *done_fds;     /* eventfds, one a cpu and one for whoever holds the kernel lock */
    struct ptrace_cpu *cpus;
    struct xsave_layout xsave; /* of the host's NT_X86_XSTATE */
    u32 keys[2];      /* of the stub's own calls (filter.c), the same as in its registers */
    u64 key_words[2]; /* each in the upper half */
};

MUST_CHECK int stubs_init(struct ptrace_platform *platform, char *err_text, size_t err_size);
void stubs_fini(struct ptrace_platform *platform);
/* A stub for the new space that TABLE is of, or NULL. Kernel lock. */
struct stub *stub_get(struct ptrace_platform *platform, const struct pagetable *table);
/* No thread of it runs. Kernel lock. */
void stub_put(struct stub *stub);
void stub_kill(struct stub *stub);
/* A thread of STUB for CPU, the one that has CONTEXT's extended state if there is such, made if
 * need be; NULL when that fails. On CPU's host thread. */
struct stub_thread *stub_thread_get(struct stub *stub, struct ptrace_cpu *cpu,
                                    const struct context *context);

/* CPU's host thread lets go of its threads: they park until another one wants them. On that thread.
 */
void stubs_detach(struct ptrace_cpu *cpu);

/* Take stub.edit. Who holds it while a program runs is stopped. */
void stub_lock(struct stub *stub);

enum stub_result { STUB_DONE, STUB_FAILED, STUB_GONE };
/* With stub.edit held: make the first COUNT of control->ops, up to the first that fails. THREAD
 * makes them, which is stopped and traced by the caller; without one the helper does, and then the
 * caller holds the kernel lock. */
MUST_CHECK enum stub_result stub_edit(struct stub *stub, struct stub_thread *thread, u32 count);

/*
 * A flight: the stopped thread makes its operations and goes on to the program in one resume, which
 * saves a stop. From flight_prepare on stub.edit stays locked, until the thread has stopped again
 * (flight_land) or makes the operations by themselves (flight_settle). All on its tracer.
 */
/* The first COUNT of control->ops, at most STUB_FLIGHT_OPS_MAX. */
void flight_prepare(struct stub_thread *thread, u32 count);
/* Set the thread to them, and to REGS behind them. False: it does not fly, settle. */
bool flight_begin(struct stub_thread *thread, const struct regs *regs);
/* It stopped with STATUS and thread->regs. What became of the operations; HAS_LANDED: the program
 * has its registers. */
MUST_CHECK enum stub_result flight_land(struct stub_thread *thread, int status, bool *has_landed);
MUST_CHECK enum stub_result flight_settle(struct stub_thread *thread);

/* A thread of STUB that the calling host thread traces, or NULL. */
struct stub_thread *stub_thread_find(struct stub *stub);

static inline bool stub_is_gone(const struct stub *stub)
{
    return __atomic_load_n(&stub->is_gone, __ATOMIC_ACQUIRE);
}

static inline void stub_set_gone(struct stub *stub)
{
    __atomic_store_n(&stub->is_gone, true, __ATOMIC_RELEASE);
}

/* clear.c: operations that take mappings out of a stub. */
struct stub_op op_reserve(u64 start, u64 size);
/* Of all application pages; OPS has room for STUB_CLEAR_OPS_MAX, and so below. How many. */
u32 op_clear_all(struct stub_op *ops);
#define STUB_CLEAR_OPS_MAX 48u
/* STUB may have mappings in [start, end) when it goes to another space. */
void stub_left_note(struct stub *stub, u64 start, u64 end);
/* Has TABLE's space pages where STUB has tables of the host? */
bool stub_left_suits(const struct stub *stub, const struct pagetable *table);
/* Operations that clear what was noted, which is forgotten, for TABLE's space. How many. */
u32 stub_left_clear(struct stub *stub, const struct pagetable *table, struct stub_op *ops);

/* zygote.c: the first stub process, made from a copy of this one. Its number or -errno. */
pid_t zygote_start(struct ptrace_platform *platform, u64 offset, int done_fd);
u64 stub_slots_size(const struct ptrace_platform *platform);
u64 stub_closed_size(const struct ptrace_platform *platform);
/* The slots in our view. */
u8 *stub_slots(const struct stub *stub);

/* filter.c: what a stub process may ask of the host. OUT has FILTER_COUNT_MAX places. */
#define FILTER_COUNT_MAX 48u
u32 filter_build(const u32 keys[2], struct sock_filter *out);

/* ---- space.c: edits, and what the stub has mapped ------------------------------------------- */

/* Is ADDRESS's entry one that the stub may have mapped? */
static inline bool entry_is_cached(const struct pagetable *table, u64 address)
{
    const u64 *slot = pagetable_slot(table, uaddr_make(address));
    return slot && (__atomic_load_n(slot, __ATOMIC_ACQUIRE) & PAGETABLE_CACHED);
}

enum edit_type { EDIT_MAP, EDIT_UNMAP, EDIT_PROTECT };

struct edit {
    u64 address;
    u64 count;
    u64 frame; /* MAP */
    u32 prot;  /* MAP, PROTECT */
    enum edit_type type;
};

struct ptrace_space {
    struct space base;
    struct stub *stub; /* NULL until a cpu enters */
    u32 inside_count;  /* cpus between cpu_enter and cpu_leave */
    u64 batch;         /* the last one closed */
    bool is_new;       /* no cpu has run it yet */
    u64 fault_address; /* atomic: of the last EVENT_FAULT that nothing was mapped for yet, or 0 */
    u64 near_address;  /* of a fault whose page is queued: what lies around it is mapped along; or 0
                        */
    bool is_pending;   /* atomic: there are edits that the stub may not have made yet */
    bool must_drop;    /* edits were lost: unmap everything */
    bool must_walk;    /* a flight failed: none any more */
    pthread_mutex_t queue_lock;
    struct edit *edits;
    u32 edit_count;
    u32 edit_capacity;
};

MUST_CHECK int ptrace_space_init(struct space *space);
void ptrace_space_fini(struct space *space);
void ptrace_space_map(struct space *space, uaddr address, frame first, u64 count, u32 prot);
void ptrace_space_unmap(struct space *space, uaddr address, u64 count);
void ptrace_space_protect(struct space *space, uaddr address, u64 count, u32 prot);
u64 ptrace_space_commit(struct space *space);
bool ptrace_space_is_done(struct space *space, u64 batch);

/* Who makes edits: THREAD as in stub_edit. One that MAY_FLY is about to run, and may be left with
 * the last of them as its flight. */
struct maker {
    struct stub_thread *thread;
    bool may_fly;
};

/* Bring the stub up to date with all queued edits. False: the stub is gone. */
bool space_flush(struct ptrace_space *space, const struct maker *maker);
/* The flight of THREAD ended with RESULT. False: the stub is gone. */
bool space_land(struct ptrace_space *space, struct stub_thread *thread, enum stub_result result);

enum fill_result { FILL_DONE, FILL_REFUSED, FILL_GONE };
/* Map the present entry for ADDRESS, and its run of neighbours, if it allows ACCESS. */
enum fill_result space_fill(struct ptrace_space *space, const struct maker *maker, u64 address,
                            u32 access);
/* Before the first run of a space: clear what an earlier one left in the stub, and map what the
 * first instructions need. False: the stub is gone. */
bool space_prefill(struct ptrace_space *space, const struct maker *maker, const struct regs *regs);

/* ---- cpu.c: running ------------------------------------------------------------------------- */

struct ptrace_cpu {
    struct cpu base;
    pid_t tid;             /* of the host thread that attached; 0: none */
    pthread_t host_thread; /* that one */
    struct ptrace_space *space;
    struct context *context;
    struct stub_thread *thread;
    u32 victim;       /* which slot of a stub the next context without one takes */
    u32 kicked;       /* atomic: a kick that no EVENT_KICK has answered yet */
    u64 target;       /* atomic: pid << 32 | tid of a stub thread that may be running, or 0 */
    u64 fill_address; /* of the last fault that was filled, and how often in a row */
    u32 fill_count;
};

/* Are we its host thread? */
static inline bool cpu_is_ours(const struct ptrace_cpu *cpu)
{
    return cpu->tid != 0 && pthread_equal(cpu->host_thread, pthread_self());
}

struct cpu *ptrace_cpu(struct platform *platform, u32 index);
MUST_CHECK int ptrace_cpu_attach(struct cpu *cpu);
void ptrace_cpu_detach(struct cpu *cpu);
void ptrace_cpu_enter(struct cpu *cpu, struct space *space, struct context *context);
void ptrace_cpu_run(struct cpu *cpu, struct event *event);
void ptrace_cpu_leave(struct cpu *cpu);
void ptrace_cpu_kick(struct cpu *cpu);

/* Its thread, on the way to the program. */
struct maker cpu_maker(const struct ptrace_cpu *cpu);

/* Wait for THREAD to stop; its status, or -ESRCH when it is gone (and then the stub is marked). */
int stub_thread_wait(struct stub_thread *thread);

/* ---- events.c: from stops to events --------------------------------------------------------- */

/* The cpu's thread stopped with a signal and cpu->context->regs are its registers. True: EVENT says
 * what the sentry must see; false: the thread can go on. */
bool signal_handle(struct ptrace_cpu *cpu, const siginfo_t *info, struct event *event);
/* It stopped at a system call. Likewise. */
void syscall_handle(struct ptrace_cpu *cpu, struct event *event);

/* ---- xstate.c ------------------------------------------------------------------------------- */

/* On THREAD's tracer: fetch its extended state into its context; load its context's. False: gone.
 */
bool xstate_fetch(struct stub_thread *thread);
bool xstate_load(struct stub_thread *thread);
/* Learn the host's layout from a stopped thread, once; give THREAD its image. False: no memory, or
 * gone. */
bool xstate_prepare(struct stub_thread *thread);
/* CONTEXT's newest state goes to its own memory and it lives nowhere any more. Kernel lock, any
 * thread. */
void ptrace_context_sync(struct context *context);
void ptrace_context_forget(struct platform *platform, struct context *context);
/* Every context whose state THREAD has gets it. Kernel lock, any thread. */
void xstate_evict(struct stub_thread *thread);
/* Installs the handler by which one host thread asks another for a tracee's state. */
MUST_CHECK int xstate_remote_init(void);

/* The signals that this platform uses: to stop a stub thread, and to call a cpu's host thread. */
#define SIGNAL_KICK SIGURG
#define SIGNAL_REMOTE (SIGRTMAX - 2)

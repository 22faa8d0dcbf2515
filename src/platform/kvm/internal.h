/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The parts of the KVM platform and what they share. README.md tells how they work together.
 *
 * Locks: the kernel lock (the sentry's) guards what is not named below. A cpu's host thread alone
 * touches its vCPU while it runs; words that other threads touch without the lock are atomic.
 */
#pragma once
#include "platform/kvm/stub.h"
#include "platform/ops.h"
#include "platform/xsave.h"
#include <linux/kvm.h>
#include <signal.h>
#include <sys/types.h>

/* Ends KVM_RUN of another thread. */
#define SIGNAL_KICK (SIGRTMAX - 3)

/* ---- the stub's memory ---------------------------------------------------------------------- */

/* Pages of the stub's memory, in this order. */
enum stub_page {
    STUB_PAGE_ROOT,      /* a top table with nothing but the stub */
    STUB_PAGE_DIRECTORY, /* the three tables below it, shared by all spaces */
    STUB_PAGE_MIDDLE,
    STUB_PAGE_LEAVES,
    STUB_PAGE_CODE,
    STUB_PAGE_GDT,
    STUB_PAGE_IDT,
    STUB_PAGE_PROBE_CODE,                       /* for the program of the probe */
    STUB_PAGE_PROBE_DATA,                       /* two pages */
    STUB_PAGE_AREAS = STUB_PAGE_PROBE_DATA + 2, /* one a cpu; then the pages of their slots */
};
/* A cpu keeps the extended state of so many contexts where the stub can load it from. */
#define SLOTS_PER_CPU 6u
#define KVM_CPUS_MAX ((512u - STUB_PAGE_AREAS) / (1 + SLOTS_PER_CPU))

/* A cpu's area as the stub sees it; stub.h has the offsets. */
struct area {
    u8 tss[AREA_VECTOR];
    u64 vector;
    u64 cr2;
    u64 cr3;
    u32 must_flush;
    u32 must_select;
    u32 is_fast;
    u32 unused;
    u64 scratch;
    u64 frame_end;
    u32 must_switch; /* atomic, and so is save_to: other threads ask */
    u32 unused_too;
    u64 save_to;
    u64 load_from;
    u8 gap[AREA_REGS - AREA_LOAD_FROM - 8];
    struct regs regs; /* orig_rax is the error code, or the number of the call */
    u8 stack[AREA_STACK_END - AREA_REGS - sizeof(struct regs)];
};
_Static_assert(sizeof(struct area) == PAGE_SIZE, "an area is a page");
_Static_assert(offsetof(struct area, regs.fs_base) == AREA_REGS_FRAME_END, "the frame's end");
_Static_assert(offsetof(struct area, must_flush) == AREA_MUST_FLUSH, "stub.h");
_Static_assert(offsetof(struct area, is_fast) == AREA_IS_FAST, "stub.h");
_Static_assert(offsetof(struct area, frame_end) == AREA_FRAME_END, "stub.h");
_Static_assert(offsetof(struct area, must_switch) == AREA_MUST_SWITCH, "stub.h");
_Static_assert(offsetof(struct area, load_from) == AREA_LOAD_FROM, "stub.h");

extern const u8 kvm_stub_start[], kvm_stub_syscall[], kvm_stub_syscall32[], kvm_stub_vectors[],
    kvm_stub_resume[], kvm_stub_resume_end[], kvm_stub_end[];

/* ---- kvm.c: the virtual machine ------------------------------------------------------------- */

enum host_kind {
    HOST_SHADOW, /* also where nothing is known: what is right there is right everywhere */
    HOST_NESTED,
    HOST_SOFTWARE, /* shadow paging, and `syscall` arrives as a fault at its entry */
};

/* What a first program showed (probe.c). */
struct host_seen {
    bool is_call_by_fault; /* its system call came as a fault at the entry for calls */
    bool sees_store;       /* it saw a present entry that was changed by a plain store */
    bool sees_renewed;     /* or did when the page that the entry gave had been renewed */
};
/* Pure. Where a first program showed neither, shadow paging is right. */
enum host_kind host_judge(const struct host_seen *seen);

/* The name of the first capability that this platform needs and HAS(ARG, number) denies, or NULL.
 */
const char *capability_missing(int (*has)(void *arg, int capability), void *arg);

/* Exits of a cpu and why, for tests and for the log. */
struct kvm_counts {
    u64 runs;         /* KVM_RUN was called */
    u64 syscalls;     /* the stub stopped for a system call */
    u64 faults;       /* for a page fault */
    u64 exceptions;   /* for another exception */
    u64 interrupts;   /* a signal ended KVM_RUN */
    u64 captures;     /* and the registers were taken out of the vCPU */
    u64 resets;       /* the vCPU was put back into the stub */
    u64 switches;     /* another space was entered */
    u64 xstate_moves; /* extended state went between a slot and a context's memory */
};

struct kvm_platform {
    struct platform base;
    int device; /* /dev/kvm */
    int vm;
    size_t run_size;
    u8 *stub; /* the stub's memory, in our view */
    size_t stub_size;
    u64 stub_physical;
    u32 slot_next;
    unsigned chunk_shift; /* memory is made known to the machine in pieces of this size */
    bool *chunks;         /* which are */
    enum host_kind kind;
    bool is_emulated; /* the processor is QEMU's: some faults need a second look */
    bool can_renew;   /* view_renew was seen to do what it says */
    bool has_offset;  /* the time-stamp counter is exactly the host's */
    struct xsave_layout xsave;
    u64 xcr0;
    struct kvm_cpu *cpus;
};

static inline struct kvm_platform *kvm_platform_of(const struct platform *platform)
{
    return container_of((struct platform *)(uintptr_t)platform, struct kvm_platform, base);
}

static inline u8 *stub_page(const struct kvm_platform *platform, u32 page)
{
    return platform->stub + ((size_t)page << PAGE_SHIFT);
}

/* Where the program, the machine and the stub see a byte of the stub's code. */
static inline u64 stub_address(const u8 *code)
{
    return STUB_BASE + ((u64)STUB_PAGE_CODE << PAGE_SHIFT) + (u64)(code - kvm_stub_start);
}

/* Shadow paging: let the machine forget what it knows of frames, or of everything. */
static inline bool has_shadow(const struct kvm_platform *platform)
{
    return platform->kind != HOST_NESTED;
}
void frames_forget(struct kvm_platform *platform, u64 first, u64 count);
/* Let the host take what KVM knows of these pages of ours out of the machine; they stay in our
 * view, and other threads may use them meanwhile. False: the host refuses. */
bool view_renew(void *at, u64 size);
void tables_forget(struct kvm_platform *platform);
/* Make frames known to the machine; false when the host refuses. Kernel lock. */
bool frames_reach(struct kvm_platform *platform, u64 first, u64 count);

/* ---- stub.c: the stub's memory -------------------------------------------------------------- */

MUST_CHECK int stub_create(struct kvm_platform *platform);
void stub_destroy(struct kvm_platform *platform);

/* ---- probe.c -------------------------------------------------------------------------------- */

/* Find out what kind of host this is by running a program of two instructions. 0 or -errno with a
 * reason. */
MUST_CHECK int host_probe(struct kvm_platform *platform, char *err_text, size_t err_size);

/* ---- cpuid.c -------------------------------------------------------------------------------- */

/* Give the vCPU the answers that cpuid gives here, as far as KVM can keep them. */
MUST_CHECK int vcpu_set_cpuid(const struct kvm_platform *platform, int vcpu);
bool cpuid_is_emulated(void);

/* ---- space.c -------------------------------------------------------------------------------- */

struct kvm_space {
    struct space base;
    u64 batch;        /* atomic: the newest whose edits a cpu must flush for */
    u32 inside_count; /* cpus between cpu_enter and cpu_leave */
    bool must_flush;  /* present entries were changed since the last commit */
    bool is_lost;     /* the host refused memory */
};

MUST_CHECK int kvm_space_init(struct space *space);
void kvm_space_fini(struct space *space);
void kvm_space_map(struct space *space, uaddr address, frame first, u64 count, u32 prot);
void kvm_space_unmap(struct space *space, uaddr address, u64 count);
void kvm_space_protect(struct space *space, uaddr address, u64 count, u32 prot);
u64 kvm_space_commit(struct space *space);
bool kvm_space_is_done(struct space *space, u64 batch);
u64 space_cr3(const struct kvm_space *space);

/* ---- vcpu.c --------------------------------------------------------------------------------- */

#define SEEN_ALL UINT64_MAX

struct kvm_cpu {
    struct cpu base;
    int fd;
    struct kvm_run *run;
    struct area *area; /* our view */
    u64 area_address;  /* the stub's */
    struct kvm_sregs ring0;
    pid_t tid; /* of the host thread that attached; 0: none */
    struct kvm_space *space;
    struct context *context;
    struct kvm_slot *slots;  /* SLOTS_PER_CPU */
    struct kvm_slot *loaded; /* whose state the vCPU had when it ran last; NULL: nobody's */
    struct kvm_slot *wanted; /* whose it has when the stub has done as the area says */
    u32 victim;              /* the slot that is taken next */
    u64 cr3;                 /* of the space it ran last; 0: none */
    u64 flushed;             /* the batch of that space for which it loaded CR3 or will */
    u64 seen;                /* atomic: `flushed` while it may be running, else SEEN_ALL */
    bool must_reset;         /* not in the stub where it can go on */
    bool is_broken;          /* its state is lost altogether */
    u32 kicked;              /* atomic: a kick that no EVENT_KICK has answered yet */
    pid_t target;            /* atomic: tid while KVM_RUN may be on, or 0 */
    u64 retry_address;       /* of the last fault that the table does not explain; how often */
    u32 retry_count;
    u32 refusals; /* of KVM_RUN by the host's memory, in a row */
    struct kvm_counts counts;
};

static inline struct kvm_cpu *kvm_cpu_of(struct cpu *cpu)
{
    return container_of(cpu, struct kvm_cpu, base);
}

MUST_CHECK int vcpu_create(struct kvm_platform *platform, struct kvm_cpu *cpu);
void vcpu_destroy(struct kvm_platform *platform, struct kvm_cpu *cpu);
enum vcpu_stop {
    VCPU_EVENT, /* the stub stopped; the area tells */
    VCPU_KICK,  /* a kick was taken; the area has the registers */
    VCPU_BROKEN,
};
/* From the area's registers until something happens. Without the kernel lock. */
enum vcpu_stop vcpu_run(struct kvm_cpu *cpu);

/* ---- xstate.c ------------------------------------------------------------------------------- */

/* A page for extended state, in the stub's memory. A context's state is in its own memory, in its
 * slot's page, or, while the slot is the loaded one, in the vCPU. */
struct kvm_slot {
    struct kvm_cpu *cpu;
    struct context *context; /* NULL: free */
    u8 *image;               /* the page, in our view */
    u64 address;             /* in the stub's */
};

MUST_CHECK int slots_create(struct kvm_platform *platform, struct kvm_cpu *cpu);
/* CPU's next run is CONTEXT's. Kernel lock, on CPU's thread. */
void xstate_enter(struct kvm_cpu *cpu, struct context *context);
/* CPU has left the stub: who is in the vCPU? Kernel lock, on its thread. */
void xstate_settle(struct kvm_cpu *cpu);
/* The vCPU's own state, in the canonical form; it must not be running elsewhere for long. False:
 * the host refuses. */
bool vcpu_xstate(struct kvm_cpu *cpu, struct xstate *out);
void kvm_context_sync(struct context *context);
void kvm_context_forget(struct platform *platform, struct context *context);

/* ---- cpu.c ---------------------------------------------------------------------------------- */

struct cpu *kvm_cpu(struct platform *platform, u32 index);
MUST_CHECK int kvm_cpu_attach(struct cpu *cpu);
void kvm_cpu_detach(struct cpu *cpu);
void kvm_cpu_enter(struct cpu *cpu, struct space *space, struct context *context);
void kvm_cpu_run(struct cpu *cpu, struct event *event);
void kvm_cpu_leave(struct cpu *cpu);
void kvm_cpu_kick(struct cpu *cpu);
/* End KVM_RUN of CPU, if it is on, so that it looks around; no event comes of it. */
void cpu_poke(struct kvm_cpu *cpu);
bool kick_take(struct kvm_cpu *cpu);

/* ---- events.c ------------------------------------------------------------------------------- */

/* The stub stopped: take the registers from the area. True: EVENT says what the sentry must see. */
bool stop_handle(struct kvm_cpu *cpu, struct event *event);
/* The area's registers become the context's; orig_rax is none. The flag by which a context is
 * stepped is not the program's. */
void regs_take_back(struct kvm_cpu *cpu);

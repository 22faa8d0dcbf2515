/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What runs application code, and nothing else. A platform has spaces (address spaces) and cpus.
 * `cpu_run` runs a context in a space until something happens that the sentry must see.
 *
 * A space's truth is its page table (pagetable.h, x86-64 four-level, in a memory file of its own).
 * What a platform has mapped is a cache of it, like a TLB: it may be dropped at any time and is
 * refilled from the table by the platform itself, without an event. So an access to a present entry
 * that allows it never yields an event; any other yields EVENT_FAULT.
 *
 * Edits: entries are changed only through space_map/unmap/protect. They are gathered in the space
 * and take effect no later than `space_commit` + the next entry of each cpu that runs the space. A
 * frame taken out of a table may be reused only when space_is_done says so for the batch that took
 * it.
 *
 * All functions are called with the kernel lock held, except that `cpu_run`'s middle runs without
 * it (the caller releases and takes it around cpu_run) and `cpu_kick` may be called from anywhere.
 */
#pragma once
#include "abi/regs.h"
#include "base/base.h"
#include "platform/machine.h"

/* The same on all platforms. */
#define SPACE_ADDRESS_MIN 0x10000ull /* lowest mappable address (mmap_min_addr) */
/* First address after the highest mappable page. Linux has 0x7ffffffff000; the 16 MiB below that
 * belong to ptrace's stub (spec/platform.md). */
#define SPACE_ADDRESS_END 0x7fffff000000ull

#define PROT_READ_BIT 1u
#define PROT_WRITE_BIT 2u
#define PROT_EXEC_BIT 4u

enum event_type {
    EVENT_SYSCALL, /* regs.orig_rax = number, regs.rax = -ENOSYS as on Linux at entry; rip behind it
                    */
    EVENT_FAULT,   /* address, access: no present entry allows it; regs as before the instruction */
    EVENT_EXCEPTION, /* signo, code, address, trapno, error_code, as Linux would report it */
    EVENT_KICK, /* cpu_kick arrived, or a time slice of the host ended; nothing else happened */
    EVENT_GONE, /* the platform lost the space (a stub process was killed): the task must die */
};

struct event {
    enum event_type type;
    u64 address;    /* FAULT; EXCEPTION where it has one (si_addr) */
    u32 access;     /* FAULT: one of PROT_*_BIT */
    i32 signo;      /* EXCEPTION: SIGSEGV, SIGBUS, SIGFPE, SIGILL, SIGTRAP */
    i32 code;       /* EXCEPTION: si_code */
    u32 trapno;     /* FAULT, EXCEPTION: x86 vector, for sigcontext */
    u32 error_code; /* likewise */
};

/*
 * A context: the user-visible processor state of one task. The sentry may read and write `regs` at
 * will between runs. `xstate` may lie in the platform: call context_sync before reading it, and set
 * `xstate_changed` after writing it.
 */
struct context {
    struct regs regs;
    struct xstate *xstate;  /* the sentry's memory; lent to the platform for the context's life */
    bool xstate_changed;    /* the sentry wrote xstate since the last run */
    bool single_step;       /* stop with SIGTRAP/TRAP_TRACE after one instruction */
    struct cpu *xstate_cpu; /* platform's: where the newest xstate lives; NULL: in `xstate` */
    void *xstate_home;      /* platform's: more about that place; start both as NULL */
    u64 id;                 /* unique number of the context, never reused; platform caches by it */
};

struct platform;
struct space;
struct cpu;
struct pagetable;
struct pagetable_pool;

struct platform_features {
    const char *name;    /* "script", "ptrace", "kvm" */
    bool is_preemptible; /* a kick ends even a loop without system calls */
    bool is_native;      /* runs x86 code (script does not) */
    bool needs_threads;  /* each cpu must be run by one host thread of its own, always the same */
};

/* MEMORY is the memfile, lent for the platform's life. CPU_COUNT >= 1. err text goes to ERR_TEXT
 * (may be NULL). */
MUST_CHECK int platform_create(const char *name, struct machine_memory *memory, u32 cpu_count,
                               struct platform **out, char *err_text, size_t err_size);
/* The same with DEVICE, the opened device that the platform NAME works with; lent for the call. */
MUST_CHECK int platform_create_on(const char *name, int device, struct machine_memory *memory,
                                  u32 cpu_count, struct platform **out, char *err_text,
                                  size_t err_size);
void platform_destroy(struct platform *platform);
/* What the platform found out about the host, one line for a log; "" if nothing. Lent. */
const char *platform_note(const struct platform *platform);
/* The names that platform_create knows, by index from 0; NULL past the last. */
const char *platform_name(u32 index);
const struct platform_features *platform_features(const struct platform *platform);
struct pagetable_pool *platform_tables(struct platform *platform);

/* ---- spaces --------------------------------------------------------------------------------- */

MUST_CHECK int space_create(struct platform *platform, struct space **out);
/* No cpu runs it any more (the sentry has seen to that); page table entries are gone. */
void space_destroy(struct space *space);
/* Lent: for lookups with pagetable_get and pagetable_next. Never edit through it. */
struct pagetable *space_table(struct space *space);

/* Set COUNT entries at ADDRESS to frames FIRST, FIRST+1, … with PROT (PROT_*_BIT; 0 is not
 * allowed). Entries that are present are replaced. 0 or -ENOMEM (then nothing changed). */
MUST_CHECK int space_map(struct space *space, uaddr address, frame first, u64 count, u32 prot);
/* Clear present entries in [address, address + count pages). */
void space_unmap(struct space *space, uaddr address, u64 count);
/* Change the rights of present entries. PROT 0 keeps the entry's frame but lets nobody in. */
void space_protect(struct space *space, uaddr address, u64 count, u32 prot);

/* Close the gathered edits to a batch, kick cpus that run the space with older ones; its number. */
u64 space_commit(struct space *space);
/* Has every cpu that could use older entries acknowledged BATCH? */
bool space_is_done(struct space *space, u64 batch);

/* ---- cpus ----------------------------------------------------------------------------------- */

struct cpu *platform_cpu(struct platform *platform, u32 index);
/* Called once by the host thread that will run CPU, before its first cpu_run; and at its end. */
MUST_CHECK int cpu_attach(struct cpu *cpu);
void cpu_detach(struct cpu *cpu);
/*
 * Run CONTEXT in SPACE until an event. Before it: cpu_enter with the lock held (applies what needs
 * the lock: the batches due); then cpu_run without the lock; then cpu_leave with the lock held.
 */
void cpu_enter(struct cpu *cpu, struct space *space, struct context *context);
void cpu_run(struct cpu *cpu, struct event *event);
void cpu_leave(struct cpu *cpu);
/* End a run now or, if none is on, the next one at once: sticky, consumed by one EVENT_KICK. Any
 * thread, any time, async-signal-safe. */
void cpu_kick(struct cpu *cpu);

/* Bring CONTEXT's newest xstate into context->xstate. May be called for a context last run
 * elsewhere. */
void context_sync(struct context *context);
/* The platform forgets what it holds of CONTEXT: it ends, or its xstate is about to be written
 * whole (then set `xstate_changed`). Cheaper than context_sync, which may have to ask another
 * thread. */
void context_forget(struct platform *platform, struct context *context);

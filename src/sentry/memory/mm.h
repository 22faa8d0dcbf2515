/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A process's address space: vmas over frames and mappings, faults, user copies. Page tables are
 * the platform space's; what they hold is counted in frames here.
 */
#pragma once
#include "abi/mman.h"
#include "base/map.h"
#include "base/object.h"
#include "platform/platform.h"
#include "sentry/memory/mapping.h"
#include "sentry/memory/memory.h"

/* Vma flags beyond protection. */
#define VMA_SHARED 1u
#define VMA_GROWSDOWN 2u
#define VMA_LOCKED 4u
#define VMA_DONTFORK 8u
#define VMA_STACK 16u
#define VMA_VDSO 32u
#define VMA_MAY_WRITE 64u /* shared file mapping whose file is open for writing */
#define VMA_DONTDUMP 128u
#define VMA_NORESERVE 256u
#define VMA_WIPEONFORK 512u
#define VMA_NOEXEC 1024u /* of a noexec mount: never executable */
#define VMA_SEALED 2048u /* mseal(2): neither moved, removed nor given other rights */

struct vma {
    struct object object;     /* kind vma_kind; owned by the mm's tree */
    struct tree_node node;    /* key: start */
    struct list mm_link;      /* mm->vma_list, in order of addresses */
    struct list mapping_link; /* in mapping->vmas */
    struct mm *mm;            /* weak */
    u64 start, end;
    u32 prot;  /* PROT_READ… of Linux */
    u32 flags; /* VMA_* */
    struct object
        *file; /* counted: the fs object that keeps `mapping` alive (a struct file), or NULL */
    struct mapping
        *mapping;    /* lent by `file` (or own shared anonymous object); NULL: private anonymous */
    u64 offset;      /* of `start` in the mapping, bytes */
    char name[32];   /* "[stack]", "[heap]", "[vdso]", PR_SET_VMA names */
    u64 fault_next;  /* where the last filled run ended: a fault there goes on in order */
    u32 fault_count; /* pages the next such run takes */
    u32 copy_count;  /* how often pages of its file were copied */
};
extern const struct kind vma_kind;

struct mm {
    struct object object;
    struct memory *memory;     /* lent */
    struct platform *platform; /* lent */
    struct space *space;
    struct tree vmas;
    struct list vma_list; /* the same vmas: struct vma.mm_link; owns a reference each */
    u64 vma_count;
    bool is_edited;         /* entries were changed since the last commit */
    bool is_reduced;        /* … also present ones: the commit waits until every cpu knows */
    u64 brk_start, brk_end; /* heap */
    bool brk_has_shrunk;    /* it grows and shrinks: faults take more of it at once */
    u64 mmap_top;           /* search downwards from here */
    u64 stack_start;        /* for /proc and growth */
    u64 arg_start, arg_end, env_start, env_end, code_start, code_end;
    u64 virtual_size;   /* bytes */
    u64 data_size;      /* of private writable memory but stacks, bytes: RLIMIT_DATA */
    u64 resident_count; /* pages in the table */
    u64 resident_max;
    u64 locked_size;
    u32 barriers;   /* membarrier(2): commands that were registered */
    u32 lock_flags; /* VMA_LOCKED: new mappings are locked (mlockall MCL_FUTURE) */
    u64 limit_as, limit_data, limit_stack,
        limit_memlock;  /* bytes, UINT64_MAX: none; copied from rlimits by kernel/ */
    struct list limbo;  /* frames unmapped, not yet acknowledged (mm.c's) */
    struct object *exe; /* counted: the executable's struct file (/proc/PID/exe) */
    u8 auxv[512];
    u32 auxv_size;
    u64 vdso;       /* address of the vDSO or 0 */
    u32 user_count; /* tasks that use it (mm_use/mm_unuse) */
};

extern const struct kind mm_kind;

MUST_CHECK int mm_create(struct arena *arena, struct memory *memory, struct platform *platform,
                         struct mm **out);
/* A copy for fork: private pages copy-on-write, shared ones shared. 0 or -ENOMEM (then nothing
 * changed). */
MUST_CHECK SLEEPS int mm_fork(struct mm *mm, struct fiber *fiber, struct mm **out);
/* Take away all mappings now (exit, exec), before the last reference goes. */
void mm_clear(struct mm *mm);

struct mm_map_request {
    u64 address; /* hint or fixed */
    u64 size;    /* > 0; rounded up here */
    u32 prot;    /* Linux's PROT_* */
    u32 vma_flags;
    bool is_fixed;       /* MAP_FIXED */
    bool is_noreplace;   /* MAP_FIXED_NOREPLACE: -EEXIST */
    bool is_populated;   /* MAP_POPULATE, mlock'd */
    struct object *file; /* lent; the mm takes its own reference */
    struct mapping *mapping;
    u64 offset;
    const char *name; /* or NULL */
    bool is_below_2g; /* MAP_32BIT */
    bool is_lazy;     /* mlock2's MLOCK_ONFAULT: locked, not populated */
};
#define VMA_COUNT_MAX 65530u /* vm.max_map_count */
/* The address or -errno as mmap(2). */
MUST_CHECK SLEEPS i64 mm_map(struct mm *mm, struct fiber *fiber,
                             const struct mm_map_request *request);
MUST_CHECK SLEEPS int mm_unmap(struct mm *mm, struct fiber *fiber, u64 address, u64 size);
/* mseal(2): 0, -EINVAL, -ENOMEM (a hole, or no memory). */
MUST_CHECK int mm_seal(struct mm *mm, u64 address, u64 size);
MUST_CHECK SLEEPS int mm_protect(struct mm *mm, struct fiber *fiber, u64 address, u64 size,
                                 u32 prot);
MUST_CHECK SLEEPS i64 mm_remap(struct mm *mm, struct fiber *fiber, u64 old, u64 old_size,
                               u64 new_size, u32 flags, u64 new_address);
/* remap_file_pages(2): shared pages of one file at [ADDRESS, +SIZE), whole pages, show what lies at
 * OFFSET of it instead. 0, -EINVAL (not shared, a hole, several files), or as mm_map. */
MUST_CHECK SLEEPS int mm_remap_pages(struct mm *mm, struct fiber *fiber, u64 address, u64 size,
                                     u64 offset, bool is_populated);
/* brk(2): the new end, or the old one when it cannot be. */
SLEEPS u64 mm_brk(struct mm *mm, struct fiber *fiber, u64 end);
MUST_CHECK SLEEPS int mm_advise(struct mm *mm, struct fiber *fiber, u64 address, u64 size,
                                i32 advice);
/* mlock(2): populate and account, or the reverse. 0, -ENOMEM (unmapped parts, limit), -EAGAIN. */
MUST_CHECK SLEEPS int mm_lock(struct mm *mm, struct fiber *fiber, u64 address, u64 size, bool lock);
/* Fill [ADDRESS, +SIZE) as reads (or writes) would: 0 or what the first bad page answers (-EFAULT,
 * -ENOMEM, …). */
MUST_CHECK SLEEPS int mm_populate(struct mm *mm, struct fiber *fiber, u64 address, u64 size,
                                  bool for_write);
/* PR_SET_VMA_ANON_NAME: 0, -ENOMEM, -EBADF (not anonymous). NAME NULL: none. */
MUST_CHECK int mm_set_name(struct mm *mm, u64 address, u64 size, const char *name);
struct vma *mm_find_vma(const struct mm *mm, u64 address); /* that contains it, lent */
struct vma *mm_find_vma_after(const struct mm *mm,
                              u64 address); /* first with end > address, lent */

/*
 * Serve a fault: 0 (retry the instruction), or -errno with the signal to send in *SIGNO, *CODE
 * (SIGSEGV MAPERR/ACCERR, SIGBUS ADRERR). Fills a run of pages around it.
 */
MUST_CHECK SLEEPS int mm_fault(struct mm *mm, struct fiber *fiber, u64 address, u32 access,
                               i32 *signo, i32 *code);
/* Call after edits, before the task runs again or sleeps: commits and frees what is acknowledged.
 * Cheap when nothing changed. */
void mm_commit(struct mm *mm);

/* ---- user copies: never fault in the sentry, may sleep for pages. 0 or -EFAULT ---- */
MUST_CHECK SLEEPS int mm_copy_in(struct mm *mm, struct fiber *fiber, void *to, uaddr from,
                                 u64 size);
MUST_CHECK SLEEPS int mm_copy_out(struct mm *mm, struct fiber *fiber, uaddr to, const void *from,
                                  u64 size);
/* Bytes moved before bad memory, or -EFAULT if none (partial transfers). */
MUST_CHECK SLEEPS i64 mm_copy_in_some(struct mm *mm, struct fiber *fiber, void *to, uaddr from,
                                      u64 size);
MUST_CHECK SLEEPS i64 mm_copy_out_some(struct mm *mm, struct fiber *fiber, uaddr to,
                                       const void *from, u64 size);
/* Ignore the vma's protection but not its absence (ptrace, /proc/PID/mem); breaks copy-on-write. */
MUST_CHECK SLEEPS i64 mm_copy_force(struct mm *mm, struct fiber *fiber, void *buffer, uaddr at,
                                    u64 size, bool write);
/* A string with terminator, at most SIZE_MAX bytes with it: its length, -ENAMETOOLONG or -EFAULT.
 */
MUST_CHECK SLEEPS i64 mm_copy_string(struct mm *mm, struct fiber *fiber, char *to, uaddr from,
                                     u64 size_max);
/*
 * An aligned u32 in user memory for futexes: pins nothing, so use before the next sleep: a sentry
 * pointer to the word and the key (frame based for shared, (mm id, address) for private memory). 0
 * or -EFAULT.
 */
struct futex_key {
    u64 object; /* mapping's/mm's object id */
    u64 offset;
};
MUST_CHECK SLEEPS int mm_futex_word(struct mm *mm, struct fiber *fiber, uaddr at, bool is_shared,
                                    bool for_write, u32 **word, struct futex_key *key);

/* ---- shared anonymous memory: an object around a mapping ------------------------------------ */

/* MAP_SHARED|MAP_ANONYMOUS, the vDSO's pages. As vma->file it is told from a struct file by its
 * kind. */
struct shared_memory {
    struct object object;
    struct mapping mapping;
};
extern const struct kind shared_memory_kind;
MUST_CHECK int shared_memory_create(struct memory *memory, enum frame_use use, u64 size,
                                    struct shared_memory **out);

/* ---- checking, saving, loading -------------------------------------------------------------- */

/* NULL when all holds: vmas sorted, disjoint, counted; every entry in a vma, of a used frame,
 * writable only where nobody else would see it; sums right. Else what does not, static text. For
 * tests and quiet points. */
const char *mm_check(const struct mm *mm);
/* VISIT every present entry of a private page in order until it answers non-zero, which is
 * returned. PROT is the vma's. */
MUST_CHECK int mm_for_each_page(const struct mm *mm,
                                int (*visit)(void *arg, u64 address, frame f, u32 prot), void *arg);
/* Put a page in while loading (vmas need not be there yet); takes F's reference on success. Never
 * writable yet. */
MUST_CHECK int mm_load_page(struct mm *mm, u64 address, frame f, u32 prot);

/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Memory files, threads, waiting and stacks over Linux (memfd_create(2), fallocate(2), futex(2)).
 * Surprising: a populate that runs out of memory leaves what it got; the caller discards or
 * retries.
 */
#include "platform/machine.h"
#include "platform/machine_keep.h"
#include <errno.h>
#include <fcntl.h>
#include <linux/futex.h>
#include <pthread.h>
#include <sched.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

#ifndef MFD_EXEC
#define MFD_EXEC 0x0010U
#endif
#define HUGE_SIZE ((u64)2 << 20)
#ifndef MADV_POPULATE_WRITE
#define MADV_POPULATE_WRITE 23
#endif

/* Applications execute from it. Kernels before 6.3 do not know MFD_EXEC and need nothing. */
static int memfd_create_executable(const char *name)
{
    int fd = memfd_create(name, MFD_CLOEXEC | MFD_EXEC);
    if (fd < 0 && errno == EINVAL)
        fd = memfd_create(name, MFD_CLOEXEC);
    return fd < 0 ? -errno : fd;
}

/* ---- what is kept --------------------------------------------------------------------------- */

#define KEPT_STACKS_MAX 64u
#define KEPT_MEMORIES_MAX 4u
#define KEPT_BYTES_MAX ((off_t)16 << 20) /* clearing more costs more than a new file */

/* Of processes that make many sandboxes one after the other, in one thread. */
static struct {
    bool is_on;
    void *stacks[KEPT_STACKS_MAX];
    size_t stack_size; /* of all of them */
    u32 stack_count;
    struct machine_memory memories[KEPT_MEMORIES_MAX];
    u32 memory_count;
} kept;

static void memory_drop(struct machine_memory *memory)
{
    munmap(memory->base, memory->frame_count << PAGE_SHIFT);
    if (memory->fd >= 0)
        close(memory->fd);
}

static void stack_drop(void *stack, size_t size)
{
    munmap((u8 *)stack - PAGE_SIZE, size + PAGE_SIZE);
}

void machine_keep(bool is_on)
{
    kept.is_on = is_on;
    while (!is_on && kept.memory_count > 0)
        memory_drop(&kept.memories[--kept.memory_count]);
    while (!is_on && kept.stack_count > 0)
        stack_drop(kept.stacks[--kept.stack_count], kept.stack_size);
}

/* What was written to is zero again; false: that is too much, or cannot be found out. */
static bool memory_clear(const struct machine_memory *memory)
{
    off_t end = 0, cleared = 0;
    for (;;) {
        off_t start = lseek(memory->fd, end, SEEK_DATA);
        if (start < 0)
            return errno == ENXIO;
        end = lseek(memory->fd, start, SEEK_HOLE);
        cleared += end - start;
        if (end < start || cleared > KEPT_BYTES_MAX)
            return false;
        memset((u8 *)memory->base + start, 0, (size_t)(end - start));
    }
}

static bool memory_keep(struct machine_memory *memory)
{
    if (!kept.is_on || kept.memory_count == KEPT_MEMORIES_MAX || !memory_clear(memory))
        return false;
    kept.memories[kept.memory_count++] = *memory;
    return true;
}

static bool memory_take_kept(u64 frame_count, struct machine_memory *out)
{
    for (u32 i = 0; i < kept.memory_count; i++) {
        if (kept.memories[i].frame_count != frame_count)
            continue;
        *out = kept.memories[i];
        kept.memories[i] = kept.memories[--kept.memory_count];
        return true;
    }
    return false;
}

/* ---- memory --------------------------------------------------------------------------------- */

int machine_memory_create(const char *name, u64 frame_count, struct machine_memory *out)
{
    u64 size;
    if (frame_count == 0 || __builtin_mul_overflow(frame_count, PAGE_SIZE, &size) ||
        size > INT64_MAX)
        return -EINVAL;
    if (memory_take_kept(frame_count, out))
        return 0;
    int fd = memfd_create_executable(name);
    if (fd < 0)
        return fd;
    if (ftruncate(fd, (off_t)size) < 0)
        goto close_fd;
    void *base = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_NORESERVE, fd, 0);
    if (base == MAP_FAILED)
        goto close_fd;
    (void)madvise(base, size, MADV_DONTDUMP);
    *out = (struct machine_memory){fd, base, frame_count};
    return 0;

close_fd:;
    int err = -errno;
    close(fd);
    return err;
}

void machine_memory_destroy(struct machine_memory *memory)
{
    if (memory->base == NULL)
        return;
    if (!memory_keep(memory))
        memory_drop(memory);
    *memory = (struct machine_memory){-1, NULL, 0};
}

/* SIZE bytes at a multiple of a huge page's size; NULL: the host refuses. */
static u8 *own_memory_map(u64 size)
{
    u64 whole;
    if (__builtin_add_overflow(size, HUGE_SIZE, &whole))
        return NULL;
    u8 *start = mmap(NULL, whole, PROT_READ | PROT_WRITE,
                     MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    if (start == MAP_FAILED)
        return NULL;
    u64 before = ALIGN_UP((u64)(uintptr_t)start, HUGE_SIZE) - (u64)(uintptr_t)start;
    if (before)
        munmap(start, before);
    munmap(start + before + size, HUGE_SIZE - before);
    return start + before;
}

int machine_memory_make_own(struct machine_memory *memory)
{
    u64 size = memory->frame_count << PAGE_SHIFT;
    ASSERT(memory->fd >= 0);
    if (madvise(memory->base, 0, MADV_POPULATE_WRITE) < 0) /* the host does not know it */
        return -errno;
    u8 *base = own_memory_map(size);
    if (base == NULL)
        return -ENOMEM;
    (void)madvise(base, size, MADV_DONTDUMP);
    (void)madvise(base, size, MADV_HUGEPAGE);
    munmap(memory->base, size);
    close(memory->fd);
    memory->fd = -1;
    memory->base = base;
    return 0;
}

static bool frames_are_within(const struct machine_memory *memory, frame first, u64 count)
{
    return first.index <= memory->frame_count && count <= memory->frame_count - first.index;
}

int machine_populate(struct machine_memory *memory, frame first, u64 count)
{
    ASSERT(frames_are_within(memory, first, count));
    if (count == 0)
        return 0;
    int err;
    do {
        err = madvise(machine_frame(memory, first), count << PAGE_SHIFT, MADV_POPULATE_WRITE);
    } while (err < 0 && (errno == EINTR || errno == EAGAIN));
    if (err == 0)
        return 0;
    /* EFAULT: the file has no room; ENOMEM: the host has none */
    if (errno != EINVAL || memory->fd < 0)
        return -ENOMEM;
    do {
        err = fallocate(memory->fd, 0, (off_t)(first.index << PAGE_SHIFT),
                        (off_t)(count << PAGE_SHIFT));
    } while (err < 0 && errno == EINTR);
    return err < 0 ? -ENOMEM : 0;
}

void machine_discard(struct machine_memory *memory, frame first, u64 count)
{
    ASSERT(frames_are_within(memory, first, count));
    if (count == 0)
        return;
    if (memory->fd < 0) {
        ASSERT(madvise(machine_frame(memory, first), count << PAGE_SHIFT, MADV_DONTNEED) == 0);
        return;
    }
    int err;
    do {
        err = fallocate(memory->fd, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE,
                        (off_t)(first.index << PAGE_SHIFT), (off_t)(count << PAGE_SHIFT));
    } while (err < 0 && errno == EINTR);
    ASSERT(err == 0);
}

int machine_memory_share(const struct machine_memory *memory)
{
    if (memory->fd < 0)
        return -EBADF;
    int fd = fcntl(memory->fd, F_DUPFD_CLOEXEC, 0);
    return fd < 0 ? -errno : fd;
}

u64 machine_memory_usage(const struct machine_memory *memory)
{
    struct stat status;
    ASSERT(memory->fd >= 0 && fstat(memory->fd, &status) == 0);
    return (u64)status.st_blocks * 512;
}

struct machine_thread {
    pthread_t thread;
    void (*run)(void *arg);
    void *arg;
};

static void *thread_main(void *arg)
{
    struct machine_thread *thread = arg;
    thread->run(thread->arg);
    return NULL;
}

int machine_thread_start(void (*run)(void *arg), void *arg, struct machine_thread **out)
{
    struct machine_thread *thread = calloc(1, sizeof *thread);
    if (thread == NULL)
        return -ENOMEM;
    thread->run = run;
    thread->arg = arg;
    int err = pthread_create(&thread->thread, NULL, thread_main, thread);
    if (err) {
        free(thread);
        return -err;
    }
    *out = thread;
    return 0;
}

void machine_thread_join(struct machine_thread *thread)
{
    ASSERT(pthread_join(thread->thread, NULL) == 0);
    free(thread);
}

void machine_wait(u32 *word, u32 value, u64 deadline_ns)
{
    struct timespec deadline = {
        .tv_sec = (time_t)(deadline_ns / NS_PER_S),
        .tv_nsec = (long)(deadline_ns % NS_PER_S),
    };
    syscall(SYS_futex, word, FUTEX_WAIT_BITSET | FUTEX_PRIVATE_FLAG, value,
            deadline_ns == NO_DEADLINE ? NULL : &deadline, NULL, FUTEX_BITSET_MATCH_ANY);
}

void machine_wake(u32 *word, u32 count)
{
    syscall(SYS_futex, word, FUTEX_WAKE | FUTEX_PRIVATE_FLAG,
            count > INT32_MAX ? INT32_MAX : count);
}

u32 machine_cpu_count(void)
{
    cpu_set_t set;
    if (sched_getaffinity(0, sizeof set, &set) < 0)
        return 1;
    return (u32)CPU_COUNT(&set);
}

void *machine_stack_create(size_t size)
{
    ASSERT(size > 0 && size % PAGE_SIZE == 0);
    if (kept.stack_count > 0 && kept.stack_size == size)
        return kept.stacks[--kept.stack_count];
    u8 *base = mmap(NULL, size + PAGE_SIZE, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE,
                    -1, 0);
    if (base == MAP_FAILED)
        return NULL;
    if (mprotect(base + PAGE_SIZE, size, PROT_READ | PROT_WRITE) < 0) {
        munmap(base, size + PAGE_SIZE);
        return NULL;
    }
    return base + PAGE_SIZE;
}

void machine_stack_destroy(void *stack, size_t size)
{
    if (stack == NULL)
        return;
    bool fits = kept.stack_count == 0 || kept.stack_size == size;
    if (kept.is_on && fits && kept.stack_count < KEPT_STACKS_MAX) {
        kept.stack_size = size;
        kept.stacks[kept.stack_count++] = stack;
        return;
    }
    stack_drop(stack, size);
}

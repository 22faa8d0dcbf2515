/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The vocabulary of every file: number types, ownership macros, assertions, checked arithmetic.
 * Knows nothing of the outside; may be included anywhere.
 */
#pragma once
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

typedef uint8_t u8;
typedef uint16_t u16;
typedef uint32_t u32;
typedef uint64_t u64;
typedef int8_t i8;
typedef int16_t i16;
typedef int32_t i32;
typedef int64_t i64;

/* An address in an application's memory. A type of its own so that it cannot be dereferenced. */
typedef struct uaddr {
    u64 value;
} uaddr;

/* The index of a page of the memfile. Frame 0 is never handed out and means "none". */
typedef struct frame {
    u64 index;
} frame;

static inline uaddr uaddr_make(u64 value)
{
    return (uaddr){value};
}

static inline uaddr uaddr_add(uaddr base, u64 offset)
{
    return (uaddr){base.value + offset};
}

/* Bytes [start, start + size) of user memory or of a file, judged: start + size does not wrap. */
struct range {
    u64 start;
    u64 size;
};

#define PAGE_SHIFT 12
#define PAGE_SIZE ((u64)1 << PAGE_SHIFT)
#define PAGE_MASK (~(PAGE_SIZE - 1))

#define NS_PER_US ((u64)1000)
#define NS_PER_MS ((u64)1000 * 1000)
#define NS_PER_S ((u64)1000 * 1000 * 1000)
/* A deadline that never comes. Deadlines are absolute, in nanoseconds of the monotonic clock. */
#define NO_DEADLINE UINT64_MAX

#define ARRAY_COUNT(a) (sizeof(a) / sizeof((a)[0]))
#define MIN(a, b) ((a) < (b) ? (a) : (b))
#define MAX(a, b) ((a) > (b) ? (a) : (b))
#define container_of(ptr, type, member) ((type *)(void *)((char *)(ptr)-offsetof(type, member)))
/* TO, a power of two, may be of a narrower type than VALUE: the mask is as wide as both together.
 */
#define ALIGN_MASK_(value, to) ((__typeof__((value) + (to)))(to)-1)
#define ALIGN_UP(value, to) (((value) + ALIGN_MASK_(value, to)) & ~ALIGN_MASK_(value, to))
#define ALIGN_DOWN(value, to) ((value) & ~ALIGN_MASK_(value, to))

#define MUST_CHECK __attribute__((warn_unused_result))
#define PRINTF(fmt, args) __attribute__((format(printf, fmt, args)))
#define UNUSED __attribute__((unused))
#define NORETURN __attribute__((noreturn))
#define PACKED __attribute__((packed))
#define CLEANUP(fn) __attribute__((cleanup(fn)))

/*
 * SLEEPS marks a function that may switch fibers: after it every lent pointer is stale. clang's
 * thread-safety analysis refuses a caller that is not marked itself. The "lock" is a fiction: the
 * right to sleep, which a fiber's body holds and interrupt-like code (wakers, timers, put) lacks.
 */
/* A member of an ops table that may sleep: clang cannot check a pointer, so each is called through
 * one wrapper function that is marked SLEEPS. */
#define SLEEPS_OP
#if defined(__clang__)
struct __attribute__((capability("may_sleep"))) sleep_right {
    int unused;
};
extern struct sleep_right sleep_right;
#define SLEEPS __attribute__((requires_capability(sleep_right)))
/* For a fiber's outermost function and for tests: takes the right by decree. */
#define SLEEPS_ROOT __attribute__((no_thread_safety_analysis))
#define GUARDED_BY(x) __attribute__((guarded_by(x)))
#else
#define SLEEPS
#define SLEEPS_ROOT
#define GUARDED_BY(x)
#endif

/* Hands over what a local owns and leaves NULL behind. */
#define MOVE(p)                     \
    __extension__({                 \
        __typeof__(p) moved_ = (p); \
        (p) = NULL;                 \
        moved_;                     \
    })

/* Our own mistakes; on in every build; never for bytes from outside. Stops the process. */
#define ASSERT(cond) ((cond) ? (void)0 : assert_failed(__FILE__, __LINE__, #cond))
NORETURN void assert_failed(const char *file, int line, const char *what);

/* Called by assert_failed before it aborts, e.g. to print a trace's tail. NULL for none. */
void assert_hook_set(void (*hook)(void *arg, const char *text), void *arg);

/* "Sometimes" marks: a rare branch was taken. Counted in base/marks.c by name; see marks.def. */
#define SOMETIMES(marks, name, cond) ((cond) ? marks_hit((marks), MARK_##name) : (void)0)

MUST_CHECK static inline bool range_make(u64 start, u64 size, struct range *out)
{
    u64 end;
    if (__builtin_add_overflow(start, size, &end))
        return false;
    *out = (struct range){start, size};
    return true;
}

static inline u64 range_end(struct range r)
{
    return r.start + r.size;
}

static inline bool range_overlaps(struct range a, struct range b)
{
    return a.start < range_end(b) && b.start < range_end(a);
}

static inline bool is_power_of_two(u64 value)
{
    return value != 0 && (value & (value - 1)) == 0;
}

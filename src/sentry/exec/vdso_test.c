/* SPDX-License-Identifier: Apache-2.0 */
/* The vDSO's code run by this very process, and the clock it reads, measured. */
#include "sentry/exec/vdso.h"

#include <CUnit/CUnit.h>
#include <elf.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <time.h>
#include <unistd.h>

#include "sentry/exec/vdso/params.h"
#include "vdso_bytes.h"

static const u8 bytes[] = {VDSO_BYTES};

/* The image behind a parameter page of our own. */
static u8 *load(struct vdso_params **params)
{
    u8 *at = mmap(NULL, 3 * 4096, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    CU_ASSERT_FATAL(at != MAP_FAILED && sizeof bytes <= 2 * 4096);
    memcpy(at + 4096, bytes, sizeof bytes);
    CU_ASSERT_FATAL(mprotect(at + 4096, 2 * 4096, PROT_READ | PROT_EXEC) == 0);
    *params = (struct vdso_params *)(void *)at;
    return at + 4096;
}

/* As a C library does it: by PT_DYNAMIC, DT_SYMTAB, DT_STRTAB, DT_HASH, and the version's name. */
static void *find(const u8 *image, const char *name)
{
    const Elf64_Ehdr *header = (const void *)image;
    const Elf64_Phdr *phdrs = (const void *)(image + header->e_phoff);
    const Elf64_Sym *symbols = NULL;
    const char *strings = NULL;
    const u32 *hash = NULL;
    const Elf64_Verdef *versions = NULL;
    for (int i = 0; i < header->e_phnum; i++) {
        if (phdrs[i].p_type != PT_DYNAMIC)
            continue;
        for (const Elf64_Dyn *dyn = (const void *)(image + phdrs[i].p_vaddr); dyn->d_tag; dyn++) {
            const void *value = image + dyn->d_un.d_ptr;
            if (dyn->d_tag == DT_SYMTAB)
                symbols = value;
            else if (dyn->d_tag == DT_STRTAB)
                strings = value;
            else if (dyn->d_tag == DT_HASH)
                hash = value;
            else if (dyn->d_tag == DT_VERDEF)
                versions = value;
        }
    }
    CU_ASSERT_FATAL(symbols && strings && hash && versions);
    const Elf64_Verdef *own = (const void *)((const u8 *)versions + versions->vd_next);
    const Elf64_Verdaux *aux = (const void *)((const u8 *)own + own->vd_aux);
    CU_ASSERT_STRING_EQUAL(strings + aux->vda_name, "LINUX_2.6");
    for (u32 i = 0; i < hash[1]; i++)
        if (strcmp(strings + symbols[i].st_name, name) == 0)
            return (void *)(uintptr_t)(image + symbols[i].st_value);
    return NULL;
}

static u64 host_ns(clockid_t clock)
{
    struct timespec now;
    clock_gettime(clock, &now);
    return (u64)now.tv_sec * NS_PER_S + (u64)now.tv_nsec;
}

typedef int gettime_fn(int clock, struct timespec *out);

static u64 image_ns(gettime_fn *gettime, int clock)
{
    struct timespec now = {0};
    CU_ASSERT_EQUAL(gettime(clock, &now), 0);
    return (u64)now.tv_sec * NS_PER_S + (u64)now.tv_nsec;
}

/* A sample of the host's clock against the counter, the tightest of a few. */
static void take(struct vdso_clock *clock, struct vdso_params *params)
{
    u64 best = UINT64_MAX, tsc = 0, ns = 0;
    for (int i = 0; i < 5; i++) {
        u64 before = vdso_read_tsc(), at = host_ns(CLOCK_MONOTONIC), after = vdso_read_tsc();
        if (after - before < best) {
            best = after - before;
            tsc = before + best / 2;
            ns = at;
        }
    }
    i64 offset = (i64)(host_ns(CLOCK_REALTIME) - host_ns(CLOCK_MONOTONIC));
    (void)!vdso_clock_step(clock, tsc, ns, (i64)ns + offset, params);
}

static void test_the_symbols_are_those_of_linux(void)
{
    struct vdso_params *params;
    u8 *image = load(&params);
    static const char *const names[] = {
        "__vdso_clock_gettime", "__vdso_gettimeofday", "__vdso_time", "__vdso_getcpu",
        "__vdso_clock_getres",  "clock_gettime",       "getcpu"};
    for (size_t i = 0; i < ARRAY_COUNT(names); i++)
        CU_ASSERT_PTR_NOT_NULL(find(image, names[i]));
    CU_ASSERT_PTR_NULL(find(image, "__kernel_rt_sigreturn")); /* not exported */
    CU_ASSERT(memcmp(image + VDSO_SIGRETURN_OFFSET, "\x48\xc7\xc0\x0f\0\0\0\x0f\x05", 9) == 0);
    munmap((void *)params, 3 * 4096);
}

static void test_an_unready_page_makes_the_call(void)
{
    struct vdso_params *params;
    u8 *image = load(&params);
    gettime_fn *gettime = (gettime_fn *)find(image, "__vdso_clock_gettime");
    u64 before = host_ns(CLOCK_MONOTONIC), now = image_ns(gettime, CLOCK_MONOTONIC);
    CU_ASSERT(now >= before && now <= host_ns(CLOCK_MONOTONIC));
    CU_ASSERT(image_ns(gettime, CLOCK_PROCESS_CPUTIME_ID) > 0);
    struct timespec out;
    CU_ASSERT_EQUAL(gettime(12345, &out), -22);
    unsigned cpu = 9999, node = 9999;
    long (*getcpu_fn)(unsigned *, unsigned *, void *) = (long (*)(
        unsigned *, unsigned *, void *))find(image, "__vdso_getcpu");
    CU_ASSERT_EQUAL(getcpu_fn(&cpu, &node, NULL), 0);
    CU_ASSERT(cpu < 4096);
    munmap((void *)params, 3 * 4096);
}

static void test_a_ready_page_tells_the_hosts_time_and_never_goes_back(void)
{
    struct vdso_params *params;
    struct vdso_clock clock = {0};
    u8 *image = load(&params);
    gettime_fn *gettime = (gettime_fn *)find(image, "__vdso_clock_gettime");
    take(&clock, params);
    CU_ASSERT_EQUAL(params->is_ready, 0); /* one sample is no rate */
    usleep(2000);
    take(&clock, params);
    CU_ASSERT_EQUAL_FATAL(params->is_ready, 1);
    u64 last = 0;
    i64 worst = 0;
    for (int round = 0; round < 30; round++) {
        for (int i = 0; i < 1000; i++) {
            u64 now = image_ns(gettime, CLOCK_MONOTONIC);
            CU_ASSERT_FATAL(now >= last);
            last = now;
        }
        i64 off = (i64)(image_ns(gettime, CLOCK_MONOTONIC) - host_ns(CLOCK_MONOTONIC));
        worst = MAX(worst, off < 0 ? -off : off);
        usleep(10000);
        take(&clock, params);
    }
    CU_ASSERT(worst < (i64)(2 * NS_PER_MS)); /* wide: this machine is shared */
    u64 real = image_ns(gettime, CLOCK_REALTIME), host = host_ns(CLOCK_REALTIME);
    CU_ASSERT(real / NS_PER_MS + 5 >= host / NS_PER_MS && real <= host + 5 * NS_PER_MS);
    time_t (*time_fn)(time_t *) = (time_t(*)(time_t *))find(image, "__vdso_time");
    time_t seconds;
    CU_ASSERT_EQUAL(time_fn(&seconds), seconds);
    CU_ASSERT(seconds - time(NULL) <= 1 && time(NULL) - seconds <= 1);
    u64 start = host_ns(CLOCK_MONOTONIC);
    for (int i = 0; i < 100000; i++)
        (void)image_ns(gettime, CLOCK_MONOTONIC);
    u64 cost = host_ns(CLOCK_MONOTONIC) - start;
    printf("  vdso: worst difference %lld ns, a read %llu ns\n", (long long)worst,
           (unsigned long long)cost / 100000);
    munmap((void *)params, 3 * 4096);
}

/* A counter of 3 GHz that runs RATE millionths off, and a clock; all virtual. */
static void test_the_rate_is_found_and_a_page_that_ran_ahead_waits(void)
{
    struct vdso_clock clock = {0};
    struct vdso_params params = {0};
    u64 ns = 1000 * NS_PER_S, tsc = 123456789;
    CU_ASSERT(!vdso_clock_step(&clock, tsc, ns, 0, &params));
    CU_ASSERT(!vdso_clock_step(&clock, tsc + 3000, ns + 1000, 0, &params)); /* too near */
    u64 shown = 0;
    for (int i = 1; i < 300; i++) {
        u64 jitter = (u64)(i % 7) * 30; /* the clock is read up to 180 ns late */
        u64 at = ns + (u64)i * 100 * NS_PER_MS, counter = tsc + (u64)i * 300000000;
        if (params.is_ready) {
            u64 now = params.monotonic_ns +
                      (u64)((unsigned __int128)(counter - params.tsc_base) * params.ns_per_tick >>
                            VDSO_SHIFT);
            CU_ASSERT_FATAL(now >= shown);
            shown = now;
        }
        CU_ASSERT_FATAL(vdso_clock_step(&clock, counter, at + jitter, (i64)at, &params));
        CU_ASSERT_FATAL(params.monotonic_ns >= shown); /* never back */
        CU_ASSERT_FATAL(params.monotonic_ns - at < 1000);
        shown = params.monotonic_ns;
    }
    u64 exact = ((u64)1 << VDSO_SHIFT) / 3;
    u64 off = clock.ns_per_tick > exact ? clock.ns_per_tick - exact : exact - clock.ns_per_tick;
    CU_ASSERT(off < exact / 10000000 * 2); /* 0.2 millionths */
}

void vdso_suite(void);
void vdso_suite(void)
{
    CU_pSuite suite = CU_add_suite("exec/vdso", NULL, NULL);
    CU_ADD_TEST(suite, test_the_symbols_are_those_of_linux);
    CU_ADD_TEST(suite, test_an_unready_page_makes_the_call);
    CU_ADD_TEST(suite, test_a_ready_page_tells_the_hosts_time_and_never_goes_back);
    CU_ADD_TEST(suite, test_the_rate_is_found_and_a_page_that_ran_ahead_waits);
}

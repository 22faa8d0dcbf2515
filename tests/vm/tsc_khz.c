/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Prints the rate of this machine's time-stamp counter in kHz. QEMU hands the counter on, and a
 * guest's kernel that is not told the rate measures it against another clock, which fails on a busy
 * machine.
 */
#include <stdint.h>
#include <stdio.h>
#include <time.h>

#define MEASURE_MS 100

static double now_ms(void)
{
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (double)now.tv_sec * 1e3 + (double)now.tv_nsec / 1e6;
}

int main(void)
{
    double start = now_ms(), end;
    uint64_t first = __builtin_ia32_rdtsc(), last;
    do {
        end = now_ms();
        last = __builtin_ia32_rdtsc();
    } while (end - start < MEASURE_MS);
    printf("%.0f\n", (double)(last - first) / (end - start));
    return 0;
}

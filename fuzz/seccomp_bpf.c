/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Bytes as a classic BPF program of seccomp(2) and the call that it judges: what the checker lets
 * pass ends, gives the same verdict twice, and reads nothing but the call.
 */
#include <stdlib.h>
#include <string.h>

#include "sentry/kernel/seccomp.h"

int LLVMFuzzerTestOneInput(const u8 *bytes, size_t size);
int LLVMFuzzerTestOneInput(const u8 *bytes, size_t size)
{
    struct seccomp_data data = {0};
    size_t head = MIN(size, sizeof data);
    memcpy(&data, bytes, head);
    u32 count = (u32)MIN((size - head) / sizeof(struct bpf_instruction),
                         (size_t)SECCOMP_PROGRAM_MAX + 1);
    /* Exactly as long as the program, so that a step behind its end is seen. */
    struct bpf_instruction *code = malloc(count ? count * sizeof *code : 1);
    if (count)
        memcpy(code, bytes + head, count * sizeof *code);
    if (seccomp_check(code, count)) {
        u32 verdict = seccomp_run(code, count, &data);
        if (seccomp_run(code, count, &data) != verdict)
            abort();
        (void)seccomp_action_is_known(verdict & SECCOMP_ACTION_MASK);
    }
    free(code);
    return 0;
}

/* SPDX-License-Identifier: Apache-2.0 */
/* A target with a defect behind three comparisons. A fuzzer that does not find it within seconds
 * does not see the code it runs, and its silence about the other targets means nothing. */
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t size);
int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t size)
{
    uint32_t number;
    if (size < 8 || bytes[0] != 'p' || bytes[1] != 'k')
        return 0;
    memcpy(&number, bytes + 4, sizeof number);
    if (number == 0x7e57ca5eu)
        abort();
    return 0;
}

/* SPDX-License-Identifier: Apache-2.0 */
/* Counters of a coverage build (make coverage), for places that its end does not reach. */
#pragma once

/* Write what was counted, now and once; nothing in other builds. For who ends by _exit, and for who
 * leaves the files of the counters behind. May sleep in the host. */
static inline void coverage_write(void)
{
#ifdef HAS_COVERAGE
    extern void __gcov_dump(void);
    __gcov_dump();
#endif
}

/* SPDX-License-Identifier: Apache-2.0 */
/* sentry/state lies above this room. */
#include "base/state_stub.h"

void state_stub_suite(void);
void state_stub_suite(void)
{
}

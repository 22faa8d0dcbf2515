/* SPDX-License-Identifier: Apache-2.0 */
/* The fiction behind SLEEPS needs an object to name; nobody reads or writes it. */
#include "base/base.h"

#if defined(__clang__)
struct sleep_right sleep_right;
#endif

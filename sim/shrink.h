/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/* `picket-sim shrink ...`; the exit status. */
int shrink_main(int argc, char **argv);

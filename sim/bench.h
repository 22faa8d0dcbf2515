/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/* `picket-sim bench ...`; the exit status. */
int bench_main(int argc, char **argv);

/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
#include "sim/scenario.h"

/* What SEED draws for a run of a scenario that makes COUNTS calls: cpus, the order of everything,
 * and, three times in four, one class of faults. */
struct run_config swarm_draw(u64 seed, const struct run_counts *counts);
/* A clean run's counts. False: the scenario does not pass without a fault. */
bool swarm_count(const char *file, struct fy_document *document, struct run_counts *counts);
/* `picket-sim swarm ...`; the exit status. */
int swarm_main(int argc, char **argv);

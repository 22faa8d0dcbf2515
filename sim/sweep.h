/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/* `picket-sim sweep ...`; the exit status. */
int sweep_main(int argc, char **argv);

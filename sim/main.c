/* SPDX-License-Identifier: Apache-2.0 */
/* picket-sim: replays scenarios. */
#include <stdio.h>

int main(int argc, char **argv)
{
    (void)argc;
    (void)argv;
    return 2;
}

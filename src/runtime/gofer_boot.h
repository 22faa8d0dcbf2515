/* SPDX-License-Identifier: Apache-2.0 */
/* The gofer process: `picket gofer FLAGS ID`, an internal command. ARGV[0] is "gofer". */
#pragma once
int gofer_command(int argc, char **argv);

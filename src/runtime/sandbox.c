/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Puts a sandbox together, from the lowest room up:
 *
 *     host_linux_create -> machine_memory_create -> platform_create -> kernel (clock, vfs, net, syscalls)
 *     -> loader_create (takes the spec and every descriptor) -> controller_create, controller_start
 *     -> boot_confine -> cpu threads -> boot_ready -> wait: loader_wait_root -> boot_status
 *     -> controller_stop -> the exit code
 *
 * A failure before boot_ready goes through boot_failed, so that the command line prints one line and the
 * half-made sandbox goes away.
 */
#include "runtime/boot.h"

#include <errno.h>

int sandbox_main(const struct sandbox_options *options)
{
    struct error err;
    error_set(&err, ENOSYS, "this build has no sandbox kernel yet");
    boot_failed(options, &err);
    return 1;
}

/* SPDX-License-Identifier: Apache-2.0 */
/* A pidfd's description holds the struct pid, so its number may be used again while it is open. */
#include "sentry/fs/pidfd.h"

#include "sentry/fs/poll.h"
#include "sentry/kernel/pid.h"

struct pid *pidfd_pid(const struct file *file)
{
    return file->ops == &pidfd_ops ? container_of(file->private_object, struct pid, object) : NULL;
}

static u32 pidfd_poll(struct file *file, struct poll_table *table)
{
    struct pid *pid = pidfd_pid(file);
    poll_add(table, file, &pid->exited);
    return pid->has_exited ? POLL_IN | POLL_RDNORM : 0;
}

static int pidfd_show_info(struct file *file, struct buf *out)
{
    const struct pid *pid = pidfd_pid(file);
    return buf_printf(out, "Pid:\t%d\nNSpid:\t%d\n", pid->has_exited ? -1 : (int)pid->nrs[0],
                      pid->has_exited ? -1 : (int)pid_nr(pid));
}

const struct file_ops pidfd_ops = {.poll = pidfd_poll, .show_info = pidfd_show_info};

int pidfd_create(struct kernel *kernel, struct pid *pid, u32 flags, struct file **out)
{
    return file_create_anon(kernel, "anon_inode:[pidfd]", &pidfd_ops, &REF_GET(pid)->object,
                            LINUX_O_RDWR | flags, 0600, out);
}

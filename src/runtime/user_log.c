/* SPDX-License-Identifier: Apache-2.0 */
#include "runtime/user_log.h"

#include <seccomp.h>
#include <stdlib.h>

#include "runtime/log.h"
#include "sentry/syscalls/syscalls.h"

struct user_log {
    struct call_observer observer;
    struct log log;
    u64 seen[(SYSCALL_COUNT + 63) / 64];
};

static void call_entered(struct call_observer *observer, struct task *task, u64 nr,
                         const struct syscall_row *row, const struct sysargs *args)
{
    struct user_log *user = container_of(observer, struct user_log, observer);
    const u64 *v = args->v;
    (void)task;
    if (row || nr >= SYSCALL_COUNT || user->seen[nr / 64] >> nr % 64 & 1)
        return;
    user->seen[nr / 64] |= (u64)1 << nr % 64;
    char *name = seccomp_syscall_resolve_num_arch(SCMP_ARCH_X86_64, (int)nr);
    log_info(&user->log, "user",
             "Unsupported syscall %s(%#llx,%#llx,%#llx,%#llx,%#llx,%#llx) of number %llu. "
             "It fails with ENOSYS, which many programs can do with.",
             name ? name : "?", (unsigned long long)v[0], (unsigned long long)v[1],
             (unsigned long long)v[2], (unsigned long long)v[3], (unsigned long long)v[4],
             (unsigned long long)v[5], (unsigned long long)nr);
    free(name);
}

void user_log_start(struct kernel *kernel, int fd)
{
    struct user_log *user = calloc(1, sizeof *user);
    if (!user)
        abort();
    runtime_log_init(&user->log, fd, "json-k8s", false);
    user->observer.enter = call_entered;
    user->observer.next = kernel->call_observers;
    kernel->call_observers = &user->observer;
}

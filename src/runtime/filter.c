/* SPDX-License-Identifier: Apache-2.0 */
/* From tables to a BPF program, by libseccomp, searched as a tree so that no call pays for the
 * list's length. */
#include "runtime/filter.h"

#include <errno.h>
#include <seccomp.h>
#include <signal.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/syscall.h>

static const struct filter_rule base_rules[] = {
    ALLOW(brk),
    ALLOW(clock_getres),
    ALLOW(clock_gettime),
    ALLOW(clock_nanosleep),
    ALLOW(close),
    ALLOW(exit),
    ALLOW(exit_group),
    ALLOW(fstat),
    ALLOW(fstatfs),
    ALLOW(futex),
    ALLOW(getegid),
    ALLOW(geteuid),
    ALLOW(getgid),
    ALLOW(getpid),
    ALLOW(getppid),
    ALLOW(getrandom),
    ALLOW(gettid),
    ALLOW(gettimeofday),
    ALLOW(getuid),
    ALLOW(lseek),
    ALLOW(madvise),
    ALLOW_MASK(mmap, 2, PROT_EXEC, 0),
    ALLOW_MASK(mprotect, 2, PROT_EXEC, 0),
    ALLOW(mremap),
    ALLOW(munmap),
    ALLOW(nanosleep),
    ALLOW(newfstatat),
    ALLOW(poll),
    ALLOW(ppoll),
    ALLOW_IF(prctl, 0, PR_SET_NAME),
    ALLOW_IF(prlimit64, 2, 0),
    ALLOW(read),
    ALLOW(recvfrom),
    ALLOW(recvmsg),
    ALLOW(restart_syscall),
    ALLOW(rseq),
    ALLOW(rt_sigaction),
    ALLOW(rt_sigprocmask),
    ALLOW(rt_sigreturn),
    ALLOW(sched_getaffinity),
    ALLOW(sched_yield),
    ALLOW(sendmsg),
    ALLOW(sendto),
    ALLOW(set_robust_list),
    ALLOW(sigaltstack),
    ALLOW(statx),
    ALLOW(sysinfo),
    ALLOW(tgkill),
    ALLOW(uname),
    ALLOW(write),
    ALLOW(writev),
    REFUSE(clone3, ENOSYS), /* its flags cannot be seen; libraries fall back to clone */
};

struct filter_list filter_base(void)
{
    return FILTER_LIST(base_rules);
}

static int rule_add(scmp_filter_ctx context, const struct filter_rule *rule)
{
    switch (rule->test) {
    case FILTER_ALWAYS:
        return seccomp_rule_add(context, SCMP_ACT_ALLOW, rule->nr, 0);
    case FILTER_EQUALS:
        return seccomp_rule_add(context, SCMP_ACT_ALLOW, rule->nr, 1,
                                SCMP_CMP64(rule->arg, SCMP_CMP_EQ, rule->value));
    case FILTER_MASK:
        return seccomp_rule_add(context, SCMP_ACT_ALLOW, rule->nr, 1,
                                SCMP_CMP64(rule->arg, SCMP_CMP_MASKED_EQ, rule->mask, rule->value));
    case FILTER_REFUSE:
        return seccomp_rule_add(context, SCMP_ACT_ERRNO((u32)rule->value), rule->nr, 0);
    }
    return -EINVAL;
}

int filter_install(const struct filter_list *lists, u32 count, struct error *err)
{
    scmp_filter_ctx context = seccomp_init(SCMP_ACT_KILL_PROCESS);
    if (!context)
        return error_set(err, ENOMEM, "cannot make a seccomp filter");
    int failed = 0;
    for (u32 i = 0; i < count; i++) {
        for (u32 j = 0; j < lists[i].count && !failed; j++) {
            failed = rule_add(context, &lists[i].rules[j]);
            if (failed == -EEXIST)
                failed = 0; /* in two lists */
        }
    }
    (void)seccomp_attr_set(context, SCMP_FLTATR_CTL_OPTIMIZE, 2);
    if (!failed)
        failed = seccomp_attr_set(context, SCMP_FLTATR_CTL_TSYNC, 1);
    if (!failed)
        failed = seccomp_load(context);
    seccomp_release(context);
    return failed ? error_set(err, -failed, "cannot install the seccomp filter: %s",
                              errno_text(-failed))
                  : 0;
}

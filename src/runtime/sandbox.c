/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Puts a sandbox together, from the lowest room up:
 *
 *     host_linux_create -> sentry_create (memfile, platform, kernel, vfs, net, syscalls)
 *     -> loader_create (takes the spec and every descriptor) -> controller_create, controller_start
 *     -> boot_confine -> cpus run; a fiber says boot_ready and waits: loader_wait_root ->
 * boot_status
 *     -> controller_stop -> the exit code
 *
 * A failure before boot_ready goes through boot_failed, so that the command line prints one line
 * and the half-made sandbox goes away.
 */
#include "runtime/boot.h"

#include <errno.h>
#include <string.h>

#include "controller/controller.h"
#include "loader/sentry.h"
#include "oci/oci.h"
#include "runtime/console_signals.h"
#include "runtime/log.h"
#include "runtime/oci_filter.h"
#include "runtime/user_log.h"
#include "sentry/observe/strace.h"
#include "sentry/syscalls/syscalls.h"

#define MEMORY_DEFAULT ((u64)16 << 30)
#define MEMORY_MAX ((u64)64 << 30)

struct sandbox {
    const struct sandbox_options *options;
    struct host *host;
    struct log log;
    struct sentry sentry;
    const char *platform; /* the one that was made */
    struct loader *loader;
    struct controller *controllers[2];
    struct strace *strace;
    u64 strace_wanted[(SYSCALL_COUNT + 63) / 64];
    struct task *main_task;
    u32 wait_status;
};

/* ---- strace --------------------------------------------------------------------------------- */

static int strace_select(struct sandbox *sandbox, const char *list, struct error *err)
{
    char name[64];
    while (*list) {
        size_t size = strcspn(list, ",");
        if (size >= sizeof name)
            return error_set(err, EINVAL, "--strace-syscalls has a name that is too long");
        memcpy(name, list, size);
        name[size] = 0;
        bool is_found = size == 0;
        for (u64 nr = 0; nr < SYSCALL_COUNT && !is_found; nr++) {
            const struct syscall_row *row = syscall_find(nr);
            if (!row || strcmp(row->name, name) != 0)
                continue;
            sandbox->strace_wanted[nr / 64] |= (u64)1 << (nr % 64);
            is_found = true;
        }
        if (!is_found)
            return error_set(err, EINVAL,
                             "--strace-syscalls names '%s', which is no system call that is served",
                             name);
        list += size + (list[size] == ',');
    }
    return 0;
}

static int strace_start(struct sandbox *sandbox, struct error *err)
{
    const struct sandbox_options *options = sandbox->options;
    if (!options->has_strace)
        return 0;
    struct strace_config config = {.size_max = options->strace_size_max ? options->strace_size_max
                                                                        : 1024};
    if (options->strace_syscalls && options->strace_syscalls[0]) {
        if (strace_select(sandbox, options->strace_syscalls, err))
            return -1;
        config.wanted = sandbox->strace_wanted;
    }
    return strace_create(sandbox->sentry.kernel, &config, &sandbox->strace)
               ? error_set(err, ENOMEM, "no memory for the system call log")
               : 0;
}

/* ---- the parts ------------------------------------------------------------------------------ */

static int sentry_start(struct sandbox *sandbox, struct error *err)
{
    const struct sandbox_options *options = sandbox->options;
    u64 memory = options->memory_total ? MIN(options->memory_total, MEMORY_MAX) : MEMORY_DEFAULT;
    struct sentry_config config = {
        .host = sandbox->host,
        .platform = options->platform,
        .platform_device = options->platform_fd,
        .cpu_count = options->cpu_count,
        .memory_size = ALIGN_DOWN(memory, PAGE_SIZE),
        .log = &sandbox->log,
        .kernel = {.memory_max = memory,
                   .has_aslr = true,
                   .has_vdso = true,
                   .hostname = options->container_id,
                   .release = "6.1.0-picket"},
    };
    if (host_entropy(sandbox->host, &config.kernel.seed, sizeof config.kernel.seed))
        config.kernel.seed = host_realtime_ns(sandbox->host);
    int result = sentry_create(&config, &sandbox->sentry, err);
    if (result && options->platform_else && *options->platform_else) {
        log_info(&sandbox->log, "runtime", "%s; %s instead", err->text, options->platform_else);
        config.platform = options->platform_else;
        result = sentry_create(&config, &sandbox->sentry, err);
    }
    if (result)
        return result;
    sandbox->platform = config.platform;
    log_debug(&sandbox->log, "runtime", "platform %s%s%s", config.platform,
              *platform_note(sandbox->sentry.platform) ? ": " : "",
              platform_note(sandbox->sentry.platform));
    return 0;
}

static int loader_start(struct sandbox *sandbox, struct error *err)
{
    const struct sandbox_options *options = sandbox->options;
    struct container_args args = {
        .confs = (struct gofer_mount_conf *)(uintptr_t)options->confs,
        .conf_count = options->conf_count,
        .stdio = {options->stdio[0], options->stdio[1], options->stdio[2]},
        .gofers = (int *)(uintptr_t)options->gofers,
        .gofer_count = options->gofer_count,
        .filestores = (int *)(uintptr_t)options->filestores,
        .filestore_count = options->filestore_count,
        .dev_gofer = -1,
        .passed = (struct passed_fd *)(uintptr_t)options->passed,
        .passed_count = options->passed_count,
        .exec_fd = options->exec_fd,
    };
    if (options->has_oci_seccomp)
        oci_filter_prepare();
    if (oci_spec_parse(options->spec_text, options->spec_size, &args.spec, err))
        return -1;
    const struct loader_config config = {
        .sandbox_id = options->container_id,
        .version = options->version,
        .has_host_network = options->network == BOOT_NETWORK_HOST,
        .has_no_network = options->network == BOOT_NETWORK_NONE,
        .keeps_net_raw = options->keeps_net_raw,
        .has_overlay = options->overlay && strcmp(options->overlay, "none") != 0,
        .is_root_shared = options->is_root_shared,
        .are_mounts_shared = options->are_mounts_shared,
        .spec_policy = options->spec_policy,
        .seccomp_compile = options->has_oci_seccomp ? oci_filter_compile : NULL,
        .epoch_ns = host_realtime_ns(sandbox->host),
    };
    if (loader_create(sandbox->sentry.kernel, &config, &args, &sandbox->loader, err))
        return -1;
    return options->fs_image[0] >= 0 ? loader_set_fs_image(sandbox->loader, options->fs_image, err)
                                     : 0;
}

static int controllers_start(struct sandbox *sandbox, struct error *err)
{
    const struct controller_config config = {.has_profile = sandbox->options->has_profile};
    for (int i = 0; i < 2; i++) {
        int fd = sandbox->options->control_fds[i];
        if (fd < 0)
            continue;
        struct host_listener *listener = host_listener_from_fd(sandbox->host, fd);
        if (!listener)
            return error_set(err, ENOMEM, "cannot serve the control socket");
        int result = controller_create(sandbox->loader, listener, &config,
                                       &sandbox->controllers[i]);
        if (!result)
            result = controller_start(sandbox->controllers[i]);
        if (result)
            return error_set(err, -result, "cannot serve the control socket: %s",
                             errno_text(-result));
    }
    return 0;
}

/* ---- running -------------------------------------------------------------------------------- */

/* The sandbox's own fiber: says that it is ready, waits for the root container's end, ends
 * everything. */
SLEEPS static void sandbox_fiber(struct task *task, struct sandbox *sandbox)
{
    boot_ready(sandbox->options);
    u32 status = 0;
    if (loader_wait_root(sandbox->loader, task, &status))
        status = 255u << 8;
    sandbox->wait_status = status;
    boot_status(sandbox->options, status);
    for (int i = 0; i < 2; i++)
        if (sandbox->controllers[i])
            controller_stop(sandbox->controllers[i], task);
    sched_stop(sandbox->sentry.kernel->sched);
}

SLEEPS_ROOT static void sandbox_fiber_root(struct task *task, void *arg)
{
    sandbox_fiber(task, arg);
}

static int sandbox_start(struct sandbox *sandbox, struct error *err)
{
    sandbox->host = host_linux_create();
    if (!sandbox->host)
        return error_set(err, ENOMEM, "cannot reach the host's services");
    runtime_log_init(&sandbox->log, sandbox->options->log_fd, sandbox->options->log_format,
                     sandbox->options->is_debug);
    if (sentry_start(sandbox, err) || strace_start(sandbox, err) || loader_start(sandbox, err) ||
        controllers_start(sandbox, err))
        return -1;
    if (sandbox->options->user_log_fd >= 0)
        user_log_start(sandbox->sentry.kernel, sandbox->options->user_log_fd);
    int result = 0;
    if (sandbox->options->signal_fd >= 0)
        result = console_signals_start(sandbox->loader, sandbox->options->container_id,
                                       sandbox->options->signal_fd);
    if (!result)
        result = task_create_kernel(sandbox->sentry.kernel, "sandbox", sandbox_fiber_root, sandbox,
                                    &sandbox->main_task);
    if (!result)
        result = task_start(sandbox->main_task);
    if (result)
        return error_set(err, -result, "cannot start the sandbox's own task: %s",
                         errno_text(-result));
    return 0;
}

int sandbox_main(const struct sandbox_options *options)
{
    static struct sandbox
        sandbox; /* one a process: as large as it is, it does not belong on the stack */
    struct error err = {0};
    sandbox.options = options;
    if (sandbox_start(&sandbox, &err) || boot_confine(options, sandbox.platform, &err)) {
        boot_failed(options, &err);
        return 1;
    }
    sched_run(sandbox.sentry.kernel->sched);
    return boot_exit_code(sandbox.wait_status);
}

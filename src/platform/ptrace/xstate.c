/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Extended state between the host's XSAVE area (ptrace's NT_X86_XSTATE) and the canonical one. It
 * stays in a stub thread until somebody wants it elsewhere. Surprising: only the tracer may fetch
 * it, so another host thread asks the tracer's by a signal, whose handler fetches whatever that
 * thread is doing.
 */
#include "platform/ptrace/internal.h"
#include <elf.h>
#include <errno.h>
#include <linux/futex.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ptrace.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <unistd.h>

#define XSAVE_SIZE_MAX ((size_t)64 << 10)
#define HOST_FEATURES_OFFSET 464 /* XCR0, by the kernel (Documentation/arch/x86/xstate.rst) */
#define REMOTE_WAIT_NS (20 * NS_PER_MS)

static bool image_get(pid_t tid, void *image, size_t *size)
{
    struct iovec vec = {image, *size};
    if (ptrace(PTRACE_GETREGSET, tid, NT_X86_XSTATE, &vec) != 0)
        return false;
    *size = vec.iov_len;
    return true;
}

bool xstate_prepare(struct stub_thread *thread)
{
    struct ptrace_platform *platform = thread->stub->platform;
    if (platform->xsave.size == 0) {
        size_t size = XSAVE_SIZE_MAX;
        u8 *image = calloc(1, size);
        bool has_image = image != NULL && image_get(thread->tid, image, &size);
        if (has_image) {
            u64 features;
            memcpy(&features, image + HOST_FEATURES_OFFSET, 8);
            xsave_layout_init(&platform->xsave, size, features);
        }
        free(image);
        if (!has_image)
            return false;
    }
    if (thread->image == NULL)
        thread->image = calloc(1, platform->xsave.size);
    return thread->image != NULL;
}

bool xstate_fetch(struct stub_thread *thread)
{
    size_t size = thread->stub->platform->xsave.size;
    if (!image_get(thread->tid, thread->image, &size))
        return false;
    xsave_to_canonical(&thread->stub->platform->xsave, thread->image, thread->context->xstate);
    return true;
}

/* What the sentry wrote is most often what the thread has, or differs in the first 512 bytes: a
 * look, and a write of those alone, cost a quarter of a write of everything. */
static bool xstate_load_difference(struct stub_thread *thread, bool *is_done)
{
    const struct ptrace_platform *platform = thread->stub->platform;
    struct xstate has, wants = *thread->context->xstate;
    size_t size = platform->xsave.size;
    *is_done = false;
    if (!xstate_sanitize(&wants))
        return true;
    if (!image_get(thread->tid, thread->image, &size))
        return false;
    xsave_to_canonical(&platform->xsave, thread->image, &has);
    const size_t behind = XSTATE_HEADER_OFFSET + 64;
    if (memcmp(has.bytes + behind, wants.bytes + behind, XSTATE_SIZE - behind) != 0)
        return true;
    *is_done = true;
    if (memcmp(has.bytes, wants.bytes, XSTATE_HEADER_OFFSET) == 0)
        return true;
    return ptrace(PTRACE_SETFPREGS, thread->tid, NULL, wants.bytes) == 0;
}

bool xstate_load(struct stub_thread *thread)
{
    const struct ptrace_platform *platform = thread->stub->platform;
    bool is_done = false;
    if (thread->xstate_is_near && !xstate_load_difference(thread, &is_done))
        return false;
    thread->xstate_is_near = false;
    if (is_done)
        return true;
    xsave_from_canonical(&platform->xsave, thread->context->xstate, thread->image);
    struct iovec vec = {thread->image, platform->xsave.size};
    return ptrace(PTRACE_SETREGSET, thread->tid, NT_X86_XSTATE, &vec) == 0;
}

/* ---- asking the tracer ---------------------------------------------------------------------- */

struct remote {
    struct stub_thread *thread;
    bool is_fetched;
    u32 is_done; /* a futex */
};

static void remote_handler(int signo, siginfo_t *info, void *ucontext)
{
    if (info->si_code != SI_QUEUE || info->si_pid != getpid())
        return;
    int saved = errno;
    struct remote *remote = info->si_value.sival_ptr;
    size_t size = remote->thread->stub->platform->xsave.size;
    remote->is_fetched = image_get(remote->thread->tid, remote->thread->image, &size);
    __atomic_store_n(&remote->is_done, 1, __ATOMIC_RELEASE);
    machine_wake(&remote->is_done, 1);
    errno = saved;
}

int xstate_remote_init(void)
{
    struct sigaction action = {.sa_sigaction = remote_handler, .sa_flags = SA_SIGINFO | SA_RESTART};
    sigfillset(&action.sa_mask);
    return sigaction(SIGNAL_REMOTE, &action, NULL) == 0 ? 0 : -errno;
}

static u64 monotonic_ns(void)
{
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (u64)now.tv_sec * NS_PER_S + (u64)now.tv_nsec;
}

/* Fetch through the host thread of THREAD's cpu. */
static bool xstate_fetch_remote(struct stub_thread *thread)
{
    struct remote remote = {.thread = thread};
    siginfo_t info = {.si_signo = SIGNAL_REMOTE, .si_code = SI_QUEUE};
    pid_t self = getpid();
    info.si_pid = self;
    info.si_uid = getuid();
    info.si_value.sival_ptr = &remote;
    if (syscall(SYS_rt_tgsigqueueinfo, self, thread->cpu->tid, SIGNAL_REMOTE, &info) != 0)
        return false;
    while (!__atomic_load_n(&remote.is_done, __ATOMIC_ACQUIRE))
        machine_wait(&remote.is_done, 0, monotonic_ns() + REMOTE_WAIT_NS);
    if (remote.is_fetched)
        xsave_to_canonical(&thread->stub->platform->xsave, thread->image, thread->context->xstate);
    return remote.is_fetched;
}

/* ---- contexts ------------------------------------------------------------------------------- */

static void context_detach(struct context *context)
{
    struct stub_thread *thread = context->xstate_home;
    if (thread) {
        ASSERT(thread->context == context);
        thread->context = NULL;
        thread->xstate_is_stale = true;
    }
    context->xstate_home = NULL;
    context->xstate_cpu = NULL;
}

/* A thread that is gone has nothing to give: the context keeps what its memory had. */
static void thread_fetch_any(struct stub_thread *thread)
{
    if (thread->tid == 0 || stub_is_gone(thread->stub) || thread->xstate_is_stale ||
        thread->context->xstate_changed)
        return;
    if (!(cpu_is_ours(thread->cpu) ? xstate_fetch(thread) : xstate_fetch_remote(thread)))
        stub_set_gone(thread->stub);
}

void ptrace_context_sync(struct context *context)
{
    struct stub_thread *thread = context->xstate_home;
    if (thread)
        thread_fetch_any(thread);
}

void xstate_evict(struct stub_thread *thread)
{
    struct context *context = thread->context;
    if (context == NULL)
        return;
    thread_fetch_any(thread);
    context_detach(context);
}

void ptrace_context_forget(struct platform *platform, struct context *context)
{
    context_detach(context);
}

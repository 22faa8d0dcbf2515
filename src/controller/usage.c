/* SPDX-License-Identifier: Apache-2.0 */
/* Receiver Usage: memory by category. Host files are never mapped, so Mapped is always 0. */
#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "controller/internal.h"

struct collect_call {
    bool is_full;
};
static const struct wire_field collect_fields[] = {
    WIRE_FIELD(struct collect_call, is_full, "Full", &wire_bool),
    WIRE_END,
};
static const struct wire_type collect_type = WIRE_TYPE_STRUCT(struct collect_call, collect_fields,
                                                              "control.MemoryUsageOpts");

struct memory_usage {
    u64 unknown, system, anonymous, page_cache, mapped, tmpfs, ramdiskfs, total;
};
static const struct wire_field usage_fields[] = {
    WIRE_FIELD(struct memory_usage, unknown, "Unknown", &wire_uint64),
    WIRE_FIELD(struct memory_usage, system, "System", &wire_uint64),
    WIRE_FIELD(struct memory_usage, anonymous, "Anonymous", &wire_uint64),
    WIRE_FIELD(struct memory_usage, page_cache, "PageCache", &wire_uint64),
    WIRE_FIELD(struct memory_usage, mapped, "Mapped", &wire_uint64),
    WIRE_FIELD(struct memory_usage, tmpfs, "Tmpfs", &wire_uint64),
    WIRE_FIELD(struct memory_usage, ramdiskfs, "Ramdiskfs", &wire_uint64),
    WIRE_FIELD(struct memory_usage, total, "Total", &wire_uint64),
    WIRE_END,
};
static const struct wire_type usage_type = WIRE_TYPE_STRUCT(struct memory_usage, usage_fields,
                                                            "control.MemoryUsage");

static u64 used_bytes(const struct memory *memory)
{
    u64 total = 0;
    for (u32 use = 0; use < FRAME_USE_COUNT; use++)
        total += memory->used[use] * PAGE_SIZE;
    return total;
}

static int collect(struct rpc_call *call, const void *arg)
{
    const struct collect_call *collect = arg;
    const u64 *frames = call->kernel->memory->used;
    u64 total = used_bytes(call->kernel->memory);
    struct memory_usage usage = {.total = total};
    if (collect->is_full) {
        usage.system = frames[FRAME_SYSTEM] * PAGE_SIZE;
        usage.anonymous = frames[FRAME_ANON] * PAGE_SIZE;
        usage.page_cache = frames[FRAME_CACHE] * PAGE_SIZE;
        usage.tmpfs = frames[FRAME_TMPFS] * PAGE_SIZE;
    } else {
        usage.unknown = total;
    }
    wire_encode(call->result, &usage_type, &usage);
    return 0;
}

static int reduce(struct rpc_call *call, const void *arg)
{
    memory_trim(call->kernel->memory);
    return 0;
}

struct usage_fd_call {
    i64 version;
};
static const struct wire_field usage_fd_fields[] = {
    WIRE_FIELD(struct usage_fd_call, version, "Version", &wire_int),
    WIRE_END,
};
static const struct wire_type usage_fd_type = WIRE_TYPE_STRUCT(
    struct usage_fd_call, usage_fd_fields, "control.MemoryUsageFileOpts");

/* A one-page file with VALUE, or none of it stored if 0; a descriptor of it or -errno. */
static int usage_page(u64 value)
{
    struct machine_memory page;
    int err = machine_memory_create("picket-usage", 1, &page);
    if (err)
        return err;
    if (value)
        memcpy(machine_frame(&page, (frame){0}), &value, sizeof value);
    int fd = machine_memory_share(&page);
    machine_memory_destroy(&page);
    return fd;
}

/*
 * The page needs no upkeep: its one number is Mapped, and host files are never mapped. Where memory
 * is no file (platform kvm) the number is what is used now, and an empty file stands for memory's.
 */
static int usage_fd(struct rpc_call *call, const void *arg)
{
    const struct usage_fd_call *asked = arg;
    if (asked->version != 1)
        return error_set(call->err, EINVAL, "unsupported version requested: %lld",
                         (long long)asked->version);
    if (host_is_simulated(call->kernel->host)) /* its descriptors are no files of this machine */
        return error_set(call->err, ENOSYS, "a simulated host has no memory file to share");
    const struct memory *memory = call->kernel->memory;
    int second = machine_memory_share(memory->file);
    bool is_file = second != -EBADF;
    int first = usage_page(is_file ? 0 : used_bytes(memory));
    if (!is_file)
        second = usage_page(0);
    if (first >= 0)
        call->result_fds[call->result_fd_count++] = first;
    if (second >= 0)
        call->result_fds[call->result_fd_count++] = second;
    return first < 0 || second < 0
               ? error_set(call->err, EMFILE, "usage file: %s", errno_text(EMFILE))
               : 0;
}

/* Time spent waiting for reads; all gofers are one here, so the root stands for all mounts. */
static int file_io_stats(struct rpc_call *call, const void *arg)
{
    char text[128];
    const u64 *plain = call->kernel->metrics.plain;
    snprintf(text, sizeof text, "{\"ReadWait\":{\"/\":%llu},\"ReadWait9P\":{\"/\":0}}",
             (unsigned long long)plain[METRIC_GOFER_READ_WAIT_HOST]);
    json_put_string(call->result, text);
    return 0;
}

const struct rpc_method usage_methods[] = {
    {"Usage.Collect", &collect_type, collect},
    {"Usage.Reduce", NULL, reduce},
    {"Usage.UsageFD", &usage_fd_type, usage_fd},
    {"Usage.GetFileIoStats", NULL, file_io_stats},
    {NULL},
};

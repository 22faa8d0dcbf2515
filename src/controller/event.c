/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Receiver containerManager: Event, the statistics of one container in a sandbox that may have
 * several. Memory cannot be told apart between containers: it is split evenly, and the root of a
 * pod gets none.
 */
#include <errno.h>
#include <string.h>

#include "controller/internal.h"
#include "sentry/fs/cgroup/cgroup.h"

struct cpu_usage {
    u64 kernel, user, total;
    WIRE_LIST(u64) per_cpu;
};
struct cpu_data {
    struct cpu_usage usage;
};
struct memory_entry {
    u64 limit, usage, max, failcnt;
};
struct memory_data {
    u64 cache;
    struct memory_entry usage, swap, kernel, kernel_tcp;
    WIRE_MAP(u64) raw;
};
struct pids_data {
    u64 current, limit;
};
struct stats_data {
    struct cpu_data cpu;
    struct memory_data memory;
    struct pids_data pids;
    struct json_text interfaces; /* null: none */
};
struct stats_event {
    char *type, *id;
    struct stats_data data;
};
struct event_out {
    struct stats_event event;
    WIRE_MAP(u64) container_usage;
};

static const struct wire_field cpu_usage_fields[] = {
    WIRE_OMIT(struct cpu_usage, kernel, "kernel", &wire_uint64),
    WIRE_OMIT(struct cpu_usage, user, "user", &wire_uint64),
    WIRE_OMIT(struct cpu_usage, total, "total", &wire_uint64),
    WIRE_OMIT(struct cpu_usage, per_cpu, "percpu", WIRE_LIST_OF(&wire_uint64, "[]uint64")),
    WIRE_END,
};
static const struct wire_type cpu_usage_type = WIRE_TYPE_STRUCT(struct cpu_usage, cpu_usage_fields,
                                                                "boot.CPUUsage");
static const struct wire_field cpu_fields[] = {
    WIRE_FIELD(struct cpu_data, usage, "usage", &cpu_usage_type),
    WIRE_END,
};
static const struct wire_type cpu_type = WIRE_TYPE_STRUCT(struct cpu_data, cpu_fields, "boot.CPU");
static const struct wire_field entry_fields[] = {
    WIRE_FIELD(struct memory_entry, limit, "limit", &wire_uint64),
    WIRE_OMIT(struct memory_entry, usage, "usage", &wire_uint64),
    WIRE_OMIT(struct memory_entry, max, "max", &wire_uint64),
    WIRE_FIELD(struct memory_entry, failcnt, "failcnt", &wire_uint64),
    WIRE_END,
};
static const struct wire_type entry_type = WIRE_TYPE_STRUCT(struct memory_entry, entry_fields,
                                                            "boot.MemoryEntry");
static const struct wire_field memory_fields[] = {
    WIRE_OMIT(struct memory_data, cache, "cache", &wire_uint64),
    WIRE_FIELD(struct memory_data, usage, "usage", &entry_type),
    WIRE_FIELD(struct memory_data, swap, "swap", &entry_type),
    WIRE_FIELD(struct memory_data, kernel, "kernel", &entry_type),
    WIRE_FIELD(struct memory_data, kernel_tcp, "kernelTCP", &entry_type),
    WIRE_OMIT(struct memory_data, raw, "raw", WIRE_MAP_OF(&wire_uint64, "map[string]uint64")),
    WIRE_END,
};
static const struct wire_type memory_type = WIRE_TYPE_STRUCT(struct memory_data, memory_fields,
                                                             "boot.Memory");
static const struct wire_field pids_fields[] = {
    WIRE_OMIT(struct pids_data, current, "current", &wire_uint64),
    WIRE_OMIT(struct pids_data, limit, "limit", &wire_uint64),
    WIRE_END,
};
static const struct wire_type pids_type = WIRE_TYPE_STRUCT(struct pids_data, pids_fields,
                                                           "boot.Pids");
static const struct wire_field stats_fields[] = {
    WIRE_FIELD(struct stats_data, cpu, "cpu", &cpu_type),
    WIRE_FIELD(struct stats_data, memory, "memory", &memory_type),
    WIRE_FIELD(struct stats_data, pids, "pids", &pids_type),
    WIRE_FIELD(struct stats_data, interfaces, "network_interfaces", &wire_raw),
    WIRE_END,
};
static const struct wire_type stats_type = WIRE_TYPE_STRUCT(struct stats_data, stats_fields,
                                                            "boot.Stats");
static const struct wire_field event_fields[] = {
    WIRE_FIELD(struct stats_event, type, "type", &wire_string),
    WIRE_FIELD(struct stats_event, id, "id", &wire_string),
    WIRE_FIELD(struct stats_event, data, "data", &stats_type),
    WIRE_END,
};
static const struct wire_type event_type = WIRE_TYPE_STRUCT(struct stats_event, event_fields,
                                                            "boot.Event");
static const struct wire_field out_fields[] = {
    WIRE_FIELD(struct event_out, event, "event", &event_type),
    WIRE_FIELD(struct event_out, container_usage, "containerUsage",
               WIRE_MAP_OF(&wire_uint64, "map[string]uint64")),
    WIRE_END,
};
static const struct wire_type out_type = WIRE_TYPE_STRUCT(struct event_out, out_fields,
                                                          "boot.EventOut");

static u64 memory_bytes(const struct kernel *kernel)
{
    u64 frames = 0;
    for (u32 use = 0; use < FRAME_USE_COUNT; use++)
        frames += kernel->memory->used[use];
    return frames * PAGE_SIZE;
}

static bool is_root(const struct rpc_call *call, const char *id)
{
    const char *root = loader_container_id(call->loader, 0);
    return root && strcmp(id, root) == 0;
}

static u64 memory_share(const struct rpc_call *call, const char *id)
{
    u64 total = memory_bytes(call->kernel);
    u32 count = loader_container_count(call->loader);
    if (!*id || count <= 1)
        return total;
    return is_root(call, id) ? 0 : total / (count - 1);
}

/* CPU time of each container; false without memory. */
static bool fill_container_usage(struct rpc_call *call, struct event_out *out)
{
    u32 count = loader_container_count(call->loader);
    out->container_usage.items = pool_alloc_array(call->pool, count,
                                                  sizeof *out->container_usage.items);
    if (!out->container_usage.items)
        return false;
    for (u32 i = 0; i < count; i++) {
        const char *id = loader_container_id(call->loader, i);
        out->container_usage.items[i].name = pool_strdup(call->pool, id);
        out->container_usage.items[i].value = loader_container_cpu_ns(call->loader, id);
        if (!out->container_usage.items[i].name)
            return false;
    }
    out->container_usage.count = count;
    return true;
}

static u64 pids_limit(const struct rpc_call *call, const char *id)
{
    const struct oci_spec *spec = loader_container_spec(call->loader, id);
    return spec && spec->on_linux->limits.has_pids && spec->on_linux->limits.pids > 0
               ? (u64)spec->on_linux->limits.pids
               : 0;
}

/* With control groups mounted, what they account: cpuacct.usage and memory.usage_in_bytes. */
static int fill_of_group(struct rpc_call *call, const char *id, struct stats_data *data)
{
    struct control_group *group = control_group_of(call->kernel, *id ? id : NULL);
    if (!group)
        return -1;
    data->cpu.usage.total = control_group_cpu_ns(call->kernel, group);
    data->memory.usage.usage = control_group_memory(call->kernel, group);
    return 0;
}

static int event(struct rpc_call *call, const void *arg)
{
    const struct rpc_string *asked = arg;
    const char *id = rpc_text(asked->text);
    if (*id && loader_container_state(call->loader, id) == CONTAINER_STOPPED &&
        !loader_container_spec(call->loader, id))
        return error_set(call->err, ENOENT, "container \"%s\" not found", id);
    struct event_out out = {.event = {.type = "stats", .id = asked->text}};
    struct stats_data *data = &out.event.data;
    data->memory.usage.usage = memory_share(call, id);
    data->pids.current = loader_container_process_count(call->loader, id);
    data->pids.limit = pids_limit(call, id);
    data->cpu.usage.total = loader_container_cpu_ns(call->loader, id);
    bool has_groups = cgroup_mounted(call->kernel) != 0;
    if (has_groups ? fill_of_group(call, id, data) : !fill_container_usage(call, &out))
        return error_set(call->err, ENOMEM, "out of memory");
    wire_encode(call->result, &out_type, &out);
    return 0;
}

const struct rpc_method event_methods[] = {
    {"containerManager.Event", &rpc_string_arg, event},
    {NULL},
};

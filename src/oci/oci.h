/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The OCI runtime configuration (config.json, runtime-spec 1.2). One parsed spec owns one pool:
 * every pointer below lives in it, new ones come from oci_alloc/oci_strdup, and oci_spec_free frees
 * all. Parts that only the host side or nobody interprets are kept raw (`struct json_text`).
 * Missing lists have items NULL and count 0.
 */
#pragma once
#include "base/base.h"
#include "base/error.h"
#include "wire/urpc/codec.h"

#define OCI_VERSION "1.2.0" /* what --version and state report */

struct oci_box { /* console size */
    u64 height, width;
};
struct oci_user {
    u32 uid, gid;
    u32 *umask; /* NULL: not given */
    WIRE_LIST(u32) additional_gids;
    char *username;
};
struct oci_capabilities { /* names: "CAP_KILL" */
    WIRE_LIST(char *) bounding;
    WIRE_LIST(char *) effective;
    WIRE_LIST(char *) inheritable;
    WIRE_LIST(char *) permitted;
    WIRE_LIST(char *) ambient;
};
struct oci_rlimit {
    char *type; /* "RLIMIT_NOFILE" */
    u64 hard, soft;
};
struct oci_process {
    bool terminal;
    struct oci_box *console_size;
    struct oci_user user;
    WIRE_LIST(char *) args;
    char *command_line;
    WIRE_LIST(char *) env;
    char *cwd;
    struct oci_capabilities *capabilities; /* NULL: none given */
    WIRE_LIST(struct oci_rlimit) rlimits;
    bool no_new_privileges;
    char *apparmor_profile;
    i64 *oom_score_adj;
    struct json_text scheduler;
    char *selinux_label;
    struct json_text io_priority;
    struct json_text exec_cpu_affinity;
};

struct oci_root {
    char *path;
    bool readonly;
};

struct oci_id_map {
    u32 container_id, host_id, size;
};
struct oci_mount {
    char *destination;
    char *type; /* "" or NULL: bind if options say so */
    char *source;
    WIRE_LIST(char *) options;
    WIRE_LIST(struct oci_id_map) uid_mappings;
    WIRE_LIST(struct oci_id_map) gid_mappings;
};

struct oci_hook {
    char *path;
    WIRE_LIST(char *) args;
    WIRE_LIST(char *) env;
    i64 *timeout; /* seconds */
};
struct oci_hooks {
    WIRE_LIST(struct oci_hook) prestart;
    WIRE_LIST(struct oci_hook) create_runtime;
    WIRE_LIST(struct oci_hook) create_container;
    WIRE_LIST(struct oci_hook) start_container;
    WIRE_LIST(struct oci_hook) poststart;
    WIRE_LIST(struct oci_hook) poststop;
};

struct oci_namespace {
    char *type; /* "pid", "network", "mount", "ipc", "uts", "user", "cgroup", "time" */
    char *path; /* "" or NULL: a new one */
};
struct oci_device {
    char *path;
    char *type; /* "c", "b", "u", "p" */
    i64 major, minor;
    u32 *file_mode;
    u32 *uid;
    u32 *gid;
};
/* What the sandbox itself wants of linux.resources; the whole stays raw beside it. */
struct oci_limits {
    bool has_pids, has_memory, has_memory_swap, has_memory_reservation, has_cpu_shares,
        has_cpu_quota, has_cpu_period;
    i64 pids;
    i64 memory, memory_swap, memory_reservation;
    u64 cpu_shares;
    i64 cpu_quota;
    u64 cpu_period;
    char *cpuset_cpus;
    char *cpuset_mems;
};
/* linux.seccomp, which stays raw in the spec: oci_seccomp_parse. */
struct oci_seccomp_arg {
    u32 index;
    u64 value, value_two;
    char *op; /* "SCMP_CMP_EQ" */
};
struct oci_seccomp_rule {
    WIRE_LIST(char *) names;
    char *action; /* "SCMP_ACT_ALLOW" */
    u32 *errno_ret;
    WIRE_LIST(struct oci_seccomp_arg) args;
};
struct oci_seccomp {
    char *default_action;
    u32 *default_errno_ret;
    WIRE_LIST(char *) architectures;
    WIRE_LIST(char *) flags;
    char *listener_path;
    char *listener_metadata;
    WIRE_LIST(struct oci_seccomp_rule) syscalls;
};
struct oci_linux {
    WIRE_LIST(struct oci_id_map) uid_mappings;
    WIRE_LIST(struct oci_id_map) gid_mappings;
    WIRE_MAP(char *) sysctl;
    struct json_text resources;
    char *cgroups_path;
    WIRE_LIST(struct oci_namespace) namespaces;
    WIRE_LIST(struct oci_device) devices;
    struct json_text seccomp;
    char *rootfs_propagation;
    WIRE_LIST(char *) masked_paths;
    WIRE_LIST(char *) readonly_paths;
    char *mount_label;
    struct json_text intel_rdt;
    struct json_text personality;
    struct json_text time_offsets;
    struct oci_limits limits; /* derived from `resources` when parsed; not written */
};

struct oci_spec {
    char *oci_version;
    struct oci_process *process; /* never NULL after validation */
    struct oci_root *root;       /* never NULL after validation */
    char *hostname;
    char *domainname;
    WIRE_LIST(struct oci_mount) mounts;
    struct oci_hooks *hooks;
    WIRE_MAP(char *) annotations;
    struct oci_linux *on_linux; /* never NULL after parsing ("linux" is a macro of gcc) */
    struct json_text solaris, windows, vm, zos;
    struct pool *pool;
};

/*
 * Parse and check types; unknown members are ignored. Not yet validated. 64-bit integers are exact.
 * 0 with *OUT (to be freed), or -1 with one line.
 */
MUST_CHECK int oci_spec_parse(const char *json, size_t size, struct oci_spec **out,
                              struct error *err);
/* The same with memory from ARENA (the sentry's side). */
MUST_CHECK int oci_spec_parse_in(struct arena *arena, const char *json, size_t size,
                                 struct oci_spec **out, struct error *err);
/* What cannot be run: no process, args, cwd or root, relative destinations, selinux, shared
 * propagation, … */
MUST_CHECK int oci_spec_validate(const struct oci_spec *spec, struct error *err);
/* Members that this release does not know, one call each ("linux.foo"), for a warning. */
void oci_spec_unknown_members(const char *json, size_t size,
                              void (*report)(void *arg, const char *path), void *arg);
/* One process object (exec --process FILE) into SPEC's pool. */
MUST_CHECK int oci_process_parse(struct oci_spec *spec, const char *json, size_t size,
                                 struct oci_process **out, struct error *err);
/* The parts of linux.seccomp, from SPEC's pool. *OUT is NULL where there is none. */
MUST_CHECK int oci_seccomp_parse(const struct oci_spec *spec, struct oci_seccomp **out,
                                 struct error *err);
/* What `spec` writes: a read-only rootfs that runs ARGS in CWD. */
MUST_CHECK int oci_spec_default(const char *const *args, size_t arg_count, const char *cwd,
                                struct oci_spec **out, struct error *err);
/* Compact, or with INDENT ("    ") as Go's MarshalIndent; text from SPEC's pool; NULL without
 * memory. */
MUST_CHECK char *oci_spec_encode(const struct oci_spec *spec, const char *indent);
MUST_CHECK int oci_spec_copy(const struct oci_spec *spec, struct oci_spec **out, struct error *err);
void oci_spec_free(struct oci_spec *spec);
void oci_spec_free_auto(struct oci_spec **spec);
#define AUTO_OCI_SPEC CLEANUP(oci_spec_free_auto)

/* For those who change a spec. NULL without memory (never on the host side). */
MUST_CHECK void *oci_alloc(struct oci_spec *spec, size_t size);
MUST_CHECK char *oci_strdup(struct oci_spec *spec, const char *text);
/* Append to one of the lists above: OCI_APPEND(spec, spec->mounts) lends a zeroed new last element
 * or NULL. */
MUST_CHECK void *oci_list_append(struct oci_spec *spec, struct wire_list *list, size_t size);
#define OCI_APPEND(spec, list)                                                              \
    ((__typeof__((list).items))oci_list_append((spec), (struct wire_list *)(void *)&(list), \
                                               sizeof *(list).items))

/* The first field in which NOW may not be restored from what was SAVED under the other spec; texts
 * from POOL. */
struct oci_difference {
    const char *field; /* "process.args"; NULL: none */
    const char *saved, *now;
};
/* 0 with *OUT, or -ENOMEM. */
MUST_CHECK int oci_spec_match(const struct oci_spec *saved, const struct oci_spec *now,
                              struct pool *pool, struct oci_difference *out);

/* "" when there is none. */
const char *oci_annotation(const struct oci_spec *spec, const char *name);
MUST_CHECK int oci_annotation_set(struct oci_spec *spec, const char *name, const char *value);
/* The namespace of TYPE or NULL. */
const struct oci_namespace *oci_namespace_find(const struct oci_spec *spec, const char *type);
bool oci_mount_has_option(const struct oci_mount *mount, const char *option);
/* A bind mount by type or by options (bind, rbind). */
bool oci_mount_is_bind(const struct oci_mount *mount);
bool oci_mount_is_readonly(const struct oci_mount *mount);
/* "CAP_KILL" or "KILL", any letter case -> 5; -1 when unknown. And back: static text or NULL. */
int oci_capability_nr(const char *name);
const char *oci_capability_name(int nr);
/* The mask of a list of names; -1 with a line on an unknown name. */
MUST_CHECK int oci_capability_mask(char *const *names, size_t count, u64 *mask, struct error *err);
/* "RLIMIT_NOFILE" -> 7; -1 when unknown. */
int oci_rlimit_nr(const char *name);

extern const struct wire_type oci_spec_type, oci_process_type, oci_capabilities_type,
    oci_mount_type;

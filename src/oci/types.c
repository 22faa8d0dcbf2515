/* SPDX-License-Identifier: Apache-2.0 */
/* The tables of oci.h: names, order and omitempty of the Go structs of runtime-spec 1.2
 * (specs-go/config.go). */
#include "oci/oci.h"

#define STRINGS WIRE_LIST_OF(&wire_string, "[]string")
#define STRING_MAP WIRE_MAP_OF(&wire_string, "map[string]string")

static const struct wire_field box_fields[] = {
    WIRE_FIELD(struct oci_box, height, "height", &wire_uint),
    WIRE_FIELD(struct oci_box, width, "width", &wire_uint),
    WIRE_END,
};
static const struct wire_type box_type = WIRE_TYPE_STRUCT(struct oci_box, box_fields, "specs.Box");

static const struct wire_field user_fields[] = {
    WIRE_FIELD(struct oci_user, uid, "uid", &wire_uint32),
    WIRE_FIELD(struct oci_user, gid, "gid", &wire_uint32),
    WIRE_OMIT(struct oci_user, umask, "umask", WIRE_OPTIONAL_OF(&wire_uint32)),
    WIRE_OMIT(struct oci_user, additional_gids, "additionalGids",
              WIRE_LIST_OF(&wire_uint32, "[]uint32")),
    WIRE_OMIT(struct oci_user, username, "username", &wire_string),
    WIRE_END,
};
static const struct wire_type user_type = WIRE_TYPE_STRUCT(struct oci_user, user_fields,
                                                           "specs.User");

static const struct wire_field capabilities_fields[] = {
    WIRE_OMIT(struct oci_capabilities, bounding, "bounding", STRINGS),
    WIRE_OMIT(struct oci_capabilities, effective, "effective", STRINGS),
    WIRE_OMIT(struct oci_capabilities, inheritable, "inheritable", STRINGS),
    WIRE_OMIT(struct oci_capabilities, permitted, "permitted", STRINGS),
    WIRE_OMIT(struct oci_capabilities, ambient, "ambient", STRINGS),
    WIRE_END,
};
const struct wire_type oci_capabilities_type = WIRE_TYPE_STRUCT(
    struct oci_capabilities, capabilities_fields, "specs.LinuxCapabilities");

static const struct wire_field rlimit_fields[] = {
    WIRE_FIELD(struct oci_rlimit, type, "type", &wire_string),
    WIRE_FIELD(struct oci_rlimit, hard, "hard", &wire_uint64),
    WIRE_FIELD(struct oci_rlimit, soft, "soft", &wire_uint64),
    WIRE_END,
};
static const struct wire_type rlimit_type = WIRE_TYPE_STRUCT(struct oci_rlimit, rlimit_fields,
                                                             "specs.POSIXRlimit");

static const struct wire_field process_fields[] = {
    WIRE_OMIT(struct oci_process, terminal, "terminal", &wire_bool),
    WIRE_OMIT(struct oci_process, console_size, "consoleSize", WIRE_OPTIONAL_OF(&box_type)),
    WIRE_FIELD(struct oci_process, user, "user", &user_type),
    WIRE_OMIT(struct oci_process, args, "args", STRINGS),
    WIRE_OMIT(struct oci_process, command_line, "commandLine", &wire_string),
    WIRE_OMIT(struct oci_process, env, "env", STRINGS),
    WIRE_FIELD(struct oci_process, cwd, "cwd", &wire_string),
    WIRE_OMIT(struct oci_process, capabilities, "capabilities",
              WIRE_OPTIONAL_OF(&oci_capabilities_type)),
    WIRE_OMIT(struct oci_process, rlimits, "rlimits",
              WIRE_LIST_OF(&rlimit_type, "[]specs.POSIXRlimit")),
    WIRE_OMIT(struct oci_process, no_new_privileges, "noNewPrivileges", &wire_bool),
    WIRE_OMIT(struct oci_process, apparmor_profile, "apparmorProfile", &wire_string),
    WIRE_OMIT(struct oci_process, oom_score_adj, "oomScoreAdj", WIRE_OPTIONAL_OF(&wire_int)),
    WIRE_OMIT(struct oci_process, scheduler, "scheduler", &wire_raw),
    WIRE_OMIT(struct oci_process, selinux_label, "selinuxLabel", &wire_string),
    WIRE_OMIT(struct oci_process, io_priority, "ioPriority", &wire_raw),
    WIRE_OMIT(struct oci_process, exec_cpu_affinity, "execCPUAffinity", &wire_raw),
    WIRE_END,
};
const struct wire_type oci_process_type = WIRE_TYPE_STRUCT(struct oci_process, process_fields,
                                                           "specs.Process");

static const struct wire_field root_fields[] = {
    WIRE_FIELD(struct oci_root, path, "path", &wire_string),
    WIRE_OMIT(struct oci_root, readonly, "readonly", &wire_bool),
    WIRE_END,
};
static const struct wire_type root_type = WIRE_TYPE_STRUCT(struct oci_root, root_fields,
                                                           "specs.Root");

static const struct wire_field id_map_fields[] = {
    WIRE_FIELD(struct oci_id_map, container_id, "containerID", &wire_uint32),
    WIRE_FIELD(struct oci_id_map, host_id, "hostID", &wire_uint32),
    WIRE_FIELD(struct oci_id_map, size, "size", &wire_uint32),
    WIRE_END,
};
static const struct wire_type id_map_type = WIRE_TYPE_STRUCT(struct oci_id_map, id_map_fields,
                                                             "specs.LinuxIDMapping");
#define ID_MAPS WIRE_LIST_OF(&id_map_type, "[]specs.LinuxIDMapping")

static const struct wire_field mount_fields[] = {
    WIRE_FIELD(struct oci_mount, destination, "destination", &wire_string),
    WIRE_OMIT(struct oci_mount, type, "type", &wire_string),
    WIRE_OMIT(struct oci_mount, source, "source", &wire_string),
    WIRE_OMIT(struct oci_mount, options, "options", STRINGS),
    WIRE_OMIT(struct oci_mount, uid_mappings, "uidMappings", ID_MAPS),
    WIRE_OMIT(struct oci_mount, gid_mappings, "gidMappings", ID_MAPS),
    WIRE_END,
};
const struct wire_type oci_mount_type = WIRE_TYPE_STRUCT(struct oci_mount, mount_fields,
                                                         "specs.Mount");

static const struct wire_field hook_fields[] = {
    WIRE_FIELD(struct oci_hook, path, "path", &wire_string),
    WIRE_OMIT(struct oci_hook, args, "args", STRINGS),
    WIRE_OMIT(struct oci_hook, env, "env", STRINGS),
    WIRE_OMIT(struct oci_hook, timeout, "timeout", WIRE_OPTIONAL_OF(&wire_int)),
    WIRE_END,
};
static const struct wire_type hook_type = WIRE_TYPE_STRUCT(struct oci_hook, hook_fields,
                                                           "specs.Hook");
#define HOOKS WIRE_LIST_OF(&hook_type, "[]specs.Hook")

static const struct wire_field hooks_fields[] = {
    WIRE_OMIT(struct oci_hooks, prestart, "prestart", HOOKS),
    WIRE_OMIT(struct oci_hooks, create_runtime, "createRuntime", HOOKS),
    WIRE_OMIT(struct oci_hooks, create_container, "createContainer", HOOKS),
    WIRE_OMIT(struct oci_hooks, start_container, "startContainer", HOOKS),
    WIRE_OMIT(struct oci_hooks, poststart, "poststart", HOOKS),
    WIRE_OMIT(struct oci_hooks, poststop, "poststop", HOOKS),
    WIRE_END,
};
static const struct wire_type hooks_type = WIRE_TYPE_STRUCT(struct oci_hooks, hooks_fields,
                                                            "specs.Hooks");

static const struct wire_field namespace_fields[] = {
    WIRE_FIELD(struct oci_namespace, type, "type", &wire_string),
    WIRE_OMIT(struct oci_namespace, path, "path", &wire_string),
    WIRE_END,
};
static const struct wire_type namespace_type = WIRE_TYPE_STRUCT(
    struct oci_namespace, namespace_fields, "specs.LinuxNamespace");

static const struct wire_field device_fields[] = {
    WIRE_FIELD(struct oci_device, path, "path", &wire_string),
    WIRE_FIELD(struct oci_device, type, "type", &wire_string),
    WIRE_FIELD(struct oci_device, major, "major", &wire_int64),
    WIRE_FIELD(struct oci_device, minor, "minor", &wire_int64),
    WIRE_OMIT(struct oci_device, file_mode, "fileMode", WIRE_OPTIONAL_OF(&wire_uint32)),
    WIRE_OMIT(struct oci_device, uid, "uid", WIRE_OPTIONAL_OF(&wire_uint32)),
    WIRE_OMIT(struct oci_device, gid, "gid", WIRE_OPTIONAL_OF(&wire_uint32)),
    WIRE_END,
};
static const struct wire_type device_type = WIRE_TYPE_STRUCT(struct oci_device, device_fields,
                                                             "specs.LinuxDevice");

static const struct wire_field linux_fields[] = {
    WIRE_OMIT(struct oci_linux, uid_mappings, "uidMappings", ID_MAPS),
    WIRE_OMIT(struct oci_linux, gid_mappings, "gidMappings", ID_MAPS),
    WIRE_OMIT(struct oci_linux, sysctl, "sysctl", STRING_MAP),
    WIRE_OMIT(struct oci_linux, resources, "resources", &wire_raw),
    WIRE_OMIT(struct oci_linux, cgroups_path, "cgroupsPath", &wire_string),
    WIRE_OMIT(struct oci_linux, namespaces, "namespaces",
              WIRE_LIST_OF(&namespace_type, "[]specs.LinuxNamespace")),
    WIRE_OMIT(struct oci_linux, devices, "devices",
              WIRE_LIST_OF(&device_type, "[]specs.LinuxDevice")),
    WIRE_OMIT(struct oci_linux, seccomp, "seccomp", &wire_raw),
    WIRE_OMIT(struct oci_linux, rootfs_propagation, "rootfsPropagation", &wire_string),
    WIRE_OMIT(struct oci_linux, masked_paths, "maskedPaths", STRINGS),
    WIRE_OMIT(struct oci_linux, readonly_paths, "readonlyPaths", STRINGS),
    WIRE_OMIT(struct oci_linux, mount_label, "mountLabel", &wire_string),
    WIRE_OMIT(struct oci_linux, intel_rdt, "intelRdt", &wire_raw),
    WIRE_OMIT(struct oci_linux, personality, "personality", &wire_raw),
    WIRE_OMIT(struct oci_linux, time_offsets, "timeOffsets", &wire_raw),
    WIRE_END,
};
static const struct wire_type linux_type = WIRE_TYPE_STRUCT(struct oci_linux, linux_fields,
                                                            "specs.Linux");

static const struct wire_field spec_fields[] = {
    WIRE_FIELD(struct oci_spec, oci_version, "ociVersion", &wire_string),
    WIRE_OMIT(struct oci_spec, process, "process", WIRE_OPTIONAL_OF(&oci_process_type)),
    WIRE_OMIT(struct oci_spec, root, "root", WIRE_OPTIONAL_OF(&root_type)),
    WIRE_OMIT(struct oci_spec, hostname, "hostname", &wire_string),
    WIRE_OMIT(struct oci_spec, domainname, "domainname", &wire_string),
    WIRE_OMIT(struct oci_spec, mounts, "mounts", WIRE_LIST_OF(&oci_mount_type, "[]specs.Mount")),
    WIRE_OMIT(struct oci_spec, hooks, "hooks", WIRE_OPTIONAL_OF(&hooks_type)),
    WIRE_OMIT(struct oci_spec, annotations, "annotations", STRING_MAP),
    WIRE_OMIT(struct oci_spec, on_linux, "linux", WIRE_OPTIONAL_OF(&linux_type)),
    WIRE_OMIT(struct oci_spec, solaris, "solaris", &wire_raw),
    WIRE_OMIT(struct oci_spec, windows, "windows", &wire_raw),
    WIRE_OMIT(struct oci_spec, vm, "vm", &wire_raw),
    WIRE_OMIT(struct oci_spec, zos, "zos", &wire_raw),
    WIRE_END,
};
const struct wire_type oci_spec_type = WIRE_TYPE_STRUCT(struct oci_spec, spec_fields, "specs.Spec");

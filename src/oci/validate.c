/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What a spec must have to be run here, one line a fault. Unknown members and AppArmor profiles are
 * not faults.
 */
#include "oci/oci.h"

#include <errno.h>
#include <string.h>

static bool is_empty(const char *text)
{
    return !text || !*text;
}

static int fault(struct error *err, const char *text)
{
    return error_set(err, EINVAL, "OCI spec: %s", text);
}

static int validate_capabilities(const struct oci_capabilities *caps, struct error *err)
{
    const struct {
        char *const *items;
        size_t count;
    } sets[] = {{caps->bounding.items, caps->bounding.count},
                {caps->effective.items, caps->effective.count},
                {caps->permitted.items, caps->permitted.count},
                {caps->inheritable.items, caps->inheritable.count},
                {caps->ambient.items, caps->ambient.count}};
    u64 mask;
    for (size_t i = 0; i < ARRAY_COUNT(sets); i++)
        if (oci_capability_mask(sets[i].items, sets[i].count, &mask, err) < 0)
            return error_prefix(err, "OCI spec: process.capabilities");
    return 0;
}

static int validate_rlimits(const struct oci_process *process, struct error *err)
{
    for (size_t i = 0; i < process->rlimits.count; i++) {
        const struct oci_rlimit *limit = &process->rlimits.items[i];
        if (is_empty(limit->type) || oci_rlimit_nr(limit->type) < 0)
            return error_set(err, EINVAL, "OCI spec: process.rlimits has unknown type \"%s\"",
                             limit->type ? limit->type : "");
        if (limit->soft > limit->hard)
            return error_set(err, EINVAL, "OCI spec: %s has a soft limit above its hard limit",
                             limit->type);
    }
    return 0;
}

static int validate_process(const struct oci_process *process, struct error *err)
{
    if (!process)
        return fault(err, "process must be defined");
    if (process->args.count == 0)
        return fault(err, "process.args must be defined");
    for (size_t i = 0; i < process->args.count; i++)
        if (!process->args.items[i])
            return fault(err, "process.args must not contain null");
    if (!is_empty(process->cwd) && process->cwd[0] != '/')
        return error_set(err, EINVAL, "OCI spec: process.cwd \"%s\" must be an absolute path",
                         process->cwd);
    if (!is_empty(process->selinux_label))
        return fault(err, "process.selinuxLabel is not supported");
    if (process->capabilities && validate_capabilities(process->capabilities, err) < 0)
        return -1;
    return validate_rlimits(process, err);
}

static int validate_mount(const struct oci_mount *mount, struct error *err)
{
    if (is_empty(mount->destination) || mount->destination[0] != '/')
        return error_set(err, EINVAL, "OCI spec: mount destination \"%s\" must be an absolute path",
                         mount->destination ? mount->destination : "");
    if (oci_mount_has_option(mount, "shared") || oci_mount_has_option(mount, "rshared"))
        return error_set(
            err, EINVAL,
            "OCI spec: mount \"%s\" has option shared or rshared, which is not supported",
            mount->destination);
    if (oci_mount_is_bind(mount) && is_empty(mount->source))
        return error_set(err, EINVAL, "OCI spec: bind mount \"%s\" has no source",
                         mount->destination);
    return 0;
}

static bool is_one_of(const char *text, const char *const *words, size_t count)
{
    for (size_t i = 0; i < count; i++)
        if (strcmp(text, words[i]) == 0)
            return true;
    return false;
}

static int validate_namespaces(const struct oci_linux *on_linux, struct error *err)
{
    static const char *const types[] = {"pid", "network", "mount",  "ipc",
                                        "uts", "user",    "cgroup", "time"};
    for (size_t i = 0; i < on_linux->namespaces.count; i++) {
        const struct oci_namespace *ns = &on_linux->namespaces.items[i];
        const char *type = ns->type ? ns->type : "";
        if (!is_one_of(type, types, ARRAY_COUNT(types)))
            return error_set(err, EINVAL, "OCI spec: linux.namespaces has unknown type \"%s\"",
                             type);
        for (size_t k = 0; k < i; k++)
            if (strcmp(on_linux->namespaces.items[k].type, type) == 0)
                return error_set(err, EINVAL, "OCI spec: linux.namespaces has type \"%s\" twice",
                                 type);
    }
    return 0;
}

static int validate_devices(const struct oci_linux *on_linux, struct error *err)
{
    static const char *const types[] = {"c", "b", "u", "p"};
    for (size_t i = 0; i < on_linux->devices.count; i++) {
        const struct oci_device *device = &on_linux->devices.items[i];
        if (is_empty(device->path) || device->path[0] != '/')
            return error_set(err, EINVAL, "OCI spec: device path \"%s\" must be absolute",
                             device->path ? device->path : "");
        if (!device->type || !is_one_of(device->type, types, ARRAY_COUNT(types)))
            return error_set(err, EINVAL, "OCI spec: device \"%s\" has unknown type \"%s\"",
                             device->path, device->type ? device->type : "");
    }
    return 0;
}

static int validate_linux(const struct oci_linux *on_linux, struct error *err)
{
    static const char *const propagations[] = {"private", "rprivate", "slave", "rslave"};
    const char *propagation = on_linux->rootfs_propagation;
    if (!is_empty(propagation) && !is_one_of(propagation, propagations, ARRAY_COUNT(propagations)))
        return error_set(err, EINVAL,
                         "OCI spec: linux.rootfsPropagation must be private or slave, not \"%s\"",
                         propagation);
    if (validate_namespaces(on_linux, err))
        return -1;
    return validate_devices(on_linux, err);
}

int oci_spec_validate(const struct oci_spec *spec, struct error *err)
{
    if (validate_process(spec->process, err))
        return -1;
    if (!spec->root)
        return fault(err, "root must be defined");
    if (is_empty(spec->root->path))
        return fault(err, "root.path must be defined");
    if (spec->solaris.bytes)
        return fault(err, "solaris is not supported");
    if (spec->windows.bytes)
        return fault(err, "windows is not supported");
    for (size_t i = 0; i < spec->mounts.count; i++)
        if (validate_mount(&spec->mounts.items[i], err))
            return -1;
    return validate_linux(spec->on_linux, err);
}

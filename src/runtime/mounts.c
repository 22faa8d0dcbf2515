/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Each source is opened as a detached copy of its mount tree where the host lets us (open_tree):
 * then ".." ends at the source itself, whoever holds the descriptor, and read-only is enforced by
 * the kernel too. Elsewhere a plain O_PATH descriptor does, and only the gofer's own rules keep it
 * inside.
 */
#include "runtime/mounts.h"

#include "loader/loader.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/mount.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#ifndef AT_RECURSIVE
#define AT_RECURSIVE 0x8000
#endif

static int path_make_absolute(struct oci_spec *spec, char **path, const char *bundle)
{
    if ((*path)[0] == '/')
        return 0;
    char whole[8192];
    snprintf(whole, sizeof whole, "%s/%s", bundle, *path);
    *path = oci_strdup(spec, whole);
    return *path ? 0 : -1;
}

int root_hint_read(const struct oci_spec *spec, struct root_hint *out, struct error *err)
{
    const char *type = oci_annotation(spec, "dev.gvisor.spec.rootfs.type");
    *out = (struct root_hint){.source = oci_annotation(spec, "dev.gvisor.spec.rootfs.source"),
                              .is_image = strcmp(type, "erofs") == 0,
                              .overlay = oci_annotation(spec, "dev.gvisor.spec.rootfs.overlay")};
    if (!*out->source)
        return *type || *out->overlay
                   ? error_set(err, EINVAL, "rootfs annotations without a source")
                   : 0;
    if (out->source[0] != '/')
        return error_set(err, EINVAL, "rootfs annotation: source \"%s\" is not absolute",
                         out->source);
    if (!out->is_image && strcmp(type, "bind") != 0)
        return error_set(err, EINVAL, "rootfs annotation: type \"%s\" is neither erofs nor bind",
                         type);
    if (*out->overlay && strcmp(out->overlay, "memory") != 0 && strcmp(out->overlay, "self") != 0 &&
        strncmp(out->overlay, "dir=/", 5) != 0)
        return error_set(err, EINVAL, "rootfs annotation: unknown overlay \"%s\"", out->overlay);
    return 0;
}

/* root.path, or what stands in its place, has to be there. */
static int root_check(const struct oci_spec *spec, struct error *err)
{
    struct root_hint hint;
    struct stat stat_of_root;
    if (root_hint_read(spec, &hint, err) < 0)
        return -1;
    const char *path = *hint.source ? hint.source : spec->root->path;
    if (stat(path, &stat_of_root) < 0)
        return error_errno(err, "cannot use the root file system \"%s\"", path);
    if (hint.is_image && !S_ISREG(stat_of_root.st_mode))
        return error_set(err, EINVAL, "cannot use the root file system \"%s\": not an image's file",
                         path);
    if (!hint.is_image && !S_ISDIR(stat_of_root.st_mode))
        return error_set(err, ENOTDIR, "cannot use the root file system \"%s\": not a directory",
                         path);
    return 0;
}

int spec_resolve(struct oci_spec *spec, const char *bundle, struct error *err)
{
    if (path_make_absolute(spec, &spec->root->path, bundle) < 0)
        return error_set(err, ENOMEM, "out of memory");
    for (size_t i = 0; i < spec->mounts.count; i++) {
        struct oci_mount *mount = &spec->mounts.items[i];
        if (oci_mount_is_bind(mount) && mount->source && *mount->source &&
            path_make_absolute(spec, &mount->source, bundle) < 0)
            return error_set(err, ENOMEM, "out of memory");
    }
    return root_check(spec, err);
}

static int tree_open(const char *path, bool is_readonly, bool has_devices)
{
    unsigned flags = OPEN_TREE_CLONE | OPEN_TREE_CLOEXEC | AT_RECURSIVE;
    int fd = (int)syscall(SYS_open_tree, AT_FDCWD, path, flags);
    if (fd < 0)
        return open(path, O_PATH | O_CLOEXEC);
    struct mount_attr attr = {.attr_set = (is_readonly ? MOUNT_ATTR_RDONLY : 0u) |
                                          (has_devices ? 0u : MOUNT_ATTR_NODEV),
                              .propagation = 1u << 18 /* MS_PRIVATE */};
    (void)syscall(SYS_mount_setattr, fd, "", AT_EMPTY_PATH | AT_RECURSIVE, &attr, sizeof attr);
    return fd;
}

/* Does --overlay2 (or --overlay) put a layer over the root, over bind mounts? */
static bool has_upper(const struct config *config, bool is_root)
{
    if (config->overlay)
        return true;
    const char *overlay = config->overlay2 ? config->overlay2 : "none";
    return strncmp(overlay, "all:", 4) == 0 || (is_root && strncmp(overlay, "root:", 5) == 0);
}

static int plan_add(const struct config *config, struct mount_plan *plan, const char *path,
                    bool is_readonly, bool is_layered, struct error *err)
{
    if (plan->count == MOUNTS_MAX)
        return error_set(err, E2BIG, "too many bind mounts, at most %u", MOUNTS_MAX - 1);
    bool is_root = plan->count == 0;
    /* Media "self" and "dir=" keep the layer in the sandbox's memory here, as "memory" does. */
    u8 upper = !is_readonly && is_layered ? GOFER_UPPER_MEMORY : GOFER_UPPER_NONE;
    bool is_lower_readonly = is_readonly || upper != GOFER_UPPER_NONE;
    bool has_devices = config->host_fifo && strcmp(config->host_fifo, "open") == 0;
    int fd = tree_open(path, is_lower_readonly, has_devices);
    if (fd < 0)
        return error_errno(err, "cannot open %s \"%s\"",
                           is_root ? "the root file system" : "mount source", path);
    struct stat stat;
    if (upper != GOFER_UPPER_NONE && !is_root && fstat(fd, &stat) == 0 && !S_ISDIR(stat.st_mode)) {
        close(fd); /* no layer over a single file */
        upper = GOFER_UPPER_NONE;
        is_lower_readonly = false;
        fd = tree_open(path, false, has_devices);
        if (fd < 0)
            return error_errno(err, "cannot open mount source \"%s\"", path);
    }
    plan->roots[plan->count] = fd;
    plan->modes[plan->count] = is_lower_readonly ? 'r' : 'w';
    plan->lowers[plan->count] = GOFER_LOWER_LISAFS;
    plan->uppers[plan->count] = upper;
    plan->modes[++plan->count] = 0;
    return 0;
}

/* An image needs no gofer: the sandbox reads it. */
static int plan_image(struct mount_plan *plan, const char *path, bool is_layered, struct error *err)
{
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    if (fd < 0)
        return error_errno(err, "cannot open the root file system \"%s\"", path);
    plan->roots[0] = fd;
    plan->modes[0] = 'r';
    plan->lowers[0] = GOFER_LOWER_EROFS;
    plan->uppers[0] = is_layered ? GOFER_UPPER_MEMORY : GOFER_UPPER_NONE;
    plan->modes[++plan->count] = 0;
    return 0;
}

/* A root with a hint has the layer that the hint asks for, and no other. */
static int plan_root(const struct config *config, const struct oci_spec *spec,
                     struct mount_plan *plan, struct error *err)
{
    struct root_hint hint;
    if (root_hint_read(spec, &hint, err) < 0)
        return -1;
    if (!*hint.source)
        return plan_add(config, plan, spec->root->path, spec->root->readonly,
                        has_upper(config, true), err);
    bool is_layered = *hint.overlay;
    if (!hint.is_image)
        return plan_add(config, plan, hint.source, spec->root->readonly, is_layered, err);
    return plan_image(plan, hint.source, is_layered && !spec->root->readonly, err);
}

int mount_plan_open(const struct config *config, const struct oci_spec *spec,
                    struct mount_plan *out, struct error *err)
{
    out->count = 0;
    out->modes[0] = 0;
    if (plan_root(config, spec, out, err) < 0)
        return -1;
    for (size_t i = 0; i < spec->mounts.count; i++) {
        const struct oci_mount *mount = &spec->mounts.items[i];
        if (!oci_mount_is_bind(mount))
            continue;
        if (!mount->source || !*mount->source)
            return error_set(err, EINVAL, "bind mount on \"%s\" has no source", mount->destination);
        if (plan_add(config, out, mount->source, oci_mount_is_readonly(mount),
                     has_upper(config, false), err) < 0)
            return -1;
    }
    return 0;
}

void mount_plan_close(struct mount_plan *plan)
{
    for (u32 i = 0; i < plan->count; i++)
        close(plan->roots[i]);
    plan->count = 0;
}

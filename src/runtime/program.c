/* SPDX-License-Identifier: Apache-2.0 */
/*
 * podman makes of create's error text the exit status that shells give: 127 for a program that is
 * not found, 126 for one that may not be executed. The sandbox finds out only at start, which is
 * too late for that. So the plain cases are looked at here, on the host, with a kernel that keeps
 * every symlink inside the root.
 */
#include "runtime/program.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/openat2.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

static bool is_below(const char *path, const char *dir)
{
    size_t size = strlen(dir);
    while (size > 1 && dir[size - 1] == '/')
        size--;
    return strncmp(path, dir, size) == 0 && (path[size] == 0 || path[size] == '/');
}

/* Could a mount hold the program PATH (NULL: any)? Those of the system hold none. */
static bool mounts_may_hold(const struct oci_spec *spec, const char *path)
{
    static const char *const system[] = {"/proc",
                                         "/sys",
                                         "/dev",
                                         "/etc/hosts",
                                         "/etc/hostname",
                                         "/etc/resolv.conf",
                                         "/run/.containerenv",
                                         "/run/secrets"};
    for (size_t i = 0; i < spec->mounts.count; i++) {
        bool is_system = false;
        for (size_t j = 0; j < ARRAY_COUNT(system); j++)
            is_system = is_system || is_below(spec->mounts.items[i].destination, system[j]);
        if (!is_system && (!path || is_below(path, spec->mounts.items[i].destination)))
            return true;
    }
    return false;
}

/* The path of FD below the root, whose own path has ROOT_SIZE bytes. */
static int path_in_root(int fd, size_t root_size, char *out, size_t out_size)
{
    char link[64];
    snprintf(link, sizeof link, "/proc/self/fd/%d", fd);
    ssize_t size = readlink(link, out, out_size - 1);
    if (size < (ssize_t)root_size)
        return -1;
    out[size] = 0;
    memmove(out, out + root_size, (size_t)size - root_size + 1);
    return 0;
}

/*
 * Is it sure that PATH, which the root does not have, is in no mount either? The longest part of it
 * that the root has shows where it leads; what follows there must be no symlink, and below no
 * mount.
 */
static bool is_surely_missing(const struct oci_spec *spec, int root, const char *path)
{
    struct open_how how = {.flags = O_PATH | O_CLOEXEC,
                           .resolve = RESOLVE_IN_ROOT | RESOLVE_NO_MAGICLINKS};
    char parent[4096], real[8192];
    struct stat stat;
    if (!mounts_may_hold(spec, NULL))
        return true;
    if (path_in_root(root, 0, real, sizeof real) < 0)
        return false;
    size_t root_size = strcmp(real, "/") == 0 ? 0 : strlen(real);
    size_t size = strlen(path);
    if (size >= sizeof parent)
        return false;
    memcpy(parent, path, size + 1);
    int fd = -1;
    while (fd < 0 && size > 0) {
        while (size > 0 && parent[size - 1] != '/')
            size--;
        while (size > 0 && parent[size - 1] == '/')
            size--;
        parent[size] = 0;
        fd = (int)syscall(SYS_openat2, root, size ? parent : "/", &how, sizeof how);
    }
    if (fd < 0)
        return false;
    const char *rest = path + size + strspn(path + size, "/");
    char name[256];
    size_t name_size = strcspn(rest, "/");
    bool is_sure = name_size < sizeof name && !strstr(rest, "..") &&
                   path_in_root(fd, root_size, real, sizeof real) == 0;
    if (is_sure) {
        snprintf(name, sizeof name, "%.*s", (int)name_size, rest);
        is_sure = fstatat(fd, name, &stat, AT_SYMLINK_NOFOLLOW) < 0 || !S_ISLNK(stat.st_mode);
        size_t used = strlen(real);
        snprintf(real + used, sizeof real - used, "%s%s", used && real[used - 1] == '/' ? "" : "/",
                 rest);
        is_sure = is_sure && !mounts_may_hold(spec, real);
    }
    close(fd);
    return is_sure;
}

/* 0: a file that may be executed; else the errno. */
static int judge(int root, const char *path)
{
    struct open_how how = {.flags = O_PATH | O_CLOEXEC,
                           .resolve = RESOLVE_IN_ROOT | RESOLVE_NO_MAGICLINKS};
    struct stat stat;
    int fd = (int)syscall(SYS_openat2, root, path, &how, sizeof how);
    if (fd < 0)
        return errno;
    int failed = fstat(fd, &stat) < 0 ? errno : 0;
    close(fd);
    if (!failed && (!S_ISREG(stat.st_mode) || !(stat.st_mode & 0111)))
        failed = EACCES;
    return failed;
}

static const char *path_of(const struct oci_process *process)
{
    for (size_t i = 0; i < process->env.count; i++)
        if (strncmp(process->env.items[i], "PATH=", 5) == 0)
            return process->env.items[i] + 5;
    return NULL;
}

/* Along PATH; EACCES of one place counts only if no other has it. 0: it is there, or nobody knows.
 */
static int judge_along_path(const struct oci_spec *spec, int root, const char *name,
                            const char *path)
{
    int result = ENOENT;
    char whole[4096];
    while (*path) {
        size_t size = strcspn(path, ":");
        snprintf(whole, sizeof whole, "%.*s/%s", (int)size, path, name);
        int failed = *path == '/' ? judge(root, whole) : ENOENT;
        if (!failed || (*path == '/' && !is_surely_missing(spec, root, whole)))
            return 0;
        if (failed == EACCES)
            result = EACCES;
        path += size + (path[size] == ':');
    }
    return result;
}

int program_check(const struct oci_spec *spec, struct error *err)
{
    const char *name = spec->process->args.items[0];
    const char *path = path_of(spec->process);
    bool has_slash = strchr(name, '/');
    if (!*name || (!has_slash && !path))
        return 0;
    if (*oci_annotation(spec, "dev.gvisor.spec.rootfs.source"))
        return 0; /* the sandbox looks */
    int root = open(spec->root->path, O_PATH | O_DIRECTORY | O_CLOEXEC);
    if (root < 0)
        return 0;
    char whole[4096];
    const char *cwd = spec->process->cwd && *spec->process->cwd ? spec->process->cwd : "/";
    snprintf(whole, sizeof whole, "%s%s%s", name[0] == '/' ? "" : cwd, name[0] == '/' ? "" : "/",
             name);
    int failed = has_slash ? judge(root, whole) : judge_along_path(spec, root, name, path);
    if (failed && has_slash && !is_surely_missing(spec, root, whole))
        failed = 0;
    close(root);
    if (failed == EACCES)
        return error_set(err, EACCES, "exec: \"%s\": permission denied", name);
    if (failed == ENOENT && has_slash)
        return error_set(err, ENOENT, "exec: \"%s\": stat %s: no such file or directory", name,
                         name);
    if (failed == ENOENT)
        return error_set(err, ENOENT, "exec: \"%s\": executable file not found in $PATH", name);
    return 0; /* a kernel without openat2, or something that the sandbox will tell better */
}

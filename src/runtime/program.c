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

/* Could a mount hold the program? Those of the system hold none. */
static bool mounts_may_matter(const struct oci_spec *spec)
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
        if (!is_system)
            return true;
    }
    return false;
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

/* Along PATH; EACCES of one place counts only if no other has it. */
static int judge_along_path(int root, const char *name, const char *path)
{
    int result = ENOENT;
    char whole[4096];
    while (*path) {
        size_t size = strcspn(path, ":");
        snprintf(whole, sizeof whole, "%.*s/%s", (int)size, path, name);
        int failed = *path == '/' ? judge(root, whole) : ENOENT;
        if (!failed)
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
    if (!*name || mounts_may_matter(spec) || (!has_slash && !path))
        return 0;
    int root = open(spec->root->path, O_PATH | O_DIRECTORY | O_CLOEXEC);
    if (root < 0)
        return 0;
    char whole[4096];
    const char *cwd = spec->process->cwd && *spec->process->cwd ? spec->process->cwd : "/";
    snprintf(whole, sizeof whole, "%s%s%s", name[0] == '/' ? "" : cwd, name[0] == '/' ? "" : "/",
             name);
    int failed = has_slash ? judge(root, whole) : judge_along_path(root, name, path);
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

/* SPDX-License-Identifier: Apache-2.0 */
/* What a process finds around it: its environment with HOME, and its program by PATH. */
#include <errno.h>
#include <string.h>

#include "abi/stat.h"
#include "loader/internal.h"

#define PASSWD_SIZE_MAX ((size_t)1 << 20)
#define PERMISSION_EXEC 1u

/* The value of NAME in ENVV, or NULL; the last one wins. */
static const char *env_find(char *const *envv, size_t envc, const char *name)
{
    size_t size = strlen(name);
    for (size_t i = envc; i-- > 0;)
        if (strncmp(envv[i], name, size) == 0 && envv[i][size] == '=')
            return envv[i] + size + 1;
    return NULL;
}

/* ---- HOME ----------------------------------------------------------------------------------- */

/* The whole of a small file of the container: pool memory, or NULL. */
SLEEPS static char *read_file(struct task *by, struct pool *pool, const char *path)
{
    AUTO_PUT struct file *file = NULL;
    if (vfs_open(by, NULL, path, 0, 0, WALK_FOLLOW, &file))
        return NULL;
    u64 size = file->inode->size;
    if (!inode_is_regular(file->inode) || size == 0 || size > PASSWD_SIZE_MAX)
        return NULL;
    char *text = pool_alloc(pool, size + 1);
    if (!text)
        return NULL;
    i64 got = file_pread_kernel(by, file, text, size, 0);
    if (got < 0)
        return NULL;
    text[got] = '\0';
    return text;
}

/* Field INDEX of a line of passwd(5): cut out of it. */
static char *take_field(char **at)
{
    char *field = *at;
    char *colon = strchr(field, ':');
    if (colon)
        *colon = '\0';
    *at = colon ? colon + 1 : field + strlen(field);
    return field;
}

/* The home directory of UID in a line, which is cut to pieces; NULL: another's line. */
static char *line_home(char *line, u32 uid)
{
    u64 number;
    take_field(&line); /* name */
    take_field(&line); /* password */
    char *id = take_field(&line);
    take_field(&line); /* group */
    take_field(&line); /* comment */
    struct json_text digits = {id, strlen(id)};
    if (!json_u64(digits, &number) || number != uid)
        return NULL;
    return take_field(&line);
}

SLEEPS static const char *find_home(struct task *by, struct pool *pool, u32 uid)
{
    char *text = read_file(by, pool, "/etc/passwd");
    while (text && *text) {
        char *line = text;
        char *end = strchr(text, '\n');
        text = end ? end + 1 : text + strlen(text);
        if (end)
            *end = '\0';
        const char *home = line_home(line, uid);
        if (home && *home)
            return home;
    }
    return "/";
}

int process_environment(struct task *by, struct pool *pool, char *const *envv, size_t envc, u32 uid,
                        char ***out, size_t *count, struct error *err)
{
    char **copy = pool_alloc_array(pool, envc + 1, sizeof *copy);
    if (!copy)
        return error_set(err, ENOMEM, "out of memory");
    for (size_t i = 0; i < envc; i++) {
        if (!envv[i] || !strchr(envv[i], '='))
            return error_set(err, EINVAL, "resolving env: invalid variable: %s",
                             envv[i] ? envv[i] : "");
        copy[i] = envv[i];
    }
    *count = envc;
    if (!env_find(envv, envc, "HOME")) {
        copy[envc] = pool_printf(pool, "HOME=%s", find_home(by, pool, uid));
        if (!copy[envc])
            return error_set(err, ENOMEM, "out of memory");
        *count = envc + 1;
    }
    *out = copy;
    return 0;
}

/* ---- PATH ----------------------------------------------------------------------------------- */

/* 0: PATH can be executed; -EACCES: it is there but cannot. */
SLEEPS static int judge_program(struct task *by, const char *path)
{
    AUTO_PATH struct path found = {0};
    int err = path_walk(by, NULL, path, WALK_FOLLOW, &found);
    if (err)
        return err;
    if (!inode_is_regular(found.dentry->inode))
        return -EACCES;
    return vfs_permission(by, &found, PERMISSION_EXEC);
}

int process_find_program(struct task *by, struct pool *pool, const char *name, char *const *envv,
                         size_t envc, const char **out, struct error *err)
{
    const char *dirs = env_find(envv, envc, "PATH");
    int result = -ENOENT;
    *out = name;
    if (strchr(name, '/'))
        return 0;
    while (*name && dirs && *dirs) {
        size_t size = strcspn(dirs, ":");
        char *path = size ? pool_printf(pool, "%.*s/%s", (int)MIN(size, (size_t)PATH_SIZE_MAX),
                                        dirs, name)
                          : pool_printf(pool, "./%s", name);
        if (!path)
            return error_set(err, ENOMEM, "out of memory");
        int judged = judge_program(by, path);
        if (judged == 0) {
            *out = path;
            return 0;
        }
        if (judged == -EACCES)
            result = judged;
        dirs += size + (dirs[size] == ':');
    }
    return error_set(err, -result, "exec: \"%s\": %s: %s", name,
                     result == -EACCES ? "found in $PATH" : "executable file not found in $PATH",
                     errno_text(-result));
}

/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The folder of records: which containers there are, and which one an id means. An id may be
 * shortened as long as one container's id begins so; a full id that others begin with is ambiguous
 * too, as in gVisor.
 */
#include "base/sort.h"
#include "runtime/record.h"

#include <ctype.h>
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define ID_MAX 255

bool container_id_is_valid(const char *id)
{
    size_t size = strlen(id);
    if (size == 0 || size > ID_MAX || strcmp(id, ".") == 0 || strcmp(id, "..") == 0)
        return false;
    for (size_t i = 0; i < size; i++)
        if (!isalnum((u8)id[i]) && !strchr("_+.-", id[i]))
            return false;
    return true;
}

/* mkdir -p with mode 0711 for what is missing. */
static int make_path(const char *path)
{
    char part[4096];
    size_t size = strlen(path);
    if (size == 0 || size >= sizeof part) {
        errno = ENAMETOOLONG;
        return -1;
    }
    memcpy(part, path, size + 1);
    for (size_t i = 1; i <= size; i++) {
        if (part[i] != '/' && part[i] != 0)
            continue;
        char kept = part[i];
        part[i] = 0;
        if (mkdir(part, 0711) < 0 && errno != EEXIST)
            return -1;
        part[i] = kept;
    }
    return 0;
}

int state_dir_open(const char *root, bool is_create, int *out, struct error *err)
{
    int dir = open(root, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (dir < 0 && errno == ENOENT && is_create) {
        if (make_path(root) < 0)
            return error_errno(err, "cannot make the root directory \"%s\"", root);
        dir = open(root, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    }
    if (dir < 0)
        return error_errno(err, "cannot open the root directory \"%s\"", root);
    *out = dir;
    return 0;
}

/* "C_sandbox:S.state" -> ids; false for any other name. */
static bool name_parse(const char *name, struct full_id *out)
{
    const char *middle = strstr(name, "_sandbox:");
    const char *end = name + strlen(name);
    if (!middle || name[0] == '.' || end - middle <= 15 || strcmp(end - 6, ".state") != 0)
        return false;
    const char *sandbox = middle + strlen("_sandbox:");
    int sandbox_size = (int)(end - 6 - sandbox), container_size = (int)(middle - name);
    if (container_size > ID_MAX || sandbox_size > ID_MAX)
        return false;
    snprintf(out->container, sizeof out->container, "%.*s", container_size, name);
    snprintf(out->sandbox, sizeof out->sandbox, "%.*s", sandbox_size, sandbox);
    return container_id_is_valid(out->container) && container_id_is_valid(out->sandbox);
}

static int compare(const void *a, const void *b, void *arg)
{
    return strcmp(((const struct full_id *)a)->container, ((const struct full_id *)b)->container);
}

static int list_matching(int dir, const char *begins, const char *sandbox, struct full_id **out,
                         u32 *count, struct error *err)
{
    struct full_id *ids = NULL;
    u32 used = 0, capacity = 0;
    int copy = dir < 0 ? -1 : openat(dir, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    DIR *stream = copy < 0 ? NULL : fdopendir(copy);
    if (dir >= 0 && !stream)
        return error_errno(err, "cannot list the root directory");
    struct full_id id;
    for (struct dirent *entry; stream && (entry = readdir(stream));) {
        if (!name_parse(entry->d_name, &id) || strncmp(id.container, begins, strlen(begins)) != 0)
            continue;
        if (sandbox && strcmp(id.sandbox, sandbox) != 0)
            continue;
        if (used == capacity) {
            capacity = MAX(capacity * 2, 16u);
            ids = reallocarray(ids, capacity, sizeof *ids);
            if (!ids)
                abort();
        }
        ids[used++] = id;
    }
    if (stream)
        closedir(stream);
    if (used > 0)
        sort_stable(ids, used, sizeof *ids, compare, NULL);
    *out = ids;
    *count = used;
    return 0;
}

int state_dir_list(int dir, struct full_id **out, u32 *count, struct error *err)
{
    return list_matching(dir, "", NULL, out, count, err);
}

int state_dir_list_sandbox(int dir, const char *sandbox_id, struct full_id **out, u32 *count,
                           struct error *err)
{
    if (list_matching(dir, "", sandbox_id, out, count, err) < 0)
        return -1;
    for (u32 i = 0; i + 1 < *count; i++) {
        if (strcmp((*out)[i].container, sandbox_id) != 0)
            continue;
        struct full_id root = (*out)[i];
        memmove(*out + i, *out + i + 1, (*count - i - 1) * sizeof root);
        (*out)[*count - 1] = root;
        break;
    }
    return 0;
}

int state_dir_find(int dir, const char *id, struct full_id *out, struct error *err)
{
    struct full_id *ids = NULL;
    u32 count = 0;
    if (!container_id_is_valid(id))
        return error_set(err, EINVAL, "invalid container id: %s", id);
    if (list_matching(dir, id, NULL, &ids, &count, err) < 0)
        return -1;
    int result = 0;
    if (count == 0) {
        result = error_set(err, ENOENT, "loading container \"%s\": file does not exist", id);
    } else if (count > 1) {
        char names[512] = "";
        size_t used = 0;
        for (u32 i = 0; i < count && used < sizeof names - 1; i++)
            used += (size_t)snprintf(names + used, sizeof names - used, "%s\"%s\"", i ? " " : "",
                                     ids[i].container);
        result = error_set(err, EEXIST,
                           "id \"%s\" is ambiguous and could refer to multiple containers: [%s]",
                           id, names);
    } else {
        *out = ids[0];
    }
    free(ids);
    return result;
}

/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Reading and writing records. Member names are gVisor's; members of later releases that this one
 * does not know are dropped when a record is written anew. "pidStart" is ours: a pid alone may have
 * been reused.
 */
#include "runtime/record.h"

#include "base/buf.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#define RECORD_SIZE_MAX ((size_t)8 << 20)
#define NAME_SIZE 600

static const struct wire_field sandbox_fields[] = {
    WIRE_FIELD(struct record_sandbox, id, "id", &wire_string),
    WIRE_OMIT(struct record_sandbox, pod_name, "podName", &wire_string),
    WIRE_OMIT(struct record_sandbox, pod_namespace, "namespace", &wire_string),
    WIRE_FIELD(struct record_sandbox, pid, "pid", &wire_int),
    WIRE_FIELD(struct record_sandbox, uid, "uid", &wire_int),
    WIRE_FIELD(struct record_sandbox, gid, "gid", &wire_int),
    WIRE_FIELD(struct record_sandbox, cgroup, "cgroup", &wire_raw),
    WIRE_FIELD(struct record_sandbox, original_oom_score_adj, "originalOomScoreAdj", &wire_int),
    WIRE_FIELD(struct record_sandbox, control_socket_path, "controlSocketPath", &wire_string),
    WIRE_OMIT(struct record_sandbox, is_checkpointed, "checkpointed", &wire_bool),
    WIRE_OMIT(struct record_sandbox, is_restored, "restored", &wire_bool),
    WIRE_FIELD(struct record_sandbox, pid_start, "pidStart", &wire_int64),
    WIRE_END,
};
static const struct wire_type sandbox_type = WIRE_TYPE_STRUCT(struct record_sandbox, sandbox_fields,
                                                              "sandbox.Sandbox");

static const struct wire_field id_fields[] = {
    WIRE_FIELD(struct record_id, sandbox_id, "sandboxId", &wire_string),
    WIRE_FIELD(struct record_id, container_id, "containerId", &wire_string),
    WIRE_END,
};
static const struct wire_type id_type = WIRE_TYPE_STRUCT(struct record_id, id_fields,
                                                         "container.FullID");

static const struct wire_field saver_fields[] = {
    WIRE_FIELD(struct record_saver, root_dir, "rootDir", &wire_string),
    WIRE_FIELD(struct record_saver, id, "id", &id_type),
    WIRE_END,
};
static const struct wire_type saver_type = WIRE_TYPE_STRUCT(struct record_saver, saver_fields,
                                                            "container.StateFile");

static const struct wire_field mount_fields[] = {
    WIRE_FIELD(struct record_mount, lower, "lower", &wire_int),
    WIRE_FIELD(struct record_mount, upper, "upper", &wire_int),
    WIRE_END,
};
static const struct wire_type mount_type = WIRE_TYPE_STRUCT(struct record_mount, mount_fields,
                                                            "specutils.GoferMountConf");

static const struct wire_field record_fields[] = {
    WIRE_FIELD(struct record, id, "id", &wire_string),
    WIRE_FIELD(struct record, spec, "spec", &wire_raw),
    WIRE_FIELD(struct record, bundle_dir, "bundleDir", &wire_string),
    WIRE_FIELD(struct record, created_at, "createdAt", &wire_string),
    WIRE_FIELD(struct record, owner, "owner", &wire_string),
    WIRE_FIELD(struct record, console_socket, "consoleSocket", &wire_string),
    WIRE_FIELD(struct record, status, "status", &wire_string),
    WIRE_FIELD(struct record, gofer_pid, "goferPid", &wire_int),
    WIRE_FIELD(struct record, gofer_pid_start, "goferPidStart", &wire_int64),
    WIRE_FIELD(struct record, sandbox, "sandbox", WIRE_OPTIONAL_OF(&sandbox_type)),
    WIRE_FIELD(struct record, compat_cgroup, "compatCgroup", &wire_raw),
    WIRE_FIELD(struct record, saver, "saver", &saver_type),
    WIRE_FIELD(struct record, gofer_mounts, "goferMountConfs",
               WIRE_LIST_OF(&mount_type, "[]specutils.GoferMountConf")),
    WIRE_END,
};
static const struct wire_type record_type = WIRE_TYPE_STRUCT(struct record, record_fields,
                                                             "container.Container");

static void file_name(const struct full_id *id, const char *ending, char out[NAME_SIZE])
{
    snprintf(out, NAME_SIZE, "%s_sandbox:%s.%s", id->container, id->sandbox, ending);
}

struct record *record_new(void)
{
    struct record *record = calloc(1, sizeof *record);
    if (!record) {
        fputs("out of memory\n", stderr);
        abort();
    }
    pool_init(&record->pool, NULL);
    return record;
}

void record_free(struct record *record)
{
    if (!record)
        return;
    pool_fini(&record->pool);
    free(record);
}

void record_free_auto(struct record **record)
{
    record_free(*record);
}

void record_full_id(const struct record *record, struct full_id *out)
{
    snprintf(out->container, sizeof out->container, "%s", record->id);
    snprintf(out->sandbox, sizeof out->sandbox, "%s", record->sandbox->id);
}

bool record_is_root(const struct record *record)
{
    return strcmp(record->id, record->sandbox->id) == 0;
}

bool record_has_status(const struct record *record, const char *status)
{
    return record->status && strcmp(record->status, status) == 0;
}

void record_set_status(struct record *record, const char *status)
{
    record->status = pool_strdup(&record->pool, status);
}

bool record_exists(int dir, const struct full_id *id)
{
    char name[NAME_SIZE];
    file_name(id, "state", name);
    return faccessat(dir, name, F_OK, AT_SYMLINK_NOFOLLOW) == 0;
}

/* A whole file into the pool. */
static int read_whole(int dir, const char *name, struct pool *pool, struct json_text *out)
{
    int fd = openat(dir, name, O_RDONLY | O_CLOEXEC | O_NOFOLLOW);
    struct stat stat;
    if (fd < 0)
        return -1;
    if (fstat(fd, &stat) < 0 || stat.st_size > (off_t)RECORD_SIZE_MAX) {
        errno = errno ? errno : EFBIG;
        close(fd);
        return -1;
    }
    size_t size = (size_t)stat.st_size, at = 0;
    char *text = pool_alloc(pool, size + 1);
    while (at < size) {
        ssize_t got = read(fd, text + at, size - at);
        if (got <= 0)
            break;
        at += (size_t)got;
    }
    close(fd);
    *out = (struct json_text){.bytes = text, .size = at};
    return 0;
}

int record_load(int dir, const struct full_id *id, struct record **out, struct error *err)
{
    AUTO_RECORD struct record *record = record_new();
    char name[NAME_SIZE];
    file_name(id, "state", name);
    struct json_text file, text;
    if (read_whole(dir, name, &record->pool, &file) < 0) {
        if (errno == ENOENT)
            return error_set(err, ENOENT, "loading container \"%s\": file does not exist",
                             id->container);
        return error_errno(err, "loading container \"%s\"", id->container);
    }
    if (json_parse(file.bytes, file.size, RECORD_SIZE_MAX, &text, err) < 0 ||
        wire_decode(&record_type, text, &record->pool, record, err) < 0)
        return error_prefix(err, "loading container \"%s\": unmarshaling container state",
                            id->container);
    if (!record->sandbox || !record->id || strcmp(record->id, id->container) != 0 ||
        !record->status)
        return error_set(err, EINVAL, "loading container \"%s\": its record is incomplete",
                         id->container);
    if (!record->sandbox->id || !*record->sandbox->id)
        record->sandbox->id = pool_strdup(&record->pool, id->sandbox);
    *out = MOVE(record);
    return 0;
}

static int write_all(int fd, const void *bytes, size_t size)
{
    const char *at = bytes;
    while (size > 0) {
        ssize_t put = write(fd, at, size);
        if (put < 0 && errno == EINTR)
            continue;
        if (put < 0)
            return -1;
        at += put;
        size -= (size_t)put;
    }
    return 0;
}

/* Where a record is written before it takes its place; a writer that was killed leaves it behind.
 */
static void temporary_name(const struct full_id *id, char *out)
{
    char name[NAME_SIZE];
    file_name(id, "state", name);
    snprintf(out, NAME_SIZE + 8, ".%s.new", name);
}

int record_save(int dir, const struct record *record, struct error *err)
{
    AUTO_POOL struct pool pool = {0};
    pool_init(&pool, NULL);
    char *text = wire_encode_text(&record_type, record, &pool);
    struct full_id id;
    record_full_id(record, &id);
    char name[NAME_SIZE], temporary[NAME_SIZE + 8];
    file_name(&id, "state", name);
    temporary_name(&id, temporary);
    int fd = openat(dir, temporary, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC | O_NOFOLLOW, 0640);
    if (fd < 0)
        return error_errno(err, "cannot create the record of container \"%s\"", record->id);
    int failed = write_all(fd, text, strlen(text));
    if (close(fd) < 0 || failed || renameat(dir, temporary, dir, name) < 0) {
        error_errno(err, "cannot write the record of container \"%s\"", record->id);
        (void)unlinkat(dir, temporary, 0);
        return -1;
    }
    return 0;
}

void record_remove(int dir, const struct full_id *id)
{
    char name[NAME_SIZE], temporary[NAME_SIZE + 8];
    temporary_name(id, temporary);
    (void)unlinkat(dir, temporary, 0);
    file_name(id, "state", name);
    (void)unlinkat(dir, name, 0);
    file_name(id, "lock", name);
    (void)unlinkat(dir, name, 0);
}

int record_spec(const struct record *record, struct oci_spec **out, struct error *err)
{
    if (!record->spec.bytes)
        return error_set(err, EINVAL, "the record of container \"%s\" has no spec", record->id);
    return oci_spec_parse(record->spec.bytes, record->spec.size, out, err);
}

/*
 * The lock's file is removed with the record. So who waited for it may get the lock of a file that
 * has no name any more; then there is a new one to wait for, or none.
 */
int record_lock(int dir, const struct full_id *id, bool is_create, int *out, struct error *err)
{
    char name[NAME_SIZE];
    file_name(id, "lock", name);
    for (;;) {
        int fd = openat(dir, name, O_RDWR | O_CLOEXEC | O_NOFOLLOW | (is_create ? O_CREAT : 0),
                        0600);
        if (fd < 0 && errno == ENOENT)
            return error_set(err, ENOENT, "loading container \"%s\": file does not exist",
                             id->container);
        if (fd < 0)
            return error_errno(err, "cannot open the lock of container \"%s\"", id->container);
        int failed;
        do {
            failed = flock(fd, LOCK_EX);
        } while (failed < 0 && errno == EINTR);
        struct stat held, named;
        if (failed < 0 || fstat(fd, &held) < 0) {
            error_errno(err, "cannot lock container \"%s\"", id->container);
            close(fd);
            return -1;
        }
        if (fstatat(dir, name, &named, AT_SYMLINK_NOFOLLOW) == 0 && named.st_ino == held.st_ino) {
            *out = fd;
            return 0;
        }
        close(fd);
    }
}

/* SPDX-License-Identifier: Apache-2.0 */
/* Bytes as a container's record on disk: what loads is saved, and loads and saves the same again.
 */
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "runtime/record.h"

static const struct full_id id = {.container = "c", .sandbox = "c"};

static int open_folder(char *path)
{
    strcpy(path, "/dev/shm/picket-fuzz-XXXXXX");
    if (!mkdtemp(path))
        abort();
    return open(path, O_DIRECTORY | O_RDONLY | O_CLOEXEC);
}

static void put_record(int dir, const u8 *bytes, size_t size)
{
    int fd = openat(dir, "c_sandbox:c.state", O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
    if (fd < 0 || write(fd, bytes, size) != (ssize_t)size)
        abort();
    close(fd);
}

static size_t get_record(int dir, char *out, size_t size)
{
    int fd = openat(dir, "c_sandbox:c.state", O_RDONLY | O_CLOEXEC);
    ssize_t got = fd < 0 ? -1 : read(fd, out, size);
    if (got < 0)
        abort();
    close(fd);
    return (size_t)got;
}

static void check(int dir, struct record *record)
{
    static char first[1 << 16], second[1 << 16];
    struct record *again = NULL;
    struct oci_spec *spec = NULL;
    struct error err;
    if (strcmp(record->sandbox->id, id.sandbox) != 0)
        return; /* it would be saved under another name */
    if (record_save(dir, record, &err))
        abort();
    size_t size = get_record(dir, first, sizeof first);
    if (record_load(dir, &id, &again, &err) || record_save(dir, again, &err))
        abort();
    if (get_record(dir, second, sizeof second) != size || memcmp(first, second, size) != 0)
        abort();
    if (record_spec(again, &spec, &err) == 0)
        oci_spec_free(spec);
    record_free(again);
}

static void remove_folder(void);
static char folder[64];
static int dir = -1;

static void remove_folder(void)
{
    record_remove(dir, &id);
    close(dir);
    rmdir(folder);
}

int LLVMFuzzerTestOneInput(const u8 *bytes, size_t size);
int LLVMFuzzerTestOneInput(const u8 *bytes, size_t size)
{
    struct record *record = NULL;
    struct error err = {0};
    if (dir < 0) {
        dir = open_folder(folder);
        atexit(remove_folder);
    }
    put_record(dir, bytes, size);
    if (record_load(dir, &id, &record, &err) == 0)
        check(dir, record);
    else if (!err.text[0])
        abort();
    record_free(record);
    return 0;
}

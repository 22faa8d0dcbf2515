/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The gofer's core on messages of a hostile sandbox, over a host in memory. The input is a row of
 * messages, each behind one byte of length; header sizes are made right, so that bodies are
 * reached. What must hold: an answer is well-formed and has the request's tag, what lies beside the
 * root is as it was, and no descriptor is lost.
 */
#include <stdlib.h>
#include <string.h>

#include "abi/fcntl.h"
#include "base/arena_plain.h"
#include "gofer/gofer_core.h"
#include "host/sim/sim.h"
#include "wire/gofer/gofer_wire.h"

static struct host *host_make(struct host_file **root)
{
    static const struct sim_config config = {.seed = 1, .epoch_ns = 1000, .later_percent = 101};
    struct host *host = host_sim_create(&config);
    if (!host || sim_put_file(host, "/root/a/file", "hello", 5, 0644) ||
        sim_put_directory(host, "/root/d", 0755) ||
        sim_put_symlink(host, "/root/link", "../secret") ||
        sim_put_file(host, "/secret", "host", 4, 0600))
        abort();
    int fd = sim_open(host, "/root", LINUX_O_PATH | LINUX_O_DIRECTORY, 0);
    *root = fd >= 0 ? host_file_from_fd(host, fd) : NULL;
    if (!*root)
        abort();
    return host;
}

static void secret_check(struct host *host)
{
    struct arena *arena = arena_plain_create();
    struct buf content;
    struct host_stat stat;
    buf_init(&content, arena, 0);
    if (sim_get_file(host, "/secret", &content) < 0 || content.size != 4 ||
        memcmp(buf_bytes(&content), "host", 4) != 0 || sim_get_stat(host, "/secret", &stat) < 0 ||
        (stat.mode & 07777) != 0600 || stat.link_count != 1)
        abort();
    buf_fini(&content);
    arena_plain_destroy(arena);
}

/* One message through the core; its answer is judged. */
static bool serve(struct gofer_core *core, u8 *message, size_t size)
{
    static u8 reply[GOFER_MESSAGE_MAX];
    struct gofer_donation donation;
    struct gofer_header asked, answered;
    for (int i = 0; i < 4; i++)
        message[i] = (u8)(size >> (8 * i));
    i64 got = gofer_core_handle(core, message, size, reply, &donation);
    if (got > 0) {
        if (gofer_get_header(message, size, &asked) ||
            gofer_get_header(reply, (size_t)got, &answered) || asked.tag != answered.tag ||
            asked.type != answered.type || !(answered.flags & GOFER_REPLY))
            abort();
        if (answered.flags & GOFER_ERROR && gofer_get_error(reply, (size_t)got) <= 0)
            abort();
        bool has_fd = donation.file || donation.stream;
        if (has_fd != (bool)(answered.flags & GOFER_FD))
            abort();
    }
    host_file_put(donation.file);
    if (donation.stream)
        host_stream_put(donation.stream);
    return got >= 0;
}

int LLVMFuzzerTestOneInput(const u8 *bytes, size_t size);
int LLVMFuzzerTestOneInput(const u8 *bytes, size_t size)
{
    if (size < 1)
        return 0;
    struct host_file *root;
    struct host *host = host_make(&root);
    struct gofer_core *core;
    struct gofer_options options = {.is_readonly = bytes[0] & 1,
                                    .has_devices = bytes[0] & 2,
                                    .has_sockets = bytes[0] & 4,
                                    .fid_max = 40};
    if (gofer_core_create(host, root, &options, &core))
        abort();
    u8 message[300];
    struct gofer_attach attach = {.version = GOFER_VERSION};
    i64 first = gofer_put_attach(message, sizeof message, 1, &attach);
    bool is_alive = first > 0 && serve(core, message, (size_t)first);
    for (size_t at = 1; is_alive && at < size;) {
        size_t part = MIN((size_t)bytes[at] + GOFER_HEADER_SIZE, size - at - 1);
        memcpy(message, bytes + at + 1, part);
        at += 1 + part;
        if (part >= GOFER_HEADER_SIZE)
            is_alive = serve(core, message, part);
    }
    secret_check(host);
    gofer_core_destroy(core);
    if (sim_leak_count(host) != 0)
        abort();
    host_put(host);
    return 0;
}

/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Calls to a living sandbox, with a container that runs. A line of the input is a digit (which
 * descriptor rides along), a method and its argument: "2containerManager.Signal {...}". Each is
 * answered or waits; the sandbox stays sound. It is replaced after a thousand inputs.
 */
#include "fuzz/box.h"

#include <fcntl.h>

#define INPUTS_MAX 1000u

static struct fuzz_box box;
static u32 inputs;

static void renew(void)
{
    static const char lines[] = "[{on: {SIGUSR1: [{write: [1, \"x\"]}]}}, {loop: [{pause: []}]}]";
    static const char start[] = "{\"method\":\"containerManager.StartRoot\",\"arg\":\"main\"}";
    if (box.host)
        box_end(&box);
    box_make(&box, lines);
    box_call_ok(&box, start, -1);
    inputs = 0;
}

static void drain(void)
{
    u8 piece[4096];
    struct host_stream *stream = sim_engine_stream(box.host, sim_dup(box.host, box.out[0]));
    while (host_stream_read(stream, piece, sizeof piece, NULL, NULL) > 0)
        continue;
    host_stream_put(stream);
}

static int descriptor(u8 choice)
{
    switch (choice % 4) {
    case 0:
        return -1;
    case 1:
        return sim_dup(box.host, box.out[1]);
    case 2:
        return sim_open(box.host, "/img/x", O_RDWR | O_CREAT, 0600);
    default:
        return sim_open(box.host, "/rootfs/bin/main", O_RDONLY, 0);
    }
}

static void call_one(const u8 *bytes, size_t size)
{
    static char text[1 << 14];
    const char *blank = memchr(bytes, ' ', size);
    if (!blank)
        return;
    int name_size = (int)(blank - (const char *)bytes) - 1;
    int length = snprintf(text, sizeof text, "{\"method\":\"%.*s\",\"arg\":%.*s}", name_size,
                          (const char *)bytes + 1, (int)size - name_size - 2, blank + 1);
    if (length >= (int)sizeof text)
        return;
    int fd = descriptor(bytes[0]);
    (void)box_call(&box, text, (size_t)length, fd);
    if (fd >= 0)
        sim_fd_close(box.host, fd);
    drain();
}

int LLVMFuzzerTestOneInput(const u8 *bytes, size_t size)
{
    if (!box.host || ++inputs > INPUTS_MAX)
        renew();
    for (size_t at = 0; at < size;) {
        const u8 *end = memchr(bytes + at, '\n', size - at);
        size_t line = end ? (size_t)(end - bytes) - at : size - at;
        if (line > 2)
            call_one(bytes + at, line);
        at += line + 1;
    }
    const char *wrong = sandbox_check(&box.sandbox, 0);
    box_must(!wrong, wrong);
    return 0;
}

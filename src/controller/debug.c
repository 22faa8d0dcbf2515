/* SPDX-License-Identifier: Apache-2.0 */
/* Receiver debug: what every cpu and every fiber does. */
#include <errno.h>

#include "controller/internal.h"

struct stacks_text {
    struct buf *buf;
    int err;
};

static void add_line(void *arg, const char *text)
{
    struct stacks_text *stacks = arg;
    if (!stacks->err)
        stacks->err = buf_printf(stacks->buf, "%s\n", text);
}

static int stacks(struct rpc_call *call, const void *arg)
{
    AUTO_BUF struct buf text;
    buf_init(&text, call->kernel->arena, 0);
    struct stacks_text stacks = {.buf = &text};
    sched_dump(call->kernel->sched, add_line, &stacks);
    if (stacks.err)
        return error_set(call->err, ENOMEM, "out of memory");
    json_put_string_size(call->result, (char *)buf_bytes(&text), text.size);
    return 0;
}

const struct rpc_method debug_methods[] = {
    {"debug.Stacks", NULL, stacks},
    {NULL},
};

/* SPDX-License-Identifier: Apache-2.0 */
/* One typed call: encode, send, sleep, decode. GOFER_CALL(open, conn, fiber, &message, &reply,
 * &call). */
#pragma once
#include "sentry/fs/gofer/gofer.h"

/* A walk of 32 names; larger values of attributes are refused. */
#define GOFER_SMALL_MESSAGE 8704u

#define MESSAGE(name, NAME, number)                                                        \
    MUST_CHECK SLEEPS static inline UNUSED int gofer_do_##name(                            \
        struct gofer_conn *conn, struct fiber *fiber, const struct gofer_##name *message,  \
        struct gofer_##name##_reply *reply, struct gofer_call *call)                       \
    {                                                                                      \
        u8 bytes[GOFER_SMALL_MESSAGE];                                                     \
        u64 tag = conn->tag_next++;                                                        \
        i64 size = gofer_put_##name(bytes, sizeof bytes, tag, message);                    \
        int err = gofer_request(conn, fiber, GOFER_##NAME, bytes, size, tag, call);        \
        return err ? err : gofer_get_##name##_reply(call->reply, call->reply_size, reply); \
    }
GOFER_MESSAGES(MESSAGE)
#undef MESSAGE

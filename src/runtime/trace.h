/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Trace sessions as the host's side sets them up: the sinks are connected and greeted here and
 * handed over as descriptors, one a sink. The remote sink's socket carries packets (AF_UNIX,
 * SOCK_SEQPACKET): both sides say their version, then messages go one way.
 */
#pragma once
#include <sys/un.h>

#include "runtime/record.h"
#include "wire/urpc/json.h"

#define TRACE_VERSION 1u /* of the handshake */

MUST_CHECK int trace_sink_address(const char *path, struct sockaddr_un *out, struct error *err);
/* Handshake{uint32 version = 1}: both say theirs. */
MUST_CHECK int trace_sink_greet(int fd, struct error *err);
/* The session's own text, from POOL: all of TEXT, or member trace_session of a pod's
 * configuration. Unknown members are refused. */
MUST_CHECK int trace_session_parse(const char *text, size_t size, struct pool *pool,
                                   struct json_text *out, struct error *err);
/* Connect the sinks and create SESSION in the sandbox of RECORD; IS_FORCED replaces one. */
MUST_CHECK int trace_session_create(struct record *record, struct json_text session, bool is_forced,
                                    struct error *err);
/* The session of the file PATH (--pod-init-config), before anything runs in the sandbox. */
MUST_CHECK int trace_session_init(struct record *record, const char *path, struct error *err);

/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The gofer's core: one connection's view of one mount. Requests in, answers out; it reaches files
 * through host.h alone, so the simulator runs it too. The client is not trusted: every byte of a
 * request is judged, and whatever it asks stays below the root, because a file is only ever reached
 * by one name from an open directory, never through a symlink and never by "..".
 */
#pragma once
#include "base/base.h"
#include "host/host.h"

struct gofer_core;

struct gofer_options {
    bool is_readonly; /* every change is refused with EROFS */
    bool has_sockets; /* CONNECT to sockets of the host is allowed (--host-uds=open) */
    bool has_devices; /* OPEN and MKNOD of devices, OPEN of fifos are allowed */
    u32 fid_max;      /* 0: GOFER_FID_DEFAULT */
};
#define GOFER_FID_DEFAULT 16384u

/* What an answer carries besides its bytes: at most one of the two; the caller sends its descriptor
 * and puts it. */
struct gofer_donation {
    struct host_file *file;
    struct host_stream *stream;
};

/* ROOT, a descriptor of O_PATH or O_RDONLY, is taken, also on failure. 0 or -errno. */
MUST_CHECK int gofer_core_create(struct host *host, struct host_file *root,
                                 const struct gofer_options *options, struct gofer_core **out);
/* Closes every fid. NULL is fine. */
void gofer_core_destroy(struct gofer_core *core);
/*
 * Serve one message. REPLY has GOFER_MESSAGE_MAX bytes. Returns the answer's size, 0 when the
 * request has no answer, or -EPROTO when the client does not speak the protocol: end its
 * connection. DONATION is zeroed first.
 */
MUST_CHECK i64 gofer_core_handle(struct gofer_core *core, const void *request, size_t size,
                                 void *reply, struct gofer_donation *donation);
/* How many fids are open. */
u32 gofer_core_fid_count(const struct gofer_core *core);

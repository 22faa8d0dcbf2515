/* SPDX-License-Identifier: Apache-2.0 */
/* The client of a gofer: what the files of this folder share. */
#pragma once
#include "base/object.h"
#include "host/host.h"
#include "sentry/fs/file.h"
#include "sentry/fs/inode.h"
#include "sentry/fs/vfs.h"
#include "wire/gofer/gofer_wire.h"

#define GOFER_CLOSE_BATCH 512u /* kept at most */
#define GOFER_CLOSE_SEND 32u   /* so many go with the next request */

/* One connection: requests of many fibers in flight, answers found by tag. */
struct gofer_conn {
    struct object object;
    struct kernel *kernel;
    struct host_stream *stream; /* owned; NULL after a load until it is given anew */
    struct host_watch watch;
    u64 tag_next;
    struct list calls; /* struct gofer_call.link: waiting for an answer */
    struct wait_queue writable;
    u8 *in;         /* GOFER_MESSAGE_MAX bytes */
    bool is_broken; /* the gofer is gone: every call answers EIO */
    bool is_readonly, is_shared;
    struct super *
        super; /* whose names are forgotten when the gofer has no descriptors left; weak, or NULL */
    u32 close_count;
    u32 close_fids[GOFER_CLOSE_BATCH];
    u64 rpc_count;
    /* Whether listings ask for attributes: who uses them (ls -l, tar) adds, who does not (find)
     * takes away; at 0 they are left out. */
    i32 listing_credit;
};
#define GOFER_CREDIT_FIRST 1024
#define GOFER_CREDIT_MAX 8192
static inline void gofer_credit(struct gofer_conn *conn, i32 change)
{
    conn->listing_credit = MIN(MAX(conn->listing_credit + change, 0), GOFER_CREDIT_MAX);
}
extern const struct kind gofer_conn_kind;

struct gofer_call {
    struct list link;
    u64 tag;
    u16 type;
    struct fiber *fiber;
    u8 *reply; /* arena memory of reply_size bytes, or NULL */
    size_t reply_size;
    int fd;     /* donated, or -1 */
    int result; /* 1: not yet; 0; -errno */
};

/* Starts to watch STREAM (taken). */
MUST_CHECK int gofer_conn_create(struct kernel *kernel, struct host_stream *stream,
                                 struct gofer_conn **out);
MUST_CHECK int gofer_conn_connect(struct gofer_conn *conn, struct host_stream *stream);
/* Send the message in BYTES and sleep for its answer: 0, then CALL->reply is the answer's message;
 * or -errno of the answer or the connection. gofer_call_fini in any case. */
MUST_CHECK SLEEPS int gofer_request(struct gofer_conn *conn, struct fiber *fiber, u16 type,
                                    const u8 *bytes, i64 size, u64 tag, struct gofer_call *call);
void gofer_call_fini(struct gofer_conn *conn, struct gofer_call *call);
/* The donated descriptor of an answer as a file, or -EIO. */
MUST_CHECK int gofer_call_take_file(struct gofer_conn *conn, struct gofer_call *call,
                                    struct host_file **out);
/* FID is not needed any more; sent with others later. Never sleeps. */
void gofer_forget(struct gofer_conn *conn, u32 fid);

/*
 * A file of the host. Its fid is found when first needed, by name from its parent, so that
 * directory listings and restored images need no call for files nobody opens.
 */
struct gofer_inode {
    struct inode inode;
    struct gofer_conn *conn;     /* counted */
    struct gofer_inode *parent;  /* counted; NULL for the root and for unlinked files */
    char *name;                  /* in PARENT */
    u32 fid;                     /* GOFER_FID_NONE: not known */
    struct host_file *read_file; /* donated, or NULL */
    struct host_file *write_file;
    u64 host_device, host_inode;
    char *target;              /* of a symlink, cached */
    struct gofer_hints *hints; /* of a directory: what its last listing said */
    bool is_plain;             /* that listing left attributes out */
    u32 miss_count;            /* of a directory: names that a trip did not find, since … */
    u32 names_asked;           /* … its names were asked for; so often */
    u32 open_credit;           /* of a directory: whether walks to its files open them, too */
    bool is_gift;              /* `read_file` came by that and was not used yet */
    bool has_no_caps;          /* was asked for security.capability and has none */
};
extern const struct kind gofer_inode_kind;
static inline struct gofer_inode *gofer_of(struct inode *inode)
{
    return container_of(inode, struct gofer_inode, inode);
}

/* A new inode for STAT; takes nothing. PARENT and NAME may be NULL for a root. */
MUST_CHECK int gofer_inode_create(struct super *super, struct gofer_conn *conn,
                                  struct gofer_inode *parent, const char *name, u32 fid,
                                  const struct host_stat *stat, struct gofer_inode **out);
MUST_CHECK SLEEPS int gofer_inode_fid(struct gofer_inode *inode, struct fiber *fiber, u32 *fid);
void gofer_inode_take_stat(struct gofer_inode *inode, const struct host_stat *stat);
MUST_CHECK SLEEPS int gofer_inode_open(struct gofer_inode *inode, struct fiber *fiber,
                                       bool for_write, bool truncate, struct host_file **out);

/* inode_ops.allocate and inode_ops.seek of regular files (file.c). */
MUST_CHECK SLEEPS int gofer_allocate(struct task *task, struct inode *inode, i32 mode, u64 offset,
                                     u64 size);
MUST_CHECK SLEEPS i64 gofer_seek(struct task *task, struct inode *inode, u64 offset, bool is_data);

extern const struct inode_ops gofer_inode_ops;
extern const struct super_ops gofer_super_ops;
extern const struct mapping_ops gofer_mapping_ops;
extern const struct file_ops gofer_dir_ops, gofer_file_ops;

/* hints.c: names and attributes of a directory's last listing. */
struct gofer_hints;
MUST_CHECK int gofer_hints_add(struct gofer_inode *dir, const char *name,
                               const struct host_stat *stat);
/* 1: known; 0: the listing was complete and has no such name; -1: nothing is known. */
int gofer_hints_find(struct gofer_inode *dir, const char *name, struct host_stat *stat);
void gofer_hints_complete(struct gofer_inode *dir);
/* A trip did not find a name in DIR: after some of them all names are asked for at once. */
SLEEPS void gofer_hints_missed(struct gofer_inode *dir, struct fiber *fiber);
void gofer_hints_drop(struct gofer_inode *dir);

/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The file protocol between sentry and gofer: one SOCK_SEQPACKET unix socket a mount, one packet a
 * message, little endian. A request has a header and a body; its answer has the same type and tag,
 * GOFER_REPLY in its flags, and either the reply's body or, with GOFER_ERROR, one u32 errno.
 * Several requests may be in flight: answers come in the order of the requests, but a client should
 * match them by tag all the same. Tags are the client's; two in flight must differ. CLOSE has no
 * answer.
 *
 * Every file is named by a fid, a number that the server chose, never by a path: a walk goes down
 * one component at a time from a fid, stops at a symlink (which gets a fid, and its target comes
 * along) and at a missing name. Fids live until CLOSE or the end of the connection. One
 * connection's fids mean nothing on another. A fid keeps its file: renamed or unlinked, it is still
 * that file.
 *
 * Content is not read or written through the gofer: OPEN, CREATE and WALK donate a descriptor of a
 * regular file, CONNECT a connected socket, which ride on the answer (GOFER_FD in its flags says
 * so).
 *
 * Permissions: the server checks none but read-only; it is the sentry that knows who asks. Names of
 * entries are 1 to 255 bytes without '/', never "." or ".."; strings carry a terminator and no
 * other NUL; both are checked by encoder and decoder alike, so both ends refuse.
 *
 * Strings of a decoded message are lent from its bytes. Nothing here allocates or knows the
 * outside.
 */
#pragma once
#include "base/base.h"
#include "host/host.h"

#define GOFER_VERSION 2u
/* A message, header included. Senders never exceed it; a receiver's buffer must have it. */
#define GOFER_MESSAGE_MAX ((size_t)65536)
#define GOFER_HEADER_SIZE ((size_t)16)
#define GOFER_NAME_MAX 255u
#define GOFER_TARGET_MAX 4095u /* of a symlink */
#define GOFER_WALK_MAX 32u     /* names in one walk */
#define GOFER_CLOSE_MAX 1024u  /* fids in one close */
#define GOFER_FID_NONE 0u      /* no file has it */

/* Flags of a header. */
#define GOFER_REPLY 1u
#define GOFER_ERROR 2u
#define GOFER_FD 4u /* one descriptor rides on this answer */

struct gofer_header {
    u32 size; /* of the whole message */
    u16 type;
    u16 flags;
    u64 tag;
};

/* Row: name, NAME, number. Each has struct gofer_NAME and struct gofer_NAME_reply. */
#define GOFER_MESSAGES(MESSAGE)             \
    MESSAGE(attach, ATTACH, 1)              \
    MESSAGE(walk, WALK, 2)                  \
    MESSAGE(get_attr, GET_ATTR, 3)          \
    MESSAGE(set_attr, SET_ATTR, 4)          \
    MESSAGE(open, OPEN, 5)                  \
    MESSAGE(create, CREATE, 6)              \
    MESSAGE(read_dir, READ_DIR, 7)          \
    MESSAGE(readlink, READLINK, 8)          \
    MESSAGE(mkdir, MKDIR, 9)                \
    MESSAGE(mknod, MKNOD, 10)               \
    MESSAGE(symlink, SYMLINK, 11)           \
    MESSAGE(link, LINK, 12)                 \
    MESSAGE(unlink, UNLINK, 13)             \
    MESSAGE(rename, RENAME, 14)             \
    MESSAGE(statfs, STATFS, 15)             \
    MESSAGE(sync, SYNC, 16)                 \
    MESSAGE(get_xattr, GET_XATTR, 17)       \
    MESSAGE(set_xattr, SET_XATTR, 18)       \
    MESSAGE(list_xattr, LIST_XATTR, 19)     \
    MESSAGE(remove_xattr, REMOVE_XATTR, 20) \
    MESSAGE(connect, CONNECT, 21)           \
    MESSAGE(close, CLOSE, 22)

enum gofer_type {
#define MESSAGE(name, NAME, number) GOFER_##NAME = number,
    GOFER_MESSAGES(MESSAGE)
#undef MESSAGE
        GOFER_TYPE_END,
};

/* Attributes are host.h's struct host_stat, struct host_set_attr and struct host_statfs. */

/* A file that a message made or found. */
struct gofer_node {
    u32 fid;
    struct host_stat stat;
};

/* First on a connection, once: the root of the mount. */
struct gofer_attach {
    u32 version; /* GOFER_VERSION */
};
#define GOFER_READONLY 1u /* every change answers EROFS */
#define GOFER_SOCKETS 2u  /* CONNECT may succeed */
#define GOFER_DEVICES 4u  /* OPEN of devices and fifos may succeed */
struct gofer_attach_reply {
    u32 version;
    u32 flags;
    u32 fid_max;            /* so many fids may be open at once */
    struct gofer_node root; /* a directory, or any file for a bind mount of one */
};

#define GOFER_WALK_OPEN                                                       \
    1u /* if all names are found and the last is a regular file, open it, too \
        */
struct gofer_walk {
    u32 fid;   /* a directory */
    u32 flags; /* GOFER_WALK_OPEN */
    u32 count; /* 1 to GOFER_WALK_MAX */
    const char *names[GOFER_WALK_MAX];
};
/*
 * COUNT nodes were found, in order. Fewer than asked: `error` says why (ENOENT, ENOTDIR, EACCES,
 * ...), or it is 0 and the last node is a symlink. No node at all with an error is an answer too,
 * not a failure. If the last node is a symlink, TARGET is its target, else "". What WALK_OPEN has
 * opened, for reading, rides on the answer; where that fails none does, and OPEN will say why.
 */
struct gofer_walk_reply {
    u32 count;
    u32 error;
    const char *target;
    struct gofer_node nodes[GOFER_WALK_MAX];
};

struct gofer_get_attr {
    u32 fid;
};
struct gofer_get_attr_reply {
    struct host_stat stat;
};

struct gofer_set_attr {
    u32 fid;
    struct host_set_attr attr;
};
struct gofer_set_attr_reply {
    struct host_stat stat; /* afterwards */
};

/* FLAGS: O_RDONLY, O_WRONLY or O_RDWR, with O_TRUNC (for writing) and nothing else. The answer has
 * a descriptor. */
struct gofer_open {
    u32 fid;
    u32 flags;
};
struct gofer_open_reply {
    struct host_stat stat; /* as opened (O_TRUNC) */
};

/* A new regular file, which must not exist, owned by UID and GID; the answer has a descriptor
 * opened by FLAGS. */
struct gofer_create {
    u32 dir;
    const char *name;
    u32 flags; /* O_RDONLY, O_WRONLY or O_RDWR */
    u32 mode;  /* permission bits; the umask was the sentry's affair */
    u32 uid, gid;
};
struct gofer_create_reply {
    struct gofer_node node;
};

/*
 * Entries behind COOKIE (0: the first), as many as fit SIZE_MAX bytes; "." and ".." are left out.
 * With a NAME it is that directory in FID which is listed, and it gets a fid: a walk and a listing
 * in one.
 */
#define GOFER_LIST_PLAIN 1u /* of what is no directory type and inode number alone */
#define GOFER_LIST_NAMES 2u /* of nothing more than type and inode number */
struct gofer_read_dir {
    u32 fid;
    u32 size_max; /* 1024 to GOFER_MESSAGE_MAX, of the answer */
    u64 cookie;
    u32 flags;
    const char *name; /* or "" */
};
struct gofer_entry {
    u64 cookie;            /* to go on behind this entry */
    struct host_stat stat; /* as of now, not a fid; an entry that vanished meanwhile is left out */
    const char *name;
};
struct gofer_read_dir_reply {
    struct gofer_node node; /* of NAME; without one its fid is GOFER_FID_NONE */
    u32 count;
    bool is_end;       /* nothing comes after these */
    const u8 *entries; /* walk them with gofer_entry_next */
    size_t entries_size;
};

struct gofer_readlink {
    u32 fid;
};
struct gofer_readlink_reply {
    const char *target;
};

struct gofer_mkdir {
    u32 dir;
    const char *name;
    u32 mode;
    u32 uid, gid;
};
struct gofer_mkdir_reply {
    struct gofer_node node;
};

struct gofer_mknod {
    u32 dir;
    const char *name;
    u32 mode; /* with the type: S_IFREG, S_IFIFO, S_IFSOCK, S_IFCHR, S_IFBLK */
    u32 uid, gid;
    u32 major, minor;
};
struct gofer_mknod_reply {
    struct gofer_node node;
};

struct gofer_symlink {
    u32 dir;
    const char *name;
    const char *target;
    u32 uid, gid;
};
struct gofer_symlink_reply {
    struct gofer_node node;
};

/* A new name for the file FID, which is no directory. */
struct gofer_link {
    u32 fid;
    u32 dir;
    const char *name;
};
struct gofer_link_reply {
    struct host_stat stat; /* of the file, link count included */
};

struct gofer_unlink {
    u32 dir;
    const char *name;
    u32 flags; /* 0 or AT_REMOVEDIR */
};
struct gofer_unlink_reply {
    u8 unused;
};

struct gofer_rename {
    u32 from_dir;
    const char *from;
    u32 to_dir;
    const char *to;
    u32 flags; /* 0, RENAME_NOREPLACE or RENAME_EXCHANGE */
};
struct gofer_rename_reply {
    u8 unused;
};

struct gofer_statfs {
    u32 fid;
};
struct gofer_statfs_reply {
    struct host_statfs statfs;
};

/* fsync of a directory, or of a file that was not opened. */
struct gofer_sync {
    u32 fid;
};
struct gofer_sync_reply {
    u8 unused;
};

/* SIZE 0 asks for the size alone. */
#define GOFER_XATTR_MAX 32768u /* of a value or a list in one message; larger ones: E2BIG */
struct gofer_get_xattr {
    u32 fid;
    u32 size;
    const char *name; /* any of 1 to 255 bytes */
};
struct gofer_get_xattr_reply {
    u32 size;        /* of the value; SIZE in the request too small: ERANGE */
    const u8 *value; /* NULL if the size alone was asked for */
};

struct gofer_set_xattr {
    u32 fid;
    u32 flags; /* XATTR_CREATE, XATTR_REPLACE */
    const char *name;
    const u8 *value;
    u32 size;
};
struct gofer_set_xattr_reply {
    u8 unused;
};

struct gofer_list_xattr {
    u32 fid;
    u32 size;
};
struct gofer_list_xattr_reply {
    u32 size;
    const u8 *names; /* each with its terminator; NULL if the size alone was asked for */
};

struct gofer_remove_xattr {
    u32 fid;
    const char *name;
};
struct gofer_remove_xattr_reply {
    u8 unused;
};

/* To the unix socket NAME in DIR; the answer has the connected descriptor. */
struct gofer_connect {
    u32 dir;
    const char *name;
    u32 type; /* SOCK_STREAM, SOCK_SEQPACKET or SOCK_DGRAM */
};
struct gofer_connect_reply {
    u8 unused;
};

/* No answer. Unknown fids are ignored. */
struct gofer_close {
    u32 count;
    u32 fids[GOFER_CLOSE_MAX];
};
struct gofer_close_reply {
    u8 unused;
};

/* An entry's name, by the rule above. */
bool gofer_name_is_valid(const char *name);

/*
 * A message: its size or -errno. -EMSGSIZE: OUT (SIZE bytes) is too small; -EINVAL: the struct
 * breaks a rule (a name, a count). For replies too; a reply's FLAGS may be GOFER_FD.
 */
#define MESSAGE(name, NAME, number)                                                            \
    MUST_CHECK i64 gofer_put_##name(void *out, size_t size, u64 tag,                           \
                                    const struct gofer_##name *message);                       \
    MUST_CHECK i64 gofer_put_##name##_reply(void *out, size_t size, u64 tag, u16 flags,        \
                                            const struct gofer_##name##_reply *message);       \
    /* The body of one whole message whose header has been judged. 0 or -EPROTO, then OUT is   \
     * worthless. */                                                                           \
    MUST_CHECK int gofer_get_##name(const void *bytes, size_t size, struct gofer_##name *out); \
    MUST_CHECK int gofer_get_##name##_reply(const void *bytes, size_t size,                    \
                                            struct gofer_##name##_reply *out);
GOFER_MESSAGES(MESSAGE)
#undef MESSAGE

/* ERROR is a positive errno. */
MUST_CHECK i64 gofer_put_error(void *out, size_t size, u16 type, u64 tag, u32 error);
/* The errno of a failed answer, 1 to 4095; -EPROTO when it is something else. */
MUST_CHECK int gofer_get_error(const void *bytes, size_t size);

/* 0 or -EPROTO: SIZE is not the header's, the type unknown, flags that do not go together. */
MUST_CHECK int gofer_get_header(const void *bytes, size_t size, struct gofer_header *out);

/*
 * The entries of a READ_DIR answer. A decoded reply has been checked as a whole, so
 * gofer_entry_next cannot fail: false at the end. *AT starts at 0 and is the walk's own.
 */
bool gofer_entry_next(const struct gofer_read_dir_reply *reply, size_t *at,
                      struct gofer_entry *out);
/* For the server: append an entry at *USED in ENTRIES. -EMSGSIZE when it does not fit, -EINVAL for
 * a bad name. */
MUST_CHECK int gofer_entry_put(u8 *entries, size_t size, size_t *used,
                               const struct gofer_entry *entry);
/* What an answer has besides its entries. */
#define GOFER_READ_DIR_OVERHEAD (GOFER_HEADER_SIZE + 108)

/* "walk"; NULL for an unknown type. Static. */
const char *gofer_type_name(u16 type);

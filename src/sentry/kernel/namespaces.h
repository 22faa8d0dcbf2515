/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Namespaces but for PIDs (pid.h) and mounts and networks, which are upper rooms' objects. A task's
 * set is immutable: a change makes a new one. A task's user namespace is its credentials'.
 */
#pragma once
#include "base/object.h"
#include "sentry/kernel/pid.h"

struct cred;
struct ipc_ns;
struct mount_ns; /* fs/path.h; starts with a struct object */
struct net_ns;   /* net/; starts with a struct object */
struct task;

struct nsproxy {
    struct object object;
    struct pid_ns *pid_ns;     /* counted: of its children; the task's own is in its pid */
    struct uts_ns *uts_ns;     /* counted */
    struct ipc_ns *ipc_ns;     /* counted */
    struct mount_ns *mount_ns; /* counted, or NULL */
    struct net_ns *net_ns;     /* counted, or NULL */
    struct object *cgroup_ns;  /* counted, or NULL */
};
extern const struct kind nsproxy_kind;
/* The root namespaces; no mount or network namespace yet: callers set them before publishing. */
MUST_CHECK int nsproxy_create(struct kernel *kernel, struct nsproxy **out);
/* A private copy to change before it is published. */
MUST_CHECK int nsproxy_copy(const struct nsproxy *ns, struct nsproxy **out);

#define UTS_NAME_SIZE 65
struct uts_ns {
    struct object object;
    struct user_ns *user_ns; /* counted */
    char hostname[UTS_NAME_SIZE];
    char domainname[UTS_NAME_SIZE];
    u64 inode_nr;
};
extern const struct kind uts_ns_kind;
/* FROM: whose names to copy. */
MUST_CHECK int uts_ns_create(struct kernel *kernel, struct user_ns *user_ns,
                             const struct uts_ns *from, struct uts_ns **out);
/* Shorter than UTS_NAME_SIZE or cut. */
void uts_ns_set_hostname(struct uts_ns *uts, const char *name);

struct ipc_ns {
    struct object object;
    struct kernel *kernel;
    struct user_ns *user_ns; /* counted */
    struct object *shm, *sem, *msg,
        *mqueue; /* counted: made at first use by their files; NULL before */
    u64 inode_nr;
};
extern const struct kind ipc_ns_kind;
MUST_CHECK int ipc_ns_create(struct kernel *kernel, struct user_ns *user_ns, struct ipc_ns **out);

/* ---- user namespaces ------------------------------------------------------------------------ */

#define USER_NS_DEPTH_MAX 32u
#define ID_MAP_COUNT_MAX 340u
#define ID_INVALID UINT32_MAX
#define ID_OVERFLOW 65534u

/* COUNT ids from FIRST in the namespace are those from KERNEL_FIRST in the root one. */
struct id_extent {
    u32 first, kernel_first, count;
};
struct id_map {
    struct id_extent *extents;
    u32 count; /* 0: nothing mapped yet */
};

struct user_ns {
    struct object object;
    struct user_ns *parent; /* counted; NULL: the root one, whose maps are the identity */
    u32 level;
    u32 owner_uid, owner_gid; /* kernel ids */
    struct id_map uids, gids;
    bool is_setgroups_denied;
    u64 inode_nr;
};
extern const struct kind user_ns_kind;
MUST_CHECK int user_ns_create(struct kernel *kernel, struct user_ns *parent,
                              const struct cred *owner, struct user_ns **out);
/* A namespace's id to the kernel's; ID_INVALID when it has no place. */
u32 user_ns_uid_in(const struct user_ns *ns, u32 uid);
u32 user_ns_gid_in(const struct user_ns *ns, u32 gid);
/* A kernel id as NS shows it; ID_INVALID when it is not mapped there. */
u32 user_ns_uid_out(const struct user_ns *ns, u32 kernel_uid);
u32 user_ns_gid_out(const struct user_ns *ns, u32 kernel_gid);
/* The same, unmapped ones shown as 65534. */
u32 user_ns_uid_shown(const struct user_ns *ns, u32 kernel_uid);
u32 user_ns_gid_shown(const struct user_ns *ns, u32 kernel_gid);
/* Set a map once (/proc/PID/uid_map): EXTENTS' kernel_first are ids of the parent. WRITER's right
 * is judged as user_namespaces(7) says. 0, -EPERM, -EINVAL, -ENOMEM. */
MUST_CHECK int user_ns_set_map(struct user_ns *ns, bool is_gids, const struct id_extent *extents,
                               u32 count, const struct task *writer);
/* Is NS ANCESTOR or below it? */
bool user_ns_is_within(const struct user_ns *ns, const struct user_ns *ancestor);
u64 kernel_next_inode_nr(struct kernel *kernel);

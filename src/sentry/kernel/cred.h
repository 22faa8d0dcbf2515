/* SPDX-License-Identifier: Apache-2.0 */
/* Credentials: immutable counted objects; a change makes a new one (credentials(7),
 * capabilities(7)). */
#pragma once
#include "base/object.h"

#define GROUPS_MAX 65536u
#define CAP_CHOWN 0u
#define CAP_DAC_OVERRIDE 1u
#define CAP_DAC_READ_SEARCH 2u
#define CAP_FOWNER 3u
#define CAP_FSETID 4u
#define CAP_KILL 5u
#define CAP_SETGID 6u
#define CAP_SETUID 7u
#define CAP_SETPCAP 8u
#define CAP_LINUX_IMMUTABLE 9u
#define CAP_NET_BIND_SERVICE 10u
#define CAP_NET_BROADCAST 11u
#define CAP_NET_ADMIN 12u
#define CAP_NET_RAW 13u
#define CAP_IPC_LOCK 14u
#define CAP_IPC_OWNER 15u
#define CAP_SYS_MODULE 16u
#define CAP_SYS_RAWIO 17u
#define CAP_SYS_CHROOT 18u
#define CAP_SYS_PTRACE 19u
#define CAP_SYS_PACCT 20u
#define CAP_SYS_ADMIN 21u
#define CAP_SYS_BOOT 22u
#define CAP_SYS_NICE 23u
#define CAP_SYS_RESOURCE 24u
#define CAP_SYS_TIME 25u
#define CAP_SYS_TTY_CONFIG 26u
#define CAP_MKNOD 27u
#define CAP_LEASE 28u
#define CAP_AUDIT_WRITE 29u
#define CAP_AUDIT_CONTROL 30u
#define CAP_SETFCAP 31u
#define CAP_SYSLOG 34u
#define CAP_LAST 40u
#define CAP_ALL ((1ull << (CAP_LAST + 1)) - 1)

struct user_ns;

struct cred {
    struct object object;
    struct user_ns *user_ns; /* counted; NULL: the root one */
    u32 uid, euid, suid, fsuid;
    u32 gid, egid, sgid, fsgid;
    u32 group_count;
    u32 *groups; /* sorted, from the arena */
    u64 cap_permitted, cap_effective, cap_inheritable, cap_bounding, cap_ambient;
    u32 securebits;
    bool no_new_privs;
    bool keep_caps;
};
extern const struct kind cred_kind;

/* Root with all capabilities. */
MUST_CHECK int cred_create_root(struct arena *arena, struct cred **out);
/* A private copy to change before it is published. */
MUST_CHECK int cred_copy(const struct cred *cred, struct cred **out);
bool cred_has_group(const struct cred *cred, u32 gid); /* fsgid or supplementary */
bool cred_has_cap(const struct cred *cred, u32 capability);
MUST_CHECK int cred_set_groups(struct cred *cred, const u32 *groups, u32 count);
/* The capability in NS: in the set and NS within the own namespace, or NS's owner from its parent.
 */
bool cred_has_cap_in(const struct cred *cred, const struct user_ns *ns, u32 capability);
/* In a new user namespace its maker has all capabilities and no securebits. Takes nothing; NS gets
 * a reference. */
void cred_enter_user_ns(struct cred *cred, struct user_ns *ns);
/* Capabilities after a change of user ids (capabilities(7), "Effect of user ID changes"). */
void cred_fix_caps_after_setuid(struct cred *cred, const struct cred *old);
#define SECBIT_NOROOT 1u
#define SECBIT_NOROOT_LOCKED 2u
#define SECBIT_NO_SETUID_FIXUP 4u
#define SECBIT_NO_SETUID_FIXUP_LOCKED 8u
#define SECBIT_KEEP_CAPS 16u
#define SECBIT_KEEP_CAPS_LOCKED 32u
#define SECBIT_NO_CAP_AMBIENT_RAISE 64u
#define SECBIT_NO_CAP_AMBIENT_RAISE_LOCKED 128u
#define SECBITS_ALL 255u

/* SPDX-License-Identifier: Apache-2.0 */
/* What happens to files, told to inotify (fs/inotify.c): bits are inotify's IN_*. */
#pragma once
#include "sentry/fs/path.h"

#define NOTIFY_ACCESS 0x1u
#define NOTIFY_MODIFY 0x2u
#define NOTIFY_ATTRIB 0x4u
#define NOTIFY_CLOSE_WRITE 0x8u
#define NOTIFY_CLOSE_NOWRITE 0x10u
#define NOTIFY_OPEN 0x20u
#define NOTIFY_MOVED_FROM 0x40u
#define NOTIFY_MOVED_TO 0x80u
#define NOTIFY_CREATE 0x100u
#define NOTIFY_DELETE 0x200u
#define NOTIFY_DELETE_SELF 0x400u
#define NOTIFY_MOVE_SELF 0x800u
#define NOTIFY_ISDIR 0x40000000u
#define NOTIFY_UNLINKED 0x08000000u /* not told: the name is gone already (IN_EXCL_UNLINK) */

/* To INODE's own watches. NAME NULL: about itself. Never sleeps. */
void notify_inode(struct inode *inode, u32 mask, u32 cookie, const char *name);
/* The last name of INODE is gone, or its last open description: says so once both are. */
void notify_gone(struct inode *inode);
/* To DENTRY's inode and to its directory's watches (with its name). */
void notify_dentry(const struct dentry *dentry, u32 mask);

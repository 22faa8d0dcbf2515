/* SPDX-License-Identifier: Apache-2.0 */
/* stat(2), statx(2), statfs(2), getdents64(2) layouts of x86-64. */
#pragma once
#include "base/base.h"

#define LINUX_S_IFMT 0170000u
#define LINUX_S_IFSOCK 0140000u
#define LINUX_S_IFLNK 0120000u
#define LINUX_S_IFREG 0100000u
#define LINUX_S_IFBLK 0060000u
#define LINUX_S_IFDIR 0040000u
#define LINUX_S_IFCHR 0020000u
#define LINUX_S_IFIFO 0010000u
#define LINUX_S_ISUID 04000u
#define LINUX_S_ISGID 02000u
#define LINUX_S_ISVTX 01000u

struct linux_timespec {
    i64 sec;
    i64 nsec;
};
struct linux_timeval {
    i64 sec;
    i64 usec;
};
struct linux_stat {
    u64 dev, ino, nlink;
    u32 mode, uid, gid, pad0;
    u64 rdev;
    i64 size, blksize, blocks;
    struct linux_timespec atime, mtime, ctime;
    i64 unused[3];
};
_Static_assert(sizeof(struct linux_stat) == 144, "struct stat");
struct linux_statx_time {
    i64 sec;
    u32 nsec;
    i32 pad;
};
struct linux_statx {
    u32 mask, blksize;
    u64 attributes;
    u32 nlink, uid, gid;
    u16 mode, pad0;
    u64 ino, size, blocks, attributes_mask;
    struct linux_statx_time atime, btime, ctime, mtime;
    u32 rdev_major, rdev_minor, dev_major, dev_minor;
    u64 mnt_id;
    u32 dio_mem_align, dio_offset_align;
    u64 spare[12];
};
_Static_assert(sizeof(struct linux_statx) == 256, "struct statx");
struct linux_statfs {
    i64 type, bsize;
    u64 blocks, bfree, bavail, files, ffree;
    i32 fsid[2];
    i64 namelen, frsize, flags, spare[4];
};
_Static_assert(sizeof(struct linux_statfs) == 120, "struct statfs");

#define LINUX_DT_UNKNOWN 0
#define LINUX_DT_FIFO 1
#define LINUX_DT_CHR 2
#define LINUX_DT_DIR 4
#define LINUX_DT_BLK 6
#define LINUX_DT_REG 8
#define LINUX_DT_LNK 10
#define LINUX_DT_SOCK 12

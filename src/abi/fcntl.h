/* SPDX-License-Identifier: Apache-2.0 */
/* open(2), fcntl(2), *at(2), fallocate(2), splice(2) … numbers of x86-64 Linux, prefixed so that
 * host headers may coexist. */
#pragma once
#include "base/base.h"

#define LINUX_O_ACCMODE 03u
#define LINUX_O_RDONLY 0u
#define LINUX_O_WRONLY 01u
#define LINUX_O_RDWR 02u
#define LINUX_O_CREAT 0100u
#define LINUX_O_EXCL 0200u
#define LINUX_O_NOCTTY 0400u
#define LINUX_O_TRUNC 01000u
#define LINUX_O_APPEND 02000u
#define LINUX_O_NONBLOCK 04000u
#define LINUX_O_DSYNC 010000u
#define LINUX_O_ASYNC 020000u
#define LINUX_O_DIRECT 040000u
#define LINUX_O_LARGEFILE 0100000u
#define LINUX_O_DIRECTORY 0200000u
#define LINUX_O_NOFOLLOW 0400000u
#define LINUX_O_NOATIME 01000000u
#define LINUX_O_CLOEXEC 02000000u
#define LINUX_O_SYNC 04010000u
#define LINUX_O_PATH 010000000u
#define LINUX_O_TMPFILE_BIT 020000000u
#define LINUX_O_TMPFILE (LINUX_O_TMPFILE_BIT | LINUX_O_DIRECTORY)

#define LINUX_AT_FDCWD (-100)
#define LINUX_AT_SYMLINK_NOFOLLOW 0x100u
#define LINUX_AT_EACCESS 0x200u
#define LINUX_AT_REMOVEDIR 0x200u
#define LINUX_AT_SYMLINK_FOLLOW 0x400u
#define LINUX_AT_NO_AUTOMOUNT 0x800u
#define LINUX_AT_EMPTY_PATH 0x1000u
#define LINUX_AT_STATX_SYNC_TYPE 0x6000u

#define LINUX_RESOLVE_NO_XDEV 0x01u
#define LINUX_RESOLVE_NO_MAGICLINKS 0x02u
#define LINUX_RESOLVE_NO_SYMLINKS 0x04u
#define LINUX_RESOLVE_BENEATH 0x08u
#define LINUX_RESOLVE_IN_ROOT 0x10u
#define LINUX_RESOLVE_CACHED 0x20u

#define LINUX_F_OK 0u
#define LINUX_X_OK 1u
#define LINUX_W_OK 2u
#define LINUX_R_OK 4u

#define LINUX_SEEK_SET 0
#define LINUX_SEEK_CUR 1
#define LINUX_SEEK_END 2
#define LINUX_SEEK_DATA 3
#define LINUX_SEEK_HOLE 4

#define LINUX_F_DUPFD 0
#define LINUX_F_GETFD 1
#define LINUX_F_SETFD 2
#define LINUX_F_GETFL 3
#define LINUX_F_SETFL 4
#define LINUX_F_GETLK 5
#define LINUX_F_SETLK 6
#define LINUX_F_SETLKW 7
#define LINUX_F_SETOWN 8
#define LINUX_F_GETOWN 9
#define LINUX_F_SETSIG 10
#define LINUX_F_GETSIG 11
#define LINUX_F_SETOWN_EX 15
#define LINUX_F_GETOWN_EX 16
#define LINUX_F_OFD_GETLK 36
#define LINUX_F_OFD_SETLK 37
#define LINUX_F_OFD_SETLKW 38
#define LINUX_F_SETLEASE 1024
#define LINUX_F_GETLEASE 1025
#define LINUX_F_NOTIFY 1026
#define LINUX_F_DUPFD_CLOEXEC 1030
#define LINUX_F_SETPIPE_SZ 1031
#define LINUX_F_GETPIPE_SZ 1032
#define LINUX_F_ADD_SEALS 1033
#define LINUX_F_GET_SEALS 1034
#define LINUX_FD_CLOEXEC 1u

#define LINUX_F_OWNER_TID 0
#define LINUX_F_OWNER_PID 1
#define LINUX_F_OWNER_PGRP 2

#define LINUX_F_SEAL_SEAL 0x01u
#define LINUX_F_SEAL_SHRINK 0x02u
#define LINUX_F_SEAL_GROW 0x04u
#define LINUX_F_SEAL_WRITE 0x08u
#define LINUX_F_SEAL_FUTURE_WRITE 0x10u
#define LINUX_F_SEAL_EXEC 0x20u

#define LINUX_F_RDLCK 0
#define LINUX_F_WRLCK 1
#define LINUX_F_UNLCK 2
#define LINUX_LOCK_SH 1
#define LINUX_LOCK_EX 2
#define LINUX_LOCK_NB 4
#define LINUX_LOCK_UN 8

struct linux_flock {
    i16 type;
    i16 whence;
    i32 pad0;
    i64 start;
    i64 length;
    i32 pid;
    i32 pad1;
};
_Static_assert(sizeof(struct linux_flock) == 32, "struct flock");

struct linux_owner_ex {
    i32 type;
    i32 pid;
};

#define LINUX_RENAME_NOREPLACE 1u
#define LINUX_RENAME_EXCHANGE 2u
#define LINUX_RENAME_WHITEOUT 4u

#define LINUX_FALLOC_KEEP_SIZE 0x01u
#define LINUX_FALLOC_PUNCH_HOLE 0x02u
#define LINUX_FALLOC_COLLAPSE_RANGE 0x08u
#define LINUX_FALLOC_ZERO_RANGE 0x10u
#define LINUX_FALLOC_INSERT_RANGE 0x20u
#define LINUX_FALLOC_UNSHARE_RANGE 0x40u

#define LINUX_RWF_HIPRI 0x01u
#define LINUX_RWF_DSYNC 0x02u
#define LINUX_RWF_SYNC 0x04u
#define LINUX_RWF_NOWAIT 0x08u
#define LINUX_RWF_APPEND 0x10u

#define LINUX_SPLICE_MOVE 0x01u
#define LINUX_SPLICE_NONBLOCK 0x02u
#define LINUX_SPLICE_MORE 0x04u
#define LINUX_SPLICE_GIFT 0x08u

#define LINUX_MFD_CLOEXEC 0x01u
#define LINUX_MFD_ALLOW_SEALING 0x02u
#define LINUX_MFD_HUGETLB 0x04u
#define LINUX_MFD_NOEXEC_SEAL 0x08u
#define LINUX_MFD_EXEC 0x10u

#define LINUX_CLOSE_RANGE_UNSHARE 2u
#define LINUX_CLOSE_RANGE_CLOEXEC 4u

#define LINUX_XATTR_CREATE 1
#define LINUX_XATTR_REPLACE 2
#define LINUX_XATTR_NAME_MAX 255u
#define LINUX_XATTR_SIZE_MAX 65536u
#define LINUX_XATTR_LIST_MAX 65536u

#define LINUX_FIOCLEX 0x5451u
#define LINUX_FIONCLEX 0x5450u
#define LINUX_FIONBIO 0x5421u
#define LINUX_FIOASYNC 0x5452u
#define LINUX_FIONREAD 0x541bu
#define LINUX_FIOQSIZE 0x5460u
#define LINUX_FIOSETOWN 0x8901u
#define LINUX_SIOCSPGRP 0x8902u
#define LINUX_FIOGETOWN 0x8903u
#define LINUX_SIOCGPGRP 0x8904u
#define LINUX_FICLONE 0x40049409u
#define LINUX_FICLONERANGE 0x4020940du
#define LINUX_FIDEDUPERANGE 0xc0189436u
#define LINUX_TCGETS 0x5401u

#define LINUX_UTIME_NOW ((1l << 30) - 1l)
#define LINUX_UTIME_OMIT ((1l << 30) - 2l)

/* Device numbers: Linux's 32-bit encoding, major 12 bits, minor 20. */
static inline u32 linux_makedev(u32 major, u32 minor)
{
    return (minor & 0xffu) | (major & 0xfffu) << 8 | (minor & 0xfff00u) << 12;
}
static inline u32 linux_major(u32 dev)
{
    return (dev >> 8) & 0xfffu;
}
static inline u32 linux_minor(u32 dev)
{
    return (dev & 0xffu) | ((dev >> 12) & 0xfff00u);
}

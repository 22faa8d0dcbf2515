/* SPDX-License-Identifier: Apache-2.0 */
/*
 * EROFS: read-only images in a file of the host, as mkfs.erofs makes them without compression.
 * Every byte of the image is untrusted: what does not fit is EUCLEAN at the access, or refuses the
 * mount.
 */
#pragma once
#include "sentry/fs/inode.h"

#define EROFS_MAGIC 0xe0f5e1e2u

struct erofs {
    struct object object;
    struct kernel *kernel;
    struct host_file *file; /* owned; NULL after a load, until erofs_reconnect */
    /* Counted: all bytes of the image, for one that nobody hands in again after a load; or NULL. */
    struct shared_memory *copy;
    u64 size; /* of the image, in bytes */
    u32 block_bits;
    u32 blocks;
    u32 meta_block, xattr_block;
    u64 root_nid;
    u64 build_time_ns;
};
extern const struct kind erofs_kind;

enum erofs_layout { EROFS_PLAIN = 0, EROFS_INLINE = 2, EROFS_CHUNKS = 4 };

struct erofs_inode {
    struct inode inode;
    struct erofs *image; /* counted */
    u64 nid;
    u32 layout;
    u32 raw;         /* first block, or how chunks are kept */
    u64 xattr_place; /* in the image: behind the inode proper */
    u32 xattr_size;  /* of what lies there */
};
extern const struct kind erofs_inode_kind;
extern const struct inode_ops erofs_inode_ops;

static inline struct erofs_inode *erofs_of(struct inode *inode)
{
    return container_of(inode, struct erofs_inode, inode);
}
static inline u64 erofs_block_size(const struct erofs *image)
{
    return (u64)1 << image->block_bits;
}

/* FILE is taken in any case. A super with the image's root; -EINVAL: no such image; -EUCLEAN:
 * damaged; -EOPNOTSUPP: made with a feature that is not known here. */
MUST_CHECK SLEEPS int erofs_create(struct task *task, struct host_file *file, struct super **out);
/* After a load: SUPER's image is FILE again (taken in any case). -ESTALE: that is another image. */
MUST_CHECK SLEEPS int erofs_reconnect(struct task *task, struct super *super,
                                      struct host_file *file);
/* Before a save: the image's bytes are read into memory, so that an image of the sandbox has them
 * and no descriptor is needed after a load. 0 or -errno. Afterwards, with the descriptor still
 * there, they may go again. */
MUST_CHECK SLEEPS int erofs_copy(struct task *task, struct super *super);
void erofs_forget_copy(struct super *super);
/* Can SUPER be read: has it a descriptor or its bytes? */
bool erofs_is_there(const struct super *super);
/* SIZE bytes at PLACE of the image. 0, -EUCLEAN behind its end, or the host's error. */
MUST_CHECK SLEEPS int erofs_read(struct erofs *image, struct fiber *fiber, u64 place, void *out,
                                 u64 size);
/* Where byte OFFSET of a file lies: *PLACE in the image (0: a hole) and for how many bytes. */
MUST_CHECK SLEEPS int erofs_map(struct erofs_inode *inode, struct fiber *fiber, u64 offset,
                                u64 *place, u64 *size);
/* The inode NID of SUPER's image, a reference. */
MUST_CHECK SLEEPS int erofs_inode_get(struct super *super, struct fiber *fiber, u64 nid,
                                      struct inode **out);
extern const struct super_ops erofs_super_ops;
extern const struct mapping_ops erofs_mapping_ops;
extern const struct file_ops erofs_dir_ops;
MUST_CHECK SLEEPS int erofs_lookup(struct task *task, struct inode *dir, const char *name,
                                   struct inode **out);
/* erofs_xattr.c */
SLEEPS i64 erofs_getxattr(struct task *task, struct inode *inode, const char *name, void *out,
                          size_t size);
SLEEPS i64 erofs_listxattr(struct task *task, struct inode *inode, char *out, size_t size);

/* SPDX-License-Identifier: Apache-2.0 */
/* /proc/PID/maps and smaps: the vmas of an address space. */
#include <errno.h>
#include <string.h>

#include "platform/pagetable.h"
#include "sentry/fs/proc/proc.h"

static int put_pad(struct buf *out, size_t line_start, size_t column)
{
    int err = 0;
    while (out->size - line_start < column && !err)
        err = buf_append_text(out, " ");
    return err;
}

static int put_vma_name(struct buf *out, const struct vma *vma, const struct task *target,
                        size_t line_start)
{
    if (vma->file && vma->file->kind == &file_kind) {
        const struct file *file = container_of(vma->file, struct file, object);
        int err = put_pad(out, line_start, 73);
        return err || !file->path.dentry
                   ? err
                   : path_text(&file->path, target->fs ? &target->fs->root : NULL, out);
    }
    if (!vma->name[0])
        return 0;
    int err = put_pad(out, line_start, 73);
    return err ? err : buf_append_text(out, vma->name);
}

static int put_vma(struct buf *out, const struct vma *vma, const struct task *target)
{
    const struct file *file = vma->file && vma->file->kind == &file_kind
                                  ? container_of(vma->file, struct file, object)
                                  : NULL;
    const struct inode *inode = file ? file->inode : NULL;
    u32 dev = inode && inode->super ? inode->super->dev : 0;
    size_t start = out->size;
    int err = buf_printf(
        out, "%08llx-%08llx %c%c%c%c %08llx %02x:%02x %llu ", (unsigned long long)vma->start,
        (unsigned long long)vma->end, vma->prot & LINUX_PROT_READ ? 'r' : '-',
        vma->prot & LINUX_PROT_WRITE ? 'w' : '-', vma->prot & LINUX_PROT_EXEC ? 'x' : '-',
        vma->flags & VMA_SHARED ? 's' : 'p', (unsigned long long)(vma->mapping ? vma->offset : 0),
        dev >> 8 & 0xfff, dev & 0xff, (unsigned long long)(inode ? inode->ino : 0));
    if (!err)
        err = put_vma_name(out, vma, target, start);
    return err ? err : buf_append_text(out, "\n");
}

/* Nothing is mapped there, but calls into it are answered (kernel/loop.c). */
static int put_vsyscall(const struct mm *mm, struct buf *out)
{
    return mm ? buf_append_text(out, "ffffffffff600000-ffffffffff601000 --xp 00000000 00:00 0"
                                     "                  [vsyscall]\n")
              : 0;
}

SLEEPS int proc_show_maps(struct proc_ask *ask, struct buf *out)
{
    const struct mm *mm = ask->target->mm;
    int err = 0;
    for (struct vma *vma = mm ? mm_find_vma_after(mm, 0) : NULL; vma && !err;
         vma = mm_find_vma_after(mm, vma->end))
        err = put_vma(out, vma, ask->target);
    return err ? err : put_vsyscall(mm, out);
}

static u64 resident_pages(const struct mm *mm, const struct vma *vma)
{
    struct pagetable *table = space_table(mm->space);
    struct pagetable_entry entry;
    u64 count = 0;
    for (uaddr at = uaddr_make(vma->start);
         pagetable_next(table, at, uaddr_make(vma->end), &entry);) {
        count++;
        at = uaddr_make(entry.address.value + PAGE_SIZE);
    }
    return count;
}

SLEEPS int proc_show_smaps(struct proc_ask *ask, struct buf *out)
{
    const struct mm *mm = ask->target->mm;
    int err = 0;
    for (struct vma *vma = mm ? mm_find_vma_after(mm, 0) : NULL; vma && !err;
         vma = mm_find_vma_after(mm, vma->end)) {
        unsigned long long resident = resident_pages(mm, vma) * (PAGE_SIZE / 1024);
        bool is_anonymous = !vma->mapping;
        err = put_vma(out, vma, ask->target);
        if (!err)
            err = buf_printf(
                out,
                "Size:           %8llu kB\nKernelPageSize:        4 kB\nMMUPageSize:           4 "
                "kB\nRss:            %8llu kB\n"
                "Pss:            %8llu kB\nShared_Clean:          0 kB\nShared_Dirty:          0 "
                "kB\nPrivate_Clean:  %8llu kB\n"
                "Private_Dirty:  %8llu kB\nReferenced:     %8llu kB\nAnonymous:      %8llu "
                "kB\nAnonHugePages:         0 kB\n"
                "Swap:                  0 kB\nLocked:                0 kB\nVmFlags: %s%s%s\n",
                (unsigned long long)(vma->end - vma->start) / 1024, resident, resident,
                is_anonymous ? 0ull : resident, is_anonymous ? resident : 0ull, resident,
                is_anonymous ? resident : 0ull, vma->prot & LINUX_PROT_READ ? "rd " : "",
                vma->prot & LINUX_PROT_WRITE ? "wr " : "",
                vma->prot & LINUX_PROT_EXEC ? "ex " : "");
    }
    return err;
}

/* SPDX-License-Identifier: Apache-2.0 */
/* mmap, munmap, mprotect, mremap, madvise, brk, mincore, msync: addresses and contents. */
#include "tap.h"

#include <fcntl.h>
#include <setjmp.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>

#define PAGE 4096

static sigjmp_buf back;
static volatile sig_atomic_t fault_signal;

static void on_fault(int signal)
{
    fault_signal = signal;
    siglongjmp(back, 1);
}

/* The signal that touching this address raises, or 0. */
static int touch(volatile char *address, int is_write)
{
    tap_handle(SIGSEGV, on_fault, 0);
    tap_handle(SIGBUS, on_fault, 0);
    fault_signal = 0;
    if (sigsetjmp(back, 1) == 0) {
        if (is_write)
            *address = 1;
        else
            (void)*address;
    }
    return fault_signal;
}

static char *map(void *hint, size_t size, int prot, int flags, int fd, off_t offset)
{
    return (char *)MUST(mmap(hint, size, prot, flags, fd, offset));
}

static int file_of(size_t size, char fill)
{
    tap_tmpdir();
    int fd = MUST(open("file", O_RDWR | O_CREAT, 0644));
    char page[PAGE];
    memset(page, fill, PAGE);
    for (size_t done = 0; done < size; done += PAGE)
        REQUIRE(write(fd, page, size - done < PAGE ? size - done : PAGE) > 0);
    return fd;
}

CASE(anonymous_memory_is_zero)
{
    char *p = tap_pages(64);
    EXPECT_EQ((long)p % PAGE, 0);
    for (int i = 0; i < 64; i++)
        EXPECT_EQ(p[i * PAGE + i], 0);
    memset(p, 7, 64 * PAGE);
    EXPECT_EQ(munmap(p, 64 * PAGE), 0);
    char *q = tap_pages(64);
    EXPECT_EQ(q[5], 0);
}

CASE(mmap_errors)
{
    int fd = file_of(PAGE, 'x');
    int reader = MUST(open("file", O_RDONLY));
    int writer = MUST(open("file", O_WRONLY));
    int fds[2];
    MUST(pipe(fds));
    int rw = PROT_READ | PROT_WRITE;
    int anon = MAP_PRIVATE | MAP_ANONYMOUS;
    EXPECT_ERRNO(mmap(NULL, 0, rw, anon, -1, 0), EINVAL);
    EXPECT_ERRNO(mmap(NULL, PAGE, rw, MAP_ANONYMOUS, -1, 0), EINVAL);
    EXPECT_ERRNO(mmap(NULL, PAGE, rw, MAP_PRIVATE, -1, 0), EBADF);
    EXPECT_ERRNO(mmap(NULL, PAGE, rw, MAP_PRIVATE, fd, 100), EINVAL);
    EXPECT_ERRNO(mmap(NULL, PAGE, rw, MAP_SHARED, reader, 0), EACCES);
    EXPECT_ERRNO(mmap(NULL, PAGE, PROT_READ, MAP_SHARED, writer, 0), EACCES);
    EXPECT_ERRNO(mmap(NULL, PAGE, PROT_READ, MAP_PRIVATE, fds[0], 0), ENODEV);
    EXPECT_ERRNO(mmap(NULL, (size_t)1 << 62, rw, anon, -1, 0), ENOMEM);
    EXPECT_ERRNO(mmap(NULL, (size_t)-1, rw, anon, -1, 0), ENOMEM);
    EXPECT_ERRNO(mmap((void *)123, PAGE, rw, anon | MAP_FIXED, -1, 0), EINVAL);
    EXPECT_ERRNO(mmap((void *)0x7ffffffff000, PAGE, rw, anon | MAP_FIXED, -1, 0), ENOMEM);
    EXPECT_OK(mmap(NULL, PAGE, rw, MAP_PRIVATE, reader, 0));
    EXPECT_ERRNO(syscall(SYS_mmap, NULL, PAGE, rw, MAP_SHARED, fd, 0x7ffffffffffff000), EOVERFLOW);
}

CASE(hint_is_taken_when_free)
{
    char *p = tap_pages(16);
    MUST(munmap(p, 16 * PAGE));
    char *q = map(p + 4 * PAGE, PAGE, PROT_READ, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    EXPECT(q == p + 4 * PAGE);
    char *r = map(q, PAGE, PROT_READ, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    EXPECT(r != q);
}

CASE(fixed_replaces)
{
    char *p = tap_pages(4);
    memset(p, 'a', 4 * PAGE);
    char *q = map(p + PAGE, PAGE, PROT_READ | PROT_WRITE,
                  MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED, -1, 0);
    EXPECT(q == p + PAGE);
    EXPECT_EQ(p[0], 'a');
    EXPECT_EQ(p[PAGE], 0);
    EXPECT_EQ(p[2 * PAGE], 'a');
}

CASE(fixed_noreplace)
{
    char *p = tap_pages(4);
    int flags = MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED_NOREPLACE;
    EXPECT_ERRNO(mmap(p + PAGE, PAGE, PROT_READ, flags, -1, 0), EEXIST);
    MUST(munmap(p + PAGE, PAGE));
    EXPECT(mmap(p + PAGE, PAGE, PROT_READ, flags, -1, 0) == p + PAGE);
}

CASE(munmap_middle)
{
    char *p = tap_pages(5);
    memset(p, 3, 5 * PAGE);
    EXPECT_EQ(munmap(p + 2 * PAGE, PAGE), 0);
    EXPECT_EQ(touch(p + PAGE, 0), 0);
    EXPECT_EQ(touch(p + 2 * PAGE, 0), SIGSEGV);
    EXPECT_EQ(touch(p + 3 * PAGE, 0), 0);
    EXPECT_EQ(munmap(p, 5 * PAGE), 0);
    EXPECT_EQ(munmap(p, 5 * PAGE), 0);
    EXPECT_ERRNO(munmap(p + 1, PAGE), EINVAL);
    EXPECT_ERRNO(munmap(p, 0), EINVAL);
    EXPECT_ERRNO(munmap((void *)0x7ffffffff000, 1l << 40), EINVAL);
}

CASE(mprotect_changes_access)
{
    char *p = tap_pages(3);
    memset(p, 3, 3 * PAGE);
    EXPECT_EQ(mprotect(p + PAGE, PAGE, PROT_READ), 0);
    EXPECT_EQ(touch(p + PAGE, 1), SIGSEGV);
    EXPECT_EQ(touch(p + PAGE, 0), 0);
    EXPECT_EQ(touch(p + 2 * PAGE, 1), 0);
    EXPECT_EQ(mprotect(p + PAGE, PAGE, PROT_NONE), 0);
    EXPECT_EQ(touch(p + PAGE, 0), SIGSEGV);
    EXPECT_EQ(mprotect(p, 3 * PAGE, PROT_READ | PROT_WRITE), 0);
    EXPECT_EQ(p[PAGE], 3);
    EXPECT_EQ(touch(p + PAGE, 1), 0);
}

CASE(mprotect_errors)
{
    char *p = tap_pages(3);
    EXPECT_ERRNO(mprotect(p + 1, PAGE, PROT_READ), EINVAL);
    EXPECT_EQ(mprotect(p, 0, PROT_READ), 0);
    EXPECT_ERRNO(mprotect(p, PAGE, 0x40000000), EINVAL);
    MUST(munmap(p + PAGE, PAGE));
    EXPECT_ERRNO(mprotect(p, 3 * PAGE, PROT_READ), ENOMEM);
    EXPECT_EQ(touch(p, 1), SIGSEGV); /* what lies before the hole was changed */
    int fd = file_of(PAGE, 'x');
    int reader = MUST(open("file", O_RDONLY));
    char *q = map(NULL, PAGE, PROT_READ, MAP_SHARED, reader, 0);
    EXPECT_ERRNO(mprotect(q, PAGE, PROT_READ | PROT_WRITE), EACCES);
    q = map(NULL, PAGE, PROT_READ, MAP_PRIVATE, reader, 0);
    EXPECT_EQ(mprotect(q, PAGE, PROT_READ | PROT_WRITE), 0);
    close(fd);
}

CASE(code_can_be_made_and_run)
{
    char *p = tap_pages(1);
    memcpy(p, "\xb8\x2a\x00\x00\x00\xc3", 6); /* mov $42, %eax; ret */
    EXPECT_EQ(mprotect(p, PAGE, PROT_READ | PROT_EXEC), 0);
    EXPECT_EQ(((int (*)(void))p)(), 42);
    EXPECT_EQ(mprotect(p, PAGE, PROT_READ | PROT_WRITE), 0);
    p[1] = 43;
    EXPECT_EQ(mprotect(p, PAGE, PROT_READ | PROT_EXEC), 0);
    EXPECT_EQ(((int (*)(void))p)(), 43);
}

CASE(shared_anonymous_over_fork)
{
    char *p = map(NULL, PAGE, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    CHILD(pid)
    {
        p[0] = 'c';
    }
    EXPECT_EXIT(pid, 0);
    EXPECT_EQ(p[0], 'c');
}

CASE(private_is_copied_on_write)
{
    char *p = tap_pages(2);
    p[0] = 'p';
    CHILD(pid)
    {
        EXPECT_EQ(p[0], 'p');
        p[0] = 'c';
        p[PAGE] = 'c';
        CHILD(grandchild)
        {
            EXPECT_EQ(p[0], 'c');
            p[0] = 'g';
        }
        EXPECT_EXIT(grandchild, 0);
        EXPECT_EQ(p[0], 'c');
    }
    EXPECT_EXIT(pid, 0);
    EXPECT_EQ(p[0], 'p');
    EXPECT_EQ(p[PAGE], 0);
}

CASE(kernel_writes_break_copy_on_write)
{
    char *p = tap_pages(1);
    p[0] = 'p';
    int fds[2];
    MUST(pipe(fds));
    EXPECT_EQ(write(fds[1], "k", 1), 1);
    CHILD(pid)
    {
        EXPECT_EQ(read(fds[0], p, 1), 1);
        EXPECT_EQ(p[0], 'k');
    }
    EXPECT_EXIT(pid, 0);
    EXPECT_EQ(p[0], 'p');
}

CASE(file_mapping_shows_the_file)
{
    int fd = file_of(2 * PAGE, 'f');
    char *shared = map(NULL, 2 * PAGE, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
    char *private = map(NULL, 2 * PAGE, PROT_READ | PROT_WRITE, MAP_PRIVATE, fd, 0);
    EXPECT_EQ(shared[PAGE + 5], 'f');
    EXPECT_EQ(pwrite(fd, "w", 1, 10), 1);
    EXPECT_EQ(shared[10], 'w');
    EXPECT_EQ(private[10], 'w');
    shared[11] = 's';
    char byte = 0;
    EXPECT_EQ(pread(fd, &byte, 1, 11), 1);
    EXPECT_EQ(byte, 's');
    private[12] = 'p';
    EXPECT_EQ(pread(fd, &byte, 1, 12), 1);
    EXPECT_EQ(byte, 'f');
    EXPECT_EQ(shared[12], 'f');
    EXPECT_EQ(pwrite(fd, "z", 1, 13), 1);
    EXPECT_EQ(private[13], 'f'); /* the page is its own since the write */
}

CASE(file_mapping_offset)
{
    int fd = file_of(3 * PAGE, 'a');
    EXPECT_EQ(pwrite(fd, "b", 1, PAGE), 1);
    char *p = map(NULL, PAGE, PROT_READ, MAP_PRIVATE, fd, PAGE);
    EXPECT_EQ(p[0], 'b');
    close(fd);
    EXPECT_EQ(p[1], 'a');
}

CASE(tail_of_the_last_page)
{
    int fd = file_of(100, 'a');
    char *p = map(NULL, 2 * PAGE, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
    EXPECT_EQ(p[99], 'a');
    EXPECT_EQ(p[100], 0);
    p[200] = 'x';
    struct stat st;
    EXPECT_EQ(fstat(fd, &st), 0);
    EXPECT_EQ(st.st_size, 100);
    EXPECT_EQ(touch(p + PAGE, 0), SIGBUS);
    MUST(ftruncate(fd, PAGE + 10));
    EXPECT_EQ(touch(p + PAGE, 0), 0);
}

CASE(truncation_drops_pages)
{
    int fd = file_of(2 * PAGE, 'a');
    char *p = map(NULL, 2 * PAGE, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
    EXPECT_EQ(p[PAGE], 'a');
    MUST(ftruncate(fd, 10));
    EXPECT_EQ(touch(p + PAGE, 0), SIGBUS);
    EXPECT_EQ(p[10], 0);
    EXPECT_EQ(p[9], 'a');
    MUST(ftruncate(fd, 2 * PAGE));
    EXPECT_EQ(p[PAGE], 0);
}

CASE(two_processes_share_a_file_mapping)
{
    int fd = file_of(PAGE, 'a');
    char *p = map(NULL, PAGE, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
    CHILD(pid)
    {
        int own = MUST(open("file", O_RDWR));
        char *q = map(NULL, PAGE, PROT_READ | PROT_WRITE, MAP_SHARED, own, 0);
        q[0] = 'q';
    }
    EXPECT_EXIT(pid, 0);
    EXPECT_EQ(p[0], 'q');
}

CASE(mremap_grows_and_shrinks)
{
    char *p = tap_pages(8);
    memset(p, 'm', 8 * PAGE);
    char *q = mremap(p, 8 * PAGE, 4 * PAGE, 0);
    EXPECT(q == p);
    EXPECT_EQ(touch(p + 4 * PAGE, 0), SIGSEGV);
    EXPECT(mremap(p, 4 * PAGE, 6 * PAGE, 0) == p);
    EXPECT_EQ(p[3 * PAGE], 'm');
    EXPECT_EQ(p[5 * PAGE], 0);
}

CASE(mremap_moves)
{
    char *p = tap_pages(4);
    memset(p, 'm', 2 * PAGE);
    MUST(mprotect(p + 2 * PAGE, 2 * PAGE, PROT_READ));
    EXPECT_ERRNO(mremap(p, 2 * PAGE, 4 * PAGE, 0), ENOMEM);
    char *q = (char *)MUST(mremap(p, 2 * PAGE, 8 * PAGE, MREMAP_MAYMOVE));
    EXPECT(q != p);
    EXPECT_EQ(q[2 * PAGE - 1], 'm');
    EXPECT_EQ(q[7 * PAGE], 0);
    EXPECT_EQ(touch(p, 0), SIGSEGV);
}

CASE(mremap_fixed)
{
    char *p = tap_pages(2);
    char *target = tap_pages(2);
    memset(p, 'm', 2 * PAGE);
    memset(target, 't', 2 * PAGE);
    EXPECT(mremap(p, 2 * PAGE, 2 * PAGE, MREMAP_MAYMOVE | MREMAP_FIXED, target) == target);
    EXPECT_EQ(target[PAGE], 'm');
    EXPECT_EQ(touch(p, 0), SIGSEGV);
    EXPECT_ERRNO(mremap(target, PAGE, PAGE, MREMAP_FIXED, p), EINVAL);
    EXPECT_ERRNO(mremap(target, 2 * PAGE, 2 * PAGE, MREMAP_MAYMOVE | MREMAP_FIXED,
                        target + PAGE), EINVAL);
    EXPECT_ERRNO(mremap(target + 1, PAGE, PAGE, MREMAP_MAYMOVE), EINVAL);
    EXPECT_ERRNO(mremap(target, PAGE, 0, MREMAP_MAYMOVE), EINVAL);
    EXPECT_ERRNO(mremap(target, PAGE, PAGE, 0x100), EINVAL);
    EXPECT_ERRNO(mremap(p, PAGE, 2 * PAGE, MREMAP_MAYMOVE), EFAULT);
}

CASE(mremap_of_a_shared_mapping)
{
    char *p = map(NULL, PAGE, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    p[0] = 's';
    char *copy = (char *)MUST(mremap(p, 0, PAGE, MREMAP_MAYMOVE)); /* size 0 duplicates */
    EXPECT(copy != p);
    EXPECT_EQ(copy[0], 's');
    copy[1] = 'c';
    EXPECT_EQ(p[1], 'c');
}

CASE(madvise_dontneed)
{
    char *p = tap_pages(2);
    memset(p, 'd', 2 * PAGE);
    EXPECT_EQ(madvise(p, PAGE, MADV_DONTNEED), 0);
    EXPECT_EQ(p[0], 0);
    EXPECT_EQ(p[PAGE], 'd');
    int fd = file_of(PAGE, 'f');
    char *q = map(NULL, PAGE, PROT_READ | PROT_WRITE, MAP_PRIVATE, fd, 0);
    q[0] = 'q';
    EXPECT_EQ(madvise(q, PAGE, MADV_DONTNEED), 0);
    EXPECT_EQ(q[0], 'f');
}

CASE(madvise_forms)
{
    char *p = tap_pages(4);
    int silent[] = {MADV_NORMAL, MADV_RANDOM, MADV_SEQUENTIAL, MADV_WILLNEED, MADV_DODUMP,
                    MADV_DONTDUMP, MADV_DOFORK};
    for (size_t i = 0; i < sizeof silent / sizeof silent[0]; i++)
        EXPECT_EQ(madvise(p, 4 * PAGE, silent[i]), 0);
    EXPECT_ERRNO(madvise(p + 1, PAGE, MADV_NORMAL), EINVAL);
    EXPECT_ERRNO(madvise(p, PAGE, 9999), EINVAL);
    EXPECT_EQ(madvise(p, 0, MADV_NORMAL), 0);
    MUST(munmap(p + PAGE, PAGE));
    EXPECT_ERRNO(madvise(p, 4 * PAGE, MADV_DONTNEED), ENOMEM);
    EXPECT_EQ(madvise(p, PAGE, MADV_FREE), 0);
    EXPECT_EQ(madvise(p + 2 * PAGE, PAGE, 23), 0); /* MADV_POPULATE_WRITE */
}

CASE(madvise_dontfork_and_wipeonfork)
{
    char *p = tap_pages(2);
    p[0] = 'a';
    p[PAGE] = 'b';
    EXPECT_EQ(madvise(p, PAGE, MADV_DONTFORK), 0);
    EXPECT_EQ(madvise(p + PAGE, PAGE, MADV_WIPEONFORK), 0);
    CHILD(pid)
    {
        EXPECT_EQ(touch(p, 0), SIGSEGV);
        EXPECT_EQ(p[PAGE], 0);
    }
    EXPECT_EXIT(pid, 0);
    EXPECT_EQ(p[0], 'a');
    EXPECT_EQ(p[PAGE], 'b');
}

CASE(brk_moves)
{
    char *start = sbrk(0);
    EXPECT_EQ(syscall(SYS_brk, 0), (long)start);
    char *end = start + 10 * PAGE;
    EXPECT_EQ(syscall(SYS_brk, end), (long)end);
    start[0] = 1;
    end[-1] = 2;
    EXPECT_EQ(syscall(SYS_brk, start + PAGE), (long)(start + PAGE));
    EXPECT_EQ(syscall(SYS_brk, end), (long)end);
    EXPECT_EQ(end[-1], 0);
    EXPECT_EQ(syscall(SYS_brk, 1), (long)end); /* refused: the break stays */
    EXPECT_EQ(syscall(SYS_brk, start), (long)start);
}

CASE(mincore_pages)
{
    char *p = tap_pages(4);
    unsigned char seen[4] = {9, 9, 9, 9};
    memset(p, 1, 4 * PAGE);
    EXPECT_EQ(mincore(p, 4 * PAGE, seen), 0);
    for (int i = 0; i < 4; i++)
        EXPECT_EQ(seen[i] & 1, 1);
    EXPECT_ERRNO(mincore(p + 1, PAGE, seen), EINVAL);
    EXPECT_ERRNO(mincore(p, PAGE, (void *)8), EFAULT);
    MUST(munmap(p + PAGE, PAGE));
    EXPECT_ERRNO(mincore(p, 4 * PAGE, seen), ENOMEM);
}

CASE(msync_forms)
{
    int fd = file_of(2 * PAGE, 'a');
    char *p = map(NULL, 2 * PAGE, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
    p[0] = 'm';
    EXPECT_EQ(msync(p, PAGE, MS_SYNC), 0);
    EXPECT_EQ(msync(p, 2 * PAGE, MS_ASYNC), 0);
    EXPECT_EQ(msync(p, PAGE, MS_INVALIDATE), 0);
    EXPECT_ERRNO(msync(p, PAGE, MS_SYNC | MS_ASYNC), EINVAL);
    EXPECT_ERRNO(msync(p, PAGE, 64), EINVAL);
    EXPECT_ERRNO(msync(p + 1, PAGE, MS_SYNC), EINVAL);
    MUST(munmap(p + PAGE, PAGE));
    EXPECT_ERRNO(msync(p, 2 * PAGE, MS_SYNC), ENOMEM);
}

CASE(mlock_and_limits)
{
    char *p = tap_pages(4);
    EXPECT_EQ(mlock(p, 4 * PAGE), 0);
    EXPECT_EQ(munlock(p, 4 * PAGE), 0);
    EXPECT_EQ(syscall(SYS_mlock2, p, PAGE, 1), 0);
    EXPECT_ERRNO(syscall(SYS_mlock2, p, PAGE, 4), EINVAL);
    EXPECT_ERRNO(mlockall(0), EINVAL);
    EXPECT_EQ(munlockall(), 0);
    MUST(munmap(p + PAGE, PAGE));
    EXPECT_ERRNO(mlock(p, 4 * PAGE), ENOMEM);
    struct rlimit limit = {8192, 8192};
    MUST(setrlimit(RLIMIT_MEMLOCK, &limit));
    CHILD(pid)
    {
        MUST(setuid(1000));
        char *q = tap_pages(4);
        EXPECT_EQ(mlock(q, 2 * PAGE), 0);
        EXPECT_ERRNO(mlock(q, 4 * PAGE), ENOMEM);
        EXPECT_ERRNO(mlockall(MCL_CURRENT), ENOMEM);
    }
    EXPECT_EXIT(pid, 0);
}

static char grow(int depth)
{
    volatile char room[PAGE];
    room[0] = (char)depth;
    return depth > 0 ? (char)(grow(depth - 1) + room[0]) : room[0];
}

CASE(stack_grows)
{
    grow(1000); /* 4 MiB */
    EXPECT(1);
}

CASE(growsdown_mapping)
{
    char *p = tap_pages(600);
    MUST(munmap(p, 600 * PAGE));
    char *low = p + 500 * PAGE;
    char *q = mmap(low, PAGE, PROT_READ | PROT_WRITE,
                   MAP_PRIVATE | MAP_ANONYMOUS | MAP_GROWSDOWN | MAP_FIXED, -1, 0);
    EXPECT(q == low);
    EXPECT_EQ(touch(low - 1, 1), 0);
    EXPECT_EQ(touch(low - 10 * PAGE, 1), 0);
}

CASE(address_space_limit)
{
    struct rlimit limit;
    getrlimit(RLIMIT_AS, &limit);
    limit.rlim_cur = 64 << 20;
    MUST(setrlimit(RLIMIT_AS, &limit));
    int flags = MAP_PRIVATE | MAP_ANONYMOUS;
    EXPECT_ERRNO(mmap(NULL, 128 << 20, PROT_READ, flags, -1, 0), ENOMEM);
    EXPECT_OK(mmap(NULL, 1 << 20, PROT_READ, flags, -1, 0));
}

CASE(large_sparse_mapping)
{
    size_t size = (size_t)1 << 36;
    char *p = map(NULL, size, PROT_READ | PROT_WRITE,
                  MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    p[0] = 1;
    p[size / 2] = 2;
    p[size - 1] = 3;
    EXPECT_EQ(p[size / 2], 2);
    EXPECT_EQ(p[size / 2 + PAGE], 0);
    EXPECT_EQ(munmap(p, size), 0);
}

CASE(mapping_outlives_unlink)
{
    int fd = file_of(PAGE, 'u');
    char *p = map(NULL, PAGE, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
    close(fd);
    MUST(unlink("file"));
    EXPECT_EQ(p[7], 'u');
    p[8] = 'w';
    EXPECT_EQ(p[8], 'w');
}

CASE(zero_device)
{
    int fd = MUST(open("/dev/zero", O_RDWR));
    char *p = map(NULL, PAGE, PROT_READ | PROT_WRITE, MAP_PRIVATE, fd, 0);
    EXPECT_EQ(p[5], 0);
    p[5] = 1;
    char *q = map(NULL, PAGE, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
    CHILD(pid)
    {
        q[0] = 'z';
    }
    EXPECT_EXIT(pid, 0);
    EXPECT_EQ(q[0], 'z');
}

CASE(read_into_fresh_memory)
{
    int fd = MUST(open("/dev/zero", O_RDONLY));
    char *p = tap_pages(300);
    memset(p, 1, 300 * PAGE);
    MUST(madvise(p, 300 * PAGE, MADV_DONTNEED));
    EXPECT_EQ(read(fd, p, 300 * PAGE), 300 * PAGE);
    EXPECT_EQ(p[299 * PAGE], 0);
}

CASE(lower_bound_of_addresses)
{
    CHILD(pid)
    {
        MUST(setuid(1000));
        EXPECT_ERRNO(mmap((void *)0, PAGE, PROT_READ, MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED, -1,
                          0), EPERM);
    }
    EXPECT_EXIT(pid, 0);
}

CASE(pkeys_and_policies)
{
    int mode = -1;
    EXPECT_EQ(syscall(SYS_get_mempolicy, &mode, NULL, 0, NULL, 0), 0);
    EXPECT_EQ(mode, 0);
    EXPECT_ERRNO(syscall(SYS_get_mempolicy, NULL, NULL, 0, NULL, 99), EINVAL);
    EXPECT_EQ(syscall(SYS_set_mempolicy, 0, NULL, 0), 0);
    EXPECT_ERRNO(syscall(SYS_set_mempolicy, 99, NULL, 0), EINVAL);
    char *p = tap_pages(1);
    EXPECT_EQ(syscall(SYS_mbind, p, PAGE, 0, NULL, 0, 0), 0);
    EXPECT_EQ(syscall(SYS_pkey_mprotect, p, PAGE, PROT_READ, -1), 0); /* no key: mprotect */
    EXPECT_EQ(touch(p, 1), SIGSEGV);
    EXPECT_ERRNO(syscall(SYS_pkey_mprotect, p, PAGE, PROT_READ, 99), EINVAL);
}

CASE(remap_file_pages_shows_other_pages)
{
    int fd = MUST(memfd_create("m", 0));
    MUST(ftruncate(fd, 4 * PAGE));
    for (int i = 0; i < 4; i++)
        MUST(pwrite(fd, &"abcd"[i], 1, i * PAGE));
    char *at = map(NULL, 4 * PAGE, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
    EXPECT_OK(syscall(SYS_remap_file_pages, at + PAGE, 2 * PAGE, 0, 2, 0));
    EXPECT_EQ(at[0], 'a');
    EXPECT_EQ(at[PAGE], 'c');
    EXPECT_EQ(at[2 * PAGE], 'd');
    at[PAGE] = 'x'; /* the same page twice */
    EXPECT_OK(syscall(SYS_remap_file_pages, at + 3 * PAGE, PAGE, 0, 2, MAP_NONBLOCK));
    EXPECT_EQ(at[3 * PAGE], 'x');
    MUST(munmap(at, PAGE));
    /* cut to whole pages */
    EXPECT_OK(syscall(SYS_remap_file_pages, at + PAGE + 1, PAGE + 5, 0, 0, 0));
    EXPECT_EQ(at[PAGE], 'a');
}

CASE(remap_file_pages_of_anonymous_memory)
{
    char *at = map(NULL, 2 * PAGE, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    at[0] = 'p';
    at[PAGE] = 'q';
    EXPECT_OK(syscall(SYS_remap_file_pages, at, PAGE, 0, 1, 0));
    EXPECT_EQ(at[0], 'q');
}

CASE(remap_file_pages_refuses)
{
    char *private = tap_pages(4);
    int fd = MUST(memfd_create("m", 0));
    MUST(ftruncate(fd, 4 * PAGE));
    char *at = map(NULL, 4 * PAGE, PROT_READ, MAP_SHARED, fd, 0);
    EXPECT_ERRNO(syscall(SYS_remap_file_pages, private, PAGE, 0, 0, 0), EINVAL);
    EXPECT_ERRNO(syscall(SYS_remap_file_pages, at, PAGE, PROT_READ, 1, 0), EINVAL);
    EXPECT_ERRNO(syscall(SYS_remap_file_pages, at, 0, 0, 1, 0), EINVAL);
    EXPECT_ERRNO(syscall(SYS_remap_file_pages, at, PAGE, 0, -1L, 0), EINVAL);
    EXPECT_ERRNO(syscall(SYS_remap_file_pages, -4096L, 2 * PAGE, 0, 0, 0), EINVAL);
    MUST(munmap(at + PAGE, PAGE));
    EXPECT_ERRNO(syscall(SYS_remap_file_pages, at, 2 * PAGE, 0, 1, 0), EINVAL);
    EXPECT_ERRNO(syscall(SYS_remap_file_pages, at + PAGE, PAGE, 0, 1, 0), EINVAL);
}

/* SPDX-License-Identifier: Apache-2.0 */
/* Calls that came to Linux late, and small ones that stand alone. */
#include "tap.h"

#include <fcntl.h>
#include <linux/kcmp.h>
#include <sys/mman.h>
#include <sys/sem.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <sys/wait.h>
#include <time.h>

CASE(kcmp_of_files)
{
    int a = MUST(open("/dev/null", O_RDONLY));
    int b = MUST(open("/dev/null", O_RDONLY));
    int copy = MUST(dup(a));
    pid_t self = getpid();
    long equal = syscall(SYS_kcmp, self, self, KCMP_FILE, a, copy);
    SKIP_IF(equal < 0 && errno == ENOSYS, "no kcmp");
    EXPECT_EQ(equal, 0);
    long order = syscall(SYS_kcmp, self, self, KCMP_FILE, a, b);
    EXPECT(order == 1 || order == 2);
    EXPECT_EQ(syscall(SYS_kcmp, self, self, KCMP_VM, 0, 0), 0);
    EXPECT_ERRNO(syscall(SYS_kcmp, self, self, KCMP_FILE, a, 999), EBADF);
    EXPECT_ERRNO(syscall(SYS_kcmp, self, self, 99, 0, 0), EINVAL);
    EXPECT_ERRNO(syscall(SYS_kcmp, self, 0x3fffff, KCMP_VM, 0, 0), ESRCH);
}

CASE(kcmp_of_undo_lists)
{
    pid_t self = getpid();
    int set = MUST(semget(IPC_PRIVATE, 1, 0600));
    pid_t other = MUST(fork());
    if (other == 0)
        for (;;)
            pause();
    EXPECT_EQ(syscall(SYS_kcmp, self, other, KCMP_SYSVSEM, 0, 0), 0);
    struct sembuf up = {0, 1, SEM_UNDO};
    MUST(semop(set, &up, 1));
    EXPECT_EQ(syscall(SYS_kcmp, self, self, KCMP_SYSVSEM, 0, 0), 0);
    EXPECT(syscall(SYS_kcmp, self, other, KCMP_SYSVSEM, 0, 0) > 0);
    semctl(set, 0, IPC_RMID);
    kill(other, SIGKILL);
    waitpid(other, NULL, 0);
}

CASE(ioprio_values)
{
    EXPECT_OK(syscall(SYS_ioprio_get, 1, 0));
    EXPECT_EQ(syscall(SYS_ioprio_set, 1, 0, 2 << 13 | 3), 0); /* best effort, level 3 */
    EXPECT_EQ(syscall(SYS_ioprio_get, 1, 0), 2 << 13 | 3);
    EXPECT_ERRNO(syscall(SYS_ioprio_set, 1, 0, 7 << 13), EINVAL);
    EXPECT_ERRNO(syscall(SYS_ioprio_get, 99, 0), EINVAL);
    EXPECT_ERRNO(syscall(SYS_ioprio_get, 1, 0x3fffff), ESRCH);
}

CASE(sync_returns)
{
    EXPECT_EQ(syscall(SYS_sync), 0);
}

CASE(mseal_keeps_mappings)
{
    char *p = tap_pages(2);
    long result = syscall(462, p, 4096, 0);
    SKIP_IF(result < 0 && errno == ENOSYS, "no mseal");
    EXPECT_EQ(result, 0);
    EXPECT_ERRNO(munmap(p, 4096), EPERM);
    EXPECT_ERRNO(mprotect(p, 4096, PROT_NONE), EPERM);
    EXPECT_ERRNO(mremap(p, 4096, 8192, MREMAP_MAYMOVE), EPERM);
    EXPECT_EQ(munmap(p + 4096, 4096), 0);
    EXPECT_ERRNO(syscall(462, p + 1, 4096, 0), EINVAL);
    EXPECT_ERRNO(syscall(462, p, 4096, 1), EINVAL);
    EXPECT_ERRNO(syscall(462, p, 8192, 0), ENOMEM); /* the second page is gone */
    EXPECT_EQ(syscall(462, p, 0, 0), 0);
    EXPECT(mmap(p, 4096, PROT_READ, MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED, -1, 0) == MAP_FAILED);
    EXPECT_EQ(errno, EPERM);
    EXPECT_EQ(madvise(p, 4096, MADV_DONTNEED), 0); /* it may be written: no harm */
    p[0] = 1;
    CHILD(pid)
    {
        EXPECT_ERRNO(munmap(p, 4096), EPERM); /* sealed there too */
    }
    EXPECT_EXIT(pid, 0);
    char *r = tap_pages(1);
    MUST(mprotect(r, 4096, PROT_READ));
    EXPECT_EQ(syscall(462, r, 4096, 0), 0);
    EXPECT_ERRNO(madvise(r, 4096, MADV_DONTNEED), EPERM);
    EXPECT_EQ(madvise(r, 4096, MADV_WILLNEED), 0);
}

CASE(process_madvise_of_itself)
{
    int pidfd = MUST(syscall(SYS_pidfd_open, getpid(), 0));
    char *p = tap_pages(2);
    struct iovec iov = {p, 8192};
    memset(p, 1, 8192);
    EXPECT_EQ(syscall(SYS_process_madvise, pidfd, &iov, 1, MADV_WILLNEED, 0), 8192);
    EXPECT_ERRNO(syscall(SYS_process_madvise, pidfd, &iov, 1, MADV_WILLNEED, 1), EINVAL);
    EXPECT_ERRNO(syscall(SYS_process_madvise, 0, &iov, 1, MADV_WILLNEED, 0), EBADF);
    EXPECT_ERRNO(syscall(SYS_process_madvise, pidfd, 8, 1, MADV_WILLNEED, 0), EFAULT);
    EXPECT_ERRNO(syscall(SYS_process_madvise, pidfd, &iov, 2000, MADV_WILLNEED, 0), EINVAL);
    CHILD(pid)
    {
        for (;;)
            pause();
    }
    int other = MUST(syscall(SYS_pidfd_open, pid, 0));
    EXPECT_EQ(syscall(SYS_process_madvise, other, &iov, 1, MADV_COLD, 0), 8192);
    EXPECT_ERRNO(syscall(SYS_process_madvise, other, &iov, 1, MADV_DONTNEED, 0), EINVAL);
    kill(pid, SIGKILL);
    EXPECT_KILLED(pid, SIGKILL);
    EXPECT_ERRNO(syscall(SYS_process_madvise, other, &iov, 1, MADV_COLD, 0), ESRCH);
}

CASE(new_futex_calls)
{
    static uint32_t word = 5;
    long result = syscall(454, &word, ~0u, 1, 2); /* futex_wake of 32 bits */
    SKIP_IF(result < 0 && errno == ENOSYS, "no futex_wake");
    EXPECT_EQ(result, 0);
    EXPECT_ERRNO(syscall(455, &word, 4, ~0u, 2, NULL, 0), EAGAIN);
    EXPECT_ERRNO(syscall(455, &word, 5, 0, 2, NULL, 0), EINVAL);
    EXPECT_ERRNO(syscall(454, &word, ~0u, 1, 99), EINVAL);
    EXPECT_ERRNO(syscall(454, &word, 0, 1, 2), EINVAL);
    EXPECT_ERRNO(syscall(454, &word, 1ull << 32, 1, 2), EINVAL);
    EXPECT_ERRNO(syscall(454, (char *)&word + 1, ~0u, 1, 2), EINVAL);
    struct timespec past = {0, 1}, bad = {0, -1};
    EXPECT_ERRNO(syscall(455, &word, 5, ~0u, 2, &past, CLOCK_MONOTONIC), ETIMEDOUT);
    EXPECT_ERRNO(syscall(455, &word, 5, ~0u, 2, &past, CLOCK_REALTIME), ETIMEDOUT);
    EXPECT_ERRNO(syscall(455, &word, 5, ~0u, 2, &past, 99), EINVAL);
    EXPECT_ERRNO(syscall(455, &word, 5, ~0u, 2, &bad, CLOCK_MONOTONIC), EINVAL);
    EXPECT_ERRNO(syscall(455, &word, 5, ~0u, 2, 8, CLOCK_MONOTONIC), EFAULT);
    EXPECT_ERRNO(syscall(455, 8, 5, ~0u, 2, NULL, 0), EFAULT);
    struct {
        uint64_t value, address;
        uint32_t flags, reserved;
    } both[2] = {{5, (uintptr_t)&word, 2, 0}, {0, (uintptr_t)&word, 2, 0}};
    EXPECT_EQ(syscall(456, both, 0, 1, 1), 0);
    both[0].value = 6;
    EXPECT_ERRNO(syscall(456, both, 0, 1, 1), EAGAIN);
    EXPECT_ERRNO(syscall(456, both, 1, 1, 1), EINVAL);
    EXPECT_ERRNO(syscall(456, NULL, 0, 1, 1), EINVAL);
    EXPECT_ERRNO(syscall(456, both, 0, -1, 1), EINVAL);
    EXPECT_ERRNO(syscall(456, 8, 0, 1, 1), EFAULT);
}

CASE(new_futex_calls_wake_and_move)
{
    uint32_t *words = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    REQUIRE(words != MAP_FAILED);
    CHILD(a)
    {
        EXPECT_EQ(syscall(455, words, 0, 1, 2, NULL, 0), 0);
    }
    tap_until_asleep(a);
    EXPECT_EQ(syscall(454, words, 2, 1, 2), 0); /* other bits */
    struct {
        uint64_t value, address;
        uint32_t flags, reserved;
    } both[2] = {{0, (uintptr_t)words, 2, 0}, {0, (uintptr_t)(words + 1), 2, 0}};
    EXPECT_EQ(syscall(456, both, 0, 0, 1), 1);
    EXPECT_EQ(syscall(454, words, ~0u, 1, 2), 0);
    EXPECT_EQ(syscall(454, words + 1, ~0u, 0, 2), 0); /* none asked for */
    EXPECT_EQ(syscall(454, words + 1, ~0u, 1, 2), 1);
    EXPECT_EXIT(a, 0);
}

CASE(extended_attributes_by_directory)
{
    tap_tmpdir();
    tap_write_file("file", "");
    struct {
        uint64_t value;
        uint32_t size;
        uint32_t flags;
    } args = {(uint64_t)(uintptr_t)"v", 1, 0};
    long result = syscall(463, AT_FDCWD, "file", 0, "user.a", &args, sizeof args);
    SKIP_IF(result < 0 && errno == ENOSYS, "no setxattrat");
    SKIP_IF(result < 0 && errno == EOPNOTSUPP, "no user attributes on this file system");
    EXPECT_EQ(result, 0);
    char text[16] = {0};
    args.value = (uint64_t)(uintptr_t)text;
    args.size = sizeof text;
    EXPECT_EQ(syscall(464, AT_FDCWD, "file", 0, "user.a", &args, sizeof args), 1);
    EXPECT_STR(text, "v");
    EXPECT_EQ(syscall(465, AT_FDCWD, "file", 0, text, sizeof text), 7);
    EXPECT_EQ(syscall(466, AT_FDCWD, "file", 0, "user.a"), 0);
    EXPECT_ERRNO(syscall(464, AT_FDCWD, "file", 0, "user.a", &args, sizeof args), ENODATA);
    EXPECT_ERRNO(syscall(464, AT_FDCWD, "file", 0, "user.a", &args, 8), EINVAL);
    EXPECT_ERRNO(syscall(464, AT_FDCWD, "file", 0, "user.a", &args, 5000), E2BIG);
    EXPECT_ERRNO(syscall(464, AT_FDCWD, "file", 0, "user.a", 8, sizeof args), EFAULT);
    EXPECT_ERRNO(syscall(465, AT_FDCWD, "file", 1, text, sizeof text), EINVAL);
    EXPECT_ERRNO(syscall(465, AT_FDCWD, "missing", 0, text, sizeof text), ENOENT);
    int fd = MUST(open("file", O_RDWR));
    args.value = (uint64_t)(uintptr_t)"w";
    args.size = 1;
    EXPECT_EQ(syscall(463, fd, "", AT_EMPTY_PATH, "user.b", &args, sizeof args), 0);
    EXPECT_EQ(syscall(465, fd, "", AT_EMPTY_PATH, text, sizeof text), 7);
    EXPECT_STR(text, "user.b");
    args.flags = 2; /* XATTR_REPLACE */
    EXPECT_ERRNO(syscall(463, fd, "", AT_EMPTY_PATH, "user.c", &args, sizeof args), ENODATA);
    args.flags = 1; /* XATTR_CREATE */
    EXPECT_ERRNO(syscall(463, fd, "", AT_EMPTY_PATH, "user.b", &args, sizeof args), EEXIST);
    EXPECT_ERRNO(syscall(464, fd, "", AT_EMPTY_PATH, "user.b", &args, sizeof args), EINVAL);
}

CASE(keys_session)
{
    long keyring = syscall(SYS_keyctl, 1, NULL); /* join a new anonymous session */
    SKIP_IF(keyring < 0 && errno == ENOSYS, "no keys");
    EXPECT(keyring > 0);
    EXPECT_EQ(syscall(SYS_keyctl, 0, -3, 0), keyring); /* id of the session keyring */
    EXPECT_ERRNO(syscall(SYS_keyctl, 9999), EOPNOTSUPP);
}

CASE(file_handles)
{
    tap_tmpdir();
    tap_write_file("file", "x");
    struct {
        unsigned size;
        int type;
        unsigned char bytes[128];
    } handle = {0};
    int mount_id = -1;
    long result = syscall(SYS_name_to_handle_at, AT_FDCWD, "file", &handle, &mount_id, 0);
    EXPECT_EQ(result, -1);
    EXPECT(errno == EOVERFLOW || errno == EOPNOTSUPP);
    EXPECT_ERRNO(syscall(SYS_name_to_handle_at, AT_FDCWD, "missing", &handle, &mount_id, 0),
                 ENOENT);
}

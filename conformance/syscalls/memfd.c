/* SPDX-License-Identifier: Apache-2.0 */
/* memfd_create with seals, process_vm_readv and process_vm_writev, /dev/shm. */
#include "tap.h"

#include <fcntl.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/uio.h>

static int sealed(int seals)
{
    int fd = MUST(memfd_create("sealed", MFD_ALLOW_SEALING));
    MUST(ftruncate(fd, 4096));
    EXPECT_EQ(fcntl(fd, F_ADD_SEALS, seals), 0);
    return fd;
}

CASE(memfd_is_a_file)
{
    int fd = MUST(memfd_create("name", 0));
    struct stat st;
    EXPECT_EQ(fstat(fd, &st), 0);
    EXPECT_EQ(st.st_mode & S_IFMT, S_IFREG);
    EXPECT_EQ(st.st_size, 0);
    EXPECT_EQ(st.st_nlink, 0);
    EXPECT_EQ(write(fd, "hello", 5), 5);
    char text[64] = {0};
    EXPECT_EQ(pread(fd, text, 8, 0), 5);
    EXPECT_STR(text, "hello");
    char path[64];
    snprintf(path, sizeof path, "/proc/self/fd/%d", fd);
    memset(text, 0, sizeof text);
    EXPECT(readlink(path, text, sizeof text - 1) > 0);
    EXPECT_STR(text, "/memfd:name (deleted)");
    char *p = (char *)MUST(mmap(NULL, 4096, PROT_READ, MAP_SHARED, fd, 0));
    EXPECT_MEM(p, "hello", 5);
}

CASE(memfd_flags)
{
    int fd = MUST(memfd_create("x", MFD_CLOEXEC));
    EXPECT_EQ(fcntl(fd, F_GETFD), FD_CLOEXEC);
    EXPECT_EQ(fcntl(fd, F_GET_SEALS), F_SEAL_SEAL);
    EXPECT_ERRNO(fcntl(fd, F_ADD_SEALS, F_SEAL_WRITE), EPERM);
    EXPECT_ERRNO(memfd_create("x", 0x100), EINVAL);
    EXPECT_ERRNO(syscall(SYS_memfd_create, (void *)8, 0), EFAULT);
    char name[300];
    memset(name, 'n', sizeof name);
    name[249] = '\0';
    EXPECT_OK(memfd_create(name, 0));
    name[249] = 'n';
    name[250] = '\0';
    EXPECT_ERRNO(memfd_create(name, 0), EINVAL);
}

CASE(seal_sizes)
{
    int fd = sealed(F_SEAL_SHRINK);
    EXPECT_ERRNO(ftruncate(fd, 100), EPERM);
    EXPECT_EQ(ftruncate(fd, 8192), 0);
    fd = sealed(F_SEAL_GROW);
    EXPECT_EQ(ftruncate(fd, 100), 0);
    EXPECT_ERRNO(ftruncate(fd, 101), EPERM);
    EXPECT_ERRNO(pwrite(fd, "x", 1, 4096), EPERM);
    EXPECT_EQ(fcntl(fd, F_GET_SEALS), F_SEAL_GROW);
}

CASE(seal_writes)
{
    int fd = MUST(memfd_create("sealed", MFD_ALLOW_SEALING));
    MUST(ftruncate(fd, 4096));
    char *p = (char *)MUST(mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0));
    EXPECT_ERRNO(fcntl(fd, F_ADD_SEALS, F_SEAL_WRITE), EBUSY);
    MUST(munmap(p, 4096));
    EXPECT_EQ(fcntl(fd, F_ADD_SEALS, F_SEAL_WRITE), 0);
    EXPECT_ERRNO(write(fd, "x", 1), EPERM);
    EXPECT_ERRNO(mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0), EPERM);
    EXPECT_OK(mmap(NULL, 4096, PROT_READ, MAP_SHARED, fd, 0));
    EXPECT_OK(mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_PRIVATE, fd, 0));
    EXPECT_ERRNO(fallocate(fd, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, 0, 1), EPERM);
}

CASE(seal_seals)
{
    int fd = sealed(F_SEAL_SEAL);
    EXPECT_ERRNO(fcntl(fd, F_ADD_SEALS, F_SEAL_GROW), EPERM);
    fd = MUST(memfd_create("x", MFD_ALLOW_SEALING));
    EXPECT_ERRNO(fcntl(fd, F_ADD_SEALS, 0x1000), EINVAL);
    int fds[2];
    MUST(pipe(fds));
    EXPECT_ERRNO(fcntl(fds[0], F_GET_SEALS), EINVAL);
}

CASE(seal_future_writes)
{
    int fd = MUST(memfd_create("x", MFD_ALLOW_SEALING));
    MUST(ftruncate(fd, 4096));
    char *p = (char *)MUST(mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0));
    EXPECT_EQ(fcntl(fd, F_ADD_SEALS, 0x10), 0);
    p[0] = 'w';
    EXPECT_ERRNO(write(fd, "x", 1), EPERM);
    EXPECT_ERRNO(mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0), EPERM);
}

CASE(process_vm_transfers)
{
    char *page = tap_pages(2);
    strcpy(page, "in the child");
    struct gate ready;
    gate_init(&ready);
    CHILD(pid)
    {
        strcpy(page, "CHILD'S COPY");
        gate_pass(&ready);
        for (;;)
            pause();
    }
    gate_wait(&ready);
    char a[6] = {0}, b[20] = {0};
    struct iovec local[2] = {{a, 5}, {b, 8}};
    struct iovec remote = {page, 13};
    EXPECT_EQ(process_vm_readv(pid, local, 2, &remote, 1, 0), 13);
    EXPECT_STR(a, "CHILD");
    EXPECT_STR(b, "'S COPY");
    local[0] = (struct iovec){"hello", 6};
    EXPECT_EQ(process_vm_writev(pid, local, 1, &remote, 1, 0), 6);
    local[0] = (struct iovec){b, 6};
    EXPECT_EQ(process_vm_readv(pid, local, 1, &remote, 1, 0), 6);
    EXPECT_STR(b, "hello");
    EXPECT_STR(page, "in the child");
    remote = (struct iovec){(void *)8, 4};
    EXPECT_ERRNO(process_vm_readv(pid, local, 1, &remote, 1, 0), EFAULT);
    EXPECT_ERRNO(process_vm_readv(pid, local, 1, &remote, 1, 1), EINVAL);
    EXPECT_ERRNO(process_vm_readv(0x3fffff, local, 1, &remote, 1, 0), ESRCH);
    EXPECT_ERRNO(process_vm_readv(pid, local, 1025, &remote, 1, 0), EINVAL);
    EXPECT_EQ(process_vm_readv(pid, local, 1, &remote, 0, 0), 0);
    kill(pid, SIGKILL);
    EXPECT_KILLED(pid, SIGKILL);
}

CASE(process_vm_partial)
{
    char *pages = tap_pages(2);
    memset(pages, 'a', 8192);
    MUST(munmap(pages + 4096, 4096));
    char back[100];
    struct iovec local = {back, 100};
    struct iovec remote[2] = {{pages + 4096 - 10, 10}, {pages + 4096, 10}};
    EXPECT_EQ(process_vm_readv(getpid(), &local, 1, remote, 2, 0), 10);
    remote[0].iov_len = 20;
    EXPECT_EQ(process_vm_readv(getpid(), &local, 1, remote, 1, 0), 10);
}

CASE(process_vm_permission)
{
    struct gate ready;
    gate_init(&ready);
    CHILD(victim)
    {
        gate_pass(&ready);
        for (;;)
            pause();
    }
    gate_wait(&ready);
    CHILD(pid)
    {
        MUST(setuid(1000));
        char byte = 0;
        struct iovec local = {&byte, 1};
        EXPECT_ERRNO(process_vm_readv(victim, &local, 1, &local, 1, 0), EPERM);
    }
    EXPECT_EXIT(pid, 0);
    kill(victim, SIGKILL);
    EXPECT_KILLED(victim, SIGKILL);
}

CASE(shm_open_in_dev_shm)
{
    char name[64];
    snprintf(name, sizeof name, "/conformance.%d", (int)getpid());
    int fd = MUST(shm_open(name, O_RDWR | O_CREAT | O_EXCL, 0600));
    MUST(ftruncate(fd, 4096));
    char *p = (char *)MUST(mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0));
    CHILD(pid)
    {
        int own = MUST(shm_open(name, O_RDWR, 0));
        char *q = (char *)MUST(mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_SHARED, own, 0));
        q[9] = 's';
    }
    EXPECT_EXIT(pid, 0);
    EXPECT_EQ(p[9], 's');
    EXPECT_EQ(shm_unlink(name), 0);
}

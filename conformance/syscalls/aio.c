/* SPDX-License-Identifier: Apache-2.0 */
/* The kernel's asynchronous I/O contexts (io_setup and friends). */
#include "tap.h"

#include <fcntl.h>
#include <linux/aio_abi.h>
#include <sys/eventfd.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <time.h>

static aio_context_t setup(void)
{
    aio_context_t context = 0;
    if (syscall(SYS_io_setup, 8, &context) < 0 && errno == ENOSYS)
        SKIP("no asynchronous I/O");
    REQUIRE(context != 0);
    return context;
}

static long submit(aio_context_t context, struct iocb *block)
{
    return syscall(SYS_io_submit, context, 1, &block);
}

CASE(read_and_write)
{
    aio_context_t context = setup();
    tap_tmpdir();
    int fd = MUST(open("file", O_RDWR | O_CREAT, 0644));
    struct iocb block = {.aio_fildes = (uint32_t)fd, .aio_lio_opcode = IOCB_CMD_PWRITE,
                         .aio_buf = (uint64_t)(uintptr_t)"hello", .aio_nbytes = 5,
                         .aio_data = 77};
    struct io_event event = {0};
    EXPECT_EQ(submit(context, &block), 1);
    EXPECT_EQ(syscall(SYS_io_getevents, context, 1, 1, &event, NULL), 1);
    EXPECT_EQ(event.data, 77);
    EXPECT_EQ(event.res, 5);
    EXPECT_EQ(event.obj, (uint64_t)(uintptr_t)&block);
    char text[8] = {0};
    block.aio_lio_opcode = IOCB_CMD_PREAD;
    block.aio_buf = (uint64_t)(uintptr_t)text;
    block.aio_nbytes = 8;
    block.aio_offset = 1;
    EXPECT_EQ(submit(context, &block), 1);
    EXPECT_EQ(syscall(SYS_io_getevents, context, 1, 1, &event, NULL), 1);
    EXPECT_EQ(event.res, 4);
    EXPECT_STR(text, "ello");
    EXPECT_EQ(syscall(SYS_io_destroy, context), 0);
    EXPECT_ERRNO(syscall(SYS_io_destroy, context), EINVAL);
}

CASE(vectors_and_sync)
{
    aio_context_t context = setup();
    tap_tmpdir();
    int fd = MUST(open("file", O_RDWR | O_CREAT, 0644));
    struct iovec iov[2] = {{"ab", 2}, {"cd", 2}};
    struct iocb block = {.aio_fildes = (uint32_t)fd, .aio_lio_opcode = IOCB_CMD_PWRITEV,
                         .aio_buf = (uint64_t)(uintptr_t)iov, .aio_nbytes = 2};
    struct io_event event = {0};
    EXPECT_EQ(submit(context, &block), 1);
    EXPECT_EQ(syscall(SYS_io_getevents, context, 1, 1, &event, NULL), 1);
    EXPECT_EQ(event.res, 4);
    block = (struct iocb){.aio_fildes = (uint32_t)fd, .aio_lio_opcode = IOCB_CMD_FSYNC};
    EXPECT_EQ(submit(context, &block), 1);
    EXPECT_EQ(syscall(SYS_io_getevents, context, 1, 1, &event, NULL), 1);
    EXPECT_EQ(event.res, 0);
}

CASE(errors)
{
    aio_context_t context = setup();
    aio_context_t bad = 0;
    struct iocb block = {.aio_fildes = 999, .aio_lio_opcode = IOCB_CMD_PREAD};
    EXPECT_ERRNO(submit(context, &block), EBADF);
    block = (struct iocb){.aio_fildes = 0, .aio_lio_opcode = 99};
    EXPECT_ERRNO(submit(context, &block), EINVAL);
    EXPECT_ERRNO(syscall(SYS_io_submit, 0, 1, NULL), EINVAL);
    EXPECT_ERRNO(syscall(SYS_io_submit, context, 1, (void *)8), EFAULT);
    EXPECT_EQ(syscall(SYS_io_submit, context, 0, NULL), 0);
    EXPECT_ERRNO(syscall(SYS_io_setup, 0, &bad), EINVAL);
    bad = 5;
    EXPECT_ERRNO(syscall(SYS_io_setup, 8, &bad), EINVAL);
    struct timespec none = {0, 0};
    struct io_event event;
    EXPECT_EQ(syscall(SYS_io_getevents, context, 0, 1, &event, &none), 0);
    EXPECT_EQ(syscall(SYS_io_getevents, context, 1, 1, &event, &none), 0);
    EXPECT_ERRNO(syscall(SYS_io_getevents, 0, 1, 1, &event, &none), EINVAL);
}

CASE(completion_by_eventfd)
{
    aio_context_t context = setup();
    int notify = MUST(eventfd(0, 0));
    int zero = MUST(open("/dev/zero", O_RDONLY));
    char text[8];
    struct iocb block = {.aio_fildes = (uint32_t)zero, .aio_lio_opcode = IOCB_CMD_PREAD,
                         .aio_buf = (uint64_t)(uintptr_t)text, .aio_nbytes = 8,
                         .aio_flags = IOCB_FLAG_RESFD, .aio_resfd = (uint32_t)notify};
    EXPECT_EQ(submit(context, &block), 1);
    eventfd_t count = 0;
    EXPECT_EQ(eventfd_read(notify, &count), 0);
    EXPECT_EQ(count, 1);
}

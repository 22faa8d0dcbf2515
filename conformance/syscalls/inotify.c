/* SPDX-License-Identifier: Apache-2.0 */
/* inotify: which events come, in which order, with which names. */
#include "tap.h"

#include <dirent.h>
#include <fcntl.h>
#include <poll.h>
#include <sys/inotify.h>
#include <sys/ioctl.h>
#include <sys/stat.h>
#include <sys/syscall.h>

static int watcher(void)
{
    int fd = inotify_init1(IN_NONBLOCK | IN_CLOEXEC);
    if (fd < 0 && errno == ENOSYS)
        SKIP("no inotify");
    return (int)MUST(fd);
}

/* The pending events as words "mask:name", in order. */
static const char *events(int fd)
{
    static char text[4096];
    char buffer[4096] __attribute__((aligned(8)));
    text[0] = '\0';
    ssize_t size;
    while ((size = read(fd, buffer, sizeof buffer)) > 0) {
        for (char *at = buffer; at < buffer + size;) {
            struct inotify_event *event = (void *)at;
            char word[300];
            snprintf(word, sizeof word, "%s%x:%s", text[0] ? " " : "", event->mask,
                     event->len ? event->name : "");
            strcat(text, word);
            at += sizeof *event + event->len;
        }
    }
    return text;
}

CASE(file_events)
{
    int fd = watcher();
    tap_tmpdir();
    tap_write_file("file", "x");
    MUST(inotify_add_watch(fd, "file", IN_ALL_EVENTS));
    int file = MUST(open("file", O_RDWR));
    char byte;
    EXPECT_EQ(read(file, &byte, 1), 1);
    EXPECT_EQ(write(file, "y", 1), 1);
    EXPECT_EQ(fchmod(file, 0600), 0);
    close(file);
    EXPECT_STR(events(fd), "20: 1: 2: 4: 8:");
    file = MUST(open("file", O_RDONLY));
    close(file);
    EXPECT_STR(events(fd), "20: 10:");
}

CASE(directory_events)
{
    int fd = watcher();
    tap_tmpdir();
    MUST(inotify_add_watch(fd, ".", IN_CREATE | IN_DELETE | IN_MOVE | IN_CLOSE_WRITE));
    tap_write_file("a", "x");
    MUST(mkdir("dir", 0755));
    MUST(rename("a", "b"));
    MUST(link("b", "c"));
    MUST(unlink("b"));
    MUST(rmdir("dir"));
    EXPECT_STR(events(fd), "100:a 8:a 40000100:dir 40:a 80:b 100:c 200:b 40000200:dir");
}

CASE(rename_has_one_cookie)
{
    int fd = watcher();
    tap_tmpdir();
    tap_write_file("a", "x");
    MUST(inotify_add_watch(fd, ".", IN_MOVE));
    MUST(rename("a", "b"));
    char buffer[256] __attribute__((aligned(8)));
    ssize_t size = read(fd, buffer, sizeof buffer);
    EXPECT_EQ(size, 2 * (sizeof(struct inotify_event) + 16));
    struct inotify_event *first = (void *)buffer;
    struct inotify_event *second = (void *)(buffer + sizeof *first + first->len);
    EXPECT(first->cookie != 0);
    EXPECT_EQ(first->cookie, second->cookie);
}

CASE(end_of_a_watched_file)
{
    int fd = watcher();
    tap_tmpdir();
    tap_write_file("file", "x");
    MUST(inotify_add_watch(fd, "file", IN_ALL_EVENTS));
    MUST(unlink("file"));
    EXPECT_STR(events(fd), "4: 400: 8000:");
}

CASE(equal_events_merge)
{
    int fd = watcher();
    tap_tmpdir();
    tap_write_file("file", "x");
    MUST(inotify_add_watch(fd, "file", IN_MODIFY));
    int file = MUST(open("file", O_RDWR));
    EXPECT_EQ(write(file, "a", 1), 1);
    EXPECT_EQ(write(file, "b", 1), 1);
    EXPECT_STR(events(fd), "2:");
}

CASE(watch_numbers_and_masks)
{
    int fd = watcher();
    tap_tmpdir();
    tap_write_file("file", "x");
    int wd = MUST(inotify_add_watch(fd, "file", IN_OPEN));
    EXPECT_EQ(wd, 1);
    EXPECT_EQ(inotify_add_watch(fd, "file", IN_CLOSE), wd);
    EXPECT_EQ(inotify_add_watch(fd, "file", IN_OPEN | IN_MASK_ADD), wd);
    EXPECT_ERRNO(inotify_add_watch(fd, "file", IN_OPEN | IN_MASK_CREATE), EEXIST);
    EXPECT_EQ(inotify_add_watch(fd, ".", IN_OPEN), 2);
    EXPECT_EQ(inotify_rm_watch(fd, wd), 0);
    EXPECT_ERRNO(inotify_rm_watch(fd, wd), EINVAL);
    EXPECT_STR(events(fd), "8000:");
}

CASE(one_shot_and_directory_only)
{
    int fd = watcher();
    tap_tmpdir();
    tap_write_file("file", "x");
    EXPECT_ERRNO(inotify_add_watch(fd, "file", IN_OPEN | IN_ONLYDIR), ENOTDIR);
    MUST(inotify_add_watch(fd, "file", (uint32_t)(IN_OPEN | IN_ONESHOT)));
    close(MUST(open("file", O_RDONLY)));
    close(MUST(open("file", O_RDONLY)));
    EXPECT_STR(events(fd), "20: 8000:");
}

CASE(errors)
{
    int fd = watcher();
    char byte;
    int count = -1;
    EXPECT_ERRNO(inotify_init1(1), EINVAL);
    EXPECT_ERRNO(inotify_add_watch(fd, "/missing", IN_OPEN), ENOENT);
    EXPECT_ERRNO(inotify_add_watch(fd, "/", 0), EINVAL);
    EXPECT_ERRNO(inotify_add_watch(0, "/", IN_OPEN), EINVAL);
    EXPECT_ERRNO(inotify_add_watch(-1, "/", IN_OPEN), EBADF);
    EXPECT_ERRNO(inotify_rm_watch(fd, 99), EINVAL);
    EXPECT_ERRNO(read(fd, &byte, 1), EAGAIN);
    EXPECT_EQ(ioctl(fd, FIONREAD, &count), 0);
    EXPECT_EQ(count, 0);
    EXPECT_ERRNO(write(fd, &byte, 1), EBADF);
    EXPECT_OK(syscall(SYS_inotify_init));
}

CASE(small_buffer_and_poll)
{
    int fd = watcher();
    tap_tmpdir();
    MUST(inotify_add_watch(fd, ".", IN_CREATE));
    struct pollfd p = {fd, POLLIN, 0};
    EXPECT_EQ(poll(&p, 1, 0), 0);
    tap_write_file("file", "x");
    EXPECT_EQ(poll(&p, 1, 0), 1);
    char buffer[16];
    EXPECT_ERRNO(read(fd, buffer, sizeof buffer), EINVAL);
    EXPECT_STR(events(fd), "100:file");
}

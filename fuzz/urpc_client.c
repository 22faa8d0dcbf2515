/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Bytes as the answer of a hostile sandbox to the command line: a refusal has its reason, a result
 * is JSON, and descriptors that rode on it are closed. The first byte says how the rest is cut.
 */
#include <stdlib.h>
#include <string.h>
#include <errno.h>
#include <sys/socket.h>
#include <unistd.h>

#include "wire/urpc/client.h"

static void send_all(int fd, const u8 *bytes, size_t size, int donated)
{
    union {
        struct cmsghdr head;
        char room[CMSG_SPACE(sizeof(int))];
    } control = {0};
    struct iovec vec = {(void *)(uintptr_t)bytes, size};
    struct msghdr message = {.msg_iov = &vec, .msg_iovlen = 1};
    if (donated >= 0) {
        message.msg_control = control.room;
        message.msg_controllen = sizeof control.room;
        struct cmsghdr *head = CMSG_FIRSTHDR(&message);
        *head = (struct cmsghdr){CMSG_LEN(sizeof(int)), SOL_SOCKET, SCM_RIGHTS};
        memcpy(CMSG_DATA(head), &donated, sizeof donated);
    }
    if (size && sendmsg(fd, &message, MSG_NOSIGNAL | MSG_DONTWAIT) < 0)
        abort();
}

int LLVMFuzzerTestOneInput(const u8 *bytes, size_t size);
int LLVMFuzzerTestOneInput(const u8 *bytes, size_t size)
{
    int fds[2];
    struct urpc_client *client = NULL;
    struct urpc_answer answer = {0};
    struct error err = {0};
    if (size < 1 || size > 60000)
        return 0;
    if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, fds) ||
        urpc_client_from_fd(fds[0], &client, &err))
        abort();
    size_t cut = MIN((size_t)bytes[0] * 4, size - 1);
    send_all(fds[1], bytes + 1, cut, bytes[0] & 1 ? STDIN_FILENO : -1);
    send_all(fds[1], bytes + 1 + cut, size - 1 - cut, bytes[0] & 2 ? STDIN_FILENO : -1);
    shutdown(fds[1], SHUT_WR);
    int result = urpc_call_receive(client, &answer, &err);
    if (result && err.code != EREMOTEIO && !err.text[0])
        abort();
    if (!result) {
        i64 number;
        bool truth;
        const char *text;
        (void)!urpc_answer_i64(&answer, &number, &err);
        (void)!urpc_answer_bool(&answer, &truth, &err);
        (void)!urpc_answer_string(&answer, &text, &err);
        (void)json_type(answer.result);
    }
    urpc_answer_fini(&answer);
    urpc_client_close(client);
    close(fds[1]);
    return 0;
}

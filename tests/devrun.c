/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A sandbox without the command line, for work on the sentry: devrun [-p platform] [-s] [-r ROOT]
 * PROGRAM ARG... runs PROGRAM of the host's ROOT (default /) under an in-memory overlay; -s prints
 * system calls to stderr. No namespaces, no filter: not for untrusted programs.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include "gofer/gofer_serve.h"
#include "runtime/boot.h"
#include "wire/urpc/client.h"

int boot_confine(const struct sandbox_options *options, const char *platform, struct error *err)
{
    return 0;
}
int kill(int pid, int signo); /* <signal.h> has names of its own for poll bits */
static int listener;
static struct sockaddr_un address = {.sun_family = AF_UNIX};

void boot_ready(const struct sandbox_options *options)
{
    if (fork() != 0)
        return;
    struct error err;
    struct urpc_client *client;
    struct urpc_answer answer = {0};
    char name[128];
    snprintf(name, sizeof name, "@%s", address.sun_path + 1);
    if (urpc_client_connect(name, &client, &err) ||
        urpc_call(client, "containerManager.StartRoot", "\"dev\"", NULL, 0, &answer, &err)) {
        fprintf(stderr, "devrun: %s\n", err.text);
        kill(getppid(), 9);
    }
    _exit(0);
}
void boot_failed(const struct sandbox_options *options, const struct error *err)
{
    fprintf(stderr, "devrun: %s\n", err->text);
}
void boot_status(const struct sandbox_options *options, u32 wait_status)
{
}
int boot_exit_code(u32 status)
{
    return status & 0x7f ? 128 + (int)(status & 0x7f) : (int)(status >> 8 & 0xff);
}

static void serve_files(int socket, const char *root)
{
    struct error err;
    struct host *host = host_linux_create();
    struct gofer_mount mount = {
        .socket = socket, .root = open(root, O_PATH | O_CLOEXEC), .options = {.is_readonly = true}};
    if (gofer_serve(host, &mount, 1, &err))
        fprintf(stderr, "devrun: gofer: %s\n", err.text);
    _exit(0);
}

static char *make_spec(int argc, char **argv)
{
    char *text = malloc(65536);
    int at = sprintf(
        text, "{\"ociVersion\":\"1.0.0\",\"root\":{\"path\":\"/\"},\"process\":{\"cwd\":\"/"
              "\",\"env\":[\"PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/"
              "bin\",\"TERM=xterm\",\"HOME=/root\"],"
              "\"user\":{\"uid\":0,\"gid\":0},\"capabilities\":{\"bounding\":[\"CAP_CHOWN\",\"CAP_"
              "DAC_OVERRIDE\",\"CAP_FOWNER\",\"CAP_SETUID\",\"CAP_SETGID\",\"CAP_KILL\",\"CAP_"
              "MKNOD\",\"CAP_SYS_CHROOT\",\"CAP_SYS_ADMIN\",\"CAP_SETPCAP\",\"CAP_FSETID\",\"CAP_"
              "SYS_PTRACE\",\"CAP_SYS_RESOURCE\",\"CAP_SYS_NICE\"]},\"args\":[");
    for (int i = 0; i < argc; i++) {
        text[at++] = '"';
        for (const char *c = argv[i]; *c; c++) {
            if (*c == '"' || *c == '\\')
                text[at++] = '\\';
            if (*c == '\n') {
                text[at++] = '\\';
                text[at++] = 'n';
                continue;
            }
            text[at++] = *c;
        }
        text[at++] = '"';
        if (i + 1 < argc)
            text[at++] = ',';
    }
    strcpy(text + at, "]},\"mounts\":[{\"destination\":\"/"
                      "proc\",\"type\":\"proc\"},{\"destination\":\"/dev\",\"type\":\"tmpfs\"},"
                      "{\"destination\":\"/tmp\",\"type\":\"tmpfs\"},{\"destination\":\"/"
                      "sys\",\"type\":\"sysfs\"}]}");
    return text;
}

int main(int argc, char **argv)
{
    static struct sandbox_options options = {.container_id = "dev",
                                             .bundle = "/",
                                             .version = "dev",
                                             .platform = "ptrace",
                                             .platform_fd = -1,
                                             .cpu_count = 1,
                                             .memory_total = (u64)8 << 30,
                                             .overlay = "all:memory",
                                             .console_fd = -1,
                                             .exec_fd = -1,
                                             .ready_fd = -1,
                                             .status_fd = -1,
                                             .log_fd = 2,
                                             .user_log_fd = -1};
    const char *root = "/";
    int c;
    while ((c = getopt(argc, argv, "+p:sdr:k:")) != -1) {
        if (c == 'p')
            options.platform = optarg;
        else if (c == 's')
            options.has_strace = options.is_debug = true;
        else if (c == 'd')
            options.is_debug = true;
        else if (c == 'k')
            options.cpu_count = (u32)atoi(optarg);
        else
            root = optarg;
    }
    int pair[2];
    if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, pair))
        return 1;
    if (fork() == 0) {
        close(pair[0]);
        serve_files(pair[1], root);
    }
    close(pair[1]);
    options.gofers[0] = pair[0];
    options.gofer_count = 1;
    options.conf_count = 1;
    options.confs[0] = (struct gofer_mount_conf){.lower = GOFER_LOWER_LISAFS,
                                                 .upper = GOFER_UPPER_MEMORY};
    for (int i = 0; i < 3; i++)
        options.stdio[i] = dup(i);
    options.spec_text = make_spec(argc - optind, argv + optind);
    options.spec_size = strlen(options.spec_text);
    snprintf(address.sun_path + 1, sizeof address.sun_path - 1, "devrun-%d", getpid());
    listener = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (bind(listener, (struct sockaddr *)&address,
             (socklen_t)(3 + strlen(address.sun_path + 1))) ||
        listen(listener, 16))
        return 1;
    options.control_fds[0] = listener;
    options.control_fds[1] = -1;
    return sandbox_main(&options);
}

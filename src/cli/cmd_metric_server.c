/* SPDX-License-Identifier: Apache-2.0 */
/*
 * metric-server: an HTTP server on --metric-server's address that asks every sandbox under --root
 * at each scrape of /metrics. One request at a time: a scraper that is slow is cut off after some
 * seconds.
 */
#include "base/regexp.h"
#include "cli/commands.h"
#include "cli/prometheus.h"
#include "runtime/control.h"

#include <errno.h>
#include <netinet/in.h>
#include <arpa/inet.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <sys/un.h>
#include <time.h>
#include <unistd.h>

#define REQUEST_SIZE_MAX 8192u
#define CLIENT_SECONDS 5
#define CALL_TIMEOUT_NS (5 * NS_PER_S)
#define SCRAPE_SIZE_MAX ((size_t)64 << 20)

struct server {
    struct cli *cli;
    const struct metric_server_options *options;
    const char *root;
    int socket;
    time_t started;
};

/* ---- the address ---------------------------------------------------------------------------- */

static int listen_at(const char *address, int *out, struct error *err)
{
    struct sockaddr_un un = {.sun_family = AF_UNIX};
    struct sockaddr_in in = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_ANY)};
    const char *colon = strrchr(address, ':');
    bool is_path = address[0] == '/' || !colon;
    char host[64] = "";
    if (!is_path) {
        snprintf(host, sizeof host, "%.*s", (int)(colon - address), address);
        unsigned long port = strtoul(colon + 1, NULL, 10);
        if (port > 65535 || (*host && inet_pton(AF_INET, host, &in.sin_addr) != 1))
            return error_set(err, EINVAL, "invalid metric server address \"%s\"", address);
        in.sin_port = htons((u16)port);
    } else if (strlen(address) >= sizeof un.sun_path) {
        return error_set(err, ENAMETOOLONG, "metric server address \"%s\" is too long", address);
    } else {
        memcpy(un.sun_path, address, strlen(address) + 1);
        unlink(address);
    }
    int one = 1, fd = socket(is_path ? AF_UNIX : AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (fd >= 0)
        setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &one, sizeof one);
    if (fd < 0 ||
        (is_path ? bind(fd, (struct sockaddr *)&un, sizeof un)
                 : bind(fd, (struct sockaddr *)&in, sizeof in)) < 0 ||
        listen(fd, 16) < 0) {
        error_errno(err, "cannot listen on TCP or unix address \"%s\"", address);
        if (fd >= 0)
            close(fd);
        return -1;
    }
    *out = fd;
    return 0;
}

/* "%RUNTIME_ROOT%" stands for the folder of records. */
static char *address_of(const char *given, const char *root, struct pool *pool)
{
    static const char mark[] = "%RUNTIME_ROOT%";
    const char *at = strstr(given, mark);
    return at ? pool_printf(pool, "%.*s%s%s", (int)(at - given), given, root, at + strlen(mark))
              : pool_strdup(pool, given);
}

/* ---- a scrape ------------------------------------------------------------------------------- */

struct scrape {
    struct buf body;    /* sandboxes' own metrics */
    struct buf parts;   /* lines of runsc_meta_ metrics that each sandbox has */
    const char *filter; /* regexp for the sandboxes */
    const char *prefix;
    u32 total, running, broken, checkpointed, restored;
};

static int put_meta(struct scrape *scrape, const char *labels, const struct record *record,
                    bool is_running, const struct config *config)
{
    const struct record_sandbox *sandbox = record->sandbox;
    struct json_text version = json_member(record->spec, "ociVersion");
    return buf_printf(
        &scrape->parts,
        "runsc_meta_sandbox_presence{%s} 1\nrunsc_meta_sandbox_running{%s} %d\n"
        "runsc_meta_sandbox_checkpointed{%s} %d\nrunsc_meta_sandbox_restored{%s} %d\n"
        "runsc_meta_sandbox_metadata{%s,network=\"%s\",platform=\"%s\",version=\"%s\"} "
        "1\nrunsc_meta_spec_metadata{%s,ociversion=%.*s} 1\n",
        labels, labels, is_running, labels, sandbox->is_checkpointed, labels, sandbox->is_restored,
        labels, config->network, config->platform, PICKET_VERSION, labels,
        version.bytes ? (int)version.size : 2, version.bytes ? version.bytes : "\"\"");
}

/* What it says of itself; false when it cannot be asked or its answer is no metrics. */
static bool ask_sandbox(struct scrape *scrape, struct record *record)
{
    struct urpc_client *client = NULL;
    AUTO_URPC_ANSWER struct urpc_answer answer = {0};
    struct error err;
    u32 count = 0;
    char *arg = pool_printf(&record->pool, "{\"only_metrics\":%s}",
                            control_string(&record->pool, scrape->filter));
    if (control_connect(record, &client, &err) < 0)
        return false;
    urpc_client_set_timeout(client, CALL_TIMEOUT_NS);
    bool is_fine = urpc_call(client, "Metrics.Export", arg, NULL, 0, &answer, &err) == 0 &&
                   prometheus_put(&scrape->body, answer.result, scrape->prefix, record, &count) ==
                       0;
    urpc_client_close(client);
    return is_fine;
}

static void scrape_record(struct server *server, struct scrape *scrape, struct record *record)
{
    bool is_running = sandbox_is_alive(record);
    scrape->total++;
    scrape->running += is_running;
    scrape->checkpointed += record->sandbox->is_checkpointed;
    scrape->restored += record->sandbox->is_restored;
    if (put_meta(scrape, prometheus_labels(record, &record->pool), record, is_running,
                 &server->cli->config) ||
        (is_running && !ask_sandbox(scrape, record)))
        scrape->broken++;
}

static void scrape_all(struct server *server, struct scrape *scrape)
{
    struct runtime runtime;
    struct error err;
    struct full_id *ids = NULL;
    u32 count = 0;
    if (runtime_open(&server->cli->config, false, &runtime, &err) < 0)
        return;
    if (state_dir_list(runtime.dir, &ids, &count, &err) < 0)
        count = 0;
    for (u32 i = 0; i < count; i++) {
        AUTO_RECORD struct record *record = NULL;
        if (strcmp(ids[i].container, ids[i].sandbox) == 0 &&
            container_load(&runtime, &ids[i], false, &record, &err) == 0)
            scrape_record(server, scrape, record);
    }
    free(ids);
    runtime_close(&runtime);
}

static int put_scrape(struct server *server, const char *filter, struct buf *out)
{
    struct arena arena;
    heap_arena_init(&arena);
    struct scrape scrape = {.filter = filter, .prefix = server->options->prefix};
    buf_init(&scrape.body, &arena, SCRAPE_SIZE_MAX);
    buf_init(&scrape.parts, &arena, SCRAPE_SIZE_MAX);
    scrape_all(server, &scrape);
    int result = buf_printf(out,
                            "# TYPE process_start_time_seconds gauge\nprocess_start_time_seconds "
                            "%lld\nrunsc_meta_metric_server_presence 1\n"
                            "runsc_meta_num_sandboxes_total %u\nrunsc_meta_num_sandboxes_running "
                            "%u\nrunsc_meta_num_sandboxes_broken_metrics %u\n"
                            "runsc_meta_num_sandboxes_checkpointed %u\n"
                            "runsc_meta_num_sandboxes_restored %u\n",
                            (long long)server->started, scrape.total, scrape.running, scrape.broken,
                            scrape.checkpointed, scrape.restored);
    if (!result)
        result = buf_append(out, buf_bytes(&scrape.parts), scrape.parts.size);
    if (!result)
        result = buf_append(out, buf_bytes(&scrape.body), scrape.body.size);
    buf_fini(&scrape.body);
    buf_fini(&scrape.parts);
    return result;
}

/* ---- HTTP ----------------------------------------------------------------------------------- */

/* The value of query NAME in TARGET, %XX decoded, into OUT; "" when it is not there. */
static void query(const char *target, const char *name, char *out, size_t size)
{
    size_t at = 0, length = strlen(name);
    const char *part = strchr(target, '?');
    out[0] = 0;
    while (part) {
        part++;
        if (strncmp(part, name, length) == 0 && part[length] == '=')
            break;
        part = strchr(part, '&');
    }
    if (!part)
        return;
    for (part += length + 1; *part && *part != '&' && at + 1 < size; part++) {
        unsigned byte;
        if (*part == '%' && sscanf(part + 1, "%2x", &byte) == 1 && part[1] && part[2]) {
            out[at++] = (char)byte;
            part += 2;
        } else {
            out[at++] = *part == '+' ? ' ' : *part;
        }
    }
    out[at] = 0;
}

static bool is_path(const char *target, const char *path)
{
    size_t size = strlen(path);
    return strncmp(target, path, size) == 0 && (target[size] == 0 || target[size] == '?');
}

/* The body for TARGET and its status. */
static int respond(struct server *server, const char *target, struct buf *out)
{
    char value[1024];
    struct regexp regexp;
    if (is_path(target, "/metrics")) {
        query(target, "runsc-sandbox-metrics-filter", value, sizeof value);
        if (regexp_compile(&regexp, value))
            return buf_append_text(out, "invalid filter\n") ? 500 : 400;
        return put_scrape(server, value, out) ? 500 : 200;
    }
    if (is_path(target, "/runsc-metrics/healthcheck")) {
        query(target, "root", value, sizeof value);
        if (!server->options->allows_unknown_root && *value && strcmp(value, server->root) != 0)
            return buf_append_text(out, "this server has another root\n") ? 500 : 400;
        return buf_append_text(out, "runsc-metrics:OK\n") ? 500 : 200;
    }
    if (is_path(target, "/runsc-metrics/pid"))
        return buf_printf(out, "%d\n", (int)getpid()) ? 500 : 200;
    if (is_path(target, "/"))
        return buf_append_text(out, "<html><head><title>runsc metrics</title></head><body><p><a "
                                    "href=\"/metrics\">metrics</a></p></body></html>\n")
                   ? 500
                   : 200;
    return buf_append_text(out, "not found\n") ? 500 : 404;
}

static void send_all(int fd, const void *bytes, size_t size)
{
    for (const u8 *at = bytes; size > 0;) {
        ssize_t sent = send(fd, at, size, MSG_NOSIGNAL);
        if (sent <= 0)
            return;
        at += sent;
        size -= (size_t)sent;
    }
}

/* The request's head, within the size and the time that a client has. */
static bool read_request(int fd, char *out)
{
    size_t size = 0;
    time_t end = time(NULL) + CLIENT_SECONDS;
    while (size < REQUEST_SIZE_MAX - 1 && time(NULL) <= end) {
        ssize_t got = recv(fd, out + size, REQUEST_SIZE_MAX - 1 - size, 0);
        if (got <= 0)
            return false;
        size += (size_t)got;
        out[size] = 0;
        if (strstr(out, "\r\n\r\n") || strstr(out, "\n\n"))
            return true;
    }
    return false;
}

static void serve(struct server *server, int fd)
{
    char request[REQUEST_SIZE_MAX], target[REQUEST_SIZE_MAX], head[256];
    const struct timeval limit = {.tv_sec = CLIENT_SECONDS};
    struct arena arena;
    setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &limit, sizeof limit);
    setsockopt(fd, SOL_SOCKET, SO_SNDTIMEO, &limit, sizeof limit);
    if (!read_request(fd, request))
        return;
    heap_arena_init(&arena);
    AUTO_BUF struct buf body;
    buf_init(&body, &arena, 2 * SCRAPE_SIZE_MAX);
    int status = 400;
    if (sscanf(request, "GET %8191s HTTP/1", target) == 1)
        status = respond(server, target, &body);
    const char *type = status == 200 && is_path(target, "/") ? "text/html"
                                                             : "text/plain; version=0.0.4";
    int size = snprintf(head, sizeof head,
                        "HTTP/1.1 %d %s\r\nContent-Type: %s\r\nContent-Length: %zu\r\nConnection: "
                        "close\r\n\r\n",
                        status, status == 200 ? "OK" : "Refused", type, body.size);
    send_all(fd, head, (size_t)size);
    send_all(fd, buf_bytes(&body), body.size);
}

int cmd_metric_server(struct cli *cli, const void *given, int argc, char **argv)
{
    struct server server = {.cli = cli, .options = given, .started = time(NULL)};
    struct runtime runtime;
    struct error err;
    AUTO_POOL struct pool pool = {0};
    pool_init(&pool, NULL);
    if (argc != 0)
        return cli_usage(cli);
    if (!*cli->config.metric_server) {
        error_set(&err, EINVAL, "metric server address must be set: --metric-server");
        return cli_fail(cli, &err);
    }
    if (runtime_open(&cli->config, true, &runtime, &err) < 0)
        return cli_fail(cli, &err);
    server.root = runtime.root;
    char *address = address_of(cli->config.metric_server, runtime.root, &pool);
    if (listen_at(address, &server.socket, &err) < 0)
        return cli_fail(cli, &err);
    if (*server.options->pid_file) {
        FILE *file = fopen(server.options->pid_file, "we");
        if (!file) {
            error_errno(&err, "cannot write pid file \"%s\"", server.options->pid_file);
            return cli_fail(cli, &err);
        }
        fprintf(file, "%d", (int)getpid());
        fclose(file);
    }
    signal(SIGPIPE, SIG_IGN);
    for (;;) {
        int fd = accept4(server.socket, NULL, NULL, SOCK_CLOEXEC);
        if (fd < 0 && errno != EINTR && errno != ECONNABORTED) {
            error_errno(&err, "accept");
            return cli_fail(cli, &err);
        }
        if (fd < 0)
            continue;
        serve(&server, fd);
        close(fd);
    }
}

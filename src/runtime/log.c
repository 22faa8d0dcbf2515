/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Log files. The error file gets one JSON object an error, without newline, appended and never
 * truncated: that is what its readers were written for.
 */
#include "runtime/log.h"

#include "base/buf.h"
#include "wire/urpc/json.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

/* One write, so that lines of several processes do not mix. */
static void line_write(int fd, const char *text, size_t size)
{
    while (size > 0) {
        ssize_t put = write(fd, text, size);
        if (put < 0 && errno == EINTR)
            continue;
        if (put <= 0)
            return;
        text += put;
        size -= (size_t)put;
    }
}

static struct timespec log_time(struct log *log)
{
    struct timespec now;
    if (log->now_ns) {
        u64 ns = log->now_ns(log);
        return (struct timespec){.tv_sec = (time_t)(ns / NS_PER_S),
                                 .tv_nsec = (long)(ns % NS_PER_S)};
    }
    clock_gettime(CLOCK_REALTIME, &now);
    return now;
}

static int log_fd(const struct log *log)
{
    return (int)(intptr_t)log->owner - 1;
}

static void write_text(struct log *log, enum log_level level, const char *room, const char *line)
{
    if (log_fd(log) < 0)
        return;
    struct timespec now = log_time(log);
    struct tm local;
    localtime_r(&now.tv_sec, &local);
    static const char letters[] = {[LOG_WARN] = 'W', [LOG_INFO] = 'I', [LOG_DEBUG] = 'D'};
    char text[2048];
    int size = snprintf(text, sizeof text, "%c%02d%02d %02d:%02d:%02d.%06ld %6d %s] %s\n",
                        letters[level], local.tm_mon + 1, local.tm_mday, local.tm_hour,
                        local.tm_min, local.tm_sec, now.tv_nsec / 1000, (int)getpid(), room, line);
    if (size > 0)
        line_write(log_fd(log), text, MIN((size_t)size, sizeof text - 1));
}

/* RFC 3339 with nanoseconds and the zone's offset, as Go prints a time. */
static void stamp(char *out, size_t size, struct timespec now)
{
    struct tm local;
    char head[32], zone[8];
    localtime_r(&now.tv_sec, &local);
    strftime(head, sizeof head, "%Y-%m-%dT%H:%M:%S", &local);
    if (local.tm_gmtoff == 0)
        snprintf(zone, sizeof zone, "Z");
    else
        snprintf(zone, sizeof zone, "%c%02ld:%02ld", local.tm_gmtoff < 0 ? '-' : '+',
                 labs(local.tm_gmtoff) / 3600 % 100, labs(local.tm_gmtoff) / 60 % 60);
    snprintf(out, size, "%s.%09ld%s", head, now.tv_nsec, zone);
}

/* {TEXT_NAME: TEXT, "level": LEVEL, "time": NOW} and END. */
static void write_object(int fd, const char *text_name, const char *text, const char *level,
                         struct timespec now, const char *end)
{
    struct arena arena;
    heap_arena_init(&arena);
    AUTO_BUF struct buf buf;
    buf_init(&buf, &arena, 0);
    struct json_writer writer;
    json_writer_init(&writer, &buf);
    char time[80];
    stamp(time, sizeof time, now);
    json_begin_object(&writer);
    json_name(&writer, text_name);
    json_put_string(&writer, text);
    json_name(&writer, "level");
    json_put_string(&writer, level);
    json_name(&writer, "time");
    json_put_string(&writer, time);
    json_end_object(&writer);
    (void)!buf_append_text(&buf, end); /* what finds no memory is lost */
    line_write(fd, (const char *)buf_bytes(&buf), buf.size);
}

static const char *const level_words[] = {
    [LOG_WARN] = "warning", [LOG_INFO] = "info", [LOG_DEBUG] = "debug"};

static void write_json(struct log *log, enum log_level level, const char *room, const char *line)
{
    (void)room;
    if (log_fd(log) >= 0)
        write_object(log_fd(log), "msg", line, level_words[level], log_time(log), "\n");
}

static void write_k8s(struct log *log, enum log_level level, const char *room, const char *line)
{
    (void)room;
    if (log_fd(log) >= 0)
        write_object(log_fd(log), "log", line, level_words[level], log_time(log), "\n");
}

void runtime_log_init(struct log *log, int fd, const char *format, bool is_debug)
{
    *log = (struct log){.level = is_debug ? LOG_DEBUG : LOG_INFO,
                        .write = strcmp(format, "json") == 0       ? write_json
                                 : strcmp(format, "json-k8s") == 0 ? write_k8s
                                                                   : write_text};
    log->owner = (void *)(intptr_t)(fd + 1);
}

void runtime_log_error(const struct config *config, const char *text)
{
    int fd = (int)config->log_fd;
    bool is_file = config->log && *config->log;
    if (is_file)
        fd = open(config->log, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0644);
    if (fd < 0)
        return;
    struct timespec now;
    clock_gettime(CLOCK_REALTIME, &now);
    write_object(fd, "msg", text, "error", now, "");
    if (is_file)
        close(fd);
}

/* ---- debug logs ---- */

/* Is COMMAND meant by LIST: "" all, "a,b" these, "!a,b" all but these? */
static bool command_is_meant(const char *list, const char *command)
{
    bool is_inverse = list[0] == '!';
    const char *at = list + is_inverse;
    if (!*at)
        return true;
    while (*at) {
        size_t size = strcspn(at, ",");
        if (size == strlen(command) && strncmp(at, command, size) == 0)
            return !is_inverse;
        at += size + (at[size] == ',');
    }
    return is_inverse;
}

/* PATTERN with its %NAME% words replaced. */
static void expand(const char *pattern, const char *command, const char *id, char *out, size_t size)
{
    struct timespec now;
    struct tm local;
    char date[32], when[64];
    clock_gettime(CLOCK_REALTIME, &now);
    localtime_r(&now.tv_sec, &local);
    strftime(date, sizeof date, "%Y%m%d-%H%M%S", &local);
    snprintf(when, sizeof when, "%s.%06ld", date, now.tv_nsec / 1000);
    const struct {
        const char *word, *value;
    } words[] = {
        {"%TIMESTAMP%", when}, {"%COMMAND%", command}, {"%ID%", id}, {"%CID%", id}, {"%TEST%", ""}};
    size_t used = 0;
    while (*pattern && used + 1 < size) {
        size_t i = 0;
        while (i < ARRAY_COUNT(words) &&
               strncmp(pattern, words[i].word, strlen(words[i].word)) != 0)
            i++;
        if (i == ARRAY_COUNT(words)) {
            out[used++] = *pattern++;
            continue;
        }
        used += (size_t)snprintf(out + used, size - used, "%s", words[i].value);
        used = MIN(used, size - 1);
        pattern += strlen(words[i].word);
    }
    out[used] = 0;
}

int debug_log_open(const struct config *config, const char *command, const char *id)
{
    if (!config->debug_log || !*config->debug_log)
        return config->debug_log_fd >= 0 ? fcntl((int)config->debug_log_fd, F_DUPFD_CLOEXEC, 3)
                                         : -1;
    if (!command_is_meant(config->debug_command ? config->debug_command : "", command))
        return -1;
    char pattern[4096], path[4096];
    size_t size = strlen(config->debug_log);
    bool is_dir = config->debug_log[size - 1] == '/';
    snprintf(pattern, sizeof pattern, "%s%s", config->debug_log,
             is_dir ? "runsc.log.%TIMESTAMP%.%COMMAND%.txt" : "");
    expand(pattern, command, id, path, sizeof path);
    char *slash = strrchr(path, '/');
    if (slash && slash != path) {
        *slash = 0;
        (void)mkdir(path, 0755);
        *slash = '/';
    }
    int fd = open(path, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0644);
    if (fd < 0)
        fprintf(stderr, "cannot open the debug log %s: %s\n", path, errno_text(errno));
    return fd;
}

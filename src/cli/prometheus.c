/* SPDX-License-Identifier: Apache-2.0 */
/* Points sorted by name; each name has HELP and TYPE once, then a line a point: NAME{labels} VALUE
 * MILLISECONDS. */
#include "cli/prometheus.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "base/sha.h"

struct point {
    const char *name;
    struct json_text text;
};

static int compare(const void *a, const void *b)
{
    const struct point *left = a, *right = b;
    int order = strcmp(left->name, right->name);
    return order ? order : left->text.bytes < right->text.bytes ? -1 : 1;
}

/* Base 36 of the first 8 bytes of SHA-256 of "ID:CREATED": another number for each sandbox of that
 * name. */
static void iteration(const struct record *record, char out[16])
{
    struct sha256 sha;
    u8 sum[SHA256_SIZE];
    u64 number = 0;
    char digits[16];
    u32 count = 0;
    sha256_init(&sha);
    sha256_add(&sha, record->sandbox->id, strlen(record->sandbox->id));
    sha256_add(&sha, ":", 1);
    sha256_add(&sha, record->created_at, strlen(record->created_at));
    sha256_end(&sha, sum);
    for (u32 i = 0; i < 8; i++)
        number = number << 8 | sum[i];
    do {
        digits[count++] = "0123456789abcdefghijklmnopqrstuvwxyz"[number % 36];
        number /= 36;
    } while (number > 0);
    for (u32 i = 0; i < count; i++)
        out[i] = digits[count - 1 - i];
    out[count] = 0;
}

char *prometheus_labels(const struct record *record, struct pool *pool)
{
    char number[16];
    const struct record_sandbox *sandbox = record->sandbox;
    iteration(record, number);
    char *text = pool_printf(pool, "iteration=\"%s\"", number);
    if (sandbox->pod_namespace && *sandbox->pod_namespace)
        text = pool_printf(pool, "%s,namespace_name=\"%s\"", text, sandbox->pod_namespace);
    if (sandbox->pod_name && *sandbox->pod_name)
        text = pool_printf(pool, "%s,pod_name=\"%s\"", text, sandbox->pod_name);
    return pool_printf(pool, "%s,sandbox=\"%s\"", text, sandbox->id);
}

/* RFC 3339 in UTC, to milliseconds since the epoch. */
static i64 milliseconds(const char *when)
{
    struct tm tm = {0};
    double second = 0;
    if (sscanf(when, "%d-%d-%dT%d:%d:%lfZ", &tm.tm_year, &tm.tm_mon, &tm.tm_mday, &tm.tm_hour,
               &tm.tm_min, &second) != 6)
        return 0;
    tm.tm_year -= 1900;
    tm.tm_mon--;
    return (i64)timegm(&tm) * 1000 + (i64)(second * 1000);
}

u32 prometheus_count(struct json_text result)
{
    struct json_text data = json_path(result, "snapshot.data");
    return json_type(data) == JSON_ARRAY ? (u32)json_count(data) : 0;
}

/* The record's labels and the point's own (the sandbox sends at most one), sorted. */
static char *labels_of(struct json_text point, const char *common, struct pool *pool)
{
    struct json_text own = json_member(point, "labels"), name, value;
    struct json_iter iter;
    if (json_type(own) != JSON_OBJECT)
        return pool_strdup(pool, common);
    json_iter_init(&iter, own);
    if (!json_iter_next(&iter, &name, &value))
        return pool_strdup(pool, common);
    char *key = json_string(name, pool, NULL), *text = json_string(value, pool, NULL);
    const char *at = common;
    while (*at && strncmp(at, key, strlen(key)) < 0) {
        const char *end = strstr(at, "\",");
        if (!end)
            return pool_printf(pool, "%s,%s=\"%s\"", common, key, text);
        at = end + 2;
    }
    return pool_printf(pool, "%.*s%s=\"%s\",%s", (int)(at - common), common, key, text, at);
}

static int put_point(struct buf *out, const struct point *point, const char *prefix,
                     const char *labels, i64 when)
{
    i64 value = 0;
    struct json_text number = json_path(point->text, "val.int");
    if (number.bytes && !json_i64(number, &value))
        return -1;
    return buf_printf(out, "%s%s{%s} %lld %lld\n", prefix, point->name, labels, (long long)value,
                      (long long)when);
}

static int put_head(struct buf *out, const struct point *point, const char *prefix,
                    struct pool *pool)
{
    static const char *const types[] = {"untyped", "gauge", "counter", "histogram"};
    u64 type = 0;
    const char *help = json_string(json_path(point->text, "metric.help"), pool, NULL);
    if (!json_u64(json_path(point->text, "metric.type"), &type) || type > 3)
        type = 0;
    return buf_printf(out, "\n# HELP %s%s %s\n# TYPE %s%s %s\n", prefix, point->name,
                      help ? help : "", prefix, point->name, types[type]);
}

int prometheus_put(struct buf *out, struct json_text result, const char *prefix,
                   const struct record *record, u32 *count)
{
    AUTO_POOL struct pool pool = {0};
    pool_init(&pool, NULL);
    struct json_text data = json_path(result, "snapshot.data"), name, value;
    const char *when = json_string(json_path(result, "snapshot.when"), &pool, NULL);
    u32 found = prometheus_count(result), filled = 0;
    if (!when)
        return -1;
    struct point *points = pool_alloc_array(&pool, found + 1, sizeof *points);
    struct json_iter iter;
    json_iter_init(&iter, data);
    while (filled < found && json_iter_next(&iter, &name, &value)) {
        points[filled].text = value;
        points[filled].name = json_string(json_path(value, "metric.name"), &pool, NULL);
        if (!points[filled++].name)
            return -1;
    }
    qsort(points, filled, sizeof *points, compare);
    char *common = prometheus_labels(record, &pool);
    for (u32 i = 0; i < filled; i++) {
        bool is_new = i == 0 || strcmp(points[i].name, points[i - 1].name) != 0;
        if (is_new && put_head(out, &points[i], prefix, &pool))
            return -1;
        if (put_point(out, &points[i], prefix, labels_of(points[i].text, common, &pool),
                      milliseconds(when)))
            return -1;
    }
    *count += filled;
    return 0;
}

/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A trace as a picture: a lane for the control calls, one for what programs write, one for each
 * task, and a mark for each record in its lane. From left to right it is virtual time, but each
 * record has the same width: most calls are a microsecond apart, timers seconds.
 */
#include "sim/report.h"

#include <stdlib.h>
#include <string.h>

#define LANES_MAX 24u
#define MARKS_MAX 4000u
#define LANE_HEIGHT 20
#define LABEL_WIDTH 150
#define MARK_WIDTH 8

struct lane {
    char name[24];
};

struct record {
    char time[24], kind[12];
    const char *text; /* lent, not terminated */
    int text_size;
};

/* The record at *AT, which moves on. False: there is no more. */
static bool next_record(const char **at, struct record *out)
{
    const char *end = strchr(*at, '\n');
    int used = 0;
    if (!end)
        return false;
    bool is_record = sscanf(*at, "%*u %23s %11s %n", out->time, out->kind, &used) == 2;
    out->text = *at + (is_record ? used : 0);
    out->text_size = out->text < end ? (int)(end - out->text) : 0;
    *at = end + 1;
    if (!is_record)
        out->kind[0] = 0;
    return true;
}

static void lane_name(const struct record *record, char name[24])
{
    unsigned tid;
    char command[16] = "";
    if (sscanf(record->text, "[%u] %15s", &tid, command) >= 1 && record->text_size > 0 &&
        (strcmp(record->kind, "sys") == 0 || strcmp(record->kind, "event") == 0))
        snprintf(name, 24, "task %u", tid);
    else if (strcmp(record->kind, "out") == 0)
        snprintf(name, 24, "output");
    else
        snprintf(name, 24, "control");
}

/* The lane NAME, made if there is room; LANES_MAX: there is none. */
static u32 lane_of(struct lane *lanes, u32 *count, const char *name)
{
    for (u32 i = 0; i < *count; i++)
        if (strcmp(lanes[i].name, name) == 0)
            return i;
    if (*count == LANES_MAX)
        return LANES_MAX;
    snprintf(lanes[*count].name, sizeof lanes[*count].name, "%s", name);
    return (*count)++;
}

static const char *colour(const char *kind)
{
    static const char *const colours[][2] = {{"rpc", "#3566b8"},   {"ret", "#8fb0e3"},
                                             {"step", "#c9d1db"},  {"sys", "#2f8f5b"},
                                             {"event", "#c2571a"}, {"out", "#7a4fb5"}};
    for (size_t i = 0; i < ARRAY_COUNT(colours); i++)
        if (strcmp(colours[i][0], kind) == 0)
            return colours[i][1];
    return "#e4e8ee";
}

static void put_mark(FILE *out, const struct record *record, u32 x, u32 lane)
{
    char text[200];
    snprintf(text, sizeof text, "%s s %s %.*s", record->time, record->kind,
             record->text_size < 150 ? record->text_size : 150, record->text);
    fprintf(out, "<rect x=\"%u\" y=\"%u\" width=\"%u\" height=\"%u\" fill=\"%s\"><title>",
            LABEL_WIDTH + x * MARK_WIDTH, lane * LANE_HEIGHT + 3, MARK_WIDTH - 1, LANE_HEIGHT - 6,
            colour(record->kind));
    report_put_xml(out, text);
    fprintf(out, "</title></rect>\n");
}

static void put_labels(FILE *out, const struct lane *lanes, u32 count, u32 width)
{
    for (u32 i = 0; i < count; i++)
        fprintf(out, "<text x=\"0\" y=\"%u\">%s</text><path d=\"M%u %uH%u\"/>\n",
                i * LANE_HEIGHT + 14, lanes[i].name, LABEL_WIDTH, (i + 1) * LANE_HEIGHT, width);
}

void report_put_lanes(FILE *out, const char *trace)
{
    struct lane lanes[LANES_MAX];
    struct record record;
    u32 count = 0, marks = 0;
    char name[24];
    for (const char *at = trace; next_record(&at, &record) && marks < MARKS_MAX; marks++) {
        lane_name(&record, name);
        (void)lane_of(lanes, &count, name);
    }
    u32 width = LABEL_WIDTH + marks * MARK_WIDTH + 1;
    fprintf(out, "<div class=\"lanes\"><svg width=\"%u\" height=\"%u\">\n", width,
            count * LANE_HEIGHT + 1);
    put_labels(out, lanes, count, width);
    const char *at = trace;
    for (u32 i = 0; i < marks && next_record(&at, &record); i++) {
        lane_name(&record, name);
        u32 lane = lane_of(lanes, &count, name);
        if (record.kind[0] && lane < LANES_MAX)
            put_mark(out, &record, i, lane);
    }
    fprintf(out, "</svg></div>\n");
}

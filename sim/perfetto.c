/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Traces as Chrome's trace-event JSON, which Perfetto opens. A run is a process; its tracks are the
 * control socket (calls are slices, as they may overlap asynchronous ones), what programs write,
 * each container (its states are slices) and each task (system calls are slices from the task's
 * last record on, exits and signals are instants). Times are virtual. Format: the "Trace Event
 * Format" of the catapult project.
 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "sim/report.h"

#define TRACKS_MAX 128u
#define CALLS_MAX 64u
#define NAME_SIZE 64u
#define TEXT_SIZE 512u

enum { TRACK_CONTROL, TRACK_OUTPUT };

struct record {
    u64 ns;
    char kind[12], text[TEXT_SIZE];
};

struct track {
    char name[NAME_SIZE];
    u64 since_ns;          /* of what is open there, or of the last record */
    char state[NAME_SIZE]; /* containers: the state that is open; "": none */
};

struct call {
    char verb[NAME_SIZE], method[NAME_SIZE];
    u64 id;
};

struct perfetto {
    FILE *out;
    u32 process;
    bool has_events;
    u64 next_call;
    struct track tracks[TRACKS_MAX];
    u32 track_count;
    struct call calls[CALLS_MAX];
    u32 call_count;
    char verb[NAME_SIZE]; /* of the step under way */
};

/* ---- writing -------------------------------------------------------------------------------------- */

/* One event up to its closing brace. PHASE as in the format: X, b, e, i, M. */
static void begin_event(struct perfetto *perfetto, char phase, u32 track, u64 ns, const char *name)
{
    fprintf(perfetto->out, "%s\n{\"ph\":\"%c\",\"pid\":%u,\"tid\":%u,\"ts\":%llu.%03llu,\"name\":",
            perfetto->has_events ? "," : "", phase, perfetto->process, track + 1,
            (unsigned long long)(ns / 1000), (unsigned long long)(ns % 1000));
    report_put_json(perfetto->out, name);
    perfetto->has_events = true;
}

static void end_event(struct perfetto *perfetto, const char *text)
{
    if (text) {
        fprintf(perfetto->out, ",\"args\":{\"text\":");
        report_put_json(perfetto->out, text);
        fputc('}', perfetto->out);
    }
    fputc('}', perfetto->out);
}

static void put_slice(struct perfetto *perfetto, u32 track, u64 from_ns, u64 to_ns,
                      const char *name, const char *category, const char *text)
{
    u64 size = to_ns > from_ns ? to_ns - from_ns : 0;
    begin_event(perfetto, 'X', track, from_ns, name);
    fprintf(perfetto->out, ",\"cat\":\"%s\",\"dur\":%llu.%03llu", category,
            (unsigned long long)(size / 1000), (unsigned long long)(size % 1000));
    end_event(perfetto, text);
}

static void put_instant(struct perfetto *perfetto, u32 track, const struct record *record,
                        const char *name)
{
    begin_event(perfetto, 'i', track, record->ns, name);
    fprintf(perfetto->out, ",\"cat\":\"%s\",\"s\":\"t\"", record->kind);
    end_event(perfetto, record->text);
}

static void put_name(struct perfetto *perfetto, const char *what, u32 track, const char *name)
{
    begin_event(perfetto, 'M', track, 0, what);
    fprintf(perfetto->out, ",\"args\":{\"name\":");
    report_put_json(perfetto->out, name);
    fprintf(perfetto->out, "}}");
}

/* The track NAME; the control socket's where there are too many. */
static u32 track_of(struct perfetto *perfetto, const char *name, u64 ns)
{
    for (u32 i = 0; i < perfetto->track_count; i++)
        if (strcmp(perfetto->tracks[i].name, name) == 0)
            return i;
    if (perfetto->track_count == TRACKS_MAX)
        return TRACK_CONTROL;
    struct track *track = &perfetto->tracks[perfetto->track_count];
    *track = (struct track){.since_ns = ns};
    snprintf(track->name, NAME_SIZE, "%s", name);
    put_name(perfetto, "thread_name", perfetto->track_count, name);
    return perfetto->track_count++;
}

/* ---- records -------------------------------------------------------------------------------------- */

static bool next_record(const char **at, struct record *out)
{
    const char *end = strchr(*at, '\n');
    unsigned long long seconds, ns;
    int used = 0;
    while (end && sscanf(*at, "%*u %llu.%9llu %11s%n", &seconds, &ns, out->kind, &used) != 3) {
        *at = end + 1;
        end = strchr(*at, '\n');
    }
    if (!end)
        return false;
    const char *text = *at + used + (*at + used < end);
    snprintf(out->text, TEXT_SIZE, "%.*s", (int)MIN((size_t)(end - text), TEXT_SIZE - 1), text);
    out->ns = (u64)seconds * NS_PER_S + (u64)ns;
    *at = end + 1;
    return true;
}

/* "[   2] helper write(1, …": slices of the task's track, named by the call. */
static void put_task(struct perfetto *perfetto, const struct record *record)
{
    unsigned tid;
    int used = 0;
    char name[NAME_SIZE], command[NAME_SIZE] = "";
    bool is_call = strcmp(record->kind, "sys") == 0;
    if (sscanf(record->text, "[%u] %n", &tid, &used) != 1)
        return;
    const char *rest = record->text + used;
    if (is_call && sscanf(rest, "%15s %n", command, &used) == 1)
        rest += used;
    snprintf(name, sizeof name, "task %u", tid);
    u32 track = track_of(perfetto, name, record->ns);
    snprintf(name, sizeof name, "%.*s", (int)strcspn(rest, is_call ? "(" : " "), rest);
    if (is_call)
        put_slice(perfetto, track, perfetto->tracks[track].since_ns, record->ns, name, "sys",
                  record->text);
    else
        put_instant(perfetto, track, record, name);
    perfetto->tracks[track].since_ns = record->ns;
}

/* "web running": the container's track; the state before ends. */
static void put_state(struct perfetto *perfetto, const struct record *record)
{
    char id[NAME_SIZE], state[NAME_SIZE], name[NAME_SIZE + 16];
    if (sscanf(record->text, "%63s %63s", id, state) != 2)
        return;
    snprintf(name, sizeof name, "container %s", id);
    struct track *track = &perfetto->tracks[track_of(perfetto, name, record->ns)];
    if (strcmp(track->state, state) == 0)
        return;
    if (track->state[0])
        put_slice(perfetto, (u32)(track - perfetto->tracks), track->since_ns, record->ns,
                  track->state, "state", NULL);
    snprintf(track->state, NAME_SIZE, "%s", state);
    track->since_ns = record->ns;
}

static void put_call_begin(struct perfetto *perfetto, const struct record *record)
{
    if (perfetto->call_count == CALLS_MAX)
        return;
    struct call *call = &perfetto->calls[perfetto->call_count++];
    *call = (struct call){.id = ++perfetto->next_call};
    snprintf(call->verb, NAME_SIZE, "%s", perfetto->verb);
    snprintf(call->method, NAME_SIZE, "%.*s", (int)strcspn(record->text, " "), record->text);
    begin_event(perfetto, 'b', TRACK_CONTROL, record->ns, call->method);
    fprintf(perfetto->out, ",\"cat\":\"rpc\",\"id\":%llu", (unsigned long long)call->id);
    end_event(perfetto, record->text);
}

/* AT is the call that ends; TEXT its answer. */
static void put_call_end(struct perfetto *perfetto, u32 at, u64 ns, const char *text)
{
    struct call *call = &perfetto->calls[at];
    begin_event(perfetto, 'e', TRACK_CONTROL, ns, call->method);
    fprintf(perfetto->out, ",\"cat\":\"rpc\",\"id\":%llu", (unsigned long long)call->id);
    end_event(perfetto, text);
    memmove(call, call + 1, (--perfetto->call_count - at) * sizeof *call);
}

/* "exec 2": the answer to the oldest call of that verb. */
static void put_answer(struct perfetto *perfetto, const struct record *record)
{
    char verb[NAME_SIZE];
    if (sscanf(record->text, "%63s", verb) != 1)
        return;
    for (u32 i = 0; i < perfetto->call_count; i++)
        if (strcmp(perfetto->calls[i].verb, verb) == 0)
            return put_call_end(perfetto, i, record->ns, record->text);
    put_instant(perfetto, TRACK_CONTROL, record, verb);
}

static void put_record(struct perfetto *perfetto, const struct record *record)
{
    const char *kind = record->kind;
    if (strcmp(kind, "sys") == 0 || strcmp(kind, "event") == 0) {
        put_task(perfetto, record);
    } else if (strcmp(kind, "state") == 0) {
        put_state(perfetto, record);
    } else if (strcmp(kind, "rpc") == 0) {
        put_call_begin(perfetto, record);
    } else if (strcmp(kind, "ret") == 0) {
        put_answer(perfetto, record);
    } else if (strcmp(kind, "out") == 0) {
        put_instant(perfetto, TRACK_OUTPUT, record, "out");
    } else if (strcmp(kind, "call") != 0) { /* step, is, fault, end */
        if (strcmp(kind, "step") == 0)
            (void)sscanf(record->text, "%63s", perfetto->verb);
        put_instant(perfetto, TRACK_CONTROL, record, kind);
    }
}

/* What is still open ends with the run. */
static void put_rest(struct perfetto *perfetto, u64 ns)
{
    while (perfetto->call_count)
        put_call_end(perfetto, 0, ns, NULL);
    for (u32 i = 0; i < perfetto->track_count; i++)
        if (perfetto->tracks[i].state[0])
            put_slice(perfetto, i, perfetto->tracks[i].since_ns, ns, perfetto->tracks[i].state,
                      "state", NULL);
}

static void put_run(struct perfetto *perfetto, const struct verdict *row)
{
    char name[256];
    u64 last_ns = 0;
    struct record record;
    perfetto->process++;
    perfetto->track_count = perfetto->call_count = 0;
    perfetto->verb[0] = 0;
    snprintf(name, sizeof name, "%s [%s]", row->scenario, row->platform);
    put_name(perfetto, "process_name", TRACK_CONTROL, name);
    (void)track_of(perfetto, "control", 0);
    (void)track_of(perfetto, "output", 0);
    for (const char *at = row->trace; next_record(&at, &record); last_ns = record.ns)
        put_record(perfetto, &record);
    put_rest(perfetto, last_ns);
}

int report_write_perfetto(const struct report *report, const char *path)
{
    struct perfetto *perfetto = calloc(1, sizeof *perfetto);
    if (!perfetto)
        return -ENOMEM;
    perfetto->out = fopen(path, "w");
    int err = perfetto->out ? 0 : -errno;
    if (!err) {
        fprintf(perfetto->out, "{\"displayTimeUnit\":\"ns\",\"traceEvents\":[");
        for (u32 i = 0; i < report->count; i++)
            if (report->rows[i].trace)
                put_run(perfetto, &report->rows[i]);
        fprintf(perfetto->out, "\n]}\n");
        bool has_failed = ferror(perfetto->out) != 0;
        err = fclose(perfetto->out) || has_failed ? -EIO : 0;
    }
    free(perfetto);
    return err;
}

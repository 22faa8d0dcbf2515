/* SPDX-License-Identifier: Apache-2.0 */
/* Rows of ps in both spellings, and Go's way to print a duration. */
#include "controller/process_text.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

/* Control.Process on the wire; PGID came later than the rest. */
struct process_wire {
    u32 uid, pid, ppid, pgid;
    WIRE_LIST(u32) threads;
    i32 cpu_percent;
    char *tty, *start_time, *time, *command;
};

static const struct wire_type pid_type = {.kind = WIRE_UINT, .size = 4, .name = "kernel.ThreadID"};
static const struct wire_field process_fields[] = {
    WIRE_FIELD(struct process_wire, uid, "uid", &pid_type),
    WIRE_FIELD(struct process_wire, pid, "pid", &pid_type),
    WIRE_FIELD(struct process_wire, ppid, "ppid", &pid_type),
    WIRE_FIELD(struct process_wire, pgid, "pgid", &pid_type),
    WIRE_FIELD(struct process_wire, threads, "threads",
               WIRE_LIST_OF(&pid_type, "[]kernel.ThreadID")),
    WIRE_FIELD(struct process_wire, cpu_percent, "c", &wire_int32),
    WIRE_FIELD(struct process_wire, tty, "tty", &wire_string),
    WIRE_FIELD(struct process_wire, start_time, "stime", &wire_string),
    WIRE_FIELD(struct process_wire, time, "time", &wire_string),
    WIRE_FIELD(struct process_wire, command, "cmd", &wire_string),
    WIRE_END,
};
static const struct wire_type process_type = WIRE_TYPE_STRUCT(struct process_wire, process_fields,
                                                              "control.Process");

/* VALUE / 10^DIGITS without trailing zeros, then UNIT. */
static char *decimal_text(struct pool *pool, const char *front, u64 value, int digits,
                          const char *unit)
{
    u64 scale = 1;
    char fraction[16];
    for (int i = 0; i < digits; i++)
        scale *= 10;
    snprintf(fraction, sizeof fraction, ".%0*llu", digits, (unsigned long long)(value % scale));
    size_t size = strlen(fraction);
    while (size > 0 && fraction[size - 1] == '0')
        size--;
    if (size == 1)
        size = 0;
    return pool_printf(pool, "%s%llu%.*s%s", front, (unsigned long long)(value / scale), (int)size,
                       fraction, unit);
}

char *duration_text(struct pool *pool, u64 ns)
{
    char front[48] = "";
    if (ns == 0)
        return pool_strdup(pool, "0s");
    if (ns < NS_PER_US)
        return pool_printf(pool, "%lluns", (unsigned long long)ns);
    if (ns < NS_PER_MS)
        return decimal_text(pool, "", ns, 3, "\u00b5s");
    if (ns < NS_PER_S)
        return decimal_text(pool, "", ns, 6, "ms");
    u64 minutes = ns / NS_PER_S / 60;
    if (minutes >= 60)
        snprintf(front, sizeof front, "%lluh%llum", (unsigned long long)(minutes / 60),
                 (unsigned long long)(minutes % 60));
    else if (minutes > 0)
        snprintf(front, sizeof front, "%llum", (unsigned long long)minutes);
    return decimal_text(pool, front, ns - minutes * 60 * NS_PER_S, 9, "s");
}

void process_list_encode(struct json_writer *writer, const struct process_row *rows, u32 count,
                         struct pool *pool)
{
    if (count == 0) {
        json_put_null(writer);
        return;
    }
    json_begin_array(writer);
    for (u32 i = 0; i < count; i++) {
        const struct process_row *row = &rows[i];
        struct process_wire wire = {.uid = row->uid,
                                    .pid = row->pid,
                                    .ppid = row->ppid,
                                    .pgid = row->pgid,
                                    .cpu_percent = row->cpu_percent,
                                    .tty = row->tty,
                                    .start_time = row->start_time,
                                    .time = duration_text(pool, row->system_ns),
                                    .command = row->command};
        wire.threads.items = row->threads;
        wire.threads.count = row->thread_count;
        wire_encode(writer, &process_type, &wire);
    }
    json_end_array(writer);
}

#define COLUMN_COUNT 9

/* The cells of one row in COLUMNS; false without memory. */
static bool row_cells(const struct process_row *row, struct pool *pool, char *cells[COLUMN_COUNT])
{
    cells[0] = pool_printf(pool, "%u", row->uid);
    cells[1] = pool_printf(pool, "%u", row->pid);
    cells[2] = pool_printf(pool, "%u", row->ppid);
    cells[3] = pool_printf(pool, "%u", row->pgid);
    cells[4] = pool_printf(pool, "%d", row->cpu_percent);
    cells[5] = row->tty;
    cells[6] = row->start_time;
    cells[7] = duration_text(pool, row->system_ns);
    cells[8] = row->command;
    for (u32 i = 0; i < COLUMN_COUNT; i++)
        if (!cells[i])
            return false;
    return true;
}

static int put_row(struct buf *out, char *const cells[COLUMN_COUNT],
                   const size_t widths[COLUMN_COUNT])
{
    for (u32 i = 0; i < COLUMN_COUNT - 1; i++) {
        int err = buf_printf(out, "%-*s", (int)widths[i], cells[i]);
        if (err)
            return err;
    }
    return buf_printf(out, "%s\n", cells[COLUMN_COUNT - 1]);
}

int process_list_table(struct buf *out, const struct process_row *rows, u32 count,
                       struct pool *pool)
{
    static char *const titles[COLUMN_COUNT] = {"UID", "PID",   "PPID", "PGID", "C",
                                               "TTY", "STIME", "TIME", "CMD"};
    size_t widths[COLUMN_COUNT];
    char *(*cells)[COLUMN_COUNT] = pool_alloc_array(pool, count, sizeof *cells);
    if (!cells)
        return -ENOMEM;
    for (u32 i = 0; i < COLUMN_COUNT; i++)
        widths[i] = MAX(strlen(titles[i]) + 3, (size_t)10);
    for (u32 r = 0; r < count; r++) {
        if (!row_cells(&rows[r], pool, cells[r]))
            return -ENOMEM;
        for (u32 i = 0; i < COLUMN_COUNT; i++)
            widths[i] = MAX(widths[i], strlen(cells[r][i]) + 3);
    }
    int err = put_row(out, titles, widths);
    for (u32 r = 0; r < count && !err; r++)
        err = put_row(out, cells[r], widths);
    return err;
}

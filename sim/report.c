/* SPDX-License-Identifier: Apache-2.0 */
/* Reports are written by hand: fixed member order, and no library decides how a number looks. */
#include "sim/report.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static const char *const words[] = {"passed", "failed", "skipped"};

static char *copy(const char *text)
{
    char *own = text ? strdup(text) : NULL;
    if (text && !own)
        abort();
    return own;
}

struct verdict *report_add(struct report *report, enum verdict_status status, const char *scenario,
                           const char *file, const char *platform, const char *message,
                           const char *trace)
{
    if (report->count == report->room) {
        report->room = report->room ? 2 * report->room : 64;
        report->rows = realloc(report->rows, report->room * sizeof *report->rows);
        if (!report->rows)
            abort();
    }
    struct verdict *row = &report->rows[report->count++];
    *row = (struct verdict){.scenario = copy(scenario),
                            .file = copy(file),
                            .platform = copy(platform),
                            .message = copy(message),
                            .trace = copy(trace),
                            .status = status};
    return row;
}

void report_fini(struct report *report)
{
    for (u32 i = 0; i < report->count; i++) {
        struct verdict *row = &report->rows[i];
        free(row->scenario);
        free(row->file);
        free(row->platform);
        free(row->message);
        free(row->trace);
    }
    free(report->rows);
    *report = (struct report){0};
}

void verdict_command(const struct verdict *row, char *out, size_t size)
{
    const char *comma = strchr(row->platform, ',');
    bool is_moved = comma && strcmp(comma, ", moved") == 0;
    const char *every = comma ? strstr(comma, ", moved every ") : NULL;
    char moved[64] = "";
    if (every)
        snprintf(moved, sizeof moved, " --checkpoint-every %s", every + strlen(", moved every "));
    bool is_two = row->against && !comma;
    snprintf(out, size, "picket-sim run --platform %s%s%.*s%s%s -v %s", is_two ? row->against : "",
             is_two ? "," : "", comma ? (int)(comma - row->platform) : 100, row->platform,
             is_moved ? " --checkpoint-everywhere" : moved,
             comma && !is_moved && !every ? "" : " --no-twin", row->file);
}

/* ---- texts ----------------------------------------------------------------------------------------
 */

void report_put_json(FILE *out, const char *text)
{
    fputc('"', out);
    for (; *text; text++) {
        u8 c = (u8)*text;
        if (c == '"' || c == '\\')
            fprintf(out, "\\%c", c);
        else if (c < 0x20 || c == 0x7f)
            fprintf(out, "\\u%04x", c);
        else
            fputc(c, out);
    }
    fputc('"', out);
}

/* For XML and HTML, text and attributes alike; what XML cannot hold becomes '?'. */
void report_put_xml(FILE *out, const char *text)
{
    for (; *text; text++) {
        u8 c = (u8)*text;
        if (c == '&' || c == '<' || c == '>' || c == '"')
            fprintf(out, "&#%u;", c);
        else
            fputc(c < 0x20 && c != '\n' && c != '\t' ? '?' : c, out);
    }
}

static FILE *begin(const char *path, int *err)
{
    FILE *out = fopen(path, "w");
    *err = out ? 0 : -errno;
    return out;
}

static int finish(FILE *out)
{
    bool has_failed = ferror(out) != 0;
    return fclose(out) || has_failed ? -EIO : 0;
}

/* ---- JSON lines -----------------------------------------------------------------------------------
 */

int report_write_json(const struct report *report, const char *path)
{
    int err;
    FILE *out = begin(path, &err);
    char command[512];
    for (u32 i = 0; out && i < report->count; i++) {
        const struct verdict *row = &report->rows[i];
        verdict_command(row, command, sizeof command);
        fprintf(out, "{\"scenario\":");
        report_put_json(out, row->scenario);
        fprintf(out, ",\"file\":");
        report_put_json(out, row->file);
        fprintf(out, ",\"platform\":");
        report_put_json(out, row->platform);
        fprintf(out, ",\"status\":\"%s\",\"hash\":\"%s\",\"microseconds\":%.0f,\"message\":",
                words[row->status], row->hash, row->seconds * 1e6);
        report_put_json(out, row->message ? row->message : "");
        fprintf(out, ",\"again\":");
        report_put_json(out, command);
        fprintf(out, "}\n");
    }
    return out ? finish(out) : err;
}

/* ---- JUnit ----------------------------------------------------------------------------------------
 */

static bool is_first_of_platform(const struct report *report, u32 index)
{
    for (u32 i = 0; i < index; i++)
        if (strcmp(report->rows[i].platform, report->rows[index].platform) == 0)
            return false;
    return true;
}

static void put_case(FILE *out, const struct verdict *row)
{
    char command[512];
    fprintf(out, "<testcase classname=\"");
    report_put_xml(out, row->platform);
    fprintf(out, "\" name=\"");
    report_put_xml(out, row->scenario);
    fprintf(out, "\" time=\"%.6f\">", row->seconds);
    if (row->status == VERDICT_SKIPPED) {
        fprintf(out, "<skipped message=\"");
        report_put_xml(out, row->message ? row->message : "");
        fprintf(out, "\"/>");
    } else if (row->status == VERDICT_FAILED) {
        verdict_command(row, command, sizeof command);
        fprintf(out, "<failure message=\"");
        report_put_xml(out, row->message ? row->message : "");
        fprintf(out, "\">");
        report_put_xml(out, command);
        fprintf(out, "</failure>");
    }
    fprintf(out, "</testcase>\n");
}

static void put_suite(FILE *out, const struct report *report, const char *platform)
{
    u32 counts[3] = {0};
    for (u32 i = 0; i < report->count; i++)
        if (strcmp(report->rows[i].platform, platform) == 0)
            counts[report->rows[i].status]++;
    fprintf(out, "<testsuite name=\"");
    report_put_xml(out, platform);
    fprintf(out, "\" tests=\"%u\" failures=\"%u\" skipped=\"%u\">\n",
            counts[0] + counts[1] + counts[2], counts[VERDICT_FAILED], counts[VERDICT_SKIPPED]);
    for (u32 i = 0; i < report->count; i++)
        if (strcmp(report->rows[i].platform, platform) == 0)
            put_case(out, &report->rows[i]);
    fprintf(out, "</testsuite>\n");
}

int report_write_junit(const struct report *report, const char *path)
{
    int err;
    FILE *out = begin(path, &err);
    if (!out)
        return err;
    fprintf(out, "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n<testsuites>\n");
    for (u32 i = 0; i < report->count; i++)
        if (is_first_of_platform(report, i))
            put_suite(out, report, report->rows[i].platform);
    fprintf(out, "</testsuites>\n");
    return finish(out);
}

/* ---- HTML -----------------------------------------------------------------------------------------
 */

static const char page_head[] =
    "<!doctype html><html lang=\"en\"><meta charset=\"utf-8\"><title>picket-sim</title>\n"
    "<style>body{font:15px/1.5 system-ui,sans-serif;margin:2rem auto;max-width:76rem;padding:0 "
    "1rem;"
    "color:#1c2733;background:#fff}h1{font-size:1.4rem}summary{display:flex;gap:1rem;cursor:"
    "pointer;"
    "padding:.25rem 0;border-top:1px solid #dde3ea}summary b{flex:1;font-weight:500}"
    "pre{background:#f4f6f9;padding:.7rem;overflow:auto;font-size:12.5px}"
    ".passed i{color:#17743b}.failed i{color:#b3261e;font-weight:700}.skipped i{color:#6b7683}"
    "i{font-style:normal;width:4.5rem}code{color:#5b6672}summary span:last-child{width:4.5rem;"
    "text-align:right}.lanes{overflow:auto;margin:.5rem 0}.lanes text{font-size:12px;fill:#5b6672}"
    ".lanes path{stroke:#eef1f5}</style>\n"
    "<h1>picket-sim</h1>\n";

static void put_row(FILE *out, const struct verdict *row)
{
    char command[512];
    verdict_command(row, command, sizeof command);
    fprintf(out, "<details class=\"%s\"%s><summary><i>%s</i><b>", words[row->status],
            row->status == VERDICT_FAILED ? " open" : "", words[row->status]);
    report_put_xml(out, row->scenario);
    fprintf(out, "</b><span>");
    report_put_xml(out, row->platform);
    fprintf(out, "</span><code>%.16s</code><span>%.0f ms</span></summary>", row->hash,
            row->seconds * 1000);
    if (row->message && row->message[0]) {
        fprintf(out, "<p>");
        report_put_xml(out, row->message);
        fprintf(out, "</p>");
    }
    fprintf(out, "<p><code>");
    report_put_xml(out, command);
    fprintf(out, "</code></p>");
    if (row->trace)
        report_put_lanes(out, row->trace);
    fprintf(out, "<pre>");
    report_put_xml(out, row->trace ? row->trace : "");
    fprintf(out, "</pre></details>\n");
}

int report_write_html(const struct report *report, const char *path)
{
    int err;
    u32 counts[3] = {0};
    FILE *out = begin(path, &err);
    if (!out)
        return err;
    for (u32 i = 0; i < report->count; i++)
        counts[report->rows[i].status]++;
    fprintf(out, "%s<p>%u passed, %u failed, %u skipped. A row opens to its trace.</p>\n",
            page_head, counts[VERDICT_PASSED], counts[VERDICT_FAILED], counts[VERDICT_SKIPPED]);
    for (u32 i = 0; i < report->count; i++)
        if (report->rows[i].status == VERDICT_FAILED)
            put_row(out, &report->rows[i]);
    for (u32 i = 0; i < report->count; i++)
        if (report->rows[i].status != VERDICT_FAILED)
            put_row(out, &report->rows[i]);
    fprintf(out, "</html>\n");
    return finish(out);
}

/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Reading a YAML file. Surprising: the YAML library never comes back from some bytes (a line of
 * directives that is not UTF-8), so the text is judged before it gets any of it.
 */
#include "sim/scenario.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define DOCUMENT_SIZE_MAX ((size_t)1 << 20)

static int refuse(struct sim_error *err, u32 line, u32 column, const char *why)
{
    err->place = (struct place){.line = line, .column = column};
    snprintf(err->text, sizeof err->text, "%s", why);
    return -1;
}

/* Bytes of the character at TEXT, 0 if it is none of UTF-8. */
static size_t character_size(const u8 *text, size_t size)
{
    static const u32 least[] = {0, 0, 0x80, 0x800, 0x10000};
    size_t count = text[0] < 0x80             ? 1
                   : (text[0] & 0xe0) == 0xc0 ? 2
                   : (text[0] & 0xf0) == 0xe0 ? 3
                   : (text[0] & 0xf8) == 0xf0 ? 4
                                              : 0;
    u32 code = count == 1 ? text[0] : text[0] & (0x7fu >> count);
    if (count == 0 || count > size)
        return 0;
    for (size_t i = 1; i < count; i++) {
        if ((text[i] & 0xc0) != 0x80)
            return 0;
        code = code << 6 | (text[i] & 0x3f);
    }
    bool is_surrogate = code >= 0xd800 && code <= 0xdfff;
    return code >= least[count] && code <= 0x10ffff && !is_surrogate ? count : 0;
}

int document_judge(const char *text, size_t size, struct sim_error *err)
{
    u32 line = 1, column = 1;
    if (size > DOCUMENT_SIZE_MAX)
        return refuse(err, 1, 1, "the file is larger than 1 MiB");
    for (size_t at = 0; at < size;) {
        const u8 *here = (const u8 *)text + at;
        size_t count = character_size(here, size - at);
        if (count == 0)
            return refuse(err, line, column, "this is not UTF-8");
        if ((*here < ' ' && *here != '\t' && *here != '\n' && *here != '\r') || *here == 0x7f)
            return refuse(err, line, column, "a control character");
        if (*here == '%' && column == 1)
            return refuse(err, line, column, "directives have no use here");
        column++;
        at += count;
        if (*here == '\n' || *here == '\r') {
            line += *here == '\n';
            column = 1;
        }
    }
    return 0;
}

static int read_text(const char *path, char **text, size_t *size)
{
    FILE *file = fopen(path, "r");
    *text = malloc(DOCUMENT_SIZE_MAX + 1);
    if (!file || !*text) {
        int code = file ? ENOMEM : errno;
        if (file)
            fclose(file);
        return -code;
    }
    *size = fread(*text, 1, DOCUMENT_SIZE_MAX + 1, file);
    int code = ferror(file) ? errno : 0;
    fclose(file);
    return -code;
}

struct fy_document *document_read(const char *path)
{
    struct sim_error err = {0};
    struct fy_document *document = NULL;
    char *text;
    size_t size = 0;
    int code = read_text(path, &text, &size);
    if (code)
        fprintf(stderr, "%s: cannot be read: %s\n", path, strerror(-code));
    else if (document_judge(text, size, &err))
        fprintf(stderr, "%s:%u:%u: %s\n", path, err.place.line, err.place.column, err.text);
    else if (!(document = fy_document_build_from_file(NULL, path)) || !fy_document_root(document))
        fprintf(stderr, "%s: cannot be read as YAML\n", path); /* where and why was told */
    free(text);
    if (document && !fy_document_root(document)) {
        fy_document_destroy(document);
        document = NULL;
    }
    return document;
}

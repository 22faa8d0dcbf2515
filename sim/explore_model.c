/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Answers against rpc.yaml: what a method's success carries has the form of its `result`, what it
 * refuses it refuses with one of its `errors` (or with what the decoder says of its argument).
 */
#include "sim/explore.h"

#include <cjson/cJSON.h>
#include <stdio.h>
#include <string.h>

/* Does PATTERN, printf's, fit a piece of TEXT? A conversion stands for anything. */
static bool has_piece(const char *text, const char *pattern)
{
    char piece[256];
    while (*pattern) {
        if (*pattern == '%') {
            pattern += 1 + strspn(pattern + 1, ".0123456789lz");
            pattern += *pattern != 0;
            continue;
        }
        size_t size = MIN(strcspn(pattern, "%"), sizeof piece - 1);
        memcpy(piece, pattern, size);
        piece[size] = 0;
        text = strstr(text, piece);
        if (!text)
            return false;
        text += size;
        pattern += size;
    }
    return true;
}

/* What any method may say, by its argument or its place in the spec. */
static bool is_decoder_text(const char *text, const struct explore_method *method)
{
    static const char *const beginnings[] = {
        "json: cannot unmarshal ", "illegal base64 data at input byte ",
        "unexpected end of JSON input", "string contains a NUL byte", "out of memory"};
    for (size_t i = 0; i < ARRAY_COUNT(beginnings); i++)
        if (strncmp(text, beginnings[i], strlen(beginnings[i])) == 0)
            return true;
    bool may_be_off = strncmp(method->name, "Profile.", 8) == 0;
    return may_be_off && strcmp(text, "unknown method") == 0;
}

static bool is_list(const char *result)
{
    return strncmp(result, "list of ", 8) == 0;
}

static bool has_form(const cJSON *value, const char *result)
{
    size_t size = strcspn(result, ";");
    if (is_list(result))
        return cJSON_IsArray(value) || cJSON_IsNull(value);
    if (strncmp(result, "none", size) == 0)
        return cJSON_IsObject(value) && !value->child;
    if (strncmp(result, "bool", size) == 0)
        return cJSON_IsBool(value);
    if (strncmp(result, "string", size) == 0)
        return cJSON_IsString(value);
    if (strncmp(result, "int", size) == 0 || strncmp(result, "uint32", size) == 0)
        return cJSON_IsNumber(value);
    return cJSON_IsObject(value);
}

static bool refuse(char *why, size_t size, const struct explore_method *method, const char *what,
                   const char *answer)
{
    snprintf(why, size, "%s: %s: %.300s", method->name, what, answer);
    return false;
}

static bool judge_error(const struct explore_method *method, const char *text, char *why,
                        size_t why_size, const char *answer)
{
    char unserved[256];
    snprintf(unserved, sizeof unserved, "%s is not supported", method->name);
    if (strcmp(text, unserved) == 0)
        return !method->is_served ||
               refuse(why, why_size, method, "by the spec it is served", answer);
    if (is_decoder_text(text, method))
        return true;
    for (u32 i = 0; i < method->error_count; i++)
        if (has_piece(text, method->errors[i]))
            return true;
    return refuse(why, why_size, method, "the spec has no such error for it", answer);
}

bool explore_judge(const struct explore_method *method, const char *answer, char *why,
                   size_t why_size)
{
    cJSON *json = cJSON_Parse(answer);
    const cJSON *success = cJSON_GetObjectItemCaseSensitive(json, "success");
    const cJSON *error = cJSON_GetObjectItemCaseSensitive(json, "err");
    const cJSON *result = cJSON_GetObjectItemCaseSensitive(json, "result");
    const char *text = cJSON_GetStringValue(error);
    bool is_fine;
    if (!cJSON_IsBool(success) || !text || !result)
        is_fine = refuse(why, why_size, method, "this is no answer", answer);
    else if (cJSON_IsTrue(success))
        is_fine = (!*text && method->is_served && has_form(result, method->result)) ||
                  refuse(why, why_size, method, "its success has not the spec's form", answer);
    else if (!cJSON_IsNull(result) || !*text)
        is_fine = refuse(why, why_size, method, "a refusal has a text and no result", answer);
    else
        is_fine = judge_error(method, text, why, why_size, answer);
    cJSON_Delete(json);
    return is_fine;
}

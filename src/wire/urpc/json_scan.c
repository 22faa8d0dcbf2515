/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The scanner: one byte, one step, no lookahead, as in RFC 8259 and with Go's words for what is
 * wrong. The surprising fact: a number at top level has no last byte of its own, so only the byte
 * after it (or the end of the stream) tells.
 */
#include "wire/urpc/json.h"

#include <stdio.h>
#include <string.h>

#include "base/error.h"

enum scan_state {
    SCAN_VALUE,         /* a value must begin */
    SCAN_FIRST_ELEMENT, /* after '[': a value or ']' */
    SCAN_FIRST_NAME,    /* after '{': a name or '}' */
    SCAN_NAME,          /* after ',' in an object */
    SCAN_COLON,
    SCAN_AFTER, /* after a value in a container: ',' or the end of it */
    SCAN_STRING,
    SCAN_ESCAPE,
    SCAN_HEX,
    SCAN_LITERAL,
    SCAN_MINUS,
    SCAN_ZERO,
    SCAN_DIGITS,
    SCAN_POINT,
    SCAN_FRACTION,
    SCAN_EXPONENT,
    SCAN_EXPONENT_SIGN,
    SCAN_EXPONENT_DIGITS,
    SCAN_DONE,
};

void json_scanner_init(struct json_scanner *scanner, size_t size_max)
{
    *scanner = (struct json_scanner){.size_max = size_max ? size_max : JSON_SIZE_MAX};
}

static bool is_space(u8 byte)
{
    return byte == ' ' || byte == '\t' || byte == '\n' || byte == '\r';
}

static bool is_digit(u8 byte)
{
    return byte >= '0' && byte <= '9';
}

static bool is_hex(u8 byte)
{
    return is_digit(byte) || (byte >= 'a' && byte <= 'f') || (byte >= 'A' && byte <= 'F');
}

static bool in_object(const struct json_scanner *scanner)
{
    return scanner->depth > 0 && (scanner->objects >> (scanner->depth - 1) & 1);
}

/* A value has ended with the byte just taken, or (numbers) before it. */
static void end_value(struct json_scanner *scanner)
{
    scanner->state = scanner->depth == 0 ? SCAN_DONE : SCAN_AFTER;
}

static enum json_status push(struct json_scanner *scanner, bool is_object)
{
    if (scanner->depth == JSON_DEPTH_MAX)
        return JSON_TOO_DEEP;
    u64 bit = (u64)1 << scanner->depth;
    scanner->objects = is_object ? scanner->objects | bit : scanner->objects & ~bit;
    scanner->depth++;
    scanner->state = is_object ? SCAN_FIRST_NAME : SCAN_FIRST_ELEMENT;
    return JSON_MORE;
}

static enum json_status pop(struct json_scanner *scanner)
{
    scanner->depth--;
    end_value(scanner);
    return JSON_MORE;
}

static enum json_status begin_literal(struct json_scanner *scanner, const char *word)
{
    scanner->literal = word;
    scanner->literal_at = 1;
    scanner->state = SCAN_LITERAL;
    return JSON_MORE;
}

static enum json_status begin_value(struct json_scanner *scanner, u8 byte)
{
    switch (byte) {
    case '{':
        return push(scanner, true);
    case '[':
        return push(scanner, false);
    case '"':
        scanner->is_name = false;
        scanner->state = SCAN_STRING;
        return JSON_MORE;
    case 't':
        return begin_literal(scanner, "true");
    case 'f':
        return begin_literal(scanner, "false");
    case 'n':
        return begin_literal(scanner, "null");
    case '-':
        scanner->state = SCAN_MINUS;
        return JSON_MORE;
    case '0':
        scanner->state = SCAN_ZERO;
        return JSON_MORE;
    default:
        scanner->state = is_digit(byte) ? SCAN_DIGITS : scanner->state;
        return is_digit(byte) ? JSON_MORE : JSON_MALFORMED;
    }
}

static enum json_status begin_name(struct json_scanner *scanner, u8 byte)
{
    if (byte != '"')
        return JSON_MALFORMED;
    scanner->is_name = true;
    scanner->state = SCAN_STRING;
    return JSON_MORE;
}

static enum json_status after_value(struct json_scanner *scanner, u8 byte)
{
    bool is_object = in_object(scanner);
    if (byte == ',') {
        scanner->state = is_object ? SCAN_NAME : SCAN_VALUE;
        return JSON_MORE;
    }
    return byte == (is_object ? '}' : ']') ? pop(scanner) : JSON_MALFORMED;
}

static enum json_status structure_step(struct json_scanner *scanner, u8 byte)
{
    if (is_space(byte))
        return JSON_MORE;
    switch (scanner->state) {
    case SCAN_FIRST_ELEMENT:
        return byte == ']' ? pop(scanner) : begin_value(scanner, byte);
    case SCAN_FIRST_NAME:
        return byte == '}' ? pop(scanner) : begin_name(scanner, byte);
    case SCAN_NAME:
        return begin_name(scanner, byte);
    case SCAN_COLON:
        if (byte != ':')
            return JSON_MALFORMED;
        scanner->state = SCAN_VALUE;
        return JSON_MORE;
    case SCAN_AFTER:
        return after_value(scanner, byte);
    default:
        return begin_value(scanner, byte);
    }
}

static void end_string(struct json_scanner *scanner)
{
    if (scanner->is_name)
        scanner->state = SCAN_COLON;
    else
        end_value(scanner);
}

static enum json_status string_step(struct json_scanner *scanner, u8 byte)
{
    switch (scanner->state) {
    case SCAN_STRING:
        if (byte == '"')
            end_string(scanner);
        else if (byte == '\\')
            scanner->state = SCAN_ESCAPE;
        return byte < 0x20 ? JSON_MALFORMED : JSON_MORE;
    case SCAN_ESCAPE:
        if (byte == 'u') {
            scanner->hex_left = 4;
            scanner->state = SCAN_HEX;
            return JSON_MORE;
        }
        if (byte == 0 || !strchr("\"\\/bfnrt", byte))
            return JSON_MALFORMED;
        scanner->state = SCAN_STRING;
        return JSON_MORE;
    default:
        if (!is_hex(byte))
            return JSON_MALFORMED;
        if (--scanner->hex_left == 0)
            scanner->state = SCAN_STRING;
        return JSON_MORE;
    }
}

static enum json_status literal_step(struct json_scanner *scanner, u8 byte)
{
    if (byte != (u8)scanner->literal[scanner->literal_at])
        return JSON_MALFORMED;
    if (scanner->literal[++scanner->literal_at] == '\0')
        end_value(scanner);
    return JSON_MORE;
}

/* True when BYTE goes on with the number. False: the number cannot contain it. */
static bool number_goes_on(struct json_scanner *scanner, u8 byte)
{
    bool is_exponent = byte == 'e' || byte == 'E';
    u8 next = SCAN_DONE;
    switch (scanner->state) {
    case SCAN_MINUS:
        next = byte == '0' ? SCAN_ZERO : is_digit(byte) ? SCAN_DIGITS : SCAN_DONE;
        break;
    case SCAN_ZERO:
        next = byte == '.' ? SCAN_POINT : is_exponent ? SCAN_EXPONENT : SCAN_DONE;
        break;
    case SCAN_DIGITS:
        next = is_digit(byte) ? SCAN_DIGITS
               : byte == '.'  ? SCAN_POINT
               : is_exponent  ? SCAN_EXPONENT
                              : SCAN_DONE;
        break;
    case SCAN_POINT:
        next = is_digit(byte) ? SCAN_FRACTION : SCAN_DONE;
        break;
    case SCAN_FRACTION:
        next = is_digit(byte) ? SCAN_FRACTION : is_exponent ? SCAN_EXPONENT : SCAN_DONE;
        break;
    case SCAN_EXPONENT:
        next = byte == '+' || byte == '-' ? SCAN_EXPONENT_SIGN
               : is_digit(byte)           ? SCAN_EXPONENT_DIGITS
                                          : SCAN_DONE;
        break;
    default:
        next = is_digit(byte) ? SCAN_EXPONENT_DIGITS : SCAN_DONE;
    }
    if (next == SCAN_DONE)
        return false;
    scanner->state = next;
    return true;
}

static bool number_may_end(const struct json_scanner *scanner)
{
    return scanner->state == SCAN_ZERO || scanner->state == SCAN_DIGITS ||
           scanner->state == SCAN_FRACTION || scanner->state == SCAN_EXPONENT_DIGITS;
}

/* *USED becomes false when BYTE is not part of the value (the number before it was). */
static enum json_status scan_byte(struct json_scanner *scanner, u8 byte, bool *used)
{
    *used = true;
    if (scanner->state >= SCAN_MINUS) {
        if (number_goes_on(scanner, byte))
            return JSON_MORE;
        if (!number_may_end(scanner))
            return JSON_MALFORMED;
        end_value(scanner);
        *used = scanner->state != SCAN_DONE;
        return *used ? structure_step(scanner, byte) : JSON_COMPLETE;
    }
    if (scanner->state == SCAN_LITERAL)
        return literal_step(scanner, byte);
    if (scanner->state >= SCAN_STRING)
        return string_step(scanner, byte);
    return structure_step(scanner, byte);
}

bool json_scanner_is_idle(const struct json_scanner *scanner)
{
    return scanner->state == SCAN_VALUE && scanner->depth == 0;
}

enum json_status json_scan(struct json_scanner *scanner, const void *bytes, size_t size,
                           size_t *used)
{
    const u8 *at = bytes;
    ASSERT(scanner->state != SCAN_DONE);
    for (size_t i = 0; i < size; i++) {
        bool is_used = true;
        enum json_status status = scan_byte(scanner, at[i], &is_used);
        *used = i + is_used;
        if (status == JSON_MORE && is_used && !json_scanner_is_idle(scanner) &&
            ++scanner->size > scanner->size_max)
            status = JSON_TOO_LARGE;
        if (status == JSON_MORE && scanner->state == SCAN_DONE)
            status = JSON_COMPLETE;
        if (status != JSON_MORE) {
            scanner->offset += *used;
            return status;
        }
    }
    *used = size;
    scanner->offset += size;
    return JSON_MORE;
}

enum json_status json_scan_end(struct json_scanner *scanner)
{
    if (scanner->depth > 0 || !number_may_end(scanner))
        return JSON_MALFORMED;
    scanner->state = SCAN_DONE;
    return JSON_COMPLETE;
}

/* ---- a whole text, with Go's words ---------------------------------------------------------- */

static const char *fault_context(const struct json_scanner *scanner)
{
    switch (scanner->state) {
    case SCAN_FIRST_NAME:
    case SCAN_NAME:
        return "looking for beginning of object key string";
    case SCAN_COLON:
        return "after object key";
    case SCAN_AFTER:
        return in_object(scanner) ? "after object key:value pair" : "after array element";
    case SCAN_STRING:
        return "in string literal";
    case SCAN_ESCAPE:
        return "in string escape code";
    case SCAN_HEX:
        return "in \\u hexadecimal character escape";
    case SCAN_MINUS:
        return "in numeric literal";
    case SCAN_POINT:
        return "after decimal point in numeric literal";
    case SCAN_EXPONENT:
    case SCAN_EXPONENT_SIGN:
        return "in exponent of numeric literal";
    case SCAN_DONE:
        return "after top-level value";
    default:
        return "looking for beginning of value";
    }
}

static int fault_error(const struct json_scanner *scanner, u8 byte, struct error *err)
{
    char quoted[8];
    if (byte == '\'' || byte == '\\')
        snprintf(quoted, sizeof quoted, "'\\%c'", byte);
    else if (byte >= 0x20 && byte < 0x7f)
        snprintf(quoted, sizeof quoted, "'%c'", byte);
    else
        snprintf(quoted, sizeof quoted, "'\\x%02x'", byte);
    if (scanner->state == SCAN_LITERAL)
        return error_set(err, 0, "invalid character %s in literal %s (expecting '%c')", quoted,
                         scanner->literal, scanner->literal[scanner->literal_at]);
    return error_set(err, 0, "invalid character %s %s", quoted, fault_context(scanner));
}

static int scan_error(enum json_status status, const struct json_scanner *scanner, u8 byte,
                      struct error *err)
{
    if (status == JSON_TOO_DEEP)
        return error_set(err, 0, "exceeded max depth");
    if (status == JSON_TOO_LARGE)
        return error_set(err, 0, "JSON value is larger than %zu bytes", scanner->size_max);
    return fault_error(scanner, byte, err);
}

int json_parse(const char *bytes, size_t size, size_t size_max, struct json_text *out,
               struct error *err)
{
    struct json_scanner scanner;
    json_scanner_init(&scanner, size_max);
    size_t start = 0;
    while (start < size && is_space((u8)bytes[start]))
        start++;
    size_t used = 0;
    enum json_status status = json_scan(&scanner, bytes + start, size - start, &used);
    if (status == JSON_MORE)
        status = json_scan_end(&scanner);
    else if (status != JSON_COMPLETE)
        return scan_error(status, &scanner, used ? (u8)bytes[start + used - 1] : 0, err);
    if (status != JSON_COMPLETE)
        return error_set(err, 0, "unexpected end of JSON input");
    for (size_t i = start + used; i < size; i++)
        if (!is_space((u8)bytes[i]))
            return fault_error(&scanner, (u8)bytes[i], err);
    *out = (struct json_text){bytes + start, used};
    return 0;
}

/* SPDX-License-Identifier: Apache-2.0 */
/* A recursive descent into steps, and all threads of the machine walked side by side (Thompson). */
#include "base/regexp.h"

#include <string.h>

enum { STEP_BYTE, STEP_ANY, STEP_CLASS, STEP_SPLIT, STEP_JUMP, STEP_BEGIN, STEP_END, STEP_MATCH };

#define GROUP_DEPTH_MAX 32u

struct compiler {
    struct regexp *out;
    const char *at;
    const char *error;
    u32 depth;
};

static void fail(struct compiler *c, const char *error)
{
    if (!c->error)
        c->error = error;
}

/* Makes room for one step at PLACE; what stood there moves on as a whole. */
static void insert(struct compiler *c, u32 place, struct regexp_step step)
{
    struct regexp *out = c->out;
    if (out->count == REGEXP_CODE_MAX) {
        fail(c, "expression too large");
        return;
    }
    memmove(&out->code[place + 1], &out->code[place], (out->count - place) * sizeof out->code[0]);
    out->code[place] = step;
    out->count++;
}

static void emit(struct compiler *c, u8 op, u32 byte)
{
    insert(c, c->out->count, (struct regexp_step){.op = op, .byte = (u8)byte});
}

static void class_add(u8 *bits, u32 from, u32 to)
{
    for (u32 byte = from; byte <= to; byte++)
        bits[byte / 8] |= (u8)(1u << byte % 8);
}

static u8 *class_new(struct compiler *c)
{
    struct regexp *out = c->out;
    if (out->class_count == REGEXP_CLASSES_MAX) {
        fail(c, "expression too large");
        return out->classes[0];
    }
    return out->classes[out->class_count++];
}

/* \d \w \s and their capitals; false: a plain byte. */
static bool class_escape(u8 *bits, char letter)
{
    u8 set[32] = {0};
    switch (letter | 0x20) {
    case 'd':
        class_add(set, '0', '9');
        break;
    case 'w':
        class_add(set, '0', '9');
        class_add(set, 'a', 'z');
        class_add(set, 'A', 'Z');
        class_add(set, '_', '_');
        break;
    case 's':
        class_add(set, '\t', '\n');
        class_add(set, '\f', '\r');
        class_add(set, ' ', ' ');
        break;
    default:
        return false;
    }
    for (u32 i = 0; i < sizeof set; i++)
        bits[i] |= letter & 0x20 ? set[i] : (u8)~set[i];
    return true;
}

/* Behind the bracket. */
static void parse_class(struct compiler *c)
{
    u8 *bits = class_new(c);
    u32 index = c->out->class_count - 1u;
    bool is_negated = *c->at == '^';
    c->at += is_negated;
    for (bool is_first = true; *c->at && (*c->at != ']' || is_first); is_first = false) {
        u8 from = (u8)*c->at++;
        if (from == '\\') {
            if (!*c->at)
                break;
            from = (u8)*c->at++;
            if (class_escape(bits, (char)from))
                continue;
        }
        u8 to = from;
        if (c->at[0] == '-' && c->at[1] && c->at[1] != ']') {
            to = (u8)c->at[1];
            c->at += 2;
        }
        if (to < from)
            fail(c, "invalid character class range");
        class_add(bits, from, to);
    }
    if (*c->at != ']') {
        fail(c, "missing closing ]");
        return;
    }
    c->at++;
    for (u32 i = 0; is_negated && i < 32; i++)
        bits[i] = (u8)~bits[i];
    emit(c, STEP_CLASS, index);
}

static void parse_choice(struct compiler *c);

static void parse_group(struct compiler *c)
{
    if (c->depth++ == GROUP_DEPTH_MAX) {
        fail(c, "expression nests too deeply");
        return;
    }
    if (strncmp(c->at, "?:", 2) == 0)
        c->at += 2;
    parse_choice(c);
    if (*c->at != ')')
        fail(c, "missing closing )");
    else
        c->at++;
    c->depth--;
}

static void parse_escape(struct compiler *c)
{
    char letter = *c->at;
    if (!letter) {
        fail(c, "trailing backslash at end of expression");
        return;
    }
    c->at++;
    u8 bits[32] = {0};
    if (class_escape(bits, letter)) {
        memcpy(class_new(c), bits, sizeof bits);
        emit(c, STEP_CLASS, c->out->class_count - 1u);
        return;
    }
    emit(c, STEP_BYTE, (u8)letter);
}

static void parse_atom(struct compiler *c)
{
    char byte = *c->at++;
    switch (byte) {
    case '(':
        parse_group(c);
        return;
    case '[':
        parse_class(c);
        return;
    case '\\':
        parse_escape(c);
        return;
    case '.':
        emit(c, STEP_ANY, 0);
        return;
    case '^':
        emit(c, STEP_BEGIN, 0);
        return;
    case '$':
        emit(c, STEP_END, 0);
        return;
    case '*':
    case '+':
    case '?':
        fail(c, "missing argument to repetition operator");
        return;
    case '{':
        fail(c, "repetition counts are not supported");
        return;
    default:
        emit(c, STEP_BYTE, (u8)byte);
    }
}

/* One atom and what repeats it. */
static void parse_piece(struct compiler *c)
{
    u32 start = c->out->count;
    parse_atom(c);
    char sign = *c->at;
    if (c->error || (sign != '*' && sign != '+' && sign != '?'))
        return;
    c->at++;
    if (*c->at == '?') /* the shortest match is a match too */
        c->at++;
    i16 size = (i16)(c->out->count - start);
    if (sign == '+') {
        insert(c, c->out->count,
               (struct regexp_step){.op = STEP_SPLIT, .to = (i16)-size, .or_to = 1});
        return;
    }
    i16 over = (i16)(size + (sign == '*' ? 2 : 1));
    insert(c, start, (struct regexp_step){.op = STEP_SPLIT, .to = 1, .or_to = over});
    if (sign == '*')
        insert(c, c->out->count, (struct regexp_step){.op = STEP_JUMP, .to = (i16)(-size - 1)});
}

static void parse_choice(struct compiler *c)
{
    u32 start = c->out->count;
    while (!c->error && *c->at && *c->at != '|' && *c->at != ')')
        parse_piece(c);
    if (c->error || *c->at != '|')
        return;
    c->at++;
    i16 size = (i16)(c->out->count - start);
    insert(c, start, (struct regexp_step){.op = STEP_SPLIT, .to = 1, .or_to = (i16)(size + 2)});
    u32 jump = c->out->count;
    insert(c, jump, (struct regexp_step){.op = STEP_JUMP});
    if (c->depth++ == GROUP_DEPTH_MAX * 2)
        fail(c, "expression nests too deeply");
    parse_choice(c);
    c->depth--;
    if (!c->error) /* or there may be no such step */
        c->out->code[jump].to = (i16)(c->out->count - jump);
}

const char *regexp_compile(struct regexp *regexp, const char *pattern)
{
    struct compiler c = {.out = regexp, .at = pattern};
    memset(regexp, 0, sizeof *regexp);
    parse_choice(&c);
    if (!c.error && *c.at)
        fail(&c, "unexpected )");
    emit(&c, STEP_MATCH, 0);
    return c.error;
}

/* ---- searching ------------------------------------------------------------------------------ */

struct threads {
    u16 steps[REGEXP_CODE_MAX];
    u8 seen[REGEXP_CODE_MAX / 8];
    u32 count;
};

/* STEP and all that it leads to without a byte. */
static bool follow(const struct regexp *regexp, struct threads *threads, u32 step, bool at_begin,
                   bool at_end)
{
    u16 stack[REGEXP_CODE_MAX];
    u32 depth = 0;
    bool is_match = false;
    stack[depth++] = (u16)step;
    while (depth > 0) {
        u32 at = stack[--depth];
        if (threads->seen[at / 8] & 1u << at % 8)
            continue;
        threads->seen[at / 8] |= (u8)(1u << at % 8);
        const struct regexp_step *s = &regexp->code[at];
        bool passes = (s->op == STEP_BEGIN && at_begin) || (s->op == STEP_END && at_end);
        if (s->op == STEP_MATCH)
            is_match = true;
        else if (passes)
            stack[depth++] = (u16)(at + 1);
        else if (s->op == STEP_JUMP || s->op == STEP_SPLIT)
            stack[depth++] = (u16)((i32)at + s->to);
        else if (s->op != STEP_BEGIN && s->op != STEP_END)
            threads->steps[threads->count++] = (u16)at;
        if (s->op == STEP_SPLIT && depth < REGEXP_CODE_MAX)
            stack[depth++] = (u16)((i32)at + s->or_to);
    }
    return is_match;
}

static bool takes(const struct regexp *regexp, const struct regexp_step *step, u8 byte)
{
    if (step->op == STEP_ANY)
        return byte != '\n';
    if (step->op == STEP_CLASS)
        return regexp->classes[step->byte][byte / 8] & 1u << byte % 8;
    return step->byte == byte;
}

bool regexp_search(const struct regexp *regexp, const char *text)
{
    struct threads sets[2] = {0};
    const char *begin = text;
    for (u32 turn = 0;; turn ^= 1, text++) {
        struct threads *now = &sets[turn], *next = &sets[turn ^ 1];
        if (follow(regexp, now, 0, text == begin, *text == 0))
            return true;
        memset(next, 0, sizeof *next);
        if (!*text)
            return false;
        for (u32 i = 0; i < now->count; i++)
            if (takes(regexp, &regexp->code[now->steps[i]], (u8)*text) &&
                follow(regexp, next, now->steps[i] + 1u, false, text[1] == 0))
                return true;
    }
}

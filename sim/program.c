/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The compiler of program lines. Code goes to the byte code segment, strings and structs to a
 * read-only data segment behind it. A variable that no line sets is a buffer: `$buf` is then its
 * address.
 */
#include "sim/program.h"

#include <elf.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "platform/script/bytecode.h"
#include "sentry/syscalls/syscalls.h"

#define DATA_SEGMENT (BYTECODE_SEGMENT + 0x100000u)
#define CODE_MAX 0x80000u
#define BUFFER_SIZE 4096u
#define BUFFER_COUNT_MAX 64u
#define NAMES_MAX 200u
#define CALL_WANT_FAILED                                                    \
    9999u /* no such call: the trace shows line, result and what was wanted \
           */
#define DEPTH_MAX 16u
#define SYSCALL_WRITE 1u

extern const u8 _binary_interpreter_start[], _binary_interpreter_end[];

struct compiler {
    const char *file;
    struct sim_error *err;
    struct buf code, data;
    struct {
        char name[32];
        bool is_set; /* a variable; else a buffer */
        u32 index;   /* of the variable or the buffer */
    } names[NAMES_MAX];
    u32 name_count, var_count, buffer_count;
    u32 handlers[BYTECODE_HANDLER_COUNT];
    u32 handler_count;
    u32 depth;
};

int sim_error_at(struct sim_error *err, const char *file, struct fy_node *node, const char *format,
                 ...)
{
    err->place = (struct place){.file = file};
    struct fy_token *token = node ? fy_node_get_scalar_token(node) : NULL;
    const struct fy_mark *mark = token ? fy_token_start_mark(token) : NULL;
    struct fy_mark at;
    if (!mark && node) {
        struct fy_node *first = fy_node_is_sequence(node) ? fy_node_sequence_get_by_index(node, 0)
                                : fy_node_is_mapping(node) && fy_node_mapping_get_by_index(node, 0)
                                    ? fy_node_pair_key(fy_node_mapping_get_by_index(node, 0))
                                    : NULL;
        token = first ? fy_node_get_scalar_token(first) : NULL;
        mark = token ? fy_token_start_mark(token) : NULL;
    }
    if (mark) {
        at = *mark;
        err->place.line = (u32)at.line + 1;
        err->place.column = (u32)at.column + 1;
    }
    va_list args;
    va_start(args, format);
    vsnprintf(err->text, sizeof err->text, format, args);
    va_end(args);
    return -1;
}

#define FAIL(compiler, node, ...) \
    sim_error_at((compiler)->err, (compiler)->file, (node), __VA_ARGS__)

/* ---- emitting ------------------------------------------------------------------------------- */

static u32 here(const struct compiler *c)
{
    return (u32)(sizeof(struct bytecode_header) + c->code.size);
}

static int emit(struct compiler *c, struct bytecode_instruction op)
{
    if (c->code.size + sizeof op > CODE_MAX)
        return FAIL(c, NULL, "the program is too long");
    return buf_append(&c->code, &op, sizeof op) ? FAIL(c, NULL, "no memory") : 0;
}

/* Set the target of the jump at OFFSET to here. */
static void patch(struct compiler *c, u32 offset)
{
    struct bytecode_instruction *op = (void *)(buf_bytes(&c->code) + offset -
                                               sizeof(struct bytecode_header));
    op->imm = here(c);
}

/* Bytes into the data segment, 8-aligned: their address. */
static int put_data(struct compiler *c, const void *bytes, size_t size, u64 *address)
{
    static const u8 zeros[8];
    *address = DATA_SEGMENT + c->data.size;
    size_t pad = (8 - size % 8) % 8;
    return buf_append(&c->data, bytes, size) || buf_append(&c->data, zeros, pad)
               ? FAIL(c, NULL, "no memory")
               : 0;
}

/* ---- names ---------------------------------------------------------------------------------- */

static int name_index(struct compiler *c, struct fy_node *node, const char *name, size_t size,
                      u32 *out)
{
    for (u32 i = 0; i < c->name_count; i++) {
        if (strlen(c->names[i].name) == size && memcmp(c->names[i].name, name, size) == 0) {
            *out = i;
            return 0;
        }
    }
    if (c->name_count == NAMES_MAX || size >= sizeof c->names[0].name)
        return FAIL(c, node, "too many names, or too long a one");
    memcpy(c->names[c->name_count].name, name, size);
    c->names[c->name_count].name[size] = 0;
    *out = c->name_count++;
    return 0;
}

static int make_variable(struct compiler *c, struct fy_node *node, u32 *var)
{
    size_t size;
    const char *name = fy_node_get_scalar(node, &size);
    u32 index;
    if (!name)
        return FAIL(c, node, "a variable's name is wanted here");
    if (name_index(c, node, name, size, &index))
        return -1;
    if (!c->names[index].is_set) {
        if (c->var_count == BYTECODE_VAR_RESULT)
            return FAIL(c, node, "more than %u variables", BYTECODE_VAR_RESULT);
        c->names[index].is_set = true;
        c->names[index].index = c->var_count++;
    }
    *var = c->names[index].index;
    return 0;
}

/* All `set` names first, so that a use before the line that sets it is no buffer. */
static int find_variables(struct compiler *c, struct fy_node *node)
{
    if (fy_node_is_sequence(node)) {
        void *iter = NULL;
        for (struct fy_node *item; (item = fy_node_sequence_iterate(node, &iter));)
            if (find_variables(c, item))
                return -1;
        return 0;
    }
    if (!fy_node_is_mapping(node))
        return 0;
    void *iter = NULL;
    for (struct fy_node_pair *pair; (pair = fy_node_mapping_iterate(node, &iter));) {
        struct fy_node *key = fy_node_pair_key(pair), *value = fy_node_pair_value(pair);
        const char *name = fy_node_get_scalar0(key);
        u32 var;
        if (name && strcmp(name, "set") == 0 && fy_node_is_scalar(value)) {
            if (make_variable(c, value, &var))
                return -1;
        } else if (find_variables(c, value)) {
            return -1;
        }
    }
    return 0;
}

/* ---- operands ------------------------------------------------------------------------------- */

static int operand_name(struct compiler *c, struct fy_node *node, const char *text, size_t size,
                        struct bytecode_instruction *out)
{
    u32 index;
    const char *plus = memchr(text, '+', size);
    size_t name_size = plus ? (size_t)(plus - text) : size;
    i64 offset = 0;
    if (plus && !sim_number(plus + 1, size - name_size - 1, &offset))
        return FAIL(c, node, "'%.*s' is no offset", (int)(size - name_size - 1), plus + 1);
    if (name_index(c, node, text, name_size, &index))
        return -1;
    if (c->names[index].is_set) {
        *out = (struct bytecode_instruction){
            .op = OP_ARG, .a = plus ? 2 : 1, .b = (u8)c->names[index].index, .imm64 = (u64)offset};
        return 0;
    }
    if (c->names[index].index == 0) {
        if (c->buffer_count == BUFFER_COUNT_MAX)
            return FAIL(c, node, "more than %u buffers", BUFFER_COUNT_MAX);
        c->names[index].index = ++c->buffer_count;
    }
    u64 address = BYTECODE_BUFFERS + (c->names[index].index - 1) * BUFFER_SIZE;
    *out = (struct bytecode_instruction){.op = OP_ARG, .imm64 = address + (u64)offset};
    return 0;
}

static int number_of(struct compiler *c, struct fy_node *node, i64 *out)
{
    size_t size;
    const char *text = node ? fy_node_get_scalar(node, &size) : NULL;
    if (!text || !sim_number(text, size, out))
        return FAIL(c, node, "a number is wanted here%s%.*s", text ? ", not " : "",
                    text ? (int)size : 0, text ? text : "");
    return 0;
}

static int put_time(struct compiler *c, struct fy_node *node, i64 out[2])
{
    i64 ns;
    if (number_of(c, node, &ns))
        return -1;
    out[0] = ns / (i64)NS_PER_S;
    out[1] = ns % (i64)NS_PER_S;
    return 0;
}

/* {interval: 1s, value: 1s}, {timespec: 10ms}, {u32: [..]}, {u64: [..]}, {bytes: N} in the data
 * segment. */
static int operand_struct(struct compiler *c, struct fy_node *node, u64 *address)
{
    struct fy_node *value = fy_node_mapping_lookup_by_string(node, "value", FY_NT);
    struct fy_node *interval = fy_node_mapping_lookup_by_string(node, "interval", FY_NT);
    struct fy_node *timespec = fy_node_mapping_lookup_by_string(node, "timespec", FY_NT);
    if (value || interval) {
        i64 words[4] = {0};
        if ((interval && put_time(c, interval, words)) || (value && put_time(c, value, words + 2)))
            return -1;
        return put_data(c, words, sizeof words, address);
    }
    if (timespec) {
        i64 words[2];
        return put_time(c, timespec, words) ? -1 : put_data(c, words, sizeof words, address);
    }
    struct fy_node *wide = fy_node_mapping_lookup_by_string(node, "u64", FY_NT);
    struct fy_node *list = wide ? wide : fy_node_mapping_lookup_by_string(node, "u32", FY_NT);
    if (!list || !fy_node_is_sequence(list))
        return FAIL(c, node, "one of interval and value, timespec, u32, u64 is wanted in a struct");
    u64 words[32] = {0};
    u32 halves[32] = {0};
    int count = fy_node_sequence_item_count(list);
    if (count > 32)
        return FAIL(c, node, "at most 32 words in a struct");
    for (int i = 0; i < count; i++) {
        i64 number;
        if (number_of(c, fy_node_sequence_get_by_index(list, i), &number))
            return -1;
        words[i] = (u64)number;
        halves[i] = (u32)number;
    }
    return wide ? put_data(c, words, (size_t)count * 8, address)
                : put_data(c, halves, (size_t)count * 4, address);
}

static int operand(struct compiler *c, struct fy_node *node, struct bytecode_instruction *out)
{
    *out = (struct bytecode_instruction){.op = OP_ARG};
    if (fy_node_is_mapping(node))
        return operand_struct(c, node, &out->imm64);
    size_t size;
    const char *text = fy_node_get_scalar(node, &size);
    if (!text)
        return FAIL(c, node, "an argument is wanted here");
    bool is_quoted = fy_node_get_style(node) == FYNS_DOUBLE_QUOTED ||
                     fy_node_get_style(node) == FYNS_SINGLE_QUOTED;
    i64 number;
    if (!is_quoted && size > 1 && text[0] == '$')
        return operand_name(c, node, text + 1, size - 1, out);
    if (!is_quoted && (size == 0 || (size == 4 && memcmp(text, "null", 4) == 0)))
        return 0;
    if (!is_quoted && sim_number(text, size, &number)) {
        out->imm64 = (u64)number;
        return 0;
    }
    char *copy = malloc(size + 1);
    if (!copy)
        return FAIL(c, node, "no memory");
    memcpy(copy, text, size);
    copy[size] = 0;
    int err = put_data(c, copy, size + 1, &out->imm64);
    free(copy);
    return err;
}

/* ---- calls ---------------------------------------------------------------------------------- */

static int syscall_number(const char *name, u32 *out)
{
    for (u32 nr = 0; nr < SYSCALL_COUNT; nr++) {
        const struct syscall_row *row = syscall_find(nr);
        if (row && strcmp(row->name, name) == 0) {
            *out = nr;
            return 0;
        }
    }
    return -1;
}

static int emit_call(struct compiler *c, u32 nr, const u64 *args, u32 count)
{
    if (emit(c, (struct bytecode_instruction){.op = OP_SYS, .a = (u8)count, .b = 255, .imm = nr}))
        return -1;
    for (u32 i = 0; i < count; i++)
        if (emit(c, (struct bytecode_instruction){.op = OP_ARG, .imm64 = args[i]}))
            return -1;
    return 0;
}

/* `want`: go on only with that result; else show it and leave with 99. */
static int emit_want(struct compiler *c, struct fy_node *node)
{
    i64 wanted;
    if (number_of(c, node, &wanted))
        return -1;
    u32 jump = here(c);
    if (emit(c, (struct bytecode_instruction){
                    .op = OP_JUMP_EQ, .a = BYTECODE_VAR_RESULT, .imm64 = (u64)wanted}))
        return -1;
    struct fy_token *token = fy_node_get_scalar_token(node);
    const struct fy_mark *mark = token ? fy_token_start_mark(token) : NULL;
    const struct bytecode_instruction shown[] = {
        {.op = OP_SYS, .a = 3, .b = 253, .imm = CALL_WANT_FAILED},
        {.op = OP_ARG, .imm64 = mark ? (u64)mark->line + 1 : 0},
        {.op = OP_ARG, .a = 1, .b = BYTECODE_VAR_RESULT},
        {.op = OP_ARG, .imm64 = (u64)wanted},
    };
    for (size_t i = 0; i < ARRAY_COUNT(shown); i++)
        if (emit(c, shown[i]))
            return -1;
    if (emit_call(c, 231, (const u64[]){99}, 1))
        return -1;
    patch(c, jump);
    return 0;
}

/* The lines' common keys behind a call that begins at START. */
static int emit_after(struct compiler *c, struct fy_node *line, u32 start)
{
    struct fy_node *retry = fy_node_mapping_lookup_by_string(line, "retry", FY_NT);
    struct fy_node *want = fy_node_mapping_lookup_by_string(line, "want", FY_NT);
    if (retry) {
        i64 code;
        if (number_of(c, retry, &code) ||
            emit(c,
                 (struct bytecode_instruction){
                     .op = OP_JUMP_EQ, .a = BYTECODE_VAR_RESULT, .imm = start, .imm64 = (u64)code}))
            return -1;
    }
    return want ? emit_want(c, want) : 0;
}

static int set_of(struct compiler *c, struct fy_node *line, u8 *var)
{
    struct fy_node *set = fy_node_mapping_lookup_by_string(line, "set", FY_NT);
    u32 index = 255;
    if (set && make_variable(c, set, &index))
        return -1;
    *var = (u8)index;
    return 0;
}

static int compile_call(struct compiler *c, struct fy_node *line, struct fy_node *key,
                        struct fy_node *args)
{
    const char *name = fy_node_get_scalar0(key);
    u32 nr, start = here(c);
    if (syscall_number(name, &nr))
        return FAIL(c, key, "'%s' is no system call that is served, and no other line", name);
    int count = args && fy_node_is_sequence(args) ? fy_node_sequence_item_count(args) : -1;
    if (count < 0 || count > 6)
        return FAIL(c, key, "%s wants a list of at most six arguments", name);
    /* write: [fd, "text"]: the text's size may be left out */
    size_t text_size = 0;
    bool is_short = nr == SYSCALL_WRITE && count == 2 &&
                    fy_node_get_scalar(fy_node_sequence_get_by_index(args, 1), &text_size) != NULL;
    u8 words = (u8)(count + is_short), var;
    if (set_of(c, line, &var) ||
        emit(c, (struct bytecode_instruction){.op = OP_SYS, .a = words, .b = var, .imm = nr}))
        return -1;
    for (int i = 0; i < count; i++) {
        struct bytecode_instruction arg;
        if (operand(c, fy_node_sequence_get_by_index(args, i), &arg) || emit(c, arg))
            return -1;
    }
    if (is_short && emit(c, (struct bytecode_instruction){.op = OP_ARG, .imm64 = text_size}))
        return -1;
    return emit_after(c, line, start);
}

/* ---- other lines ---------------------------------------------------------------------------- */

static int compile_lines(struct compiler *c, struct fy_node *lines);

/* Code that is not run in passing: jump over it; its offset in *OFFSET. END closes it. */
static int compile_aside(struct compiler *c, struct fy_node *lines, enum bytecode_op end,
                         u32 *offset)
{
    u32 jump = here(c);
    if (emit(c, (struct bytecode_instruction){.op = OP_JUMP}))
        return -1;
    *offset = here(c);
    if (compile_lines(c, lines))
        return -1;
    if (end == OP_SYS ? emit_call(c, 231, (const u64[]){0}, 1)
                      : emit(c, (struct bytecode_instruction){.op = (u8)end}))
        return -1;
    patch(c, jump);
    return 0;
}

/* {on: {SIGUSR1: [lines]}}: rt_sigaction with a handler of these lines. */
static int compile_on(struct compiler *c, struct fy_node *map)
{
    if (!map || !fy_node_is_mapping(map))
        return FAIL(c, map, "on wants a mapping from signals to lines");
    void *iter = NULL;
    for (struct fy_node_pair *pair; (pair = fy_node_mapping_iterate(map, &iter));) {
        i64 signo;
        if (number_of(c, fy_node_pair_key(pair), &signo))
            return -1;
        const char *word = fy_node_get_scalar0(fy_node_pair_value(pair));
        u64 address;
        if (word) {
            bool ignores = strcmp(word, "ignore") == 0;
            const u64 plain[4] = {ignores};
            if (!ignores && strcmp(word, "default") != 0)
                return FAIL(c, fy_node_pair_value(pair),
                            "lines, ignore or default are wanted here");
            if (put_data(c, plain, sizeof plain, &address) ||
                emit_call(c, 13, (const u64[]){(u64)signo, address, 0, 8}, 4))
                return -1;
            continue;
        }
        u32 index = c->handler_count;
        if (index == BYTECODE_HANDLER_COUNT)
            return FAIL(c, map, "more than %u handlers", BYTECODE_HANDLER_COUNT);
        c->handler_count++;
        if (compile_aside(c, fy_node_pair_value(pair), OP_RETURN, &c->handlers[index]))
            return -1;
        const u64 action[4] = {BYTECODE_HANDLERS + (u64)index * BYTECODE_HANDLER_SIZE, 0x04000000u,
                               BYTECODE_RESTORER, 0};
        if (put_data(c, action, sizeof action, &address) ||
            emit_call(c, 13, (const u64[]){(u64)signo, address, 0, 8}, 4))
            return -1;
    }
    return 0;
}

static int compile_repeat(struct compiler *c, struct fy_node *line, struct fy_node *count)
{
    struct fy_node *body = fy_node_mapping_lookup_by_string(line, "do", FY_NT);
    i64 times;
    if (!body)
        return FAIL(c, line, "repeat wants do: [lines]");
    if (number_of(c, count, &times))
        return -1;
    if (c->var_count == BYTECODE_VAR_RESULT - 1)
        return FAIL(c, line, "too many variables");
    u8 var = (u8)c->var_count++;
    if (emit(c, (struct bytecode_instruction){.op = OP_SET, .a = var, .imm64 = (u64)times}))
        return -1;
    u32 start = here(c);
    if (compile_lines(c, body))
        return -1;
    return emit(c, (struct bytecode_instruction){.op = OP_LOOP, .a = var, .imm = start});
}

static int compile_loop(struct compiler *c, struct fy_node *body)
{
    u32 start = here(c);
    if (compile_lines(c, body))
        return -1;
    return emit(c, (struct bytecode_instruction){.op = OP_JUMP, .imm = start});
}

static int compile_fork(struct compiler *c, struct fy_node *line, struct fy_node *body,
                        bool is_thread)
{
    u32 offset;
    u8 var;
    if (compile_aside(c, body, is_thread ? OP_END : OP_SYS, &offset) || set_of(c, line, &var))
        return -1;
    return emit(c, (struct bytecode_instruction){
                       .op = is_thread ? OP_THREAD : OP_FORK, .b = var, .imm = offset});
}

/* Variables for the address and size of fill, touch, sum. */
static int compile_area(struct compiler *c, struct fy_node *line, struct fy_node *args,
                        enum bytecode_op op)
{
    int count = args && fy_node_is_sequence(args) ? fy_node_sequence_item_count(args) : 0;
    if (count < 2 || c->var_count >= BYTECODE_VAR_RESULT - 2)
        return FAIL(c, line, "[address, size%s] is wanted",
                    op == OP_FILL ? ", random or a byte" : "");
    u8 vars[2] = {(u8)c->var_count, (u8)(c->var_count + 1)};
    c->var_count += 2;
    for (int i = 0; i < 2; i++) {
        struct bytecode_instruction arg;
        if (operand(c, fy_node_sequence_get_by_index(args, i), &arg))
            return -1;
        struct bytecode_instruction set = {
            .op = arg.a ? OP_COPY : OP_SET, .a = vars[i], .b = arg.b, .imm64 = arg.imm64};
        if (emit(c, set) ||
            (arg.a == 2 && emit(c, (struct bytecode_instruction){
                                       .op = OP_ADD, .a = vars[i], .imm64 = arg.imm64})))
            return -1;
    }
    struct bytecode_instruction area = {.op = (u8)op, .b = vars[0], .c = vars[1]};
    if (op == OP_FILL) {
        struct fy_node *pattern = count > 2 ? fy_node_sequence_get_by_index(args, 2) : NULL;
        const char *text = pattern ? fy_node_get_scalar0(pattern) : NULL;
        i64 byte = 0;
        bool is_random = text && strcmp(text, "random") == 0;
        if (!is_random && pattern && number_of(c, pattern, &byte))
            return -1;
        area.imm = is_random ? 0 : 1;
        area.imm64 = is_random ? 0x9e3779b97f4a7c15u : (u64)byte & 0xff;
    } else if (op == OP_SUM) {
        u8 var;
        if (set_of(c, line, &var))
            return -1;
        area.a = var == 255 ? BYTECODE_VAR_RESULT : var;
    }
    return emit(c, area);
}

static int compile_line(struct compiler *c, struct fy_node *line)
{
    if (!fy_node_is_mapping(line) || fy_node_mapping_item_count(line) == 0)
        return FAIL(c, line, "a line is a mapping: {write: [1, \"text\"]}");
    struct fy_node_pair *first = fy_node_mapping_get_by_index(line, 0);
    struct fy_node *key = fy_node_pair_key(first), *value = fy_node_pair_value(first);
    const char *name = fy_node_get_scalar0(key);
    if (!name)
        return FAIL(c, line, "a line begins with its name");
    if (strcmp(name, "on") == 0)
        return compile_on(c, value);
    if (strcmp(name, "repeat") == 0)
        return compile_repeat(c, line, value);
    if (strcmp(name, "loop") == 0)
        return compile_loop(c, value);
    if (strcmp(name, "fork") == 0 && fy_node_is_sequence(value) &&
        fy_node_sequence_item_count(value) > 0)
        return compile_fork(c, line, value, false);
    if (strcmp(name, "thread") == 0)
        return compile_fork(c, line, value, true);
    if (strcmp(name, "fill") == 0)
        return compile_area(c, line, value, OP_FILL);
    if (strcmp(name, "touch") == 0)
        return compile_area(c, line, value, OP_TOUCH);
    if (strcmp(name, "sum") == 0)
        return compile_area(c, line, value, OP_SUM);
    if (strcmp(name, "yield") == 0)
        return emit_call(c, 24, NULL, 0);
    return compile_call(c, line, key, value);
}

static int compile_lines(struct compiler *c, struct fy_node *lines)
{
    if (!lines || !fy_node_is_sequence(lines))
        return FAIL(c, lines, "a list of lines is wanted here");
    if (c->depth == DEPTH_MAX)
        return FAIL(c, lines, "lines are nested deeper than %u", DEPTH_MAX);
    c->depth++;
    void *iter = NULL;
    int err = 0;
    for (struct fy_node *line; !err && (line = fy_node_sequence_iterate(lines, &iter));)
        err = compile_line(c, line);
    c->depth--;
    return err;
}

/* ---- the ELF -------------------------------------------------------------------------------- */

static int put_elf(struct compiler *c, struct buf *out)
{
    const Elf64_Ehdr *native = (const void *)_binary_interpreter_start;
    const Elf64_Phdr *text = (const void *)(_binary_interpreter_start + native->e_phoff);
    struct bytecode_header head = {.magic = BYTECODE_MAGIC, .start = sizeof head};
    head.size = (u32)(sizeof head + c->code.size);
    memcpy(head.handlers, c->handlers, sizeof head.handlers);
    u64 code_at = 0x10000, data_at = ALIGN_UP(code_at + head.size, PAGE_SIZE);
    Elf64_Ehdr elf = *native;
    elf.e_phoff = sizeof elf;
    elf.e_phnum = 5;
    elf.e_shoff = elf.e_shnum = elf.e_shstrndx = 0;
    Elf64_Phdr rows[5] = {*text};
    rows[1] = (Elf64_Phdr){.p_type = PT_LOAD,
                           .p_flags = PF_R,
                           .p_offset = code_at,
                           .p_vaddr = BYTECODE_SEGMENT,
                           .p_paddr = BYTECODE_SEGMENT,
                           .p_filesz = head.size,
                           .p_memsz = head.size,
                           .p_align = PAGE_SIZE};
    rows[2] = (Elf64_Phdr){.p_type = PT_LOAD,
                           .p_flags = PF_R,
                           .p_offset = data_at,
                           .p_vaddr = DATA_SEGMENT,
                           .p_paddr = DATA_SEGMENT,
                           .p_filesz = c->data.size,
                           .p_memsz = c->data.size,
                           .p_align = PAGE_SIZE};
    rows[3] = (Elf64_Phdr){.p_type = PT_LOAD,
                           .p_flags = PF_R | PF_W,
                           .p_offset = 0,
                           .p_vaddr = BYTECODE_ARENA,
                           .p_paddr = BYTECODE_ARENA,
                           .p_memsz = BYTECODE_ARENA_SIZE,
                           .p_align = PAGE_SIZE};
    rows[4] = (Elf64_Phdr){.p_type = PT_GNU_STACK, .p_flags = PF_R | PF_W, .p_align = 16};
    size_t start = out->size;
    u64 text_end = text->p_offset + text->p_filesz;
    ASSERT(text_end <= code_at && sizeof elf + sizeof rows <= 0x1000);
    u8 *bytes;
    size_t size = data_at + c->data.size;
    if (buf_reserve(out, size, &bytes))
        return FAIL(c, NULL, "no memory");
    memset(bytes, 0, size);
    memcpy(bytes, _binary_interpreter_start, text_end);
    memcpy(bytes, &elf, sizeof elf);
    memcpy(bytes + sizeof elf, rows, sizeof rows);
    memcpy(bytes + code_at, &head, sizeof head);
    memcpy(bytes + code_at + sizeof head, buf_bytes(&c->code), c->code.size);
    if (c->data.size)
        memcpy(bytes + data_at, buf_bytes(&c->data), c->data.size);
    buf_grow(out, size);
    ASSERT(out->size == start + size);
    return 0;
}

int program_compile(const char *file, struct fy_node *lines, struct buf *out, struct sim_error *err)
{
    struct compiler *c = calloc(1, sizeof *c);
    if (!c)
        return sim_error_at(err, file, lines, "no memory");
    c->file = file;
    c->err = err;
    buf_init(&c->code, out->arena, 0);
    buf_init(&c->data, out->arena, 0);
    int result = find_variables(c, lines);
    if (!result)
        result = compile_lines(c, lines);
    if (!result)
        result = emit_call(c, 231, (const u64[]){0},
                           1); /* a program that runs out of lines leaves with 0 */
    u64 unused;
    if (!result && c->data.size == 0)
        result = put_data(c, "", 1, &unused);
    if (!result)
        result = put_elf(c, out);
    buf_fini(&c->code);
    buf_fini(&c->data);
    free(c);
    return result;
}

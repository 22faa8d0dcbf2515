/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Arguments and environment on their way: strings back to back. Their limits are execve(2)'s: one
 * string 32 pages, all together what exec_build finds in the stack limit; here only the hard top.
 */
#include <string.h>

#include "abi/errno.h"
#include "sentry/exec/exec.h"

void exec_text_init(struct exec_text *text, struct arena *arena)
{
    buf_init(&text->bytes, arena, 0);
    text->count = 0;
}

void exec_text_fini(struct exec_text *text)
{
    buf_fini(&text->bytes);
    text->count = 0;
}

/* One more string of SIZE bytes with its terminator. */
static int text_append(struct exec_text *text, const char *string, size_t size)
{
    if (size > EXEC_STRING_SIZE_MAX ||
        text->bytes.size + size + (text->count + 1) * sizeof(u64) > EXEC_TEXT_SIZE_MAX)
        return -E2BIG;
    int err = buf_append(&text->bytes, string, size);
    if (!err)
        text->count++;
    return err;
}

int exec_text_add(struct exec_text *text, const char *string)
{
    return text_append(text, string, strlen(string) + 1);
}

/* The string at FROM, straight into the buffer, which grows by the page. */
SLEEPS static int copy_string(struct task *task, uaddr from, struct exec_text *text)
{
    u64 size = 0; /* of what is there so far */
    for (;;) {
        u8 *room;
        int err = buf_reserve(&text->bytes, size + PAGE_SIZE, &room);
        if (err)
            return err;
        i64 got = copy_string_from_user(task, (char *)room + size, uaddr_add(from, size),
                                        PAGE_SIZE);
        if (got >= 0) {
            size += (u64)got + 1;
            break;
        }
        if (got != -ENAMETOOLONG)
            return (int)got;
        size += PAGE_SIZE;
        if (size >= EXEC_STRING_SIZE_MAX)
            return -E2BIG;
    }
    if (size > EXEC_STRING_SIZE_MAX ||
        text->bytes.size + size + (text->count + 1) * sizeof(u64) > EXEC_TEXT_SIZE_MAX)
        return -E2BIG;
    buf_grow(&text->bytes, size);
    text->count++;
    return 0;
}

int exec_text_copy(struct task *task, uaddr array, struct exec_text *text)
{
    if (array.value == 0)
        return 0;
    for (u64 i = 0;; i++) {
        u64 pointer;
        int err = copy_from_user(task, &pointer, uaddr_add(array, i * sizeof pointer),
                                 sizeof pointer);
        if (err)
            return err;
        if (pointer == 0)
            return 0;
        err = copy_string(task, uaddr_make(pointer), text);
        if (err)
            return err;
        if (i % 256 == 255)
            fiber_relax(&task->fiber);
    }
}

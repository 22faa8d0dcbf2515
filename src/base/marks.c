/* SPDX-License-Identifier: Apache-2.0 */
/* Marks by number and by name; see marks.def. */
#include "base/marks.h"

#include <string.h>

static const char *const mark_names[MARK_COUNT] = {
#define MARK(identifier, name) [MARK_##identifier] = name,
#include "base/marks.def"
#undef MARK
};

void marks_hit(struct marks *marks, enum mark mark)
{
    ASSERT(mark < MARK_COUNT);
    if (marks)
        marks->counts[mark]++;
}

const char *marks_name(enum mark mark)
{
    ASSERT(mark < MARK_COUNT);
    return mark_names[mark];
}

enum mark marks_find(const char *name)
{
    enum mark mark = 0;
    while (mark < MARK_COUNT && strcmp(mark_names[mark], name) != 0)
        mark++;
    return mark;
}

void marks_add(struct marks *marks, const struct marks *from)
{
    for (int i = 0; i < MARK_COUNT; i++)
        marks->counts[i] += from->counts[i];
}

/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What a reference in an image may lead to. For each row of each kind's table that refers to
 * objects, a stream of two objects is written: one of the kind, all zero but for that row, and what
 * the row refers to.
 */
#include <CUnit/CUnit.h>

#include "sentry/fs/testing.h"
#include "sentry/memory/mm.h"
#include "sentry/state/internal.h"

#define KIND(name) extern const struct kind name##_kind;
#include "sentry/state/kinds.def"
#undef KIND

static const struct kind *const all_kinds[] = {
#define KIND(name) &name##_kind,
#include "sentry/state/kinds.def"
#undef KIND
};

static void put(struct buf *out, u64 value, size_t size)
{
    ASSERT(buf_append(out, &value, size) == 0);
}

static void put_zeros(struct buf *out, size_t size)
{
    for (size_t i = 0; i < size; i++)
        put(out, 0, 1);
}

static void put_text(struct buf *out, const char *text)
{
    put(out, strlen(text) + 1, 4);
    CU_ASSERT_FATAL(buf_append(out, text, strlen(text) + 1) == 0);
}

/* *CHOSEN, when it is met, refers to object 2, and is then cleared. */
static void put_fields(struct buf *out, const struct field *fields, const struct field **chosen)
{
    for (const struct field *field = fields; field->type != FIELD_TYPE_END; field++) {
        bool is_chosen = field == *chosen;
        if (is_chosen)
            *chosen = NULL;
        switch (field->type) {
        case FIELD_TYPE_REF:
        case FIELD_TYPE_WEAK:
            put(out, is_chosen ? 2 : 0, 4);
            break;
        case FIELD_TYPE_LIST:
            put(out, is_chosen, 4);
            put(out, 2, is_chosen ? 4 : 0);
            break;
        case FIELD_TYPE_MAP:
            put(out, is_chosen, 8);
            put(out, 7, is_chosen ? 8 : 0);
            put(out, 2, is_chosen ? 4 : 0);
            break;
        case FIELD_TYPE_REFS:
            put(out, is_chosen, 8);
            put(out, 2, is_chosen ? 4 : 0);
            break;
        case FIELD_TYPE_STRUCT:
            put_fields(out, field->sub, chosen);
            break;
        case FIELD_TYPE_ARRAY:
            for (size_t i = 0; i < field->count; i++)
                put_fields(out, field->sub, chosen);
            break;
        case FIELD_TYPE_STRING:
            put(out, 0, 4);
            break;
        case FIELD_TYPE_BUF:
        case FIELD_TYPE_STRUCTS:
            put(out, 0, 8);
            break;
        default:
            put_zeros(out, field->type == FIELD_TYPE_NONE ? 0 : field->size);
        }
    }
}

static void put_object(struct buf *out, const struct kind *kind, bool is_first,
                       const struct kind *known, const struct field *chosen)
{
    put(out, kind == known || is_first ? 1 : 2, 4);
    if (kind != known) {
        put_text(out, kind->name);
        put(out, state_kind_schema(kind), 8);
    }
    size_t size_at = out->size;
    put(out, 0, 4);
    put_fields(out, kind->fields, &chosen);
    CU_ASSERT_PTR_NULL(chosen);
    u32 size = (u32)(out->size - size_at - 4);
    memcpy(buf_bytes(out) + size_at, &size, sizeof size);
}

/* What the reader says of an object of KIND whose row FIELD refers to one of OTHER. */
static const char *complaint(struct world *world, const struct kind *kind,
                             const struct field *field, const struct kind *other)
{
    struct buf out;
    buf_init(&out, world->arena, 0);
    put_zeros(&out, STATE_ROOTS * 4 + 4 + 3 * 8);
    put_object(&out, kind, true, NULL, field);
    put_object(&out, other, false, kind, NULL);
    struct state_reader reader = {.kernel = world->kernel,
                                  .arena = world->arena,
                                  .at = buf_bytes(&out),
                                  .end = buf_bytes(&out) + out.size,
                                  .object_count = 2};
    CU_ASSERT_NOT_EQUAL(reader_build(&reader), 0);
    const char *text = reader.complaint ? reader.complaint : "";
    reader_discard(&reader);
    reader_fini(&reader);
    buf_fini(&out);
    return text;
}

static bool is_refusal(const char *text)
{
    return strcmp(text, "a reference to an object of another kind") == 0;
}

static void try_row(struct world *world, const struct kind *kind, const struct field *field)
{
    u32 right = 0;
    for (size_t i = 0; i < ARRAY_COUNT(all_kinds); i++) {
        bool fits = kind_is(all_kinds[i], field->target);
        right += fits;
        if (fits && all_kinds[i] == &mm_kind) /* its hook needs a platform */
            continue;
        bool is_refused = is_refusal(complaint(world, kind, field, all_kinds[i]));
        if (is_refused == fits)
            fprintf(stderr, "%s.%s: %s\n", field->of, field->name, all_kinds[i]->name);
        CU_ASSERT_NOT_EQUAL(is_refused, fits);
    }
    if (!right)
        fprintf(stderr, "%s.%s: no kind is a %s\n", field->of, field->name, field->target);
    CU_ASSERT(right > 0);
}

static u32 try_rows(struct world *world, const struct kind *kind, const struct field *fields)
{
    u32 count = 0;
    for (const struct field *field = fields; field->type != FIELD_TYPE_END; field++) {
        if (field->type == FIELD_TYPE_STRUCT || field->type == FIELD_TYPE_ARRAY)
            count += try_rows(world, kind, field->sub);
        if (!field->target)
            continue;
        try_row(world, kind, field);
        count++;
    }
    return count;
}

static void test_a_reference_leads_to_the_kind_that_its_row_says(void)
{
    struct world world;
    u32 count = 0;
    world_begin(&world, 1);
    for (size_t i = 0; i < ARRAY_COUNT(all_kinds); i++)
        if (all_kinds[i] != &mm_kind)
            count += try_rows(&world, all_kinds[i], all_kinds[i]->fields);
    CU_ASSERT(count > 150);
    world_end(&world);
}

static void test_kinds_are_what_they_begin_with(void)
{
    CU_ASSERT_TRUE(kind_is(&tmpfs_inode_kind, "struct tmpfs_inode"));
    CU_ASSERT_TRUE(kind_is(&tmpfs_inode_kind, "struct inode"));
    CU_ASSERT_TRUE(kind_is(&tmpfs_inode_kind, "struct object"));
    CU_ASSERT_TRUE(kind_is(&tcp_socket_kind, "struct socket"));
    CU_ASSERT_FALSE(kind_is(&tcp_socket_kind, "struct unix_socket"));
    CU_ASSERT_FALSE(kind_is(&tmpfs_inode_kind, "struct overlay_inode"));
    CU_ASSERT_FALSE(kind_is(&file_kind, "struct path")); /* it has one, and is none */
}

void reader_suite(void);
void reader_suite(void)
{
    CU_pSuite suite = CU_add_suite("sentry/state/reader", NULL, NULL);
    CU_ADD_TEST(suite, test_a_reference_leads_to_the_kind_that_its_row_says);
    CU_ADD_TEST(suite, test_kinds_are_what_they_begin_with);
}

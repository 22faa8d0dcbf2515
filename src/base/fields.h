/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Field tables: one plain array beside a struct describes it once. state/ saves, loads, hashes and
 * dumps by it. Every member has a row or a reason (FIELD_NONE); `make lint` compares the rows with
 * the compiler's own list of members. Wire structs have tables of their own (wire/urpc/codec.h).
 */
#pragma once
#include "base/base.h"
#include "base/buf.h"
#include "base/list.h"
#include "base/map.h"
#include "base/object.h"

enum field_type {
    FIELD_TYPE_END,
    FIELD_TYPE_NONE,   /* not saved; `note` says why */
    FIELD_TYPE_UINT,   /* size bytes, unsigned or bool or enum */
    FIELD_TYPE_INT,    /* size bytes, signed */
    FIELD_TYPE_BYTES,  /* size bytes as they are (char arrays, abi structs without padding) */
    FIELD_TYPE_STRING, /* char * from the arena, or NULL */
    FIELD_TYPE_BUF,    /* struct buf; its content */
    FIELD_TYPE_REF,    /* counted pointer to an object, or NULL */
    FIELD_TYPE_WEAK,   /* uncounted pointer to an object, or NULL; the object is saved by others */
    FIELD_TYPE_LIST, /* struct list of objects through `link_offset`; `is_counted`: the list owns a
                        reference each */
    FIELD_TYPE_MAP,  /* struct map from u64 to objects; counted */
    FIELD_TYPE_REFS, /* pointer to an array of counted pointers; element count in another member */
    FIELD_TYPE_STRUCT,  /* embedded struct with a table of its own (`sub`) */
    FIELD_TYPE_STRUCTS, /* pointer to an array of structs (`sub`), count in another member */
    FIELD_TYPE_ARRAY,   /* embedded fixed array of structs (`sub`), `count` elements */
};

struct field {
    const char *name;
    const char *of;     /* the struct that the row belongs to: "struct pipe" */
    const char *target; /* REF, WEAK, LIST, MAP, REFS: what is referred to; NULL: any object */
    enum field_type type;
    bool is_counted;
    size_t offset;
    size_t size;         /* of the member; for STRUCT(S) and ARRAY of one element */
    size_t count;        /* ARRAY */
    size_t count_offset; /* REFS, STRUCTS: offset of a u32 or u64/size_t count member */
    size_t count_size;
    size_t link_offset; /* LIST: offset of the link in the member's struct */
    const struct field *sub;
    const char *note;
};

#define FIELD_SIZEOF(s, m) sizeof(((s *)0)->m)
/* A scalar; the kind is deduced, so a pointer or struct does not compile. */
#define FIELD(s, m)                                                                 \
    {                                                                               \
        .name = #m, .of = #s, .offset = offsetof(s, m), .size = FIELD_SIZEOF(s, m), \
        .type = _Generic(((s *)0)->m, bool                                          \
                         : FIELD_TYPE_UINT, u8                                      \
                         : FIELD_TYPE_UINT, u16                                     \
                         : FIELD_TYPE_UINT, u32                                     \
                         : FIELD_TYPE_UINT, u64                                     \
                         : FIELD_TYPE_UINT, unsigned long long                      \
                         : FIELD_TYPE_UINT, i8                                      \
                         : FIELD_TYPE_INT, i16                                      \
                         : FIELD_TYPE_INT, i32                                      \
                         : FIELD_TYPE_INT, i64                                      \
                         : FIELD_TYPE_INT, char                                     \
                         : FIELD_TYPE_INT, long long                                \
                         : FIELD_TYPE_INT, uaddr                                    \
                         : FIELD_TYPE_UINT)                                         \
    }
/* Arrays of scalars and padding-free plain structs, byte for byte. */
#define FIELD_BYTES(s, m)                                                           \
    {                                                                               \
        .name = #m, .of = #s, .offset = offsetof(s, m), .size = FIELD_SIZEOF(s, m), \
        .type = FIELD_TYPE_BYTES                                                    \
    }
#define FIELD_STRING(s, m)                                                      \
    {                                                                           \
        .name = #m, .of = #s, .offset = offsetof(s, m), .size = sizeof(char *), \
        .type = FIELD_TYPE_STRING                                               \
    }
#define FIELD_BUF(s, m)                                                             \
    {                                                                               \
        .name = #m, .of = #s, .offset = offsetof(s, m), .size = sizeof(struct buf), \
        .type = FIELD_TYPE_BUF                                                      \
    }
/* The size of a pointer to T; a member of another type than that or `struct object *` does not
 * compile. */
#define FIELD_POINTER_SIZE(s, m, t) \
    _Generic(((s *)0)->m, t * : sizeof(void *), struct object * : sizeof(void *))
/* A pointer to an object of struct T, or of one that begins with a T (a tmpfs inode is a struct
 * inode): an image that names another kind there is refused. */
#define FIELD_REF(s, m, t)                                                              \
    {                                                                                   \
        .name = #m, .of = #s, .target = #t, .offset = offsetof(s, m),                   \
        .size = FIELD_POINTER_SIZE(s, m, t), .type = FIELD_TYPE_REF, .is_counted = true \
    }
#define FIELD_WEAK(s, m, t)                                           \
    {                                                                 \
        .name = #m, .of = #s, .target = #t, .offset = offsetof(s, m), \
        .size = FIELD_POINTER_SIZE(s, m, t), .type = FIELD_TYPE_WEAK  \
    }
/* Pointers to objects of several kinds: the struct's hooks judge them by kind_is, or
 * nobody looks inside. */
#define FIELD_REF_ANY(s, m)                             \
    {                                                   \
        .name = #m, .of = #s, .offset = offsetof(s, m), \
        .size = _Generic(((s *)0)->m, struct object *   \
                         : sizeof(void *)),             \
        .type = FIELD_TYPE_REF, .is_counted = true      \
    }
#define FIELD_WEAK_ANY(s, m)                            \
    {                                                   \
        .name = #m, .of = #s, .offset = offsetof(s, m), \
        .size = _Generic(((s *)0)->m, struct object *   \
                         : sizeof(void *)),             \
        .type = FIELD_TYPE_WEAK                         \
    }
/* A list of objects of struct T linked by T.link. COUNTED: the list holds a reference to each. */
#define FIELD_LIST(s, m, t, link, counted)                                           \
    {                                                                                \
        .name = #m, .of = #s, .offset = offsetof(s, m), .size = sizeof(struct list), \
        .type = FIELD_TYPE_LIST, .target = #t, .link_offset = offsetof(t, link),     \
        .is_counted = (counted)                                                      \
    }
#define FIELD_MAP(s, m, t)                                                          \
    {                                                                               \
        .name = #m, .of = #s, .offset = offsetof(s, m), .size = sizeof(struct map), \
        .type = FIELD_TYPE_MAP, .target = #t, .is_counted = true                    \
    }
#define FIELD_REFS(s, m, t, count_member)                                                \
    {                                                                                    \
        .name = #m, .of = #s, .target = #t, .offset = offsetof(s, m),                  \
        .size = _Generic(((s *)0)->m, t * * : sizeof(void *)), .type = FIELD_TYPE_REFS, \
        .is_counted = true, .count_offset = offsetof(s, count_member),                 \
        .count_size = FIELD_SIZEOF(s, count_member) \
    }
#define FIELD_STRUCT(s, m, table)                                                   \
    {                                                                               \
        .name = #m, .of = #s, .offset = offsetof(s, m), .size = FIELD_SIZEOF(s, m), \
        .type = FIELD_TYPE_STRUCT, .sub = (table)                                   \
    }
#define FIELD_STRUCTS(s, m, t, table, count_member)                                            \
    {                                                                                          \
        .name = #m, .of = #s, .offset = offsetof(s, m), .size = sizeof(t),                     \
        .type = FIELD_TYPE_STRUCTS, .sub = (table), .count_offset = offsetof(s, count_member), \
        .count_size = FIELD_SIZEOF(s, count_member)                                            \
    }
#define FIELD_ARRAY(s, m, t, table)                                                       \
    {                                                                                     \
        .name = #m, .of = #s, .offset = offsetof(s, m), .size = sizeof(t),                \
        .type = FIELD_TYPE_ARRAY, .sub = (table), .count = FIELD_SIZEOF(s, m) / sizeof(t) \
    }
#define FIELD_NONE(s, m, why)                                                       \
    {                                                                               \
        .name = #m, .of = #s, .offset = offsetof(s, m), .size = FIELD_SIZEOF(s, m), \
        .type = FIELD_TYPE_NONE, .note = (why)                                      \
    }
#define FIELD_END              \
    {                          \
        .type = FIELD_TYPE_END \
    }

/* Is an object of KIND a STRUCT_NAME ("struct inode"): of that struct, or of one that begins with
 * it? By the tables; "struct object" is true of all. */
bool kind_is(const struct kind *kind, const char *struct_name);
/* The row of a member by name, or NULL. */
const struct field *fields_find(const struct field *fields, const char *name);
/* Rows before FIELD_END. */
size_t fields_count(const struct field *fields);
/* Members by their rows; BASE is the struct. Each asserts the row's type. */
u64 field_uint(const struct field *field, const void *base);
i64 field_int(const struct field *field, const void *base);
/* False, and nothing written, when VALUE does not fit the member: it may come from an image. */
MUST_CHECK bool field_set_uint(const struct field *field, void *base, u64 value);
MUST_CHECK bool field_set_int(const struct field *field, void *base, i64 value);
/* How many elements a REFS, STRUCTS or ARRAY member has. */
u64 field_count(const struct field *field, const void *base);
/* The pointer in a STRING, REF, WEAK, REFS or STRUCTS member. */
void *field_pointer(const struct field *field, const void *base);
void field_set_pointer(const struct field *field, void *base, void *pointer);

/*
 * Beside each table: lets `make lint` compare it with the compiler's list of members. Expands to
 * nothing but a declaration in ordinary builds.
 */
#if defined(FIELD_CHECK_BUILD)
struct field_check {
    const char *struct_name;
    const struct field *fields;
    void (*dump)(int (*print)(const char *, ...));
};
#define FIELDS_COMPLETE(s, table)                                                              \
    static void table##_dump(int (*print)(const char *, ...))                                  \
    {                                                                                          \
        static s sample;                                                                       \
        __builtin_dump_struct(&sample, print);                                                 \
    }                                                                                          \
    __attribute__((used,                                                                       \
                   section("field_checks"))) static const struct field_check table##_check = { \
        #s, table, table##_dump}
#else
#define FIELDS_COMPLETE(s, table) _Static_assert(sizeof(table) > 0, "a table has rows")
#endif

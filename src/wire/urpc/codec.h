/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Wire structs: plain C beside a table that says how Go names and encodes each member. Decoding is
 * Go's json.Unmarshal (missing members zero, null zero, unknown ignored, letter case ignored, last
 * one wins), its error texts included; encoding is json.Marshal. All memory of a decoded struct is
 * the pool's.
 *
 * How a Go type looks in C:
 *   int32 int64 uint32 uint64 bool float64   i32 i64 u32 u64 bool double   (int is int64, uint is
 * uint64) string             char *                NULL encodes as ""
 *   []byte             struct wire_bytes     bytes NULL encodes as null
 *   []T                WIRE_LIST(T)          items NULL encodes as null
 *   map[string]T       WIRE_MAP(T)           items NULL encodes as null; written sorted by name
 *   *T                 T *                   NULL encodes as null
 *   struct             the struct
 *   json.RawMessage    struct json_text      lent from the decoded text
 */
#pragma once
#include "base/base.h"
#include "base/error.h"
#include "wire/urpc/json.h"
#include "wire/urpc/pool.h"

enum wire_kind {
    WIRE_INT, /* signed, of `size` bytes */
    WIRE_UINT,
    WIRE_BOOL,
    WIRE_DOUBLE,
    WIRE_STRING,
    WIRE_BYTES,
    WIRE_RAW,
    WIRE_LIST,     /* of `element` */
    WIRE_MAP,      /* name to `element` */
    WIRE_OPTIONAL, /* pointer to `element` */
    WIRE_STRUCT,   /* by `fields` */
};

struct wire_type {
    enum wire_kind kind;
    u32 size;         /* of the C value */
    const char *name; /* Go's: "int32", "control.SignalArgs"; texts of errors */
    const struct wire_type *element;
    const struct wire_field *fields; /* ends with a row without name */
};

struct wire_field {
    const char *name; /* on the wire */
    u32 offset;
    u32 size; /* of the C member; asserted to be the type's */
    bool omit_empty;
    const struct wire_type *type;
};

struct wire_bytes {
    u8 *bytes;
    size_t size;
};
struct wire_list {
    void *items;
    size_t count;
};
/* Typed lists and maps; all have the layout of struct wire_list. */
#define WIRE_LIST(t)  \
    struct {          \
        t *items;     \
        size_t count; \
    }
#define WIRE_MAP(t)     \
    struct {            \
        struct {        \
            char *name; \
            t value;    \
        } * items;      \
        size_t count;   \
    }
/* An empty list that is not null. */
#define WIRE_EMPTY ((void *)16)

extern const struct wire_type wire_int32, wire_int64, wire_int, wire_uint32, wire_uint64, wire_uint,
    wire_uint8, wire_uint16, wire_bool, wire_double, wire_string, wire_bytes, wire_raw,
    wire_duration;

/* Rows. WIRE_FIELD(struct x, member, "Name", &wire_int32); WIRE_OMIT: `omitempty`. A C size that
 * disagrees is asserted on use. */
#define WIRE_FIELD(s, m, wire_name, t)                                                          \
    {                                                                                           \
        .name = (wire_name), .offset = offsetof(s, m), .size = sizeof(((s *)0)->m), .type = (t) \
    }
#define WIRE_OMIT(s, m, wire_name, t)                                                            \
    {                                                                                            \
        .name = (wire_name), .offset = offsetof(s, m), .size = sizeof(((s *)0)->m), .type = (t), \
        .omit_empty = true                                                                       \
    }
#define WIRE_END     \
    {                \
        .name = NULL \
    }

/* Types of types, usable in initializers at file scope. */
#define WIRE_TYPE_STRUCT(s, table, go_name)                                          \
    {                                                                                \
        .kind = WIRE_STRUCT, .size = sizeof(s), .name = (go_name), .fields = (table) \
    }
#define WIRE_LIST_OF(t, go_name) \
    (&(const struct wire_type){  \
        .kind = WIRE_LIST, .size = sizeof(struct wire_list), .name = (go_name), .element = (t)})
#define WIRE_MAP_OF(t, go_name) \
    (&(const struct wire_type){ \
        .kind = WIRE_MAP, .size = sizeof(struct wire_list), .name = (go_name), .element = (t)})
#define WIRE_OPTIONAL_OF(t)     \
    (&(const struct wire_type){ \
        .kind = WIRE_OPTIONAL, .size = sizeof(void *), .name = "pointer", .element = (t)})
/* An integer type under a name of its own: WIRE_NAMED(WIRE_UINT, u32, "auth.KUID"). */
#define WIRE_NAMED(k, ctype, go_name) \
    (&(const struct wire_type){.kind = (k), .size = sizeof(ctype), .name = (go_name)})

/*
 * Fill OUT (zeroed by the caller, or holding defaults) from TEXT. On -1 ERR has Go's text, e.g.
 * "json: cannot unmarshal string into Go struct field SignalArgs.Signo of type int32"; OUT is then
 * worthless.
 */
MUST_CHECK int wire_decode(const struct wire_type *type, struct json_text text, struct pool *pool,
                           void *out, struct error *err);
/* Write VALUE; errors stick in the writer. */
void wire_encode(struct json_writer *writer, const struct wire_type *type, const void *value);
/* Bytes of one entry of a map of this type: the name's pointer and the value, padded to 8. */
size_t wire_map_entry_size(const struct wire_type *type);
/* One compact text; from the pool; NULL without memory. */
MUST_CHECK char *wire_encode_text(const struct wire_type *type, const void *value,
                                  struct pool *pool);

/* SPDX-License-Identifier: Apache-2.0 */
/* spec/rpc.yaml against the method rows, the argument tables and the texts in the sources. */
#include <CUnit/Basic.h>
#include <dirent.h>
#include <libfyaml.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "controller/internal.h"

#define SPEC "spec/rpc.yaml"

static const char *scalar(struct fy_node *row, const char *name)
{
    struct fy_node *node = fy_node_mapping_lookup_by_string(row, name, (size_t)-1);
    const char *text = node ? fy_node_get_scalar0(node) : NULL;
    return text ? text : "";
}

static struct fy_node *list_of(struct fy_document *spec, const char *name)
{
    struct fy_node *list = fy_node_mapping_lookup_by_string(fy_document_root(spec), name,
                                                            (size_t)-1);
    CU_ASSERT_PTR_NOT_NULL_FATAL(list);
    return list;
}

static struct fy_document *spec_open(void)
{
    struct fy_document *spec = fy_document_build_from_file(NULL, SPEC);
    CU_ASSERT_PTR_NOT_NULL_FATAL(spec);
    return spec;
}

static void fail(const char *what, const char *which)
{
    fprintf(stderr, "%s: %s: %s\n", SPEC, which, what);
    CU_FAIL("spec and source differ");
}

/* ---- methods -------------------------------------------------------------------------------- */

static const struct rpc_method *find_row(const char *name)
{
    const struct rpc_method *method;
    for (u32 i = 0; (method = rpc_method_at(i)) != NULL; i++)
        if (strcmp(method->name, name) == 0)
            return method;
    return NULL;
}

/* As the spec writes it: "list of string", "optional TaskCapabilities", "auth.KUID". */
static void type_text(const struct wire_type *type, char *out, size_t size)
{
    char inner[128] = "";
    const char *name = type->name;
    static const char *const packages[] = {"control.", "boot.", "specutils.", "auth."};
    switch (type->kind) {
    case WIRE_LIST:
        type_text(type->element, inner, sizeof inner);
        snprintf(out, size, "list of %s", inner);
        return;
    case WIRE_MAP:
        type_text(type->element, inner, sizeof inner);
        snprintf(out, size, "map of %s", inner);
        return;
    case WIRE_OPTIONAL:
        type_text(type->element, inner, sizeof inner);
        snprintf(out, size, "optional %s", inner);
        return;
    case WIRE_RAW:
        snprintf(out, size, "raw");
        return;
    case WIRE_BYTES:
        snprintf(out, size, "bytes");
        return;
    case WIRE_STRUCT:
        for (size_t i = 0; i < ARRAY_COUNT(packages); i++)
            if (strncmp(name, packages[i], strlen(packages[i])) == 0)
                name += strlen(packages[i]);
        snprintf(out, size, "%s", name);
        return;
    default:
        snprintf(out, size, "%s", name);
    }
}

static void check_method(struct fy_node *row)
{
    char arg[128] = "none";
    const char *name = scalar(row, "name");
    const struct rpc_method *method = find_row(name);
    if (!method) {
        fail("no row in the method tables", name);
        return;
    }
    bool is_served = strcmp(scalar(row, "served"), "yes") == 0;
    if (is_served != (method->handle != NULL))
        fail("served is not what the table says", name);
    if (strncmp(name, scalar(row, "receiver"), strlen(scalar(row, "receiver"))) != 0)
        fail("receiver is not the name's", name);
    if (method->arg)
        type_text(method->arg, arg, sizeof arg);
    if (is_served && strcmp(arg, scalar(row, "arg")) != 0)
        fail(arg, name);
}

static void test_methods_are_those_of_the_spec(void)
{
    struct fy_document *spec = spec_open();
    struct fy_node *methods = list_of(spec, "methods"), *row;
    void *at = NULL;
    u32 count = 0, rows = 0;
    while ((row = fy_node_sequence_iterate(methods, &at)) != NULL) {
        check_method(row);
        count++;
    }
    while (rpc_method_at(rows))
        rows++;
    CU_ASSERT_EQUAL(rows, count); /* no method without a row in the spec, none twice */
    fy_document_destroy(spec);
}

/* ---- structs -------------------------------------------------------------------------------- */

static struct fy_node *find_struct(struct fy_document *spec, const char *name)
{
    struct fy_node *structs = list_of(spec, "structs"), *row;
    void *at = NULL;
    while ((row = fy_node_sequence_iterate(structs, &at)) != NULL)
        if (strcmp(scalar(row, "name"), name) == 0)
            return row;
    return NULL;
}

static void check_type(struct fy_document *spec, const struct wire_type *type);

static void check_struct(struct fy_document *spec, const struct wire_type *type)
{
    char name[128], text[128];
    type_text(type, name, sizeof name);
    struct fy_node *row = find_struct(spec, name);
    if (!row) {
        fail("no row among the structs", name);
        return;
    }
    struct fy_node *members = fy_node_mapping_lookup_by_string(row, "members", (size_t)-1);
    int index = 0;
    for (const struct wire_field *field = type->fields; field->name; field++, index++) {
        CU_ASSERT_EQUAL(field->size, field->type->size);
        struct fy_node *pair = fy_node_sequence_get_by_index(members, index);
        const char *member = pair ? fy_node_get_scalar0(fy_node_sequence_get_by_index(pair, 0))
                                  : "";
        const char *type_name = pair ? fy_node_get_scalar0(fy_node_sequence_get_by_index(pair, 1))
                                     : "";
        type_text(field->type, text, sizeof text);
        if (strcmp(member, field->name) != 0 || strcmp(type_name, text) != 0) {
            snprintf(text + strlen(text), sizeof text - strlen(text), " %s", field->name);
            fail(text, name);
        }
        check_type(spec, field->type);
    }
    CU_ASSERT_EQUAL(fy_node_sequence_item_count(members), index);
}

static void check_type(struct fy_document *spec, const struct wire_type *type)
{
    if (type->element)
        check_type(spec, type->element);
    if (type->kind == WIRE_STRUCT)
        check_struct(spec, type);
}

static void test_arguments_are_those_of_the_spec(void)
{
    struct fy_document *spec = spec_open();
    const struct rpc_method *method;
    for (u32 i = 0; (method = rpc_method_at(i)) != NULL; i++)
        if (method->arg)
            check_type(spec, method->arg);
    fy_document_destroy(spec);
}

/* ---- texts ---------------------------------------------------------------------------------- */

/* All string literals of a folder's sources run together, escapes of quotes undone. */
static void read_sources(const char *folder, char **text, size_t *size)
{
    DIR *dir = opendir(folder);
    CU_ASSERT_PTR_NOT_NULL_FATAL(dir);
    for (struct dirent *entry; (entry = readdir(dir)) != NULL;) {
        char path[512];
        size_t length = strlen(entry->d_name);
        if (length < 3 || strcmp(entry->d_name + length - 2, ".c") != 0 ||
            strstr(entry->d_name, "_test.c"))
            continue;
        snprintf(path, sizeof path, "%s/%s", folder, entry->d_name);
        FILE *file = fopen(path, "r");
        CU_ASSERT_PTR_NOT_NULL_FATAL(file);
        struct stat stat;
        CU_ASSERT_EQUAL_FATAL(fstat(fileno(file), &stat), 0);
        *text = realloc(*text, *size + (size_t)stat.st_size + 1);
        CU_ASSERT_PTR_NOT_NULL_FATAL(*text);
        bool is_inside = false;
        for (int byte; (byte = fgetc(file)) != EOF;) {
            if (byte == '\\' && is_inside)
                byte = fgetc(file);
            else if (byte == '"') {
                is_inside = !is_inside;
                continue;
            } else if (!is_inside && strchr(" \n\t", byte)) {
                continue; /* so that split literals meet */
            }
            (*text)[(*size)++] = (char)byte;
        }
        fclose(file);
    }
    closedir(dir);
    (*text)[*size] = '\0';
}

static void test_error_texts_stand_in_the_sources(void)
{
    struct fy_document *spec = spec_open();
    struct fy_node *methods = list_of(spec, "methods"), *row;
    char *text = NULL;
    size_t size = 0;
    void *at = NULL;
    read_sources("src/oci", &text, &size);
    read_sources("src/controller", &text, &size);
    read_sources("src/loader", &text, &size);
    read_sources("src/sentry/state", &text, &size);
    while ((row = fy_node_sequence_iterate(methods, &at)) != NULL) {
        struct fy_node *errors = fy_node_mapping_lookup_by_string(row, "errors", (size_t)-1),
                       *error;
        void *error_at = NULL;
        while ((error = fy_node_sequence_iterate(errors, &error_at)) != NULL) {
            char want[512];
            /* A wrapping text stands without its ": %s". */
            snprintf(want, sizeof want, "%s", fy_node_get_scalar0(error));
            size_t length = strlen(want);
            bool is_found = strstr(text, want) != NULL;
            if (!is_found && length > 4 && strcmp(want + length - 4, ": %s") == 0) {
                want[length - 4] = '\0';
                is_found = strstr(text, want) != NULL;
            }
            if (!is_found)
                fail(want, scalar(row, "name"));
        }
    }
    free(text);
    fy_document_destroy(spec);
}

void rpc_spec_suite(void)
{
    CU_pSuite suite = CU_add_suite("controller/rpc_spec", NULL, NULL);
    CU_ADD_TEST(suite, test_methods_are_those_of_the_spec);
    CU_ADD_TEST(suite, test_arguments_are_those_of_the_spec);
    CU_ADD_TEST(suite, test_error_texts_stand_in_the_sources);
}

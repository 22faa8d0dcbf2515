/* SPDX-License-Identifier: Apache-2.0 */
/* OCI specs from anyone: parse, validate, encode, and what is encoded reads and encodes the same.
 */
#include <stdlib.h>
#include <string.h>

#include "base/arena_plain.h"
#include "oci/oci.h"

static void ignore(void *arg, const char *path)
{
}

static void check(struct oci_spec *spec, struct arena *arena)
{
    struct error err;
    struct oci_spec *again = NULL;
    if (oci_spec_validate(spec, &err) && !err.text[0])
        abort();
    char *text = oci_spec_encode(spec, NULL);
    if (!text || oci_spec_parse_in(arena, text, strlen(text), &again, &err)) {
        if (text && strlen(text) > JSON_SIZE_MAX)
            return;
        abort();
    }
    char *second = oci_spec_encode(again, NULL);
    if (!second || strcmp(text, second))
        abort();
    oci_spec_free(again);
}

int LLVMFuzzerTestOneInput(const u8 *bytes, size_t size);
int LLVMFuzzerTestOneInput(const u8 *bytes, size_t size)
{
    struct arena *arena = arena_plain_create();
    struct oci_spec *spec = NULL;
    struct error err;
    oci_spec_unknown_members((const char *)bytes, size, ignore, NULL);
    if (oci_spec_parse_in(arena, (const char *)bytes, size, &spec, &err) == 0)
        check(spec, arena);
    else if (!err.text[0])
        abort();
    oci_spec_free(spec);
    arena_plain_destroy(arena);
    return 0;
}

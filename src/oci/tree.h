/* SPDX-License-Identifier: Apache-2.0 */
/* From a JSON text to a struct by its wire table, through cJSON. Private to oci/. */
#pragma once
#include "wire/urpc/codec.h"

/*
 * TEXT must live as long as OUT: raw members and nothing else point into it. Names match as in Go,
 * unknown members are ignored. -1 with a line that begins "LABEL: " and names the member
 * ("process.user.uid").
 */
MUST_CHECK int tree_decode(const struct wire_type *type, struct json_text text, struct pool *pool,
                           void *out, const char *label, struct error *err);

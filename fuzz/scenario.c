/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Any bytes as a scenario: what is refused is refused with a reason and a place inside the text;
 * what is accepted has programs that compile the same each time.
 */
#include "sim/scenario.h"

#include <stdlib.h>
#include <string.h>

#define NAME "fuzzed.yaml"

static u32 count_lines(const u8 *bytes, size_t size)
{
    u32 lines = 1;
    for (size_t i = 0; i < size; i++)
        lines += bytes[i] == '\n' || bytes[i] == '\r';
    return lines;
}

int LLVMFuzzerTestOneInput(const u8 *bytes, size_t size);
int LLVMFuzzerTestOneInput(const u8 *bytes, size_t size)
{
    static const struct fy_parse_cfg quiet = {.flags = FYPCF_QUIET | FYPCF_DEFAULT_DOC};
    struct sim_error first = {0}, second = {0};
    if (document_judge((const char *)bytes, size, &first)) {
        if (!first.text[0] || first.place.line > count_lines(bytes, size))
            abort();
        return 0;
    }
    struct fy_document *document = fy_document_build_from_string(&quiet, (const char *)bytes, size);
    if (!document || !fy_document_root(document)) {
        fy_document_destroy(document);
        return 0;
    }
    int result = scenario_check(NAME, document, &first);
    if (result && (!first.text[0] || first.place.line > 3 * count_lines(bytes, size)))
        abort();
    if (scenario_check(NAME, document, &second) != result || strcmp(first.text, second.text) != 0)
        abort();
    fy_document_destroy(document);
    return 0;
}

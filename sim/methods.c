/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Which methods of spec/rpc.yaml the scenarios have called: each that is served must have been
 * answered and, where it can refuse, refused. Read from the `call` records at a trace's end.
 */
#include "sim/methods.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "sim/scenario.h"

#define METHODS_MAX 128u

static struct {
    const char *name;
    bool needs_ok, needs_refusal; /* what is missing still */
} methods[METHODS_MAX];
static u32 method_count;

/* Success and refusal that no sandbox on the simulated host can give. */
static const char *const never_ok[] = {"Usage.UsageFD", /* there is no memory file to share */
                                       "Lifecycle.StartContainer", /* these are for embedders: */
                                       "Lifecycle.GetExitStatus",  /* nobody fills their table */
                                       "Lifecycle.SignalContainer",
                                       "Lifecycle.Reap",
                                       "Network.InitPluginStack"};

static bool is_never_ok(const char *name)
{
    for (size_t i = 0; i < ARRAY_COUNT(never_ok); i++)
        if (strcmp(never_ok[i], name) == 0)
            return true;
    return false;
}

bool methods_load(const char *spec)
{
    struct fy_document *document = document_read(spec); /* lives as long as the process */
    struct fy_node *rows = document ? node_get(fy_document_root(document), "methods") : NULL;
    struct fy_node *row;
    void *at = NULL;
    while (rows && (row = fy_node_sequence_iterate(rows, &at)) != NULL &&
           method_count < METHODS_MAX) {
        const char *name = node_text(row, "name"), *served = node_text(row, "served");
        const char *arg = node_text(row, "arg");
        struct fy_node *errors = node_get(row, "errors");
        if (!name || !served || strcmp(served, "yes") != 0)
            continue;
        bool can_refuse = (errors && fy_node_sequence_item_count(errors) > 0) ||
                          (arg && strcmp(arg, "none") != 0);
        methods[method_count].name = name;
        methods[method_count].needs_ok = !is_never_ok(name);
        methods[method_count++].needs_refusal = can_refuse;
    }
    return method_count > 0;
}

static void note(const char *name, u32 ok, u32 refused)
{
    for (u32 i = 0; i < method_count; i++) {
        if (strcmp(methods[i].name, name) != 0)
            continue;
        methods[i].needs_ok &= ok == 0;
        methods[i].needs_refusal &= refused == 0;
    }
}

void methods_note(const char *trace)
{
    for (const char *at = trace; method_count && (at = strstr(at, " call ")) != NULL; at++) {
        char name[64];
        u32 ok, refused;
        if (sscanf(at, " call %63s ok=%u refused=%u", name, &ok, &refused) == 3)
            note(name, ok, refused);
    }
}

u32 methods_report(void)
{
    u32 missing = 0;
    for (u32 i = 0; i < method_count; i++) {
        if (methods[i].needs_ok || methods[i].needs_refusal)
            printf("no scenario has %s%s%s\n", methods[i].name,
                   methods[i].needs_ok ? " succeed" : "",
                   !methods[i].needs_refusal ? ""
                   : methods[i].needs_ok     ? " or refuse"
                                             : " refuse");
        missing += methods[i].needs_ok || methods[i].needs_refusal;
    }
    return missing;
}

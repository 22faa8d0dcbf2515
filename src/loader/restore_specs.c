/* SPDX-License-Identifier: Apache-2.0 */
/* May the restoring side's containers take the place of the saved ones? (--restore-spec-validation)
 */
#include <errno.h>
#include <string.h>

#include "loader/internal.h"
#include "sentry/state/state.h"

/* A difference is an error, or a warning that LOADER goes on with. */
static int spec_differs(struct loader *loader, const char *text, struct error *err)
{
    if (loader->config.spec_policy == SPEC_POLICY_ENFORCE)
        return error_set(err, EINVAL, "%s", text);
    log_warn(loader->kernel->log, "loader", "%s", text);
    return 0;
}

static int judge_spec(struct container *container, struct json_text specs, struct pool *pool,
                      struct error *err)
{
    struct loader *loader = container->loader;
    const char *name = container_name(container, pool);
    struct json_text text = name ? json_member(specs, name) : (struct json_text){0};
    AUTO_OCI_SPEC struct oci_spec *saved = NULL;
    struct oci_difference difference;
    if (name && json_type(text) != JSON_OBJECT) {
        char *line = pool_printf(
            pool, "checkpoint image does not contain spec for container: \"%s\"", name);
        return line ? spec_differs(loader, line, err) : error_set(err, ENOMEM, "out of memory");
    }
    if (name && oci_spec_parse_in(loader->kernel->arena, text.bytes, text.size, &saved, err))
        return error_prefix(err, "spec of the image");
    if (!name || oci_spec_match(saved, container->spec, pool, &difference))
        return error_set(err, ENOMEM, "out of memory");
    if (!difference.field)
        return 0;
    char *line = pool_printf(pool,
                             "\"%s\" does not match across checkpoint restore for container: "
                             "\"%s\", checkpoint %s restore %s",
                             difference.field, name, difference.saved, difference.now);
    return line ? spec_differs(loader, line, err) : error_set(err, ENOMEM, "out of memory");
}

int restore_judge_specs(struct loader *loader, struct image_file *file, struct error *err)
{
    struct state_metadata metadata;
    AUTO_POOL struct pool pool = {0};
    struct container *container;
    struct json_text specs;
    if (loader->config.spec_policy == SPEC_POLICY_IGNORE)
        return 0;
    pool_init(&pool, loader->kernel->arena);
    state_metadata_init(&metadata, loader->kernel->arena);
    int result = state_read_metadata(image_file_input(file), &metadata, err);
    const char *text = result ? NULL : state_metadata_get(&metadata, "container_specs");
    if (text && json_parse(text, strlen(text), 0, &specs, err))
        result = error_prefix(err, "specs of the image");
    list_for_each (container, &loader->containers, link)
        if (!result && text && container->spec)
            result = judge_spec(container, specs, &pool, err);
    state_metadata_fini(&metadata);
    return result;
}

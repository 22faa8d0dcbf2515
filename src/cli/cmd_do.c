/* SPDX-License-Identifier: Apache-2.0 */
/*
 * do CMD...: this machine's own files, seen from inside a sandbox. Changes stay in memory. The
 * record lives in a folder of its own that goes away with the command.
 */
#include "cli/commands.h"
#include "runtime/rootless.h"

#include <errno.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>
#include <sys/resource.h>
#include <unistd.h>

extern char **environ;

static void caps_fill(struct oci_spec *spec)
{
    struct oci_capabilities *caps = oci_alloc(spec, sizeof *caps);
    for (int nr = 0; oci_capability_name(nr); nr++) {
        char *name = oci_strdup(spec, oci_capability_name(nr));
        *OCI_APPEND(spec, caps->bounding) = name;
        *OCI_APPEND(spec, caps->effective) = name;
        *OCI_APPEND(spec, caps->permitted) = name;
    }
    spec->process->capabilities = caps;
}

/* SRC[:DST] */
static int volume_add(struct oci_spec *spec, const char *text, struct error *err)
{
    char source[PATH_MAX];
    const char *colon = strchr(text, ':');
    char *given = colon ? strndup(text, (size_t)(colon - text)) : strdup(text);
    bool is_found = given && realpath(given, source);
    free(given);
    if (!is_found)
        return error_errno(err, "volume \"%s\"", text);
    struct oci_mount *mount = OCI_APPEND(spec, spec->mounts);
    mount->source = oci_strdup(spec, source);
    mount->destination = oci_strdup(spec, colon ? colon + 1 : source);
    mount->type = oci_strdup(spec, "bind");
    return mount->destination[0] == '/'
               ? 0
               : error_set(err, EINVAL, "volume \"%s\": destination is not absolute", text);
}

/* The root comes from an EROFS image, under a layer in memory. */
static int image_use(struct oci_spec *spec, const char *image, struct error *err)
{
    char path[PATH_MAX];
    if (!realpath(image, path))
        return error_errno(err, "image \"%s\"", image);
    if (oci_annotation_set(spec, "dev.gvisor.spec.rootfs.source", path) < 0 ||
        oci_annotation_set(spec, "dev.gvisor.spec.rootfs.type", "erofs") < 0 ||
        oci_annotation_set(spec, "dev.gvisor.spec.rootfs.overlay", "memory") < 0)
        return error_set(err, ENOMEM, "out of memory");
    return 0;
}

/* What the caller may have open at once, for the program as well. */
static int limits_inherit(struct oci_spec *spec, struct error *err)
{
    struct rlimit files;
    if (getrlimit(RLIMIT_NOFILE, &files) < 0)
        return error_errno(err, "limit of open files");
    spec->process->rlimits.count = 0;
    spec->process->rlimits.items = NULL;
    struct oci_rlimit *limit = OCI_APPEND(spec, spec->process->rlimits);
    if (!limit)
        return error_set(err, ENOMEM, "out of memory");
    limit->type = oci_strdup(spec, "RLIMIT_NOFILE");
    limit->soft = files.rlim_cur;
    limit->hard = files.rlim_max;
    return 0;
}

static int spec_make(const struct do_options *options, int argc, char **argv, struct oci_spec **out,
                     struct error *err)
{
    char cwd[PATH_MAX], root[PATH_MAX], host[256];
    if (!realpath(options->cwd, cwd))
        return error_errno(err, "working directory \"%s\"", options->cwd);
    if (!realpath(options->root, root))
        return error_errno(err, "root \"%s\"", options->root);
    if (oci_spec_default((const char *const *)argv, (size_t)argc, cwd, out, err) < 0)
        return -1;
    struct oci_spec *spec = *out;
    spec->root->path = oci_strdup(spec, root);
    spec->root->readonly = false;
    if (gethostname(host, sizeof host) == 0)
        spec->hostname = oci_strdup(spec, host);
    spec->process->env.items = NULL;
    spec->process->env.count = 0;
    for (char **variable = environ; *variable; variable++)
        *OCI_APPEND(spec, spec->process->env) = oci_strdup(spec, *variable);
    spec->process->terminal = isatty(0) && isatty(1) && isatty(2);
    caps_fill(spec);
    if (limits_inherit(spec, err) < 0)
        return -1;
    if (*options->image && image_use(spec, options->image, err) < 0)
        return -1;
    for (u32 i = 0; i < options->volumes.count; i++)
        if (volume_add(spec, options->volumes.items[i], err) < 0)
            return -1;
    return oci_spec_validate(spec, err);
}

int cmd_do(struct cli *cli, const void *given, int argc, char **argv)
{
    const struct do_options *options = given;
    AUTO_OCI_SPEC struct oci_spec *spec = NULL;
    struct runtime runtime;
    struct error err;
    char id[32], dir[] = "/tmp/runsc-do-XXXXXX";
    u32 number = 0;
    if (argc < 1)
        return cli_usage(cli);
    if ((cli->config.is_rootless || getuid() != 0) && rootless_enter(&err) < 0)
        return cli_fail(cli, &err);
    if (spec_make(options, argc, argv, &spec, &err) < 0)
        return cli_fail(cli, &err);
    cli_warn(&cli->config);
    (void)!getrandom(&number, sizeof number, 0);
    snprintf(id, sizeof id, "runsc-%06u", number % 1000000);
    if (!mkdtemp(dir)) {
        error_errno(&err, "cannot make a folder for the record");
        return cli_fail(cli, &err);
    }
    cli->config.root = dir;
    cli->config.overlay = false;
    cli->config.overlay2 = options->has_overlay ? "all:memory" : "none";
    cli->config.ignores_cgroups = true;
    int status;
    if (runtime_open(&cli->config, true, &runtime, &err) < 0) {
        status = cli_fail(cli, &err);
    } else {
        const struct create_args args = {.id = id,
                                         .bundle = dir,
                                         .spec = spec,
                                         .console_socket = "",
                                         .pid_file = "",
                                         .user_log = "",
                                         .fs_image_path = "",
                                         .exec_fd = -1,
                                         .is_attached = true};
        status = cli_run(cli, &runtime, &args);
        runtime_close(&runtime);
    }
    (void)rmdir(dir);
    return status;
}

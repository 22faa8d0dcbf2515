/* SPDX-License-Identifier: Apache-2.0 */
/* spec [-- ARGS...]: an example of config.json. */
#include "cli/commands.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

static int spec_write(const struct oci_spec *spec, const char *dir, struct error *err)
{
    char path[4200];
    snprintf(path, sizeof path, "%s/config.json", dir);
    char *text = oci_spec_encode(spec, "    ");
    int fd = open(path, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0664);
    if (fd < 0 && errno == EEXIST)
        return error_set(err, EEXIST, "file \"%s\" already exists", path);
    if (fd < 0)
        return error_errno(err, "open %s", path);
    size_t size = strlen(text);
    bool is_written = write(fd, text, size) == (ssize_t)size;
    if (close(fd) < 0 || !is_written) {
        (void)unlink(path);
        return error_errno(err, "writing to %s", path);
    }
    return 0;
}

int cmd_spec(struct cli *cli, const void *given, int argc, char **argv)
{
    const struct spec_options *options = given;
    AUTO_OCI_SPEC struct oci_spec *spec = NULL;
    struct error err;
    static const char *const shell[] = {"sh"};
    const char *const *args = argc > 0 ? (const char *const *)argv : shell;
    if (oci_spec_default(args, argc > 0 ? (size_t)argc : 1, options->cwd, &spec, &err) < 0)
        return cli_fail(cli, &err);
    for (size_t i = 0; *options->netns && i < spec->on_linux->namespaces.count; i++)
        if (strcmp(spec->on_linux->namespaces.items[i].type, "network") == 0)
            spec->on_linux->namespaces.items[i].path = oci_strdup(spec, options->netns);
    return spec_write(spec, options->bundle, &err) < 0 ? cli_fail(cli, &err) : 0;
}

/* SPDX-License-Identifier: Apache-2.0 */
/* linux.seccomp (runtime-spec 1.2, config-linux.md): read only where somebody wants to apply it. */
#include <errno.h>

#include "oci/oci.h"
#include "oci/tree.h"

#define STRINGS WIRE_LIST_OF(&wire_string, "[]string")

static const struct wire_field arg_fields[] = {
    WIRE_FIELD(struct oci_seccomp_arg, index, "index", &wire_uint32),
    WIRE_FIELD(struct oci_seccomp_arg, value, "value", &wire_uint64),
    WIRE_OMIT(struct oci_seccomp_arg, value_two, "valueTwo", &wire_uint64),
    WIRE_FIELD(struct oci_seccomp_arg, op, "op", &wire_string),
    WIRE_END,
};
static const struct wire_type arg_type = WIRE_TYPE_STRUCT(struct oci_seccomp_arg, arg_fields,
                                                          "specs.LinuxSeccompArg");

static const struct wire_field rule_fields[] = {
    WIRE_FIELD(struct oci_seccomp_rule, names, "names", STRINGS),
    WIRE_FIELD(struct oci_seccomp_rule, action, "action", &wire_string),
    WIRE_OMIT(struct oci_seccomp_rule, errno_ret, "errnoRet", WIRE_OPTIONAL_OF(&wire_uint32)),
    WIRE_OMIT(struct oci_seccomp_rule, args, "args",
              WIRE_LIST_OF(&arg_type, "[]specs.LinuxSeccompArg")),
    WIRE_END,
};
static const struct wire_type rule_type = WIRE_TYPE_STRUCT(struct oci_seccomp_rule, rule_fields,
                                                           "specs.LinuxSyscall");

static const struct wire_field seccomp_fields[] = {
    WIRE_FIELD(struct oci_seccomp, default_action, "defaultAction", &wire_string),
    WIRE_OMIT(struct oci_seccomp, default_errno_ret, "defaultErrnoRet",
              WIRE_OPTIONAL_OF(&wire_uint32)),
    WIRE_OMIT(struct oci_seccomp, architectures, "architectures", STRINGS),
    WIRE_OMIT(struct oci_seccomp, flags, "flags", STRINGS),
    WIRE_OMIT(struct oci_seccomp, listener_path, "listenerPath", &wire_string),
    WIRE_OMIT(struct oci_seccomp, listener_metadata, "listenerMetadata", &wire_string),
    WIRE_OMIT(struct oci_seccomp, syscalls, "syscalls",
              WIRE_LIST_OF(&rule_type, "[]specs.LinuxSyscall")),
    WIRE_END,
};
static const struct wire_type seccomp_type = WIRE_TYPE_STRUCT(struct oci_seccomp, seccomp_fields,
                                                              "specs.LinuxSeccomp");

int oci_seccomp_parse(const struct oci_spec *spec, struct oci_seccomp **out, struct error *err)
{
    struct json_text text = spec->on_linux ? spec->on_linux->seccomp : (struct json_text){0};
    enum json_type type = json_type(text);
    *out = NULL;
    if (type == JSON_ABSENT || type == JSON_NULL)
        return 0;
    if (type != JSON_OBJECT)
        return error_set(err, EINVAL, "OCI spec: linux.seccomp is not an object");
    struct oci_seccomp *seccomp = pool_alloc(spec->pool, sizeof *seccomp);
    if (!seccomp)
        return error_set(err, ENOMEM, "OCI spec: out of memory");
    if (tree_decode(&seccomp_type, text, spec->pool, seccomp, "OCI spec: linux.seccomp", err))
        return -1;
    *out = seccomp;
    return 0;
}

/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The rules of config-linux.md (runtime-spec 1.2, "Seccomp"). libseccomp writes a program only to a
 * descriptor, so there is a memfd in between.
 */
#include "runtime/oci_filter.h"

#include <errno.h>
#include <seccomp.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

struct action_row {
    const char *name;
    u32 action;
    bool has_value; /* errnoRet goes along; EPERM if it is missing */
};
static const struct action_row action_rows[] = {
    {"SCMP_ACT_ALLOW", SCMP_ACT_ALLOW, false},
    {"SCMP_ACT_ERRNO", SCMP_ACT_ERRNO(0), true},
    {"SCMP_ACT_KILL", SCMP_ACT_KILL_THREAD, false},
    {"SCMP_ACT_KILL_PROCESS", SCMP_ACT_KILL_PROCESS, false},
    {"SCMP_ACT_KILL_THREAD", SCMP_ACT_KILL_THREAD, false},
    {"SCMP_ACT_LOG", SCMP_ACT_LOG, false},
    {"SCMP_ACT_TRACE", SCMP_ACT_TRACE(0), true},
    {"SCMP_ACT_TRAP", SCMP_ACT_TRAP, false},
};

static int action_find(const char *name, const u32 *value, u32 *action, struct error *err)
{
    for (size_t i = 0; name && i < ARRAY_COUNT(action_rows); i++) {
        const struct action_row *row = &action_rows[i];
        if (strcmp(row->name, name) != 0)
            continue;
        *action = row->action | (row->has_value ? (value ? *value : EPERM) & 0xffff : 0);
        return 0;
    }
    return error_set(err, EINVAL, "OCI spec: linux.seccomp has an unsupported action \"%s\"",
                     name ? name : "");
}

static int compare_find(const char *name, enum scmp_compare *out, struct error *err)
{
    static const struct {
        const char *name;
        enum scmp_compare op;
    } rows[] = {
        {"SCMP_CMP_EQ", SCMP_CMP_EQ}, {"SCMP_CMP_GE", SCMP_CMP_GE},
        {"SCMP_CMP_GT", SCMP_CMP_GT}, {"SCMP_CMP_LE", SCMP_CMP_LE},
        {"SCMP_CMP_LT", SCMP_CMP_LT}, {"SCMP_CMP_MASKED_EQ", SCMP_CMP_MASKED_EQ},
        {"SCMP_CMP_NE", SCMP_CMP_NE},
    };
    for (size_t i = 0; name && i < ARRAY_COUNT(rows); i++)
        if (strcmp(rows[i].name, name) == 0) {
            *out = rows[i].op;
            return 0;
        }
    return error_set(err, EINVAL, "OCI spec: linux.seccomp has an unknown operator \"%s\"",
                     name ? name : "");
}

#define ARGS_MAX 6u

/* The conditions of RULE. *IS_ANY: an argument comes twice, and each condition is a rule alone. */
static int read_args(const struct oci_seccomp_rule *rule, struct scmp_arg_cmp args[ARGS_MAX],
                     bool *is_any, struct error *err)
{
    u32 seen = 0;
    *is_any = false;
    if (rule->args.count > ARGS_MAX)
        return error_set(err, EINVAL, "OCI spec: linux.seccomp has a rule with %zu conditions",
                         (size_t)rule->args.count);
    for (size_t i = 0; i < rule->args.count; i++) {
        const struct oci_seccomp_arg *arg = &rule->args.items[i];
        if (arg->index >= ARGS_MAX)
            return error_set(err, EINVAL, "OCI spec: linux.seccomp has an argument's index %u",
                             arg->index);
        args[i] = (struct scmp_arg_cmp){
            .arg = arg->index, .datum_a = arg->value, .datum_b = arg->value_two};
        if (compare_find(arg->op, &args[i].op, err))
            return -1;
        if (seen & 1u << arg->index)
            *is_any = true;
        seen |= 1u << arg->index;
    }
    return 0;
}

static int add_call(scmp_filter_ctx filter, u32 action, int nr, const struct scmp_arg_cmp *args,
                    u32 count, bool is_any)
{
    if (!is_any)
        return seccomp_rule_add_array(filter, action, nr, count, args);
    int result = 0;
    for (u32 i = 0; i < count && (!result || result == -EEXIST); i++)
        result = seccomp_rule_add_array(filter, action, nr, 1, &args[i]);
    return result;
}

static int add_rule(scmp_filter_ctx filter, const struct oci_seccomp_rule *rule, u32 initially,
                    struct error *err)
{
    struct scmp_arg_cmp args[ARGS_MAX];
    u32 action;
    bool is_any;
    if (action_find(rule->action, rule->errno_ret, &action, err) ||
        read_args(rule, args, &is_any, err))
        return -1;
    if (action == initially)
        return 0; /* libseccomp refuses what changes nothing */
    for (size_t i = 0; i < rule->names.count; i++) {
        int nr = seccomp_syscall_resolve_name(rule->names.items[i]);
        if (nr == __NR_SCMP_ERROR || nr < 0)
            continue; /* unknown, or not of this architecture */
        int result = add_call(filter, action, nr, args, (u32)rule->args.count, is_any);
        if (result && result != -EEXIST)
            return error_set(err, -result, "OCI spec: linux.seccomp: rule for %s: %s",
                             rule->names.items[i], errno_text(-result));
    }
    return 0;
}

/* What libseccomp made of FILTER, through a memfd. */
static int read_program(scmp_filter_ctx filter, struct bpf_instruction *code, u32 max, u32 *count,
                        struct error *err)
{
    int fd = memfd_create("seccomp", MFD_CLOEXEC);
    if (fd < 0)
        return error_errno(err, "cannot make room for a seccomp program");
    int result = seccomp_export_bpf(filter, fd);
    ssize_t size = result ? 0 : pread(fd, code, (size_t)max * sizeof *code, 0);
    off_t end = lseek(fd, 0, SEEK_END);
    close(fd);
    if (result || size <= 0 || size != end || size % (ssize_t)sizeof *code != 0)
        return error_set(err, result ? -result : E2BIG,
                         "OCI spec: linux.seccomp makes no program of at most %u instructions",
                         max);
    *count = (u32)((size_t)size / sizeof *code);
    return 0;
}

static int compile(scmp_filter_ctx filter, const struct oci_seccomp *seccomp, u32 initially,
                   struct error *err)
{
    for (size_t i = 0; i < seccomp->syscalls.count; i++)
        if (add_rule(filter, &seccomp->syscalls.items[i], initially, err))
            return -1;
    int result = seccomp_attr_set(filter, SCMP_FLTATR_CTL_OPTIMIZE, 2); /* a tree, not a list */
    return result ? error_set(err, -result, "libseccomp: %s", errno_text(-result)) : 0;
}

static bool is_dropped(const struct oci_spec *spec)
{
    static const char prefix[] = "dev.gvisor.internal.seccomp.";
    const char *name = oci_annotation(spec, "io.kubernetes.cri.container-name");
    for (size_t i = 0; i < spec->annotations.count; i++)
        if (strncmp(spec->annotations.items[i].name, prefix, sizeof prefix - 1) == 0 &&
            strcmp(spec->annotations.items[i].name + sizeof prefix - 1, name) == 0)
            return strcmp(spec->annotations.items[i].value, "RuntimeDefault") == 0;
    return false;
}

void oci_filter_prepare(void)
{
    (void)seccomp_api_get();
}

int oci_filter_compile(const struct oci_spec *spec, struct bpf_instruction *code, u32 max,
                       u32 *count, struct error *err)
{
    struct oci_seccomp *seccomp;
    u32 initially;
    *count = 0;
    if (is_dropped(spec))
        return 0;
    if (oci_seccomp_parse(spec, &seccomp, err))
        return -1;
    if (!seccomp)
        return 0;
    if (action_find(seccomp->default_action, seccomp->default_errno_ret, &initially, err))
        return -1;
    if (initially == SCMP_ACT_ALLOW && seccomp->syscalls.count == 0)
        return 0;
    scmp_filter_ctx filter = seccomp_init(initially);
    if (!filter)
        return error_set(err, ENOMEM, "cannot make a seccomp filter");
    int result = compile(filter, seccomp, initially, err);
    if (!result)
        result = read_program(filter, code, max, count, err);
    seccomp_release(filter);
    return result;
}

/* SPDX-License-Identifier: Apache-2.0 */
/* Parsing, encoding, validation and changes of OCI specs. */
#include <CUnit/Basic.h>
#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "base/arena_plain.h"
#include "oci/oci.h"

/* Everything once, in Go's order and spelling. */
static const char full[] =
    "{\"ociVersion\":\"1.2.0\",\"process\":{\"terminal\":true,\"consoleSize\":{\"height\":25,"
    "\"width\":80},"
    "\"user\":{\"uid\":4294967295,\"gid\":5,\"umask\":18,\"additionalGids\":[10,20],\"username\":"
    "\"u\"},"
    "\"args\":[\"/bin/sh\",\"-c\",\"echo \\u003e \\u0026\"],\"env\":[\"A=b\"],\"cwd\":\"/w\","
    "\"capabilities\":{\"bounding\":[\"CAP_KILL\"],\"ambient\":[\"CAP_CHOWN\"]},"
    "\"rlimits\":[{\"type\":\"RLIMIT_NOFILE\",\"hard\":18446744073709551615,\"soft\":"
    "9007199254740993}],"
    "\"noNewPrivileges\":true,\"apparmorProfile\":\"p\",\"oomScoreAdj\":-998,\"scheduler\":{"
    "\"policy\":\"SCHED_OTHER\"}},"
    "\"root\":{\"path\":\"rootfs\",\"readonly\":true},\"hostname\":\"h\",\"domainname\":\"d\","
    "\"mounts\":[{\"destination\":\"/proc\",\"type\":\"proc\",\"source\":\"proc\"},"
    "{\"destination\":\"/data\",\"type\":\"bind\",\"source\":\"/"
    "src\",\"options\":[\"rbind\",\"ro\"],"
    "\"uidMappings\":[{\"containerID\":0,\"hostID\":1000,\"size\":1}]}],"
    "\"hooks\":{\"prestart\":[{\"path\":\"/h\",\"args\":[\"h\"],\"env\":[\"X=1\"],\"timeout\":7}]},"
    "\"annotations\":{\"a.b\":\"1\",\"c\":\"\"},"
    "\"linux\":{\"uidMappings\":[{\"containerID\":0,\"hostID\":1,\"size\":2}],\"sysctl\":{\"net."
    "x\":\"1\"},"
    "\"resources\":{\"devices\":[{\"allow\":false,\"access\":\"rwm\"}],\"memory\":{\"limit\":"
    "9223372036854775807},"
    "\"cpu\":{\"shares\":18446744073709551615,\"quota\":-1,\"cpus\":\"0-1\"},\"pids\":{\"limit\":"
    "2048}},"
    "\"cgroupsPath\":\"/x\",\"namespaces\":[{\"type\":\"pid\"},{\"type\":\"network\",\"path\":\"/"
    "run/netns/n\"}],"
    "\"devices\":[{\"path\":\"/dev/"
    "fuse\",\"type\":\"c\",\"major\":10,\"minor\":229,\"fileMode\":438,\"uid\":0,\"gid\":0}],"
    "\"seccomp\":{\"defaultAction\":\"SCMP_ACT_ERRNO\",\"defaultErrnoRet\":1},"
    "\"rootfsPropagation\":\"rslave\","
    "\"maskedPaths\":[\"/proc/kcore\"],\"readonlyPaths\":[\"/proc/"
    "sys\"],\"personality\":{\"domain\":\"LINUX\"}}}";

static struct oci_spec *parse(const char *text)
{
    struct oci_spec *spec = NULL;
    struct error err;
    if (oci_spec_parse(text, strlen(text), &spec, &err))
        fprintf(stderr, "%s\n", err.text);
    CU_ASSERT_PTR_NOT_NULL_FATAL(spec);
    return spec;
}

static void test_a_full_spec_comes_back_byte_for_byte(void)
{
    AUTO_OCI_SPEC struct oci_spec *spec = parse(full);
    struct error err;
    CU_ASSERT_STRING_EQUAL(oci_spec_encode(spec, NULL), full);
    CU_ASSERT_EQUAL(oci_spec_validate(spec, &err), 0);
    AUTO_OCI_SPEC struct oci_spec *copy = NULL;
    CU_ASSERT_EQUAL_FATAL(oci_spec_copy(spec, &copy, &err), 0);
    CU_ASSERT_STRING_EQUAL(oci_spec_encode(copy, NULL), full);
}

static void test_integers_of_64_bits_are_exact(void)
{
    AUTO_OCI_SPEC struct oci_spec *spec = parse(full);
    const struct oci_limits *limits = &spec->on_linux->limits;
    CU_ASSERT_EQUAL(spec->process->rlimits.items[0].hard, UINT64_MAX);
    CU_ASSERT_EQUAL(spec->process->rlimits.items[0].soft, 9007199254740993u);
    CU_ASSERT_EQUAL(spec->process->user.uid, UINT32_MAX);
    CU_ASSERT_EQUAL(*spec->process->oom_score_adj, -998);
    CU_ASSERT(limits->has_memory && limits->memory == INT64_MAX);
    CU_ASSERT(limits->has_cpu_shares && limits->cpu_shares == UINT64_MAX);
    CU_ASSERT(limits->has_cpu_quota && limits->cpu_quota == -1);
    CU_ASSERT(limits->has_pids && limits->pids == 2048);
    CU_ASSERT(!limits->has_memory_swap);
    CU_ASSERT_STRING_EQUAL(limits->cpuset_cpus, "0-1");
}

static void test_faults_of_type_name_the_member(void)
{
    static const struct {
        const char *text, *fault;
    } cases[] = {
        {"", "OCI spec: unexpected end of JSON input"},
        {"[]", "OCI spec is not a JSON object"},
        {"{\"process\":[]}", "OCI spec: process must be an object, not a list"},
        {"{\"process\":{\"user\":{\"uid\":-1}}}",
         "OCI spec: process.user.uid must be an unsigned integer of 32 bits, not a number -1"},
        {"{\"process\":{\"args\":[\"a\",1]}}",
         "OCI spec: process.args[1] must be a string, not a number 1"},
        {"{\"process\":{\"rlimits\":[{\"hard\":18446744073709551616}]}}",
         "OCI spec: process.rlimits[0].hard must be an unsigned integer of 64 bits, not a number "
         "18446744073709551616"},
        {"{\"process\":{\"cwd\":\"/\\u0000\"}}", "OCI spec: process.cwd contains a NUL byte"},
        {"{\"annotations\":{\"a\":1}}", "OCI spec: annotations.a must be a string, not a number 1"},
        {"{\"annotations\":{\"a\\u0000\":\"\"}}",
         "OCI spec: a name in annotations contains a NUL byte"},
        {"{\"root\":{\"readonly\":\"yes\"}}",
         "OCI spec: root.readonly must be true or false, not a string"},
        {"{\"linux\":{\"resources\":{\"pids\":{\"limit\":1.5}}}}",
         "OCI spec: linux.resources.pids.limit must be an integer of 64 bits"},
        {"{\"hostname\":\"\xff\"}", "OCI spec: it is not UTF-8"},
        {"{\"hostname\":\"\\ud800\"}", "OCI spec: a string is not Unicode or a number is too long"},
    };
    for (size_t i = 0; i < ARRAY_COUNT(cases); i++) {
        struct oci_spec *spec = NULL;
        struct error err;
        CU_ASSERT_EQUAL(oci_spec_parse(cases[i].text, strlen(cases[i].text), &spec, &err), -1);
        CU_ASSERT_STRING_EQUAL(err.text, cases[i].fault);
        CU_ASSERT_PTR_NULL(spec);
    }
}

static void test_what_cannot_be_run_is_refused_in_one_line(void)
{
#define START "{\"process\":{\"args\":[\"a\"],\"cwd\":\"/\"},\"root\":{\"path\":\"r\"}"
    static const struct {
        const char *text, *fault;
    } cases[] = {
        {START "}", NULL},
        {"{}", "OCI spec: process must be defined"},
        {"{\"process\":{\"args\":[]}}", "OCI spec: process.args must be defined"},
        {"{\"process\":{\"args\":[null]}}", "OCI spec: process.args must not contain null"},
        {"{\"process\":{\"args\":[\"a\"],\"cwd\":\"w\"}}",
         "OCI spec: process.cwd \"w\" must be an absolute path"},
        {"{\"process\":{\"args\":[\"a\"],\"selinuxLabel\":\"l\"}}",
         "OCI spec: process.selinuxLabel is not supported"},
        {"{\"process\":{\"args\":[\"a\"],\"apparmorProfile\":\"l\"},\"root\":{\"path\":\"r\"}}",
         NULL},
        {"{\"process\":{\"args\":[\"a\"]}}", "OCI spec: root must be defined"},
        {"{\"process\":{\"args\":[\"a\"]},\"root\":{}}", "OCI spec: root.path must be defined"},
        {START ",\"solaris\":null}", NULL},
        {START ",\"solaris\":{}}", "OCI spec: solaris is not supported"},
        {START ",\"windows\":{}}", "OCI spec: windows is not supported"},
        {START ",\"mounts\":[{\"destination\":\"p\"}]}",
         "OCI spec: mount destination \"p\" must be an absolute path"},
        {START ",\"mounts\":[{\"destination\":\"/p\",\"type\":\"bind\",\"source\":\"/"
               "s\",\"options\":[\"rshared\"]}]}",
         "OCI spec: mount \"/p\" has option shared or rshared, which is not supported"},
        {START ",\"mounts\":[{\"destination\":\"/p\",\"options\":[\"bind\"]}]}",
         "OCI spec: bind mount \"/p\" has no source"},
        {START ",\"linux\":{\"rootfsPropagation\":\"shared\"}}",
         "OCI spec: linux.rootfsPropagation must be private or slave, not \"shared\""},
        {START ",\"linux\":{\"namespaces\":[{\"type\":\"x\"}]}}",
         "OCI spec: linux.namespaces has unknown type \"x\""},
        {START ",\"linux\":{\"namespaces\":[{\"type\":\"pid\"},{\"type\":\"pid\"}]}}",
         "OCI spec: linux.namespaces has type \"pid\" twice"},
        {START ",\"linux\":{\"devices\":[{\"path\":\"/dev/x\",\"type\":\"z\"}]}}",
         "OCI spec: device \"/dev/x\" has unknown type \"z\""},
        {"{\"process\":{\"args\":[\"a\"],\"rlimits\":[{\"type\":\"RLIMIT_X\"}]}}",
         "OCI spec: process.rlimits has unknown type \"RLIMIT_X\""},
        {"{\"process\":{\"args\":[\"a\"],\"rlimits\":[{\"type\":\"RLIMIT_CPU\",\"soft\":2,\"hard\":"
         "1}]}}",
         "OCI spec: RLIMIT_CPU has a soft limit above its hard limit"},
    };
    for (size_t i = 0; i < ARRAY_COUNT(cases); i++) {
        AUTO_OCI_SPEC struct oci_spec *spec = parse(cases[i].text);
        struct error err = {0};
        int result = oci_spec_validate(spec, &err);
        CU_ASSERT_EQUAL(result, cases[i].fault ? -1 : 0);
        CU_ASSERT_STRING_EQUAL(err.text, cases[i].fault ? cases[i].fault : "");
    }
}

static void gather(void *arg, const char *path)
{
    strcat(arg, path);
    strcat(arg, ";");
}

static void test_unknown_members_are_told_and_ignored(void)
{
    static const char text[] = "{\"x\":1,\"PROCESS\":{\"y\":{\"uid\":1},\"user\":{\"z\":0}},"
                               "\"mounts\":[{\"w\":1}],\"annotations\":{\"free\":\"1\"}}";
    char seen[256] = "";
    oci_spec_unknown_members(text, sizeof text - 1, gather, seen);
    CU_ASSERT_STRING_EQUAL(seen, "x;PROCESS.y;PROCESS.user.z;mounts.w;");
    AUTO_OCI_SPEC struct oci_spec *spec = parse(text);
    CU_ASSERT_PTR_NOT_NULL(spec->process);
}

static void test_the_default_spec_is_the_one_of_the_spec_command(void)
{
    struct error err;
    AUTO_OCI_SPEC struct oci_spec *spec = NULL;
    CU_ASSERT_EQUAL_FATAL(oci_spec_default((const char *[]){"sh", "-l"}, 2, "/w", &spec, &err), 0);
    CU_ASSERT_EQUAL(oci_spec_validate(spec, &err), 0);
    CU_ASSERT_STRING_EQUAL(spec->process->args.items[1], "-l");
    CU_ASSERT_STRING_EQUAL(spec->process->cwd, "/w");
    const char *text = oci_spec_encode(spec, "    ");
    CU_ASSERT(strncmp(text,
                      "{\n    \"ociVersion\": \"1.0.0\",\n    \"process\": {\n        \"user\": "
                      "{\n            \"uid\": 0,",
                      85) == 0);
}

static void test_a_spec_can_be_changed(void)
{
    struct error err;
    AUTO_OCI_SPEC struct oci_spec *spec = parse(full);
    CU_ASSERT_STRING_EQUAL(oci_annotation(spec, "a.b"), "1");
    CU_ASSERT_STRING_EQUAL(oci_annotation(spec, "none"), "");
    CU_ASSERT_EQUAL(oci_annotation_set(spec, "a.b", "2"), 0);
    CU_ASSERT_EQUAL(oci_annotation_set(spec, "b.new", "3"), 0);
    struct oci_mount *mount = OCI_APPEND(spec, spec->mounts);
    mount->destination = oci_strdup(spec, "/extra");
    AUTO_OCI_SPEC struct oci_spec *copy = NULL;
    CU_ASSERT_EQUAL_FATAL(oci_spec_copy(spec, &copy, &err), 0);
    CU_ASSERT_STRING_EQUAL(oci_annotation(copy, "a.b"), "2");
    CU_ASSERT_STRING_EQUAL(oci_annotation(copy, "b.new"), "3");
    CU_ASSERT_EQUAL(copy->mounts.count, 3);
    CU_ASSERT(oci_mount_is_bind(&copy->mounts.items[1]) &&
              oci_mount_is_readonly(&copy->mounts.items[1]));
    CU_ASSERT(!oci_mount_is_bind(&copy->mounts.items[2]));
    CU_ASSERT_STRING_EQUAL(oci_namespace_find(copy, "network")->path, "/run/netns/n");
    CU_ASSERT_PTR_NULL(oci_namespace_find(copy, "user"));
}

static void test_a_process_object_is_parsed_alone(void)
{
    static const char text[] =
        "{\"args\":[\"ls\"],\"cwd\":\"/\",\"user\":{\"uid\":1,\"gid\":2},\"terminal\":false}";
    AUTO_OCI_SPEC struct oci_spec *spec = parse("{}");
    struct oci_process *process;
    struct error err;
    CU_ASSERT_EQUAL_FATAL(oci_process_parse(spec, text, sizeof text - 1, &process, &err), 0);
    CU_ASSERT_EQUAL(process->user.gid, 2);
    CU_ASSERT_EQUAL(oci_process_parse(spec, "{\"args\":1}", 10, &process, &err), -1);
    CU_ASSERT_STRING_EQUAL(err.text, "OCI process: args must be a list, not a number 1");
}

static void test_names_of_capabilities_and_limits(void)
{
    u64 mask = 0;
    struct error err;
    CU_ASSERT_EQUAL(oci_capability_nr("CAP_KILL"), 5);
    CU_ASSERT_EQUAL(oci_capability_nr("checkpoint_restore"), 40);
    CU_ASSERT_EQUAL(oci_capability_nr("CAP_NOPE"), -1);
    CU_ASSERT_STRING_EQUAL(oci_capability_name(39), "CAP_BPF");
    CU_ASSERT_PTR_NULL(oci_capability_name(41));
    CU_ASSERT_EQUAL(oci_capability_mask((char *[]){"CAP_CHOWN", "CAP_SETPCAP"}, 2, &mask, &err), 0);
    CU_ASSERT_EQUAL(mask, 0x101);
    CU_ASSERT_EQUAL(oci_capability_mask((char *[]){"CAP_X"}, 1, &mask, &err), -1);
    CU_ASSERT_STRING_EQUAL(err.text, "capability \"CAP_X\" is not known");
    CU_ASSERT_EQUAL(oci_rlimit_nr("RLIMIT_NOFILE"), 7);
    CU_ASSERT_EQUAL(oci_rlimit_nr("NOFILE"), -1);
}

static void test_every_refused_allocation_is_an_error(void)
{
    struct error err;
    bool has_succeeded = false;
    for (u64 nth = 1; !has_succeeded; nth++) {
        struct arena *arena = arena_plain_create();
        struct oci_spec *spec = NULL;
        arena_plain_fail(arena, nth, true);
        has_succeeded = oci_spec_parse_in(arena, full, sizeof full - 1, &spec, &err) == 0;
        CU_ASSERT(has_succeeded || err.code == ENOMEM);
        oci_spec_free(spec);
        arena_plain_destroy(arena);
    }
}

static void test_what_a_restore_may_change(void)
{
    static const struct {
        const char *from, *to; /* of the full spec's text */
        const char *field;     /* that differs; NULL: none */
    } rows[] = {
        {"\"hostname\":\"h\"", "\"hostname\":\"other\"", NULL},
        {"\"env\":[\"A=b\"]", "\"env\":[]", NULL},
        {"\"path\":\"rootfs\"", "\"path\":\"/else\"", NULL},
        {"\"/bin/sh\"", "\"/usr/bin/sh\"", NULL},
        {"\"minor\":229", "\"minor\":230", NULL},
        {"\"additionalGids\":[10,20]", "\"additionalGids\":[20,10]", NULL},
        {"\"limit\":2048", "\"limit\":1", NULL},
        {"\"a.b\":\"1\"", "\"dev.gvisor.flag.debug\":\"true\"", NULL},
        {"\"a.b\":\"1\"", "\"dev.gvisor.spec.mount.m.source\":\"x\"", NULL},
        {"\"a.b\":\"1\"", "\"dev.gvisor.spec.mount.m.type\":\"bind\"", "annotations"},
        {"\"/bin/sh\",\"-c\"", "\"/bin/sh\",\"-x\"", "process.args"},
        {"\"cwd\":\"/w\"", "\"cwd\":\"/\"", "process.cwd"},
        {"\"uid\":4294967295", "\"uid\":0", "process.user"},
        {"\"CAP_KILL\"", "\"CAP_FOWNER\"", "process.capabilities"},
        {"9007199254740993", "9007199254740992", "process.rlimits"},
        {"\"readonly\":true", "\"readonly\":false", "root.readonly"},
        {"\"destination\":\"/data\"", "\"destination\":\"/date\"", "mounts"},
        {"\"type\":\"pid\"", "\"type\":\"ipc\"", "linux.namespaces"},
        {"\"defaultErrnoRet\":1", "\"defaultErrnoRet\":2", "linux.seccomp"},
    };
    for (size_t i = 0; i < ARRAY_COUNT(rows); i++) {
        const char *at = strstr(full, rows[i].from);
        CU_ASSERT_PTR_NOT_NULL_FATAL(at);
        char text[sizeof full + 64];
        snprintf(text, sizeof text, "%.*s%s%s", (int)(at - full), full, rows[i].to,
                 at + strlen(rows[i].from));
        AUTO_OCI_SPEC struct oci_spec *saved = parse(full);
        AUTO_OCI_SPEC struct oci_spec *now = parse(text);
        struct oci_difference difference;
        CU_ASSERT_EQUAL(oci_spec_match(saved, now, now->pool, &difference), 0);
        const char *field = difference.field ? difference.field : "";
        CU_ASSERT_STRING_EQUAL(field, rows[i].field ? rows[i].field : "");
    }
}

void oci_spec_suite(void)
{
    CU_pSuite suite = CU_add_suite("oci/spec", NULL, NULL);
    CU_ADD_TEST(suite, test_a_full_spec_comes_back_byte_for_byte);
    CU_ADD_TEST(suite, test_integers_of_64_bits_are_exact);
    CU_ADD_TEST(suite, test_faults_of_type_name_the_member);
    CU_ADD_TEST(suite, test_what_cannot_be_run_is_refused_in_one_line);
    CU_ADD_TEST(suite, test_unknown_members_are_told_and_ignored);
    CU_ADD_TEST(suite, test_the_default_spec_is_the_one_of_the_spec_command);
    CU_ADD_TEST(suite, test_a_spec_can_be_changed);
    CU_ADD_TEST(suite, test_a_process_object_is_parsed_alone);
    CU_ADD_TEST(suite, test_names_of_capabilities_and_limits);
    CU_ADD_TEST(suite, test_what_a_restore_may_change);
    CU_ADD_TEST(suite, test_every_refused_allocation_is_an_error);
}

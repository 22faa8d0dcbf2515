/* SPDX-License-Identifier: Apache-2.0 */
/* Flags as Go reads them, numbers, durations, signals. */
#include "cli/cli.h"

#include <CUnit/Basic.h>
#include <stdio.h>
#include <string.h>

struct options {
    bool is_on, is_default_on;
    const char *text;
    i64 number;
    u64 size;
    i64 duration;
    struct flag_list list;
};

static const struct flag flags[] = {
    FLAG_ROW("on", FLAG_BOOL, struct options, is_on, "false", "a switch"),
    FLAG_ROW("off", FLAG_BOOL, struct options, is_default_on, "true", "another"),
    FLAG_ROW("text", FLAG_STRING, struct options, text, "initially", "a word"),
    FLAG_ROW("number", FLAG_INT, struct options, number, "-1", "a number"),
    FLAG_ROW("size", FLAG_UINT, struct options, size, "7", "a size"),
    FLAG_ROW("duration", FLAG_DURATION, struct options, duration, "1m", "a time"),
    FLAG_ROW("item", FLAG_LIST, struct options, list, NULL, "some words"),
    FLAG_NOTHING("ignored", FLAG_IGNORED),
    FLAG_NOTHING("ignored-bool", FLAG_IGNORED_BOOL),
    FLAG_END,
};

static int parse(struct options *options, int *used, struct error *err, int argc, ...)
{
    char *argv[16];
    __builtin_va_list words;
    __builtin_va_start(words, argc);
    for (int i = 0; i < argc; i++)
        argv[i] = __builtin_va_arg(words, char *);
    __builtin_va_end(words);
    memset(options, 0, sizeof *options);
    flags_init(flags, options);
    return flags_parse(flags, options, argc, argv, used, err);
}

static void test_defaults_stand_until_flags_come(void)
{
    struct options o;
    struct error err;
    int used;
    CU_ASSERT_EQUAL(parse(&o, &used, &err, 0), 0);
    CU_ASSERT(!o.is_on && o.is_default_on && o.number == -1 && o.size == 7);
    CU_ASSERT_STRING_EQUAL(o.text, "initially");
    CU_ASSERT_EQUAL(o.duration, 60 * (i64)NS_PER_S);
    CU_ASSERT_EQUAL(parse(&o, &used, &err, 5, "-on", "--text=a=b", "-number", "0x10", "word"), 0);
    CU_ASSERT_EQUAL(used, 4);
    CU_ASSERT(o.is_on && o.number == 16);
    CU_ASSERT_STRING_EQUAL(o.text, "a=b");
}

static void test_booleans_take_no_word(void)
{
    struct options o;
    struct error err;
    int used;
    CU_ASSERT_EQUAL(parse(&o, &used, &err, 2, "--on", "false"), 0);
    CU_ASSERT(o.is_on && used == 1);
    CU_ASSERT_EQUAL(parse(&o, &used, &err, 2, "--off=false", "-on=T"), 0);
    CU_ASSERT(o.is_on && !o.is_default_on && used == 2);
    CU_ASSERT_EQUAL(parse(&o, &used, &err, 3, "--ignored", "v", "--ignored-bool"), 0);
    CU_ASSERT_EQUAL(used, 3);
}

static void test_parsing_stops_at_words_and_double_dashes(void)
{
    struct options o;
    struct error err;
    int used;
    CU_ASSERT_EQUAL(parse(&o, &used, &err, 3, "-on", "--", "-text"), 0);
    CU_ASSERT_EQUAL(used, 2);
    CU_ASSERT_EQUAL(parse(&o, &used, &err, 2, "-", "-on"), 0);
    CU_ASSERT_EQUAL(used, 0);
    CU_ASSERT_EQUAL(parse(&o, &used, &err, 4, "-item", "a", "--item=b", "c"), 0);
    CU_ASSERT(o.list.count == 2 && strcmp(o.list.items[1], "b") == 0);
}

static void test_mistakes_have_gos_words(void)
{
    static const struct {
        const char *first, *second, *text;
    } cases[] = {
        {"-none", "x", "flag provided but not defined: -none"},
        {"--none=x", "x", "flag provided but not defined: -none"},
        {"-on=maybe", "x", "invalid boolean value \"maybe\" for -on: parse error"},
        {"-number", "x", "invalid value \"x\" for flag -number: parse error"},
        {"-size=-3", "x", "invalid value \"-3\" for flag -size: parse error"},
        {"-duration=5", "x", "invalid value \"5\" for flag -duration: parse error"},
        {"---on", "x", "bad flag syntax: ---on"},
        {"-=x", "x", "bad flag syntax: -=x"},
        {"-on", "-text", "flag needs an argument: -text"},
    };
    struct options o;
    struct error err;
    int used;
    for (size_t i = 0; i < ARRAY_COUNT(cases); i++) {
        CU_ASSERT_EQUAL(parse(&o, &used, &err, 2, cases[i].first, cases[i].second), -1);
        CU_ASSERT_STRING_EQUAL(err.text, cases[i].text);
    }
    CU_ASSERT_EQUAL(parse(&o, &used, &err, 1, "-h"), 1);
    CU_ASSERT_EQUAL(parse(&o, &used, &err, 1, "--help"), 1);
}

static void test_numbers_and_durations(void)
{
    i64 value;
    CU_ASSERT(int_parse("-9223372036854775808", &value) && value == INT64_MIN);
    CU_ASSERT(!int_parse("9223372036854775808", &value));
    CU_ASSERT(int_parse("017", &value) && value == 15);
    CU_ASSERT(int_parse("0o17", &value) && value == 15);
    CU_ASSERT(!int_parse("", &value) && !int_parse("0x", &value) && !int_parse("1 ", &value));
    CU_ASSERT(duration_parse("1m30s", &value) && value == 90 * (i64)NS_PER_S);
    CU_ASSERT(duration_parse("1.5h", &value) && value == 5400 * (i64)NS_PER_S);
    CU_ASSERT(duration_parse("-250ms", &value) && value == -250 * (i64)NS_PER_MS);
    CU_ASSERT(duration_parse("0", &value) && value == 0);
    CU_ASSERT(!duration_parse("", &value) && !duration_parse("s", &value) &&
              !duration_parse("5x", &value));
    CU_ASSERT(!duration_parse("99999999999h", &value));
}

static void test_signals_have_names_and_numbers(void)
{
    CU_ASSERT_EQUAL(signal_parse("TERM"), 15);
    CU_ASSERT_EQUAL(signal_parse("sigusr1"), 10);
    CU_ASSERT_EQUAL(signal_parse("31"), 31);
    CU_ASSERT_EQUAL(signal_parse("0"), -1);
    CU_ASSERT_EQUAL(signal_parse("32"), -1);
    CU_ASSERT_EQUAL(signal_parse("SIGNOTHING"), -1);
}

static void test_annotations_may_set_harmless_flags_only(void)
{
    static const char json[] =
        "{\"ociVersion\":\"1.0.0\",\"annotations\":{\"dev.gvisor.flag.%s\":\"%s\"}}";
    static const struct {
        const char *name, *value;
        bool is_free; /* without --allow-flag-override */
        bool exists;
    } cases[] = {
        {"strace", "true", true, true},           {"overlay2", "all:memory", true, true},
        {"overlay2", "root:dir=/x", false, true}, {"network", "host", false, true},
        {"no-such-flag", "1", false, false},
    };
    for (size_t i = 0; i < ARRAY_COUNT(cases); i++) {
        char text[256];
        struct error err;
        AUTO_OCI_SPEC struct oci_spec *spec = NULL;
        snprintf(text, sizeof text, json, cases[i].name, cases[i].value);
        CU_ASSERT_FATAL(oci_spec_parse(text, strlen(text), &spec, &err) == 0);
        struct config config;
        config_init(&config);
        CU_ASSERT_EQUAL(config_override(&config, spec, &err) == 0, cases[i].is_free);
        config_init(&config);
        config.allows_flag_override = true;
        CU_ASSERT_EQUAL(config_override(&config, spec, &err) == 0, cases[i].exists);
    }
}

static void test_flags_for_what_is_absent_are_noted_until_they_ask_for_nothing(void)
{
    struct absent_options {
        struct flag_list absent;
    };
    static const struct flag rows[] = {
        FLAG_ABSENT_ROW("log-packets", FLAG_ABSENT_BOOL, struct absent_options, absent, "false",
                        "why"),
        FLAG_ABSENT_ROW("settings", FLAG_ABSENT, struct absent_options, absent, "check,ignore",
                        "why"),
        FLAG_END,
    };
    static const struct {
        char *words[4];
        u32 count;
    } cases[] = {
        {{"-log-packets"}, 1},
        {{"-log-packets=false"}, 0},
        {{"-log-packets", "-log-packets", "-settings=enforce"}, 2},
        {{"-log-packets", "-log-packets=0"}, 0},
        {{"-settings=ignore"}, 0},
        {{"-settings=check"}, 0},
        {{"-settings=chec"}, 1},
        {{"-settings", "enforce", "-settings", "check"}, 0},
    };
    for (size_t i = 0; i < ARRAY_COUNT(cases); i++) {
        struct absent_options options = {0};
        struct error err;
        int used, argc = 0;
        while (argc < 4 && cases[i].words[argc])
            argc++;
        flags_init(rows, &options);
        CU_ASSERT_EQUAL(flags_parse(rows, &options, argc, (char **)cases[i].words, &used, &err), 0);
        CU_ASSERT_EQUAL(options.absent.count, cases[i].count);
    }
    struct absent_options options = {0};
    struct error err;
    CU_ASSERT_EQUAL(flags_set(&rows[0], &options, "maybe", &err), -1);
}

void flags_suite(void)
{
    CU_pSuite suite = CU_add_suite("flags", NULL, NULL);
#define TEST(name) CU_add_test(suite, #name, test_##name)
    TEST(defaults_stand_until_flags_come);
    TEST(booleans_take_no_word);
    TEST(parsing_stops_at_words_and_double_dashes);
    TEST(mistakes_have_gos_words);
    TEST(flags_for_what_is_absent_are_noted_until_they_ask_for_nothing);
    TEST(numbers_and_durations);
    TEST(signals_have_names_and_numbers);
    TEST(annotations_may_set_harmless_flags_only);
#undef TEST
}

/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What both hosts promise is tested once for both: a contract test takes a `struct env` and runs on
 * the real host, in a fresh directory under /tmp, and on the simulated one. A test leaves nothing
 * open: the ends of the two environments look. For tests only.
 */
#pragma once
#include "host/host.h"

struct env {
    struct host *host;
    struct host_file *dir; /* empty, open for reading */
    char path[64];         /* its path on that host */
    int (*make_pipe)(struct env *env, int fds[2]);
    int (*make_terminal)(struct env *env, int fds[2]); /* fds[0] the terminal */
    int (*make_listener)(struct env *env, const char *name);
    u32 (*count_fds)(struct env *env);
    void (*fini)(struct env *env); /* asserts that nothing is left open */
    u32 fds_before;
};

void env_linux_init(struct env *env);
void env_sim_init(struct env *env);
/* A new file in the environment's directory, open for reading and writing. */
struct host_file *env_make_file(struct env *env, const char *name, const char *text);

#define ENV_RUN(test)                 \
    static void test##_on_linux(void) \
    {                                 \
        struct env env;               \
        env_linux_init(&env);         \
        test(&env);                   \
        env.fini(&env);               \
    }                                 \
    static void test##_on_sim(void)   \
    {                                 \
        struct env env;               \
        env_sim_init(&env);           \
        test(&env);                   \
        env.fini(&env);               \
    }
/* TESTS(T) is a macro that calls T(name) for each test. */
#define ENV_TESTS(tests) tests(ENV_RUN)
#define ENV_ADD_ONE(test)                             \
    CU_add_test(linux_suite, #test, test##_on_linux); \
    CU_add_test(sim_suite, #test, test##_on_sim);
#define ENV_ADD(tests, what)                                                           \
    CU_pSuite linux_suite = CU_add_suite("host contract on linux: " what, NULL, NULL); \
    CU_pSuite sim_suite = CU_add_suite("host contract on sim: " what, NULL, NULL);     \
    tests(ENV_ADD_ONE)

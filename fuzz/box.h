/* SPDX-License-Identifier: Apache-2.0 */
/* For targets that need a whole sandbox: one on the simulated host, as the simulator makes it. */
#pragma once
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/arena_plain.h"
#include "sim/program.h"
#include "sim/sandbox.h"
#include "wire/urpc/pool.h"

struct fuzz_box {
    struct host *host;
    struct trace trace;
    struct arena heap;
    struct sandbox sandbox;
    int out[2];
};

#define BOX_SPEC                                                                              \
    "{\"ociVersion\":\"1.2.0\",\"process\":{\"user\":{\"uid\":0,\"gid\":0},\"args\":[\"/bin/" \
    "main\"],\"env\":[\"PATH=/bin\"],\"cwd\":\"/\"},\"root\":{\"path\":\"/rootfs\"}}"

static inline void box_must(bool is_true, const char *what)
{
    if (is_true)
        return;
    fprintf(stderr, "does not hold: %s\n", what);
    abort();
}

/* LINES are the program's, as a scenario has them. */
static inline void box_make(struct fuzz_box *box, const char *lines)
{
    struct buf elf;
    struct sim_error wrong;
    struct error err;
    memset(box, 0, sizeof *box);
    heap_arena_init(&box->heap);
    trace_init(&box->trace, &box->heap);
    box->trace.is_muted = true;
    buf_init(&elf, &box->heap, 0);
    struct fy_document *document = fy_document_build_from_string(NULL, lines, FY_NT);
    box_must(document && !program_compile("main", fy_document_root(document), &elf, &wrong),
             "the program compiles");
    fy_document_destroy(document);
    box->host = host_sim_create(&(struct sim_config){.seed = 1});
    box_must(!sim_put_file(box->host, "/rootfs/bin/main", buf_bytes(&elf), elf.size, 0755) &&
                 !sim_put_directory(box->host, "/rootfs/proc", 0555) &&
                 !sim_put_directory(box->host, "/img", 0755) && !sim_pipe(box->host, box->out),
             "the host has its files");
    buf_fini(&elf);
    const struct sandbox_config config = {.host = box->host,
                                          .trace = &box->trace,
                                          .platform = "script",
                                          .cpu_count = 1,
                                          .seed = 1,
                                          .id = "main",
                                          .spec = BOX_SPEC,
                                          .out_fd = box->out[1],
                                          .is_silent = true};
    if (sandbox_create(&box->sandbox, &config, &err)) {
        fprintf(stderr, "%s\n", err.text);
        abort();
    }
}

static inline void box_end(struct fuzz_box *box)
{
    box_must(sandbox_destroy(&box->sandbox), "the sandbox ends");
    sim_fd_close(box->host, box->out[0]);
    sim_fd_close(box->host, box->out[1]);
    box_must(sim_leak_count(box->host) == 0, "nothing is left on the host");
    host_put(box->host);
    buf_fini(&box->trace.text);
}

/* One call with one descriptor (-1: none): its answer, "" when there is none yet; until the next.
 */
static inline const char *box_call(struct fuzz_box *box, const char *text, size_t size, int fd)
{
    static char answer[4096];
    struct call call;
    box_must(!call_send(&call, &box->sandbox, text, size, &fd, fd >= 0, NULL, &box->heap) &&
                 sandbox_run(&box->sandbox),
             "the control socket is served");
    bool is_over = call_poll(&call, box->host);
    snprintf(answer, sizeof answer, "%.*s", is_over ? (int)call.answer.size : 0,
             (const char *)buf_bytes(&call.answer));
    call_end(&call);
    box_must(sandbox_run(&box->sandbox), "it comes to rest");
    return answer;
}

static inline void box_call_ok(struct fuzz_box *box, const char *text, int fd)
{
    const char *answer = box_call(box, text, strlen(text), fd);
    if (strstr(answer, "\"success\":true"))
        return;
    fprintf(stderr, "%s: %s\n", text, answer);
    abort();
}

int LLVMFuzzerTestOneInput(const u8 *bytes, size_t size);

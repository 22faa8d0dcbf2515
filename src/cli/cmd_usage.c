/* SPDX-License-Identifier: Apache-2.0 */
/* usage ID: the sandbox's memory. */
#include "base/buf.h"
#include "cli/commands.h"
#include "runtime/control.h"

#include <errno.h>
#include <stdio.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

static int print_collected(const struct record *record, bool is_full, struct error *err)
{
    AUTO_URPC_ANSWER struct urpc_answer answer = {0};
    const char *arg = is_full ? "{\"Full\":true}" : "{\"Full\":false}";
    if (control_call(record, "Usage.Collect", arg, NULL, 0, &answer, err) < 0)
        return error_prefix(err, "collect failed");
    struct arena arena;
    heap_arena_init(&arena);
    AUTO_BUF struct buf buf;
    buf_init(&buf, &arena, 0);
    struct json_writer writer;
    json_writer_init(&writer, &buf);
    writer.indent = "  ";
    json_put_raw(&writer, answer.result);
    puts(buf_text(&buf));
    return 0;
}

/* The first descriptor is a shared page whose first u64 is Mapped, the second the memory file. */
static int print_shared(const struct record *record, struct error *err)
{
    AUTO_URPC_ANSWER struct urpc_answer answer = {0};
    if (control_call(record, "Usage.UsageFD", "{\"Version\":1}", NULL, 0, &answer, err) < 0)
        return error_prefix(err, "usage failed");
    int page = urpc_answer_take_fd(&answer, 0), memory = urpc_answer_take_fd(&answer, 1);
    int result = -1;
    struct stat stat;
    void *shared = page >= 0 ? mmap(NULL, 4096, PROT_READ, MAP_SHARED, page, 0) : MAP_FAILED;
    if (shared == MAP_FAILED || memory < 0 || fstat(memory, &stat) < 0) {
        error_set(err, EIO, "usage failed: the sandbox sent no usage file");
    } else {
        u64 mapped = *(const volatile u64 *)shared, unknown = (u64)stat.st_blocks * 512;
        printf("Mapped %llu, Unknown %llu, Total %llu\n", (unsigned long long)mapped,
               (unsigned long long)unknown, (unsigned long long)(mapped + unknown));
        result = 0;
    }
    if (shared != MAP_FAILED)
        munmap(shared, 4096);
    if (page >= 0)
        close(page);
    if (memory >= 0)
        close(memory);
    return result;
}

int cmd_usage(struct cli *cli, const void *given, int argc, char **argv)
{
    const struct usage_options *options = given;
    struct runtime runtime;
    struct error err;
    AUTO_RECORD struct record *record = NULL;
    if (argc != 1)
        return cli_usage(cli);
    if (cli_container(cli, argv[0], false, &runtime, &record, &err) < 0)
        return cli_fail(cli, &err);
    runtime_close(&runtime);
    int result = options->is_fd ? print_shared(record, &err)
                                : print_collected(record, options->is_full, &err);
    return result < 0 ? cli_fail(cli, &err) : 0;
}

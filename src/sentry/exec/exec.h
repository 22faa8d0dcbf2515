/* SPDX-License-Identifier: Apache-2.0 */
/*
 * From a path and arguments to a complete address space (execve(2)). Everything that can fail
 * happens on a new mm that nobody runs; replacing the task's own is kernel/'s task_exec_commit,
 * which cannot:
 *
 *     exec_open     what to run: follows #! lines, judges the right to execute, opens the ELF file
 *     (credentials) the caller computes them from program.file's inode: set-id bits, capabilities
 *     exec_build    a new mm with segments, interpreter, stack, vDSO
 *     task_exec_commit, then exec_image_start: registers
 */
#pragma once
#include "abi/regs.h"
#include "base/buf.h"
#include "sentry/fs/path.h"
#include "sentry/kernel/task.h"

/* Strings back to back, each with its terminator: argv or envp. */
struct exec_text {
    struct buf bytes;
    u64 count;
};
#define EXEC_STRING_SIZE_MAX ((u64)32 * PAGE_SIZE) /* MAX_ARG_STRLEN, with terminator */
#define EXEC_TEXT_SIZE_MAX \
    ((u64)6 << 20) /* strings and pointers of both, whatever the stack limit */

void exec_text_init(struct exec_text *text, struct arena *arena);
void exec_text_fini(struct exec_text *text);
#define AUTO_EXEC_TEXT CLEANUP(exec_text_fini)
/* 0, -E2BIG or -ENOMEM. */
MUST_CHECK int exec_text_add(struct exec_text *text, const char *string);
/* All strings of a NULL-terminated array of pointers in TASK's memory; ARRAY 0: none. 0, -EFAULT,
 * -E2BIG, -ENOMEM. */
MUST_CHECK SLEEPS int exec_text_copy(struct task *task, uaddr array, struct exec_text *text);

struct exec_request {
    const struct path *start; /* execveat's directory, lent; NULL: the task's cwd */
    const char *path;         /* lent */
    u32 walk_flags;           /* WALK_FOLLOW, WALK_EMPTY */
    const char *name;         /* AT_EXECFN: path, or /dev/fd/N[/path]; lent */
    bool is_name_closed; /* NAME is a descriptor with FD_CLOEXEC: no script can find it (-ENOENT) */
    struct exec_text argv, envp; /* taken by exec_open, also when it fails */
};

/* What will run. Lives in the caller's frame; exec_program_fini releases it. */
struct exec_program {
    struct file *file; /* counted: the ELF file */
    char *name;        /* AT_EXECFN: the path as given */
    char comm[COMM_SIZE];
    struct exec_text argv, envp; /* argv as the #! lines made it */
    u32 script_depth;            /* how many #! lines were followed */
};
/* 0; -EACCES (not executable, not a regular file, noexec), -ENOENT, -ELOOP (more than five #!
 * lines), -ENOEXEC, -ETXTBSY, -E2BIG, -ENOMEM and what a path walk answers. *OUT is to be finished
 * only on success. */
MUST_CHECK SLEEPS int exec_open(struct task *task, struct exec_request *request,
                                struct exec_program *out);
void exec_program_fini(struct exec_program *program);
#define AUTO_EXEC_PROGRAM CLEANUP(exec_program_fini)

struct exec_params {
    const struct cred *cred;     /* of the new program: AT_UID and so on; lent */
    const struct limits *limits; /* lent */
    bool is_secure; /* AT_SECURE: it gains rights by the file's set-id bits or capabilities */
};

/* A complete image, not yet anybody's. */
struct exec_image {
    struct mm *mm; /* counted; hand it on with MOVE */
    u64 entry;     /* first instruction: the interpreter's if there is one */
    u64 stack;     /* first stack pointer */
};
/* 0; -ENOEXEC (damaged, foreign), -ELIBBAD (its interpreter is), -E2BIG (arguments over a quarter
 * of the stack limit), -ENOMEM, -EIO. TASK acts: reads, sleeps. */
MUST_CHECK SLEEPS int exec_build(struct task *task, const struct exec_program *program,
                                 const struct exec_params *params, struct exec_image *out);
void exec_image_fini(struct exec_image *image);
#define AUTO_EXEC_IMAGE CLEANUP(exec_image_fini)
/* The first registers: all zero but rip, rsp, flags and segments. */
void exec_image_start(const struct exec_image *image, struct regs *regs);

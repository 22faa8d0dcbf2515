/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What a path makes run: the file itself or, through up to five files, what its first line names
 * (execve(2), "Interpreter scripts"). A file needs the right to execute, not the right to read.
 */
#include <string.h>

#include "abi/errno.h"
#include "abi/mount.h"
#include "sentry/exec/exec.h"
#include "sentry/fs/file.h"

#define SCRIPT_LINE_MAX 256u /* BINPRM_BUF_SIZE */
#define SCRIPT_DEPTH_MAX 5u
#define PERMISSION_EXEC 1u

SLEEPS static int inode_open(struct task *task, struct inode *inode, struct file *file)
{
    return inode->ops->open(task, inode, file);
}

/* May TASK execute what PATH names? */
SLEEPS static int judge_path(struct task *task, const struct path *path)
{
    const struct inode *inode = path->dentry->inode;
    if ((inode->mode & LINUX_S_IFMT) == LINUX_S_IFLNK) /* execveat(2), AT_SYMLINK_NOFOLLOW */
        return -ELOOP;
    if ((inode->mode & LINUX_S_IFMT) != LINUX_S_IFREG ||
        (path->mount && path->mount->flags & LINUX_MS_NOEXEC)) /* a memfd has no mount */
        return -EACCES;
    int err = vfs_permission(task, path, PERMISSION_EXEC);
    if (err)
        return err;
    return inode->write_count > 0 ? -ETXTBSY : 0;
}

/* Open for execution: the right to read is not asked for. */
SLEEPS static int open_exec(struct task *task, const struct path *start, const char *name,
                            u32 walk_flags, struct file **out)
{
    AUTO_PATH struct path path = {0};
    int err = path_walk(task, start, name, walk_flags | WALK_OPENS, &path);
    if (!err)
        err = judge_path(task, &path);
    if (err)
        return err;
    AUTO_PUT struct file *file = NULL;
    struct inode *inode = path.dentry->inode;
    err = file_create(task->kernel, &path, inode, 0, &file);
    if (err)
        return err;
    file->ops = &regular_file_ops;
    if (inode->ops->open)
        err = inode_open(task, inode, file);
    if (!err)
        *out = MOVE(file);
    return err;
}

/* ---- the first line ------------------------------------------------------------------------- */

struct script {
    char line[SCRIPT_LINE_MAX + 1];
    char *interpreter;
    char *argument; /* all that follows, or NULL */
};

static bool is_blank(char c)
{
    return c == ' ' || c == '\t';
}

static char *skip_blanks(char *at)
{
    while (is_blank(*at))
        at++;
    return at;
}

/* SIZE bytes of the file are in script->line: cut them into words. 0 or -ENOEXEC. */
static int script_parse(struct script *script, size_t size)
{
    script->line[size] = '\0';
    char *end = memchr(script->line, '\n', size);
    bool is_cut = !end && size == SCRIPT_LINE_MAX;
    if (end)
        *end = '\0';
    char *at = skip_blanks(script->line + 2);
    if (*at == '\0')
        return -ENOEXEC;
    script->interpreter = at;
    script->argument = NULL;
    while (*at && !is_blank(*at))
        at++;
    if (*at == '\0') /* a path that goes on behind the buffer is not this path */
        return is_cut ? -ENOEXEC : 0;
    *at = '\0';
    at = skip_blanks(at + 1);
    if (*at == '\0')
        return 0;
    script->argument = at;
    char *last = at + strlen(at);
    while (is_blank(last[-1]))
        *--last = '\0';
    return 0;
}

/* argv becomes: interpreter, argument, name of the script, the old arguments but the first. */
static int script_rewrite(const struct script *script, const char *name, struct exec_text *argv)
{
    AUTO_EXEC_TEXT struct exec_text text;
    exec_text_init(&text, argv->bytes.arena);
    int err = exec_text_add(&text, script->interpreter);
    if (!err && script->argument)
        err = exec_text_add(&text, script->argument);
    if (!err)
        err = exec_text_add(&text, name);
    const char *at = (const char *)buf_bytes(&argv->bytes);
    for (u64 i = 0; !err && i < argv->count; i++) {
        if (i > 0)
            err = exec_text_add(&text, at);
        at += strlen(at) + 1;
    }
    if (err)
        return err;
    struct exec_text old = *argv;
    *argv = text;
    text = old;
    return 0;
}

/* Does the file begin with "#!"? Then *IS_SCRIPT, and SCRIPT is what its line says. */
SLEEPS static int script_read(struct task *task, struct file *file, struct script *script,
                              bool *is_script)
{
    i64 size = file_pread_kernel(task, file, script->line, SCRIPT_LINE_MAX, 0);
    if (size < 0)
        return (int)size;
    *is_script = size >= 2 && script->line[0] == '#' && script->line[1] == '!';
    return *is_script ? script_parse(script, (size_t)size) : 0;
}

/* ---- the whole ------------------------------------------------------------------------------ */

void exec_program_fini(struct exec_program *program)
{
    REF_CLEAR(program->file);
    if (program->argv.bytes.arena)
        arena_free_string(program->argv.bytes.arena, program->name);
    program->name = NULL;
    exec_text_fini(&program->argv);
    exec_text_fini(&program->envp);
}

static void set_comm(struct exec_program *program)
{
    const char *base = strrchr(program->name, '/');
    base = base ? base + 1 : program->name;
    memcpy(program->comm, base, MIN(strlen(base), COMM_SIZE - 1));
}

/* Follow #! lines from program->file on, until it is something else. */
SLEEPS static int follow_scripts(struct task *task, struct exec_program *program,
                                 bool is_name_closed)
{
    struct script script;
    AUTO_EXEC_TEXT struct exec_text names; /* the script's name outlives its line */
    exec_text_init(&names, task->kernel->arena);
    const char *name = program->name;
    for (;;) {
        bool is_script;
        int err = script_read(task, program->file, &script, &is_script);
        if (err || !is_script)
            return err;
        if (is_name_closed)
            return -ENOENT;
        if (++program->script_depth > SCRIPT_DEPTH_MAX)
            return -ELOOP;
        err = script_rewrite(&script, name, &program->argv);
        if (err)
            return err;
        struct file *file = NULL;
        err = open_exec(task, NULL, script.interpreter, WALK_FOLLOW, &file);
        if (err)
            return err;
        object_put(&program->file->object);
        program->file = file;
        exec_text_fini(&names);
        err = exec_text_add(&names, script.interpreter);
        if (err)
            return err;
        name = (const char *)buf_bytes(&names.bytes);
    }
}

int exec_open(struct task *task, struct exec_request *request, struct exec_program *out)
{
    struct arena *arena = task->kernel->arena;
    AUTO_EXEC_PROGRAM struct exec_program program = {.argv = request->argv, .envp = request->envp};
    exec_text_init(&request->argv, arena);
    exec_text_init(&request->envp, arena);
    program.name = arena_strdup(arena, request->name);
    if (!program.name)
        return -ENOMEM;
    int err = 0;
    if (program.argv.count == 0) /* execve(2): no program is left without a name */
        err = exec_text_add(&program.argv, "");
    if (!err)
        err = open_exec(task, request->start, request->path, request->walk_flags, &program.file);
    if (!err)
        err = follow_scripts(task, &program, request->is_name_closed);
    if (err)
        return err;
    set_comm(&program);
    *out = program;
    program = (struct exec_program){0};
    return 0;
}

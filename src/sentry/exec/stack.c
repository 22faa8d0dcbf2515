/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The first stack of a program, as the x86-64 psABI and Linux's create_elf_tables lay it out. From
 * the top: eight zero bytes, the file's name, environment strings, argument strings, "x86_64", 16
 * random bytes; then, downwards to the stack pointer, auxv, envp, argv, argc.
 */
#include <string.h>

#include "abi/errno.h"
#include "host/host.h"
#include "sentry/exec/load.h"
#include "sentry/exec/vdso.h"

#define CLOCK_TICKS 100u
#define SIGNAL_STACK_MIN 2048u
#define STACK_SLACK ((u64)128 << 10) /* mapped below the first stack pointer from the start */
#define STACK_AHEAD ((u64)12 << 10)  /* of that, what has memory from the start */
#define TEXT_MIN ((u64)128 << 10)    /* arguments that fit even under a tiny stack limit */
#define POINTERS_CHUNK 512u

struct stack {
    struct task *task;
    struct mm *mm;
    u64 random, platform, argv, envp, name; /* addresses of the bytes */
    u64 words;                              /* the stack pointer */
    u64 auxv[2 * 24];
    u32 auxv_count; /* words */
};

/* A quarter of the stack limit, within the bounds of execve(2). */
static u64 text_size_max(const struct mm *mm)
{
    return MAX(MIN(mm->limit_stack / 4, EXEC_TEXT_SIZE_MAX), TEXT_MIN);
}

static int lay_out(struct stack *stack, const struct exec_program *program, u64 top)
{
    u64 name_size = strlen(program->name) + 1;
    u64 pointers = (program->argv.count + program->envp.count + 2) * sizeof(u64);
    u64 text = program->argv.bytes.size + program->envp.bytes.size + name_size;
    if (text + pointers > text_size_max(stack->mm))
        return -E2BIG;
    stack->name = top - 8 - name_size;
    stack->envp = stack->name - program->envp.bytes.size;
    stack->argv = stack->envp - program->argv.bytes.size;
    stack->platform = ALIGN_DOWN(stack->argv, 16) - 16;
    stack->random = stack->platform - 16;
    u64 size = sizeof(u64) + pointers + sizeof stack->auxv;
    stack->words = ALIGN_DOWN(stack->random - size, 16);
    return 0;
}

static void auxv_add(struct stack *stack, u64 type, u64 value)
{
    ASSERT(stack->auxv_count + 2 <= ARRAY_COUNT(stack->auxv));
    stack->auxv[stack->auxv_count++] = type;
    stack->auxv[stack->auxv_count++] = value;
}

static void auxv_fill(struct stack *stack, const struct exec_params *params,
                      const struct stack_words *words)
{
    const struct elf_image *image = words->image;
    const struct cred *cred = params->cred;
    const struct mm *mm = stack->mm;
    u64 phdrs = image->phdrs_address ? words->place->bias + image->phdrs_address : 0;
    if (mm->vdso)
        auxv_add(stack, LINUX_AT_SYSINFO_EHDR, mm->vdso);
    auxv_add(stack, LINUX_AT_HWCAP, vdso_hwcap(stack->task->kernel));
    auxv_add(stack, LINUX_AT_PAGESZ, PAGE_SIZE);
    auxv_add(stack, LINUX_AT_CLKTCK, CLOCK_TICKS);
    auxv_add(stack, LINUX_AT_PHDR, phdrs);
    auxv_add(stack, LINUX_AT_PHENT, sizeof(struct linux_elf_phdr));
    auxv_add(stack, LINUX_AT_PHNUM, image->phdr_count);
    auxv_add(stack, LINUX_AT_BASE, words->interp_base);
    auxv_add(stack, LINUX_AT_FLAGS, 0);
    auxv_add(stack, LINUX_AT_ENTRY, words->place->entry);
    auxv_add(stack, LINUX_AT_UID, cred->uid);
    auxv_add(stack, LINUX_AT_EUID, cred->euid);
    auxv_add(stack, LINUX_AT_GID, cred->gid);
    auxv_add(stack, LINUX_AT_EGID, cred->egid);
    auxv_add(stack, LINUX_AT_SECURE, params->is_secure);
    auxv_add(stack, LINUX_AT_RANDOM, stack->random);
    auxv_add(stack, LINUX_AT_HWCAP2, 0);
    auxv_add(stack, LINUX_AT_EXECFN, stack->name);
    auxv_add(stack, LINUX_AT_PLATFORM, stack->platform);
    auxv_add(stack, LINUX_AT_MINSIGSTKSZ, SIGNAL_STACK_MIN);
    auxv_add(stack, LINUX_AT_NULL, 0);
}

/* ---- writing -------------------------------------------------------------------------------- */

SLEEPS static int put(struct stack *stack, u64 *at, const void *bytes, u64 size)
{
    int err = mm_copy_out(stack->mm, &stack->task->fiber, uaddr_make(*at), bytes, size);
    *at += size;
    return err ? -ENOMEM : 0; /* the stack is mapped: only memory can be missing */
}

/* The pointers to the strings of TEXT, which lie at STRINGS, and a NULL. */
SLEEPS static int put_pointers(struct stack *stack, u64 *at, const struct exec_text *text,
                               u64 strings)
{
    u64 chunk[POINTERS_CHUNK];
    u32 count = 0;
    const char *bytes = (const char *)buf_bytes(&text->bytes);
    u64 offset = 0;
    for (u64 i = 0; i <= text->count; i++) {
        bool is_end = i == text->count;
        chunk[count++] = is_end ? 0 : strings + offset;
        if (!is_end)
            offset += strlen(bytes + offset) + 1;
        if (count < POINTERS_CHUNK && !is_end)
            continue;
        int err = put(stack, at, chunk, count * sizeof chunk[0]);
        if (err)
            return err;
        count = 0;
    }
    return 0;
}

SLEEPS static int write_strings(struct stack *stack, const struct exec_program *program)
{
    u8 random[16];
    char platform[16] = "x86_64";
    kernel_entropy(stack->task->kernel, random, sizeof random);
    u64 at = stack->random;
    int err = put(stack, &at, random, sizeof random);
    if (!err)
        err = put(stack, &at, platform, sizeof platform);
    at = stack->argv;
    if (!err && program->argv.bytes.size)
        err = put(stack, &at, buf_bytes(&program->argv.bytes), program->argv.bytes.size);
    if (!err && program->envp.bytes.size)
        err = put(stack, &at, buf_bytes(&program->envp.bytes), program->envp.bytes.size);
    if (!err)
        err = put(stack, &at, program->name, strlen(program->name) + 1);
    return err;
}

SLEEPS static int write_words(struct stack *stack, const struct exec_program *program)
{
    u64 at = stack->words;
    int err = put(stack, &at, &program->argv.count, sizeof(u64));
    if (!err)
        err = put_pointers(stack, &at, &program->argv, stack->argv);
    if (!err)
        err = put_pointers(stack, &at, &program->envp, stack->envp);
    if (!err)
        err = put(stack, &at, stack->auxv, stack->auxv_count * sizeof(u64));
    return err;
}

/* Map [words - slack, top), not more than the limit allows. */
SLEEPS static int map_stack(struct stack *stack, const struct elf_image *image, u64 top)
{
    struct mm *mm = stack->mm;
    u64 used = top - ALIGN_DOWN(stack->words, PAGE_SIZE);
    u64 size = used + STACK_SLACK;
    if (size > mm->limit_stack)
        size = MAX(used, ALIGN_DOWN(mm->limit_stack, PAGE_SIZE));
    struct mm_map_request request = {
        .address = top - size,
        .size = size,
        .prot = LINUX_PROT_READ | LINUX_PROT_WRITE | (image->has_exec_stack ? LINUX_PROT_EXEC : 0),
        .vma_flags = VMA_GROWSDOWN | VMA_STACK,
        .is_fixed = true,
        .is_noreplace = true,
        .name = "[stack]",
    };
    i64 at = mm_map(mm, &stack->task->fiber, &request);
    if (at < 0)
        return at == -EEXIST ? -ENOEXEC : (int)at; /* the image lies where the stack belongs */
    u64 ahead = MIN(size - used, STACK_AHEAD);
    int err = mm_populate(mm, &stack->task->fiber, top - used - ahead, used + ahead, true);
    return err ? -ENOMEM : 0;
}

int stack_build(struct task *task, struct mm *mm, const struct exec_program *program,
                const struct exec_params *params, const struct stack_words *words, u64 top, u64 *sp)
{
    struct stack stack = {.task = task, .mm = mm};
    int err = lay_out(&stack, program, top);
    if (!err)
        err = map_stack(&stack, words->image, top);
    if (err)
        return err;
    auxv_fill(&stack, params, words);
    err = write_strings(&stack, program);
    if (!err)
        err = write_words(&stack, program);
    if (err)
        return err;
    mm->stack_start = stack.words;
    mm->arg_start = stack.argv;
    mm->arg_end = mm->env_start = stack.envp;
    mm->env_end = stack.name;
    mm->auxv_size = stack.auxv_count * (u32)sizeof(u64);
    memcpy(mm->auxv, stack.auxv, mm->auxv_size);
    *sp = stack.words;
    return 0;
}

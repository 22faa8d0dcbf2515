/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The whole image of a program: program, interpreter, vDSO, heap, stack, and where they lie. Places
 * are drawn from the kernel's entropy as Linux draws them: 28 bits of pages for mappings and
 * movable programs, 22 for the stack, 32 MiB for the heap.
 */
#include "sentry/exec/exec.h"

#include <string.h>

#include "abi/errno.h"
#include "sentry/exec/load.h"
#include "sentry/exec/vdso.h"
#include "sentry/fs/file.h"

#define PROGRAM_BASE 0x555555554000ull /* two thirds of the address space, as Linux */
#define MMAP_RANDOM_PAGES ((u64)1 << 28)
#define STACK_RANDOM_PAGES ((u64)1 << 22)
#define BRK_RANDOM_SIZE ((u64)32 << 20)
/* What is kept for the stack below its top, at least and at most. */
#define STACK_GAP_MIN ((u64)128 << 20)
#define STACK_GAP_MAX (SPACE_ADDRESS_END / 6 * 5)
#define STACK_GUARD ((u64)1 << 20)

/* What chance decides, in pages; all zero without ASLR. */
struct dice {
    u64 program, mmap, stack, brk;
};

static void dice_roll(struct task *task, struct dice *dice)
{
    memset(dice, 0, sizeof *dice);
    if (!task->kernel->config.has_aslr)
        return;
    kernel_entropy(task->kernel, dice, sizeof *dice);
    dice->program %= MMAP_RANDOM_PAGES;
    dice->mmap %= MMAP_RANDOM_PAGES;
    dice->stack %= STACK_RANDOM_PAGES;
    dice->brk %= BRK_RANDOM_SIZE >> PAGE_SHIFT;
}

static void set_limits(struct mm *mm, const struct limits *limits)
{
    mm->limit_as = limits->v[RLIMIT_AS_].soft;
    mm->limit_data = limits->v[RLIMIT_DATA_].soft;
    mm->limit_stack = limits->v[RLIMIT_STACK_].soft;
    mm->limit_memlock = limits->v[RLIMIT_MEMLOCK_].soft;
}

/* The stack's top; mappings begin below what it may grow to. */
static u64 choose_tops(struct mm *mm, const struct dice *dice)
{
    u64 stack_top = SPACE_ADDRESS_END - (dice->stack << PAGE_SHIFT);
    u64 gap = MIN(MAX(mm->limit_stack, STACK_GAP_MIN), STACK_GAP_MAX);
    u64 mmap_top = SPACE_ADDRESS_END - (STACK_RANDOM_PAGES << PAGE_SHIFT) - STACK_GUARD -
                   ALIGN_UP(gap, PAGE_SIZE);
    mm->mmap_top = mmap_top - MIN(dice->mmap << PAGE_SHIFT, mmap_top / 2);
    return stack_top;
}

/* ---- the interpreter ------------------------------------------------------------------------ */

SLEEPS static int open_interp(struct task *task, const char *path, struct file **out)
{
    struct exec_request request = {.path = path, .walk_flags = WALK_FOLLOW, .name = path};
    struct exec_program program;
    exec_text_init(&request.argv, task->kernel->arena);
    exec_text_init(&request.envp, task->kernel->arena);
    int err = exec_open(task, &request, &program);
    if (err)
        return err;
    bool is_script = program.script_depth > 0;
    if (!is_script)
        *out = REF_GET(program.file);
    exec_program_fini(&program);
    return is_script ? -ELIBBAD : 0;
}

/* Map the dynamic linker; an interpreter of its own is not looked at, as on Linux: there is no
 * loop. */
SLEEPS static int load_interp(struct task *task, struct mm *mm, const char *path,
                              struct elf_place *place)
{
    AUTO_PUT struct file *file = NULL;
    int err = open_interp(task, path, &file);
    if (err)
        return err;
    struct elf_file elf;
    err = elf_file_read(task, file, &elf);
    if (!err)
        err = elf_map(task, mm, &elf, 0, place);
    elf_file_fini(&elf, task->kernel->arena);
    return err == -ENOEXEC ? -ELIBBAD : err;
}

/* ---- the whole ------------------------------------------------------------------------------ */

static void set_places(struct mm *mm, const struct elf_image *image, const struct elf_place *place,
                       const struct dice *dice)
{
    mm->code_start = place->bias + image->start;
    for (u32 i = 0; i < image->segment_count; i++)
        if (image->segments[i].prot & LINUX_PROT_EXEC)
            mm->code_end = place->bias + image->segments[i].address +
                           image->segments[i].memory_size;
    mm->brk_start = mm->brk_end = place->end + (dice->brk << PAGE_SHIFT);
}

SLEEPS static int build(struct task *task, const struct exec_program *program,
                        const struct exec_params *params, const struct elf_file *elf,
                        struct exec_image *image)
{
    struct mm *mm = image->mm;
    struct dice dice;
    struct elf_place place, interp = {0};
    dice_roll(task, &dice);
    u64 stack_top = choose_tops(mm, &dice);
    int err = elf_map(task, mm, elf, PROGRAM_BASE + (dice.program << PAGE_SHIFT), &place);
    if (!err && elf->interp)
        err = load_interp(task, mm, elf->interp, &interp);
    if (!err)
        err = vdso_map(task, mm);
    if (err)
        return err;
    set_places(mm, &elf->image, &place, &dice);
    struct stack_words words = {&elf->image, &place, interp.bias};
    image->entry = elf->interp ? interp.entry : place.entry;
    return stack_build(task, mm, program, params, &words, stack_top, &image->stack);
}

int exec_build(struct task *task, const struct exec_program *program,
               const struct exec_params *params, struct exec_image *out)
{
    struct kernel *kernel = task->kernel;
    AUTO_EXEC_IMAGE struct exec_image image = {0};
    struct elf_file elf;
    int err = elf_file_read(task, program->file, &elf);
    if (!err)
        err = mm_create(kernel->arena, kernel->memory, kernel->platform, &image.mm);
    if (!err) {
        set_limits(image.mm, params->limits);
        file_deny_write(program->file);
        image.mm->exe = &REF_GET(program->file)->object;
        err = build(task, program, params, &elf, &image);
        mm_commit(image.mm);
    }
    elf_file_fini(&elf, kernel->arena);
    if (err)
        return err;
    *out = image;
    image.mm = NULL;
    return 0;
}

void exec_image_fini(struct exec_image *image)
{
    REF_CLEAR(image->mm);
}

void exec_image_start(const struct exec_image *image, struct regs *regs)
{
    *regs = (struct regs){
        .orig_rax = UINT64_MAX,
        .rip = image->entry,
        .rsp = image->stack,
        .cs = REGS_CS_USER,
        .ss = REGS_SS_USER,
        .eflags = EFLAGS_IF | 2,
    };
}

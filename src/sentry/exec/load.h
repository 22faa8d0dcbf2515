/* SPDX-License-Identifier: Apache-2.0 */
/* Pieces of exec_build, inside exec/. */
#pragma once
#include "sentry/exec/elf.h"
#include "sentry/exec/exec.h"

/* An ELF file opened and judged. */
struct elf_file {
    struct file *file; /* lent */
    struct elf_image image;
    char *interp; /* arena string, or NULL */
};
MUST_CHECK SLEEPS int elf_file_read(struct task *task, struct file *file, struct elf_file *out);
void elf_file_fini(struct elf_file *elf, struct arena *arena);

/* Where an image lies. */
struct elf_place {
    u64 bias; /* added to linked addresses */
    u64 entry;
    u64 end; /* first page behind */
};
/* Map all segments: movable ones at HINT or below the mmap top. 0, -ENOEXEC, -ENOMEM, -EIO. */
MUST_CHECK SLEEPS int elf_map(struct task *task, struct mm *mm, const struct elf_file *elf,
                              u64 hint, struct elf_place *out);

/* What the new stack tells the program. */
struct stack_words {
    const struct elf_image *image;
    const struct elf_place *place;
    u64 interp_base; /* 0: none */
};
/* Strings, auxv, environment and arguments on a new stack below TOP; its pointer in *SP. 0, -E2BIG,
 * -ENOMEM. */
MUST_CHECK SLEEPS int stack_build(struct task *task, struct mm *mm,
                                  const struct exec_program *program,
                                  const struct exec_params *params, const struct stack_words *words,
                                  u64 top, u64 *sp);

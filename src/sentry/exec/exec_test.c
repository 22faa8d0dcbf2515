/* SPDX-License-Identifier: Apache-2.0 */
/* Programs, scripts and images on a tmpfs, built and looked at; no application code runs. */
#include "sentry/exec/exec.h"

#include <CUnit/CUnit.h>
#include <stdio.h>
#include <string.h>

#include "abi/errno.h"
#include "abi/fcntl.h"
#include "host/sim/sim.h"
#include "platform/pagetable.h"
#include "sentry/exec/elf.h"
#include "sentry/exec/vdso.h"
#include "sentry/fs/file.h"
#include "sentry/fs/vfs.h"

#define FRAMES 16384
#define STEPS_MAX 1000000

struct world {
    struct host *host;
    struct arena *arena;
    struct machine_memory memfile;
    struct platform *platform;
    struct kernel *kernel;
    struct task *task;
    void (*test)(void);
    struct limits limits;
};
static struct world world;

static void world_begin(bool has_aslr)
{
    static const char *const names[] = {"script", "ptrace", "kvm"};
    const struct sim_config sim = {.seed = 1};
    const struct kernel_config config = {.seed = 1, .has_vdso = true, .has_aslr = has_aslr};
    world.host = host_sim_create(&sim);
    world.arena = host_arena_create(world.host, 0);
    CU_ASSERT_FATAL(world.host && world.arena &&
                    machine_memory_create("test", FRAMES, &world.memfile) == 0);
    world.platform = NULL;
    for (size_t i = 0; i < ARRAY_COUNT(names) && !world.platform; i++)
        if (platform_create(names[i], &world.memfile, 1, &world.platform, NULL, 0) < 0)
            world.platform = NULL;
    CU_ASSERT_FATAL(world.platform != NULL);
    int err = kernel_create(world.arena, world.host, world.platform, &world.memfile, 1, NULL,
                            &config, &world.kernel);
    CU_ASSERT_FATAL(err == 0 && vfs_create(world.kernel) == 0 && vdso_create(world.kernel) == 0);
    limits_init(&world.limits);
}

static void world_end(void)
{
    vdso_destroy(world.kernel);
    vfs_destroy(world.kernel);
    kernel_destroy(world.kernel);
    platform_destroy(world.platform);
    machine_memory_destroy(&world.memfile);
    host_arena_destroy(world.host, world.arena);
    host_put(world.host);
}

SLEEPS_ROOT static void task_main_of_tests(struct task *task, void *arg)
{
    struct super *super = NULL;
    struct mount_ns *ns = NULL;
    world.task = task;
    CU_ASSERT_FATAL(tmpfs_create(task, NULL, &super) == 0);
    CU_ASSERT_FATAL(mount_ns_create(task->kernel, super, 0, &ns) == 0);
    struct path root = {ns->root, ns->root->root};
    CU_ASSERT_FATAL(fs_context_create(task->kernel, &root, &root, &task->fs) == 0);
    world.test();
    REF_CLEAR(task->fs);
    REF_PUT(ns);
    REF_PUT(super);
}

static void run(void (*test)(void), bool has_aslr)
{
    struct task *task;
    world_begin(has_aslr);
    world.test = test;
    CU_ASSERT_FATAL(task_create_kernel(world.kernel, "test", task_main_of_tests, NULL, &task) == 0);
    CU_ASSERT_FATAL(task_start(task) == 0);
    CU_ASSERT(sched_run_until_quiet(world.kernel->sched, STEPS_MAX));
    REF_PUT(task);
    world_end();
}

/* ---- files ---------------------------------------------------------------------------------- */

SLEEPS_ROOT static void write_file(const char *path, const void *bytes, size_t size, u32 mode)
{
    AUTO_PUT struct file *file = NULL;
    int err = vfs_open(world.task, NULL, path, LINUX_O_CREAT | LINUX_O_TRUNC | LINUX_O_WRONLY, mode,
                       WALK_FOLLOW, &file);
    CU_ASSERT_FATAL(err == 0);
    CU_ASSERT_EQUAL(file_write_kernel(world.task, file, bytes, size), (i64)size);
}

SLEEPS_ROOT static void write_text(const char *path, const char *text)
{
    write_file(path, text, strlen(text), 0755);
}

/* A static program: code at 0x401000, data with a tail of zeros, a heap behind it. */
struct program_file {
    struct linux_elf_header header;
    struct linux_elf_phdr phdrs[4];
    u8 rest[0x3000 - 64 - 4 * 56];
};

static struct program_file program_make(u16 type)
{
    struct program_file p = {0};
    u64 base = type == LINUX_ET_EXEC ? 0x400000 : 0;
    memcpy(p.header.ident, "\177ELF\2\1\1", 7);
    p.header.type = type;
    p.header.machine = LINUX_EM_X86_64;
    p.header.version = 1;
    p.header.entry = base + 0x1000;
    p.header.phoff = 64;
    p.header.phentsize = 56;
    p.header.phnum = 3;
    p.phdrs[0] = (struct linux_elf_phdr){LINUX_PT_LOAD, 5, 0, base, 0, 0x2000, 0x2000, 4096};
    p.phdrs[1] = (struct linux_elf_phdr){LINUX_PT_LOAD, 6,      0x2000, base + 0x3000, 0,
                                         0x123,         0x4000, 4096};
    p.phdrs[2] = (struct linux_elf_phdr){LINUX_PT_GNU_STACK, 6, 0, 0, 0, 0, 0, 16};
    memset((u8 *)&p + 0x1000, 0x90, 0x1000);
    memset((u8 *)&p + 0x2000, 0xdd, 0x1000);
    return p;
}

SLEEPS_ROOT static void write_program(const char *path, const struct program_file *program)
{
    write_file(path, program, sizeof *program, 0755);
}

/* ---- execve in two steps -------------------------------------------------------------------- */

SLEEPS_ROOT static int open_program(const char *path, const char *const *argv,
                                    const char *const *envp, struct exec_program *out)
{
    struct exec_request request = {.path = path, .name = path, .walk_flags = WALK_FOLLOW};
    exec_text_init(&request.argv, world.arena);
    exec_text_init(&request.envp, world.arena);
    for (; argv && *argv; argv++)
        CU_ASSERT_EQUAL(exec_text_add(&request.argv, *argv), 0);
    for (; envp && *envp; envp++)
        CU_ASSERT_EQUAL(exec_text_add(&request.envp, *envp), 0);
    return exec_open(world.task, &request, out);
}

SLEEPS_ROOT static int build(const char *path, const char *const *argv, const char *const *envp,
                             struct exec_image *image)
{
    struct exec_program program;
    int err = open_program(path, argv, envp, &program);
    if (err)
        return err;
    const struct exec_params params = {.cred = world.task->cred, .limits = &world.limits};
    err = exec_build(world.task, &program, &params, image);
    exec_program_fini(&program);
    if (!err) {
        const char *wrong = mm_check(image->mm);
        CU_ASSERT_PTR_NULL(wrong);
    }
    return err;
}

SLEEPS_ROOT static u64 peek(struct mm *mm, u64 address)
{
    u64 word = 0xbadbadbad;
    CU_ASSERT_EQUAL(mm_copy_in(mm, &world.task->fiber, &word, uaddr_make(address), sizeof word), 0);
    return word;
}

SLEEPS_ROOT static const char *peek_text(struct mm *mm, u64 address)
{
    static char text[4][256];
    static int turn;
    char *out = text[turn++ % 4];
    out[0] = '\0';
    CU_ASSERT(mm_copy_string(mm, &world.task->fiber, out, uaddr_make(address), 256) >= 0);
    return out;
}

static u64 auxv_find(const struct mm *mm, u64 type)
{
    u64 words[64];
    memcpy(words, mm->auxv, sizeof words);
    for (u32 i = 0; i + 1 < mm->auxv_size / 8; i += 2)
        if (words[i] == type)
            return words[i + 1];
    return 0xdead;
}

/* ---- tests ---------------------------------------------------------------------------------- */

SLEEPS_ROOT static void body_static(void)
{
    struct program_file file = program_make(LINUX_ET_EXEC);
    write_program("/prog", &file);
    const char *const argv[] = {"prog", "one", "", NULL}, *const envp[] = {"A=b", "C=", NULL};
    AUTO_EXEC_IMAGE struct exec_image image = {0};
    CU_ASSERT_EQUAL_FATAL(build("/prog", argv, envp, &image), 0);
    struct mm *mm = image.mm;
    struct regs regs;
    exec_image_start(&image, &regs);
    CU_ASSERT_EQUAL(regs.rip, 0x401000);
    CU_ASSERT(regs.cs == 0x33 && regs.ss == 0x2b && regs.eflags == 0x202 && regs.rax == 0 &&
              regs.fs_base == 0);
    CU_ASSERT_EQUAL(regs.rsp % 16, 0);

    u64 sp = image.stack;
    CU_ASSERT_EQUAL(peek(mm, sp), 3);
    CU_ASSERT_STRING_EQUAL(peek_text(mm, peek(mm, sp + 8)), "prog");
    CU_ASSERT_STRING_EQUAL(peek_text(mm, peek(mm, sp + 16)), "one");
    CU_ASSERT_STRING_EQUAL(peek_text(mm, peek(mm, sp + 24)), "");
    CU_ASSERT_EQUAL(peek(mm, sp + 32), 0);
    CU_ASSERT_STRING_EQUAL(peek_text(mm, peek(mm, sp + 40)), "A=b");
    CU_ASSERT_STRING_EQUAL(peek_text(mm, peek(mm, sp + 48)), "C=");
    CU_ASSERT_EQUAL(peek(mm, sp + 56), 0);
    CU_ASSERT_EQUAL(peek(mm, sp + 64), LINUX_AT_SYSINFO_EHDR); /* auxv begins */
    CU_ASSERT_EQUAL(mm->arg_end - mm->arg_start, 5 + 4 + 1);
    CU_ASSERT_EQUAL(mm->env_end - mm->env_start, 4 + 3);

    CU_ASSERT_EQUAL(auxv_find(mm, LINUX_AT_ENTRY), 0x401000);
    CU_ASSERT_EQUAL(auxv_find(mm, LINUX_AT_PHDR), 0x400040);
    CU_ASSERT_EQUAL(auxv_find(mm, LINUX_AT_PHNUM), 3);
    CU_ASSERT_EQUAL(auxv_find(mm, LINUX_AT_BASE), 0);
    CU_ASSERT_EQUAL(auxv_find(mm, LINUX_AT_PAGESZ), 4096);
    CU_ASSERT_EQUAL(auxv_find(mm, LINUX_AT_SECURE), 0);
    CU_ASSERT_STRING_EQUAL(peek_text(mm, auxv_find(mm, LINUX_AT_EXECFN)), "/prog");
    CU_ASSERT_STRING_EQUAL(peek_text(mm, auxv_find(mm, LINUX_AT_PLATFORM)), "x86_64");
    CU_ASSERT(peek(mm, auxv_find(mm, LINUX_AT_RANDOM)) != 0);
    CU_ASSERT_EQUAL(peek(mm, mm->vdso) & 0xffffffff, 0x464c457f);
    CU_ASSERT_EQUAL(peek(mm, vdso_sigreturn(mm)), 0x0f0000000fc0c748);

    CU_ASSERT_EQUAL(peek(mm, 0x401000), 0x9090909090909090);
    CU_ASSERT_EQUAL(peek(mm, 0x40311b), 0xdddddddddddddddd);
    CU_ASSERT_EQUAL(peek(mm, 0x403123), 0); /* the tail of the file's page */
    CU_ASSERT_EQUAL(peek(mm, 0x406ff8), 0);
    CU_ASSERT_EQUAL(mm->brk_start, 0x407000);
    const struct vma *code = mm_find_vma(mm, 0x401000), *data = mm_find_vma(mm, 0x403000);
    CU_ASSERT_EQUAL(code->prot, LINUX_PROT_READ | LINUX_PROT_EXEC);
    CU_ASSERT_EQUAL(data->prot, LINUX_PROT_READ | LINUX_PROT_WRITE);
    CU_ASSERT(!(mm_find_vma(mm, sp)->prot & LINUX_PROT_EXEC));
    CU_ASSERT(mm_find_vma(mm, sp)->flags & VMA_GROWSDOWN);
}

static void test_a_static_program_is_laid_out_as_the_psabi_says(void)
{
    run(body_static, false);
}

SLEEPS_ROOT static void body_dynamic(void)
{
    struct program_file linker = program_make(LINUX_ET_DYN), file = program_make(LINUX_ET_DYN);
    file.phdrs[3] = (struct linux_elf_phdr){LINUX_PT_INTERP, 4, 0x200, 0x200, 0, 7, 7, 1};
    file.header.phnum = 4;
    file.phdrs[2].flags = 7;
    memcpy((u8 *)&file + 0x200, "/ld.so", 7);
    write_program("/ld.so", &linker);
    write_program("/prog", &file);
    AUTO_EXEC_IMAGE struct exec_image image = {0};
    CU_ASSERT_EQUAL_FATAL(build("/prog", NULL, NULL, &image), 0);
    struct mm *mm = image.mm;
    u64 base = auxv_find(mm, LINUX_AT_BASE), entry = auxv_find(mm, LINUX_AT_ENTRY);
    CU_ASSERT_EQUAL(image.entry, base + 0x1000);
    CU_ASSERT_EQUAL(entry, 0x555555555000);
    CU_ASSERT(base > entry);
    CU_ASSERT_EQUAL(peek(mm, image.stack), 1); /* an empty argv gets an empty name */
    CU_ASSERT(mm_find_vma(mm, image.stack)->prot & LINUX_PROT_EXEC);

    struct file *busy = NULL; /* a program that runs is not written */
    CU_ASSERT_EQUAL(vfs_open(world.task, NULL, "/prog", LINUX_O_WRONLY, 0, WALK_FOLLOW, &busy),
                    -ETXTBSY);
    exec_image_fini(&image);
    image = (struct exec_image){0};

    AUTO_EXEC_IMAGE struct exec_image other = {0};
    memcpy((u8 *)&file + 0x200, "/no.so", 7);
    write_program("/prog", &file);
    CU_ASSERT_EQUAL(build("/prog", NULL, NULL, &other), -ENOENT);
    memcpy((u8 *)&file + 0x200, "/l2.so", 7);
    write_program("/prog", &file);
    linker.header.machine = 3;
    write_program("/l2.so", &linker);
    CU_ASSERT_EQUAL(build("/prog", NULL, NULL, &other), -ELIBBAD);
    memcpy((u8 *)&file + 0x200, "/prog", 6); /* its own interpreter: taken once, no loop */
    file.phdrs[3].filesz = 6;
    write_program("/prog", &file);
    CU_ASSERT_EQUAL(build("/prog", NULL, NULL, &other), 0);
}

static void test_a_movable_program_comes_with_its_interpreter(void)
{
    run(body_dynamic, false);
}

static u64 places[2][4];
static int place_round;

SLEEPS_ROOT static void body_places(void)
{
    struct program_file file = program_make(LINUX_ET_DYN);
    write_program("/prog", &file);
    for (int i = 0; i < 2; i++) {
        AUTO_EXEC_IMAGE struct exec_image image = {0};
        CU_ASSERT_EQUAL_FATAL(build("/prog", NULL, NULL, &image), 0);
        places[i][0] = image.entry;
        places[i][1] = image.stack;
        places[i][2] = image.mm->mmap_top;
        places[i][3] = image.mm->brk_start;
    }
}

static void test_places_are_drawn_only_with_aslr(void)
{
    for (place_round = 0; place_round < 2; place_round++) {
        bool has_aslr = place_round == 1;
        run(body_places, has_aslr);
        for (int i = 0; i < 4; i++)
            CU_ASSERT_EQUAL(places[0][i] != places[1][i], has_aslr);
    }
}

SLEEPS_ROOT static void expect_argv(const char *path, const char *const *argv, const char *want)
{
    struct exec_program program;
    int err = open_program(path, argv, NULL, &program);
    CU_ASSERT_EQUAL_FATAL(err, 0);
    char got[512] = "";
    const char *at = (const char *)buf_bytes(&program.argv.bytes);
    for (u64 i = 0; i < program.argv.count; i++) {
        strcat(strcat(got, at), "|");
        at += strlen(at) + 1;
    }
    CU_ASSERT_STRING_EQUAL(got, want);
    exec_program_fini(&program);
}

SLEEPS_ROOT static void body_scripts(void)
{
    struct program_file file = program_make(LINUX_ET_EXEC);
    struct exec_program program;
    const char *const argv[] = {"zero", "a", "b c", NULL};
    write_program("/sh", &file);
    write_text("/plain", "#!/sh\necho\n");
    expect_argv("/plain", argv, "/sh|/plain|a|b c|");
    write_text("/option", "#!  /sh   -e -u  \t\n");
    expect_argv("/option", argv, "/sh|-e -u|/option|a|b c|");
    write_text("/unended", "#!/sh");
    expect_argv("/unended", NULL, "/sh|/unended|");
    char name[16], text[32];
    write_text("/s0", "#!/sh");
    for (int i = 1; i < 6; i++) {
        snprintf(name, sizeof name, "/s%d", i);
        snprintf(text, sizeof text, "#!/s%d x%d\n", i - 1, i);
        write_text(name, text);
    }
    expect_argv("/s4", argv, "/sh|/s0|x1|/s1|x2|/s2|x3|/s3|x4|/s4|a|b c|");
    CU_ASSERT_EQUAL(open_program("/s5", argv, NULL, &program), -ELOOP);
    write_text("/self", "#!/self\n");
    CU_ASSERT_EQUAL(open_program("/self", argv, NULL, &program), -ELOOP);
    write_text("/nothing", "#!\n/sh");
    CU_ASSERT_EQUAL(open_program("/nothing", argv, NULL, &program), -ENOEXEC);
    write_text("/missing", "#!/not/there\n");
    CU_ASSERT_EQUAL(open_program("/missing", argv, NULL, &program), -ENOENT);
    char longest[400];
    memset(longest, 'x', sizeof longest);
    memcpy(longest, "#!/", 3);
    write_file("/longest", longest, sizeof longest, 0755);
    CU_ASSERT_EQUAL(open_program("/longest", argv, NULL, &program), -ENOEXEC);
    memcpy(longest, "#!/sh ", 6);
    write_file("/longarg", longest, sizeof longest, 0755); /* the argument is cut */
    CU_ASSERT_EQUAL(open_program("/longarg", argv, NULL, &program), 0);
    CU_ASSERT_STRING_EQUAL(program.comm, "longarg");
    exec_program_fini(&program);
}

static void test_scripts_name_their_interpreters(void)
{
    run(body_scripts, false);
}

SLEEPS_ROOT static void body_refusals(void)
{
    struct program_file file = program_make(LINUX_ET_EXEC);
    AUTO_EXEC_IMAGE struct exec_image image = {0};
    write_file("/unexecutable", &file, sizeof file, 0644);
    CU_ASSERT_EQUAL(build("/unexecutable", NULL, NULL, &image), -EACCES);
    CU_ASSERT_EQUAL(build("/missing", NULL, NULL, &image), -ENOENT);
    CU_ASSERT_EQUAL(vfs_mkdir(world.task, NULL, "/dir", 0755), 0);
    CU_ASSERT_EQUAL(build("/dir", NULL, NULL, &image), -EACCES);
    write_file("/empty", "", 0, 0755);
    CU_ASSERT_EQUAL(build("/empty", NULL, NULL, &image), -ENOEXEC);
    write_text("/text", "echo hello\n");
    CU_ASSERT_EQUAL(build("/text", NULL, NULL, &image), -ENOEXEC);
    write_file("/cut", &file, 0x2100, 0755);
    CU_ASSERT_EQUAL(build("/cut", NULL, NULL, &image), -ENOEXEC);
    file.phdrs[0].vaddr = 0x7ffffff00000; /* where the stack belongs, or no address at all */
    file.phdrs[1].memsz = 0;
    file.phdrs[1].filesz = 0;
    file.header.entry = 0x7ffffff00000;
    write_program("/high", &file);
    int err = build("/high", NULL, NULL, &image);
    CU_ASSERT(err == -ENOEXEC || err == -ENOMEM || err == 0);
    exec_image_fini(&image);

    file = program_make(LINUX_ET_EXEC);
    write_program("/prog", &file);
    static char big[EXEC_STRING_SIZE_MAX + 1];
    memset(big, 'a', sizeof big - 1);
    AUTO_EXEC_TEXT struct exec_text text;
    exec_text_init(&text, world.arena);
    CU_ASSERT_EQUAL(exec_text_add(&text, big), -E2BIG);
    big[EXEC_STRING_SIZE_MAX - 1] = '\0';
    CU_ASSERT_EQUAL(exec_text_add(&text, big), 0);
    const char *argv[40] = {0};
    for (int i = 0; i < 17; i++)
        argv[i] = big;
    CU_ASSERT_EQUAL(build("/prog", argv, NULL, &image), -E2BIG); /* over a quarter of 8 MiB */
    argv[14] = NULL;
    CU_ASSERT_EQUAL(build("/prog", argv, NULL, &image), 0);
}

static void test_what_cannot_run_is_refused_by_its_own_error(void)
{
    run(body_refusals, false);
}

SLEEPS_ROOT static void body_strings(void)
{
    struct mm *mm = NULL;
    struct task *task = world.task;
    CU_ASSERT_EQUAL_FATAL(mm_create(world.arena, world.kernel->memory, world.platform, &mm), 0);
    task->mm = mm;
    struct mm_map_request request = {
        .address = 0x100000, .size = 0x40000, .prot = 3, .is_fixed = true};
    CU_ASSERT_EQUAL(mm_map(mm, &task->fiber, &request), 0x100000);
    u64 pointers[] = {0x102000, 0x103ff0, 0};
    CU_ASSERT_EQUAL(copy_to_user(task, uaddr_make(0x100000), pointers, sizeof pointers), 0);
    CU_ASSERT_EQUAL(copy_to_user(task, uaddr_make(0x102000), "first", 6), 0);
    static char page[9000];
    memset(page, 'p', sizeof page - 1);
    CU_ASSERT_EQUAL(copy_to_user(task, uaddr_make(0x103ff0), page, sizeof page), 0);
    AUTO_EXEC_TEXT struct exec_text text;
    exec_text_init(&text, world.arena);
    CU_ASSERT_EQUAL(exec_text_copy(task, uaddr_make(0x100000), &text), 0);
    CU_ASSERT_EQUAL(text.count, 2);
    CU_ASSERT_EQUAL(text.bytes.size, 6 + sizeof page);
    CU_ASSERT_EQUAL(exec_text_copy(task, uaddr_make(0), &text), 0);
    CU_ASSERT_EQUAL(exec_text_copy(task, uaddr_make(0x900000), &text), -EFAULT);
    pointers[1] = 0x13fffc; /* runs off the mapping */
    CU_ASSERT_EQUAL(copy_to_user(task, uaddr_make(0x100000), pointers, sizeof pointers), 0);
    CU_ASSERT_EQUAL(copy_to_user(task, uaddr_make(0x13fffc), "abcd", 4), 0);
    CU_ASSERT_EQUAL(exec_text_copy(task, uaddr_make(0x100000), &text), -EFAULT);
    for (u64 at = 0x110000; at < 0x138000; at += 4096)
        CU_ASSERT_EQUAL(copy_to_user(task, uaddr_make(at), page, 4096), 0);
    pointers[1] = 0x110000;
    CU_ASSERT_EQUAL(copy_to_user(task, uaddr_make(0x100000), pointers, sizeof pointers), 0);
    CU_ASSERT_EQUAL(exec_text_copy(task, uaddr_make(0x100000), &text), -E2BIG);
    task->mm = NULL;
    REF_PUT(mm);
}

static void test_argument_strings_are_copied_and_bounded(void)
{
    run(body_strings, false);
}

void exec_suite(void);
void exec_suite(void)
{
    CU_pSuite suite = CU_add_suite("exec", NULL, NULL);
    CU_ADD_TEST(suite, test_a_static_program_is_laid_out_as_the_psabi_says);
    CU_ADD_TEST(suite, test_a_movable_program_comes_with_its_interpreter);
    CU_ADD_TEST(suite, test_places_are_drawn_only_with_aslr);
    CU_ADD_TEST(suite, test_scripts_name_their_interpreters);
    CU_ADD_TEST(suite, test_what_cannot_run_is_refused_by_its_own_error);
    CU_ADD_TEST(suite, test_argument_strings_are_copied_and_bounded);
}

/* SPDX-License-Identifier: Apache-2.0 */
/* Hand-made ELF images: what execve loads, where it puts it, and what it refuses. */
#include "tap.h"


#include <elf.h>
#include <fcntl.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/wait.h>

extern char **environ;

enum { BASE = 0x10000000, CODE_OFFSET = 0x1000, IMAGE_SIZE = 0x3000 };

/* exit(*(int *)(BASE + 0x2000)): the code reads its answer from the data segment. */
static const unsigned char code[] = {
    0xbf, 0x00, 0x20, 0x00, 0x10, /* mov $BASE + 0x2000, %edi */
    0x8b, 0x3f,                   /* mov (%rdi), %edi */
    0xb8, 0x3c, 0x00, 0x00, 0x00, /* mov $60, %eax */
    0x0f, 0x05,                   /* syscall */
};

struct image {
    unsigned char bytes[IMAGE_SIZE];
};

static Elf64_Ehdr *header_of(struct image *image)
{
    return (void *)image->bytes;
}

static Elf64_Phdr *segment_of(struct image *image, int index)
{
    return (Elf64_Phdr *)(void *)(image->bytes + sizeof(Elf64_Ehdr)) + index;
}

/* A static program of a code and a data segment that exits with 42. */
static void make(struct image *image)
{
    memset(image, 0, sizeof *image);
    Elf64_Ehdr *header = header_of(image);
    memcpy(header->e_ident, ELFMAG, SELFMAG);
    header->e_ident[EI_CLASS] = ELFCLASS64;
    header->e_ident[EI_DATA] = ELFDATA2LSB;
    header->e_ident[EI_VERSION] = EV_CURRENT;
    header->e_type = ET_EXEC;
    header->e_machine = EM_X86_64;
    header->e_version = EV_CURRENT;
    header->e_entry = BASE + CODE_OFFSET;
    header->e_phoff = sizeof *header;
    header->e_ehsize = sizeof *header;
    header->e_phentsize = sizeof(Elf64_Phdr);
    header->e_phnum = 2;
    *segment_of(image, 0) = (Elf64_Phdr){PT_LOAD, PF_R | PF_X, 0x1000, BASE + 0x1000, 0,
                                         sizeof code, sizeof code, 0x1000};
    *segment_of(image, 1) = (Elf64_Phdr){PT_LOAD, PF_R | PF_W, 0x2000, BASE + 0x2000, 0, 4, 4,
                                         0x1000};
    memcpy(image->bytes + CODE_OFFSET, code, sizeof code);
    image->bytes[0x2000] = 42;
}

static void save(const struct image *image, size_t size)
{
    unlink("prog");
    int fd = (int)MUST(open("prog", O_WRONLY | O_CREAT, 0755));
    REQUIRE(write(fd, image->bytes, size) == (ssize_t)size);
    close(fd);
}

/* The wait status of the image, or -errno of its execve. */
static int run_image(const struct image *image, size_t size)
{
    char *argv[] = {"prog", NULL};
    int fds[2];
    save(image, size);
    MUST(pipe2(fds, O_CLOEXEC));
    CHILD(pid)
    {
        struct rlimit none = {0, 0};
        setrlimit(RLIMIT_CORE, &none);
        execve("./prog", argv, environ);
        int err = errno;
        write(fds[1], &err, sizeof err);
    }
    close(fds[1]);
    int err = 0;
    int status = 0;
    ssize_t count = read(fds[0], &err, sizeof err);
    close(fds[0]);
    EXPECT_EQ(waitpid(pid, &status, 0), pid);
    return count == sizeof err ? -err : status;
}

#define EXITED(code_) ((code_) << 8)

CASE(smallest_program)
{
    struct image image;
    tap_tmpdir();
    make(&image);
    EXPECT_EQ(run_image(&image, IMAGE_SIZE), EXITED(42));
}

CASE(damaged_headers)
{
    struct image image;
    tap_tmpdir();
    make(&image);
    image.bytes[0] = 'x';
    EXPECT_EQ(run_image(&image, IMAGE_SIZE), -ENOEXEC);
    make(&image);
    header_of(&image)->e_machine = EM_AARCH64;
    EXPECT_EQ(run_image(&image, IMAGE_SIZE), -ENOEXEC);
    make(&image);
    header_of(&image)->e_type = ET_CORE;
    EXPECT_EQ(run_image(&image, IMAGE_SIZE), -ENOEXEC);
    make(&image);
    header_of(&image)->e_phentsize = 32;
    EXPECT_EQ(run_image(&image, IMAGE_SIZE), -ENOEXEC);
    make(&image);
    header_of(&image)->e_phnum = 0;
    EXPECT_EQ(run_image(&image, IMAGE_SIZE), -ENOEXEC);
    make(&image);
    EXPECT_EQ(run_image(&image, 20), -ENOEXEC);
}

CASE(program_headers_beyond_the_file)
{
    struct image image;
    tap_tmpdir();
    make(&image);
    header_of(&image)->e_phoff = 0x100000;
    int status = run_image(&image, IMAGE_SIZE);
    EXPECT(status == -ENOEXEC || status == -EIO);
}

CASE(entry_that_is_not_mapped)
{
    struct image image;
    tap_tmpdir();
    make(&image);
    header_of(&image)->e_entry = 0x20000000;
    EXPECT_EQ(run_image(&image, IMAGE_SIZE), SIGSEGV);
}

CASE(entry_in_data_is_not_executable)
{
    struct image image;
    tap_tmpdir();
    make(&image);
    memcpy(image.bytes + 0x2000, code, sizeof code);
    segment_of(&image, 1)->p_filesz = sizeof code;
    segment_of(&image, 1)->p_memsz = sizeof code;
    header_of(&image)->e_entry = BASE + 0x2000;
    EXPECT_EQ(run_image(&image, IMAGE_SIZE), SIGSEGV);
}

CASE(memory_behind_the_file_part_is_zero)
{
    struct image image;
    tap_tmpdir();
    make(&image);
    memset(image.bytes + 0x2000, 0x77, 0x1000);
    segment_of(&image, 1)->p_memsz = 0x3000;
    EXPECT_EQ(run_image(&image, IMAGE_SIZE), EXITED(0x77));
    image.bytes[CODE_OFFSET + 1] = 0x04; /* read at 0x2004, in the file's last page */
    EXPECT_EQ(run_image(&image, IMAGE_SIZE), EXITED(0));
    image.bytes[CODE_OFFSET + 2] = 0x4f; /* and at 0x4f04, in a page of its own */
    EXPECT_EQ(run_image(&image, IMAGE_SIZE), EXITED(0));
}

CASE(unaligned_segment_start)
{
    struct image image;
    tap_tmpdir();
    make(&image);
    segment_of(&image, 1)->p_offset = 0x2004;
    segment_of(&image, 1)->p_vaddr = BASE + 0x2004;
    EXPECT_EQ(run_image(&image, IMAGE_SIZE), EXITED(42)); /* whole pages are mapped */
    segment_of(&image, 1)->p_offset = 0x2003;
    int status = run_image(&image, IMAGE_SIZE);
    EXPECT(status == -EINVAL || status == SIGSEGV);
}

CASE(read_only_data_cannot_be_written)
{
    struct image image;
    tap_tmpdir();
    make(&image);
    /* mov $BASE + 0x2000, %edi; mov %eax, (%rdi) */
    memcpy(image.bytes + CODE_OFFSET, "\xbf\x00\x20\x00\x10\x89\x07\x0f\x0b", 9);
    segment_of(&image, 1)->p_flags = PF_R;
    EXPECT_EQ(run_image(&image, IMAGE_SIZE), SIGSEGV);
    segment_of(&image, 1)->p_flags = PF_R | PF_W;
    EXPECT_EQ(run_image(&image, IMAGE_SIZE), SIGILL);
}

CASE(writes_do_not_reach_the_file)
{
    struct image image;
    tap_tmpdir();
    make(&image);
    /* mov $BASE + 0x2000, %edi; movl $7, (%rdi); then the code of the smallest program */
    memcpy(image.bytes + CODE_OFFSET, "\xbf\x00\x20\x00\x10\xc7\x07\x07\x00\x00\x00", 11);
    memcpy(image.bytes + CODE_OFFSET + 11, code, sizeof code);
    segment_of(&image, 0)->p_filesz = segment_of(&image, 0)->p_memsz = 11 + sizeof code;
    EXPECT_EQ(run_image(&image, IMAGE_SIZE), EXITED(7));
    char back[1] = {0};
    int fd = (int)MUST(open("prog", O_RDONLY));
    EXPECT_EQ(pread(fd, back, 1, 0x2000), 1);
    EXPECT_EQ(back[0], 42);
}

CASE(missing_interpreter)
{
    struct image image;
    tap_tmpdir();
    make(&image);
    strcpy((char *)image.bytes + 0x800, "/missing/ld.so");
    header_of(&image)->e_phnum = 3;
    *segment_of(&image, 2) = (Elf64_Phdr){PT_INTERP, PF_R, 0x800, BASE + 0x800, 0, 15, 15, 1};
    EXPECT_EQ(run_image(&image, IMAGE_SIZE), -ENOENT);
    segment_of(&image, 2)->p_filesz = 14; /* not ended by zero */
    EXPECT_EQ(run_image(&image, IMAGE_SIZE), -ENOEXEC);
    segment_of(&image, 2)->p_filesz = 1;
    EXPECT_EQ(run_image(&image, IMAGE_SIZE), -ENOEXEC);
}

CASE(interpreter_runs_instead)
{
    struct image image;
    tap_tmpdir();
    make(&image);
    save(&image, IMAGE_SIZE);
    MUST(rename("prog", "interp"));
    image.bytes[0x2000] = 1;
    strcpy((char *)image.bytes + 0x800, "./interp");
    header_of(&image)->e_phnum = 3;
    header_of(&image)->e_entry += 0x10000000;
    for (int i = 0; i < 2; i++)
        segment_of(&image, i)->p_vaddr += 0x10000000;
    *segment_of(&image, 2) = (Elf64_Phdr){PT_INTERP, PF_R, 0x800, BASE + 0x800, 0, 9, 9, 1};
    EXPECT_EQ(run_image(&image, IMAGE_SIZE), EXITED(42));
}

CASE(position_independent_program)
{
    struct image image;
    tap_tmpdir();
    make(&image);
    header_of(&image)->e_type = ET_DYN;
    header_of(&image)->e_entry = CODE_OFFSET;
    segment_of(&image, 0)->p_vaddr = 0x1000;
    segment_of(&image, 1)->p_vaddr = 0x2000;
    /* lea 0xff9(%rip), %rdi: the data page lies behind the code page wherever they are */
    memcpy(image.bytes + CODE_OFFSET, "\x48\x8d\x3d\xf9\x0f\x00\x00", 7);
    memcpy(image.bytes + CODE_OFFSET + 7, code + 5, sizeof code - 5);
    segment_of(&image, 0)->p_filesz = segment_of(&image, 0)->p_memsz = sizeof code + 2;
    EXPECT_EQ(run_image(&image, IMAGE_SIZE), EXITED(42));
}

CASE(addresses_of_the_kernel)
{
    struct image image;
    tap_tmpdir();
    make(&image);
    segment_of(&image, 1)->p_vaddr = 0xffff800000000000;
    int status = run_image(&image, IMAGE_SIZE);
    EXPECT(status < 0 || status == SIGSEGV);
    make(&image);
    segment_of(&image, 1)->p_memsz = 0x7fffffffffff;
    status = run_image(&image, IMAGE_SIZE);
    EXPECT(status < 0 || status == SIGSEGV || status == SIGKILL);
}

CASE(file_size_larger_than_memory_size)
{
    struct image image;
    tap_tmpdir();
    make(&image);
    segment_of(&image, 1)->p_filesz = 8;
    int status = run_image(&image, IMAGE_SIZE);
    EXPECT(status < 0 || status == SIGSEGV);
}

CASE(registers_and_stack_at_the_start)
{
    struct image image;
    tap_tmpdir();
    make(&image);
    /* or all general registers but rsp into edi, add argc - 1, exit with it */
    static const unsigned char start[] = {
        0x09, 0xc7, 0x09, 0xdf, 0x09, 0xcf, 0x09, 0xd7, 0x09, 0xf7, 0x09, 0xef, /* eax ... ebp */
        0x44, 0x09, 0xc7, 0x44, 0x09, 0xcf, 0x44, 0x09, 0xd7, 0x44, 0x09, 0xdf, /* r8d ... r11d */
        0x44, 0x09, 0xe7, 0x44, 0x09, 0xef, 0x44, 0x09, 0xf7, 0x44, 0x09, 0xff, /* ... r15d */
        0x89, 0xe0, 0x83, 0xe0, 0x0f, 0x09, 0xc7, /* the stack is aligned to 16 */
        0x03, 0x3c, 0x24, 0x83, 0xef, 0x01,       /* add (%rsp), %edi; sub $1, %edi */
        0xb8, 0x3c, 0x00, 0x00, 0x00, 0x0f, 0x05,
    };
    memcpy(image.bytes + CODE_OFFSET, start, sizeof start);
    segment_of(&image, 0)->p_filesz = segment_of(&image, 0)->p_memsz = sizeof start;
    EXPECT_EQ(run_image(&image, IMAGE_SIZE), EXITED(0));
}

CASE(no_execute_stack)
{
    struct image image;
    tap_tmpdir();
    make(&image);
    /* lea -16(%rsp), %rdi; movb $0xc3, (%rdi); call *%rdi; exit(5) */
    static const unsigned char call_stack[] = {0x48, 0x8d, 0x7c, 0x24, 0xf0, 0xc6, 0x07, 0xc3,
                                               0xff, 0xd7, 0xbf, 0x05, 0x00, 0x00, 0x00, 0xb8,
                                               0x3c, 0x00, 0x00, 0x00, 0x0f, 0x05};
    memcpy(image.bytes + CODE_OFFSET, call_stack, sizeof call_stack);
    segment_of(&image, 0)->p_filesz = segment_of(&image, 0)->p_memsz = sizeof call_stack;
    header_of(&image)->e_phnum = 3;
    *segment_of(&image, 2) = (Elf64_Phdr){.p_type = PT_GNU_STACK, .p_flags = PF_R | PF_W};
    EXPECT_EQ(run_image(&image, IMAGE_SIZE), SIGSEGV);
    segment_of(&image, 2)->p_flags = PF_R | PF_W | PF_X;
    EXPECT_EQ(run_image(&image, IMAGE_SIZE), EXITED(5));
}

/* What the kernel wrote: the C library changes AT_HWCAP for itself. */
static unsigned long auxiliary(unsigned long type)
{
    static Elf64_auxv_t list[64];
    long size = tap_read_file("/proc/self/auxv", (char *)list, sizeof list);
    for (long i = 0; i < size / (long)sizeof list[0]; i++)
        if (list[i].a_type == type)
            return list[i].a_un.a_val;
    return 0;
}

CASE(hardware_capabilities)
{
    enum { BASELINE = 0x07808111 }; /* what programs may use on every x86-64 processor */
    unsigned eax = 1, ebx, ecx = 0, edx;
    __asm__ volatile("cpuid" : "+a"(eax), "=b"(ebx), "+c"(ecx), "=d"(edx));
    EXPECT_EQ(auxiliary(AT_HWCAP) & BASELINE, edx & BASELINE);
    EXPECT_STR((const char *)auxiliary(AT_PLATFORM), "x86_64");
}

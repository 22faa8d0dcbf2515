/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Where a static picket begins, before the C library relocates it: the kernel is asked once for
 * private copies of all pages that relocation is about to write (the tables of pointers, 60 pages),
 * instead of once a page by a fault. MADV_POPULATE_WRITE (madvise(2), Linux 5.14) may fail; then
 * the faults come as ever. Surprising: the range is found from two symbols that the linker puts at
 * the ends of what is writable in the file. rdx is an argument of _start and kept.
 */
    .text
    .globl entry
    .type entry, @function
entry:
    endbr64
    mov %rdx, %r8
    lea __init_array_start(%rip), %rdi
    and $-4096, %rdi
    lea _edata(%rip), %rsi
    sub %rdi, %rsi
    mov $23, %edx /* MADV_POPULATE_WRITE */
    mov $28, %eax /* madvise */
    syscall
    mov %r8, %rdx
    jmp _start
    .size entry, . - entry
    .section .note.GNU-stack,"",@progbits

# SPDX-License-Identifier: Apache-2.0
# The vDSO: a shared object of its own, freestanding, embedded in exec/vdso.c as a list of bytes. Where
# its sigreturn trampoline lies is read from the finished object.
VDSO_DIR := src/sentry/exec/vdso
VDSO_CFLAGS := -std=gnu17 -O2 -fPIC -ffreestanding -fno-stack-protector -fno-builtin -fcf-protection=none \
  -fvisibility=hidden -fasynchronous-unwind-tables -fno-jump-tables -mno-sse -mno-red-zone -Wall -Wextra -Werror \
  -Wno-builtin-declaration-mismatch -Wno-unknown-warning-option
VDSO_LDFLAGS := -nostdlib -shared -Wl,-soname=linux-vdso.so.1 -Wl,--hash-style=both -Wl,--build-id=none \
  -Wl,-z,max-page-size=4096 -Wl,-z,noexecstack -Wl,-T,$(VDSO_DIR)/vdso.lds -Wl,--no-undefined

$(O)/gen/vdso.so.dbg: $(VDSO_DIR)/vdso.c $(VDSO_DIR)/sigreturn.S $(VDSO_DIR)/params.h $(VDSO_DIR)/vdso.lds rules/vdso.mk
	@mkdir -p $(dir $@)
	$(CC) $(VDSO_CFLAGS) -c -o $(O)/gen/vdso.o $(VDSO_DIR)/vdso.c
	$(CC) $(VDSO_CFLAGS) -c -o $(O)/gen/vdso_sigreturn.o $(VDSO_DIR)/sigreturn.S
	$(CC) $(VDSO_LDFLAGS) -o $@ $(O)/gen/vdso.o $(O)/gen/vdso_sigreturn.o
$(O)/gen/vdso_bytes.h: $(O)/gen/vdso.so.dbg
	objcopy -S $< $(O)/gen/vdso.so
	od -An -v -tx1 $(O)/gen/vdso.so | sed 's/ \([0-9a-f][0-9a-f]\)/0x\1,/g' > $@.bytes
	nm $< | sed -n 's/^0*\([0-9a-f]*\) [tT] __kernel_rt_sigreturn$$/#define VDSO_SIGRETURN_OFFSET 0x\1u/p' > $@.new
	echo '#define VDSO_BYTES \' >> $@.new
	sed 's/$$/ \\/' $@.bytes >> $@.new && echo >> $@.new
	grep -q VDSO_SIGRETURN_OFFSET $@.new && mv $@.new $@
$(O)/src/sentry/exec/vdso.o $(O)/src/sentry/exec/vdso_test.o: $(O)/gen/vdso_bytes.h

# SPDX-License-Identifier: Apache-2.0
# The native interpreter of scenario programs, built once and embedded in picket-sim as bytes.
GUEST_FLAGS := -O2 -ffreestanding -fno-pic -fno-pie -static -nostdlib -mno-sse -mno-mmx -mno-avx -mgeneral-regs-only -fno-stack-protector \
  -fno-asynchronous-unwind-tables -fcf-protection=none -fno-builtin -fno-tree-loop-distribute-patterns -Isrc -std=gnu17 -Wall -Wextra -Werror -Wl,-z,noexecstack -Wl,--build-id=none
$(O)/guests/interpreter: sim/guests/start.S sim/guests/interpreter.c sim/guests/guest.ld src/platform/script/bytecode.h
	@mkdir -p $(dir $@)
	gcc $(GUEST_FLAGS) -Wl,-T,sim/guests/guest.ld -o $@ sim/guests/start.S sim/guests/interpreter.c
	sh sim/guests/lint.sh $@
$(O)/guests/interpreter.o: $(O)/guests/interpreter
	cd $(dir $@) && ld -r -b binary -z noexecstack -o interpreter.o interpreter

# SPDX-License-Identifier: Apache-2.0
# Parts of the emulated test machine (tests/vm), static: process 1, and what measures the host's counter.
$(O)/vm/%: tests/vm/%.c
	@mkdir -p $(dir $@)
	$(CCACHE) $(CC) $(filter-out -MMD -MP,$(ALL_CFLAGS)) -static -o $@ $<

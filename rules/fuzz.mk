# SPDX-License-Identifier: Apache-2.0
# make fuzz-NAME [FUZZ_SECONDS=60]: fuzz/NAME.c with clang's libFuzzer, its seeds (fuzz/seeds/NAME) and its dictionary
# (fuzz/dict/FAMILY.dict, FAMILY being NAME up to the first underscore). New inputs gather in build/fuzz/corpus/NAME.

FUZZ_SECONDS ?= 60
FUZZ_O := build/fuzz
FUZZ_NAMES := $(basename $(notdir $(wildcard fuzz/*.c)))

# A family may name the rooms it links; the others link everything.
FUZZ_ROOMS_urpc := wire host base
FUZZ_ROOMS_oci := oci wire host base
FUZZ_ROOMS_elf := sentry/exec base
FUZZ_ROOMS_text := sentry/fs abi base
FUZZ_ROOMS_record := runtime oci wire host base
# Comparing byte for byte costs most of the time there, and a dictionary has the words: no traced comparisons.
FUZZ_O_urpc := build/fuzz-urpc
FUZZ_SAN_urpc := -fno-sanitize-coverage=trace-cmp
# Undefined behaviour is looked for where the seeds are replayed; here it halves the speed.
FUZZ_UB_urpc :=
FUZZ_FLAGS_urpc := -entropic=0 -reduce_inputs=0 -max_len=512
# An empty buffer's bytes are NULL + 0, which C forbids and every compiler means.
FUZZ_UBSAN := halt_on_error=1:print_stacktrace=1:suppressions=fuzz/ubsan.supp
FUZZ_ASAN := malloc_context_size=2:quarantine_size_mb=8:thread_local_quarantine_size_kb=64
# Targets that make whole sandboxes have the simulator's objects too.
FUZZ_SIM := scenario image rpc
$(foreach f,$(FUZZ_SIM),$(eval FUZZ_OBJS_$(f) = $$(filter-out $$(O)/sim/main.o,$$(SIM_OBJS))))
fuzz_family = $(firstword $(subst _, ,$(1)))
fuzz_libs = $(foreach r,$(or $(FUZZ_ROOMS_$(call fuzz_family,$(1))),$(ROOMS)),$(call room_lib,$(r)))

define fuzz_rules
$(O)/fuzz-replay/$(1): $(O)/fuzz/$(1).o $(O)/tests/replay_main.o $$(FUZZ_OBJS_$(call fuzz_family,$(1))) $(call fuzz_libs,$(1))
	@mkdir -p $$(dir $$@)
	$(CC) $(ALL_CFLAGS) -o $$@ $$(filter %.o,$$^) -Wl,--start-group $(call fuzz_libs,$(1)) -Wl,--end-group $(LDLIBS)
$(O)/fuzz-bin/$(1): $(O)/fuzz/$(1).o $$(FUZZ_OBJS_$(call fuzz_family,$(1))) $(call fuzz_libs,$(1))
	@mkdir -p $$(dir $$@)
	$(CC) $(ALL_CFLAGS) -fsanitize=fuzzer -o $$@ $$(filter %.o,$$^) -Wl,--start-group $(call fuzz_libs,$(1)) -Wl,--end-group $(LDLIBS)
endef
$(foreach n,$(FUZZ_NAMES),$(eval $(call fuzz_rules,$(n))))

fuzz_o = $(or $(FUZZ_O_$(call fuzz_family,$*)),$(FUZZ_O))
fuzz_ub = $(if $(filter undefined,$(origin FUZZ_UB_$(call fuzz_family,$*))),$(comma)undefined,$(FUZZ_UB_$(call fuzz_family,$*)))
comma := ,
.PHONY: build-fuzz $(addprefix build-fuzz-,$(FUZZ_NAMES)) $(addprefix fuzz-,$(FUZZ_NAMES))
build-fuzz:
	for name in $(FUZZ_NAMES); do $(MAKE) build-fuzz-$$name || exit 1; done
$(addprefix build-fuzz-,$(FUZZ_NAMES)): build-fuzz-%:
	$(MAKE) CC=clang O=$(fuzz_o) SAN='-fsanitize=fuzzer-no-link,address$(fuzz_ub) $(FUZZ_SAN_$(call fuzz_family,$*))' \
	  CFLAGS='-O1 -g' $(fuzz_o)/fuzz-bin/$*
$(addprefix fuzz-,$(FUZZ_NAMES)): fuzz-%: build-fuzz-%
	@mkdir -p $(FUZZ_O)/corpus/$*
	ASAN_OPTIONS=$(FUZZ_ASAN) UBSAN_OPTIONS=$(FUZZ_UBSAN) $(fuzz_o)/fuzz-bin/$* \
	  -max_total_time=$(FUZZ_SECONDS) -timeout=20 -rss_limit_mb=2048 -print_final_stats=1 \
	  -artifact_prefix=$(FUZZ_O)/$*- $(FUZZ_FLAGS_$(call fuzz_family,$*)) \
	  $(addprefix -dict=,$(wildcard fuzz/dict/$(call fuzz_family,$*).dict)) $(FUZZ_O)/corpus/$* $(wildcard fuzz/seeds/$*)

# The seeds once more without a fuzzer, with whatever compiler and sanitizers O and SAN say: part of make test.
.PHONY: fuzz-replay fuzz-canary
fuzz-replay: $(addprefix $(O)/fuzz-replay/,$(FUZZ_NAMES))
	python3 tests/sum.py $(foreach n,$(FUZZ_NAMES),$(O)/fuzz-replay/$(n):fuzz/seeds/$(n))
# Passes when the fuzzer finds the canary's defect.
fuzz-canary:
	@mkdir -p $(FUZZ_O)
	clang -g -O1 -fsanitize=fuzzer,address -o $(FUZZ_O)/canary fuzz/canary/canary.c
	if $(FUZZ_O)/canary -max_total_time=60 -seed=1 -artifact_prefix=$(FUZZ_O)/canary- > $(FUZZ_O)/canary.txt 2>&1; \
	  then echo 'the fuzzer has not found the canary'; exit 1; fi
	grep -q 'deadly signal' $(FUZZ_O)/canary.txt

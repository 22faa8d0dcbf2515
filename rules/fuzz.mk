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
# A target of the simulator has its objects too.
FUZZ_OBJS_scenario = $(filter-out $(O)/sim/main.o,$(SIM_OBJS))
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

FUZZ_MAKE = $(MAKE) CC=clang O=$(FUZZ_O) SAN='-fsanitize=fuzzer-no-link,address,undefined' CFLAGS='-O1 -g'
.PHONY: build-fuzz $(addprefix fuzz-,$(FUZZ_NAMES))
build-fuzz:
	$(FUZZ_MAKE) $(addprefix $(FUZZ_O)/fuzz-bin/,$(FUZZ_NAMES))
$(addprefix fuzz-,$(FUZZ_NAMES)): fuzz-%:
	$(FUZZ_MAKE) $(FUZZ_O)/fuzz-bin/$*
	@mkdir -p $(FUZZ_O)/corpus/$*
	$(FUZZ_O)/fuzz-bin/$* -max_total_time=$(FUZZ_SECONDS) -timeout=20 -rss_limit_mb=2048 \
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

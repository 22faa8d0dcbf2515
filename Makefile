# SPDX-License-Identifier: Apache-2.0
# make help lists the targets. Rooms are folders under src/; every .c in them is built; NAME_test.c
# files become one CUnit program a room. CC=clang and O=build/clang give another compiler and place.

CC ?= gcc
ifeq ($(origin CC),default)
CC := gcc
endif
O ?= build
CCACHE := $(shell command -v ccache 2>/dev/null)
SAN ?=

PKGS := libseccomp libcjson libfyaml libzstd libxxhash
WARN := -Wall -Wextra -Wconversion -Wno-sign-conversion -Werror -Wno-unused-parameter -Wno-missing-field-initializers
ifneq (,$(findstring clang,$(CC)))
WARN += -Wthread-safety -Wno-gnu -Wno-initializer-overrides
endif
CFLAGS ?= -O2 -g
ALL_CFLAGS := -std=gnu17 -D_GNU_SOURCE -Isrc -I. $(WARN) $(CFLAGS) -fno-strict-aliasing -fno-omit-frame-pointer -MMD -MP $(SAN)
LDLIBS := -lseccomp -lcjson -lfyaml -lzstd -lxxhash -lpthread -lm
# picket itself takes those that are there as archives into it, and its pointers are relocated from a packed list: a command
# that only looks is mostly the start of its process.
STATIC := $(if $(SAN),,$(foreach l,seccomp zstd xxhash,$(filter /%,$(shell $(CC) -print-file-name=lib$(l).a))))
PACKED := -Wl,-z,pack-relative-relocs
PICKET_LIBS := $(if $(word 3,$(STATIC)),$(PACKED) $(STATIC),-lseccomp -lzstd -lxxhash) -lcjson -lpthread -lm

# From the top room down; a room knows only rooms below it (tools/lint checks the includes).
ROOMS := cli runtime controller loader gofer sentry/observe sentry/state sentry/syscalls sentry/exec sentry/net \
  sentry/fs sentry/kernel sentry/memory sentry/sched oci wire platform host abi base

room_src = $(filter-out %_test.c src/sentry/exec/vdso/%,$(shell find src/$(1) -name '*.c' -o -name '*.S' 2>/dev/null | sort))
room_tests = $(shell find src/$(1) -name '*_test.c' 2>/dev/null | sort)
objs = $(patsubst %.S,$(O)/%.o,$(patsubst %.c,$(O)/%.o,$(1)))
room_lib = $(O)/lib/$(subst /,-,$(1)).a
LIBS := $(foreach r,$(ROOMS),$(call room_lib,$(r)))

.PHONY: all build help
all: build
help:
	@echo 'make, make build   build/picket and build/picket-sim'
	@echo 'make run           a first look, explained as it goes; installs what it needs'
	@echo 'make test          everything that can be tested here; installs what it needs'
	@echo 'make test-kvm      everything that runs in emulated machines with /dev/kvm (tests/vm)'
	@echo 'make unit          unit tests; make unit-sentry/memory: those of one room'
	@echo 'make conformance   system calls, natively and inside, compared'
	@echo 'make sim           the scenarios of sim/scenarios'
	@echo 'make lint          everything that docs/style.md says a machine can check'
	@echo 'make format        clang-format over all sources'
	@echo 'make bench         ratios to native, crun and runsc (conformance/bench)'
	@echo 'make build-fuzz    the libFuzzer targets, in build/fuzz/fuzz-bin'
	@echo 'make fuzz          each of them for FUZZ_SECONDS (60); make fuzz-NAME: one'
	@echo 'make coverage      lcov report in build/coverage/html, and a figure for each room'
	@echo 'make install       to $$(DESTDIR)$$(PREFIX)/bin'
	@echo 'make deps          Debian packages for all of it, as root'
	@echo 'make clean         takes build/ away'
	@echo 'CC=clang, O=FOLDER, SAN=-fsanitize=..., CFLAGS=... change compiler, place and flags.'
build: $(O)/picket $(O)/picket-sim

define room_rules
$(call room_lib,$(1)): $(call objs,$(call room_src,$(1)))
	@mkdir -p $$(dir $$@); rm -f $$@; ar rcs $$@ $$^
endef
$(foreach r,$(ROOMS),$(eval $(call room_rules,$(r))))

$(O)/%.o: %.c
	@mkdir -p $(dir $@)
	$(CCACHE) $(CC) $(ALL_CFLAGS) -c -o $@ $<
$(O)/%.o: %.S
	@mkdir -p $(dir $@)
	$(CCACHE) $(CC) $(ALL_CFLAGS) -c -o $@ $<

$(O)/picket: $(O)/src/cli/main.o $(LIBS)
	$(CC) $(ALL_CFLAGS) -o $@ $< -Wl,--start-group $(LIBS) -Wl,--end-group $(PICKET_LIBS)
SIM_OBJS := $(call objs,$(filter-out %_test.c,$(wildcard sim/*.c))) $(O)/guests/interpreter.o
$(O)/picket-sim: $(SIM_OBJS) $(LIBS)
	$(CC) $(ALL_CFLAGS) -o $@ $(SIM_OBJS) -Wl,--start-group $(LIBS) -Wl,--end-group $(LDLIBS)

$(O)/src/sentry/exec/%.o: ALL_CFLAGS += -I$(O)/gen

# Unit tests of one room: make unit-sentry/memory builds and runs build/test/sentry-memory. A test file
# defines `void NAME_suite(void)` that registers one CUnit suite; src/base/test_main.c calls them all.
below = $(shell echo $(ROOMS) | tr ' ' '\n' | sed -n '\,^$(1)$$,,$$p')
define unit_rules
UNIT_SRC_$(1) := $(call room_tests,$(1))
$(O)/test/$(subst /,-,$(1)): $(call objs,$(call room_tests,$(1))) $(O)/tests/test_main.o $(foreach r,$(call below,$(1)),$(call room_lib,$(r)))
	@mkdir -p $$(dir $$@)
	sh tests/list-suites.sh $(call room_tests,$(1)) > $$@.c
	$(CC) $(ALL_CFLAGS) -o $$@ $$@.c $$(filter %.o,$$^) -Wl,--start-group $$(filter %.a,$$^) -Wl,--end-group $(LDLIBS) -lcunit
.PHONY: unit-$(1)
unit-$(1): $(O)/test/$(subst /,-,$(1))
	$$<
endef
TEST_ROOMS := $(foreach r,$(ROOMS),$(if $(call room_tests,$(r)),$(r)))
$(foreach r,$(TEST_ROOMS),$(eval $(call unit_rules,$(r))))
.PHONY: unit
unit: $(addprefix unit-,$(TEST_ROOMS))

-include $(shell find $(O) -name '*.d' 2>/dev/null)
include $(wildcard rules/*.mk)

.PHONY: clean
clean:
	rm -rf build

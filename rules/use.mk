# SPDX-License-Identifier: Apache-2.0
# What a user of the tree calls: a first look, an installation, packages, coverage, benchmarks.
.PHONY: run install deps coverage bench fuzz
PREFIX ?= /usr/local
# Sets up by itself what is missing, then shows and explains (tools/first-look.sh).
run:
	@sh tools/deps.sh build run
	@$(MAKE) -s build
	@sh tools/first-look.sh $(O)
install: $(O)/picket $(O)/picket-sim
	install -D -m 755 $(O)/picket $(DESTDIR)$(PREFIX)/bin/picket
	install -D -m 755 $(O)/picket-sim $(DESTDIR)$(PREFIX)/bin/picket-sim
deps:
	sh tools/deps.sh test coverage
bench: $(O)/picket $(O)/picket-sim $(O)/test/controller
	$(O)/picket-sim bench
	conformance/bench/bench.py --environments native,crun,runsc-ptrace,picket-ptrace --statistic min
	PICKET_BENCH=1 $(O)/test/controller | grep -o "sim host.*connection"
	python3 conformance/bench/control.py --picket $(O)/picket
	make -s -C conformance && conformance/bench/emulated.py --picket $(O)/picket || [ $$? = 77 ]
fuzz:
	for name in $(FUZZ_NAMES); do $(MAKE) fuzz-$$name || exit 1; done

# Unit tests, scenarios and conformance cases (as the simulator's programs) with counters; the page lies in build/coverage/html/index.html.
COVERAGE_O := build/coverage
COVERAGE_MAKE = $(MAKE) O=$(COVERAGE_O) CFLAGS='-O0 -g --coverage -DHAS_COVERAGE' CCACHE=
coverage:
	-$(COVERAGE_MAKE) -k unit
	$(COVERAGE_MAKE) $(COVERAGE_O)/picket-sim
	-$(COVERAGE_O)/picket-sim explore --steps 5000 --out $(COVERAGE_O)/explored.yaml
	-$(COVERAGE_O)/picket-sim run --platform script $(sort $(wildcard sim/scenarios/*.yaml)) | tail -1
	$(MAKE) -s -C conformance
	-python3 tests/sim_native.py $(COVERAGE_O)/picket-sim --all | tail -1
	lcov --quiet --capture --directory $(COVERAGE_O)/src --base-directory . --no-external --output-file $(COVERAGE_O)/all.info
	lcov --quiet --remove $(COVERAGE_O)/all.info '*_test.c' --output-file $(COVERAGE_O)/picket.info
	genhtml --quiet --output-directory $(COVERAGE_O)/html $(COVERAGE_O)/picket.info
	coverage/rooms.py $(COVERAGE_O)/picket.info

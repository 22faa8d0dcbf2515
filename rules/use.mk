# SPDX-License-Identifier: Apache-2.0
# What a user of the tree calls: a first look, an installation, packages, coverage, benchmarks.
.PHONY: run install deps coverage bench fuzz
PREFIX ?= /usr/local
run: $(O)/picket
	@echo '+ $(O)/picket do uname -a'
	@$(O)/picket do uname -a
	@echo '+ $(O)/picket do sh -c "ps, a pipe, a file"'
	@$(O)/picket do sh -c 'echo "process $$$$ of this sandbox"; seq 1000 | sort -r | head -1; echo kept in memory > /tmp/new && cat /tmp/new; cat /proc/version'
install: $(O)/picket $(O)/picket-sim
	install -D -m 755 $(O)/picket $(DESTDIR)$(PREFIX)/bin/picket
	install -D -m 755 $(O)/picket-sim $(DESTDIR)$(PREFIX)/bin/picket-sim
deps:
	sh tools/deps.sh test coverage
bench: $(O)/picket
	conformance/bench/bench.py --environments native,crun,runsc-ptrace,picket-ptrace --statistic min
	make -s -C conformance && conformance/bench/emulated.py --picket $(O)/picket || [ $$? = 77 ]
fuzz:
	for name in $(FUZZ_NAMES); do $(MAKE) fuzz-$$name || exit 1; done

# Unit tests built with counters; the page lies in build/coverage/html/index.html.
COVERAGE_O := build/coverage
coverage:
	$(MAKE) O=$(COVERAGE_O) CFLAGS='-O0 -g --coverage' CCACHE= unit
	lcov --quiet --capture --directory $(COVERAGE_O)/src --base-directory . --no-external --output-file $(COVERAGE_O)/all.info
	lcov --quiet --remove $(COVERAGE_O)/all.info '*_test.c' --output-file $(COVERAGE_O)/picket.info
	genhtml --quiet --output-directory $(COVERAGE_O)/html $(COVERAGE_O)/picket.info
	lcov --list $(COVERAGE_O)/picket.info | tail -1

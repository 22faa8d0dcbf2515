# SPDX-License-Identifier: Apache-2.0
# make devrun: a sandbox without the command line (tests/devrun.c).
.PHONY: devrun
devrun: $(O)/devrun
$(O)/devrun: $(O)/tests/devrun.o $(LIBS)
	$(CC) $(ALL_CFLAGS) -o $@ $< $(O)/src/runtime/sandbox.o $(O)/src/runtime/log.o $(O)/src/runtime/console_signals.o -Wl,--start-group $(filter-out %/runtime.a %/cli.a,$(LIBS)) -Wl,--end-group $(LDLIBS)

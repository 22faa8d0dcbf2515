# SPDX-License-Identifier: Apache-2.0
# make test: all that can be tested on this machine (tests/run.py); make conformance: the suites alone;
# make test-kvm: everything that runs in emulated machines with /dev/kvm (tests/vm).
.PHONY: test test-kvm conformance unit-build
test:
	@sh tools/deps.sh test
	@python3 tests/run.py
conformance: $(O)/picket
	conformance/run --platform ptrace
unit-build: $(addprefix $(O)/test/,$(subst /,-,$(TEST_ROOMS)))
test-kvm:
	tests/vm/suite --all --resume --seconds 1200
	@if [ -w /dev/kvm ]; then conformance/run --platform kvm; else echo 'SKIP  kvm on this machine itself: it has no /dev/kvm'; fi

# SPDX-License-Identifier: Apache-2.0
# make test: all that can be tested on this machine (tests/run.py); make conformance: the suites alone.
.PHONY: test conformance unit-build
test:
	@python3 tests/run.py
conformance: $(O)/picket
	conformance/run --platform ptrace
unit-build: $(addprefix $(O)/test/,$(subst /,-,$(TEST_ROOMS)))

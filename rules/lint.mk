# SPDX-License-Identifier: Apache-2.0
# make lint: everything that docs/style.md says a machine can check.
.PHONY: lint lint-text lint-format lint-objects lint-fields lint-sleeps lint-rpc-doc docs-rpc format
LINT_FILES = $(shell git ls-files '*.c' '*.h' | grep -v '^conformance/')
lint: lint-text lint-format lint-objects lint-sleeps lint-fields lint-rpc-doc
lint-text:
	python3 tools/lint.py
# docs/rpc.md is made of spec/rpc.yaml and spec/rpc-cases.yaml, whose cases must show what the table in it claims.
lint-rpc-doc:
	python3 tools/rpc_spec.py
	python3 tools/rpc-doc.py --check
docs-rpc:
	python3 tools/rpc-doc.py
lint-format:
	clang-format --dry-run -Werror $(LINT_FILES)
lint-objects: $(LIBS)
	python3 tools/lint-objects.py $(LIBS)
# clang's thread-safety analysis knows who may sleep: its build is the check. The same objects carry what clang knows of
# each struct's members (tools/field-check.c).
CLANG_BUILD := CC=clang O=build/clang CFLAGS='-O1 -g -DFIELD_CHECK_BUILD -Wno-format'
lint-sleeps:
	$(MAKE) $(CLANG_BUILD) build
lint-fields:
	$(MAKE) $(CLANG_BUILD) field-check
	build/clang/field-check
.PHONY: field-check
field-check: $(O)/field-check
$(O)/field-check: tools/field-check.c $(LIBS)
	$(CC) $(ALL_CFLAGS) -o $@ $< -Wl,--whole-archive $(filter-out %/cli.a,$(LIBS)) -Wl,--no-whole-archive $(LDLIBS)
format:
	clang-format -i $(LINT_FILES)

/* SPDX-License-Identifier: Apache-2.0 */
/* linux.seccomp of an OCI spec as a program for the sentry's own seccomp, by libseccomp. */
#pragma once
#include "abi/bpf.h"
#include "base/base.h"
#include "base/error.h"
#include "oci/oci.h"

/* Lets libseccomp ask the host what it knows: before the process's own filter forbids to ask. */
void oci_filter_prepare(void);
/*
 * At most MAX instructions to CODE; *COUNT is 0 where the spec has no filter, or an annotation
 * dev.gvisor.internal.seccomp.NAME = RuntimeDefault takes that of container NAME away. Names that
 * libseccomp does not know are left out, as runc does. Does not sleep.
 */
MUST_CHECK int oci_filter_compile(const struct oci_spec *spec, struct bpf_instruction *code,
                                  u32 max, u32 *count, struct error *err);

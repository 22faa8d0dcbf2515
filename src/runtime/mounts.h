/* SPDX-License-Identifier: Apache-2.0 */
/* What a gofer serves: the container's root and its bind mounts, opened on the host. */
#pragma once
#include "base/error.h"
#include "oci/oci.h"
#include "runtime/config.h"

#define MOUNTS_MAX 256u

struct mount_plan {
    int roots[MOUNTS_MAX];      /* the root's descriptor (a folder's or an image's), then each bind
                                   mount's in spec order */
    char modes[MOUNTS_MAX + 1]; /* 'r' or 'w', for the gofer */
    u8 lowers[MOUNTS_MAX], uppers[MOUNTS_MAX]; /* enum gofer_lower, gofer_upper of loader.h */
    u32 count;
};

/* The root as annotations dev.gvisor.spec.rootfs.* have it; SOURCE "": root.path says all. */
struct root_hint {
    const char *source;  /* absolute: a folder, or an EROFS image */
    bool is_image;       /* type erofs */
    const char *overlay; /* medium of the layer above: memory, self, dir=PATH; "" none */
};
MUST_CHECK int root_hint_read(const struct oci_spec *spec, struct root_hint *out,
                              struct error *err);

/* Make root.path and sources of bind mounts in SPEC absolute, counted from BUNDLE; check that the
 * root is there. */
MUST_CHECK int spec_resolve(struct oci_spec *spec, const char *bundle, struct error *err);
/* Close with mount_plan_close, also after a failure. */
MUST_CHECK int mount_plan_open(const struct config *config, const struct oci_spec *spec,
                               struct mount_plan *out, struct error *err);
void mount_plan_close(struct mount_plan *plan);

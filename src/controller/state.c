/* SPDX-License-Identifier: Apache-2.0 */
/* Receiver State: Checkpoint under its older name. */
#include "controller/internal.h"

const struct rpc_method state_methods[] = {
    {"State.Save", &rpc_save_type, container_checkpoint},
    {NULL},
};

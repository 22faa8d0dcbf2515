/* SPDX-License-Identifier: Apache-2.0 */
/* The argument structs of containerManager, as in spec/rpc.yaml. */
#pragma once
#include "wire/urpc/codec.h"

struct create_args {
    char *cid;
};
struct start_conf {
    u8 lower, upper;
    char *size;
};
struct start_args {
    struct json_text spec, conf;
    char *cid;
    i64 filestore_count;
    bool has_dev_io;
    bool has_upper_tar;
    WIRE_LIST(struct start_conf) confs;
};
struct memory_save_opts {
    bool excludes_zero_pages;
};
struct save_exec_opts {
    char *argv;
    i64 timeout_ns;
    char *cid;
};
struct save_opts {
    struct wire_bytes key;
    WIRE_MAP(char *) metadata;
    struct memory_save_opts memory;
    bool app_excludes_zero_pages;
    bool has_pages_file;
    bool resumes;
    struct save_exec_opts exec;
    bool uses_gofer;
};
struct restore_opts {
    bool has_pages_file, has_device_file, is_background, uses_gofer;
};

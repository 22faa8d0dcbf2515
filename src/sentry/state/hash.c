/* SPDX-License-Identifier: Apache-2.0 */
/* State hashes: the writer's stream, hashed instead of written. */
#include <errno.h>
#include <string.h>

#include "sentry/state/internal.h"

struct hashing {
    XXH3_state_t *state;
};

SLEEPS static int hash_flush(struct state_writer *writer)
{
    struct hashing *hashing = writer->flush_owner;
    XXH3_128bits_update(hashing->state, buf_bytes(&writer->out), writer->out.size);
    buf_clear(&writer->out);
    return 0;
}

SLEEPS_ROOT static int hash_graph(struct state_writer *writer, struct object *extra_root)
{
    int err = writer_walk(writer, extra_root);
    return err ? err : hash_flush(writer); /* never sleeps: its flush does not */
}

int state_hash(struct kernel *kernel, struct object *extra_root, bool with_local, u8 out[16])
{
    struct hashing hashing = {XXH3_createState()};
    if (!hashing.state)
        return -ENOMEM;
    XXH3_128bits_reset(hashing.state);
    struct state_writer writer;
    writer_init(&writer, kernel);
    writer.skips_local = !with_local;
    writer.flush = hash_flush;
    writer.flush_owner = &hashing;
    int err = hash_graph(&writer, extra_root);
    for (u64 i = 0; i < writer.frame_count && !err && with_local; i++)
        XXH3_128bits_update(hashing.state, frame_bytes(kernel->memory, writer.frame_list[i]),
                            PAGE_SIZE);
    writer_fini(&writer);
    XXH128_canonical_t canonical;
    XXH128_canonicalFromHash(&canonical, XXH3_128bits_digest(hashing.state));
    memcpy(out, canonical.digest, 16);
    XXH3_freeState(hashing.state);
    return err;
}

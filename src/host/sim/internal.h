/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Private to host/sim. Its own memory comes from one plain arena (`memory`), which ends the process
 * when there is none and proves at the end that nothing was forgotten. The arenas that the sentry
 * gets are others (sim_arena), and only those are struck by the fault plan.
 */
#pragma once
#include "base/map.h"
#include "base/rand.h"
#include "host/ops.h"
#include "host/sim/sim.h"

#define SIM_PATH_SIZE 4352 /* a path of Linux and one name more */
#define SIM_CHUNK_SIZE ((u64)4096)
#define SIM_STREAM_CAPACITY ((u64)212992) /* net.core.wmem_default */
#define SIM_PIPE_CAPACITY ((u64)65536)
#define SIM_DRAWS_MAX 32 /* named streams of draws */

struct sim_host;

/* ---- the tree ---- */

/* A limit of space. All that was made below a directory with a limit belongs to it and to outer
 * ones. */
struct sim_domain {
    struct list link;
    struct sim_domain *outer;
    struct sim_node *root; /* the directory with the limit; weak */
    u64 size_max;
    u64 used;
};

struct sim_xattr {
    struct list link;
    char *name;
    u8 *value;
    size_t size;
};

struct sim_entry {
    u64 cookie; /* order of creation in its directory */
    char *name;
    struct sim_node *node;
    struct sim_entry *next_same; /* of the same hash */
};

struct sim_node {
    struct list link; /* in host->nodes */
    u64 inode;
    u32 mode;
    u32 uid, gid;
    u32 link_count;
    u32 open_count; /* descriptions, and other holders while they work */
    u32 rdev_major, rdev_minor;
    i64 atime_ns, mtime_ns, ctime_ns, btime_ns;
    struct list xattrs;
    struct sim_domain *domain;
    struct sim_desc *listener; /* of a socket; weak */
    /* regular */
    u64 size;
    struct map chunks; /* index -> SIM_CHUNK_SIZE bytes */
    /* symlink */
    char *target;
    /* directory */
    struct sim_directory *directory;
};

struct sim_directory {
    struct map by_cookie; /* -> entry */
    struct map by_hash;   /* -> first entry of that hash */
    u64 cookie_last;
    struct sim_node *parent; /* weak; itself for the root */
    const char *name;        /* the entry's, for paths; NULL for the root and when removed */
    bool is_removed;
};

/* ---- open file descriptions ---- */

enum sim_desc_type { SIM_DESC_FILE, SIM_DESC_STREAM, SIM_DESC_LISTENER };

/* Bytes on their way to a reader, with the descriptions that came with the first of them. */
struct sim_segment {
    struct list link;
    u64 due_ns;
    bool is_flying; /* not arrived yet: host_reap lets it arrive */
    u32 desc_count;
    struct sim_desc **descs;
    size_t offset; /* bytes already read */
    size_t size;
    u8 *bytes;
};

struct sim_end {
    struct sim_desc *peer; /* NULL: gone */
    struct list segments;  /* to be read here */
    u32 flying_count;
    u64 queued;   /* bytes in segments */
    u64 capacity; /* of queued */
    u32 piece_max;
    bool may_read, may_write; /* pipes do one of them */
    bool is_packet, is_pipe, is_terminal;
    bool read_shut, write_shut;
    bool wants_room; /* a write was cut or refused: tell when there is room */
    int error;       /* told by the next read: ECONNRESET */
    u8 termios[36];
    u8 window[8];
};

struct sim_desc {
    struct list link; /* in host->descs; in host->dying once unreferenced */
    enum sim_desc_type type;
    u32 refs;
    u64 id;
    char *label;
    struct list sources; /* watching wrappers: struct sim_source.link */
    struct list flight;  /* in host->flights while a segment is flying */
    /* file */
    struct sim_node *node;
    int flags;
    u64 offset;
    /* stream */
    struct sim_end end;
    /* listener */
    struct list backlog; /* struct sim_waiting.link */
    u32 backlog_count;
};

struct sim_waiting {
    struct list link;
    struct sim_desc *desc; /* the server's end, with its reference */
};

struct sim_slot {
    struct sim_desc *desc; /* with a reference; NULL: free */
    u32 owner;
};

/* ---- wrappers ---- */

struct sim_file {
    struct host_file file;
    struct list link;
    int fd;
    u32 owner;
    struct sim_desc *desc; /* the slot's reference keeps it */
};

struct sim_source {
    struct list link; /* in desc->sources while watched */
    struct host_watch *watch;
};

struct sim_stream {
    struct host_stream stream;
    struct list link;
    int fd;
    u32 owner;
    bool is_engine;
    struct sim_desc *desc;
    struct sim_source source;
};

struct sim_listener {
    struct host_listener listener;
    struct list link;
    int fd;
    u32 owner;
    struct sim_desc *desc;
    struct sim_source source;
};

/* What the plan does to one call. */
struct sim_strike {
    int error; /* positive; 0 none */
    u64 short_size;
    u64 delay_ns;
    bool torn;
};

struct sim_pending {
    struct list link;
    struct host_op *op;
    u64 due_ns;
    u32 owner;
    struct sim_strike strike; /* drawn from the plan at submission */
};

struct sim_arena {
    struct arena arena;
    struct list link;
    struct sim_host *host;
    u64 bytes_max;
    u32 owner;
    struct list blocks; /* so that a killed process's memory can be freed */
};

/* ---- faults ---- */

struct sim_plan {
    struct list link;
    struct sim_fault fault; /* strings are ours */
    u64 seen;
    u64 hits;
};

struct sim_draw {
    char name[24];
    struct rand rand;
};

struct sim_host {
    struct host host;
    struct host_ops ops;
    struct sim_config config;
    struct arena *memory;
    u64 monotonic_ns;
    i64 realtime_offset_ns; /* realtime = monotonic + offset + drift since drift_start */
    u64 drift_start_ns;
    i32 drift_ppm;
    struct sim_draw draws[SIM_DRAWS_MAX];
    u32 draw_count;
    struct rand entropy;
    struct rand inner; /* for what is not a choice: torn lengths */
    u32 owner;
    struct host_interrupt *interrupt;

    struct list plans;
    u64 call_counts[SIM_CALL_COUNT];
    u64 call_total, alloc_total, entropy_total;
    u64 plan_hits;
    void (*struck)(void *arg, const char *id, const char *at, const char *path);
    void *struck_arg;

    struct sim_node *root;
    struct list nodes;
    struct list domains;
    u64 inode_last;

    struct list descs;
    struct list dying;
    bool is_burying;
    u64 desc_id_last;
    struct sim_slot *slots;
    u32 slot_count;

    struct list files, streams, listeners, arenas;
    struct list pending; /* struct sim_pending */
    struct list flights; /* struct sim_desc.flight */
    struct list ready;   /* struct host_watch.link */
    struct list reaping_ops, reaping_flights,
        reaping_watches; /* what the present host_reap delivers */
};

static inline struct sim_host *sim_of(struct host *host)
{
    return container_of(host, struct sim_host, host);
}

static inline struct sim_host *sim_of_file(const struct host_file *file)
{
    return sim_of(file->host);
}

static inline struct sim_desc *sim_desc_of(const struct host_file *file)
{
    return container_of(file, const struct sim_file, file)->desc;
}

/* sim_host.c */
/* Memory of the simulated host itself: zeroed, never NULL. */
void *sim_new(struct sim_host *sim, size_t size);
void sim_delete(struct sim_host *sim, void *memory, size_t size);
char *sim_text(struct sim_host *sim, const char *text);
i64 sim_now_realtime(struct sim_host *sim);
u32 sim_choose(struct sim_host *sim, const char *stream, u32 count);
/* A draw between two, true so often in 100; nothing is drawn for 0 and 100. */
bool sim_choose_percent(struct sim_host *sim, const char *stream, u32 percent);
void sim_arena_drop(struct sim_host *sim, struct sim_arena *arena);

/* sim_fault.c */
bool sim_glob(const char *pattern, const char *text);
/* Count a call and ask the plan: 0, or a negative errno to fail with. STRIKE may be NULL. PATH may
 * be NULL for "". */
MUST_CHECK int sim_call(struct sim_host *sim, enum sim_call call, const char *path,
                        struct sim_strike *strike);
/* The same for "alloc" and "entropy". */
MUST_CHECK bool sim_alloc_fails(struct sim_host *sim);
MUST_CHECK bool sim_entropy_fails(struct sim_host *sim);
void sim_faults_fini(struct sim_host *sim);

/* sim_tree.c */
struct sim_node *sim_node_create(struct sim_host *sim, struct sim_domain *domain, u32 mode);
void sim_node_hold(struct sim_node *node);
/* Drop a hold; a node without names and holds goes. */
void sim_node_drop(struct sim_host *sim, struct sim_node *node);
struct sim_entry *sim_entry_find(const struct sim_node *dir, const char *name);
/* Give NODE a name. The name must be free. */
void sim_entry_add(struct sim_host *sim, struct sim_node *dir, const char *name,
                   struct sim_node *node);
/* Take a name away; the node goes if it was its last hold. */
void sim_entry_remove(struct sim_host *sim, struct sim_node *dir, struct sim_entry *entry);
static inline bool sim_is_directory(const struct sim_node *node)
{
    return node->directory != NULL;
}
bool sim_is_regular(const struct sim_node *node);
bool sim_is_symlink(const struct sim_node *node);
/* Rights: any of 4 (read), 2 (write), 1 (search). */
bool sim_may(const struct sim_host *sim, const struct sim_node *node, u32 rights);
bool sim_is_owner(const struct sim_host *sim, const struct sim_node *node);
/* The absolute path of a directory, of an entry in it when NAME is not NULL. */
void sim_path_of(const struct sim_node *dir, const char *name, char out[SIM_PATH_SIZE]);
/*
 * Where a path leads: the directory and last name, and the node if it exists (else NULL). "/" and
 * what ends in a dot give the name "." of the node itself. 0 or -errno.
 */
struct sim_place {
    struct sim_node *dir;
    struct sim_node *node;
    char name[256];
};
#define SIM_FIND_FOLLOW 1u /* the last component too, if it is a symlink */
#define SIM_FIND_CREATE 2u /* make directories that are missing on the way */
#define SIM_FIND_RIGHTS 4u /* the configured user's, to search */
MUST_CHECK int sim_find(struct sim_host *sim, const char *path, u32 flags, struct sim_place *out);
void sim_touch(struct sim_host *sim, struct sim_node *node);
void sim_node_stat(const struct sim_node *node, struct host_stat *out);
/* Is the directory NODE DIR itself or below it? */
bool sim_is_below(const struct sim_node *node, const struct sim_node *dir);
void sim_tree_init(struct sim_host *sim);
void sim_tree_fini(struct sim_host *sim);
void sim_entry_move(struct sim_host *sim, struct sim_node *from, struct sim_entry *entry,
                    struct sim_node *to, const char *name);
void sim_xattr_delete(struct sim_host *sim, struct sim_xattr *xattr);
/* Everything of DIR and below belongs to a new limit. */
void sim_domain_set(struct sim_host *sim, struct sim_node *dir, u64 size_max);

/* sim_data.c */
MUST_CHECK i64 sim_data_read(struct sim_node *node, void *out, size_t size, u64 offset);
/* A count (short when space ends) or -errno. */
MUST_CHECK i64 sim_data_write(struct sim_host *sim, struct sim_node *node, const void *bytes,
                              size_t size, u64 offset);
void sim_data_truncate(struct sim_host *sim, struct sim_node *node, u64 size);
MUST_CHECK int sim_data_allocate(struct sim_host *sim, struct sim_node *node, u32 mode, u64 offset,
                                 u64 length);
/* SEEK_DATA or SEEK_HOLE. */
MUST_CHECK i64 sim_data_seek(const struct sim_node *node, u64 offset, bool wants_data);

/* sim_fd.c */
struct sim_desc *sim_desc_create(struct sim_host *sim, enum sim_desc_type type, const char *label);
void sim_desc_get(struct sim_desc *desc);
void sim_desc_put(struct sim_host *sim, struct sim_desc *desc);
/* When no number is open: bury the descriptions that only hold each other in messages. */
void sim_desc_collect(struct sim_host *sim);
/* A number for DESC, whose reference is taken in any case. -EMFILE. */
MUST_CHECK int sim_fd_install(struct sim_host *sim, struct sim_desc *desc);
/* NULL: not open. */
struct sim_desc *sim_fd_find(struct sim_host *sim, int fd);
void sim_fd_put(struct sim_host *sim, int fd);
/* Tell everyone who watches DESC what is ready now. */
void sim_desc_tell(struct sim_host *sim, struct sim_desc *desc);
void sim_source_watch(struct sim_host *sim, struct sim_desc *desc, struct sim_source *source,
                      struct host_watch *watch);
u32 sim_desc_poll(const struct sim_desc *desc);

/* sim_file.c: the table's functions */
struct host_file *sim_file_from_fd(struct host *host, int fd);
struct sim_opening {
    int flags;      /* O_* */
    u32 mode;       /* of a file that is created */
    bool is_engine; /* no rights are asked, and root owns what is created */
};
/* A description of NODE under LABEL. */
MUST_CHECK int sim_node_open(struct sim_host *sim, struct sim_node *node, const char *label,
                             const struct sim_opening *how, struct sim_desc **out);
/* open(2) from a place that was found: creates if asked for. */
MUST_CHECK int sim_place_open(struct sim_host *sim, const struct sim_place *place,
                              const struct sim_opening *how, struct sim_desc **out);
MUST_CHECK int sim_file_set_attr(struct host_file *file, const struct host_set_attr *attr);
/* Closes the descriptor and frees the wrapper. */
void sim_file_destroy(struct host_file *file);
/* Count CALL and find the entry NAME of DIR; the node is NULL where there is none. */
MUST_CHECK int sim_place_at(struct host_file *dir, const char *name, enum sim_call call,
                            struct sim_place *out);
MUST_CHECK int sim_desc_stat(struct sim_host *sim, const struct sim_desc *desc,
                             struct host_stat *out);
/* sim_names.c: the next records from the description's offset on. */
MUST_CHECK i64 sim_read_dir(struct sim_desc *desc, void *out, size_t size);
/* The effect of a submitted operation. */
i64 sim_op_run(struct sim_host *sim, struct host_op *op, const struct sim_strike *strike);
void sim_file_ops_set(struct host_ops *ops);
void sim_names_ops_set(struct host_ops *ops);

/* sim_stream.c */
void sim_stream_ops_set(struct host_ops *ops);
void sim_stream_desc_fini(struct sim_host *sim, struct sim_desc *desc);
u32 sim_stream_poll(const struct sim_desc *desc);
struct sim_stream *sim_stream_wrap(struct sim_host *sim, int fd, bool is_engine);
/* Close the descriptor and free the wrapper. */
void sim_stream_put(struct host_stream *stream);
void sim_listener_put(struct host_listener *listener);
/* Throw away what DESC was to read. */
void sim_segments_clear(struct sim_host *sim, struct sim_desc *desc);
/* When the first flying segment is due; NO_DEADLINE when none flies. */
u64 sim_flight_due(const struct sim_desc *desc);
/* Two connected ends. */
void sim_ends_create(struct sim_host *sim, int type, struct sim_desc **a, struct sim_desc **b);
/* The next piece for DESC arrives. */
void sim_arrive(struct sim_host *sim, struct sim_desc *desc);
/* A connection to LISTENER: the client's end, or -errno. */
MUST_CHECK int sim_listener_connect(struct sim_host *sim, struct sim_desc *listener,
                                    struct sim_desc **out);

/* sim_event.c */
void sim_event_ops_set(struct host_ops *ops);
void sim_watch_forget(struct sim_host *sim, struct host_watch *watch);
void sim_watch_ready(struct sim_host *sim, struct host_watch *watch, u32 ready);

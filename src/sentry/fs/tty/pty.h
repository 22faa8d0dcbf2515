/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Pseudo terminals: pty.c has ends and states, ldisc.c the N_TTY line discipline between them,
 * devpts.c the file system that names them.
 */
#pragma once
#include "base/buf.h"
#include "sentry/fs/tty/tty.h"

#define PTY_INPUT_MAX 4096u   /* of a line, and of what waits for the slave */
#define PTY_OUTPUT_MAX 65536u /* of what waits for the master */
#define PTY_NUMBER_MAX 4096u

struct pty {
    struct tty tty;
    struct kernel *kernel;
    struct devpts *devpts; /* weak; NULL when the file system is gone */
    u32 number;
    bool is_locked; /* TIOCSPTLCK: the slave cannot be opened yet */
    bool is_master_open;
    bool was_slave_open;
    u32 slave_count; /* open descriptions of the slave */
    bool is_packet;  /* TIOCPKT */
    u8 packet_events;
    bool is_stopped; /* ^S */
    bool is_literal; /* the next character is taken as it is (VLNEXT) */
    struct linux_termios termios;
    struct linux_winsize size;
    struct buf input;      /* ready for the slave */
    struct buf line;       /* canonical mode: the line being edited */
    struct buf line_sizes; /* canonical mode: u32 size of each line in `input`; bit 31: ended by
                              EOF, which is not there */
    struct buf output;     /* ready for the master */
    u32 column;            /* of the cursor, for tabs and erasing */
    u32 line_column;       /* where the edited line began */
    u32 uid, gid, mode;    /* of the slave's inode */
    i64 ctime_ns, mtime_ns;
    struct wait_queue master_changed, slave_changed;
};
extern const struct kind pty_kind;
extern const struct file_ops pty_master_ops, pty_slave_ops;

MUST_CHECK int pty_new(struct kernel *kernel, struct pty **out);
/* ---- ldisc.c ---- */
void ldisc_init(struct pty *pty);
/* Characters typed at the master: how many were taken (all but when the input is full). */
size_t ldisc_input(struct pty *pty, const u8 *bytes, size_t size);
/* Characters written by the slave, with output processing: how many were taken. */
size_t ldisc_output(struct pty *pty, const u8 *bytes, size_t size);
/* What the slave may read now: bytes of one line or all, *IS_EOF for an end of file character. */
size_t ldisc_readable(const struct pty *pty, bool *is_eof);
/* SIZE bytes of what ldisc_readable said have been read. */
void ldisc_consumed(struct pty *pty, size_t size);
/* Modes have changed from OLD: an edited line becomes readable when canonical mode ends. */
void ldisc_set_termios(struct pty *pty, const struct linux_termios *termios);
void ldisc_flush_input(struct pty *pty);
bool ldisc_has_room(const struct pty *pty);

/* ---- devpts.c ---- */
struct devpts {
    struct object object;
    struct kernel *kernel;
    struct map ptys; /* number -> struct pty, counted while the master is open */
    struct list
        terminals; /* struct host_std_file.devpts_link, weak: the host's, under numbers too */
    u32 uid, gid, mode, ptmx_mode;
    bool has_gid, has_uid;
};
extern const struct kind devpts_kind;
SLEEPS int devpts_mount(struct task *task, const char *source, u32 flags, const char *options,
                        struct super **out);
extern const struct super_ops devpts_super_ops;
/* A new pty in DEVPTS with FILE as its master. */
MUST_CHECK int devpts_open_master(struct task *task, struct devpts *devpts, struct file *file);
/* TIOCGPTPEER: PTY's slave under its name in the devpts of MASTER or of /dev/pts. -ENODEV: no such
 * place. */
MUST_CHECK SLEEPS int devpts_open_peer(struct task *task, const struct file *master,
                                       struct pty *pty, u32 flags, struct file **out);
void devpts_remove(struct devpts *devpts, u32 number);
/*
 * The host's terminal STD gets a number in the devpts that TASK sees at /dev/pts and is opened
 * there, so ttyname(3) finds it. An error (no devpts there, no memory) leaves it without a number.
 */
struct host_std_file;
MUST_CHECK SLEEPS int devpts_adopt(struct task *task, struct host_std_file *std, struct file **out);
void devpts_forget(struct host_std_file *std);
/* Open descriptions over what a pty offers: for /dev/tty and TIOCGPTPEER. FILE has flags and inode
 * already. */
MUST_CHECK int pty_open_slave(struct task *task, struct pty *pty, struct file *file);
/* /dev/tty and /dev/ptmx: what the device nodes' open does. */
MUST_CHECK SLEEPS int tty_open_current(struct task *task, struct file *file);
MUST_CHECK SLEEPS int tty_open_ptmx(struct task *task, struct file *file);

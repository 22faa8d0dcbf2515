/* SPDX-License-Identifier: Apache-2.0 */
/*
 * N_TTY, the line discipline of terminals: editing, echo, signals, output processing (termios(3)).
 * Everything here works on bytes in memory and wakes nobody; pty.c does.
 */
#include <string.h>

#include "base/fields.h"
#include "sentry/fs/tty/pty.h"

#define CTRL(c) ((c)&0x1f)
#define DISABLED 0 /* _POSIX_VDISABLE */
#define LINE_EOF 0x80000000u
#define TAB_SIZE 8u

void ldisc_init(struct pty *pty)
{
    static const u8 cc[LINUX_NCCS] = {
        [LINUX_VINTR] = CTRL('C'),    [LINUX_VQUIT] = 0x1c,         [LINUX_VERASE] = 0x7f,
        [LINUX_VKILL] = CTRL('U'),    [LINUX_VEOF] = CTRL('D'),     [LINUX_VMIN] = 1,
        [LINUX_VSTART] = CTRL('Q'),   [LINUX_VSTOP] = CTRL('S'),    [LINUX_VSUSP] = CTRL('Z'),
        [LINUX_VREPRINT] = CTRL('R'), [LINUX_VDISCARD] = CTRL('O'), [LINUX_VWERASE] = CTRL('W'),
        [LINUX_VLNEXT] = CTRL('V'),
    };
    pty->termios = (struct linux_termios){
        .iflag = LINUX_ICRNL | LINUX_IXON,
        .oflag = LINUX_OPOST | LINUX_ONLCR,
        .cflag = LINUX_B38400 | LINUX_CS8 | LINUX_CREAD,
        .lflag = LINUX_ISIG | LINUX_ICANON | LINUX_ECHO | LINUX_ECHOE | LINUX_ECHOK |
                 LINUX_ECHOCTL | LINUX_ECHOKE | LINUX_IEXTEN,
    };
    memcpy(pty->termios.cc, cc, sizeof cc);
}

static bool has_local(const struct pty *pty, u32 flag)
{
    return pty->termios.lflag & flag;
}

static bool is_char(const struct pty *pty, u8 c, u32 which)
{
    return pty->termios.cc[which] != DISABLED && c == pty->termios.cc[which];
}

/* ---- output --------------------------------------------------------------------------------- */

/* To the master as it is; what does not fit or cannot be had is lost, as on a line that is too
 * slow. */
static void put_raw(struct pty *pty, const void *bytes, size_t size)
{
    if (pty->output.size + size <= PTY_OUTPUT_MAX)
        (void)!buf_append(&pty->output, bytes, size);
}

static void put_char(struct pty *pty, u8 c)
{
    u32 oflag = pty->termios.oflag;
    if (!(oflag & LINUX_OPOST)) {
        put_raw(pty, &c, 1);
        return;
    }
    switch (c) {
    case '\n':
        if (oflag & LINUX_ONLCR) {
            put_raw(pty, "\r\n", 2);
            pty->column = 0;
            return;
        }
        if (oflag & LINUX_ONLRET)
            pty->column = 0;
        break;
    case '\r':
        if ((oflag & LINUX_ONOCR) && pty->column == 0)
            return;
        if (oflag & LINUX_OCRNL)
            c = '\n';
        pty->column = 0;
        break;
    case '\t':
        pty->column = (pty->column + TAB_SIZE) & ~(TAB_SIZE - 1);
        break;
    case '\b':
        if (pty->column > 0)
            pty->column--;
        break;
    default:
        if (c >= 0x20 && c != 0x7f && (c & 0xc0) != 0x80)
            pty->column++;
        break;
    }
    put_raw(pty, &c, 1);
}

size_t ldisc_output(struct pty *pty, const u8 *bytes, size_t size)
{
    size_t taken = 0;
    while (taken < size && pty->output.size + 2 <= PTY_OUTPUT_MAX && !pty->is_stopped)
        put_char(pty, bytes[taken++]);
    return taken;
}

/* ---- echo ----------------------------------------------------------------------------------- */

static bool is_control(u8 c)
{
    return (c < 0x20 && c != '\t' && c != '\n') || c == 0x7f;
}

static void echo(struct pty *pty, u8 c)
{
    if (!has_local(pty, LINUX_ECHO)) {
        if (c == '\n' && has_local(pty, LINUX_ECHONL) && has_local(pty, LINUX_ICANON))
            put_char(pty, c);
        return;
    }
    if (is_control(c) && has_local(pty, LINUX_ECHOCTL)) {
        put_char(pty, '^');
        put_char(pty, c ^ 0x40);
        return;
    }
    put_char(pty, c);
}

static void wipe(struct pty *pty, u32 columns)
{
    while (columns-- > 0) {
        put_char(pty, '\b');
        put_char(pty, ' ');
        put_char(pty, '\b');
    }
}

/* Columns that the edited line's first SIZE bytes take on the screen. */
static u32 line_width(const struct pty *pty, size_t size)
{
    const u8 *bytes = buf_bytes(&pty->line);
    u32 column = pty->line_column;
    for (size_t i = 0; i < size; i++) {
        u8 c = bytes[i];
        if (c == '\t')
            column = (column + TAB_SIZE) & ~(TAB_SIZE - 1);
        else if (is_control(c))
            column += has_local(pty, LINUX_ECHOCTL) ? 2 : 0;
        else if (!(pty->termios.iflag & LINUX_IUTF8) || (c & 0xc0) != 0x80)
            column++;
    }
    return column - pty->line_column;
}

/* ---- editing -------------------------------------------------------------------------------- */

static void cut_line(struct pty *pty, size_t size)
{
    u32 before = line_width(pty, pty->line.size);
    pty->line.size = size;
    if (has_local(pty, LINUX_ECHO) && has_local(pty, LINUX_ECHOE))
        wipe(pty, before - line_width(pty, size));
}

/* How long the line is without its last character (UTF-8: with its first byte). */
static size_t without_last(const struct pty *pty, size_t size)
{
    const u8 *bytes = buf_bytes(&pty->line);
    size--;
    while ((pty->termios.iflag & LINUX_IUTF8) && size > 0 && (bytes[size] & 0xc0) == 0x80)
        size--;
    return size;
}

static void erase_char(struct pty *pty)
{
    if (pty->line.size == 0)
        return;
    if (has_local(pty, LINUX_ECHO) && !has_local(pty, LINUX_ECHOE))
        echo(pty, pty->termios.cc[LINUX_VERASE]);
    cut_line(pty, without_last(pty, pty->line.size));
}

static bool is_word(u8 c)
{
    return (c >= '0' && c <= '9') || (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || c == '_' ||
           c >= 0x80;
}

static void erase_word(struct pty *pty)
{
    const u8 *bytes = buf_bytes(&pty->line);
    size_t size = pty->line.size;
    while (size > 0 && !is_word(bytes[size - 1]))
        size--;
    while (size > 0 && is_word(bytes[size - 1]))
        size--;
    cut_line(pty, size);
}

static void erase_line(struct pty *pty)
{
    bool wipes = has_local(pty, LINUX_ECHO) && has_local(pty, LINUX_ECHOK) &&
                 has_local(pty, LINUX_ECHOKE) && has_local(pty, LINUX_ECHOE);
    if (wipes) {
        cut_line(pty, 0);
        return;
    }
    pty->line.size = 0;
    if (has_local(pty, LINUX_ECHO)) {
        echo(pty, pty->termios.cc[LINUX_VKILL]);
        if (has_local(pty, LINUX_ECHOK))
            put_char(pty, '\n');
    }
}

static void reprint(struct pty *pty)
{
    echo(pty, pty->termios.cc[LINUX_VREPRINT]);
    put_char(pty, '\n');
    pty->line_column = pty->column;
    for (size_t i = 0; i < pty->line.size; i++)
        echo(pty, buf_bytes(&pty->line)[i]);
}

/* The edited line becomes readable. */
static void push_line(struct pty *pty, bool is_eof)
{
    u32 size = (u32)pty->line.size | (is_eof ? LINE_EOF : 0);
    if (buf_append(&pty->input, buf_bytes(&pty->line), pty->line.size) == 0)
        (void)!buf_append(&pty->line_sizes, &size, sizeof size);
    buf_clear(&pty->line);
    pty->line_column = pty->column;
}

static void add_to_line(struct pty *pty, u8 c, bool is_end)
{
    /* A line that is too long takes no more characters, but its end (n_tty). */
    if (pty->line.size >= PTY_INPUT_MAX - 1 && !is_end)
        return;
    if (pty->line.size == 0 && !is_end)
        pty->line_column = pty->column;
    (void)!buf_append(&pty->line, &c, 1);
    echo(pty, c);
    if (is_end)
        push_line(pty, false);
}

static bool take_editing(struct pty *pty, u8 c)
{
    if (is_char(pty, c, LINUX_VERASE)) {
        erase_char(pty);
        return true;
    }
    if (is_char(pty, c, LINUX_VKILL)) {
        erase_line(pty);
        return true;
    }
    if (is_char(pty, c, LINUX_VEOF)) {
        push_line(pty, true);
        return true;
    }
    if (!has_local(pty, LINUX_IEXTEN))
        return false;
    if (is_char(pty, c, LINUX_VWERASE)) {
        erase_word(pty);
        return true;
    }
    if (is_char(pty, c, LINUX_VREPRINT) && has_local(pty, LINUX_ECHO)) {
        reprint(pty);
        return true;
    }
    if (is_char(pty, c, LINUX_VLNEXT)) {
        pty->is_literal = true;
        if (has_local(pty, LINUX_ECHO) && has_local(pty, LINUX_ECHOCTL))
            put_raw(pty, "^\b", 2);
        return true;
    }
    return false;
}

/* ---- input ---------------------------------------------------------------------------------- */

static bool take_flow(struct pty *pty, u8 c)
{
    if (!(pty->termios.iflag & LINUX_IXON))
        return false;
    if (is_char(pty, c, LINUX_VSTOP)) {
        pty->is_stopped = true;
        return true;
    }
    if (is_char(pty, c, LINUX_VSTART) || (pty->is_stopped && (pty->termios.iflag & LINUX_IXANY))) {
        pty->is_stopped = false;
        return is_char(pty, c, LINUX_VSTART);
    }
    return false;
}

static bool take_signal(struct pty *pty, u8 c)
{
    if (!has_local(pty, LINUX_ISIG))
        return false;
    i32 signo = is_char(pty, c, LINUX_VINTR)   ? LINUX_SIGINT
                : is_char(pty, c, LINUX_VQUIT) ? LINUX_SIGQUIT
                : is_char(pty, c, LINUX_VSUSP) ? LINUX_SIGTSTP
                                               : 0;
    if (!signo)
        return false;
    if (!has_local(pty, LINUX_NOFLSH))
        ldisc_flush_input(
            pty); /* what the master's side was given stays, as Linux's flush finds it gone */
    pty->is_stopped = false;
    echo(pty, c);
    tty_signal_foreground(&pty->tty, signo);
    return true;
}

static void take_plain(struct pty *pty, u8 c)
{
    if (has_local(pty, LINUX_ICANON)) {
        bool is_end = c == '\n' || is_char(pty, c, LINUX_VEOL) ||
                      (is_char(pty, c, LINUX_VEOL2) && has_local(pty, LINUX_IEXTEN));
        add_to_line(pty, c, is_end);
        return;
    }
    if (buf_append(&pty->input, &c, 1) == 0)
        echo(pty, c);
}

static void take_char(struct pty *pty, u8 c)
{
    u32 iflag = pty->termios.iflag;
    if (pty->is_literal) {
        pty->is_literal = false;
        add_to_line(pty, c, false);
        return;
    }
    if (iflag & LINUX_ISTRIP)
        c &= 0x7f;
    if (take_flow(pty, c) || take_signal(pty, c))
        return;
    if (c == '\r') {
        if (iflag & LINUX_IGNCR)
            return;
        if (iflag & LINUX_ICRNL)
            c = '\n';
    } else if (c == '\n' && (iflag & LINUX_INLCR)) {
        c = '\r';
    }
    if ((iflag & LINUX_IUCLC) && has_local(pty, LINUX_IEXTEN) && c >= 'A' && c <= 'Z')
        c = (u8)(c + 32);
    if (has_local(pty, LINUX_ICANON) && take_editing(pty, c))
        return;
    take_plain(pty, c);
}

bool ldisc_has_room(const struct pty *pty)
{
    return has_local(pty, LINUX_ICANON) ? pty->input.size < PTY_INPUT_MAX * 4
                                        : pty->input.size < PTY_INPUT_MAX;
}

size_t ldisc_input(struct pty *pty, const u8 *bytes, size_t size)
{
    size_t taken = 0;
    while (taken < size && ldisc_has_room(pty))
        take_char(pty, bytes[taken++]);
    return taken;
}

/* ---- reading -------------------------------------------------------------------------------- */

static u32 first_line(const struct pty *pty)
{
    u32 size;
    memcpy(&size, buf_bytes(&pty->line_sizes), sizeof size);
    return size;
}

size_t ldisc_readable(const struct pty *pty, bool *is_eof)
{
    *is_eof = false;
    if (buf_is_empty(&pty->line_sizes))
        return has_local(pty, LINUX_ICANON) ? 0 : pty->input.size;
    u32 size = first_line(pty);
    if (!has_local(pty, LINUX_ICANON) && pty->input.size > 0)
        return pty->input.size;
    *is_eof = size == LINE_EOF;
    return size & ~LINE_EOF;
}

void ldisc_consumed(struct pty *pty, size_t size)
{
    buf_consume(&pty->input, size);
    /* Lines that are used up go; an EOF alone is used up by reading nothing. */
    bool is_first = true;
    while (!buf_is_empty(&pty->line_sizes) && (size > 0 || is_first)) {
        u32 line = first_line(pty);
        u32 line_size = line & ~LINE_EOF;
        if (size < line_size) {
            u32 left = (line_size - (u32)size) | (line & LINE_EOF);
            memcpy(buf_bytes(&pty->line_sizes), &left, sizeof left);
            return;
        }
        size -= line_size;
        buf_consume(&pty->line_sizes, sizeof line);
        is_first = false;
    }
}

void ldisc_flush_input(struct pty *pty)
{
    buf_clear(&pty->input);
    buf_clear(&pty->line);
    buf_clear(&pty->line_sizes);
    pty->is_literal = false;
}

void ldisc_set_termios(struct pty *pty, const struct linux_termios *termios)
{
    bool was_canonical = has_local(pty, LINUX_ICANON);
    pty->termios = *termios;
    bool is_canonical = has_local(pty, LINUX_ICANON);
    if (was_canonical && !is_canonical) {
        (void)!buf_append(&pty->input, buf_bytes(&pty->line), pty->line.size);
        buf_clear(&pty->line);
        buf_clear(&pty->line_sizes);
    } else if (!was_canonical && is_canonical && pty->input.size > 0) {
        /* What was typed before counts as one line that is complete. */
        u32 size = (u32)pty->input.size;
        (void)!buf_append(&pty->line_sizes, &size, sizeof size);
    }
    if (!(termios->iflag & LINUX_IXON))
        pty->is_stopped = false;
}

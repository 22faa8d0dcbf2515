/* SPDX-License-Identifier: Apache-2.0 */
/* termios(3) and terminal ioctls of x86-64 Linux (ioctl_tty(2)). */
#pragma once
#include "base/base.h"
#define LINUX_NCCS 19
struct linux_termios {
    u32 iflag, oflag, cflag, lflag;
    u8 line;
    u8 cc[LINUX_NCCS];
};
_Static_assert(sizeof(struct linux_termios) == 36, "struct termios");
struct linux_winsize {
    u16 rows, columns, x_pixels, y_pixels;
};
#define LINUX_TCGETS 0x5401u
#define LINUX_TCSETS 0x5402u
#define LINUX_TCSETSW 0x5403u
#define LINUX_TCSETSF 0x5404u
#define LINUX_TCGETA 0x5405u
#define LINUX_TCSBRK 0x5409u
#define LINUX_TCXONC 0x540au
#define LINUX_TCFLSH 0x540bu
#define LINUX_TIOCEXCL 0x540cu
#define LINUX_TIOCNXCL 0x540du
#define LINUX_TIOCSCTTY 0x540eu
#define LINUX_TIOCGPGRP 0x540fu
#define LINUX_TIOCSPGRP 0x5410u
#define LINUX_TIOCOUTQ 0x5411u
#define LINUX_TIOCSTI 0x5412u
#define LINUX_TIOCGWINSZ 0x5413u
#define LINUX_TIOCSWINSZ 0x5414u
#define LINUX_FIONREAD 0x541bu
#define LINUX_TIOCPKT 0x5420u
#define LINUX_FIONBIO 0x5421u
#define LINUX_TIOCNOTTY 0x5422u
#define LINUX_TIOCGETD 0x5424u
#define LINUX_TCSBRKP 0x5425u
#define LINUX_TIOCGSID 0x5429u
#define LINUX_TCGETS2 0x802c542au
#define LINUX_TCSETS2 0x402c542bu
#define LINUX_TCSETSW2 0x402c542cu
#define LINUX_TCSETSF2 0x402c542du
#define LINUX_TIOCGPTN 0x80045430u
#define LINUX_TIOCSPTLCK 0x40045431u
#define LINUX_TIOCGPKT 0x80045438u
#define LINUX_TIOCGPTLCK 0x80045439u
#define LINUX_TIOCGPTPEER 0x5441u
#define LINUX_VINTR 0
#define LINUX_VQUIT 1
#define LINUX_VERASE 2
#define LINUX_VKILL 3
#define LINUX_VEOF 4
#define LINUX_VTIME 5
#define LINUX_VMIN 6
#define LINUX_VSWTC 7
#define LINUX_VSTART 8
#define LINUX_VSTOP 9
#define LINUX_VSUSP 10
#define LINUX_VEOL 11
#define LINUX_VREPRINT 12
#define LINUX_VDISCARD 13
#define LINUX_VWERASE 14
#define LINUX_VLNEXT 15
#define LINUX_VEOL2 16
#define LINUX_IGNBRK 0x1u
#define LINUX_BRKINT 0x2u
#define LINUX_ISTRIP 0x20u
#define LINUX_INLCR 0x40u
#define LINUX_IGNCR 0x80u
#define LINUX_ICRNL 0x100u
#define LINUX_IUCLC 0x200u
#define LINUX_IXON 0x400u
#define LINUX_IXANY 0x800u
#define LINUX_IXOFF 0x1000u
#define LINUX_IMAXBEL 0x2000u
#define LINUX_IUTF8 0x4000u
#define LINUX_OPOST 0x1u
#define LINUX_OLCUC 0x2u
#define LINUX_ONLCR 0x4u
#define LINUX_OCRNL 0x8u
#define LINUX_ONOCR 0x10u
#define LINUX_ONLRET 0x20u
#define LINUX_CS8 0x30u
#define LINUX_CREAD 0x80u
#define LINUX_B38400 0xfu
#define LINUX_ISIG 0x1u
#define LINUX_ICANON 0x2u
#define LINUX_ECHO 0x8u
#define LINUX_ECHOE 0x10u
#define LINUX_ECHOK 0x20u
#define LINUX_ECHONL 0x40u
#define LINUX_NOFLSH 0x80u
#define LINUX_TOSTOP 0x100u
#define LINUX_ECHOCTL 0x200u
#define LINUX_ECHOPRT 0x400u
#define LINUX_ECHOKE 0x800u
#define LINUX_IEXTEN 0x8000u
#define LINUX_EXTPROC 0x10000u

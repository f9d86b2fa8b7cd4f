/* SPDX-License-Identifier: GPL-2.0-or-later */
/* What a daemon that has started gives up for good. */
#ifndef SW_USER_CONFINE_H
#define SW_USER_CONFINE_H

/* Capabilities but CAP_NET_ADMIN, new privileges, and every system call that it does not make. */
int confine(void);

#endif /* SW_USER_CONFINE_H */

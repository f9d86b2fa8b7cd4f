/* SPDX-License-Identifier: GPL-2.0-or-later */
/* What a service manager is told: the protocol of sd_notify(3), without its library. */
#ifndef SW_USER_NOTIFY_H
#define SW_USER_NOTIFY_H

#include <linux/types.h>
#include <sys/socket.h>
#include <sys/un.h>

#include "util.h"

/* Lines NAME=VALUE to $NOTIFY_SOCKET; without one, or when nobody reads it, nothing. */
void notify(const char *fmt, ...) format_like(1);
/* How often WATCHDOG=1 is awaited, 0: not from this process. */
__u64 notify_watchdog_us(void);

/* Address and its length for the words of $NOTIFY_SOCKET, 0: none. Pure. */
socklen_t notify_address(const char *words, struct sockaddr_un *addr);
/* Of $WATCHDOG_USEC and $WATCHDOG_PID, which may be NULL. Pure. */
__u64 notify_watchdog_of(const char *usec, const char *pid, __u64 self);

#endif /* SW_USER_NOTIFY_H */

/* SPDX-License-Identifier: GPL-2.0-or-later */
/* What the files of the fixture share with each other; tests include fixture.h. */
#ifndef FIXTURE_PARTS_H
#define FIXTURE_PARTS_H

extern int n_cpus;
extern unsigned char *reason_hit; /* shared with the children, by enum sw_reason */

/* One CPU (the caches are per CPU) and a fresh network namespace with lo and its addresses. */
void host_enter(void);

#endif /* FIXTURE_PARTS_H */

/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Random segments to a connection: mostly what a client says that goes on, some of it early,
 * late or again, and of all else a little, close to the window and far from it.
 */
#ifndef BABBLE_H
#define BABBLE_H

#include "model.h"

struct segment babble(const struct model *m);

uint32_t below(uint32_t n);
bool one_in(uint32_t n);

#endif /* BABBLE_H */

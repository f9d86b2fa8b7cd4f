// SPDX-License-Identifier: GPL-2.0-or-later
/* The guard as it is, but for its clock: that one stands still, and tests set it. */
#include "kernel.h"

__u64 test_now_ns; /* 0: as it is */

#define bpf_ktime_get_ns()        (test_now_ns ?: bpf_ktime_get_ns())
#define bpf_ktime_get_coarse_ns() (test_now_ns ?: bpf_ktime_get_coarse_ns())
#define bpf_jiffies64()           (test_now_ns ? test_now_ns >> 22 : bpf_jiffies64())

#include "synwarden.bpf.c"

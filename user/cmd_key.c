/* SPDX-License-Identifier: GPL-2.0-or-later */
/* key show, key rotate. The keys themselves are never shown, nor kept longer than needed. */
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <time.h>

#include "cmd.h"
#include "json.h"
#include "util.h"

#define EPOCH_NS (1ULL << SW_EPOCH_SHIFT)

__u32 key_epoch(void)
{
	return (__u32)(clock_ns(CLOCK_MONOTONIC) >> SW_EPOCH_SHIFT);
}

/* Whole seconds, rounded up, until an epoch begins. */
static __u64 seconds_until(__u32 epoch)
{
	__u64 at = (__u64)epoch << SW_EPOCH_SHIFT, now = clock_ns(CLOCK_MONOTONIC);

	return at > now ? (at - now + 999999999) / 1000000000 : 0;
}

static __u64 key_age_s(const struct guard *g, __u32 slot)
{
	__u64 now = (__u64)time(NULL);
	struct sw_key key;
	__u64 age = 0;

	if (!mapio_key(g, slot, &key) && now > key.made_s)
		age = now - key.made_s;
	explicit_bzero(&key, sizeof(key));
	return age;
}

__u64 key_age(const struct guard *g, const struct sw_keysched *sched)
{
	return key_age_s(g, key_epoch() >= sched->since_epoch ? sched->now : sched->before);
}

static bool is_pending(const struct sw_keysched *sched, __u32 epoch)
{
	return sched->since_epoch > epoch;
}

/* Cookies of this epoch and the one before are valid: both must be the present key's. */
static bool still_lives(const struct sw_keysched *sched, __u32 epoch)
{
	return sched->before != sched->now && sched->since_epoch == epoch;
}

bool key_may_rotate(const struct guard *g)
{
	struct sw_keysched sched;
	__u32 epoch = key_epoch();

	return !mapio_keysched(g, &sched) && !is_pending(&sched, epoch) &&
	       !still_lives(&sched, epoch);
}

int key_rotate(const struct guard *g)
{
	struct sw_keysched sched;
	struct sw_key key;
	__u32 epoch;
	__u16 slot = 0;
	int err = mapio_keysched(g, &sched);

	if (err)
		return err;
	/* a switch that begins while it is written would orphan cookies: step over the edge */
	if (EPOCH_NS - clock_ns(CLOCK_MONOTONIC) % EPOCH_NS < 1000000000)
		sleep(1);
	epoch = key_epoch();
	if (is_pending(&sched, epoch)) {
		log_note("a rotation is pending: the next key takes over in %llu s",
			 (unsigned long long)seconds_until(sched.since_epoch));
		return 0;
	}
	if (still_lives(&sched, epoch))
		return log_refuse(-EAGAIN,
				  "cookies of the previous key still live: again in %llu s",
				  (unsigned long long)seconds_until(epoch + 1));
	while (slot == sched.now || slot == sched.before)
		slot++;
	err = random_fill(&key, sizeof(key));
	if (err)
		return log_err(err, "random key");
	key.made_s = (__u64)time(NULL);
	err = mapio_key_set(g, slot, &key);
	explicit_bzero(&key, sizeof(key));
	if (err)
		return err;
	sched.before = sched.now;
	sched.now = slot;
	sched.since_epoch = epoch + 1;
	err = mapio_keysched_set(g, &sched);
	if (!err)
		log_note("the next key takes over in %llu s",
			 (unsigned long long)seconds_until(epoch + 1));
	return err;
}

static int key_show(const struct guard *g, const struct opts *o)
{
	struct sw_keysched sched;
	__u32 epoch = key_epoch();
	struct json j;
	bool pending;
	int err = mapio_keysched(g, &sched);

	if (err)
		return err;
	pending = is_pending(&sched, epoch);
	if (o->json) {
		json_begin(&j, stdout);
		json_object(&j, NULL);
		json_u64(&j, "epoch", epoch);
		json_u64(&j, "epoch_ends_s", seconds_until(epoch + 1));
		json_u64(&j, "since_epoch", sched.since_epoch);
		json_bool(&j, "pending", pending);
		json_u64(&j, "age_s", key_age(g, &sched));
		json_str(&j, "key", "(hidden)");
		json_end(&j);
		return 0;
	}
	printf("%-14s%u, ends in %llu s\n", "epoch:", epoch,
	       (unsigned long long)seconds_until(epoch + 1));
	printf("%-14s(hidden), %llu s old\n", "key:", (unsigned long long)key_age(g, &sched));
	if (pending)
		printf("%-14s(hidden), takes over in %llu s\n",
		       "next key:", (unsigned long long)seconds_until(sched.since_epoch));
	else
		printf("%-14sepoch %u\n", "in use since:", sched.since_epoch);
	return 0;
}

int cmd_key(const struct opts *o, int argc, char **argv)
{
	autoguard struct guard g = GUARD_INIT;
	autolock int lock = -1;
	bool rotate = argc && !strcmp(argv[0], "rotate");
	int err;

	if (argc != 1 || (!rotate && strcmp(argv[0], "show")))
		return log_usage("key needs show or rotate");
	err = rotate ? guard_open_locked(&g, o->pin, &lock) : guard_open(&g, o->pin);
	if (!err)
		err = rotate ? key_rotate(&g) : key_show(&g, o);
	return exit_code(err);
}

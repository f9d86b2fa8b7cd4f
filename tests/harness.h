/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The test runner: tests register themselves, run each in a child of their own and are
 * reported as TAP. Nothing here knows about BPF; that is fixture.h.
 *
 *	TEST(ipv6_fragment_does_not_move_l4, "H07") { ... CHECK_EQ(got, want); }
 *
 * The second argument names the rows of tests/catalogue that the test covers. A test fails
 * on a failed check, a signal, its time limit, and when it does not reach its end.
 */
#ifndef HARNESS_H
#define HARNESS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct test {
	const char *name;
	const char *rows;
	void (*run)(void);
	unsigned int limit_s;
	bool internal; /* run only by name: bait of the harness's own tests */
	bool pure;     /* needs no fixture */
	struct test *next;
};

/* Defined as true in front of the include: tests of plain functions, without privileges. */
#ifndef HARNESS_PURE
#define HARNESS_PURE false
#endif

void test_register(struct test *t);

#define TEST_FULL(fn, catalogue_rows, limit, hidden)                 \
	static void fn(void);                                        \
	static struct test fn##_test = {                             \
		.name = #fn,                                         \
		.rows = catalogue_rows,                              \
		.run = fn,                                           \
		.limit_s = limit,                                    \
		.internal = hidden,                                  \
		.pure = HARNESS_PURE,                                \
	};                                                           \
	__attribute__((constructor)) static void fn##_register(void) \
	{                                                            \
		test_register(&fn##_test);                           \
	}                                                            \
	static void fn(void)

/* 300 s: everything here takes seconds, but the same tests run on emulated CPUs. */
#define TEST(fn, rows)              TEST_FULL(fn, rows, 300, false)
#define TEST_LIMIT(fn, rows, limit) TEST_FULL(fn, rows, limit, false)
#define TEST_INTERNAL(fn)           TEST_FULL(fn, "", 20, true)

/* What a failed check prints in front: the row of a table, the step of a sequence. */
void test_context(const char *fmt, ...) __attribute__((format(printf, 1, 2)));
void test_note(const char *fmt, ...) __attribute__((format(printf, 1, 2)));
void test_fail(const char *file, int line, const char *fmt, ...)
	__attribute__((format(printf, 3, 4)));
void test_skip(const char *fmt, ...) __attribute__((format(printf, 1, 2), noreturn));
void test_abort(void) __attribute__((noreturn));
bool test_failed(void);
void test_hex(const char *what, const void *bytes, size_t len);

bool check_true(const char *file, int line, const char *what, bool is_true);
bool check_eq(const char *file, int line, const char *what, long long got, long long want);
bool check_bytes(const char *file, int line, const char *what, const void *got, size_t got_len,
		 const void *want, size_t want_len);

#define CHECK(cond)         check_true(__FILE__, __LINE__, #cond, cond)
#define CHECK_EQ(got, want) check_eq(__FILE__, __LINE__, #got, (long long)(got), (long long)(want))
#define CHECK_BYTES(got, got_len, want, want_len) \
	check_bytes(__FILE__, __LINE__, #got, got, got_len, want, want_len)
#define FAIL(...) test_fail(__FILE__, __LINE__, __VA_ARGS__)
/* What follows cannot run without it. */
#define REQUIRE(cond)                 \
	do {                          \
		if (!CHECK(cond))     \
			test_abort(); \
	} while (0)
/* A system call of the test itself. */
#define MUST(call)                                 \
	({                                         \
		typeof(call) must_result = (call); \
		if (must_result < 0) {             \
			FAIL("%s: %m", #call);     \
			test_abort();              \
		}                                  \
		must_result;                       \
	})

#define ARRAY_SIZE(a) (sizeof(a) / sizeof((a)[0]))

/* Seeded by --seed or SW_SEED, else by the clock; printed at start. Same seed, same numbers. */
extern uint64_t test_seed;
uint64_t test_random(void);

/* Runs a test of this binary by name in a child, silently: true when it passed. */
bool test_passes(const char *name);

/*
 * Weak; a fixture defines them. prepare: once, before the first test that is not pure, in the
 * parent. enter: in each child. finish: once, after the last test; not 0 fails the run.
 */
int fixture_prepare(void);
void fixture_enter(void);
void fixture_leave(void);
int fixture_finish(void);

#endif /* HARNESS_H */

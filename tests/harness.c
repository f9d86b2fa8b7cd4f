/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Test runner: registration, one child per test, TAP. See harness.h.
 */
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "harness.h"

#define SKIP_WHY_SIZE 256
#define MAX_FAILURES  12 /* printed per test; a broken table row repeats itself */

/* Exit codes of a child. Not 0: a stray exit(0) inside a test must not look like a pass. */
enum outcome {
	PASSED = 100,
	FAILED = 101,
	SKIPPED = 102
};

static struct test *first_test;
static struct test **next_test = &first_test;
static char context[256];
static unsigned int failures;
static bool with_fixture;
static uint64_t random_state[2];
static char *skip_why; /* shared with the children */
uint64_t test_seed;

__attribute__((weak)) int fixture_prepare(void)
{
	return 0;
}

__attribute__((weak)) void fixture_enter(void)
{
}

__attribute__((weak)) void fixture_leave(void)
{
}

__attribute__((weak)) int fixture_finish(void)
{
	return 0;
}

void test_register(struct test *t)
{
	*next_test = t;
	next_test = &t->next;
}

/* xorshift128+: repeatable on every libc. */
uint64_t test_random(void)
{
	uint64_t a = random_state[0], b = random_state[1];

	random_state[0] = b;
	a ^= a << 23;
	random_state[1] = a ^ b ^ (a >> 18) ^ (b >> 5);
	return random_state[1] + b;
}

static void random_start(void)
{
	random_state[0] = test_seed ^ 0x9e3779b97f4a7c15ULL;
	random_state[1] = test_seed * 0xbf58476d1ce4e5b9ULL + 1;
	for (int i = 0; i < 16; i++)
		test_random();
}

void test_context(const char *fmt, ...)
{
	va_list ap;

	va_start(ap, fmt);
	vsnprintf(context, sizeof(context), fmt, ap);
	va_end(ap);
}

void test_note(const char *fmt, ...)
{
	va_list ap;

	va_start(ap, fmt);
	printf("# ");
	vprintf(fmt, ap);
	printf("\n");
	va_end(ap);
}

void test_fail(const char *file, int line, const char *fmt, ...)
{
	int saved = errno; /* %m of the caller */
	va_list ap;

	if (++failures > MAX_FAILURES) {
		if (failures == MAX_FAILURES + 1)
			printf("# further failures are not printed\n");
		return;
	}
	printf("# %s:%d: %s%s", file, line, context, context[0] ? ": " : "");
	errno = saved;
	va_start(ap, fmt);
	vprintf(fmt, ap);
	va_end(ap);
	printf("\n");
}

bool test_failed(void)
{
	return failures > 0;
}

static void leave(void)
{
	bool has = with_fixture;

	with_fixture = false; /* its own checks may end the test */
	if (has)
		fixture_leave();
}

void test_abort(void)
{
	leave();
	fflush(stdout);
	_exit(FAILED);
}

void test_skip(const char *fmt, ...)
{
	va_list ap;

	if (failures)
		test_abort();
	va_start(ap, fmt);
	vsnprintf(skip_why, SKIP_WHY_SIZE, fmt, ap);
	va_end(ap);
	leave();
	fflush(stdout);
	_exit(failures ? FAILED : SKIPPED);
}

void test_hex(const char *what, const void *bytes, size_t len)
{
	const unsigned char *b = bytes;

	if (failures > MAX_FAILURES)
		return;
	printf("#   %s (%zu bytes):", what, len);
	for (size_t i = 0; i < len && i < 256; i++)
		printf("%s%02x", i % 32 == 0 ? "\n#     " : i % 4 == 0 ? " " : "", b[i]);
	printf("%s\n", len > 256 ? " ..." : "");
}

bool check_true(const char *file, int line, const char *what, bool is_true)
{
	if (!is_true)
		test_fail(file, line, "not true: %s", what);
	return is_true;
}

bool check_eq(const char *file, int line, const char *what, long long got, long long want)
{
	if (got == want)
		return true;
	test_fail(file, line, "%s: got %lld (0x%llx), expected %lld (0x%llx)", what, got,
		  (unsigned long long)got, want, (unsigned long long)want);
	return false;
}

bool check_bytes(const char *file, int line, const char *what, const void *got, size_t got_len,
		 const void *want, size_t want_len)
{
	const unsigned char *g = got, *w = want;
	size_t at = 0;

	if (got_len == want_len && (!got_len || memcmp(got, want, got_len) == 0))
		return true;
	while (at < got_len && at < want_len && g[at] == w[at])
		at++;
	test_fail(file, line, "%s: bytes differ first at offset %zu", what, at);
	test_hex("got", got, got_len);
	test_hex("expected", want, want_len);
	return false;
}

static int run_in_child(const struct test *t)
{
	int status;
	pid_t pid;

	fflush(stdout);
	pid = fork();
	if (pid < 0)
		return -errno;
	if (pid == 0) {
		alarm(t->limit_s);
		random_start();
		with_fixture = !t->pure;
		if (with_fixture)
			fixture_enter();
		t->run();
		leave();
		fflush(stdout);
		_exit(failures ? FAILED : PASSED);
	}
	while (waitpid(pid, &status, 0) < 0)
		if (errno != EINTR)
			return -errno;
	if (WIFSIGNALED(status)) {
		if (WTERMSIG(status) == SIGALRM)
			printf("# %s: not done after %u s\n", t->name, t->limit_s);
		else
			printf("# %s: killed by signal %d\n", t->name, WTERMSIG(status));
		return FAILED;
	}
	if (WEXITSTATUS(status) < PASSED || WEXITSTATUS(status) > SKIPPED) {
		printf("# %s: left with exit code %d before its end\n", t->name,
		       WEXITSTATUS(status));
		return FAILED;
	}
	return WEXITSTATUS(status);
}

bool test_passes(const char *name)
{
	int out = dup(STDOUT_FILENO), null = open("/dev/null", O_WRONLY);
	int result = FAILED;

	fflush(stdout);
	dup2(null, STDOUT_FILENO);
	for (const struct test *t = first_test; t; t = t->next)
		if (strcmp(t->name, name) == 0)
			result = run_in_child(t);
	fflush(stdout);
	dup2(out, STDOUT_FILENO);
	close(out);
	close(null);
	return result == PASSED;
}

static bool is_wanted(const struct test *t, int n, char **names)
{
	if (n == 0)
		return !t->internal;
	for (int i = 0; i < n; i++)
		if (t->internal ? !strcmp(t->name, names[i]) : !!strstr(t->name, names[i]))
			return true;
	return false;
}

static void read_seed(const char *text)
{
	struct timespec now;

	clock_gettime(CLOCK_REALTIME, &now);
	test_seed = (uint64_t)now.tv_sec * 1000000007ULL ^ (uint64_t)now.tv_nsec ^
		    ((uint64_t)getpid() << 40);
	if (text)
		test_seed = strtoull(text, NULL, 0);
}

static int run_all(int n_names, char **names)
{
	bool prepared = false;
	int n = 0, bad = 0;

	for (const struct test *t = first_test; t; t = t->next) {
		int result;

		if (!is_wanted(t, n_names, names))
			continue;
		if (!t->pure && !prepared && fixture_prepare()) {
			printf("Bail out! the fixture cannot be prepared\n");
			return 1;
		}
		prepared |= !t->pure;
		result = run_in_child(t);
		printf("%s %d - %s%s%s\n", result == FAILED || result < 0 ? "not ok" : "ok", ++n,
		       t->name, result == SKIPPED ? " # SKIP " : "",
		       result == SKIPPED ? skip_why : "");
		fflush(stdout);
		bad += result == FAILED || result < 0;
	}
	if (prepared && fixture_finish())
		bad++;
	printf("1..%d\n", n);
	if (n == 0)
		printf("# no test has such a name\n");
	return bad || n == 0 ? 1 : 0;
}

int main(int argc, char **argv)
{
	const char *seed = getenv("SW_SEED");
	int i = 1;

	setvbuf(stdout, NULL, _IOLBF, 0);
	skip_why = mmap(NULL, SKIP_WHY_SIZE, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1,
			0);
	if (skip_why == MAP_FAILED)
		return 1;
	if (argc > 1 && !strcmp(argv[1], "--list")) {
		for (const struct test *t = first_test; t; t = t->next)
			if (!t->internal)
				printf("%s %s\n", t->name, t->rows);
		return 0;
	}
	if (argc > 2 && !strcmp(argv[1], "--seed")) {
		seed = argv[2];
		i = 3;
	}
	read_seed(seed);
	printf("# seed 0x%llx\n", (unsigned long long)test_seed);
	return run_all(argc - i, argv + i);
}

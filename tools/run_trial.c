/* SPDX-License-Identifier: BSD-2-Clause */
#include "run_trial.h"

#include "base/clock.h"
#include "base/reason.h"
#include "host/pin.h"
#include "phys/attempt.h"

#include <contig.h>
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

/* Without the call, which the user didn't make, and each thing said once: the
 * library tries more than once. */
static void explain(struct trial *out)
{
	const char *reason = contig_strreason(), *end = strstr(reason, "): ");

	reason = !*reason ? strerrordesc_np(errno) : end ? end + 3 : reason;
	contig_reason_once(reason, out->why, sizeof(out->why));
}

/* In the child. */
static void try_it(const struct trial_wish *wish, struct trial *out)
{
	struct contig_pool_attr attr = {
		.struct_size = sizeof(attr),
		.name = "trial",
		.kind = CONTIG_POOL_PRIVATE,
		.node = wish->node,
	};
	struct contig_range_info info;
	contig_pool_t *pool;
	void *p;

	out->end = TRIAL_REFUSED;
	/* With these the frames are free as soon as they are given back. */
	contig_pin_keep_descriptors();
	pool = contig_pool_create(&attr);
	if (!pool) {
		explain(out);
		return;
	}
	contig_attempt_cap(wish->most, 0);
	p = contig_pool_malloc(pool, wish->size, M_TEMP, M_WAITOK, 0, wish->high, wish->align, 0);
	if (!p) {
		explain(out);
	} else {
		out->end = TRIAL_GOT;
		if (!contig_range_check(p, wish->size, &info))
			out->wiring = info.wiring;
		contigfree(p, wish->size, M_TEMP);
	}
	contig_pool_destroy(pool);
	contig_pin_release_now();
}

static void child(const struct trial_wish *wish, int channel)
{
	struct trial result = {.wiring = CONTIG_WIRING_NONE};
	int null = open("/dev/null", O_RDWR | O_CLOEXEC);

	/* What the library complains of, the program's will too. */
	if (null >= 0)
		dup2(null, STDERR_FILENO);
	signal(SIGPIPE, SIG_DFL);
	try_it(wish, &result);
	if (write(channel, &result, sizeof(result)) < 0)
		_exit(1);
	_exit(0);
}

static uint64_t now_ms(void)
{
	return clock_ns() / 1000000;
}

/* 1: it has something to say, or has gone; 0: the time is over. */
static int wait_for(int fd, unsigned int ms)
{
	struct pollfd one = {.fd = fd, .events = POLLIN};
	uint64_t end = now_ms() + ms, now;
	int r;

	while ((now = now_ms()) < end) {
		r = poll(&one, 1, (int)(end - now));
		if (r >= 0 || errno != EINTR)
			return r != 0;
	}
	return 0;
}

void trial_make(const struct trial_wish *wish, struct trial *out)
{
	struct sigaction sigchld, none = {.sa_handler = SIG_DFL};
	int channel[2], status;
	pid_t pid;

	*out = (struct trial){.end = TRIAL_FAILED};
	if (pipe2(channel, O_CLOEXEC))
		return;
	sigaction(SIGCHLD, &none, &sigchld);
	pid = fork();
	if (!pid) {
		close(channel[0]);
		child(wish, channel[1]);
	}
	close(channel[1]);
	if (pid > 0) {
		if (!wait_for(channel[0], wish->ms)) {
			out->end = TRIAL_LATE;
			kill(pid, SIGKILL);
		} else if (read(channel[0], out, sizeof(*out)) != sizeof(*out)) {
			*out = (struct trial){.end = TRIAL_FAILED};
		}
		out->why[sizeof(out->why) - 1] = '\0';
		while (waitpid(pid, &status, 0) < 0 && errno == EINTR)
			;
	}
	close(channel[0]);
	sigaction(SIGCHLD, &sigchld, NULL);
}

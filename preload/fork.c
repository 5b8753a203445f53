/* SPDX-License-Identifier: BSD-2-Clause */
#include "preload/fork.h"

#include "base/reason.h"
#include "host/self.h"
#include "host/threads.h"
#include "phys/fork_plan.h"
#include "preload/engine.h"
#include "preload/extents.h"
#include "preload/inside.h"
#include "preload/mappings.h"
#include "preload/meta.h"
#include "preload/options.h"
#include "preload/report.h"

#include <errno.h>
#include <fcntl.h>
#include <pty.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <unistd.h>
#include <utmp.h>

/* The C library's fork by its other name, which is nobody's override; and the
 * bare one (glibc 2.34). */
extern pid_t __fork(void);
extern pid_t _Fork(void) __attribute__((weak));

static pid_t owner;
static uint32_t known_self; /* the process of the core's state; 0 not noted yet */

bool shim_own_process(void)
{
	return getpid() == owner;
}

__attribute__((constructor)) static void note_owner(void)
{
	owner = getpid();
	shim_options_read();
	if (shim_options.active)
		known_self = contig_self();
}

bool shim_fork_missed(void)
{
	uint32_t self = __atomic_load_n(&known_self, __ATOMIC_RELAXED);

	return self && contig_self() != self;
}

void shim_fork_make_up(void)
{
	uint32_t self = __atomic_load_n(&known_self, __ATOMIC_RELAXED);
	int error = errno;

	if (!shim_fork_missed() || shim_inside() || shim_engine_held ||
	    !__atomic_compare_exchange_n(&known_self, &self, contig_self(), false,
					 __ATOMIC_ACQ_REL, __ATOMIC_RELAXED))
		return;
	shim_mappings_fork_prepare();
	shim_engine_fork_missed();
	shim_fork_child();
	errno = error;
}

void shim_fork_prepare(void)
{
	shim_mappings_fork_prepare();
	shim_engine_fork_prepare();
}

void shim_fork_parent(void)
{
	shim_engine_fork_parent();
	shim_mappings_fork_parent();
}

void shim_fork_child(void)
{
	owner = getpid();
	if (shim_options.active) {
		known_self = contig_self();
		shim_report_child();
	}
	shim_engine_fork_child();
	shim_mappings_fork_child();
	shim_count(SHIM_INHERITED, contig_fork_inherited());
}

static pid_t refused(const char *why)
{
	shim_count(SHIM_FORKS_REFUSED, 1);
	shim_reason(why, 0);
	errno = ENOMEM;
	return -1;
}

static void count_way(enum contig_fork_way way)
{
	static const enum shim_counter counters[] = {
		[CONTIG_FORK_BARE] = SHIM_FORKS_BARE,
		[CONTIG_FORK_PINNED] = SHIM_FORKS_PINNED,
		[CONTIG_FORK_SWAPPED] = SHIM_FORKS_SWAPPED,
		[CONTIG_FORK_COW] = SHIM_FORKS_COW,
		/* It went well all the same. */
		[CONTIG_FORK_REFUSED] = SHIM_FORKS_PINNED,
	};

	shim_count(counters[way], 1);
}

/* What it would come to; cow has been chosen where it is the last way. */
static enum contig_fork_way ask(bool *unpinned)
{
	bool cow = shim_options.fork == SHIM_FORK_COW;
	size_t mapped = shim_mappings_pinned();
	enum contig_fork_way way;

	*unpinned = false;
	contig_fork_allow_cow(cow);
	if (!shim_pool() && !mapped)
		return CONTIG_FORK_BARE;
	way = contig_fork_ask(mapped, !cow);
	if (way != CONTIG_FORK_REFUSED || !mapped || !cow)
		return way;
	way = contig_fork_ask(0, true);
	if (way == CONTIG_FORK_REFUSED)
		return way;
	shim_mappings_unpin();
	*unpinned = true;
	return way;
}

/* The kernel had fewer superpages than it said a moment ago. */
static pid_t fork_again(void)
{
	enum contig_fork_way way;
	sigset_t signals;
	pid_t pid = -1;

	contig_fork_prefer_swap(true);
	contig_signals_block(&signals);
	shim_enter();
	way = contig_fork_ask(shim_mappings_pinned(), true);
	shim_leave();
	contig_signals_restore(&signals);
	if (way == CONTIG_FORK_SWAPPED)
		pid = __fork();
	else
		errno = ENOMEM;
	contig_fork_prefer_swap(false);
	return pid;
}

pid_t fork(void)
{
	enum contig_fork_way way;
	sigset_t signals;
	bool unpinned;
	pid_t pid;

	if (!shim_options.active)
		return __fork();
	if (shim_inside())
		return _Fork ? _Fork() : __fork();
	shim_fork_make_up();
	/* So that a handler that forks finds the locks free. */
	contig_signals_block(&signals);
	shim_enter();
	way = ask(&unpinned);
	shim_leave();
	contig_signals_restore(&signals);
	if (way == CONTIG_FORK_REFUSED)
		return refused(contig_reason_get());
	pid = __fork();
	if (pid < 0 && errno == ENOMEM && way == CONTIG_FORK_PINNED)
		pid = fork_again();
	if (pid < 0 && errno == ENOMEM)
		return refused("fork: the kernel had too few superpages, or too little memory, for the child's copy");
	if (pid > 0)
		count_way(unpinned ? CONTIG_FORK_COW : contig_fork_done());
	return pid;
}

/* glibc's call fork inside the library, where no override is seen. */
int daemon(int nochdir, int noclose)
{
	struct stat st;
	int fd;

	switch (fork()) {
	case -1:
		return -1;
	case 0:
		break;
	default:
		_exit(0);
	}
	if (setsid() < 0)
		return -1;
	if (!nochdir && chdir("/") < 0)
		errno = 0; /* as ever: not looked at */
	if (noclose)
		return 0;
	fd = open("/dev/null", O_RDWR);
	if (fd < 0)
		return -1;
	if (fstat(fd, &st) < 0 || !S_ISCHR(st.st_mode) || st.st_rdev != makedev(1, 3)) {
		close(fd);
		errno = ENODEV;
		return -1;
	}
	for (int i = 0; i < 3; i++)
		dup2(fd, i);
	if (fd > 2)
		close(fd);
	return 0;
}

pid_t forkpty(int *controller, char *name, const struct termios *termios,
	      const struct winsize *size)
{
	int own, others;
	pid_t pid;

	if (openpty(&own, &others, name, termios, size) < 0)
		return -1;
	pid = fork();
	if (pid < 0) {
		int saved = errno;

		close(own);
		close(others);
		errno = saved;
		return -1;
	}
	if (!pid) {
		close(own);
		if (login_tty(others) < 0)
			_exit(1);
		return 0;
	}
	*controller = own;
	close(others);
	return pid;
}

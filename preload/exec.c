/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * exec: the program that comes next may want the superpages of the one that
 * goes, and pins outlive an address space by some 15 ms (FACTS 15).  So they
 * are given up first, and made anew should the call fail.  In a child of
 * vfork(2) nothing is done: what it sees are its parent's.
 *
 * The C library's own calls (posix_spawn, system, popen) use none of these
 * names, and run in such children.
 */
#include "preload/exit.h"

#include "phys/fork_plan.h"
#include "preload/inside.h"
#include "preload/mappings.h"

#include <alloca.h>
#include <dlfcn.h>
#include <errno.h>
#include <stdarg.h>
#include <stddef.h>
#include <sys/syscall.h>
#include <unistd.h>

/* After a call that failed: wired again, or told not to be. */
static int failed(unsigned int unpinned)
{
	int saved = errno;

	if (unpinned && !shim_inside()) {
		shim_enter();
		contig_fork_pin_again();
		shim_leave();
		shim_mappings_unpin();
	}
	errno = saved;
	return -1;
}

int execve(const char *path, char *const argv[], char *const envp[])
{
	unsigned int unpinned = 0;

	/* Most calls that fail do so for this. */
	if (!access(path, X_OK))
		unpinned = shim_exit_unpin();
	syscall(SYS_execve, path, argv, envp);
	return failed(unpinned);
}

int execveat(int fd, const char *path, char *const argv[], char *const envp[], int flags)
{
	unsigned int unpinned = shim_exit_unpin();

	syscall(SYS_execveat, fd, path, argv, envp, flags);
	return failed(unpinned);
}

int fexecve(int fd, char *const argv[], char *const envp[])
{
	static int (*next)(int, char *const *, char *const *);
	unsigned int unpinned;

	if (!next)
		*(void **)&next = dlsym(RTLD_NEXT, "fexecve");
	unpinned = shim_exit_unpin();
	if (next)
		next(fd, argv, envp);
	else
		errno = ENOSYS;
	return failed(unpinned);
}

/* Searches as the C library does, by the C library. */
int execvpe(const char *file, char *const argv[], char *const envp[])
{
	static int (*next)(const char *, char *const *, char *const *);
	unsigned int unpinned;

	if (!next)
		*(void **)&next = dlsym(RTLD_NEXT, "execvpe");
	unpinned = shim_exit_unpin();
	if (next)
		next(file, argv, envp);
	else
		errno = ENOSYS;
	return failed(unpinned);
}

int execv(const char *path, char *const argv[])
{
	return execve(path, argv, environ);
}

int execvp(const char *file, char *const argv[])
{
	return execvpe(file, argv, environ);
}

/* argv of a call that lists its arguments; with the environment behind them. */
static size_t count(const char *arg, va_list ap)
{
	size_t n = 1;

	while (arg) {
		arg = va_arg(ap, const char *);
		n++;
	}
	return n;
}

#define LIST(argv, arg, ap, last)                                                            \
	do {                                                                                 \
		size_t n_;                                                                   \
		va_start(ap, last);                                                          \
		n_ = count(arg, ap);                                                         \
		va_end(ap);                                                                  \
		argv = alloca(n_ * sizeof(*(argv)));                                         \
		(argv)[0] = (char *)(ptrdiff_t)arg;                                          \
		va_start(ap, last);                                                          \
		for (size_t i_ = 1; i_ < n_; i_++)                                           \
			(argv)[i_] = va_arg(ap, char *);                                     \
	} while (0)

int execl(const char *path, const char *arg, ...)
{
	char **argv;
	va_list ap;

	LIST(argv, arg, ap, arg);
	va_end(ap);
	return execve(path, argv, environ);
}

int execlp(const char *file, const char *arg, ...)
{
	char **argv;
	va_list ap;

	LIST(argv, arg, ap, arg);
	va_end(ap);
	return execvpe(file, argv, environ);
}

int execle(const char *path, const char *arg, ...)
{
	char *const *envp;
	char **argv;
	va_list ap;

	LIST(argv, arg, ap, arg);
	envp = va_arg(ap, char *const *);
	va_end(ap);
	return execve(path, argv, envp);
}

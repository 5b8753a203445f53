/* SPDX-License-Identifier: BSD-2-Clause */
#include "run_child.h"

#include "run_say.h"

#include <errno.h>
#include <fcntl.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/types.h>
#include <sys/wait.h>
#include <unistd.h>

/* What would end or reach us, and is meant for the program. */
static const int passed_on[] = {SIGHUP,	 SIGINT,  SIGQUIT, SIGTERM,
				SIGUSR1, SIGUSR2, SIGALRM, SIGWINCH};

#define N_PASSED_ON (sizeof(passed_on) / sizeof(passed_on[0]))

static int not_started(const struct program *program, int error)
{
	char text[sizeof(program->loader) + 64];

	if (error == ENOENT && program->loader[0] && access(program->loader, F_OK))
		snprintf(text, sizeof(text), "its loader %s: %s", program->loader,
			 strerror(error));
	else
		snprintf(text, sizeof(text), "%s", strerror(error));
	run_say(program->path, text);
	return error == ENOENT ? RUN_NOT_FOUND : RUN_NOT_STARTED;
}

static void execute(const struct program *program, char *const *argv)
{
	/* The path has a slash: no search, but a script without #! goes to the
	 * shell, which a program for another machine should not. */
	if (program->binary)
		execv(program->path, argv);
	else
		execvp(program->path, argv);
}

int child_exec(const struct program *program, char *const *argv, void (*sigpipe)(int))
{
	int error;

	signal(SIGPIPE, sigpipe);
	execute(program, argv);
	error = errno;
	signal(SIGPIPE, SIG_IGN);
	return not_started(program, error);
}

static void wait_for(pid_t pid, const sigset_t *set, int *status)
{
	siginfo_t info;

	for (;;) {
		pid_t got = waitpid(pid, status, WNOHANG);

		if (got == pid || (got < 0 && errno != EINTR))
			return;
		if (sigwaitinfo(set, &info) < 0 || info.si_signo == SIGCHLD)
			continue;
		/* The terminal's (SI_KERNEL) went to the whole group. */
		if (info.si_code <= 0 && info.si_pid != pid)
			kill(pid, info.si_signo);
	}
}

int child_run(const struct program *program, char *const *argv, void (*sigpipe)(int),
	      int *status)
{
	struct sigaction sigchld, none = {.sa_handler = SIG_DFL};
	int channel[2], error = 0;
	sigset_t set, before;
	pid_t pid;

	sigemptyset(&set);
	sigaddset(&set, SIGCHLD);
	for (size_t i = 0; i < N_PASSED_ON; i++)
		sigaddset(&set, passed_on[i]);
	if (pipe2(channel, O_CLOEXEC)) {
		run_say("pipe", strerror(errno));
		return RUN_TROUBLE;
	}
	/* A caller that ignores SIGCHLD would have no status to wait for. */
	sigaction(SIGCHLD, &none, &sigchld);
	sigprocmask(SIG_BLOCK, &set, &before);
	pid = fork();
	if (pid < 0) {
		run_say("fork", strerror(errno));
		close(channel[0]);
		close(channel[1]);
		return RUN_TROUBLE;
	}
	if (!pid) {
		sigaction(SIGCHLD, &sigchld, NULL);
		signal(SIGPIPE, sigpipe);
		sigprocmask(SIG_SETMASK, &before, NULL);
		execute(program, argv);
		error = errno;
		if (write(channel[1], &error, sizeof(error)) < 0)
			_exit(RUN_TROUBLE);
		_exit(RUN_NOT_STARTED);
	}
	close(channel[1]);
	/* End of file: it has been executed, and the pipe closed by that. */
	while (read(channel[0], &error, sizeof(error)) < 0 && errno == EINTR) {
	}
	close(channel[0]);
	*status = 0;
	wait_for(pid, &set, status);
	return error ? not_started(program, error) : 0;
}

int child_pass_on(int status)
{
	const struct rlimit no_core = {0, 0};
	sigset_t set;
	int sig;

	if (WIFEXITED(status))
		return WEXITSTATUS(status);
	sig = WTERMSIG(status);
	setrlimit(RLIMIT_CORE, &no_core);
	signal(sig, SIG_DFL);
	sigemptyset(&set);
	sigaddset(&set, sig);
	raise(sig);
	sigprocmask(SIG_UNBLOCK, &set, NULL);
	return 128 + sig; /* one that doesn't kill us */
}

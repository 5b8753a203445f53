/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Runs a program on a kernel that seems to have no io_uring.
 *
 *	without_uring ENOSYS|EPERM PROGRAM [ARGUMENT...]
 *
 * ENOSYS: built without; EPERM: kernel.io_uring_disabled, or a container.  The
 * filter stays for all that the program starts.
 */
#include <errno.h>
#include <linux/audit.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <unistd.h>

static int forbid(int err)
{
	struct sock_filter filter[] = {
		BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, nr)),
		BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, SYS_io_uring_setup, 0, 1),
		BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ERRNO | (unsigned int)err),
		BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW),
	};
	struct sock_fprog program = {sizeof(filter) / sizeof(filter[0]), filter};

	if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0))
		return -1;
	return prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &program);
}

int main(int argc, char **argv)
{
	int err = argc < 3			? 0 :
		  !strcmp(argv[1], "ENOSYS") ? ENOSYS :
		  !strcmp(argv[1], "EPERM")	? EPERM :
						0;

	if (!err) {
		fprintf(stderr, "usage: without_uring ENOSYS|EPERM PROGRAM [ARGUMENT...]\n");
		return 2;
	}
	if (forbid(err)) {
		perror("seccomp");
		return 99;
	}
	/* A test that finds a ring all the same would prove nothing. */
	if (syscall(SYS_io_uring_setup, 1, NULL) != -1 || errno != err) {
		fprintf(stderr, "io_uring is there all the same: %s\n", strerror(errno));
		return 99;
	}
	execv(argv[2], argv + 2);
	perror(argv[2]);
	return 127;
}

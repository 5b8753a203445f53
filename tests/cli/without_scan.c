/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Run a program as on a kernel that has neither PAGEMAP_SCAN (before Linux
 * 6.7) nor PROCMAP_QUERY (before 6.11); "query": only without the latter.
 *
 *	without_scan scan|query PROGRAM [ARGUMENT...]
 */
#include <errno.h>
#include <fcntl.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <unistd.h>

/* _IOWR('f', 16, struct pm_scan_arg) and _IOWR('f', 17, struct procmap_query) */
#define SCAN 0xc0606610u
#define QUERY 0xc0686611u

static int forbid(unsigned int first, unsigned int second)
{
	struct sock_filter filter[] = {
		BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, nr)),
		BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, SYS_ioctl, 0, 4),
		BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, args[1])),
		BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, first, 1, 0),
		BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, second, 0, 1),
		BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ERRNO | ENOTTY),
		BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW),
	};
	struct sock_fprog program = {sizeof(filter) / sizeof(filter[0]), filter};

	if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0))
		return -1;
	return prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &program);
}

int main(int argc, char **argv)
{
	int scan = argc > 2 && !strcmp(argv[1], "scan");
	int fd = open("/proc/self/pagemap", O_RDONLY | O_CLOEXEC);
	char nothing[0x68] = {0};

	if (!scan && (argc < 3 || strcmp(argv[1], "query"))) {
		fprintf(stderr, "usage: without_scan scan|query PROGRAM [ARGUMENT...]\n");
		return 2;
	}
	if (forbid(scan ? SCAN : QUERY, QUERY)) {
		perror("seccomp");
		return 99;
	}
	/* A test that can scan all the same would prove nothing. */
	if (scan && (fd < 0 || ioctl(fd, SCAN, nothing) != -1 || errno != ENOTTY)) {
		fprintf(stderr, "PAGEMAP_SCAN is there all the same: %s\n", strerror(errno));
		return 99;
	}
	execv(argv[2], argv + 2);
	perror(argv[2]);
	return 127;
}

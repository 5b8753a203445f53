/* SPDX-License-Identifier: BSD-2-Clause */
#include "process.h"

#include <ctype.h>
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

static ssize_t slurp(pid_t pid, const char *file, char *buf, size_t len)
{
	char path[64];
	ssize_t n;
	int fd;

	snprintf(path, sizeof(path), "/proc/%d/%s", (int)pid, file);
	fd = open(path, O_RDONLY | O_CLOEXEC);
	if (fd < 0)
		return -errno;
	n = read(fd, buf, len - 1);
	if (n < 0)
		n = -errno;
	close(fd);
	buf[n > 0 ? n : 0] = '\0';
	return n;
}

/* The 22nd field; the second, the name, may hold blanks and brackets. */
static int read_start(pid_t pid, uint64_t *started)
{
	char buf[1024], *p;
	ssize_t n = slurp(pid, "stat", buf, sizeof(buf));

	if (n <= 0)
		return n ? (int)n : -ESRCH;
	p = strrchr(buf, ')');
	for (int field = 2; p && field < 22; field++) {
		p = strchr(p, ' ');
		p = p ? p + 1 : NULL;
	}
	return p && sscanf(p, "%" SCNu64, started) == 1 ? 0 : -EINVAL;
}

static void read_status(pid_t pid, struct process *out)
{
	char buf[4096], *p;

	if (slurp(pid, "status", buf, sizeof(buf)) <= 0)
		return;
	p = strstr(buf, "\nUid:");
	if (p) {
		unsigned int real, effective;

		if (sscanf(p + 5, "%u %u", &real, &effective) == 2)
			out->uid = effective;
	}
	p = strstr(buf, "\nNSpid:");
	if (p) {
		p += 7;
		p[strcspn(p, "\n")] = '\0';
		for (char *word = strtok_r(p, "\t ", &p); word; word = strtok_r(NULL, "\t ", &p))
			out->own_pid = atoi(word);
	}
}

int process_look(pid_t pid, struct process *out)
{
	char path[64];
	struct stat st;
	int err;

	memset(out, 0, sizeof(*out));
	out->pid = out->own_pid = pid;
	out->uid = (uid_t)-1;
	err = read_start(pid, &out->started);
	if (err)
		return err == -ENOENT ? -ESRCH : err;
	if (slurp(pid, "comm", out->name, sizeof(out->name)) > 0)
		out->name[strcspn(out->name, "\n")] = '\0';
	read_status(pid, out);
	snprintf(path, sizeof(path), "/proc/%d/ns/pid", (int)pid);
	if (!stat(path, &st))
		out->namespace = st.st_ino;
	return 0;
}

int process_each_name(const char *directory, int (*fn)(const char *name, void *arg), void *arg)
{
	DIR *dir = opendir(directory);
	struct dirent *entry;
	int ret = 0;

	if (!dir)
		return -errno;
	while (!ret && (errno = 0, entry = readdir(dir)))
		if (strcmp(entry->d_name, ".") && strcmp(entry->d_name, ".."))
			ret = fn(entry->d_name, arg);
	if (!ret && errno)
		ret = -errno;
	closedir(dir);
	return ret;
}

static pid_t number_of(const char *name)
{
	char *end;
	long n;

	if (!isdigit((unsigned char)name[0]))
		return 0;
	errno = 0;
	n = strtol(name, &end, 10);
	return *end || errno || n > INT32_MAX ? 0 : (pid_t)n;
}

static bool is_named(const struct process *process, const char *name)
{
	char path[64], link[4096];
	const char *base;
	ssize_t n;

	if (!strcmp(process->name, name))
		return true;
	snprintf(path, sizeof(path), "/proc/%d/exe", (int)process->pid);
	n = readlink(path, link, sizeof(link) - 1);
	if (n <= 0)
		return false;
	link[n] = '\0';
	base = strrchr(link, '/');
	return !strcmp(base ? base + 1 : link, name);
}

struct list {
	const char *what;
	struct process *processes;
	size_t n, room;
};

static int add(const char *name, void *arg)
{
	struct list *list = arg;
	pid_t pid = number_of(name);
	struct process process;

	if (!pid || process_look(pid, &process) ||
	    (list->what && !number_of(list->what) && !is_named(&process, list->what)))
		return 0;
	if (list->n == list->room) {
		size_t room = list->room ? 2 * list->room : 256;
		void *more = realloc(list->processes, room * sizeof(process));

		if (!more)
			return -ENOMEM;
		list->processes = more;
		list->room = room;
	}
	list->processes[list->n++] = process;
	return 0;
}

static int by_pid(const void *a, const void *b)
{
	const struct process *x = a, *y = b;

	return (x->pid > y->pid) - (x->pid < y->pid);
}

ssize_t process_list(const char *what, struct process **out)
{
	struct list list = {.what = what};
	int err;

	if (what && number_of(what))
		err = add(what, &list);
	else
		err = process_each_name("/proc", add, &list);
	if (err) {
		free(list.processes);
		return err;
	}
	if (list.n)
		qsort(list.processes, list.n, sizeof(list.processes[0]), by_pid);
	*out = list.processes;
	return (ssize_t)list.n;
}

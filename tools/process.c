/* SPDX-License-Identifier: BSD-2-Clause */
#include "process.h"

#include "host/root.h"
#include "grow.h"

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

ssize_t process_read(pid_t pid, const char *file, char *buf, size_t len)
{
	char path[64];

	if (pid)
		snprintf(path, sizeof(path), "/proc/%d/%s", (int)pid, file);
	else
		snprintf(path, sizeof(path), "/proc/self/%s", file);
	return contig_root_read(path, buf, len);
}

/* The 22nd field; the second, the name, may hold blanks and brackets. */
int process_started(pid_t pid, uint64_t *ticks)
{
	char buf[2048], *p;
	ssize_t n = process_read(pid, "stat", buf, sizeof(buf));

	if (n <= 0)
		return n ? (int)n : -ESRCH;
	p = strrchr(buf, ')');
	for (int field = 2; p && field < 22; field++) {
		p = strchr(p, ' ');
		p = p ? p + 1 : NULL;
	}
	return p && !contig_root_number(&p, 10, ticks) ? 0 : -EINVAL;
}

uint64_t process_memory(pid_t pid, const char *field)
{
	int fd = contig_root_open_proc(pid, "status", O_RDONLY);
	size_t len = strlen(field);
	struct root_lines lines;
	uint64_t kilobytes = 0;
	char *line;

	if (fd < 0)
		return 0;
	contig_root_lines_fd(&lines, fd);
	while ((line = contig_root_lines_next(&lines))) {
		if (strncmp(line, field, len) || line[len] != ':')
			continue;
		line += len + 1;
		line += strspn(line, " \t");
		if (contig_root_number(&line, 10, &kilobytes))
			kilobytes = 0;
		break;
	}
	contig_root_lines_close(&lines);
	return kilobytes * 1024;
}

static void read_status(pid_t pid, struct process *out)
{
	char buf[8192], *p;

	if (process_read(pid, "status", buf, sizeof(buf)) <= 0)
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
	struct stat st;
	int err;

	memset(out, 0, sizeof(*out));
	out->pid = out->own_pid = pid;
	out->uid = (uid_t)-1;
	err = process_started(pid, &out->started);
	/* A tree may hold a process without its stat. */
	if (err && contig_root_is_real())
		return err == -ENOENT ? -ESRCH : err;
	if (process_read(pid, "comm", out->name, sizeof(out->name)) < 0) {
		if (err)
			return -ESRCH;
		strcpy(out->name, "?");
	}
	read_status(pid, out);
	err = contig_root_open_proc(pid, "ns/pid", O_PATH);
	if (err >= 0) {
		if (!fstat(err, &st))
			out->namespace = st.st_ino;
		close(err);
	}
	return 0;
}

int process_each_name(const char *directory, int (*fn)(const char *name, void *arg), void *arg)
{
	int fd = contig_root_open(directory, O_RDONLY | O_DIRECTORY), ret = 0;
	DIR *dir = fd < 0 ? NULL : fdopendir(fd);
	struct dirent *entry;

	if (fd < 0)
		return fd;
	if (!dir) {
		ret = -errno;
		close(fd);
		return ret;
	}
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

struct each {
	int (*fn)(pid_t pid, void *arg);
	void *arg;
};

static int each_name(const char *name, void *arg)
{
	const struct each *each = arg;
	pid_t pid = number_of(name);

	return pid ? each->fn(pid, each->arg) : 0;
}

int process_each(int (*fn)(pid_t pid, void *arg), void *arg)
{
	struct each each = {fn, arg};

	return process_each_name("/proc", each_name, &each);
}

/* Whether /proc/PID/comm is this name; or its program's file. */
static bool is_named(pid_t pid, const char *name, bool by_file)
{
	char path[64], text[4096];
	const char *base;
	ssize_t n;
	int fd;

	if (contig_root_is_real() && pid == getpid())
		return false; /* pgrep leaves itself out, too */
	if (!by_file)
		return process_read(pid, "comm", text, sizeof(text)) > 0 && !strcmp(text, name);
	/* A link of a captured tree is looked at, not followed. */
	snprintf(path, sizeof(path), "/proc/%d/exe", (int)pid);
	fd = contig_root_open(path, O_PATH | O_NOFOLLOW);
	if (fd < 0)
		return false;
	n = readlinkat(fd, "", text, sizeof(text) - 1);
	close(fd);
	if (n <= 0)
		return false;
	text[n] = '\0';
	base = strrchr(text, '/');
	return !strcmp(base ? base + 1 : text, name);
}

struct list {
	const char *name; /* NULL: all */
	bool by_file;
	struct process *processes;
	size_t n;
};

static int add(pid_t pid, void *arg)
{
	struct list *list = arg;
	struct process process, *larger;

	if ((list->name && !is_named(pid, list->name, list->by_file)) ||
	    process_look(pid, &process))
		return 0;
	larger = grow(list->processes, list->n, sizeof(*larger));
	if (!larger)
		return -ENOMEM;
	list->processes = larger;
	larger[list->n++] = process;
	return 0;
}

static int by_pid(const void *a, const void *b)
{
	const struct process *x = a, *y = b;

	return (x->pid > y->pid) - (x->pid < y->pid);
}

ssize_t process_list(const char *what, struct process **out)
{
	struct list list = {.name = what};
	int err;

	if (what && number_of(what)) {
		list.name = NULL;
		err = add(number_of(what), &list);
	} else {
		err = process_each(add, &list);
	}
	if (what && !err && list.name && !list.n) {
		list.by_file = true;
		err = process_each(add, &list);
	}
	if (err) {
		free(list.processes);
		return err;
	}
	if (list.n)
		qsort(list.processes, list.n, sizeof(list.processes[0]), by_pid);
	*out = list.processes;
	return (ssize_t)list.n;
}

/* SPDX-License-Identifier: BSD-2-Clause */
#include "run_program.h"

#include "run_elf.h"

#include <errno.h>
#include <fcntl.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <sys/xattr.h>
#include <unistd.h>

#define SCRIPTS_MAX 5	/* the kernel's own limit is near */
#define LINE_MAX_READ 256 /* of a #! line: BINPRM_BUF_SIZE */

static int is_program(const char *path)
{
	struct stat st;

	if (stat(path, &st))
		return -errno;
	if (S_ISDIR(st.st_mode))
		return -EACCES;
	return access(path, X_OK) ? -errno : 0;
}

static int search(const char *name, char *out)
{
	const char *path = getenv("PATH");
	int error = -ENOENT;

	if (!*name)
		return -ENOENT;
	if (strchr(name, '/')) {
		if (snprintf(out, PATH_MAX, "%s", name) >= PATH_MAX)
			return -ENAMETOOLONG;
		return is_program(out);
	}
	if (!path)
		path = "/bin:/usr/bin";
	for (;;) {
		size_t len = strcspn(path, ":");
		int here;

		/* An empty entry is the working directory. */
		if (snprintf(out, PATH_MAX, "%.*s%s%s", (int)len, path, len ? "/" : "./",
			     name) < PATH_MAX) {
			here = is_program(out);
			if (!here)
				return 0;
			if (here == -EACCES)
				error = here;
		}
		if (!path[len])
			return error;
		path += len + 1;
	}
}

static void judge(struct program *out, enum program_help help, const char *format, ...)
	__attribute__((format(printf, 3, 4)));
static void judge(struct program *out, enum program_help help, const char *format, ...)
{
	va_list ap;

	out->help = help;
	va_start(ap, format);
	vsnprintf(out->why, sizeof(out->why), format, ap);
	va_end(ap);
}

/* Whether exec changes to other rights, so that the loader ignores LD_PRELOAD. */
static bool gains_rights(int fd, struct program *out)
{
	struct statvfs fs;
	struct stat st;

	if (fstat(fd, &st) || prctl(PR_GET_NO_NEW_PRIVS, 0, 0, 0, 0) == 1)
		return false;
	if (!fstatvfs(fd, &fs) && fs.f_flag & ST_NOSUID)
		return false;
	if ((st.st_mode & S_ISUID && st.st_uid != getuid()) ||
	    ((st.st_mode & (S_ISGID | S_IXGRP)) == (S_ISGID | S_IXGRP) &&
	     st.st_gid != getgid())) {
		judge(out, PROGRAM_BYPASSED,
		      "is set-id: the loader ignores the shim in it and in what it starts");
		return true;
	}
	if (getuid() && fgetxattr(fd, "security.capability", NULL, 0) > 0) {
		judge(out, PROGRAM_BYPASSED,
		      "has file capabilities: the loader ignores the shim in it and in what "
		      "it starts");
		return true;
	}
	return false;
}

static const char *file_name(const char *path)
{
	const char *slash = strrchr(path, '/');

	return slash ? slash + 1 : path;
}

static void judge_elf(int fd, const struct elf_facts *facts, struct program *out)
{
	static struct elf_facts own;
	int self;

	if (!facts->native) {
		judge(out, PROGRAM_SPARED, "is a %s-bit program%s: the shim is not",
		      facts->wide ? "64" : "32", facts->wide ? " of another machine" : "");
		return;
	}
	if (facts->sanitizer) {
		judge(out, PROGRAM_SPARED,
		      "was built with the %s sanitizer, whose own malloc it needs",
		      facts->sanitizer);
		return;
	}
	if (!facts->dynamic) {
		judge(out, PROGRAM_BYPASSED,
		      "is static: nothing can be preloaded into it (what it starts can be "
		      "helped)");
		return;
	}
	self = open("/proc/self/exe", O_RDONLY | O_CLOEXEC);
	if (self >= 0) {
		if (elf_examine(self, &own) || !own.dynamic)
			own.interpreter[0] = '\0';
		close(self);
	}
	/* The same file name in another place is another version of the same libc. */
	if (own.interpreter[0] &&
	    strcmp(file_name(own.interpreter), file_name(facts->interpreter))) {
		judge(out, PROGRAM_SPARED, "uses another C library (%s): the shim is for %s",
		      facts->interpreter, file_name(own.interpreter));
		return;
	}
	gains_rights(fd, out);
}

/*
 * The #! line of a file: the interpreter, and what runs in the end, which is,
 * through "/usr/bin/env NAME", the program that env will look up.
 */
static bool script(int fd, char *interpreter, char *last)
{
	char line[LINE_MAX_READ + 1], *save, *word;
	ssize_t n = pread(fd, line, LINE_MAX_READ, 0);

	if (n < 3 || line[0] != '#' || line[1] != '!')
		return false;
	line[n] = '\0';
	line[strcspn(line, "\n")] = '\0';
	word = strtok_r(line + 2, " \t", &save);
	if (!word)
		return false;
	snprintf(interpreter, PATH_MAX, "%s", word);
	snprintf(last, PATH_MAX, "%s", word);
	if (strcmp(file_name(word), "env"))
		return true;
	word = strtok_r(NULL, " \t", &save);
	if (word && !strcmp(word, "-S"))
		word = strtok_r(NULL, " \t", &save);
	/* Options and assignments of env are for env to understand. */
	if (word && word[0] != '-' && !strchr(word, '=')) {
		char found[PATH_MAX];

		if (!search(word, found))
			snprintf(last, PATH_MAX, "%s", found);
	}
	return true;
}

int program_find(char *const *argv, struct program *out)
{
	int error;

	memset(out, 0, sizeof(*out));
	error = search(argv[0], out->path);
	if (error)
		return error;
	memcpy(out->judged, out->path, sizeof(out->judged));
	for (int depth = 0; depth < SCRIPTS_MAX; depth++) {
		struct elf_facts facts;
		char interpreter[PATH_MAX];
		char next[PATH_MAX] = "/bin/sh"; /* execvp(3) of what is nothing known */
		int fd = open(out->judged, O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY);

		if (fd < 0) {
			judge(out, PROGRAM_HELPED, "can't be read, so not judged: %s",
			      strerror(errno));
			return 0;
		}
		error = elf_examine(fd, &facts);
		if (!depth)
			out->binary = error != -ENOEXEC;
		if (!error) {
			if (!depth)
				memcpy(out->loader, facts.interpreter, sizeof(out->loader));
			judge_elf(fd, &facts, out);
			close(fd);
			return 0;
		}
		if (error != -ENOEXEC) {
			close(fd);
			judge(out, PROGRAM_HELPED, "is a damaged program, so not judged");
			return 0;
		}
		error = script(fd, interpreter, next) ? is_program(interpreter) : 0;
		close(fd);
		if (error) {
			judge(out, PROGRAM_HELPED, "its interpreter %s: %s", interpreter,
			      strerror(-error));
			return error;
		}
		snprintf(out->judged, sizeof(out->judged), "%s", next);
	}
	return 0;
}

/* SPDX-License-Identifier: BSD-2-Clause */
#include "board.h"

#include "host/maps.h"
#include "process.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <unistd.h>

#define MEMFD_NAME "/memfd:" BOARD_NAME
#define SIZE_MAX_READ (64u << 20)
#define RECORDS_MAX 65536
#define RECORD_SIZE_MAX 65536
#define TRIES 100 /* a record is written in less than a microsecond */
#define TORN_MAX 16 /* nobody keeps us waiting for more of them */

__attribute__((format(printf, 4, 5))) static enum board_error
say(enum board_error error, char *reason, size_t len, const char *format, ...)
{
	va_list ap;

	va_start(ap, format);
	vsnprintf(reason, len, format, ap);
	va_end(ap);
	return error;
}

/* --- finding */

struct search {
	struct board_place place;
	bool found, library;
};

static int look_at(const struct host_mapping *m, void *arg)
{
	struct search *search = arg;
	size_t n = strlen(MEMFD_NAME);
	const char *base = strrchr(m->name, '/');

	if (!strncmp(m->name, MEMFD_NAME, n) && (!m->name[n] || m->name[n] == ' ') &&
	    m->shared && !m->offset) {
		search->place = (struct board_place){m->start, m->end,
						     makedev(m->dev_major, m->dev_minor),
						     m->inode};
		search->found = true;
		return 1;
	}
	if (base && !strncmp(base, "/libcontig.so", 13))
		search->library = true;
	return 0;
}

static enum board_error failed(int error, pid_t pid, char *reason, size_t len)
{
	if (error == -ENOENT || error == -ESRCH)
		return say(BOARD_NO_PROCESS, reason, len, "no such process");
	if (error == -EACCES || error == -EPERM)
		return say(BOARD_FORBIDDEN, reason, len, "not permitted");
	return say(BOARD_INVALID, reason, len, "/proc/%d/maps: %s", (int)pid, strerror(-error));
}

enum board_error board_find(pid_t pid, struct board_place *place, char *reason, size_t len)
{
	struct search search = {.found = false};
	int error = contig_maps_each(pid, false, look_at, &search);

	if (error < 0)
		return failed(error, pid, reason, len);
	*place = search.place;
	if (search.found)
		return BOARD_FOUND;
	/* Whoever has no addresses has ended, or is the kernel's. */
	if (search.library)
		return say(BOARD_NONE, reason, len,
			   "libcontig is loaded but not in use, or has no statistics");
	return say(BOARD_NO_LIBRARY, reason, len, "no libcontig in this process");
}

/* --- opening: by the mapping (root), else by a descriptor that is kept */

static bool is_it(int fd, const struct board_place *place)
{
	struct stat st;

	return !fstat(fd, &st) && S_ISREG(st.st_mode) && st.st_dev == place->device &&
	       st.st_ino == place->inode;
}

/* Only what has the right name and is a memory file is opened: anything else
 * may make us wait. */
static int open_checked(const char *path, const struct board_place *place)
{
	char link[sizeof(MEMFD_NAME)] = "", again[64];
	int handle, fd = -1;

	if (readlink(path, link, sizeof(link) - 1) < 0)
		return -1;
	if (strcmp(link, MEMFD_NAME)) {
		errno = ENOENT;
		return -1;
	}
	handle = open(path, O_PATH | O_CLOEXEC);
	if (handle < 0)
		return -1;
	if (is_it(handle, place)) {
		snprintf(again, sizeof(again), "/proc/self/fd/%d", handle);
		fd = open(again, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
	} else {
		errno = ENOENT;
	}
	close(handle);
	return fd;
}

struct descriptors {
	pid_t pid;
	const struct board_place *place;
	int fd;
};

static int try_descriptor(const char *name, void *arg)
{
	struct descriptors *d = arg;
	char path[64];

	snprintf(path, sizeof(path), "/proc/%d/fd/%.16s", (int)d->pid, name);
	d->fd = open_checked(path, d->place);
	return d->fd >= 0;
}

static enum board_error open_board(pid_t pid, int *fd, char *reason, size_t len)
{
	struct descriptors descriptors = {.pid = pid, .fd = -1};
	struct board_place place;
	enum board_error error = board_find(pid, &place, reason, len);
	char path[96];
	int err;

	if (error)
		return error;
	snprintf(path, sizeof(path), "/proc/%d/map_files/%" PRIx64 "-%" PRIx64, (int)pid,
		 place.start, place.end);
	*fd = open_checked(path, &place);
	if (*fd >= 0)
		return BOARD_FOUND;
	descriptors.place = &place;
	snprintf(path, sizeof(path), "/proc/%d/fd", (int)pid);
	err = process_each_name(path, try_descriptor, &descriptors);
	*fd = descriptors.fd;
	if (*fd >= 0)
		return BOARD_FOUND;
	if (err == -ENOENT || err == -ESRCH)
		return failed(err, pid, reason, len);
	return say(BOARD_FORBIDDEN, reason, len,
		   "it closed its statistics' descriptor, and reading them by their mapping "
		   "needs root (CAP_CHECKPOINT_RESTORE)");
}

/* --- reading */

/* Bytes that are there, zeros behind them: an older library has less. */
static bool read_part(int fd, void *out, size_t size, size_t there, uint64_t offset)
{
	size_t n = there < size ? there : size;

	memset((char *)out + n, 0, size - n);
	return pread(fd, out, n, (off_t)offset) == (ssize_t)n;
}

static bool read_sequence(int fd, uint64_t offset, uint32_t *sequence)
{
	return pread(fd, sequence, sizeof(*sequence), (off_t)offset) == sizeof(*sequence);
}

/* 1, 0: it was being written all the time; -1: can't be read. */
static int read_record(int fd, void *out, size_t size, size_t there, uint64_t offset, int tries)
{
	uint32_t before, after;

	for (int i = 0; i < tries; i++) {
		if (!read_sequence(fd, offset, &before) ||
		    !read_part(fd, out, size, there, offset) || !read_sequence(fd, offset, &after))
			return -1;
		if (before == after && !(before & 1))
			return 1;
		usleep(i < 10 ? 0 : 100);
	}
	memset(out, 0, size);
	return 0;
}

static const char *table_wrong(const struct board_header *header, const struct board_table *table,
			       size_t least)
{
	if (table->used > table->room || table->room > RECORDS_MAX)
		return "a table has more records than it has room for";
	if (table->record_size < least || table->record_size > RECORD_SIZE_MAX)
		return "a table's records have no such size";
	if (table->offset < sizeof(header->magic) || table->offset > header->size ||
	    (uint64_t)table->room * table->record_size > header->size - table->offset)
		return "a table lies outside";
	return NULL;
}

/* Records of a table into *out, n of them; size: ours. */
static const char *read_table(int fd, struct board_copy *copy, enum board_tables which,
			      void *out_pointer, size_t size, size_t *n)
{
	const struct board_table *table = &copy->header.tables[which];
	bool plain = which == BOARD_COUNTERS;
	const char *wrong = table_wrong(&copy->header, table,
					plain ? size : sizeof(struct board_record));
	char *out;

	if (wrong)
		return wrong;
	out = calloc(table->used ? table->used : 1, size);
	if (!out)
		return "no memory";
	memcpy(out_pointer, &out, sizeof(out));
	*n = table->used;
	for (size_t i = 0; i < table->used; i++) {
		uint64_t offset = table->offset + (uint64_t)i * table->record_size;
		int got = plain ? read_part(fd, out + i * size, size, table->record_size, offset) :
				  read_record(fd, out + i * size, size, table->record_size,
					      offset, copy->torn < TORN_MAX ? TRIES : 1);

		if (got < 0 || (plain && !got))
			return "it ends too early";
		copy->torn += !got;
	}
	return NULL;
}

static const char *read_header(int fd, struct board_header *header)
{
	uint32_t there;
	struct stat st;

	if (fstat(fd, &st) < 0 || !S_ISREG(st.st_mode))
		return "it is no file";
	if (st.st_size < (off_t)offsetof(struct board_header, n_tables) ||
	    pread(fd, header, offsetof(struct board_header, n_tables), 0) !=
		    (ssize_t)offsetof(struct board_header, n_tables))
		return "it ends too early";
	if (memcmp(header->magic, BOARD_MAGIC, sizeof(header->magic)))
		return "it doesn't begin as it should";
	if (header->version != BOARD_VERSION)
		return NULL;
	there = header->header_size;
	if (there < offsetof(struct board_header, tables) || there > header->size)
		return "its header has no such size";
	if (header->size > (uint64_t)st.st_size || header->size > SIZE_MAX_READ)
		return "its size is not the file's";
	if (!read_part(fd, header, sizeof(*header), there, 0))
		return "it ends too early";
	/* Read once more: it may have changed. */
	if (header->size > (uint64_t)st.st_size || header->n_tables < 1)
		return "its header makes no sense";
	header->library[sizeof(header->library) - 1] = '\0';
	return NULL;
}

enum board_error board_read_file(int fd, struct board_copy *out, char *reason, size_t len)
{
	const char *wrong;

	memset(out, 0, sizeof(*out));
	wrong = read_header(fd, &out->header);
	if (!wrong && out->header.version != BOARD_VERSION)
		return say(BOARD_INVALID, reason, len,
			   "its statistics are of version %u, this program knows version %d",
			   out->header.version, BOARD_VERSION);
#define READ(which, member, n_member)                                                          \
	do {                                                                                   \
		if (!wrong && (which) < out->header.n_tables)                                  \
			wrong = read_table(fd, out, which, &out->member, sizeof(*out->member), \
					   &out->n_member);                                    \
	} while (0)
	READ(BOARD_COUNTERS, counters, n_counters);
	READ(BOARD_POOLS, pools, n_pools);
	READ(BOARD_VMAS, vmas, n_vmas);
	READ(BOARD_PEERS, peers, n_peers);
#undef READ
	if (wrong) {
		board_free(out);
		return say(BOARD_INVALID, reason, len, "its statistics make no sense: %s", wrong);
	}
	for (size_t i = 0; i < out->n_counters; i++)
		out->counters[i].name[sizeof(out->counters[i].name) - 1] = '\0';
	for (size_t i = 0; i < out->n_pools; i++)
		out->pools[i].name[sizeof(out->pools[i].name) - 1] = '\0';
	for (size_t i = 0; i < out->n_vmas; i++)
		out->vmas[i].path[sizeof(out->vmas[i].path) - 1] = '\0';
	return BOARD_FOUND;
}

enum board_error board_read(pid_t pid, struct board_copy *out, char *reason, size_t len)
{
	struct process before, after;
	enum board_error error;
	int fd;

	if (process_look(pid, &before))
		return say(BOARD_NO_PROCESS, reason, len, "no such process");
	error = open_board(pid, &fd, reason, len);
	if (error)
		return error;
	error = board_read_file(fd, out, reason, len);
	close(fd);
	if (error)
		return error;
	/* Another one by the same number?  And a vfork(2) child has its parent's
	 * addresses, and so its board. */
	if (process_look(pid, &after) || after.started != before.started) {
		board_free(out);
		return say(BOARD_NO_PROCESS, reason, len, "it ended meanwhile");
	}
	if (out->header.pid != (uint32_t)after.own_pid) {
		board_free(out);
		return say(BOARD_NO_LIBRARY, reason, len,
			   "it shares the addresses of its parent (vfork)");
	}
	return BOARD_FOUND;
}

void board_free(struct board_copy *copy)
{
	free(copy->counters);
	free(copy->pools);
	free(copy->vmas);
	free(copy->peers);
	memset(copy, 0, sizeof(*copy));
}

bool board_counter(const struct board_copy *copy, const char *name, uint64_t *value)
{
	for (size_t i = 0; i < copy->n_counters; i++) {
		if (strcmp(copy->counters[i].name, name))
			continue;
		*value = copy->counters[i].value;
		return true;
	}
	return false;
}

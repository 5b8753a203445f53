/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Pinning by pipes.  A byte of a page in a pipe is a reference to the page's
 * folio, and a folio with a reference is neither migrated nor split.
 */
#include "host/pin_method.h"

#include "base/page.h"

#include <errno.h>
#include <fcntl.h>
#include <sys/ioctl.h>
#include <sys/stat.h>
#include <unistd.h>

/* fs.pipe-max-size is 1 MiB by default: 256 slots of a base page each. */
#define PIPE_SLOTS_MAX 256
#define PIPE_SLOTS_DEFAULT 16

/* Not further up: the kernel sizes descriptor tables by the highest number,
 * and fork copies them. */
#define PIPE_FD_LOW 768

/* At once, on the stack of a program's thread. */
#define SPLICE_MOST 16

static int splice_all(int fd, const struct iovec *bytes, size_t n)
{
	for (size_t spliced = 0; spliced < n;) {
		ssize_t r = vmsplice(fd, bytes + spliced, n - spliced, SPLICE_F_NONBLOCK);

		if (r < 0 && errno == EINTR)
			continue;
		if (r <= 0)
			return r ? -errno : -EIO;
		spliced += (size_t)r;
	}
	return 0;
}

/* One byte of each page from page done on, slots of them.  0/-errno. */
static int fill_pipe(int fd, const struct iovec *ranges, unsigned int n,
		     size_t page_size, size_t slots, size_t done)
{
	struct iovec bytes[SPLICE_MOST];
	size_t filled = 0;
	int err = 0;

	for (unsigned int i = 0; i < n && slots && !err; i++) {
		size_t pages = ranges[i].iov_len / page_size;

		if (done >= pages) {
			done -= pages;
			continue;
		}
		for (; done < pages && slots && !err; done++, slots--) {
			bytes[filled].iov_base = (char *)ranges[i].iov_base +
						 done * page_size;
			bytes[filled].iov_len = 1;
			if (++filled < SPLICE_MOST)
				continue;
			err = splice_all(fd, bytes, filled);
			filled = 0;
		}
		done = 0;
	}
	return err ? err : splice_all(fd, bytes, filled);
}

int contig_pin_move_up(int fd)
{
	int high = fcntl(fd, F_DUPFD_CLOEXEC, PIPE_FD_LOW);

	if (high < 0)
		return fd; /* a small RLIMIT_NOFILE: stay */
	close(fd);
	return high;
}

static int make_one(struct pin_pipe_end *end, const struct iovec *ranges,
		    unsigned int n, size_t page_size, size_t slots, size_t done)
{
	struct stat st;
	int fds[2], err;

	if (pipe2(fds, O_CLOEXEC) < 0)
		return -errno;
	if (slots > PIPE_SLOTS_DEFAULT &&
	    fcntl(fds[1], F_SETPIPE_SZ, (int)(slots * FRAME_SIZE)) < 0)
		goto fail;
	err = fill_pipe(fds[1], ranges, n, page_size, slots, done);
	if (err)
		goto close_both;
	if (fstat(fds[0], &st) < 0)
		goto fail;
	/* The content stays as long as either end; and nobody can add to it. */
	close(fds[1]);
	end->fd = contig_pin_move_up(fds[0]);
	if (end->fd <= STDERR_FILENO) {
		/* Never where a daemon that closed them expects its standard streams. */
		end->fd = fcntl(fds[0], F_DUPFD_CLOEXEC, STDERR_FILENO + 1);
		err = end->fd < 0 ? -errno : 0;
		close(fds[0]);
		if (err)
			return err;
	}
	end->dev = st.st_dev;
	end->ino = st.st_ino;
	return 0;
fail:
	err = -errno;
close_both:
	close(fds[0]);
	close(fds[1]);
	return err;
}

int contig_pin_pipe_make(struct pin_pipe *pipes, const struct iovec *ranges,
			 unsigned int n, size_t page_size)
{
	size_t total = 0;

	pipes->n = 0;
	for (unsigned int i = 0; i < n; i++)
		total += ranges[i].iov_len / page_size;
	if (total > (size_t)PIN_PIPES * PIPE_SLOTS_MAX)
		return -E2BIG;
	for (size_t done = 0, slots; done < total; done += slots) {
		int err;

		slots = total - done;
		if (slots > PIPE_SLOTS_MAX)
			slots = PIPE_SLOTS_MAX;
		err = make_one(&pipes->ends[pipes->n], ranges, n, page_size,
			       slots, done);
		if (err) {
			contig_pin_pipe_drop(pipes);
			return err;
		}
		pipes->n++;
	}
	return 0;
}

static bool is_ours(const struct pin_pipe_end *end)
{
	struct stat st;

	return !fstat(end->fd, &st) && st.st_dev == end->dev &&
	       st.st_ino == end->ino;
}

bool contig_pin_pipe_alive(const struct pin_pipe *pipes)
{
	for (unsigned int i = 0; i < pipes->n; i++)
		if (!is_ours(&pipes->ends[i]))
			return false;
	return true;
}

void contig_pin_pipe_drop(struct pin_pipe *pipes)
{
	for (unsigned int i = 0; i < pipes->n; i++)
		if (is_ours(&pipes->ends[i]))
			close(pipes->ends[i].fd);
	pipes->n = 0;
}

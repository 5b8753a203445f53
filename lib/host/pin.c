/* SPDX-License-Identifier: BSD-2-Clause */
/* Choosing a pinning method, and what a pin promises. */
#include "host/pin.h"
#include "host/pin_method.h"

#include "base/log.h"
#include "base/page.h"
#include "base/reason.h"
#include "host/root.h"

#include <errno.h>
#include <linux/capability.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <unistd.h>

struct pin {
	enum pin_method method;
	unsigned int n;
	char why[200]; /* not io_uring */
	union {
		struct pin_uring uring;
		struct pin_pipe pipes;
		struct iovec locked[PIN_SLOTS];
	} u;
};

static _Atomic int highest_allowed = PIN_URING;

void contig_pin_allow(enum pin_method highest)
{
	atomic_store(&highest_allowed, (int)highest);
}

/* The kernel's own bound on a fixed buffer. */
#define RANGE_MAX GIGAPAGE_SIZE

static bool are_ranges_valid(const struct iovec *ranges, unsigned int n,
			     size_t page_size)
{
	if (!n || n > PIN_SLOTS || !is_pow2(page_size) || page_size < FRAME_SIZE)
		return false;
	for (unsigned int i = 0; i < n; i++)
		if (!ranges[i].iov_len || ranges[i].iov_len > RANGE_MAX ||
		    ranges[i].iov_len % page_size ||
		    (uintptr_t)ranges[i].iov_base % page_size)
			return false;
	return true;
}

/* Not mlock(3): in programs built with sanitizers it says 0 and does nothing,
 * and then the memory would be called resident. */
static void unlock(const struct iovec *ranges, unsigned int n)
{
	for (unsigned int i = 0; i < n; i++)
		syscall(SYS_munlock, ranges[i].iov_base, ranges[i].iov_len);
}

static bool is_memlock_exempt(void);

static _Atomic bool leave_memlock;

void contig_pin_leave_memlock(void)
{
	atomic_store(&leave_memlock, true);
}

static bool is_memlock_limited(void)
{
	struct rlimit limit;

	return !getrlimit(RLIMIT_MEMLOCK, &limit) && limit.rlim_cur != RLIM_INFINITY &&
	       !is_memlock_exempt();
}

static int lock_ranges(struct pin *pin, const struct iovec *ranges,
		       unsigned int n)
{
	if (atomic_load(&leave_memlock) && is_memlock_limited())
		return -EPERM;
	for (unsigned int i = 0; i < n; i++) {
		if (syscall(SYS_mlock, ranges[i].iov_base, ranges[i].iov_len) < 0) {
			int err = -errno;

			/* mlock may have locked a part before it failed. */
			unlock(ranges, i + 1);
			return err;
		}
		pin->u.locked[i] = ranges[i];
	}
	return 0;
}

static const char *uring_obstacle(int err)
{
	switch (err) {
	case -ENOMEM:
		return "RLIMIT_MEMLOCK is used up (per user); raise it or add CAP_IPC_LOCK";
	case -EPERM:
		return "forbidden (seccomp or kernel.io_uring_disabled)";
	case -ENOSYS:
		return "missing in this kernel";
	case -EFAULT:
		return "the range isn't mapped writable";
	}
	return strerror(-err);
}

static int try_method(struct pin *pin, enum pin_method method,
		      const struct iovec *ranges, size_t page_size, bool inherit)
{
	switch (method) {
	case PIN_URING:
		return contig_pin_uring_make(&pin->u.uring, ranges, pin->n,
					     inherit);
	case PIN_PIPE:
		return contig_pin_pipe_make(&pin->u.pipes, ranges, pin->n,
					    page_size);
	case PIN_MLOCK:
		return lock_ranges(pin, ranges, pin->n);
	case PIN_NONE:
		break;
	}
	return 0;
}

struct pin *contig_pin_make(const struct iovec *ranges, unsigned int n,
			    size_t page_size, bool inherit)
{
	static const char *const names[] = {"nothing", "mlock", "pipe", "io_uring"};
	int errors[PIN_URING + 1] = {0};
	struct pin *pin;
	int method;

	if (!are_ranges_valid(ranges, n, page_size)) {
		contig_reason_set("pin: %u ranges that aren't whole pages of %zu bytes, at most 1 GiB each, at most %d",
				  n, page_size, PIN_SLOTS);
		errno = EINVAL;
		return NULL;
	}
	/* Not malloc: this may run inside it. */
	pin = mmap(NULL, align_up(sizeof(*pin), FRAME_SIZE),
		   PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	if (pin == MAP_FAILED) {
		contig_reason_set("pin: no memory for its record");
		errno = ENOMEM;
		return NULL;
	}
	pin->n = n;
	method = atomic_load(&highest_allowed);
	if (method > PIN_URING)
		method = PIN_URING;
	for (; method > PIN_NONE; method--) {
		errors[method] = try_method(pin, (enum pin_method)method, ranges,
					    page_size, inherit);
		if (!errors[method])
			break;
		contig_debug(PIN, "%s: %s", names[method],
			     strerror(-errors[method]));
	}
	pin->method = (enum pin_method)method;
	if (method < PIN_PIPE && errors[PIN_URING])
		snprintf(pin->why, sizeof(pin->why), "io_uring: %s; pipe: %s",
			 uring_obstacle(errors[PIN_URING]), strerror(-errors[PIN_PIPE]));
	else if (method < PIN_URING)
		snprintf(pin->why, sizeof(pin->why), "io_uring: %s",
			 errors[PIN_URING] ? uring_obstacle(errors[PIN_URING]) : "not allowed");
	if (method < PIN_PIPE && errors[PIN_URING])
		contig_reason_set("pin: %s", pin->why);
	contig_debug(PIN, "%u ranges by %s", n, names[method]);
	return pin;
}

enum pin_method contig_pin_method(const struct pin *pin)
{
	return pin->method;
}

const char *contig_pin_why(const struct pin *pin)
{
	return pin->why;
}

bool contig_pin_alive(const struct pin *pin)
{
	if (pin->method == PIN_PIPE)
		return contig_pin_pipe_alive(&pin->u.pipes);
	return pin->method != PIN_NONE;
}

enum contig_wiring contig_pin_wiring(const struct pin *pin, bool hugetlb)
{
	if (pin->method >= PIN_PIPE && contig_pin_alive(pin))
		return CONTIG_WIRING_PINNED;
	return hugetlb || pin->method == PIN_MLOCK ? CONTIG_WIRING_RESIDENT :
						     CONTIG_WIRING_NONE;
}

static void free_pin(struct pin *pin)
{
	munmap(pin, align_up(sizeof(*pin), FRAME_SIZE));
}

void contig_pin_drop(struct pin *pin)
{
	if (!pin)
		return;
	switch (pin->method) {
	case PIN_URING:
		contig_pin_uring_drop(&pin->u.uring);
		break;
	case PIN_PIPE:
		contig_pin_pipe_drop(&pin->u.pipes);
		break;
	case PIN_MLOCK:
		unlock(pin->u.locked, pin->n);
		break;
	case PIN_NONE:
		break;
	}
	free_pin(pin);
}

void contig_pin_forget(struct pin *pin)
{
	if (!pin)
		return;
	/* The ring's mapping and mlock stayed with the parent; descriptors
	 * came along. */
	if (pin->method == PIN_PIPE)
		contig_pin_pipe_drop(&pin->u.pipes);
	else if (pin->method == PIN_URING)
		contig_pin_uring_forget(&pin->u.uring);
	free_pin(pin);
}

/* io_uring and mlock ask for the capability in the initial user namespace. */
static bool is_memlock_exempt(void)
{
	struct __user_cap_header_struct header = {_LINUX_CAPABILITY_VERSION_3, 0};
	struct __user_cap_data_struct data[_LINUX_CAPABILITY_U32S_3] = {{0}};
	unsigned long long inside, outside, count;
	char map[128], *end;

	if (syscall(SYS_capget, &header, data) < 0 ||
	    !(data[0].effective & 1u << CAP_IPC_LOCK))
		return false;
	if (contig_root_read("/proc/self/uid_map", map, sizeof(map)) < 0)
		return true; /* no user namespaces in this kernel */
	inside = strtoull(map, &end, 10);
	outside = strtoull(end, &end, 10);
	count = strtoull(end, NULL, 10);
	return !inside && !outside && count == UINT32_MAX;
}

void contig_pin_ability(struct pin_ability *out)
{
	struct pin_uring uring;
	struct pin_pipe pipes;
	struct iovec range = {NULL, FRAME_SIZE};
	struct rlimit limit;
	uint64_t disabled;

	memset(out, 0, sizeof(*out));
	out->uring_disabled = -1;
	if (!contig_root_read_u64("/proc/sys/kernel/io_uring_disabled", &disabled))
		out->uring_disabled = (int)disabled;
	out->memlock_limit = ~0ULL;
	if (!getrlimit(RLIMIT_MEMLOCK, &limit) && limit.rlim_cur != RLIM_INFINITY)
		out->memlock_limit = limit.rlim_cur;
	out->memlock_exempt = is_memlock_exempt();
	range.iov_base = mmap(NULL, FRAME_SIZE, PROT_READ | PROT_WRITE,
			      MAP_PRIVATE | MAP_ANONYMOUS | MAP_POPULATE, -1, 0);
	if (range.iov_base == MAP_FAILED) {
		out->uring = out->pipe = -ENOMEM;
		return;
	}
	out->uring = contig_pin_uring_make(&uring, &range, 1, false);
	if (!out->uring)
		contig_pin_uring_drop(&uring);
	out->pipe = contig_pin_pipe_make(&pipes, &range, 1, FRAME_SIZE);
	if (!out->pipe)
		contig_pin_pipe_drop(&pipes);
	munmap(range.iov_base, FRAME_SIZE);
}

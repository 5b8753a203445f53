/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * userfaultfd(2): a program that registers a mapping wants to be asked for
 * each page it hasn't written yet.  Ours are all there from the start, so it
 * would never be asked: what is still zero is given back to the kernel.
 */
#include "preload/inside.h"
#include "preload/mappings.h"
#include "preload/raw.h"

#include <linux/userfaultfd.h>
#include <stdarg.h>
#include <stdint.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <unistd.h>

#define PAGE_BYTES ((size_t)4096)

static bool is_zero(const void *page)
{
	const char *p = page;

	return !*p && !memcmp(p, p + 1, PAGE_BYTES - 1);
}

static void give_back_untouched(uintptr_t start, size_t len)
{
	shim_mapping_lock();
	shim_mapping_uncover(start, len);
	for (uintptr_t at = start, run; at < start + len; at = run) {
		run = at;
		while (run < start + len && shim_mapping_is_ours(run, PAGE_BYTES, true) &&
		       is_zero((void *)run))
			run += PAGE_BYTES;
		if (run == at) {
			run += PAGE_BYTES;
			continue;
		}
		shim_raw_madvise((void *)at, run - at, MADV_DONTNEED);
		shim_mapping_let_go(at, run - at, false);
	}
	/* Advice that drops pages must reach the kernel from now on. */
	shim_mapping_change(start, len);
	shim_mapping_unlock();
}

__attribute__((visibility("default"))) int ioctl(int fd, unsigned long request, ...)
{
	const struct uffdio_register *wish;
	va_list arguments;
	void *argument;

	va_start(arguments, request);
	argument = va_arg(arguments, void *);
	va_end(arguments);
	wish = argument;
	if (request == UFFDIO_REGISTER && wish && !shim_inside() &&
	    !(wish->range.start % PAGE_BYTES) && !(wish->range.len % PAGE_BYTES) &&
	    wish->range.start + wish->range.len > wish->range.start &&
	    shim_mapping_near((void *)(uintptr_t)wish->range.start, wish->range.len))
		give_back_untouched(wish->range.start, wish->range.len);
	return (int)syscall(SYS_ioctl, fd, request, argument);
}

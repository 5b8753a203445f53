/* SPDX-License-Identifier: BSD-2-Clause */
#include "base/panic.h"

#include "base/log.h"
#include "base/reason.h"

#include <errno.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>

static _Atomic(contig_panic_fn) panic_handler;
static atomic_bool panic_errno;

void contig_panic(const char *format, ...)
{
	char message[320];
	contig_panic_fn handler = atomic_load(&panic_handler);
	va_list ap;

	va_start(ap, format);
	vsnprintf(message, sizeof(message), format, ap);
	va_end(ap);
	contig_warn("panic: %s", message);
	contig_reason_set("%s", message);
	if (handler)
		handler(message);
	else if (!atomic_load(&panic_errno))
		abort();
	errno = EINVAL;
}

contig_panic_fn contig_panic_handler_swap(contig_panic_fn handler)
{
	return atomic_exchange(&panic_handler, handler);
}

void contig_panic_errno_set(bool on)
{
	atomic_store(&panic_errno, on);
}

bool contig_panic_errno_get(void)
{
	return atomic_load(&panic_errno);
}

/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * At load: as little as can be, since each program of a pipeline pays for it.
 * No superpage is taken, no file of the system read; that is for the first
 * need.
 */
#include "preload/engine.h"
#include "preload/options.h"
#include "preload/report.h"

#include "contig/pool.h"
#include "host/pin.h"
#include "phys/start.h"

__attribute__((constructor)) static void at_load(void)
{
	shim_options_read();
	if (!shim_options.active) {
		shim_report_aside(shim_options.aside);
		return;
	}
	shim_report_start();
	/* While the environment is still the one the program was given. */
	contig_start_settings();
	contig_pin_leave_memlock();
	shim_engine_start();
}

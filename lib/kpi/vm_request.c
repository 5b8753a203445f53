/* SPDX-License-Identifier: BSD-2-Clause */
#include "kpi/vm_request.h"

#include "base/reason.h"
#include "kpi/misuse.h"
#include "kpi/object.h"
#include "phys/machine.h"
#include "phys/physmap.h"
#include "phys/settings.h"
#include "phys/start.h"

#include <errno.h>
#include <limits.h>

#define WAITS (VM_ALLOC_WAITOK | VM_ALLOC_WAITFAIL | VM_ALLOC_NOWAIT)

static const char *wrong_flags(int req)
{
	int class = req & VM_ALLOC_CLASS_MASK, waits = req & WAITS;

	if (!class)
		return "no class (VM_ALLOC_NORMAL, SYSTEM or INTERRUPT)";
	if (class & (class - 1))
		return "more than one class";
	if ((req & (VM_ALLOC_NOBUSY | VM_ALLOC_SBUSY)) == (VM_ALLOC_NOBUSY | VM_ALLOC_SBUSY))
		return "both VM_ALLOC_NOBUSY and VM_ALLOC_SBUSY";
	if (waits & (waits - 1))
		return "more than one of VM_ALLOC_WAITOK, WAITFAIL and NOWAIT";
	return NULL;
}

bool contig_page_request_sane(const struct page_request *request)
{
	const char *wrong = wrong_flags(request->call.flags);

	if (!wrong && !request->npages)
		wrong = "npages is 0";
	if (!wrong && request->npages > ULONG_MAX >> FRAME_SHIFT)
		wrong = "npages is beyond any memory";
	if (wrong) {
		misuse("%s(object %p, pindex 0x%llx, req 0x%x, npages %lu): %s", request->call.name,
		       (void *)request->object, (unsigned long long)request->pindex,
		       (unsigned int)request->call.flags, request->npages, wrong);
		return false;
	}
	return contig_call_sane(&request->call);
}

int contig_page_request_frames(struct page_request *request, struct frame_request *frames)
{
	const struct call *call = &request->call;
	const char *why;
	int index = -1;

	*frames = (struct frame_request){.node = -1, .nowait = true, .use_reserve = true};
	if (contig_start()) {
		contig_fail(call, ENOMEM, contig_reason_get());
		return -1;
	}
	if (!request->pool)
		request->pool = request->object ? request->object->pool
						: &contig_default_pool;
	if (request->domain >= 0) {
		index = contig_machine_node_index(request->domain);
		if (index < 0) {
			contig_fail(call, EINVAL, "that domain has no memory on this machine");
			return -1;
		}
		frames->strict = true;
	} else if (contig_settings.config.node >= 0 && request->pool == &contig_default_pool) {
		index = contig_machine_node_index(contig_settings.config.node);
	}
	frames->node = index;
	run_of_call(call, &frames->run);
	why = contig_call_impossible(call, &frames->run);
	if (why) {
		contig_fail(call, ERANGE, why);
		return -1;
	}
	if (contig_machine.level == CONTIG_LEVEL_HIDDEN) {
		why = contig_call_hidden(call, &frames->run);
		if (why) {
			contig_fail(call, EPERM, why);
			return -1;
		}
	} else if (!contig_machine_can_hold(&frames->run, frames->strict ? index : -1)) {
		contig_fail_range(call);
		return -1;
	}
	return 0;
}

/* SPDX-License-Identifier: BSD-2-Clause */
#include "share/range.h"

#include "base/log.h"
#include "base/reason.h"
#include "host/alias.h"
#include "share/staging.h"

#include <errno.h>
#include <string.h>
#include <sys/mman.h>

#ifndef MADV_POPULATE_READ
#define MADV_POPULATE_READ 22
#endif

static uint64_t lost_bytes; /* atomic */

uint64_t contig_range_lost(void)
{
	return __atomic_load_n(&lost_bytes, __ATOMIC_RELAXED);
}

static size_t page_size(const struct exporter *exporter)
{
	return exporter->vma->area.vm_page_size;
}

static char *address(const struct exporter *exporter, uint64_t page)
{
	return (char *)vma_address(exporter->vma, page);
}

static bool is_lost(const struct exporter *exporter, const struct holding *holding)
{
	return holding->holder == &exporter->lost;
}

/* The one whose holding it is; NULL: nobody any more. */
static struct peer *peer_of(const struct exporter *exporter, const struct holding *holding)
{
	if (is_lost(exporter, holding))
		return NULL;
	return (struct peer *)((char *)holding->holder - offsetof(struct peer, held));
}

/* Unmap [first, end), which is all within the holding.  limited: the mappings
 * that it costs are its holder's affair. */
static int clear(struct exporter *exporter, struct holding *holding, uint64_t first,
		 uint64_t end, bool limited)
{
	struct peer *peer = peer_of(exporter, holding);
	struct holder *holder = holding->holder;
	uint64_t bytes = (end - first) * page_size(exporter), runs = holder->n;
	struct holding *rest;
	int err = 0;

	if (limited && peer && first > holding->first && end < holding_end(holding))
		err = contig_quota_mapping(peer->quota);
	if (err)
		return err;
	err = contig_holdings_split(&exporter->holdings, holding, end, &rest);
	if (err) {
		contig_reason_set("unmapping: no memory for what is left of a run");
		return err;
	}
	err = contig_alias_clear(address(exporter, first), bytes);
	if (err) {
		if (rest)
			contig_holdings_remove(&exporter->holdings, rest);
		return err;
	}
	contig_holdings_cut(&exporter->holdings, holding, first);
	if (peer)
		peer->quota->mappings += holder->n - runs;
	else
		__atomic_fetch_sub(&lost_bytes, bytes, __ATOMIC_RELAXED);
	if (peer)
		contig_share_record_pages(&peer->record, peer->pages -= end - first);
	return 0;
}

static uint64_t later(uint64_t a, uint64_t b)
{
	return a > b ? a : b;
}

static uint64_t earlier(uint64_t a, uint64_t b)
{
	return a < b ? a : b;
}

/* Who is there; what is lost there is tried once more, and lost no longer. */
static bool anybody(struct exporter *exporter, uint64_t first, uint64_t end)
{
	struct holding *holding;

	while ((holding = contig_holdings_find(&exporter->holdings.runs, first, end))) {
		if (!is_lost(exporter, holding) ||
		    clear(exporter, holding, holding->first, holding_end(holding), false))
			return true;
	}
	return false;
}

bool contig_range_occupied(struct exporter *exporter, uint64_t first, uint64_t count)
{
	return anybody(exporter, first, first + count);
}

int contig_range_zap(struct exporter *exporter, uint64_t first, uint64_t count)
{
	uint64_t end = first + count;
	struct holding *holding;
	int err;

	while ((holding = contig_holdings_find(&exporter->holdings.runs, first, end))) {
		uint64_t from = later(first, holding->first);
		uint64_t to = earlier(end, holding_end(holding));

		err = clear(exporter, holding, from, to, false);
		if (err)
			return err;
		first = to;
	}
	return 0;
}

int contig_range_strip(struct peer *peer)
{
	struct exporter *exporter = peer->exporter;
	int first_error = 0;

	while (peer->held.list) {
		struct holding *holding = peer->held.list;
		uint64_t pages = holding->count;
		int err = clear(exporter, holding, holding->first, holding_end(holding), false);

		if (!err)
			continue;
		peer->quota->mappings--;
		contig_holdings_give(holding, &exporter->lost);
		contig_share_record_pages(&peer->record, peer->pages -= pages);
		__atomic_fetch_add(&lost_bytes, pages * page_size(exporter), __ATOMIC_RELAXED);
		contig_warn("%llu pages of process %d at %p stay mapped: %s",
			    (unsigned long long)pages, (int)peer->channel.pid,
			    (void *)address(exporter, holding->first), strerror(-err));
		first_error = err;
	}
	return first_error;
}

void contig_range_end(struct exporter *exporter)
{
	while (exporter->lost.list) {
		struct holding *holding = exporter->lost.list;

		/* It goes with the range of addresses, or these are never used again:
		 * their importer has been told. */
		if (!clear(exporter, holding, holding->first, holding_end(holding), false))
			continue;
		__atomic_fetch_sub(&lost_bytes, holding->count * page_size(exporter),
				   __ATOMIC_RELAXED);
		contig_holdings_remove(&exporter->holdings, holding);
	}
	contig_holdings_leave(&exporter->lost);
	contig_radix_destroy(&exporter->holdings.runs);
}

/* --- mapping and unmapping, for a peer */

int contig_range_unmap(struct peer *peer, const struct wire_range *range)
{
	struct exporter *exporter = peer->exporter;
	uint64_t at = range->at / page_size(exporter), end = at + range->count;
	struct holding *holding;

	/* What another one has there came after its own was zapped: what it asks
	 * for is so already. */
	while ((holding = contig_holdings_find(&peer->held.runs, at, end))) {
		uint64_t from = later(at, holding->first);
		int err;

		at = earlier(end, holding_end(holding));
		err = clear(exporter, holding, from, at, true);
		if (err)
			return err;
	}
	return 0;
}

/* A hole in hugetlb memory is known only now: with no superpage free, a touch
 * there is SIGBUS. */
static int check_present(const struct shared_file *file, void *va, size_t len)
{
	int err;

	/* A revocable file may have holes at any time; kernels before 5.14 can't
	 * say. */
	if (!file->hugetlb || file->mode == WIRE_REVOCABLE ||
	    !madvise(va, len, MADV_POPULATE_READ) || errno == EINVAL)
		return 0;
	contig_debug(SHARE, "a hugetlb file has holes: %s", strerror(errno));
	err = contig_alias_clear(va, len);
	return err ? err : -EPERM;
}

static bool writable(const struct exporter *exporter)
{
	return exporter->vma->area.vm_page_prot & PROT_WRITE;
}

static int map_file(struct exporter *exporter, struct shared_file *file,
		    const struct wire_run *run, void *va)
{
	int prot = PROT_READ | (writable(exporter) && !run->read_only ? PROT_WRITE : 0), err;
	uint64_t len = run->count * page_size(exporter);

	if (file->staging)
		err = contig_staging_map(file, run->offset, len, prot, va);
	else
		err = contig_alias_descriptor(va, len, prot, file->fd, (off_t)run->offset);
	return err ? err : check_present(file, va, len);
}

int contig_range_map(struct peer *peer, const struct wire_run *run)
{
	struct exporter *exporter = peer->exporter;
	struct shared_file *file = contig_files_find(&peer->files, run->file);
	uint64_t first = run->at / page_size(exporter), at = first;
	uint64_t len = run->count * page_size(exporter), runs = peer->held.n;
	struct holding *holding, new = {.first = first, .count = run->count};
	int err;

	if (!file)
		return -ENOENT;
	if (run->offset > file->size || len > file->size - run->offset)
		return -EINVAL;
	if (anybody(exporter, first, first + run->count) ||
	    (contig_radix_next(&exporter->vma->shadow, &at) && at < first + run->count))
		return -EBUSY;
	if (file->staging && !file->sealed)
		return -EPERM;
	err = contig_quota_mapping(peer->quota);
	if (err)
		return err;
	new.file = file->serial;
	new.page = run->offset / page_size(exporter);
	new.read_only = run->read_only;
	holding = contig_holdings_add(&exporter->holdings, &peer->held, &new);
	if (!holding)
		return -ENOMEM;
	err = map_file(exporter, file, run, address(exporter, first));
	if (err) {
		contig_holdings_remove(&exporter->holdings, holding);
		return err;
	}
	/* Those of hugetlb memory stay apart in the kernel, too. */
	if (!file->hugetlb)
		contig_holdings_join(&exporter->holdings, holding);
	peer->quota->mappings += peer->held.n - runs;
	contig_share_record_pages(&peer->record, peer->pages += run->count);
	return 0;
}

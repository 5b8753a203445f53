/* SPDX-License-Identifier: BSD-2-Clause */
#include "share/holdings.h"

#include <errno.h>
#include <stdlib.h>

static void enlist(struct holder *holder, struct holding *holding)
{
	holding->holder = holder;
	holding->previous = NULL;
	holding->next = holder->list;
	if (holder->list)
		holder->list->previous = holding;
	holder->list = holding;
	holder->n++;
}

static void unlist(struct holding *holding)
{
	struct holder *holder = holding->holder;

	if (holding->previous)
		holding->previous->next = holding->next;
	else
		holder->list = holding->next;
	if (holding->next)
		holding->next->previous = holding->previous;
	holder->n--;
}

struct holding *contig_holdings_find(const struct radix *runs, uint64_t first, uint64_t end)
{
	uint64_t at = first;
	struct holding *found = contig_radix_prev(runs, &at);

	if (found && found->first < end && holding_end(found) > first)
		return found;
	at = first;
	found = contig_radix_next(runs, &at);
	return found && at < end ? found : NULL;
}

struct holding *contig_holdings_add(struct holdings *holdings, struct holder *holder,
				    const struct holding *what)
{
	struct holding *holding = malloc(sizeof(*holding));

	if (!holding)
		return NULL;
	*holding = *what;
	if (contig_radix_insert(&holdings->runs, holding->first, holding))
		goto free_it;
	if (contig_radix_insert(&holder->runs, holding->first, holding)) {
		contig_radix_remove(&holdings->runs, holding->first);
		goto free_it;
	}
	enlist(holder, holding);
	return holding;
free_it:
	free(holding);
	return NULL;
}

void contig_holdings_remove(struct holdings *holdings, struct holding *holding)
{
	contig_radix_remove(&holdings->runs, holding->first);
	contig_radix_remove(&holding->holder->runs, holding->first);
	unlist(holding);
	free(holding);
}

/* Whether the kernel has both as one mapping. */
static bool continues(const struct holding *a, const struct holding *b)
{
	return a->holder == b->holder && a->file == b->file && a->read_only == b->read_only &&
	       holding_end(a) == b->first && a->page + a->count == b->page;
}

void contig_holdings_join(struct holdings *holdings, struct holding *holding)
{
	uint64_t at = holding->first - 1;
	struct holding *other = holding->first ? contig_radix_prev(&holdings->runs, &at) : NULL;

	if (other && continues(other, holding)) {
		other->count += holding->count;
		contig_holdings_remove(holdings, holding);
		holding = other;
	}
	at = holding_end(holding);
	other = contig_radix_next(&holdings->runs, &at);
	if (other && continues(holding, other)) {
		holding->count += other->count;
		contig_holdings_remove(holdings, other);
	}
}

int contig_holdings_split(struct holdings *holdings, struct holding *holding, uint64_t end,
			  struct holding **rest)
{
	struct holding behind = *holding;

	*rest = NULL;
	if (end == holding_end(holding))
		return 0;
	behind.page += end - holding->first;
	behind.count = holding_end(holding) - end;
	behind.first = end;
	*rest = contig_holdings_add(holdings, holding->holder, &behind);
	return *rest ? 0 : -ENOMEM;
}

void contig_holdings_cut(struct holdings *holdings, struct holding *holding, uint64_t first)
{
	if (first == holding->first)
		contig_holdings_remove(holdings, holding);
	else
		holding->count = first - holding->first;
}

void contig_holdings_give(struct holding *holding, struct holder *to)
{
	contig_radix_remove(&holding->holder->runs, holding->first);
	unlist(holding);
	enlist(to, holding);
}

void contig_holdings_leave(struct holder *holder)
{
	contig_radix_destroy(&holder->runs);
}

const char *contig_holdings_check(const struct holdings *holdings)
{
	uint64_t at = 0, end = 0, n = 0;
	struct holding *holding;

	for (; (holding = contig_radix_next(&holdings->runs, &at)); at++, n++) {
		if (holding->first != at || !holding->count)
			return "a run is not where it says";
		if (at < end)
			return "runs overlap";
		if (holding->previous ? holding->previous->next != holding :
					holding->holder->list != holding)
			return "a run is not in its holder's list";
		end = holding_end(holding);
	}
	return n == holdings->runs.entries ? contig_radix_check(&holdings->runs) :
					     "the count of runs is wrong";
}

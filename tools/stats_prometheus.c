/* SPDX-License-Identifier: BSD-2-Clause */
#include "stats.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

/* A label's value: what its format gives a meaning is escaped, what is not
 * printable left out. */
static void print_label(const char *name, const char *value)
{
	printf("%s=\"", name);
	for (; *value; value++) {
		if (*value == '"' || *value == '\\')
			putchar('\\');
		if ((unsigned char)*value >= ' ' && (unsigned char)*value < 0x7f)
			putchar(*value);
	}
	putchar('"');
}

static void print_process_labels(const struct subject *s)
{
	printf("{pid=\"%d\",", (int)s->process.pid);
	print_label("command", s->process.name);
}

static void print_head(const char *prefix, const char *name, const char *unit, const char *text,
		       bool total)
{
	printf("# HELP %s%s%s %s\n# TYPE %s%s%s %s\n", prefix, name, unit, text, prefix, name, unit,
	       total ? "counter" : "gauge");
}

static void prometheus_counter(const struct stats *stats, enum counter c)
{
	const char *unit = stats_counters[c].total ? "_total" :
			   stats_counters[c].kind == VALUE_BYTES ? "_bytes" : "";

	print_head("libcontig_", stats_counters[c].name, unit, stats_counters[c].text,
		   stats_counters[c].total);
	for (size_t i = 0; i < stats->n; i++) {
		const struct subject *s = &stats->subjects[i];

		if (!s->known[c])
			continue;
		printf("libcontig_%s%s", stats_counters[c].name, unit);
		print_process_labels(s);
		printf("} %" PRIu64 "\n", s->values[c]);
	}
}

static const struct {
	const char *name, *text;
	size_t offset;
} pool_gauges[] = {
	{"held", "bytes of superpages held", offsetof(struct board_pool, held)},
	{"live", "bytes in blocks or cached by threads", offsetof(struct board_pool, live)},
	{"free", "bytes free", offsetof(struct board_pool, free)},
	{"longest", "longest free run, bytes", offsetof(struct board_pool, longest)},
	{"pinned", "bytes wired: pinned", offsetof(struct board_pool, pinned)},
	{"resident", "bytes wired: resident", offsetof(struct board_pool, resident)},
	{"unwired", "bytes not wired", offsetof(struct board_pool, unwired)},
	{"quarantined", "bytes that a peer may have mapped",
	 offsetof(struct board_pool, quarantined)},
};

static void prometheus_pools(const struct stats *stats, size_t gauge)
{
	const char *name = pool_gauges[gauge].name;

	print_head("libcontig_pool_", name, "_bytes", pool_gauges[gauge].text, false);
	for (size_t i = 0; i < stats->n; i++) {
		const struct subject *s = &stats->subjects[i];

		for (size_t j = 0; j < s->board.n_pools; j++) {
			const struct board_pool *p = &s->board.pools[j];
			uint64_t value;

			if (!p->record.state)
				continue;
			memcpy(&value, (const char *)p + pool_gauges[gauge].offset, sizeof(value));
			printf("libcontig_pool_%s_bytes", name);
			print_process_labels(s);
			/* Names may be the same; numbers are not. */
			printf(",number=\"%zu\",", j);
			print_label("pool", p->name);
			printf(",kind=\"%s\"} %" PRIu64 "\n", stats_kind_name(p->kind), value);
		}
	}
}

void stats_prometheus(const struct stats *stats)
{
	for (enum counter c = 0; c < N_COUNTERS; c++)
		prometheus_counter(stats, c);
	for (size_t i = 0; i < sizeof(pool_gauges) / sizeof(pool_gauges[0]); i++)
		prometheus_pools(stats, i);
}

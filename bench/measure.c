/* SPDX-License-Identifier: BSD-2-Clause */
#include "measure.h"

#include <sched.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

bool measure_quick;

static cpu_set_t allowed;

uint64_t random_next(void)
{
	static uint64_t state = 42;
	uint64_t x = state += UINT64_C(0x9e3779b97f4a7c15); /* splitmix64 */

	x = (x ^ x >> 30) * UINT64_C(0xbf58476d1ce4e5b9);
	x = (x ^ x >> 27) * UINT64_C(0x94d049bb133111eb);
	return x ^ x >> 31;
}

void die(const char *format, ...)
{
	va_list ap;

	fflush(stdout);
	va_start(ap, format);
	vfprintf(stderr, format, ap);
	va_end(ap);
	fputc('\n', stderr);
	exit(1);
}

void measure_options(int argc, char **argv)
{
	measure_quick = argc > 1 && !strcmp(argv[1], "-q");
	setvbuf(stdout, NULL, _IOLBF, 0);
}

void measure_add(struct measure *m, double value)
{
	if (m->n == MEASURE_MAX)
		die("more samples than a measure holds");
	m->value[m->n++] = value;
}

static int compare(const void *a, const void *b)
{
	double x = *(const double *)a, y = *(const double *)b;

	return (x > y) - (x < y);
}

double measure_min(const struct measure *m)
{
	double least = m->n ? m->value[0] : 0;

	for (unsigned int i = 1; i < m->n; i++)
		least = m->value[i] < least ? m->value[i] : least;
	return least;
}

double measure_median(const struct measure *m)
{
	double sorted[MEASURE_MAX];

	if (!m->n)
		return 0;
	memcpy(sorted, m->value, m->n * sizeof(sorted[0]));
	qsort(sorted, m->n, sizeof(sorted[0]), compare);
	return m->n % 2 ? sorted[m->n / 2] : (sorted[m->n / 2 - 1] + sorted[m->n / 2]) / 2;
}

static void read_allowed(void)
{
	if (!CPU_COUNT(&allowed) && sched_getaffinity(0, sizeof(allowed), &allowed))
		die("sched_getaffinity failed");
}

unsigned int cpu_count(void)
{
	read_allowed();
	return (unsigned int)CPU_COUNT(&allowed);
}

void cpu_stay_on(unsigned int index)
{
	cpu_set_t one;

	read_allowed();
	index %= (unsigned int)CPU_COUNT(&allowed);
	for (int cpu = 0; cpu < CPU_SETSIZE; cpu++) {
		if (!CPU_ISSET(cpu, &allowed) || index--)
			continue;
		CPU_ZERO(&one);
		CPU_SET(cpu, &one);
		if (sched_setaffinity(0, sizeof(one), &one))
			die("sched_setaffinity failed");
		return;
	}
}

void cpu_any(void)
{
	read_allowed();
	sched_setaffinity(0, sizeof(allowed), &allowed);
}

void table_title(const char *title)
{
	printf("\n%-58s %10s %10s %-5s %s\n", title, "median", "least", "unit", "against");
}

static void print_numbers(const char *name, const char *unit, const struct measure *m)
{
	double median = measure_median(m);
	int digits = median < 10 ? 2 : median < 1000 ? 1 : 0;

	printf("%-58s %10.*f %10.*f %-5s ", name, digits, median, digits, measure_min(m), unit);
}

static const char *verdict(double median, double least, double at_most)
{
	return median <= at_most  ? "met"
	       : least <= at_most ? "met by the least"
				  : "MISSED";
}

void row_target(const char *name, const char *unit, const struct measure *m, double at_most)
{
	print_numbers(name, unit, m);
	printf("target <= %g: %s\n", at_most, verdict(measure_median(m), measure_min(m), at_most));
}

void row_peer(const char *name, const char *unit, const struct measure *m,
	      const struct measure *ours)
{
	print_numbers(name, unit, m);
	printf("%.3g x ours\n", measure_median(m) / measure_median(ours));
}

void row_plain(const char *name, const char *unit, const struct measure *m)
{
	print_numbers(name, unit, m);
	printf("\n");
}

void row_ratio(const char *name, double medians, double least, double target, bool at_least)
{
	double sign = at_least ? -1 : 1;

	printf("%-58s %10.3f %10.3f %-5s ", name, medians, least, "x");
	if (target > 0)
		printf("target %s %g: %s", at_least ? ">=" : "<=", target,
		       verdict(sign * medians, sign * least, sign * target));
	printf("\n");
}

void row_note(const char *format, ...)
{
	va_list ap;

	printf("  ");
	va_start(ap, format);
	vprintf(format, ap);
	va_end(ap);
	printf("\n");
}

/* SPDX-License-Identifier: BSD-2-Clause */
#include "tuple.h"

#include "base/size.h"
#include "grow.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#define FIELDS 8
#define FIELDS_MIN 7 /* the note may be missing */
#define ORDER_MAX 40

static bool is_pow2_or_0(uint64_t x)
{
	return !(x & (x - 1));
}

static uint64_t round_up_pow2(uint64_t x)
{
	uint64_t p = 1;

	while (p < x && p <= UINT64_MAX / 2)
		p *= 2;
	return p;
}

/* A number, "S", or "N<<order", "N<<3". */
static int number(const char *text, const struct tuple_symbols *symbols, uint64_t *out)
{
	char base[64];
	const char *shift = strstr(text, "<<");
	uint64_t order;

	if (!strcmp(text, "S")) {
		*out = symbols->size;
		return 0;
	}
	if (!shift)
		return contig_size_parse(text, out);
	snprintf(base, sizeof(base), "%.*s", (int)(shift - text), text);
	if (number(base, symbols, out))
		return -EINVAL;
	if (!strcmp(shift + 2, "order"))
		order = symbols->order;
	else if (contig_size_parse(shift + 2, &order))
		return -EINVAL;
	if (order > ORDER_MAX || *out > UINT64_MAX >> order)
		return -ERANGE;
	*out <<= order;
	return 0;
}

/* As number(); the size S is rounded up to a power of two, as drivers do. */
static int power(const char *text, const struct tuple_symbols *symbols, uint64_t *out)
{
	int error = number(text, symbols, out);

	if (!error && !strcmp(text, "S"))
		*out = round_up_pow2(*out);
	if (!error && !is_pow2_or_0(*out))
		error = -EINVAL;
	return error;
}

static int tuple_parse(char *line, const struct tuple_symbols *symbols, struct tuple *out,
		       const char **why)
{
	char *field[FIELDS] = {NULL};
	int n = 0;

	for (char *rest = line; rest && n < FIELDS; n++)
		field[n] = n == FIELDS - 1 ? rest : strsep(&rest, "\t");
	*why = "fewer than 7 fields (id, site, size, low, high, alignment, boundary), which "
	       "tabs separate";
	if (n < FIELDS_MIN || !*field[0])
		return -EINVAL;
	*why = "the size is no number, 'S' or 'N<<order'";
	if (number(field[2], symbols, &out->want.size) || !out->want.size ||
	    out->want.size > INT64_MAX)
		return -EINVAL;
	*why = "low is no number";
	if (number(field[3], symbols, &out->want.low))
		return -EINVAL;
	*why = "high is no number";
	if (number(field[4], symbols, &out->want.high))
		return -EINVAL;
	*why = "the alignment is no power of two";
	if (power(field[5], symbols, &out->want.alignment))
		return -EINVAL;
	*why = "the boundary is no power of two";
	if (power(field[6], symbols, &out->want.boundary))
		return -EINVAL;
	out->id = strdup(field[0]);
	out->site = strdup(field[1]);
	out->note = strdup(n == FIELDS ? field[7] : "");
	*why = "out of memory";
	if (!out->id || !out->site || !out->note)
		return -ENOMEM;
	out->zero = strstr(out->note, "M_ZERO") != NULL;
	return 0;
}

static int append(struct tuple_file *file, struct tuple **out)
{
	struct tuple *larger = grow(file->tuples, file->n, sizeof(*larger));

	if (!larger)
		return -ENOMEM;
	file->tuples = larger;
	*out = &larger[file->n++];
	memset(*out, 0, sizeof(**out));
	return 0;
}

static bool id_is_known(const struct tuple_file *file, const char *id)
{
	for (size_t i = 0; i + 1 < file->n; i++)
		if (!strcmp(file->tuples[i].id, id))
			return true;
	return false;
}

int tuple_file_read(FILE *in, const struct tuple_symbols *symbols, struct tuple_file *out,
		    char *reason, size_t reason_len)
{
	char *line = NULL;
	const char *why = "out of memory";
	size_t room = 0, line_number = 0;
	ssize_t len;
	int error = 0;

	*out = (struct tuple_file){0};
	while (!error && (errno = 0, len = getline(&line, &room, in)) >= 0) {
		struct tuple *tuple;

		line_number++;
		if (memchr(line, '\0', (size_t)len)) {
			why = "not text";
			error = -EINVAL;
			break;
		}
		line[strcspn(line, "\r\n")] = '\0';
		if (!line[0] || line[0] == '#')
			continue;
		error = append(out, &tuple);
		if (!error)
			error = tuple_parse(line, symbols, tuple, &why);
		if (!error && id_is_known(out, tuple->id)) {
			why = "this id was there before";
			error = -EINVAL;
		}
	}
	if (!error && ferror(in)) {
		error = errno ? -errno : -EIO;
		why = strerrordesc_np(-error);
	}
	free(line);
	if (error) {
		snprintf(reason, reason_len, "line %zu: %s", line_number, why);
		tuple_file_free(out);
	}
	return error;
}

void tuple_file_free(struct tuple_file *file)
{
	for (size_t i = 0; i < file->n; i++) {
		free(file->tuples[i].id);
		free(file->tuples[i].site);
		free(file->tuples[i].note);
	}
	free(file->tuples);
	*file = (struct tuple_file){0};
}

/* SPDX-License-Identifier: BSD-2-Clause */
#include "emitter.h"

#include "base/size.h"
#include "wrap.h"

#include <errno.h>
#include <inttypes.h>
#include <jansson.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#define COLUMNS_MAX 24
#define GAP 2		/* blanks between columns */
#define INDENT_BELOW 4	/* of the lines under a row */

struct cell {
	char *text; /* NULL: nothing to show below the row */
	enum paint paint;
};

struct table {
	const char *key;
	json_t *array;
	size_t n;		       /* columns shown */
	struct column columns[COLUMNS_MAX];
	size_t source[COLUMNS_MAX];    /* its place in a row's values */
	size_t n_json;
	const char *json_keys[COLUMNS_MAX];
	size_t json_source[COLUMNS_MAX];
	size_t rows, room;
	struct cell *cells; /* rows * n */
	bool hidden;
};

struct emitter {
	struct emitter_options options;
	char *command;
	json_t *document, *group;
	struct table *table;
};

static bool is_below(const struct column *column)
{
	return column->place == COLUMN_BELOW || column->place == COLUMN_COMMAND;
}

static void *must(void *p)
{
	if (!p) {
		fputs("contig: out of memory\n", stderr);
		exit(2);
	}
	return p;
}

struct emitter *emitter_create(const char *command,
			       const struct emitter_options *options)
{
	struct emitter *e = must(calloc(1, sizeof(*e)));

	e->options = *options;
	e->command = must(strdup(command));
	if (options->json) {
		e->document = must(json_object());
		json_object_set_new(e->document, "schema", json_integer(EMITTER_SCHEMA));
		json_object_set_new(e->document, "command", json_string(command));
	}
	return e;
}

bool emitter_is_json(const struct emitter *e)
{
	return e->options.json;
}

char *emitter_size(const struct emitter *e, uint64_t bytes, char *buf, size_t len)
{
	if (e->options.bytes)
		snprintf(buf, len, "%" PRIu64, bytes);
	else
		contig_size_print(bytes, buf, len);
	return buf;
}

/* Three digits are as many as a time that varies from run to run deserves. */
static void time_print(uint64_t ns, char *buf, size_t len)
{
	static const struct {
		uint64_t ns;
		const char *name;
	} units[] = {{1000000000, "s"}, {1000000, "ms"}, {1000, "us"}, {1, "ns"}};
	size_t i = 0;

	while (i < 3 && ns < units[i].ns)
		i++;
	double x = (double)ns / (double)units[i].ns;

	snprintf(buf, len, x < 10 && units[i].ns > 1 ? "%.2f %s" : "%.0f %s", x,
		 units[i].name);
}

/* Control characters of a file or the environment never reach a terminal. */
static char *printable(const char *text)
{
	char *copy = must(strdup(text));

	for (unsigned char *p = (unsigned char *)copy; *p; p++) {
		size_t more = *p < 0xc2 ? 0 : *p < 0xe0 ? 1 : *p < 0xf0 ? 2 : *p < 0xf5 ? 3 : 0;
		size_t n = 0;

		while (n < more && (p[n + 1] & 0xc0) == 0x80)
			n++;
		/* C1 controls are U+0080 to U+009F, or single bytes. */
		if (*p < ' ' || *p == 0x7f || (*p >= 0x80 && (!more || n < more)))
			*p = '?';
		else if (*p == 0xc2 && p[1] < 0xa0)
			p[0] = p[1] = '?';
		else
			p += n;
	}
	return copy;
}

static char *value_string(const struct emitter *e, const struct value *v)
{
	char buf[64];

	switch (v->kind) {
	case VALUE_UNKNOWN:
		return must(strdup("?"));
	case VALUE_NOTHING:
		return must(strdup(v->text ? v->text : "-"));
	case VALUE_TEXT:
		return printable(v->text);
	case VALUE_COUNT:
		snprintf(buf, sizeof(buf), "%" PRIu64, v->number);
		break;
	case VALUE_BYTES:
		emitter_size(e, v->number, buf, sizeof(buf));
		break;
	case VALUE_ADDRESS:
		snprintf(buf, sizeof(buf), "0x%" PRIx64, v->number);
		break;
	case VALUE_BOOL:
		return must(strdup(v->number ? "yes" : "no"));
	case VALUE_NANOSECONDS:
		time_print(v->number, buf, sizeof(buf));
		break;
	}
	return must(strdup(buf));
}

/* JSON text is UTF-8; bytes of a file that are not become '?'. */
static json_t *json_text(const char *text)
{
	json_t *string = json_string(text);
	char *copy;

	if (string)
		return string;
	copy = must(strdup(text));
	for (char *p = copy; *p; p++)
		if ((unsigned char)*p >= 0x80)
			*p = '?';
	string = must(json_string(copy));
	free(copy);
	return string;
}

static json_t *value_json(const struct value *v)
{
	char buf[24];

	switch (v->kind) {
	case VALUE_UNKNOWN:
	case VALUE_NOTHING:
		return json_null();
	case VALUE_TEXT:
		return json_text(v->text);
	case VALUE_COUNT:
	case VALUE_BYTES:
	case VALUE_NANOSECONDS:
		/* UINT64_MAX stands for "no limit"; JSON has no such number. */
		return v->number > INT64_MAX ? json_null()
					     : json_integer((json_int_t)v->number);
	case VALUE_ADDRESS:
		snprintf(buf, sizeof(buf), "0x%" PRIx64, v->number);
		return json_string(buf);
	case VALUE_BOOL:
		return json_boolean(v->number);
	}
	return json_null();
}

void emitter_field(struct emitter *e, const char *key, const char *heading,
		   struct value value)
{
	char *text;

	if (e->options.json) {
		json_object_set_new(e->group ? e->group : e->document, key,
				    value_json(&value));
		return;
	}
	if (!heading)
		return;
	text = value_string(e, &value);
	printf("%s%s:%s ", screen_paint_begin(PAINT_STRONG), heading,
	       screen_paint_end(PAINT_STRONG));
	wrap_print(text, screen_get()->columns - (int)strlen(heading) - 2,
		      (int)strlen(heading) + 2, value.paint, false);
	putchar('\n');
	free(text);
}

void emitter_group_begin(struct emitter *e, const char *key, const char *heading)
{
	if (e->options.json) {
		e->group = must(json_object());
		json_object_set_new(e->document, key, e->group);
	} else if (heading) {
		emitter_line(e, "%s", heading);
	}
}

void emitter_group_end(struct emitter *e)
{
	e->group = NULL;
}

/* Calls fn for each word of -o; stops at and returns the first non-zero. */
static int columns_each(const char *list, int (*fn)(const char *word, size_t len, void *arg),
			void *arg)
{
	while (*list) {
		size_t len = strcspn(list, ",");
		int stop = len ? fn(list, len, arg) : 0;

		if (stop)
			return stop;
		list += len;
		list += *list == ',';
	}
	return 0;
}

struct column_search {
	const struct column *columns;
	size_t n;
	struct table *table; /* where to put what is found; NULL: only check */
	char *bad;
};

static int column_found(const char *word, size_t len, void *arg)
{
	struct column_search *search = arg;

	for (size_t i = 0; i < search->n; i++) {
		const struct column *column = &search->columns[i];
		struct table *table = search->table;

		if (strlen(column->key) != len || strncasecmp(column->key, word, len))
			continue;
		if (table && table->n < COLUMNS_MAX) {
			table->columns[table->n] = *column;
			/* What was asked for is a column like any other. */
			if (is_below(column) || column->place == COLUMN_EXTRA)
				table->columns[table->n].place = COLUMN_LEFT;
			table->source[table->n++] = i;
		}
		return 0;
	}
	search->bad = strndup(word, len);
	return 1;
}

char *emitter_bad_column(const struct emitter *e, const struct column *columns, size_t n)
{
	struct column_search search = {.columns = columns, .n = n};

	if (e->options.columns)
		columns_each(e->options.columns, column_found, &search);
	return search.bad;
}

void emitter_table_begin(struct emitter *e, const char *key,
			 const struct column *columns, size_t n, bool is_main)
{
	struct table *table = e->table = must(calloc(1, sizeof(*table)));
	const char *chosen = is_main ? e->options.columns : NULL;

	table->key = key;
	if (chosen) {
		struct column_search search = {columns, n, table, NULL};

		columns_each(chosen, column_found, &search);
	} else {
		for (size_t i = 0; i < n && i < COLUMNS_MAX; i++) {
			if (columns[i].place == COLUMN_EXTRA && !e->options.json)
				continue;
			table->columns[table->n] = columns[i];
			table->source[table->n++] = i;
		}
	}
	if (e->options.json) {
		table->array = must(json_array());
		json_object_set_new(e->document, key, table->array);
	}
}

void emitter_row(struct emitter *e, const struct value *values)
{
	struct table *table = e->table;

	if (e->options.json) {
		json_t *row = must(json_object());

		for (size_t i = 0; i < table->n; i++)
			json_object_set_new(row, table->columns[i].key,
					    value_json(&values[table->source[i]]));
		json_array_append_new(table->array, row);
		return;
	}
	if (table->hidden)
		return;
	if (table->rows == table->room) {
		table->room = table->room ? 2 * table->room : 32;
		table->cells = must(realloc(table->cells,
					    table->room * table->n * sizeof(struct cell)));
	}
	for (size_t i = 0; i < table->n; i++) {
		const struct value *v = &values[table->source[i]];
		struct cell *cell = &table->cells[table->rows * table->n + i];
		bool below = is_below(&table->columns[i]);

		cell->paint = v->kind == VALUE_UNKNOWN ? PAINT_WARN : v->paint;
		cell->text = below && v->kind == VALUE_NOTHING ? NULL : value_string(e, v);
	}
	table->rows++;
}

void emitter_table_rest_hidden(struct emitter *e)
{
	e->table->hidden = true;
}

/* Widths from the contents; a wrapped column gets what the others leave. */
static void table_layout(const struct table *table, int *width, bool header)
{
	int total = 0, wrap = -1;

	for (size_t i = 0; i < table->n; i++) {
		width[i] = 0;
		if (is_below(&table->columns[i]))
			continue;
		if (header)
			width[i] = (int)strlen(table->columns[i].heading);
		for (size_t row = 0; row < table->rows; row++) {
			int len = (int)strlen(table->cells[row * table->n + i].text);

			if (len > width[i])
				width[i] = len;
		}
		if (table->columns[i].place == COLUMN_WRAP)
			wrap = (int)i;
		total += width[i] + (i ? GAP : 0);
	}
	if (wrap >= 0 && total > screen_get()->columns) {
		width[wrap] -= total - screen_get()->columns;
		if (width[wrap] < WRAP_MIN)
			width[wrap] = WRAP_MIN;
	}
}

static size_t last_shown(const struct table *table)
{
	size_t last = 0;

	for (size_t i = 0; i < table->n; i++)
		if (!is_below(&table->columns[i]))
			last = i;
	return last;
}

static void print_row(const struct table *table, const struct cell *cells, const int *width)
{
	size_t last = last_shown(table);
	int at = 0;

	for (size_t i = 0; i < table->n; i++) {
		const struct cell *cell = &cells[i];
		int len;

		if (is_below(&table->columns[i]))
			continue;
		if (at) {
			wrap_blanks(GAP);
			at += GAP;
		}
		len = (int)strlen(cell->text);
		/* Wrapping needs the rest of the line, so only the last column. */
		if (table->columns[i].place == COLUMN_WRAP && i == last) {
			wrap_print(cell->text, width[i], at, cell->paint, false);
			break;
		}
		if (table->columns[i].place == COLUMN_RIGHT)
			wrap_blanks(width[i] - len);
		printf("%s%s%s", screen_paint_begin(cell->paint), cell->text,
		       screen_paint_end(cell->paint));
		if (table->columns[i].place != COLUMN_RIGHT && i != last)
			wrap_blanks(width[i] - len);
		at += width[i];
	}
	putchar('\n');
}

static void print_below(const struct table *table, const struct cell *cells)
{
	for (size_t i = 0; i < table->n; i++) {
		const char *heading = table->columns[i].heading;
		int indent = INDENT_BELOW + (int)strlen(heading) + 2;
		bool command = table->columns[i].place == COLUMN_COMMAND;

		if (!is_below(&table->columns[i]) || !cells[i].text)
			continue;
		wrap_blanks(INDENT_BELOW);
		printf("%s%s:%s ", screen_paint_begin(PAINT_DIM), heading,
		       screen_paint_end(PAINT_DIM));
		wrap_print(cells[i].text, screen_get()->columns - indent, indent,
			      cells[i].paint, command && cells[i].text[0] != '#');
		putchar('\n');
	}
}

void emitter_table_end(struct emitter *e)
{
	struct table *table = e->table;
	int width[COLUMNS_MAX];
	bool header = !e->options.no_header;

	if (!e->options.json && table->rows) {
		table_layout(table, width, header);
		if (header) {
			struct cell headings[COLUMNS_MAX];

			for (size_t i = 0; i < table->n; i++)
				headings[i] = (struct cell){(char *)table->columns[i].heading,
							    PAINT_STRONG};
			print_row(table, headings, width);
		}
		for (size_t row = 0; row < table->rows; row++) {
			print_row(table, &table->cells[row * table->n], width);
			print_below(table, &table->cells[row * table->n]);
		}
		}
	for (size_t i = 0; i < table->rows * table->n; i++)
		free(table->cells[i].text);
	free(table->cells);
	free(table);
	e->table = NULL;
}

void emitter_line(struct emitter *e, const char *format, ...)
{
	va_list ap;
	char *text, *clean;

	if (e->options.json)
		return;
	va_start(ap, format);
	if (vasprintf(&text, format, ap) < 0)
		text = NULL;
	va_end(ap);
	clean = printable(must(text));
	wrap_print(clean, screen_get()->columns, 0, PAINT_PLAIN, false);
	putchar('\n');
	free(clean);
	free(text);
}

void emitter_command(struct emitter *e, const char *command, const char *comment)
{
	json_t *array, *o;

	if (!e->options.json) {
		if (comment)
			printf("# %s\n", comment);
		if (command)
			printf("%s\n", command);
		return;
	}
	array = json_object_get(e->document, "commands");
	if (!array) {
		array = must(json_array());
		json_object_set_new(e->document, "commands", array);
	}
	o = must(json_object());
	json_object_set_new(o, "command", command ? json_text(command) : json_null());
	json_object_set_new(o, "comment", comment ? json_text(comment) : json_null());
	json_array_append_new(array, o);
}

void emitter_error(struct emitter *e, const char *object, int error,
		   const char *reason, const char *way_out)
{
	char *clean;

	if (e->options.json) {
		json_t *o = must(json_object());

		json_object_set_new(o, "object", json_text(object));
		json_object_set_new(o, "errno",
				    error ? json_string(strerrorname_np(error)) : json_null());
		json_object_set_new(o, "reason", json_text(reason));
		json_object_set_new(o, "way_out", way_out ? json_text(way_out) : json_null());
		json_object_set_new(e->document, "error", o);
		return;
	}
	fflush(stdout);
	clean = printable(object);
	fprintf(stderr, "contig %s: %s: ", e->command, clean);
	free(clean);
	clean = printable(reason);
	fprintf(stderr, "%s%s%s%s\n", clean, error ? " (" : "",
		error ? strerrorname_np(error) : "", error ? ")" : "");
	free(clean);
	if (way_out)
		fprintf(stderr, "%s\n", way_out);
}

int emitter_finish(struct emitter *e, int status)
{
	if (e->options.json) {
		if (json_dumpf(e->document, stdout, JSON_INDENT(2)))
			status = 2;
		putchar('\n');
		json_decref(e->document);
	}
	errno = 0;
	if (fflush(stdout) || ferror(stdout)) {
		fprintf(stderr, "contig %s: standard output: %s\n", e->command,
			errno ? strerror(errno) : "write error");
		status = 2;
	}
	free(e->command);
	free(e);
	return status;
}

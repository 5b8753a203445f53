/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * One emitter writes a table or JSON from the same calls.
 *
 * A document is made of fields (a key and a value), groups of fields and
 * tables.  As text a field is "heading: value" and a table is aligned and
 * wrapped to the screen; as JSON the document is one object with "schema" and
 * "command", a group an object in it, a table an array of objects.  In JSON
 * 64-bit addresses are hex strings, bytes and counts are integers, unknown is
 * null; as text unknown is "?".
 */
#ifndef TOOLS_EMITTER_H
#define TOOLS_EMITTER_H

#include "screen.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* Raised when a key changes its meaning or goes away; new keys don't count. */
#define EMITTER_SCHEMA 1

enum value_kind {
	VALUE_UNKNOWN,
	VALUE_NOTHING, /* does not apply: text or "-" for people, null in JSON */
	VALUE_TEXT,
	VALUE_COUNT,
	VALUE_BYTES,
	VALUE_ADDRESS,
	VALUE_BOOL,
	VALUE_NANOSECONDS
};

struct value {
	enum value_kind kind;
	enum paint paint;
	const char *text; /* copied by the call that takes the value */
	uint64_t number;
};

static inline struct value value_unknown(void)
{
	return (struct value){.kind = VALUE_UNKNOWN};
}
static inline struct value value_nothing(void)
{
	return (struct value){.kind = VALUE_NOTHING};
}
/* null in JSON, a word for people ("all"). */
static inline struct value value_null(const char *text)
{
	return (struct value){.kind = VALUE_NOTHING, .text = text};
}
/* NULL is "does not apply". */
static inline struct value value_text(const char *text)
{
	return (struct value){.kind = text ? VALUE_TEXT : VALUE_NOTHING, .text = text};
}
static inline struct value value_painted(const char *text, enum paint paint)
{
	return (struct value){.kind = VALUE_TEXT, .text = text, .paint = paint};
}
static inline struct value value_count(uint64_t n)
{
	return (struct value){.kind = VALUE_COUNT, .number = n};
}
static inline struct value value_bytes(uint64_t n)
{
	return (struct value){.kind = VALUE_BYTES, .number = n};
}
static inline struct value value_address(uint64_t n)
{
	return (struct value){.kind = VALUE_ADDRESS, .number = n};
}
static inline struct value value_bool(bool b)
{
	return (struct value){.kind = VALUE_BOOL, .number = b};
}
static inline struct value value_nanoseconds(uint64_t n)
{
	return (struct value){.kind = VALUE_NANOSECONDS, .number = n};
}

enum column_place {
	COLUMN_LEFT,
	COLUMN_RIGHT,
	COLUMN_WRAP,  /* left, takes the room that is left and wraps */
	COLUMN_BELOW, /* indented lines under the row, none when it is "-" */
	COLUMN_COMMAND, /* the same for shell: wrapped so that it can be pasted */
	COLUMN_EXTRA  /* only in JSON, or when asked for with -o */
};

struct column {
	const char *key;     /* JSON key, and the name for -o */
	const char *heading; /* as text */
	enum column_place place;
};

struct emitter_options {
	bool json;
	bool no_header;
	bool bytes;          /* sizes as plain numbers for people, too */
	const char *columns; /* comma-separated keys, NULL: the usual ones */
};

struct emitter;

struct emitter *emitter_create(const char *command,
			       const struct emitter_options *options);
bool emitter_is_json(const struct emitter *e);

/*
 * Check -o against the columns of the command's main table before any work
 * is done; what follows is an error to the user.  NULL, or the word of -o
 * that is no column (malloc'ed).
 */
char *emitter_bad_column(const struct emitter *e, const struct column *columns,
			 size_t n);

/* heading NULL: only in JSON. */
void emitter_field(struct emitter *e, const char *key, const char *heading,
		   struct value value);
/* Fields until the end are members of an object; heading NULL: none. */
void emitter_group_begin(struct emitter *e, const char *key, const char *heading);
void emitter_group_end(struct emitter *e);

/* main: -o applies to this table. */
void emitter_table_begin(struct emitter *e, const char *key,
			 const struct column *columns, size_t n, bool is_main);
void emitter_row(struct emitter *e, const struct value *values);
/* Rows from now on appear only in JSON (a long list cut short for people). */
void emitter_table_rest_hidden(struct emitter *e);
void emitter_table_end(struct emitter *e);

/* A line for people, wrapped to the screen; nothing in JSON. */
void emitter_line(struct emitter *e, const char *format, ...)
	__attribute__((format(printf, 2, 3)));

/* A shell command of --dry-run: one line, never wrapped; in JSON an object
 * in the array "commands".  Either may be NULL. */
void emitter_command(struct emitter *e, const char *command, const char *comment);

/*
 * The command failed: object, reason, and a line that says what to do
 * (NULL: none).  error 0: no errno.  On stderr, or as "error" in the JSON
 * document on stdout.
 */
void emitter_error(struct emitter *e, const char *object, int error,
		   const char *reason, const char *way_out);

/*
 * Write what is left and free.  Returns status, or 2 when standard output
 * could not be written (said on stderr).
 */
int emitter_finish(struct emitter *e, int status);

/* "64 KiB" for people; "65536" with -b. */
char *emitter_size(const struct emitter *e, uint64_t bytes, char *buf, size_t len);

#endif

/* SPDX-License-Identifier: BSD-2-Clause */
#include "share.h"

#include "contig/pool.h"

#include <errno.h>
#include <inttypes.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

const struct column share_columns[SHARE_COLUMNS] = {
	{"pid", "PID", COLUMN_RIGHT},
	{"command", "COMMAND", COLUMN_LEFT},
	{"role", "ROLE", COLUMN_LEFT},
	{"start", "ADDRESS", COLUMN_LEFT},
	{"with_pid", "WITH", COLUMN_RIGHT},
	{"pages", "PAGES", COLUMN_RIGHT},
	{"state", "STATE", COLUMN_WRAP},
	{"path", "at", COLUMN_BELOW},
	{"size", "SIZE", COLUMN_EXTRA},
	{"page_size", "PAGE", COLUMN_EXTRA},
	{"prot", "PROT", COLUMN_EXTRA},
	{"modes", "MODES", COLUMN_EXTRA},
	{"pools", "POOLS", COLUMN_EXTRA},
	{"with_command", "WITH-COMMAND", COLUMN_EXTRA},
	{"with_uid", "UID", COLUMN_EXTRA},
	{"mapped", "MAPPED", COLUMN_EXTRA},
};

static const struct column pool_columns[] = {
	{"pid", "PID", COLUMN_RIGHT},
	{"command", "COMMAND", COLUMN_LEFT},
	{"pool", "POOL", COLUMN_LEFT},
	{"mode", "MODE", COLUMN_LEFT},
	{"held", "HELD", COLUMN_RIGHT},
	{"live", "IN-USE", COLUMN_RIGHT},
	{"quarantined", "QUARANTINED", COLUMN_RIGHT},
};

#define N_POOL_COLUMNS (sizeof(pool_columns) / sizeof(pool_columns[0]))

/* At the other end of a vma, or of nothing. */
struct holder {
	const struct share_process *who; /* NULL: not to be seen */
	pid_t pid;                       /* 0: unknown */
	bool nobody;
	int64_t uid;                     /* -1: unknown */
	int64_t pages;                   /* -1: unknown */
	uint64_t mapped;
	const char *state;
	enum paint paint;
};

static const char *const mode_names[] = {"revocable", "readonly", "fixed"};

#define N_MODES (sizeof(mode_names) / sizeof(mode_names[0]))

static const char *mode_name(uint32_t mode)
{
	return mode < N_MODES ? mode_names[mode] : "unknown";
}

/* Words of a mask, comma-separated. */
static const char *modes_text(uint32_t modes, char *buf, size_t len)
{
	size_t at = 0;

	buf[0] = '\0';
	for (size_t i = 0; i < N_MODES; i++)
		if (modes & 1u << i && at < len)
			at += (size_t)snprintf(buf + at, len - at, "%s%s", at ? "," : "",
					       mode_names[i]);
	return buf[0] ? buf : NULL;
}

static const char *pools_text(const struct board_copy *board, uint64_t pools, char *buf,
			      size_t len)
{
	size_t at = 0;

	buf[0] = '\0';
	for (size_t i = 0; i < 64 && i < board->n_pools; i++)
		if (pools & UINT64_C(1) << i && board->pools[i].record.state && at < len)
			at += (size_t)snprintf(buf + at, len - at, "%s%s", at ? "," : "",
					       board->pools[i].name);
	return buf[0] ? buf : NULL;
}

static const char *prot_text(uint32_t prot)
{
	return prot & PROT_WRITE ? "rw" : prot & PROT_READ ? "r" : "none";
}

static const char *role_text(const struct board_vma *vma)
{
	if (!vma)
		return "owner";
	return vma->direction == BOARD_EXPORTED ? "exporter" : "importer";
}

/* vma NULL: pages of its pools, wherever. */
static void print_row(struct share *share, const struct sharer *sharer,
		      const struct board_vma *vma, const struct holder *holder)
{
	char modes[64], pools[512];
	bool first = vma != share->last; /* people are told once where it listens */
	const struct value values[SHARE_COLUMNS] = {
		value_count((uint64_t)sharer->who->process.pid),
		value_text(sharer->who->process.name),
		value_text(role_text(vma)),
		vma ? value_address(vma->start) : value_nothing(),
		holder->nobody ? value_nothing() :
		holder->pid ? value_count((uint64_t)holder->pid) : value_unknown(),
		holder->nobody ? value_nothing() :
		holder->pages >= 0 ? value_count((uint64_t)holder->pages) : value_unknown(),
		value_painted(holder->state, holder->paint),
		value_text(vma && vma->path[0] && (first || emitter_is_json(share->e)) ?
				   vma->path : NULL),
		vma ? value_bytes(vma->size) : value_nothing(),
		vma ? value_bytes(vma->page_size) : value_nothing(),
		value_text(vma ? prot_text(vma->prot) : NULL),
		value_text(vma ? modes_text(vma->modes, modes, sizeof(modes)) : NULL),
		value_text(vma ? pools_text(&sharer->board, vma->pools, pools, sizeof(pools)) :
				 NULL),
		value_text(holder->who ? holder->who->process.name : NULL),
		holder->uid >= 0 ? value_count((uint64_t)holder->uid) : value_nothing(),
		holder->nobody ? value_nothing() :
		holder->who && !holder->who->forbidden ? value_bytes(holder->mapped) :
							 value_unknown(),
	};

	emitter_row(share->e, values);
	share->last = vma;
	share->rows++;
}

/* The process that another one, in a pid namespace of its own, calls so. */
static const struct share_process *find(const struct share *share,
					const struct share_process *speaker, pid_t pid)
{
	for (size_t i = 0; pid && i < share->n_all; i++) {
		const struct process *p = &share->all[i].process;

		/* Not known to us of another user's: then it is taken to be the same. */
		if (p->own_pid == pid &&
		    (!p->namespace || p->namespace == speaker->process.namespace))
			return &share->all[i];
	}
	return NULL;
}

static bool is_peer(const struct share *share, const struct sharer *sharer, size_t vma,
		    const struct share_process *who)
{
	for (size_t i = 0; i < sharer->board.n_peers; i++) {
		const struct board_peer *peer = &sharer->board.peers[i];

		if (peer->record.state && peer->vma == vma &&
		    find(share, sharer->who, (pid_t)peer->pid) == who)
			return true;
	}
	return false;
}

/* What to say of the other end when it isn't among the processes. */
static const char *missing(const struct sharer *sharer, pid_t pid)
{
	struct process self;
	bool same = !process_look(getpid(), &self) &&
		    self.namespace == sharer->who->process.namespace;

	return same && pid > 0 && kill(pid, 0) < 0 && errno == ESRCH ?
		       "that process has ended" : "connected, but not to be seen";
}

static void print_peer(struct share *share, const struct sharer *sharer,
		       const struct board_vma *vma, const struct board_peer *peer,
		       const struct share_files *files)
{
	const struct share_process *who = find(share, sharer->who, (pid_t)peer->pid);
	struct holder holder = {
		.who = who,
		.pid = who ? who->process.pid : (pid_t)peer->pid,
		.uid = peer->uid,
		.pages = (int64_t)(peer->pages & INT64_MAX),
		.mapped = who ? share_files_bytes(&who->mapped, files) : 0,
		.state = who ? "connected" : missing(sharer, (pid_t)peer->pid),
		.paint = who ? PAINT_GOOD : PAINT_WARN,
	};

	print_row(share, sharer, vma, &holder);
}

static void print_unconnected(struct share *share, const struct sharer *sharer,
			      const struct board_vma *vma, const struct share_process *who,
			      uint64_t mapped)
{
	const struct holder holder = {
		.who = who,
		.pid = who->process.pid,
		.uid = who->process.uid == (uid_t)-1 ? -1 : (int64_t)who->process.uid,
		.pages = vma && vma->page_size ? (int64_t)(mapped / vma->page_size) : -1,
		.mapped = mapped,
		.state = "holds it, not connected",
		.paint = PAINT_WARN,
	};

	print_row(share, sharer, vma, &holder);
}

static void print_vma(struct share *share, const struct sharer *sharer, size_t number)
{
	static const struct holder nobody = {
		.nobody = true, .uid = -1, .state = "nobody is connected", .paint = PAINT_DIM};
	const struct board_vma *vma = &sharer->board.vmas[number];
	bool exported = vma->direction == BOARD_EXPORTED;
	const struct share_files *mapped = &sharer->who->mapped;
	struct share_files files;
	size_t before = share->rows;

	/* Of an imported vma: our own files, which the other one has mapped. */
	if (!share_files_within(mapped, exported ? vma->start : 0,
				exported ? vma->start + vma->size : UINT64_MAX, &files))
		return;
	for (size_t i = 0; i < sharer->board.n_peers; i++) {
		const struct board_peer *peer = &sharer->board.peers[i];

		if (peer->record.state && peer->vma == number)
			print_peer(share, sharer, vma, peer, &files);
	}
	for (size_t i = 0; exported && i < share->n_all; i++) {
		const struct share_process *who = &share->all[i];
		uint64_t bytes = share_files_bytes(&who->mapped, &files);

		if (bytes && who != sharer->who && !is_peer(share, sharer, number, who))
			print_unconnected(share, sharer, vma, who, bytes);
	}
	if (share->rows == before)
		print_row(share, sharer, vma, &nobody);
	share_files_free(&files);
}

static bool is_any_peer(const struct share *share, const struct sharer *sharer,
			const struct share_process *who)
{
	for (size_t i = 0; i < sharer->board.n_vmas; i++)
		if (sharer->board.vmas[i].record.state && is_peer(share, sharer, i, who))
			return true;
	return false;
}

static bool has_shareable(const struct board_copy *board)
{
	for (size_t i = 0; i < board->n_pools; i++)
		if (board->pools[i].record.state && board->pools[i].kind == CONTIG_POOL_SHAREABLE)
			return true;
	return false;
}

/*
 * Who has memory of its shareable pools mapped without being connected to it:
 * a child of a process that was, for instance.  Those files it keeps
 * descriptors of; what others inserted in its vmas is theirs.
 */
static void print_owned(struct share *share, const struct sharer *sharer)
{
	struct share_files files;

	if (!has_shareable(&sharer->board) ||
	    !share_files_within(&sharer->who->mapped, 0, UINT64_MAX, &files))
		return;
	share_files_described(&files, sharer->who->process.pid);
	for (size_t i = 0; i < sharer->board.n_vmas; i++) {
		const struct board_vma *vma = &sharer->board.vmas[i];
		struct share_files theirs;
		size_t n = 0;

		if (!vma->record.state || vma->direction != BOARD_EXPORTED ||
		    !share_files_within(&sharer->who->mapped, vma->start, vma->start + vma->size,
					&theirs))
			continue;
		for (size_t j = 0; j < files.n; j++)
			if (!share_files_has(&theirs, &files.files[j]))
				files.files[n++] = files.files[j];
		files.n = n;
		share_files_free(&theirs);
	}
	for (size_t i = 0; i < share->n_all; i++) {
		const struct share_process *who = &share->all[i];
		uint64_t bytes = share_files_bytes(&who->mapped, &files);

		if (bytes && who != sharer->who && !is_any_peer(share, sharer, who))
			print_unconnected(share, sharer, NULL, who, bytes);
	}
	share_files_free(&files);
}

void share_print(struct share *share)
{
	emitter_table_begin(share->e, "shared", share_columns, SHARE_COLUMNS, true);
	for (size_t i = 0; i < share->n_sharers; i++) {
		const struct sharer *sharer = &share->sharers[i];

		for (size_t j = 0; j < sharer->board.n_vmas; j++)
			if (sharer->board.vmas[j].record.state)
				print_vma(share, sharer, j);
		print_owned(share, sharer);
	}
	emitter_table_end(share->e);
}

void share_print_pools(struct share *share)
{
	bool any = false;

	for (size_t i = 0; i < share->n_sharers; i++)
		any |= has_shareable(&share->sharers[i].board);
	if (!any && !emitter_is_json(share->e))
		return;
	if (share->rows)
		emitter_line(share->e, "%s", "");
	emitter_table_begin(share->e, "pools", pool_columns, N_POOL_COLUMNS, false);
	for (size_t i = 0; i < share->n_sharers; i++) {
		const struct sharer *sharer = &share->sharers[i];

		for (size_t j = 0; j < sharer->board.n_pools; j++) {
			const struct board_pool *pool = &sharer->board.pools[j];

			if (!pool->record.state || pool->kind != CONTIG_POOL_SHAREABLE)
				continue;
			emitter_row(share->e,
				    (const struct value[N_POOL_COLUMNS]){
					    value_count((uint64_t)sharer->who->process.pid),
					    value_text(sharer->who->process.name),
					    value_text(pool->name),
					    value_text(mode_name(pool->mode)),
					    value_bytes(pool->held),
					    value_bytes(pool->live),
					    value_bytes(pool->quarantined),
				    });
		}
	}
	emitter_table_end(share->e);
}

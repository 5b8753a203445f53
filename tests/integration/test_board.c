/* SPDX-License-Identifier: BSD-2-Clause */
/* What others see of a process: its statistics, and the vmas that it shares. */
#include "harness.h"
#include "probe.h"

#include <contig.h>

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <pthread.h>
#include <signal.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/wait.h>

#define SIMULATED "CONTIG_SIM=4G-4608M"

/* --- the command */

struct answer {
	int status;
	char out[8192];
};

static void tool(struct answer *answer, const char *format, ...)
	__attribute__((format(printf, 2, 3)));
static void tool(struct answer *answer, const char *format, ...)
{
	char command[1024];
	va_list ap;
	size_t n;
	FILE *in;
	int status;

	n = (size_t)snprintf(command, sizeof(command), "COLUMNS=500 %s ",
			     getenv("CONTIG_TOOL"));
	va_start(ap, format);
	vsnprintf(command + n, sizeof(command) - n, format, ap);
	va_end(ap);
	snprintf(command + strlen(command), sizeof(command) - strlen(command), " 2>&1");
	in = popen(command, "re");
	require(in, "popen: %s", strerror(errno));
	n = fread(answer->out, 1, sizeof(answer->out) - 1, in);
	answer->out[n] = '\0';
	status = pclose(in);
	answer->status = WIFEXITED(status) ? WEXITSTATUS(status) : -1;
}

static void need_tool(void)
{
	const char *path = getenv("CONTIG_TOOL");

	if (!path || access(path, X_OK))
		skip("CONTIG_TOOL does not name the command");
}

static bool has(const struct answer *answer, const char *text)
{
	return strstr(answer->out, text);
}

#define ALL "held,allocated,cached,free,largest_free,pinned,resident,unwired,"       \
	    "superpages_2m,superpages_1g,superpages_thp,requests,failures,reclaims," \
	    "taken,returned,metadata"

/* All counters of a process, in the order of CONTIG_STATS_COUNTERS. */
static void read_stats(pid_t pid, struct contig_stats *out)
{
	struct answer answer;
	uint64_t *field = &out->held;
	char *at = answer.out, *end;

	tool(&answer, "stats -n -b -o " ALL " %d", (int)pid);
	require(!answer.status, "contig stats %d: %d: %s", (int)pid, answer.status, answer.out);
	for (; field <= &out->metadata; field++, at = end) {
		*field = strtoull(at, &end, 10);
		require(end != at, "%s", answer.out);
	}
}

/* A pool's held, in use and free bytes. */
static bool read_pool(pid_t pid, const char *name, uint64_t *held, uint64_t *live, uint64_t *left)
{
	struct answer answer;
	char pattern[64], *line;

	tool(&answer, "stats -n -b %d", (int)pid);
	require(!answer.status, "contig stats %d: %s", (int)pid, answer.out);
	line = strstr(answer.out, "\n\n");
	require(line, "%s", answer.out);
	snprintf(pattern, sizeof(pattern), " %s ", name);
	line = strstr(line, pattern);
	if (!line)
		return false;
	line += strlen(pattern);
	require(sscanf(line, " %*s %" SCNu64 " %" SCNu64 " %" SCNu64, held, live, left) == 3,
		"%s", line);
	return true;
}

static contig_pool_t *make_pool(const char *name, enum contig_pool_kind kind)
{
	struct contig_pool_attr attr = {.struct_size = sizeof(attr), .name = name, .kind = kind,
					.node = -1};
	contig_pool_t *pool = contig_pool_create(&attr);

	require(pool, "%s", contig_strreason());
	return pool;
}

static void *take(contig_pool_t *pool, size_t size)
{
	void *va = contig_pool_malloc(pool, size, M_DEVBUF, M_ZERO, 0, ~(vm_paddr_t)0, 4096, 0);

	require(va, "%s", contig_strreason());
	return va;
}

/* --- statistics */

/* What the process itself says, number by number. */
static void same_numbers(void)
{
	struct contig_stats own = {.struct_size = sizeof(own)}, seen;
	contig_pool_t *pool;

	need_tool();
	pool = make_pool("blocks", CONTIG_POOL_DEFAULT);
	take(pool, 6 * MIB);
	for (int i = 0; i < 100; i++)
		require(contigmalloc(12 * 1024, M_DEVBUF, 0, 0, ~(vm_paddr_t)0, 4096, 0), "%s",
			contig_strreason());
	require(!contigmalloc(1UL << 40, M_DEVBUF, M_NOWAIT, 0, ~(vm_paddr_t)0, 4096, 0), "1T");
	contig_stats_get(&own);
	require(own.requests == 101 && own.failures == 1 && own.held >= 8 * MIB,
		"%" PRIu64 " requests, %" PRIu64 " failures, %" PRIu64 " held", own.requests,
		own.failures, own.held);
	read_stats(getpid(), &seen);
#define X(name, text)                                                                      \
	require(own.name == seen.name, #name " is %" PRIu64 ", seen as %" PRIu64, own.name, \
		seen.name);
	CONTIG_STATS_COUNTERS(X)
#undef X
}

/* With no call that has to do with statistics. */
static void live_numbers(void)
{
	contig_pool_t *pool;
	uint64_t held, live, left;
	char *block;

	need_tool();
	pool = make_pool("blocks", CONTIG_POOL_DEFAULT);
	require(read_pool(getpid(), "blocks", &held, &live, &left) && !held && !live && !left,
		"an empty pool");
	/* Too large for a thread to keep when freed. */
	block = take(pool, 8 * MIB);
	require(read_pool(getpid(), "blocks", &held, &live, &left), "no pool");
	require(held >= 8 * MIB && live == 8 * MIB && left == held - live,
		"held %" PRIu64 " live %" PRIu64 " free %" PRIu64, held, live, left);
	contigfree(block, 8 * MIB, M_DEVBUF);
	require(read_pool(getpid(), "blocks", &held, &live, &left), "no pool");
	require(!live && left == held, "held %" PRIu64 " live %" PRIu64 " free %" PRIu64, held,
		live, left);
	block = take(pool, 4 * MIB);
	require(read_pool(getpid(), "blocks", &held, &live, &left) && live == 4 * MIB, "live");
	contigfree(block, 4 * MIB, M_DEVBUF);
	contig_trim();
	require(read_pool(getpid(), "blocks", &held, &live, &left) && !held && !left, "trimmed");
	contig_pool_destroy(pool);
	require(!read_pool(getpid(), "blocks", &held, &live, &left), "it is still there");
}

/* Kilobytes of a field in all mappings of this process. */
static uint64_t smaps_sum(const char *field)
{
	FILE *in = fopen("/proc/self/smaps", "re");
	uint64_t sum = 0, kib;
	char line[512];

	require(in, "smaps");
	while (fgets(line, sizeof(line), in))
		if (!strncmp(line, field, strlen(field)) &&
		    sscanf(line + strlen(field), ": %" SCNu64, &kib) == 1)
			sum += kib;
	fclose(in);
	return sum << 10;
}

/* Real superpages: what the kernel says. */
static void same_as_kernel(void)
{
	struct contig_stats seen;
	uint64_t before;

	need_tool();
	make_pool("blocks", CONTIG_POOL_DEFAULT);
	before = smaps_sum("Shared_Hugetlb") + smaps_sum("Private_Hugetlb") +
		 smaps_sum("ShmemPmdMapped");
	take(NULL, 3 * SUPERPAGE);
	read_stats(getpid(), &seen);
	require(seen.held >= 3 * SUPERPAGE, "held %" PRIu64, seen.held);
	require(seen.pinned + seen.resident + seen.unwired == seen.held, "wired");
	require(seen.superpages_2m * SUPERPAGE + seen.superpages_1g * GIB +
				seen.superpages_thp * SUPERPAGE == seen.held, "superpages");
	require(smaps_sum("Shared_Hugetlb") + smaps_sum("Private_Hugetlb") +
				smaps_sum("ShmemPmdMapped") - before == seen.held,
		"%" PRIu64 " held, the kernel has mapped %" PRIu64 " more than before", seen.held,
		smaps_sum("Shared_Hugetlb") + smaps_sum("Private_Hugetlb") +
			smaps_sum("ShmemPmdMapped") - before);
}

/* --- one process's is not another's */

static void fork_child(void)
{
	struct contig_stats parent, child;
	struct answer answer;
	int to[2], from[2];
	char byte = 0;
	pid_t pid;

	need_tool();
	take(NULL, 3 * SUPERPAGE);
	require(!pipe(to) && !pipe(from), "pipe");
	pid = fork();
	if (!pid) {
		require(read(to[0], &byte, 1) == 1, "read");
		require(!contigmalloc(1UL << 40, M_DEVBUF, M_NOWAIT, 0, ~(vm_paddr_t)0, 4096, 0),
			"1T");
		take(make_pool("child", CONTIG_POOL_DEFAULT), SUPERPAGE);
		require(write(from[1], &byte, 1) == 1, "write");
		pause();
	}
	tool(&answer, "stats %d", (int)pid);
	require(answer.status == 2 && has(&answer, "not in use"), "%d: %s", answer.status,
		answer.out);
	require(write(to[1], &byte, 1) == 1 && read(from[0], &byte, 1) == 1, "talk");
	read_stats(getpid(), &parent);
	read_stats(pid, &child);
	require(!parent.failures && parent.held >= 3 * SUPERPAGE, "the parent's changed");
	require(child.failures == 1 && child.held >= SUPERPAGE && child.held < parent.held,
		"child: %" PRIu64 " failures, %" PRIu64 " held", child.failures, child.held);
	tool(&answer, "stats %d", (int)getpid());
	require(!has(&answer, "child"), "%s", answer.out);
	kill(pid, SIGKILL);
	/* Dead, and not waited for; then gone. */
	for (int i = 0; i < 2; i++) {
		tool(&answer, "stats %d", (int)pid);
		require(answer.status == 2, "%d: %s", answer.status, answer.out);
		reap(pid);
	}
	require(has(&answer, "no such process"), "%s", answer.out);
}

static int vfork_pipe[2], vfork_go[2];

static void *vfork_body(void *arg)
{
	pid_t pid, self;
	char byte;

	(void)arg;
	pid = vfork();
	if (!pid) {
		self = getpid();
		if (write(vfork_pipe[1], &self, sizeof(self)) != sizeof(self) ||
		    read(vfork_go[0], &byte, 1) != 1)
			_exit(1);
		_exit(0);
	}
	waitpid(pid, NULL, 0);
	return NULL;
}

static void vfork_child(void)
{
	struct contig_stats seen;
	struct answer answer;
	pthread_t thread;
	pid_t pid;

	need_tool();
	take(NULL, SUPERPAGE);
	require(!pipe(vfork_pipe) && !pipe(vfork_go), "pipe");
	require(!pthread_create(&thread, NULL, vfork_body, NULL), "thread");
	require(read(vfork_pipe[0], &pid, sizeof(pid)) == sizeof(pid), "read");
	tool(&answer, "stats %d", (int)pid);
	require(write(vfork_go[1], "", 1) == 1, "write");
	require(answer.status == 2 && has(&answer, "vfork"), "%d: %s", answer.status, answer.out);
	pthread_join(thread, NULL);
	read_stats(getpid(), &seen);
	require(seen.held >= SUPERPAGE, "held");
}

/* --- descriptors, limits, privileges */

static int board_descriptor(void)
{
	for (int fd = 0; fd < 1024; fd++) {
		char path[32], link[64] = "";

		snprintf(path, sizeof(path), "/proc/self/fd/%d", fd);
		if (readlink(path, link, sizeof(link) - 1) > 0 &&
		    !strncmp(link, "/memfd:libcontig-stats", 22))
			return fd;
	}
	return -1;
}

static void closed(void)
{
	struct contig_stats seen;
	int fd;

	need_tool();
	take(NULL, SUPERPAGE);
	fd = board_descriptor();
	require(fd >= 3 && fcntl(fd, F_GETFD) & FD_CLOEXEC, "descriptor %d", fd);
	for (int i = 3; i < 1024; i++)
		close(i);
	probe_forget();
	take(NULL, 3 * SUPERPAGE);
	read_stats(getpid(), &seen);
	require(seen.allocated >= 4 * SUPERPAGE, "allocated %" PRIu64, seen.allocated);
	/* Another file under its number is not closed in a child. */
	require(dup2(1, fd) == fd, "dup2");
	if (!fork())
		_exit(fcntl(fd, F_GETFD) < 0);
	require(wait(&fd) > 0 && !fd, "a child closed another file");
}

/* Nobody else writes to it, nor makes it shorter. */
static void sealed(void)
{
	char path[32], byte = 1;
	int fd, again;

	take(NULL, SUPERPAGE);
	fd = board_descriptor();
	require(fd >= 0, "none");
	snprintf(path, sizeof(path), "/proc/self/fd/%d", fd);
	again = open(path, O_RDWR | O_CLOEXEC); /* root may */
	if (again < 0)
		again = fd;
	require(pwrite(again, &byte, 1, 0) < 0 && errno == EPERM, "written to");
	require(ftruncate(again, 0) < 0 && errno == EPERM, "cut");
	require(mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_SHARED, again, 0) == MAP_FAILED,
		"mapped to write");
	require(fcntl(again, F_ADD_SEALS, F_SEAL_WRITE) < 0, "seals added");
	require(fallocate(again, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, 0, 4096) < 0, "hole");
	require(read(fd, path, 8) == 8 && !memcmp(path, "CONTIGST", 8), "magic");
}

static void unprivileged(void)
{
	struct contig_stats seen;
	struct answer answer;
	char *tool_path = getenv("CONTIG_TOOL");
	pid_t pid, root = getppid();

	need_tool();
	require(become_nobody(), "nobody");
	if (access(tool_path, X_OK))
		skip("nobody can't run %s", tool_path);
	pid = fork();
	if (!pid) {
		take(NULL, SUPERPAGE);
		raise(SIGSTOP);
		close(board_descriptor());
		raise(SIGSTOP);
		_exit(0);
	}
	require(waitpid(pid, NULL, WUNTRACED) == pid, "wait");
	read_stats(pid, &seen);
	require(seen.held >= SUPERPAGE, "held");
	kill(pid, SIGCONT);
	require(waitpid(pid, NULL, WUNTRACED) == pid, "wait");
	/* Now only root can. */
	tool(&answer, "stats %d", (int)pid);
	require(answer.status == 2 && has(&answer, "needs root"), "%d: %s", answer.status,
		answer.out);
	tool(&answer, "stats %d", (int)root);
	require(answer.status == 2 && has(&answer, "not permitted"), "%d: %s", answer.status,
		answer.out);
	kill(pid, SIGKILL);
	reap(pid);
}

static void no_file(void)
{
	struct rlimit none = {4096, 4096};
	struct contig_stats own = {.struct_size = sizeof(own)};
	struct answer answer;

	need_tool();
	require(!setrlimit(RLIMIT_FSIZE, &none), "setrlimit");
	take(NULL, 3 * SUPERPAGE);
	contig_stats_get(&own);
	require(own.held >= 3 * SUPERPAGE, "held");
	require(board_descriptor() < 0, "there is a file");
	tool(&answer, "stats %d", (int)getpid());
	require(answer.status == 2 && has(&answer, "has no statistics"), "%d: %s",
		answer.status, answer.out);
}

static void no_library(void)
{
	struct answer answer;

	need_tool();
	tool(&answer, "stats 1");
	require(answer.status == 2 &&
			(has(&answer, "no libcontig") || has(&answer, "not permitted")),
		"%d: %s", answer.status, answer.out);
	tool(&answer, "share 999999999");
	require(answer.status == 2 && has(&answer, "no such process"), "%s", answer.out);
	tool(&answer, "share no-such-name");
	require(answer.status == 2 && has(&answer, "no such process"), "%s", answer.out);
}

/* Pools come, grow and go while others look. */
static atomic_bool stop;

static void *churn(void *arg)
{
	(void)arg;
	while (!atomic_load(&stop)) {
		contig_pool_t *pool = make_pool("churn", CONTIG_POOL_DEFAULT);

		take(pool, 5 * MIB);
		contig_pool_destroy(pool);
	}
	return NULL;
}

static void consistent(void)
{
	pthread_t threads[2];
	unsigned int rows = 0;

	need_tool();
	take(NULL, SUPERPAGE);
	/* What is still allocated is reported on stderr. */
	require(freopen("/dev/null", "we", stderr), "stderr");
	for (int i = 0; i < 2; i++)
		require(!pthread_create(&threads[i], NULL, churn, NULL), "thread");
	for (int i = 0; i < 40; i++) {
		struct answer answer;
		char *line;

		tool(&answer, "stats -n -b %d", (int)getpid());
		require(!answer.status, "%s", answer.out);
		line = strstr(answer.out, "\n\n");
		require(line, "%s", answer.out);
		for (line = strtok(line, "\n"); line; line = strtok(NULL, "\n")) {
			uint64_t held, live, left, longest, pinned;
			char name[64], kind[64];

			require(sscanf(line, "%*d %63s %63s %" SCNu64 " %" SCNu64 " %" SCNu64
				       " %" SCNu64 " %" SCNu64, name, kind, &held, &live, &left,
				       &longest, &pinned) == 7, "%s", line);
			require(!strcmp(name, "churn") || !strcmp(name, "default"), "%s", line);
			require(!strcmp(kind, "default") && !pinned, "%s", line);
			require(held <= 64 * MIB && held % SUPERPAGE == 0 && longest <= held &&
					live <= 64 * MIB && left <= 64 * MIB,
				"%s", line);
			rows++;
		}
	}
	atomic_store(&stop, true);
	for (int i = 0; i < 2; i++)
		pthread_join(threads[i], NULL);
	require(rows >= 40, "%u rows", rows);
}

/* --- sharing */

#define PAGES 64

struct process {
	pid_t pid;
	int ours; /* a byte each way: go on, done */
};

static int theirs;

static void await(void)
{
	char byte;

	if (read(theirs, &byte, 1) != 1)
		_exit(0);
}

static void done(void)
{
	char byte = 0;

	if (write(theirs, &byte, 1) != 1)
		_exit(0);
}

/* Of a connection; each of its processes closes the other's. */
static int ends[2];

static void start(struct process *process, void (*body)(void))
{
	int pair[2];

	require(!socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair), "socketpair");
	process->pid = fork();
	if (!process->pid) {
		close(pair[0]);
		theirs = pair[1];
		body();
		_exit(0);
	}
	close(pair[1]);
	process->ours = pair[0];
}

static void step(struct process *process)
{
	char byte = 0;

	require(write(process->ours, &byte, 1) == 1 && read(process->ours, &byte, 1) == 1,
		"process %d ended", (int)process->pid);
}

static void end(struct process *process)
{
	kill(process->pid, SIGKILL);
	reap(process->pid);
	close(process->ours);
}

static char socket_path[128];

/* Exports to a socketpair and at a path; then forks one who stays, and goes. */
static void exporter(void)
{
	struct vm_area_struct *vma;
	pid_t heir;

	close(ends[1]);
	await();
	vma = vma_create(4 * MIB, PAGE, PROT_READ | PROT_WRITE);
	if (!vma || vma_listen(vma, socket_path, NULL, 0) || vma_export(vma, ends[0]) ||
	    vma_serve_start(vma))
		fail("%s", contig_strreason());
	done();
	await();
	heir = fork();
	if (!heir) {
		for (int fd = 3; fd < 1024; fd++)
			close(fd);
		for (;;)
			pause();
	}
	if (write(theirs, &heir, sizeof(heir)) != sizeof(heir))
		_exit(1);
	await();
	zap_vma_ptes(vma, vma->vm_start, 4 * MIB);
	done();
	await();
}

static void importer(const char *name, int socket, int first)
{
	struct vm_area_struct *vma;
	contig_pool_t *pool;
	char *block;

	await();
	pool = make_pool(name, CONTIG_POOL_SHAREABLE);
	block = take(pool, PAGES * PAGE);
	vma = socket < 0 ? vma_connect(socket_path, (uid_t)-1) : vma_import(socket);
	require(vma, "%s", contig_strreason());
	done();
	await();
	for (int i = 0; i < PAGES; i++)
		require(!vm_insert_page(vma, vma->vm_start + (unsigned long)(first + i) * PAGE,
					vm_page_of_address(block + (size_t)i * PAGE)),
			"%s", contig_strreason());
	done();
	await();
	require(!zap_vma_ptes(vma, vma->vm_start + (unsigned long)first * PAGE,
			      PAGES / 2 * PAGE), "%s", contig_strreason());
	done();
	for (;;) {
		await();
		/* Finds out whether the other one is there, and goes on. */
		zap_vma_ptes(vma, vma->vm_start, PAGES * 4 * PAGE);
		done();
	}
}

static void importer_by_pair(void)
{
	close(ends[0]);
	importer("first", ends[1], 0);
}

static void importer_by_path(void)
{
	close(ends[0]);
	close(ends[1]);
	importer("second", -1, 200);
}

/* Whether there is such a row; pages -1: "?". */
static bool row(pid_t asked, pid_t of, const char *role, pid_t with, long pages, const char *state)
{
	struct answer answer;
	char wanted[256], pages_text[24] = "?";

	if (pages >= 0)
		snprintf(pages_text, sizeof(pages_text), "%ld", pages);
	snprintf(wanted, sizeof(wanted), "%d %s %d %s %s", (int)of, role, (int)with, pages_text,
		 state);
	tool(&answer, "share -n -o pid,role,with_pid,pages,state %d | tr -s ' ' | sed 's/^ //'",
	     (int)asked);
	return has(&answer, wanted);
}

static void show(pid_t pid)
{
	struct answer answer;

	tool(&answer, "share %d", (int)pid);
	note("%s", answer.out);
}

#define row_is(...)                                                      \
	do {                                                             \
		if (!row(__VA_ARGS__)) {                                 \
			show(x.pid);                                     \
			show(a.pid);                                     \
			show(b.pid);                                     \
			fail("no row " #__VA_ARGS__);                    \
		}                                                        \
	} while (0)

static void quarantine_seen(pid_t pid)
{
	uint64_t held, live, quarantined;
	struct answer answer;
	char *line;

	tool(&answer, "share -b %d", (int)pid);
	line = strstr(answer.out, " first ");
	require(line && sscanf(line, " first revocable %" SCNu64 " %" SCNu64 " %" SCNu64, &held,
			       &live, &quarantined) == 3,
		"%s", answer.out);
	require(held >= SUPERPAGE && quarantined && quarantined <= held - live,
		"held %" PRIu64 ", live %" PRIu64 ", %" PRIu64 " quarantined", held, live,
		quarantined);
}

static void sharing(void)
{
	struct process x, a, b;
	struct answer answer;
	char directory[] = "/tmp/contig-board-XXXXXX", byte = 0;
	pid_t heir = 0;

	need_tool();
	require(mkdtemp(directory), "mkdtemp");
	snprintf(socket_path, sizeof(socket_path), "%s/socket", directory);
	require(!socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, ends), "socketpair");
	start(&x, exporter);
	start(&a, importer_by_pair);
	start(&b, importer_by_path);
	close(ends[0]);
	close(ends[1]);
	step(&x);
	step(&a);
	step(&b);
	row_is(x.pid, x.pid, "exporter", a.pid, 0, "connected");
	row_is(x.pid, x.pid, "exporter", b.pid, 0, "connected");
	step(&a);
	step(&b);
	row_is(x.pid, x.pid, "exporter", a.pid, PAGES, "connected");
	row_is(x.pid, x.pid, "exporter", b.pid, PAGES, "connected");
	row_is(a.pid, a.pid, "importer", x.pid, PAGES, "connected");
	step(&a);
	row_is(x.pid, x.pid, "exporter", a.pid, PAGES / 2, "connected");
	row_is(a.pid, a.pid, "importer", x.pid, PAGES / 2, "connected");
	tool(&answer, "share %d", (int)x.pid);
	require(!answer.status && has(&answer, socket_path) && !has(&answer, "holds it"), "%s",
		answer.out);
	/* Where the pages came from. */
	tool(&answer, "share -n -o role,page_size,prot,pools,mapped -b %d | tr -s ' '",
	     (int)b.pid);
	require(has(&answer, "importer 4096 rw second 262144"), "%s", answer.out);

	/* A child of the exporter that has the pages, and no socket. */
	require(write(x.ours, &byte, 1) == 1 && read(x.ours, &heir, sizeof(heir)) == sizeof(heir),
		"heir");
	row_is(x.pid, x.pid, "exporter", heir, PAGES + PAGES / 2, "holds it, not connected");
	row_is(a.pid, a.pid, "owner", heir, -1, "holds it, not connected");
	/* The exporter zaps: its child still has them. */
	step(&x);
	row_is(x.pid, x.pid, "exporter", a.pid, 0, "connected");
	require(!row(x.pid, x.pid, "exporter", heir, PAGES + PAGES / 2, "holds it"), "zapped");
	row_is(a.pid, a.pid, "owner", heir, -1, "holds it, not connected");
	row_is(b.pid, b.pid, "owner", heir, -1, "holds it, not connected");
	/* All processes at once. */
	tool(&answer, "share");
	require(!answer.status && has(&answer, "exporter") && has(&answer, "importer") &&
			has(&answer, "owner"),
		"%s", answer.out);

	end(&x);
	row_is(a.pid, a.pid, "importer", x.pid, PAGES / 2, "that process has ended");
	step(&a);
	require(!row(a.pid, a.pid, "importer", x.pid, PAGES / 2, ""), "the import is over");
	row_is(a.pid, a.pid, "owner", heir, -1, "holds it, not connected");
	quarantine_seen(a.pid);
	tool(&answer, "share %d", (int)x.pid);
	require(answer.status == 2 && has(&answer, "no such process"), "%s", answer.out);
	kill(heir, SIGKILL);
	for (int i = 0; i < 1000 && row(a.pid, a.pid, "owner", heir, -1, ""); i++)
		probe_sleep_ms(10);
	tool(&answer, "share %d", (int)a.pid);
	require(answer.status == 1 && has(&answer, "No vma is shared by this process"), "%d: %s",
		answer.status, answer.out);
	end(&a);
	end(&b);
	unlink(socket_path);
	rmdir(directory);
}

static const struct test_case cases[] = {
	{"same_numbers", same_numbers, 0, 0, SIMULATED},
	{"live_numbers", live_numbers, 0, 0, SIMULATED},
	{"same_as_kernel", same_as_kernel, 4, 0, NULL},
	{"fork_child", fork_child, 0, 0, SIMULATED},
	{"vfork_child", vfork_child, 0, CASE_NO_SANITIZER, SIMULATED},
	{"closed", closed, 0, CASE_ROOT | CASE_NO_SANITIZER, SIMULATED},
	{"sealed", sealed, 0, 0, SIMULATED},
	{"unprivileged", unprivileged, 0, CASE_ROOT, SIMULATED},
	{"no_file", no_file, 0, 0, SIMULATED},
	{"no_library", no_library, 0, 0, NULL},
	{"consistent", consistent, 0, CASE_SLOW, SIMULATED},
	{"sharing", sharing, 0, CASE_SLOW | CASE_ROOT, SIMULATED},
	{"sharing_collapsed", sharing, 0, CASE_SLOW | CASE_ROOT, NULL},
};

int main(int argc, char **argv)
{
	return RUN_CASES(cases, argc, argv);
}

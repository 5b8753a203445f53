/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * A program that knows nothing of libcontig: it is compiled without our
 * headers and linked with libc alone.  victim_malloc SCENARIO [BYTES] does
 * what programs do with malloc, and says what it saw; test_preload.c runs it
 * with and without the shim.  Exit 0: as it should be; 1: not so (each says
 * what); 2: trouble.
 */
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <malloc.h>
#include <pthread.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ipc.h>
#include <sys/mman.h>
#include <sys/shm.h>
#include <unistd.h>

#define PAGE ((size_t)4096)
#define MIB ((size_t)1 << 20)

static int wrong;
static bool beyond_limit; /* contiguous or not, both will do */

__attribute__((format(printf, 3, 4))) static void complain(int line, const char *what,
							   const char *format, ...)
{
	va_list ap;

	va_start(ap, format);
	printf("line %d: %s: ", line, what);
	vprintf(format, ap);
	putchar('\n');
	va_end(ap);
	__atomic_store_n(&wrong, 1, __ATOMIC_RELAXED);
}

#define expect(condition, ...)                                     \
	do {                                                       \
		if (!(condition))                                  \
			complain(__LINE__, #condition, __VA_ARGS__); \
	} while (0)

/* The compiler must not know what malloc does. */
static void *hide(void *p)
{
	__asm__ volatile("" : "+r"(p));
	return p;
}

/* 0: nothing is there, or (frames are hidden) one can't say. */
static uint64_t frame_of(int pagemap, uintptr_t page)
{
	uint64_t entry = 0;

	if (pread(pagemap, &entry, sizeof(entry), (off_t)(page * sizeof(entry))) != sizeof(entry) ||
	    !(entry >> 63))
		return 0;
	return entry & ((UINT64_C(1) << 55) - 1);
}

/* Whether [p, p + size), touched, is one run of frames. */
static bool contiguous(const void *p, size_t size)
{
	int pagemap = open("/proc/self/pagemap", O_RDONLY | O_CLOEXEC);
	uintptr_t page = (uintptr_t)p / PAGE, last = ((uintptr_t)p + size - 1) / PAGE;
	uint64_t first = frame_of(pagemap, page);
	bool one = first != 0;

	/* Frames are hidden from an ordinary user, and then the rest counts. */
	if (beyond_limit || !frame_of(pagemap, (uintptr_t)&one / PAGE)) {
		close(pagemap);
		return true;
	}
	for (uintptr_t i = page; one && i <= last; i++)
		one = frame_of(pagemap, i) == first + (i - page);
	close(pagemap);
	return one;
}

/* Every size class of the promise up to a size: malloc, calloc, aligned. */
static void blocks(size_t most)
{
	for (size_t size = 65536; size <= most; size += size / 2 + 4096) {
		char *a = malloc(size), *b = NULL, *c;

		expect(a, "malloc(%zu): %s", size, strerror(errno));
		if (!a)
			return;
		memset(a, 1, size);
		expect(contiguous(a, size), "malloc(%zu) at %p", size, (void *)a);
		if (size > 64 * MIB) {
			free(a);
			continue;
		}
		c = calloc(1, size);
		expect(c && contiguous(c, size), "calloc(%zu) at %p", size, (void *)c);
		for (size_t i = 0; c && i < size; i++)
			if (c[i]) {
				expect(!c[i], "calloc(%zu) isn't zero at %zu", size, i);
				break;
			}
		expect(!posix_memalign((void **)&b, PAGE, size), "posix_memalign(%zu)", size);
		memset(b, 2, size);
		expect(contiguous(b, size), "posix_memalign(%zu) at %p", size, (void *)b);
		free(a);
		free(b);
		free(c);
	}
	if (most >= 512 * MIB) {
		char *p = malloc(512 * MIB);

		expect(p, "malloc(512 MiB)");
		memset(p, 1, 512 * MIB);
		expect(contiguous(p, 512 * MIB), "malloc(512 MiB) at %p", (void *)p);
		free(p);
	}
}

/* What is below the threshold but aligned to pages. */
static void pages(size_t unused)
{
	void *keep[200];

	(void)unused;
	/* Such classes have been in use before, unaligned, by a program that
	 * was still too small to get a superpage. */
	for (int i = 0; i < 20; i++)
		keep[i] = malloc((size_t)(i % 3 + 1) * 4000);
	for (int i = 0; i < 20; i++)
		free(keep[i]);
	for (int i = 0; i < 200; i++) {
		size_t size = (size_t)(i % 12 + 1) * 3000;

		keep[i] = i % 2 ? valloc(size) : aligned_alloc(PAGE, size);
		expect(keep[i] && !((uintptr_t)keep[i] % PAGE), "%d: %p", i, keep[i]);
		memset(keep[i], 3, size);
		expect(contiguous(keep[i], size), "%zu bytes at %p", size, keep[i]);
	}
	for (int i = 0; i < 200; i++)
		free(keep[i]);
}

/* More than the kernel lets anybody have, as it usually is set up: to be told
 * so is what a program needs that would else be killed as it fills it. */
static void too_much(void)
{
	size_t most = (size_t)1 << 42;
	void *p = mmap(NULL, most, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	void *q;

	if (p != MAP_FAILED) {
		munmap(p, most);
		return;
	}
	errno = 0;
	p = hide(malloc(most));
	expect(!p && errno == ENOMEM, "malloc(4 TiB): %p %d", p, errno);
	errno = 0;
	p = hide(calloc(most / 16, 16));
	expect(!p && errno == ENOMEM, "calloc(4 TiB): %p %d", p, errno);
	q = malloc(100);
	errno = 0;
	p = hide(realloc(hide(q), most));
	expect(!p && errno == ENOMEM, "realloc(4 TiB): %p %d", p, errno);
	free(p ? p : q);
}

static void family(size_t unused)
{
	void *p, *q;
	int err;

	(void)unused;
	p = hide(malloc(0));
	q = hide(malloc(0));
	expect(p && q && p != q, "malloc(0): %p %p", p, q);
	free(p);
	free(q);
	free(NULL);

	errno = 0;
	p = hide(malloc((size_t)hide((void *)(PTRDIFF_MAX + (size_t)1))));
	expect(!p && errno == ENOMEM, "malloc above PTRDIFF_MAX: %p %d", p, errno);
	errno = 0;
	p = hide(malloc((size_t)hide((void *)(SIZE_MAX - 100))));
	expect(!p && errno == ENOMEM, "malloc near SIZE_MAX: %p %d", p, errno);
	errno = 0;
	p = hide(calloc((size_t)hide((void *)(SIZE_MAX / 2)), 4));
	expect(!p && errno == ENOMEM, "calloc that overflows: %p %d", p, errno);
	errno = 0;
	q = malloc(100);
	p = hide(reallocarray(hide(q), (size_t)hide((void *)(SIZE_MAX / 2)), 4));
	expect(!p && errno == ENOMEM, "reallocarray that overflows: %p %d", p, errno);
	errno = 0;
	p = hide(realloc(hide(q), (size_t)hide((void *)(SIZE_MAX / 2 + 100))));
	expect(!p && errno == ENOMEM, "realloc above PTRDIFF_MAX: %p %d", p, errno);
	memset(q, 1, 100); /* still there */
	p = hide(realloc(q, 0));
	expect(!p, "realloc(p, 0): %p", p);
	p = realloc(NULL, 1000);
	expect(p && malloc_usable_size(p) >= 1000, "realloc(NULL, 1000)");
	errno = 77;
	free(p);
	expect(errno == 77, "free changed errno to %d", errno);
	p = malloc(9 * MIB);
	memset(p, 1, 9 * MIB);
	errno = 78;
	free(p);
	expect(errno == 78, "free of 9 MiB changed errno to %d", errno);
	expect(!malloc_usable_size(NULL), "malloc_usable_size(NULL)");

	p = (void *)1;
	errno = 79;
	err = posix_memalign(&p, (size_t)hide((void *)24), 100);
	expect(err == EINVAL && errno == 79 && p == (void *)1, "align 24: %d %d %p", err, errno, p);
	err = posix_memalign(&p, (size_t)hide((void *)4), 100);
	expect(err == EINVAL, "align 4: %d", err);
	err = posix_memalign(&p, (size_t)hide(NULL), 100);
	expect(err == EINVAL, "align 0: %d", err);
	err = posix_memalign(&p, 4096, (size_t)hide((void *)(SIZE_MAX - 5000)));
	expect(err == ENOMEM && p == (void *)1, "huge: %d %p", err, p);
	err = posix_memalign(&p, 4096, 0);
	expect(!err && !((uintptr_t)p % 4096), "no bytes: %d %p", err, p);
	free(p);
	p = hide(memalign((size_t)hide((void *)48), 100));
	expect(p && !((uintptr_t)p % 64), "memalign(48): %p", p);
	free(p);
	errno = 0;
	p = hide(memalign((size_t)hide((void *)(SIZE_MAX - 1)), 100));
	expect(!p && errno == EINVAL, "memalign of no power: %p %d", p, errno);
	p = pvalloc(PAGE + 1);
	expect(p && !((uintptr_t)p % PAGE) && malloc_usable_size(p) >= 2 * PAGE, "pvalloc: %p", p);
	free(p);
	errno = 0;
	p = hide(pvalloc((size_t)hide((void *)(SIZE_MAX - 10))));
	expect(!p && errno == ENOMEM, "pvalloc near SIZE_MAX: %p %d", p, errno);
	malloc_trim(0);
	expect(mallopt(M_MMAP_THRESHOLD, 1 << 20) == 1, "mallopt");
	too_much();
}

static void alignments(size_t most)
{
	for (size_t align = 8; align <= most; align *= 2) {
		size_t sizes[] = {1, align - 1, align, align + 1, 3 * align, 100000};

		for (int i = 0; i < 6; i++) {
			unsigned char *p = NULL;
			int err = posix_memalign((void **)&p, align, sizes[i]);

			expect(!err && !((uintptr_t)p % align), "%zu, %zu: %d %p", align, sizes[i],
			       err, (void *)p);
			if (err)
				return;
			memset(p, 5, sizes[i]);
			free(p);
		}
	}
}

/* How much of a long test to run, as the harness has it. */
static unsigned int scaled(unsigned int n, unsigned int least)
{
	const char *percent = getenv("CONTIG_TEST_SCALE");
	unsigned int share = percent ? n * (unsigned int)atoi(percent) / 100 : n;

	return share < least ? least : share;
}

static uint64_t next_random(uint64_t *state)
{
	*state ^= *state << 13;
	*state ^= *state >> 7;
	*state ^= *state << 17;
	return *state;
}

struct block {
	unsigned char *p;
	size_t size;
	unsigned char fill;
};

static bool intact(const struct block *b)
{
	for (size_t i = 0; i < b->size; i += i + 64 < b->size ? 61 : 1)
		if (b->p[i] != b->fill)
			return false;
	return true;
}

/* Sizes from bytes to a few MiB, small ones most often. */
static size_t random_size(uint64_t *state)
{
	unsigned int bits = (unsigned int)(next_random(state) % 22) + 1;

	if (bits > 17 && next_random(state) % 4)
		bits = 10;
	return next_random(state) % ((size_t)1 << bits) + 1;
}

static void churn(uint64_t seed, unsigned int n, unsigned int steps)
{
	struct block *all = calloc(n, sizeof(*all));
	uint64_t state = seed * UINT64_C(0x9e3779b97f4a7c15) + 1;

	for (unsigned int s = 0; s < steps; s++) {
		struct block *b = &all[next_random(&state) % n];
		size_t size = random_size(&state);
		unsigned char *p;

		if (b->p && !intact(b)) {
			expect(!b->p, "a block of %zu bytes at %p was overwritten", b->size,
			       (void *)b->p);
			return;
		}
		if (b->p && next_random(&state) % 3 == 0) {
			free(b->p);
			b->p = NULL;
			continue;
		}
		if (b->p) {
			struct block old = *b;

			p = realloc(b->p, size);
			expect(p, "realloc(%zu)", size);
			if (!p)
				return;
			*b = (struct block){p, old.size < size ? old.size : size, old.fill};
			expect(intact(b), "realloc %zu -> %zu lost something", old.size, size);
		} else {
			p = next_random(&state) % 2 ? malloc(size) : calloc(1, size);
		}
		expect(p, "%zu bytes", size);
		if (!p)
			return;
		/* What is longer than a superpage takes luck, or a system that
		 * may be made to help. */
		if (size >= 65536 && size <= 2 * MIB && s % 16 == 0) {
			memset(p, 0, size);
			expect(contiguous(p, size), "%zu bytes at %p", size, (void *)p);
		}
		*b = (struct block){p, size, (unsigned char)next_random(&state)};
		memset(p, b->fill, size);
	}
	for (unsigned int i = 0; i < n; i++) {
		expect(!all[i].p || intact(&all[i]), "overwritten at the end");
		free(all[i].p);
	}
	free(all);
}

static void reallocs(size_t unused)
{
	char *p = NULL;

	(void)unused;
	/* The way of a growing array ... */
	for (size_t size = 1; size <= 4 * MIB; size += size / 2 + 1) {
		p = realloc(p, size);
		expect(p, "realloc(%zu)", size);
		p[size - 1] = (char)size;
		p[0] = 'x';
	}
	/* ... and back. */
	for (size_t size = 4 * MIB; size; size /= 3) {
		p = realloc(p, size);
		expect(p && p[0] == 'x', "realloc down to %zu", size);
	}
	free(p);
	churn(1, 200, scaled(20000, 1000));
}

static void *thread_churn(void *arg)
{
	churn((uintptr_t)arg, 20, 300);
	return malloc(1000); /* freed by another thread */
}

static void threads(size_t beyond_a_limit)
{
	enum { MOST = 256 };
	static pthread_t thread[MOST];
	unsigned int n = scaled(MOST, 12);
	pthread_attr_t attr;
	void *left;

	beyond_limit = beyond_a_limit;
	pthread_attr_init(&attr);
	pthread_attr_setstacksize(&attr, 256 << 10);
	for (uintptr_t i = 0; i < n; i++)
		if (pthread_create(&thread[i], &attr, thread_churn, (void *)(i + 1)))
			exit(2);
	for (unsigned int i = 0; i < n; i++) {
		pthread_join(thread[i], &left);
		expect(left, "thread %u", i);
		free(left);
	}
}

/* A thread's last wishes: destructors that run after everybody else's. */
static pthread_key_t key;

static void last_wish(void *arg)
{
	static __thread int times;
	char *p = malloc(100000), *q = malloc(100);

	free(arg);
	memset(p, 1, 100000);
	free(p);
	if (times++ < 3)
		pthread_setspecific(key, q);
	else
		free(q);
}

static void *thread_key(void *arg)
{
	pthread_setspecific(key, malloc(50));
	free(malloc(70000));
	return arg;
}

static void destructors(size_t unused)
{
	pthread_t thread;

	(void)unused;
	pthread_key_create(&key, last_wish);
	for (int i = 0; i < 200; i++) {
		if (pthread_create(&thread, NULL, thread_key, NULL))
			exit(2);
		pthread_join(thread, NULL);
	}
}

static void opens(size_t unused)
{
	(void)unused;
	for (int i = 0; i < 50; i++) {
		void *handle = dlopen("libm.so.6", RTLD_NOW | RTLD_LOCAL);
		double (*cosine)(double);

		expect(handle, "%s", dlerror());
		if (!handle)
			return;
		*(void **)&cosine = dlsym(handle, "cos");
		expect(cosine && cosine(0) == 1, "cos");
		expect(!dlsym(handle, "no such thing") && dlerror(), "dlerror");
		free(malloc(100000));
		dlclose(handle);
	}
}

/* Blocks of libc's own malloc, got past the shim. */
extern void *__libc_malloc(size_t size);

static void foreign(size_t unused)
{
	char *p = hide(__libc_malloc(1000)), *q = hide(__libc_malloc(5000));

	(void)unused;
	free(malloc(70000));
	memset(p, 'a', 1000);
	expect(malloc_usable_size(p) >= 1000, "%zu", malloc_usable_size(p));
	p = realloc(p, 100000);
	expect(p && p[0] == 'a' && p[999] == 'a', "realloc lost a foreign block's content");
	free(p);
	free(q);
	free(hide(__libc_malloc(10)));
}

/* Before main(), in another library's stead. */
static char *early;

__attribute__((constructor(101))) static void before_main(int argc, char **argv)
{
	if (argc < 2 || strcmp(argv[1], "early"))
		return;
	early = malloc(80000);
	memset(early, 'e', 80000);
	early = realloc(early, 90000);
}

static void early_block(size_t unused)
{
	(void)unused;
	expect(early && early[0] == 'e' && early[79999] == 'e', "%p", (void *)early);
	expect(contiguous(early, 80000), "80000 bytes at %p", (void *)early);
	free(early);
	early = NULL;
}

/* Without malloc, which may have nothing left. */
static long status_kib(const char *field)
{
	int fd = open("/proc/self/status", O_RDONLY | O_CLOEXEC);
	char text[8192];
	ssize_t n = fd < 0 ? 0 : read(fd, text, sizeof(text) - 1);

	close(fd);
	text[n > 0 ? n : 0] = '\0';
	for (char *line = text; line; line = strchr(line, '\n'), line += !!line)
		if (!strncmp(line, field, strlen(field)) && line[strlen(field)] == ':')
			return strtol(line + strlen(field) + 1, NULL, 10);
	return -1;
}

/* What most programs of a pipeline are. */
static void modest(size_t unused)
{
	(void)unused;
	for (int i = 0; i < 500; i++)
		free(hide(malloc((size_t)i)));
	for (int i = 0; i < 100; i++)
		hide(malloc(500));
	/* Neither the library's direct map nor a superpage. */
	expect(status_kib("VmSize") < 512 << 10, "%ld KiB of address space", status_kib("VmSize"));
	expect(!status_kib("HugetlbPages"), "%ld KiB", status_kib("HugetlbPages"));
}

static void trims(size_t bytes)
{
	enum { N = 64 };
	static char *p[N];
	long full, empty;

	for (int i = 0; i < N; i++) {
		p[i] = malloc(bytes / N);
		expect(p[i], "%zu", bytes / N);
		memset(p[i], 1, bytes / N);
	}
	full = status_kib("VmRSS") + status_kib("HugetlbPages");
	for (int i = 0; i < N; i++)
		free(p[i]);
	malloc_trim(0);
	empty = status_kib("VmRSS") + status_kib("HugetlbPages");
	expect(full > (long)(bytes >> 10), "full at %ld KiB", full);
	/* What can't be wired is not all given back at once. */
	expect(empty < full / 4, "%ld of %ld KiB left", empty, full);
}

/* --strict: no block rather than one on base pages. */
static void strict(size_t bytes)
{
	char *p;

	errno = 0;
	p = malloc(bytes);
	expect(!p && errno == ENOMEM, "%zu bytes at %p, errno %d", bytes, (void *)p, errno);
	p = malloc(100000);
	expect(p, "100000 bytes after that");
	memset(p, 1, 100000);
	expect(contiguous(p, 100000), "at %p", (void *)p);
	free(p);
}

/* Blocks of 1 MiB, as many as there are; what of them the kernel holds pinned
 * is for the caller to judge. */
static void wired(size_t bytes)
{
	static char buffer[256];
	size_t got = 0;
	char *p;

	setvbuf(stdout, buffer, _IOFBF, sizeof(buffer));
	while (got < bytes && (p = malloc(MIB))) {
		memset(p, 1, MIB);
		expect(contiguous(p, MIB), "at %p", (void *)p);
		got += MIB;
	}
	printf("got %zu pinned %zu\n", got, (size_t)status_kib("VmPin") << 10);
}

/* KiB of a line of smaps, of all mappings together. */
static size_t smaps_kib(const char *field)
{
	char text[4096], *line;
	int fd = open("/proc/self/smaps_rollup", O_RDONLY | O_CLOEXEC);
	ssize_t n = fd < 0 ? 0 : read(fd, text, sizeof(text) - 1);

	close(fd);
	text[n > 0 ? n : 0] = '\0';
	line = strstr(text, field);
	return line ? strtoul(line + strlen(field), NULL, 10) : 0;
}

static void take_heap(size_t bytes)
{
	char *p = malloc(bytes);

	expect(p, "malloc(%zu)", bytes);
	memset(p, 1, bytes);
}

static void take_mapping(size_t bytes)
{
	char *p = mmap(NULL, bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

	expect(p != MAP_FAILED, "mmap(%zu): %s", bytes, strerror(errno));
	memset(p, 2, bytes);
}

static void take_segment(size_t bytes)
{
	int id = shmget(IPC_PRIVATE, bytes, IPC_CREAT | 0600);
	char *p = id < 0 ? (void *)-1 : shmat(id, NULL, 0);

	shmctl(id, IPC_RMID, NULL);
	expect(p != (void *)-1, "shmat(%zu): %s", bytes, strerror(errno));
	memset(p, 3, bytes);
}

/* Memory of all kinds, in some order, and the most superpages at any time. */
static void mixed(size_t order)
{
	static void (*const kinds[])(size_t) = {take_heap, take_mapping, take_segment};
	static const unsigned char orders[][3] = {{0, 1, 2}, {1, 0, 2}, {2, 1, 0}};
	size_t most_pinned = 0, most_huge = 0;

	for (int i = 0; i < 24; i++) {
		size_t pinned, huge;

		kinds[orders[order % 3][i / 8]](2 * MIB);
		pinned = (size_t)status_kib("VmPin") << 10;
		huge = (smaps_kib("AnonHugePages:") + smaps_kib("ShmemPmdMapped:") +
			smaps_kib("Shared_Hugetlb:") + smaps_kib("Private_Hugetlb:")) << 10;
		most_pinned = pinned > most_pinned ? pinned : most_pinned;
		most_huge = huge > most_huge ? huge : most_huge;
	}
	printf("pinned %zu superpages %zu\n", most_pinned, most_huge);
}

/* More than the limit: all of it usable. */
static void beyond(size_t bytes)
{
	static char *p[100];

	beyond_limit = true;
	for (int i = 0; i < 100; i++) {
		errno = 80;
		p[i] = malloc(bytes / 200);
		expect(p[i] && errno == 80, "%zu bytes: errno %d", bytes / 200, errno);
		p[i] = realloc(p[i], bytes / 100);
		expect(p[i] && errno == 80, "%zu bytes: errno %d", bytes / 100, errno);
		memset(p[i], i + 1, bytes / 100);
	}
	for (int i = 0; i < 100; i++) {
		expect(p[i][0] == i + 1 && p[i][bytes / 100 - 1] == i + 1, "%d", i);
		free(p[i]);
	}
	churn(3, 500, scaled(20000, 1000));
}

static size_t resident(void)
{
	FILE *f = fopen("/proc/self/statm", "re");
	size_t pages = 0;

	if (!f || fscanf(f, "%*u %zu", &pages) != 1)
		expect(pages, "statm");
	if (f)
		fclose(f);
	return pages * PAGE;
}

/* Vast blocks of which hardly a page is used, beyond the limit. */
static void sparse(size_t bytes)
{
	size_t before = resident();

	for (int i = 0; i < 4; i++) {
		char *p = i % 2 ? calloc(1, bytes) : malloc(bytes);

		expect(p, "%zu bytes", bytes);
		if (!p)
			return;
		expect(i % 2 == 0 || !p[bytes / 2], "not zero");
		p[bytes / 2] = 1;
		free(hide(p));
	}
	expect(resident() < before + bytes / 4, "%zu MiB resident, %zu before",
	       resident() / MIB, before / MIB);
}

/* Names of the library's that a program of long ago left unresolved. */
extern void *contigmalloc(unsigned long size, void *type, int flags, uint64_t low, uint64_t high,
			  unsigned long align, uint64_t boundary) __attribute__((weak));
extern void contigfree(void *p, unsigned long size, void *type) __attribute__((weak));
extern char M_DEVBUF[] __attribute__((weak));

static void unresolved(size_t unused)
{
	void *p;

	(void)unused;
	expect(contigmalloc && contigfree && M_DEVBUF, "nobody defines contigmalloc");
	if (wrong)
		return;
	p = contigmalloc(300000, M_DEVBUF, 0x100, 0, UINT64_MAX, 65536, 0);
	expect(p && contiguous(p, 300000), "at %p", p);
	contigfree(p, 300000, M_DEVBUF);
}

/* Whose malloc it is: glibc's blocks hold what 16 n + 8 does. */
static void whose(size_t unused)
{
	void *p = hide(malloc(24));

	(void)unused;
	puts(malloc_usable_size(p) == 24 ? "libc's" : "the shim's");
	free(p);
	p = calloc(3, 50000);
	free(realloc(p, 200000));
	free(aligned_alloc(4096, 8192));
}

int main(int argc, char **argv)
{
	static const struct {
		const char *name;
		void (*run)(size_t bytes);
	} all[] = {
		{"alignments", alignments}, {"beyond", beyond},     {"blocks", blocks},
		{"destructors", destructors}, {"early", early_block}, {"family", family},
		{"foreign", foreign},       {"mixed", mixed},       {"modest", modest},
		{"opens", opens},
		{"pages", pages},           {"reallocs", reallocs}, {"sparse", sparse},
		{"strict", strict},
		{"threads", threads},       {"trims", trims},       {"unresolved", unresolved},
		{"whose", whose},           {"wired", wired},
	};

	for (size_t i = 0; argc > 1 && i < sizeof(all) / sizeof(all[0]); i++) {
		if (strcmp(argv[1], all[i].name))
			continue;
		all[i].run(argc > 2 ? strtoull(argv[2], NULL, 0) : 0);
		return wrong;
	}
	fprintf(stderr, "usage: victim_malloc SCENARIO [BYTES]\n");
	return 2;
}

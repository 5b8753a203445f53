/* SPDX-License-Identifier: BSD-2-Clause */
#include "run_elf.h"

#include <elf.h>
#include <errno.h>
#include <link.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define SEGMENTS_MAX 256
#define DYNAMIC_MAX  4096
#define STRINGS_MAX  (64u << 20) /* of the dynamic string table */

/* This program's own header, found through its own segments. */
static const ElfW(Ehdr) *own_header(void)
{
	extern const ElfW(Ehdr) __ehdr_start __attribute__((visibility("hidden")));

	return &__ehdr_start;
}

static int read_at(int fd, void *to, size_t len, uint64_t offset)
{
	ssize_t n;

	if (offset > INT64_MAX - len)
		return -EINVAL;
	n = pread(fd, to, len, (off_t)offset);
	if (n < 0)
		return -errno;
	return (size_t)n == len ? 0 : -EINVAL;
}

/* Where in the file the segments put a virtual address; 0: nowhere. */
static uint64_t file_offset(const ElfW(Phdr) *segments, unsigned int n, uint64_t va)
{
	for (unsigned int i = 0; i < n; i++)
		if (segments[i].p_type == PT_LOAD && va >= segments[i].p_vaddr &&
		    va - segments[i].p_vaddr < segments[i].p_filesz)
			return va - segments[i].p_vaddr + segments[i].p_offset;
	return 0;
}

static bool begins(const char *text, const char *word)
{
	return !strncmp(text, word, strlen(word));
}

/*
 * What a needed library or a dynamic symbol tells, from the most to the least
 * certain.  Where gcc links a runtime in, only what it would like of others
 * is left to see; that of the undefined behaviour sanitizer, which is content
 * with any malloc, has clang's last sign, too.
 */
static const struct sign {
	const char *word, *name;
} signs[] = {
	{"libasan.so", "address"},	      {"__asan_init", "address"},
	{"libclang_rt.asan", "address"},      {"libtsan.so", "thread"},
	{"__tsan_init", "thread"},	      {"libclang_rt.tsan", "thread"},
	{"liblsan.so", "leak"},		      {"__msan_init", "memory"},
	{"libhwasan.so", "hardware-address"}, {"__hwasan_init", "hardware-address"},
	{"__lsan_is_turned_off", "address or leak"},
	{"__ubsan_handle_", NULL},	      {"__sanitizer_symbolize_code", "thread"},
};

#define SIGNS (sizeof(signs) / sizeof(signs[0]))

/* The first of them that a word is; SIGNS: none. */
static size_t sign_of(const char *word)
{
	size_t i = 0;

	while (i < SIGNS && !begins(word, signs[i].word))
		i++;
	return i;
}

/*
 * The runtime of a sanitizer is a needed library (gcc) or is linked in and
 * exports its entry (clang): both leave their name in the dynamic strings.
 */
static int find_sanitizer(int fd, uint64_t offset, uint64_t size, struct elf_facts *out)
{
	size_t best = SIGNS;
	char *strings;
	int error;

	if (!offset || !size || size > STRINGS_MAX)
		return 0; /* odd, but the loader's business */
	strings = malloc(size + 1);
	if (!strings)
		return -ENOMEM;
	strings[size] = '\0';
	error = read_at(fd, strings, size, offset);
	for (uint64_t i = 0; !error && i < size; i += strlen(strings + i) + 1) {
		size_t sign = sign_of(strings + i);

		best = sign < best ? sign : best;
	}
	out->sanitizer = best < SIGNS ? signs[best].name : NULL;
	free(strings);
	return error;
}

static int read_dynamic(int fd, const ElfW(Phdr) *segments, unsigned int n,
			const ElfW(Phdr) *dynamic, struct elf_facts *out)
{
	uint64_t strings = 0, size = 0;
	ElfW(Dyn) entry;

	for (uint64_t i = 0; i < dynamic->p_filesz / sizeof(entry) && i < DYNAMIC_MAX; i++) {
		int error = read_at(fd, &entry, sizeof(entry),
				    dynamic->p_offset + i * sizeof(entry));

		if (error)
			return error;
		if (entry.d_tag == DT_NULL)
			break;
		if (entry.d_tag == DT_STRTAB)
			strings = file_offset(segments, n, entry.d_un.d_ptr);
		if (entry.d_tag == DT_STRSZ)
			size = entry.d_un.d_val;
	}
	return find_sanitizer(fd, strings, size, out);
}

static int read_interpreter(int fd, const ElfW(Phdr) *segment, struct elf_facts *out)
{
	size_t len = segment->p_filesz;

	if (!len || len > sizeof(out->interpreter))
		return -EINVAL;
	out->dynamic = true;
	int error = read_at(fd, out->interpreter, len, segment->p_offset);

	out->interpreter[len - 1] = '\0';
	return error;
}

int elf_examine(int fd, struct elf_facts *out)
{
	ElfW(Phdr) segments[SEGMENTS_MAX];
	ElfW(Ehdr) header;
	int error;

	memset(out, 0, sizeof(*out));
	/* Class and machine are at the same place in both classes. */
	error = read_at(fd, &header, offsetof(Elf32_Ehdr, e_entry), 0);
	if (error)
		return error == -EINVAL ? -ENOEXEC : error;
	if (memcmp(header.e_ident, ELFMAG, SELFMAG))
		return -ENOEXEC;
	out->wide = header.e_ident[EI_CLASS] == ELFCLASS64;
	out->machine = header.e_machine;
	out->native = !memcmp(header.e_ident + EI_CLASS, own_header()->e_ident + EI_CLASS,
			      EI_VERSION - EI_CLASS) &&
		      header.e_machine == own_header()->e_machine;
	if (!out->native)
		return 0;
	error = read_at(fd, &header, sizeof(header), 0);
	if (error)
		return error;
	if (header.e_phentsize != sizeof(segments[0]) || !header.e_phnum ||
	    header.e_phnum > SEGMENTS_MAX)
		return -EINVAL;
	error = read_at(fd, segments, header.e_phnum * sizeof(segments[0]), header.e_phoff);
	for (unsigned int i = 0; !error && i < header.e_phnum; i++) {
		if (segments[i].p_type == PT_INTERP)
			error = read_interpreter(fd, &segments[i], out);
		if (segments[i].p_type == PT_DYNAMIC)
			error = read_dynamic(fd, segments, header.e_phnum, &segments[i], out);
	}
	return error;
}

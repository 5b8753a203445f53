/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * What drivers in user space have always done, and were never promised: take
 * an aligned buffer, read the frame of its first page from pagemap, and give
 * the device that one address for all of it.  The "device" here reads every
 * page's frame from pagemap.  Knows nothing of libcontig.
 *
 * Exit 0: each buffer lies where the driver thought; 1: not so.
 */
#include <fcntl.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define PAGE 4096ul

static uint64_t frame_of(int pagemap, const char *va)
{
	uint64_t entry = 0;

	if (pread(pagemap, &entry, 8, (off_t)((uintptr_t)va / PAGE * 8)) != 8)
		return 0;
	return entry >> 63 ? entry & ((1ull << 55) - 1) : 0;
}

/* How many pages of the buffer are not where its first page says. */
static size_t misplaced(int pagemap, const char *buffer, size_t size)
{
	uint64_t first = frame_of(pagemap, buffer);
	size_t wrong = 0;

	for (size_t at = 0; at < size; at += PAGE)
		wrong += frame_of(pagemap, buffer + at) != first + at / PAGE;
	return wrong + !first;
}

int main(void)
{
	static const size_t sizes[] = {4096, 65536, 262144, 1u << 20, 4u << 20, 16u << 20};
	int pagemap = open("/proc/self/pagemap", O_RDONLY), status = 0;

	for (size_t i = 0; i < sizeof(sizes) / sizeof(sizes[0]); i++) {
		for (int n = 0; n < 4; n++) {
			size_t wrong;
			void *buffer;

			if (posix_memalign(&buffer, PAGE, sizes[i]))
				return 2;
			memset(buffer, n + 1, sizes[i]);
			wrong = misplaced(pagemap, buffer, sizes[i]);
			if (wrong) {
				printf("%zu bytes: %zu pages are elsewhere\n", sizes[i], wrong);
				status = 1;
			}
		}
	}
	if (!status)
		puts("all buffers are where the driver thinks");
	return status;
}

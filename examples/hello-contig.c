/* SPDX-License-Identifier: BSD-2-Clause */
#include <contig.h>
#include <inttypes.h>
#include <stdio.h>

int main(void)
{
	/* 64 KiB of zeros, 64 KiB aligned, no multiple of 1 MiB inside. */
	void *p = contigmalloc(65536, M_DEVBUF, M_ZERO, 0, ~0UL, 65536, 1 << 20);
	vm_paddr_t pa;

	if (!p) {
		fprintf(stderr, "hello-contig: %s\n", contig_strreason());
		return 1;
	}
	pa = contig_virt_to_phys(p);
	if (pa == CONTIG_PADDR_NONE)
		printf("64 KiB at %p; %s\n", p, contig_strreason());
	else
		printf("64 KiB at %p, physical 0x%" PRIx64 "\n", p, pa);
	contigfree(p, 65536, M_DEVBUF);
	return 0;
}

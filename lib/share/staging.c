/* SPDX-License-Identifier: BSD-2-Clause */
#include "share/staging.h"

#include "base/page.h"
#include "host/alias.h"

#include <errno.h>
#include <sys/mman.h>

int contig_staging_make(struct shared_file *file, int fd)
{
	char *va;
	int err;

	if (file->hugetlb)
		return -EINVAL;
	if (file->size > STAGING_FILE_MAX)
		return -EFBIG;
	va = contig_alias_reserve(file->size, SUPERPAGE_SIZE);
	if (!va)
		return -ENOMEM;
	err = contig_alias_descriptor(va, file->size, PROT_READ | PROT_WRITE, fd, 0);
	if (err)
		contig_alias_unreserve(va, file->size);
	else
		file->staging = va;
	return err;
}

void contig_staging_drop(struct shared_file *file)
{
	if (file->staging)
		contig_alias_unreserve(file->staging, file->size);
	file->staging = NULL;
}

int contig_staging_map(struct shared_file *file, uint64_t offset, size_t len, int prot,
		       void *va)
{
	return contig_alias_duplicate(va, len, prot, file->staging + offset);
}

/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The same memory at a second address.  Targets lie in a reservation of
 * contig_alias_reserve(): bare address space, in which a touch is SIGSEGV.
 *
 * Every call either does all of it or leaves the target as it was; what was
 * mapped there before is replaced in one step, so that other threads see the
 * old mapping or the new one and never a hole.  What is mapped is populated:
 * its page table entries are there when the call returns.
 *
 * Errors are -errno with a reason; -ENOMEM is as a rule vm.max_map_count.
 */
#ifndef HOST_ALIAS_H
#define HOST_ALIAS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

/* len bytes of address space, aligned; NULL with errno. */
void *contig_alias_reserve(size_t len, size_t align);
/* 0, or -ENOMEM: the kernel had merged the range with its neighbours, and
 * splitting them again takes a mapping more than vm.max_map_count. */
int contig_alias_unreserve(void *va, size_t len);

/* [offset, offset + len) of a file. */
int contig_alias_descriptor(void *va, size_t len, int prot, int fd, off_t offset);

/*
 * What is shared-mapped at old, and what follows it in its file, len bytes in
 * all.  No descriptor and no privilege is needed, but hugetlb memory can't be
 * had this way (-EINVAL).  Flags of the old mapping (MADV_DONTFORK,
 * MADV_DONTDUMP) come along.  Same granularity as the new mapping's: a base
 * page out of a superpage is fine.
 */
int contig_alias_duplicate(void *va, size_t len, int prot, const void *old);

/*
 * For hugetlb memory: a descriptor of the file behind the mapping at old,
 * readable and writable, to be closed by the caller, and old's offset in it.
 * The file is opened through /proc/self/map_files, which takes
 * CAP_CHECKPOINT_RESTORE or CAP_SYS_ADMIN; -EPERM without.
 */
int contig_alias_reopen(const void *old, off_t *offset);

/* Bare address space again; at vm.max_map_count what was there may go on being
 * mapped, unreachable, until the next call on these addresses. */
int contig_alias_clear(void *va, size_t len);

/* Whether a failed call had lost what was mapped at the target before; it is
 * bare address space then.  (Kernels before 6.12 unmap first and may fail
 * afterwards, for want of kernel memory.) */
bool contig_alias_lost(void *va, size_t len);

/* Leave the mapping out of forked children. */
int contig_alias_isolate(void *va, size_t len);

#endif

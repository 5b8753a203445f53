/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The system calls that the shim overrides, past the overrides: for the
 * shim's own use and for the engine's archive, whose references are renamed
 * to these.  They return as libc's do (-1 and errno, MAP_FAILED).
 */
#ifndef PRELOAD_RAW_H
#define PRELOAD_RAW_H

#include <stddef.h>
#include <sys/types.h>

struct shmid_ds;

void *shim_raw_mmap(void *addr, size_t length, int prot, int flags, int fd, off_t offset);
int shim_raw_munmap(void *addr, size_t length);
/* new_addr is passed always; the kernel looks only with MREMAP_FIXED/DONTUNMAP. */
void *shim_raw_mremap(void *old, size_t old_size, size_t new_size, int flags, void *new_addr);
int shim_raw_mprotect(void *addr, size_t length, int prot);
int shim_raw_madvise(void *addr, size_t length, int advice);
int shim_raw_mlock(const void *addr, size_t length);
int shim_raw_shmget(int key, size_t size, int flags);
void *shim_raw_shmat(int id, const void *addr, int flags);
int shim_raw_shmdt(const void *addr);
int shim_raw_shmctl(int id, int command, struct shmid_ds *buffer);
/* As the kernel's calls; fork runs no handlers. */
pid_t shim_raw_fork(void);
void shim_raw_exit_group(int status) __attribute__((noreturn));

#endif

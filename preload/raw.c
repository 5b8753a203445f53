/* SPDX-License-Identifier: BSD-2-Clause */
#include "preload/raw.h"

#include <stdint.h>
#include <sys/syscall.h>
#include <unistd.h>

/* syscall(3) sets errno and is nobody's override. */

void *shim_raw_mmap(void *addr, size_t length, int prot, int flags, int fd, off_t offset)
{
	return (void *)syscall(SYS_mmap, addr, length, prot, flags, fd, offset);
}

int shim_raw_munmap(void *addr, size_t length)
{
	return (int)syscall(SYS_munmap, addr, length);
}

void *shim_raw_mremap(void *old, size_t old_size, size_t new_size, int flags, void *new_addr)
{
	return (void *)syscall(SYS_mremap, old, old_size, new_size, flags, new_addr);
}

int shim_raw_mprotect(void *addr, size_t length, int prot)
{
	return (int)syscall(SYS_mprotect, addr, length, prot);
}

int shim_raw_madvise(void *addr, size_t length, int advice)
{
	return (int)syscall(SYS_madvise, addr, length, advice);
}

int shim_raw_mlock(const void *addr, size_t length)
{
	return (int)syscall(SYS_mlock, addr, length);
}

int shim_raw_shmget(int key, size_t size, int flags)
{
	return (int)syscall(SYS_shmget, key, size, flags);
}

void *shim_raw_shmat(int id, const void *addr, int flags)
{
	return (void *)syscall(SYS_shmat, id, addr, flags);
}

int shim_raw_shmdt(const void *addr)
{
	return (int)syscall(SYS_shmdt, addr);
}

int shim_raw_shmctl(int id, int command, struct shmid_ds *buffer)
{
	return (int)syscall(SYS_shmctl, id, command, buffer);
}

pid_t shim_raw_fork(void)
{
	return (pid_t)syscall(SYS_fork);
}

void shim_raw_exit_group(int status)
{
	for (;;)
		syscall(SYS_exit_group, status);
}

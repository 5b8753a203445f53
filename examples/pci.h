/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * A PCI device in the hands of a user-space program, through sysfs alone: its
 * registers are mapped, and it may read and write memory by itself.  No
 * kernel driver is involved; for x86-64.
 *
 * Functions that fail have told the reason on stderr.
 */
#ifndef EXAMPLES_PCI_H
#define EXAMPLES_PCI_H

#include <stddef.h>
#include <stdint.h>

#define PCI_BARS 6
#define PCI_ADDRESS_SIZE 16 /* "0000:00:03.0" and its end */

/* For pci_open(): go on although an IOMMU translates this device's addresses. */
#define PCI_IGNORE_IOMMU 1u

struct pci_device {
	char address[PCI_ADDRESS_SIZE];
	int config;       /* descriptor of configuration space */
	int uio;          /* of /dev/uioN, or -1; see pci_open() */
	uint16_t command; /* the command register as it was */
	struct {
		void *registers; /* NULL: not mapped */
		size_t size;
	} bars[PCI_BARS];
};

/*
 * The address of the index'th device (0, 1, ...) of that vendor and kind, in
 * the order of addresses.  0, or -1: there is none.
 */
int pci_find(uint16_t vendor, uint16_t kind, unsigned int index,
	     char address[PCI_ADDRESS_SIZE]);

/* How many of them there are. */
unsigned int pci_count(uint16_t vendor, uint16_t kind);

/*
 * Take the device at address ("0000:00:03.0", or without the domain "0000:").
 * From here on it answers to its registers, and does no DMA even if it did so
 * before.  0, or -1: there is no such device, a driver or another program has
 * it, or an IOMMU translates what it puts on the bus, so that physical
 * addresses would lead it astray.
 */
int pci_open(struct pci_device *device, const char *address, unsigned int flags);

/*
 * Let the device do DMA.  Only when it has been brought to rest by its
 * registers: a program that was killed may have left it work to do, at addresses
 * of memory that is somebody else's now.  0, or -1.
 *
 * pci_close() is due before memory is freed that the device knows: what it
 * writes afterwards lands in somebody else's memory.  For the same reason a
 * fatal signal (also SIGINT and SIGTERM, where the program has no handler of
 * its own) turns DMA off before the program dies.  SIGKILL can't be caught:
 * where the device is bound to uio_pci_generic, the kernel turns DMA off then.
 */
int pci_master(struct pci_device *device);

/*
 * Turn DMA off, unmap everything, put the command register back, except that
 * DMA stays off.  What the device knew of memory may be freed now.
 */
void pci_close(struct pci_device *device);

/*
 * Map a base address register's region, of which at least size bytes are
 * needed.  The registers until pci_close(), or NULL.
 */
void *pci_map(struct pci_device *device, unsigned int bar, size_t size);

/*
 * Registers.  All that was written to memory before is there when the device
 * sees a register change, and memory is read after the register that said it
 * is ready: on x86 it takes only a compiler that keeps the order.
 */
static inline uint32_t pci_read32(const void *registers, size_t offset)
{
	uint32_t value =
	    *(const volatile uint32_t *)(const void *)((const char *)registers + offset);

	__atomic_thread_fence(__ATOMIC_ACQUIRE);
	return value;
}

static inline uint64_t pci_read64(const void *registers, size_t offset)
{
	uint64_t value =
	    *(const volatile uint64_t *)(const void *)((const char *)registers + offset);

	__atomic_thread_fence(__ATOMIC_ACQUIRE);
	return value;
}

static inline void pci_write32(void *registers, size_t offset, uint32_t value)
{
	__atomic_thread_fence(__ATOMIC_RELEASE);
	*(volatile uint32_t *)(void *)((char *)registers + offset) = value;
}

static inline void pci_write64(void *registers, size_t offset, uint64_t value)
{
	__atomic_thread_fence(__ATOMIC_RELEASE);
	*(volatile uint64_t *)(void *)((char *)registers + offset) = value;
}

#endif

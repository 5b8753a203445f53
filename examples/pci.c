/* SPDX-License-Identifier: BSD-2-Clause */
#include "pci.h"

#include <errno.h>
#include <fcntl.h>
#include <glob.h>
#include <limits.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#define DEVICES "/sys/bus/pci/devices"

/* PCI Local Bus Specification 3.0, 6.2.2. */
#define PCI_COMMAND 4
#define PCI_COMMAND_MEMORY 0x2u
#define PCI_COMMAND_MASTER 0x4u

#define OPEN_MAX_DEVICES 64

/* What the signal handler must reach: descriptor of configuration space + 1. */
static volatile sig_atomic_t masters[OPEN_MAX_DEVICES];
static pid_t masters_owner; /* a forked child's end stops nobody's device */

static const int fatal_signals[] = {
    SIGHUP, SIGINT, SIGQUIT, SIGILL, SIGABRT, SIGBUS, SIGFPE, SIGSEGV, SIGPIPE, SIGTERM,
};
#define FATAL_SIGNALS (sizeof(fatal_signals) / sizeof(fatal_signals[0]))

__attribute__((format(printf, 2, 3))) static void complain(const char *address,
							   const char *format, ...)
{
	va_list ap;

	fprintf(stderr, "%s: %s: ", program_invocation_short_name, address);
	va_start(ap, format);
	vfprintf(stderr, format, ap);
	va_end(ap);
	fputc('\n', stderr);
}

/* What to say of an errno that sysfs gave. */
static const char *reason(int error)
{
	switch (error) {
	case EACCES:
		return "Permission denied (it takes root)";
	case EPERM:
		return "Operation not permitted (it takes root, and a kernel that isn't "
		       "locked down: see /sys/kernel/security/lockdown)";
	default:
		return strerror(error);
	}
}

/* The first line of a device's file, or -1 with errno. */
static int read_line(const char *address, const char *name, char *line, size_t size)
{
	char path[PATH_MAX];
	FILE *f;

	snprintf(path, sizeof(path), DEVICES "/%s/%s", address, name);
	f = fopen(path, "re");
	if (!f)
		return -1;
	if (!fgets(line, (int)size, f))
		line[0] = '\0';
	line[strcspn(line, "\n")] = '\0';
	fclose(f);
	return 0;
}

static int read_id(const char *address, const char *name)
{
	char line[32];

	return read_line(address, name, line, sizeof(line)) < 0
		   ? -1
		   : (int)strtol(line, NULL, 0);
}

/* Count such devices before the index'th; that one's name goes to address. */
static unsigned int look(uint16_t vendor, uint16_t kind, unsigned int index,
			 char *address)
{
	unsigned int seen = 0;
	glob_t found;

	/* glob(3) sorts, so that the n-th is the same at each run. */
	if (glob(DEVICES "/*", 0, NULL, &found))
		return 0;
	for (size_t i = 0; i < found.gl_pathc; i++) {
		const char *at = strrchr(found.gl_pathv[i], '/') + 1;

		if (read_id(at, "vendor") != vendor || read_id(at, "device") != kind)
			continue;
		if (seen == index) {
			snprintf(address, PCI_ADDRESS_SIZE, "%s", at);
			break;
		}
		seen++;
	}
	globfree(&found);
	return seen;
}

unsigned int pci_count(uint16_t vendor, uint16_t kind)
{
	return look(vendor, kind, UINT_MAX, NULL);
}

int pci_find(uint16_t vendor, uint16_t kind, unsigned int index,
	     char address[PCI_ADDRESS_SIZE])
{
	unsigned int seen;
	char name[32];

	address[0] = '\0';
	seen = look(vendor, kind, index, address);
	if (address[0])
		return 0;
	snprintf(name, sizeof(name), "%04x:%04x", vendor, kind);
	if (seen)
		complain(name,
			 "there are only %u such PCI devices; \"lspci -d %s\" lists them",
			 seen, name);
	else
		complain(name, "no such PCI device in " DEVICES);
	return -1;
}

/* A driver that has the device programs it as well; only uio_pci_generic doesn't. */
static int refuse_driver(const char *address)
{
	char path[PATH_MAX], target[PATH_MAX];
	const char *driver;
	ssize_t n;

	snprintf(path, sizeof(path), DEVICES "/%s/driver", address);
	n = readlink(path, target, sizeof(target) - 1);
	if (n < 0)
		return 0;
	target[n] = '\0';
	driver = strrchr(target, '/') ? strrchr(target, '/') + 1 : target;
	if (!strcmp(driver, "uio_pci_generic"))
		return 0;
	complain(address,
		 "the kernel's driver %s has this device; if nothing uses it, take it "
		 "away by\n"
		 "\techo %s > /sys/bus/pci/drivers/%s/unbind",
		 driver, address, driver);
	return -1;
}

/*
 * Behind an IOMMU a device's address is looked up in its group's page tables:
 * the kernel's, which know nothing of us.  Only the identity domain is 1:1.
 */
static int refuse_iommu(const char *address)
{
	char type[32], path[PATH_MAX];

	snprintf(path, sizeof(path), DEVICES "/%s/iommu_group", address);
	if (access(path, F_OK) < 0)
		return 0;
	if (read_line(address, "iommu_group/type", type, sizeof(type)) < 0)
		snprintf(type, sizeof(type), "unknown");
	if (!strcmp(type, "identity"))
		return 0;
	complain(address,
		 "an IOMMU translates what this device puts on the bus (its group's type "
		 "is %s):\n"
		 "\tphysical addresses mean nothing to it.  Map memory for it by VFIO, "
		 "or have it\n"
		 "\tuntranslated: \"iommu=pt\" on the kernel's command line, or\n"
		 "\techo identity > " DEVICES "/%s/iommu_group/type",
		 type, address);
	return -1;
}

static int read_command(int config, uint16_t *command)
{
	ssize_t n = pread(config, command, sizeof(*command), PCI_COMMAND);

	if (n == (ssize_t)sizeof(*command))
		return 0;
	if (n >= 0)
		errno = EIO;
	return -1;
}

/* Async-signal-safe.  A read behind the write: it has arrived then. */
static int write_command(int config, uint16_t command)
{
	uint16_t now;
	ssize_t n = pwrite(config, &command, sizeof(command), PCI_COMMAND);

	if (n == (ssize_t)sizeof(command) && read_command(config, &now) == 0)
		return 0;
	if (n >= 0)
		errno = EIO;
	return -1;
}

static void masters_off(int signal_number)
{
	for (int i = 0; i < OPEN_MAX_DEVICES && getpid() == masters_owner; i++) {
		uint16_t command;

		if (masters[i] && read_command(masters[i] - 1, &command) == 0)
			write_command(masters[i] - 1,
				      command & (uint16_t)~PCI_COMMAND_MASTER);
	}
	/* SA_RESETHAND: now it does what it would have done. */
	raise(signal_number);
}

/* Before the device may do DMA: see pci_master().  -1: too many of them. */
static int masters_add(int config)
{
	for (int i = 0; i < OPEN_MAX_DEVICES; i++) {
		if (masters[i])
			continue;
		masters_owner = getpid();
		masters[i] = config + 1;
		for (size_t s = 0; s < FATAL_SIGNALS; s++) {
			struct sigaction old,
			    ours = {
				.sa_handler = masters_off,
				.sa_flags = (int)SA_RESETHAND | SA_NODEFER,
			    };

			if (sigaction(fatal_signals[s], NULL, &old) == 0 &&
			    !(old.sa_flags & SA_SIGINFO) && old.sa_handler == SIG_DFL)
				sigaction(fatal_signals[s], &ours, NULL);
		}
		return 0;
	}
	return -1;
}

static void masters_remove(int config)
{
	for (int i = 0; i < OPEN_MAX_DEVICES; i++)
		if (masters[i] == config + 1)
			masters[i] = 0;
}

/* Held open, it has the kernel turn DMA off when we are gone. */
static int open_uio(const char *address)
{
	char path[PATH_MAX];
	glob_t found;
	int fd = -1;

	snprintf(path, sizeof(path), DEVICES "/%s/uio/uio*", address);
	if (glob(path, 0, NULL, &found))
		return -1;
	snprintf(path, sizeof(path), "/dev/%s", strrchr(found.gl_pathv[0], '/') + 1);
	globfree(&found);
	fd = open(path, O_RDWR | O_CLOEXEC);
	if (fd < 0)
		complain(path, "%s; going on without", reason(errno));
	return fd;
}

int pci_open(struct pci_device *device, const char *address, unsigned int flags)
{
	char path[PATH_MAX];
	uint16_t command;

	memset(device, 0, sizeof(*device));
	device->config = device->uio = -1;
	/* "00:03.0" as lspci has it. */
	snprintf(device->address, sizeof(device->address), "%s%s",
		 strchr(address, ':') == strrchr(address, ':') ? "0000:" : "", address);
	address = device->address;

	snprintf(path, sizeof(path), DEVICES "/%s/config", address);
	if (strchr(address, '/') || access(path, F_OK) < 0) {
		complain(address, "no such PCI device in " DEVICES);
		return -1;
	}
	if (refuse_driver(address) < 0)
		return -1;
	if (!(flags & PCI_IGNORE_IOMMU) && refuse_iommu(address) < 0)
		return -1;

	device->config = open(path, O_RDWR | O_CLOEXEC);
	if (device->config < 0) {
		complain(path, "%s", reason(errno));
		return -1;
	}
	if (flock(device->config, LOCK_EX | LOCK_NB) < 0) {
		complain(address, errno == EWOULDBLOCK ? "another program has this device"
						       : "can't be locked");
		goto close_config;
	}
	if (read_command(device->config, &device->command) < 0) {
		complain(path, "%s", reason(errno));
		goto close_config;
	}
	if (device->command == UINT16_MAX) {
		complain(address, "the device doesn't answer; it sleeps or is gone");
		goto close_config;
	}
	if (masters_add(device->config) < 0) {
		complain(address, "more than %d devices at once", OPEN_MAX_DEVICES);
		goto close_config;
	}
	device->uio = open_uio(address);
	/* DMA may still be on: whoever had the device before us was killed. */
	command = device->command & (uint16_t)~PCI_COMMAND_MASTER;
	command |= PCI_COMMAND_MEMORY;
	if (write_command(device->config, command) < 0) {
		complain(path, "%s", reason(errno));
		goto remove_master;
	}
	return 0;

remove_master:
	masters_remove(device->config);
	if (device->uio >= 0)
		close(device->uio);
close_config:
	close(device->config);
	device->config = device->uio = -1;
	return -1;
}

int pci_master(struct pci_device *device)
{
	uint16_t command;

	if (read_command(device->config, &command) < 0 ||
	    write_command(device->config, command | PCI_COMMAND_MASTER) < 0) {
		complain(device->address, "DMA can't be turned on: %s", reason(errno));
		return -1;
	}
	return 0;
}

void pci_close(struct pci_device *device)
{
	uint16_t quiet = device->command & (uint16_t)~PCI_COMMAND_MASTER;

	if (device->config < 0)
		return;
	if (write_command(device->config, quiet | PCI_COMMAND_MEMORY) < 0)
		complain(device->address, "DMA can't be turned off: %s", reason(errno));
	for (int i = 0; i < PCI_BARS; i++)
		if (device->bars[i].registers)
			munmap(device->bars[i].registers, device->bars[i].size);
	/* DMA stays off even if it was on: the device may remember addresses. */
	if (quiet != (quiet | PCI_COMMAND_MEMORY))
		write_command(device->config, quiet);
	masters_remove(device->config);
	if (device->uio >= 0)
		close(device->uio);
	close(device->config);
	memset(device, 0, sizeof(*device));
	device->config = device->uio = -1;
}

void *pci_map(struct pci_device *device, unsigned int bar, size_t size)
{
	char path[PATH_MAX];
	void *registers;
	struct stat st;
	int fd;

	if (bar >= PCI_BARS) {
		complain(device->address, "a device has %d regions, there is no %u",
			 PCI_BARS, bar);
		return NULL;
	}
	if (device->bars[bar].registers && device->bars[bar].size >= size)
		return device->bars[bar].registers;
	snprintf(path, sizeof(path), DEVICES "/%s/resource%u", device->address, bar);
	fd = open(path, O_RDWR | O_CLOEXEC);
	if (fd < 0 || fstat(fd, &st) < 0) {
		complain(path, "%s", reason(errno));
		goto close_resource;
	}
	if ((size_t)st.st_size < size) {
		complain(path,
			 "%lld bytes of registers, %zu are needed: is it that device?",
			 (long long)st.st_size, size);
		goto close_resource;
	}
	registers =
	    mmap(NULL, (size_t)st.st_size, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
	if (registers == MAP_FAILED) {
		complain(path, "%s",
			 errno == EINVAL ? "can't be mapped: no memory but ports?"
					 : reason(errno));
		goto close_resource;
	}
	close(fd);
	device->bars[bar].registers = registers;
	device->bars[bar].size = (size_t)st.st_size;
	return registers;

close_resource:
	if (fd >= 0)
		close(fd);
	return NULL;
}

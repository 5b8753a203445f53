/* SPDX-License-Identifier: BSD-2-Clause */
#include "sharing.h"

#include "harness.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <setjmp.h>
#include <signal.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/wait.h>

enum op {
	OP_START, OP_READ, OP_WRITE, OP_ADDRESS, OP_DESCRIPTORS, OP_MAPPINGS, OP_INSERT,
	OP_ZAP, OP_DESTROY, OP_STALL, OP_UNPROTECT, OP_HEIR, OP_SOCKET, OP_FILL, OP_EMPTY,
	OP_QUARANTINED, OP_STOP
};

struct command {
	enum op op;
	unsigned long addr;
	uint64_t value;
};

struct reply {
	int64_t result;
	uint64_t value;
};

/* --- there */

static struct vm_area_struct *vma; /* the one it exports */
static sigjmp_buf fault;
static volatile sig_atomic_t fault_signal;
static int socket_type;

static void on_fault(int number)
{
	fault_signal = number;
	siglongjmp(fault, 1);
}

/* Order comes from the process that tells us to: thread sanitizers don't see
 * that the mapping was there before. */
__attribute__((no_sanitize_thread)) static int touch(unsigned long addr, bool write,
						      uint64_t *value)
{
	if (sigsetjmp(fault, 1))
		return fault_signal;
	if (write)
		*(volatile uint64_t *)addr = *value;
	else
		*value = *(volatile uint64_t *)addr;
	return 0;
}

static pid_t heir(unsigned long addr, uint64_t value)
{
	pid_t child = fork();

	if (child)
		return child;
	for (int fd = 3; fd < 1024; fd++)
		close(fd);
	usleep(250000);
	touch(addr, true, &value);
	usleep(250000);
	_exit(0);
}

static int send_descriptor(int to, int fd)
{
	char room[CMSG_SPACE(sizeof(int))] = {0}, byte = 0;
	struct iovec data = {&byte, 1};
	struct msghdr m = {.msg_iov = &data, .msg_iovlen = 1, .msg_control = room,
			   .msg_controllen = sizeof(room)};
	struct cmsghdr *c = CMSG_FIRSTHDR(&m);

	c->cmsg_level = SOL_SOCKET;
	c->cmsg_type = SCM_RIGHTS;
	c->cmsg_len = CMSG_LEN(sizeof(int));
	memcpy(CMSG_DATA(c), &fd, sizeof(int));
	return sendmsg(to, &m, MSG_NOSIGNAL) == 1 ? 0 : -errno;
}

static int receive_descriptor(int from)
{
	char room[CMSG_SPACE(sizeof(int))], byte;
	struct iovec data = {&byte, 1};
	struct msghdr m = {.msg_iov = &data, .msg_iovlen = 1, .msg_control = room,
			   .msg_controllen = sizeof(room)};
	int fd = -1;

	if (recvmsg(from, &m, MSG_CMSG_CLOEXEC) == 1 && CMSG_FIRSTHDR(&m))
		memcpy(&fd, CMSG_DATA(CMSG_FIRSTHDR(&m)), sizeof(int));
	return fd;
}

static void obey(int control, const struct command *command)
{
	struct reply reply = {0, command->value};
	static void *own;
	int pair[2];

	switch (command->op) {
	case OP_READ:
		reply.result = touch(command->addr, false, &reply.value);
		break;
	case OP_WRITE:
		reply.result = touch(command->addr, true, &reply.value);
		break;
	case OP_ADDRESS:
		reply.result = touch(command->addr, false, &reply.value);
		reply.value = probe_address((void *)command->addr);
		break;
	case OP_DESCRIPTORS:
		reply.result = count_descriptors();
		break;
	case OP_MAPPINGS:
		reply.result = count_mappings();
		break;
	case OP_INSERT:
		if (!own)
			own = contigmalloc(PAGE, M_TEMP, M_ZERO, 0, UINT64_MAX, 1, 0);
		reply.result = vm_insert_page(vma, command->addr, page_at(own));
		break;
	case OP_ZAP:
		reply.result = zap_vma_ptes(vma, command->addr, command->value);
		break;
	case OP_DESTROY:
		vma_destroy(vma);
		vma = NULL;
		break;
	case OP_UNPROTECT:
		reply.result = mprotect((void *)command->addr, PAGE, PROT_READ | PROT_WRITE) ?
				       errno : 0;
		break;
	case OP_HEIR:
		reply.result = heir(command->addr, command->value);
		break;
	case OP_SOCKET:
		if (socketpair(AF_UNIX, socket_type | SOCK_CLOEXEC, 0, pair))
			_exit(90);
		reply.result = vma_export(vma, pair[0]);
		send_descriptor(control, pair[1]);
		close(pair[1]);
		break;
	case OP_FILL:
		fill_mappings();
		break;
	case OP_EMPTY:
		empty_mappings();
		break;
	case OP_QUARANTINED:
		reply.value = contig_quarantined();
		break;
	case OP_STALL:
		if (write(control, &reply, sizeof(reply)) == sizeof(reply))
			usleep((useconds_t)command->value * 1000);
		return;
	case OP_STOP:
	case OP_START:
		vma_destroy(vma);
		_exit(0);
	}
	if (write(control, &reply, sizeof(reply)) != sizeof(reply))
		_exit(91);
}

static void limit_descriptors(rlim_t more)
{
	struct rlimit limit;
	int fd = open("/dev/null", O_RDONLY | O_CLOEXEC);

	getrlimit(RLIMIT_NOFILE, &limit);
	limit.rlim_cur = (rlim_t)fd + more;
	close(fd);
	setrlimit(RLIMIT_NOFILE, &limit);
}

static _Noreturn void live(int control, int socket, const struct other_setup *setup)
{
	struct sigaction action = {.sa_handler = on_fault};
	struct command command;
	struct reply ready = {0, 0};

	prctl(PR_SET_PDEATHSIG, SIGKILL);
	sigaction(SIGSEGV, &action, NULL);
	sigaction(SIGBUS, &action, NULL);
	/* Before the library reads frames, if at all. */
	if (setup->uid && (syscall(SYS_setgroups, 0, NULL) ||
			   setresgid(setup->uid, setup->uid, setup->uid) ||
			   setresuid(setup->uid, setup->uid, setup->uid) ||
			   prctl(PR_SET_DUMPABLE, 1)))
		_exit(92);
	socket_type = setup->type;
	vma = vma_create(setup->size, setup->page_size, setup->prot);
	if (!vma || vma_export(vma, socket))
		_exit(93);
	if (setup->modes && vma_accept_modes(vma, setup->modes))
		_exit(94);
	probe_forget(); /* our parent's pagemap, if it looked before */
	probe_address(&ready);
	if (setup->thread && vma_serve_start(vma))
		_exit(95);
	if (setup->descriptors)
		limit_descriptors(setup->descriptors);
	ready.value = vma->vm_start;
	if (write(control, &ready, sizeof(ready)) != sizeof(ready))
		_exit(96);
	for (;;) {
		struct pollfd wait[2] = {{control, POLLIN, 0},
					 {vma && !setup->thread ? vma_fd(vma) : -1, POLLIN, 0}};

		poll(wait, 2, -1);
		if (wait[1].revents)
			vma_dispatch(vma);
		if (!wait[0].revents)
			continue;
		if (read(control, &command, sizeof(command)) != sizeof(command))
			_exit(0);
		obey(control, &command);
	}
}

/* --- here */

void other_start(struct other *other, const struct other_setup *setup)
{
	int control[2], sockets[2];
	struct reply ready;

	if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, control) ||
	    socketpair(AF_UNIX, setup->type | SOCK_CLOEXEC, 0, sockets))
		fail("socketpair: %s", strerror(errno));
	other->pid = fork();
	if (!other->pid) {
		close(control[0]);
		close(sockets[0]);
		live(control[1], sockets[1], setup);
	}
	close(control[1]);
	close(sockets[1]);
	other->control = control[0];
	other->socket = sockets[0];
	if (read(other->control, &ready, sizeof(ready)) != sizeof(ready))
		fail("the other process didn't start (status %d)", reap(other->pid).status);
	other->start = ready.value;
}

static struct reply tell(struct other *other, enum op op, unsigned long addr, uint64_t value)
{
	struct command command;
	struct reply reply = {-1, 0};

	memset(&command, 0, sizeof(command));
	command.op = op;
	command.addr = addr;
	command.value = value;
	if (write(other->control, &command, sizeof(command)) != sizeof(command))
		fail("the other process is gone");
	if (op == OP_STOP)
		return reply;
	if (read(other->control, &reply, sizeof(reply)) != sizeof(reply))
		fail("the other process is gone: status %d", reap(other->pid).status);
	return reply;
}

void other_stop(struct other *other)
{
	struct outcome out;

	tell(other, OP_STOP, 0, 0);
	out = reap(other->pid);
	require(!out.status && !out.signal, "the other process: status %d, signal %d",
		out.status, out.signal);
	close(other->control);
}

int other_socket(struct other *other)
{
	struct command command;
	struct reply reply;
	int fd;

	memset(&command, 0, sizeof(command));
	command.op = OP_SOCKET;
	if (write(other->control, &command, sizeof(command)) != sizeof(command))
		fail("the other process is gone");
	fd = receive_descriptor(other->control);
	if (read(other->control, &reply, sizeof(reply)) != sizeof(reply) || reply.result)
		fail("vma_export there: %s", strerror((int)-reply.result));
	return fd;
}

int other_read(struct other *other, unsigned long addr, uint64_t *value)
{
	struct reply reply = tell(other, OP_READ, addr, 0);

	*value = reply.value;
	return (int)reply.result;
}

int other_write(struct other *other, unsigned long addr, uint64_t value)
{
	return (int)tell(other, OP_WRITE, addr, value).result;
}

uint64_t other_address(struct other *other, unsigned long addr)
{
	return tell(other, OP_ADDRESS, addr, 0).value;
}

long other_descriptors(struct other *other)
{
	return (long)tell(other, OP_DESCRIPTORS, 0, 0).result;
}

long other_mappings(struct other *other)
{
	return (long)tell(other, OP_MAPPINGS, 0, 0).result;
}

int other_insert(struct other *other, unsigned long addr)
{
	return (int)tell(other, OP_INSERT, addr, 0).result;
}

int other_zap(struct other *other, unsigned long addr, unsigned long size)
{
	return (int)tell(other, OP_ZAP, addr, size).result;
}

int other_destroy(struct other *other)
{
	return (int)tell(other, OP_DESTROY, 0, 0).result;
}

void other_stall(struct other *other, unsigned int ms)
{
	tell(other, OP_STALL, 0, ms);
}

void other_fill(struct other *other)
{
	tell(other, OP_FILL, 0, 0);
}

void other_empty(struct other *other)
{
	tell(other, OP_EMPTY, 0, 0);
}

uint64_t other_quarantined(struct other *other)
{
	return tell(other, OP_QUARANTINED, 0, 0).value;
}

int other_unprotect(struct other *other, unsigned long addr)
{
	return (int)tell(other, OP_UNPROTECT, addr, 0).result;
}

pid_t other_heir(struct other *other, unsigned long addr, uint64_t value)
{
	return (pid_t)tell(other, OP_HEIR, addr, value).result;
}

static char *filling;
static size_t filling_size;

void fill_mappings(void)
{
	long most = probe_number("/proc/sys/vm/max_map_count");
	size_t pages = (size_t)most + 1000, i = 1;

	filling_size = pages * PAGE;
	filling = mmap(NULL, filling_size, PROT_NONE,
		       MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
	require(filling != MAP_FAILED, "mmap: %s", strerror(errno));
	/* Pages with holes between: two mappings each.  Then one that needs no
	 * hole, until there can't be any more. */
	while (i < pages && mmap(filling + i * PAGE, PAGE, PROT_READ,
				 MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED, -1, 0) != MAP_FAILED)
		i += 2;
	require(i < pages, "no end of mappings");
	for (i--; i < pages && mmap(filling + i * PAGE, (pages - i) * PAGE,
				    i % 2 ? PROT_READ : PROT_WRITE,
				    MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED | MAP_NORESERVE, -1,
				    0) != MAP_FAILED;)
		i++;
	require(mmap(NULL, PAGE, PROT_EXEC, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0) == MAP_FAILED,
		"one more could be mapped");
}

void empty_mappings(void)
{
	munmap(filling, filling_size);
}

long count_descriptors(void)
{
	DIR *dir = opendir("/proc/self/fd");
	long n = 0;

	while (dir && readdir(dir))
		n++;
	if (dir)
		closedir(dir);
	return n - 3; /* ".", "..", and this one */
}

long count_mappings(void)
{
	FILE *maps = fopen("/proc/self/maps", "re");
	char line[512];
	unsigned long start, end;
	long n = 0;

	while (maps && fgets(line, sizeof(line), maps))
		n += strstr(line, "/memfd:") ||
		     (vma && sscanf(line, "%lx-%lx", &start, &end) == 2 &&
		      start < vma->vm_end && end > vma->vm_start);
	if (maps)
		fclose(maps);
	return n;
}

contig_pool_t *shareable(enum contig_share_mode mode)
{
	struct contig_pool_attr attr = {
		.struct_size = sizeof(attr),
		.name = "shared",
		.kind = CONTIG_POOL_SHAREABLE,
		.node = -1,
		.mode = mode,
	};
	contig_pool_t *pool = contig_pool_create(&attr);

	require(pool, "%s", contig_strreason());
	return pool;
}

void *shareable_block(contig_pool_t *pool, size_t size)
{
	void *p = contig_pool_malloc(pool, size, M_TEMP, M_ZERO, 0, UINT64_MAX, size, 0);

	require(p, "%s", contig_strreason());
	return p;
}

/* SPDX-License-Identifier: BSD-2-Clause */
/* The single checks of contig doctor, and what they learn for the verdict. */
#ifndef TOOLS_DOCTOR_CHECKS_H
#define TOOLS_DOCTOR_CHECKS_H

#include "doctor.h"

#include <stdint.h>

/* Learnt by the checks, in the order in which doctor.c calls them. */
struct doctor_facts {
	bool real;	    /* this machine, not a captured tree */
	bool frames;	    /* this process sees frame numbers */
	bool free_2m;	    /* free superpages in the pool */
	bool surplus_2m;    /* and more may be had as surplus */
	bool free_1g;
	bool gigapages;	    /* pages of 1 GiB exist, and can be demoted */
	bool collapse;	    /* a superpage was collapsed just now */
	bool pinned;	    /* by io_uring or a pipe */
	bool hugetlb_room;  /* the cgroup allows a superpage */
	bool memory_room;   /* the cgroup and the machine allow 2 MiB */
	bool translated;    /* some IOMMU may translate */
};

void doctor_say(char *out, size_t len, const char *format, ...)
	__attribute__((format(printf, 3, 4)));
#define say_found(check, ...) \
	doctor_say((check)->found, sizeof((check)->found), __VA_ARGS__)
#define say_means(check, ...) \
	doctor_say((check)->means, sizeof((check)->means), __VA_ARGS__)
#define say_mend(check, ...) doctor_say((check)->mend, sizeof((check)->mend), __VA_ARGS__)

/* A new check of that name; its state is DOCTOR_OK until said otherwise. */
struct doctor_check *doctor_check_add(struct doctor *doctor, const char *name);

/* doctor_kernel.c */
void doctor_kernel(struct doctor *doctor, struct doctor_facts *facts);
void doctor_frames(struct doctor *doctor, struct doctor_facts *facts);
void doctor_pinning(struct doctor *doctor, struct doctor_facts *facts);
void doctor_map_count(struct doctor *doctor, struct doctor_facts *facts);
void doctor_iommu(struct doctor *doctor, struct doctor_facts *facts);

/* doctor_memory.c */
void doctor_superpages(struct doctor *doctor, struct doctor_facts *facts);
void doctor_surplus(struct doctor *doctor, struct doctor_facts *facts);
void doctor_gigapages(struct doctor *doctor, struct doctor_facts *facts);
void doctor_collapse(struct doctor *doctor, struct doctor_facts *facts);
void doctor_low_memory(struct doctor *doctor, struct doctor_facts *facts);
void doctor_available(struct doctor *doctor, struct doctor_facts *facts);
void doctor_cgroups(struct doctor *doctor, struct doctor_facts *facts);
void doctor_mounts(struct doctor *doctor, struct doctor_facts *facts);

#endif

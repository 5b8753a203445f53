/* SPDX-License-Identifier: BSD-2-Clause */
#include "preload/inside.h"

__thread union shim_thread shim_thread __attribute__((tls_model("initial-exec"))) = {
	.unbound = 1,
};

/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * TLS, for controllers that encrypt: a module of its own, so that an application that does not need it does not get a TLS
 * library into its process. It is loaded once, from where librsm itself is, and stays.
 */
#include "transport/tcp/tcp.h"

#include <dlfcn.h>
#include <limits.h>
#include <stdio.h>
#include <string.h>

#include "base/reason.h"
#include "rsmapi.h"

#define MODULE "librsm-tls.so.2"

static const struct wire_tls_functions *_Atomic module;

const struct wire_tls_functions *tcp_secure_module(void)
{
	return atomic_load_explicit(&module, memory_order_acquire);
}

/* Beside the file that this function came from: a module of another release must not be found through a search path. */
static int module_path(char path[PATH_MAX])
{
	Dl_info self;
	const char *end = dladdr((const void *)(uintptr_t)&tcp_forks, &self) != 0 && self.dli_fname != NULL
				  ? strrchr(self.dli_fname, '/')
				  : NULL;
	int directory = end == NULL ? 0 : (int)(end - self.dli_fname) + 1;
	int length = snprintf(path, PATH_MAX, "%.*s" MODULE, directory, directory > 0 ? self.dli_fname : "");
	return length > 0 && length < PATH_MAX ? 0 : -1;
}

/* Two threads may load it at once: dlopen counts, both find the same functions. */
int tcp_secure_load(void)
{
	if (tcp_secure_module() != NULL)
		return RSM_SUCCESS;
	char path[PATH_MAX];
	if (module_path(path) != 0)
		return base_refuse(RSMERR_INSUFFICIENT_RESOURCES, "the directory of librsm is not known");
	void *handle = dlopen(path, RTLD_NOW | RTLD_LOCAL);
	if (handle == NULL) {
		const char *error = dlerror();
		return base_refuse(RSMERR_INSUFFICIENT_RESOURCES,
				   "the controller encrypts and the module for it cannot be loaded: %.300s; "
				   "install " MODULE " beside librsm",
				   error == NULL ? path : error);
	}
	const struct wire_tls_functions *functions = dlsym(handle, "wire_tls_module");
	if (functions == NULL || functions->size < sizeof *functions) {
		dlclose(handle);
		return base_refuse(RSMERR_INSUFFICIENT_RESOURCES,
				   "%.300s is of another release than this library; update the older one",
				   path);
	}
	atomic_store_explicit(&module, functions, memory_order_release);
	return RSM_SUCCESS;
}

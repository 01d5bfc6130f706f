/* SPDX-License-Identifier: BSD-2-Clause */
#include "base/place.h"

#include <dlfcn.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

bool base_place_private(char *directory, size_t size)
{
	const char *runtime = secure_getenv("XDG_RUNTIME_DIR");
	char run_user[64];
	struct stat st;
	int length;
	snprintf(run_user, sizeof run_user, "/run/user/%u", geteuid());
	if (runtime != NULL && runtime[0] == '/')
		length = snprintf(directory, size, "%s/rsm", runtime);
	else if (stat(run_user, &st) == 0 && st.st_uid == geteuid())
		length = snprintf(directory, size, "%s/rsm", run_user);
	else
		length = snprintf(directory, size, "/tmp/rsm-%u", geteuid());
	return length > 0 && (size_t)length < size;
}

static bool try(char *program, size_t size, const char *directory, size_t length, const char *behind)
{
	int n = snprintf(program, size, "%.*s%s", (int)length, directory, behind);
	return n > 0 && (size_t)n < size && access(program, X_OK) == 0;
}

bool base_place_program(const void *library, char *program, size_t size)
{
	static const char *const beside[] = {"/../sbin/rsmd", "/../bin/rsmd", "/../../sbin/rsmd",
					     "/../../bin/rsmd", "/../rsmd/rsmd"};
	Dl_info self;
	char file[PATH_MAX];
	if (dladdr(library, &self) != 0 && realpath(self.dli_fname, file) != NULL) {
		size_t directory = (size_t)(strrchr(file, '/') - file);
		for (size_t i = 0; i < sizeof beside / sizeof *beside; i++)
			if (try(program, size, file, directory, beside[i]))
				return true;
	}
	const char *path = secure_getenv("PATH");
	if (path == NULL)
		path = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin";
	for (;;) {
		size_t length = strcspn(path, ":");
		if (length > 0 && path[0] == '/' && try(program, size, path, length, "/rsmd"))
			return true;
		if (path[length] == '\0')
			break;
		path += length + 1;
	}
	return try(program, size, "/usr/sbin", 9, "/rsmd");
}

/* SPDX-License-Identifier: BSD-2-Clause */
/* The reader behind maps.h. Async-signal-safe throughout. */
#include "segment/maps.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/sysmacros.h>
#include <unistd.h>

#include "base/fd.h"

/* <linux/fs.h> of Linux 6.11; older headers do not have it. */
struct maps_query {
	uint64_t size, flags, address;
	uint64_t start, end, vma_flags, page_size, offset, inode;
	uint32_t device_major, device_minor;
	uint32_t name_size, build_id_size;
	uint64_t name, build_id;
};

#define MAPS_QUERY                _IOWR('f', 17, struct maps_query)
#define MAPS_QUERY_OR_NEXT        0x10u
#define MAPS_QUERY_VMA_READABLE   0x1u
#define MAPS_QUERY_VMA_WRITABLE   0x2u
#define MAPS_QUERY_VMA_EXECUTABLE 0x4u
#define MAPS_QUERY_VMA_SHARED     0x8u

int segment_maps_open(struct segment_maps *maps, const char *path)
{
	maps->at = maps->filled = 0;
	maps->skip = false;
	maps->query = true; /* until the first call says otherwise */
	maps->fd = base_fd_above_stdio(open(path, O_RDONLY | O_CLOEXEC));
	return maps->fd < 0 ? -errno : 0;
}

void segment_maps_close(struct segment_maps *maps)
{
	base_fd_close(&maps->fd);
}

static void maps_copy_path(char *to, const char *from)
{
	size_t length = strnlen(from, SEGMENT_MAPS_PATH - 1);
	memcpy(to, from, length);
	to[length] = '\0';
}

static int maps_ask(int fd, uintptr_t from, char *name, struct maps_query *query)
{
	*query = (struct maps_query){.size = sizeof(*query), .flags = MAPS_QUERY_OR_NEXT, .address = from};
	query->name = (uintptr_t)name;
	query->name_size = PATH_MAX;
	if (ioctl(fd, MAPS_QUERY, query) == 0)
		return 0;
	if (errno != ENAMETOOLONG)
		return -errno;
	/* Without its name then: the inode still says that it is a file. */
	query->name = query->name_size = 0;
	return ioctl(fd, MAPS_QUERY, query) == 0 ? 0 : -errno;
}

static int maps_next_query(int fd, uintptr_t from, struct segment_mapping *mapping)
{
	char name[PATH_MAX] = ""; /* valgrind does not see the kernel write it */
	struct maps_query query;
	int error = maps_ask(fd, from, name, &query);
	if (error != 0)
		return error == -ENOENT ? 0 : error;
	mapping->start = query.start;
	mapping->end = query.end;
	mapping->protection = (query.vma_flags & MAPS_QUERY_VMA_READABLE ? PROT_READ : 0) |
			      (query.vma_flags & MAPS_QUERY_VMA_WRITABLE ? PROT_WRITE : 0) |
			      (query.vma_flags & MAPS_QUERY_VMA_EXECUTABLE ? PROT_EXEC : 0);
	mapping->shared = query.vma_flags & MAPS_QUERY_VMA_SHARED;
	mapping->offset = query.offset;
	mapping->device = makedev(query.device_major, query.device_minor);
	mapping->inode = query.inode;
	mapping->page_size = query.page_size;
	maps_copy_path(mapping->path, name);
	return 1;
}

/* Makes room and reads on; false at the end of the file. */
static bool maps_fill(struct segment_maps *maps)
{
	memmove(maps->buffer, maps->buffer + maps->at, maps->filled - maps->at);
	maps->filled -= maps->at;
	maps->at = 0;
	ssize_t got;
	do
		got = read(maps->fd, maps->buffer + maps->filled, sizeof(maps->buffer) - 1 - maps->filled);
	while (got < 0 && errno == EINTR);
	if (got <= 0)
		return false;
	maps->filled += (size_t)got;
	return true;
}

const char *segment_maps_line(struct segment_maps *maps)
{
	for (;;) {
		char *line = maps->buffer + maps->at;
		char *end = memchr(line, '\n', maps->filled - maps->at);
		bool skip = maps->skip;
		if (end) {
			maps->at = (size_t)(end + 1 - maps->buffer);
			*end = '\0';
			maps->skip = false;
			if (!skip)
				return line;
		} else if (maps->at == 0 && maps->filled == sizeof(maps->buffer) - 1) {
			/* Longer than the buffer: its begin is enough, its rest is no line of its own. */
			maps->at = maps->filled;
			maps->buffer[maps->filled] = '\0';
			maps->skip = true;
			if (!skip)
				return line;
		} else if (!maps_fill(maps)) {
			return NULL;
		}
	}
}

/* A number of base 10 or 16 at *text, which is moved behind it. False when there is none or it does not fit. */
static bool maps_number(const char **text, unsigned base, uint64_t *value)
{
	const char *at = *text;
	*value = 0;
	for (;; at++) {
		unsigned digit;
		if (*at >= '0' && *at <= '9')
			digit = (unsigned)(*at - '0');
		else if (base == 16 && *at >= 'a' && *at <= 'f')
			digit = (unsigned)(*at - 'a') + 10;
		else
			break;
		if (*value > (UINT64_MAX - digit) / base)
			return false;
		*value = *value * base + digit;
	}
	bool any = at != *text;
	*text = at;
	return any;
}

static bool maps_character(const char **text, char wanted)
{
	if (**text != wanted)
		return false;
	(*text)++;
	return true;
}

/* "rw-s" */
static bool maps_permissions(const char **text, struct segment_mapping *mapping)
{
	const char *at = *text;
	if (strnlen(at, 4) < 4)
		return false;
	mapping->protection = (at[0] == 'r' ? PROT_READ : 0) | (at[1] == 'w' ? PROT_WRITE : 0) |
			      (at[2] == 'x' ? PROT_EXEC : 0);
	mapping->shared = at[3] == 's';
	*text += 4;
	return true;
}

/* 7f0c8a000000-7f0c8a021000 rw-p 00000000 00:01 1234   /memfd:x (deleted) */
bool segment_maps_parse(const char *line, struct segment_mapping *mapping)
{
	uint64_t start, end, offset, device_major, device_minor, inode;
	if (!maps_number(&line, 16, &start) || !maps_character(&line, '-') || !maps_number(&line, 16, &end) ||
	    !maps_character(&line, ' ') || !maps_permissions(&line, mapping) || !maps_character(&line, ' ') ||
	    !maps_number(&line, 16, &offset) || !maps_character(&line, ' ') ||
	    !maps_number(&line, 16, &device_major) || !maps_character(&line, ':') ||
	    !maps_number(&line, 16, &device_minor) || !maps_character(&line, ' ') ||
	    !maps_number(&line, 10, &inode))
		return false;
	mapping->start = start;
	mapping->end = end;
	mapping->offset = offset;
	mapping->device = makedev((unsigned)device_major, (unsigned)device_minor);
	mapping->inode = inode;
	mapping->page_size = 0;
	maps_copy_path(mapping->path, line + strspn(line, " "));
	return start < end;
}

int segment_maps_next(struct segment_maps *maps, uintptr_t from, struct segment_mapping *mapping)
{
	if (maps->query) {
		int found = maps_next_query(maps->fd, from, mapping);
		if (found != -ENOTTY)
			return found;
		maps->query = false;
	}
	const char *line;
	while ((line = segment_maps_line(maps)))
		if (segment_maps_parse(line, mapping) && mapping->end > from)
			return 1;
	return 0;
}

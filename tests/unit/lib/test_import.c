/* SPDX-License-Identifier: BSD-2-Clause */
/* lib/import.c: answers to Connect that no rsmd gives. None may do more than fail the call. */
#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include <cmocka.h>

#include "base/fd.h"
#include "base/reason.h"
#include "lib/lib.h"
#include "published.h"

/* A sanitizer's allocator maps as it likes: then only maps of the fake's memory are compared. */
#ifdef __has_feature
#define SANITIZED (__has_feature(address_sanitizer) || __has_feature(thread_sanitizer))
#elif defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
#define SANITIZED 1
#else
#define SANITIZED 0
#endif
#if SANITIZED
#define ALL_MAPS false
#else
#define ALL_MAPS true
#endif

static size_t page(void)
{
	return (size_t)sysconf(_SC_PAGESIZE);
}

/* This process's address space, as text. */
static void maps_read(char *text, size_t room)
{
	size_t length = 0;
	ssize_t part;
	int fd = open("/proc/self/maps", O_RDONLY | O_CLOEXEC);
	assert_true(fd >= 0);
	while ((part = read(fd, text + length, room - 1 - length)) > 0)
		length += (size_t)part;
	close(fd);
	text[length] = '\0';
	assert_true(length < room - 1);
}

/* Leaves the mappings that must be the same afterwards. */
static void maps_reduce(char *text)
{
	char *to = text;
	for (char *line = text, *end; (end = strchr(line, '\n')) != NULL; line = end + 1) {
		size_t length = (size_t)(end + 1 - line);
		if (!ALL_MAPS && memmem(line, length, "memfd:fake", strlen("memfd:fake")) == NULL)
			continue;
		memmove(to, line, length);
		to += length;
	}
	*to = '\0';
}

static void test_good(void **state)
{
	rsm_memseg_import_handle_t import;
	unsigned char bytes[16];

	(void)state;
	published_start(2, 0xaa);
	/* Two extents of one object, in the other order. */
	published.extents[0] = published.extents[1];
	published.extents[0].offset = published.extents[0].length = published.extents[1].length = page();
	published.reply.n_extents = 2;
	assert_int_equal(pwrite(published.fds[0], "first", 5, (off_t)page()), 5);
	assert_int_equal(published_connect(&import), RSM_SUCCESS);
	rsm_memseg_import_set_mode(import, RSM_BARRIER_MODE_EXPLICIT);
	assert_int_equal(rsm_memseg_import_get(import, 0, bytes, 5), RSM_SUCCESS);
	assert_memory_equal(bytes, "first", 5);
	assert_int_equal(rsm_memseg_import_get(import, (off_t)page() - 1, bytes, 2), RSM_SUCCESS);
	assert_int_equal(bytes[1], 0xaa);
	assert_int_equal(rsm_memseg_import_disconnect(import), RSM_SUCCESS);
	published_settle();
	assert_int_equal(atomic_load(&published.disconnected), PUBLISHED_IMPORT);
	published_stop();
}

/* ---- how an answer can be wrong ---- */

static void status_slot_0(void)
{
	published.reply.status_slot = 0;
}

static void status_slot_behind(void)
{
	published.reply.status_slot = FAKE_SLOTS;
}

static void status_slot_far(void)
{
	published.reply.status_slot = UINT32_MAX;
}

static void signal_slot_behind(void)
{
	published.reply.signal_slot = SEGMENT_SIGNAL_SLOTS;
}

static void signal_slot_far(void)
{
	published.reply.signal_slot = UINT32_MAX;
}

static void signals_missing(void)
{
	base_fd_close(&published.fds[--published.fd_count]);
}

static void signals_short(void)
{
	base_fd_close(&published.fds[1]);
	published.fds[1] = fake_memory(SEGMENT_SIGNAL_SIZE - page(), 0);
}

static void signals_unsealed(void)
{
	base_fd_close(&published.fds[1]);
	published.fds[1] = memfd_create("unsealed", MFD_CLOEXEC);
	assert_int_equal(ftruncate(published.fds[1], (off_t)SEGMENT_SIGNAL_SIZE), 0);
}

static void no_descriptors(void)
{
	signals_missing();
	signals_missing();
}

static void fd_index_behind(void)
{
	published.extents[0].fd_index = 2;
}

static void fd_index_far(void)
{
	published.extents[0].fd_index = UINT32_MAX;
}

static void extents_33(void)
{
	published.reply.n_extents = 33;
	published.reply.length = 33 * page();
	for (size_t i = 0; i < 33; i++)
		published.extents[i].length = page();
}

static void extents_none(void)
{
	published.reply.n_extents = 0;
}

static void extents_short(void)
{
	published.extents[0].length -= page();
}

static void extents_long(void)
{
	published.extents[0].length += page();
}

static void extents_overflow(void)
{
	published.reply.n_extents = 3;
	published.extents[1].length = UINT64_MAX - page() + 1;
	published.extents[2].length = page();
}

static void length_0(void)
{
	published.reply.length = published.extents[0].length = 0;
}

static void length_odd(void)
{
	published.reply.length = published.extents[0].length = page() + 100;
}

/* Wraps when it is rounded up to pages. */
static void length_max(void)
{
	published.reply.length = published.extents[0].length = UINT64_MAX;
}

/* Wraps when room for alignment is added. */
static void length_almost_max(void)
{
	published.reply.length = published.extents[0].length = UINT64_MAX - page() + 1;
}

/* The first piece could be mapped: not over what happens to lie behind the room that was had. */
static void length_almost_max_in_two(void)
{
	published.reply.n_extents = 2;
	published.reply.length = UINT64_MAX - page() + 1;
	published.extents[1].length = published.reply.length - published.extents[0].length;
}

/* Nothing is mapped then, so that nothing else would look at the length. */
static void length_max_ungranted(void)
{
	published.reply.length = UINT64_MAX;
	published.reply.granted = RSM_PERM_NONE;
	published.reply.n_extents = 0;
	base_fd_close(&published.fds[0]);
	published.fds[0] = published.fds[1];
	published.fd_count = 1;
}

static void length_too_large(void)
{
	published.reply.length = published.extents[0].length = (uint64_t)1 << 62;
}

static void offset_odd(void)
{
	published.extents[0].offset = 100;
}

static void offset_far(void)
{
	published.extents[0].offset = UINT64_MAX - page() + 1;
}

static void sysv_unknown(void)
{
	published.extents[0].kind = WIRE__OBJECT_KIND__OBJECT_SYSV;
	published.extents[0].shmid = UINT32_MAX;
	base_fd_close(&published.fds[0]);
	published.fds[0] = published.fds[1];
	published.fd_count = 1;
}

static void memory_is_no_file(void)
{
	base_fd_close(&published.fds[0]);
	published.fds[0] = open("/proc/self", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
}

static void read_only(void)
{
	char path[64];
	snprintf(path, sizeof(path), "/proc/self/fd/%d", published.fds[0]);
	int fd = open(path, O_RDONLY | O_CLOEXEC);
	base_fd_close(&published.fds[0]);
	published.fds[0] = fd;
}

static void refused(void)
{
	published.code = RSMERR_SEG_NOT_PUBLISHED;
}

static void no_body(void)
{
	published.no_body = true;
}

static const struct {
	const char *name;
	void (*spoil)(void);
	int code;
	bool gives_back; /* the library tells that it does not want the connection */
} rows[] = {
	{"status slot 0", status_slot_0, RSMERR_INTERNAL_ERROR, true},
	{"status slot behind the last", status_slot_behind, RSMERR_INTERNAL_ERROR, true},
	{"status slot far away", status_slot_far, RSMERR_INTERNAL_ERROR, true},
	{"signal slot behind the last", signal_slot_behind, RSMERR_INTERNAL_ERROR, true},
	{"signal slot far away", signal_slot_far, RSMERR_INTERNAL_ERROR, true},
	{"no signal memory", signals_missing, RSMERR_INSUFFICIENT_RESOURCES, true},
	{"short signal memory", signals_short, RSMERR_BAD_ADDR, true},
	{"unsealed signal memory", signals_unsealed, RSMERR_BAD_ADDR, true},
	{"no descriptors", no_descriptors, RSMERR_INSUFFICIENT_RESOURCES, true},
	{"descriptor index behind the last", fd_index_behind, RSMERR_INSUFFICIENT_RESOURCES, true},
	{"descriptor index far away", fd_index_far, RSMERR_INSUFFICIENT_RESOURCES, true},
	{"33 extents", extents_33, RSMERR_INTERNAL_ERROR, true},
	{"no extents", extents_none, 0, true},
	{"extents shorter than the segment", extents_short, RSMERR_INTERNAL_ERROR, true},
	{"extents longer than the segment", extents_long, RSMERR_INTERNAL_ERROR, true},
	{"extents whose sum overflows", extents_overflow, RSMERR_INTERNAL_ERROR, true},
	{"length 0", length_0, 0, true},
	{"length of no whole pages", length_odd, 0, true},
	{"length 2^64-1", length_max, 0, true},
	{"length 2^64-4096", length_almost_max, 0, true},
	{"length 2^64-4096 in two pieces", length_almost_max_in_two, 0, true},
	{"length 2^64-1, no right granted", length_max_ungranted, RSMERR_INTERNAL_ERROR, true},
	{"length 2^62", length_too_large, 0, true},
	{"offset inside a page", offset_odd, 0, true},
	{"offset 2^64-4096", offset_far, 0, true},
	{"unknown System V segment", sysv_unknown, 0, true},
	{"a directory as memory", memory_is_no_file, 0, true},
	{"read-only memory, write granted", read_only, RSMERR_PERM_DENIED, true},
	{"refusal", refused, RSMERR_SEG_NOT_PUBLISHED, false},
	{"no body", no_body, RSMERR_INTERNAL_ERROR, false},
};

static const char *first_difference(const char *before, const char *after)
{
	size_t same = 0, line = 0;
	for (; before[same] != '\0' && before[same] == after[same]; same++)
		if (before[same] == '\n')
			line = same + 1;
	return after + line;
}

/* The call fails, and descriptors, address space and conversation are as before. */
static void expect_row(size_t row)
{
	static char before[1 << 20], after[1 << 20];
	rsm_memseg_import_handle_t import;
	published_start(1, 0xaa);
	/* All that allocates once has done so. */
	for (int i = 0; i < 3; i++) {
		assert_int_equal(published_connect(&import), RSM_SUCCESS);
		assert_int_equal(rsm_memseg_import_disconnect(import), RSM_SUCCESS);
		published_settle();
	}
	published_describe(1, 0xaa);
	rows[row].spoil();
	unsigned descriptors = fake_descriptors();
	maps_read(before, sizeof(before));
	int code = published_connect(&import);
	if (code == RSM_SUCCESS || (rows[row].code != 0 && code != rows[row].code))
		fail_msg("%s: code %d (%s)", rows[row].name, code, base_reason());
	assert_null(import);
	published_settle();
	maps_read(after, sizeof(after));
	maps_reduce(before);
	maps_reduce(after);
	if (strcmp(before, after) != 0)
		fail_msg("%s: the address space changed at \"%.80s\"", rows[row].name,
			 first_difference(before, after));
	assert_int_equal(atomic_load(&published.disconnected), rows[row].gives_back ? PUBLISHED_IMPORT : 0);
	assert_int_equal(fake_descriptors(), descriptors);
	published_describe(1, 0xbb);
	assert_int_equal(published_connect(&import), RSM_SUCCESS);
	assert_int_equal(fake_conversations(), 1);
	assert_int_equal(rsm_memseg_import_disconnect(import), RSM_SUCCESS);
	published_settle();
	published_stop();
}

static void test_absurd(void **state)
{
	(void)state;
	for (size_t i = 0; i < sizeof(rows) / sizeof(*rows); i++)
		expect_row(i);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_good),
		cmocka_unit_test(test_absurd),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}

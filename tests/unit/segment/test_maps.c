/* SPDX-License-Identifier: BSD-2-Clause */
/* The reader of maps: text and query say the same; odd lines do no harm. */
#include "memory.h"

#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/sysmacros.h>
#include <unistd.h>

#include "segment/maps.h"

static void test_parse_takes_64_bits(void **state)
{
	(void)state;
	struct segment_mapping mapping;
	assert_true(segment_maps_parse(
		"ffffffffff600000-ffffffffff601000 r-xp ffffffff00000000 fd:1f 18446744073709551615"
		"   /a b (deleted)",
		&mapping));
	assert_int_equal(mapping.start, 0xffffffffff600000);
	assert_int_equal(mapping.end, 0xffffffffff601000);
	assert_int_equal(mapping.protection, PROT_READ | PROT_EXEC);
	assert_false(mapping.shared);
	assert_int_equal(mapping.offset, 0xffffffff00000000);
	assert_int_equal(mapping.device, makedev(0xfd, 0x1f));
	assert_int_equal(mapping.inode, 18446744073709551615u);
	assert_string_equal(mapping.path, "/a b (deleted)");
}

static void test_parse_refuses_what_is_no_mapping(void **state)
{
	(void)state;
	static const char *const lines[] = {
		"",
		"VmFlags: rd wr",
		"Size: 4 kB",
		"1000-2000",
		"1000-2000 rw",
		"2000-1000 rw-p 0 0:0 0",
		"1000-2000 rw-p 0 0:0 ",
		"11111111111111111-2000 rw-p 0 0:0 0",
		"1000-2000 rw-p 0 0-0 0",
		"1000-2000 rw-p 0 0:0 18446744073709551616",
	};
	struct segment_mapping mapping;
	for (size_t i = 0; i < sizeof(lines) / sizeof(lines[0]); i++)
		assert_false(segment_maps_parse(lines[i], &mapping));
}

static void test_parse_cuts_a_long_path(void **state)
{
	(void)state;
	char line[2000] = "1000-2000 rw-s 0 0:0 1 /";
	struct segment_mapping mapping;
	memset(line + strlen(line), 'x', 1900);
	assert_true(segment_maps_parse(line, &mapping));
	assert_int_equal(strlen(mapping.path), SEGMENT_MAPS_PATH - 1);
}

/* Lines longer than the reader's buffer, at every place of it; the rest of such a line must not pass for a mapping. */
static void test_line_survives_any_length(void **state)
{
	(void)state;
	static struct segment_maps maps;
	static char text[20000];
	for (size_t length = 4000; length < 8400; length += 137) {
		int fd = memfd_create("test", 0);
		size_t at = (size_t)snprintf(text, sizeof(text), "first\n");
		memset(text + at, 'y', length);
		at += length;
		at += (size_t)snprintf(text + at, sizeof(text) - at, "1000-2000 rw-p 0 0:0 0\nlast\n");
		assert_int_equal(write(fd, text, at), at);
		char path[40];
		snprintf(path, sizeof(path), "/proc/self/fd/%d", fd);
		assert_int_equal(segment_maps_open(&maps, path), 0);
		assert_string_equal(segment_maps_line(&maps), "first");
		assert_int_equal(segment_maps_line(&maps)[0], 'y');
		assert_string_equal(segment_maps_line(&maps), "last");
		assert_null(segment_maps_line(&maps));
		segment_maps_close(&maps);
		close(fd);
	}
}

/* Where the kernel has the query: both ways over all mappings of this process. */
static void test_query_and_text_agree(void **state)
{
	(void)state;
	static struct segment_maps query, text;
	struct segment_mapping first, second;
	size_t seen = 0;
	assert_int_equal(segment_maps_open(&query, "/proc/self/maps"), 0);
	assert_int_equal(segment_maps_open(&text, "/proc/self/maps"), 0);
	text.query = false;
	for (uintptr_t at = 0; segment_maps_next(&text, at, &second) > 0; at = second.end) {
		if (strcmp(second.path, "[vsyscall]") == 0)
			break; /* a gate that only the text lists */
		assert_int_equal(segment_maps_next(&query, at, &first), 1);
		assert_int_equal(first.start, second.start);
		assert_int_equal(first.end, second.end);
		assert_int_equal(first.protection, second.protection);
		assert_int_equal(first.shared, second.shared);
		assert_int_equal(first.offset, second.offset);
		assert_int_equal(first.device, second.device);
		assert_int_equal(first.inode, second.inode);
		assert_string_equal(first.path, second.path);
		seen++;
	}
	assert_true(seen > 10);
	segment_maps_close(&query);
	segment_maps_close(&text);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_parse_takes_64_bits),
		cmocka_unit_test(test_parse_refuses_what_is_no_mapping),
		cmocka_unit_test(test_parse_cuts_a_long_path),
		cmocka_unit_test(test_line_survives_any_length),
		cmocka_unit_test(test_query_and_text_agree),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}

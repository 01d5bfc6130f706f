/* SPDX-License-Identifier: BSD-2-Clause */
/* base/key: a fresh key file reads back; what is not exactly a key file, or open to others, is refused with a reason. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

#include <sys/rsm/rsm_common.h>

#include "base/key.h"
#include "base/reason.h"

#define DIGITS "000102030405060708090a0b0c0d0e0f101112131415161718191a1b1c1d1eff"
#define LINE   "rsm-key-1 " DIGITS

static char directory[64], path[96];

static int setup(void **state)
{
	(void)state;
	strcpy(directory, "/tmp/rsm-key-XXXXXX");
	if (!mkdtemp(directory))
		return -1;
	snprintf(path, sizeof(path), "%s/key", directory);
	return 0;
}

static int teardown(void **state)
{
	(void)state;
	unlink(path);
	return rmdir(directory);
}

static void write_file(const char *text, size_t length, mode_t mode)
{
	unlink(path);
	FILE *file = fopen(path, "w");
	assert_non_null(file);
	assert_int_equal(fwrite(text, 1, length, file), length);
	assert_int_equal(fclose(file), 0);
	assert_int_equal(chmod(path, mode), 0);
}

static int read_text(const char *text, uint8_t key[BASE_KEY_SIZE])
{
	write_file(text, strlen(text), 0600);
	return base_key_read(path, key);
}

static void refused(const char *text)
{
	uint8_t key[BASE_KEY_SIZE], before[BASE_KEY_SIZE];
	memset(key, 0x55, sizeof(key));
	memset(before, 0x55, sizeof(before));
	assert_int_equal(read_text(text, key), RSMERR_BAD_CONF);
	assert_memory_equal(key, before, sizeof(key)); /* nothing of it is left behind */
	assert_non_null(strstr(base_reason(), path));
	assert_null(strstr(base_reason(), "0001020304"));
}

static void test_key_is_read(void **state)
{
	static const char *const texts[] = {
		LINE "\n", LINE, "# a comment\n" LINE "\n", "#\n# rsm-key-1 none\n#\xc3\xa4\n" LINE,
		"rsm-key-1 "
		"000102030405060708090A0B0C0D0E0F101112131415161718191a1b1c1d1eFF\n"};
	(void)state;
	for (size_t i = 0; i < sizeof(texts) / sizeof(texts[0]); i++) {
		uint8_t key[BASE_KEY_SIZE] = {0};
		assert_int_equal(read_text(texts[i], key), RSM_SUCCESS);
		for (size_t at = 0; at < BASE_KEY_SIZE - 1; at++)
			assert_int_equal(key[at], at);
		assert_int_equal(key[BASE_KEY_SIZE - 1], 0xff);
	}
}

static void test_malformed(void **state)
{
	static const char *const texts[] = {
		"",
		"\n",
		"# only a comment\n",
		"# not even a whole line",
		DIGITS "\n",
		"rsm-key-2 " DIGITS "\n",
		"rsm-key-1  " DIGITS "\n",
		"rsm-key-1\t" DIGITS "\n",
		" " LINE "\n",
		"\n" LINE "\n",
		LINE "0\n",
		LINE " \n",
		LINE "\r\n",
		LINE "\n\n",
		LINE "\n# behind\n",
		LINE "\n" LINE "\n",
		"# windows\r\n" LINE "\r\n",
		"rsm-key-1 g00102030405060708090a0b0c0d0e0f101112131415161718191a1b1c1d1eff\n",
		"rsm-key-1 000102030405060708090a0b0c0d0e0f101112131415161718191a1b1c1d1ef\n",
		"rsm-key-1 000102030405060708090a0b0c0d0e0f101112131415161718191a1b1c1d1ef \n",
	};
	(void)state;
	for (size_t i = 0; i < sizeof(texts) / sizeof(texts[0]); i++)
		refused(texts[i]);
}

static void test_strange_files(void **state)
{
	uint8_t key[BASE_KEY_SIZE];
	char text[8192];
	(void)state;
	assert_int_equal(base_key_read(path, key), RSMERR_BAD_CONF);
	assert_non_null(strstr(base_reason(), "No such file"));
	assert_int_equal(base_key_read(directory, key), RSMERR_BAD_CONF);

	memset(text, '#', sizeof(text));
	write_file(text, sizeof(text), 0600);
	assert_int_equal(base_key_read(path, key), RSMERR_BAD_CONF);
	assert_non_null(strstr(base_reason(), "more than"));

	memcpy(text, LINE "\n", sizeof(LINE "\n")); /* with the NUL */
	write_file(text, sizeof(LINE "\n"), 0600);
	assert_int_equal(base_key_read(path, key), RSMERR_BAD_CONF);
	memset(text, 0, sizeof(text));
	write_file(text, 4096, 0600);
	assert_int_equal(base_key_read(path, key), RSMERR_BAD_CONF);

	unlink(path);
	assert_int_equal(mkfifo(path, 0600), 0); /* is not waited for */
	assert_int_equal(base_key_read(path, key), RSMERR_BAD_CONF);
	assert_non_null(strstr(base_reason(), "no regular file"));
}

static void test_modes(void **state)
{
	uint8_t key[BASE_KEY_SIZE];
	(void)state;
	for (mode_t mode = 0400; mode < 01000; mode++) {
		bool safe = (mode & 0027) == 0;
		if (safe && geteuid() != 0 && (mode & 0400) == 0)
			continue;
		write_file(LINE "\n", sizeof(LINE), mode);
		assert_int_equal(base_key_read(path, key), safe ? RSM_SUCCESS : RSMERR_BAD_CONF);
		if (!safe)
			assert_non_null(strstr(base_reason(), "chmod 600"));
	}
}

static void test_fresh_keys(void **state)
{
	char first[256], second[256], small[255];
	uint8_t one[BASE_KEY_SIZE], other[BASE_KEY_SIZE];
	(void)state;
	assert_int_equal(base_key_make(small, sizeof(small)), RSMERR_BAD_LENGTH);
	assert_int_equal(base_key_make(first, sizeof(first)), RSM_SUCCESS);
	assert_int_equal(base_key_make(second, sizeof(second)), RSM_SUCCESS);
	assert_int_equal(read_text(first, one), RSM_SUCCESS);
	assert_int_equal(read_text(second, other), RSM_SUCCESS);
	assert_memory_not_equal(one, other, sizeof(one));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(test_key_is_read, setup, teardown),
		cmocka_unit_test_setup_teardown(test_malformed, setup, teardown),
		cmocka_unit_test_setup_teardown(test_strange_files, setup, teardown),
		cmocka_unit_test_setup_teardown(test_modes, setup, teardown),
		cmocka_unit_test_setup_teardown(test_fresh_keys, setup, teardown),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}

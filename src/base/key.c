/* SPDX-License-Identifier: BSD-2-Clause */
#include "base/key.h"

#include <errno.h>
#include <fcntl.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>
#include <sys/random.h>
#include <sys/stat.h>
#include <unistd.h>

#include <sys/rsm/rsm_common.h>

#include "base/fd.h"
#include "base/reason.h"

#define KEY_TAG       "rsm-key-1 "
#define KEY_TAG_SIZE  (sizeof(KEY_TAG) - 1)
#define KEY_FILE_MAX  4096 /* bytes; a key file with long comments has some hundred */
#define KEY_TEXT_SIZE 256u /* bytes of a fresh key file, with the NUL; base/key.h promises as many suffice */

/* The key is as safe as the file: others must not read it, and nobody but its owner may replace it. */
static int check_mode(const char *path, const struct stat *stat)
{
	if (!S_ISREG(stat->st_mode))
		return base_refuse(RSMERR_BAD_CONF,
				   "key file %s is no regular file; make one with `rsm keygen`", path);
	if ((stat->st_mode & (S_IRWXO | S_IWGRP)) != 0)
		return base_refuse(
			RSMERR_BAD_CONF,
			"key file %s has mode %04o, so others than its owner could read or change the "
			"cluster's key; allow at most 0640: chmod 600 %s",
			path, (unsigned)stat->st_mode & 07777u, path);
	return RSM_SUCCESS;
}

/* One byte more than a key file may have is asked for: it shows the one that is too long. */
static int load(int fd, const char *path, char text[KEY_FILE_MAX + 1], size_t *length)
{
	struct stat stat;
	if (fstat(fd, &stat) < 0)
		return base_refuse_errno(RSMERR_BAD_CONF, errno, "key file %s cannot be looked at", path);
	int code = check_mode(path, &stat);
	if (code != RSM_SUCCESS)
		return code;
	size_t done = 0;
	while (done <= KEY_FILE_MAX) {
		ssize_t part = read(fd, text + done, KEY_FILE_MAX + 1 - done);
		if (part < 0 && errno == EINTR)
			continue;
		if (part < 0)
			return base_refuse_errno(RSMERR_BAD_CONF, errno, "key file %s cannot be read", path);
		if (part == 0)
			break;
		done += (size_t)part;
	}
	if (done > KEY_FILE_MAX)
		return base_refuse(
			RSMERR_BAD_CONF,
			"key file %s has more than %d bytes, so it is none; make one with `rsm keygen`", path,
			KEY_FILE_MAX);
	*length = done;
	return RSM_SUCCESS;
}

static int digit_value(char digit)
{
	if (digit >= '0' && digit <= '9')
		return digit - '0';
	if (digit >= 'a' && digit <= 'f')
		return digit - 'a' + 10;
	if (digit >= 'A' && digit <= 'F')
		return digit - 'A' + 10;
	return -1;
}

/* The key of a whole line; false: it is no key line. */
static bool parse_line(const char *line, size_t length, uint8_t key[BASE_KEY_SIZE])
{
	if (length != KEY_TAG_SIZE + 2 * (size_t)BASE_KEY_SIZE || memcmp(line, KEY_TAG, KEY_TAG_SIZE) != 0)
		return false;
	for (size_t i = 0; i < BASE_KEY_SIZE; i++) {
		int high = digit_value(line[KEY_TAG_SIZE + 2 * i]);
		int low = digit_value(line[KEY_TAG_SIZE + 2 * i + 1]);
		if (high < 0 || low < 0)
			return false;
		key[i] = (uint8_t)(high * 16 + low);
	}
	return true;
}

/* The texts never quote the file: it may be a secret of something else. */
static int parse(const char *path, const char *text, size_t length, uint8_t key[BASE_KEY_SIZE])
{
	size_t at = 0;
	unsigned number = 1;
	for (; at < length && text[at] == '#'; number++) {
		const char *end = memchr(text + at, '\n', length - at);
		at = end ? (size_t)(end - text) + 1 : length;
	}
	if (at == length)
		return base_refuse(RSMERR_BAD_CONF, "key file %s has no key; make one with `rsm keygen`",
				   path);
	const char *end = memchr(text + at, '\n', length - at);
	size_t line = end ? (size_t)(end - text) - at : length - at;
	if (!parse_line(text + at, line, key))
		return base_refuse(
			RSMERR_BAD_CONF,
			"key file %s:%u is not \"rsm-key-1 \" and 64 hexadecimal digits; make one with "
			"`rsm keygen`, and copy it as it is",
			path, number);
	if (end && (size_t)(end - text) + 1 != length)
		return base_refuse(
			RSMERR_BAD_CONF,
			"key file %s:%u follows the key; the key must be the last line, and the only one",
			path, number + 1);
	return RSM_SUCCESS;
}

int base_key_read(const char *path, uint8_t key[BASE_KEY_SIZE])
{
	/* Not blocking: a pipe of that name must be told, not waited for. */
	int fd = base_fd_above_stdio(open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY));
	if (fd < 0)
		return base_refuse_errno(RSMERR_BAD_CONF, errno, "key file %s cannot be opened", path);
	char text[KEY_FILE_MAX + 1];
	uint8_t found[BASE_KEY_SIZE];
	size_t length = 0;
	int code = load(fd, path, text, &length);
	base_fd_close(&fd);
	if (code == RSM_SUCCESS)
		code = parse(path, text, length, found);
	if (code == RSM_SUCCESS)
		memcpy(key, found, BASE_KEY_SIZE);
	explicit_bzero(text, sizeof(text));
	explicit_bzero(found, sizeof(found));
	return code;
}

static int random_bytes(uint8_t *bytes, size_t size)
{
	for (size_t done = 0; done < size;) {
		ssize_t part = getrandom(bytes + done, size - done, 0);
		if (part < 0 && errno == EINTR)
			continue;
		if (part <= 0)
			return base_refuse_errno(RSMERR_INSUFFICIENT_RESOURCES, part < 0 ? errno : EIO,
						 "make a key: no random numbers from the kernel");
		done += (size_t)part;
	}
	return RSM_SUCCESS;
}

int base_key_make(char *text, size_t size)
{
	static const char digits[] = "0123456789abcdef";
	uint8_t key[BASE_KEY_SIZE];
	if (size < KEY_TEXT_SIZE)
		return base_refuse(RSMERR_BAD_LENGTH, "make a key: %zu bytes for its text, it needs %u", size,
				   KEY_TEXT_SIZE);
	int code = random_bytes(key, sizeof(key));
	if (code != RSM_SUCCESS)
		return code;
	char *at = stpcpy(text,
			  "# Key of an rsm cluster: who has it is a node of it. The same file on every node, "
			  "for rsmd's user only.\n" KEY_TAG);
	for (size_t i = 0; i < BASE_KEY_SIZE; i++) {
		*at++ = digits[key[i] >> 4];
		*at++ = digits[key[i] & 15];
	}
	stpcpy(at, "\n");
	explicit_bzero(key, sizeof(key));
	return RSM_SUCCESS;
}

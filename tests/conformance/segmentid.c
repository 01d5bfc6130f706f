/* SPDX-License-Identifier: BSD-2-Clause */
/* C84-C86: rsm_get_segmentid_range. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "suite.h"

#define SAMPLE "#keyword   appid     baseid     length\nreserved   SUNWfoo   0x600000   1000\n"

static int lookup(const char *text, size_t length, const char *appid, rsm_memseg_id_t *base, uint32_t *count)
{
	char path[64];
	int fd = memfd_create("segmentid", MFD_CLOEXEC);

	CHECK(fd >= 0 && write(fd, text, length) == (ssize_t)length);
	snprintf(path, sizeof(path), "/proc/self/fd/%d", fd);
	CHECK(setenv("RSM_SEGMENTID_FILE", path, 1) == 0);
	*base = 77;
	*count = 77;
	int code = rsm_get_segmentid_range(appid, base, count);
	close(fd);
	if (code)
		CHECK(*base == 77 && *count == 77); /* unchanged on error */
	return code;
}

static int find(const char *text, const char *appid)
{
	rsm_memseg_id_t base;
	uint32_t count;
	return lookup(text, strlen(text), appid, &base, &count);
}

static void expect_sample(const char *text)
{
	rsm_memseg_id_t base;
	uint32_t count;

	MUST(lookup(text, strlen(text), "SUNWfoo", &base, &count));
	CHECK_EQUAL(0x600000, base);
	CHECK_EQUAL(1000, count);
}

static void c84(void)
{
	rsm_memseg_id_t base;
	uint32_t count;

	CHECK(setenv("RSM_SEGMENTID_FILE", "/proc/self/no-such-file", 1) == 0);
	EXPECT(RSMERR_BAD_ADDR, rsm_get_segmentid_range(NULL, &base, &count));
	EXPECT(RSMERR_BAD_ADDR, rsm_get_segmentid_range("SUNWfoo", NULL, &count));
	EXPECT(RSMERR_BAD_ADDR, rsm_get_segmentid_range("SUNWfoo", &base, NULL));
	EXPECT(RSMERR_BAD_CONF, rsm_get_segmentid_range("SUNWfoo", &base, &count));
}

static void c85(void)
{
	expect_sample(SAMPLE);
	EXPECT(RSMERR_BAD_APPID, find(SAMPLE, "SUNWbar"));
	EXPECT(RSMERR_BAD_APPID, find("", "SUNWfoo"));
}

static void c86(void)
{
	EXPECT(RSMERR_BAD_CONF, find("reserved SUNWbar 0x700000\n" SAMPLE, "SUNWfoo"));
	EXPECT(RSMERR_BAD_CONF, find("\n" SAMPLE, "SUNWfoo"));
	EXPECT(RSMERR_BAD_CONF, find("   \t \n" SAMPLE, "SUNWfoo"));
	expect_sample(SAMPLE "reserved SUNWbar 0x700000\n");
	expect_sample(SAMPLE "\n");
	EXPECT(RSMERR_BAD_CONF, find(SAMPLE "\n", "SUNWbar"));
}

static void r_grammar(void)
{
	expect_sample("  \t # a comment\n\t reserved \t SUNWfoo\t600000 1000 and more text\n");
	expect_sample("reserved SUNWfoo 0X600000 1000");  /* no newline at the end */
	expect_sample("reserve sunwFOO 0x600000 1000\n"); /* both keywords, any case */
	expect_sample("RESERVED SUNWFOO 0x600000 1000\n");
	expect_sample("unknown SUNWbar 0x1 5\nreserved SUNWfoo 0x600000 1000\n");
	expect_sample("reserved SUNWfoo 0x600000 1000\nreserved SUNWfoo 0x1 1\n"); /* the first one */
	EXPECT(RSMERR_BAD_CONF, find("mine SUNWfoo 0x600000 1000\n", "SUNWfoo"));
}

static void r_numbers(void)
{
	EXPECT(RSMERR_BAD_CONF, find("reserved SUNWfoo zero 1000\n", "SUNWfoo"));
	EXPECT(RSMERR_BAD_CONF, find("reserved SUNWfoo 0x600000 many\n", "SUNWfoo"));
	EXPECT(RSMERR_BAD_CONF, find("reserved SUNWfoo 0x600000 0x10\n", "SUNWfoo"));
	EXPECT(RSMERR_BAD_CONF, find("reserved SUNWfoo 0x1ffffffff 1000\n", "SUNWfoo"));
	EXPECT(RSMERR_BAD_CONF, find("reserved SUNWfoo 0x600000 4294967296\n", "SUNWfoo"));
	EXPECT(RSMERR_BAD_CONF, find("reserved SUNWfoo 0x600000 99999999999999999999999\n", "SUNWfoo"));
	EXPECT(RSMERR_BAD_CONF, find("reserved SUNWfoo -1 1000\n", "SUNWfoo"));
	MUST(find("reserved SUNWfoo 0xffffffff 4294967295\n", "SUNWfoo"));
}

static void r_long_lines(void)
{
	size_t length = 70000;
	char *text = malloc(length + 256);

	CHECK(text != NULL);
	memset(text, 'x', length);
	text[0] = '#';
	strcpy(text + length, "\n" SAMPLE);
	expect_sample(text);
	memset(text, ' ', length);
	strcpy(text + length, "reserved SUNWfoo 0x600000 1000\n");
	expect_sample(text);
	free(text);
}

static void r_binary(void)
{
	static const char text[] = "reserved\0 SUNWfoo 0x600000 1000\n\xff\xfe\x00\x01";
	rsm_memseg_id_t base;
	uint32_t count;

	int code = lookup(text, sizeof(text), "SUNWfoo", &base, &count);
	CHECK(code == RSMERR_BAD_CONF || code == RSMERR_BAD_APPID);
}

static const struct suite_case cases[] = {
	{"C84", "NULL arguments -> BAD_ADDR; no file -> BAD_CONF", c84},
	{"C85", "the sample entry; an absent appid -> BAD_APPID", c85},
	{"C86", "a short or blank line before the entry -> BAD_CONF, after it success", c86},
	{"R-segmentid-grammar", "white space, comments, keywords, case, order", r_grammar},
	{"R-segmentid-numbers", "numbers that are none or too large -> BAD_CONF", r_numbers},
	{"R-segmentid-long", "lines of any length", r_long_lines},
	{"R-segmentid-binary", "a binary file is refused", r_binary},
};

SUITE_MAIN(cases)

/* SPDX-License-Identifier: BSD-2-Clause */
/* Feeds every file named to a fuzz target, where there is no libFuzzer: what was found once stays found. */
#include <stdio.h>
#include <stdlib.h>

#include "target.h"

#define SEED_MAX (1u << 20) /* bytes */

int main(int argc, char **argv)
{
	int count = 0;
	for (int i = 1; i < argc; i++, count++) {
		FILE *file = fopen(argv[i], "rb");
		if (!file) {
			perror(argv[i]);
			return 1;
		}
		uint8_t *bytes = malloc(SEED_MAX);
		size_t length = bytes ? fread(bytes, 1, SEED_MAX, file) : 0;
		fclose(file);
		/* In a block of its own size, so that a sanitizer sees the first byte behind it. */
		uint8_t *exact = bytes ? realloc(bytes, length + !length) : NULL;
		if (!exact) {
			free(bytes);
			return 1;
		}
		LLVMFuzzerTestOneInput(exact, length);
		free(exact);
	}
	printf("%d files\n", count);
	return count == 0;
}

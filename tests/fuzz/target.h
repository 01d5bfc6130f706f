/* SPDX-License-Identifier: BSD-2-Clause */
/* A fuzz target: libFuzzer's main calls it, or seeds.c's, which only feeds it the files that it is given. */
#ifndef TARGET_H
#define TARGET_H

#include <stddef.h>
#include <stdint.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t length);

#endif

/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The reason behind the last refusal of this thread. The first function that knows the cause calls base_refuse;
 * everybody above only passes the code on. A reason says what was asked, what was found, which limit or rule
 * applies and what to do.
 */
#ifndef BASE_REASON_H
#define BASE_REASON_H

#include <stdarg.h>
#include <stddef.h>

#define BASE_REASON_MAX 512 /* bytes, with the NUL; longer texts are cut */

/* Records the text for this thread and returns `code`, so that a refusal is one line. */
int base_refuse(int code, const char *format, ...) __attribute__((format(printf, 2, 3)));

/* The same for a fixed text, cheap enough for a call that is made in a loop; `text` lives for ever. */
int base_refuse_plain(int code, const char *text);

/* The same with ": " and the text of `error` (a positive errno) behind. */
int base_refuse_errno(int code, int error, const char *format, ...) __attribute__((format(printf, 3, 4)));

/* The text of this thread's last refusal, "" when there was none. Valid until the next refusal. */
const char *base_reason(void);

/* "RSMERR_BAD_ADDR" and a short sentence for a code; never NULL. */
const char *base_code_name(int code);
const char *base_code_text(int code);

#endif

/* SPDX-License-Identifier: Apache-2.0
 * Strict UTF-8 (RFC 3629): no overlong forms, no surrogates, nothing above U+10FFFF. */
#ifndef TM_BASE_UTF8_H
#define TM_BASE_UTF8_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* Decodes the character at text[0..bytes): its length 1 to 4 and *code; 0 when it is invalid or cut
 * (*code is then untouched). */
size_t tm_utf8_decode(const char *text, size_t bytes, uint32_t *code);
/* Writes a valid code point to out[4]; its length, or 0 for a surrogate or a code too large. */
size_t tm_utf8_encode(uint32_t code, char *out);
bool tm_utf8_valid(const char *text, size_t bytes);
/* Characters that may steer a terminal (C0, DEL, C1) or make a text look like another one: those
 * that turn the direction of writing (CVE-2021-42574), line and paragraph separators, invisible
 * ones and tags. The joiners U+200C and U+200D are not among them: scripts need them. */
bool tm_utf8_is_control(uint32_t code);

#endif

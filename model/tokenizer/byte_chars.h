/* SPDX-License-Identifier: Apache-2.0
 * Byte-level vocabularies write every byte as one printable character: the printable ones of
 * Latin-1 stand for themselves, the other 68 are U+0100 and on, in order. Source: bytes_to_unicode
 * in openai/gpt-2, src/encoder.py. */
#ifndef TM_MODEL_TOKENIZER_BYTE_CHARS_H
#define TM_MODEL_TOKENIZER_BYTE_CHARS_H

#include "base/buf.h"

/* The character of a byte. */
uint32_t tm_byte_char(uint8_t byte);
/* false when no byte is written so. */
bool tm_byte_of_char(uint32_t code, uint8_t *out);
/* Appends every byte of data as its character in UTF-8. */
tm_status tm_byte_chars_put(struct tm_view data, struct tm_buf *out) TM_MUST_USE;
/* Appends the bytes that text stands for; TM_E_NOTHING (and *out as it was) when a character of it
 * stands for none. */
tm_status tm_byte_chars_get(struct tm_view text, struct tm_buf *out) TM_MUST_USE;

#endif

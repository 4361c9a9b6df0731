/* SPDX-License-Identifier: Apache-2.0
 * Base64 with the standard alphabet and padding (RFC 4648, section 4). Strict and canonical: every
 * byte string has exactly one text. */
#ifndef TM_BASE_BASE64_H
#define TM_BASE_BASE64_H

#include "base/buf.h"

/* Appends the text of data to out, 4 characters for each 3 bytes begun. TM_E_LIMIT or TM_E_NOMEM as
 * the buffer says; out is then as it was. */
tm_status tm_base64_encode(struct tm_view data, struct tm_buf *out) TM_MUST_USE;
/* Appends the bytes of text to out. TM_E_MALFORMED for a length that is no multiple of 4, a foreign
 * character (blanks and line ends too), wrong padding or unused bits that are not zero; out then
 * has the bytes it had. */
tm_status tm_base64_decode(struct tm_view text, struct tm_buf *out) TM_MUST_USE;

#endif

/* SPDX-License-Identifier: Apache-2.0
 * Any bytes as valid UTF-8: what is no UTF-8 becomes U+FFFD, one for each maximal subpart (Unicode
 * 15, section 3.9; as Python's errors="replace"). */
#ifndef TM_MODEL_TOKENIZER_REPAIR_H
#define TM_MODEL_TOKENIZER_REPAIR_H

#include "base/buf.h"

/* Appends the text. TM_E_NOMEM, TM_E_LIMIT. */
tm_status tm_repair_utf8(struct tm_view text, struct tm_buf *out) TM_MUST_USE;

#endif

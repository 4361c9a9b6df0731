/* SPDX-License-Identifier: Apache-2.0
 * Says what a tokenizer makes of a text, for the tests of its readers. */
#ifndef TM_TESTS_TOKEN_IDS_H
#define TM_TESTS_TOKEN_IDS_H

#include <check.h>
#include <stdio.h>
#include <string.h>

#include "model/tokenizer/tokenizer.h"

/* `text` becomes the ids in `wanted` ("3 1 4"), and they become `back`. */
static inline void expect_ids(struct tm_tokenizer *t, const char *text, unsigned flags,
                              const char *wanted, const char *back)
{
    struct tm_buf ids, bytes;
    struct tm_err err;
    char line[512] = "";
    tm_buf_init(&ids, 4096);
    tm_buf_init(&bytes, 4096);
    ck_assert_int_eq(tm_tokenizer_encode(t, tm_view_str(text), flags, &ids, &err), TM_OK);
    const uint32_t *list = (const uint32_t *)(const void *)ids.data;
    for (size_t i = 0; i < ids.bytes / 4; i++) {
        size_t at = strlen(line);
        snprintf(line + at, sizeof line - at, i == 0 ? "%u" : " %u", list[i]);
    }
    ck_assert_msg(strcmp(line, wanted) == 0, "%s becomes %s", text, line);
    ck_assert_int_eq(
        tm_tokenizer_decode(t, list, ids.bytes / 4, TM_DETOKENIZE_SKIP_SPECIALS, &bytes, &err),
        TM_OK);
    ck_assert_msg(tm_view_eq_str(tm_buf_view(&bytes), back), "%s comes back as %.*s", text,
                  (int)bytes.bytes, (const char *)bytes.data);
    tm_buf_deinit(&ids);
    tm_buf_deinit(&bytes);
}

#endif

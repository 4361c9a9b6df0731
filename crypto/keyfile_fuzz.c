/* SPDX-License-Identifier: Apache-2.0
 * A text that parses as a key file, written and read again, gives the same key; so does the text of
 * a public key. */
#include "crypto/keyfile.h"

#include <string.h>
#include "tests/support/short_memory.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void round_trip(const struct tm_keyfile *file)
{
    struct tm_buf text;
    struct tm_keyfile back;
    tm_buf_init(&text, TM_KEYFILE_BYTES_MAX);
    tm_status written = tm_keyfile_format(file, &text);
    TM_ASSERT(ok_or_ran_out(written));
    if (written == TM_OK) {
        tm_status read = tm_keyfile_parse(tm_buf_view(&text), "again", &back, NULL);
        TM_ASSERT(ok_or_ran_out(read));
        TM_ASSERT(read != TM_OK || memcmp(&back, file, sizeof back) == 0);
    }
    tm_buf_deinit(&text);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct tm_keyfile file;
    struct tm_err err;
    if (tm_keyfile_parse(tm_view_of(data, size), "input", &file, &err) == TM_OK) {
        round_trip(&file);
    }
    struct tm_public_key key, again;
    if (tm_public_key_parse(tm_view_of(data, size), &key, &err) == TM_OK) {
        char text[TM_PUBLIC_KEY_TEXT];
        tm_public_key_text(&key, text);
        tm_status status = tm_public_key_parse(tm_view_str(text), &again, NULL);
        TM_ASSERT(ok_or_ran_out(status));
        TM_ASSERT(status != TM_OK || tm_public_key_eq(&key, &again));
    }
    return 0;
}

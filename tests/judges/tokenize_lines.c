/* SPDX-License-Identifier: Apache-2.0
 * tokenize_lines TOKENIZER [frame]: reads lines of text, with their length before each (u32), from
 * stdin; writes for each the number of ids, the ids, the number of decoded bytes and the bytes. */
#include <stdio.h>

#include "base/bytes.h"
#include "model/tokenizer/tokenizer_open.h"

static int fail(const struct tm_err *err)
{
    char line[2048];
    fprintf(stderr, "%s\n", tm_err_line(err, line, sizeof line));
    return tm_status_exit_code(err->status);
}

static bool put_u32(size_t value)
{
    uint8_t bytes[4];
    tm_set_u32(bytes, (uint32_t)value);
    return fwrite(bytes, 1, sizeof bytes, stdout) == sizeof bytes;
}

static tm_status one_line(struct tm_tokenizer *t, struct tm_view text, unsigned flags,
                          struct tm_buf *ids, struct tm_buf *back, struct tm_err *err)
{
    tm_buf_clear(ids);
    tm_buf_clear(back);
    TM_TRY(tm_tokenizer_encode(t, text, flags, ids, err));
    const uint32_t *list = (const uint32_t *)(const void *)ids->data;
    size_t count = ids->bytes / sizeof *list;
    TM_TRY(tm_tokenizer_decode(t, list, count, TM_DETOKENIZE_SKIP_SPECIALS, back, err));
    bool good = put_u32(count);
    for (size_t i = 0; i < count; i++) {
        good = put_u32(list[i]) && good;
    }
    good = put_u32(back->bytes) && good;
    good = fwrite(back->data, 1, back->bytes, stdout) == back->bytes && good;
    return good ? TM_OK : TM_E_IO;
}

int main(int argc, char **argv)
{
    struct tm_tokenizer *t = NULL;
    struct tm_err err = {.status = TM_OK};
    struct tm_buf text, ids, back;
    uint8_t head[4];
    if (argc < 2 || argc > 3) {
        return 2;
    }
    if (tm_tokenizer_open(argv[1], &t, &err) != TM_OK) {
        return fail(&err);
    }
    unsigned flags = TM_TOKENIZE_SPECIALS | (argc > 2 ? TM_TOKENIZE_FRAME : 0u);
    tm_buf_init(&text, 64u << 20);
    tm_buf_init(&ids, 256u << 20);
    tm_buf_init(&back, 256u << 20);
    tm_status status = TM_OK;
    while (status == TM_OK && fread(head, 1, sizeof head, stdin) == sizeof head) {
        uint8_t *room = NULL;
        tm_buf_clear(&text);
        status = tm_buf_extend(&text, tm_get_u32(head), &room);
        if (status == TM_OK && fread(room, 1, text.bytes, stdin) != text.bytes) {
            status = TM_E_IO;
        }
        if (status == TM_OK) {
            status = one_line(t, tm_buf_view(&text), flags, &ids, &back, &err);
        }
    }
    tm_buf_deinit(&text);
    tm_buf_deinit(&ids);
    tm_buf_deinit(&back);
    tm_tokenizer_destroy(&t);
    return status == TM_OK ? 0 : fail(&err);
}

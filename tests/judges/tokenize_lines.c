/* SPDX-License-Identifier: Apache-2.0
 * tokenize_lines TOKENIZER [frame]: reads lines of text, with their length before each (u32), from
 * stdin; writes for each the number of ids, the ids, the number of decoded bytes and the bytes.
 * Fails when the bytes come otherwise token by token. */
#include <stdio.h>

#include "base/bytes.h"
#include "base/utf8.h"
#include "model/tokenizer/token_stream.h"
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

/* The bytes once more, token by token: the same, and no piece ends within a character. */
static tm_status check_stream(struct tm_tokenizer *t, const uint32_t *ids, size_t count,
                              struct tm_view wanted, struct tm_err *err)
{
    struct tm_token_stream *stream = NULL;
    struct tm_buf out;
    bool valid = tm_utf8_valid((const char *)wanted.data, wanted.bytes);
    tm_buf_init(&out, 256u << 20);
    tm_status status = tm_token_stream_new(t, TM_DETOKENIZE_SKIP_SPECIALS, &stream);
    for (size_t i = 0; i < count && status == TM_OK; i++) {
        status = tm_token_stream_put(stream, ids[i], &out, err);
        if (status == TM_OK && valid && !tm_utf8_valid((const char *)out.data, out.bytes)) {
            status = tm_err_set(err, TM_E_VERIFY, NULL, "the stream cuts a character", NULL,
                                "at token %zu", i);
        }
    }
    if (status == TM_OK) {
        status = tm_token_stream_end(stream, &out, err);
    }
    if (status == TM_OK && !tm_view_eq(tm_buf_view(&out), wanted)) {
        status = tm_err_set(err, TM_E_VERIFY, NULL, "the stream gives other bytes", NULL,
                            "%zu instead of %zu", out.bytes, wanted.bytes);
    }
    tm_token_stream_destroy(&stream);
    tm_buf_deinit(&out);
    return status;
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
    TM_TRY(check_stream(t, list, count, tm_buf_view(back), err));
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

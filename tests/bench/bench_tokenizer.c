/* SPDX-License-Identifier: Apache-2.0
 * bench_tokenizer TOKENIZER TEXT [specials]: opens the tokenizer, encodes the text once, line by
 * line, with special tokens or without, and decodes it once, line by line; prints seconds of CPU to
 * open, to encode, to decode, and tokens. */
#include <stdio.h>
#include <string.h>
#include <time.h>

#include "base/file.h"
#include "model/tokenizer/tokenizer_open.h"

static double now(void)
{
    struct timespec t;
    clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &t);
    return (double)t.tv_sec + (double)t.tv_nsec * 1e-9;
}

/* ids: u32 each; ends: of each line, size_t each, in bytes of ids. */
static tm_status encode(struct tm_tokenizer *t, struct tm_view text, unsigned flags,
                        struct tm_buf *ids, struct tm_buf *ends, struct tm_err *err)
{
    while (text.bytes > 0) {
        const uint8_t *end = memchr(text.data, '\n', text.bytes);
        size_t bytes = end == NULL ? text.bytes : (size_t)(end - text.data);
        TM_TRY(tm_tokenizer_encode(t, tm_view_of(text.data, bytes), flags, ids, err));
        TM_TRY(tm_buf_put(ends, &ids->bytes, sizeof ids->bytes));
        bytes += end != NULL;
        text = tm_view_of(text.data + bytes, text.bytes - bytes);
    }
    return TM_OK;
}

static tm_status decode(struct tm_tokenizer *t, const struct tm_buf *ids, const struct tm_buf *ends,
                        struct tm_buf *out, struct tm_err *err)
{
    const size_t *end = (const size_t *)(const void *)ends->data;
    size_t at = 0;
    for (size_t i = 0; i < ends->bytes / sizeof *end; at = end[i++]) {
        const uint32_t *first = (const uint32_t *)(const void *)(ids->data + at);
        tm_buf_clear(out);
        TM_TRY(tm_tokenizer_decode(t, first, (end[i] - at) / sizeof *first, 0, out, err));
    }
    return TM_OK;
}

int main(int argc, char **argv)
{
    struct tm_tokenizer *t = NULL;
    struct tm_buf text, ids, ends, back;
    struct tm_err err = {.status = TM_E_USAGE};
    char line[2048];
    tm_buf_init(&text, 1u << 30);
    tm_buf_init(&ids, (size_t)4 << 30);
    tm_buf_init(&ends, (size_t)1 << 30);
    tm_buf_init(&back, (size_t)4 << 30);
    unsigned flags = argc == 4 ? TM_TOKENIZE_SPECIALS : 0;
    double begin = now(), opened = 0, encoded = 0;
    tm_status status = argc >= 3 ? tm_tokenizer_open(argv[1], &t, &err) : TM_E_USAGE;
    if (status == TM_OK) {
        status = tm_file_read(argv[2], &text, &err);
    }
    opened = now();
    if (status == TM_OK) {
        status = encode(t, tm_buf_view(&text), flags, &ids, &ends, &err);
    }
    encoded = now();
    if (status == TM_OK) {
        status = decode(t, &ids, &ends, &back, &err);
    }
    if (status == TM_OK) {
        printf("%.6f %.6f %.6f %zu\n", opened - begin, encoded - opened, now() - encoded,
               ids.bytes / sizeof(uint32_t));
    } else {
        fprintf(stderr, "%s\n", tm_err_line(&err, line, sizeof line));
    }
    tm_tokenizer_destroy(&t);
    tm_buf_deinit(&text);
    tm_buf_deinit(&ids);
    tm_buf_deinit(&ends);
    tm_buf_deinit(&back);
    return status == TM_OK ? 0 : 1;
}

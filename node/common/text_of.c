/* SPDX-License-Identifier: Apache-2.0 */
#include "node/common/text_of.h"

#include "base/file.h"
#include "base/utf8.h"
#include "model/where.h"

static tm_status check_utf8(const struct tm_text *text, const char *what, struct tm_err *err)
{
    uint32_t code;
    for (size_t at = 0; at < text->bytes.bytes;) {
        size_t bytes =
            tm_utf8_decode((const char *)text->bytes.data + at, text->bytes.bytes - at, &code);
        if (bytes == 0) {
            struct tm_where where;
            tm_where_byte(&where, text->name, at);
            return tm_err_set(err, TM_E_MALFORMED, where.text, what, "convert the text to UTF-8",
                              "the text is not UTF-8");
        }
        at += bytes;
    }
    return TM_OK;
}

const uint32_t *tm_text_ids(const struct tm_text *text, size_t *count)
{
    *count = text->ids.bytes / sizeof(uint32_t);
    return (const uint32_t *)(const void *)text->ids.data;
}

/* What an empty text is framed with. */
static tm_status find_first_token(struct tm_text *text, struct tm_tokenizer *tokenizer,
                                  struct tm_err *err)
{
    size_t count;
    TM_TRY(tm_tokenizer_encode(tokenizer, tm_view_str(""), TM_TOKENIZE_FRAME, &text->ids, err));
    const uint32_t *ids = tm_text_ids(text, &count);
    text->first_token =
        count > 0 && ids[0] == tm_tokenizer_bos(tokenizer) ? ids[0] : TM_TEXT_NO_FIRST;
    tm_buf_clear(&text->ids);
    return TM_OK;
}

tm_status tm_text_of(const struct tm_text_options *options, struct tm_text *out, struct tm_err *err)
{
    out->name = options->path != NULL ? options->path : "the built-in text";
    out->first_token = TM_TEXT_NO_FIRST;
    tm_buf_init(&out->bytes, TM_TEXT_BYTES_MAX);
    tm_buf_init(&out->ids, TM_TEXT_BYTES_MAX * sizeof(uint32_t));
    if (options->tokenizer == NULL) {
        return tm_err_set(err, TM_E_NOT_FOUND, options->model_path, options->what,
                          "give the folder that has the model's tokenizer.json",
                          "the model has no tokenizer");
    }
    if (options->path != NULL) {
        TM_TRY(tm_file_read(options->path, &out->bytes, err));
    } else if (tm_buf_put(&out->bytes, options->built_in.data, options->built_in.bytes) != TM_OK) {
        return tm_err_set(err, TM_E_NOMEM, NULL, options->what, NULL, "out of memory");
    }
    TM_TRY(check_utf8(out, options->what, err));
    TM_TRY(find_first_token(out, options->tokenizer, err));
    return tm_tokenizer_encode(options->tokenizer, tm_buf_view(&out->bytes), TM_TOKENIZE_FRAME,
                               &out->ids, err);
}

void tm_text_deinit(struct tm_text *text)
{
    tm_buf_deinit(&text->bytes);
    tm_buf_deinit(&text->ids);
}

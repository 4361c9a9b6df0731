/* SPDX-License-Identifier: Apache-2.0
 * Input: tokenizer.json, tokenizer_config.json, generation_config.json and a chat template, with a
 * line "---" between them. */
#include <string.h>

#include "model/tokenizer/tokenizer_open.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static const char *const names[] = {"tokenizer.json", "tokenizer_config.json",
                                    "generation_config.json", "chat_template.jinja"};

struct input {
    struct tm_view files[4];
};

static tm_status read_file(void *context, const char *name, struct tm_buf *out, struct tm_err *err)
{
    const struct input *input = context;
    (void)err;
    for (size_t i = 0; i < 4; i++) {
        if (strcmp(name, names[i]) == 0 && input->files[i].data != NULL) {
            return tm_buf_put(out, input->files[i].data, input->files[i].bytes);
        }
    }
    return TM_E_NOTHING;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct input input = {0};
    for (size_t i = 0; i < 4 && size > 0; i++) {
        const uint8_t *cut = memmem(data, size, "\n---\n", 5);
        size_t bytes = cut == NULL ? size : (size_t)(cut - data);
        input.files[i] = tm_view_of(data, bytes);
        bytes = cut == NULL ? size : bytes + 5;
        data += bytes;
        size -= bytes;
    }
    struct tm_tokenizer_files files = {read_file, &input, "f"};
    struct tm_tokenizer *t = NULL;
    struct tm_err err;
    tm_status status = tm_tokenizer_open_files(&files, &t, &err);
    TM_ASSERT((status == TM_OK) == (t != NULL));
    TM_ASSERT(status != TM_E_INTERNAL && status != TM_E_LIMIT && status != TM_E_NOTHING);
    if (t != NULL) {
        struct tm_view template;
        uint32_t eos = tm_tokenizer_eos(t);
        TM_ASSERT(eos == UINT32_MAX || tm_tokenizer_is_end(t, eos));
        TM_ASSERT(tm_tokenizer_chat_template(t, &template) == (template.bytes > 0));
    }
    tm_tokenizer_destroy(&t);
    return 0;
}

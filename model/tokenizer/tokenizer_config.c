/* SPDX-License-Identifier: Apache-2.0 */
#include "model/tokenizer/tokenizer_config.h"

#include "base/json.h"
#include "model/tokenizer/tokenizer_parts.h"

/* A token as text, or as an object with its text. */
static uint32_t token_of(const struct tm_tokenizer *t, const struct tm_json *node)
{
    struct tm_view text;
    if (tm_json_str(node, &text) || tm_json_str(tm_json_get(node, "content"), &text)) {
        return tm_tokenizer_find(t, text);
    }
    return TM_NO_TOKEN;
}

static tm_status read_template(struct tm_tokenizer *t, const struct tm_json *node,
                               struct tm_err *err)
{
    struct tm_view text, name;
    bool found = tm_json_str(node, &text);
    if (tm_json_kind(node) == TM_JSON_ARRAY) {
        for (size_t i = 0; i < tm_json_count(node) && !found; i++) {
            const struct tm_json *item = tm_json_at(node, i);
            found = tm_json_str(tm_json_get(item, "name"), &name) &&
                    tm_view_eq_str(name, "default") &&
                    tm_json_str(tm_json_get(item, "template"), &text);
        }
    }
    return found ? tm_tokenizer_set_chat_template(t, text, err) : TM_OK;
}

static tm_status read_config(struct tm_tokenizer *t, const struct tm_json *root, struct tm_err *err)
{
    uint32_t bos = token_of(t, tm_json_get(root, "bos_token"));
    uint32_t eos = token_of(t, tm_json_get(root, "eos_token"));
    const struct tm_json *chat = tm_json_get(root, "chat_template");
    t->bos = bos != TM_NO_TOKEN ? bos : t->bos;
    if (eos != TM_NO_TOKEN && eos != t->eos) {
        uint32_t earlier = t->eos;
        t->eos = eos;
        tm_tokenizer_add_end(t, earlier);
    }
    return chat == NULL ? TM_OK : read_template(t, chat, err);
}

static tm_status read_generation(struct tm_tokenizer *t, const struct tm_json *root,
                                 struct tm_err *err)
{
    const struct tm_json *node = tm_json_get(root, "eos_token_id");
    uint64_t id = TM_NO_TOKEN;
    (void)err;
    if (tm_json_u64(node, &id) && id < TM_VOCAB_MAX) {
        tm_tokenizer_add_end(t, (uint32_t)id);
    }
    for (size_t i = 0; i < tm_json_count(node); i++) {
        if (tm_json_u64(tm_json_at(node, i), &id) && id < TM_VOCAB_MAX) {
            tm_tokenizer_add_end(t, (uint32_t)id);
        }
    }
    return TM_OK;
}

static tm_status read_object(struct tm_tokenizer *t, struct tm_view text, const char *path,
                             tm_status (*read)(struct tm_tokenizer *, const struct tm_json *,
                                               struct tm_err *),
                             struct tm_err *err)
{
    struct tm_json_doc *doc = NULL;
    TM_TRY(tm_json_parse(text, path, &doc, err));
    const struct tm_json *root = tm_json_root(doc);
    tm_status status = TM_OK;
    if (tm_json_kind(root) != TM_JSON_OBJECT) {
        status = tm_err_set(err, TM_E_MALFORMED, path, tm_tokenizer_what, NULL, "it is no object");
    } else {
        status = read(t, root, err);
    }
    tm_json_free(&doc);
    if (status != TM_OK && err != NULL && err->where[0] == 0) {
        tm_err_prefix(err, path);
    }
    return status;
}

tm_status tm_tokenizer_config(struct tm_tokenizer *t, struct tm_view text, const char *path,
                              struct tm_err *err)
{
    return read_object(t, text, path, read_config, err);
}

tm_status tm_tokenizer_generation(struct tm_tokenizer *t, struct tm_view text, const char *path,
                                  struct tm_err *err)
{
    return read_object(t, text, path, read_generation, err);
}

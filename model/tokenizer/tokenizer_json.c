/* SPDX-License-Identifier: Apache-2.0
 * Reads tokenizer.json of Hugging Face's tokenizers. The vocabulary and the merges are pulled value
 * by value, for they are many megabytes; the small parts are read as trees. */
#include "model/tokenizer/tokenizer.h"

#include <stdio.h>
#include <string.h>

#include "base/num.h"
#include "model/json_pull.h"
#include "model/tokenizer/tokenizer_parts.h"

#define TEXT_MAX (1u << 20) /* bytes of one string */

enum part {
    PART_NORMALIZER,
    PART_PRE_TOKENIZER,
    PART_POST_PROCESSOR,
    PART_DECODER,
    PART_ADDED_TOKENS,
    PART_MODEL,
    PART_COUNT
};

static const char *const part_names[PART_COUNT] = {"normalizer", "pre_tokenizer", "post_processor",
                                                   "decoder",    "added_tokens",  "model"};

enum field {
    FIELD_TYPE,
    FIELD_VOCAB,
    FIELD_MERGES,
    FIELD_UNK_TOKEN,
    FIELD_UNK_ID,
    FIELD_BYTE_FALLBACK,
    FIELD_FUSE_UNK,
    FIELD_IGNORE_MERGES,
    FIELD_CONTINUING_PREFIX,
    FIELD_WORD_SUFFIX,
    FIELD_COUNT
};

static const char *const field_names[FIELD_COUNT] = {"type",
                                                     "vocab",
                                                     "merges",
                                                     "unk_token",
                                                     "unk_id",
                                                     "byte_fallback",
                                                     "fuse_unk",
                                                     "ignore_merges",
                                                     "continuing_subword_prefix",
                                                     "end_of_word_suffix"};

struct reader {
    struct tm_tokenizer *t;
    const char *path;
    struct tm_view text; /* the whole file */
    struct tm_view parts[PART_COUNT], fields[FIELD_COUNT];
    struct tm_buf key, left, right;
    struct tm_err *err;
};

static tm_status fail(struct reader *r, tm_status status, const char *why)
{
    return tm_tokenizer_fail(status, why, r->err);
}

/* A pull over a slice of the file; errors keep the offset in the file. */
static void pull_over(struct reader *r, struct tm_view slice, struct tm_json_pull *p)
{
    tm_pull_begin(p, slice, r->path, (uint64_t)(slice.data - r->text.data), r->err);
}

/* Notes where the values of the named members of an object lie. */
static tm_status slice_members(struct reader *r, struct tm_view object, const char *const *names,
                               size_t count, struct tm_view *out)
{
    struct tm_json_pull p;
    enum tm_json_kind kind;
    bool more;
    pull_over(r, object, &p);
    TM_TRY(tm_pull_object(&p));
    while (true) {
        TM_TRY(tm_pull_member(&p, &more, &r->key));
        if (!more) {
            return tm_pull_end(&p);
        }
        TM_TRY(tm_pull_kind(&p, &kind));
        size_t start = p.at;
        TM_TRY(tm_pull_skip(&p));
        for (size_t i = 0; i < count; i++) {
            if (tm_view_eq_str(tm_buf_view(&r->key), names[i])) {
                if (out[i].data != NULL) {
                    return tm_pull_fail(&p, "a key is there twice");
                }
                out[i] = tm_view_of(object.data + start, p.at - start);
            }
        }
    }
}

/* ---- small values ---- */

static bool is_null(struct tm_view slice)
{
    return slice.data == NULL || tm_view_eq_str(slice, "null");
}

static bool is_true(struct tm_view slice)
{
    return tm_view_eq_str(slice, "true");
}

/* A string member into r->left; empty when absent or null. */
static tm_status text_of(struct reader *r, enum field field)
{
    tm_buf_clear(&r->left);
    if (is_null(r->fields[field])) {
        return TM_OK;
    }
    struct tm_json_pull p;
    pull_over(r, r->fields[field], &p);
    return tm_pull_string(&p, &r->left);
}

/* ---- vocabulary ---- */

static tm_status put_token(struct reader *r, uint64_t id, struct tm_view text, double score)
{
    tm_status status =
        id >= TM_VOCAB_MAX ? TM_E_LIMIT : tm_vocab_put(&r->t->vocab, (uint32_t)id, text, score);
    return status == TM_OK ? TM_OK
                           : fail(r, status,
                                  status == TM_E_LIMIT ? "the vocabulary is too large"
                                                       : "two tokens have the same id");
}

static tm_status read_vocab_object(struct reader *r)
{
    struct tm_json_pull p;
    bool more;
    uint64_t id;
    pull_over(r, r->fields[FIELD_VOCAB], &p);
    TM_TRY(tm_pull_object(&p));
    while (true) {
        TM_TRY(tm_pull_member(&p, &more, &r->key));
        if (!more) {
            return TM_OK;
        }
        TM_TRY(tm_pull_u64(&p, &id));
        TM_TRY(put_token(r, id, tm_buf_view(&r->key), 0.0));
    }
}

static tm_status pull_number(struct tm_json_pull *p, double *out)
{
    enum tm_json_kind kind;
    TM_TRY(tm_pull_kind(p, &kind));
    size_t start = p->at;
    TM_TRY(tm_pull_skip(p));
    if (tm_parse_f64(tm_view_of(p->text.data + start, p->at - start), out) != TM_OK) {
        return tm_pull_fail(p, "a score is no number");
    }
    return TM_OK;
}

/* [["<unk>", 0.0], ["the", -3.2], ...]: the id is the position. */
static tm_status read_vocab_array(struct reader *r)
{
    struct tm_json_pull p;
    bool more;
    pull_over(r, r->fields[FIELD_VOCAB], &p);
    TM_TRY(tm_pull_array(&p));
    for (uint64_t id = 0;; id++) {
        double score = 0.0;
        TM_TRY(tm_pull_item(&p, &more));
        if (!more) {
            return TM_OK;
        }
        TM_TRY(tm_pull_array(&p));
        TM_TRY(tm_pull_item(&p, &more));
        TM_TRY(more ? tm_pull_string(&p, &r->left) : tm_pull_fail(&p, "a token has no text"));
        TM_TRY(tm_pull_item(&p, &more));
        TM_TRY(more ? pull_number(&p, &score) : tm_pull_fail(&p, "a token has no score"));
        TM_TRY(tm_pull_item(&p, &more));
        TM_TRY(more ? tm_pull_fail(&p, "a token has more than a text and a score") : TM_OK);
        TM_TRY(put_token(r, id, tm_buf_view(&r->left), score));
    }
}

/* ---- merges ---- */

/* "left right": cut at the blank, which no token of such a list contains. */
static tm_status split_merge(struct tm_json_pull *p, struct tm_view text, struct tm_view *left,
                             struct tm_view *right)
{
    const uint8_t *blank = memchr(text.data, ' ', text.bytes);
    if (blank == NULL) {
        return tm_pull_fail(p, "a merge is no pair");
    }
    size_t at = (size_t)(blank - text.data);
    *left = tm_view_of(text.data, at);
    *right = tm_view_of(blank + 1, text.bytes - at - 1);
    return TM_OK;
}

/* A merge as a string or as a list of two. */
static tm_status read_merge(struct reader *r, struct tm_json_pull *p, struct tm_view *left,
                            struct tm_view *right)
{
    enum tm_json_kind kind;
    bool more;
    TM_TRY(tm_pull_kind(p, &kind));
    if (kind == TM_JSON_STRING) {
        TM_TRY(tm_pull_string(p, &r->left));
        return split_merge(p, tm_buf_view(&r->left), left, right);
    }
    TM_TRY(tm_pull_array(p));
    TM_TRY(tm_pull_item(p, &more));
    TM_TRY(more ? tm_pull_string(p, &r->left) : tm_pull_fail(p, "a merge is no pair"));
    TM_TRY(tm_pull_item(p, &more));
    TM_TRY(more ? tm_pull_string(p, &r->right) : tm_pull_fail(p, "a merge is no pair"));
    TM_TRY(tm_pull_item(p, &more));
    *left = tm_buf_view(&r->left);
    *right = tm_buf_view(&r->right);
    return more ? tm_pull_fail(p, "a merge is no pair") : TM_OK;
}

static tm_status read_merges(struct reader *r)
{
    struct tm_json_pull p;
    bool more;
    pull_over(r, r->fields[FIELD_MERGES], &p);
    TM_TRY(tm_pull_array(&p));
    while (true) {
        struct tm_view left, right;
        TM_TRY(tm_pull_item(&p, &more));
        if (!more) {
            return TM_OK;
        }
        TM_TRY(read_merge(r, &p, &left, &right));
        tm_status status = tm_bpe_merge(&r->t->bpe, left, right);
        if (status == TM_E_MALFORMED) {
            return tm_pull_fail(&p, "a merge joins or makes a token that is not there");
        }
        TM_TRY(status == TM_OK ? TM_OK : fail(r, status, "too many merges"));
    }
}

/* ---- the model ---- */

static tm_status read_bpe(struct reader *r)
{
    struct tm_bpe *bpe = &r->t->bpe;
    TM_TRY(read_vocab_object(r));
    if (r->fields[FIELD_MERGES].data != NULL) {
        TM_TRY(read_merges(r));
    }
    TM_TRY(text_of(r, FIELD_UNK_TOKEN));
    if (r->left.bytes > 0) {
        bpe->unknown = tm_vocab_find(&r->t->vocab, tm_buf_view(&r->left));
    }
    TM_TRY(text_of(r, FIELD_CONTINUING_PREFIX));
    bool marked = r->left.bytes > 0;
    TM_TRY(text_of(r, FIELD_WORD_SUFFIX));
    if (marked || r->left.bytes > 0) {
        return fail(r, TM_E_INCOMPATIBLE,
                    "it marks parts of words (continuing_subword_prefix, end_of_word_suffix)");
    }
    bpe->fuse_unknown = is_true(r->fields[FIELD_FUSE_UNK]);
    bpe->whole_words = is_true(r->fields[FIELD_IGNORE_MERGES]);
    return TM_OK;
}

static tm_status read_unigram(struct reader *r)
{
    uint64_t unknown = TM_NO_TOKEN;
    TM_TRY(read_vocab_array(r));
    if (!is_null(r->fields[FIELD_UNK_ID])) {
        struct tm_json_pull p;
        pull_over(r, r->fields[FIELD_UNK_ID], &p);
        TM_TRY(tm_pull_u64(&p, &unknown));
        if (unknown >= r->t->vocab.count) {
            return tm_pull_fail(&p, "unk_id is no token");
        }
    }
    r->t->bpe.unknown = (uint32_t)unknown;
    r->t->model = TM_TOKENIZER_UNIGRAM;
    return TM_OK;
}

static tm_status read_model(struct reader *r)
{
    if (r->parts[PART_MODEL].data == NULL) {
        return fail(r, TM_E_MALFORMED, "it has no model");
    }
    TM_TRY(slice_members(r, r->parts[PART_MODEL], field_names, FIELD_COUNT, r->fields));
    if (r->fields[FIELD_VOCAB].data == NULL) {
        return fail(r, TM_E_MALFORMED, "its model has no vocab");
    }
    TM_TRY(text_of(r, FIELD_TYPE));
    struct tm_view type = tm_buf_view(&r->left);
    if (tm_view_eq_str(type, "Unigram")) {
        TM_TRY(read_unigram(r));
    } else if (tm_view_eq_str(type, "BPE") ||
               (type.bytes == 0 && r->fields[FIELD_MERGES].data != NULL)) {
        TM_TRY(read_bpe(r)); /* the oldest files do not name their type */
    } else {
        char name[64], why[128];
        snprintf(why, sizeof why, "its model '%s' is not known",
                 tm_escape((const char *)type.data, type.bytes, name, sizeof name));
        return fail(r, TM_E_INCOMPATIBLE, why);
    }
    if (is_true(r->fields[FIELD_BYTE_FALLBACK])) {
        tm_bpe_use_bytes(&r->t->bpe);
    }
    return TM_OK;
}

/* ---- added tokens and frame ---- */

static tm_status read_added_token(struct reader *r, const struct tm_json *node)
{
    struct tm_added_token token = {.normalized = true};
    struct tm_view text;
    uint64_t id;
    if (!tm_json_str(tm_json_get(node, "content"), &text) || text.bytes == 0 ||
        !tm_json_u64(tm_json_get(node, "id"), &id) || id >= TM_VOCAB_MAX) {
        return fail(r, TM_E_MALFORMED, "an added token has no content or no id");
    }
    token.id = (uint32_t)id;
    (void)tm_json_bool(tm_json_get(node, "special"), &token.special);
    (void)tm_json_bool(tm_json_get(node, "normalized"), &token.normalized);
    (void)tm_json_bool(tm_json_get(node, "single_word"), &token.single_word);
    (void)tm_json_bool(tm_json_get(node, "lstrip"), &token.lstrip);
    (void)tm_json_bool(tm_json_get(node, "rstrip"), &token.rstrip);
    tm_status status = tm_added_put(&r->t->added, token, text);
    return status == TM_OK ? TM_OK : fail(r, status, "too many added tokens");
}

static tm_status put_frame(struct reader *r, uint64_t id, bool behind)
{
    struct tm_tokenizer *t = r->t;
    size_t *count = behind ? &t->behind_count : &t->before_count;
    if (id >= TM_VOCAB_MAX || *count == TM_FRAME_MAX) {
        return fail(r, TM_E_MALFORMED,
                    "its post_processor adds too many tokens, or impossible ones");
    }
    (behind ? t->behind : t->before)[(*count)++] = (uint32_t)id;
    return TM_OK;
}

/* "single": special tokens around one sequence. */
static tm_status read_template(struct reader *r, const struct tm_json *node)
{
    const struct tm_json *list = tm_json_get(node, "single");
    const struct tm_json *specials = tm_json_get(node, "special_tokens");
    bool behind = false;
    for (size_t i = 0; i < tm_json_count(list); i++) {
        const struct tm_json *item = tm_json_at(list, i);
        const struct tm_json *special = tm_json_get(item, "SpecialToken");
        struct tm_view name;
        if (special == NULL) {
            behind = behind || tm_json_get(item, "Sequence") != NULL;
            continue;
        }
        const struct tm_json *ids = NULL;
        if (tm_json_str(tm_json_get(special, "id"), &name)) {
            ids = tm_json_get(tm_json_get(specials, (const char *)name.data), "ids");
        }
        if (tm_json_count(ids) == 0) {
            return fail(r, TM_E_MALFORMED, "its post_processor names a token without ids");
        }
        for (size_t j = 0; j < tm_json_count(ids); j++) {
            uint64_t id = UINT64_MAX;
            (void)tm_json_u64(tm_json_at(ids, j), &id);
            TM_TRY(put_frame(r, id, behind));
        }
    }
    return TM_OK;
}

/* BERT's and RoBERTa's: "cls": ["<s>", 0], "sep": ["</s>", 2]. */
static tm_status read_cls_sep(struct reader *r, const struct tm_json *node)
{
    uint64_t cls = UINT64_MAX, sep = UINT64_MAX;
    (void)tm_json_u64(tm_json_at(tm_json_get(node, "cls"), 1), &cls);
    (void)tm_json_u64(tm_json_at(tm_json_get(node, "sep"), 1), &sep);
    TM_TRY(put_frame(r, cls, false));
    return put_frame(r, sep, true);
}

static tm_status read_post_processor(struct reader *r, const struct tm_json *node, bool nested)
{
    struct tm_view type;
    if (node == NULL || tm_json_kind(node) == TM_JSON_NULL) {
        return TM_OK;
    }
    if (!tm_json_str(tm_json_get(node, "type"), &type)) {
        return fail(r, TM_E_MALFORMED, "its post_processor has no type");
    }
    if (tm_view_eq_str(type, "ByteLevel")) {
        return TM_OK; /* moves offsets only */
    }
    if (tm_view_eq_str(type, "TemplateProcessing")) {
        return read_template(r, node);
    }
    if (tm_view_eq_str(type, "BertProcessing") || tm_view_eq_str(type, "RobertaProcessing")) {
        return read_cls_sep(r, node);
    }
    if (tm_view_eq_str(type, "Sequence") && !nested) {
        const struct tm_json *list = tm_json_get(node, "processors");
        for (size_t i = 0; i < tm_json_count(list); i++) {
            TM_TRY(read_post_processor(r, tm_json_at(list, i), true));
        }
        return TM_OK;
    }
    char name[64], why[128];
    snprintf(why, sizeof why, "its post_processor '%s' is not known",
             tm_escape((const char *)type.data, type.bytes, name, sizeof name));
    return fail(r, TM_E_INCOMPATIBLE, why);
}

/* ---- the small parts ---- */

static tm_status read_tree(struct reader *r, enum part part, const struct tm_json *root)
{
    struct tm_tokenizer *t = r->t;
    switch (part) {
    case PART_NORMALIZER:
        return tm_normals_json(&t->normals, root, r->err);
    case PART_PRE_TOKENIZER:
        return tm_presplit_json(&t->presplit, root, r->err);
    case PART_DECODER:
        return tm_token_decoder_json(&t->decoder, root, r->err);
    case PART_POST_PROCESSOR:
        return read_post_processor(r, root, false);
    case PART_ADDED_TOKENS:
        for (size_t i = 0; i < tm_json_count(root); i++) {
            TM_TRY(read_added_token(r, tm_json_at(root, i)));
        }
        return TM_OK;
    case PART_MODEL:
    case PART_COUNT:
        break;
    }
    return TM_OK;
}

static tm_status read_part(struct reader *r, enum part part)
{
    struct tm_json_doc *doc = NULL;
    if (r->parts[part].data == NULL) {
        return TM_OK;
    }
    TM_TRY(tm_json_parse(r->parts[part], part_names[part], &doc, r->err));
    tm_status status = read_tree(r, part, tm_json_root(doc));
    tm_json_free(&doc);
    return status;
}

static tm_status read_all(struct reader *r)
{
    TM_TRY(slice_members(r, r->text, part_names, PART_COUNT, r->parts));
    TM_TRY(read_model(r));
    for (int part = 0; part < PART_MODEL; part++) {
        TM_TRY(read_part(r, (enum part)part));
    }
    return tm_tokenizer_seal(r->t, r->err);
}

tm_status tm_tokenizer_from_json(struct tm_view text, const char *path, struct tm_tokenizer **out,
                                 struct tm_err *err)
{
    struct reader r = {.t = tm_tokenizer_new(), .path = path, .text = text, .err = err};
    if (err != NULL) {
        memset(err, 0, sizeof *err);
    }
    tm_buf_init(&r.key, TEXT_MAX);
    tm_buf_init(&r.left, TEXT_MAX);
    tm_buf_init(&r.right, TEXT_MAX);
    tm_status status = r.t == NULL ? fail(&r, TM_E_NOMEM, "") : read_all(&r);
    tm_buf_deinit(&r.key);
    tm_buf_deinit(&r.left);
    tm_buf_deinit(&r.right);
    return tm_tokenizer_finish(r.t, status, path, out, err);
}

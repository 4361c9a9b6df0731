/* SPDX-License-Identifier: Apache-2.0 */
#include "model/tokenizer_count.h"

#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "model/gguf_meta.h"
#include "model/json_pull.h"
#include "model/where.h"

static const char what_failed[] = "cannot read the tokenizer";

#define TEXTS_BYTES_MAX (64u << 20)
#define STRING_BYTES_MAX (1u << 20)

/* The error of a failed texts_add. */
static tm_status fail_texts(tm_status status, const char *path, struct tm_err *err)
{
    if (status == TM_E_LIMIT) {
        return tm_err_set(err, TM_E_MALFORMED, path, what_failed, NULL,
                          "more than %u tokens, or more than %u MiB of them", TM_TOKENS_MAX,
                          TEXTS_BYTES_MAX >> 20);
    }
    return tm_err_set(err, status, path, what_failed, NULL, "out of memory");
}

/* ---- a list of texts ---- */

struct span {
    size_t at;
    size_t bytes;
    bool added; /* not of the vocabulary proper */
};

struct texts {
    struct tm_buf bytes;
    struct tm_buf spans; /* struct span each */
};

static void texts_init(struct texts *t)
{
    tm_buf_init(&t->bytes, TEXTS_BYTES_MAX);
    tm_buf_init(&t->spans, TM_TOKENS_MAX * sizeof(struct span));
}

static void texts_deinit(struct texts *t)
{
    tm_buf_deinit(&t->bytes);
    tm_buf_deinit(&t->spans);
}

static size_t texts_count(const struct texts *t)
{
    return t->spans.bytes / sizeof(struct span);
}

static tm_status texts_add(struct texts *t, struct tm_view text, bool added)
{
    struct span span;
    memset(&span, 0, sizeof span);
    span.at = t->bytes.bytes;
    span.bytes = text.bytes;
    span.added = added;
    TM_TRY(tm_buf_put(&t->bytes, text.data, text.bytes));
    return tm_buf_put(&t->spans, &span, sizeof span);
}

static int compare_spans(const void *a, const void *b, void *context)
{
    const uint8_t *bytes = context;
    const struct span *x = a, *y = b;
    int order = memcmp(bytes + x->at, bytes + y->at, x->bytes < y->bytes ? x->bytes : y->bytes);
    return order != 0 ? order : (x->bytes > y->bytes) - (x->bytes < y->bytes);
}

struct tally {
    uint64_t proper;    /* entries that are not added */
    uint64_t repeated;  /* of them: the text was there before */
    uint64_t different; /* texts, added ones too */
};

/* Sorts the list and counts. */
static struct tally texts_tally(struct texts *t)
{
    static uint8_t none;
    struct tally tally = {.proper = 0};
    size_t count = texts_count(t);
    /* Empty texts only: there are no bytes, but memcmp wants a pointer. */
    void *bytes = t->bytes.data != NULL ? t->bytes.data : &none;
    struct span *spans = (struct span *)(void *)t->spans.data;
    if (count > 0) {
        qsort_r(spans, count, sizeof *spans, compare_spans, bytes);
    }
    bool proper_seen = false;
    for (size_t i = 0; i < count; i++) {
        if (i == 0 || compare_spans(&spans[i - 1], &spans[i], bytes) != 0) {
            tally.different++;
            proper_seen = false;
        }
        if (!spans[i].added) {
            tally.proper++;
            tally.repeated += proper_seen;
            proper_seen = true;
        }
    }
    return tally;
}

/* ---- tokenizer.json ---- */

struct counter {
    struct tm_json_pull pull;
    struct tm_buf key;  /* scratch of the object walked, one level at a time */
    struct tm_buf text; /* scratch */
    struct texts tokens;
    bool vocab_is_list; /* a list may hold a text twice, an object cannot */
    bool saw_model;
    uint64_t merges;
};

static tm_status add_token(struct counter *c, struct tm_view text, bool added)
{
    tm_status status = texts_add(&c->tokens, text, added);
    return status == TM_OK ? TM_OK : fail_texts(status, c->pull.path, c->pull.err);
}

/* {"token": id, ...} */
static tm_status vocab_object(struct counter *c)
{
    bool more = true;
    TM_TRY(tm_pull_object(&c->pull));
    while (true) {
        uint64_t id;
        TM_TRY(tm_pull_member(&c->pull, &more, &c->text));
        if (!more) {
            return TM_OK;
        }
        TM_TRY(add_token(c, tm_buf_view(&c->text), false));
        TM_TRY(tm_pull_u64(&c->pull, &id));
    }
}

/* [["token", score], ...] of a Unigram model. */
static tm_status vocab_list(struct counter *c)
{
    bool more = true;
    c->vocab_is_list = true;
    TM_TRY(tm_pull_array(&c->pull));
    while (true) {
        TM_TRY(tm_pull_item(&c->pull, &more));
        if (!more) {
            return TM_OK;
        }
        bool inner = true;
        size_t items = 0;
        TM_TRY(tm_pull_array(&c->pull));
        TM_TRY(tm_pull_item(&c->pull, &inner));
        for (; inner; items++) {
            TM_TRY(items == 0 ? tm_pull_string(&c->pull, &c->text) : tm_pull_skip(&c->pull));
            TM_TRY(tm_pull_item(&c->pull, &inner));
        }
        if (items != 2) {
            return tm_pull_fail(&c->pull, "a vocabulary entry is not a token and its score");
        }
        TM_TRY(add_token(c, tm_buf_view(&c->text), false));
    }
}

static tm_status read_vocab(struct counter *c)
{
    enum tm_json_kind kind = TM_JSON_NULL;
    TM_TRY(tm_pull_kind(&c->pull, &kind));
    switch (kind) {
    case TM_JSON_OBJECT:
        return vocab_object(c);
    case TM_JSON_ARRAY:
        return vocab_list(c);
    default:
        return tm_pull_fail(&c->pull, "the vocabulary is neither an object nor a list");
    }
}

/* "a b": two texts and one blank between them. */
static tm_status merge_string(struct counter *c)
{
    TM_TRY(tm_pull_string(&c->pull, &c->text));
    const uint8_t *data = c->text.data;
    size_t bytes = c->text.bytes;
    const uint8_t *blank = bytes > 0 ? memchr(data, ' ', bytes) : NULL;
    if (blank == NULL || blank == data || blank == data + bytes - 1 ||
        memchr(blank + 1, ' ', bytes - (size_t)(blank + 1 - data)) != NULL) {
        return tm_pull_fail(&c->pull, "a merge is not two tokens with one blank between them");
    }
    return TM_OK;
}

/* ["a", "b"] */
static tm_status merge_pair(struct counter *c)
{
    bool more = true;
    size_t items = 0;
    TM_TRY(tm_pull_array(&c->pull));
    TM_TRY(tm_pull_item(&c->pull, &more));
    for (; more; items++) {
        TM_TRY(tm_pull_string(&c->pull, &c->text));
        TM_TRY(tm_pull_item(&c->pull, &more));
    }
    return items == 2 ? TM_OK : tm_pull_fail(&c->pull, "a merge is not a pair of tokens");
}

static tm_status read_merges(struct counter *c)
{
    bool more = true;
    enum tm_json_kind kind = TM_JSON_NULL;
    TM_TRY(tm_pull_kind(&c->pull, &kind));
    if (kind != TM_JSON_ARRAY) {
        return tm_pull_fail(&c->pull, "merges in a form that is not known: no list");
    }
    TM_TRY(tm_pull_array(&c->pull));
    while (true) {
        TM_TRY(tm_pull_item(&c->pull, &more));
        if (!more) {
            return TM_OK;
        }
        TM_TRY(tm_pull_kind(&c->pull, &kind));
        if (kind != TM_JSON_STRING && kind != TM_JSON_ARRAY) {
            return tm_pull_fail(&c->pull, "merges in a form that is not known: neither texts nor "
                                          "pairs of texts");
        }
        TM_TRY(kind == TM_JSON_STRING ? merge_string(c) : merge_pair(c));
        c->merges++;
    }
}

static tm_status read_model(struct counter *c)
{
    bool more = true, vocab = false, merges = false;
    TM_TRY(tm_pull_object(&c->pull));
    while (true) {
        TM_TRY(tm_pull_member(&c->pull, &more, &c->key));
        if (!more) {
            break;
        }
        struct tm_view key = tm_buf_view(&c->key);
        bool is_vocab = tm_view_eq_str(key, "vocab"), is_merges = tm_view_eq_str(key, "merges");
        if ((is_vocab && vocab) || (is_merges && merges)) {
            return tm_pull_fail(&c->pull, "duplicate key in the model");
        }
        vocab = vocab || is_vocab;
        merges = merges || is_merges;
        TM_TRY(is_vocab ? read_vocab(c) : is_merges ? read_merges(c) : tm_pull_skip(&c->pull));
    }
    return vocab ? TM_OK : tm_pull_fail(&c->pull, "the model has no vocab");
}

/* One entry of added_tokens: its content is a token. */
static tm_status added_token(struct counter *c)
{
    bool more = true, found = false;
    TM_TRY(tm_pull_object(&c->pull));
    while (true) {
        TM_TRY(tm_pull_member(&c->pull, &more, &c->key));
        if (!more) {
            break;
        }
        if (!tm_view_eq_str(tm_buf_view(&c->key), "content")) {
            TM_TRY(tm_pull_skip(&c->pull));
            continue;
        }
        if (found) {
            return tm_pull_fail(&c->pull, "duplicate key in an added token");
        }
        found = true;
        TM_TRY(tm_pull_string(&c->pull, &c->text));
        TM_TRY(add_token(c, tm_buf_view(&c->text), true));
    }
    return found ? TM_OK : tm_pull_fail(&c->pull, "an added token without content");
}

static tm_status read_added(struct counter *c)
{
    bool more = true;
    enum tm_json_kind kind = TM_JSON_NULL;
    TM_TRY(tm_pull_kind(&c->pull, &kind));
    if (kind == TM_JSON_NULL) {
        return tm_pull_skip(&c->pull);
    }
    TM_TRY(tm_pull_array(&c->pull));
    while (true) {
        TM_TRY(tm_pull_item(&c->pull, &more));
        if (!more) {
            return TM_OK;
        }
        TM_TRY(added_token(c));
    }
}

static tm_status read_tokenizer(struct counter *c)
{
    bool more = true, added = false;
    TM_TRY(tm_pull_object(&c->pull));
    while (true) {
        TM_TRY(tm_pull_member(&c->pull, &more, &c->key));
        if (!more) {
            break;
        }
        struct tm_view key = tm_buf_view(&c->key);
        bool is_model = tm_view_eq_str(key, "model"),
             is_added = tm_view_eq_str(key, "added_tokens");
        if ((is_model && c->saw_model) || (is_added && added)) {
            return tm_pull_fail(&c->pull, "duplicate key");
        }
        c->saw_model = c->saw_model || is_model;
        added = added || is_added;
        TM_TRY(is_model ? read_model(c) : is_added ? read_added(c) : tm_pull_skip(&c->pull));
    }
    TM_TRY(tm_pull_end(&c->pull));
    return c->saw_model ? TM_OK : tm_pull_fail(&c->pull, "the tokenizer has no model");
}

tm_status tm_token_count_json(struct tm_view text, const char *path, struct tm_token_counts *out,
                              struct tm_err *err)
{
    struct counter c = {.merges = 0};
    tm_pull_begin(&c.pull, text, path, 0, err);
    tm_buf_init(&c.key, STRING_BYTES_MAX);
    tm_buf_init(&c.text, STRING_BYTES_MAX);
    texts_init(&c.tokens);
    tm_status status = read_tokenizer(&c);
    if (status == TM_OK) {
        struct tally tally = texts_tally(&c.tokens);
        *out = (struct tm_token_counts){
            .tokens = tally.different, .merges = c.merges, .repeated = tally.repeated};
        /* In a list each entry has an id, in an object the last of equal keys has. */
        out->tokens += c.vocab_is_list ? tally.repeated : 0;
    }
    tm_buf_deinit(&c.key);
    tm_buf_deinit(&c.text);
    texts_deinit(&c.tokens);
    return status;
}

/* ---- GGUF ---- */

static tm_status find_strings(struct tm_view blob, const char *key, const char *path,
                              struct tm_gguf_kv *out, bool *found, struct tm_err *err)
{
    *found = tm_gguf_meta_find(blob, key, out);
    if (*found && (out->type != TM_GGUF_ARRAY || out->item_type != TM_GGUF_STRING)) {
        struct tm_where where;
        tm_where_named(&where, path, "key", tm_view_str(key));
        return tm_err_set(err, TM_E_MALFORMED, where.text, what_failed, NULL,
                          "it is not an array of strings");
    }
    return TM_OK;
}

tm_status tm_token_count_gguf(struct tm_view blob, const char *path, struct tm_token_counts *out,
                              struct tm_err *err)
{
    struct tm_gguf_kv kv;
    bool found = false;
    *out = (struct tm_token_counts){.tokens = 0};
    TM_TRY(find_strings(blob, "tokenizer.ggml.merges", path, &kv, &found, err));
    out->merges = found ? kv.item_count : 0;
    TM_TRY(find_strings(blob, "tokenizer.ggml.tokens", path, &kv, &found, err));
    if (!found) {
        return TM_OK;
    }
    out->tokens = kv.item_count;
    struct texts texts;
    texts_init(&texts);
    struct tm_cursor cursor = tm_cursor_of(kv.value);
    struct tm_view text;
    tm_status status = TM_OK;
    while (status == TM_OK && tm_gguf_string_next(&cursor, &text)) {
        status = texts_add(&texts, text, false);
    }
    out->repeated = status == TM_OK ? texts_tally(&texts).repeated : 0;
    texts_deinit(&texts);
    return status == TM_OK ? TM_OK : fail_texts(status, path, err);
}

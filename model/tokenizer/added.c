/* SPDX-License-Identifier: Apache-2.0 */
#include "model/tokenizer/added.h"

#include <stdlib.h>
#include <string.h>
#include <utf8proc.h>

#include "base/utf8.h"

#define TEXTS_BYTES_MAX (16u << 20)

void tm_added_init(struct tm_added *added)
{
    tm_buf_init(&added->texts, TEXTS_BYTES_MAX);
    tm_buf_init(&added->tokens, TM_ADDED_MAX * sizeof(struct tm_added_token));
    tm_buf_init(&added->by_id, TM_ADDED_MAX * sizeof(uint32_t));
    tm_trie_init(&added->raw);
    tm_trie_init(&added->normalized);
}

void tm_added_deinit(struct tm_added *added)
{
    tm_buf_deinit(&added->texts);
    tm_buf_deinit(&added->tokens);
    tm_buf_deinit(&added->by_id);
    tm_trie_deinit(&added->raw);
    tm_trie_deinit(&added->normalized);
}

size_t tm_added_count(const struct tm_added *added)
{
    return added->tokens.bytes / sizeof(struct tm_added_token);
}

const struct tm_added_token *tm_added_at(const struct tm_added *added, size_t index)
{
    return (const struct tm_added_token *)(const void *)added->tokens.data + index;
}

struct tm_view tm_added_text(const struct tm_added *added, const struct tm_added_token *token)
{
    return tm_view_of(added->texts.data + token->at, token->bytes);
}

struct tm_view tm_added_shown(const struct tm_added *added, const struct tm_added_token *token)
{
    return tm_view_of(added->texts.data + token->shown_at, token->shown_bytes);
}

const struct tm_added_token *tm_added_find(const struct tm_added *added, uint32_t id)
{
    const uint32_t *order = (const uint32_t *)(const void *)added->by_id.data;
    size_t low = 0, count = added->by_id.bytes / sizeof *order, high = count;
    while (low < high) {
        size_t middle = low + (high - low) / 2;
        if (tm_added_at(added, order[middle])->id < id) {
            low = middle + 1;
        } else {
            high = middle;
        }
    }
    if (low == count || tm_added_at(added, order[low])->id != id) {
        return NULL;
    }
    return tm_added_at(added, order[low]);
}

tm_status tm_added_put(struct tm_added *added, struct tm_added_token token, struct tm_view text)
{
    if (text.bytes == 0) {
        return TM_E_MALFORMED;
    }
    token.at = added->texts.bytes;
    token.bytes = text.bytes;
    token.shown_at = token.at;
    token.shown_bytes = token.bytes;
    TM_TRY(tm_buf_put(&added->texts, text.data, text.bytes));
    return tm_buf_put(&added->tokens, &token, sizeof token);
}

static int compare_ids(const void *a, const void *b, void *context)
{
    uint32_t x = *(const uint32_t *)a, y = *(const uint32_t *)b;
    uint32_t id_x = tm_added_at(context, x)->id, id_y = tm_added_at(context, y)->id;
    return id_x != id_y ? (id_x > id_y) - (id_x < id_y) : (x > y) - (x < y);
}

static tm_status index_ids(struct tm_added *added)
{
    tm_buf_clear(&added->by_id);
    for (uint32_t i = 0; i < tm_added_count(added); i++) {
        TM_TRY(tm_buf_put(&added->by_id, &i, sizeof i));
    }
    if (added->by_id.bytes > 0) {
        qsort_r(added->by_id.data, added->by_id.bytes / sizeof(uint32_t), sizeof(uint32_t),
                compare_ids, added);
    }
    return TM_OK;
}

static tm_status put_normal(struct tm_added *added, size_t index, struct tm_view text)
{
    struct tm_added_token *token = (struct tm_added_token *)(void *)added->tokens.data + index;
    token->shown_at = added->texts.bytes;
    token->shown_bytes = text.bytes;
    TM_TRY(tm_buf_put(&added->texts, text.data, text.bytes));
    return tm_trie_put(&added->normalized, text, (uint32_t)index);
}

tm_status tm_added_seal(struct tm_added *added, const struct tm_normals *normals)
{
    struct tm_buf normal, spare;
    tm_buf_init(&normal, TEXTS_BYTES_MAX);
    tm_buf_init(&spare, TEXTS_BYTES_MAX);
    tm_status status = index_ids(added);
    for (size_t i = 0; i < tm_added_count(added) && status == TM_OK; i++) {
        const struct tm_added_token *token = tm_added_at(added, i);
        struct tm_view text = tm_added_text(added, token);
        if (!token->normalized || token->verbatim) {
            struct tm_trie *trie = token->normalized ? &added->normalized : &added->raw;
            status = tm_trie_put(trie, text, (uint32_t)i);
            continue;
        }
        status = tm_normals_apply(normals, text, &normal, &spare);
        if (status == TM_OK && normal.bytes > 0) {
            status = put_normal(added, i, tm_buf_view(&normal));
        }
    }
    tm_buf_deinit(&normal);
    tm_buf_deinit(&spare);
    return status;
}

/* ---- finding ---- */

static bool is_word(uint32_t code)
{
    switch (utf8proc_category((utf8proc_int32_t)code)) {
    case UTF8PROC_CATEGORY_LU:
    case UTF8PROC_CATEGORY_LL:
    case UTF8PROC_CATEGORY_LT:
    case UTF8PROC_CATEGORY_LM:
    case UTF8PROC_CATEGORY_LO:
    case UTF8PROC_CATEGORY_MN:
    case UTF8PROC_CATEGORY_MC:
    case UTF8PROC_CATEGORY_ME:
    case UTF8PROC_CATEGORY_ND:
    case UTF8PROC_CATEGORY_NL:
    case UTF8PROC_CATEGORY_PC:
        return true;
    default:
        return false;
    }
}

static size_t char_at(struct tm_view text, size_t at, uint32_t *code)
{
    *code = 0;
    size_t length = tm_utf8_decode((const char *)text.data + at, text.bytes - at, code);
    return length == 0 ? 1 : length;
}

static size_t char_before(struct tm_view text, size_t at)
{
    do {
        at--;
    } while (at > 0 && (text.data[at] & 0xc0) == 0x80);
    return at;
}

static bool stands_alone(struct tm_view text, size_t start, size_t end)
{
    uint32_t code;
    if (start > 0) {
        char_at(text, char_before(text, start), &code);
        if (is_word(code)) {
            return false;
        }
    }
    if (end < text.bytes) {
        char_at(text, end, &code);
        return !is_word(code);
    }
    return true;
}

/* The token that begins at `at`: how many bytes it takes, or 0. */
static size_t match_at(const struct tm_added *added, const struct tm_trie *trie,
                       struct tm_view text, size_t at, const struct tm_added_token **out)
{
    uint32_t index = 0;
    size_t length = tm_trie_longest(trie, tm_view_of(text.data + at, text.bytes - at), &index);
    if (length == 0) {
        return 0;
    }
    *out = tm_added_at(added, index);
    return length;
}

static size_t skip_spaces_back(struct tm_view text, size_t start, size_t least)
{
    uint32_t code;
    while (start > least) {
        size_t before = char_before(text, start);
        char_at(text, before, &code);
        if (!tm_is_space(code)) {
            break;
        }
        start = before;
    }
    return start < least ? least : start;
}

static size_t skip_spaces(struct tm_view text, size_t end)
{
    uint32_t code;
    while (end < text.bytes) {
        size_t length = char_at(text, end, &code);
        if (!tm_is_space(code)) {
            break;
        }
        end += length;
    }
    return end;
}

/* ---- parts that come from strangers ---- */

/* The first span that ends behind `at`: its index. */
static size_t span_after(const struct tm_text_spans *plain, size_t at)
{
    size_t low = 0, high = plain->count;
    while (low < high) {
        size_t middle = low + (high - low) / 2;
        if (plain->spans[middle].to <= at) {
            low = middle + 1;
        } else {
            high = middle;
        }
    }
    return low;
}

/* Where the part of the text ends that has no byte of a span: `at` itself when it lies in one. */
static size_t trusted_end(const struct tm_text_spans *plain, size_t at, size_t end)
{
    size_t next = span_after(plain, at);
    if (next == plain->count || plain->spans[next].from >= end) {
        return end;
    }
    return plain->spans[next].from < at ? at : plain->spans[next].from;
}

/* ---- cutting ---- */

/* What the text between tokens becomes. */
typedef tm_status put_text(void *context, struct tm_view text, bool at_start);

struct cutting {
    const struct tm_added *added;
    const struct tm_trie *trie;
    bool specials, at_start;
    const struct tm_text_spans *plain;
    struct tm_pieces *out;
    put_text *put;
    void *context;
};

/* The token at `at`, or none: *end is behind it. Special tokens lie before `trusted` as a whole. */
static const struct tm_added_token *find(const struct cutting *c, struct tm_view text, size_t at,
                                         size_t *end)
{
    const struct tm_added_token *token = NULL;
    size_t trusted = c->specials ? trusted_end(c->plain, at, text.bytes) : at;
    size_t length = match_at(c->added, c->trie, text, at, &token);
    if (length > 0 && token->special && at < trusted && at + length > trusted) {
        /* Perhaps a shorter one: what a stranger writes behind it must not undo it. */
        length = match_at(c->added, c->trie, tm_view_of(text.data, trusted), at, &token);
    }
    *end = at + (length > 0 ? length : 1);
    if (length == 0 || (token->single_word && !stands_alone(text, at, *end))) {
        return NULL;
    }
    if (token->special && *end > trusted) {
        /* Nothing that begins behind it may be hidden by it. */
        *end = c->plain->count > 0 ? at + 1 : *end;
        return NULL;
    }
    return token;
}

static tm_status cut(const struct cutting *c, struct tm_view text)
{
    size_t done = 0;
    for (size_t at = 0; at < text.bytes;) {
        size_t start = at, end;
        const struct tm_added_token *token = find(c, text, at, &end);
        at = end;
        if (token == NULL || start < done) {
            continue;
        }
        start = token->lstrip ? skip_spaces_back(text, start, done) : start;
        end = token->rstrip ? skip_spaces(text, end) : end;
        struct tm_view between = tm_view_of(text.data + done, start - done);
        TM_TRY(c->put(c->context, between, c->at_start && done == 0));
        TM_TRY(tm_pieces_add(c->out, tm_view_of(text.data + start, end - start), token->id,
                             c->at_start && start == 0));
        done = end;
    }
    return c->put(c->context, tm_view_of(text.data + done, text.bytes - done),
                  c->at_start && done == 0);
}

struct stage {
    const struct tm_normals *normals;
    const uint8_t *text; /* the whole raw one */
    struct cutting raw, normalized;
    struct tm_buf normal, spare;
};

static tm_status put_plain(void *context, struct tm_view text, bool at_start)
{
    struct stage *stage = context;
    return tm_pieces_add(stage->raw.out, text, TM_NO_TOKEN, at_start);
}

/* Raw text: normalised, and searched for the tokens of normalised text. */
static tm_status put_raw(void *context, struct tm_view text, bool at_start)
{
    struct stage *stage = context;
    if (text.bytes == 0) {
        return TM_OK;
    }
    size_t from = (size_t)(text.data - stage->text), to = from + text.bytes;
    stage->normalized.at_start = at_start;
    stage->normalized.specials =
        stage->raw.specials && trusted_end(stage->raw.plain, from, to) == to;
    TM_TRY(tm_normals_apply(stage->normals, text, &stage->normal, &stage->spare));
    return cut(&stage->normalized, tm_buf_view(&stage->normal));
}

tm_status tm_added_cut(const struct tm_added *added, const struct tm_normals *normals,
                       struct tm_view text, bool specials, const struct tm_text_spans *plain,
                       struct tm_pieces *out)
{
    static const struct tm_text_spans none = {NULL, 0};
    struct stage stage = {.normals = normals, .text = text.data};
    stage.raw = (struct cutting){.added = added,
                                 .trie = &added->raw,
                                 .specials = specials,
                                 .at_start = true,
                                 .plain = plain,
                                 .out = out,
                                 .put = put_raw,
                                 .context = &stage};
    stage.normalized = stage.raw;
    stage.normalized.trie = &added->normalized;
    stage.normalized.plain = &none;
    stage.normalized.put = put_plain;
    tm_buf_init(&stage.normal, TM_PIECES_TEXT_MAX);
    tm_buf_init(&stage.spare, TM_PIECES_TEXT_MAX);
    tm_status status = cut(&stage.raw, text);
    tm_buf_deinit(&stage.normal);
    tm_buf_deinit(&stage.spare);
    return status;
}

/* SPDX-License-Identifier: Apache-2.0
 * Reading JSON by jansson. A scan before it bounds the nesting and finds integers that jansson
 * would refuse. A struct tm_json is a json_t by another name. */
#include "base/json.h"

#include <errno.h>
#include <jansson.h>
#include <pthread.h>
#include <setjmp.h>
#include <stddef.h>
#include <string.h>
#include <sys/random.h>

#include "base/mem.h"
#include "base/num.h"

#define DEPTH_MAX 64
#define INT64_DIGITS 18 /* any integer with so many digits fits */

struct tm_json_doc {
    json_t *root;
};

/* ---- jansson's memory ---- */

/* jansson goes on after some failed allocations, with a cut text or an assertion. So none of its
 * calls sees one: the parse is left by a jump, and what it had allocated, a list, is freed. */
struct block {
    struct block *before, *behind; /* of the parse; NULL once that has ended */
};
_Static_assert(sizeof(struct block) % _Alignof(max_align_t) == 0, "what follows is aligned");

static _Thread_local struct block blocks; /* of the present parse; a ring through this one */
static _Thread_local jmp_buf out_of_memory;

static void *listed_alloc(size_t bytes)
{
    struct block *b = bytes <= SIZE_MAX - sizeof *b ? tm_alloc(sizeof *b + bytes) : NULL;
    if (b == NULL) {
        longjmp(out_of_memory, 1);
    }
    *b = (struct block){&blocks, blocks.behind};
    blocks.behind->before = b;
    blocks.behind = b;
    return b + 1;
}

static void listed_free(void *ptr)
{
    struct block *b = ptr != NULL ? (struct block *)ptr - 1 : NULL;
    if (b != NULL && b->behind != NULL) {
        b->before->behind = b->behind;
        b->behind->before = b->before;
    }
    tm_free(b);
}

/* The document outlives the parse, perhaps on another thread: its blocks leave the list. Or, when
 * there is none, all are freed. */
static void end_of_parse(bool keep)
{
    for (struct block *b = blocks.behind; b != &blocks;) {
        struct block *behind = b->behind;
        *b = (struct block){NULL, NULL};
        if (!keep) {
            tm_free(b);
        }
        b = behind;
    }
}

/* NULL and TM_OK: *e says why. */
static tm_status load(struct tm_view text, json_error_t *e, json_t **out)
{
    blocks = (struct block){&blocks, &blocks};
    *out = NULL;
    if (setjmp(out_of_memory) != 0) {
        end_of_parse(false);
        return TM_E_NOMEM;
    }
    *out = json_loadb((const char *)text.data, text.bytes,
                      JSON_REJECT_DUPLICATES | JSON_DECODE_ANY | JSON_ALLOW_NUL, e);
    end_of_parse(*out != NULL);
    return TM_OK;
}

static void set_up_jansson(void)
{
    json_set_alloc_funcs(listed_alloc, listed_free);
    /* A random seed, so that nobody can choose tensor names that all collide. */
    size_t seed = 0;
    ssize_t got = 0;
    do {
        got = getrandom(&seed, sizeof seed, 0);
    } while (got < 0 && errno == EINTR);
    json_object_seed(seed); /* 0 lets jansson find one */
}

/* ---- the scan ---- */

struct scan {
    const uint8_t *data;
    size_t bytes;
    size_t at;
    struct tm_buf *fixed; /* the text with ".0" behind integers that need it; empty if none does */
    size_t copied;        /* input bytes already in fixed */
    size_t fixes;
};

static void skip_string(struct scan *s)
{
    s->at++;
    while (s->at < s->bytes && s->data[s->at] != '"') {
        s->at += s->data[s->at] == '\\' ? 2 : 1;
    }
    s->at = s->at < s->bytes ? s->at + 1 : s->bytes;
}

static bool is_number_byte(uint8_t c)
{
    return (c >= '0' && c <= '9') || c == '.' || c == 'e' || c == 'E' || c == '+' || c == '-';
}

/* Integers beyond int64 (Hugging Face writes 1e30 out in full) are read as reals. */
static tm_status scan_number(struct scan *s)
{
    size_t digits = 0;
    bool integer = true;
    size_t start = s->at;
    for (; s->at < s->bytes && is_number_byte(s->data[s->at]); s->at++) {
        bool digit = s->data[s->at] >= '0' && s->data[s->at] <= '9';
        digits += digit ? 1 : 0;
        integer = integer && (digit || s->at == start);
    }
    if (!integer || digits <= INT64_DIGITS) {
        return TM_OK;
    }
    int64_t value = 0;
    if (tm_parse_i64(tm_view_of(s->data + start, s->at - start), &value) != TM_E_LIMIT) {
        return TM_OK;
    }
    TM_TRY(tm_buf_put(s->fixed, s->data + s->copied, s->at - s->copied));
    TM_TRY(tm_buf_put_str(s->fixed, ".0"));
    s->copied = s->at;
    s->fixes++;
    return TM_OK;
}

/* TM_E_LIMIT: nested too deep, at s->at. */
static tm_status scan(struct scan *s)
{
    unsigned depth = 0;
    while (s->at < s->bytes) {
        uint8_t c = s->data[s->at];
        if (c == '"') {
            skip_string(s);
        } else if (c == '-' || (c >= '0' && c <= '9')) {
            TM_TRY(scan_number(s));
        } else {
            if (c == '{' || c == '[') {
                depth++;
                if (depth > DEPTH_MAX) {
                    return TM_E_LIMIT;
                }
            } else if ((c == '}' || c == ']') && depth > 0) {
                depth--;
            }
            s->at++;
        }
    }
    return s->fixes > 0 ? tm_buf_put(s->fixed, s->data + s->copied, s->bytes - s->copied) : TM_OK;
}

/* ---- errors ---- */

struct place {
    size_t line;
    size_t column; /* in bytes */
    size_t offset;
};

static struct place place_of(struct tm_view text, size_t offset)
{
    struct place place = {.line = 1, .column = 1, .offset = offset};
    for (size_t i = 0; i < offset && i < text.bytes; i++) {
        place.column++;
        if (text.data[i] == '\n') {
            place.line++;
            place.column = 1;
        }
    }
    return place;
}

/* The string literal that ends at `end`, without its quotes. A quote that opens a string is never
 * behind a backslash. */
static struct tm_view string_before(struct tm_view text, size_t end)
{
    size_t close = end > 0 && end <= text.bytes ? end - 1 : 0;
    for (size_t at = close; at > 0; at--) {
        size_t slashes = 0;
        while (slashes < at - 1 && text.data[at - 2 - slashes] == '\\') {
            slashes++;
        }
        if (text.data[at - 1] == '"' && slashes % 2 == 0) {
            return tm_view_of(text.data + at, close - at);
        }
    }
    return tm_view_of(NULL, 0);
}

/* Where jansson's byte position in the fixed text is in the text as given. */
static size_t original_offset(const struct scan *s, struct tm_view text, size_t position)
{
    if (s->fixes == 0) {
        return position < text.bytes ? position : text.bytes;
    }
    size_t i = 0;
    for (size_t k = 0; k < position && k < s->fixed->bytes; k++) {
        bool inserted = i >= text.bytes || s->fixed->data[k] != text.data[i];
        if (inserted) {
            k++; /* ".0": a number is never followed by a point here */
        } else {
            i++;
        }
    }
    return i;
}

static tm_status report(const json_error_t *e, const struct scan *s, struct tm_view text,
                        const char *where, struct tm_err *err)
{
    static const char what[] = "cannot read the JSON";
    size_t position = e->position > 0 ? (size_t)e->position : 0;
    struct place p = place_of(text, original_offset(s, text, position));
    if (json_error_code(e) == json_error_duplicate_key) {
        struct tm_view key = string_before(tm_view_of(text.data, text.bytes), p.offset);
        int shown = key.bytes < 128 ? (int)key.bytes : 128;
        char name[256];
        tm_escape((const char *)key.data, (size_t)shown, name, sizeof name);
        return tm_err_set(err, TM_E_MALFORMED, where, what, NULL,
                          "duplicate key \"%s\" at line %zu column %zu (byte %zu)", name, p.line,
                          p.column, p.offset);
    }
    return tm_err_set(err, TM_E_MALFORMED, where, what, NULL,
                      "%s at line %zu column %zu (byte %zu)", e->text, p.line, p.column, p.offset);
}

/* ---- documents ---- */

static tm_status parse(struct tm_view text, struct scan *s, const char *where,
                       struct tm_json_doc *doc, struct tm_err *err)
{
    static pthread_once_t once = PTHREAD_ONCE_INIT;
    pthread_once(&once, set_up_jansson);
    tm_status status = scan(s);
    if (status == TM_E_LIMIT) {
        struct place p = place_of(text, s->at);
        return tm_err_set(err, TM_E_MALFORMED, where, "cannot read the JSON", NULL,
                          "nested deeper than %d levels at line %zu column %zu (byte %zu)",
                          DEPTH_MAX, p.line, p.column, p.offset);
    }
    json_error_t e = {.position = 0};
    if (status == TM_OK) {
        struct tm_view used = s->fixes > 0 ? tm_buf_view(s->fixed) : text;
        status = load(used, &e, &doc->root);
    }
    if (status != TM_OK) {
        return tm_err_set(err, TM_E_NOMEM, where, "cannot read the JSON", NULL,
                          "out of memory for %zu bytes of text", text.bytes);
    }
    return doc->root != NULL ? TM_OK : report(&e, s, text, where, err);
}

tm_status tm_json_parse(struct tm_view text, const char *where, struct tm_json_doc **out,
                        struct tm_err *err)
{
    struct tm_json_doc *doc = tm_calloc(1, sizeof *doc);
    if (doc == NULL) {
        return tm_err_set(err, TM_E_NOMEM, where, "cannot read the JSON", NULL, "out of memory");
    }
    if (text.bytes == 0) { /* jansson wants a pointer */
        text = tm_view_str("");
    }
    /* jansson takes a NUL for the end and what is behind it for blanks. */
    const uint8_t *nul = memchr(text.data, 0, text.bytes);
    if (nul != NULL) {
        struct place p = place_of(text, (size_t)(nul - text.data));
        tm_json_free(&doc);
        return tm_err_set(err, TM_E_MALFORMED, where, "cannot read the JSON", NULL,
                          "a NUL byte at line %zu column %zu (byte %zu)", p.line, p.column,
                          p.offset);
    }
    struct tm_buf fixed;
    tm_buf_init(&fixed, SIZE_MAX);
    struct scan s = {.data = text.data, .bytes = text.bytes, .fixed = &fixed};
    tm_status status = parse(text, &s, where, doc, err);
    tm_buf_deinit(&fixed);
    if (status != TM_OK) {
        tm_json_free(&doc);
        return status;
    }
    *out = doc;
    return TM_OK;
}

void tm_json_free(struct tm_json_doc **doc)
{
    if (*doc != NULL) {
        json_decref((*doc)->root);
        tm_free(*doc);
        *doc = NULL;
    }
}

static const struct tm_json *node_of(const json_t *value)
{
    return (const struct tm_json *)(const void *)value;
}

static const json_t *value_of(const struct tm_json *node)
{
    return (const json_t *)(const void *)node;
}

const struct tm_json *tm_json_root(const struct tm_json_doc *doc)
{
    return node_of(doc->root);
}

enum tm_json_kind tm_json_kind(const struct tm_json *node)
{
    switch (json_typeof(value_of(node))) {
    case JSON_OBJECT:
        return TM_JSON_OBJECT;
    case JSON_ARRAY:
        return TM_JSON_ARRAY;
    case JSON_STRING:
        return TM_JSON_STRING;
    case JSON_INTEGER:
        return TM_JSON_INT;
    case JSON_REAL:
        return TM_JSON_REAL;
    case JSON_TRUE:
    case JSON_FALSE:
        return TM_JSON_BOOL;
    default:
        return TM_JSON_NULL;
    }
}

const char *tm_json_kind_name(enum tm_json_kind kind)
{
    static const char *const names[] = {"null",     "a boolean", "an integer", "a real number",
                                        "a string", "an array",  "an object"};
    TM_ASSERT((unsigned)kind < sizeof names / sizeof names[0]);
    return names[kind];
}

const struct tm_json *tm_json_get(const struct tm_json *node, const char *key)
{
    return node_of(json_object_get(value_of(node), key));
}

const struct tm_json *tm_json_at(const struct tm_json *node, size_t index)
{
    return node_of(json_array_get(value_of(node), index));
}

size_t tm_json_count(const struct tm_json *node)
{
    const json_t *value = value_of(node);
    return json_is_object(value) ? json_object_size(value) : json_array_size(value);
}

bool tm_json_next(const struct tm_json *object, void **iter, struct tm_view *key,
                  const struct tm_json **value)
{
    /* jansson's iterators take a json_t that is not const, but only read it. */
    json_t *members = (json_t *)(uintptr_t)value_of(object);
    *iter = *iter == NULL ? json_object_iter(members) : json_object_iter_next(members, *iter);
    if (*iter == NULL) {
        return false;
    }
    *key = tm_view_of(json_object_iter_key(*iter), json_object_iter_key_len(*iter));
    *value = node_of(json_object_iter_value(*iter));
    return true;
}

bool tm_json_str(const struct tm_json *node, struct tm_view *out)
{
    if (!json_is_string(value_of(node))) {
        return false;
    }
    *out = tm_view_of(json_string_value(value_of(node)), json_string_length(value_of(node)));
    return true;
}

bool tm_json_i64(const struct tm_json *node, int64_t *out)
{
    if (!json_is_integer(value_of(node))) {
        return false;
    }
    *out = json_integer_value(value_of(node));
    return true;
}

bool tm_json_u64(const struct tm_json *node, uint64_t *out)
{
    int64_t value = 0;
    if (!tm_json_i64(node, &value) || value < 0) {
        return false;
    }
    *out = (uint64_t)value;
    return true;
}

bool tm_json_f64(const struct tm_json *node, double *out)
{
    if (!json_is_number(value_of(node))) {
        return false;
    }
    *out = json_number_value(value_of(node));
    return true;
}

bool tm_json_bool(const struct tm_json *node, bool *out)
{
    if (!json_is_boolean(value_of(node))) {
        return false;
    }
    *out = json_is_true(value_of(node));
    return true;
}

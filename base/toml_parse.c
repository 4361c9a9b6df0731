/* SPDX-License-Identifier: Apache-2.0
 * The parser of base/toml.h: recursive descent over one bounded text, depth counted. Which table
 * may be extended by what follows TOML 1.0, sections "Keys", "Table", "Inline Table" and "Array of
 * Tables". */
#include "base/toml.h"

#include <errno.h>
#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <sys/random.h>

#include "base/mem.h"
#include "base/num.h"
#include "base/utf8.h"

#define TEXT_MAX ((size_t)16 << 20)
#define DEPTH_MAX 16
#define NUMBER_MAX 128
#define NODES_MAX ((uint64_t)1 << 20)

/* How a table came to be, or an array; it decides what may still be added. */
enum origin {
    VALUE,     /* written as a value: closed */
    IMPLICIT,  /* table named on the way in a header */
    HEADER,    /* [table], or an item of [[array]] */
    DOTTED,    /* table named on the way in a dotted key */
    TABLE_LIST /* array made by [[array]] */
};

/* A node and what only the parser knows of it; tm_toml_free frees both as one block. */
struct node {
    struct tm_toml toml;
    enum origin origin;
    unsigned depth;
    uint64_t id; /* of a table, part of the hash of its members' keys */
};

/* All members of all tables by (table id, key), so that a table with many keys stays linear. */
struct index_slot {
    uint64_t table_id;
    const struct node *member;
};

struct parser {
    const char *text;
    size_t bytes;
    size_t at;
    uint32_t line;
    size_t line_at; /* offset of the line's first byte */
    const char *name;
    struct tm_err *err;
    struct index_slot *slots;
    size_t slot_count; /* a power of two, or 0 */
    size_t slots_used;
    uint64_t seed;
    uint64_t next_id;
};

/* ---- errors ---- */

static void fail_at(struct parser *p, size_t at, tm_status status, const char *hint,
                    const char *fmt, ...) TM_PRINTF(5, 6);

static void fail_at(struct parser *p, size_t at, tm_status status, const char *hint,
                    const char *fmt, ...)
{
    char where[320];
    char why[256];
    size_t column = at >= p->line_at ? at - p->line_at + 1 : 1;
    snprintf(where, sizeof where, "%.256s:%" PRIu32 ":%zu", p->name, p->line, column);
    va_list args;
    va_start(args, fmt);
    vsnprintf(why, sizeof why, fmt, args);
    va_end(args);
    tm_err_set(p->err, status, where, "cannot read the TOML", hint, "%s", why);
}

static tm_status bad(struct parser *p, const char *why)
{
    fail_at(p, p->at, TM_E_MALFORMED, NULL, "%s", why);
    return TM_E_MALFORMED;
}

static tm_status unsupported(struct parser *p, const char *why, const char *hint)
{
    fail_at(p, p->at, TM_E_MALFORMED, hint, "%s", why);
    return TM_E_MALFORMED;
}

static tm_status no_memory(struct parser *p)
{
    if (p->next_id >= NODES_MAX) {
        fail_at(p, p->at, TM_E_LIMIT, NULL, "more than %" PRIu64 " values", NODES_MAX);
        return TM_E_LIMIT;
    }
    fail_at(p, p->at, TM_E_NOMEM, NULL, "out of memory");
    return TM_E_NOMEM;
}

static tm_status duplicate(struct parser *p, size_t at, const char *key, const char *why,
                           const struct node *first)
{
    char shown[128];
    tm_escape(key, strlen(key), shown, sizeof shown);
    fail_at(p, at, TM_E_MALFORMED, NULL, "%s '%s', first at line %" PRIu32, why, shown,
            first->toml.line);
    return TM_E_MALFORMED;
}

/* ---- nodes ---- */

static struct node *node_of(struct tm_toml *toml)
{
    return (struct node *)(void *)toml;
}

/* NULL when memory or the number of nodes is used up; no_memory() tells which. */
static struct node *new_node(struct parser *p, enum tm_toml_kind kind, enum origin origin,
                             unsigned depth)
{
    struct node *node = p->next_id < NODES_MAX ? tm_calloc(1, sizeof *node) : NULL;
    if (node == NULL) {
        return NULL;
    }
    node->toml.kind = kind;
    node->toml.line = p->line;
    node->toml.column = (uint32_t)(p->at - p->line_at + 1);
    node->origin = origin;
    node->depth = depth;
    node->id = p->next_id++;
    return node;
}

static void free_node(struct node *node)
{
    struct tm_toml *toml = node != NULL ? &node->toml : NULL;
    tm_toml_free(&toml);
}

static tm_status append(struct parser *p, struct node *list, struct node *item)
{
    struct tm_toml *toml = &list->toml;
    if (toml->list.count == toml->list.capacity) {
        size_t grown = toml->list.capacity > 0 ? toml->list.capacity * 2 : 4;
        struct tm_toml **items =
            tm_realloc_array(toml->list.items, grown, sizeof(struct tm_toml *));
        if (items == NULL) {
            return no_memory(p);
        }
        toml->list.items = items;
        toml->list.capacity = grown;
    }
    toml->list.items[toml->list.count++] = &item->toml;
    return TM_OK;
}

/* ---- the index of keys ---- */

static uint64_t hash_key(const struct parser *p, uint64_t table_id, const char *key)
{
    uint64_t h = p->seed ^ (table_id * 0x9e3779b97f4a7c15u);
    for (const char *at = key; *at != '\0'; at++) {
        h = (h ^ (uint8_t)*at) * 0xbf58476d1ce4e5b9u;
        h ^= h >> 31;
    }
    return h;
}

/* The slot of the member, or the free slot where it belongs. */
static struct index_slot *find_slot(const struct parser *p, uint64_t table_id, const char *key)
{
    size_t i = (size_t)hash_key(p, table_id, key) & (p->slot_count - 1);
    while (p->slots[i].member != NULL &&
           (p->slots[i].table_id != table_id || strcmp(p->slots[i].member->toml.key, key) != 0)) {
        i = (i + 1) & (p->slot_count - 1);
    }
    return &p->slots[i];
}

static tm_status grow_index(struct parser *p)
{
    struct parser bigger = *p;
    bigger.slot_count = p->slot_count > 0 ? p->slot_count * 2 : 64;
    bigger.slots = tm_calloc(bigger.slot_count, sizeof *bigger.slots);
    if (bigger.slots == NULL) {
        return no_memory(p);
    }
    for (size_t i = 0; i < p->slot_count; i++) {
        if (p->slots[i].member != NULL) {
            *find_slot(&bigger, p->slots[i].table_id, p->slots[i].member->toml.key) = p->slots[i];
        }
    }
    tm_free(p->slots);
    *p = bigger;
    return TM_OK;
}

static struct node *find_member(const struct parser *p, const struct node *table, const char *key)
{
    if (p->slot_count == 0) {
        return NULL;
    }
    return (struct node *)(uintptr_t)find_slot(p, table->id, key)->member;
}

/* Takes the member (freed on failure) and a copy of the key. */
static tm_status add_member(struct parser *p, struct node *table, const char *key,
                            struct node *member)
{
    tm_status status = TM_OK;
    member->toml.key = tm_strdup(key);
    if (member->toml.key == NULL) {
        status = no_memory(p);
    } else if (p->slots_used + 1 > p->slot_count / 2) {
        status = grow_index(p);
    }
    if (status == TM_OK) {
        status = append(p, table, member);
    }
    if (status != TM_OK) {
        free_node(member);
        return status;
    }
    *find_slot(p, table->id, key) = (struct index_slot){table->id, member};
    p->slots_used++;
    return TM_OK;
}

/* ---- characters ---- */

/* NUL at the end; NUL in the text was refused before. */
static char peek(const struct parser *p)
{
    return p->at < p->bytes ? p->text[p->at] : '\0';
}

static bool take(struct parser *p, char c)
{
    if (peek(p) != c) {
        return false;
    }
    p->at++;
    return true;
}

static void skip_blanks(struct parser *p)
{
    while (peek(p) == ' ' || peek(p) == '\t') {
        p->at++;
    }
}

static bool is_control(char c)
{
    return ((uint8_t)c < 0x20 && c != '\t') || c == 0x7f;
}

static bool at_line_end(const struct parser *p)
{
    return p->at >= p->bytes || peek(p) == '\n' ||
           (peek(p) == '\r' && p->at + 1 < p->bytes && p->text[p->at + 1] == '\n');
}

/* Blanks, a comment and the line break, or the end of the text. */
static tm_status end_line(struct parser *p)
{
    skip_blanks(p);
    if (peek(p) == '#') {
        while (!at_line_end(p)) {
            if (is_control(peek(p))) {
                return bad(p, "a control character in a comment");
            }
            p->at++;
        }
    }
    if (!at_line_end(p)) {
        return bad(p, "the line should end here");
    }
    if (p->at < p->bytes) {
        p->at += peek(p) == '\r' ? 2 : 1;
        p->line++;
        p->line_at = p->at;
    }
    return TM_OK;
}

/* Blanks, comments and line breaks between the items of an array. */
static tm_status skip_lines(struct parser *p)
{
    for (;;) {
        skip_blanks(p);
        if (p->at >= p->bytes || (peek(p) != '#' && !at_line_end(p))) {
            return TM_OK;
        }
        TM_TRY(end_line(p));
    }
}

/* ---- strings ---- */

static tm_status put_unicode(struct parser *p, size_t digits, struct tm_buf *out)
{
    uint32_t code = 0;
    for (size_t i = 0; i < digits; i++) {
        char c = peek(p);
        uint32_t digit = c >= '0' && c <= '9'   ? (uint32_t)(c - '0')
                         : c >= 'a' && c <= 'f' ? (uint32_t)(c - 'a' + 10)
                         : c >= 'A' && c <= 'F' ? (uint32_t)(c - 'A' + 10)
                                                : 16;
        if (digit == 16) {
            return bad(p, "a hexadecimal digit is missing");
        }
        code = code << 4 | digit;
        p->at++;
    }
    char utf8[4];
    size_t length = tm_utf8_encode(code, utf8);
    if (length == 0 || code == 0) {
        return bad(p, code == 0 ? "NUL is not allowed in a string" : "no such character");
    }
    return tm_buf_put(out, utf8, length) == TM_OK ? TM_OK : no_memory(p);
}

static tm_status put_escape(struct parser *p, struct tm_buf *out)
{
    static const char letters[] = "btnfr\"\\";
    static const char meanings[] = "\b\t\n\f\r\"\\";
    char c = peek(p);
    if (c == 'u' || c == 'U') {
        p->at++;
        return put_unicode(p, c == 'u' ? 4 : 8, out);
    }
    const char *found = c != '\0' ? strchr(letters, c) : NULL;
    if (found == NULL) {
        return bad(p, "unknown escape in a string");
    }
    p->at++;
    return tm_buf_put_u8(out, (uint8_t)meanings[found - letters]) == TM_OK ? TM_OK : no_memory(p);
}

/* The string at the quote under p->at, appended to out with its NUL. */
static tm_status parse_string(struct parser *p, struct tm_buf *out)
{
    char quote = peek(p);
    if (p->at + 2 < p->bytes && p->text[p->at + 1] == quote && p->text[p->at + 2] == quote) {
        return unsupported(p, "strings over several lines are not supported",
                           "write it on one line with \\n");
    }
    p->at++;
    while (!take(p, quote)) {
        if (p->at >= p->bytes || is_control(peek(p))) {
            return bad(p, at_line_end(p) ? "the string does not end on its line"
                                         : "a control character in a string");
        }
        char c = p->text[p->at++];
        if (c == '\\' && quote == '"') {
            TM_TRY(put_escape(p, out));
        } else if (tm_buf_put_u8(out, (uint8_t)c) != TM_OK) {
            return no_memory(p);
        }
    }
    return tm_buf_terminate(out) == TM_OK ? TM_OK : no_memory(p);
}

static tm_status parse_string_value(struct parser *p, struct node *node)
{
    struct tm_buf text;
    tm_buf_init(&text, TEXT_MAX);
    tm_status status = parse_string(p, &text);
    if (status == TM_OK) {
        node->toml.string.data = tm_strndup((const char *)text.data, text.bytes);
        node->toml.string.bytes = text.bytes;
        status = node->toml.string.data != NULL ? TM_OK : no_memory(p);
    }
    tm_buf_deinit(&text);
    return status;
}

/* ---- numbers ---- */

static bool is_digit(char c)
{
    return c >= '0' && c <= '9';
}

static bool is_word(char c)
{
    return is_digit(c) || (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || c == '_' || c == '-';
}

/* Copies the word without its underscores, each of which stands between digits, and without '+'. */
static tm_status copy_number(struct parser *p, const char *word, size_t bytes, char *out,
                             size_t *out_bytes)
{
    size_t n = 0;
    for (size_t i = 0; i < bytes; i++) {
        if (word[i] == '_') {
            if (i == 0 || i + 1 == bytes || !is_digit(word[i - 1]) || !is_digit(word[i + 1])) {
                return bad(p, "an underscore belongs between two digits");
            }
            continue;
        }
        if (i == 0 && word[i] == '+' && bytes > 1 && is_digit(word[1])) {
            continue;
        }
        if (n == NUMBER_MAX) {
            return bad(p, "the number is too long");
        }
        out[n++] = word[i];
    }
    *out_bytes = n;
    return TM_OK;
}

static tm_status parse_number(struct parser *p, struct node *node)
{
    size_t start = p->at;
    size_t end = start;
    bool real = false;
    while (end < p->bytes && (is_word(p->text[end]) || strchr("+.:", p->text[end]) != NULL)) {
        real = real || strchr(".eE", p->text[end]) != NULL;
        end++;
    }
    char number[NUMBER_MAX];
    size_t bytes = 0;
    TM_TRY(copy_number(p, p->text + start, end - start, number, &bytes));
    struct tm_view view = tm_view_of(number, bytes);
    node->toml.kind = real ? TM_TOML_FLOAT : TM_TOML_INT;
    tm_status status =
        real ? tm_parse_f64(view, &node->toml.real) : tm_parse_i64(view, &node->toml.integer);
    if (status == TM_E_LIMIT) {
        return bad(p, "the number is out of range");
    }
    if (status != TM_OK) {
        return unsupported(p, "this is not a value",
                           "strings need quotes; numbers are decimal; dates, nan and inf are not "
                           "supported");
    }
    p->at = end;
    return TM_OK;
}

static bool take_word(struct parser *p, const char *word)
{
    size_t bytes = strlen(word);
    if (bytes > p->bytes - p->at || memcmp(p->text + p->at, word, bytes) != 0 ||
        (p->at + bytes < p->bytes && is_word(p->text[p->at + bytes]))) {
        return false;
    }
    p->at += bytes;
    return true;
}

/* ---- keys ---- */

static tm_status parse_key_part(struct parser *p, struct tm_buf *out)
{
    tm_buf_clear(out);
    if (peek(p) == '"' || peek(p) == '\'') {
        return parse_string(p, out);
    }
    size_t start = p->at;
    while (is_word(peek(p))) {
        p->at++;
    }
    if (p->at == start) {
        return bad(p, "a key is missing here");
    }
    bool stored =
        tm_buf_put(out, p->text + start, p->at - start) == TM_OK && tm_buf_terminate(out) == TM_OK;
    return stored ? TM_OK : no_memory(p);
}

/* The table `key` in table for a step on the way; made with `origin` if absent. A dotted key may
 * only pass tables made by dotted keys, a header also others and the last item of a [[list]]. */
static tm_status step_into(struct parser *p, struct node **table, const char *key, size_t key_at,
                           enum origin origin)
{
    struct node *found = find_member(p, *table, key);
    if (found == NULL) {
        if ((*table)->depth + 1 >= DEPTH_MAX) {
            return bad(p, "nested deeper than 16 levels");
        }
        size_t here = p->at;
        p->at = key_at;
        found = new_node(p, TM_TOML_TABLE, origin, (*table)->depth + 1);
        p->at = here;
        if (found == NULL) {
            return no_memory(p);
        }
        TM_TRY(add_member(p, *table, key, found));
        *table = found;
        return TM_OK;
    }
    bool open = found->toml.kind == TM_TOML_TABLE &&
                (origin == DOTTED ? found->origin == DOTTED : found->origin != VALUE);
    if (origin == IMPLICIT && found->origin == TABLE_LIST) {
        *table = node_of(found->toml.list.items[found->toml.list.count - 1]);
        return TM_OK;
    }
    if (!open) {
        return duplicate(p, key_at, key, "nothing can be added to", found);
    }
    *table = found;
    return TM_OK;
}

/* Reads a.b.c: steps into all but the last part, which stays in `last`, found at *last_at. */
static tm_status parse_path(struct parser *p, struct node **table, enum origin origin,
                            struct tm_buf *last, size_t *last_at)
{
    for (;;) {
        *last_at = p->at;
        TM_TRY(parse_key_part(p, last));
        skip_blanks(p);
        if (!take(p, '.')) {
            return TM_OK;
        }
        skip_blanks(p);
        TM_TRY(step_into(p, table, (const char *)last->data, *last_at, origin));
    }
}

/* ---- values ---- */

static tm_status parse_value(struct parser *p, unsigned depth, struct node **out);

static tm_status parse_pair(struct parser *p, struct node *table)
{
    struct tm_buf key;
    tm_buf_init(&key, TEXT_MAX);
    size_t key_at = 0;
    struct node *value = NULL;
    tm_status status = TM_OK;
    TM_TRY_GOTO(parse_path(p, &table, DOTTED, &key, &key_at), done);
    const struct node *first = find_member(p, table, (const char *)key.data);
    if (first != NULL) {
        status = duplicate(p, key_at, (const char *)key.data, "duplicate key", first);
        goto done;
    }
    if (!take(p, '=')) {
        status = bad(p, "'=' is missing behind the key");
        goto done;
    }
    skip_blanks(p);
    TM_TRY_GOTO(parse_value(p, table->depth + 1, &value), done);
    status = add_member(p, table, (const char *)key.data, value);
done:
    tm_buf_deinit(&key);
    return status;
}

static tm_status parse_array(struct parser *p, struct node *array)
{
    p->at++;
    for (;;) {
        TM_TRY(skip_lines(p));
        if (take(p, ']')) {
            return TM_OK;
        }
        struct node *item = NULL;
        TM_TRY(parse_value(p, array->depth + 1, &item));
        tm_status status = append(p, array, item);
        if (status != TM_OK) {
            free_node(item);
            return status;
        }
        TM_TRY(skip_lines(p));
        if (!take(p, ',') && peek(p) != ']') {
            return bad(p, "',' or ']' is missing in an array");
        }
    }
}

static tm_status parse_inline_table(struct parser *p, struct node *table)
{
    p->at++;
    skip_blanks(p);
    if (take(p, '}')) {
        return TM_OK;
    }
    do {
        skip_blanks(p);
        TM_TRY(parse_pair(p, table));
        skip_blanks(p);
    } while (take(p, ','));
    return take(p, '}') ? TM_OK : bad(p, "',' or '}' is missing in an inline table");
}

static tm_status parse_into(struct parser *p, struct node *node)
{
    char c = peek(p);
    if (c == '"' || c == '\'') {
        node->toml.kind = TM_TOML_STRING;
        return parse_string_value(p, node);
    }
    if (c == '[') {
        node->toml.kind = TM_TOML_ARRAY;
        return parse_array(p, node);
    }
    if (c == '{') {
        node->toml.kind = TM_TOML_TABLE;
        return parse_inline_table(p, node);
    }
    if (take_word(p, "true") || take_word(p, "false")) {
        node->toml.kind = TM_TOML_BOOL;
        node->toml.boolean = c == 't';
        return TM_OK;
    }
    return parse_number(p, node);
}

static tm_status parse_value(struct parser *p, unsigned depth, struct node **out)
{
    if (depth >= DEPTH_MAX) {
        return bad(p, "nested deeper than 16 levels");
    }
    if (at_line_end(p)) {
        return bad(p, "a value is missing here");
    }
    struct node *node = new_node(p, TM_TOML_INT, VALUE, depth);
    if (node == NULL) {
        return no_memory(p);
    }
    tm_status status = parse_into(p, node);
    if (status != TM_OK) {
        free_node(node);
        return status;
    }
    *out = node;
    return TM_OK;
}

/* ---- headers ---- */

/* [a.b] : the table, new or so far only named on the way. */
static tm_status open_table(struct parser *p, struct node *parent, const char *key, size_t key_at,
                            struct node **out)
{
    struct node *found = find_member(p, parent, key);
    if (found == NULL) {
        TM_TRY(step_into(p, &parent, key, key_at, HEADER));
        *out = parent;
        return TM_OK;
    }
    if (found->origin != IMPLICIT) {
        return duplicate(p, key_at, key, "duplicate table", found);
    }
    found->origin = HEADER;
    *out = found;
    return TM_OK;
}

/* [[a.b]] : a new item of the list, which is made if absent. */
static tm_status open_item(struct parser *p, struct node *parent, const char *key, size_t key_at,
                           struct node **out)
{
    struct node *list = find_member(p, parent, key);
    size_t here = p->at;
    if (list != NULL && list->origin != TABLE_LIST) {
        return duplicate(p, key_at, key, "this is no [[list]]:", list);
    }
    if (parent->depth + 2 >= DEPTH_MAX) {
        return bad(p, "nested deeper than 16 levels");
    }
    p->at = key_at; /* the place that the nodes get */
    struct node *item = new_node(p, TM_TOML_TABLE, HEADER, parent->depth + 2);
    struct node *made = NULL;
    if (list == NULL) {
        made = new_node(p, TM_TOML_ARRAY, TABLE_LIST, parent->depth + 1);
        list = made;
    }
    p->at = here;
    tm_status status = item != NULL && list != NULL ? append(p, list, item) : no_memory(p);
    if (status != TM_OK) {
        free_node(item);
        free_node(made);
        return status;
    }
    *out = item;
    return made != NULL ? add_member(p, parent, key, made) : TM_OK;
}

static tm_status parse_header(struct parser *p, struct node *root, struct node **current)
{
    struct tm_buf key;
    tm_buf_init(&key, TEXT_MAX);
    size_t key_at = 0;
    struct node *parent = root;
    tm_status status = TM_OK;
    p->at++;
    bool list = take(p, '[');
    skip_blanks(p);
    TM_TRY_GOTO(parse_path(p, &parent, IMPLICIT, &key, &key_at), done);
    if (!take(p, ']') || (list && !take(p, ']'))) {
        status = bad(p, "']' is missing in a table header");
        goto done;
    }
    status = list ? open_item(p, parent, (const char *)key.data, key_at, current)
                  : open_table(p, parent, (const char *)key.data, key_at, current);
done:
    tm_buf_deinit(&key);
    return status;
}

/* ---- the whole text ---- */

static tm_status parse_lines(struct parser *p, struct node *root)
{
    struct node *current = root;
    while (p->at < p->bytes) {
        skip_blanks(p);
        if (peek(p) == '[') {
            TM_TRY(parse_header(p, root, &current));
        } else if (peek(p) != '#' && !at_line_end(p)) {
            TM_TRY(parse_pair(p, current));
        }
        TM_TRY(end_line(p));
    }
    return TM_OK;
}

static tm_status check_text(struct parser *p)
{
    if (p->bytes > TEXT_MAX) {
        fail_at(p, 0, TM_E_LIMIT, NULL, "%zu bytes, at most %zu are allowed", p->bytes, TEXT_MAX);
        return TM_E_LIMIT;
    }
    for (size_t at = 0; at < p->bytes;) {
        uint32_t code = 0;
        size_t length = tm_utf8_decode(p->text + at, p->bytes - at, &code);
        if (length == 0 || code == 0) {
            p->at = at;
            return bad(p, length == 0 ? "invalid UTF-8" : "a NUL byte");
        }
        at += length;
        if (code == '\n') {
            p->line++;
            p->line_at = at;
        }
    }
    p->line = 1;
    p->line_at = 0;
    return TM_OK;
}

tm_status tm_toml_parse(struct tm_view text, const char *name, struct tm_toml **out,
                        struct tm_err *err)
{
    struct parser p = {
        .text = (const char *)text.data, .bytes = text.bytes, .line = 1, .name = name, .err = err};
    ssize_t got = 0;
    do {
        got = getrandom(&p.seed, sizeof p.seed, 0); /* without one, only speed is at stake */
    } while (got < 0 && errno == EINTR);
    TM_TRY(check_text(&p));
    struct node *root = new_node(&p, TM_TOML_TABLE, HEADER, 0);
    if (root == NULL) {
        return no_memory(&p);
    }
    tm_status status = parse_lines(&p, root);
    tm_free(p.slots);
    if (status != TM_OK) {
        free_node(root);
        return status;
    }
    *out = &root->toml;
    return TM_OK;
}

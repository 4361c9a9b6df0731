/* SPDX-License-Identifier: Apache-2.0 */
#include "model/tokenizer/charsmap.h"

#include <string.h>

#include "base/bytes.h"
#include "base/utf8.h"

tm_status tm_charsmap_open(struct tm_charsmap *map, struct tm_view blob, struct tm_err *err)
{
    memset(map, 0, sizeof *map);
    if (blob.bytes == 0) {
        return TM_OK;
    }
    struct tm_cursor c = tm_cursor_of(blob);
    uint32_t trie_bytes = tm_cursor_u32(&c);
    map->trie = tm_cursor_take(&c, trie_bytes);
    map->texts = tm_cursor_take(&c, tm_cursor_left(&c));
    bool ends = map->texts.bytes > 0 && map->texts.data[map->texts.bytes - 1] == 0;
    if (c.overrun || trie_bytes == 0 || trie_bytes % 4 != 0 || !ends) {
        return tm_err_set(err, TM_E_MALFORMED, NULL, "cannot read the tokenizer's normaliser", NULL,
                          "a trie of %u bytes and texts in a map of %zu bytes", trie_bytes,
                          blob.bytes);
    }
    return TM_OK;
}

/* A unit holds a label or a value, an offset to its children, and whether a value hangs below. */
static bool unit_at(const struct tm_charsmap *map, uint32_t index, uint32_t *unit)
{
    if (index >= map->trie.bytes / 4) {
        return false;
    }
    *unit = tm_get_u32(map->trie.data + (size_t)index * 4);
    return true;
}

static uint32_t children_of(uint32_t unit)
{
    return unit >> 10 << ((unit & (1u << 9)) >> 6);
}

static uint32_t label_of(uint32_t unit)
{
    return unit & (0x80000000u | 0xffu);
}

static bool has_value(uint32_t unit)
{
    return (unit >> 8 & 1u) != 0;
}

size_t tm_charsmap_find(const struct tm_charsmap *map, struct tm_view text, struct tm_view *out)
{
    uint32_t unit;
    size_t length = 0;
    if (!unit_at(map, 0, &unit)) {
        return 0;
    }
    uint32_t node = children_of(unit);
    for (size_t i = 0; i < text.bytes; i++) {
        node ^= text.data[i];
        if (!unit_at(map, node, &unit) || label_of(unit) != text.data[i]) {
            break;
        }
        node ^= children_of(unit);
        uint32_t value;
        if (!has_value(unit) || !unit_at(map, node, &value)) {
            continue;
        }
        value &= 0x7fffffffu;
        if (value < map->texts.bytes) {
            *out = tm_view_str((const char *)map->texts.data + value);
            length = i + 1;
        }
    }
    return length;
}

tm_status tm_charsmap_apply(const struct tm_charsmap *map, struct tm_view text, struct tm_buf *out)
{
    for (size_t at = 0; at < text.bytes;) {
        struct tm_view rest = tm_view_of(text.data + at, text.bytes - at);
        struct tm_view replaced = {NULL, 0};
        size_t length = tm_charsmap_find(map, rest, &replaced);
        if (length == 0) {
            uint32_t code;
            length = tm_utf8_decode((const char *)rest.data, rest.bytes, &code);
            length = length == 0 ? 1 : length;
            replaced = tm_view_of(rest.data, length);
        }
        TM_TRY(tm_buf_put(out, replaced.data, replaced.bytes));
        at += length;
    }
    return TM_OK;
}

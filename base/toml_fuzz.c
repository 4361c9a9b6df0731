/* SPDX-License-Identifier: Apache-2.0
 * Any bytes: parsed or refused; each member of what was parsed is found again by its key, and each
 * string survives being written and parsed. */
#include "base/toml.h"

#include <string.h>

#include "base/mem.h"
#include "tests/support/short_memory.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void check_string(const struct tm_toml *node)
{
    struct tm_buf text;
    struct tm_toml *again = NULL;
    TM_ASSERT(strlen(node->string.data) == node->string.bytes);
    tm_buf_init(&text, SIZE_MAX);
    struct tm_view value = tm_view_of(node->string.data, node->string.bytes);
    tm_status status = tm_buf_put_str(&text, "k = ");
    status = status == TM_OK ? tm_toml_put_str(&text, value) : status;
    status = status == TM_OK ? tm_toml_parse(tm_buf_view(&text), "again", &again, NULL) : status;
    TM_ASSERT(ok_or_ran_out(status));
    if (status == TM_OK) {
        const char *back = NULL;
        TM_ASSERT(tm_toml_get_str(again, "k", "again", &back, NULL) == TM_OK);
        TM_ASSERT(strcmp(back, node->string.data) == 0);
    }
    tm_toml_free(&again);
    tm_buf_deinit(&text);
}

/* Recursion is bounded by the parser's depth limit. */
static void check_node(const struct tm_toml *node, bool search)
{
    TM_ASSERT(node->line > 0 && node->column > 0);
    if (node->kind == TM_TOML_STRING) {
        check_string(node);
    } else if (node->kind == TM_TOML_TABLE || node->kind == TM_TOML_ARRAY) {
        for (size_t i = 0; i < node->list.count; i++) {
            const struct tm_toml *item = node->list.items[i];
            bool member = node->kind == TM_TOML_TABLE;
            TM_ASSERT((item->key != NULL) == member);
            TM_ASSERT(!member || !search || tm_toml_get(node, item->key) == item);
            check_node(item, search);
        }
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct tm_toml *root = NULL;
    struct tm_err err = {.status = TM_OK};
    tm_status status = tm_toml_parse(tm_view_of(data, size), "fuzz", &root, &err);
    if (status != TM_OK) {
        TM_ASSERT(root == NULL && err.status == status && err.why[0] != '\0');
        return 0;
    }
    check_node(root, size < 4096); /* the search is linear for each member */
    tm_toml_free(&root);
    return 0;
}

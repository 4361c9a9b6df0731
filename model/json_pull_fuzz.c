/* SPDX-License-Identifier: Apache-2.0
 * Any text: what the tree reader of base/json.h takes, the pull reader takes too (the tree reader
 * also refuses keys that are there twice and numbers out of range). */
#include "model/json_pull.h"
#include "tests/support/short_memory.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct tm_json_pull p;
    struct tm_json_doc *doc = NULL;
    struct tm_err err = {.status = TM_OK}, tree_err = {.status = TM_OK};
    struct tm_view text = tm_view_of(data, size);
    tm_pull_begin(&p, text, "f", 0, &err);
    tm_status status = tm_pull_skip(&p);
    if (status == TM_OK) {
        status = tm_pull_end(&p);
    }
    TM_ASSERT(status == TM_OK || (err.status == status && err.why[0] != '\0'));
    TM_ASSERT(p.at <= size);
    if (tm_json_parse(text, "f", &doc, &tree_err) == TM_OK) {
        TM_ASSERT(ok_or_ran_out(status));
    }
    tm_json_free(&doc);
    return 0;
}

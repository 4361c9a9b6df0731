/* SPDX-License-Identifier: Apache-2.0
 * Any bytes as a pickle: an error, or values that can all be looked at; memory within its bound. */
#include "base/mem.h"
#include "model/pickle.h"
#include "tests/support/short_memory.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void look(const struct tm_pickle *pickle, struct tm_value value)
{
    struct tm_value found;
    int64_t number;
    uint64_t count;
    (void)tm_pickle_str(pickle, value);
    (void)tm_pickle_int(pickle, value, &number);
    (void)tm_pickle_u64(pickle, value, &count);
    (void)tm_pickle_global(pickle, value);
    (void)tm_pickle_get(pickle, value, "key", &found);
    for (uint32_t i = 0; i < tm_pickle_count(pickle, value); i++) {
        (void)tm_pickle_str(pickle, tm_pickle_item(pickle, value, i));
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    const struct tm_pickle_options options = {.path = "f"};
    struct tm_pickle pickle;
    struct tm_err err = {.status = TM_OK};
    size_t before = tm_mem_live_bytes();
    tm_mem_reset_peak();
    tm_status status = tm_pickle_read(tm_view_of(data, size), &options, &pickle, &err);
    TM_ASSERT(tm_mem_peak_bytes() - before <= TM_PICKLE_MEMORY + size);
    TM_ASSERT(status == TM_OK ||
              ((status == TM_E_MALFORMED || ran_out(status)) && err.why[0] != '\0'));
    if (status == TM_OK) {
        TM_ASSERT(pickle.used <= size);
        look(&pickle, pickle.root);
        for (uint32_t i = 0; i < tm_pickle_count(&pickle, pickle.root); i++) {
            look(&pickle, tm_pickle_item(&pickle, pickle.root, i));
        }
    }
    tm_pickle_deinit(&pickle);
    TM_ASSERT(tm_mem_live_bytes() == before);
    return 0;
}

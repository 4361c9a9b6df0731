/* SPDX-License-Identifier: Apache-2.0
 * Indexes from hostile bytes: as an envelope, and as a payload behind the signature. A payload that
 * parses must come out the same after writing and parsing again. */
#include "package/release.h"

#include <string.h>

#include "package/index_payload.h"
#include "tests/support/short_memory.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void check_same(const struct tm_index *first, const struct tm_index *second)
{
    TM_ASSERT(first->version == second->version && first->count == second->count);
    for (size_t i = 0; i < first->count; i++) {
        TM_ASSERT(strcmp(first->releases[i].name, second->releases[i].name) == 0);
        TM_ASSERT(strcmp(first->releases[i].notes, second->releases[i].notes) == 0);
        TM_ASSERT(first->releases[i].counter == second->releases[i].counter);
    }
}

static void fuzz_payload(struct tm_view in)
{
    struct tm_index first, second;
    struct tm_buf out;
    struct tm_err err;
    tm_status status = tm_index_payload_parse(in, "fuzz", &first, &err);
    if (status != TM_OK) {
        TM_ASSERT(ran_out(status) || (status == TM_E_MALFORMED && err.why[0] != '\0'));
        return;
    }
    tm_buf_init(&out, (size_t)64 << 20);
    status = tm_index_payload_write(&first, &out);
    if (status == TM_OK) {
        status = tm_index_payload_parse(tm_buf_view(&out), "fuzz", &second, &err);
    }
    TM_ASSERT(ok_or_ran_out(status));
    if (status == TM_OK) {
        check_same(&first, &second);
        tm_index_deinit(&second);
    }
    tm_buf_deinit(&out);
    tm_index_deinit(&first);
}

static void fuzz_envelope(struct tm_view in)
{
    static const uint8_t seed[32] = {1}; /* the key that signed the seeds */
    struct tm_identity *identity;
    struct tm_index index;
    struct tm_err err;
    if (tm_identity_from_seed(seed, &identity, &err) != TM_OK) {
        return;
    }
    if (tm_index_read(in, "fuzz", tm_identity_public(identity), 1, &index, NULL, &err) == TM_OK) {
        tm_index_deinit(&index);
    } else {
        TM_ASSERT(tm_mem_failed() || err.why[0] != '\0');
    }
    tm_identity_destroy(&identity);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct tm_err err;
    if (tm_crypto_init(&err) != TM_OK || size == 0) {
        return 0;
    }
    struct tm_view in = tm_view_of(data + 1, size - 1);
    if (data[0] % 2 == 0) {
        fuzz_payload(in);
    } else {
        fuzz_envelope(in);
    }
    return 0;
}

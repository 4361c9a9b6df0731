/* SPDX-License-Identifier: Apache-2.0
 * config.json of a model: what is accepted has numbers that the pass can allocate by. */
#include "base/mem.h"
#include "model/pass/arch.h"
#include "model/pass/pass.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct tm_arch arch;
    struct tm_err err = {.status = TM_OK};
    if (tm_arch_from_config(tm_view_of(data, size), "config.json", &arch, &err) != TM_OK) {
        TM_ASSERT(tm_mem_failed() || err.why[0] != '\0');
        return 0;
    }
    TM_ASSERT(arch.layers > 0 && arch.heads % arch.kv_heads == 0 && arch.head_dim % 8 == 0);
    struct tm_pass_options options = {.batch = 1, .threads = 1};
    TM_ASSERT(tm_pass_bytes(&arch, &options) > 0);
    return 0;
}

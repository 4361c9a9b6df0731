/* SPDX-License-Identifier: Apache-2.0 */
#include "model/calibration/model_digest.h"

#include "base/bytes.h"

static void add_tensor(struct tm_hash *hash, const struct tm_tensor *tensor,
                       const struct tm_digest *source)
{
    uint8_t front[12], dim[8];
    tm_set_u32(front, (uint32_t)tensor->name_bytes);
    tm_set_u32(front + 4, (uint32_t)tensor->dtype);
    tm_set_u32(front + 8, tensor->shape.rank);
    tm_hash_update(hash, front, sizeof front);
    tm_hash_update(hash, tensor->name, tensor->name_bytes);
    for (uint32_t i = 0; i < tensor->shape.rank; i++) {
        tm_set_u64(dim, tensor->shape.dim[i]);
        tm_hash_update(hash, dim, sizeof dim);
    }
    tm_hash_update(hash, source->b, TM_DIGEST_BYTES);
}

tm_status tm_model_digest(struct tm_checkpoint *checkpoint, tm_model_digest_progress progress,
                          void *context, struct tm_digest *out, struct tm_err *err)
{
    static const char label[] = "tensormill.model.v1";
    const struct tm_inventory *inventory = tm_checkpoint_inventory(checkpoint);
    struct tm_hash *hash = NULL;
    uint64_t bytes = 0;
    tm_status status = tm_hash_new(&hash);
    if (status != TM_OK) {
        return tm_err_set(err, status, NULL, "cannot hash the model", NULL, "out of memory");
    }
    tm_hash_update(hash, label, sizeof label - 1);
    for (size_t i = 0; i < inventory->tensor_count && status == TM_OK; i++) {
        size_t index = inventory->by_name[i];
        const struct tm_tensor *tensor = &inventory->tensors[index];
        struct tm_digest source;
        status = tm_checkpoint_hash(checkpoint, index, &source, err);
        if (status == TM_OK) {
            add_tensor(hash, tensor, &source);
            bytes += tensor->bytes;
        }
        if (status == TM_OK && progress != NULL && !progress(context, bytes)) {
            status = tm_err_set(err, TM_E_STOPPED, tm_checkpoint_path(checkpoint), "stopped",
                                "the same command starts again", "asked to stop");
        }
    }
    *out = tm_hash_final(hash);
    tm_hash_destroy(&hash);
    return status;
}

/* SPDX-License-Identifier: Apache-2.0 */
#include "model/pass/weights_checkpoint.h"

static void describe(void *context, size_t index, struct tm_weights_tensor *out)
{
    const struct tm_tensor *tensor = &tm_checkpoint_inventory(context)->tensors[index];
    out->name = tm_view_of(tensor->name, tensor->name_bytes);
    out->dtype = tensor->dtype;
    out->shape = tensor->shape;
}

static tm_status read_tensor(void *context, size_t index, void *out, size_t bytes,
                             struct tm_err *err)
{
    return tm_checkpoint_read(context, index, 0, out, bytes, err);
}

static tm_status read_attachment(void *context, const char *name, struct tm_buf *out,
                                 struct tm_err *err)
{
    const struct tm_inventory *inventory = tm_checkpoint_inventory(context);
    size_t index = tm_inventory_attachment(inventory, name);
    return index < inventory->attachment_count ? tm_checkpoint_attachment(context, index, out, err)
                                               : TM_E_NOTHING;
}

struct tm_weights_source tm_weights_of_checkpoint(struct tm_checkpoint *checkpoint)
{
    return (struct tm_weights_source){.context = checkpoint,
                                      .path = tm_checkpoint_path(checkpoint),
                                      .tensor_count =
                                          tm_checkpoint_inventory(checkpoint)->tensor_count,
                                      .describe = describe,
                                      .read = read_tensor,
                                      .attachment = read_attachment};
}

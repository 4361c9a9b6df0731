/* SPDX-License-Identifier: Apache-2.0 */
#include "node/common/tokenizer_of.h"

#include "node/common/decode.h"

struct attachments {
    const struct tm_pkg_meta *meta;
    struct tm_decoder *decoder;
};

static tm_status read_attachment(void *context, const char *name, struct tm_buf *out,
                                 struct tm_err *err)
{
    const struct attachments *a = context;
    uint32_t index = tm_pkg_attachment_find(a->meta, name);
    return index != UINT32_MAX ? tm_decoder_attachment(a->decoder, index, out, err) : TM_E_NOTHING;
}

tm_status tm_tokenizer_of_package(struct tm_package *package, const char *path,
                                  struct tm_tokenizer **out, struct tm_err *err)
{
    struct attachments a = {.meta = tm_package_meta(package)};
    struct tm_tokenizer_files files = {read_attachment, &a, path};
    *out = NULL;
    TM_TRY(tm_decoder_new(package, &a.decoder, err));
    tm_status status = tm_tokenizer_open_files(&files, out, err);
    tm_decoder_destroy(&a.decoder);
    return status;
}

tm_status tm_tokenizer_of(const char *path, struct tm_tokenizer **out, struct tm_err *err)
{
    struct tm_package *package = NULL;
    if (!tm_package_is(path)) {
        return tm_tokenizer_open(path, out, err);
    }
    *out = NULL;
    TM_TRY(tm_package_open(path, &package, err));
    tm_status status = tm_tokenizer_of_package(package, path, out, err);
    tm_package_close(&package);
    return status;
}

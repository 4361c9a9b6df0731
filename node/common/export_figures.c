/* SPDX-License-Identifier: Apache-2.0 */
#include "node/common/export_figures.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

#include "base/bytes.h"
#include "base/json.h"
#include "base/num.h"

#define FIGURES_BYTES_MAX ((size_t)1 << 20)

static void add_text(struct tm_export_pairs *out, const char *key, const char *value)
{
    TM_ASSERT(out->count < TM_EXPORT_PAIRS_MAX);
    char *text = out->texts[out->count];
    snprintf(text, TM_PUBLIC_KEY_TEXT, "%s", value);
    out->pairs[2 * out->count] = key;
    out->pairs[2 * out->count + 1] = text;
    out->pairs[2 * ++out->count] = NULL;
}

/* All digits: whoever reads it can compare. */
static void add_number(struct tm_export_pairs *out, const char *key, double value)
{
    char text[TM_NUM_TEXT];
    if (isfinite(value)) {
        add_text(out, key, tm_format_f64(value, text));
    }
}

/* Over the tensors: bits of all, error of those that are not kept exactly. */
static void add_sums(const struct tm_package *package, const struct tm_decoder *decoder,
                     struct tm_export_pairs *out)
{
    const struct tm_pkg_meta *meta = tm_package_meta(package);
    const struct tm_pkg_ledger *ledger = tm_package_ledger(package);
    double bits = 0, weights = 0, squared_error = 0, squared_sum = 0;
    for (uint32_t i = 0; i < meta->tensor_count; i++) {
        const struct tm_pkg_tensor *t = &meta->tensors[i];
        struct tm_shape shape = tm_decoder_shape(decoder, i);
        bool lossy = !tm_decoder_is_lossless(decoder, i);
        uint64_t elements = 0;
        weights += tm_shape_elements(&shape, &elements) ? (double)elements : 0;
        for (uint32_t c = t->first_chunk; c < t->first_chunk + t->chunk_count; c++) {
            bits += 8.0 * meta->chunks[c].bytes;
            squared_error += lossy ? tm_f64_from_bits(ledger->entries[c].squared_error_bits) : 0;
            squared_sum += lossy ? tm_f64_from_bits(ledger->entries[c].squared_norm_bits) : 0;
        }
    }
    add_number(out, "tmill.bits_per_weight", weights > 0 ? bits / weights : 0);
    add_number(out, "tmill.relative_error",
               squared_sum > 0 ? sqrt(squared_error / squared_sum) : 0);
}

static void add_member(const struct tm_json *from, const char *member, const char *key,
                       struct tm_export_pairs *out)
{
    double value;
    if (tm_json_f64(tm_json_get(from, member), &value)) {
        add_number(out, key, value);
    }
}

static void add_quality(const struct tm_json *root, struct tm_export_pairs *out)
{
    const struct tm_json *base = tm_json_get(root, "base");
    struct tm_view digest;
    add_member(root, "perplexity", "tmill.perplexity", out);
    add_member(root, "perplexity_error", "tmill.perplexity_error", out);
    add_member(base, "ratio", "tmill.perplexity_ratio", out);
    add_member(base, "ratio_error", "tmill.perplexity_ratio_error", out);
    add_member(base, "kl_mean", "tmill.kl_mean", out);
    add_member(base, "kl_error", "tmill.kl_error", out);
    add_member(base, "kl_99", "tmill.kl_99", out);
    add_member(base, "same_top", "tmill.same_top", out);
    if (tm_json_str(tm_json_get(root, "text_sha256"), &digest) &&
        digest.bytes == TM_DIGEST_TEXT - 1) {
        add_text(out, "tmill.text_sha256", (const char *)digest.data);
    }
}

static tm_status read_quality(const struct tm_package *package, struct tm_decoder *decoder,
                              struct tm_buf *text, struct tm_err *err)
{
    const struct tm_pkg_meta *meta = tm_package_meta(package);
    uint32_t index = tm_pkg_attachment_find(meta, TM_PACKAGE_FIGURES);
    bool taken = index != UINT32_MAX && meta->attachments[index].bytes <= FIGURES_BYTES_MAX;
    return taken ? tm_decoder_attachment(decoder, index, text, err) : TM_OK;
}

tm_status tm_export_figures(const struct tm_package *package, struct tm_decoder *decoder,
                            struct tm_export_pairs *out, struct tm_err *err)
{
    char id[TM_DIGEST_TEXT], key[TM_PUBLIC_KEY_TEXT];
    struct tm_json_doc *doc = NULL;
    struct tm_buf text;
    memset(out, 0, sizeof *out);
    add_text(out, "tmill.package_id", tm_digest_hex(tm_package_id(package), id));
    add_text(out, "tmill.owner", tm_public_key_text(tm_package_owner(package), key));
    add_sums(package, decoder, out);
    tm_buf_init(&text, FIGURES_BYTES_MAX);
    tm_status status = read_quality(package, decoder, &text, err);
    if (status == TM_OK && text.bytes > 0 &&
        tm_json_parse(tm_buf_view(&text), TM_PACKAGE_FIGURES, &doc, NULL) == TM_OK) {
        add_quality(tm_json_root(doc), out);
    }
    tm_json_free(&doc);
    tm_buf_deinit(&text);
    return status;
}

/* SPDX-License-Identifier: Apache-2.0 */
#include "model/llama2c.h"

#include <stdio.h>
#include <string.h>

#include "base/bytes.h"
#include "base/num.h"
#include "model/gguf_meta.h"
#include "model/llama2c_vocab.h"

static const char what_failed[] = "cannot read the llama2.c file";
static const char hint_again[] = "fetch the file again";

#define CONFIG_BYTES 28
#define VERSION_1_DATA_AT 256
#define LAYERS_MAX 10000u
#define SIZE_MAX_EACH (1u << 26) /* of every other number of the config */
#define NORM_EPSILON 1e-5f       /* run.c has it as a constant */

struct config {
    uint32_t dim, hidden, layers, heads, kv_heads, vocab, context;
    bool own_classifier;
    uint32_t version;
};

/* ---- the header ---- */

static bool has_magic(struct tm_view head)
{
    return head.bytes >= 8 && memcmp(head.data, "24ka", 4) == 0;
}

static bool is_size(uint32_t value, uint32_t most)
{
    return value > 0 && value <= most;
}

/* Reads the seven numbers; false when they are not the sizes of a model. */
static bool read_config(const uint8_t *at, bool may_negate, struct config *out)
{
    uint32_t vocab = tm_get_u32(at + 20);
    *out = (struct config){.dim = tm_get_u32(at),
                           .hidden = tm_get_u32(at + 4),
                           .layers = tm_get_u32(at + 8),
                           .heads = tm_get_u32(at + 12),
                           .kv_heads = tm_get_u32(at + 16),
                           .context = tm_get_u32(at + 24)};
    out->own_classifier = may_negate && vocab > INT32_MAX;
    out->vocab = out->own_classifier ? 0u - vocab : vocab;
    return is_size(out->dim, SIZE_MAX_EACH) && is_size(out->hidden, SIZE_MAX_EACH) &&
           is_size(out->layers, LAYERS_MAX) && is_size(out->heads, out->dim) &&
           is_size(out->kv_heads, out->heads) && is_size(out->vocab, SIZE_MAX_EACH) &&
           is_size(out->context, SIZE_MAX_EACH) && out->dim % out->heads == 0 &&
           out->dim / out->heads % 2 == 0 && out->heads % out->kv_heads == 0;
}

bool tm_llama2c_is(struct tm_view head)
{
    struct config config = {.heads = 1};
    return has_magic(head) || (head.bytes >= CONFIG_BYTES && read_config(head.data, true, &config));
}

static tm_status read_header(struct tm_view head, const char *path, struct config *out,
                             struct tm_err *err)
{
    bool good = false;
    if (!has_magic(head)) {
        good = head.bytes >= CONFIG_BYTES && read_config(head.data, true, out);
    } else {
        uint32_t version = tm_get_u32(head.data + 4);
        if (version != 1) {
            return tm_err_set(err, TM_E_INCOMPATIBLE, path, what_failed,
                              "export it as version 0 or 1, which are float32",
                              "version %lu%s cannot be read", (unsigned long)version,
                              version == 2 ? " (int8)" : "");
        }
        if (head.bytes < VERSION_1_DATA_AT) {
            return tm_err_set(err, TM_E_MALFORMED, path, what_failed, hint_again,
                              "the file is truncated within its header of %d bytes",
                              VERSION_1_DATA_AT);
        }
        good = read_config(head.data + 8, false, out) && head.data[8 + CONFIG_BYTES] <= 1;
        out->own_classifier = head.data[8 + CONFIG_BYTES] == 0;
        out->version = 1;
    }
    return good ? TM_OK
                : tm_err_set(err, TM_E_MALFORMED, path, what_failed, hint_again,
                             "the numbers of its header are not the sizes of a model");
}

/* ---- the tables ---- */

enum kind { EMBED, ATTN_NORM, Q, K, V, ATTN_OUT, FFN_NORM, GATE, DOWN, UP, OUT_NORM, ROPE, HEAD };
#define KINDS (HEAD + 1)

static const struct {
    const char *name; /* of GGUF, behind "blk.N." for those of a layer; NULL: left out */
    bool layered;
} kinds[KINDS] = {[EMBED] = {"token_embd.weight", false},
                  [ATTN_NORM] = {"attn_norm.weight", true},
                  [Q] = {"attn_q.weight", true},
                  [K] = {"attn_k.weight", true},
                  [V] = {"attn_v.weight", true},
                  [ATTN_OUT] = {"attn_output.weight", true},
                  [FFN_NORM] = {"ffn_norm.weight", true},
                  [GATE] = {"ffn_gate.weight", true},
                  [DOWN] = {"ffn_down.weight", true},
                  [UP] = {"ffn_up.weight", true},
                  [OUT_NORM] = {"output_norm.weight", false},
                  [ROPE] = {NULL, false},
                  [HEAD] = {"output.weight", false}};

/* legacy_export and version1_export of llama2.c. ROPE are the cosines and sines of half a head. */
static const enum kind orders[2][KINDS] = {
    {EMBED, ATTN_NORM, Q, K, V, ATTN_OUT, FFN_NORM, GATE, DOWN, UP, OUT_NORM, ROPE, HEAD},
    {ATTN_NORM, FFN_NORM, OUT_NORM, EMBED, Q, K, V, ATTN_OUT, GATE, DOWN, UP, HEAD, ROPE}};

/* Shape of one tensor of the kind; rank 0 when this file has none. */
static struct tm_shape shape_of(const struct config *c, enum kind kind)
{
    uint64_t kv_rows = c->dim / c->heads * (uint64_t)c->kv_heads;
    switch (kind) {
    case EMBED:
        return (struct tm_shape){2, {c->vocab, c->dim}};
    case ATTN_NORM:
    case FFN_NORM:
    case OUT_NORM:
        return (struct tm_shape){1, {c->dim}};
    case Q:
    case ATTN_OUT:
        return (struct tm_shape){2, {c->dim, c->dim}};
    case K:
    case V:
        return (struct tm_shape){2, {kv_rows, c->dim}};
    case GATE:
    case UP:
        return (struct tm_shape){2, {c->hidden, c->dim}};
    case DOWN:
        return (struct tm_shape){2, {c->dim, c->hidden}};
    case ROPE:
        return (struct tm_shape){c->version == 0 ? 2 : 0, {c->context, c->dim / c->heads}};
    case HEAD:
        break;
    }
    return (struct tm_shape){c->own_classifier ? 2 : 0, {c->vocab, c->dim}};
}

struct placed {
    struct tm_shape shape;
    uint64_t at, bytes; /* of one tensor; those of a layer follow each other */
};

/* Where each kind lies. The sizes are bounded so that nothing here can overflow: at most 13 kinds
 * of 10^4 layers of 2^54 bytes would, so the sum is checked against the file as it grows. */
static tm_status place(const struct config *c, const struct tm_llama2c_options *options,
                       struct placed *placed, struct tm_err *err)
{
    uint64_t end = c->version == 0 ? CONFIG_BYTES : VERSION_1_DATA_AT;
    bool fits = true;
    for (unsigned i = 0; i < KINDS && fits; i++) {
        enum kind kind = orders[c->version][i];
        struct placed *p = &placed[kind];
        uint64_t all = 0;
        *p = (struct placed){.shape = shape_of(c, kind), .at = end};
        if (p->shape.rank > 0) {
            fits = tm_shape_bytes(&p->shape, TM_F32, &p->bytes) &&
                   tm_mul_u64(p->bytes, kinds[kind].layered ? c->layers : 1, &all) &&
                   tm_add_u64(end, all, &end);
        }
    }
    if (fits && end == options->file_bytes) {
        return TM_OK;
    }
    return tm_err_set(
        err, TM_E_MALFORMED, options->path, what_failed, hint_again,
        "a model of dim %lu, hidden %lu, %lu layers and %lu tokens takes %s%llu bytes, "
        "and the file has %llu%s",
        (unsigned long)c->dim, (unsigned long)c->hidden, (unsigned long)c->layers,
        (unsigned long)c->vocab, fits ? "" : "more than ",
        fits ? (unsigned long long)end : 1ull << 63, (unsigned long long)options->file_bytes,
        fits && end < options->file_bytes ? "" : ": it is truncated");
}

static tm_status add(const struct placed *placed, enum kind kind, uint32_t layer,
                     const struct tm_llama2c_options *options, struct tm_inventory *inventory,
                     struct tm_err *err)
{
    char name[64];
    int n = kinds[kind].layered
                ? snprintf(name, sizeof name, "blk.%lu.%s", (unsigned long)layer, kinds[kind].name)
                : snprintf(name, sizeof name, "%s", kinds[kind].name);
    TM_ASSERT(n > 0 && (size_t)n < sizeof name);
    struct tm_tensor tensor = {.name = name,
                               .name_bytes = (size_t)n,
                               .dtype = TM_F32,
                               .shape = placed[kind].shape,
                               .file = options->file,
                               .offset = placed[kind].at + layer * placed[kind].bytes,
                               .bytes = placed[kind].bytes};
    return tm_sources_fail(tm_inventory_add_tensor(inventory, &tensor), options->path, err);
}

static tm_status parse(struct tm_view head, const struct tm_llama2c_options *options,
                       struct tm_inventory *inventory, struct config *config, struct tm_err *err)
{
    struct placed placed[KINDS] = {{.at = 0}};
    TM_TRY(read_header(head, options->path, config, err));
    TM_TRY(place(config, options, placed, err));
    TM_TRY(add(placed, EMBED, 0, options, inventory, err));
    for (uint32_t layer = 0; layer < config->layers; layer++) {
        for (enum kind kind = ATTN_NORM; kind <= UP; kind++) {
            TM_TRY(add(placed, kind, layer, options, inventory, err));
        }
    }
    TM_TRY(add(placed, OUT_NORM, 0, options, inventory, err));
    return config->own_classifier ? add(placed, HEAD, 0, options, inventory, err) : TM_OK;
}

tm_status tm_llama2c_parse(struct tm_view head, const struct tm_llama2c_options *options,
                           struct tm_inventory *inventory, struct tm_err *err)
{
    struct config config = {.heads = 1};
    return parse(head, options, inventory, &config, err);
}

/* ---- what travels along ---- */

static tm_status put_key(struct tm_buf *out, const char *key, enum tm_gguf_type type)
{
    TM_TRY(tm_buf_put_u64(out, strlen(key)));
    TM_TRY(tm_buf_put_str(out, key));
    return tm_buf_put_u32(out, type);
}

static tm_status put_number(struct tm_buf *out, const char *key, uint32_t value)
{
    TM_TRY(put_key(out, key, TM_GGUF_U32));
    return tm_buf_put_u32(out, value);
}

#define CONFIG_PAIRS 10

/* The config as llama.cpp wants it. */
static tm_status put_config(struct tm_buf *out, const struct config *c)
{
    const struct {
        const char *key;
        uint32_t value;
    } numbers[CONFIG_PAIRS - 2] = {{"llama.context_length", c->context},
                                   {"llama.embedding_length", c->dim},
                                   {"llama.block_count", c->layers},
                                   {"llama.feed_forward_length", c->hidden},
                                   {"llama.attention.head_count", c->heads},
                                   {"llama.attention.head_count_kv", c->kv_heads},
                                   {"llama.rope.dimension_count", c->dim / c->heads},
                                   {"llama.vocab_size", c->vocab}};
    TM_TRY(put_key(out, "general.architecture", TM_GGUF_STRING));
    TM_TRY(tm_buf_put_u64(out, 5));
    TM_TRY(tm_buf_put_str(out, "llama"));
    for (size_t i = 0; i < CONFIG_PAIRS - 2; i++) {
        TM_TRY(put_number(out, numbers[i].key, numbers[i].value));
    }
    TM_TRY(put_key(out, "llama.attention.layer_norm_rms_epsilon", TM_GGUF_F32));
    return tm_buf_put_u32(out, tm_f32_bits(NORM_EPSILON));
}

/* Attaches the file under whose name run.c looks for the tokenizer, if it is there, and appends its
 * pairs; *pairs stays 0 when there is none or it belongs to another model. */
static tm_status put_tokenizer(struct tm_sources *sources, const char *model,
                               const struct config *config, struct tm_buf *out, uint32_t *pairs,
                               struct tm_err *err)
{
    static const char name[] = "tokenizer.bin";
    char folder[TM_PATH_MAX], path[TM_PATH_MAX];
    struct tm_buf text;
    if (tm_path_dir(folder, model) != TM_OK || tm_path_join(path, folder, name) != TM_OK ||
        !tm_path_exists(path) || tm_path_is_dir(path)) {
        return TM_OK;
    }
    TM_TRY(tm_sources_attach_file(sources, path, name, err));
    tm_buf_init(&text, TM_ATTACHMENT_MAX);
    tm_status status =
        tm_sources_read_attachment(sources, sources->inventory.attachment_count - 1, &text, err);
    if (status == TM_OK) {
        status = tm_llama2c_vocab_put(tm_buf_view(&text), config->vocab, out);
        *pairs = status == TM_OK ? TM_LLAMA2C_VOCAB_PAIRS : 0;
        if (status == TM_E_MALFORMED) {
            status = tm_inventory_warn(&sources->inventory,
                                       "%s is not the tokenizer of these %lu tokens: an export to "
                                       "GGUF will have none",
                                       name, (unsigned long)config->vocab);
        }
        status = tm_sources_fail(status, path, err);
    }
    tm_buf_deinit(&text);
    return status;
}

/* The config and the tokenizer in the form of docs/formats/gguf-metadata.md. */
static tm_status attach_metadata(struct tm_sources *sources, const char *model,
                                 const struct config *config, struct tm_err *err)
{
    static const char name[] = "gguf-metadata";
    struct tm_buf blob;
    uint32_t pairs = 0;
    tm_buf_init(&blob, TM_ATTACHMENT_MAX);
    tm_status status = tm_sources_fail(tm_buf_put_u64(&blob, CONFIG_PAIRS), name, err);
    TM_TRY_GOTO(status, done);
    TM_TRY_GOTO(tm_sources_fail(put_config(&blob, config), name, err), done);
    TM_TRY_GOTO(put_tokenizer(sources, model, config, &blob, &pairs, err), done);
    tm_set_u64(blob.data, CONFIG_PAIRS + pairs);
    status = tm_sources_attach_bytes(sources, name, tm_buf_view(&blob), err);
done:
    tm_buf_deinit(&blob);
    return status;
}

tm_status tm_llama2c_open(struct tm_sources *sources, uint32_t file, struct tm_err *err)
{
    struct tm_file_in *in = sources->files[file];
    struct tm_llama2c_options options = {
        .path = tm_file_path(in), .file = file, .file_bytes = tm_file_bytes(in)};
    uint8_t head[TM_LLAMA2C_HEAD_BYTES];
    struct config config = {.heads = 1};
    size_t take = options.file_bytes < sizeof head ? (size_t)options.file_bytes : sizeof head;
    sources->inventory.format = TM_FORMAT_LLAMA2C;
    TM_TRY(tm_file_read_at(in, 0, head, take, err));
    TM_TRY(parse(tm_view_of(head, take), &options, &sources->inventory, &config, err));
    TM_TRY(tm_sources_fail(tm_inventory_set_arch(&sources->inventory, tm_view_str("llama")),
                           options.path, err));
    return attach_metadata(sources, options.path, &config, err);
}

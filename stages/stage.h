/* SPDX-License-Identifier: Apache-2.0
 * What a compression stage is. A pipeline is `transform* > quantize > entropy code` over typed
 * data: a float block, a symbol stream with side information, or bytes. Stages hand each other
 * symbols; nothing is decoded in between.
 *
 * Kind of arithmetic: format arithmetic throughout. The bytes of a block are a function of (stage
 * ids and versions, parameters, input bytes) and of nothing else (docs/decisions/0001). */
#ifndef TM_STAGES_STAGE_H
#define TM_STAGES_STAGE_H

#include "base/buf.h"
#include "model/tensor.h"

/* Part of the format: never renumber, never reuse. A changed encoder or decoder gets a new version;
 * old decoders stay. X(enum, value, name, version) */
#define TM_STAGE_LIST(X)                                                                           \
    X(TM_STAGE_INT, 1, "int", 1)                                                                   \
    X(TM_STAGE_TERNARY, 2, "ternary", 1)                                                           \
    X(TM_STAGE_RANS, 3, "rans", 1)                                                                 \
    X(TM_STAGE_ZSTD, 4, "zstd", 1)                                                                 \
    X(TM_STAGE_RAW, 5, "raw", 1)

#define TM_STAGE_ENUM(code, value, text, version) code = (value),
enum tm_stage_id { TM_STAGE_LIST(TM_STAGE_ENUM) };
#undef TM_STAGE_ENUM

enum tm_data_kind { TM_DATA_FLOAT, TM_DATA_SYMBOLS, TM_DATA_BYTES };

/* Parameters of every stage in one plain struct; a stage reads its own and the others are 0. */
struct tm_stage_params {
    uint32_t bits;  /* int: 8 or 4 */
    uint32_t group; /* int, ternary: weights that share a scale, along the row; 32 for int (the
                     * GGUF grids), 32..1024 and a multiple of 32 for ternary */
    uint32_t level; /* zstd: 1..19 */
};

/* Shape of one block: `rows` x `cols` weights, row-major, contiguous. The last group of a row may
 * be shorter than the group. rows * cols <= TM_BLOCK_WEIGHTS_MAX. */
struct tm_block_shape {
    uint32_t rows, cols;
};
#define TM_BLOCK_WEIGHTS 262144u /* default size of a block: 1 MiB of float32 */
#define TM_BLOCK_WEIGHTS_MAX (16u * 1024 * 1024)
/* Blocks of bytes (raw, zstd) have rows = 1, cols = number of bytes, and this limit. */
#define TM_BLOCK_BYTES_MAX (64u * 1024 * 1024)

/* A symbol stream between a quantizer and an entropy coder. codes[rows * cols] are in [0,
 * alphabet); a quantizer may pack several weights into a symbol, then count differs from rows *
 * cols. side is everything else that the decoder needs: scales, as the quantizer lays them out. */
struct tm_symbols {
    uint32_t alphabet; /* 2..256 */
    size_t count;
    struct tm_buf codes; /* one byte a symbol */
    struct tm_buf side;
};

void tm_symbols_init(struct tm_symbols *symbols);
void tm_symbols_deinit(struct tm_symbols *symbols);

const char *tm_stage_name(enum tm_stage_id id);
uint32_t tm_stage_version(enum tm_stage_id id);
bool tm_stage_parse(struct tm_view name, enum tm_stage_id *out);
/* What the stage takes and gives when it encodes. */
enum tm_data_kind tm_stage_input(enum tm_stage_id id);
enum tm_data_kind tm_stage_output(enum tm_stage_id id);
/* Symbols and side bytes that a quantizer makes of a block (exact), for bounds and checks. */
void tm_stage_symbol_counts(enum tm_stage_id id, const struct tm_stage_params *params,
                            struct tm_block_shape shape, size_t *symbols, size_t *side_bytes,
                            uint32_t *alphabet);
/* Whether symbols that an entropy decoder gave (counts as above, all below the alphabet) can be
 * decoded to values: TM_E_MALFORMED for a scale that is not finite and for used spare trits; err
 * has the reason and may be NULL. */
tm_status tm_symbols_check(enum tm_stage_id id, const struct tm_stage_params *params,
                           struct tm_block_shape shape, const struct tm_symbols *symbols,
                           struct tm_err *err) TM_MUST_USE;
/* Groups of a row, the shorter last one included. */
static inline uint32_t tm_row_groups(uint32_t cols, uint32_t group)
{
    return cols / group + (cols % group != 0);
}
/* Whether a block of weights of this shape is within TM_BLOCK_WEIGHTS_MAX. */
bool tm_shape_is_block(struct tm_block_shape shape);

/* Ternary packing, five weights to a symbol: symbol = sum of (code_i + 1) * 3^i, i = 0..4, over the
 * weights in row-major order; the weights that the last symbol lacks count as code 0. */
#define TM_TRITS 5
#define TM_TRIT_ALPHABET 243

/* Why a block cannot go through a quantizer without breaking its promise: see pipeline_encode.h. */
enum tm_unfit { TM_FITS, TM_UNFIT_NAN, TM_UNFIT_INF, TM_UNFIT_SCALE_RANGE };
struct tm_misfit {
    enum tm_unfit why;
    uint32_t row, col; /* of the first value that does not fit (SCALE_RANGE: of its group) */
};
/* "holds NaN", ... for messages; also TM_FITS. */
const char *tm_unfit_text(enum tm_unfit unfit);
/* The TM_E_REFUSED of an encoder; err may be NULL. */
tm_status tm_misfit_refuse(struct tm_misfit misfit, struct tm_err *err);

/* How strict a decoder is. CANONICAL also refuses every byte string that the encoder would not have
 * written for these symbols (other tables, padding, order); verification uses it. */
enum tm_decode_check { TM_DECODE_FAST, TM_DECODE_CANONICAL };

#endif

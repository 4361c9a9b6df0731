/* SPDX-License-Identifier: Apache-2.0
 * A sentencepiece.ModelProto, field by field. Independent of the reader. */
#ifndef TM_TESTS_SPM_FILE_H
#define TM_TESTS_SPM_FILE_H

#include <check.h>
#include <string.h>

#include "base/bytes.h"

static inline void spm_varint(struct tm_buf *out, uint64_t value)
{
    do {
        uint8_t byte = value & 0x7f;
        value >>= 7;
        ck_assert_int_eq(tm_buf_put_u8(out, value > 0 ? byte | 0x80 : byte), TM_OK);
    } while (value > 0);
}

static inline void spm_number(struct tm_buf *out, uint32_t field, uint64_t value)
{
    spm_varint(out, (uint64_t)field << 3);
    spm_varint(out, value);
}

static inline void spm_bytes(struct tm_buf *out, uint32_t field, struct tm_view bytes)
{
    spm_varint(out, (uint64_t)field << 3 | 2);
    spm_varint(out, bytes.bytes);
    ck_assert_int_eq(tm_buf_put(out, bytes.data, bytes.bytes), TM_OK);
}

static inline void spm_piece(struct tm_buf *out, const char *text, float score, uint32_t kind)
{
    struct tm_buf piece;
    tm_buf_init(&piece, 1000);
    spm_bytes(&piece, 1, tm_view_str(text));
    spm_varint(&piece, 2 << 3 | 5);
    ck_assert_int_eq(tm_buf_put_u32(&piece, tm_f32_bits(score)), TM_OK);
    spm_number(&piece, 3, kind);
    spm_bytes(out, 1, tm_buf_view(&piece));
    tm_buf_deinit(&piece);
}

/* model_type: 1 unigram, 2 BPE. */
static inline void spm_trainer(struct tm_buf *out, uint64_t model_type)
{
    struct tm_buf trainer;
    tm_buf_init(&trainer, 1000);
    spm_number(&trainer, 3, model_type);
    spm_number(&trainer, 41, 1);          /* bos_id */
    spm_number(&trainer, 42, UINT64_MAX); /* eos_id: -1 */
    spm_bytes(out, 2, tm_buf_view(&trainer));
    tm_buf_deinit(&trainer);
}

/* add_dummy_prefix and remove_extra_whitespaces. */
static inline void spm_normalizer(struct tm_buf *out, bool prefix, bool remove)
{
    struct tm_buf normalizer;
    tm_buf_init(&normalizer, 1000);
    spm_number(&normalizer, 3, prefix);
    spm_number(&normalizer, 4, remove);
    spm_bytes(out, 3, tm_buf_view(&normalizer));
    tm_buf_deinit(&normalizer);
}

#endif

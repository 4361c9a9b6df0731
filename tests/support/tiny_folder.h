/* SPDX-License-Identifier: Apache-2.0
 * tiny_model.h on the disk. */
#ifndef TM_TESTS_TINY_FOLDER_H
#define TM_TESTS_TINY_FOLDER_H

#include "tests/support/model_files.h"
#include "tests/support/tiny_model.h"

/* The tiny model as a folder of Hugging Face; its tokens are a to z, A to N and a blank. */
static inline void tiny_write_folder(const struct test_dir *dir, const struct tiny_model *m)
{
    struct tm_buf header, file;
    tm_buf_init(&header, 1 << 16);
    tm_buf_init(&file, 1 << 20);
    size_t at = 0;
    for (size_t i = 0; i < m->count; i++) {
        const struct tiny_tensor *t = &m->tensors[i];
        char shape[64];
        ck_assert_int_eq(tm_buf_printf(&header,
                                       "%s\"%s\":{\"dtype\":\"F32\",\"shape\":%s,"
                                       "\"data_offsets\":[%zu,%zu]}",
                                       i == 0 ? "{" : ",", t->name,
                                       tm_shape_text(&t->shape, shape, sizeof shape), at,
                                       at + t->elements * 4),
                         TM_OK);
        at += t->elements * 4;
    }
    ck_assert_int_eq(tm_buf_put_str(&header, "}"), TM_OK);
    put_u64(&file, header.bytes);
    put_bytes(&file, header.data, header.bytes);
    for (size_t i = 0; i < m->count; i++) {
        put_bytes(&file, m->tensors[i].data, m->tensors[i].elements * 4);
    }
    test_put_buf(dir, "model.safetensors", &file);
    test_put_text(dir, "config.json", m->config);
    tm_buf_clear(&header);
    ck_assert_int_eq(tm_buf_put_str(&header, "{\"model\":{\"type\":\"BPE\",\"vocab\":{"), TM_OK);
    for (int i = 0; i < TINY_VOCAB; i++) {
        char c = i < 26 ? (char)('a' + i) : i < 40 ? (char)('A' + i - 26) : ' ';
        ck_assert_int_eq(tm_buf_printf(&header, "%s\"%c\":%d", i == 0 ? "" : ",", c, i), TM_OK);
    }
    ck_assert_int_eq(tm_buf_put_str(&header, "},\"merges\":[]}}"), TM_OK);
    test_put_buf(dir, "tokenizer.json", &header);
    tm_buf_deinit(&header);
    tm_buf_deinit(&file);
}

#endif

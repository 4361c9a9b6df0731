/* SPDX-License-Identifier: Apache-2.0
 * Pickles and zip archives for the tests of the PyTorch reader, opcode by opcode and field by
 * field, so that wrong ones can be made as easily as right ones. Independent of the reader. */
#ifndef TM_TESTS_PTH_FILE_H
#define TM_TESTS_PTH_FILE_H

#include <stdarg.h>

#include "base/bytes.h"
#include "tests/support/file_order.h"
#include "tests/support/model_files.h"

/* ---- pickles ---- */

static inline void pk_begin(struct tm_buf *p)
{
    tm_buf_init(p, 16u << 20);
    put_bytes(p, "\x80\x02", 2);
}
static inline void pk_op(struct tm_buf *p, const char *ops)
{
    put_bytes(p, ops, strlen(ops));
}
static inline void pk_str(struct tm_buf *p, const char *text)
{
    pk_op(p, "X");
    put_u32(p, (uint32_t)strlen(text));
    pk_op(p, text);
}
static inline void pk_int(struct tm_buf *p, uint64_t value)
{
    put_bytes(p, "\x8a\x08", 2); /* LONG1 of eight bytes */
    put_u64(p, value);
}
static inline void pk_global(struct tm_buf *p, const char *module, const char *name)
{
    pk_op(p, "c");
    pk_op(p, module);
    pk_op(p, "\n");
    pk_op(p, name);
    pk_op(p, "\n");
}
/* A tuple of rank numbers. */
static inline void pk_tuple(struct tm_buf *p, uint32_t rank, const uint64_t *numbers)
{
    pk_op(p, "(");
    for (uint32_t i = 0; i < rank; i++) {
        pk_int(p, numbers[i]);
    }
    pk_op(p, "t");
}

struct pk_tensor {
    const char *type; /* "FloatStorage" */
    const char *key;
    uint64_t elements, offset;
    uint32_t rank;
    uint64_t sizes[10], strides[10];
};

/* torch._utils._rebuild_tensor_v2(storage, offset, sizes, strides, False, OrderedDict()) */
static inline void pk_put_tensor(struct tm_buf *p, const struct pk_tensor *t)
{
    pk_global(p, "torch._utils", "_rebuild_tensor_v2");
    pk_op(p, "((");
    pk_str(p, "storage");
    pk_global(p, "torch", t->type);
    pk_str(p, t->key);
    pk_str(p, "cpu");
    pk_int(p, t->elements);
    pk_op(p, "tQ");
    pk_int(p, t->offset);
    pk_tuple(p, t->rank, t->sizes);
    pk_tuple(p, t->rank, t->strides);
    pk_op(p, "\x89");
    pk_global(p, "collections", "OrderedDict");
    pk_op(p, ")RtR");
}

/* ---- zip archives ---- */

struct zip_maker {
    struct tm_buf file, directory;
    uint16_t count;
};

static inline void zip_begin(struct zip_maker *z)
{
    tm_buf_init(&z->file, 64u << 20);
    tm_buf_init(&z->directory, 1u << 20);
    z->count = 0;
}
static inline uint32_t zip_crc(const void *data, size_t bytes)
{
    uint32_t crc = ~0u;
    for (size_t i = 0; i < bytes; i++) {
        crc ^= ((const uint8_t *)data)[i];
        for (int bit = 0; bit < 8; bit++) {
            crc = crc >> 1 ^ (0xedb88320u & (0u - (crc & 1)));
        }
    }
    return ~crc;
}
static inline void put_u16(struct tm_buf *buf, uint16_t value)
{
    ck_assert_int_eq(tm_buf_put_u16(buf, value), TM_OK);
}
static inline void zip_head(struct tm_buf *to, const char *name, uint32_t bytes, uint32_t crc)
{
    put_u16(to, 0); /* flags */
    put_u16(to, 0); /* stored */
    put_u32(to, 0);
    put_u32(to, crc);
    put_u32(to, bytes);
    put_u32(to, bytes);
    put_u16(to, (uint16_t)strlen(name));
    put_u16(to, 0);
}
static inline void zip_add(struct zip_maker *z, const char *name, const void *data, size_t bytes,
                           uint32_t crc)
{
    uint32_t at = (uint32_t)z->file.bytes;
    put_u32(&z->file, 0x04034b50u);
    put_u16(&z->file, 20);
    zip_head(&z->file, name, (uint32_t)bytes, crc);
    put_bytes(&z->file, name, strlen(name));
    put_bytes(&z->file, data, bytes);
    put_u32(&z->directory, 0x02014b50u);
    put_u16(&z->directory, 20);
    put_u16(&z->directory, 20);
    zip_head(&z->directory, name, (uint32_t)bytes, crc);
    put_u16(&z->directory, 0); /* comment */
    put_u16(&z->directory, 0); /* disk */
    put_u16(&z->directory, 0);
    put_u32(&z->directory, 0);
    put_u32(&z->directory, at);
    put_bytes(&z->directory, name, strlen(name));
    z->count++;
}
static inline void zip_put(struct zip_maker *z, const char *name, const void *data, size_t bytes)
{
    zip_add(z, name, data, bytes, zip_crc(data, bytes));
}
/* The whole archive is then z->file. */
static inline void zip_end(struct zip_maker *z)
{
    uint32_t at = (uint32_t)z->file.bytes, bytes = (uint32_t)z->directory.bytes;
    put_bytes(&z->file, z->directory.data, z->directory.bytes);
    put_u32(&z->file, 0x06054b50u);
    put_u32(&z->file, 0);
    put_u16(&z->file, z->count);
    put_u16(&z->file, z->count);
    put_u32(&z->file, bytes);
    put_u32(&z->file, at);
    put_u16(&z->file, 0);
    tm_buf_deinit(&z->directory);
}

/* A checkpoint NAME/data.pkl with storages "0", "1"... of `floats` numbers 0, 1, 2... each. */
static inline void pth_zip(struct zip_maker *z, const struct tm_buf *pickle, int storages,
                           size_t floats)
{
    float *numbers = (float *)calloc(floats + 1, sizeof *numbers);
    for (size_t i = 0; i < floats; i++) {
        numbers[i] = (float)i;
    }
    floats_to_file_order(numbers, floats);
    zip_begin(z);
    zip_put(z, "m/data.pkl", pickle->data, pickle->bytes);
    for (int i = 0; i < storages; i++) {
        char name[32];
        snprintf(name, sizeof name, "m/data/%d", i);
        zip_put(z, name, numbers, floats * sizeof *numbers);
    }
    zip_end(z);
    (free)(numbers);
}

#endif

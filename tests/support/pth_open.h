/* SPDX-License-Identifier: Apache-2.0
 * Opens checkpoints that a test made, as the programs do. */
#ifndef TM_TESTS_PTH_OPEN_H
#define TM_TESTS_PTH_OPEN_H

#include "base/mem.h"
#include "model/checkpoint.h"
#include "tests/support/pth_file.h"

/* The file as a checkpoint; on failure *err says why and the result is NULL. */
static inline struct tm_checkpoint *open_bytes(const struct tm_buf *file, const char *under,
                                               struct tm_err *err)
{
    struct test_dir dir = test_dir_make();
    struct tm_checkpoint *checkpoint = NULL;
    memset(err, 0, sizeof *err);
    tm_status status =
        tm_checkpoint_open_under(test_put_buf(&dir, "m.pth", file), under, &checkpoint, err);
    ck_assert_int_eq(status, err->status);
    test_dir_remove(&dir); /* it stays open */
    return checkpoint;
}

/* The same for a pickle with `storages` of `floats` numbers 0, 1, 2... */
static inline struct tm_checkpoint *open_pickle(const struct tm_buf *pickle, int storages,
                                                size_t floats, const char *under,
                                                struct tm_err *err)
{
    struct zip_maker z;
    pth_zip(&z, pickle, storages, floats);
    struct tm_checkpoint *checkpoint = open_bytes(&z.file, under, err);
    tm_buf_deinit(&z.file);
    return checkpoint;
}

/* "a b.c" : the names in bytewise order, blanks between. */
static inline void expect_names(const struct tm_checkpoint *checkpoint, const char *wanted)
{
    const struct tm_inventory *inventory = tm_checkpoint_inventory(checkpoint);
    char names[1024] = "";
    for (size_t i = 0; i < inventory->tensor_count; i++) {
        size_t at = strlen(names);
        snprintf(names + at, sizeof names - at, i == 0 ? "%s" : " %s",
                 inventory->tensors[inventory->by_name[i]].name);
    }
    ck_assert_str_eq(names, wanted);
}

/* One float of a tensor. */
static inline float element(struct tm_checkpoint *checkpoint, const char *name, uint64_t index)
{
    const struct tm_inventory *inventory = tm_checkpoint_inventory(checkpoint);
    uint8_t bytes[4];
    size_t at = tm_inventory_find(inventory, name, strlen(name));
    ck_assert_uint_lt(at, inventory->tensor_count);
    ck_assert_int_eq(tm_checkpoint_read(checkpoint, at, 4 * index, bytes, 4, NULL), TM_OK);
    return tm_f32_from_bits(tm_get_u32(bytes));
}

/* key: tensor of 2 x 3 floats of storage "0", for a dictionary that is open. */
static inline void put_item(struct tm_buf *p, const char *key)
{
    const struct pk_tensor t = {"FloatStorage", "0", 6, 0, 2, {2, 3}, {3, 1}};
    pk_str(p, key);
    pk_put_tensor(p, &t);
}

#endif

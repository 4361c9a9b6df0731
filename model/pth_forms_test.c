/* SPDX-License-Identifier: Apache-2.0 */
#include "model/pth_parts.h"

#include "tests/support/pth_open.h"
#include "tests/support/suite.h"
#include "tests/support/tar_file.h"

#define MAGIC "\x8a\x0a\x6c\xfc\x9c\x46\xf9\x20\x6a\xa8\x50\x19\x2e"

/* By protocol: pickle.dumps(0x1950a86a20f9469cfc6c, protocol). */
static const struct {
    const char *bytes;
    size_t count;
} magics[] = {{"\x80\x02" MAGIC, 15},
              {"\x80\x03" MAGIC, 15},
              {"\x80\x04\x95\x0d\0\0\0\0\0\0\0" MAGIC, 24},
              {"\x80\x05\x95\x0d\0\0\0\0\0\0\0" MAGIC, 24}};

static void append(struct tm_buf *file, struct tm_buf *pickle)
{
    put_bytes(file, pickle->data, pickle->bytes);
    tm_buf_deinit(pickle);
}

/* The legacy form with tensor "w" of storage "0", which follows storage "1". */
static void legacy(struct tm_buf *file, int protocol, bool little)
{
    struct tm_buf p;
    tm_buf_init(file, 1u << 20);
    put_bytes(file, magics[protocol - 2].bytes, magics[protocol - 2].count);
    pk_begin(&p);
    pk_int(&p, 1001);
    pk_op(&p, ".");
    append(file, &p);
    pk_begin(&p);
    pk_op(&p, "}");
    pk_str(&p, "little_endian");
    pk_op(&p, little ? "\x88s." : "\x89s.");
    append(file, &p);
    pk_begin(&p);
    pk_op(&p, "}(");
    put_item(&p, "w");
    pk_str(&p, "b");
    pk_put_tensor(&p, &(struct pk_tensor){"HalfStorage", "1", 5, 1, 1, {4}, {1}});
    pk_op(&p, "u.");
    append(file, &p);
    pk_begin(&p);
    pk_op(&p, "](");
    pk_str(&p, "1");
    pk_str(&p, "0");
    pk_op(&p, "e.");
    append(file, &p);
    put_u64(file, 5);
    put_data(file, 10);
    put_u64(file, 6);
    for (uint32_t i = 0; i < 6; i++) {
        put_u32(file, tm_f32_bits((float)i + 0.5f));
    }
}

START_TEST(the_legacy_form)
{
    struct tm_buf file;
    struct tm_err err;
    legacy(&file, _i, true);
    struct tm_checkpoint *c = open_bytes(&file, NULL, &err);
    ck_assert_msg(c != NULL, "%s", err.why);
    expect_names(c, "b w");
    ck_assert(element(c, "w", 5) == 5.5f);
    ck_assert_uint_eq(tm_checkpoint_inventory(c)->tensors[0].bytes, 8);
    tm_checkpoint_close(&c);
    for (size_t bytes = 30; bytes < file.bytes; bytes++) {
        struct tm_buf cut = file;
        cut.bytes = bytes;
        ck_assert_ptr_null(open_bytes(&cut, NULL, &err));
        ck_assert_int_eq(err.status, TM_E_MALFORMED);
    }
    tm_buf_deinit(&file);
    legacy(&file, _i, false);
    ck_assert_ptr_null(open_bytes(&file, NULL, &err));
    ck_assert_int_eq(err.status, TM_E_INCOMPATIBLE);
    ck_assert_ptr_nonnull(strstr(err.why, "endian"));
    tm_buf_deinit(&file);
}
END_TEST

/* A zip archive with entries besides the pickle. */
static struct tm_checkpoint *with_entry(const char *name, const char *text, struct tm_err *err)
{
    struct zip_maker z;
    struct tm_buf p;
    const uint8_t big[] = {0x3f, 0x80, 0, 0, 0x40, 0, 0, 0, 0, 0, 0, 0,
                           0,    0,    0, 0, 0,    0, 0, 0, 0, 0, 0, 0};
    pk_begin(&p);
    pk_op(&p, "}");
    put_item(&p, "w");
    pk_op(&p, "s.");
    zip_begin(&z);
    zip_put(&z, "m/data.pkl", p.data, p.bytes);
    zip_put(&z, "m/data/0", big, sizeof big);
    zip_put(&z, name, text, strlen(text));
    zip_end(&z);
    struct tm_checkpoint *c = open_bytes(&z.file, NULL, err);
    tm_buf_deinit(&z.file);
    tm_buf_deinit(&p);
    return c;
}

START_TEST(byte_order_and_other_entries)
{
    struct tm_err err;
    struct tm_checkpoint *c = with_entry("m/byteorder", "big", &err);
    ck_assert_ptr_nonnull(c);
    ck_assert(element(c, "w", 0) == 1.0f && element(c, "w", 1) == 2.0f);
    tm_checkpoint_close(&c);
    c = with_entry("m/byteorder", "little", &err);
    ck_assert_ptr_nonnull(c);
    ck_assert(element(c, "w", 0) != 1.0f);
    tm_checkpoint_close(&c);
    c = with_entry("byteorder", "big", &err); /* somebody else's */
    ck_assert_ptr_nonnull(c);
    ck_assert(element(c, "w", 0) != 1.0f);
    tm_checkpoint_close(&c);
    ck_assert_ptr_null(with_entry("m/byteorder", "middle", &err));
    ck_assert_ptr_nonnull(strstr(err.why, "byteorder"));
    ck_assert_ptr_null(with_entry("n/data.pkl", "N.", &err));
    ck_assert_ptr_nonnull(strstr(err.why, "two entries data.pkl"));
}
END_TEST

START_TEST(archives_that_are_no_checkpoint)
{
    struct zip_maker z;
    struct tm_err err;
    zip_begin(&z);
    zip_put(&z, "readme.txt", "hi", 2);
    zip_end(&z);
    ck_assert_ptr_null(open_bytes(&z.file, NULL, &err));
    ck_assert_int_eq(err.status, TM_E_MALFORMED);
    ck_assert_ptr_nonnull(strstr(err.why, "without data.pkl"));
    tm_buf_deinit(&z.file);
}
END_TEST

START_TEST(a_pickle_alone)
{
    struct tm_buf p;
    struct tm_err err;
    pk_begin(&p);
    put_item(&p, "w"); /* the key and the tensor: only the tensor is the root */
    pk_op(&p, ".");
    ck_assert_ptr_null(open_bytes(&p, NULL, &err));
    ck_assert_ptr_nonnull(strstr(err.why, "not in the file"));
    tm_buf_deinit(&p);
    tm_buf_init(&p, 1000);
    pk_op(&p, "cos\nsystem\n(S'ls'\ntR.");
    ck_assert_ptr_null(open_bytes(&p, NULL, &err));
    ck_assert_ptr_nonnull(strstr(err.why, "os.system"));
    tm_buf_deinit(&p);
}
END_TEST

/* A pickle of (a, b, torch.TYPE), or of (a, "cpu", torch.TYPE) when b is 0. */
static void put_three(struct tm_buf *to, uint64_t a, uint64_t b, const char *type)
{
    struct tm_buf p;
    pk_begin(&p);
    pk_op(&p, "(");
    pk_int(&p, a);
    if (b == 0) {
        pk_str(&p, "cpu");
    } else {
        pk_int(&p, b);
    }
    pk_global(&p, "torch", type);
    pk_op(&p, "t.");
    append(to, &p);
}

static void put_count(struct tm_buf *to, uint64_t count)
{
    struct tm_buf p;
    pk_begin(&p);
    pk_int(&p, count);
    pk_op(&p, ".");
    append(to, &p);
}

struct tar_parts {
    struct tm_buf storages, tensors, object, file;
};

/* Storages 10 and 11 of six floats each; when `parts`, also 12: elements 2 to 5 of 11. */
static void tar_storages(struct tar_parts *t, bool parts, uint64_t first)
{
    struct tm_buf p;
    put_count(&t->storages, 2);
    for (uint64_t key = 10; key < 12; key++) {
        put_three(&t->storages, key, 0, "FloatStorage");
        put_u64(&t->storages, 6);
        for (uint32_t i = 0; i < 6; i++) {
            put_u32(&t->storages, tm_f32_bits((float)key + (float)i / 8));
        }
    }
    if (parts) {
        const uint64_t part[] = {12, 11, first, 4};
        pk_begin(&p);
        pk_op(&p, "]");
        pk_tuple(&p, 4, part);
        pk_op(&p, "a.");
        append(&t->storages, &p);
    }
}

/* Tensor `key` of 2 x 2 elements of a storage, from its second on. */
static void tar_tensor(struct tar_parts *t, uint64_t key, uint64_t storage)
{
    put_three(&t->tensors, key, storage, "FloatTensor");
    put_u64(&t->tensors, 2); /* the rank as i32, and four bytes */
    for (int i = 0; i < 2; i++) {
        put_u64(&t->tensors, 2);
    }
    put_u64(&t->tensors, 2);
    put_u64(&t->tensors, 1);
    put_u64(&t->tensors, storage == 12 ? 0 : 1);
}

/* {"a": tensor 20, "b": tensor 21} */
static struct tm_checkpoint *tar_open(struct tar_parts *t, struct tm_err *err)
{
    uint8_t zeros[2 * TM_TAR_BLOCK] = {0};
    pk_begin(&t->object);
    pk_op(&t->object, "}(");
    pk_str(&t->object, "a");
    pk_int(&t->object, 20);
    pk_op(&t->object, "Q");
    pk_str(&t->object, "b");
    pk_int(&t->object, 21);
    pk_op(&t->object, "Qu.");
    tar_put(&t->file, "storages", tm_buf_view(&t->storages), '0');
    tar_put(&t->file, "tensors", tm_buf_view(&t->tensors), '0');
    tar_put(&t->file, "pickle", tm_buf_view(&t->object), '0');
    put_bytes(&t->file, zeros, sizeof zeros);
    struct tm_checkpoint *c = open_bytes(&t->file, NULL, err);
    tm_buf_deinit(&t->storages);
    tm_buf_deinit(&t->tensors);
    tm_buf_deinit(&t->object);
    tm_buf_deinit(&t->file);
    return c;
}

static void tar_begin(struct tar_parts *t)
{
    tm_buf_init(&t->storages, 1u << 20);
    tm_buf_init(&t->tensors, 1u << 20);
    tm_buf_init(&t->file, 4u << 20);
}

START_TEST(the_tar_form)
{
    struct tar_parts t;
    struct tm_err err;
    for (int parts = 0; parts < 2; parts++) {
        tar_begin(&t);
        tar_storages(&t, parts == 1, 2);
        put_count(&t.tensors, 2);
        tar_tensor(&t, 21, parts == 1 ? 12 : 11); /* the keys are not in order */
        tar_tensor(&t, 20, 10);
        struct tm_checkpoint *c = tar_open(&t, &err);
        ck_assert_msg(c != NULL, "%s: %s", err.where, err.why);
        expect_names(c, "a b");
        ck_assert(element(c, "a", 0) == 10.125f && element(c, "a", 3) == 10.5f);
        ck_assert(element(c, "b", 0) == (parts == 1 ? 11.25f : 11.125f));
        tm_checkpoint_close(&c);
    }
}
END_TEST

static void refuse_tar(struct tar_parts *t, const char *word)
{
    struct tm_err err;
    ck_assert_ptr_null(tar_open(t, &err));
    ck_assert_int_eq(err.status, TM_E_MALFORMED);
    ck_assert_msg(strstr(err.why, word) != NULL, "%s: %s", word, err.why);
}

START_TEST(tar_forms_that_do_not_fit)
{
    struct tar_parts t;
    tar_begin(&t);
    tar_storages(&t, true, 3); /* 3 + 4 of 6 */
    put_count(&t.tensors, 0);
    refuse_tar(&t, "a part of a storage that leaves it");
    tar_begin(&t);
    tar_storages(&t, true, 2);
    put_count(&t.tensors, 2);
    tar_tensor(&t, 20, 10);
    tar_tensor(&t, 20, 11);
    refuse_tar(&t, "two tensors have the same key");
    tar_begin(&t);
    tar_storages(&t, false, 0);
    put_count(&t.tensors, 1);
    tar_tensor(&t, 20, 10);
    refuse_tar(&t, "the tensor is not in the file");
    tar_begin(&t);
    put_count(&t.storages, 1000);
    put_count(&t.tensors, 0);
    refuse_tar(&t, "a count of storages or tensors");
}
END_TEST

/* The keys come in no order, and are found all the same. */
START_TEST(many_small_pickles)
{
    struct tar_parts t;
    struct tm_err err;
    tar_begin(&t);
    tar_storages(&t, false, 0);
    put_count(&t.tensors, 2000);
    for (uint64_t i = 0; i < 2000; i++) {
        tar_tensor(&t, 2019 - i, 10 + i % 2);
    }
    struct tm_checkpoint *c = tar_open(&t, &err);
    ck_assert_msg(c != NULL, "%s", err.why);
    ck_assert(element(c, "a", 0) == 11.125f && element(c, "b", 0) == 10.125f);
    tm_checkpoint_close(&c);
}
END_TEST

Suite *tm_suite(void)
{
    Suite *suite = suite_create("pth_forms");
    TCase *tc = tcase_create("pth_forms");
    tcase_add_loop_test(tc, the_legacy_form, 2, 6); /* protocols */
    tcase_add_test(tc, byte_order_and_other_entries);
    tcase_add_test(tc, the_tar_form);
    tcase_add_test(tc, tar_forms_that_do_not_fit);
    tcase_add_test(tc, many_small_pickles);
    tcase_add_test(tc, archives_that_are_no_checkpoint);
    tcase_add_test(tc, a_pickle_alone);
    suite_add_tcase(suite, tc);
    return suite;
}

/* SPDX-License-Identifier: Apache-2.0 */
#include "model/pth_parts.h"

#include "tests/support/pth_open.h"
#include "tests/support/suite.h"

static const char magic[] = "\x80\x02\x8a\x0a\x6c\xfc\x9c\x46\xf9\x20\x6a\xa8\x50\x19\x2e";

static void append(struct tm_buf *file, struct tm_buf *pickle)
{
    put_bytes(file, pickle->data, pickle->bytes);
    tm_buf_deinit(pickle);
}

/* The legacy form with tensor "w" of storage "0", which follows storage "1". */
static void legacy(struct tm_buf *file, bool little)
{
    struct tm_buf p;
    tm_buf_init(file, 1u << 20);
    put_bytes(file, magic, sizeof magic - 1);
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
    legacy(&file, true);
    struct tm_checkpoint *c = open_bytes(&file, NULL, &err);
    ck_assert_msg(c != NULL, "%s", err.why);
    expect_names(c, "b w");
    ck_assert(element(c, "w", 5) == 5.5f);
    ck_assert_uint_eq(tm_checkpoint_inventory(c)->tensors[0].bytes, 8);
    tm_checkpoint_close(&c);
    for (size_t bytes = 20; bytes < file.bytes; bytes++) {
        struct tm_buf cut = file;
        cut.bytes = bytes;
        ck_assert_ptr_null(open_bytes(&cut, NULL, &err));
        ck_assert_int_eq(err.status, TM_E_MALFORMED);
    }
    tm_buf_deinit(&file);
    legacy(&file, false);
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

Suite *tm_suite(void)
{
    Suite *suite = suite_create("pth_forms");
    TCase *tc = tcase_create("pth_forms");
    tcase_add_test(tc, the_legacy_form);
    tcase_add_test(tc, byte_order_and_other_entries);
    tcase_add_test(tc, archives_that_are_no_checkpoint);
    tcase_add_test(tc, a_pickle_alone);
    suite_add_tcase(suite, tc);
    return suite;
}

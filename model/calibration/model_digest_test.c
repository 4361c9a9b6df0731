/* SPDX-License-Identifier: Apache-2.0 */
#include "model/calibration/model_digest.h"

#include "tests/support/model_files.h"
#include "tests/support/suite.h"

/* Two tensors of one element each as safetensors; `order`: which comes first in the file. */
static const char *model(const struct test_dir *dir, const char *name, bool order, char value)
{
    char text[256], bytes[512];
    snprintf(text, sizeof text,
             "{\"%s\":{\"dtype\":\"U8\",\"shape\":[2],\"data_offsets\":[0,2]},"
             "\"%s\":{\"dtype\":\"U8\",\"shape\":[2],\"data_offsets\":[2,4]}}",
             order ? "a" : "b", order ? "b" : "a");
    size_t length = strlen(text);
    memset(bytes, 0, 8);
    bytes[0] = (char)length;
    memcpy(bytes + 8, text, length);
    memcpy(bytes + 8 + length, order ? "aabb" : "bbaa", 4);
    bytes[8 + length] = (char)(bytes[8 + length] + value);
    return test_put(dir, name, bytes, 12 + length);
}

static bool count_bytes(void *context, uint64_t bytes)
{
    *(uint64_t *)context = bytes;
    return bytes < 4;
}

static struct tm_digest digest_of(const char *path)
{
    struct tm_checkpoint *checkpoint = NULL;
    struct tm_digest digest;
    struct tm_err err;
    ck_assert_msg(tm_checkpoint_open(path, &checkpoint, &err) == TM_OK, "%s", err.why);
    ck_assert_int_eq(tm_model_digest(checkpoint, NULL, NULL, &digest, &err), TM_OK);
    uint64_t bytes = 0;
    struct tm_digest unused;
    ck_assert_int_eq(tm_model_digest(checkpoint, count_bytes, &bytes, &unused, &err), TM_E_STOPPED);
    ck_assert_uint_eq(bytes, 4);
    tm_checkpoint_close(&checkpoint);
    return digest;
}

START_TEST(the_order_in_the_file_does_not_matter)
{
    struct test_dir dir = test_dir_make();
    struct tm_digest a = digest_of(model(&dir, "a.safetensors", true, 0));
    struct tm_digest b = digest_of(model(&dir, "b.safetensors", false, 0));
    struct tm_digest c = digest_of(model(&dir, "c.safetensors", true, 1));
    ck_assert(tm_digest_eq(&a, &b));
    ck_assert(!tm_digest_eq(&a, &c));
    test_dir_remove(&dir);
}
END_TEST

/* By the header's own words, so that others can compute it. */
START_TEST(the_digest_is_that_of_the_description)
{
    struct test_dir dir = test_dir_make();
    struct tm_digest a = digest_of(model(&dir, "a.safetensors", true, 0)), source, want;
    struct tm_buf buf;
    tm_buf_init(&buf, 1 << 10);
    ck_assert_int_eq(tm_buf_put_str(&buf, "tensormill.model.v1"), TM_OK);
    for (int i = 0; i < 2; i++) {
        char name[2] = {(char)('a' + i), 0}, data[2] = {name[0], name[0]};
        put_u32(&buf, 1);
        put_u32(&buf, TM_U8);
        put_u32(&buf, 1);
        put_bytes(&buf, name, 1);
        put_u64(&buf, 2);
        source = tm_digest_of(tm_view_of(data, 2));
        put_bytes(&buf, source.b, TM_DIGEST_BYTES);
    }
    want = tm_digest_of(tm_buf_view(&buf));
    ck_assert(tm_digest_eq(&a, &want));
    tm_buf_deinit(&buf);
    test_dir_remove(&dir);
}
END_TEST

Suite *tm_suite(void)
{
    Suite *suite = suite_create("model_digest");
    TCase *tcase = tcase_create("model_digest");
    tcase_add_test(tcase, the_order_in_the_file_does_not_matter);
    tcase_add_test(tcase, the_digest_is_that_of_the_description);
    suite_add_tcase(suite, tcase);
    return suite;
}

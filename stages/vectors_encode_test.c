/* SPDX-License-Identifier: Apache-2.0 */
#include "stages/vectors_encode.h"

#include <stdio.h>
#include <stdlib.h>

#include "base/file.h"
#include "tests/support/block_inputs.h"
#include "tests/support/suite.h"

#define VECTORS_FILE "tests/vectors/stages/vectors.txt"

/* The file's text as this build would write it. */
static struct tm_buf vectors_text(void)
{
    struct tm_buf text;
    tm_buf_init(&text, 1 << 16);
    for (size_t i = 0; i < tm_vector_count(); i++) {
        const struct tm_vector *v = tm_vector_at(i);
        struct tm_digest digest;
        char hex[TM_DIGEST_TEXT];
        ck_assert_int_eq(tm_vector_digest(v, &digest, NULL), TM_OK);
        ck_assert_int_eq(tm_buf_printf(&text, "%s | %u x %u | %s | %u | %s\n", v->pipeline,
                                       v->shape.rows, v->shape.cols, tm_vector_kind_name(v->kind),
                                       (unsigned)v->seed, tm_digest_hex(&digest, hex)),
                         TM_OK);
    }
    return text;
}

/* TM_VECTORS_WRITE=1 prints the text instead, for a new version of a stage. */
START_TEST(vectors_equal_the_committed_ones)
{
    FOR_EACH_KERNEL(kernel)
    {
        struct tm_buf text = vectors_text(), want;
        if (getenv("TM_VECTORS_WRITE") != NULL) {
            fwrite(text.data, 1, text.bytes, stdout);
        }
        tm_buf_init(&want, 1 << 16);
        ck_assert_int_eq(tm_file_read(VECTORS_FILE, &want, NULL), TM_OK);
        ck_assert(tm_view_eq(tm_buf_view(&text), tm_buf_view(&want)));
        tm_buf_deinit(&text);
        tm_buf_deinit(&want);
    }
}
END_TEST

/* The generator is what the README says: splitmix64 from the seed, checked on its first outputs
 * (seed 1: 910a2dec89025cc1, beeb8da1658eec67). */
START_TEST(inputs_are_as_described)
{
    struct tm_vector v = {"raw", {1, 1}, TM_VECTOR_BELL, 1};
    float x;
    tm_vector_fill(&v, &x);
    int sum = 0x910a + 0x2dec + 0x8902 + 0x5cc1 + 0xbeeb + 0x8da1 + 0x658e + 0xec67 - 4 * 65535;
    ck_assert_float_eq(x, (float)sum / 262144.0f);
}
END_TEST

START_TEST(failed_allocations)
{
    size_t live = tm_mem_live_blocks();
    bool failed = true;
    for (uint64_t n = 1; failed; n++) {
        struct tm_digest digest;
        tm_mem_fail_at(n);
        tm_status status = tm_vector_digest(tm_vector_at(1), &digest, NULL);
        failed = tm_mem_failed();
        tm_mem_fail_at(0);
        ck_assert_int_eq(status, failed ? TM_E_NOMEM : TM_OK);
        ck_assert_uint_eq(tm_mem_live_blocks(), live);
    }
}
END_TEST

Suite *tm_suite(void)
{
    Suite *suite = suite_create("vectors_encode");
    TCase *tc = tcase_create("vectors_encode");
    tcase_set_timeout(tc, 60);
    tcase_add_test(tc, vectors_equal_the_committed_ones);
    tcase_add_test(tc, inputs_are_as_described);
    tcase_add_test(tc, failed_allocations);
    suite_add_tcase(suite, tc);
    return suite;
}

/* SPDX-License-Identifier: Apache-2.0 */
#include "model/layout.h"

#include "base/mem.h"
#include "base/rng.h"
#include "tests/support/pth_file.h"
#include "tests/support/suite.h"

#define ELEMENTS 6000u

/* A file of u16 numbers 0, 1, 2... behind three bytes; big-endian when swapped. */
static struct tm_file_in *make(const struct test_dir *dir, bool swapped)
{
    struct tm_buf data;
    struct tm_file_in *file = NULL;
    struct tm_err err;
    tm_buf_init(&data, 1u << 20);
    put_bytes(&data, "xyz", 3);
    for (uint32_t i = 0; i < ELEMENTS; i++) {
        uint8_t number[2] = {(uint8_t)(swapped ? i >> 8 : i), (uint8_t)(swapped ? i : i >> 8)};
        put_bytes(&data, number, 2);
    }
    ck_assert_int_eq(tm_file_open(test_put_buf(dir, "f", &data), &file, &err), TM_OK);
    tm_buf_deinit(&data);
    return file;
}

static const struct {
    struct tm_shape shape;
    uint64_t stride[4];
    uint64_t first;
    bool dense;
} views[] = {
    {{2, {50, 100}}, {100, 1}, 7, true},
    {{2, {100, 50}}, {1, 100}, 0, false}, /* a transpose */
    {{2, {3, 1}}, {5, 77}, 2, false},
    {{2, {1, 40}}, {999, 1}, 2, true},             /* the stride of one does not matter */
    {{4, {4, 3, 5, 6}}, {90, 1, 18, 3}, 1, false}, /* channels last */
    {{1, {1500}}, {4}, 0, false},
    {{2, {40, 30}}, {0, 1}, 5, false},     /* a row again and again */
    {{3, {2, 3, 4}}, {1, 2, 6}, 0, false}, /* Fortran's order */
    {{0, {0}}, {0}, 9, true},
};

/* What the element at an index of the view must be. */
static uint64_t expected(size_t v, uint64_t index)
{
    uint64_t place = views[v].first;
    for (uint32_t d = views[v].shape.rank; d > 0; d--) {
        place += index % views[v].shape.dim[d - 1] * views[v].stride[d - 1];
        index /= views[v].shape.dim[d - 1];
    }
    return place;
}

START_TEST(every_part_of_every_view)
{
    struct test_dir dir = test_dir_make();
    struct tm_rng rng;
    tm_rng_init(&rng, 3);
    for (int swapped = 0; swapped < 2; swapped++) {
        struct tm_file_in *file = make(&dir, swapped == 1);
        for (size_t v = 0; v < sizeof views / sizeof views[0]; v++) {
            struct tm_tensor tensor = {.name = (char *)(uintptr_t) "t", .name_bytes = 1};
            struct tm_layout layout = {.element_bytes = 2, .swapped = swapped == 1};
            uint64_t count = 1;
            uint8_t out[2 * ELEMENTS];
            tensor.shape = views[v].shape;
            tensor.offset = 3 + 2 * views[v].first;
            memcpy(layout.stride, views[v].stride, sizeof views[v].stride);
            ck_assert_int_eq(tm_layout_is_dense(&tensor.shape, layout.stride), views[v].dense);
            layout.strided = !views[v].dense;
            for (uint32_t d = 0; d < tensor.shape.rank; d++) {
                count *= tensor.shape.dim[d];
            }
            for (int i = 0; i < 60; i++) {
                uint64_t from = i == 0 ? 0 : tm_rng_below(&rng, 2 * count);
                size_t bytes =
                    (size_t)(i == 0 ? 2 * count : 1 + tm_rng_below(&rng, 2 * count - from));
                ck_assert_int_eq(tm_layout_read(&layout, file, &tensor, from, out, bytes, NULL),
                                 TM_OK);
                for (size_t b = 0; b < bytes; b++) {
                    uint64_t value = expected(v, (from + b) / 2);
                    ck_assert_uint_eq(out[b], (uint8_t)((from + b) % 2 == 0 ? value : value >> 8));
                }
            }
        }
        tm_file_close(&file);
    }
    test_dir_remove(&dir);
}
END_TEST

START_TEST(extents)
{
    const uint64_t huge[2] = {UINT64_MAX, 1}, plain[2] = {10, 3};
    struct tm_shape shape = {.rank = 2, .dim = {4, 5}};
    uint64_t last = 0;
    ck_assert(tm_layout_extent(&shape, plain, &last));
    ck_assert_uint_eq(last, 3 * 10 + 4 * 3);
    ck_assert(!tm_layout_extent(&shape, huge, &last));
    shape.dim[1] = 0;
    ck_assert(tm_layout_extent(&shape, huge, &last));
    ck_assert_uint_eq(last, 0);
}
END_TEST

START_TEST(checksums)
{
    struct test_dir dir = test_dir_make();
    struct tm_file_in *file = NULL;
    struct tm_err err;
    struct tm_tensor tensor = {.name = (char *)(uintptr_t) "t", .name_bytes = 1};
    ck_assert_int_eq(tm_file_open(test_put_text(&dir, "c", "..hello."), &file, &err), TM_OK);
    struct tm_layout_check check = {.at = 2, .bytes = 5, .crc = zip_crc("hello", 5)};
    ck_assert_int_eq(tm_layout_check(&check, file, &tensor, &err), TM_OK);
    ck_assert(atomic_load(&check.good));
    struct tm_layout_check wrong = {.at = 2, .bytes = 5, .crc = 1};
    ck_assert_int_eq(tm_layout_check(&wrong, file, &tensor, &err), TM_E_MALFORMED);
    ck_assert_ptr_nonnull(strstr(err.why, "CRC"));
    ck_assert_ptr_nonnull(strstr(err.where, "'t'"));
    tm_file_close(&file);
    test_dir_remove(&dir);
}
END_TEST

Suite *tm_suite(void)
{
    Suite *suite = suite_create("layout");
    TCase *tc = tcase_create("layout");
    tcase_add_test(tc, every_part_of_every_view);
    tcase_add_test(tc, extents);
    tcase_add_test(tc, checksums);
    suite_add_tcase(suite, tc);
    return suite;
}

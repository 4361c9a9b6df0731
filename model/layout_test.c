/* SPDX-License-Identifier: Apache-2.0 */
#include "model/layout.h"

#include "base/mem.h"
#include "base/rng.h"
#include "tests/support/pth_file.h"
#include "tests/support/suite.h"

#define ELEMENTS 300000u /* more than is read at once */

/* The u16 that is element `place` of the file. */
static uint16_t value_at(uint64_t place)
{
    return (uint16_t)(place + place / 65536 * 12345);
}

/* A file of u16 numbers behind three bytes; big-endian when swapped. */
static struct tm_file_in *make(const struct test_dir *dir, bool swapped)
{
    struct tm_buf data;
    struct tm_file_in *file = NULL;
    struct tm_err err;
    tm_buf_init(&data, 1u << 20);
    put_bytes(&data, "xyz", 3);
    for (uint32_t i = 0; i < ELEMENTS; i++) {
        uint16_t v = value_at(i);
        uint8_t number[2] = {(uint8_t)(swapped ? v >> 8 : v), (uint8_t)(swapped ? v : v >> 8)};
        put_bytes(&data, number, 2);
    }
    ck_assert_int_eq(tm_file_open(test_put_buf(dir, "f", &data), &file, &err), TM_OK);
    tm_buf_deinit(&data);
    return file;
}

struct view {
    struct tm_shape shape;
    uint64_t stride[TM_RANK_MAX];
    uint64_t first;
    bool dense;
};

static const struct view views[] = {
    {{2, {50, 100}}, {100, 1}, 7, true},
    {{2, {100, 50}}, {1, 100}, 0, false}, /* a transpose */
    {{2, {3, 1}}, {5, 77}, 2, false},
    {{2, {1, 40}}, {999, 1}, 2, true},             /* the stride of one does not matter */
    {{4, {4, 3, 5, 6}}, {90, 1, 18, 3}, 1, false}, /* channels last */
    {{1, {1500}}, {4}, 0, false},
    {{2, {40, 30}}, {0, 1}, 5, false},     /* a row again and again */
    {{3, {2, 3, 4}}, {1, 2, 6}, 0, false}, /* Fortran's order */
    {{0, {0}}, {0}, 9, true},
    {{2, {600, 500}}, {1, 600}, 0, false},             /* larger than what is read at once */
    {{3, {3, 250, 400}}, {100000, 1, 250}, 0, false},  /* the same, within a third */
    {{3, {20, 10, 10}}, {1, 29000, 3000}, 100, false}, /* far apart */
    {{2, {10, 100}}, {100, 99}, 1, false},             /* elements between each other */
    {{3, {10, 100, 3}}, {2900, 2600, 5000}, 1, false}, /* the same, far apart */
    {{8, {2, 3, 2, 3, 2, 3, 2, 3}}, {1, 7, 50, 91, 5000, 11000, 30000, 70000}, 3, false},
    {{2, {100, 100}}, {0, 2999}, 0, false},
};

/* What the element at an index of the view must be. */
static uint16_t expected(const struct view *v, uint64_t index)
{
    uint64_t place = v->first;
    for (uint32_t d = v->shape.rank; d > 0; d--) {
        place += index % v->shape.dim[d - 1] * v->stride[d - 1];
        index /= v->shape.dim[d - 1];
    }
    return value_at(place);
}

/* The whole view and parts of it at random. */
static void check_view(const struct view *v, struct tm_file_in *file, bool swapped, int parts,
                       struct tm_rng *rng)
{
    struct tm_tensor tensor = {.name = (char *)(uintptr_t) "t", .name_bytes = 1};
    struct tm_layout layout = {.element_bytes = 2, .swapped = swapped};
    uint64_t count = 1;
    tensor.shape = v->shape;
    tensor.offset = 3 + 2 * v->first;
    memcpy(layout.stride, v->stride, sizeof v->stride);
    layout.strided = !tm_layout_is_dense(&tensor.shape, layout.stride);
    for (uint32_t d = 0; d < tensor.shape.rank; d++) {
        count *= tensor.shape.dim[d];
    }
    uint8_t *out = tm_alloc(2 * (size_t)count);
    ck_assert_ptr_nonnull(out);
    for (int i = 0; i < parts; i++) {
        uint64_t from = i == 0 ? 0 : tm_rng_below(rng, 2 * count);
        size_t bytes = (size_t)(i == 0 ? 2 * count : 1 + tm_rng_below(rng, 2 * count - from));
        ck_assert_int_eq(tm_layout_read(&layout, file, &tensor, from, out, bytes, NULL), TM_OK);
        for (size_t b = 0; b < bytes; b++) {
            uint16_t value = expected(v, (from + b) / 2);
            if (out[b] != (uint8_t)((from + b) % 2 == 0 ? value : value >> 8)) {
                ck_abort_msg("byte %zu of %zu from %llu", b, bytes, (unsigned long long)from);
            }
        }
    }
    tm_free(out);
}

START_TEST(every_part_of_every_view)
{
    struct test_dir dir = test_dir_make();
    struct tm_rng rng;
    tm_rng_init(&rng, 3);
    for (int swapped = 0; swapped < 2; swapped++) {
        struct tm_file_in *file = make(&dir, swapped == 1);
        for (size_t v = 0; v < sizeof views / sizeof views[0]; v++) {
            ck_assert_int_eq(tm_layout_is_dense(&views[v].shape, views[v].stride), views[v].dense);
            check_view(&views[v], file, swapped == 1, 20, &rng);
        }
        tm_file_close(&file);
    }
    test_dir_remove(&dir);
}
END_TEST

/* Shapes and strides at random, as long as they stay within the file. */
START_TEST(views_at_random)
{
    struct test_dir dir = test_dir_make();
    struct tm_file_in *file = make(&dir, false);
    struct tm_rng rng;
    tm_rng_init(&rng, 11);
    for (int i = 0; i < 400;) {
        struct view v = {.first = tm_rng_below(&rng, 1000)};
        uint64_t last = 0, elements = 0;
        v.shape.rank = 1 + (uint32_t)tm_rng_below(&rng, 5);
        for (uint32_t d = 0; d < v.shape.rank; d++) {
            v.shape.dim[d] = 1 + tm_rng_below(&rng, tm_rng_below(&rng, 3) == 0 ? 200 : 8);
            v.stride[d] = tm_rng_below(&rng, UINT64_C(1) << tm_rng_below(&rng, 17));
        }
        if (tm_layout_extent(&v.shape, v.stride, &last) && last < ELEMENTS - v.first &&
            tm_shape_elements(&v.shape, &elements) && elements < 50000) {
            check_view(&v, file, false, 4, &rng);
            i++;
        }
    }
    tm_file_close(&file);
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
    tcase_add_test(tc, views_at_random);
    tcase_add_test(tc, extents);
    tcase_add_test(tc, checksums);
    suite_add_tcase(suite, tc);
    return suite;
}

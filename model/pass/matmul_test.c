/* SPDX-License-Identifier: Apache-2.0 */
#include "model/pass/matmul.h"

#include <string.h>

#include "base/rng.h"
#include "model/convert.h"
#include "model/pass/dot.h"
#include "tests/support/suite.h"

#define ROWS 133
#define COLS 96
#define VECTORS 13

static uint8_t packed[ROWS * COLS * 4];
static float plain[ROWS * COLS], x[VECTORS * COLS], want[VECTORS * ROWS], got[VECTORS * ROWS];

static struct tm_matrix fill(enum tm_dtype dtype)
{
    struct tm_rng rng;
    tm_rng_init(&rng, 9);
    for (size_t i = 0; i < VECTORS * COLS; i++) {
        x[i] = (float)tm_rng_normal(&rng);
    }
    for (size_t i = 0; i < ROWS * COLS; i++) {
        plain[i] = (float)tm_rng_normal(&rng);
    }
    if (dtype == TM_F32) {
        memcpy(packed, plain, sizeof plain);
    } else {
        ck_assert_int_eq(tm_convert_from_f32(dtype, plain, ROWS * COLS, packed), TM_OK);
        ck_assert_int_eq(tm_convert_to_f32(dtype, packed, ROWS * COLS, plain), TM_OK);
    }
    size_t row = COLS / tm_dtype_block_elements(dtype) * tm_dtype_block_bytes(dtype);
    return (struct tm_matrix){dtype, ROWS, COLS, packed, row};
}

/* The rows as three matrices at once: 70, 1 and 62 of them. */
static void check_several(struct tm_team *team, const struct tm_matrix *m, size_t vectors)
{
    const uint32_t first[] = {0, 70, 71, ROWS};
    struct tm_matrix parts[3];
    struct tm_product products[3];
    for (size_t i = 0; i < 3; i++) {
        parts[i] = *m;
        parts[i].rows = first[i + 1] - first[i];
        parts[i].data += first[i] * m->row_bytes;
        products[i] = (struct tm_product){&parts[i], got + first[i], ROWS};
    }
    memset(got, 0xff, sizeof got);
    tm_matmul_all(team, products, 3, (struct tm_vectors){x, COLS, vectors});
    ck_assert_mem_eq(got, want, vectors * ROWS * sizeof *got);
}

/* Whatever the threads and the number of vectors, the bits are those of one product alone. */
START_TEST(products)
{
    const enum tm_dtype dtypes[] = {TM_F32, TM_F16, TM_BF16, TM_Q8_0, TM_Q4_0};
    for (size_t d = 0; d < 5; d++) {
        struct tm_matrix m = fill(dtypes[d]);
        tm_dot(&(struct tm_dot){m.dtype, packed, m.row_bytes, ROWS, COLS, x, COLS, VECTORS, want,
                                ROWS});
        for (size_t threads = 0; threads <= 3; threads++) {
            struct tm_team *team = NULL;
            ck_assert_int_eq(tm_team_new(threads, tm_matmul_room(COLS), &team), TM_OK);
            for (size_t vectors = 1; vectors <= VECTORS; vectors += 2) {
                memset(got, 0xff, sizeof got);
                tm_matmul(team, &m, (struct tm_vectors){x, COLS, vectors}, got, ROWS);
                ck_assert_mem_eq(got, want, vectors * ROWS * sizeof *got);
                check_several(team, &m, vectors);
            }
            tm_team_destroy(&team);
            ck_assert_ptr_null(team);
        }
        float row[COLS];
        tm_matrix_row(&m, ROWS - 1, row);
        ck_assert_mem_eq(row, plain + (size_t)(ROWS - 1) * COLS, sizeof row);
    }
}
END_TEST

Suite *tm_suite(void)
{
    TCase *tcase = tcase_create("matmul");
    tcase_add_test(tcase, products);
    Suite *suite = suite_create("matmul");
    suite_add_tcase(suite, tcase);
    return suite;
}

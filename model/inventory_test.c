/* SPDX-License-Identifier: Apache-2.0 */
#include "model/inventory.h"

#include <stdio.h>
#include <string.h>
#include <time.h>

#include "base/mem.h"
#include "tests/support/suite.h"

static tm_status add(struct tm_inventory *inventory, const char *name)
{
    struct tm_tensor tensor = {.name = (char *)(uintptr_t)name,
                               .name_bytes = strlen(name),
                               .shape = {.rank = 1, .dim = {3}},
                               .bytes = 12};
    return tm_inventory_add_tensor(inventory, &tensor);
}

START_TEST(natural_order)
{
    static const char *const wanted[] = {
        "model.embed_tokens.weight",
        "model.layers.0.input_layernorm.weight",
        "model.layers.0.mlp.experts.2.w1",
        "model.layers.0.mlp.experts.10.w1",
        "model.layers.2.mlp.up_proj.weight",
        "model.layers.10.mlp.up_proj.weight",
        "model.norm.weight",
        "v01",
        "v1",
        "v1a",
        "v02",
        "lm_head.weight",
        NULL,
    };
    struct tm_inventory inventory = {.tensor_count = 0};
    /* From the end, and from the middle out: the order of adding must not matter. */
    for (int turn = 0; turn < 2; turn++) {
        size_t count = 12;
        for (size_t i = 0; i < count; i++) {
            size_t at = turn == 0 ? count - 1 - i : (i * 5 + 3) % count;
            ck_assert_int_eq(add(&inventory, wanted[at]), TM_OK);
        }
        ck_assert_int_eq(tm_inventory_sort_natural(&inventory), TM_OK);
        for (size_t i = 0; i < count; i++) {
            ck_assert_str_eq(inventory.tensors[i].name, wanted[i]);
        }
        tm_inventory_deinit(&inventory);
    }
}
END_TEST

START_TEST(find_before_and_after_sealing)
{
    struct tm_inventory inventory = {.tensor_count = 0};
    ck_assert_uint_eq(tm_inventory_find(&inventory, "a", 1), 0);
    ck_assert_int_eq(add(&inventory, "b"), TM_OK);
    ck_assert_int_eq(add(&inventory, "ab"), TM_OK);
    ck_assert_int_eq(add(&inventory, "a"), TM_OK);
    ck_assert_int_eq(add(&inventory, ""), TM_OK);
    for (int turn = 0; turn < 2; turn++) {
        ck_assert_uint_eq(tm_inventory_find(&inventory, "b", 1), 0);
        ck_assert_uint_eq(tm_inventory_find(&inventory, "ab", 2), 1);
        ck_assert_uint_eq(tm_inventory_find(&inventory, "ab", 1), 2);
        ck_assert_uint_eq(tm_inventory_find(&inventory, "", 0), 3);
        ck_assert_uint_eq(tm_inventory_find(&inventory, "c", 1), 4);
        struct tm_err err;
        ck_assert_int_eq(tm_inventory_seal(&inventory, &err), TM_OK);
    }
    ck_assert_uint_eq(inventory.total_bytes, 48);
    ck_assert_uint_eq(inventory.total_elements, 12);
    tm_inventory_deinit(&inventory);
}
END_TEST

START_TEST(duplicates_are_refused)
{
    struct tm_inventory inventory = {.tensor_count = 0};
    struct tm_err err;
    ck_assert_int_eq(add(&inventory, "twice"), TM_OK);
    ck_assert_int_eq(add(&inventory, "once"), TM_OK);
    ck_assert_int_eq(add(&inventory, "twice"), TM_OK);
    ck_assert_int_eq(tm_inventory_seal(&inventory, &err), TM_E_MALFORMED);
    ck_assert_ptr_nonnull(strstr(err.what, "duplicate"));
    ck_assert_ptr_nonnull(strstr(err.where, "'twice'"));
    tm_inventory_deinit(&inventory);
}
END_TEST

START_TEST(totals_do_not_wrap)
{
    struct tm_inventory inventory = {.tensor_count = 0};
    struct tm_err err;
    ck_assert_int_eq(add(&inventory, "a"), TM_OK);
    ck_assert_int_eq(add(&inventory, "b"), TM_OK);
    inventory.tensors[0].bytes = UINT64_MAX - 3;
    ck_assert_int_eq(tm_inventory_seal(&inventory, &err), TM_E_MALFORMED);
    tm_inventory_deinit(&inventory);
}
END_TEST

START_TEST(fifty_thousand_tensors)
{
    struct tm_inventory inventory = {.tensor_count = 0};
    struct tm_err err;
    clock_t start = clock();
    for (int i = 0; i < 50000; i++) {
        char name[64];
        snprintf(name, sizeof name, "model.layers.%d.experts.%d.w", i % 61, i);
        ck_assert_int_eq(add(&inventory, name), TM_OK);
    }
    ck_assert_int_eq(tm_inventory_sort_natural(&inventory), TM_OK);
    ck_assert_int_eq(tm_inventory_seal(&inventory, &err), TM_OK);
    for (size_t i = 0; i < 50000; i++) {
        const struct tm_tensor *t = &inventory.tensors[i];
        ck_assert_uint_eq(tm_inventory_find(&inventory, t->name, t->name_bytes), i);
    }
    /* Milliseconds when it is right; a quadratic search takes many seconds. */
    ck_assert(clock() - start < 5 * CLOCKS_PER_SEC);
    tm_inventory_deinit(&inventory);
}
END_TEST

static tm_status build(struct tm_inventory *inventory, struct tm_err *err)
{
    uint8_t data[3] = {1, 2, 3};
    uint32_t file;
    struct tm_attachment attachment = {
        .name = (char *)(uintptr_t) "config.json", .bytes = 3, .in_memory = true, .data = data};
    TM_TRY(tm_inventory_add_file(inventory, "m", &file));
    TM_TRY(add(inventory, "b"));
    TM_TRY(add(inventory, "a"));
    TM_TRY(tm_inventory_add_attachment(inventory, &attachment));
    TM_TRY(tm_inventory_warn(inventory, "%d things", 3));
    TM_TRY(tm_inventory_set_arch(inventory, tm_view_str("llama")));
    TM_TRY(tm_inventory_sort_natural(inventory));
    return tm_inventory_seal(inventory, err);
}

START_TEST(every_allocation_may_fail)
{
    size_t live = tm_mem_live_blocks();
    bool done = false;
    for (uint64_t n = 1; !done; n++) {
        struct tm_inventory inventory = {.tensor_count = 0};
        struct tm_err err;
        tm_mem_fail_at(n);
        tm_status status = build(&inventory, &err);
        done = !tm_mem_failed();
        tm_mem_fail_at(0);
        ck_assert_int_eq(status, done ? TM_OK : TM_E_NOMEM);
        if (done) {
            ck_assert_uint_eq(tm_inventory_attachment(&inventory, "config.json"), 0);
            ck_assert_uint_eq(tm_inventory_attachment(&inventory, "other"), 1);
            ck_assert_str_eq(inventory.warnings[0], "3 things");
            ck_assert_str_eq(inventory.tensors[0].name, "a");
        }
        tm_inventory_deinit(&inventory);
        ck_assert_uint_eq(tm_mem_live_blocks(), live);
    }
}
END_TEST

Suite *tm_suite(void)
{
    Suite *suite = suite_create("inventory");
    TCase *tcase = tcase_create("inventory");
    tcase_add_test(tcase, natural_order);
    tcase_add_test(tcase, find_before_and_after_sealing);
    tcase_add_test(tcase, duplicates_are_refused);
    tcase_add_test(tcase, totals_do_not_wrap);
    tcase_add_test(tcase, fifty_thousand_tensors);
    tcase_add_test(tcase, every_allocation_may_fail);
    suite_add_tcase(suite, tcase);
    return suite;
}

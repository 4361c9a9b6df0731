/* SPDX-License-Identifier: Apache-2.0 */
#include "scheduler/split.h"

#include <stdio.h>
#include <string.h>

#include "base/mem.h"
#include "base/rng.h"
#include "tests/support/suite.h"

START_TEST(layers)
{
    static const struct {
        const char *name;
        int64_t layer;
    } cases[] = {
        {"blk.12.ffn_up.weight", 12},
        {"model.layers.0.mlp.up_proj.weight", 0},
        {"h.7.attn", 7},
        {"token_embd.weight", -1},
        {"", -1},
        {"layers/3/w", 3},
        {"layer3.w", -1},
        {"blk.-1.w", -1},
        {"blk.99999999999999999999.w", -1},
        {"blk.65536.w", -1},
        {"blk.65535.w", 65535},
        {"a.b.5", 5},
        {"layers.2.experts.9.w", 2},
        {"..", -1},
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        ck_assert_msg(tm_layer_of_name(cases[i].name) == cases[i].layer, "%s", cases[i].name);
    }
}
END_TEST

static const enum tm_dtype dtypes[] = {TM_F32,  TM_F16,  TM_BF16, TM_F64,  TM_I8,
                                       TM_Q4_0, TM_Q5_1, TM_Q8_0, TM_Q4_K, TM_Q6_K};

struct world {
    struct tm_tensor tensors[20];
    struct tm_attachment attachments[3];
    struct tm_inventory inventory;
    struct tm_plan plan;
};

static void random_shape(struct tm_rng *rng, enum tm_dtype dtype, struct tm_shape *shape)
{
    uint32_t block = tm_dtype_block_elements(dtype);
    shape->rank = block > 1 ? 1 + (uint32_t)tm_rng_below(rng, 3) : (uint32_t)tm_rng_below(rng, 4);
    for (uint32_t d = 0; d < shape->rank; d++) {
        shape->dim[d] = tm_rng_below(rng, tm_rng_below(rng, 8) == 0 ? 200 : 10);
    }
    if (shape->rank > 0) {
        shape->dim[shape->rank - 1] =
            (1 + tm_rng_below(rng, tm_rng_below(rng, 4) == 0 ? 40 : 5)) * block;
    }
}

static void random_world(struct tm_rng *rng, struct world *w)
{
    static const char *const names[] = {"embed", "blk.0.w", "blk.1.w", "norm", "blk.2.w", "head"};
    uint32_t index = 0;
    memset(w, 0, sizeof *w);
    w->inventory.tensors = w->tensors;
    w->inventory.attachments = w->attachments;
    w->inventory.tensor_count = (size_t)tm_rng_below(rng, 21);
    w->inventory.attachment_count = (size_t)tm_rng_below(rng, 4);
    ck_assert_int_eq(tm_plan_add_pipeline(&w->plan, "int4", false, &index), TM_OK);
    if (tm_rng_below(rng, 2) == 0) {
        ck_assert_int_eq(tm_plan_add_pipeline(&w->plan, "raw", true, &index), TM_OK);
    }
    w->plan.tensor_count = w->inventory.tensor_count;
    w->plan.tensors = tm_calloc(w->plan.tensor_count, sizeof *w->plan.tensors);
    for (size_t i = 0; i < w->inventory.tensor_count; i++) {
        struct tm_tensor *t = &w->tensors[i];
        t->name = (char *)(uintptr_t)names[tm_rng_below(rng, 6)];
        t->name_bytes = strlen(t->name);
        t->dtype = dtypes[tm_rng_below(rng, sizeof dtypes / sizeof dtypes[0])];
        random_shape(rng, t->dtype, &t->shape);
        ck_assert(tm_shape_bytes(&t->shape, t->dtype, &t->bytes));
        w->plan.tensors[i].pipeline = (uint32_t)tm_rng_below(rng, w->plan.pipeline_count);
    }
    for (size_t i = 0; i < w->inventory.attachment_count; i++) {
        w->attachments[i].bytes = tm_rng_below(rng, 5000);
    }
}

/* Check's own assertions cost a system call each, too much for every unit. */
#define MUST(condition)                                                                            \
    do {                                                                                           \
        if (!(condition)) {                                                                        \
            ck_abort_msg("%s", #condition);                                                        \
        }                                                                                          \
    } while (0)

/* The units of one part, in order, cover its bytes once and are as large as the rules say. */
static void check_part(const struct world *w, const struct tm_split *split, size_t part,
                       uint32_t block_weights)
{
    bool attachment = part >= w->inventory.tensor_count;
    size_t index = attachment ? part - w->inventory.tensor_count : part;
    const struct tm_tensor *tensor = attachment ? NULL : &w->tensors[index];
    uint64_t bytes = attachment ? w->attachments[index].bytes : tensor->bytes;
    uint64_t rows = 0, cols = 0, at = 0, weights = 0;
    if (!attachment) {
        tm_shape_matrix(&tensor->shape, &rows, &cols);
    }
    for (uint32_t u = split->first[part]; u < split->first[part + 1]; u++) {
        const struct tm_unit *unit = &split->units[u];
        bool last = u + 1 == split->first[part + 1];
        MUST(unit->tensor == index);
        MUST(unit->attachment == attachment);
        MUST(unit->lossless == w->plan.lossless[unit->pipeline]);
        MUST(unit->source_offset == at);
        MUST(unit->source_bytes > 0);
        at += unit->source_bytes;
        if (unit->lossless) {
            MUST(unit->rows == 1);
            MUST(unit->cols == unit->source_bytes);
            MUST(last ? unit->cols <= 4 * block_weights : unit->cols == 4 * block_weights);
            continue;
        }
        MUST(unit->pipeline == w->plan.tensors[index].pipeline);
        uint64_t size = (uint64_t)unit->rows * unit->cols;
        MUST(size <= block_weights);
        MUST(size % tm_dtype_block_elements(tensor->dtype) == 0);
        MUST(size / tm_dtype_block_elements(tensor->dtype) * tm_dtype_block_bytes(tensor->dtype) ==
             unit->source_bytes);
        if (cols <= block_weights) {
            MUST(unit->cols == cols);
            MUST(last || unit->rows == block_weights / cols);
        } else {
            MUST(unit->rows == 1);
            MUST(unit->cols == block_weights || (weights + size) % cols == 0);
        }
        weights += size;
    }
    MUST(at == bytes);
}

START_TEST(units_tile_each_part)
{
    static const uint32_t blocks[] = {256, 512, 1024, 65536, 16u * 1024 * 1024};
    struct tm_rng rng;
    tm_rng_init(&rng, 1000 + (uint64_t)_i);
    for (int round = 0; round < 60; round++) {
        struct world w;
        struct tm_split split;
        random_world(&rng, &w);
        struct tm_err err = {0};
        ck_assert_msg(tm_split_make(&w.inventory, &w.plan, blocks[_i], &split, &err) == TM_OK, "%s",
                      err.why);
        size_t parts = w.inventory.tensor_count + w.inventory.attachment_count;
        ck_assert_uint_eq(split.first[0], 0);
        ck_assert_uint_eq(split.first[parts], split.unit_count);
        for (size_t part = 0; part < parts; part++) {
            check_part(&w, &split, part, blocks[_i]);
        }
        tm_split_deinit(&split);
        tm_plan_deinit(&w.plan);
    }
    ck_assert_uint_eq(tm_mem_live_blocks(), 0);
}
END_TEST

/* 3 x 1000 at 256 weights a block: each row is cut into 256, 256, 256, 232. */
START_TEST(by_hand)
{
    struct tm_tensor tensor = {.name = "w",
                               .name_bytes = 1,
                               .dtype = TM_F16,
                               .shape = {.rank = 2, .dim = {3, 1000}},
                               .bytes = 6000};
    struct tm_attachment attachment = {.bytes = 1025};
    struct tm_inventory inventory = {
        .tensors = &tensor, .tensor_count = 1, .attachments = &attachment, .attachment_count = 1};
    struct tm_plan plan = {0};
    uint32_t index = 0;
    ck_assert_int_eq(tm_plan_add_pipeline(&plan, "int4", false, &index), TM_OK);
    plan.tensor_count = 1;
    plan.tensors = tm_calloc(1, sizeof *plan.tensors);
    struct tm_split split;
    ck_assert_int_eq(tm_split_make(&inventory, &plan, 256, &split, NULL), TM_OK);
    ck_assert_uint_eq(split.unit_count, 14);
    ck_assert_uint_eq(split.units[6].source_offset, 2 * (1000 + 512));
    ck_assert_uint_eq(split.units[7].cols, 232);
    ck_assert_uint_eq(split.units[13].source_offset, 1024);
    ck_assert_uint_eq(split.units[13].source_bytes, 1);
    ck_assert_str_eq(plan.pipelines[split.units[13].pipeline], TM_CODEC_KEEP);
    ck_assert_uint_eq(split.group_count, 1);
    tm_split_deinit(&split);
    /* at 2,048: two rows, then one */
    ck_assert_int_eq(tm_split_make(&inventory, &plan, 2048, &split, NULL), TM_OK);
    ck_assert_uint_eq(split.first[1], 2);
    ck_assert_uint_eq(split.units[0].rows, 2);
    ck_assert_uint_eq(split.units[1].rows, 1);
    ck_assert_uint_eq(split.units[1].source_offset, 4000);
    tm_split_deinit(&split);
    tm_plan_deinit(&plan);
}
END_TEST

START_TEST(groups)
{
    static const char *const names[] = {"embed",   "embed2", "blk.0.a", "blk.0.b",
                                        "blk.1.a", "norm",   "blk.0.c", "head"};
    static const uint32_t expected[] = {0, 0, 1, 1, 2, 3, 1, 4};
    struct tm_tensor tensors[8] = {0};
    struct tm_inventory inventory = {.tensors = tensors, .tensor_count = 8};
    struct tm_plan plan = {.tensor_count = 8};
    uint32_t index = 0;
    ck_assert_int_eq(tm_plan_add_pipeline(&plan, "int4", false, &index), TM_OK);
    plan.tensors = tm_calloc(8, sizeof *plan.tensors);
    for (size_t i = 0; i < 8; i++) {
        tensors[i] = (struct tm_tensor){.name = (char *)(uintptr_t)names[i],
                                        .dtype = TM_F32,
                                        .shape = {.rank = 2, .dim = {8, 32}},
                                        .bytes = 1024};
    }
    struct tm_split split;
    ck_assert_int_eq(tm_split_make(&inventory, &plan, 256, &split, NULL), TM_OK);
    ck_assert_uint_eq(split.unit_count, 8);
    for (size_t i = 0; i < 8; i++) {
        ck_assert_uint_eq(split.units[i].group, expected[i]);
    }
    ck_assert_uint_eq(split.group_count, 5);
    tm_split_deinit(&split);
    tm_plan_deinit(&plan);
}
END_TEST

START_TEST(refused)
{
    struct tm_tensor tensor = {
        .name = "w", .dtype = TM_F32, .shape = {.rank = 2, .dim = {8, 32}}, .bytes = 1023};
    struct tm_inventory inventory = {.tensors = &tensor, .tensor_count = 1};
    struct tm_plan plan = {.tensor_count = 1};
    uint32_t index = 0;
    ck_assert_int_eq(tm_plan_add_pipeline(&plan, "int4", false, &index), TM_OK);
    plan.tensors = tm_calloc(1, sizeof *plan.tensors);
    struct tm_split split;
    struct tm_err err = {0};
    static const uint32_t bad[] = {0, 100, 257, 16u * 1024 * 1024 + 256};
    for (size_t i = 0; i < 4; i++) {
        ck_assert_int_eq(tm_split_make(&inventory, &plan, bad[i], &split, &err), TM_E_USAGE);
        ck_assert(strstr(err.why, "multiple of 256") != NULL);
    }
    ck_assert_int_eq(tm_split_make(&inventory, &plan, 256, &split, &err), TM_E_MALFORMED);
    ck_assert_str_eq(err.why, "its shape takes 1024 bytes, it has 1023");
    tensor.shape.dim[0] = (uint64_t)1 << 42;
    tensor.bytes = (uint64_t)1 << 49;
    ck_assert_int_eq(tm_split_make(&inventory, &plan, 256, &split, &err), TM_E_LIMIT);
    ck_assert_str_eq(err.where, "w");
    ck_assert_ptr_null(split.units);
    tm_plan_deinit(&plan);
    ck_assert_uint_eq(tm_mem_live_blocks(), 0);
}
END_TEST

START_TEST(allocation_failures)
{
    struct tm_rng rng;
    tm_rng_init(&rng, 5);
    struct world w;
    do {
        random_world(&rng, &w);
        if (w.inventory.tensor_count > 3 && w.inventory.attachment_count > 0) {
            break;
        }
        tm_plan_deinit(&w.plan);
    } while (true);
    size_t before = tm_mem_live_blocks();
    for (uint64_t n = 1;; n++) {
        struct tm_split split;
        tm_mem_fail_at(n);
        tm_status status = tm_split_make(&w.inventory, &w.plan, 256, &split, NULL);
        bool failed = tm_mem_failed();
        tm_mem_fail_at(0);
        ck_assert_int_eq(status, failed ? TM_E_NOMEM : TM_OK);
        tm_split_deinit(&split);
        ck_assert_uint_eq(tm_mem_live_blocks(), before);
        if (!failed) {
            ck_assert_uint_eq(n, 4);
            break;
        }
    }
    tm_plan_deinit(&w.plan);
}
END_TEST

Suite *tm_suite(void)
{
    Suite *suite = suite_create("split");
    TCase *tc = tcase_create("split");
    tcase_add_test(tc, layers);
    tcase_add_loop_test(tc, units_tile_each_part, 0, 5);
    tcase_add_test(tc, by_hand);
    tcase_add_test(tc, groups);
    tcase_add_test(tc, refused);
    tcase_add_test(tc, allocation_failures);
    suite_add_tcase(suite, tc);
    return suite;
}

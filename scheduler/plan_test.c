/* SPDX-License-Identifier: Apache-2.0 */
#include "scheduler/plan.h"

#include <string.h>

#include "base/mem.h"
#include "base/rng.h"
#include "tests/support/suite.h"

#define TENSOR(text, type, r, ...)                                                                 \
    {                                                                                              \
        .name = (char *)(uintptr_t)(text), .name_bytes = sizeof(text) - 1, .dtype = (type),        \
        .shape = {                                                                                 \
            .rank = (r),                                                                           \
            .dim = {__VA_ARGS__}                                                                   \
        }                                                                                          \
    }

static struct tm_tensor tensors[] = {
    TENSOR("embed", TM_BF16, 2, 1000, 64),
    TENSOR("layers.0.w", TM_F32, 2, 64, 64),
    TENSOR("layers.0.norm", TM_F32, 1, 64),
    TENSOR("layers.0.short", TM_F16, 2, 16, 31), /* joined: 1 row of 496 */
    TENSOR("layers.0.tall", TM_F16, 1, 31),
    TENSOR("ids", TM_I64, 2, 64, 64),
    TENSOR("empty", TM_F32, 2, 0, 64),
    TENSOR("scale", TM_F32, 0, 0),
    TENSOR("quoted \"\\ \xc3\xa9", TM_F32, 2, 64, 64),
};
#define TENSORS (sizeof tensors / sizeof tensors[0])
static const struct tm_inventory model = {.tensors = tensors, .tensor_count = TENSORS};

/* int4 -> "I4", keep -> "K", ...: an upper-case first letter stands for the canonical form. */
static tm_status resolve(void *context, const char *codec, char out[TM_PLAN_PIPELINE_MAX],
                         bool *lossless, struct tm_err *err)
{
    (void)context;
    if (strcmp(codec, "bad") == 0) {
        return tm_err_set(err, TM_E_USAGE, codec, "cannot use the codec", NULL, "unknown");
    }
    memset(out, 0, TM_PLAN_PIPELINE_MAX);
    *lossless = strcmp(codec, "keep") == 0 || strcmp(codec, "raw") == 0;
    const char *text = strcmp(codec, "keep") == 0 ? TM_CODEC_KEEP : codec;
    memcpy(out, text, strlen(text));
    return TM_OK;
}
static const struct tm_codec_resolver resolver = {.resolve = resolve};

static tm_status make(const char *rules, struct tm_plan *plan, struct tm_err *err)
{
    struct tm_buf text;
    tm_buf_init(&text, 100000);
    ck_assert_int_eq(tm_buf_printf(&text, "schema = 1\nrule = [ %s ]\n", rules), TM_OK);
    struct tm_recipe *recipe = NULL;
    ck_assert_int_eq(tm_recipe_parse(tm_buf_view(&text), "r", &recipe, NULL), TM_OK);
    tm_status status = tm_plan_make(recipe, &model, &resolver, plan, err);
    tm_recipe_destroy(&recipe);
    tm_buf_deinit(&text);
    return status;
}

static const char *pipeline(const struct tm_plan *plan, size_t tensor)
{
    return plan->pipelines[plan->tensors[tensor].pipeline];
}

START_TEST(keep_rules)
{
    struct tm_plan plan;
    ck_assert_int_eq(make("{ match = \"*\", codec = \"int4\" }", &plan, NULL), TM_OK);
    static const char *const reasons[TENSORS] = {
        NULL,           NULL,          "one-dimensional", NULL, "one-dimensional",
        "integer type", "no elements", "one-dimensional", NULL};
    for (size_t i = 0; i < TENSORS; i++) {
        if (reasons[i] == NULL) {
            ck_assert_ptr_null(plan.tensors[i].reason);
            ck_assert_str_eq(pipeline(&plan, i), "int4");
        } else {
            ck_assert_str_eq(plan.tensors[i].reason, reasons[i]);
            ck_assert_str_eq(pipeline(&plan, i), TM_CODEC_KEEP);
        }
    }
    ck_assert_uint_eq(plan.pipeline_count, 2);
    ck_assert(!plan.lossless[0] && plan.lossless[1]);
    tm_plan_deinit(&plan);
    ck_assert_uint_eq(tm_mem_live_blocks(), 0);
}
END_TEST

START_TEST(short_rows)
{
    struct tm_tensor tensor = TENSOR("w", TM_F32, 2, 2, 8); /* 1 x 16 */
    struct tm_inventory small = {.tensors = &tensor, .tensor_count = 1};
    struct tm_recipe *recipe = NULL;
    ck_assert_int_eq(tm_recipe_builtin("int8", &recipe, NULL), TM_OK);
    struct tm_plan plan;
    ck_assert_int_eq(tm_plan_make(recipe, &small, &resolver, &plan, NULL), TM_OK);
    ck_assert_str_eq(plan.tensors[0].reason, "rows shorter than 32");
    ck_assert_uint_eq(plan.pipeline_count, 1); /* int8 is used by nothing */
    tm_plan_deinit(&plan);
    tm_recipe_destroy(&recipe);
}
END_TEST

START_TEST(exact_names_override)
{
    struct tm_plan plan;
    ck_assert_int_eq(make("{ match = \"*\", codec = \"int4\" },"
                          "{ match = \"layers.0.norm\", codec = \"int8\" },"
                          "{ match = \"ids\", codec = \"raw\" },"
                          "{ match = \"embed\", codec = \"keep\" }",
                          &plan, NULL),
                     TM_OK);
    ck_assert_str_eq(pipeline(&plan, 2), "int8");
    ck_assert_ptr_null(plan.tensors[2].reason);
    ck_assert_str_eq(pipeline(&plan, 5), "raw");
    ck_assert_ptr_null(plan.tensors[5].reason);
    ck_assert_str_eq(pipeline(&plan, 0), TM_CODEC_KEEP);
    ck_assert_ptr_null(plan.tensors[0].reason); /* asked for, not forced */
    tm_plan_deinit(&plan);

    struct tm_err err = {0};
    ck_assert_int_eq(
        make("{ match = \"*\", codec = \"int4\" }, { match = \"ids\", codec = \"int4\" }", &plan,
             &err),
        TM_E_USAGE);
    ck_assert_str_eq(err.where, "ids");
    ck_assert_msg(strstr(err.why, "rule 2") != NULL && strstr(err.why, "I64") != NULL, "%s",
                  err.why);
}
END_TEST

START_TEST(refused)
{
    struct tm_plan plan;
    struct tm_err err = {0};
    ck_assert_int_eq(make("{ match = \"layers*\", codec = \"int4\" }", &plan, &err), TM_E_USAGE);
    ck_assert_str_eq(err.where, "embed");
    ck_assert_ptr_null(plan.tensors);
    ck_assert_int_eq(make("{ match = \"*\", codec = \"bad\" }", &plan, &err), TM_E_USAGE);
    ck_assert_str_eq(err.where, "r: bad");

    struct tm_buf rules;
    tm_buf_init(&rules, 10000);
    ck_assert_int_eq(tm_buf_put_str(&rules, "{ match = \"*\", codec = \"int4\" }"), TM_OK);
    ck_assert_int_eq(tm_buf_terminate(&rules), TM_OK);
    ck_assert_int_eq(make((char *)rules.data, &plan, NULL), TM_OK);
    for (uint32_t i = 0, index = 0; i < TM_PLAN_PIPELINES_MAX; i++) {
        char text[8] = {'p', (char)('a' + i), 0};
        bool fits = plan.pipeline_count < TM_PLAN_PIPELINES_MAX;
        ck_assert_int_eq(tm_plan_add_pipeline(&plan, text, false, &index),
                         fits ? TM_OK : TM_E_LIMIT);
    }
    tm_plan_deinit(&plan);
    tm_buf_deinit(&rules);
}
END_TEST

START_TEST(keep_later)
{
    struct tm_plan plan;
    ck_assert_int_eq(make("{ match = \"*\", codec = \"int4\" }, { match = \"ids\", codec = \"raw\" "
                          "}",
                          &plan, NULL),
                     TM_OK);
    ck_assert_int_eq(tm_plan_keep(&plan, 0, "holds NaN"), TM_OK);
    ck_assert_str_eq(pipeline(&plan, 0), TM_CODEC_KEEP);
    ck_assert_str_eq(plan.tensors[0].reason, "holds NaN");
    tm_plan_deinit(&plan);
    /* no lossless pipeline yet: one is added */
    uint32_t index = 9;
    ck_assert_int_eq(tm_plan_add_pipeline(&plan, "int4", false, &index), TM_OK);
    ck_assert_int_eq(tm_plan_keep_pipeline(&plan, &index), TM_OK);
    ck_assert_uint_eq(index, 1);
    ck_assert_str_eq(plan.pipelines[1], TM_CODEC_KEEP);
    ck_assert(plan.lossless[1]);
    tm_plan_deinit(&plan);
    /* another lossless one serves too */
    ck_assert_int_eq(tm_plan_add_pipeline(&plan, "raw", true, &index), TM_OK);
    ck_assert_int_eq(tm_plan_keep_pipeline(&plan, &index), TM_OK);
    ck_assert_uint_eq(index, 0);
    tm_plan_deinit(&plan);
}
END_TEST

static void assert_same(const struct tm_plan *a, const struct tm_plan *b)
{
    ck_assert_uint_eq(a->pipeline_count, b->pipeline_count);
    for (uint32_t i = 0; i < a->pipeline_count; i++) {
        ck_assert_str_eq(a->pipelines[i], b->pipelines[i]);
        ck_assert_int_eq(a->lossless[i], b->lossless[i]);
    }
    ck_assert_uint_eq(a->tensor_count, b->tensor_count);
    for (size_t i = 0; i < a->tensor_count; i++) {
        ck_assert_uint_eq(a->tensors[i].pipeline, b->tensors[i].pipeline);
        ck_assert_pstr_eq(a->tensors[i].reason, b->tensors[i].reason);
    }
}

START_TEST(text_round_trip)
{
    struct tm_plan plan, back;
    ck_assert_int_eq(
        make("{ match = \"*\", codec = \"int4\" }, { match = \"*w\", codec = \"raw\" }", &plan,
             NULL),
        TM_OK);
    ck_assert_int_eq(tm_plan_keep(&plan, 0, "holds NaN"), TM_OK);
    const char *digests[TENSORS] = {
        [1] = "00112233445566778899aabbccddeeff00112233445566778899aabbccddeeff"};
    struct tm_buf text, again;
    tm_buf_init(&text, 100000);
    tm_buf_init(&again, 100000);
    ck_assert_int_eq(tm_plan_write(&plan, &model, digests, &text), TM_OK);
    ck_assert_int_eq(tm_buf_terminate(&text), TM_OK);
    ck_assert_ptr_nonnull(strstr((char *)text.data, "name = \"layers.0.w\"\ndtype = \"F32\"\n"
                                                    "shape = [64, 64]\npipeline = \"raw\"\n"
                                                    "sha256 = \"0011"));
    struct tm_err err = {0};
    ck_assert_msg(tm_plan_read(tm_buf_view(&text), "p", &model, &back, &err) == TM_OK, "%s: %s",
                  err.where, err.why);
    assert_same(&plan, &back);
    ck_assert_int_eq(tm_plan_write(&back, &model, digests, &again), TM_OK);
    ck_assert(tm_view_eq(tm_buf_view(&text), tm_buf_view(&again)));
    tm_plan_deinit(&plan);
    tm_plan_deinit(&back);
    tm_buf_deinit(&text);
    tm_buf_deinit(&again);
    ck_assert_uint_eq(tm_mem_live_blocks(), 0);
}
END_TEST

/* A plan of one tensor "w", 64 x 64 F32, with one line changed each time. */
#define HEAD "schema = 1\n[[pipeline]]\ntext = \"int4\"\nlossless = false\n"
#define BODY "[[tensor]]\nname = \"w\"\ndtype = \"F32\"\nshape = [64, 64]\n"
static const struct {
    const char *text;
    tm_status status;
    const char *where, *why;
} readings[] = {
    {HEAD BODY "pipeline = \"int4\"\n", TM_OK, "", ""},
    {"[[pipeline]]\ntext = \"int4\"\nlossless = false\n", TM_E_USAGE, "p:", "schema is missing"},
    {"schema = 2\n", TM_E_USAGE, "p:1:", ""},
    {HEAD, TM_E_INCOMPATIBLE, "p:", "the plan has 0 tensors, the model 1"},
    {HEAD BODY "pipeline = \"int8\"\n", TM_E_USAGE, "p:5:", "no [[pipeline]]"},
    {HEAD BODY, TM_E_USAGE, "p:5:", "pipeline is missing"},
    {HEAD BODY "pipeline = 4\n", TM_E_USAGE, "p:9:", "pipeline must be a text"},
    {HEAD BODY "pipeline = \"int4\"\ncolour = 1\n", TM_E_USAGE, "p:10:", "no such key"},
    {HEAD BODY "pipeline = \"int4\"\nsha256 = \"00\"\n", TM_E_USAGE, "p:5:", "64 hex digits"},
    {HEAD "[[tensor]]\nname = \"v\"\n", TM_E_INCOMPATIBLE,
     "p:5:", "the model's tensor here is 'w'"},
    {HEAD "[[tensor]]\nname = \"w\"\ndtype = \"F16\"\n", TM_E_INCOMPATIBLE, "p:5:", "dtype"},
    {HEAD "[[tensor]]\nname = \"w\"\ndtype = \"F32\"\nshape = [64, 65]\n", TM_E_INCOMPATIBLE,
     "p:8:", "[64, 64]"},
    {HEAD "[[tensor]]\nname = \"w\"\ndtype = \"F32\"\nshape = [64]\n", TM_E_INCOMPATIBLE,
     "p:8:", "[64, 64]"},
    {HEAD "[[pipeline]]\ntext = \"int4\"\nlossless = true\n", TM_E_USAGE, "p:5:", "there twice"},
    {"schema = 1\n[[pipeline]]\ntext = \"\"\nlossless = true\n", TM_E_USAGE, "p:2:", "1 to 255"},
    {"schema = 1\n[[pipeline]]\ntext = \"x\"\n", TM_E_USAGE, "p:2:", "lossless is missing"},
    {"schema = 1\npipeline = 3\n", TM_E_USAGE, "p:2:", "[[pipeline]]"},
};

START_TEST(text_refused)
{
    struct tm_tensor tensor = TENSOR("w", TM_F32, 2, 64, 64);
    struct tm_inventory small = {.tensors = &tensor, .tensor_count = 1};
    struct tm_plan plan;
    struct tm_err err = {0};
    tm_status status = tm_plan_read(tm_view_str(readings[_i].text), "p", &small, &plan, &err);
    ck_assert_msg(status == readings[_i].status, "%s: %s", err.where, err.why);
    ck_assert_msg(strncmp(err.where, readings[_i].where, strlen(readings[_i].where)) == 0, "%s",
                  err.where);
    ck_assert_msg(strstr(err.why, readings[_i].why) != NULL, "%s", err.why);
    tm_plan_deinit(&plan);
    ck_assert_uint_eq(tm_mem_live_blocks(), 0);
}
END_TEST

START_TEST(allocation_failures)
{
    struct tm_recipe *recipe = NULL;
    ck_assert_int_eq(tm_recipe_builtin("int8", &recipe, NULL), TM_OK);
    size_t before = tm_mem_live_blocks();
    for (uint64_t n = 1;; n++) {
        struct tm_plan plan = {0}, back = {0};
        struct tm_buf text;
        tm_buf_init(&text, 100000);
        tm_mem_fail_at(n);
        tm_status status = tm_plan_make(recipe, &model, &resolver, &plan, NULL);
        if (status == TM_OK) {
            status = tm_plan_write(&plan, &model, NULL, &text);
        }
        if (status == TM_OK) {
            status = tm_plan_read(tm_buf_view(&text), "p", &model, &back, NULL);
        }
        bool failed = tm_mem_failed();
        tm_mem_fail_at(0);
        ck_assert_int_eq(status, failed ? TM_E_NOMEM : TM_OK);
        tm_plan_deinit(&plan);
        tm_plan_deinit(&back);
        tm_buf_deinit(&text);
        ck_assert_uint_eq(tm_mem_live_blocks(), before);
        if (!failed) {
            break;
        }
    }
    tm_recipe_destroy(&recipe);
}
END_TEST

Suite *tm_suite(void)
{
    Suite *suite = suite_create("plan");
    TCase *tc = tcase_create("plan");
    tcase_add_test(tc, keep_rules);
    tcase_add_test(tc, short_rows);
    tcase_add_test(tc, exact_names_override);
    tcase_add_test(tc, refused);
    tcase_add_test(tc, keep_later);
    tcase_add_test(tc, text_round_trip);
    tcase_add_loop_test(tc, text_refused, 0, (int)(sizeof readings / sizeof readings[0]));
    tcase_add_test(tc, allocation_failures);
    suite_add_tcase(suite, tc);
    return suite;
}

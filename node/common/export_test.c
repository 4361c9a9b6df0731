/* SPDX-License-Identifier: Apache-2.0 */
#include "node/common/export.h"

#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>

#include "model/writer.h"
#include "tests/support/made_package.h"
#include "tests/support/suite.h"
#include "tests/support/tensor_package.h"

static struct small_job s;
static struct tm_err err;
static char target[128];

static void teardown(void)
{
    small_job_close(&s);
}

static void make(const char *recipe)
{
    memset(&err, 0, sizeof err);
    made_package_with(&s, recipe);
    snprintf(target, sizeof target, "%s/exported", s.dir);
}

static tm_status export(enum tm_format format, enum tm_export_type type)
{
    struct tm_export_options options = {
        .package_path = s.out, .out_path = target, .format = format, .type = type, .quiet = true};
    return tm_export(&options, &err);
}

/* All values of a tensor of a checkpoint as float32. */
static float *values_of(const char *path, const char *name, enum tm_dtype *dtype, size_t *count)
{
    struct tm_checkpoint *checkpoint = NULL;
    ck_assert_int_eq(tm_checkpoint_open(path, &checkpoint, &err), TM_OK);
    const struct tm_inventory *inv = tm_checkpoint_inventory(checkpoint);
    size_t i = tm_inventory_find(inv, name, strlen(name));
    ck_assert_uint_lt(i, inv->tensor_count);
    const struct tm_tensor *t = &inv->tensors[i];
    uint64_t elements = 0;
    ck_assert(tm_shape_elements(&t->shape, &elements));
    uint8_t *bytes = tm_alloc(t->bytes);
    float *values = tm_alloc(elements * sizeof values[0]);
    ck_assert_int_eq(tm_checkpoint_read(checkpoint, i, 0, bytes, t->bytes, &err), TM_OK);
    ck_assert_int_eq(tm_convert_to_f32(t->dtype, bytes, elements, values), TM_OK);
    *dtype = t->dtype;
    *count = elements;
    tm_free(bytes);
    tm_checkpoint_close(&checkpoint);
    return values;
}

/* `steps` levels to the largest value of each row; 0: exactly equal. */
static void compare(const char *name, enum tm_dtype want, double steps)
{
    enum tm_dtype source_dtype, dtype;
    size_t n, m;
    float *x = values_of(s.model, name, &source_dtype, &n);
    float *y = values_of(target, name, &dtype, &m);
    ck_assert_str_eq(tm_dtype_name(dtype), tm_dtype_name(want));
    ck_assert_uint_eq(n, m);
    double largest = 0;
    for (size_t i = 0; i < n; i++) {
        double a = x[i] < 0 ? -x[i] : x[i];
        largest = a > largest ? a : largest;
    }
    for (size_t i = 0; i < n; i++) {
        double off = x[i] > y[i] ? (double)x[i] - y[i] : (double)y[i] - x[i];
        ck_assert_msg(off <= (steps > 0 ? largest * 1.05 / steps : 0), "%s[%zu]: %g %g", name, i,
                      (double)x[i], (double)y[i]);
    }
    tm_free(x);
    tm_free(y);
}

START_TEST(int8_leaves_as_q8_0)
{
    make("int8");
    ck_assert_int_eq(export(TM_FORMAT_GGUF, TM_EXPORT_KEEP), TM_OK);
    compare("layers.0.weight", TM_Q8_0, 127);
    compare("norm", TM_F32, 0);
    ck_assert_int_eq(export(TM_FORMAT_SAFETENSORS, TM_EXPORT_KEEP), TM_OK);
    compare("layers.3.weight", TM_F32, 127);
}
END_TEST

START_TEST(int4_leaves_as_q4_0)
{
    make("int4");
    ck_assert_int_eq(export(TM_FORMAT_GGUF, TM_EXPORT_KEEP), TM_OK);
    compare("layers.1.weight", TM_Q4_0, 7);
}
END_TEST

START_TEST(the_gguf_blocks_are_the_values)
{
    enum tm_dtype dtype;
    size_t n, m;
    make("int4");
    ck_assert_int_eq(export(TM_FORMAT_GGUF, TM_EXPORT_KEEP), TM_OK);
    float *blocks = values_of(target, "layers.2.weight", &dtype, &n);
    ck_assert_int_eq(export(TM_FORMAT_GGUF, TM_EXPORT_F32), TM_OK);
    float *floats = values_of(target, "layers.2.weight", &dtype, &m);
    ck_assert_int_eq(dtype, TM_F32);
    ck_assert_uint_eq(n, m);
    for (size_t i = 0; i < n; i++) {
        ck_assert(blocks[i] == floats[i]); /* the sign of a zero may differ */
    }
    tm_free(blocks);
    tm_free(floats);
}
END_TEST

START_TEST(ternary_leaves_exactly_as_f16)
{
    enum tm_dtype dtype;
    size_t n, m;
    make("ternary");
    ck_assert_int_eq(export(TM_FORMAT_SAFETENSORS, TM_EXPORT_KEEP), TM_OK);
    float *half = values_of(target, "layers.0.weight", &dtype, &n);
    ck_assert_int_eq(dtype, TM_F16);
    ck_assert_int_eq(export(TM_FORMAT_SAFETENSORS, TM_EXPORT_F32), TM_OK);
    float *full = values_of(target, "layers.0.weight", &dtype, &m);
    ck_assert_uint_eq(n, m);
    ck_assert_mem_eq(half, full, n * sizeof half[0]);
    tm_free(half);
    tm_free(full);
}
END_TEST

START_TEST(asked_types)
{
    make("int8");
    ck_assert_int_eq(export(TM_FORMAT_GGUF, TM_EXPORT_F16), TM_OK);
    compare("layers.0.weight", TM_F16, 120);
    compare("norm", TM_F32, 0); /* llama.cpp wants vectors in float32 */
    ck_assert_int_eq(export(TM_FORMAT_SAFETENSORS, TM_EXPORT_BF16), TM_OK);
    compare("layers.0.weight", TM_BF16, 100);
}
END_TEST

/* A GGUF source of Q8_0 blocks, kept: lossless chunks are cut without regard to blocks. */
START_TEST(kept_blocks_leave_as_they_came_and_as_floats)
{
    enum { ROWS = 64, COLS = 512, BYTES = ROWS * COLS / 32 * 34 };
    struct tm_tensor_spec spec = {"layers.0.weight", 15, TM_Q8_0, {.rank = 2, .dim = {ROWS, COLS}}};
    struct tm_writer *writer = NULL;
    struct tm_rng rng;
    float *values = tm_alloc(sizeof(float) * ROWS * COLS);
    uint8_t *blocks = tm_alloc(BYTES);
    char recipe[128];
    small_job_setup(&s);
    snprintf(s.model, sizeof s.model, "%s/q.gguf", s.dir);
    snprintf(target, sizeof target, "%s/exported", s.dir);
    snprintf(recipe, sizeof recipe, "%s/keep.toml", s.dir);
    tm_rng_init(&rng, 3);
    for (size_t i = 0; i < ROWS * COLS; i++) {
        values[i] = (float)tm_rng_normal(&rng);
    }
    ck_assert_int_eq(tm_convert_from_f32(TM_Q8_0, values, ROWS * COLS, blocks), TM_OK);
    struct tm_writer_options options = {.format = TM_FORMAT_GGUF, .path = s.model, .arch = "llama"};
    ck_assert_int_eq(tm_writer_begin(&options, &spec, 1, &writer, &err), TM_OK);
    ck_assert_int_eq(tm_writer_append(writer, blocks, BYTES, &err), TM_OK);
    ck_assert_int_eq(tm_writer_finish(&writer, &err), TM_OK);
    const char *text = "schema = 1\nrule = [ { match = \"*\", codec = \"keep\" } ]\n";
    ck_assert_int_eq(tm_file_write_atomic(recipe, 0644, tm_view_str(text), &err), TM_OK);
    small_job_prepare_with(&s, recipe);
    ck_assert_uint_gt(s.job->split.first[1], 1); /* several chunks */
    made_units(&s, UINT32_MAX, 0);
    ck_assert_int_eq(tm_job_merge(s.job, s.owner, true, &err), TM_OK);
    tm_job_close(&s.job);
    ck_assert_int_eq(export(TM_FORMAT_GGUF, TM_EXPORT_KEEP), TM_OK);
    compare("layers.0.weight", TM_Q8_0, 0);
    ck_assert_int_eq(export(TM_FORMAT_SAFETENSORS, TM_EXPORT_KEEP), TM_OK);
    compare("layers.0.weight", TM_F32, 0);
    tm_free(values);
    tm_free(blocks);
}
END_TEST

START_TEST(the_package_is_not_overwritten)
{
    make("int8");
    snprintf(target, sizeof target, "%s", s.out);
    ck_assert_int_eq(export(TM_FORMAT_GGUF, TM_EXPORT_KEEP), TM_E_USAGE);
    ck_assert_ptr_nonnull(strstr(err.what, "the output is the input"));
}
END_TEST

START_TEST(a_full_disk_leaves_nothing)
{
    make("int8");
    struct tm_dir_list before, after;
    ck_assert_int_eq(tm_dir_list(s.dir, &before, &err), TM_OK);
    struct rlimit limit = {20000, 20000};
    signal(SIGXFSZ, SIG_IGN);
    ck_assert_int_eq(setrlimit(RLIMIT_FSIZE, &limit), 0);
    ck_assert_int_eq(export(TM_FORMAT_GGUF, TM_EXPORT_F32), TM_E_IO);
    ck_assert_ptr_nonnull(strstr(err.where, "exported"));
    ck_assert_int_eq(tm_dir_list(s.dir, &after, &err), TM_OK);
    ck_assert_uint_eq(before.count, after.count);
    tm_dir_list_free(&before);
    tm_dir_list_free(&after);
}
END_TEST

START_TEST(a_damaged_chunk_is_named_and_nothing_is_written)
{
    make("int8");
    FILE *f = fopen(s.out, "r+b");
    ck_assert_int_eq(fseek(f, 20000, SEEK_SET), 0);
    int c = fgetc(f);
    ck_assert_int_eq(fseek(f, 20000, SEEK_SET), 0);
    fputc(c ^ 1, f);
    fclose(f);
    ck_assert_int_eq(export(TM_FORMAT_GGUF, TM_EXPORT_KEEP), TM_E_VERIFY);
    ck_assert_ptr_nonnull(strstr(err.where, "chunk"));
    ck_assert(!tm_path_exists(target));
}
END_TEST

/* ---- packages of chosen tensors ---- */

static struct tensor_package tp;
static const float eight[8] = {1, -2, 0.5f, 4, 0, -0.25f, 3, 65504};

static void make_tensors(void)
{
    memset(&err, 0, sizeof err);
    small_job_setup(&s);
    snprintf(target, sizeof target, "%s/exported", s.dir);
    tp_begin(&tp);
}

static void done_tensors(void)
{
    tp_end(&tp);
    small_job_close(&s);
}

static void dtype_is(const char *name, enum tm_dtype want, size_t count)
{
    enum tm_dtype dtype;
    size_t n;
    float *values = values_of(target, name, &dtype, &n);
    ck_assert_str_eq(tm_dtype_name(dtype), tm_dtype_name(want));
    ck_assert_uint_eq(n, count);
    for (size_t i = 0; i < n; i++) {
        ck_assert_float_eq(values[i], eight[i]);
    }
    tm_free(values);
}

/* In a GGUF vectors leave as F32; in safetensors all have the type that was asked. */
START_TEST(vectors_and_matrices)
{
    tp_kept(&tp, "vector", TM_F32, (struct tm_shape){.rank = 1, .dim = {8}}, 64, eight);
    tp_kept(&tp, "matrix", TM_F32, (struct tm_shape){.rank = 2, .dim = {2, 4}}, 64, eight);
    tp_write(&tp, s.out);
    ck_assert_int_eq(export(TM_FORMAT_GGUF, TM_EXPORT_F16), TM_OK);
    dtype_is("vector", TM_F32, 8);
    dtype_is("matrix", TM_F16, 8);
    ck_assert_int_eq(export(TM_FORMAT_SAFETENSORS, TM_EXPORT_F16), TM_OK);
    dtype_is("vector", TM_F16, 8);
    dtype_is("matrix", TM_F16, 8);
    ck_assert_int_eq(export(TM_FORMAT_SAFETENSORS, TM_EXPORT_KEEP), TM_OK);
    dtype_is("vector", TM_F32, 8);
}
END_TEST

START_TEST(no_elements_leave_too)
{
    tp_kept(&tp, "none", TM_F32, (struct tm_shape){.rank = 2, .dim = {0, 4}}, 64, eight);
    tp_kept(&tp, "some", TM_F32, (struct tm_shape){.rank = 1, .dim = {8}}, 64, eight);
    tp_write(&tp, s.out);
    ck_assert_int_eq(export(TM_FORMAT_SAFETENSORS, TM_EXPORT_KEEP), TM_OK);
    dtype_is("none", TM_F32, 0);
    dtype_is("some", TM_F32, 8);
}
END_TEST

static void refused_by_gguf(const char *name)
{
    tp_write(&tp, s.out);
    ck_assert_int_eq(export(TM_FORMAT_GGUF, TM_EXPORT_KEEP), TM_E_INCOMPATIBLE);
    char line[1600];
    tm_err_line(&err, line, sizeof line);
    ck_assert_msg(strstr(line, name) != NULL, "%s", line);
    ck_assert(!tm_path_exists(target));
    ck_assert_int_eq(export(TM_FORMAT_SAFETENSORS, TM_EXPORT_KEEP), TM_OK);
}

START_TEST(a_name_too_long_for_gguf)
{
    char name[65];
    memset(name, 'n', 64);
    name[64] = '\0';
    tp_kept(&tp, name, TM_F32, (struct tm_shape){.rank = 1, .dim = {8}}, 64, eight);
    refused_by_gguf(name);
    dtype_is(name, TM_F32, 8);
}
END_TEST

START_TEST(a_dtype_that_gguf_lacks)
{
    tp_kept(&tp, "mask", TM_BOOL, (struct tm_shape){.rank = 1, .dim = {8}}, 64, "\0\1\0\1\1\1\0");
    refused_by_gguf("mask");
}
END_TEST

START_TEST(numbers_beyond_f16_leave_nothing)
{
    static const float big[8] = {1e6f};
    tp_kept(&tp, "fine", TM_F32, (struct tm_shape){.rank = 2, .dim = {1, 8}}, 64, eight);
    tp_kept(&tp, "big", TM_F32, (struct tm_shape){.rank = 2, .dim = {1, 8}}, 64, big);
    tp_write(&tp, s.out);
    ck_assert_int_eq(export(TM_FORMAT_GGUF, TM_EXPORT_F16), TM_E_REFUSED);
    ck_assert_ptr_nonnull(strstr(err.where, "'big'"));
    ck_assert_ptr_nonnull(strstr(err.hint, "bf16"));
    ck_assert(!tm_path_exists(target));
}
END_TEST

/* What belongs beside a model.safetensors goes there, but never over what is there. */
START_TEST(small_files_go_beside_it)
{
    struct tm_buf text;
    char path[160], dir[96];
    tp_kept(&tp, "t", TM_F32, (struct tm_shape){.rank = 1, .dim = {8}}, 64, eight);
    tp_attach(&tp, "config.json", tm_view_str("{}"), 64);
    tp_attach(&tp, "tokenizer.json", tm_view_str("[1]"), 64);
    tp_attach(&tp, "sub/other.json", tm_view_str("3"), 64);
    tp_attach(&tp, ".hidden.json", tm_view_str("4"), 64);
    tp_attach(&tp, "plain", tm_view_str("5"), 64);
    tp_write(&tp, s.out);
    snprintf(dir, sizeof dir, "%s/model", s.dir);
    ck_assert_int_eq(tm_dir_make(dir, 0755, &err), TM_OK);
    snprintf(path, sizeof path, "%s/config.json", dir);
    ck_assert_int_eq(tm_file_write_atomic(path, 0644, tm_view_str("mine"), &err), TM_OK);
    snprintf(target, sizeof target, "%s/model.safetensors", dir);
    ck_assert_int_eq(export(TM_FORMAT_SAFETENSORS, TM_EXPORT_KEEP), TM_OK);
    dtype_is("t", TM_F32, 8);
    tm_buf_init(&text, 64);
    ck_assert_int_eq(tm_file_read(path, &text, &err), TM_OK);
    ck_assert(tm_view_eq_str(tm_buf_view(&text), "mine"));
    tm_buf_clear(&text);
    snprintf(path, sizeof path, "%s/tokenizer.json", dir);
    ck_assert_int_eq(tm_file_read(path, &text, &err), TM_OK);
    ck_assert(tm_view_eq_str(tm_buf_view(&text), "[1]"));
    tm_buf_deinit(&text);
    struct tm_dir_list list;
    ck_assert_int_eq(tm_dir_list(dir, &list, &err), TM_OK);
    ck_assert_uint_eq(list.count, 3);
    tm_dir_list_free(&list);
}
END_TEST

START_TEST(it_stops_when_asked)
{
    static volatile int stop = SIGINT;
    tp_kept(&tp, "t", TM_F32, (struct tm_shape){.rank = 1, .dim = {8}}, 64, eight);
    tp_write(&tp, s.out);
    struct tm_export_options options = {
        .package_path = s.out, .out_path = target, .quiet = true, .stop = &stop};
    ck_assert_int_eq(tm_export(&options, &err), TM_E_STOPPED);
    ck_assert(!tm_path_exists(target));
}
END_TEST

Suite *tm_suite(void)
{
    Suite *suite = suite_create("export");
    TCase *tc = tcase_create("export");
    tcase_set_timeout(tc, 60);
    tcase_add_checked_fixture(tc, NULL, teardown);
    tcase_add_test(tc, int8_leaves_as_q8_0);
    tcase_add_test(tc, int4_leaves_as_q4_0);
    tcase_add_test(tc, the_gguf_blocks_are_the_values);
    tcase_add_test(tc, ternary_leaves_exactly_as_f16);
    tcase_add_test(tc, asked_types);
    tcase_add_test(tc, kept_blocks_leave_as_they_came_and_as_floats);
    tcase_add_test(tc, the_package_is_not_overwritten);
    tcase_add_test(tc, a_full_disk_leaves_nothing);
    tcase_add_test(tc, a_damaged_chunk_is_named_and_nothing_is_written);
    suite_add_tcase(suite, tc);
    tc = tcase_create("tensors");
    tcase_add_checked_fixture(tc, make_tensors, done_tensors);
    tcase_add_test(tc, vectors_and_matrices);
    tcase_add_test(tc, no_elements_leave_too);
    tcase_add_test(tc, a_name_too_long_for_gguf);
    tcase_add_test(tc, a_dtype_that_gguf_lacks);
    tcase_add_test(tc, numbers_beyond_f16_leave_nothing);
    tcase_add_test(tc, small_files_go_beside_it);
    tcase_add_test(tc, it_stops_when_asked);
    suite_add_tcase(suite, tc);
    return suite;
}

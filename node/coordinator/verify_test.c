/* SPDX-License-Identifier: Apache-2.0 */
#include "node/coordinator/verify.h"

#include <errno.h>
#include <math.h>
#include <string.h>

#include "tests/support/made_package.h"
#include "tests/support/model_files.h"
#include "tests/support/os_fault.h"
#include "tests/support/package_sample.h"
#include "tests/support/suite.h"
#include "tests/support/tensor_package.h"

static struct small_job s;
static struct tm_err err;
static struct tm_verify_report report;

static void setup(void)
{
    memset(&err, 0, sizeof err);
    made_package_with(&s, "int4");
}

static void teardown(void)
{
    small_job_close(&s);
}

static tm_status verify(struct tm_verify_options options)
{
    options.package_path = s.out;
    options.quiet = true;
    return tm_verify(&options, &report, &err);
}

/* ---- a model of one tensor, "w", and packages of it ---- */

#define PIPELINE "int.1(bits=8,group=32)"
#define SHAPE ((struct tm_shape){.rank = 2, .dim = {2, 32}})
#define VALUES 64
#define TM_Q8_0_OF_GGUF 8
#define METADATA "{\"made\":\"here\"}"
static const char HEADER[] =
    "{\"__metadata__\":" METADATA
    ",\"w\":{\"dtype\":\"F32\",\"shape\":[2,32],\"data_offsets\":[0,256]}}";

static const float *ramp(unsigned first)
{
    static float values[VALUES];
    for (unsigned i = 0; i < VALUES; i++) {
        values[i] = (float)(first + i) * 0.25f;
    }
    return values;
}

/* A safetensors file; its path into `path`. */
static void model_of(const char *header, const void *data, size_t bytes, char path[128])
{
    uint8_t head[8];
    tm_set_u64(head, strlen(header));
    snprintf(path, 128, "%s/x.safetensors", s.dir);
    FILE *f = fopen(path, "wb");
    ck_assert_ptr_nonnull(f);
    fwrite(head, sizeof head, 1, f);
    fwrite(header, strlen(header), 1, f);
    fwrite(data, bytes, 1, f);
    ck_assert_int_eq(fclose(f), 0);
}

/* The last bytes of the model become zeros. */
static void model_damaged(long bytes)
{
    static const char zeros[16];
    FILE *f = fopen(s.model, "r+b");
    ck_assert_int_eq(fseek(f, -bytes, SEEK_END), 0);
    ck_assert_uint_eq(fwrite(zeros, 1, (size_t)bytes, f), (size_t)bytes);
    fclose(f);
}

/* The digests of the source, as an honest node states them. */
static void sources_of(struct tensor_package *tp, const float values[VALUES])
{
    float bytes[VALUES];
    memcpy(bytes, values, sizeof bytes);
    floats_to_file_order(bytes, VALUES);
    tp->meta.tensors[0].source = tm_digest_of(tm_view_of(bytes, sizeof bytes));
    tp->meta.chunks[0].source = tp->meta.tensors[0].source;
}

static void model_and_package(struct tensor_package *tp, const float values[VALUES])
{
    char path[128];
    float bytes[VALUES];
    memcpy(bytes, values, sizeof bytes);
    floats_to_file_order(bytes, VALUES);
    model_of(HEADER, bytes, sizeof bytes, path);
    snprintf(s.model, sizeof s.model, "%.90s", path);
    tp_write(tp, s.out);
    tp_end(tp);
}

/* Writes s.out, and s.model with the values. */
static void package_of(struct tensor_package *tp, const float values[VALUES])
{
    sources_of(tp, values);
    model_and_package(tp, values);
}

/* By itself it is fine. */
static void refused_against_model(tm_status status, const char *why)
{
    ck_assert_int_eq(verify((struct tm_verify_options){0}), TM_OK);
    ck_assert_int_eq(verify((struct tm_verify_options){.model_path = s.model, .full = true}),
                     status);
    ck_assert_says(&err, why);
}

START_TEST(the_package_alone)
{
    ck_assert_int_eq(verify((struct tm_verify_options){0}), TM_OK);
    ck_assert_uint_eq(report.chunks, SMALL_JOB_LOSSY + 1);
    ck_assert_uint_eq(report.signatures, report.chunks);
    ck_assert_uint_eq(report.decoded, report.chunks);
    ck_assert_uint_eq(report.units_checked, 0);
}
END_TEST

START_TEST(every_unit_against_the_source)
{
    ck_assert_int_eq(verify((struct tm_verify_options){.model_path = s.model, .full = true}),
                     TM_OK);
    ck_assert_uint_eq(report.units_checked, SMALL_JOB_LOSSY + 1);
    ck_assert_uint_eq(report.units_lossless, 1);
    ck_assert_uint_eq(report.tensors_hashed, SMALL_JOB_MATRICES + 1);
}
END_TEST

START_TEST(a_sample_is_as_large_as_asked)
{
    uint64_t seed = 7;
    ck_assert_int_eq(
        verify((struct tm_verify_options){.model_path = s.model, .sample = 5, .seed = &seed}),
        TM_OK);
    ck_assert_uint_eq(report.units_checked, 5);
    ck_assert_uint_eq(report.seed, 7);
    ck_assert_int_eq(verify((struct tm_verify_options){.model_path = s.model, .sample = 5000}),
                     TM_OK);
    ck_assert_uint_eq(report.units_checked, report.units);
}
END_TEST

START_TEST(another_owner_is_refused)
{
    struct tm_identity *other = small_job_identity(2);
    ck_assert_int_eq(verify((struct tm_verify_options){.owner = tm_identity_public(s.owner)}),
                     TM_OK);
    ck_assert_int_eq(verify((struct tm_verify_options){.owner = tm_identity_public(other)}),
                     TM_E_VERIFY);
    ck_assert_ptr_nonnull(strstr(err.what, "another key"));
    tm_identity_destroy(&other);
}
END_TEST

START_TEST(the_reason_is_not_always_wanted)
{
    struct tm_identity *other = small_job_identity(2);
    struct tm_verify_options options = {
        .package_path = s.out, .owner = tm_identity_public(other), .quiet = true};
    ck_assert_int_eq(tm_verify(&options, &report, NULL), TM_E_VERIFY);
    tm_identity_destroy(&other);
    model_damaged(4);
    options = (struct tm_verify_options){
        .package_path = s.out, .model_path = s.model, .full = true, .quiet = true};
    ck_assert_int_eq(tm_verify(&options, &report, NULL), TM_E_VERIFY);
}
END_TEST

START_TEST(what_is_not_there_is_named)
{
    char path[128];
    snprintf(path, sizeof path, "%s/absent", s.dir);
    ck_assert_int_eq(verify((struct tm_verify_options){.model_path = path}), TM_E_NOT_FOUND);
    ck_assert_says(&err, path);
    ck_assert_int_eq(
        verify((struct tm_verify_options){.model_path = s.model, .tensors_under = "absent"}),
        TM_E_USAGE);
    ck_assert_says(&err, "leave out --tensors-under");
    snprintf(s.out, sizeof s.out, "%s/absent.tmpk", s.dir);
    ck_assert_int_eq(verify((struct tm_verify_options){0}), TM_E_NOT_FOUND);
    ck_assert_says(&err, s.out);
}
END_TEST

/* ---- packages that are damaged, or signed by nobody ---- */

START_TEST(a_damaged_chunk_is_named)
{
    struct tm_pkg_layout layout;
    uint8_t header[TM_PACKAGE_HEADER_BYTES];
    FILE *f = fopen(s.out, "r+b");
    ck_assert_uint_eq(fread(header, 1, sizeof header, f), sizeof header);
    ck_assert_int_eq(tm_pkg_layout_parse(tm_view_of(header, sizeof header), &layout, &err), TM_OK);
    ck_assert_int_eq(fseek(f, (long)layout.data_offset, SEEK_SET), 0);
    int byte = fgetc(f);
    ck_assert_int_eq(fseek(f, (long)layout.data_offset, SEEK_SET), 0);
    fputc(byte ^ 1, f);
    fclose(f);
    ck_assert_int_eq(verify((struct tm_verify_options){0}), TM_E_VERIFY);
    ck_assert_says(&err, "the leaf hash of chunk 0 is");
    ck_assert_uint_eq(report.signatures, 0);
}
END_TEST

START_TEST(a_unit_that_nobody_signed_is_named)
{
    struct sample sample;
    sample_make(&sample, SAMPLE_SEED);
    sample.ledger.entries[2].sig.b[0] ^= 1;
    ck_assert_int_eq(sample_write(&sample, s.out, &err), TM_OK);
    sample_free(&sample);
    ck_assert_int_eq(verify((struct tm_verify_options){0}), TM_E_VERIFY);
    ck_assert_says(&err, "unit 2 is not signed by node");
    ck_assert_says(&err, "4 of 5 signatures are good");
}
END_TEST

START_TEST(how_the_units_were_checked_is_counted)
{
    struct sample sample;
    sample_make(&sample, SAMPLE_SEED);
    sample.ledger.entries[0].checks = TM_CHECK_AUDITED;
    sample.ledger.entries[1].checks = TM_CHECK_AUDITED | TM_CHECK_OWNER;
    sample.ledger.entries[2].checks = TM_CHECK_DECODED | TM_CHECK_OWNER;
    sample.ledger.entries[3].checks = TM_CHECK_OWNER;
    sample.ledger.entries[4].checks = 0;
    ck_assert_int_eq(sample_write(&sample, s.out, &err), TM_OK);
    ck_assert_int_eq(verify((struct tm_verify_options){0}), TM_OK);
    ck_assert_uint_eq(report.audited, 2);
    ck_assert_uint_eq(report.owner_made, 3);
    ck_assert_uint_eq(report.decoded, 1);
    ck_assert_uint_eq(report.chunks, SAMPLE_CHUNKS);
    ck_assert_uint_eq(report.signatures, SAMPLE_CHUNKS);
    ck_assert_uint_eq(report.tensors, 2);
    ck_assert_uint_eq(report.nodes, 2);
    ck_assert_uint_eq(report.banned, 1);
    ck_assert(tm_public_key_eq(&report.owner, tm_identity_public(sample.owner)));
    sample_free(&sample);
}
END_TEST

/* ---- models that are not the source ---- */

START_TEST(another_model_is_named_by_tensor_and_unit)
{
    model_damaged(4);
    ck_assert_int_eq(verify((struct tm_verify_options){.model_path = s.model, .full = true}),
                     TM_E_VERIFY);
    ck_assert_ptr_nonnull(strstr(err.where, "'layers.3.weight' unit"));
    ck_assert_ptr_nonnull(strstr(err.what, "not made from this model"));
    ck_assert_says(&err, "SHA-256 of its source bytes");
}
END_TEST

START_TEST(a_model_with_other_tensors_is_no_source)
{
    char path[128];
    model_of("{\"x\":{\"dtype\":\"F32\",\"shape\":[1],\"data_offsets\":[0,4]}}", "\0\0\0\0", 4,
             path);
    ck_assert_int_eq(verify((struct tm_verify_options){.model_path = path}), TM_E_VERIFY);
    ck_assert_ptr_nonnull(strstr(err.why, "1 tensors"));
}
END_TEST

/* The one tensor of the model against the one of the package: [2, 32] numbers in float32. */
static void is_no_source(const char *header, const char *why)
{
    char path[128];
    static const uint8_t zeros[256];
    model_of(header, zeros, sizeof zeros, path);
    ck_assert_int_eq(verify((struct tm_verify_options){.model_path = path}), TM_E_VERIFY);
    ck_assert_says(&err, "not the source of this package");
    ck_assert_says(&err, why);
}

START_TEST(name_type_and_shape_must_agree)
{
    struct tensor_package tp;
    tp_begin(&tp);
    tp_weights(&tp, "w", PIPELINE, 2, 32, 2, ramp(0));
    tp_write(&tp, s.out);
    tp_end(&tp);
    is_no_source("{\"x\":{\"dtype\":\"F32\",\"shape\":[2,32],\"data_offsets\":[0,256]}}",
                 "tensor 'x': not the source of this package: the package does not have it");
    is_no_source("{\"w\":{\"dtype\":\"I32\",\"shape\":[2,32],\"data_offsets\":[0,256]}}",
                 "its type or shape differs");
    is_no_source("{\"w\":{\"dtype\":\"F32\",\"shape\":[4,16],\"data_offsets\":[0,256]}}",
                 "its type or shape differs");
}
END_TEST

/* ---- owners who sign anything ---- */

/* Digests, signatures and ledger are all fine, but one unit does not follow from the source. */
START_TEST(a_unit_that_does_not_follow_is_caught)
{
    small_job_prepare_with(&s, "int8");
    uint32_t unit = small_job_lossy_unit(&s) + 3;
    made_units(&s, unit, 0x41);
    ck_assert_int_eq(tm_job_merge(s.job, s.owner, true, &err), TM_OK);
    tm_job_close(&s.job);
    ck_assert_int_eq(verify((struct tm_verify_options){0}), TM_OK);
    ck_assert_int_eq(verify((struct tm_verify_options){.model_path = s.model, .full = true}),
                     TM_E_VERIFY);
    ck_assert_ptr_nonnull(strstr(err.what, "does not follow from the source"));
    char name[32];
    snprintf(name, sizeof name, "unit %u", unit);
    ck_assert_ptr_nonnull(strstr(err.where, name));
    ck_assert_says(&err, "encoding the source again gives other bytes");
}
END_TEST

START_TEST(kept_bytes_that_are_others_are_caught)
{
    struct tensor_package tp;
    tp_begin(&tp);
    tp_kept(&tp, "w", TM_F32, SHAPE, 256, ramp(1));
    package_of(&tp, ramp(0));
    refused_against_model(TM_E_VERIFY, "tensor 'w' unit 0: does not follow from the source: "
                                       "it does not decode to the source bytes");
}
END_TEST

START_TEST(kept_bytes_that_do_not_decode_are_caught)
{
    struct tensor_package tp;
    tp_begin(&tp);
    tp_kept(&tp, "w", TM_F32, SHAPE, 256, ramp(0));
    tp.chunk[0].data[0] ^= 0xff; /* no zstd frame any more */
    tp.meta.chunks[0].leaf = tm_merkle_leaf(tm_buf_view(&tp.chunk[0]));
    package_of(&tp, ramp(0));
    refused_against_model(TM_E_MALFORMED, "zstd");
}
END_TEST

START_TEST(weights_that_cannot_be_encoded_are_caught)
{
    struct tensor_package tp;
    tp_begin(&tp);
    tp_weights(&tp, "w", PIPELINE, 2, 32, 2, ramp(0));
    float values[64];
    memcpy(values, ramp(0), sizeof values);
    values[40] = NAN;
    package_of(&tp, values);
    refused_against_model(TM_E_REFUSED, "NaN");
}
END_TEST

/* Units of Q8_0 weights that are cut inside of its blocks of 32. */
START_TEST(units_must_cover_the_tensor)
{
    struct tensor_package tp;
    struct test_dir dir = {.path = ""};
    struct tm_buf gguf;
    snprintf(dir.path, sizeof dir.path, "%s", s.dir);
    g_begin(&gguf, 3, 1, 1);
    g_kv_str(&gguf, "general.architecture", "llama");
    g_tensor(&gguf, "w", 2, (const uint64_t[]){32, 2}, TM_Q8_0_OF_GGUF, 0);
    g_pad(&gguf, 32);
    put_data(&gguf, 2 * 34);
    const char *model = test_put_buf(&dir, "w.gguf", &gguf);
    tm_buf_deinit(&gguf);
    tp_begin(&tp);
    struct tm_pkg_tensor *t = tp_named(&tp, "w", TM_Q8_0, SHAPE);
    t->pipeline = tp_pipeline(&tp, PIPELINE);
    tp_chunk(&tp, t->pipeline, (struct tm_block_shape){1, 16}, ramp(0), (struct tm_view){0});
    tp_chunk(&tp, t->pipeline, (struct tm_block_shape){1, 48}, ramp(0), (struct tm_view){0});
    t->chunk_count = 2;
    tp_write(&tp, s.out);
    tp_end(&tp);
    ck_assert_int_eq(verify((struct tm_verify_options){.model_path = model, .full = true}),
                     TM_E_VERIFY);
    ck_assert_says(&err, "tensor 'w': units do not fit the tensor: they cover other bytes");
}
END_TEST

START_TEST(a_pipeline_of_the_future_is_named)
{
    struct tensor_package tp;
    tp_begin(&tp);
    tp_kept(&tp, "w", TM_F32, SHAPE, 256, ramp(0));
    tm_free(tp.meta.pipelines[0]);
    tp.meta.pipelines[0] = tm_strdup("magic.9");
    package_of(&tp, ramp(0));
    ck_assert_int_eq(verify((struct tm_verify_options){0}), TM_E_INCOMPATIBLE);
    ck_assert_says(&err, "magic.9: cannot decode this pipeline");
}
END_TEST

/* Only --full reads whole tensors and attachments. */
START_TEST(a_wrong_digest_of_a_tensor_is_caught)
{
    struct tensor_package tp;
    tp_begin(&tp);
    tp_kept(&tp, "w", TM_F32, SHAPE, 256, ramp(0));
    sources_of(&tp, ramp(0));
    tp.meta.tensors[0].source.b[31] ^= 1;
    model_and_package(&tp, ramp(0));
    ck_assert_int_eq(verify((struct tm_verify_options){.model_path = s.model, .sample = 9}), TM_OK);
    refused_against_model(TM_E_VERIFY, "tensor 'w': not made from this model: "
                                       "the SHA-256 of the tensor differs");
    ck_assert_uint_eq(report.units_checked, 1);
    ck_assert_uint_eq(report.tensors_hashed, 0);
}
END_TEST

START_TEST(a_wrong_digest_of_an_attachment_is_caught)
{
    struct tensor_package tp;
    tp_begin(&tp);
    tp_kept(&tp, "w", TM_F32, SHAPE, 256, ramp(0));
    tp_attach(&tp, "config.json", tm_view_str("{}"), 64);
    tp_attach(&tp, "other.json", tm_view_str("{ }"), 2)->source.b[0] ^= 1;
    package_of(&tp, ramp(0));
    refused_against_model(TM_E_VERIFY, "other.json: attachment does not verify");
}
END_TEST

/* Files that travel along are the source's, whatever the sample; one that it has not is counted. */
START_TEST(files_are_those_of_the_source)
{
    static const char *const texts[] = {METADATA, "{\"made\":\"else\"}"};
    for (int i = 0; i < 2; i++) {
        struct tensor_package tp;
        tp_begin(&tp);
        tp_kept(&tp, "w", TM_F32, SHAPE, 256, ramp(0));
        tp_attach(&tp, "config.json", tm_view_str("{}"), 64);
        tp_attach(&tp, "safetensors-metadata", tm_view_str(texts[i]), 64);
        package_of(&tp, ramp(0));
        struct tm_verify_options options = {.model_path = s.model, .sample = 9};
        ck_assert_int_eq(verify(options), i == 0 ? TM_OK : TM_E_VERIFY);
        ck_assert_uint_eq(report.files, 2);
        ck_assert_uint_eq(report.files_same, i == 0);
    }
    ck_assert_says(&err, "safetensors-metadata: not made from this model: "
                         "the source's file has other bytes");
}
END_TEST

/* ---- failures ---- */

/* One unit: it is checked by this thread, so that the walk meets each place once. */
static void one_unit(bool lossless)
{
    struct tensor_package tp;
    tp_begin(&tp);
    if (lossless) {
        tp_kept(&tp, "w", TM_F32, SHAPE, 256, ramp(0));
    } else {
        tp_weights(&tp, "w", PIPELINE, 2, 32, 2, ramp(0));
    }
    tp_attach(&tp, "config.json", tm_view_str("{}"), 64);
    tp_attach(&tp, "safetensors-metadata", tm_view_str(METADATA), 64);
    package_of(&tp, ramp(0));
}

static void all_was_checked(bool lossless)
{
    ck_assert_uint_eq(report.units, 1);
    ck_assert_uint_eq(report.units_checked, 1);
    ck_assert_uint_eq(report.units_lossless, lossless);
    ck_assert_uint_eq(report.units_reencoded, !lossless);
    ck_assert_uint_eq(report.tensors_hashed, 1);
    ck_assert_uint_eq(report.files_same, 1);
}

START_TEST(no_allocation_may_fail)
{
    bool lossless = _i != 0, failed = true;
    one_unit(lossless);
    size_t live = tm_mem_live_blocks();
    for (uint64_t n = 1; failed; n++) {
        tm_mem_fail_at(n);
        tm_status status = verify((struct tm_verify_options){.model_path = s.model, .full = true});
        failed = tm_mem_failed();
        tm_mem_fail_at(0);
        ck_assert_uint_eq(tm_mem_live_blocks(), live);
        if (status == TM_OK) { /* a progress bar less, or none failed */
            all_was_checked(lossless);
        } else {
            ck_assert_msg(failed && status == TM_E_NOMEM, "allocation %d: %s", (int)n,
                          tm_status_name(status));
        }
    }
}
END_TEST

START_TEST(no_read_may_fail)
{
    bool lossless = _i != 0, failed = true;
    unsigned n = 0;
    one_unit(lossless);
    while (failed) {
        tm_os_fail_at(TM_OS_PREAD, ++n, EIO);
        tm_status status = verify((struct tm_verify_options){.model_path = s.model, .full = true});
        failed = tm_os_failed(TM_OS_PREAD);
        tm_os_fail_at(TM_OS_PREAD, 0, 0);
        ck_assert_msg(status == (failed ? TM_E_IO : TM_OK), "read %u: %s", n,
                      tm_status_name(status));
        if (failed) {
            ck_assert_says(&err, "input/output error");
        }
    }
    ck_assert_uint_gt(n, 8);
    all_was_checked(lossless);
}
END_TEST

START_TEST(it_stops_when_asked)
{
    volatile int stop = 1;
    struct tm_verify_options options = {.model_path = s.model, .full = true, .stop = &stop};
    ck_assert_int_eq(verify(options), TM_E_STOPPED);
    ck_assert_says(&err, "asked to stop");
    ck_assert_uint_eq(report.units_checked, 0);
    stop = 0;
    ck_assert_int_eq(verify(options), TM_OK);
}
END_TEST

static void add_failures(Suite *suite)
{
    TCase *tc = tcase_create("verify-failures");
    tcase_set_timeout(tc, 60);
    tcase_add_checked_fixture(tc, setup, teardown);
    tcase_add_test(tc, the_reason_is_not_always_wanted);
    tcase_add_test(tc, what_is_not_there_is_named);
    tcase_add_test(tc, a_damaged_chunk_is_named);
    tcase_add_test(tc, a_unit_that_nobody_signed_is_named);
    tcase_add_test(tc, another_model_is_named_by_tensor_and_unit);
    tcase_add_test(tc, a_model_with_other_tensors_is_no_source);
    tcase_add_test(tc, name_type_and_shape_must_agree);
    tcase_add_test(tc, a_unit_that_does_not_follow_is_caught);
    tcase_add_test(tc, kept_bytes_that_are_others_are_caught);
    tcase_add_test(tc, kept_bytes_that_do_not_decode_are_caught);
    tcase_add_test(tc, weights_that_cannot_be_encoded_are_caught);
    tcase_add_test(tc, units_must_cover_the_tensor);
    tcase_add_test(tc, a_pipeline_of_the_future_is_named);
    tcase_add_test(tc, a_wrong_digest_of_a_tensor_is_caught);
    tcase_add_test(tc, a_wrong_digest_of_an_attachment_is_caught);
    tcase_add_test(tc, files_are_those_of_the_source);
    tcase_add_loop_test(tc, no_allocation_may_fail, 0, 2);
    tcase_add_loop_test(tc, no_read_may_fail, 0, 2);
    suite_add_tcase(suite, tc);
}

Suite *tm_suite(void)
{
    Suite *suite = suite_create("verify");
    TCase *tc = tcase_create("verify");
    tcase_set_timeout(tc, 60);
    tcase_add_checked_fixture(tc, setup, teardown);
    tcase_add_test(tc, the_package_alone);
    tcase_add_test(tc, every_unit_against_the_source);
    tcase_add_test(tc, a_sample_is_as_large_as_asked);
    tcase_add_test(tc, another_owner_is_refused);
    tcase_add_test(tc, how_the_units_were_checked_is_counted);
    tcase_add_test(tc, it_stops_when_asked);
    suite_add_tcase(suite, tc);
    add_failures(suite);
    return suite;
}

/* SPDX-License-Identifier: Apache-2.0 */
#include "model/calibration/cal_file.h"

#include "base/mem.h"
#include "tests/support/cal_sample.h"
#include "tests/support/suite.h"

START_TEST(what_was_written_is_read)
{
    struct cal_sample s;
    struct tm_err err;
    struct tm_cal_file *file = NULL;
    sample_begin(&s, "llama");
    s.options.layer_first = 1;
    s.options.layer_count = 2;
    const char *path = sample_shard(&s, "f", 2, 9);
    ck_assert(tm_cal_file_is(path));
    ck_assert(!tm_cal_file_is(test_put_text(&s.dir, "other", "TMCALIBRATION")));
    ck_assert(!tm_cal_file_is(s.dir.path));
    ck_assert_msg(tm_cal_file_open(path, &file, &err) == TM_OK, "%s", err.why);
    const struct tm_cal_header *h = tm_cal_file_header(file);
    ck_assert_str_eq(h->arch, "llama");
    ck_assert_uint_eq(h->context, SAMPLE_CONTEXT);
    ck_assert_uint_eq(h->first_token, 1);
    ck_assert_uint_eq(h->windows, SAMPLE_WINDOWS);
    ck_assert_uint_eq(h->layers, TINY_LAYERS);
    ck_assert_uint_eq(h->layer_first, 1);
    ck_assert_uint_eq(h->layer_count, 2);
    ck_assert_uint_eq(tm_cal_windows_covered(h), 7);
    ck_assert_uint_eq(h->ranges[0].first, 2);
    for (uint32_t layer = 1; layer < 3; layer++) {
        for (size_t k = 0; k < TM_CAL_KINDS; k++) {
            struct tm_cal_input input;
            enum tm_cal_kind kind = (enum tm_cal_kind)k;
            ck_assert_msg(tm_cal_file_input(file, layer, kind, &input, &err) == TM_OK, "%s",
                          err.why);
            ck_assert_uint_eq(input.shape.cols, tm_collector_cols(&s.weights.arch, kind));
            bool slope = kind == TM_CAL_QUERY || kind == TM_CAL_KEY;
            uint64_t seen = input.count[TM_CAL_FIT].tokens + input.count[TM_CAL_FIT].sinks;
            ck_assert(slope ? seen <= 6 * 4 : seen == 6 * SAMPLE_CONTEXT);
            ck_assert(tm_cal_input_trace(&input, TM_CAL_FIT) > 0);
            ck_assert(!input.whole || tm_cal_input_trace(&input, TM_CAL_HELD) > 0);
            tm_cal_input_deinit(&input);
        }
    }
    tm_cal_file_close(&file);
    sample_end(&s);
}
END_TEST

/* Every byte of a file is covered by a digest or compared. */
START_TEST(every_changed_byte_is_noticed)
{
    struct cal_sample s;
    struct tm_err err;
    sample_begin(&s, "llama");
    s.options.layer_count = 1;
    struct tm_buf bytes = sample_bytes(sample_shard(&s, "f", 0, 1));
    for (size_t at = 0; at < bytes.bytes; at += at < 600 ? 7 : 211) {
        struct tm_cal_file *file = NULL;
        bytes.data[at] ^= 0x20;
        const char *path = test_put_buf(&s.dir, "bad", &bytes);
        tm_status status = tm_cal_file_open(path, &file, &err);
        struct tm_buf section;
        tm_buf_init(&section, TM_CAL_SECTION_MAX);
        for (uint32_t k = 0; k < TM_CAL_SECTIONS && status == TM_OK; k++) {
            status = tm_cal_file_section(file, 0, k, &section, &err);
        }
        ck_assert_msg(status == TM_E_VERIFY || status == TM_E_MALFORMED ||
                          status == TM_E_INCOMPATIBLE,
                      "byte %zu: %d", at, (int)status);
        ck_assert_ptr_nonnull(strstr(err.where, "bad"));
        tm_buf_deinit(&section);
        tm_cal_file_close(&file);
        bytes.data[at] ^= 0x20;
    }
    for (size_t cut = 0; cut < bytes.bytes; cut += cut < 100 ? 9 : 997) {
        struct tm_cal_file *file = NULL;
        const char *path = test_put(&s.dir, "cut", bytes.data, cut);
        ck_assert_int_ne(tm_cal_file_open(path, &file, &err), TM_OK);
        ck_assert_ptr_null(file);
    }
    tm_buf_deinit(&bytes);
    sample_end(&s);
}
END_TEST

static struct tm_cal_header header_of(struct tm_cal_range *ranges, uint32_t count)
{
    return (struct tm_cal_header){.arch = "llama",
                                  .context = 16,
                                  .width = 32,
                                  .held_every = 8,
                                  .windows = 100,
                                  .layers = 3,
                                  .layer_count = 1,
                                  .range_count = count,
                                  .ranges = ranges};
}

static tm_status parse(const struct tm_cal_header *h, const char **why)
{
    static struct tm_err err;
    struct tm_cal_section sections[3 * TM_CAL_SECTIONS] = {{0}};
    struct tm_cal_section *read = NULL;
    struct tm_cal_header back;
    struct tm_buf buf;
    tm_buf_init(&buf, 1 << 20);
    ck_assert_int_eq(tm_cal_header_write(h, sections, &buf), TM_OK);
    struct tm_view header =
        tm_view_of(buf.data + TM_CAL_FRONT_BYTES, buf.bytes - TM_CAL_FRONT_BYTES);
    tm_status status = tm_cal_header_parse(header, &back, &read, &err);
    *why = err.why;
    ck_assert(status != TM_OK || tm_cal_difference(&back, h) == NULL);
    tm_cal_header_deinit(&back);
    tm_free(read);
    tm_buf_deinit(&buf);
    return status;
}

START_TEST(impossible_headers)
{
    struct tm_cal_range ranges[2] = {{3, 5}, {6, 100}};
    const char *why;
    struct tm_cal_header h = header_of(ranges, 2);
    ck_assert_int_eq(parse(&h, &why), TM_OK);
    ranges[1].first = 5; /* no gap: one range could say it */
    ck_assert_int_eq(parse(&h, &why), TM_E_MALFORMED);
    ck_assert_ptr_nonnull(strstr(why, "ascending order"));
    ranges[1] = (struct tm_cal_range){6, 101};
    ck_assert_int_eq(parse(&h, &why), TM_E_MALFORMED);
    ranges[1] = (struct tm_cal_range){7, 7};
    ck_assert_int_eq(parse(&h, &why), TM_E_MALFORMED);
    for (size_t i = 0; i < 7; i++) {
        h = header_of(ranges, 1);
        memcpy(h.arch, i == 0 ? "a\nb" : "llama", i == 0 ? 4 : 6);
        h.context = i == 1 ? 1 : 16;
        h.held_every = i == 2 ? 1 : 8;
        h.windows = i == 3 ? 0 : 100;
        h.layers = i == 4 ? TM_CAL_LAYERS_MAX + 1 : 3;
        h.layer_first = i == 5 ? 3 : 0;
        h.layer_count = i == 6 ? 0 : 1;
        ck_assert_int_eq(parse(&h, &why), TM_E_MALFORMED);
        ck_assert_str_eq(why, "its header has impossible numbers");
    }
}
END_TEST

START_TEST(differences_are_named)
{
    struct tm_cal_range ranges[1] = {{3, 5}};
    struct tm_cal_header a = header_of(ranges, 1), b = a;
    ck_assert_ptr_null(tm_cal_difference(&a, &b));
    b.context = 32;
    ck_assert_str_eq(tm_cal_difference(&a, &b), "length of the windows");
    b.windows = 50;
    ck_assert_str_eq(tm_cal_difference(&a, &b), "length of the windows");
    b = a;
    b.ids.b[4] = 1;
    ck_assert_str_eq(tm_cal_difference(&a, &b), "tokens of the text");
    b.text.b[4] = 1;
    ck_assert_str_eq(tm_cal_difference(&a, &b), "text");
    b.model.b[4] = 1;
    ck_assert_str_eq(tm_cal_difference(&a, &b), "model");
    b = a;
    b.held_every = 9;
    ck_assert_str_eq(tm_cal_difference(&a, &b), "windows that are held out");
    b.width = 9;
    ck_assert_str_eq(tm_cal_difference(&a, &b), "width of the blocks");
}
END_TEST

Suite *tm_suite(void)
{
    Suite *suite = suite_create("cal_file");
    TCase *tcase = tcase_create("cal_file");
    tcase_add_test(tcase, what_was_written_is_read);
    tcase_add_test(tcase, every_changed_byte_is_noticed);
    tcase_add_test(tcase, impossible_headers);
    tcase_add_test(tcase, differences_are_named);
    suite_add_tcase(suite, tcase);
    return suite;
}

/* SPDX-License-Identifier: Apache-2.0 */
#include "model/safetensors_meta.h"

#include "base/base64.h"
#include "base/mem.h"
#include "tests/support/model_files.h"
#include "tests/support/suite.h"

static tm_status read_text(const char *text, struct tm_safetensors_meta *meta, struct tm_err *err)
{
    struct tm_json_pull pull;
    tm_safetensors_meta_init(meta);
    tm_pull_begin(&pull, tm_view_str(text), "m.st", 100, err);
    return tm_safetensors_meta_read(&pull, meta);
}

/* A blob with one key, as base64 in a metadata object with `rest`. */
static void gguf_object(struct tm_buf *out, const char *rest, bool broken)
{
    struct tm_buf blob;
    tm_buf_init(&blob, 1000);
    put_u64(&blob, broken ? 2 : 1);
    g_kv_str(&blob, "general.architecture", "llama");
    tm_buf_init(out, 10000);
    ck_assert_int_eq(tm_buf_put_str(out, "{\"" TM_SAFETENSORS_GGUF_KEY "\":\""), TM_OK);
    ck_assert_int_eq(tm_base64_encode(tm_buf_view(&blob), out), TM_OK);
    ck_assert_int_eq(tm_buf_printf(out, "\"%s}", rest), TM_OK);
    ck_assert_int_eq(tm_buf_terminate(out), TM_OK);
    tm_buf_deinit(&blob);
}

START_TEST(plain_texts)
{
    struct tm_safetensors_meta meta;
    struct tm_err err;
    ck_assert_int_eq(read_text("  {\"a\":\"1\",\"b\":\"\\u0001\"}", &meta, &err), TM_OK);
    ck_assert_uint_eq(meta.entries, 2);
    ck_assert_uint_eq(meta.offset, 102);
    ck_assert_uint_eq(meta.bytes, strlen("{\"a\":\"1\",\"b\":\"\\u0001\"}"));
    ck_assert_uint_eq(meta.gguf.bytes, 0);
    tm_safetensors_meta_deinit(&meta);
    ck_assert_int_eq(read_text("{}", &meta, &err), TM_OK);
    ck_assert_uint_eq(meta.bytes, 0);
    tm_safetensors_meta_deinit(&meta);
    ck_assert_int_eq(read_text("null", &meta, &err), TM_OK);
    ck_assert_uint_eq(meta.bytes, 0);
    tm_safetensors_meta_deinit(&meta);
}
END_TEST

START_TEST(gguf_metadata_comes_back)
{
    struct tm_safetensors_meta meta;
    struct tm_err err;
    struct tm_buf text;
    gguf_object(&text, ",\"k\":\"v\\n\"", false);
    ck_assert_int_eq(read_text((const char *)text.data, &meta, &err), TM_OK);
    ck_assert_uint_eq(meta.gguf.bytes, 8 + 8 + 20 + 4 + 8 + 5);
    ck_assert(tm_view_eq_str(tm_buf_view(&meta.other), "{\"k\":\"v\\n\"}"));
    struct tm_sources *sources = tm_calloc(1, sizeof *sources);
    ck_assert_int_eq(tm_safetensors_meta_attach(sources, 0, &meta, &err), TM_OK);
    ck_assert_uint_eq(sources->inventory.attachment_count, 2);
    ck_assert_str_eq(sources->inventory.attachments[0].name, "gguf-metadata");
    ck_assert_uint_eq(sources->inventory.attachments[0].bytes, meta.gguf.bytes);
    ck_assert_str_eq(sources->inventory.attachments[1].name, "safetensors-metadata");
    tm_sources_deinit(sources);
    tm_free(sources);
    tm_safetensors_meta_deinit(&meta);
    tm_buf_deinit(&text);
}
END_TEST

START_TEST(refuses)
{
    static const struct {
        const char *text, *word;
    } rows[] = {
        {"[]", "not an object"},
        {"{\"a\":1}", "not a string"},
        {"{\"a\":null}", "not a string"},
        {"{\"a\":\"1\",\"\\u0061\":\"2\"}", "duplicate"},
        {"{\"a\\u0000\":\"1\"}", "NUL"},
        {"{\"" TM_SAFETENSORS_GGUF_KEY "\":\"A\"}", "base64"},
        {"{\"" TM_SAFETENSORS_GGUF_KEY "\":\"\"}", "truncated"},
        {"{\"a\":\"1\"", "ends too early"},
    };
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        struct tm_safetensors_meta meta;
        struct tm_err err;
        ck_assert_msg(read_text(rows[i].text, &meta, &err) == TM_E_MALFORMED, "%s", rows[i].text);
        ck_assert_says(&err, rows[i].word);
        ck_assert_says(&err, "m.st");
        tm_safetensors_meta_deinit(&meta);
    }
    struct tm_safetensors_meta meta;
    struct tm_err err;
    struct tm_buf text;
    gguf_object(&text, "", true);
    ck_assert_int_eq(read_text((const char *)text.data, &meta, &err), TM_E_MALFORMED);
    ck_assert_says(&err, TM_SAFETENSORS_GGUF_KEY);
    tm_safetensors_meta_deinit(&meta);
    tm_buf_deinit(&text);
}
END_TEST

START_TEST(every_allocation_may_fail)
{
    struct tm_buf text;
    gguf_object(&text, ",\"k\":\"v\"", false);
    size_t live = tm_mem_live_blocks();
    bool done = false;
    for (uint64_t n = 1; !done; n++) {
        struct tm_safetensors_meta meta;
        struct tm_err err;
        tm_mem_fail_at(n);
        tm_status status = read_text((const char *)text.data, &meta, &err);
        done = !tm_mem_failed();
        tm_mem_fail_at(0);
        ck_assert_int_eq(status, done ? TM_OK : TM_E_NOMEM);
        tm_safetensors_meta_deinit(&meta);
        ck_assert_uint_eq(tm_mem_live_blocks(), live);
    }
    tm_buf_deinit(&text);
}
END_TEST

Suite *tm_suite(void)
{
    Suite *suite = suite_create("safetensors_meta");
    TCase *tcase = tcase_create("safetensors_meta");
    tcase_add_test(tcase, plain_texts);
    tcase_add_test(tcase, gguf_metadata_comes_back);
    tcase_add_test(tcase, refuses);
    tcase_add_test(tcase, every_allocation_may_fail);
    suite_add_tcase(suite, tcase);
    return suite;
}

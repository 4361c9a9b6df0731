/* SPDX-License-Identifier: Apache-2.0 */
#include "model/tokenizer/token_stream.h"

#include "base/mem.h"
#include "tests/support/suite.h"
#include "tests/support/token_ids.h"

#define MARK "\\u2581"

/* Bytes are tokens 10 + byte. */
static struct tm_tokenizer *with_decoder(const char *decoder)
{
    static char text[8192];
    struct tm_tokenizer *t = NULL;
    struct tm_err err;
    size_t at = (size_t)snprintf(text, sizeof text,
                                 "{\"decoder\":%s,\"added_tokens\":[{\"id\":3,\"content\":\"<e>\","
                                 "\"special\":true}],\"model\":{\"type\":\"BPE\",\"merges\":[],"
                                 "\"vocab\":{\"" MARK "a\":0,\"" MARK "\":1,\"b \":2",
                                 decoder);
    for (unsigned byte = 0; byte < 256; byte++) {
        at += (size_t)snprintf(text + at, sizeof text - at, ",\"<0x%02X>\":%u", byte, 10 + byte);
    }
    snprintf(text + at, sizeof text - at, "}}}");
    ck_assert_msg(tm_tokenizer_from_json(tm_view_str(text), "t", &t, &err) == TM_OK, "%s", err.why);
    return t;
}

static const char llama2[] =
    "{\"type\":\"Sequence\",\"decoders\":["
    "{\"type\":\"Replace\",\"pattern\":{\"String\":\"" MARK "\"},\"content\":\" \"},"
    "{\"type\":\"ByteFallback\"},{\"type\":\"Fuse\"},"
    "{\"type\":\"Strip\",\"content\":\" \",\"start\":1,\"stop\":0}]}";

/* Puts the ids one by one; '|' stands behind what each gave, "$" before what the end gave. */
static void expect(struct tm_tokenizer *t, const uint32_t *ids, size_t count, const char *wanted)
{
    struct tm_token_stream *stream = NULL;
    struct tm_buf out;
    struct tm_err err;
    tm_buf_init(&out, 1000);
    ck_assert_int_eq(tm_token_stream_new(t, TM_DETOKENIZE_SKIP_SPECIALS, &stream), TM_OK);
    for (int round = 0; round < 2; round++) { /* the end makes it as new */
        tm_buf_clear(&out);
        for (size_t i = 0; i < count; i++) {
            ck_assert_int_eq(tm_token_stream_put(stream, ids[i], &out, &err), TM_OK);
            ck_assert_int_eq(tm_buf_put_str(&out, "|"), TM_OK);
        }
        ck_assert_int_eq(tm_buf_put_str(&out, "$"), TM_OK);
        ck_assert_int_eq(tm_token_stream_end(stream, &out, &err), TM_OK);
        ck_assert_msg(tm_view_eq_str(tm_buf_view(&out), wanted), "%.*s", (int)out.bytes,
                      (const char *)out.data);
    }
    tm_token_stream_destroy(&stream);
    tm_token_stream_destroy(&stream);
    tm_buf_deinit(&out);
}

#define BYTE(x) (10 + 0x##x)
#define EXPECT(t, wanted, ...)                                                                     \
    do {                                                                                           \
        static const uint32_t list[] = {__VA_ARGS__};                                              \
        expect(t, list, sizeof list / sizeof list[0], wanted);                                     \
    } while (0)

START_TEST(characters_come_whole)
{
    struct tm_tokenizer *t = with_decoder(llama2);
    EXPECT(t, "a|b |$", 0, 2);
    EXPECT(t, "| |a|$", 1, 1, BYTE(61)); /* only one blank is stripped */
    EXPECT(t, "|\xc3\xa9|$", BYTE(C3), BYTE(A9));
    EXPECT(t, "|||\xf0\x9f\x98\x80|a|$", BYTE(F0), BYTE(9F), BYTE(98), BYTE(80), BYTE(61));
    EXPECT(t, "||a|$", 3, 3, 0); /* special tokens are skipped */
    tm_tokenizer_destroy(&t);
}
END_TEST

START_TEST(what_cannot_become_a_character)
{
    struct tm_tokenizer *t = with_decoder(llama2);
    EXPECT(t, "\xff|$", BYTE(FF));
    EXPECT(t, "\xc0|\x80|$", BYTE(C0), BYTE(80));
    EXPECT(t,
           "|\xe2"
           "a|$",
           BYTE(E2), BYTE(61));
    EXPECT(t, "||$\xe2\x82", BYTE(E2), BYTE(82));
    EXPECT(t, "|\xed\xa0|\x80|$", BYTE(ED), BYTE(A0), BYTE(80)); /* a surrogate */
    EXPECT(t, "|\xf4\x90|$", BYTE(F4), BYTE(90));                /* past U+10FFFF */
    EXPECT(t, "|\xe0\x80|$", BYTE(E0), BYTE(80));                /* too long a form */
    EXPECT(t, "|\xe2|$\xe2", BYTE(E2), BYTE(E2));
    tm_tokenizer_destroy(&t);
}
END_TEST

START_TEST(decoders_that_want_all)
{
    struct tm_tokenizer *t =
        with_decoder("{\"type\":\"Sequence\",\"decoders\":[{\"type\":\"Fuse\"},"
                     "{\"type\":\"Strip\",\"content\":\" \",\"start\":0,\"stop\":1}]}");
    EXPECT(t, "||$b b", 2, 2);
    tm_tokenizer_destroy(&t);
}
END_TEST

START_TEST(an_id_that_does_not_exist)
{
    struct tm_tokenizer *t = with_decoder(llama2);
    struct tm_token_stream *stream = NULL;
    struct tm_buf out;
    struct tm_err err;
    tm_buf_init(&out, 4);
    ck_assert_int_eq(tm_token_stream_new(t, 0, &stream), TM_OK);
    ck_assert_int_eq(tm_token_stream_put(stream, 0, &out, &err), TM_OK);
    ck_assert_int_eq(tm_token_stream_put(stream, 999, &out, &err), TM_E_MALFORMED);
    ck_assert_str_eq(err.why, "token 1 has the id 999, and there are 266");
    ck_assert_int_eq(tm_token_stream_put(stream, 3, &out, &err), TM_OK);
    ck_assert(tm_view_eq_str(tm_buf_view(&out), "a<e>"));
    ck_assert_int_eq(tm_token_stream_put(stream, 0, &out, &err), TM_E_LIMIT);
    tm_token_stream_destroy(&stream);
    tm_buf_deinit(&out);
    tm_tokenizer_destroy(&t);
}
END_TEST

START_TEST(memory_runs_out)
{
    static const uint32_t ids[] = {0, 2, BYTE(C3), BYTE(A9)};
    uint64_t live = tm_mem_live_blocks();
    for (uint64_t n = 1, failed = 1; failed; n++) {
        struct tm_tokenizer *t = with_decoder(llama2);
        struct tm_token_stream *stream = NULL;
        struct tm_buf out;
        struct tm_err err;
        tm_buf_init(&out, 1000);
        tm_mem_fail_at(n);
        tm_status status = tm_token_stream_new(t, 0, &stream);
        for (size_t i = 0; i < 4 && status == TM_OK; i++) {
            status = tm_token_stream_put(stream, ids[i], &out, &err);
        }
        status = status == TM_OK ? tm_token_stream_end(stream, &out, &err) : status;
        failed = tm_mem_failed();
        tm_mem_fail_at(0);
        ck_assert_int_eq(status, failed ? TM_E_NOMEM : TM_OK);
        tm_token_stream_destroy(&stream);
        tm_tokenizer_destroy(&t);
        tm_buf_deinit(&out);
        ck_assert_uint_eq(tm_mem_live_blocks(), live);
    }
}
END_TEST

Suite *tm_suite(void)
{
    Suite *suite = suite_create("token_stream");
    TCase *tc = tcase_create("token_stream");
    tcase_add_test(tc, characters_come_whole);
    tcase_add_test(tc, what_cannot_become_a_character);
    tcase_add_test(tc, decoders_that_want_all);
    tcase_add_test(tc, an_id_that_does_not_exist);
    tcase_add_test(tc, memory_runs_out);
    suite_add_tcase(suite, tc);
    return suite;
}

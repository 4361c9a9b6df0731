/* SPDX-License-Identifier: Apache-2.0 */
#include "model/tokenizer/decoder.h"

#include <stdio.h>
#include <string.h>

#include "base/mem.h"
#include "tests/support/suite.h"

#define MARK "\xe2\x96\x81"

static tm_status parse(struct tm_token_decoder *decoder, const char *json, struct tm_err *err)
{
    struct tm_json_doc *doc = NULL;
    TM_TRY(tm_json_parse(tm_view_str(json), "t", &doc, err));
    tm_status status = tm_token_decoder_json(decoder, tm_json_root(doc), err);
    tm_json_free(&doc);
    return status;
}

static void expect(const struct tm_token_decoder *decoder, const char *const *tokens,
                   const char *wanted)
{
    struct tm_pieces pieces, spare;
    struct tm_buf out;
    tm_pieces_init(&pieces);
    tm_pieces_init(&spare);
    tm_buf_init(&out, 1000);
    for (size_t i = 0; tokens[i] != NULL; i++) {
        ck_assert_int_eq(tm_pieces_add(&pieces, tm_view_str(tokens[i]), TM_NO_TOKEN, false), TM_OK);
    }
    ck_assert_int_eq(tm_token_decoder_apply(decoder, &pieces, &spare, &out), TM_OK);
    ck_assert_msg(tm_view_eq_str(tm_buf_view(&out), wanted), "%.*s instead of %s", (int)out.bytes,
                  (const char *)out.data, wanted);
    struct tm_token_decoding decoding;
    tm_token_decoder_begin(decoder, &decoding);
    tm_buf_clear(&out);
    for (size_t i = 0; tokens[i] != NULL; i++) {
        tm_pieces_clear(&pieces);
        ck_assert_int_eq(tm_pieces_add(&pieces, tm_view_str(tokens[i]), TM_NO_TOKEN, false), TM_OK);
        ck_assert_int_eq(tm_token_decoder_next(decoder, &decoding, &pieces, &spare, &out), TM_OK);
    }
    ck_assert_msg(!tm_token_decoder_streams(decoder) || tm_view_eq_str(tm_buf_view(&out), wanted),
                  "%.*s instead of %s, token by token", (int)out.bytes, (const char *)out.data,
                  wanted);
    tm_pieces_deinit(&pieces);
    tm_pieces_deinit(&spare);
    tm_buf_deinit(&out);
}

static const struct {
    const char *json;
    const char *tokens[6];
    const char *out;
} cases[] = {
    {"null", {"a", "b"}, "ab"},
    {"{\"type\":\"ByteLevel\"}",
     {"\xc4\xa0"
      "a",
      "\xc3\x83", "\xc2\xa9", "<|x y|>"},
     " a\xc3\xa9<|x y|>"},
    {"{\"type\":\"ByteLevel\"}", {"\xc3\x83"}, "\xc3"}, /* half a character stays half */
    {"{\"type\":\"Metaspace\"}", {MARK "a", MARK "b"}, "a b"},
    {"{\"type\":\"Metaspace\",\"prepend_scheme\":\"never\"}", {MARK "a"}, " a"},
    {"{\"type\":\"Sequence\",\"decoders\":["
     "{\"type\":\"Replace\",\"pattern\":{\"String\":\"" MARK "\"},\"content\":\" \"},"
     "{\"type\":\"ByteFallback\"},{\"type\":\"Fuse\"},"
     "{\"type\":\"Strip\",\"content\":\" \",\"start\":1,\"stop\":0}]}",
     {MARK MARK "a", "<0xC3>", "<0xA9>", "<0xG1>"},
     " a\xc3\xa9<0xG1>"},
    {"{\"type\":\"Strip\",\"content\":\"_\",\"start\":0,\"stop\":2}", {"a___", "_", "b"}, "a_b"},
};

START_TEST(tokens_become_text)
{
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        struct tm_token_decoder decoder;
        struct tm_err err;
        tm_token_decoder_init(&decoder);
        ck_assert_int_eq(parse(&decoder, cases[i].json, &err), TM_OK);
        expect(&decoder, cases[i].tokens, cases[i].out);
        tm_token_decoder_deinit(&decoder);
    }
}
END_TEST

START_TEST(what_goes_token_by_token)
{
    static const struct {
        const char *steps;
        bool streams;
    } lists[] = {
        {"{\"type\":\"ByteFallback\"},{\"type\":\"Fuse\"}", true},
        {"{\"type\":\"Fuse\"},{\"type\":\"Strip\",\"content\":\" \",\"start\":1,\"stop\":0}", true},
        {"{\"type\":\"Fuse\"},{\"type\":\"Strip\",\"content\":\" \",\"start\":1,\"stop\":1}",
         false},
        {"{\"type\":\"Fuse\"},{\"type\":\"ByteLevel\"}", false},
    };
    for (size_t i = 0; i < sizeof lists / sizeof lists[0]; i++) {
        struct tm_token_decoder decoder;
        struct tm_err err;
        char json[512];
        snprintf(json, sizeof json, "{\"type\":\"Sequence\",\"decoders\":[%s]}", lists[i].steps);
        tm_token_decoder_init(&decoder);
        ck_assert_int_eq(parse(&decoder, json, &err), TM_OK);
        ck_assert_msg(tm_token_decoder_streams(&decoder) == lists[i].streams, "%s", json);
        tm_token_decoder_deinit(&decoder);
    }
}
END_TEST

START_TEST(sentencepieces_way)
{
    static const char *const tokens[] = {MARK "a", MARK, "<0x0A>", NULL};
    struct tm_token_decoder decoder;
    struct tm_err err;
    tm_token_decoder_init(&decoder);
    ck_assert_int_eq(tm_token_decoder_sentencepiece(&decoder, 1, &err), TM_OK);
    expect(&decoder, tokens, "a \n");
    tm_token_decoder_deinit(&decoder);
    ck_assert_int_eq(tm_token_decoder_sentencepiece(&decoder, 0, &err), TM_OK);
    expect(&decoder, tokens, " a \n");
    tm_token_decoder_deinit(&decoder);
    ck_assert_int_eq(tm_token_decoder_byte_level(&decoder, &err), TM_OK);
    expect(&decoder, tokens, MARK "a" MARK "<0x0A>"); /* no characters of bytes */
    tm_token_decoder_deinit(&decoder);
}
END_TEST

static const struct {
    const char *json, *word;
    tm_status status;
} bad[] = {
    {"1", "no type", TM_E_MALFORMED},
    {"{\"type\":\"CTC\"}", "'CTC' is not known", TM_E_INCOMPATIBLE},
    {"{\"type\":\"Strip\",\"content\":\"\",\"start\":0,\"stop\":0}", "Strip needs", TM_E_MALFORMED},
    {"{\"type\":\"Sequence\",\"decoders\":[{}]}", "step 0 has no type", TM_E_MALFORMED},
};

START_TEST(bad_steps_are_named)
{
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
        struct tm_token_decoder decoder;
        struct tm_err err;
        tm_token_decoder_init(&decoder);
        ck_assert_int_eq(parse(&decoder, bad[i].json, &err), bad[i].status);
        ck_assert_msg(strstr(err.why, bad[i].word) != NULL, "%s: %s", bad[i].json, err.why);
        tm_token_decoder_deinit(&decoder);
    }
}
END_TEST

Suite *tm_suite(void)
{
    Suite *suite = suite_create("decoder");
    TCase *tc = tcase_create("decoder");
    tcase_add_test(tc, tokens_become_text);
    tcase_add_test(tc, what_goes_token_by_token);
    tcase_add_test(tc, sentencepieces_way);
    tcase_add_test(tc, bad_steps_are_named);
    suite_add_tcase(suite, tc);
    return suite;
}

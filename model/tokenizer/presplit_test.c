/* SPDX-License-Identifier: Apache-2.0 */
#include "model/tokenizer/presplit.h"

#include <string.h>

#include "base/mem.h"
#include "tests/support/suite.h"

static tm_status parse(struct tm_presplit *presplit, const char *json, struct tm_err *err)
{
    struct tm_json_doc *doc = NULL;
    TM_TRY(tm_json_parse(tm_view_str(json), "t", &doc, err));
    tm_status status = tm_presplit_json(presplit, tm_json_root(doc), err);
    tm_json_free(&doc);
    return status;
}

#define SPLIT(pattern, behavior)                                                                   \
    "{\"type\":\"Split\",\"pattern\":{\"Regex\":\"" pattern "\"},\"behavior\":\"" behavior "\"}"
#define MARK "\xe2\x96\x81"
#define BLANK "\xc4\xa0" /* how a blank is written in byte-level vocabularies */

/* Pieces of the result, each followed by '|'. */
static const struct {
    const char *json, *in, *out;
} cases[] = {
    {"null", "a b", "a b|"},
    {SPLIT("-", "Isolated"), "a--b", "a|-|-|b|"},
    {SPLIT("-", "Removed"), "-a--b", "a|b|"},
    {SPLIT("-", "MergedWithPrevious"), "a--b-", "a-|-|b-|"},
    {SPLIT("-", "MergedWithNext"), "a--b-", "a|-|-b|-|"},
    {SPLIT("-", "Contiguous"), "a--b-", "a|--|b|-|"},
    {"{\"type\":\"Split\",\"pattern\":{\"String\":\"-\"},\"behavior\":\"Removed\",\"invert\":true}",
     "a--b", "-|-|"},
    {"{\"type\":\"Digits\",\"individual_digits\":true}", "a12b", "a|1|2|b|"},
    {"{\"type\":\"Digits\"}", "a12b", "a|12|b|"},
    {"{\"type\":\"Punctuation\"}", "a,b$!", "a|,|b|$|!|"},
    {"{\"type\":\"WhitespaceSplit\"}", " a  b\n", "a|b|"},
    {"{\"type\":\"Whitespace\"}", "Hi there!?", "Hi|there|!?|"},
    {"{\"type\":\"Metaspace\"}", "a  b", MARK "a|" MARK "|" MARK "b|"},
    {"{\"type\":\"Metaspace\"}", " a", MARK "a|"},
    {"{\"type\":\"Metaspace\",\"split\":false}", "a b", MARK "a" MARK "b|"},
    {"{\"type\":\"Metaspace\",\"prepend_scheme\":\"never\"}", "a b", "a|" MARK "b|"},
    {"{\"type\":\"Metaspace\",\"add_prefix_space\":false}", "a b", "a|" MARK "b|"},
    {"{\"type\":\"ByteLevel\",\"add_prefix_space\":false}", "Hello  world's 12!\n",
     "Hello|" BLANK "|" BLANK "world|'s|" BLANK "12|!|\xc4\x8a|"},
    {"{\"type\":\"ByteLevel\"}", "a", BLANK "a|"},
    {"{\"type\":\"ByteLevel\",\"use_regex\":false}", " a b", BLANK "a" BLANK "b|"},
    {"{\"type\":\"Sequence\",\"pretokenizers\":[{\"type\":\"Digits\"},"
     "{\"type\":\"ByteLevel\",\"add_prefix_space\":false,\"use_regex\":false}]}",
     "a1 ", "a|1|" BLANK "|"},
};

static void run(const struct tm_presplit *presplit, const char *in, char *out)
{
    struct tm_pieces pieces, spare;
    tm_pieces_init(&pieces);
    tm_pieces_init(&spare);
    ck_assert_int_eq(tm_pieces_add(&pieces, tm_view_str(in), TM_NO_TOKEN, true), TM_OK);
    ck_assert_int_eq(tm_presplit_apply(presplit, &pieces, &spare), TM_OK);
    for (size_t i = 0; i < tm_pieces_count(&pieces); i++) {
        struct tm_view text = tm_pieces_text(&pieces, tm_pieces_at(&pieces, i));
        memcpy(out, text.data, text.bytes);
        out += text.bytes;
        *out++ = '|';
    }
    *out = 0;
    tm_pieces_deinit(&pieces);
    tm_pieces_deinit(&spare);
}

START_TEST(steps_cut_the_text)
{
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        struct tm_presplit presplit;
        struct tm_err err;
        char out[256];
        tm_presplit_init(&presplit);
        ck_assert_int_eq(parse(&presplit, cases[i].json, &err), TM_OK);
        run(&presplit, cases[i].in, out);
        ck_assert_msg(strcmp(out, cases[i].out) == 0, "%s: %s becomes %s", cases[i].json,
                      cases[i].in, out);
        tm_presplit_deinit(&presplit);
    }
}
END_TEST

START_TEST(only_the_first_piece_gets_the_first_mark)
{
    struct tm_presplit presplit;
    struct tm_pieces pieces, spare;
    struct tm_err err;
    tm_presplit_init(&presplit);
    tm_pieces_init(&pieces);
    tm_pieces_init(&spare);
    ck_assert_int_eq(
        parse(&presplit, "{\"type\":\"Metaspace\",\"prepend_scheme\":\"first\"}", &err), TM_OK);
    ck_assert_int_eq(tm_pieces_add(&pieces, tm_view_str("a"), TM_NO_TOKEN, true), TM_OK);
    ck_assert_int_eq(tm_pieces_add(&pieces, tm_view_str("<s>"), 1, false), TM_OK);
    ck_assert_int_eq(tm_pieces_add(&pieces, tm_view_str("b"), TM_NO_TOKEN, false), TM_OK);
    ck_assert_int_eq(tm_presplit_apply(&presplit, &pieces, &spare), TM_OK);
    ck_assert_uint_eq(tm_pieces_count(&pieces), 3);
    ck_assert(tm_view_eq_str(tm_buf_view(&pieces.text), MARK "a<s>b"));
    ck_assert_uint_eq(tm_pieces_at(&pieces, 1)->token, 1);
    tm_pieces_deinit(&pieces);
    tm_pieces_deinit(&spare);
    tm_presplit_deinit(&presplit);
}
END_TEST

static const struct {
    const char *json, *word;
    tm_status status;
} bad[] = {
    {"[]", "no type", TM_E_MALFORMED},
    {"{\"type\":\"Tarot\"}", "'Tarot' is not known", TM_E_INCOMPATIBLE},
    {"{\"type\":\"Split\",\"pattern\":{\"String\":\"a\"}}", "no known behavior", TM_E_MALFORMED},
    {"{\"type\":\"Split\",\"behavior\":\"Isolated\"}", "no pattern", TM_E_MALFORMED},
    {"{\"type\":\"Punctuation\",\"behavior\":\"Odd\"}", "no known behavior", TM_E_MALFORMED},
    {"{\"type\":\"Metaspace\",\"replacement\":\"_\"}", "another mark", TM_E_INCOMPATIBLE},
    {SPLIT("[", "Isolated"), "at byte", TM_E_MALFORMED},
};

START_TEST(bad_steps_are_named)
{
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
        struct tm_presplit presplit;
        struct tm_err err;
        tm_presplit_init(&presplit);
        ck_assert_int_eq(parse(&presplit, bad[i].json, &err), bad[i].status);
        ck_assert_msg(strstr(err.why, bad[i].word) != NULL, "%s: %s", bad[i].json, err.why);
        tm_presplit_deinit(&presplit);
    }
}
END_TEST

Suite *tm_suite(void)
{
    Suite *suite = suite_create("presplit");
    TCase *tc = tcase_create("presplit");
    tcase_add_test(tc, steps_cut_the_text);
    tcase_add_test(tc, only_the_first_piece_gets_the_first_mark);
    tcase_add_test(tc, bad_steps_are_named);
    suite_add_tcase(suite, tc);
    return suite;
}

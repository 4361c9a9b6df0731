/* SPDX-License-Identifier: Apache-2.0 */
#include "model/tokenizer/added.h"

#include <stdio.h>
#include <string.h>

#include "base/mem.h"
#include "tests/support/suite.h"

static const struct tm_text_spans none = {NULL, 0};

/* What the text becomes: plain pieces as they are, tokens as {id:text}, each followed by '|'. */
static void cut_mixed(const struct tm_added *added, const struct tm_normals *normals,
                      const char *text, bool specials, const struct tm_text_spans *plain, char *out)
{
    struct tm_pieces pieces;
    tm_pieces_init(&pieces);
    ck_assert_int_eq(tm_added_cut(added, normals, tm_view_str(text), specials, plain, &pieces),
                     TM_OK);
    *out = 0;
    for (size_t i = 0; i < tm_pieces_count(&pieces); i++) {
        const struct tm_piece *piece = tm_pieces_at(&pieces, i);
        struct tm_view view = tm_pieces_text(&pieces, piece);
        size_t at = strlen(out);
        if (piece->token != TM_NO_TOKEN) {
            snprintf(out + at, 256 - at, "{%u:%.*s}|", piece->token, (int)view.bytes,
                     (const char *)view.data);
        } else {
            snprintf(out + at, 256 - at, "%.*s|", (int)view.bytes, (const char *)view.data);
        }
    }
    tm_pieces_deinit(&pieces);
}

static void cut(const struct tm_added *added, const struct tm_normals *normals, const char *text,
                bool specials, char *out)
{
    cut_mixed(added, normals, text, specials, &none, out);
}

static const struct {
    struct tm_added_token token;
    const char *text;
} tokens[] = {
    {{.id = 10, .special = true}, "<s>"},
    {{.id = 11, .special = true}, "<s>x"},
    {{.id = 12, .single_word = true}, "word"},
    {{.id = 13, .lstrip = true, .rstrip = true}, "[M]"},
    {{.id = 14, .normalized = true}, "NOR"},
    {{.id = 15, .normalized = true, .verbatim = true}, "low"},
};

static void make(struct tm_added *added, struct tm_normals *normals)
{
    tm_added_init(added);
    tm_normals_init(normals);
    ck_assert_int_eq(tm_normals_add(normals, TM_NORMAL_LOWERCASE, NULL, tm_view_str(""), NULL),
                     TM_OK);
    for (size_t i = 0; i < sizeof tokens / sizeof tokens[0]; i++) {
        ck_assert_int_eq(tm_added_put(added, tokens[i].token, tm_view_str(tokens[i].text)), TM_OK);
    }
    ck_assert_int_eq(tm_added_seal(added, normals), TM_OK);
}

static const struct {
    const char *text, *out;
    bool specials;
} cases[] = {
    {"A<s>B", "a|{10:<s>}|b|", true},
    {"A<s>B", "a<s>b|", false},
    {"<s>x<s>", "{11:<s>x}|{10:<s>}|", true}, /* the longest */
    {"a word.", "a |{12:word}|.|", true},
    {"words word", "words |{12:word}|", true},
    {"sword", "sword|", true},
    {"\xc3\xa9word", "\xc3\xa9word|", true},
    {"a  [M] \t b", "a|{13:  [M] \t }|b|", true},
    {"[M][M]", "{13:[M]}|{13:[M]}|", true},
    {"nor NOR Nor", "{14:nor}| |{14:nor}| |{14:nor}|", true}, /* found after lowercasing */
    {"LOW low", "{15:low}| |{15:low}|", true},
    {"", "", true},
};

START_TEST(tokens_are_cut_out)
{
    struct tm_added added;
    struct tm_normals normals;
    char out[256];
    make(&added, &normals);
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        cut(&added, &normals, cases[i].text, cases[i].specials, out);
        ck_assert_msg(strcmp(out, cases[i].out) == 0, "%s becomes %s", cases[i].text, out);
    }
    ck_assert_uint_eq(tm_added_find(&added, 12)->bytes, 4);
    ck_assert(tm_view_eq_str(tm_added_text(&added, tm_added_find(&added, 14)), "NOR"));
    ck_assert(tm_view_eq_str(tm_added_shown(&added, tm_added_find(&added, 14)), "nor"));
    ck_assert_ptr_null(tm_added_find(&added, 9));
    ck_assert_ptr_null(tm_added_find(&added, 99));
    ck_assert_int_eq(tm_added_put(&added, tokens[0].token, tm_view_str("")), TM_E_MALFORMED);
    tm_added_deinit(&added);
    tm_normals_deinit(&normals);
}
END_TEST

/* "[" and "]" stand around what a stranger wrote; they are not in the text. */
static const struct {
    const char *text, *out;
} mixed[] = {
    {"<s>[<s>]<s>", "{10:<s>}|<s>|{10:<s>}|"},
    {"[a<s>", "a<s>|"},
    {"<s>[x]b", "{10:<s>}|xb|"}, /* not <s>x, but <s> all the same */
    {"<[s>]<s>", "<s>|{10:<s>}|"},
    {"[<]s><s>", "<s>|{10:<s>}|"},
    {"[<s]><s>[<s>]", "<s>|{10:<s>}|<s>|"},
    {"[][<s>]", "<s>|"},
    {"[word] word [NOR]", "{12:word}| |{12:word}| |{14:nor}|"}, /* what is not special */
};

START_TEST(special_tokens_are_no_strangers_business)
{
    struct tm_added added;
    struct tm_normals normals;
    make(&added, &normals);
    for (size_t i = 0; i < sizeof mixed / sizeof mixed[0]; i++) {
        char text[64], out[256];
        size_t bytes = 0, count = 0;
        struct tm_text_span spans[4] = {{0, 0}};
        for (const char *c = mixed[i].text; *c != 0; c++) {
            if (*c == '[') {
                spans[count].from = bytes;
            } else if (*c == ']') {
                spans[count++].to = bytes;
            } else {
                text[bytes++] = *c;
            }
        }
        if (strchr(mixed[i].text, ']') == NULL) {
            spans[count++].to = bytes;
        }
        text[bytes] = 0;
        struct tm_text_spans plain = {spans, count};
        cut_mixed(&added, &normals, text, true, &plain, out);
        ck_assert_msg(strcmp(out, mixed[i].out) == 0, "%s becomes %s", mixed[i].text, out);
    }
    tm_added_deinit(&added);
    tm_normals_deinit(&normals);
}
END_TEST

START_TEST(memory_runs_out)
{
    size_t live = tm_mem_live_blocks();
    bool failed = true;
    for (uint64_t n = 1; failed; n++) {
        struct tm_added added;
        struct tm_normals normals;
        struct tm_pieces pieces;
        tm_added_init(&added);
        tm_normals_init(&normals);
        tm_pieces_init(&pieces);
        tm_mem_fail_at(n);
        tm_status status = TM_OK;
        for (size_t i = 0; i < sizeof tokens / sizeof tokens[0] && status == TM_OK; i++) {
            status = tm_added_put(&added, tokens[i].token, tm_view_str(tokens[i].text));
        }
        if (status == TM_OK) {
            status = tm_added_seal(&added, &normals);
        }
        if (status == TM_OK) {
            status = tm_added_cut(&added, &normals, tm_view_str("a<s>NOR"), true, &none, &pieces);
        }
        failed = tm_mem_failed();
        tm_mem_fail_at(0);
        ck_assert_int_eq(status, failed ? TM_E_NOMEM : TM_OK);
        tm_added_deinit(&added);
        tm_normals_deinit(&normals);
        tm_pieces_deinit(&pieces);
        ck_assert_uint_eq(tm_mem_live_blocks(), live);
    }
}
END_TEST

Suite *tm_suite(void)
{
    Suite *suite = suite_create("added");
    TCase *tc = tcase_create("added");
    tcase_add_test(tc, tokens_are_cut_out);
    tcase_add_test(tc, special_tokens_are_no_strangers_business);
    tcase_add_test(tc, memory_runs_out);
    suite_add_tcase(suite, tc);
    return suite;
}

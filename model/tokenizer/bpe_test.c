/* SPDX-License-Identifier: Apache-2.0 */
#include "model/tokenizer/bpe.h"

#include <stdio.h>
#include <string.h>

#include "base/mem.h"
#include "base/rng.h"
#include "tests/support/suite.h"

static const char *const texts[] = {"a", "b", "c", "ab", "bc", "abc", "aa", "aaa", "<unk>"};
#define TEXT_COUNT (sizeof texts / sizeof texts[0])

static void put_texts(struct tm_vocab *vocab)
{
    tm_vocab_init(vocab);
    for (uint32_t i = 0; i < TEXT_COUNT; i++) {
        ck_assert_int_eq(tm_vocab_put(vocab, i, tm_view_str(texts[i]), -(float)i), TM_OK);
    }
}

static tm_status merge(struct tm_bpe *bpe, const char *left, const char *right)
{
    return tm_bpe_merge(bpe, tm_view_str(left), tm_view_str(right));
}

/* Texts of the ids, blanks between. */
static void encode(const struct tm_bpe *bpe, const char *text, char *out)
{
    struct tm_bpe_work work;
    struct tm_buf ids;
    tm_bpe_work_init(&work);
    tm_buf_init(&ids, 4000);
    ck_assert_int_eq(tm_bpe_encode(bpe, tm_view_str(text), &work, &ids), TM_OK);
    *out = 0;
    for (size_t i = 0; i < ids.bytes / 4; i++) {
        struct tm_view name;
        uint32_t id;
        memcpy(&id, ids.data + i * 4, 4);
        ck_assert(tm_vocab_text(bpe->vocab, id, &name));
        size_t at = strlen(out);
        memcpy(out + at, name.data, name.bytes);
        memcpy(out + at + name.bytes, " ", 2);
    }
    tm_buf_deinit(&ids);
    tm_bpe_work_deinit(&work);
}

static void expect(const struct tm_bpe *bpe, const char *text, const char *wanted)
{
    char out[256];
    encode(bpe, text, out);
    ck_assert_msg(strcmp(out, wanted) == 0, "%s becomes %s", text, out);
}

START_TEST(merges_join_in_their_order)
{
    struct tm_vocab vocab;
    struct tm_bpe bpe;
    put_texts(&vocab);
    tm_bpe_init(&bpe, &vocab);
    expect(&bpe, "abc", "a b c ");
    ck_assert_int_eq(merge(&bpe, "b", "c"), TM_OK);
    ck_assert_int_eq(merge(&bpe, "a", "b"), TM_OK);
    ck_assert_int_eq(merge(&bpe, "a", "bc"), TM_OK);
    ck_assert_int_eq(merge(&bpe, "a", "a"), TM_OK);
    expect(&bpe, "abc", "abc ");
    expect(&bpe, "ab", "ab ");
    expect(&bpe, "aab", "a ab ");
    expect(&bpe, "aaaaa", "aa aa a "); /* leftmost first; aaa has no rule */
    expect(&bpe, "", "");
    bpe.whole_words = true;
    expect(&bpe, "aaa", "aaa ");
    ck_assert_int_eq(merge(&bpe, "c", "c"), TM_E_MALFORMED);
    ck_assert_int_eq(merge(&bpe, "x", "b"), TM_E_MALFORMED);
    tm_bpe_deinit(&bpe);
    tm_vocab_deinit(&vocab);
}
END_TEST

START_TEST(scores_join_the_best)
{
    struct tm_vocab vocab;
    struct tm_bpe bpe;
    put_texts(&vocab); /* earlier texts have higher scores */
    tm_bpe_init(&bpe, &vocab);
    ck_assert_int_eq(tm_bpe_use_scores(&bpe), TM_OK);
    expect(&bpe, "abc", "abc ");
    expect(&bpe, "bcab", "bc ab ");
    expect(&bpe, "aaab", "aa ab "); /* ab is better than aa */
    expect(&bpe, "aaa", "aaa ");
    tm_bpe_deinit(&bpe);
    tm_vocab_deinit(&vocab);
}
END_TEST

START_TEST(unknown_characters)
{
    struct tm_vocab vocab;
    struct tm_bpe bpe;
    put_texts(&vocab);
    tm_bpe_init(&bpe, &vocab);
    expect(&bpe, "axyb", "a b "); /* nothing to say it with */
    expect(&bpe, "xy", "");
    ck_assert_int_eq(merge(&bpe, "a", "b"), TM_OK);
    expect(&bpe, "xaxybx", "ab ");
    bpe.unknown = TEXT_COUNT - 1;
    expect(&bpe, "axyb", "a <unk> <unk> b ");
    bpe.fuse_unknown = true;
    expect(&bpe, "axyb\xc3\xa9", "a <unk> b <unk> ");
    for (uint32_t i = 0; i < 256; i++) {
        char name[8];
        snprintf(name, sizeof name, "<0x%02X>", i);
        ck_assert_int_eq(tm_vocab_put(&vocab, 100 + i, tm_view_str(name), -100.0f), TM_OK);
    }
    tm_bpe_use_bytes(&bpe);
    ck_assert(bpe.byte_fallback);
    expect(&bpe, "a\xc3\xa9x", "a <0xC3> <0xA9> <0x78> ");
    tm_bpe_deinit(&bpe);
    tm_vocab_deinit(&vocab);
}
END_TEST

/* The definition, step by step: looks for the best pair anew each time. */
static size_t by_definition(const uint8_t *ranks, uint8_t *symbols, size_t count)
{
    while (true) {
        size_t best = count;
        for (size_t i = 0; i + 1 < count; i++) {
            uint8_t rank = ranks[symbols[i] * 16 + symbols[i + 1]];
            if (rank > 0 &&
                (best == count || rank < ranks[symbols[best] * 16 + symbols[best + 1]])) {
                best = i;
            }
        }
        if (best == count) {
            return count;
        }
        symbols[best] = (uint8_t)(2 + ranks[symbols[best] * 16 + symbols[best + 1]]);
        memmove(symbols + best + 1, symbols + best + 2, count - best - 2);
        count--;
    }
}

/* Random rules over three letters: the rule of rank r (from 1 on) makes symbol 2 + r. */
static uint32_t random_rules(struct tm_rng *rng, struct tm_vocab *vocab, struct tm_bpe *bpe,
                             char names[16][64], uint8_t *ranks)
{
    uint32_t count = 3;
    for (uint32_t i = 0; i < 3; i++) {
        ck_assert_int_eq(tm_vocab_put(vocab, i, tm_view_str(names[i]), 0), TM_OK);
    }
    for (int tries = 0; tries < 40 && count < 12; tries++) {
        uint32_t left = (uint32_t)tm_rng_below(rng, count);
        uint32_t right = (uint32_t)tm_rng_below(rng, count);
        size_t length = strlen(names[left]);
        memcpy(names[count], names[left], length);
        memcpy(names[count] + length, names[right], strlen(names[right]) + 1);
        if (strlen(names[count]) > 12 ||
            tm_vocab_find(vocab, tm_view_str(names[count])) != TM_NO_TOKEN) {
            continue;
        }
        ck_assert_int_eq(tm_vocab_put(vocab, count, tm_view_str(names[count]), 0), TM_OK);
        ck_assert_int_eq(merge(bpe, names[left], names[right]), TM_OK);
        ranks[left * 16 + right] = (uint8_t)(count - 2);
        count++;
    }
    return count;
}

START_TEST(the_heap_finds_what_the_definition_says)
{
    struct tm_rng rng;
    tm_rng_init(&rng, 7);
    for (int round = 0; round < 200; round++) {
        struct tm_vocab vocab;
        struct tm_bpe bpe;
        struct tm_bpe_work work;
        struct tm_buf ids;
        char names[16][64] = {"a", "b", "c"};
        uint8_t ranks[256] = {0};
        tm_vocab_init(&vocab);
        tm_bpe_init(&bpe, &vocab);
        ck_assert_uint_gt(random_rules(&rng, &vocab, &bpe, names, ranks), 3);
        char text[40];
        uint8_t symbols[40];
        for (size_t i = 0; i < sizeof text; i++) {
            symbols[i] = (uint8_t)tm_rng_below(&rng, 3);
            text[i] = names[symbols[i]][0];
        }
        size_t wanted = by_definition(ranks, symbols, sizeof symbols);
        tm_bpe_work_init(&work);
        tm_buf_init(&ids, 4000);
        ck_assert_int_eq(tm_bpe_encode(&bpe, tm_view_of(text, sizeof text), &work, &ids), TM_OK);
        ck_assert_uint_eq(ids.bytes / 4, wanted);
        for (size_t i = 0; i < wanted; i++) {
            uint32_t id;
            memcpy(&id, ids.data + i * 4, 4);
            ck_assert_uint_eq(id, symbols[i]);
        }
        tm_buf_deinit(&ids);
        tm_bpe_work_deinit(&work);
        tm_bpe_deinit(&bpe);
        tm_vocab_deinit(&vocab);
    }
}
END_TEST

START_TEST(memory_runs_out)
{
    struct tm_vocab vocab;
    put_texts(&vocab);
    size_t live = tm_mem_live_blocks();
    bool failed = true;
    for (uint64_t n = 1; failed; n++) {
        struct tm_bpe bpe;
        struct tm_bpe_work work;
        struct tm_buf ids;
        tm_bpe_init(&bpe, &vocab);
        tm_bpe_work_init(&work);
        tm_buf_init(&ids, 4000);
        tm_mem_fail_at(n);
        tm_status status = merge(&bpe, "a", "b");
        if (status == TM_OK) {
            status = tm_bpe_encode(&bpe, tm_view_str("abab"), &work, &ids);
        }
        if (status == TM_OK) {
            status = tm_bpe_use_scores(&bpe);
        }
        failed = tm_mem_failed();
        tm_mem_fail_at(0);
        ck_assert_int_eq(status, failed ? TM_E_NOMEM : TM_OK);
        tm_bpe_deinit(&bpe);
        tm_bpe_work_deinit(&work);
        tm_buf_deinit(&ids);
        ck_assert_uint_eq(tm_mem_live_blocks(), live);
    }
    tm_vocab_deinit(&vocab);
}
END_TEST

Suite *tm_suite(void)
{
    Suite *suite = suite_create("bpe");
    TCase *tc = tcase_create("bpe");
    tcase_add_test(tc, merges_join_in_their_order);
    tcase_add_test(tc, scores_join_the_best);
    tcase_add_test(tc, unknown_characters);
    tcase_add_test(tc, the_heap_finds_what_the_definition_says);
    tcase_add_test(tc, memory_runs_out);
    suite_add_tcase(suite, tc);
    return suite;
}

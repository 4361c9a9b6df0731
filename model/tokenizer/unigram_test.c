/* SPDX-License-Identifier: Apache-2.0 */
#include "model/tokenizer/unigram.h"

#include <string.h>

#include "base/mem.h"
#include "base/rng.h"
#include "tests/support/suite.h"

struct model {
    struct tm_vocab vocab;
    struct tm_bpe bpe;
    struct tm_unigram unigram;
};

static void put(struct model *m, const char *text, float score)
{
    ck_assert_int_eq(tm_vocab_put(&m->vocab, m->vocab.count, tm_view_str(text), score), TM_OK);
}

static void start(struct model *m)
{
    tm_vocab_init(&m->vocab);
    tm_bpe_init(&m->bpe, &m->vocab);
    memset(&m->unigram, 0, sizeof m->unigram);
    tm_trie_init(&m->unigram.trie);
    put(m, "<unk>", 0.0f);
    m->bpe.unknown = 0;
}

static void finish(struct model *m)
{
    tm_unigram_deinit(&m->unigram);
    tm_bpe_deinit(&m->bpe);
    tm_vocab_deinit(&m->vocab);
}

static size_t encode(const struct model *m, struct tm_view text, uint32_t *out)
{
    struct tm_buf work, ids;
    tm_buf_init(&work, 1u << 20);
    tm_buf_init(&ids, 1u << 20);
    ck_assert_int_eq(tm_unigram_encode(&m->unigram, text, &work, &ids), TM_OK);
    size_t count = ids.bytes / 4;
    if (count > 0) {
        memcpy(out, ids.data, ids.bytes);
    }
    tm_buf_deinit(&work);
    tm_buf_deinit(&ids);
    return count;
}

START_TEST(the_best_cut_wins)
{
    struct model m;
    uint32_t ids[64];
    start(&m);
    put(&m, "a", -1.0f);        /* 1 */
    put(&m, "b", -1.0f);        /* 2 */
    put(&m, "ab", -1.5f);       /* 3: better than a + b */
    put(&m, "ba", -3.0f);       /* 4: worse than b + a */
    put(&m, "\xc3\xa9", -2.0f); /* 5 */
    ck_assert_int_eq(tm_unigram_init(&m.unigram, &m.vocab, &m.bpe), TM_OK);
    ck_assert_uint_eq(encode(&m, tm_view_str("abba"), ids), 3);
    ck_assert(ids[0] == 3 && ids[1] == 2 && ids[2] == 1);
    ck_assert_uint_eq(encode(&m, tm_view_str(""), ids), 0);
    /* a run of unknown characters is one token */
    ck_assert_uint_eq(encode(&m, tm_view_str("axy\xe2\x82\xac\xc3\xa9z"), ids), 4);
    ck_assert(ids[0] == 1 && ids[1] == 0 && ids[2] == 5 && ids[3] == 0);
    /* the unknown token's own text is ordinary text */
    ck_assert_uint_eq(encode(&m, tm_view_str("<unk>"), ids), 1);
    ck_assert_uint_eq(ids[0], 0);
    finish(&m);
}
END_TEST

START_TEST(a_text_that_is_always_taken)
{
    struct model m;
    uint32_t ids[64];
    start(&m);
    put(&m, "a", -0.1f);
    put(&m, "b", -0.1f);
    put(&m, "ab", TM_UNIGRAM_ALWAYS);
    ck_assert_int_eq(tm_unigram_init(&m.unigram, &m.vocab, &m.bpe), TM_OK);
    ck_assert(m.unigram.best_score < 0.0);
    put(&m, "late", 0.0f); /* not in the tree: it was built before */
    ck_assert_uint_eq(encode(&m, tm_view_str("ba"), ids), 2);
    ck_assert_uint_eq(encode(&m, tm_view_str("late"), ids), 3); /* l, a, te */
    finish(&m);
}
END_TEST

/* The best score of all cuts of text[at..], trying every one. */
static double by_definition(const struct model *m, struct tm_view text, size_t at)
{
    if (at == text.bytes) {
        return 0.0;
    }
    double best = -1e9;
    for (size_t end = at + 1; end <= text.bytes; end++) {
        uint32_t id = tm_vocab_find(&m->vocab, tm_view_of(text.data + at, end - at));
        if (id != TM_NO_TOKEN && id != 0) {
            double score = m->vocab.entries[id].score + by_definition(m, text, end);
            best = score > best ? score : best;
        }
    }
    return best;
}

START_TEST(no_cut_is_better)
{
    struct tm_rng rng;
    tm_rng_init(&rng, 11);
    for (int round = 0; round < 100; round++) {
        struct model m;
        uint32_t ids[64];
        char text[13] = "";
        start(&m);
        put(&m, "a", -5.0f);
        put(&m, "b", -5.0f);
        for (int i = 0; i < 10; i++) {
            size_t length = 2 + tm_rng_below(&rng, 3);
            for (size_t j = 0; j < length; j++) {
                text[j] = tm_rng_below(&rng, 2) == 0 ? 'a' : 'b';
            }
            text[length] = 0;
            if (tm_vocab_find(&m.vocab, tm_view_str(text)) == TM_NO_TOKEN) {
                put(&m, text, -(float)(1 + tm_rng_below(&rng, 1000)) / 50.0f);
            }
        }
        ck_assert_int_eq(tm_unigram_init(&m.unigram, &m.vocab, &m.bpe), TM_OK);
        for (size_t j = 0; j < 12; j++) {
            text[j] = tm_rng_below(&rng, 2) == 0 ? 'a' : 'b';
        }
        size_t count = encode(&m, tm_view_of(text, 12), ids), bytes = 0;
        double score = 0.0;
        for (size_t i = 0; i < count; i++) {
            score += m.vocab.entries[ids[i]].score;
            bytes += m.vocab.entries[ids[i]].bytes;
        }
        ck_assert_uint_eq(bytes, 12);
        ck_assert_double_eq_tol(score, by_definition(&m, tm_view_of(text, 12), 0), 1e-6);
        finish(&m);
    }
}
END_TEST

START_TEST(memory_runs_out)
{
    struct model m;
    start(&m);
    put(&m, "a", -1.0f);
    size_t live = tm_mem_live_blocks();
    bool failed = true;
    for (uint64_t n = 1; failed; n++) {
        struct tm_buf work, ids;
        memset(&m.unigram, 0, sizeof m.unigram);
        tm_trie_init(&m.unigram.trie);
        tm_buf_init(&work, 1u << 20);
        tm_buf_init(&ids, 1u << 20);
        tm_mem_fail_at(n);
        tm_status status = tm_unigram_init(&m.unigram, &m.vocab, &m.bpe);
        if (status == TM_OK) {
            status = tm_unigram_encode(&m.unigram, tm_view_str("aa"), &work, &ids);
        }
        failed = tm_mem_failed();
        tm_mem_fail_at(0);
        ck_assert_int_eq(status, failed ? TM_E_NOMEM : TM_OK);
        tm_unigram_deinit(&m.unigram);
        tm_buf_deinit(&work);
        tm_buf_deinit(&ids);
        ck_assert_uint_eq(tm_mem_live_blocks(), live);
    }
    finish(&m);
}
END_TEST

Suite *tm_suite(void)
{
    Suite *suite = suite_create("unigram");
    TCase *tc = tcase_create("unigram");
    tcase_add_test(tc, the_best_cut_wins);
    tcase_add_test(tc, a_text_that_is_always_taken);
    tcase_add_test(tc, no_cut_is_better);
    tcase_add_test(tc, memory_runs_out);
    suite_add_tcase(suite, tc);
    return suite;
}

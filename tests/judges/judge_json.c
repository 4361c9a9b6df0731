/* SPDX-License-Identifier: Apache-2.0
 * Judge of JSON: the files of JSONTestSuite (tests/vectors/json/README.md) through both of our
 * readers, base/json.h (whole documents) and model/json_pull.h (headers and tokenizers).
 *   judge_json SUITE */
#include <stdio.h>
#include <string.h>

#include "base/base64.h"
#include "base/file.h"
#include "base/num.h"
#include "model/json_pull.h"

#define FILE_MAX (1u << 20)

/* Where a reader differs from the suite by intent, and what both choose for i_ (accepted: Y). All
 * other i_ files are refused by both. */
struct choice {
    const char *name;
    bool tree, pull; /* accepted */
    const char *why;
};

static const struct choice choices[] = {
    /* Stricter than the suite: a key twice is how two readers come to see two models. */
    {"y_object_duplicated_key", false, true, "a key twice; pull leaves that to its caller"},
    {"y_object_duplicated_key_and_value", false, true,
     "a key twice; pull leaves that to its caller"},
    {"y_object_escaped_null_in_key", false, true, "NUL in a key; pull leaves that to its caller"},
    /* Numbers: the tree has doubles and refuses what they cannot hold; pull does not look at the
     * value of a number that nobody asks for. */
    {"i_number_huge_exp", false, true, "no double is that large"},
    {"i_number_neg_int_huge_exp", false, true, "no double is that large"},
    {"i_number_pos_double_huge_exp", false, true, "no double is that large"},
    {"i_number_real_neg_overflow", false, true, "no double is that large"},
    {"i_number_real_pos_overflow", false, true, "no double is that large"},
    {"i_number_double_huge_neg_exp", true, true, "rounds to zero"},
    {"i_number_real_underflow", true, true, "rounds to zero"},
    {"i_number_too_big_neg_int", true, true, "an integer outside int64 is a real"},
    {"i_number_too_big_pos_int", true, true, "an integer outside int64 is a real"},
    {"i_number_very_big_negative_int", true, true, "an integer outside int64 is a real"},
};

/* ---- the readers ---- */

static bool tree_accepts(struct tm_view text)
{
    struct tm_json_doc *doc = NULL;
    struct tm_err err = {0};
    tm_status status = tm_json_parse(text, "suite", &doc, &err);
    tm_json_free(&doc);
    TM_ASSERT(status == TM_OK || (status == TM_E_MALFORMED && err.why[0] != '\0'));
    return status == TM_OK;
}

static bool pull_accepts(struct tm_view text)
{
    struct tm_json_pull pull;
    struct tm_err err = {0};
    tm_pull_begin(&pull, text, "suite", 0, &err);
    tm_status status = tm_pull_skip(&pull);
    if (status == TM_OK) {
        status = tm_pull_end(&pull);
    }
    TM_ASSERT(status == TM_OK || (status == TM_E_MALFORMED && err.why[0] != '\0'));
    return status == TM_OK;
}

/* ---- the suite ---- */

struct tally {
    unsigned y, n, i;        /* files */
    unsigned tree_i, pull_i; /* accepted of i */
    unsigned wrong, chosen;
};

static const struct choice *choice_of(struct tm_view name)
{
    for (size_t c = 0; c < sizeof choices / sizeof choices[0]; c++) {
        if (tm_view_eq_str(name, choices[c].name)) {
            return &choices[c];
        }
    }
    return NULL;
}

static void judge(struct tally *t, struct tm_view name, struct tm_view text)
{
    const struct choice *choice = choice_of(name);
    bool yes = name.data[0] == 'y';
    bool tree = tree_accepts(text), pull = pull_accepts(text);
    bool want_tree = choice != NULL ? choice->tree : yes;
    bool want_pull = choice != NULL ? choice->pull : yes;
    t->y += yes ? 1 : 0;
    t->n += name.data[0] == 'n' ? 1 : 0;
    if (name.data[0] == 'i') {
        t->i++;
        t->tree_i += tree ? 1 : 0;
        t->pull_i += pull ? 1 : 0;
    }
    if (choice != NULL) {
        t->chosen++;
        printf("%-48s tree %s, pull %s: %s\n", choice->name, tree ? "accepts" : "refuses",
               pull ? "accepts" : "refuses", choice->why);
    }
    if (tree != want_tree || pull != want_pull) {
        t->wrong++;
        printf("WRONG %.*s: tree %s, pull %s\n", (int)name.bytes, (const char *)name.data,
               tree ? "accepts" : "refuses", pull ? "accepts" : "refuses");
    }
}

/* The text of one line up to the blank, and the rest. */
static struct tm_view next_field(struct tm_view *line)
{
    const uint8_t *blank = memchr(line->data, ' ', line->bytes);
    size_t bytes = blank != NULL ? (size_t)(blank - line->data) : line->bytes;
    struct tm_view field = tm_view_of(line->data, bytes);
    size_t past = blank != NULL ? bytes + 1 : bytes;
    *line = tm_view_of(line->data + past, line->bytes - past);
    return field;
}

static void decode_onto(struct tm_buf *out, struct tm_view text)
{
    if (!tm_view_eq_str(text, "-")) {
        TM_ASSERT(tm_base64_decode(text, out) == TM_OK);
    }
}

static void judge_line(struct tally *t, struct tm_view line)
{
    struct tm_buf unit, content;
    uint64_t repeats = 0;
    struct tm_view name = next_field(&line);
    TM_ASSERT(tm_parse_u64(next_field(&line), &repeats) == TM_OK);
    tm_buf_init(&unit, FILE_MAX);
    tm_buf_init(&content, FILE_MAX);
    decode_onto(&unit, next_field(&line));
    for (uint64_t i = 0; i < repeats && unit.bytes > 0; i++) {
        TM_ASSERT(tm_buf_put(&content, unit.data, unit.bytes) == TM_OK);
    }
    decode_onto(&content, next_field(&line));
    judge(t, name, tm_buf_view(&content));
    tm_buf_deinit(&unit);
    tm_buf_deinit(&content);
}

int main(int argc, char **argv)
{
    char error[1024];
    struct tm_err err = {0};
    struct tm_buf text;
    struct tally t = {0};
    tm_buf_init(&text, FILE_MAX);
    if (argc != 2 || tm_file_read(argv[1], &text, &err) != TM_OK) {
        fprintf(stderr, "judge_json SUITE: %s\n", tm_err_line(&err, error, sizeof error));
        return 2;
    }
    for (size_t at = 0; at < text.bytes;) {
        const uint8_t *end = memchr(text.data + at, '\n', text.bytes - at);
        TM_ASSERT(end != NULL);
        size_t bytes = (size_t)(end - text.data) - at;
        judge_line(&t, tm_view_of(text.data + at, bytes));
        at += bytes + 1;
    }
    tm_buf_deinit(&text);
    printf("y %u, n %u, i %u (tree accepts %u, pull %u), %u chosen, %u wrong\n", t.y, t.n, t.i,
           t.tree_i, t.pull_i, t.chosen, t.wrong);
    bool whole =
        t.y == 95 && t.n == 188 && t.i == 35 && t.chosen == sizeof choices / sizeof choices[0];
    return whole && t.wrong == 0 ? 0 : 1;
}

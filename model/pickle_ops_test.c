/* SPDX-License-Identifier: Apache-2.0 */
#include "model/pickle_ops.h"

#include "tests/support/pth_file.h"
#include "tests/support/suite.h"

#define BYTES(text) text, sizeof text - 1

/* Reads a pickle and says what its root is. */
static tm_status read_root(const char *ops, size_t bytes, struct tm_pickle *out, struct tm_err *err)
{
    const struct tm_pickle_options options = {.path = "p"};
    return tm_pickle_read(tm_view_of(ops, bytes), &options, out, err);
}

static const struct {
    const char *ops;
    size_t bytes;
    enum tm_pickle_kind kind;
    int64_t number; /* of INT and BOOL: the value; of containers: the count */
    const char *text;
} good[] = {
    {BYTES("N."), TM_PICKLE_NONE, 0, NULL},
    {BYTES("\x88."), TM_PICKLE_BOOL, 1, NULL},
    {BYTES("I01\n."), TM_PICKLE_BOOL, 1, NULL},
    {BYTES("I-12\n."), TM_PICKLE_INT, -12, NULL},
    {BYTES("L99L\n."), TM_PICKLE_INT, 99, NULL},
    {BYTES("K\xff."), TM_PICKLE_INT, 255, NULL},
    {BYTES("M\x01\x02."), TM_PICKLE_INT, 513, NULL},
    {BYTES("J\xff\xff\xff\xff."), TM_PICKLE_INT, -1, NULL},
    {BYTES("\x8a\x01\x80."), TM_PICKLE_INT, -128, NULL},
    {BYTES("\x8a\x08\x00\x00\x00\x00\x00\x00\x00\x80."), TM_PICKLE_INT, INT64_MIN, NULL},
    {BYTES("\x8a\x00."), TM_PICKLE_INT, 0, NULL},
    {BYTES("I9223372036854775808\n."), TM_PICKLE_OTHER, 0, NULL},
    {BYTES("X\x02\x00\x00\x00hi."), TM_PICKLE_STR, 0, "hi"},
    {BYTES("\x8c\x02hi."), TM_PICKLE_STR, 0, "hi"},
    {BYTES("U\x02hi."), TM_PICKLE_STR, 0, "hi"},
    {BYTES("Vh\\u00e9\n."), TM_PICKLE_STR, 0, "h\xc3\xa9"},
    {BYTES("V\\U0001f600\n."), TM_PICKLE_STR, 0, "\xf0\x9f\x98\x80"},
    {BYTES("S'a\\n\\x41'\n."), TM_PICKLE_STR, 0, "a\nA"},
    {BYTES("G\0\0\0\0\0\0\0\0."), TM_PICKLE_OTHER, 0, NULL},
    {BYTES("F1.5\n."), TM_PICKLE_OTHER, 0, NULL},
    {BYTES("C\x01x."), TM_PICKLE_OTHER, 0, NULL},
    {BYTES(")."), TM_PICKLE_TUPLE, 0, NULL},
    {BYTES("(K\x01K\x02t."), TM_PICKLE_TUPLE, 2, NULL},
    {BYTES("K\x01\x85."), TM_PICKLE_TUPLE, 1, NULL},
    {BYTES("K\x01K\x02K\x03\x87."), TM_PICKLE_TUPLE, 3, NULL},
    {BYTES("](K\x01K\x02"
           "e."),
     TM_PICKLE_LIST, 2, NULL},
    {BYTES("]K\x01"
           "a."),
     TM_PICKLE_LIST, 1, NULL},
    {BYTES("(K\x01l."), TM_PICKLE_LIST, 1, NULL},
    {BYTES("}K\x01Ns."), TM_PICKLE_DICT, 2, NULL},
    {BYTES("}(K\x01NK\x02Nu."), TM_PICKLE_DICT, 4, NULL},
    {BYTES("(K\x01Nd."), TM_PICKLE_DICT, 2, NULL},
    {BYTES("ccollections\nOrderedDict\n(](K\x01K\x02\x86"
           "etR."),
     TM_PICKLE_DICT, 2, NULL},
    {BYTES("ccollections\nOrderedDict\n)R}b."), TM_PICKLE_DICT, 0, NULL},
    {BYTES("(icollections\nOrderedDict\n."), TM_PICKLE_DICT, 0, NULL},
    {BYTES("(ccollections\nOrderedDict\no."), TM_PICKLE_DICT, 0, NULL},
    {BYTES("\x8c\x0b"
           "collections\x8c\x0bOrderedDict\x93)\x81."),
     TM_PICKLE_DICT, 0, NULL},
    {BYTES("ctorch\nSize\n(K\x01K\x02t\x85R."), TM_PICKLE_TUPLE, 2, NULL},
    {BYTES("cargparse\nNamespace\n)R}b."), TM_PICKLE_OTHER, 0, NULL},
    {BYTES("K\x01q\x00"
           "0h\x00."),
     TM_PICKLE_INT, 1, NULL},
    {BYTES("K\x01\x94"
           "0h\x00."),
     TM_PICKLE_INT, 1, NULL},
    {BYTES("K\x01p7\n0g7\n."), TM_PICKLE_INT, 1, NULL},
    {BYTES("K\x01"
           "2\x86."),
     TM_PICKLE_TUPLE, 2, NULL},
    {BYTES("(K\x01K\x02"
           "1N."),
     TM_PICKLE_NONE, 0, NULL},
    {BYTES("\x80\x04\x95\x02\0\0\0\0\0\0\0N."), TM_PICKLE_NONE, 0, NULL},
    {BYTES("K\x05Q."), TM_PICKLE_PERSISTENT, 1, NULL},
    {BYTES("Pid\n."), TM_PICKLE_PERSISTENT, 1, NULL},
};

START_TEST(opcodes_make_values)
{
    for (size_t i = 0; i < sizeof good / sizeof good[0]; i++) {
        struct tm_pickle pickle;
        struct tm_err err = {.status = TM_OK};
        int64_t number = 0;
        tm_status status = read_root(good[i].ops, good[i].bytes, &pickle, &err);
        ck_assert_msg(status == TM_OK, "case %zu: %s", i, err.why);
        ck_assert_msg(pickle.root.kind == good[i].kind, "case %zu: kind %u", i, pickle.root.kind);
        if (good[i].kind == TM_PICKLE_INT) {
            ck_assert(tm_pickle_int(&pickle, pickle.root, &number));
            ck_assert_msg(number == good[i].number, "case %zu", i);
        } else if (good[i].kind != TM_PICKLE_BOOL) {
            ck_assert_msg(tm_pickle_count(&pickle, pickle.root) == (uint32_t)good[i].number,
                          "case %zu", i);
        }
        if (good[i].text != NULL) {
            ck_assert(tm_view_eq_str(tm_pickle_str(&pickle, pickle.root), good[i].text));
        }
        tm_pickle_deinit(&pickle);
    }
}
END_TEST

static const struct {
    const char *ops;
    size_t bytes;
    const char *word;
} bad[] = {
    {BYTES("cos\nsystem\n(S'id'\ntR."), "it asks for os.system"},
    {BYTES("\x80\x04\x8c\x05posix\x8c\x06system\x93."), "it asks for posix.system"},
    {BYTES("(S'id'\nios\nsystem\n."), "it asks for os.system"},
    {BYTES("\x80\x04\x8c\x08torch\0os\x8c\x06system\x93."), "torch\\x00os.system"},
    {BYTES("ctorch\nfloat32\n)R."), "which is only a name"},
    {BYTES("K\x01)R."), "a call of what is no name"},
    {BYTES("ccollections\nOrderedDict\nNR."), "without a tuple"},
    {BYTES("ccopyreg\n_reconstructor\n(ctorch\nfloat32\nNNtR."), "no plain one"},
    {BYTES("\x82\x01."), "extension registry"},
    {BYTES("\x97."), "buffers outside"},
    {BYTES("\x80\x06."), "protocol after 5"},
    {BYTES("0."), "the stack is empty"},
    {BYTES("."), "the stack is empty"},
    {BYTES("t."), "there is none"},
    {BYTES("h\x05."), "nothing was put into"},
    {BYTES("K\x01r\xff\xff\xff\x7f."), "larger than the pickle"},
    {BYTES("}(K\x01u."), "a key and no value"},
    {BYTES("(K\x01"
           "d."),
     "a key and no value"},
    {BYTES("NK\x01"
           "a."),
     "no list"},
    {BYTES("]K\x01Ns."), "no dictionary"},
    {BYTES("I1x\n."), "not decimal"},
    {BYTES("Sabc\n."), "without quotes"},
    {BYTES("S'\\q'\n."), "unknown escape"},
    {BYTES("V\\uzzzz\n."), "no code point"},
    {BYTES("\xfe."), "unknown opcode"},
    {BYTES("NN\x93."), "not two texts"},
    {BYTES("X\xff\xff\xff\xff"), "truncated"},
    {BYTES("\x8d\xff\xff\xff\xff\xff\xff\xff\xff"), "truncated"},
    {BYTES("I1"), "truncated"},
    {BYTES(""), "truncated"},
    {BYTES("K"), "truncated"},
};

START_TEST(wrong_pickles_are_named_with_their_place)
{
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
        struct tm_pickle pickle;
        struct tm_err err = {.status = TM_OK};
        tm_status status = read_root(bad[i].ops, bad[i].bytes, &pickle, &err);
        ck_assert_msg(status == TM_E_MALFORMED, "case %zu", i);
        ck_assert_msg(strstr(err.why, bad[i].word) != NULL, "case %zu: %s", i, err.why);
        ck_assert_msg(strstr(err.where, "p: byte ") != NULL, "case %zu: %s", i, err.where);
        tm_pickle_deinit(&pickle);
    }
}
END_TEST

Suite *tm_suite(void)
{
    Suite *suite = suite_create("pickle_ops");
    TCase *tc = tcase_create("pickle_ops");
    tcase_add_test(tc, opcodes_make_values);
    tcase_add_test(tc, wrong_pickles_are_named_with_their_place);
    suite_add_tcase(suite, tc);
    return suite;
}

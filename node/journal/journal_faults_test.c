/* SPDX-License-Identifier: Apache-2.0
 * The journal on files that we did not write, and with a SQLite and a system that fail. */
#include <errno.h>
#include <sqlite3.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "base/file.h"
#include "base/mem.h"
#include "tests/support/journal_sample.h"
#include "tests/support/lowest_fd.h"
#include "tests/support/os_fault.h"
#include "tests/support/sqlite_fault.h"
#include "tests/support/suite.h"

/* ---- files that we did not write ---- */

/* The columns without any rule, so that a row can hold everything. */
#define LOOSE                                                                                      \
    "CREATE TABLE job(one INTEGER PRIMARY KEY, id, model_path, out_path, recipe, tensors_under, "  \
    "plan, "                                                                                       \
    "plan_digest, unit_count, block_weights, created_s, state, epoch);"                            \
    "CREATE TABLE result(unit PRIMARY KEY, node, node_id, leaf, bytes, checks, "                   \
    "squared_error_bits, squared_norm_bits, sig);"                                                 \
    "CREATE TABLE ban(node PRIMARY KEY, unit, reason, dropped);"                                   \
    "CREATE TABLE node(node PRIMARY KEY, name, cores, accepted, audited, weights_per_s);"
#define IDS "PRAGMA user_version = 2; PRAGMA application_id = 0x544d4a4c;"

static void make_file(const char *sql)
{
    sqlite3 *db = NULL;
    unlink(g_path);
    ck_assert_int_eq(sqlite3_open(g_path, &db), SQLITE_OK);
    ck_assert_msg(sqlite3_exec(db, sql, NULL, NULL, NULL) == SQLITE_OK, "%s", sqlite3_errmsg(db));
    ck_assert_int_eq(sqlite3_close(db), SQLITE_OK);
}

static const struct {
    const char *sql;
    tm_status status;
    const char *why;
} strange_files[] = {
    {"CREATE TABLE x(y)", TM_E_MALFORMED, "not a journal: application id 0 instead of 1414351436"},
    {"PRAGMA application_id = 7", TM_E_MALFORMED, "not a journal: application id 7 "},
    {"PRAGMA user_version = 7", TM_E_MALFORMED, "not a journal: application id 0 "},
    {"PRAGMA user_version = 7; PRAGMA application_id = 0x544d4a4c; CREATE TABLE x(y)",
     TM_E_INCOMPATIBLE, "schema version 7, this build knows 2"},
    {IDS "CREATE TABLE x(y)", TM_E_MALFORMED, "the journal is damaged (no such table: job)"},
    {IDS LOOSE "DROP TABLE node", TM_E_MALFORMED, "the journal is damaged (no such table: node)"},
};

START_TEST(strange_files_are_refused)
{
    struct tm_journal *j = NULL;
    make_file(strange_files[_i].sql);
    ck_assert_int_eq(tm_journal_open(g_path, _i % 2 == 0, &j, &g_err), strange_files[_i].status);
    ck_assert_ptr_null(j);
    ck_assert_msg(strstr(g_err.why, strange_files[_i].why) != NULL, "%s", g_err.why);
    ck_assert_str_eq(g_err.where, g_path);
}
END_TEST

#define B20 "zeroblob(20)"
#define B32 "zeroblob(32)"
#define B64 "zeroblob(64)"
#define JOB(a, b, c, d, e) "INSERT INTO job VALUES(1," a "," b "," c "," d "," e ");"
#define TEXTS "'J1','m','o','r','u'"
#define NUMBERS "1,1,0,0,1"
#define RESULT(unit, node, leaf, bytes, checks, sig)                                               \
    "INSERT INTO result VALUES(" unit "," node "," B20 "," leaf "," bytes "," checks ",0,0," sig   \
    ");"

/* One row that no journal of ours has, and the list that it is in. */
static const struct {
    char list; /* 'j'ob, 'r'esult, 'b'an, 'n'ode */
    const char *row;
} impossible_rows[] = {
    {'j', JOB("NULL", "'m','o','r','u'", "'p'", B32, NUMBERS)},
    {'j', JOB("'J1'", "NULL,'o','r','u'", "'p'", B32, NUMBERS)},
    {'j', JOB("'J1'", "'m',7,'r','u'", "'p'", B32, NUMBERS)},
    {'j', JOB("'J1'", "'m','o',7,'u'", "'p'", B32, NUMBERS)},
    {'j', JOB("'J1'", "'m','o','r',7", "'p'", B32, NUMBERS)},
    {'j', JOB(TEXTS, "x'00'", B32, "1,1", "0,0,1")},
    {'j', JOB(TEXTS, "'p'", "zeroblob(31)", "1,1", "0,0,1")},
    {'j', JOB(TEXTS, "'p'", "NULL", "1,1", "0,0,1")},
    {'j', JOB(TEXTS, "'p'", B32, "-1,1", "0,0,1")},
    {'j', JOB(TEXTS, "'p'", B32, "4294967296,1", "0,0,1")},
    {'j', JOB(TEXTS, "'p'", B32, "1,-1", "0,0,1")},
    {'j', JOB(TEXTS, "'p'", B32, "1,1", "0,-1,1")},
    {'j', JOB(TEXTS, "'p'", B32, "1,1", "0,5,1")},
    {'r', RESULT("-1", B32, B32, "1", "1", B64)},
    {'r', RESULT("4294967296", B32, B32, "1", "1", B64)},
    {'r', RESULT("0", "zeroblob(33)", B32, "1", "1", B64)},
    {'r', RESULT("0", B32, "NULL", "1", "1", B64)},
    {'r', RESULT("0", B32, B32, "-1", "1", B64)},
    {'r', RESULT("0", B32, B32, "1", "-1", B64)},
    {'r', RESULT("0", B32, B32, "1", "1", B32)},
    {'b', "INSERT INTO ban VALUES(" B32 ",0,'r',0)"},
    {'b', "INSERT INTO ban VALUES(" B20 ",-1,'r',0)"},
    {'b', "INSERT INTO ban VALUES(" B20 ",0,'r',-1)"},
    {'b', "INSERT INTO ban VALUES(" B20 ",0,NULL,0)"},
    {'n', "INSERT INTO node VALUES(" B20 ",'n',1,1,1,1)"},
    {'n', "INSERT INTO node VALUES(" B32 ",'n',-1,1,1,1)"},
    {'n', "INSERT INTO node VALUES(" B32 ",'n',1,-1,1,1)"},
    {'n', "INSERT INTO node VALUES(" B32 ",'n',1,1,-1,1)"},
    {'n', "INSERT INTO node VALUES(" B32 ",x'6e',1,1,1,1)"},
};

static tm_status read_list(struct tm_journal *j, char list, size_t *count)
{
    void *items = NULL;
    struct tm_journal_job job;
    tm_status status = TM_OK;
    *count = 1;
    switch (list) {
    case 'j':
        status = tm_journal_read_job(j, &job, &g_err);
        tm_journal_job_deinit(&job);
        break;
    case 'r':
        status = tm_journal_results(j, (struct tm_journal_result **)&items, count, &g_err);
        break;
    case 'b':
        status = tm_journal_bans(j, (struct tm_journal_ban **)&items, count, &g_err);
        break;
    default:
        status = tm_journal_nodes(j, (struct tm_journal_node **)&items, count, &g_err);
        break;
    }
    tm_free(items);
    return status;
}

START_TEST(impossible_rows_are_not_taken)
{
    char sql[2048];
    snprintf(sql, sizeof sql, IDS LOOSE "%s", impossible_rows[_i].row);
    make_file(sql);
    struct tm_journal *j = open_at(true);
    size_t blocks = tm_mem_live_blocks();
    size_t count = 0;
    ck_assert_int_eq(read_list(j, impossible_rows[_i].list, &count), TM_E_MALFORMED);
    ck_assert_str_eq(g_err.why, "a row holds impossible values");
    ck_assert_str_eq(g_err.where, g_path);
    ck_assert_uint_eq(tm_mem_live_blocks(), blocks);
    tm_journal_close(&j);
}
END_TEST

START_TEST(the_largest_numbers_and_names_are_taken)
{
    make_file(IDS LOOSE JOB(TEXTS, "'p'", B32, "4294967295,4294967295", "0,4,1")
                  RESULT("4294967295", B32, B32, "4294967295", "4294967295",
                         B64) "INSERT INTO node VALUES(" B32 ",printf('%0100d', 7),0,0,0,0);");
    struct tm_journal *j = open_at(true);
    struct tm_journal_job job;
    ck_assert_int_eq(tm_journal_read_job(j, &job, &g_err), TM_OK);
    ck_assert_uint_eq(job.unit_count, UINT32_MAX);
    ck_assert_int_eq(job.state, TM_JOB_CANCELLED);
    tm_journal_job_deinit(&job);
    struct tm_journal_node *nodes;
    size_t count = 0;
    ck_assert_int_eq(tm_journal_nodes(j, &nodes, &count, &g_err), TM_OK);
    ck_assert_uint_eq(strlen(nodes[0].name), sizeof nodes[0].name - 1); /* cut */
    tm_free(nodes);
    ck_assert_int_eq(read_list(j, 'r', &count), TM_OK);
    tm_journal_close(&j);
}
END_TEST

START_TEST(a_result_beside_a_damaged_one)
{
    make_file(IDS LOOSE RESULT("3", B32, "x'00'", "1", "1", B64));
    struct tm_journal *j = open_at(false);
    struct tm_journal_result r = sample_result(3, 1);
    ck_assert_int_eq(tm_journal_put_result(j, &r, &g_err), TM_E_MALFORMED);
    ck_assert_str_eq(g_err.why, "a row holds impossible values");
    tm_journal_close(&j);
}
END_TEST

/* In UTF-16 a text has to be converted, which takes memory. */
START_TEST(texts_that_there_is_no_memory_for)
{
    make_file("PRAGMA encoding = 'UTF-16';" IDS LOOSE JOB(TEXTS, "printf('%03000d', 1)", B32, "1,1",
                                                          "0,0,1") "INSERT INTO ban VALUES(" B20
                                                                   ",0,printf('%03000d', 1),0)");
    tm_sqlite_fault_install();
    for (const char *list = "jb"; *list != '\0'; list++) {
        unsigned told = 0;
        bool failed = true;
        for (unsigned n = 1; failed; n++) {
            struct tm_journal *j = open_at(true);
            size_t count = 0;
            tm_sqlite_fail_at(TM_SQLITE_ALLOC, n, SQLITE_NOMEM, false);
            tm_status status = read_list(j, *list, &count);
            failed = tm_sqlite_failed(TM_SQLITE_ALLOC);
            tm_sqlite_fail_at(TM_SQLITE_ALLOC, 0, 0, false);
            ck_assert(status == TM_OK || (failed && status == TM_E_NOMEM));
            if (status != TM_OK) {
                ck_assert_str_eq(g_err.why, "out of memory");
                told++;
            }
            tm_journal_close(&j);
        }
        ck_assert_uint_gt(told, 0);
    }
}
END_TEST

/* ---- SQLite and the system that fail ---- */

START_TEST(a_folder_that_does_not_answer)
{
    struct tm_journal *j = NULL;
    tm_os_fail_at(TM_OS_FSTATAT, 1, EIO);
    ck_assert_int_eq(tm_journal_open(g_path, true, &j, &g_err), TM_E_IO);
    ck_assert_str_eq(g_err.what, "cannot look whether it is there");
    ck_assert_ptr_null(j);
}
END_TEST

START_TEST(a_lock_that_cannot_be_taken)
{
    struct tm_journal *j = NULL;
    tm_os_fail_at(TM_OS_FLOCK, 1, ENOLCK);
    ck_assert_int_eq(tm_journal_open(g_path, false, &j, &g_err), TM_E_IO);
    ck_assert_str_eq(g_err.what, "lock the journal");
    tm_os_fail_at(TM_OS_OPENAT, 1, EACCES);
    ck_assert_int_eq(tm_journal_open(g_path, false, &j, &g_err), TM_E_IO);
    ck_assert_str_eq(g_err.what, "open the journal");
    ck_assert_ptr_nonnull(strstr(g_err.where, "journal.db.lock"));
    char longest[TM_PATH_MAX];
    memset(longest, '/', sizeof longest);
    longest[TM_PATH_MAX - sizeof ".lock"] = '\0'; /* one byte less than too long: a folder */
    ck_assert_int_ne(tm_journal_open(longest, false, &j, &g_err), TM_E_LIMIT);
    longest[TM_PATH_MAX - sizeof ".lock"] = '/';
    longest[TM_PATH_MAX - sizeof ".lock" + 1] = '\0';
    ck_assert_int_eq(tm_journal_open(longest, false, &j, &g_err), TM_E_LIMIT);
    ck_assert_str_eq(g_err.why, "path too long");
    ck_assert_ptr_null(j);
}
END_TEST

/* What an open says when its first operation of a kind gives `code`. */
static const struct {
    enum tm_sqlite_op op;
    int code;
    tm_status status;
    const char *why, *hint;
} failing_opens[] = {
    {TM_SQLITE_READ, SQLITE_CORRUPT, TM_E_MALFORMED, "the journal is damaged (", "try once more"},
    {TM_SQLITE_READ, SQLITE_NOTADB, TM_E_MALFORMED, "the journal is damaged (", "try once more"},
    {TM_SQLITE_WRITE, SQLITE_FULL, TM_E_IO, "no space left on the disk", "free some space"},
    {TM_SQLITE_LOCK, SQLITE_BUSY, TM_E_IO, "it was not to be locked (tried for at most 10000 ms)",
     ""},
    {TM_SQLITE_OPEN, SQLITE_NOMEM, TM_E_NOMEM, "out of memory", ""},
    {TM_SQLITE_OPEN, SQLITE_CANTOPEN, TM_E_IO, "unable to open database file", "is the folder"},
    {TM_SQLITE_OPEN, SQLITE_PERM, TM_E_IO, "access permission denied", "is the folder writable?"},
    {TM_SQLITE_WRITE, SQLITE_READONLY, TM_E_IO, "attempt to write a readonly", "is the folder"},
    {TM_SQLITE_SYNC, SQLITE_IOERR_FSYNC, TM_E_IO, "the disk reported an error (",
     "check the disk (dmesg), then resume"},
    {TM_SQLITE_MAP, SQLITE_PROTOCOL, TM_E_IO, "locking protocol (code 15)", ""},
};

START_TEST(a_failing_open_says_why)
{
    struct tm_journal *j = NULL;
    tm_sqlite_fault_install();
    tm_sqlite_fail_at(failing_opens[_i].op, 1, failing_opens[_i].code, true);
    ck_assert_int_eq(tm_journal_open(g_path, false, &j, &g_err), failing_opens[_i].status);
    ck_assert(tm_sqlite_failed(failing_opens[_i].op));
    ck_assert_msg(strstr(g_err.why, failing_opens[_i].why) == g_err.why, "%s", g_err.why);
    ck_assert_msg(strstr(g_err.hint, failing_opens[_i].hint) == g_err.hint, "%s", g_err.hint);
    ck_assert_str_eq(g_err.where, g_path);
    ck_assert_ptr_null(j);
    tm_sqlite_fail_at(failing_opens[_i].op, 0, 0, false);
    j = open_at(false); /* nothing is left that is in the way */
    tm_journal_close(&j);
}
END_TEST

START_TEST(a_disk_error_is_told_in_the_words_of_the_system)
{
    static const char *const why[] = {"the disk reported an error (disk I/O error, code 778)",
                                      "the disk reported an error (Input/output error, code 778)"};
    struct tm_journal *j = NULL;
    tm_sqlite_fault_install();
    tm_sqlite_system_error(_i == 0 ? 0 : EIO);
    tm_sqlite_fail_at(TM_SQLITE_WRITE, 1, SQLITE_IOERR_WRITE, true);
    ck_assert_int_eq(tm_journal_open(g_path, false, &j, &g_err), TM_E_IO);
    ck_assert_msg(strstr(g_err.why, why[_i]) == g_err.why, "%s", g_err.why);
}
END_TEST

/* Whatever fails while it is looked at. */
START_TEST(a_file_of_others_is_never_taken_for_an_empty_one)
{
    static const struct {
        enum tm_sqlite_op op;
        int code;
    } ops[] = {{TM_SQLITE_READ, SQLITE_IOERR_READ}, {TM_SQLITE_ALLOC, SQLITE_NOMEM}};
    bool failed = true;
    make_file("CREATE TABLE x(y)");
    tm_sqlite_fault_install();
    for (unsigned n = 1; failed; n++) {
        struct tm_journal *j = NULL;
        tm_sqlite_fail_at(ops[_i].op, n, ops[_i].code, false);
        ck_assert_int_ne(tm_journal_open(g_path, false, &j, &g_err), TM_OK);
        failed = tm_sqlite_failed(ops[_i].op);
        tm_sqlite_fail_at(ops[_i].op, 0, 0, false);
    }
}
END_TEST

START_TEST(descriptor_zero_is_one_like_any_other)
{
    close_stdin();
    struct tm_journal *j = open_at(false), *second = NULL;
    ck_assert_int_eq(tm_journal_open(g_path, false, &second, &g_err), TM_E_REFUSED);
    tm_journal_close(&j);
    nothing_in_its_place();
}
END_TEST

/* How far the scenario below came, as far as it was told. */
struct progress {
    tm_status status;
    bool committed, dropped;
};

static void write_things(struct tm_journal *j, struct progress *p)
{
    struct tm_journal_job job = sample_job();
    struct tm_journal_ban ban = {.unit = 1, .reason = "lied"};
    struct tm_journal_node node = {.name = "n"};
    struct tm_journal_result bad = sample_result(9, 2);
    ban.node = tm_node_id_of(&bad.node);
    uint64_t epoch = 0;
    tm_status status;
    TM_TRY_GOTO(tm_journal_create_job(j, &job, &g_err), done);
    TM_TRY_GOTO(tm_journal_start_epoch(j, &epoch, &g_err), done);
    TM_TRY_GOTO(tm_journal_begin(j, &g_err), done);
    TM_TRY_GOTO(tm_journal_put_result(j, &bad, &g_err), done);
    TM_TRY_GOTO(tm_journal_put_ban(j, &ban, &g_err), done);
    for (uint32_t unit = 0; unit < 3; unit++) {
        struct tm_journal_result r = sample_result(unit, 1);
        TM_TRY_GOTO(tm_journal_put_result(j, &r, &g_err), done);
    }
    struct tm_journal_result again = sample_result(2, 3);
    TM_TRY_GOTO(tm_journal_put_result(j, &again, &g_err), done);
    TM_TRY_GOTO(tm_journal_put_node(j, &node, &g_err), done);
    TM_TRY_GOTO(tm_journal_commit(j, &g_err), done);
    p->committed = true;
    TM_TRY_GOTO(tm_journal_drop_result(j, 0, &g_err), done);
    p->dropped = true;
    TM_TRY_GOTO(tm_journal_set_state(j, TM_JOB_DONE, &g_err), done);
done:
    if (status != TM_OK) {
        tm_journal_rollback(j);
    }
    p->status = status;
}

/* Another process: nothing is in its cache. */
static tm_status read_things(void)
{
    struct tm_journal *j = NULL;
    tm_status status = tm_journal_open(g_path, false, &j, &g_err);
    for (const char *list = "jrbn"; status == TM_OK && *list != '\0'; list++) {
        size_t count = 0;
        status = read_list(j, *list, &count);
    }
    uint32_t done = 0;
    if (status == TM_OK) {
        status = tm_journal_done_count(j, &done, &g_err);
        ck_assert(status != TM_OK || done == 2);
    }
    tm_journal_close(&j);
    return status;
}

static struct progress live(void)
{
    struct progress p = {0};
    struct tm_journal *j = NULL;
    p.status = tm_journal_open(g_path, false, &j, &g_err);
    if (p.status == TM_OK) {
        write_things(j, &p);
        tm_journal_close(&j);
    }
    if (p.status == TM_OK) {
        p.status = read_things();
    }
    return p;
}

/* What was acknowledged is there, and the scenario's one commit is there whole or not at all. */
static void check_kept(const struct progress *p)
{
    struct tm_journal *j = open_at(false);
    uint32_t done = 0;
    size_t bans = 0;
    ck_assert_int_eq(tm_journal_done_count(j, &done, &g_err), TM_OK);
    struct tm_journal_ban *list;
    ck_assert_int_eq(tm_journal_bans(j, &list, &bans, &g_err), TM_OK);
    ck_assert_uint_eq(bans, done > 0 ? 1 : 0);
    ck_assert(done == 0 || (list[0].dropped == 1 && strcmp(list[0].reason, "lied") == 0));
    tm_free(list);
    if (p->committed) {
        ck_assert(done == 2 || (!p->dropped && done == 3));
    } else {
        ck_assert(done == 0 || done == 3);
    }
    tm_journal_close(&j);
}

static const struct {
    enum tm_sqlite_op op;
    int code;
    tm_status status;
} walks[] = {
    {TM_SQLITE_OPEN, SQLITE_CANTOPEN, TM_E_IO},     {TM_SQLITE_READ, SQLITE_IOERR_READ, TM_E_IO},
    {TM_SQLITE_WRITE, SQLITE_IOERR_WRITE, TM_E_IO}, {TM_SQLITE_WRITE, SQLITE_FULL, TM_E_IO},
    {TM_SQLITE_SYNC, SQLITE_IOERR_FSYNC, TM_E_IO},  {TM_SQLITE_LOCK, SQLITE_IOERR_LOCK, TM_E_IO},
    {TM_SQLITE_MAP, SQLITE_IOERR_SHMMAP, TM_E_IO},  {TM_SQLITE_ALLOC, SQLITE_NOMEM, TM_E_NOMEM},
};

/* The n-th operation fails, once or from then on, for each n: what was acknowledged stays. */
START_TEST(every_operation_fails_once_or_for_ever)
{
    bool forever = _i % 2 == 1;
    enum tm_sqlite_op op = walks[_i / 2].op;
    tm_sqlite_fault_install();
    size_t blocks = tm_mem_live_blocks();
    unsigned told = 0;
    bool failed = true;
    for (unsigned n = 1; failed; n++) {
        ck_assert_int_eq(tm_dir_remove_tree(g_dir, &g_err), TM_OK);
        ck_assert_int_eq(tm_dir_make(g_dir, 0700, &g_err), TM_OK);
        tm_sqlite_fail_at(op, n, walks[_i / 2].code, forever);
        struct progress p = live();
        failed = tm_sqlite_failed(op);
        tm_sqlite_fail_at(op, 0, 0, false);
        ck_assert_msg(p.status == TM_OK || (failed && p.status == walks[_i / 2].status),
                      "operation %u: status %d: %s", n, p.status, g_err.why);
        told += p.status != TM_OK;
        ck_assert_uint_eq(tm_mem_live_blocks(), blocks);
        check_kept(&p);
    }
    ck_assert_uint_gt(told, 0);
}
END_TEST

Suite *tm_suite(void)
{
    Suite *suite = suite_create("journal_faults");
    TCase *files = tcase_create("files");
    tcase_add_checked_fixture(files, set_up, tear_down);
    tcase_add_loop_test(files, strange_files_are_refused, 0,
                        sizeof strange_files / sizeof strange_files[0]);
    tcase_add_loop_test(files, impossible_rows_are_not_taken, 0,
                        sizeof impossible_rows / sizeof impossible_rows[0]);
    tcase_add_test(files, the_largest_numbers_and_names_are_taken);
    tcase_add_test(files, a_result_beside_a_damaged_one);
    tcase_add_test(files, texts_that_there_is_no_memory_for);
    suite_add_tcase(suite, files);
    TCase *faults = tcase_create("faults");
    tcase_set_timeout(faults, 120);
    tcase_add_checked_fixture(faults, set_up, tear_down);
    tcase_add_test(faults, a_folder_that_does_not_answer);
    tcase_add_test(faults, a_lock_that_cannot_be_taken);
    tcase_add_loop_test(faults, a_failing_open_says_why, 0,
                        sizeof failing_opens / sizeof failing_opens[0]);
    tcase_add_loop_test(faults, a_disk_error_is_told_in_the_words_of_the_system, 0, 2);
    tcase_add_loop_test(faults, a_file_of_others_is_never_taken_for_an_empty_one, 0, 2);
    tcase_add_test(faults, descriptor_zero_is_one_like_any_other);
    tcase_add_loop_test(faults, every_operation_fails_once_or_for_ever, 0,
                        2 * sizeof walks / sizeof walks[0]);
    suite_add_tcase(suite, faults);
    return suite;
}

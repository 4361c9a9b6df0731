/* SPDX-License-Identifier: Apache-2.0 */
#include "node/journal/journal.h"

#include <errno.h>
#include <fcntl.h>
#include <sqlite3.h>
#include <stdio.h>
#include <string.h>
#include <sys/file.h>
#include <unistd.h>

#include "base/file.h"
#include "base/mem.h"
#include "base/os.h"

#define SCHEMA_VERSION 2
#define APPLICATION_ID 0x544d4a4c /* "TMJL" */
#define BUSY_TIMEOUT_MS 10000

static const char SCHEMA[] =
    "CREATE TABLE job("
    " one INTEGER PRIMARY KEY CHECK(one = 1), id TEXT NOT NULL, model_path TEXT NOT NULL,"
    " out_path TEXT NOT NULL, recipe TEXT NOT NULL, tensors_under TEXT NOT NULL, plan TEXT NOT "
    "NULL,"
    " plan_digest BLOB NOT NULL CHECK(length(plan_digest) = 32), unit_count INTEGER NOT NULL,"
    " block_weights INTEGER NOT NULL, created_s INTEGER NOT NULL, state INTEGER NOT NULL,"
    " epoch INTEGER NOT NULL) STRICT;"
    "CREATE TABLE result("
    " unit INTEGER PRIMARY KEY, node BLOB NOT NULL CHECK(length(node) = 32),"
    " node_id BLOB NOT NULL CHECK(length(node_id) = 20),"
    " leaf BLOB NOT NULL CHECK(length(leaf) = 32), bytes INTEGER NOT NULL,"
    " checks INTEGER NOT NULL, squared_error_bits INTEGER NOT NULL,"
    " squared_norm_bits INTEGER NOT NULL, sig BLOB NOT NULL CHECK(length(sig) = 64)) STRICT;"
    "CREATE INDEX result_by_node ON result(node_id);"
    "CREATE TABLE ban("
    " node BLOB PRIMARY KEY CHECK(length(node) = 20), unit INTEGER NOT NULL,"
    " reason TEXT NOT NULL, dropped INTEGER NOT NULL) STRICT, WITHOUT ROWID;"
    "CREATE TABLE node("
    " node BLOB PRIMARY KEY CHECK(length(node) = 32), name TEXT NOT NULL, cores INTEGER NOT NULL,"
    " accepted INTEGER NOT NULL, audited INTEGER NOT NULL, weights_per_s INTEGER NOT NULL)"
    " STRICT, WITHOUT ROWID;";

/* X(enum, SQL): statements that are prepared once. */
#define STATEMENT_LIST(X)                                                                          \
    X(ST_BEGIN, "BEGIN IMMEDIATE")                                                                 \
    X(ST_COMMIT, "COMMIT")                                                                         \
    X(ST_JOB_PUT, "INSERT INTO job VALUES(1,?,?,?,?,?,?,?,?,?,?,?,?)")                             \
    X(ST_JOB_GET,                                                                                  \
      "SELECT id, model_path, out_path, recipe, tensors_under, plan, plan_digest, unit_count,"     \
      " block_weights, created_s, state, epoch FROM job")                                          \
    X(ST_EPOCH, "UPDATE job SET epoch = epoch + 1, state = ? RETURNING epoch")                     \
    X(ST_STATE, "UPDATE job SET state = ?")                                                        \
    X(ST_RESULT_PUT, "INSERT OR IGNORE INTO result SELECT ?,?,?,?,?,?,?,?,?"                       \
                     " WHERE NOT EXISTS(SELECT 1 FROM ban WHERE node = ?3)")                       \
    X(ST_RESULT_LEAF, "SELECT leaf FROM result WHERE unit = ?")                                    \
    X(ST_RESULT_DROP, "DELETE FROM result WHERE unit = ?")                                         \
    X(ST_RESULT_BAN, "DELETE FROM result WHERE node_id = ?")                                       \
    X(ST_RESULT_ALL, "SELECT unit, node, leaf, bytes, checks, squared_error_bits,"                 \
                     " squared_norm_bits, sig FROM result ORDER BY unit")                          \
    X(ST_RESULT_COUNT, "SELECT count(*) FROM result")                                              \
    X(ST_BAN_PUT, "INSERT INTO ban VALUES(?,?,?,?)"                                                \
                  " ON CONFLICT DO UPDATE SET dropped = dropped + excluded.dropped")               \
    X(ST_BAN_ALL, "SELECT node, unit, reason, dropped FROM ban ORDER BY node")                     \
    X(ST_NODE_PUT, "INSERT OR REPLACE INTO node VALUES(?,?,?,?,?,?)")                              \
    X(ST_NODE_ALL, "SELECT node, name, cores, accepted, audited, weights_per_s FROM node"          \
                   " ORDER BY node")

#define STATEMENT_ENUM(code, sql) code,
enum statement { STATEMENT_LIST(STATEMENT_ENUM) ST_COUNT };
#undef STATEMENT_ENUM
#define STATEMENT_SQL(code, sql) sql,
static const char *const SQL[] = {STATEMENT_LIST(STATEMENT_SQL)};
#undef STATEMENT_SQL

struct tm_journal {
    sqlite3 *db;
    sqlite3_stmt *st[ST_COUNT];
    char *path;
    int lock; /* of PATH.lock, or -1 */
};

static const char *const STATE_NAMES[] = {"new", "running", "stopped", "done", "cancelled"};

const char *tm_job_state_name(enum tm_job_state state)
{
    return (unsigned)state < sizeof STATE_NAMES / sizeof STATE_NAMES[0] ? STATE_NAMES[state]
                                                                        : "unknown";
}

void tm_journal_job_deinit(struct tm_journal_job *job)
{
    tm_free(job->id);
    tm_free(job->model_path);
    tm_free(job->tensors_under);
    tm_free(job->out_path);
    tm_free(job->recipe);
    tm_free(job->plan);
    *job = (struct tm_journal_job){0};
}

/* ---- errors ---- */

static tm_status fail(struct tm_journal *j, int code, const char *what, struct tm_err *err)
{
    const char *why = j->db != NULL ? sqlite3_errmsg(j->db) : sqlite3_errstr(code);
    int system = 0;
    switch (code & 0xff) {
    case SQLITE_CORRUPT:
    case SQLITE_NOTADB:
        return tm_err_set(err, TM_E_MALFORMED, j->path, what,
                          "try once more, for a failing disk looks the same; then remove the job "
                          "and start it again: finished packages are not touched",
                          "the journal is damaged (%s)", why);
    case SQLITE_FULL:
        return tm_err_set(err, TM_E_IO, j->path, what, "free some space, then resume the job",
                          "no space left on the disk");
    case SQLITE_BUSY:
    case SQLITE_LOCKED:
        return tm_err_set(err, TM_E_IO, j->path, what, NULL,
                          "it was not to be locked (tried for at most %d ms): another process "
                          "holds it, or locks fail there",
                          BUSY_TIMEOUT_MS);
    case SQLITE_NOMEM:
        return tm_err_set(err, TM_E_NOMEM, j->path, what, NULL, "out of memory");
    case SQLITE_READONLY:
    case SQLITE_PERM:
    case SQLITE_CANTOPEN:
        return tm_err_set(err, TM_E_IO, j->path, what, "is the folder writable?", "%s", why);
    case SQLITE_IOERR:
        system = sqlite3_system_errno(j->db);
        return tm_err_set(err, TM_E_IO, j->path, what,
                          "check the disk (dmesg), then resume the job",
                          "the disk reported an error (%s, code %d): nothing after the last "
                          "commit is certain",
                          system != 0 ? strerror(system) : why, sqlite3_extended_errcode(j->db));
    default:
        return tm_err_set(err, TM_E_IO, j->path, what, NULL, "%s (code %d)", why, code);
    }
}

/* A row that cannot be taken: TM_E_NOMEM, or its values are none that we write. */
static tm_status bad_row(struct tm_journal *j, tm_status status, const char *what,
                         struct tm_err *err)
{
    return tm_err_set(err, status, j->path, what, NULL, "%s",
                      status == TM_E_NOMEM ? "out of memory" : "a row holds impossible values");
}

/* Runs a statement that returns no rows. */
static tm_status run(struct tm_journal *j, enum statement which, const char *what,
                     struct tm_err *err)
{
    int code = sqlite3_step(j->st[which]);
    tm_status status = code == SQLITE_DONE ? TM_OK : fail(j, code, what, err);
    sqlite3_reset(j->st[which]);
    return status;
}

static tm_status exec(struct tm_journal *j, const char *sql, const char *what, struct tm_err *err)
{
    int code = sqlite3_exec(j->db, sql, NULL, NULL, NULL);
    return code == SQLITE_OK ? TM_OK : fail(j, code, what, err);
}

static tm_status query_int(struct tm_journal *j, const char *sql, int64_t *out, struct tm_err *err)
{
    sqlite3_stmt *st = NULL;
    int code = sqlite3_prepare_v2(j->db, sql, -1, &st, NULL);
    if (code == SQLITE_OK) {
        code = sqlite3_step(st);
    }
    tm_status status = TM_OK;
    if (code == SQLITE_ROW) {
        *out = sqlite3_column_int64(st, 0);
    } else {
        status = fail(j, code, "open the journal", err);
    }
    sqlite3_finalize(st);
    return status;
}

/* ---- opening ---- */

/* One writer: an flock that the system drops when the process ends, however it ends. */
static tm_status take_lock(struct tm_journal *j, struct tm_err *err)
{
    char path[TM_PATH_MAX];
    int n = snprintf(path, sizeof path, "%s.lock", j->path);
    if ((size_t)n >= sizeof path) { /* a negative one is huge */
        return tm_err_set(err, TM_E_LIMIT, j->path, "open the journal", NULL, "path too long");
    }
    j->lock = tm_os_open(path, O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0644);
    if (j->lock < 0) {
        return tm_err_set_os(err, errno, path, "open the journal");
    }
    if (tm_os_flock(j->lock, LOCK_EX | LOCK_NB) != 0) {
        if (errno == EWOULDBLOCK) {
            return tm_err_set(err, TM_E_REFUSED, j->path, "open the journal",
                              "wait for it, or cancel the job",
                              "another process is working on this job");
        }
        return tm_err_set_os(err, errno, path, "lock the journal");
    }
    return TM_OK;
}

static tm_status open_db(struct tm_journal *j, bool read_only, struct tm_err *err)
{
    bool found;
    TM_TRY(tm_path_find(j->path, &found, err));
    if (read_only && !found) {
        return tm_err_set(err, TM_E_NOT_FOUND, j->path, "open the journal", NULL, "no such file");
    }
    int flags = read_only ? SQLITE_OPEN_READONLY : SQLITE_OPEN_READWRITE | SQLITE_OPEN_CREATE;
    int code = sqlite3_open_v2(j->path, &j->db, flags | SQLITE_OPEN_FULLMUTEX, NULL);
    if (code != SQLITE_OK) {
        return fail(j, code, "open the journal", err);
    }
    sqlite3_extended_result_codes(j->db, 1);
    sqlite3_busy_timeout(j->db, BUSY_TIMEOUT_MS);
    return exec(j, "PRAGMA trusted_schema = OFF; PRAGMA cell_size_check = ON;", "open the journal",
                err);
}

static tm_status make_schema(struct tm_journal *j, struct tm_err *err)
{
    char sql[sizeof SCHEMA + 160];
    snprintf(sql, sizeof sql,
             "BEGIN IMMEDIATE; %s PRAGMA user_version = %d; PRAGMA application_id = %d; COMMIT;",
             SCHEMA, SCHEMA_VERSION, APPLICATION_ID);
    return exec(j, sql, "create the journal", err);
}

static tm_status check_schema(struct tm_journal *j, bool read_only, struct tm_err *err)
{
    int64_t version = 0;
    int64_t application = 0;
    int64_t tables = 0;
    TM_TRY(query_int(j, "PRAGMA user_version", &version, err));
    TM_TRY(query_int(j, "PRAGMA application_id", &application, err));
    TM_TRY(query_int(j, "SELECT count(*) FROM sqlite_schema", &tables, err));
    if (version == 0 && application == 0 && tables == 0) {
        return read_only ? tm_err_set(err, TM_E_NOT_FOUND, j->path, "open the journal",
                                      "run the command that began the job again",
                                      "the job ended before anything was written to it")
                         : make_schema(j, err);
    }
    if (application != APPLICATION_ID) {
        return tm_err_set(err, TM_E_MALFORMED, j->path, "open the journal", NULL,
                          "not a journal: application id %lld instead of %d",
                          (long long)application, APPLICATION_ID);
    }
    if (version != SCHEMA_VERSION) {
        return tm_err_set(err, TM_E_INCOMPATIBLE, j->path, "open the journal",
                          "use the version of tmill that wrote it",
                          "schema version %lld, this build knows %d", (long long)version,
                          SCHEMA_VERSION);
    }
    return TM_OK;
}

static tm_status prepare_all(struct tm_journal *j, struct tm_err *err)
{
    for (int i = 0; i < ST_COUNT; i++) {
        int code =
            sqlite3_prepare_v3(j->db, SQL[i], -1, SQLITE_PREPARE_PERSISTENT, &j->st[i], NULL);
        if (code == SQLITE_ERROR) { /* of constant SQL: the tables are not those of this schema */
            code = SQLITE_CORRUPT;
        }
        if (code != SQLITE_OK) {
            return fail(j, code, "open the journal", err);
        }
    }
    return TM_OK;
}

tm_status tm_journal_open(const char *path, bool read_only, struct tm_journal **out,
                          struct tm_err *err)
{
    *out = NULL;
    tm_status status = TM_E_NOMEM;
    struct tm_journal *j = tm_calloc(1, sizeof *j);
    if (j == NULL) {
        return tm_err_set(err, TM_E_NOMEM, path, "open the journal", NULL, "out of memory");
    }
    j->lock = -1;
    j->path = tm_strdup(path);
    if (j->path == NULL) {
        tm_err_set(err, TM_E_NOMEM, path, "open the journal", NULL, "out of memory");
        goto done;
    }
    if (!read_only) {
        TM_TRY_GOTO(take_lock(j, err), done);
    }
    TM_TRY_GOTO(open_db(j, read_only, err), done);
    if (!read_only) {
        TM_TRY_GOTO(exec(j, "PRAGMA journal_mode = WAL; PRAGMA synchronous = FULL;",
                         "open the journal", err),
                    done);
    }
    TM_TRY_GOTO(check_schema(j, read_only, err), done);
    TM_TRY_GOTO(prepare_all(j, err), done);
    *out = j;
    j = NULL;
done:
    tm_journal_close(&j);
    return status;
}

void tm_journal_close(struct tm_journal **journal)
{
    struct tm_journal *j = *journal;
    if (j == NULL) {
        return;
    }
    for (int i = 0; i < ST_COUNT; i++) {
        sqlite3_finalize(j->st[i]);
    }
    sqlite3_close(j->db);
    if (j->lock >= 0) {
        close(j->lock);
    }
    tm_free(j->path);
    tm_free(j);
    *journal = NULL;
}

/* ---- binding and reading columns ---- */

static void bind_text(sqlite3_stmt *st, int at, const char *text)
{
    sqlite3_bind_text(st, at, text, -1, SQLITE_STATIC);
}

static void bind_blob(sqlite3_stmt *st, int at, const void *data, size_t bytes)
{
    sqlite3_bind_blob(st, at, data, (int)bytes, SQLITE_STATIC);
}

static void bind_u64(sqlite3_stmt *st, int at, uint64_t value)
{
    sqlite3_bind_int64(st, at, (sqlite3_int64)value);
}

static bool get_blob(sqlite3_stmt *st, int at, void *out, size_t bytes)
{
    const void *data = sqlite3_column_blob(st, at);
    if (data == NULL || (size_t)sqlite3_column_bytes(st, at) != bytes) {
        return false;
    }
    memcpy(out, data, bytes);
    return true;
}

static bool get_u32(sqlite3_stmt *st, int at, uint32_t *out)
{
    sqlite3_int64 value = sqlite3_column_int64(st, at);
    *out = (uint32_t)value;
    return value >= 0 && value <= UINT32_MAX;
}

/* What is longer than `out` is cut. */
static tm_status get_text_into(sqlite3_stmt *st, int at, char *out, size_t out_bytes)
{
    if (sqlite3_column_type(st, at) != SQLITE_TEXT) {
        return TM_E_MALFORMED;
    }
    const unsigned char *text = sqlite3_column_text(st, at);
    if (text == NULL) {
        return TM_E_NOMEM;
    }
    snprintf(out, out_bytes, "%s", (const char *)text);
    return TM_OK;
}

static tm_status get_text(sqlite3_stmt *st, int at, char **out)
{
    if (sqlite3_column_type(st, at) != SQLITE_TEXT) {
        return TM_E_MALFORMED;
    }
    const unsigned char *text = sqlite3_column_text(st, at);
    *out =
        text == NULL ? NULL : tm_strndup((const char *)text, (size_t)sqlite3_column_bytes(st, at));
    return *out == NULL ? TM_E_NOMEM : TM_OK;
}

/* ---- the job ---- */

tm_status tm_journal_create_job(struct tm_journal *journal, const struct tm_journal_job *job,
                                struct tm_err *err)
{
    sqlite3_stmt *st = journal->st[ST_JOB_PUT];
    bind_text(st, 1, job->id);
    bind_text(st, 2, job->model_path);
    bind_text(st, 3, job->out_path);
    bind_text(st, 4, job->recipe);
    bind_text(st, 5, job->tensors_under);
    bind_text(st, 6, job->plan);
    bind_blob(st, 7, job->plan_digest.b, sizeof job->plan_digest.b);
    bind_u64(st, 8, job->unit_count);
    bind_u64(st, 9, job->block_weights);
    sqlite3_bind_int64(st, 10, job->created_s);
    bind_u64(st, 11, job->state);
    bind_u64(st, 12, job->epoch);
    return run(journal, ST_JOB_PUT, "write the job", err);
}

static tm_status read_job_row(sqlite3_stmt *st, struct tm_journal_job *out)
{
    TM_TRY(get_text(st, 0, &out->id));
    TM_TRY(get_text(st, 1, &out->model_path));
    TM_TRY(get_text(st, 2, &out->out_path));
    TM_TRY(get_text(st, 3, &out->recipe));
    TM_TRY(get_text(st, 4, &out->tensors_under));
    TM_TRY(get_text(st, 5, &out->plan));
    uint32_t state = 0;
    bool good = get_blob(st, 6, out->plan_digest.b, sizeof out->plan_digest.b) &&
                get_u32(st, 7, &out->unit_count) && get_u32(st, 8, &out->block_weights) &&
                get_u32(st, 10, &state) && state <= TM_JOB_CANCELLED;
    out->created_s = sqlite3_column_int64(st, 9);
    out->state = (enum tm_job_state)state;
    out->epoch = (uint64_t)sqlite3_column_int64(st, 11);
    return good ? TM_OK : TM_E_MALFORMED;
}

tm_status tm_journal_read_job(struct tm_journal *journal, struct tm_journal_job *out,
                              struct tm_err *err)
{
    static const char what[] = "read the job";
    *out = (struct tm_journal_job){0};
    int code = sqlite3_step(journal->st[ST_JOB_GET]);
    tm_status status;
    if (code == SQLITE_ROW) {
        status = read_job_row(journal->st[ST_JOB_GET], out);
        if (status != TM_OK) {
            bad_row(journal, status, what, err);
        }
    } else if (code == SQLITE_DONE) {
        status = tm_err_set(err, TM_E_NOT_FOUND, journal->path, what, NULL,
                            "the journal holds no job yet");
    } else {
        status = fail(journal, code, what, err);
    }
    sqlite3_reset(journal->st[ST_JOB_GET]);
    if (status != TM_OK) {
        tm_journal_job_deinit(out);
    }
    return status;
}

tm_status tm_journal_start_epoch(struct tm_journal *journal, uint64_t *epoch, struct tm_err *err)
{
    sqlite3_stmt *st = journal->st[ST_EPOCH];
    bind_u64(st, 1, TM_JOB_RUNNING);
    int code = sqlite3_step(st);
    if (code == SQLITE_ROW) {
        *epoch = (uint64_t)sqlite3_column_int64(st, 0);
        code = sqlite3_step(st); /* RETURNING commits when it is done */
        sqlite3_reset(st);
        return code == SQLITE_DONE ? TM_OK : fail(journal, code, "start an epoch", err);
    }
    tm_status status = code == SQLITE_DONE
                           ? tm_err_set(err, TM_E_NOT_FOUND, journal->path, "start an epoch", NULL,
                                        "the journal holds no job yet")
                           : fail(journal, code, "start an epoch", err);
    sqlite3_reset(st);
    return status;
}

tm_status tm_journal_set_state(struct tm_journal *journal, enum tm_job_state state,
                               struct tm_err *err)
{
    bind_u64(journal->st[ST_STATE], 1, state);
    return run(journal, ST_STATE, "write the state", err);
}

/* ---- group commit ---- */

tm_status tm_journal_begin(struct tm_journal *journal, struct tm_err *err)
{
    return run(journal, ST_BEGIN, "begin a commit", err);
}

tm_status tm_journal_commit(struct tm_journal *journal, struct tm_err *err)
{
    return run(journal, ST_COMMIT, "commit to the journal", err);
}

void tm_journal_rollback(struct tm_journal *journal)
{
    sqlite3_exec(journal->db, "ROLLBACK", NULL, NULL, NULL);
}

/* The unit has a result already: the same one again is no harm. */
static tm_status compare_leaf(struct tm_journal *j, const struct tm_journal_result *result,
                              struct tm_err *err)
{
    static const char what[] = "write a result";
    struct tm_digest leaf;
    if (!get_blob(j->st[ST_RESULT_LEAF], 0, leaf.b, sizeof leaf.b)) {
        return bad_row(j, TM_E_MALFORMED, what, err);
    }
    if (!tm_digest_eq(&leaf, &result->leaf)) {
        char had[TM_DIGEST_TEXT];
        char got[TM_DIGEST_TEXT];
        return tm_err_set(err, TM_E_VERIFY, j->path, what, NULL,
                          "unit %u has leaf %.16s, and a second one %.16s came", result->unit,
                          tm_digest_hex(&leaf, had), tm_digest_hex(&result->leaf, got));
    }
    return TM_OK;
}

/* Why no row was inserted: the unit has a result already, or the node is banned. */
static tm_status explain_no_insert(struct tm_journal *j, const struct tm_journal_result *result,
                                   struct tm_err *err)
{
    sqlite3_stmt *st = j->st[ST_RESULT_LEAF];
    bind_u64(st, 1, result->unit);
    tm_status status;
    int code = sqlite3_step(st);
    if (code == SQLITE_ROW) {
        status = compare_leaf(j, result, err);
    } else if (code == SQLITE_DONE) {
        struct tm_node_id id = tm_node_id_of(&result->node);
        char text[TM_NODE_ID_TEXT];
        status =
            tm_err_set(err, TM_E_VERIFY, j->path, "write a result", NULL,
                       "node %.12s of unit %u is banned", tm_node_id_hex(&id, text), result->unit);
    } else {
        status = fail(j, code, "write a result", err);
    }
    sqlite3_reset(st);
    return status;
}

tm_status tm_journal_put_result(struct tm_journal *journal, const struct tm_journal_result *result,
                                struct tm_err *err)
{
    sqlite3_stmt *st = journal->st[ST_RESULT_PUT];
    struct tm_node_id id = tm_node_id_of(&result->node);
    bind_u64(st, 1, result->unit);
    bind_blob(st, 2, result->node.b, sizeof result->node.b);
    bind_blob(st, 3, id.b, sizeof id.b);
    bind_blob(st, 4, result->leaf.b, sizeof result->leaf.b);
    bind_u64(st, 5, result->bytes);
    bind_u64(st, 6, result->checks);
    bind_u64(st, 7, result->squared_error_bits);
    bind_u64(st, 8, result->squared_norm_bits);
    bind_blob(st, 9, result->sig.b, sizeof result->sig.b);
    TM_TRY(run(journal, ST_RESULT_PUT, "write a result", err));
    return sqlite3_changes(journal->db) == 1 ? TM_OK : explain_no_insert(journal, result, err);
}

tm_status tm_journal_put_ban(struct tm_journal *journal, const struct tm_journal_ban *ban,
                             struct tm_err *err)
{
    bind_blob(journal->st[ST_RESULT_BAN], 1, ban->node.b, sizeof ban->node.b);
    TM_TRY(run(journal, ST_RESULT_BAN, "write a ban", err));
    int dropped = sqlite3_changes(journal->db);
    sqlite3_stmt *st = journal->st[ST_BAN_PUT];
    bind_blob(st, 1, ban->node.b, sizeof ban->node.b);
    bind_u64(st, 2, ban->unit);
    bind_text(st, 3, ban->reason);
    bind_u64(st, 4, (uint64_t)dropped);
    return run(journal, ST_BAN_PUT, "write a ban", err);
}

tm_status tm_journal_put_node(struct tm_journal *journal, const struct tm_journal_node *node,
                              struct tm_err *err)
{
    sqlite3_stmt *st = journal->st[ST_NODE_PUT];
    bind_blob(st, 1, node->node.b, sizeof node->node.b);
    bind_text(st, 2, node->name);
    bind_u64(st, 3, node->cores);
    bind_u64(st, 4, node->accepted);
    bind_u64(st, 5, node->audited);
    bind_u64(st, 6, node->weights_per_s);
    return run(journal, ST_NODE_PUT, "write a node", err);
}

tm_status tm_journal_drop_result(struct tm_journal *journal, uint32_t unit, struct tm_err *err)
{
    bind_u64(journal->st[ST_RESULT_DROP], 1, unit);
    return run(journal, ST_RESULT_DROP, "drop a result", err);
}

/* ---- reading lists ---- */

static tm_status read_result(sqlite3_stmt *st, void *item)
{
    struct tm_journal_result *r = item;
    r->squared_error_bits = (uint64_t)sqlite3_column_int64(st, 5);
    r->squared_norm_bits = (uint64_t)sqlite3_column_int64(st, 6);
    bool good = get_u32(st, 0, &r->unit) && get_blob(st, 1, r->node.b, sizeof r->node.b) &&
                get_blob(st, 2, r->leaf.b, sizeof r->leaf.b) && get_u32(st, 3, &r->bytes) &&
                get_u32(st, 4, &r->checks) && get_blob(st, 7, r->sig.b, sizeof r->sig.b);
    return good ? TM_OK : TM_E_MALFORMED;
}

static tm_status read_ban(sqlite3_stmt *st, void *item)
{
    struct tm_journal_ban *b = item;
    TM_TRY(get_text_into(st, 2, b->reason, sizeof b->reason));
    bool good = get_blob(st, 0, b->node.b, sizeof b->node.b) && get_u32(st, 1, &b->unit) &&
                get_u32(st, 3, &b->dropped);
    return good ? TM_OK : TM_E_MALFORMED;
}

static tm_status read_node(sqlite3_stmt *st, void *item)
{
    struct tm_journal_node *n = item;
    TM_TRY(get_text_into(st, 1, n->name, sizeof n->name));
    n->weights_per_s = (uint64_t)sqlite3_column_int64(st, 5);
    bool good = get_blob(st, 0, n->node.b, sizeof n->node.b) && get_u32(st, 2, &n->cores) &&
                get_u32(st, 3, &n->accepted) && get_u32(st, 4, &n->audited);
    return good ? TM_OK : TM_E_MALFORMED;
}

/* How the rows of a SELECT become an array of structs. */
struct listing {
    enum statement which;
    size_t item_bytes;
    tm_status (*read)(sqlite3_stmt *st, void *item);
};

static tm_status read_all(struct tm_journal *j, const struct listing *list, void **out,
                          size_t *count, struct tm_err *err)
{
    static const char what[] = "read the journal";
    uint8_t *items = NULL;
    size_t n = 0;
    size_t capacity = 0;
    tm_status status = TM_OK;
    int code;
    while ((code = sqlite3_step(j->st[list->which])) == SQLITE_ROW) {
        if (n == capacity) {
            capacity = capacity == 0 ? 64 : capacity * 2;
            uint8_t *grown = tm_realloc_array(items, capacity, list->item_bytes);
            if (grown == NULL) {
                status = tm_err_set(err, TM_E_NOMEM, j->path, what, NULL, "out of memory");
                goto done;
            }
            items = grown;
        }
        memset(items + n * list->item_bytes, 0, list->item_bytes);
        status = list->read(j->st[list->which], items + n * list->item_bytes);
        if (status != TM_OK) {
            bad_row(j, status, what, err);
            goto done;
        }
        n++;
    }
    if (code != SQLITE_DONE) {
        status = fail(j, code, what, err);
    }
done:
    sqlite3_reset(j->st[list->which]);
    if (status != TM_OK) {
        tm_free(items);
        items = NULL;
        n = 0;
    }
    *out = items;
    *count = n;
    return status;
}

tm_status tm_journal_results(struct tm_journal *journal, struct tm_journal_result **out,
                             size_t *count, struct tm_err *err)
{
    static const struct listing LIST = {ST_RESULT_ALL, sizeof **out, read_result};
    void *items;
    tm_status status = read_all(journal, &LIST, &items, count, err);
    *out = items;
    return status;
}

tm_status tm_journal_bans(struct tm_journal *journal, struct tm_journal_ban **out, size_t *count,
                          struct tm_err *err)
{
    static const struct listing LIST = {ST_BAN_ALL, sizeof **out, read_ban};
    void *items;
    tm_status status = read_all(journal, &LIST, &items, count, err);
    *out = items;
    return status;
}

tm_status tm_journal_nodes(struct tm_journal *journal, struct tm_journal_node **out, size_t *count,
                           struct tm_err *err)
{
    static const struct listing LIST = {ST_NODE_ALL, sizeof **out, read_node};
    void *items;
    tm_status status = read_all(journal, &LIST, &items, count, err);
    *out = items;
    return status;
}

tm_status tm_journal_done_count(struct tm_journal *journal, uint32_t *done, struct tm_err *err)
{
    sqlite3_stmt *st = journal->st[ST_RESULT_COUNT];
    int code = sqlite3_step(st);
    /* A row has 200 bytes: no file holds 2^32 of them. */
    *done = code == SQLITE_ROW ? (uint32_t)sqlite3_column_int64(st, 0) : 0;
    tm_status status = code == SQLITE_ROW ? TM_OK : fail(journal, code, "read the journal", err);
    sqlite3_reset(st);
    return status;
}

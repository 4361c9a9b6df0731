/* SPDX-License-Identifier: Apache-2.0
 * Status codes, the process exit code of each, and struct tm_err: what failed, where, why, what to
 * do next. Fallible functions return tm_status and, when a user will read the reason, fill a
 * struct tm_err given by the caller. */
#ifndef TM_BASE_STATUS_H
#define TM_BASE_STATUS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* X(code, exit code, text) */
#define TM_STATUS_LIST(X)                                                                          \
    X(TM_OK, 0, "ok")                                                                              \
    X(TM_E_INTERNAL, 1, "internal error")                                                          \
    X(TM_E_NOMEM, 1, "out of memory")                                                              \
    X(TM_E_IO, 1, "input/output error")                                                            \
    X(TM_E_LIMIT, 1, "a fixed limit was reached")                                                  \
    X(TM_E_USAGE, 2, "usage error")                                                                \
    X(TM_E_NOT_FOUND, 3, "not found")                                                              \
    X(TM_E_MALFORMED, 4, "malformed")                                                              \
    X(TM_E_VERIFY, 4, "verification failed")                                                       \
    X(TM_E_NETWORK, 5, "network error")                                                            \
    X(TM_E_REFUSED, 6, "refused before start")                                                     \
    X(TM_E_GATE, 7, "quality gate failed")                                                         \
    X(TM_E_INCOMPATIBLE, 8, "incompatible")                                                        \
    X(TM_E_STOPPED, 9, "stopped, can be resumed")                                                  \
    X(TM_E_NOTHING, 10, "nothing to do")

#define TM_STATUS_ENUM(code, exit_code, text) code,
enum tm_status_code { TM_STATUS_LIST(TM_STATUS_ENUM) TM_STATUS_COUNT };
#undef TM_STATUS_ENUM

typedef enum tm_status_code tm_status;

#define TM_MUST_USE __attribute__((warn_unused_result))
#define TM_PRINTF(fmt_at, args_at) __attribute__((format(printf, fmt_at, args_at)))

/* Field texts are NUL-terminated and cut to fit; they may hold any bytes of hostile file names, and
 * tm_err_line escapes control characters when it prints. */
struct tm_err {
    tm_status status;
    char where[512]; /* file, tensor, byte offset: "m.gguf: tensor 'b.weight' at byte 96" */
    char what[256];  /* what could not be done */
    char why[384];   /* the reason, with both figures when two disagree */
    char hint[256];  /* what to do next; may be empty */
};

/* Short text ("malformed"), code name ("TM_E_MALFORMED") and process exit code of a status. */
const char *tm_status_text(tm_status status);
const char *tm_status_name(tm_status status);
int tm_status_exit_code(tm_status status);

/* Fills err (which may be NULL) and returns status, so that a parser can write
 * `return tm_err_set(err, TM_E_MALFORMED, where, what, hint, "why %u", n);`.
 * where, what and hint may be NULL (kept empty). */
tm_status tm_err_set(struct tm_err *err, tm_status status, const char *where, const char *what,
                     const char *hint, const char *why_fmt, ...) TM_PRINTF(6, 7);

/* Puts "prefix: " before err->where (a caller that knows the file adds it). err may be NULL. */
void tm_err_prefix(struct tm_err *err, const char *prefix);

/* err->why, or status's text where a plain status came back and err was never set. */
const char *tm_err_why(const struct tm_err *err, tm_status status);

/* One line without newline, "WHERE: WHAT: WHY; HINT" with empty parts left out and every control
 * character and invalid UTF-8 byte escaped as \xNN. Always NUL-terminates; returns out. */
const char *tm_err_line(const struct tm_err *err, char *out, size_t out_bytes);

/* Copies text to out with control characters (C0, DEL, C1) and invalid UTF-8 escaped as \xNN.
 * Used for every name that came from a file. Always NUL-terminates; returns out. */
const char *tm_escape(const char *text, size_t text_bytes, char *out, size_t out_bytes);

/* Forwards a failure. */
#define TM_TRY(call)                                                                               \
    do {                                                                                           \
        tm_status tm_try_status_ = (call);                                                         \
        if (tm_try_status_ != TM_OK) {                                                             \
            return tm_try_status_;                                                                 \
        }                                                                                          \
    } while (0)

/* Forwards a failure to the cleanup label of the function, which has `tm_status status`. */
#define TM_TRY_GOTO(call, label)                                                                   \
    do {                                                                                           \
        status = (call);                                                                           \
        if (status != TM_OK) {                                                                     \
            goto label;                                                                            \
        }                                                                                          \
    } while (0)

/* Our own bug: checked in release builds too, prints file and line, aborts. No side effects. */
#define TM_ASSERT(condition)                                                                       \
    ((condition) ? (void)0 : tm_assert_failed(#condition, __FILE__, __LINE__))
_Noreturn void tm_assert_failed(const char *condition, const char *file, int line);

#endif

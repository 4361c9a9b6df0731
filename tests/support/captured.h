/* SPDX-License-Identifier: Apache-2.0
 * Runs a program's main function in a child process and catches its exit code, stdout, stderr. */
#ifndef TM_TESTS_CAPTURED_H
#define TM_TESTS_CAPTURED_H

#include <check.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "node/common/program.h"

struct captured {
    int code; /* exit code, or 256 + signal */
    char out[65536], err[8192];
};

static inline void captured_read(FILE *f, char *text, size_t text_bytes)
{
    rewind(f);
    size_t n = fread(text, 1, text_bytes - 1, f);
    text[n] = '\0';
    fclose(f);
}

/* words ends with NULL; words[0] is the program's name. out_path: where stdout goes; NULL: caught;
 * "": closed. */
static inline void captured_run_to(const struct tm_program *program, char *const *words,
                                   const char *out_path, struct captured *got)
{
    FILE *out = tmpfile(), *err = tmpfile();
    int argc = 0;
    while (words[argc] != NULL) {
        argc++;
    }
    fflush(NULL);
    pid_t pid = fork();
    ck_assert_int_ge(pid, 0);
    if (pid == 0) {
        if (out_path != NULL && out_path[0] == '\0') {
            close(1);
        } else if (out_path != NULL) {
            FILE *other = freopen(out_path, "w", stdout);
            (void)other;
        } else {
            dup2(fileno(out), 1);
        }
        dup2(fileno(err), 2);
        int code = tm_program_main(program, argc, (char **)words);
        fflush(NULL);
        _exit(code);
    }
    int status = 0;
    ck_assert_int_eq(waitpid(pid, &status, 0), pid);
    got->code = WIFEXITED(status) ? WEXITSTATUS(status) : 256 + WTERMSIG(status);
    captured_read(out, got->out, sizeof got->out);
    captured_read(err, got->err, sizeof got->err);
}

static inline void captured_run(const struct tm_program *program, char *const *words,
                                struct captured *got)
{
    captured_run_to(program, words, NULL, got);
}

static inline size_t captured_lines(const char *text)
{
    size_t n = 0;
    for (; *text != '\0'; text++) {
        n += *text == '\n';
    }
    return n;
}

#endif

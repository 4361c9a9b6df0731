/* SPDX-License-Identifier: Apache-2.0
 * The figures of an evaluation as a file that travels in the package (an attachment; its bytes are
 * part of the package id and so of the owner's signature). They are a function of the package's
 * weights, the base, the text and the settings that the file names: a stranger makes the same bytes
 * again. docs/quality.md has its members. */
#ifndef TM_NODE_FIGURES_H
#define TM_NODE_FIGURES_H

#include "node/quality/evaluate.h"
#include "package/package.h"

#define TM_FIGURES_BYTES_MAX ((size_t)1 << 20)

/* Appends the file for an evaluation with these options. */
tm_status tm_figures_write(const struct tm_evaluate_options *options,
                           const struct tm_evaluation *evaluation, struct tm_buf *out) TM_MUST_USE;
/* Appends the file of an open package; TM_E_NOTHING, and err left alone, when it has none. */
tm_status tm_figures_read(struct tm_package *package, struct tm_buf *out,
                          struct tm_err *err) TM_MUST_USE;

/* What tm_figures_check needs besides the package; the settings are those of its figures. */
struct tm_figures_check {
    const char *package_path;
    const char *base_path; /* NULL: none; figures that have a base are then TM_E_USAGE */
    const char *under, *text_path, *task_data;
    size_t threads;
    uint64_t cache_bytes;
    bool quiet;
    const volatile int *stop;
};
/* Measures again and compares every byte. TM_E_VERIFY names the first line that differs;
 * TM_E_NOT_FOUND when the package has no figures; TM_E_MALFORMED when they cannot be read; errors
 * of tm_evaluate. */
tm_status tm_figures_check(const struct tm_figures_check *check, struct tm_err *err) TM_MUST_USE;

#endif

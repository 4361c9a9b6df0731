/* SPDX-License-Identifier: Apache-2.0
 * Progress on stderr: on a terminal a bar with rate and ETA redrawn in place (NO_COLOR, TERM=dumb
 * and the width respected), elsewhere one line every 10 s. Never on stdout. */
#ifndef TM_BASE_PROGRESS_H
#define TM_BASE_PROGRESS_H

#include <stdio.h>

#include "base/clock.h"
#include "base/status.h"

enum tm_progress_unit { TM_PROGRESS_BYTES, TM_PROGRESS_ITEMS };

struct tm_progress_options {
    const char *label; /* "encode" */
    uint64_t total;    /* 0: unknown */
    enum tm_progress_unit unit;
    const char *item_name; /* "units"; for TM_PROGRESS_ITEMS */
    bool quiet;            /* prints nothing */
    FILE *stream;          /* NULL: stderr */
    const struct tm_clock *clock; /* NULL: OS clock */
};

struct tm_progress;
/* NULL when memory is out; every other function takes NULL. Not thread-safe. */
struct tm_progress *tm_progress_new(const struct tm_progress_options *options);
/* done never goes backwards: smaller values are ignored. note may be NULL. */
void tm_progress_update(struct tm_progress *progress, uint64_t done, const char *note);
/* Ends the line with the final figures and frees. */
void tm_progress_finish(struct tm_progress **progress);
/* Clears a bar so that another line can be printed; the next update draws it again. */
void tm_progress_pause(struct tm_progress *progress);

/* Clears the bar that any thread of the process has drawn on the stream, if there is one: for lines
 * that do not come from whoever draws it. The caller holds the stream's lock (flockfile) and writes
 * its line before it gives that up. */
void tm_progress_clear(FILE *stream);

/* Rate over the last ten one-second buckets, for tests: units a second. */
double tm_progress_rate(const struct tm_progress *progress);

#endif

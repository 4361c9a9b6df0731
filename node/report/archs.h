/* SPDX-License-Identifier: Apache-2.0
 * Which architectures can be compressed, calibrated and run: three ticks for each. Compression
 * needs no graph, so that it works for all of them. */
#ifndef TM_REPORT_ARCHS_H
#define TM_REPORT_ARCHS_H

#include "base/json.h"

/* A table; the last line is for every architecture that has none of its own. Appends. */
tm_status tm_archs_text(struct tm_buf *out) TM_MUST_USE;
/* Member "archs" of the open object; the last one, "*", is every other. */
void tm_archs_json(struct tm_jw *jw);

#endif

/* SPDX-License-Identifier: Apache-2.0
 * The report as one HTML file: inline SVG and style, no script, nothing from elsewhere, and a
 * content security policy that would stop both. Light and dark, for a phone, a printer and a screen
 * reader. The same report gives the same bytes. */
#ifndef TM_REPORT_HTML_H
#define TM_REPORT_HTML_H

#include "node/report/map.h"
#include "node/report/page.h"

#define TM_REPORT_ROWS_MAX 5000 /* of the table of tensors; the page says when there are more */

/* Appends; TM_E_LIMIT when out is full, TM_E_NOMEM. */
tm_status tm_report_html(const struct tm_report *report, struct tm_buf *out) TM_MUST_USE;

/* ---- for the files of the page ---- */

/* The text of the style element (report_style.c). */
extern const char tm_report_style[];

/* Tables (report_html_tables.c): each with a caption and scopes, in a region that scrolls by itself
 * and takes the keyboard, so that a phone never scrolls the page sideways. */

/* Pipelines with their tensors, size and error, predicted and outcome. */
void tm_html_pipelines(struct tm_page *page, const struct tm_report *report);
void tm_html_qualities(struct tm_page *page, const struct tm_report *report);
/* Right answers of every model whose tasks were asked; nothing when none was. */
void tm_html_tasks(struct tm_page *page, const struct tm_report *report);
void tm_html_map(struct tm_page *page, const struct tm_map *map);
void tm_html_tensors(struct tm_page *page, const struct tm_report *report);
/* Nodes and, when there are any, the banned ones. */
void tm_html_nodes(struct tm_page *page, const struct tm_report *report);

#endif

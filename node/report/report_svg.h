/* SPDX-License-Identifier: Apache-2.0
 * The pictures of the page, as SVG elements within it: 360 units wide so that a phone shows them
 * at their size, coloured by the classes of report_style.c alone, each with a title and a
 * description. Whoever cannot see them has the same figures in the table that follows each. */
#ifndef TM_REPORT_SVG_H
#define TM_REPORT_SVG_H

#include "node/report/map.h"
#include "node/report/page.h"

#define TM_SVG_WIDTH 360
#define TM_SVG_MAP_ROWS 256 /* layers drawn; the description says when there are more */
#define TM_SVG_BARS 20

/* Cells with the error in percent, darker (in the dark: brighter) for more. */
void tm_svg_map(struct tm_page *page, const struct tm_map *map);
/* The worst tensors: a bar for the error, a mark for the predicted one. */
void tm_svg_bars(struct tm_page *page, const struct tm_report *report);

/* Size against what was lost. */
enum tm_curve {
    TM_CURVE_RATIO,     /* perplexity over the source's, from 1 up */
    TM_CURVE_DIVERGENCE /* KL, logarithmic */
};
/* How many of the report's figures can be drawn: measured beside a base, of known size. */
uint32_t tm_svg_curve_points(const struct tm_report *report);
/* Size of a point in bits a weight; 0: unknown. */
double tm_svg_curve_bits(const struct tm_report *report, const struct tm_report_quality *quality);
/* Draws at least one point, with standard errors as bars. */
void tm_svg_curve(struct tm_page *page, const struct tm_report *report, enum tm_curve which);

#endif

/* SPDX-License-Identifier: Apache-2.0 */
#include "node/report/report_svg.h"

#include <math.h>
#include <string.h>

#include "model/pass/fmath.h"

/* A coordinate with one decimal, whatever the locale. */
static void put_at(struct tm_page *page, const char *name, double value)
{
    long tenths = (long)(value * 10 + (value < 0 ? -0.5 : 0.5));
    long size = tenths < 0 ? -tenths : tenths;
    tm_page_printf(page, " %s=\"%s%ld.%ld\"", name, tenths < 0 ? "-" : "", size / 10, size % 10);
}

/* Up to the end of the description, which the caller writes between. */
static void begin(struct tm_page *page, const char *id, double height, const char *title)
{
    tm_page_printf(page, "<svg class=\"%s\" role=\"img\" aria-labelledby=\"%s-t %s-d\"", id, id,
                   id);
    tm_page_printf(page,
                   " viewBox=\"0 0 %d %d\">\n<title id=\"%s-t\">%s</title>\n<desc id=\"%s-d\">",
                   TM_SVG_WIDTH, (int)height, id, title, id);
}

static void text_at(struct tm_page *page, const char *class, double x, double y)
{
    tm_page_printf(page, "<text class=\"%s\"", class);
    put_at(page, "x", x);
    put_at(page, "y", y);
    tm_page_put(page, ">");
}

static void rect(struct tm_page *page, const char *class, double x, double y, double width,
                 double height)
{
    tm_page_printf(page, "<rect class=\"%s\"", class);
    put_at(page, "x", x);
    put_at(page, "y", y);
    put_at(page, "width", width);
    put_at(page, "height", height);
    tm_page_put(page, ">");
}

static void line(struct tm_page *page, const char *class, double x1, double y1, double x2,
                 double y2)
{
    tm_page_printf(page, "<line class=\"%s\"", class);
    put_at(page, "x1", x1);
    put_at(page, "y1", y1);
    put_at(page, "x2", x2);
    put_at(page, "y2", y2);
    tm_page_put(page, "/>\n");
}

/* ---- map ---- */

#define MAP_LEFT 34.0
#define MAP_TOP 18.0
#define MAP_ROW 18.0
#define MAP_CELL_MAX 44.0

/* "8.6": percent, short enough for a cell. */
static void percent(struct tm_page *page, double error)
{
    double tenths = error * 1000 + 0.5;
    if (tenths >= 9999) {
        tm_page_put(page, "999");
    } else if (tenths >= 100) {
        tm_page_printf(page, "%u", (unsigned)(error * 100 + 0.5));
    } else {
        tm_page_printf(page, "%u.%u", (unsigned)tenths / 10, (unsigned)tenths % 10);
    }
}

static void layer_name(struct tm_page *page, int64_t layer)
{
    if (layer < 0) {
        tm_page_put(page, "none");
    } else {
        tm_page_printf(page, "%lld", (long long)layer);
    }
}

static void map_cell(struct tm_page *page, const struct tm_map *map, uint32_t row, uint32_t column,
                     double width)
{
    const struct tm_map_cell *cell = tm_map_cell(map, row, column);
    unsigned step = tm_map_step(map, cell);
    double x = MAP_LEFT + column * width, y = MAP_TOP + row * MAP_ROW;
    char class[8] = "c0";
    if (cell->tensors == 0) {
        return;
    }
    class[1] = (char)('0' + step);
    rect(page, class, x + 0.5, y + 0.5, width - 1, MAP_ROW - 1);
    tm_page_put(page, "<title>layer ");
    layer_name(page, map->layers[row]);
    tm_page_printf(page, ", %s: ", tm_tensor_kind_text(map->kinds[column]));
    if (step == 0) {
        tm_page_put(page, cell->bytes > 0 ? "exact" : "not yet made");
    } else {
        tm_page_put(page, "error ");
        tm_page_number(page, cell->error);
    }
    tm_page_put(page, "</title></rect>\n");
    class[0] = 't';
    text_at(page, class, x + width / 2, y + MAP_ROW / 2 + 3);
    if (step == 0) {
        tm_page_put(page, cell->bytes > 0 ? "0" : "?");
    } else {
        percent(page, cell->error);
    }
    tm_page_put(page, "</text>\n");
}

void tm_svg_map(struct tm_page *page, const struct tm_map *map)
{
    uint32_t rows = map->layer_count < TM_SVG_MAP_ROWS ? map->layer_count : TM_SVG_MAP_ROWS;
    double width = (TM_SVG_WIDTH - MAP_LEFT) / (map->kind_count > 0 ? map->kind_count : 1);
    width = width > MAP_CELL_MAX ? MAP_CELL_MAX : width;
    begin(page, "map", MAP_TOP + rows * MAP_ROW + 1, "Error by layer and kind of tensor");
    tm_page_printf(page,
                   "A row for each of %u layers, a column for each of %u kinds. Errors go "
                   "from ",
                   rows, map->kind_count);
    tm_page_number(page, map->lowest);
    tm_page_put(page, " to ");
    tm_page_number(page, map->highest);
    tm_page_put(page, rows < map->layer_count ? "; further layers are not drawn.</desc>\n"
                                              : ".</desc>\n");
    for (uint32_t k = 0; k < map->kind_count; k++) {
        text_at(page, "m", MAP_LEFT + (k + 0.5) * width, MAP_TOP - 6);
        tm_page_printf(page, "%s</text>\n", tm_tensor_kind_name(map->kinds[k]));
    }
    for (uint32_t row = 0; row < rows; row++) {
        text_at(page, "e", MAP_LEFT - 5, MAP_TOP + row * MAP_ROW + MAP_ROW / 2 + 3);
        layer_name(page, map->layers[row]);
        tm_page_put(page, "</text>\n");
        for (uint32_t k = 0; k < map->kind_count; k++) {
            map_cell(page, map, row, k, width);
        }
    }
    tm_page_put(page, "</svg>\n");
}

/* ---- bars ---- */

#define BAR_ROW 27.0
#define BAR_NAME 46 /* bytes of a name */

/* The largest finite error and prediction among the first rows. */
static double bars_scale(const struct tm_report *r, uint32_t rows)
{
    double most = 0;
    for (uint32_t i = 0; i < rows; i++) {
        const struct tm_report_tensor *t = &r->tensors[r->worst[i]];
        double error = tm_report_error(t);
        most = isfinite(error) && error > most ? error : most;
        most = t->prediction.error > most ? t->prediction.error : most;
    }
    return most > 0 ? most : 1;
}

static void bar(struct tm_page *page, const struct tm_report_tensor *t, double y, double scale)
{
    double error = tm_report_error(t);
    double part = isfinite(error) ? error / scale : 1;
    text_at(page, "n", 0, y + 10);
    struct tm_view name = tm_view_of(t->name, t->name_bytes);
    if (name.bytes > BAR_NAME) { /* the end tells tensors apart */
        tm_page_put(page, "...");
        name = tm_view_of(name.data + name.bytes - BAR_NAME, BAR_NAME);
    }
    tm_page_html(page, name);
    tm_page_put(page, "</text>\n");
    text_at(page, "v", TM_SVG_WIDTH, y + 10);
    tm_page_number(page, error);
    tm_page_put(page, "</text>\n");
    rect(page, "b", 0, y + 14, part * TM_SVG_WIDTH, 7);
    tm_page_put(page, "</rect>\n");
    if (t->prediction.known) {
        double x = t->prediction.error / scale * TM_SVG_WIDTH;
        line(page, "p", x, y + 12, x, y + 23);
    }
}

void tm_svg_bars(struct tm_page *page, const struct tm_report *report)
{
    uint32_t rows = report->tensor_count < TM_SVG_BARS ? report->tensor_count : TM_SVG_BARS;
    while (rows > 0 && tm_report_error(&report->tensors[report->worst[rows - 1]]) == 0) {
        rows--;
    }
    double scale = bars_scale(report, rows);
    begin(page, "bars", rows * BAR_ROW + 1, "The tensors with the largest relative error");
    tm_page_printf(page, "Bars for the %u worst tensors; a mark shows what was predicted.</desc>\n",
                   rows);
    for (uint32_t i = 0; i < rows; i++) {
        bar(page, &report->tensors[report->worst[i]], i * BAR_ROW, scale);
    }
    tm_page_put(page, "</svg>\n");
}

/* ---- curve ---- */

#define CURVE_HEIGHT 230
#define CURVE_LEFT 44.0
#define CURVE_RIGHT 350.0
#define CURVE_TOP 12.0
#define CURVE_BOTTOM 196.0
#define LABEL_BYTES 20
#define RATIO_MOST 2.0 /* a perplexity beyond that is drawn at the top edge, with its number */

double tm_svg_curve_bits(const struct tm_report *report, const struct tm_report_quality *quality)
{
    return quality->bits_per_weight > 0 || !quality->is_this ? quality->bits_per_weight
                                                             : tm_report_bits_of_all(report);
}

static bool drawn(const struct tm_report *report, const struct tm_report_quality *q)
{
    return q->figures.has_base && tm_svg_curve_bits(report, q) > 0;
}

uint32_t tm_svg_curve_points(const struct tm_report *report)
{
    uint32_t count = 0;
    for (uint32_t i = 0; i < report->quality_count; i++) {
        count += drawn(report, &report->qualities[i]);
    }
    return count;
}

struct curve {
    enum tm_curve which;
    double bits_most;   /* at the right end; the left one is 0 */
    double least, most; /* of the other axis; logarithms when it is logarithmic */
};

static void figure_of(enum tm_curve which, const struct tm_quality *q, double *value, double *error)
{
    *value = which == TM_CURVE_RATIO ? q->ratio : q->kl_mean;
    *error = which == TM_CURVE_RATIO ? q->ratio_error : q->kl_error;
}

#define KL_LEAST 1e-6 /* what is nearer to the source is drawn there */
#define KL_MOST 1e6   /* ... and what is farther there */

/* A figure as the axis counts it. */
static double on_axis(enum tm_curve which, double value)
{
    if (which == TM_CURVE_RATIO) {
        return value;
    }
    value = value < KL_LEAST ? KL_LEAST : value > KL_MOST ? KL_MOST : value;
    return tm_log(value) / tm_log(10);
}

static double curve_x(const struct curve *c, double bits)
{
    return CURVE_LEFT + bits / c->bits_most * (CURVE_RIGHT - CURVE_LEFT);
}

static double curve_y(const struct curve *c, double axis)
{
    double part = (axis - c->least) / (c->most - c->least);
    part = part < 0 ? 0 : part > 1 ? 1 : part;
    return CURVE_BOTTOM - part * (CURVE_BOTTOM - CURVE_TOP);
}

static struct curve curve_range(const struct tm_report *r, enum tm_curve which)
{
    struct curve c = {.which = which, .bits_most = 1, .least = 1, .most = 1};
    bool first = true;
    for (uint32_t i = 0; i < r->quality_count; i++) {
        const struct tm_report_quality *q = &r->qualities[i];
        double value, error;
        if (!drawn(r, q)) {
            continue;
        }
        figure_of(which, &q->figures, &value, &error);
        double low = on_axis(which, value), high = on_axis(which, value + error);
        double bits = tm_svg_curve_bits(r, q);
        c.bits_most = bits > c.bits_most ? bits : c.bits_most;
        c.least = (first && which == TM_CURVE_DIVERGENCE) || low < c.least ? low : c.least;
        c.most = first || high > c.most ? high : c.most;
        first = false;
    }
    c.bits_most = ceil(c.bits_most * 1.05);
    if (which == TM_CURVE_DIVERGENCE) {
        c.least = floor(c.least);
        c.most = ceil(c.most);
    }
    c.most = c.most > c.least ? c.most : c.least + 1;
    if (which == TM_CURVE_RATIO && c.most > RATIO_MOST) {
        c.most = RATIO_MOST;
    }
    return c;
}

static void power_of_ten(struct tm_page *page, int exponent)
{
    if (exponent >= 0) {
        tm_page_printf(page, "1%.*s", exponent, "000000000000");
    } else {
        tm_page_printf(page, "0.%.*s1", -exponent - 1, "000000000000");
    }
}

/* Lines and numbers behind the points: every power of ten, or four equal steps. */
static void curve_grid(struct tm_page *page, const struct curve *c)
{
    int steps = c->which == TM_CURVE_DIVERGENCE ? (int)(c->most - c->least) : 4;
    for (int i = 0; i <= steps; i++) {
        double axis = c->least + (c->most - c->least) * i / steps, y = curve_y(c, axis);
        line(page, "g", CURVE_LEFT, y, CURVE_RIGHT, y);
        text_at(page, "e", CURVE_LEFT - 4, y + 3);
        if (c->which == TM_CURVE_DIVERGENCE) {
            power_of_ten(page, (int)c->least + i);
        } else {
            tm_page_number(page, axis);
        }
        tm_page_put(page, "</text>\n");
    }
    unsigned step = c->bits_most > 24 ? 8 : c->bits_most > 12 ? 4 : c->bits_most > 6 ? 2 : 1;
    for (unsigned bits = 0; bits <= c->bits_most; bits += step) {
        double x = curve_x(c, bits);
        line(page, "g", x, CURVE_TOP, x, CURVE_BOTTOM);
        text_at(page, "m", x, CURVE_BOTTOM + 13);
        tm_page_printf(page, "%u</text>\n", bits);
    }
    text_at(page, "m", (CURVE_LEFT + CURVE_RIGHT) / 2, CURVE_BOTTOM + 28);
    tm_page_put(page, "bits a weight</text>\n");
}

/* Labels so far, so that none is written over another. */
struct labels {
    double x[TM_REPORT_QUALITIES_MAX], y[TM_REPORT_QUALITIES_MAX];
    uint32_t count;
};

static double free_height(struct labels *labels, double x, double y)
{
    for (uint32_t i = 0; i < labels->count; i++) {
        if (fabs(labels->x[i] - x) < 110 && fabs(labels->y[i] - y) < 11) {
            y = labels->y[i] + 11;
            i = UINT32_MAX; /* against all of them once more */
        }
    }
    labels->x[labels->count] = x;
    labels->y[labels->count++] = y;
    return y;
}

static void point(struct tm_page *page, const struct tm_report *r, const struct curve *c,
                  const struct tm_report_quality *q, struct labels *labels)
{
    double value, error, x = curve_x(c, tm_svg_curve_bits(r, q));
    figure_of(c->which, &q->figures, &value, &error);
    double y = curve_y(c, on_axis(c->which, value));
    double low = curve_y(c, on_axis(c->which, value > error ? value - error : 0));
    double high = curve_y(c, on_axis(c->which, value + error));
    line(page, "w", x, low, x, high);
    line(page, "w", x - 3, low, x + 3, low);
    line(page, "w", x - 3, high, x + 3, high);
    if (q->is_this) {
        rect(page, "s", x - 4.5, y - 4.5, 9, 9);
        tm_page_put(page, "</rect>\n");
    } else {
        tm_page_put(page, "<circle class=\"o\" r=\"4\"");
        put_at(page, "cx", x);
        put_at(page, "cy", y);
        tm_page_put(page, "/>\n");
    }
    bool left = x > (CURVE_LEFT + CURVE_RIGHT) / 2;
    double label_y = free_height(labels, x, y < CURVE_TOP + 12 ? y + 4 : y - 5);
    text_at(page, left ? "e" : "l", left ? x - 8 : x + 8, label_y);
    struct tm_view label = tm_view_str(q->is_this ? "this one" : q->label);
    label.bytes = label.bytes < LABEL_BYTES ? label.bytes : LABEL_BYTES;
    tm_page_html(page, label);
    if (on_axis(c->which, value) > c->most) {
        tm_page_put(page, ": ");
        tm_page_number(page, value);
    }
    tm_page_put(page, "</text>\n");
}

void tm_svg_curve(struct tm_page *page, const struct tm_report *report, enum tm_curve which)
{
    struct curve c = curve_range(report, which);
    struct labels labels = {.count = 0};
    begin(page, which == TM_CURVE_RATIO ? "ratio" : "kl", CURVE_HEIGHT,
          which == TM_CURVE_RATIO ? "Perplexity over the source's, by size"
                                  : "Divergence from the source, by size");
    tm_page_printf(page,
                   "%u points; across: bits a weight; up: %s. Bars are standard errors."
                   "</desc>\n",
                   tm_svg_curve_points(report),
                   which == TM_CURVE_RATIO ? "perplexity over the source's, from 1"
                                           : "KL divergence in nats, logarithmic");
    curve_grid(page, &c);
    for (uint32_t i = 0; i < report->quality_count; i++) {
        if (drawn(report, &report->qualities[i])) {
            point(page, report, &c, &report->qualities[i], &labels);
        }
    }
    tm_page_put(page, "</svg>\n");
}

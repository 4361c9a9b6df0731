/* SPDX-License-Identifier: Apache-2.0 */
#include "node/report/report_html.h"

#include <stdio.h>
#include <string.h>

#include "base/base64.h"
#include "base/num.h"
#include "node/report/page.h"
#include "node/report/report_svg.h"

static void name_of(struct tm_page *page, const struct tm_report *r)
{
    tm_page_html(page, tm_view_str(r->subject == TM_REPORT_PACKAGE ? r->path : r->model_name));
}

/* The policy allows the one style by its digest. */
static void head(struct tm_page *page, const struct tm_report *r)
{
    struct tm_digest digest = tm_digest_of(tm_view_str(tm_report_style));
    struct tm_buf hash;
    tm_buf_init(&hash, 64);
    if (page->status == TM_OK) {
        page->status = tm_base64_encode(tm_view_of(digest.b, sizeof digest.b), &hash);
    }
    tm_page_put(page, "<!doctype html>\n<html lang=\"en\">\n<head>\n<meta charset=\"utf-8\">\n"
                      "<meta http-equiv=\"Content-Security-Policy\" content=\"default-src 'none'; "
                      "base-uri 'none'; form-action 'none'; style-src 'sha256-");
    tm_page_printf(page, "%.*s", (int)hash.bytes, hash.data != NULL ? (const char *)hash.data : "");
    tm_page_put(page, "'\">\n<meta name=\"viewport\" content=\"width=device-width, "
                      "initial-scale=1\">\n<meta name=\"referrer\" content=\"no-referrer\">\n"
                      "<meta name=\"generator\" content=\"tmill " TMILL_VERSION "\">\n<title>");
    name_of(page, r);
    tm_page_put(page, ": compression report</title>\n<style>");
    tm_page_put(page, tm_report_style);
    tm_page_put(page, "</style>\n</head>\n<body>\n");
    tm_buf_deinit(&hash);
}

static void heading(struct tm_page *page, const struct tm_report *r)
{
    tm_page_put(page, "<header>\n<h1>");
    name_of(page, r);
    tm_page_put(page, "</h1>\n<p class=\"dim\">");
    static const char *const before[] = {"Made from ", "Job over ", "Model "};
    tm_page_put(page, before[r->subject]);
    tm_page_html(page, tm_view_str(r->model_name));
    if (r->base_model != NULL) {
        tm_page_put(page, " (");
        tm_page_html(page, tm_view_str(r->base_model));
        tm_page_put(page, ")");
    }
    if (r->arch[0] != '\0') {
        tm_page_put(page, ", architecture ");
        tm_page_html(page, tm_view_str(r->arch));
    }
    tm_page_put(page, "</p>\n</header>\n<main>\n");
}

/* ---- summary ---- */

static void card(struct tm_page *page, const char *name)
{
    tm_page_printf(page, "<div><dt>%s</dt><dd>", name);
}

static void size_cards(struct tm_page *page, const struct tm_report *r,
                       const struct tm_report_totals *sum)
{
    char bytes[TM_NUM_TEXT];
    card(page, "Bits a weight");
    tm_page_number(page, sum->bits_per_weight);
    tm_page_printf(page, "<small>%llu weights%s</small></dd></div>\n",
                   (unsigned long long)sum->weights, r->units_done < r->units ? ", so far" : "");
    card(page, r->file_bytes > 0 ? "File" : "Tensors so far");
    tm_page_printf(page, "%s<small>source ",
                   tm_format_bytes(r->file_bytes > 0 ? r->file_bytes : sum->bytes, bytes));
    tm_page_printf(page, "%s</small></dd></div>\n", tm_format_bytes(sum->source_bytes, bytes));
    card(page, "As 16-bit floats");
    tm_page_printf(page, "%s<small>as 32-bit ", tm_format_bytes(2 * sum->weights, bytes));
    tm_page_printf(page, "%s</small></dd></div>\n", tm_format_bytes(4 * sum->weights, bytes));
    card(page, "Relative error");
    tm_page_number(page, sum->error);
    tm_page_printf(page, "<small>%u tensors, %u exact</small></dd></div>\n", r->tensor_count,
                   r->tensor_count - sum->lossy);
}

static void quality_cards(struct tm_page *page, const struct tm_report *r)
{
    const struct tm_report_quality *own = tm_report_own_quality(r);
    if (own == NULL) {
        return;
    }
    card(page, "Perplexity");
    tm_page_number(page, own->figures.perplexity);
    tm_page_put(page, "<small>&plusmn; ");
    tm_page_number(page, own->figures.perplexity_error);
    tm_page_put(page, "</small></dd></div>\n");
    if (own->figures.has_base) {
        card(page, "Of the source's");
        tm_page_number(page, own->figures.ratio);
        tm_page_put(page, " &times;<small>&plusmn; ");
        tm_page_number(page, own->figures.ratio_error);
        tm_page_put(page, "</small></dd></div>\n");
        card(page, "Divergence");
        tm_page_number(page, own->figures.kl_mean);
        tm_page_put(page, "<small>KL, nats a token</small></dd></div>\n");
        card(page, "Same top token");
        tm_page_number(page, 100 * own->figures.same_top);
        tm_page_put(page, " %<small>of the tokens</small></dd></div>\n");
    }
}

static void summary(struct tm_page *page, const struct tm_report *r,
                    const struct tm_report_totals *sum)
{
    tm_page_put(page, "<section aria-labelledby=\"h-sum\">\n<h2 id=\"h-sum\">Summary</h2>\n");
    if (r->subject == TM_REPORT_JOB) {
        tm_page_printf(page, "<p>Job %s is %s: %u of %u units are done. The figures are of these; ",
                       r->job_id, r->job_state, r->units_done, r->units);
        tm_page_put(page, "signature, size of the file and quality come with the package.</p>\n");
    }
    tm_page_put(page, "<dl class=\"cards\">\n");
    if (r->tensor_count > 0) {
        size_cards(page, r, sum);
    } else if (r->model_weights > 0) {
        char bytes[TM_NUM_TEXT];
        card(page, "Bits a weight");
        tm_page_number(page, tm_report_bits_of_all(r));
        tm_page_printf(page, "<small>%llu weights, %s</small></dd></div>\n",
                       (unsigned long long)r->model_weights,
                       tm_format_bytes(r->model_bytes, bytes));
    }
    quality_cards(page, r);
    if (r->subject != TM_REPORT_MODEL) {
        card(page, "Made by");
        tm_page_printf(
            page, "%u node%s<small>%u of %u units audited, %u banned</small></dd></div>\n",
            r->node_count, r->node_count == 1 ? "" : "s", sum->audited, sum->units, r->ban_count);
    }
    tm_page_put(page, "</dl>\n");
    if (r->tensor_count > 0) {
        tm_html_pipelines(page, r);
    }
    tm_page_put(page, "</section>\n");
}

/* ---- the other sections ---- */

static void quality(struct tm_page *page, const struct tm_report *r)
{
    tm_page_put(page, "<section aria-labelledby=\"h-q\">\n<h2 id=\"h-q\">Size and quality</h2>\n");
    if (tm_svg_curve_points(r) > 0) {
        tm_page_put(page, "<div class=\"pair\">\n<div>\n<h3>Perplexity over the source's</h3>\n");
        tm_svg_curve(page, r, TM_CURVE_RATIO);
        tm_page_put(page, "</div>\n<div>\n<h3>KL divergence, nats a token</h3>\n");
        tm_svg_curve(page, r, TM_CURVE_DIVERGENCE);
        tm_page_put(page, "</div>\n</div>\n");
    }
    if (r->quality_count > 0) {
        tm_html_qualities(page, r);
        tm_html_tasks(page, r);
    }
    if (r->subject == TM_REPORT_JOB) {
        tm_page_put(page, "<p>To be measured when there is a package.</p>\n");
    } else if (tm_report_own_quality(r) == NULL) {
        tm_page_put(page, "<p>The quality of this one was not measured. Measure it, and others "
                          "beside it, with <code>tmill eval PKG --base MODEL --json</code> and "
                          "give the files to <code>tmill report --quality</code>.</p>\n");
    }
    tm_page_put(page, "</section>\n");
}

static void legend(struct tm_page *page, const struct tm_map *map)
{
    tm_page_put(page, "<ul class=\"legend\">\n<li><svg viewBox=\"0 0 10 10\" aria-hidden=\"true\">"
                      "<rect class=\"c0\" x=\"1\" y=\"1\" width=\"8\" height=\"8\"/></svg>exact"
                      "</li>\n");
    for (unsigned step = 1; step <= TM_MAP_STEPS && map->highest > 0; step++) {
        tm_page_printf(page,
                       "<li><svg viewBox=\"0 0 10 10\" aria-hidden=\"true\"><rect "
                       "class=\"c%u\" width=\"10\" height=\"10\"/></svg>to ",
                       step);
        tm_page_number(page, tm_map_step_top(map, step));
        tm_page_put(page, "</li>\n");
    }
    tm_page_put(page, "</ul>\n");
}

static void where(struct tm_page *page, const struct tm_map *map)
{
    tm_page_put(page,
                "<section aria-labelledby=\"h-map\">\n<h2 id=\"h-map\">Where the error is</h2>"
                "\n<p>Relative error of each layer and kind of tensor, in percent: the root "
                "of the sum of squared errors over the sum of squares.</p>\n");
    legend(page, map);
    tm_svg_map(page, map);
    tm_html_map(page, map);
    tm_page_put(page, "</section>\n");
}

static void worst(struct tm_page *page, const struct tm_report *r)
{
    tm_page_put(page,
                "<section aria-labelledby=\"h-w\">\n<h2 id=\"h-w\">Prediction and outcome</h2>"
                "\n<p>The worst tensors. The mark on a bar is the error that the same "
                "pipeline makes of normally distributed weights: a bar far beyond it has "
                "outliers that stretch the scales of their groups.</p>\n");
    tm_svg_bars(page, r);
    tm_html_tensors(page, r);
    tm_page_put(page, "</section>\n");
}

static void makers(struct tm_page *page, const struct tm_report *r)
{
    tm_page_put(page, "<section aria-labelledby=\"h-n\">\n<h2 id=\"h-n\">Who made it</h2>\n");
    tm_html_nodes(page, r);
    tm_page_put(page, "</section>\n");
}

static void verify(struct tm_page *page, const struct tm_report *r)
{
    tm_page_put(page, "<section aria-labelledby=\"h-v\">\n<h2 id=\"h-v\">Verify it yourself</h2>\n"
                      "<p>Errors, sizes and nodes are in the package, signed by its owner. "
                      "Anybody who has the source model can make every unit again and must get the "
                      "same bytes:</p>\n<pre>tmill verify ");
    tm_page_html(page, tm_view_str(r->path));
    tm_page_printf(page, " \\\n  --against MODEL --full \\\n  --owner %s</pre>\n", r->owner);
    const struct tm_report_quality *own = tm_report_own_quality(r);
    bool carried = own != NULL && own->carried;
    tm_page_put(page, carried ? "<p>The figures of quality are in the package too, and whoever "
                                "measures again must get every digit:</p>\n<pre>tmill verify "
                              : "<p>The quality, to the last digit, on any machine:</p>\n"
                                "<pre>tmill eval ");
    tm_page_html(page, tm_view_str(r->path));
    tm_page_put(page, carried ? " --against MODEL --figures" : " --base MODEL");
    tm_page_put(page, "</pre>\n<dl>\n");
    tm_page_printf(page, "<dt>Package</dt><dd class=\"id\">%s</dd>\n", r->package_id);
    tm_page_printf(page, "<dt>Merkle root of the chunks</dt><dd class=\"id\">%s</dd>\n", r->root);
    tm_page_printf(page, "<dt>Plan</dt><dd class=\"id\">%s</dd>\n", r->plan_digest);
    tm_page_printf(page, "<dt>Signed by</dt><dd class=\"id\">%s</dd>\n</dl>\n</section>\n",
                   r->owner);
}

tm_status tm_report_html(const struct tm_report *report, struct tm_buf *out)
{
    struct tm_page page = {.out = out};
    struct tm_report_totals sum = tm_report_sum(report);
    struct tm_map map;
    TM_TRY(tm_map_of(report, &map));
    head(&page, report);
    heading(&page, report);
    summary(&page, report, &sum);
    quality(&page, report);
    if (report->tensor_count > 0) {
        where(&page, &map);
        worst(&page, report);
    }
    if (report->subject != TM_REPORT_MODEL) {
        makers(&page, report);
    }
    if (report->subject == TM_REPORT_PACKAGE) {
        verify(&page, report);
    }
    tm_page_put(&page, "</main>\n<footer>\n<p>Written by tmill " TMILL_VERSION
                       ". The same package and figures give the same page.</p>\n"
                       "</footer>\n</body>\n</html>\n");
    tm_map_deinit(&map);
    return page.status;
}

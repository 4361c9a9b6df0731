/* SPDX-License-Identifier: Apache-2.0
 * The report for a terminal. */
#include "node/report/report_write.h"

#include <string.h>

#include "base/num.h"

#define NAME_COLUMNS 120

static void head(struct tm_page *page, const struct tm_report *r)
{
    if (r->package_id[0] != '\0') {
        tm_page_printf(page, "package    %s\n", r->package_id);
    }
    if (r->job_id[0] != '\0') {
        tm_page_printf(page, "job        %s, %s: %u of %u units done\n", r->job_id, r->job_state,
                       r->units_done, r->units);
    }
    tm_page_put(page, "model      ");
    tm_page_plain(page, tm_view_str(r->model_name), NAME_COLUMNS);
    tm_page_put(page, r->arch[0] != '\0' ? ", " : "");
    tm_page_plain(page, tm_view_str(r->arch), NAME_COLUMNS);
    tm_page_put(page, "\n");
    if (r->owner[0] != '\0') {
        tm_page_printf(page, "signed     by %s\n", r->owner);
    }
}

static void sizes(struct tm_page *page, const struct tm_report *r,
                  const struct tm_report_totals *sum)
{
    char a[TM_NUM_TEXT], b[TM_NUM_TEXT];
    if (r->file_bytes > 0) {
        tm_page_printf(page, "file       %s, of it %s of tensors\n",
                       tm_format_bytes(r->file_bytes, a), tm_format_bytes(sum->bytes, b));
    }
    tm_page_printf(page, "tensors    %u, %llu weights, ", r->tensor_count,
                   (unsigned long long)sum->weights);
    tm_page_number(page, sum->bits_per_weight);
    tm_page_printf(page, " bits a weight%s\n", r->units_done < r->units ? " so far" : "");
    tm_page_printf(page, "source     %s", tm_format_bytes(sum->source_bytes, a));
    tm_page_printf(page, "; %s as 16-bit floats", tm_format_bytes(2 * sum->weights, a));
    tm_page_printf(page, ", %s as 32-bit floats\n", tm_format_bytes(4 * sum->weights, a));
    tm_page_put(page, "error      ");
    tm_page_number(page, sum->error);
    tm_page_printf(page, " relative, over the %u compressed tensors; %u are exact\n", sum->lossy,
                   r->tensor_count - sum->lossy);
}

static void pair(struct tm_page *page, double value, double error)
{
    tm_page_number(page, value);
    tm_page_put(page, " +- ");
    tm_page_number(page, error);
}

static void tasks(struct tm_page *page, const struct tm_report_quality *q)
{
    for (uint32_t i = 0; i < q->task_count; i++) {
        const struct tm_report_task *t = &q->tasks[i];
        tm_page_printf(page, "           %s, share of %llu questions: ", t->name,
                       (unsigned long long)t->items);
        pair(page, t->accuracy, t->accuracy_error);
        if (t->has_base) {
            tm_page_put(page, "; kept ");
            pair(page, t->kept, t->kept_error);
        }
        tm_page_put(page, "\n");
    }
}

static void quality(struct tm_page *page, const struct tm_report *r)
{
    if (tm_report_own_quality(r) == NULL) {
        tm_page_put(page,
                    "quality    not measured: tmill eval PKG --base MODEL --json > eval.json, "
                    "then --quality eval.json\n");
    }
    for (uint32_t i = 0; i < r->quality_count; i++) {
        const struct tm_report_quality *q = &r->qualities[i];
        tm_page_put(page, q->is_this ? "quality    perplexity " : "beside     perplexity ");
        pair(page, q->figures.perplexity, q->figures.perplexity_error);
        if (q->figures.has_base) {
            tm_page_put(page, ", ");
            pair(page, q->figures.ratio, q->figures.ratio_error);
            tm_page_put(page, " of the source's; divergence ");
            pair(page, q->figures.kl_mean, q->figures.kl_error);
            tm_page_put(page, "; same top ");
            tm_page_number(page, 100 * q->figures.same_top);
            tm_page_put(page, " %");
        }
        if (q->bits_per_weight > 0) {
            tm_page_put(page, "; ");
            tm_page_number(page, q->bits_per_weight);
            tm_page_put(page, " bits");
        }
        if (!q->is_this) {
            tm_page_put(page, " (");
            tm_page_plain(page, tm_view_str(q->label), NAME_COLUMNS);
            tm_page_put(page, ")");
        }
        tm_page_put(page, "\n");
        tasks(page, q);
    }
}

static void column(struct tm_page *page, double value, bool known)
{
    char text[TM_SHORT_TEXT];
    tm_page_printf(page, " %9s", !known ? "-" : value == 0 ? "0" : tm_format_short(value, text));
}

static void worst(struct tm_page *page, const struct tm_report *r)
{
    uint32_t count = r->tensor_count < TM_REPORT_WORST ? r->tensor_count : TM_REPORT_WORST;
    tm_page_printf(page,
                   "\nworst %u of %u tensors; predicted: were its weights normally distributed\n",
                   count, r->tensor_count);
    tm_page_put(page, "    error predicted      bits predicted  tensor\n");
    for (uint32_t i = 0; i < count; i++) {
        const struct tm_report_tensor *t = &r->tensors[r->worst[i]];
        column(page, tm_report_error(t), t->units_done > 0);
        column(page, t->prediction.error, t->prediction.known);
        column(page, tm_report_bits(t), t->units_done > 0);
        column(page, t->prediction.bits_per_weight, t->prediction.known);
        tm_page_put(page, "  ");
        tm_page_plain(page, tm_view_of(t->name, t->name_bytes), NAME_COLUMNS);
        tm_page_put(page, t->units_done < t->units ? " (unfinished)\n" : "\n");
    }
}

static void cell_text(struct tm_page *page, const struct tm_map *map,
                      const struct tm_map_cell *cell)
{
    unsigned step = tm_map_step(map, cell);
    if (cell->tensors == 0) {
        tm_page_put(page, "       ");
    } else if (step == 0) {
        tm_page_printf(page, " %6s", cell->lossy == 0 && cell->bytes == 0 ? "?" : "exact");
    } else {
        tm_page_printf(page, " %6u", step);
    }
}

static void map_text(struct tm_page *page, const struct tm_map *map)
{
    tm_page_put(page, "\nmap: error from 1, ");
    tm_page_number(page, map->lowest);
    tm_page_printf(page, ", to %d, ", TM_MAP_STEPS);
    tm_page_number(page, map->highest);
    tm_page_put(page, ", in equal steps\n layer");
    for (uint32_t k = 0; k < map->kind_count; k++) {
        tm_page_printf(page, " %6s", tm_tensor_kind_name(map->kinds[k]));
    }
    tm_page_put(page, "\n");
    for (uint32_t row = 0; row < map->layer_count; row++) {
        if (map->layers[row] < 0) {
            tm_page_put(page, "     -");
        } else {
            tm_page_printf(page, "%6lld", (long long)map->layers[row]);
        }
        for (uint32_t k = 0; k < map->kind_count; k++) {
            cell_text(page, map, tm_map_cell(map, row, k));
        }
        tm_page_put(page, "\n");
    }
}

static void made_by(struct tm_page *page, const struct tm_report *r)
{
    char id[TM_NODE_ID_TEXT];
    tm_page_put(page, "\n");
    for (uint32_t i = 0; i < r->node_count; i++) {
        const struct tm_report_node *n = &r->nodes[i];
        tm_page_printf(page, "node       %.16s  %u units, %u decoded, %u audited",
                       tm_node_id_hex(&n->id, id), n->units, n->decoded, n->audited);
        tm_page_put(page, n->own > 0 ? ", the owner's own  " : "  ");
        tm_page_plain(page, tm_view_str(n->name), NAME_COLUMNS);
        tm_page_put(page, "\n");
    }
    for (uint32_t i = 0; i < r->ban_count; i++) {
        tm_page_printf(page, "banned     %.16s  ", tm_node_id_hex(&r->bans[i].id, id));
        tm_page_plain(page, tm_view_str(r->bans[i].reason), NAME_COLUMNS);
        tm_page_put(page, "\n");
    }
    if (r->subject == TM_REPORT_PACKAGE) {
        tm_page_put(page, "verify     tmill verify ");
        tm_page_plain(page, tm_view_str(r->path), NAME_COLUMNS);
        tm_page_put(page, " --against MODEL --full --owner KEY\n");
    }
}

tm_status tm_report_text(const struct tm_report *report, struct tm_buf *out)
{
    struct tm_page page = {.out = out};
    struct tm_report_totals sum = tm_report_sum(report);
    struct tm_map map;
    TM_TRY(tm_map_of(report, &map));
    head(&page, report);
    if (report->tensor_count > 0) {
        sizes(&page, report, &sum);
    }
    quality(&page, report);
    if (report->tensor_count > 0) {
        worst(&page, report);
        map_text(&page, &map);
    }
    if (report->subject != TM_REPORT_MODEL) {
        made_by(&page, report);
    }
    tm_map_deinit(&map);
    return page.status;
}

/* SPDX-License-Identifier: Apache-2.0 */
#include "node/report/report_html.h"

#include <math.h>

#include "base/num.h"
#include "node/report/report_svg.h"

/* `heads` are header cells, "A|B|C"; a leading '<' makes a column of words, aligned left. */
static void begin(struct tm_page *page, const char *id, const char *caption, const char *heads)
{
    tm_page_printf(page,
                   "<div class=\"scroll\" role=\"region\" tabindex=\"0\" "
                   "aria-labelledby=\"%s\">\n<table>\n<caption id=\"%s\">%s</caption>\n"
                   "<thead><tr>",
                   id, id, caption);
    while (*heads != '\0') {
        bool words = *heads == '<';
        tm_page_put(page, words ? "<th scope=\"col\" class=\"w\">" : "<th scope=\"col\">");
        heads += words;
        for (; *heads != '\0' && *heads != '|'; heads++) {
            tm_page_printf(page, "%c", *heads);
        }
        heads += *heads == '|';
        tm_page_put(page, "</th>");
    }
    tm_page_put(page, "</tr></thead>\n<tbody>\n");
}

static void end(struct tm_page *page)
{
    tm_page_put(page, "</tbody>\n</table>\n</div>\n");
}

static void number(struct tm_page *page, double value, bool known)
{
    tm_page_put(page, "<td>");
    if (known) {
        tm_page_number(page, value);
    } else {
        tm_page_put(page, "&ndash;");
    }
    tm_page_put(page, "</td>");
}

static void count(struct tm_page *page, uint64_t value)
{
    tm_page_printf(page, "<td>%llu</td>", (unsigned long long)value);
}

static void size(struct tm_page *page, uint64_t bytes)
{
    char text[TM_NUM_TEXT];
    tm_page_printf(page, "<td>%s</td>", tm_format_bytes(bytes, text));
}

/* ---- pipelines ---- */

struct pipeline_sum {
    uint32_t tensors;
    uint64_t weights, bytes;
    double done_weights, squared_error, squared_sum;
    struct tm_prediction prediction;
    bool lossless;
};

static struct pipeline_sum sum_pipeline(const struct tm_report *r, uint32_t pipeline)
{
    struct pipeline_sum sum = {0};
    for (uint32_t i = 0; i < r->tensor_count; i++) {
        const struct tm_report_tensor *t = &r->tensors[i];
        if (t->pipeline == pipeline) {
            sum.tensors++;
            sum.weights += t->weights;
            sum.bytes += t->bytes;
            sum.done_weights += t->units > 0 ? (double)t->weights * t->units_done / t->units : 0;
            sum.squared_error += t->squared_error;
            sum.squared_sum += t->squared_sum;
            sum.prediction = t->prediction;
            sum.lossless = t->lossless;
        }
    }
    return sum;
}

void tm_html_pipelines(struct tm_page *page, const struct tm_report *report)
{
    begin(page, "t-pipe", "Pipelines: outcome and, for normally distributed weights, prediction",
          "Pipeline|Tensors|Weights|Size|Bits a weight|predicted|Error|predicted");
    for (uint32_t i = 0; i < report->pipeline_count; i++) {
        struct pipeline_sum sum = sum_pipeline(report, i);
        if (sum.tensors == 0) {
            continue;
        }
        tm_page_put(page, "<tr><th scope=\"row\"><code>");
        tm_page_html(page, tm_view_str(report->pipelines[i]));
        tm_page_put(page, "</code></th>");
        count(page, sum.tensors);
        count(page, sum.weights);
        size(page, sum.bytes);
        number(page, 8.0 * (double)sum.bytes / sum.done_weights, sum.done_weights > 0);
        number(page, sum.prediction.bits_per_weight, sum.prediction.known);
        number(page, sum.lossless ? 0 : sqrt(sum.squared_error / sum.squared_sum),
               sum.done_weights > 0);
        number(page, sum.prediction.error, sum.prediction.known);
        tm_page_put(page, "</tr>\n");
    }
    end(page);
}

/* ---- quality ---- */

void tm_html_qualities(struct tm_page *page, const struct tm_report *report)
{
    begin(page, "t-q", "Measured with tmill eval; &plusmn; is the standard error",
          "Model|Bits a weight|Perplexity|&plusmn;|Of the source's|&plusmn;|KL mean|&plusmn;|"
          "median|99 %|Same top");
    for (uint32_t i = 0; i < report->quality_count; i++) {
        const struct tm_report_quality *q = &report->qualities[i];
        const struct tm_quality *f = &q->figures;
        double bits = tm_svg_curve_bits(report, q);
        tm_page_put(page, q->is_this ? "<tr class=\"this\"><th scope=\"row\">this one: "
                                     : "<tr><th scope=\"row\">");
        tm_page_html(page, tm_view_str(q->label));
        tm_page_put(page, "</th>");
        number(page, bits, bits > 0);
        number(page, f->perplexity, true);
        number(page, f->perplexity_error, true);
        number(page, f->ratio, f->has_base);
        number(page, f->ratio_error, f->has_base);
        number(page, f->kl_mean, f->has_base);
        number(page, f->kl_error, f->has_base);
        number(page, f->kl_median, f->has_base);
        number(page, f->kl_99, f->has_base);
        number(page, f->same_top, f->has_base);
        tm_page_put(page, "</tr>\n");
    }
    end(page);
}

void tm_html_tasks(struct tm_page *page, const struct tm_report *report)
{
    uint32_t count_all = 0;
    for (uint32_t i = 0; i < report->quality_count; i++) {
        count_all += report->qualities[i].task_count;
    }
    if (count_all == 0) {
        return;
    }
    begin(page, "t-tasks", "Share of right answers; &plusmn; is the standard error",
          "Model|<Task|Questions|Right|&plusmn;|Source right|Kept|&plusmn;");
    for (uint32_t i = 0; i < report->quality_count; i++) {
        const struct tm_report_quality *q = &report->qualities[i];
        for (uint32_t k = 0; k < q->task_count; k++) {
            const struct tm_report_task *t = &q->tasks[k];
            tm_page_put(page, q->is_this ? "<tr class=\"this\"><th scope=\"row\">"
                                         : "<tr><th scope=\"row\">");
            tm_page_html(page, tm_view_str(q->label));
            tm_page_put(page, "</th><td class=\"w\">");
            tm_page_html(page, tm_view_str(t->name));
            tm_page_put(page, "</td>");
            count(page, t->items);
            number(page, t->accuracy, true);
            number(page, t->accuracy_error, true);
            number(page, t->base_accuracy, t->has_base);
            number(page, t->kept, t->has_base);
            number(page, t->kept_error, t->has_base);
            tm_page_put(page, "</tr>\n");
        }
    }
    end(page);
}

/* ---- map ---- */

static void map_cell(struct tm_page *page, const struct tm_map_cell *cell)
{
    if (cell->tensors == 0) {
        tm_page_put(page, "<td>&ndash;</td>");
    } else if (cell->lossy == 0) {
        tm_page_put(page, cell->bytes > 0 ? "<td>exact</td>" : "<td>not yet</td>");
    } else {
        number(page, cell->error, true);
    }
}

void tm_html_map(struct tm_page *page, const struct tm_map *map)
{
    uint32_t rows = map->layer_count < TM_SVG_MAP_ROWS ? map->layer_count : TM_SVG_MAP_ROWS;
    char heads[16 * (TM_KIND_COUNT + 1)];
    struct tm_buf text;
    tm_buf_init(&text, sizeof heads);
    struct tm_page line = {.out = &text};
    tm_page_put(&line, "Layer");
    for (uint32_t k = 0; k < map->kind_count; k++) {
        tm_page_printf(&line, "|%s", tm_tensor_kind_name(map->kinds[k]));
    }
    if (line.status == TM_OK) {
        line.status = tm_buf_terminate(&text);
    }
    page->status = page->status == TM_OK ? line.status : page->status;
    tm_page_put(page, "<details>\n<summary>The map as a table</summary>\n");
    begin(page, "t-map", "Relative error by layer and kind of tensor",
          line.status == TM_OK ? (const char *)text.data : "");
    for (uint32_t row = 0; row < rows; row++) {
        tm_page_put(page, "<tr><th scope=\"row\">");
        if (map->layers[row] < 0) {
            tm_page_put(page, "none");
        } else {
            tm_page_printf(page, "%lld", (long long)map->layers[row]);
        }
        tm_page_put(page, "</th>");
        for (uint32_t k = 0; k < map->kind_count; k++) {
            map_cell(page, tm_map_cell(map, row, k));
        }
        tm_page_put(page, "</tr>\n");
    }
    end(page);
    tm_page_put(page, "</details>\n");
    tm_buf_deinit(&text);
}

/* ---- tensors ---- */

static void tensor_row(struct tm_page *page, const struct tm_report *r,
                       const struct tm_report_tensor *t)
{
    char shape[256];
    double error = tm_report_error(t);
    bool there = t->units_done > 0;
    tm_page_put(page, "<tr><th scope=\"row\"><code>");
    tm_page_html(page, tm_view_of(t->name, t->name_bytes));
    tm_page_put(page, "</code></th>");
    number(page, error, there);
    number(page, t->prediction.error, t->prediction.known);
    number(page, error / t->prediction.error, there && t->prediction.known);
    number(page, tm_report_bits(t), there);
    number(page, t->prediction.bits_per_weight, t->prediction.known);
    size(page, t->bytes);
    tm_page_printf(page, "<td>%s %s</td>", tm_dtype_name(t->dtype),
                   tm_shape_text(&t->shape, shape, sizeof shape));
    tm_page_printf(page, "<td>%u/%u</td>", t->audited, t->units);
    tm_page_put(page, "<td class=\"w\"><code>");
    tm_page_html(page, tm_view_str(r->pipelines[t->pipeline]));
    tm_page_put(page, "</code></td></tr>\n");
}

void tm_html_tensors(struct tm_page *page, const struct tm_report *report)
{
    uint32_t rows =
        report->tensor_count < TM_REPORT_ROWS_MAX ? report->tensor_count : TM_REPORT_ROWS_MAX;
    tm_page_printf(page, "<details>\n<summary>%s%u tensors as a table</summary>\n",
                   rows < report->tensor_count ? "The worst " : "All ", rows);
    begin(page, "t-all", "Tensors, largest relative error first",
          "Tensor|Error|predicted|of it|Bits a weight|predicted|Size|Source|Audited|<Pipeline");
    for (uint32_t i = 0; i < rows; i++) {
        tensor_row(page, report, &report->tensors[report->worst[i]]);
    }
    end(page);
    tm_page_put(page, "</details>\n");
}

/* ---- nodes ---- */

static void node_id(struct tm_page *page, const struct tm_node_id *id)
{
    char hex[TM_NODE_ID_TEXT];
    tm_page_printf(page, "<tr><th scope=\"row\"><code>%s</code></th>", tm_node_id_hex(id, hex));
}

static void text_cell(struct tm_page *page, const char *text)
{
    tm_page_put(page, "<td class=\"w\">");
    tm_page_html(page, tm_view_str(text[0] != '\0' ? text : "-"));
    tm_page_put(page, "</td></tr>\n");
}

void tm_html_nodes(struct tm_page *page, const struct tm_report *report)
{
    begin(page, "t-nodes",
          "Nodes that signed units. Decoded: the error was measured against the source. Audited: "
          "made again, same bytes",
          "Node|Units|Size|Decoded|Audited|The owner's|<Name");
    for (uint32_t i = 0; i < report->node_count; i++) {
        const struct tm_report_node *n = &report->nodes[i];
        node_id(page, &n->id);
        count(page, n->units);
        size(page, n->bytes);
        count(page, n->decoded);
        count(page, n->audited);
        count(page, n->own);
        text_cell(page, n->name);
    }
    end(page);
    if (report->ban_count == 0) {
        tm_page_put(page, "<p>No node was banned.</p>\n");
        return;
    }
    begin(page, "t-bans", "Banned nodes: caught with a wrong result, all their work made again",
          "Node|<Reason");
    for (uint32_t i = 0; i < report->ban_count; i++) {
        node_id(page, &report->bans[i].id);
        text_cell(page, report->bans[i].reason);
    }
    end(page);
}

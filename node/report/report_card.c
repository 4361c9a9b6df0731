/* SPDX-License-Identifier: Apache-2.0
 * The report as a model card: Markdown with a YAML head, as Hugging Face's model pages show it
 * (https://huggingface.co/docs/hub/model-cards). */
#include "node/report/report_write.h"

#include <string.h>

#include "base/num.h"

/* A YAML string in double quotes. */
static void yaml(struct tm_page *page, const char *text)
{
    char escaped[512], one[3] = {'\\', 0, 0};
    tm_page_put(page, "\"");
    for (const char *at = tm_escape(text, strlen(text), escaped, sizeof escaped); *at != '\0';
         at++) {
        one[1] = *at;
        tm_page_put(page, *at == '"' || *at == '\\' ? one : one + 1);
    }
    tm_page_put(page, "\"");
}

static void head(struct tm_page *page, const struct tm_report *r)
{
    tm_page_put(page, "---\n");
    if (r->base_model != NULL) {
        tm_page_put(page, "base_model: ");
        yaml(page, r->base_model);
        tm_page_put(page, "\nbase_model_relation: quantized\n");
    }
    tm_page_put(page, "pipeline_tag: text-generation\ntags:\n  - tensormill\n  - quantized\n");
    if (r->arch[0] != '\0') {
        tm_page_put(page, "  - ");
        yaml(page, r->arch);
        tm_page_put(page, "\n");
    }
    tm_page_put(page, "---\n\n");
}

static void row(struct tm_page *page, const char *name, double value, double error)
{
    tm_page_printf(page, "| %s | ", name);
    tm_page_number(page, value);
    if (error > 0) {
        tm_page_put(page, " &plusmn; ");
        tm_page_number(page, error);
    }
    tm_page_put(page, " |\n");
}

static void figures(struct tm_page *page, const struct tm_report *r,
                    const struct tm_report_totals *sum)
{
    const struct tm_report_quality *own = tm_report_own_quality(r);
    char bytes[TM_NUM_TEXT];
    tm_page_put(page, "## Figures\n\n| | |\n|---|---|\n");
    row(page, "bits a weight", sum->bits_per_weight, 0);
    tm_page_printf(page, "| file | %s |\n", tm_format_bytes(r->file_bytes, bytes));
    tm_page_printf(page, "| source | %s |\n", tm_format_bytes(sum->source_bytes, bytes));
    row(page, "relative error of the compressed weights", sum->error, 0);
    if (own != NULL) {
        row(page, "perplexity", own->figures.perplexity, own->figures.perplexity_error);
    }
    if (own != NULL && own->figures.has_base) {
        row(page, "perplexity over the source's", own->figures.ratio, own->figures.ratio_error);
        row(page, "KL divergence from the source, nats a token", own->figures.kl_mean,
            own->figures.kl_error);
        row(page, "same likeliest token, share", own->figures.same_top, 0);
    }
    for (uint32_t i = 0; own != NULL && i < own->task_count; i++) {
        const struct tm_report_task *t = &own->tasks[i];
        tm_page_printf(page, "| %s, share right of %llu | ", t->name, (unsigned long long)t->items);
        tm_page_number(page, t->accuracy);
        tm_page_put(page, " &plusmn; ");
        tm_page_number(page, t->accuracy_error);
        tm_page_put(page, " |\n");
    }
    if (own == NULL) {
        tm_page_put(page, "\nIts quality was not measured.\n");
    }
}

static void worst(struct tm_page *page, const struct tm_report *r)
{
    uint32_t count = r->tensor_count < TM_REPORT_WORST ? r->tensor_count : TM_REPORT_WORST;
    tm_page_printf(page,
                   "\n## Worst tensors\n\nThe worst %u of %u, by relative error.\n\n"
                   "| tensor | error | bits a weight |\n|---|---|---|\n",
                   count, r->tensor_count);
    for (uint32_t i = 0; i < count; i++) {
        const struct tm_report_tensor *t = &r->tensors[r->worst[i]];
        tm_page_put(page, "| ");
        tm_page_markdown(page, tm_view_of(t->name, t->name_bytes));
        tm_page_put(page, " | ");
        tm_page_number(page, tm_report_error(t));
        tm_page_put(page, " | ");
        tm_page_number(page, tm_report_bits(t));
        tm_page_put(page, " |\n");
    }
}

static void verify(struct tm_page *page, const struct tm_report *r,
                   const struct tm_report_totals *sum)
{
    tm_page_printf(page,
                   "\n## Verify it\n\nMade by %u node%s of a mesh in which nobody has to be "
                   "trusted; %u of %u units were made twice, %u node%s banned. Whoever has "
                   "the source can make every unit again and must get the same bytes:\n\n",
                   r->node_count, r->node_count == 1 ? "" : "s", sum->audited, sum->units,
                   r->ban_count, r->ban_count == 1 ? " was" : "s were");
    tm_page_put(page, "    tmill verify PKG --against MODEL --full");
    if (r->owner[0] != '\0') {
        tm_page_printf(page, " \\\n        --owner %s", r->owner);
    }
    tm_page_printf(page, "\n\npackage `%s`\n", r->package_id);
}

tm_status tm_report_card(const struct tm_report *report, struct tm_buf *out)
{
    struct tm_page page = {.out = out};
    struct tm_report_totals sum = tm_report_sum(report);
    head(&page, report);
    tm_page_put(&page, "# ");
    tm_page_markdown(&page, tm_view_str(report->model_name));
    tm_page_put(&page, ", compressed\n\nA package of Tensormill");
    for (uint32_t i = 0; i < report->pipeline_count; i++) {
        tm_page_put(&page, i == 0 ? ": `" : ", `");
        tm_page_put(&page, report->pipelines[i]); /* canonical: letters, digits and .,=()> */
        tm_page_put(&page, "`");
    }
    tm_page_put(&page, ".\n\n");
    figures(&page, report, &sum);
    worst(&page, report);
    verify(&page, report, &sum);
    return page.status;
}

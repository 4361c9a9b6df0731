/* SPDX-License-Identifier: Apache-2.0
 * eval: what a model or a package makes of a text and of tasks, and how far it is from its source.
 */
#include <stdio.h>
#include <string.h>
#include <sys/resource.h>

#include "base/file.h"
#include "base/mem.h"
#include "base/num.h"
#include "node/cli/cli.h"
#include "node/quality/quality_gate.h"
#include "node/report/report_html.h"

static const char what_failed[] = "cannot measure the model";

static uint64_t peak_memory(void)
{
    struct rusage usage;
    return getrusage(RUSAGE_SELF, &usage) == 0 ? (uint64_t)usage.ru_maxrss * 1024 : 0;
}

/* ---- output ---- */

static void print_accuracy(const struct tm_evaluated_task *t, enum tm_task_variant v)
{
    const struct tm_task_result *model = &t->model[v], *base = &t->base[v];
    char a[32], b[32], c[32], d[32], label[48];
    snprintf(label, sizeof label, "%s%s%s", t->name, v == TM_TASK_PLAIN ? "" : ", ",
             v == TM_TASK_PLAIN ? "" : tm_task_variant_name(v));
    printf("%-12s %s %% right +- %s of %zu", label, tm_cli_number(100.0 * model->accuracy, a),
           tm_cli_number(100.0 * model->accuracy_error, b), model->items);
    if (t->last_word) {
        printf(", perplexity %s", tm_cli_number(model->perplexity, a));
    } else {
        printf(", by byte %s %%", tm_cli_number(100.0 * model->by_byte, a));
    }
    if (base->items > 0) {
        double error, kept = tm_task_kept(model, base, &error);
        printf("; the base %s %%, kept %s x +- %s", tm_cli_number(100.0 * base->accuracy, b),
               tm_cli_number(kept, c), tm_cli_number(error, d));
    }
    printf("\n");
}

static void print_quality(const struct tm_evaluate_options *o, const struct tm_evaluation *e)
{
    const struct tm_quality *q = &e->quality;
    char a[32], b[32], c[32], d[32], name[1024];
    printf("model        %s\n", tm_escape(o->model_path, strlen(o->model_path), name, sizeof name));
    printf("text         %s: %llu tokens scored in %llu windows of %lu\n",
           tm_escape(e->text, strlen(e->text), name, sizeof name), (unsigned long long)q->tokens,
           (unsigned long long)q->windows, (unsigned long)e->context);
    printf("perplexity   %s +- %s\n", tm_cli_number(q->perplexity, a),
           tm_cli_number(q->perplexity_error, b));
    if (e->has_base) {
        printf("base         %s, perplexity %s\n",
               tm_escape(o->base_path, strlen(o->base_path), name, sizeof name),
               tm_cli_number(q->base_perplexity, a));
        printf("ratio        %s +- %s of the base's perplexity\n", tm_cli_number(q->ratio, a),
               tm_cli_number(q->ratio_error, b));
        printf("divergence   mean %s, median %s, 99 %% %s, largest %s (KL, nats)\n",
               tm_cli_number(q->kl_mean, a), tm_cli_number(q->kl_median, b),
               tm_cli_number(q->kl_99, c), tm_cli_number(q->kl_max, d));
        printf("same top     %s %% of the tokens\n", tm_cli_number(100.0 * q->same_top, a));
    }
    for (size_t i = 0; i < e->task_count; i++) {
        for (int v = 0; v < TM_TASK_VARIANTS; v++) {
            if (e->tasks[i].model[v].items > 0) {
                print_accuracy(&e->tasks[i], (enum tm_task_variant)v);
            }
        }
    }
}

static void print_text(const struct tm_evaluate_options *o, const struct tm_evaluation *e)
{
    char a[32], b[32], size[TM_NUM_TEXT];
    print_quality(o, e);
    printf("speed        prompt %s, generation %s tokens/s; first token after %llu ms\n",
           tm_cli_number(e->speed.prompt_tokens_s, a),
           tm_cli_number(e->speed.generation_tokens_s, b),
           (unsigned long long)e->speed.first_token_ms);
    printf("load         %llu ms; peak memory %s\n", (unsigned long long)e->load_ms,
           tm_format_bytes(peak_memory(), size));
}

static tm_status print_json(const struct tm_evaluate_options *o, const struct tm_evaluation *e,
                            const struct tm_report *subject, struct tm_err *err)
{
    struct tm_envelope json;
    tm_envelope_begin(&json, "tmill.eval/1");
    struct tm_jw *jw = &json.jw;
    tm_jw_str(jw, "model", o->model_path);
    if (o->base_path != NULL) {
        tm_jw_str(jw, "base_model", o->base_path);
        tm_jw_u64(jw, "base_windows_cached", e->base_windows_cached);
    }
    if (subject->package_id[0] != '\0') {
        tm_jw_str(jw, "package_id", subject->package_id);
    }
    tm_jw_f64(jw, "bits_per_weight", tm_report_bits_of_all(subject));
    tm_jw_str(jw, "text", e->text);
    tm_jw_u64(jw, "seed", e->seed);
    tm_evaluation_write(e, jw);
    tm_jw_object(jw, "speed");
    tm_jw_f64(jw, "prompt_tokens_s", e->speed.prompt_tokens_s);
    tm_jw_f64(jw, "generation_tokens_s", e->speed.generation_tokens_s);
    tm_jw_u64(jw, "first_token_ms", e->speed.first_token_ms);
    tm_jw_u64(jw, "prompt_tokens", e->speed.prompt_tokens);
    tm_jw_u64(jw, "generated_tokens", e->speed.generated);
    tm_jw_object_end(jw);
    tm_jw_u64(jw, "load_ms", e->load_ms);
    tm_jw_u64(jw, "peak_memory_bytes", peak_memory());
    return tm_envelope_end(&json, NULL, 0, err);
}

/* Who was measured, how large it is, and of a package where its error lies. */
static tm_status read_subject(const struct tm_evaluate_options *o, struct tm_report *subject,
                              struct tm_err *err)
{
    return tm_package_is(o->model_path) ? tm_report_of_package_file(o->model_path, subject, err)
                                        : tm_report_of_model(o->model_path, o->under, subject, err);
}

static tm_status write_html(const char *path, const struct tm_evaluate_options *o,
                            const struct tm_evaluation *e, struct tm_report *subject,
                            struct tm_err *err)
{
    struct tm_buf page;
    TM_TRY(tm_report_add_evaluation(subject, e, tm_path_base(o->model_path), true, err));
    tm_buf_init(&page, (size_t)64 << 20);
    tm_status status = tm_report_html(subject, &page);
    if (status != TM_OK) {
        tm_err_set(err, status, path, "cannot write the report", NULL, "%s",
                   tm_status_text(status));
    } else {
        status = tm_file_write_atomic(path, 0644, tm_buf_view(&page), err);
    }
    tm_buf_deinit(&page);
    return status;
}

static tm_status output(const struct tm_evaluate_options *o, const struct tm_evaluation *e,
                        const char *html, bool json, struct tm_err *err)
{
    struct tm_report subject = {.path = NULL};
    TM_TRY(read_subject(o, &subject, err));
    tm_status status = html != NULL ? write_html(html, o, e, &subject, err) : TM_OK;
    if (status == TM_OK && json) {
        status = print_json(o, e, &subject, err);
    } else if (status == TM_OK) {
        print_text(o, e);
    }
    tm_report_deinit(&subject);
    return status;
}

/* ---- the command ---- */

/* Tasks that the gate is about are asked, named or not. */
static tm_status read_gate(struct tm_evaluate_options *o, const char *text, struct tm_gate *gate,
                           struct tm_buf *tasks, struct tm_err *err)
{
    *gate = (struct tm_gate){.count = 0};
    if (text == NULL) {
        return TM_OK;
    }
    TM_TRY(tm_gate_parse(tm_view_str(text), gate, err));
    if (o->base_path == NULL && tm_gate_needs_base(gate)) {
        return tm_err_set(err, TM_E_USAGE, "--gate", what_failed,
                          "give the model that this one was made from with --base",
                          "the gate compares with a base, and there is none");
    }
    if (o->tasks != NULL) {
        TM_TRY(tm_buf_printf(tasks, "%s,", o->tasks));
    }
    TM_TRY(tm_gate_tasks(gate, o->tasks, tasks));
    o->tasks = (const char *)tasks->data;
    return TM_OK;
}

static struct tm_evaluate_options options_of(const struct tm_command *command,
                                             const struct tm_parsed *parsed)
{
    uint64_t context = tm_opt_u64(command, parsed, "context");
    return (struct tm_evaluate_options){
        .model_path = parsed->arguments[0],
        .base_path = tm_opt_text(command, parsed, "base"),
        .under = tm_opt_text(command, parsed, "tensors-under"),
        .text_path = tm_opt_text(command, parsed, "text"),
        .tasks = tm_opt_text(command, parsed, "tasks"),
        .task_data = tm_opt_text(command, parsed, "task-data"),
        .task_items = tm_opt_u64(command, parsed, "items"),
        .robust = tm_opt_flag(command, parsed, "robust"),
        .seed = tm_opt_u64(command, parsed, "seed"),
        .tokens = tm_opt_u64(command, parsed, "tokens"),
        .context = context > UINT32_MAX ? UINT32_MAX : (uint32_t)context,
        .threads = tm_opt_u64(command, parsed, "threads"),
        .cache_bytes = tm_opt_u64(command, parsed, "logits-cache"),
        .speed = true,
        .quiet = parsed->quiet,
        .stop = &tm_stop_signal,
    };
}

static tm_status run_eval(const struct tm_command *command, const struct tm_parsed *parsed,
                          struct tm_err *err)
{
    struct tm_evaluate_options o = options_of(command, parsed);
    struct tm_evaluation evaluation = {.text = NULL};
    struct tm_gate gate;
    struct tm_buf tasks;
    tm_buf_init(&tasks, 1 << 16);
    const char *html = tm_opt_text(command, parsed, "html");
    tm_status status = read_gate(&o, tm_opt_text(command, parsed, "gate"), &gate, &tasks, err);
    if (status == TM_OK && html != NULL && tm_path_same(html, o.model_path)) {
        status = tm_err_set(err, TM_E_USAGE, html, what_failed, "choose another file (--html)",
                            "the page would overwrite the model");
    }
    if (status == TM_OK) {
        status = tm_evaluate(&o, &evaluation, err);
    }
    if (status == TM_OK) {
        status = output(&o, &evaluation, html, parsed->json, err);
    }
    if (status == TM_OK) {
        struct tm_gate_figures figures = {.evaluation = &evaluation};
        status = tm_gate_check(&gate, &figures, o.model_path, err);
    }
    tm_evaluation_deinit(&evaluation);
    tm_buf_deinit(&tasks);
    return status;
}

static const struct tm_option options[] = {
    {"base", 'b', TM_OPT_TEXT, "MODEL", NULL, NULL, "compare with the model that it came from"},
    {"text", 't', TM_OPT_TEXT, "FILE", NULL, NULL,
     "the text to measure with, UTF-8 [a built-in one]"},
    {"tokens", 'n', TM_OPT_U64, "N", NULL, "0", "measure at most N tokens; 0: the whole text"},
    {"context", 'c', TM_OPT_U64, "N", NULL, "0", "tokens of a window; 0: 512, or the model's most"},
    {"tasks", 0, TM_OPT_TEXT, "LIST", NULL, NULL,
     "ask tasks too: mini, arc, piqa, hellaswag, lambada, or NAME=FILE"},
    {"task-data", 0, TM_OPT_TEXT, "FOLDER", NULL, NULL, "where the files of the tasks lie"},
    {"items", 0, TM_OPT_U64, "N", NULL, "0", "ask at most N questions of each task; 0: all"},
    {"robust", 0, TM_OPT_FLAG, NULL, NULL, NULL,
     "ask them with typing errors and with a distraction too"},
    {"seed", 0, TM_OPT_U64, "N", NULL, "1", "of the typing errors and distractions"},
    {"logits-cache", 0, TM_OPT_SIZE, "SIZE", NULL, "2GiB",
     "keep so much of base models' logits on disk; 0: none"},
    {"html", 0, TM_OPT_TEXT, "FILE", NULL, NULL, "write the figures as one HTML page"},
    {"gate", 'g', TM_OPT_TEXT, "GATE", NULL, NULL, "exit 7 unless the figures keep these bounds"},
    {"threads", 0, TM_OPT_U64, "N", NULL, "0", "threads; 0: one for each core"},
    TM_CLI_TENSORS_UNDER,
    {0},
};
const struct tm_command tm_cmd_eval = {
    "eval",
    "MODEL|PKG",
    1,
    1,
    "measures the quality of a model or a package",
    "Runs the model over a text and prints its perplexity; with --base also how far it is from "
    "its\n"
    "source: KL divergence, perplexity ratio, and how often both expect the same next token.\n"
    "Windows and scoring are those of llama.cpp's perplexity tool: windows of --context tokens,\n"
    "each scored in its second half. The figures are the same to the last digit on every machine\n"
    "and for every number of threads; speed, load time and memory are of this one.\n"
    "A gate is a list of bounds on kld, kld99, top1, ppl, tasks or one task (x: over the base's):\n"
    "kld<0.05,ppl<1.05x,top1>0.9,arc>0.9x; or 'default': " TM_GATE_DEFAULT ".",
    "  tmill eval model.gguf\n"
    "  tmill eval model.tmpk --base model.gguf --text wiki.txt --tokens 20000 --json\n"
    "  tmill eval model.tmpk --base model.gguf --tasks mini --robust\n"
    "  tmill eval model.tmpk --base model.gguf --gate 'kld<0.05,ppl<1.05x'",
    options,
    run_eval,
};

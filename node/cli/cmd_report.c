/* SPDX-License-Identifier: Apache-2.0
 * report: what a package or a job lost, where, and who made it. */
#include <stdio.h>
#include <string.h>

#include "base/file.h"
#include "base/num.h"
#include "node/cli/cli.h"
#include "node/coordinator/job.h"
#include "node/report/report_html.h"
#include "node/report/report_write.h"

#define PAGE_BYTES_MAX ((size_t)64 << 20)

/* A finished job is its package, where that is still there. */
static tm_status read_job(const char *id, struct tm_report *report, struct tm_err *err)
{
    char full[16], path[TM_PATH_MAX];
    struct tm_journal *journal = NULL;
    struct tm_journal_job job = {0};
    TM_TRY(tm_job_journal_path(NULL, id, full, path, err));
    TM_TRY(tm_journal_open(path, true, &journal, err));
    tm_status status = tm_journal_read_job(journal, &job, err);
    tm_journal_close(&journal);
    if (status == TM_OK && job.state == TM_JOB_DONE && tm_package_is(job.out_path)) {
        status = tm_report_of_package_file(job.out_path, report, err);
    } else if (status == TM_OK) {
        const char *state = tm_cli_job_state(&job, tm_cli_job_runs(path));
        status = tm_report_of_job(path, state, report, err);
    }
    tm_journal_job_deinit(&job);
    return status;
}

/* What is no file and has the form of a job's id is one. */
static tm_status read_subject(const char *name, struct tm_report *report, struct tm_err *err)
{
    bool is_job = name[0] == 'J' && name[1 + strspn(name + 1, "0123456789abcdef")] == '\0' &&
                  !tm_path_exists(name);
    return is_job ? read_job(name, report, err) : tm_report_of_package_file(name, report, err);
}

/* The files of a list "a.json,b.json". */
static tm_status read_quality(const char *list, struct tm_report *report, struct tm_err *err)
{
    while (list != NULL && *list != '\0') {
        char path[TM_PATH_MAX];
        size_t bytes = strcspn(list, ",");
        if (bytes >= sizeof path) {
            return tm_err_set(err, TM_E_USAGE, "--quality", "cannot read the figures", NULL,
                              "a path has %zu bytes", bytes);
        }
        memcpy(path, list, bytes);
        path[bytes] = '\0';
        TM_TRY(tm_report_add_quality_file(report, path, err));
        list += bytes + (list[bytes] == ',');
    }
    return TM_OK;
}

typedef tm_status (*page_writer)(const struct tm_report *report, struct tm_buf *out);

static tm_status make_page(page_writer write, const struct tm_report *report, struct tm_buf *out,
                           struct tm_err *err)
{
    tm_buf_init(out, PAGE_BYTES_MAX);
    tm_status status = write(report, out);
    return status == TM_OK ? TM_OK
                           : tm_err_set(err, status, report->path, "cannot write the report", NULL,
                                        "%s", tm_status_text(status));
}

static tm_status print_text(const struct tm_report *report, struct tm_err *err)
{
    struct tm_buf text;
    tm_status status = make_page(tm_report_text, report, &text, err);
    if (status == TM_OK) {
        fwrite(text.data, 1, text.bytes, stdout);
    }
    tm_buf_deinit(&text);
    return status;
}

static tm_status print_json(const struct tm_report *report, struct tm_err *err)
{
    struct tm_envelope json;
    tm_envelope_begin(&json, "tmill.report/1");
    tm_report_json(report, &json.jw);
    return tm_envelope_end(&json, NULL, 0, err);
}

/* Writes a page to a file and, unless JSON comes out, says so. */
static tm_status write_file(page_writer write, const struct tm_report *report, const char *path,
                            const struct tm_parsed *parsed, struct tm_err *err)
{
    struct tm_buf page;
    char name[1024], size[TM_NUM_TEXT];
    if (tm_path_same(path, parsed->arguments[0])) {
        return tm_err_set(err, TM_E_USAGE, path, "cannot write the report", "choose another file",
                          "it would overwrite the package");
    }
    tm_status status = make_page(write, report, &page, err);
    if (status == TM_OK) {
        status = tm_file_write_atomic(path, 0644, tm_buf_view(&page), err);
    }
    if (status == TM_OK && !parsed->json) {
        printf("written    %s, %s\n", tm_escape(path, strlen(path), name, sizeof name),
               tm_format_bytes(page.bytes, size));
    }
    tm_buf_deinit(&page);
    return status;
}

/* The files that were asked for; the terminal gets the text otherwise, and JSON in any case. */
static tm_status write_all(const struct tm_command *command, const struct tm_parsed *parsed,
                           const struct tm_report *report, struct tm_err *err)
{
    const char *html = tm_opt_text(command, parsed, "html");
    const char *card = tm_opt_text(command, parsed, "card");
    if (card != NULL && report->subject != TM_REPORT_PACKAGE) {
        return tm_err_set(err, TM_E_USAGE, "--card", "cannot write a model card",
                          "wait until the job is finished", "there is no package yet");
    }
    if (html != NULL) {
        TM_TRY(write_file(tm_report_html, report, html, parsed, err));
    }
    if (card != NULL) {
        TM_TRY(write_file(tm_report_card, report, card, parsed, err));
    }
    if (parsed->json) {
        return print_json(report, err);
    }
    return html != NULL || card != NULL ? TM_OK : print_text(report, err);
}

static tm_status run_report(const struct tm_command *command, const struct tm_parsed *parsed,
                            struct tm_err *err)
{
    struct tm_report report;
    TM_TRY(read_subject(parsed->arguments[0], &report, err));
    report.base_model = tm_opt_text(command, parsed, "base-model");
    tm_status status = read_quality(tm_opt_text(command, parsed, "quality"), &report, err);
    if (status == TM_OK) {
        status = write_all(command, parsed, &report, err);
    }
    tm_report_deinit(&report);
    return status;
}

static const struct tm_option options[] = {
    {"html", 0, TM_OPT_TEXT, "FILE", NULL, NULL, "write it as one HTML page"},
    {"card", 0, TM_OPT_TEXT, "FILE", NULL, NULL, "write a model card (README.md of a model page)"},
    {"base-model", 0, TM_OPT_TEXT, "NAME", NULL, NULL,
     "what the source is called where models are published"},
    {"quality", 0, TM_OPT_TEXT, "FILES", NULL, NULL,
     "figures that tmill eval --json wrote; several with commas between"},
    {0},
};
const struct tm_command tm_cmd_report = {
    "report",
    "PKG|JOB",
    1,
    1,
    "says what a package or a job lost, where, and who made it",
    "Lists every tensor, worst first, with its error and size beside what they would be were its\n"
    "weights normally distributed; draws a map of layers and kinds; names the nodes and how their\n"
    "work was checked. The figures are those that the package carries, signed by its owner:\n"
    "tmill verify proves them. The same package gives the same bytes. Of a job that is not\n"
    "finished: what is known so far.",
    "  tmill report model.tmpk\n"
    "  tmill report model.tmpk --card README.md --base-model HuggingFaceTB/SmolLM2-135M\n"
    "  tmill report J0123456789ab\n"
    "  tmill report model.tmpk --html report.html\n"
    "  tmill report model.tmpk --quality model.json,int8.json,int4.json --json",
    options,
    run_report,
};

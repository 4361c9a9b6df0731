/* SPDX-License-Identifier: Apache-2.0 */
#include "node/quality/task.h"

#include <ctype.h>
#include <stdio.h>
#include <string.h>

#include "base/bytes.h"
#include "base/file.h"
#include "base/json.h"
#include "base/mem.h"
#include "node/quality/mini_tasks.h"

#define FILE_BYTES_MAX ((size_t)512 << 20)
#define LINE_BYTES_MAX ((size_t)1 << 20)

static const char what_failed[] = "cannot read the task";

struct reader {
    struct tm_task *task;
    const char *path;
    size_t line;             /* from 1 */
    struct tm_view labels;   /* what is left of the file of labels */
    size_t items, choices;   /* capacities */
    const struct kind *kind; /* of the task */
    struct tm_err *err;
};

struct kind {
    const char *name, *file, *labels;
    tm_status (*item)(struct reader *r, const struct tm_json *line);
    bool last_word;
};

static tm_status refuse(struct reader *r, const char *why)
{
    char where[TM_PATH_MAX + 32];
    snprintf(where, sizeof where, "%s: line %zu", r->path, r->line);
    return tm_err_set(r->err, TM_E_MALFORMED, where, what_failed,
                      "docs/quality.md says what the lines of a task hold", "%s", why);
}

/* ---- building an item: its text is appended to the task's ---- */

static tm_status member(struct reader *r, const struct tm_json *line, const char *key,
                        struct tm_view *out)
{
    if (!tm_json_str(tm_json_get(line, key), out)) {
        char why[64];
        snprintf(why, sizeof why, "a text \"%s\" is missing", key);
        return refuse(r, why);
    }
    return TM_OK;
}

static tm_status put(struct reader *r, const char *before, struct tm_view text, const char *after)
{
    TM_TRY(tm_buf_put_str(&r->task->text, before));
    TM_TRY(tm_buf_put(&r->task->text, text.data, text.bytes));
    return tm_buf_put_str(&r->task->text, after);
}

static struct tm_task_span since(const struct reader *r, size_t from)
{
    return (struct tm_task_span){from, r->task->text.bytes - from};
}

static tm_status begin_item(struct reader *r, struct tm_task_item **out)
{
    struct tm_task *t = r->task;
    if (t->count == r->items) {
        size_t more = r->items * 2 + 64;
        struct tm_task_item *grown = tm_realloc_array(t->items, more, sizeof *grown);
        if (grown == NULL) {
            return TM_E_NOMEM;
        }
        t->items = grown;
        r->items = more;
    }
    *out = &t->items[t->count++];
    **out = (struct tm_task_item){.first = (uint32_t)t->choice_count};
    return TM_OK;
}

/* The text since `from` is one more choice of the last item. */
static tm_status add_choice(struct reader *r, size_t from)
{
    struct tm_task *t = r->task;
    if (t->choice_count == r->choices) {
        size_t more = r->choices * 2 + 256;
        struct tm_task_span *grown = tm_realloc_array(t->choices, more, sizeof *grown);
        if (grown == NULL) {
            return TM_E_NOMEM;
        }
        t->choices = grown;
        r->choices = more;
    }
    if (r->task->text.bytes == from + 1) {
        return refuse(r, "a choice is empty");
    }
    t->choices[t->choice_count++] = since(r, from);
    t->items[t->count - 1].count++;
    return TM_OK;
}

static tm_status put_choice(struct reader *r, struct tm_view text)
{
    size_t from = r->task->text.bytes;
    TM_TRY(put(r, " ", text, ""));
    return add_choice(r, from);
}

static tm_status put_choices(struct reader *r, const struct tm_json *array)
{
    size_t count = tm_json_count(array);
    if (tm_json_at(array, 0) == NULL || count < 2 || count > TM_TASK_CHOICES) {
        return refuse(r, "there are no 2 to 16 choices");
    }
    for (size_t i = 0; i < count; i++) {
        struct tm_view text;
        if (!tm_json_str(tm_json_at(array, i), &text)) {
            return refuse(r, "a choice is no text");
        }
        TM_TRY(put_choice(r, text));
    }
    return TM_OK;
}

/* A whole number, or one written as text (as Hugging Face's HellaSwag has it). */
static bool number_of(const struct tm_json *node, uint64_t *out)
{
    struct tm_view text;
    if (tm_json_str(node, &text)) {
        bool digit = text.bytes == 1 && text.data[0] >= '0' && text.data[0] <= '9';
        *out = digit ? (uint64_t)(text.data[0] - '0') : 0;
        return digit;
    }
    return tm_json_u64(node, out);
}

static tm_status set_answer(struct reader *r, struct tm_task_item *item, const struct tm_json *node)
{
    uint64_t answer;
    if (!number_of(node, &answer)) {
        return refuse(r, "the number of the right choice is missing");
    }
    if (answer >= item->count) {
        return refuse(r, "the right choice is none of the choices");
    }
    item->answer = (uint32_t)answer;
    return TM_OK;
}

/* ---- the kinds ---- */

static tm_status choice_item(struct reader *r, const struct tm_json *line, const char *key,
                             const char *before, const char *after)
{
    struct tm_task_item *item;
    struct tm_view prompt;
    TM_TRY(member(r, line, key, &prompt));
    TM_TRY(begin_item(r, &item));
    size_t from = r->task->text.bytes;
    TM_TRY(put(r, before, prompt, after));
    item->prompt = since(r, from);
    TM_TRY(put_choices(r, tm_json_get(line, "choices")));
    return set_answer(r, item, tm_json_get(line, "answer_idx"));
}

static tm_status mini_item(struct reader *r, const struct tm_json *line)
{
    return choice_item(r, line, "prompt", "", "");
}

static tm_status arc_item(struct reader *r, const struct tm_json *line)
{
    bool named = tm_json_get(line, "prompt") == NULL;
    return choice_item(r, line, named ? "question" : "prompt", "Question: ", "\nAnswer:");
}

/* The next line of the file of labels: one digit. */
static bool next_label(struct reader *r, uint32_t *out)
{
    struct tm_view *l = &r->labels;
    if (l->bytes == 0 || (l->data[0] != '0' && l->data[0] != '1') ||
        (l->bytes > 1 && l->data[1] != '\n')) {
        return false;
    }
    *out = l->data[0] - (uint32_t)'0';
    size_t taken = l->bytes > 1 ? 2 : 1;
    *l = tm_view_of(l->data + taken, l->bytes - taken);
    return true;
}

static tm_status piqa_item(struct reader *r, const struct tm_json *line)
{
    struct tm_task_item *item;
    struct tm_view goal, first, second;
    TM_TRY(member(r, line, "goal", &goal));
    TM_TRY(member(r, line, "sol1", &first));
    TM_TRY(member(r, line, "sol2", &second));
    TM_TRY(begin_item(r, &item));
    size_t from = r->task->text.bytes;
    TM_TRY(put(r, "Question: ", goal, "\nAnswer:"));
    item->prompt = since(r, from);
    TM_TRY(put_choice(r, first));
    TM_TRY(put_choice(r, second));
    if (tm_json_get(line, "label") != NULL) {
        return set_answer(r, item, tm_json_get(line, "label"));
    }
    return next_label(r, &item->answer) ? TM_OK : refuse(r, "its label, 0 or 1, is missing");
}

/* As the harness cleans WikiHow's texts: "[title]" ends a sentence, other marks in brackets go,
 * two blanks become one, and both ends are trimmed. */
static tm_status put_clean(struct reader *r, struct tm_view text, bool capital)
{
    static const char title[] = " [title]";
    struct tm_buf *out = &r->task->text;
    size_t from = out->bytes;
    for (size_t at = 0; at < text.bytes;) {
        size_t left = text.bytes - at;
        const uint8_t *end = text.data[at] == '[' ? memchr(text.data + at, ']', left) : NULL;
        if (left >= sizeof title - 1 && memcmp(text.data + at, title, sizeof title - 1) == 0) {
            TM_TRY(tm_buf_put_str(out, ". "));
            at += sizeof title - 1;
        } else if (end != NULL) {
            at = (size_t)(end - text.data) + 1;
        } else {
            bool blank = text.data[at] == ' ';
            bool drop = blank && (out->bytes == from || out->data[out->bytes - 1] == ' ');
            if (!drop) {
                TM_TRY(tm_buf_put_u8(out, text.data[at]));
            }
            at++;
        }
    }
    while (out->bytes > from && isspace(out->data[out->bytes - 1])) {
        out->bytes--;
    }
    for (size_t i = from; capital && i < out->bytes; i++) {
        int c = out->data[i]; /* Python's capitalize(), for ASCII */
        bool upper = c >= 'A' && c <= 'Z', lower = c >= 'a' && c <= 'z';
        out->data[i] = (uint8_t)(i == from && lower ? c - 32 : i > from && upper ? c + 32 : c);
    }
    return TM_OK;
}

static tm_status hellaswag_item(struct reader *r, const struct tm_json *line)
{
    struct tm_task_item *item;
    struct tm_view activity, a, b, ending;
    const struct tm_json *endings = tm_json_get(line, "endings");
    TM_TRY(member(r, line, "activity_label", &activity));
    TM_TRY(member(r, line, "ctx_a", &a));
    TM_TRY(member(r, line, "ctx_b", &b));
    TM_TRY(begin_item(r, &item));
    size_t from = r->task->text.bytes;
    TM_TRY(put_clean(r, activity, false));
    TM_TRY(tm_buf_put_str(&r->task->text, ": "));
    TM_TRY(put_clean(r, a, false));
    if (b.bytes > 0) {
        TM_TRY(tm_buf_put_str(&r->task->text, " "));
        TM_TRY(put_clean(r, b, true));
    }
    item->prompt = since(r, from);
    if (tm_json_count(endings) < 2 || tm_json_count(endings) > TM_TASK_CHOICES) {
        return refuse(r, "there are no 2 to 16 endings");
    }
    for (size_t i = 0; i < tm_json_count(endings); i++) {
        if (!tm_json_str(tm_json_at(endings, i), &ending)) {
            return refuse(r, "an ending is no text");
        }
        from = r->task->text.bytes;
        TM_TRY(tm_buf_put_str(&r->task->text, " "));
        TM_TRY(put_clean(r, ending, false));
        TM_TRY(add_choice(r, from));
    }
    return set_answer(r, item, tm_json_get(line, "label"));
}

static tm_status lambada_item(struct reader *r, const struct tm_json *line)
{
    struct tm_task_item *item;
    struct tm_view text;
    TM_TRY(member(r, line, "text", &text));
    size_t cut = text.bytes;
    while (cut > 0 && text.data[cut - 1] != ' ') {
        cut--;
    }
    if (cut < 2 || cut == text.bytes) {
        return refuse(r, "the text has no last word after others");
    }
    TM_TRY(begin_item(r, &item));
    size_t from = r->task->text.bytes;
    TM_TRY(put(r, "", tm_view_of(text.data, cut - 1), ""));
    item->prompt = since(r, from);
    return put_choice(r, tm_view_of(text.data + cut, text.bytes - cut));
}

static const struct kind kinds[] = {
    {"mini", NULL, NULL, mini_item, false},
    {"arc", "arc/arc_easy_test.jsonl", NULL, arc_item, false},
    {"piqa", "piqa/valid.jsonl", "valid-labels.lst", piqa_item, false},
    {"hellaswag", "hellaswag/hellaswag_val.jsonl", NULL, hellaswag_item, false},
    {"lambada", "lambada/lambada_test.jsonl", NULL, lambada_item, true},
};

static const struct kind *kind_of(struct tm_view name)
{
    for (size_t i = 0; i < sizeof kinds / sizeof kinds[0]; i++) {
        if (tm_view_eq_str(name, kinds[i].name)) {
            return &kinds[i];
        }
    }
    return NULL;
}

bool tm_task_known(struct tm_view name)
{
    return kind_of(name) != NULL;
}

bool tm_task_next(const char **list, struct tm_view *spec)
{
    if (*list == NULL || **list == '\0') {
        return false;
    }
    const char *comma = strchr(*list, ',');
    *spec = tm_view_of(*list, comma != NULL ? (size_t)(comma - *list) : strlen(*list));
    *list = comma != NULL ? comma + 1 : NULL;
    return true;
}

/* ---- files ---- */

static tm_status read_line(struct reader *r, struct tm_view line)
{
    struct tm_json_doc *doc = NULL;
    char where[TM_PATH_MAX + 32];
    if (line.bytes > LINE_BYTES_MAX) {
        return refuse(r, "the line is longer than 1 MiB");
    }
    snprintf(where, sizeof where, "%s: line %zu", r->path, r->line);
    TM_TRY(tm_json_parse(line, where, &doc, r->err));
    tm_status status = r->kind->item(r, tm_json_root(doc));
    tm_json_free(&doc);
    return status;
}

struct tm_view tm_task_text(const struct tm_task *task, struct tm_task_span span)
{
    return tm_view_of(task->text.data + span.at, span.bytes);
}

tm_status tm_task_parse(struct tm_view lines, struct tm_view labels, const char *path,
                        struct tm_task *task, struct tm_err *err)
{
    struct reader r = {.task = task, .path = path, .labels = labels, .err = err};
    r.kind = kind_of(tm_view_str(task->name));
    TM_ASSERT(r.kind != NULL && task->items == NULL);
    task->last_word = r.kind->last_word;
    tm_buf_init(&task->text, FILE_BYTES_MAX);
    tm_status status = TM_OK;
    for (size_t at = 0; at < lines.bytes && status == TM_OK;) {
        const uint8_t *end = memchr(lines.data + at, '\n', lines.bytes - at);
        size_t bytes = end != NULL ? (size_t)(end - lines.data) - at : lines.bytes - at;
        r.line++;
        if (bytes > 0) {
            status = read_line(&r, tm_view_of(lines.data + at, bytes));
        }
        at += bytes + 1;
    }
    if (status == TM_OK && task->count == 0) {
        status = refuse(&r, "there is no item in the file");
    }
    if (status != TM_OK) {
        tm_task_deinit(task);
    }
    return status;
}

/* Labels lie beside the file; without them the lines must have their own. */
static tm_status read_labels(const struct kind *kind, const char *path, struct tm_buf *out,
                             struct tm_err *err)
{
    char folder[TM_PATH_MAX], file[TM_PATH_MAX];
    if (kind->labels == NULL) {
        return TM_OK;
    }
    TM_TRY(tm_path_dir(folder, path));
    TM_TRY(tm_path_join(file, folder, kind->labels));
    return tm_path_exists(file) ? tm_file_read(file, out, err) : TM_OK;
}

static tm_status read_files(const struct kind *kind, const char *path, struct tm_task *out,
                            struct tm_err *err)
{
    struct tm_buf lines, labels;
    tm_buf_init(&lines, FILE_BYTES_MAX);
    tm_buf_init(&labels, FILE_BYTES_MAX);
    tm_status status = tm_file_read(path, &lines, err);
    if (status == TM_OK) {
        status = read_labels(kind, path, &labels, err);
    }
    if (status == TM_OK) {
        status = tm_task_parse(tm_buf_view(&lines), tm_buf_view(&labels), path, out, err);
    }
    tm_buf_deinit(&lines);
    tm_buf_deinit(&labels);
    return status;
}

tm_status tm_task_open(struct tm_view spec, const char *folder, struct tm_task *out,
                       struct tm_err *err)
{
    char path[TM_PATH_MAX];
    const uint8_t *equals = spec.bytes > 0 ? memchr(spec.data, '=', spec.bytes) : NULL;
    size_t name = equals != NULL ? (size_t)(equals - spec.data) : spec.bytes;
    const struct kind *kind = kind_of(tm_view_of(spec.data, name));
    *out = (struct tm_task){.count = 0};
    if (kind == NULL) {
        return tm_err_set(err, TM_E_USAGE, "--tasks", what_failed,
                          "name some of mini, arc, piqa, hellaswag, lambada, or NAME=FILE",
                          "'%.*s' is no task", (int)(name < 64 ? name : 64),
                          (const char *)spec.data);
    }
    snprintf(out->name, sizeof out->name, "%s", kind->name);
    if (equals != NULL) {
        snprintf(path, sizeof path, "%.*s", (int)(spec.bytes - name - 1), (const char *)equals + 1);
    } else if (kind->file == NULL) {
        return tm_task_parse(tm_view_of(tm_mini_tasks, tm_mini_tasks_bytes), tm_view_str(""),
                             "the built-in tasks", out, err);
    } else if (folder == NULL) {
        return tm_err_set(err, TM_E_NOT_FOUND, "--tasks", what_failed,
                          "say where its file is: --task-data FOLDER, or NAME=FILE",
                          "the data of '%s' is not built in; only mini is", kind->name);
    } else {
        TM_TRY(tm_path_join(path, folder, kind->file));
    }
    return read_files(kind, path, out, err);
}

void tm_task_deinit(struct tm_task *task)
{
    tm_free(task->items);
    tm_free(task->choices);
    tm_buf_deinit(&task->text);
    task->items = NULL;
    task->choices = NULL;
    task->count = task->choice_count = 0;
}

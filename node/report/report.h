/* SPDX-License-Identifier: Apache-2.0
 * What is known of a package or of an unfinished job, gathered into plain data: error, size and
 * kind of every tensor, who made it and how it was checked, and figures of quality where somebody
 * measured them. report_write.h makes the same page of it for a terminal, a browser, a model card
 * and other programs. The same package gives the same bytes: no times, no paths of this machine,
 * of a path given only its last part. */
#ifndef TM_REPORT_REPORT_H
#define TM_REPORT_REPORT_H

#include "model/pass/quality.h"
#include "node/quality/evaluate.h"
#include "node/report/prediction.h"
#include "node/report/tensor_kind.h"
#include "package/package.h"

struct tm_report_tensor {
    char *name;
    size_t name_bytes;
    int64_t layer; /* -1: of no layer */
    enum tm_tensor_kind kind;
    enum tm_dtype dtype;
    struct tm_shape shape;
    uint32_t pipeline; /* index into pipelines */
    bool lossless;
    uint64_t weights, source_bytes;
    uint64_t bytes;                    /* of the units that are there */
    uint32_t units, units_done;        /* equal in a package */
    uint32_t audited;                  /* of units_done: encoded again, same bytes */
    double squared_error, squared_sum; /* over units_done */
    struct tm_prediction prediction;
};

struct tm_report_node {
    struct tm_node_id id;
    char name[64]; /* "" in a package, which keeps keys only */
    uint32_t units, decoded, audited, own;
    uint64_t bytes;
};

struct tm_report_ban {
    struct tm_node_id id;
    char reason[256]; /* "" in a package */
};

/* A task, or a variant of one. */
struct tm_report_task {
    char name[32]; /* "arc", "arc, typos" */
    uint64_t items;
    double accuracy, accuracy_error; /* share of right answers */
    bool has_base;
    double base_accuracy, kept, kept_error; /* kept: accuracy over the base's */
};

/* One point of the curve of size and quality. */
#define TM_REPORT_TASKS_MAX (TM_EVALUATION_TASKS * TM_TASK_VARIANTS)
struct tm_report_quality {
    char *label;
    bool is_this;           /* measured on this package */
    bool carried;           /* in the package, signed with it */
    double bits_per_weight; /* of the tensors; 0: unknown */
    struct tm_quality figures;
    struct tm_report_task tasks[TM_REPORT_TASKS_MAX];
    uint32_t task_count;
};

#define TM_REPORT_QUALITIES_MAX 32
struct tm_report {
    enum { TM_REPORT_PACKAGE, TM_REPORT_JOB, TM_REPORT_MODEL } subject;
    char *path;       /* as given, for the commands that verify */
    char *model_name; /* of the source; owned like all texts */
    char *arch;
    const char *base_model; /* what the source is called where models are published, or NULL; not
                             * owned */
    /* Of a package; all empty otherwise. */
    char package_id[TM_DIGEST_TEXT], root[TM_DIGEST_TEXT];
    char owner[TM_PUBLIC_KEY_TEXT];
    char plan_digest[TM_DIGEST_TEXT]; /* of a job too */
    uint64_t file_bytes;
    /* Of a model that is no package. */
    uint64_t model_weights, model_bytes;
    /* Of a job. */
    char job_id[16], job_state[16];
    uint32_t units, units_done; /* attachments too */

    char **pipelines;
    uint32_t pipeline_count;
    struct tm_report_tensor *tensors; /* in the order of the package */
    uint32_t tensor_count;
    uint32_t *worst; /* [tensor_count]: indices, largest relative error first, then by order */
    uint64_t attachment_bytes, attachment_count;
    struct tm_report_node *nodes;
    uint32_t node_count;
    struct tm_report_ban *bans;
    uint32_t ban_count;
    struct tm_report_quality qualities[TM_REPORT_QUALITIES_MAX];
    uint32_t quality_count;
};

/* Sums over tensors. */
struct tm_report_totals {
    uint64_t weights, source_bytes, bytes;
    uint32_t lossy; /* tensors */
    uint32_t units, decoded, audited, own;
    double error; /* relative, over the lossy tensors; NaN as long as none has a unit */
    double bits_per_weight;
};

/* The package stays open and is not needed afterwards. path: as the user gave it. Figures that the
 * package carries become its own. TM_E_INCOMPATIBLE: a dtype or pipeline that this build lacks;
 * TM_E_MALFORMED, TM_E_VERIFY: its figures; TM_E_NOMEM. */
tm_status tm_report_of_package(struct tm_package *package, const char *path, struct tm_report *out,
                               struct tm_err *err) TM_MUST_USE;
/* Opens a package for it. */
tm_status tm_report_of_package_file(const char *path, struct tm_report *out,
                                    struct tm_err *err) TM_MUST_USE;
/* Of a model that is no package: its size alone, to which figures can be added. under: see
 * tm_checkpoint_open_under, or NULL. Errors: those of tm_checkpoint_open. */
tm_status tm_report_of_model(const char *path, const char *under, struct tm_report *out,
                             struct tm_err *err) TM_MUST_USE;
/* Of a job, finished or not, by its journal; reads its model for what the units are of. state: what
 * to call its state, NULL: as the journal does. TM_E_VERIFY: the model has changed; errors of
 * tm_journal_open, tm_checkpoint_open and tm_plan_read. */
tm_status tm_report_of_job(const char *journal_path, const char *state, struct tm_report *out,
                           struct tm_err *err) TM_MUST_USE;
/* A zeroed report is empty and valid. */
void tm_report_deinit(struct tm_report *report);

/* Adds the figures of a file that `tmill eval --json` wrote; those whose package_id is the report's
 * become the package's own. TM_E_MALFORMED for another file, TM_E_LIMIT past the maximum. */
tm_status tm_report_add_quality_file(struct tm_report *report, const char *path,
                                     struct tm_err *err) TM_MUST_USE;
/* The same for the text of such a file; where is for errors. */
tm_status tm_report_add_quality_text(struct tm_report *report, struct tm_view text,
                                     const char *where, struct tm_err *err) TM_MUST_USE;
/* Adds the figures that the package carries, when it does. */
tm_status tm_report_add_carried(struct tm_report *report, struct tm_package *package,
                                struct tm_err *err) TM_MUST_USE;
/* Adds what was just measured, under a name that people see. is_this: of the report's subject. */
tm_status tm_report_add_evaluation(struct tm_report *report, const struct tm_evaluation *evaluation,
                                   const char *label, bool is_this, struct tm_err *err) TM_MUST_USE;
/* The figures of this package, or NULL when nobody measured them. */
const struct tm_report_quality *tm_report_own_quality(const struct tm_report *report);

/* Bits a weight of the whole, whatever it is of. */
double tm_report_bits_of_all(const struct tm_report *report);
struct tm_report_totals tm_report_sum(const struct tm_report *report);
/* sqrt(squared error / sum of squares); 0 for a lossless tensor and for one of zeros, infinite for
 * figures that are none. */
double tm_report_error(const struct tm_report_tensor *tensor);
/* Of the units that are there; 0 before the first. */
double tm_report_bits(const struct tm_report_tensor *tensor);

/* For those who fill one: orders `worst` anew. */
tm_status tm_report_rank(struct tm_report *report) TM_MUST_USE;

#endif

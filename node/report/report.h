/* SPDX-License-Identifier: Apache-2.0
 * What is known of a package or of an unfinished job, gathered into plain data: error, size and
 * kind of every tensor, who made it and how it was checked, and figures of quality where somebody
 * measured them. report_write.h makes the same page of it for a terminal, a browser, a model card
 * and other programs. The same package gives the same bytes: no times, no paths of this machine,
 * of a path given only its last part. */
#ifndef TM_REPORT_REPORT_H
#define TM_REPORT_REPORT_H

#include "model/pass/quality.h"
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

/* One point of the curve of size and quality. */
struct tm_report_quality {
    char *label;
    bool is_this;           /* measured on this package */
    double bits_per_weight; /* whole file; 0: unknown */
    struct tm_quality figures;
};

#define TM_REPORT_QUALITIES_MAX 32
struct tm_report {
    enum { TM_REPORT_PACKAGE, TM_REPORT_JOB, TM_REPORT_MODEL } subject;
    char *path;       /* as given, for the commands that verify */
    char *model_name; /* of the source; owned like all texts */
    char *arch;
    /* Of a package; all empty otherwise. */
    char package_id[TM_DIGEST_TEXT], root[TM_DIGEST_TEXT];
    char owner[TM_PUBLIC_KEY_TEXT];
    char plan_digest[TM_DIGEST_TEXT]; /* of a job too */
    uint64_t file_bytes;
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
    uint64_t lossy_weights;
    uint32_t lossy; /* tensors */
    uint32_t units, decoded, audited, own;
    double error; /* relative, over the lossy tensors */
    double bits_per_weight;
};

/* The package stays open and is not needed afterwards. path: as the user gave it.
 * TM_E_INCOMPATIBLE: a dtype or pipeline that this build lacks; TM_E_NOMEM. */
tm_status tm_report_of_package(const struct tm_package *package, const char *path,
                               struct tm_report *out, struct tm_err *err) TM_MUST_USE;
/* A zeroed report is empty and valid. */
void tm_report_deinit(struct tm_report *report);

/* Adds the figures of a file that `tmill eval --json` wrote; those whose package_id is the report's
 * become the package's own. TM_E_MALFORMED for another file, TM_E_LIMIT past the maximum. */
tm_status tm_report_add_quality_file(struct tm_report *report, const char *path,
                                     struct tm_err *err) TM_MUST_USE;
/* The figures of this package, or NULL when nobody measured them. */
const struct tm_report_quality *tm_report_own_quality(const struct tm_report *report);

struct tm_report_totals tm_report_sum(const struct tm_report *report);
/* sqrt(squared error / sum of squares); 0 for a lossless tensor and for one of zeros, infinite for
 * figures that are none. */
double tm_report_error(const struct tm_report_tensor *tensor);
/* Of the units that are there; 0 before the first. */
double tm_report_bits(const struct tm_report_tensor *tensor);

/* For those who fill one: orders `worst` anew. */
tm_status tm_report_rank(struct tm_report *report) TM_MUST_USE;

#endif

/* SPDX-License-Identifier: Apache-2.0
 * verify: proves what can be proven of a package, and says what was not. */
#include "node/cli/cli.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

#include "node/coordinator/verify.h"
#include "node/quality/figures.h"

/* What is known of the figures that the package carries. */
enum figures { NO_FIGURES, FIGURES_UNCHECKED, FIGURES_VERIFIED };

/* Chance that a package with one unit in ten wrong passes: choose the checked units among the good
 * ones, without replacement. */
static double missed(const struct tm_verify_report *r)
{
    uint32_t bad = (r->units + 9) / 10;
    double chance = 1;
    for (uint32_t i = 0; i < r->units_checked; i++) {
        double good_left = (double)r->units - bad - i;
        chance *= good_left > 0 ? good_left / (double)(r->units - i) : 0;
    }
    return chance;
}

static tm_status print_json(const struct tm_verify_report *r, bool against, enum figures figures,
                            struct tm_err *err)
{
    static const char *const names[] = {"none", "not checked", "verified"};
    char text[TM_PUBLIC_KEY_TEXT];
    struct tm_envelope json;
    tm_envelope_begin(&json, "tmill.verify/1");
    tm_jw_bool(&json.jw, "ok", true);
    tm_jw_str(&json.jw, "package_id", tm_digest_hex(&r->package_id, text));
    tm_jw_str(&json.jw, "owner", tm_public_key_text(&r->owner, text));
    tm_jw_u64(&json.jw, "chunks", r->chunks);
    tm_jw_u64(&json.jw, "signatures", r->signatures);
    tm_jw_u64(&json.jw, "nodes", r->nodes);
    tm_jw_u64(&json.jw, "nodes_banned", r->banned);
    tm_jw_u64(&json.jw, "ledger_decoded", r->decoded);
    tm_jw_u64(&json.jw, "ledger_audited", r->audited);
    tm_jw_str(&json.jw, "figures", names[figures]);
    tm_jw_bool(&json.jw, "against", against);
    if (against) {
        tm_jw_u64(&json.jw, "tensors", r->tensors);
        tm_jw_u64(&json.jw, "tensors_hashed", r->tensors_hashed);
        tm_jw_u64(&json.jw, "files", r->files);
        tm_jw_u64(&json.jw, "files_same", r->files_same);
        tm_jw_u64(&json.jw, "units", r->units);
        tm_jw_u64(&json.jw, "units_checked", r->units_checked);
        tm_jw_u64(&json.jw, "units_reencoded", r->units_reencoded);
        tm_jw_u64(&json.jw, "units_lossless", r->units_lossless);
        tm_jw_f64(&json.jw, "chance_to_miss_10_percent", missed(r));
        snprintf(text, sizeof text, "%llu", (unsigned long long)r->seed);
        tm_jw_str(&json.jw, "seed", text);
    }
    return tm_envelope_end(&json, NULL, 0, err);
}

static void print_text(const struct tm_verify_report *r, bool against)
{
    char text[TM_PUBLIC_KEY_TEXT];
    printf("signature ok   by %s\n", tm_public_key_text(&r->owner, text));
    printf("contents  ok   %u/%u chunks match the Merkle tree of package %.16s\n", r->chunks,
           r->chunks, tm_digest_hex(&r->package_id, text));
    printf("ledger    ok   %u/%u unit signatures of %u node%s; %u decoded and measured, %u encoded "
           "again by the owner, %u node%s banned\n",
           r->signatures, r->chunks, r->nodes, r->nodes == 1 ? "" : "s", r->decoded, r->audited,
           r->banned, r->banned == 1 ? "" : "s");
    if (!against) {
        printf("faithful  not checked: give --against MODEL\n");
        return;
    }
    printf("faithful  ok   %u/%u units made again from the source, same bits (%u encoded, %u "
           "lossless); seed %llu\n",
           r->units_checked, r->units, r->units_reencoded, r->units_lossless,
           (unsigned long long)r->seed);
    if (r->units_checked < r->units) {
        char chance[32];
        printf("not proven     the other %u units; a package with one unit in ten wrong passes "
               "with chance %s; --full checks all\n",
               r->units - r->units_checked, tm_cli_number(missed(r), chance));
    } else {
        printf("source    %s   %u/%u tensors have the recorded SHA-256\n",
               r->tensors_hashed == r->tensors ? "ok" : "--", r->tensors_hashed, r->tensors);
    }
    if (r->files > 0) {
        printf("files     ok   %u/%u that travel along are the source's, byte for byte%s\n",
               r->files_same, r->files,
               r->files_same < r->files ? "; the source does not have the others" : "");
    }
}

static void print_figures(enum figures figures)
{
    if (figures == FIGURES_VERIFIED) {
        printf("figures   ok   measured again, every digit the same\n");
    } else if (figures == FIGURES_UNCHECKED) {
        printf("figures  in the package, not checked: give --figures and --against MODEL\n");
    }
}

/* Whether the package carries figures. */
static tm_status find_figures(const char *path, enum figures *out, struct tm_err *err)
{
    struct tm_package *package = NULL;
    struct tm_buf text;
    TM_TRY(tm_package_open(path, &package, err));
    tm_buf_init(&text, TM_FIGURES_BYTES_MAX);
    tm_status status = tm_figures_read(package, &text, err);
    tm_buf_deinit(&text);
    tm_package_close(&package);
    *out = status == TM_OK ? FIGURES_UNCHECKED : NO_FIGURES;
    return status == TM_E_NOTHING ? TM_OK : status;
}

static tm_status check_figures(const struct tm_command *command, const struct tm_parsed *parsed,
                               enum figures *out, struct tm_err *err)
{
    struct tm_figures_check check = {
        .package_path = parsed->arguments[0],
        .base_path = tm_opt_text(command, parsed, "against"),
        .under = tm_opt_text(command, parsed, "tensors-under"),
        .text_path = tm_opt_text(command, parsed, "text"),
        .task_data = tm_opt_text(command, parsed, "task-data"),
        .cache_bytes = tm_opt_u64(command, parsed, "logits-cache"),
        .quiet = parsed->quiet,
        .stop = &tm_stop_signal,
    };
    if (!tm_opt_flag(command, parsed, "figures")) {
        return find_figures(check.package_path, out, err);
    }
    TM_TRY(tm_figures_check(&check, err));
    *out = FIGURES_VERIFIED;
    return TM_OK;
}

static tm_status run_verify(const struct tm_command *command, const struct tm_parsed *parsed,
                            struct tm_err *err)
{
    const char *owner = tm_opt_text(command, parsed, "owner");
    const char *seed = tm_opt_text(command, parsed, "seed");
    uint64_t seed_value = tm_opt_u64(command, parsed, "seed");
    uint64_t sample = tm_opt_u64(command, parsed, "sample");
    struct tm_public_key key;
    struct tm_verify_report report;
    if (owner != NULL) {
        TM_TRY(tm_public_key_parse(tm_view_str(owner), &key, err));
    }
    struct tm_verify_options options = {
        .package_path = parsed->arguments[0],
        .model_path = tm_opt_text(command, parsed, "against"),
        .tensors_under = tm_opt_text(command, parsed, "tensors-under"),
        .full = tm_opt_flag(command, parsed, "full"),
        .sample = sample > UINT32_MAX ? UINT32_MAX : (uint32_t)sample,
        .owner = owner != NULL ? &key : NULL,
        .seed = seed != NULL ? &seed_value : NULL,
        .quiet = parsed->quiet,
        .stop = &tm_stop_signal,
    };
    enum figures figures = NO_FIGURES;
    TM_TRY(tm_verify(&options, &report, err));
    TM_TRY(check_figures(command, parsed, &figures, err));
    if (parsed->json) {
        return print_json(&report, options.model_path != NULL, figures, err);
    }
    print_text(&report, options.model_path != NULL);
    print_figures(figures);
    return TM_OK;
}

static const struct tm_option options[] = {
    {"against", 0, TM_OPT_TEXT, "MODEL", NULL, NULL, "the source: make units again and compare"},
    {"sample", 0, TM_OPT_U64, "N", NULL, "16", "that many units, chosen at random"},
    {"full", 0, TM_OPT_FLAG, NULL, NULL, NULL, "every unit, and the digest of every tensor"},
    {"owner", 0, TM_OPT_TEXT, "KEY", NULL, NULL, "this key must have signed the package"},
    {"seed", 0, TM_OPT_U64, "N", NULL, NULL, "repeat the sample of an earlier run"},
    {"figures", 0, TM_OPT_FLAG, NULL, NULL, NULL,
     "measure the package again and compare its figures"},
    {"text", 't', TM_OPT_TEXT, "FILE", NULL, NULL, "the text of the figures [the built-in one]"},
    {"task-data", 0, TM_OPT_TEXT, "FOLDER", NULL, NULL,
     "where the files of the figures' tasks lie"},
    {"logits-cache", 0, TM_OPT_SIZE, "SIZE", NULL, "0",
     "use base logits on disk: trusts this machine"},
    TM_CLI_TENSORS_UNDER,
    {0},
};
const struct tm_command tm_cmd_verify = {
    "verify",
    "PKG",
    1,
    1,
    "proves that a package is whole, signed, and follows from its source model",
    NULL,
    "  tmill verify model.tmpk\n"
    "  tmill verify model.tmpk --against model.gguf --sample 16\n"
    "  tmill verify model.tmpk --against model.gguf --figures\n"
    "  tmill verify model.tmpk --against model.gguf --full --owner tmpub1...",
    options,
    run_verify,
};

/* SPDX-License-Identifier: Apache-2.0 */
#include "model/gguf_files.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "base/mem.h"
#include "base/utf8.h"
#include "model/gguf.h"
#include "model/tokenizer_count.h"
#include "model/where.h"

static const char what_failed[] = "cannot read the GGUF file";

#define FIRST_READ 262144 /* bytes: more than most headers without a large vocabulary */

/* The header of one file in memory. */
struct part {
    struct tm_gguf_options options;
    struct tm_gguf_layout layout;
    uint8_t *head;
    size_t head_bytes;
    /* Of split.*; count 0 or 1 when the file stands alone. */
    uint64_t split_no, split_count, split_tensors;
    bool has_split_tensors;
};

static struct tm_view part_meta(const struct part *part)
{
    return tm_view_of(part->head + TM_GGUF_META_AT, (size_t)part->layout.meta_bytes);
}

/* ---- one file ---- */

/* Reads more and more of the start of the file until the whole header is there. */
static tm_status load_head(struct tm_file_in *in, struct part *part, struct tm_err *err)
{
    uint64_t most = part->options.file_bytes;
    most = most < TM_GGUF_HEADER_MAX ? most : TM_GGUF_HEADER_MAX;
    size_t have = 0;
    for (uint64_t want = FIRST_READ;; want *= 4) {
        size_t take = (size_t)(want < most ? want : most);
        uint8_t *grown = tm_realloc(part->head, take);
        if (grown == NULL) {
            return tm_sources_fail(TM_E_NOMEM, part->options.path, err);
        }
        part->head = grown;
        TM_TRY(tm_file_read_at(in, have, grown + have, take - have, err));
        have = take;
        part->head_bytes = take;
        tm_status status =
            tm_gguf_measure(tm_view_of(grown, take), &part->options, &part->layout, err);
        if (status != TM_E_LIMIT) {
            return status;
        }
        if (take == most) {
            return tm_err_set(err, TM_E_MALFORMED, part->options.path, what_failed, NULL,
                              "a header of more than %u bytes", TM_GGUF_HEADER_MAX);
        }
    }
}

static tm_status read_split_key(struct part *part, const char *key, uint64_t *out, bool *found,
                                struct tm_err *err)
{
    struct tm_gguf_kv kv;
    *found = tm_gguf_meta_find(part_meta(part), key, &kv);
    if (*found && !tm_gguf_kv_u64(&kv, out)) {
        struct tm_where where;
        tm_where_named(&where, part->options.path, "key", tm_view_str(key));
        return tm_err_set(err, TM_E_MALFORMED, where.text, what_failed, NULL,
                          "it is not a whole number");
    }
    return TM_OK;
}

static tm_status load_part(struct tm_sources *sources, uint32_t file, struct part *part,
                           struct tm_err *err)
{
    struct tm_file_in *in = sources->files[file];
    bool found;
    memset(part, 0, sizeof *part);
    part->options = (struct tm_gguf_options){
        .path = tm_file_path(in), .file = file, .file_bytes = tm_file_bytes(in)};
    TM_TRY(load_head(in, part, err));
    TM_TRY(read_split_key(part, "split.count", &part->split_count, &found, err));
    TM_TRY(read_split_key(part, "split.no", &part->split_no, &found, err));
    return read_split_key(part, "split.tensors.count", &part->split_tensors,
                          &part->has_split_tensors, err);
}

static void part_deinit(struct part *part)
{
    tm_free(part->head);
    part->head = NULL;
}

static tm_status parse_part(struct tm_sources *sources, const struct part *part, struct tm_err *err)
{
    return tm_gguf_parse(tm_view_of(part->head, part->head_bytes), &part->layout, &part->options,
                         &sources->inventory, err);
}

static tm_status read_arch(struct tm_sources *sources, const struct part *part, struct tm_err *err)
{
    static const char key[] = "general.architecture";
    struct tm_gguf_kv kv;
    if (!tm_gguf_meta_find(part_meta(part), key, &kv)) {
        return TM_OK;
    }
    bool text = kv.type == TM_GGUF_STRING && kv.value.bytes <= 256 &&
                (kv.value.bytes == 0 || memchr(kv.value.data, 0, kv.value.bytes) == NULL) &&
                tm_utf8_valid((const char *)kv.value.data, kv.value.bytes);
    if (!text) {
        struct tm_where where;
        tm_where_named(&where, part->options.path, "key", tm_view_str(key));
        return tm_err_set(err, TM_E_MALFORMED, where.text, what_failed, NULL,
                          "it is not a short UTF-8 text");
    }
    return tm_sources_fail(tm_inventory_set_arch(&sources->inventory, kv.value), part->options.path,
                           err);
}

/* What only the first part has: metadata, architecture, tokenizer. */
static tm_status read_model_keys(struct tm_sources *sources, const struct part *part,
                                 struct tm_err *err)
{
    struct tm_inventory *inventory = &sources->inventory;
    struct tm_token_counts counts;
    TM_TRY(tm_sources_attach_range(sources, "gguf-metadata", part->options.file, TM_GGUF_META_AT,
                                   part->layout.meta_bytes, err));
    TM_TRY(read_arch(sources, part, err));
    TM_TRY(tm_token_count_gguf(part_meta(part), part->options.path, &counts, err));
    inventory->token_count = counts.tokens;
    inventory->merge_count = counts.merges;
    if (counts.repeated == 0) {
        return TM_OK;
    }
    return tm_sources_fail(tm_inventory_warn(inventory,
                                             "%" PRIu64 " of %" PRIu64
                                             " tokens have the same text as another one",
                                             counts.repeated, counts.tokens),
                           part->options.path, err);
}

/* ---- parts ---- */

/* Five digits. */
static bool parse_five(const char *text, uint32_t *out)
{
    uint32_t value = 0;
    for (size_t i = 0; i < 5; i++) {
        if (text[i] < '0' || text[i] > '9') {
            return false;
        }
        value = value * 10 + (uint32_t)(text[i] - '0');
    }
    *out = value;
    return true;
}

bool tm_split_name_parse(const char *base, struct tm_split_name *out)
{
    static const char shape[] = "-00000-of-00000.gguf";
    size_t bytes = strlen(base), tail_bytes = sizeof shape - 1;
    if (bytes < tail_bytes) {
        return false;
    }
    const char *tail = base + bytes - tail_bytes;
    if (tail[0] != '-' || memcmp(tail + 6, "-of-", 4) != 0 || strcmp(tail + 15, ".gguf") != 0 ||
        !parse_five(tail + 1, &out->part) || !parse_five(tail + 10, &out->count)) {
        return false;
    }
    out->prefix_bytes = bytes - tail_bytes;
    return out->part >= 1 && out->part <= out->count;
}

static tm_status bad_split(const char *path, struct tm_err *err, const char *why)
{
    return tm_err_set(err, TM_E_MALFORMED, path, what_failed,
                      "name a part as NAME-00001-of-00002.gguf, with all parts beside it",
                      "it is a part of a split model, but %s", why);
}

static tm_status check_name(const struct part *part, struct tm_split_name *name, struct tm_err *err)
{
    if (!tm_split_name_parse(tm_path_base(part->options.path), name)) {
        return bad_split(part->options.path, err, "its name does not say which one");
    }
    if (name->count != part->split_count || name->part != part->split_no + 1) {
        return tm_err_set(err, TM_E_MALFORMED, part->options.path, what_failed, NULL,
                          "its metadata (split.no %llu, split.count %llu) and its name disagree",
                          (unsigned long long)part->split_no,
                          (unsigned long long)part->split_count);
    }
    /* Room for the other files of the folder. */
    if (name->count > TM_INVENTORY_FILES_MAX - 32) {
        return bad_split(part->options.path, err, "there are too many parts");
    }
    return TM_OK;
}

/* The part with the number `no` (from 0) beside the one that was named. */
static tm_status open_sibling(struct tm_sources *sources, uint32_t named,
                              const struct tm_split_name *name, uint32_t no, uint32_t *file,
                              struct tm_err *err)
{
    const char *path = sources->inventory.files[named];
    size_t keep = strlen(path) - strlen(tm_path_base(path)) + name->prefix_bytes;
    char sibling[TM_PATH_MAX];
    int n = snprintf(sibling, sizeof sibling, "%.*s-%05lu-of-%05lu.gguf", (int)keep, path,
                     (unsigned long)no + 1, (unsigned long)name->count);
    if (n < 0 || (size_t)n >= sizeof sibling) {
        return bad_split(path, err, "the path is too long");
    }
    tm_status status = tm_sources_open(sources, sibling, file, err);
    if (status == TM_E_NOT_FOUND) {
        return tm_err_set(err, status, sibling, what_failed, "fetch the missing file",
                          "part %lu of %lu of the split model is missing", (unsigned long)no + 1,
                          (unsigned long)name->count);
    }
    TM_TRY(status);
    enum tm_file_kind kind = TM_FILE_JSON;
    TM_TRY(tm_sources_sniff(sources, *file, &kind, err));
    return kind == TM_FILE_GGUF ? TM_OK : bad_split(sibling, err, "this part is no GGUF file");
}

static tm_status check_agrees(const struct part *part, const struct part *named, uint32_t no,
                              struct tm_err *err)
{
    if (part->split_count != named->split_count || part->split_no != no) {
        return tm_err_set(
            err, TM_E_MALFORMED, part->options.path, what_failed, NULL,
            "split.no is %llu and split.count %llu, but it should be part %lu (from 0) "
            "of %llu",
            (unsigned long long)part->split_no, (unsigned long long)part->split_count,
            (unsigned long)no, (unsigned long long)named->split_count);
    }
    if (part->has_split_tensors && named->has_split_tensors &&
        part->split_tensors != named->split_tensors) {
        return tm_err_set(err, TM_E_MALFORMED, part->options.path, what_failed, NULL,
                          "split.tensors.count is %llu here and %llu in %s",
                          (unsigned long long)part->split_tensors,
                          (unsigned long long)named->split_tensors,
                          tm_path_base(named->options.path));
    }
    return TM_OK;
}

static tm_status read_one_of(struct tm_sources *sources, uint32_t file, const struct part *named,
                             uint32_t no, struct tm_err *err)
{
    struct part part;
    tm_status status = load_part(sources, file, &part, err);
    if (status == TM_OK) {
        status = check_agrees(&part, named, no, err);
    }
    if (status == TM_OK) {
        status = parse_part(sources, &part, err);
    }
    if (status == TM_OK && no == 0) {
        status = read_model_keys(sources, &part, err);
    }
    part_deinit(&part);
    return status;
}

static tm_status read_split(struct tm_sources *sources, uint32_t file, const struct part *named,
                            struct tm_err *err)
{
    struct tm_split_name name = {.count = 0};
    TM_TRY(check_name(named, &name, err));
    for (uint32_t no = 0; no < name.count; no++) {
        uint32_t sibling = file;
        if (no + 1 != name.part) {
            TM_TRY(open_sibling(sources, file, &name, no, &sibling, err));
        }
        TM_TRY(read_one_of(sources, sibling, named, no, err));
    }
    if (named->has_split_tensors && named->split_tensors != sources->inventory.tensor_count) {
        return tm_err_set(err, TM_E_MALFORMED, named->options.path, what_failed, NULL,
                          "split.tensors.count is %llu, but the parts hold %llu tensors",
                          (unsigned long long)named->split_tensors,
                          (unsigned long long)sources->inventory.tensor_count);
    }
    return TM_OK;
}

tm_status tm_gguf_open(struct tm_sources *sources, uint32_t file, struct tm_err *err)
{
    struct part part;
    sources->inventory.format = TM_FORMAT_GGUF;
    tm_status status = load_part(sources, file, &part, err);
    if (status == TM_OK && part.split_count > 1) {
        status = read_split(sources, file, &part, err);
    } else if (status == TM_OK) {
        status = parse_part(sources, &part, err);
        if (status == TM_OK) {
            status = read_model_keys(sources, &part, err);
        }
    }
    part_deinit(&part);
    return status;
}

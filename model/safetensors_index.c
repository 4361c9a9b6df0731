/* SPDX-License-Identifier: Apache-2.0 */
#include "model/safetensors_index.h"

#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "model/json_pull.h"
#include "model/pth.h"
#include "model/safetensors.h"
#include "model/where.h"

static const char what_failed[] = "cannot read the sharded model";

/* ---- the index file ---- */

struct parser {
    struct tm_json_pull pull;
    struct tm_shards *index;
    struct tm_buf key, shard;
    struct tm_buf spans; /* struct span each: texts may move while it grows */
};

struct span {
    size_t at, bytes;
    uint32_t shard;
};

static tm_status fail(struct parser *p, tm_status status)
{
    return status == TM_OK ? TM_OK : tm_sources_fail(status, p->pull.path, p->pull.err);
}

/* A shard lies beside the index: a path could lead out of the folder. */
static bool is_plain_name(struct tm_view name)
{
    return name.bytes > 0 && name.bytes <= 255 && memchr(name.data, '/', name.bytes) == NULL &&
           memchr(name.data, '\\', name.bytes) == NULL &&
           memchr(name.data, 0, name.bytes) == NULL && !tm_view_eq_str(name, ".") &&
           !tm_view_eq_str(name, "..");
}

static tm_status find_shard(struct parser *p, uint32_t *out)
{
    struct tm_shards *index = p->index;
    struct tm_view name = tm_buf_view(&p->shard);
    if (!is_plain_name(name)) {
        return tm_pull_fail(&p->pull, "a shard is not a plain file name");
    }
    /* Usually the one of the tensor before. */
    for (size_t i = index->shard_count; i > 0; i--) {
        if (tm_view_eq_str(name, index->shards[i - 1])) {
            *out = (uint32_t)(i - 1);
            return TM_OK;
        }
    }
    /* Room for the index and the other files of the folder. */
    if (index->shard_count + 32 >= TM_INVENTORY_FILES_MAX) {
        return tm_pull_fail(&p->pull, "too many shards");
    }
    if (index->shards == NULL) {
        index->shards = tm_calloc(TM_INVENTORY_FILES_MAX, sizeof *index->shards);
    }
    char *copy = index->shards != NULL ? tm_strndup((const char *)name.data, name.bytes) : NULL;
    if (copy == NULL) {
        return fail(p, TM_E_NOMEM);
    }
    *out = (uint32_t)index->shard_count;
    index->shards[index->shard_count++] = copy;
    return TM_OK;
}

static tm_status read_map(struct parser *p)
{
    bool more = true;
    TM_TRY(tm_pull_object(&p->pull));
    while (true) {
        struct span span;
        memset(&span, 0, sizeof span);
        TM_TRY(tm_pull_member(&p->pull, &more, &p->key));
        if (!more) {
            return TM_OK;
        }
        if (p->spans.bytes / sizeof span >= TM_INVENTORY_TENSORS_MAX) {
            return tm_pull_fail(&p->pull, "too many tensors");
        }
        TM_TRY(tm_pull_string(&p->pull, &p->shard));
        TM_TRY(find_shard(p, &span.shard));
        span.at = p->index->texts.bytes;
        span.bytes = p->key.bytes;
        TM_TRY(fail(p, tm_buf_put(&p->index->texts, p->key.data, p->key.bytes)));
        TM_TRY(fail(p, tm_buf_put(&p->spans, &span, sizeof span)));
    }
}

static tm_status read_index(struct parser *p)
{
    bool more = true, map = false;
    TM_TRY(tm_pull_object(&p->pull));
    while (true) {
        TM_TRY(tm_pull_member(&p->pull, &more, &p->key));
        if (!more) {
            break;
        }
        if (!tm_view_eq_str(tm_buf_view(&p->key), "weight_map")) {
            TM_TRY(tm_pull_skip(&p->pull));
            continue;
        }
        if (map) {
            return tm_pull_fail(&p->pull, "duplicate key weight_map");
        }
        map = true;
        TM_TRY(read_map(p));
    }
    TM_TRY(tm_pull_end(&p->pull));
    return map ? TM_OK
               : tm_err_set(p->pull.err, TM_E_MALFORMED, p->pull.path, what_failed,
                            "name a .safetensors or .gguf file, or a folder that holds one",
                            "it is a JSON file without a weight_map, not a model");
}

static int compare_entries(const void *a, const void *b)
{
    const struct tm_shards_entry *x = a, *y = b;
    size_t common = x->tensor.bytes < y->tensor.bytes ? x->tensor.bytes : y->tensor.bytes;
    int order = common > 0 ? memcmp(x->tensor.data, y->tensor.data, common) : 0;
    return order != 0 ? order
                      : (x->tensor.bytes > y->tensor.bytes) - (x->tensor.bytes < y->tensor.bytes);
}

static tm_status sort_entries(struct parser *p)
{
    struct tm_shards *index = p->index;
    size_t count = p->spans.bytes / sizeof(struct span);
    const struct span *spans = (const struct span *)(const void *)p->spans.data;
    index->entries = tm_calloc(count, sizeof *index->entries);
    if (index->entries == NULL) {
        return fail(p, TM_E_NOMEM);
    }
    for (size_t i = 0; i < count; i++) {
        struct tm_view name = tm_view_of(NULL, 0);
        if (spans[i].bytes > 0) {
            name = tm_view_of(index->texts.data + spans[i].at, spans[i].bytes);
        }
        index->entries[i] = (struct tm_shards_entry){name, spans[i].shard};
    }
    index->entry_count = count;
    qsort(index->entries, count, sizeof *index->entries, compare_entries);
    for (size_t i = 1; i < count; i++) {
        if (compare_entries(&index->entries[i - 1], &index->entries[i]) == 0) {
            struct tm_where where;
            tm_where(&where, p->pull.path, index->entries[i].tensor);
            return tm_err_set(p->pull.err, TM_E_MALFORMED, where.text, what_failed, NULL,
                              "duplicate name in the weight_map");
        }
    }
    return TM_OK;
}

tm_status tm_shards_parse(struct tm_view text, const char *path, struct tm_shards *out,
                          struct tm_err *err)
{
    struct parser p = {.index = out};
    memset(out, 0, sizeof *out);
    tm_pull_begin(&p.pull, text, path, 0, err);
    tm_buf_init(&out->texts, TM_INDEX_BYTES_MAX);
    tm_buf_init(&p.key, TM_TENSOR_NAME_MAX);
    tm_buf_init(&p.shard, TM_TENSOR_NAME_MAX);
    tm_buf_init(&p.spans, TM_INVENTORY_TENSORS_MAX * sizeof(struct span));
    tm_status status = read_index(&p);
    if (status == TM_OK) {
        status = sort_entries(&p);
    }
    tm_buf_deinit(&p.key);
    tm_buf_deinit(&p.shard);
    tm_buf_deinit(&p.spans);
    return status;
}

void tm_shards_deinit(struct tm_shards *index)
{
    for (size_t i = 0; i < index->shard_count; i++) {
        tm_free(index->shards[i]);
    }
    tm_free(index->shards);
    tm_free(index->entries);
    tm_buf_deinit(&index->texts);
    memset(index, 0, sizeof *index);
}

/* ---- the shards ---- */

static tm_status missing_shard(const char *path, const struct tm_shards *index, struct tm_err *err)
{
    return tm_err_set(err, TM_E_NOT_FOUND, path, what_failed, "fetch the missing file",
                      "one of the %llu shards that the index names is missing",
                      (unsigned long long)index->shard_count);
}

static tm_status open_shard(struct tm_sources *sources, const char *folder, const char *name,
                            const struct tm_shards *index, uint32_t *file, struct tm_err *err)
{
    char path[TM_PATH_MAX];
    enum tm_file_kind kind = TM_FILE_JSON;
    tm_status status = tm_path_join(path, folder, name);
    if (status != TM_OK) {
        return tm_err_set(err, status, name, what_failed, NULL, "the path is too long");
    }
    status = tm_sources_open(sources, path, file, err);
    if (status == TM_E_NOT_FOUND) {
        return missing_shard(path, index, err);
    }
    TM_TRY(status);
    TM_TRY(tm_sources_sniff(sources, *file, &kind, err));
    if (kind == TM_FILE_PYTORCH) {
        const struct tm_pth_options options = {
            .file = *file, .under = sources->tensors_under, .shard = true};
        return tm_pth_open(sources, &options, err);
    }
    if (kind != TM_FILE_SAFETENSORS) {
        return tm_err_set(err, TM_E_MALFORMED, path, what_failed, NULL,
                          "the shard is neither a safetensors file nor a PyTorch checkpoint");
    }
    return tm_safetensors_open(sources, *file, err);
}

static tm_status disagree(const char *path, struct tm_view tensor, struct tm_err *err,
                          const char *fmt, const char *shard)
{
    struct tm_where where;
    tm_where(&where, path, tensor);
    return tm_err_set(err, TM_E_MALFORMED, where.text, what_failed, NULL, "%s %s", fmt, shard);
}

/* Both lists are in order of names: one walk finds what only one of them has. */
static tm_status compare_with_map(const struct tm_sources *sources, const struct tm_shards *index,
                                  const uint32_t *files, const char *path, struct tm_err *err)
{
    const struct tm_inventory *inventory = &sources->inventory;
    size_t i = 0, j = 0;
    while (i < index->entry_count || j < inventory->tensor_count) {
        const struct tm_tensor *t =
            j < inventory->tensor_count ? &inventory->tensors[inventory->by_name[j]] : NULL;
        struct tm_shards_entry have = {.shard = 0};
        int order = -1;
        if (t != NULL) {
            have.tensor = tm_view_of(t->name, t->name_bytes);
            order = i < index->entry_count ? compare_entries(&index->entries[i], &have) : 1;
        }
        if (order > 0) {
            return disagree(path, have.tensor, err, "the index does not name it, but it is in",
                            tm_path_base(inventory->files[t->file]));
        }
        const struct tm_shards_entry *entry = &index->entries[i];
        if (order < 0 || t->file != files[entry->shard]) {
            return disagree(path, entry->tensor, err,
                            "the index promises it, but it is not in the shard",
                            index->shards[entry->shard]);
        }
        i++;
        j++;
    }
    return TM_OK;
}

static tm_status open_shards(struct tm_sources *sources, const struct tm_shards *index,
                             const char *path, struct tm_err *err)
{
    char folder[TM_PATH_MAX];
    uint32_t files[TM_INVENTORY_FILES_MAX];
    tm_status status = tm_path_dir(folder, path);
    if (status != TM_OK) {
        return tm_err_set(err, status, path, what_failed, NULL, "the path is too long");
    }
    for (size_t i = 0; i < index->shard_count; i++) {
        TM_TRY(open_shard(sources, folder, index->shards[i], index, &files[i], err));
    }
    TM_TRY(tm_inventory_seal(&sources->inventory, err));
    return compare_with_map(sources, index, files, path, err);
}

tm_status tm_shards_open(struct tm_sources *sources, uint32_t file, struct tm_err *err)
{
    struct tm_file_in *in = sources->files[file];
    struct tm_buf text;
    struct tm_shards index = {.entry_count = 0};
    uint8_t *at = NULL;
    if (tm_file_bytes(in) > TM_INDEX_BYTES_MAX) {
        return tm_err_set(err, TM_E_MALFORMED, tm_file_path(in), what_failed, NULL,
                          "an index of %llu bytes, and at most %u are allowed",
                          (unsigned long long)tm_file_bytes(in), TM_INDEX_BYTES_MAX);
    }
    tm_buf_init(&text, TM_INDEX_BYTES_MAX);
    tm_status status = tm_sources_fail(tm_buf_extend(&text, (size_t)tm_file_bytes(in), &at),
                                       tm_file_path(in), err);
    if (status == TM_OK) {
        status = tm_file_read_at(in, 0, at, text.bytes, err);
    }
    if (status == TM_OK) {
        status = tm_shards_parse(tm_buf_view(&text), tm_file_path(in), &index, err);
    }
    tm_buf_deinit(&text);
    if (status == TM_OK) {
        status = open_shards(sources, &index, tm_file_path(in), err);
    }
    tm_shards_deinit(&index);
    return status;
}

/* SPDX-License-Identifier: Apache-2.0 */
#include "model/folder.h"

#include <string.h>

#include "base/json.h"
#include "model/gguf_files.h"

static const char what_failed[] = "cannot read the model folder";
static const char hint_name[] = "name the file itself";

static bool ends_with(const char *text, const char *end)
{
    size_t text_bytes = strlen(text), end_bytes = strlen(end);
    return text_bytes > end_bytes && strcmp(text + text_bytes - end_bytes, end) == 0;
}

static bool is_listed(const struct tm_dir_list *names, const char *name)
{
    for (size_t i = 0; i < names->count; i++) {
        if (strcmp(names->names[i], name) == 0) {
            return true;
        }
    }
    return false;
}

/* The names with this ending: how many, and the first. */
static size_t count_ending(const struct tm_dir_list *names, const char *end, const char **first)
{
    size_t count = 0;
    for (size_t i = 0; i < names->count; i++) {
        if (ends_with(names->names[i], end)) {
            *first = count == 0 ? names->names[i] : *first;
            count++;
        }
    }
    return count;
}

/* Whether all .gguf files are parts of one split model. The names are sorted: the first is part 1.
 */
static bool is_one_split(const struct tm_dir_list *names, const char *first)
{
    struct tm_split_name whole, part;
    if (!tm_split_name_parse(first, &whole)) {
        return false;
    }
    for (size_t i = 0; i < names->count; i++) {
        const char *name = names->names[i];
        if (ends_with(name, ".gguf") &&
            (!tm_split_name_parse(name, &part) || part.count != whole.count ||
             part.prefix_bytes != whole.prefix_bytes ||
             memcmp(name, first, whole.prefix_bytes) != 0)) {
            return false;
        }
    }
    return true;
}

/* The first name of a kind that cannot be read, or NULL. */
static const char *find_foreign(const struct tm_dir_list *names)
{
    static const char *const endings[] = {".ckpt", ".pkl", ".npz", ".h5", ".tflite", ".onnx", NULL};
    const char *first = NULL;
    for (size_t i = 0; endings[i] != NULL; i++) {
        if (count_ending(names, endings[i], &first) > 0) {
            return first;
        }
    }
    return NULL;
}

static tm_status too_many(const char *folder, const char *kind, size_t count, const char *first,
                          struct tm_err *err)
{
    if (strcmp(kind, ".safetensors") == 0) {
        return tm_err_set(err, TM_E_NOT_FOUND, folder, what_failed,
                          "fetch model.safetensors.index.json, or name one file",
                          "%llu .safetensors files and no index that says what is in them",
                          (unsigned long long)count);
    }
    return tm_err_set(err, TM_E_USAGE, folder, what_failed, hint_name,
                      "%llu files to choose from, the first is %s", (unsigned long long)count,
                      first);
}

/* In this order: a whole name, or the only file with an ending. A folder of a training holds other
 * .pt and .bin files beside pytorch_model.bin. */
static tm_status choose(const char *folder, const struct tm_dir_list *names, const char **out,
                        struct tm_err *err)
{
    static const char *const choices[] = {"model.safetensors",
                                          "model.safetensors.index.json",
                                          ".safetensors.index.json",
                                          ".safetensors",
                                          ".gguf",
                                          "pytorch_model.bin.index.json",
                                          "pytorch_model.bin",
                                          ".bin.index.json",
                                          ".pth",
                                          ".pt",
                                          ".bin"};
    for (size_t i = 0; i < sizeof choices / sizeof choices[0]; i++) {
        const char *choice = choices[i];
        if (choice[0] != '.') {
            if (is_listed(names, choice)) {
                *out = choice;
                return TM_OK;
            }
            continue;
        }
        size_t count = count_ending(names, choice, out);
        bool split = count > 1 && strcmp(choice, ".gguf") == 0 && is_one_split(names, *out);
        if (count == 1 || split) {
            return TM_OK;
        }
        if (count > 1) {
            return too_many(folder, choice, count, *out, err);
        }
    }
    *out = find_foreign(names);
    if (*out == NULL) {
        return tm_err_set(err, TM_E_NOT_FOUND, folder, what_failed,
                          "name a folder with model.safetensors or a .gguf file",
                          "there is no model in it");
    }
    return TM_OK;
}

tm_status tm_folder_find_model(const char *folder, const struct tm_dir_list *names, char *out,
                               struct tm_err *err)
{
    const char *name = NULL;
    TM_TRY(choose(folder, names, &name, err));
    tm_status status = tm_path_join(out, folder, name);
    return status == TM_OK
               ? TM_OK
               : tm_err_set(err, status, folder, what_failed, NULL, "the path is too long");
}

/* ---- neighbours ---- */

static bool is_carried(const char *name)
{
    static const char *const carried[] = {"config.json",
                                          "generation_config.json",
                                          "tokenizer.json",
                                          "tokenizer_config.json",
                                          "tokenizer.model",
                                          "special_tokens_map.json",
                                          "vocab.json",
                                          "merges.txt",
                                          "added_tokens.json",
                                          "chat_template.jinja",
                                          NULL};
    for (size_t i = 0; carried[i] != NULL; i++) {
        if (strcmp(name, carried[i]) == 0) {
            return true;
        }
    }
    return strncmp(name, "LICENSE", 7) == 0;
}

/* model_type of config.json, which must be an object. */
static tm_status read_config(struct tm_sources *sources, size_t attachment, const char *path,
                             struct tm_err *err)
{
    struct tm_inventory *inventory = &sources->inventory;
    struct tm_json_doc *doc = NULL;
    struct tm_buf text;
    struct tm_view arch;
    tm_buf_init(&text, 16u << 20);
    tm_status status = tm_sources_read_attachment(sources, attachment, &text, err);
    if (status == TM_OK) {
        status = tm_json_parse(tm_buf_view(&text), path, &doc, err);
    }
    if (status == TM_OK && tm_json_kind(tm_json_root(doc)) != TM_JSON_OBJECT) {
        status = tm_err_set(err, TM_E_MALFORMED, path, what_failed, NULL, "it is not an object");
    }
    if (status == TM_OK && inventory->arch == NULL &&
        tm_json_str(tm_json_get(tm_json_root(doc), "model_type"), &arch) && arch.bytes <= 256 &&
        (arch.bytes == 0 || memchr(arch.data, 0, arch.bytes) == NULL)) {
        status = tm_sources_fail(tm_inventory_set_arch(inventory, arch), path, err);
    }
    tm_json_free(&doc);
    tm_buf_deinit(&text);
    return status;
}

static bool is_opened(const struct tm_inventory *inventory, const char *name)
{
    for (size_t i = 0; i < inventory->file_count; i++) {
        if (strcmp(tm_path_base(inventory->files[i]), name) == 0) {
            return true;
        }
    }
    return false;
}

static tm_status warn_left_out(struct tm_sources *sources, const char *name, struct tm_err *err)
{
    char shown[300];
    tm_escape(name, strlen(name), shown, sizeof shown);
    return tm_sources_fail(
        tm_inventory_warn(&sources->inventory, "%s is not part of the model: left out", shown),
        name, err);
}

tm_status tm_folder_attach(struct tm_sources *sources, const char *folder,
                           const struct tm_dir_list *names, struct tm_err *err)
{
    const struct tm_inventory *inventory = &sources->inventory;
    for (size_t i = 0; i < names->count; i++) {
        const char *name = names->names[i];
        char path[TM_PATH_MAX];
        if (tm_path_join(path, folder, name) != TM_OK || tm_path_is_dir(path)) {
            continue;
        }
        bool weights = ends_with(name, ".safetensors") || ends_with(name, ".gguf") ||
                       ends_with(name, ".safetensors.index.json");
        if (weights && !is_opened(inventory, name)) {
            TM_TRY(warn_left_out(sources, name, err));
        }
        if (is_carried(name)) {
            TM_TRY(tm_sources_attach_file(sources, path, name, err));
        }
        if (strcmp(name, "config.json") == 0) {
            TM_TRY(read_config(sources, inventory->attachment_count - 1, path, err));
        }
    }
    return TM_OK;
}

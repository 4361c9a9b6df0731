/* SPDX-License-Identifier: Apache-2.0 */
#include "node/edge/trust.h"

#include <stdio.h>
#include <string.h>

#include "base/file.h"
#include "crypto/digest.h"
#include "package/release.h"

static tm_status join(char *out, const char *dir, const char *name, struct tm_err *err)
{
    if (tm_path_join(out, dir, name) != TM_OK) {
        return tm_err_set(err, TM_E_LIMIT, dir, "cannot use the device's folder", NULL,
                          "a path in it is longer than %d bytes", TM_PATH_MAX);
    }
    return TM_OK;
}

static tm_status key_path(const char *store, const char *key_id, char *out, struct tm_err *err)
{
    char dir[TM_PATH_MAX], file[TM_NODE_ID_TEXT + 8];
    TM_TRY(join(dir, store, "trust", err));
    snprintf(file, sizeof file, "%.*s.pub", TM_NODE_ID_TEXT - 1, key_id);
    return join(out, dir, file, err);
}

/* Text of a small file that holds one line. */
static tm_status read_line(const struct tm_root *root, const char *path, char *out,
                           size_t out_bytes, struct tm_err *err)
{
    struct tm_buf text;
    tm_buf_init(&text, out_bytes - 1);
    tm_status status = tm_file_read_in(root, path, &text, err);
    size_t bytes = text.bytes;
    if (status == TM_OK && bytes > 0 && text.data[bytes - 1] == '\n') {
        bytes--;
    }
    bool one_line = status == TM_OK && bytes > 0 && memchr(text.data, '\n', bytes) == NULL &&
                    memchr(text.data, '\0', bytes) == NULL;
    if (one_line) {
        memcpy(out, text.data, bytes);
        out[bytes] = '\0';
    } else if (status == TM_OK || status == TM_E_LIMIT) {
        status = tm_err_set(err, TM_E_MALFORMED, path, "cannot read the device's state",
                            "remove the file", "it does not hold one line of text");
    }
    tm_buf_deinit(&text);
    return status;
}

static tm_status load_key(const struct tm_root *root, const char *dir, const char *name,
                          struct tm_trust *out, struct tm_err *err)
{
    char path[TM_PATH_MAX], line[256], id[TM_NODE_ID_TEXT], file[TM_NODE_ID_TEXT + 8];
    struct tm_public_key *key = &out->keys[out->count];
    TM_TRY(join(path, dir, name, err));
    TM_TRY(read_line(root, path, line, sizeof line, err));
    tm_status status = tm_public_key_parse(tm_view_str(line), key, err);
    if (status != TM_OK) {
        tm_err_prefix(err, path);
        return TM_E_MALFORMED;
    }
    struct tm_node_id node = tm_node_id_of(key);
    snprintf(file, sizeof file, "%s.pub", tm_node_id_hex(&node, id));
    if (strcmp(file, name) != 0) {
        return tm_err_set(err, TM_E_MALFORMED, path, "cannot read the trusted keys",
                          "remove the file; tmill-edge trust add makes one with the right name",
                          "it holds the key %s", id);
    }
    out->count++;
    return TM_OK;
}

static tm_status load_all(const struct tm_root *root, const char *dir, struct tm_trust *out,
                          struct tm_err *err)
{
    struct tm_dir_list list;
    tm_status status = TM_OK;
    TM_TRY(tm_dir_list_in(root, dir, &list, err));
    for (size_t i = 0; i < list.count && status == TM_OK; i++) {
        size_t bytes = strlen(list.names[i]);
        if (bytes <= 4 || strcmp(list.names[i] + bytes - 4, ".pub") != 0) {
            continue; /* not ours, or the temporary file of an `add` */
        }
        status = out->count < TM_TRUST_MAX
                     ? load_key(root, dir, list.names[i], out, err)
                     : tm_err_set(err, TM_E_LIMIT, dir, "cannot read the trusted keys",
                                  "remove those that are no longer needed", "more than %d keys",
                                  TM_TRUST_MAX);
    }
    tm_dir_list_free(&list);
    return status;
}

tm_status tm_trust_load(const char *store, struct tm_trust *out, struct tm_err *err)
{
    char dir[TM_PATH_MAX];
    struct tm_root *root = NULL;
    bool found;
    out->count = 0;
    TM_TRY(join(dir, store, "trust", err));
    TM_TRY(tm_path_find(dir, &found, err));
    if (!found) {
        return TM_OK;
    }
    TM_TRY(tm_root_open(store, &root, err));
    tm_status status = load_all(root, dir, out, err);
    tm_root_close(&root);
    return status;
}

tm_status tm_trust_add(const char *store, const struct tm_public_key *key, struct tm_err *err)
{
    char path[TM_PATH_MAX], dir[TM_PATH_MAX], id[TM_NODE_ID_TEXT];
    char line[TM_PUBLIC_KEY_TEXT + 2], text[TM_PUBLIC_KEY_TEXT];
    struct tm_node_id node = tm_node_id_of(key);
    struct tm_root *root = NULL;
    TM_TRY(key_path(store, tm_node_id_hex(&node, id), path, err));
    TM_TRY(join(dir, store, "trust", err));
    TM_TRY(tm_dir_make(store, 0755, err));
    TM_TRY(tm_root_open(store, &root, err));
    snprintf(line, sizeof line, "%s\n", tm_public_key_text(key, text));
    tm_status status = tm_dir_make_in(root, dir, 0755, err);
    bool found = false;
    if (status == TM_OK) {
        status = tm_path_find_in(root, path, &found, err);
    }
    if (status == TM_OK && found) {
        status =
            tm_err_set(err, TM_E_NOTHING, id, "nothing to do", NULL, "this key is trusted already");
    }
    if (status == TM_OK) {
        status = tm_file_write_atomic_in(root, path, 0644, tm_view_str(line), err);
    }
    tm_root_close(&root);
    return status;
}

tm_status tm_trust_remove(const char *store, const char *key_id, struct tm_err *err)
{
    char path[TM_PATH_MAX], dir[TM_PATH_MAX];
    uint8_t id[TM_NODE_ID_BYTES];
    struct tm_root *root = NULL;
    if (tm_hex_decode(tm_view_str(key_id), id, sizeof id) != TM_OK) {
        return tm_err_set(err, TM_E_USAGE, key_id, "no key id", "tmill-edge trust list shows them",
                          "a key id has %d hex digits", TM_NODE_ID_TEXT - 1);
    }
    TM_TRY(key_path(store, key_id, path, err));
    TM_TRY(join(dir, store, "trust", err));
    bool found;
    TM_TRY(tm_path_find(path, &found, err));
    tm_status status = found ? tm_root_open(store, &root, err) : TM_OK;
    if (status == TM_OK && found) {
        status = tm_path_find_in(root, path, &found, err);
    }
    if (status == TM_OK && !found) {
        status = tm_err_set(err, TM_E_NOT_FOUND, key_id, "cannot remove the key",
                            "tmill-edge trust list shows them", "it is not trusted");
    }
    if (status == TM_OK) {
        status = tm_file_remove_in(root, path, err);
    }
    if (status == TM_OK) {
        status = tm_dir_sync_in(root, dir, err);
    }
    tm_root_close(&root);
    return status;
}

static tm_status remote_path(const char *store, const char *name, char *out, struct tm_err *err)
{
    char models[TM_PATH_MAX], dir[TM_PATH_MAX];
    if (!tm_release_name_ok(name)) {
        return tm_err_set(err, TM_E_USAGE, name, "bad model name",
                          "use letters, digits, '.', '-' and '_'", "no model has such a name");
    }
    TM_TRY(join(models, store, "models", err));
    TM_TRY(join(dir, models, name, err));
    return join(out, dir, "remote", err);
}

tm_status tm_remote_read(const char *store, const char *name, char *out, struct tm_err *err)
{
    char path[TM_PATH_MAX];
    struct tm_root *root = NULL;
    TM_TRY(remote_path(store, name, path, err));
    TM_TRY(tm_root_open(store, &root, err));
    bool found = false;
    tm_status status = tm_path_find_in(root, path, &found, err);
    if (status == TM_OK) {
        status = found ? read_line(root, path, out, TM_PATH_MAX, err)
                       : tm_err_set(err, TM_E_NOT_FOUND, name, "no place to update from",
                                    "tmill-edge pull URL NAME records one", "none is recorded");
    }
    tm_root_close(&root);
    return status;
}

tm_status tm_remote_write(const char *store, const char *name, const char *location,
                          struct tm_err *err)
{
    char path[TM_PATH_MAX], line[TM_PATH_MAX];
    size_t bytes = strlen(location);
    if (bytes == 0 || bytes > sizeof line - 2 || strchr(location, '\n') != NULL) {
        return tm_err_set(err, TM_E_USAGE, name, "cannot record the place to update from",
                          "give a shorter one", "it must be one line of at most %zu bytes",
                          sizeof line - 2);
    }
    TM_TRY(remote_path(store, name, path, err));
    snprintf(line, sizeof line, "%s\n", location);
    struct tm_root *root = NULL;
    TM_TRY(tm_root_open(store, &root, err));
    tm_status status = tm_file_write_atomic_in(root, path, 0644, tm_view_str(line), err);
    tm_root_close(&root);
    return status;
}

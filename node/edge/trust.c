/* SPDX-License-Identifier: Apache-2.0 */
#include "node/edge/trust.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "base/file.h"

static tm_status trust_path(const char *store, const char *key_id, char *out)
{
    char dir[TM_PATH_MAX], file[TM_NODE_ID_TEXT + 8];
    TM_TRY(tm_path_join(dir, store, "trust"));
    if (key_id == NULL) {
        return tm_path_join(out, dir, "");
    }
    snprintf(file, sizeof file, "%.40s.pub", key_id);
    return tm_path_join(out, dir, file);
}

/* Text of a small file without its last line end. */
static tm_status read_line(const char *path, char *out, size_t out_bytes, struct tm_err *err)
{
    struct tm_buf text;
    tm_buf_init(&text, out_bytes - 1);
    tm_status status = tm_file_read(path, &text, err);
    if (status == TM_OK) {
        memcpy(out, text.data, text.bytes);
        out[text.bytes] = '\0';
        out[strcspn(out, "\n")] = '\0';
    }
    tm_buf_deinit(&text);
    return status;
}

static tm_status load_key(const char *dir, const char *name, struct tm_trust *out,
                          struct tm_err *err)
{
    char path[TM_PATH_MAX], line[256];
    TM_TRY(tm_path_join(path, dir, name));
    TM_TRY(read_line(path, line, sizeof line, err));
    tm_status status = tm_public_key_parse(tm_view_str(line), &out->keys[out->count], err);
    if (status != TM_OK) {
        tm_err_prefix(err, path);
        return status;
    }
    out->count++;
    return TM_OK;
}

tm_status tm_trust_load(const char *store, struct tm_trust *out, struct tm_err *err)
{
    char dir[TM_PATH_MAX];
    struct tm_dir_list list;
    tm_status status = TM_OK;
    out->count = 0;
    TM_TRY(tm_path_join(dir, store, "trust"));
    if (!tm_path_is_dir(dir)) {
        return TM_OK;
    }
    TM_TRY(tm_dir_list(dir, &list, err));
    for (size_t i = 0; i < list.count && status == TM_OK; i++) {
        size_t bytes = strlen(list.names[i]);
        bool key = bytes > 4 && strcmp(list.names[i] + bytes - 4, ".pub") == 0;
        if (key && out->count < TM_TRUST_MAX) {
            status = load_key(dir, list.names[i], out, err);
        }
    }
    tm_dir_list_free(&list);
    return status;
}

tm_status tm_trust_add(const char *store, const struct tm_public_key *key, struct tm_err *err)
{
    char path[TM_PATH_MAX], dir[TM_PATH_MAX], id[TM_NODE_ID_TEXT];
    char line[TM_PUBLIC_KEY_TEXT + 2], text[TM_PUBLIC_KEY_TEXT];
    struct tm_node_id node = tm_node_id_of(key);
    TM_TRY(trust_path(store, tm_node_id_hex(&node, id), path));
    TM_TRY(tm_path_join(dir, store, "trust"));
    TM_TRY(tm_dir_make(dir, 0755, err));
    if (tm_path_exists(path)) {
        return tm_err_set(err, TM_E_NOTHING, id, "nothing to do", NULL,
                          "this key is trusted already");
    }
    snprintf(line, sizeof line, "%s\n", tm_public_key_text(key, text));
    return tm_file_write_atomic(path, 0644, tm_view_str(line), err);
}

tm_status tm_trust_remove(const char *store, const char *key_id, struct tm_err *err)
{
    char path[TM_PATH_MAX];
    if (strlen(key_id) != TM_NODE_ID_TEXT - 1 || strchr(key_id, '/') != NULL) {
        return tm_err_set(err, TM_E_USAGE, key_id, "no key id", "tmill-edge trust list shows them",
                          "a key id has 40 hex digits");
    }
    TM_TRY(trust_path(store, key_id, path));
    if (unlink(path) != 0) {
        return tm_err_set(err, errno == ENOENT ? TM_E_NOT_FOUND : TM_E_IO, key_id,
                          "cannot remove the key", "tmill-edge trust list shows them", "%s",
                          errno == ENOENT ? "it is not trusted" : strerror(errno));
    }
    return TM_OK;
}

static tm_status remote_path(const char *store, const char *name, char *out)
{
    char models[TM_PATH_MAX], dir[TM_PATH_MAX];
    TM_TRY(tm_path_join(models, store, "models"));
    TM_TRY(tm_path_join(dir, models, name));
    return tm_path_join(out, dir, "remote");
}

tm_status tm_remote_read(const char *store, const char *name, char *out, struct tm_err *err)
{
    char path[TM_PATH_MAX];
    TM_TRY(remote_path(store, name, path));
    if (!tm_path_exists(path)) {
        return tm_err_set(err, TM_E_NOT_FOUND, name, "no place to update from",
                          "tmill-edge pull URL NAME records one", "none is recorded");
    }
    return read_line(path, out, TM_PATH_MAX, err);
}

tm_status tm_remote_write(const char *store, const char *name, const char *location,
                          struct tm_err *err)
{
    char path[TM_PATH_MAX], line[TM_PATH_MAX + 1];
    TM_TRY(remote_path(store, name, path));
    snprintf(line, sizeof line, "%.4094s\n", location);
    return tm_file_write_atomic(path, 0644, tm_view_str(line), err);
}

/* SPDX-License-Identifier: Apache-2.0 */
#include "package/index_payload.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "base/json.h"
#include "base/mem.h"

static const char SCHEMA[] = "tmill.index/1";

void tm_release_path(const struct tm_digest *package_id, char out[256])
{
    char hex[TM_DIGEST_TEXT];
    snprintf(out, 256, "packages/%s.tmpk", tm_digest_hex(package_id, hex));
}

/* ---- writing ---- */

static void put_release(struct tm_jw *jw, const struct tm_release *r)
{
    char hex[TM_DIGEST_TEXT];
    tm_jw_object(jw, NULL);
    tm_jw_str(jw, "name", r->name);
    tm_jw_u64(jw, "counter", r->counter);
    tm_jw_str(jw, "package_id", tm_digest_hex(&r->package_id, hex));
    tm_jw_u64(jw, "bytes", r->bytes);
    tm_jw_str(jw, "path", r->path);
    tm_jw_str(jw, "notes", r->notes);
    tm_jw_object_end(jw);
}

tm_status tm_index_payload_write(const struct tm_index *index, struct tm_buf *out)
{
    struct tm_jw jw;
    tm_jw_begin(&jw, out, false);
    tm_jw_object(&jw, NULL);
    tm_jw_str(&jw, "schema", SCHEMA);
    tm_jw_u64(&jw, "version", index->version);
    tm_jw_array(&jw, "releases");
    for (size_t i = 0; i < index->count; i++) {
        put_release(&jw, &index->releases[i]);
    }
    tm_jw_array_end(&jw);
    tm_jw_object_end(&jw);
    return tm_jw_end(&jw);
}

/* ---- parsing ---- */

struct payload {
    const char *name;
    struct tm_err *err;
};

#define FAIL(p, ...)                                                                               \
    tm_err_set((p)->err, TM_E_MALFORMED, (p)->name, "cannot use the index", NULL, __VA_ARGS__)

/* A text of at most bytes - 1 bytes without a zero byte into out. */
static bool copy_text(const struct tm_json *node, char *out, size_t bytes)
{
    struct tm_view v;
    if (!tm_json_str(node, &v) || v.bytes >= bytes || memchr(v.data, 0, v.bytes) != NULL) {
        return false;
    }
    memcpy(out, v.data, v.bytes);
    out[v.bytes] = '\0';
    return true;
}

static tm_status parse_release(struct payload *p, const struct tm_json *node, size_t at,
                               struct tm_release *r)
{
    struct tm_view id;
    char path[256];
    if (tm_json_kind(node) != TM_JSON_OBJECT || tm_json_count(node) != 6) {
        return FAIL(p,
                    "release %zu must be an object with name, counter, package_id, bytes, path "
                    "and notes, and nothing else",
                    at);
    }
    if (!copy_text(tm_json_get(node, "name"), r->name, sizeof r->name) ||
        !tm_release_name_ok(r->name)) {
        return FAIL(p, "the name of release %zu is no release name", at);
    }
    if (!tm_json_u64(tm_json_get(node, "counter"), &r->counter) || r->counter == 0) {
        return FAIL(p, "release %zu has no counter from 1", at);
    }
    if (!tm_json_str(tm_json_get(node, "package_id"), &id) ||
        tm_digest_parse(id, &r->package_id) != TM_OK) {
        return FAIL(p, "the package_id of release %zu is not 64 hex digits", at);
    }
    if (!tm_json_u64(tm_json_get(node, "bytes"), &r->bytes) || r->bytes == 0) {
        return FAIL(p, "release %zu has no size in bytes", at);
    }
    tm_release_path(&r->package_id, path);
    if (!copy_text(tm_json_get(node, "path"), r->path, sizeof r->path) ||
        strcmp(r->path, path) != 0) {
        return FAIL(p, "the path of release %zu is not %s", at, path);
    }
    if (!copy_text(tm_json_get(node, "notes"), r->notes, sizeof r->notes)) {
        return FAIL(p, "the notes of release %zu are no text of at most %zu bytes", at,
                    sizeof r->notes - 1);
    }
    return TM_OK;
}

/* Sorted by name; the counters of a name are 1, 2, 3... */
static tm_status check_order(struct payload *p, const struct tm_release *before,
                             const struct tm_release *r, size_t at)
{
    int order = before == NULL ? -1 : strcmp(before->name, r->name);
    if (order > 0) {
        return FAIL(p, "release %zu is out of order", at);
    }
    uint64_t expected = order == 0 ? before->counter + 1 : 1;
    if (r->counter != expected) {
        return FAIL(p, "release %zu of '%s' has counter %" PRIu64 ", expected %" PRIu64, at,
                    r->name, r->counter, expected);
    }
    return TM_OK;
}

static tm_status parse_releases(struct payload *p, const struct tm_json *list, struct tm_index *out)
{
    size_t count = tm_json_count(list);
    out->releases = tm_calloc(count, sizeof *out->releases);
    if (out->releases == NULL) {
        return tm_err_set(p->err, TM_E_NOMEM, p->name, "cannot read the index", NULL,
                          "out of memory for %zu releases", count);
    }
    out->count = count;
    for (size_t i = 0; i < count; i++) {
        struct tm_release *r = &out->releases[i];
        TM_TRY(parse_release(p, tm_json_at(list, i), i, r));
        TM_TRY(check_order(p, i > 0 ? r - 1 : NULL, r, i));
    }
    return TM_OK;
}

static tm_status parse_root(struct payload *p, const struct tm_json *root, struct tm_index *out)
{
    struct tm_view schema;
    const struct tm_json *list = tm_json_get(root, "releases");
    if (!tm_json_str(tm_json_get(root, "schema"), &schema) || !tm_view_eq_str(schema, SCHEMA)) {
        return FAIL(p, "the payload is not of schema \"%s\"", SCHEMA);
    }
    if (tm_json_count(root) != 3 || list == NULL || tm_json_kind(list) != TM_JSON_ARRAY) {
        return FAIL(p, "the payload must have schema, version and the list releases, and nothing "
                       "else");
    }
    if (!tm_json_u64(tm_json_get(root, "version"), &out->version) || out->version == 0) {
        return FAIL(p, "the payload has no version from 1");
    }
    return parse_releases(p, list, out);
}

tm_status tm_index_payload_parse(struct tm_view json, const char *name, struct tm_index *out,
                                 struct tm_err *err)
{
    struct tm_json_doc *doc;
    struct payload p = {.name = name, .err = err};
    tm_index_init(out);
    TM_TRY(tm_json_parse(json, name, &doc, err));
    tm_status status = parse_root(&p, tm_json_root(doc), out);
    tm_json_free(&doc);
    if (status != TM_OK) {
        tm_index_deinit(out);
    }
    return status;
}

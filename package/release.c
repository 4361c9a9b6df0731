/* SPDX-License-Identifier: Apache-2.0 */
#include "package/release.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "base/base64.h"
#include "base/file.h"
#include "base/json.h"
#include "base/mem.h"
#include "package/index_payload.h"

#define ENVELOPE_MAX (16u * 1024 * 1024)
#define AROUND_PAYLOAD_MAX 1024 /* keys, signature and names of an envelope */

void tm_index_init(struct tm_index *index)
{
    *index = (struct tm_index){0};
}

void tm_index_deinit(struct tm_index *index)
{
    tm_free(index->releases);
    tm_index_init(index);
}

bool tm_release_name_ok(const char *name)
{
    return tm_path_name_ok(name, TM_RELEASE_NAME_MAX);
}

const struct tm_release *tm_index_latest(const struct tm_index *index, const char *name)
{
    const struct tm_release *latest = NULL;
    for (size_t i = 0; i < index->count; i++) {
        if (strcmp(index->releases[i].name, name) == 0) {
            latest = &index->releases[i];
        }
    }
    return latest;
}

/* ---- adding ---- */

static tm_status check_new(const struct tm_index *index, const char *name, uint64_t bytes,
                           const char *notes, struct tm_err *err)
{
    static const char what[] = "cannot add a release";
    if (!tm_release_name_ok(name)) {
        return tm_err_set(err, TM_E_USAGE, "release name", what,
                          "use letters, digits, '.', '_' and '-', not starting with '.'",
                          "'%.140s' is no release name of at most %d bytes", name,
                          TM_RELEASE_NAME_MAX);
    }
    if (bytes == 0) {
        return tm_err_set(err, TM_E_USAGE, name, what, NULL, "the package has no bytes");
    }
    size_t notes_max = sizeof(((struct tm_release *)0)->notes) - 1;
    if (strlen(notes) > notes_max) {
        return tm_err_set(err, TM_E_USAGE, name, what, "shorten the notes",
                          "notes of %zu bytes, the limit is %zu", strlen(notes), notes_max);
    }
    const struct tm_release *latest = tm_index_latest(index, name);
    if (index->version >= INT64_MAX || (latest != NULL && latest->counter >= INT64_MAX)) {
        return tm_err_set(err, TM_E_LIMIT, name, what, NULL, "the counter is at its end");
    }
    return TM_OK;
}

tm_status tm_index_add(struct tm_index *index, const char *name, const struct tm_digest *package_id,
                       uint64_t bytes, const char *notes, struct tm_err *err)
{
    notes = notes != NULL ? notes : "";
    TM_TRY(check_new(index, name, bytes, notes, err));
    const struct tm_release *latest = tm_index_latest(index, name);
    struct tm_release added = {.counter = latest != NULL ? latest->counter + 1 : 1,
                               .package_id = *package_id,
                               .bytes = bytes};
    snprintf(added.name, sizeof added.name, "%s", name);
    snprintf(added.notes, sizeof added.notes, "%s", notes);
    tm_release_path(package_id, added.path);
    struct tm_release *more =
        tm_realloc_array(index->releases, index->count + 1, sizeof *index->releases);
    if (more == NULL) {
        return tm_err_set(err, TM_E_NOMEM, name, "cannot add a release", NULL, "out of memory");
    }
    index->releases = more;
    size_t at = index->count;
    while (at > 0 && strcmp(more[at - 1].name, name) > 0) {
        at--;
    }
    memmove(&more[at + 1], &more[at], (index->count - at) * sizeof *more);
    more[at] = added;
    index->count++;
    index->version++;
    return TM_OK;
}

/* ---- writing ---- */

static tm_status put_envelope(const struct tm_identity *identity, struct tm_view payload,
                              struct tm_buf *out)
{
    struct tm_buf text;
    struct tm_signature sig = tm_sign(identity, TM_SIGN_INDEX, payload);
    struct tm_node_id id = tm_identity_node_id(identity);
    char keyid[TM_NODE_ID_TEXT], key[TM_PUBLIC_KEY_TEXT], hex[2 * TM_SIGNATURE_BYTES + 1];
    struct tm_jw jw;
    tm_buf_init(&text, ENVELOPE_MAX - AROUND_PAYLOAD_MAX);
    tm_status status = tm_base64_encode(payload, &text);
    if (status == TM_OK) {
        tm_jw_begin(&jw, out, true);
        tm_jw_object(&jw, NULL);
        tm_jw_strn(&jw, "payload", tm_buf_view(&text));
        tm_jw_str(&jw, "keyid", tm_node_id_hex(&id, keyid));
        tm_jw_str(&jw, "key", tm_public_key_text(tm_identity_public(identity), key));
        tm_jw_str(&jw, "sig", tm_hex_encode(sig.b, TM_SIGNATURE_BYTES, hex));
        tm_jw_object_end(&jw);
        status = tm_jw_end(&jw);
    }
    tm_buf_deinit(&text);
    return status == TM_OK ? tm_buf_put_str(out, "\n") : status;
}

tm_status tm_index_write(const struct tm_index *index, const struct tm_identity *identity,
                         struct tm_buf *out, struct tm_err *err)
{
    struct tm_buf payload;
    size_t before = out->bytes;
    tm_buf_init(&payload, ENVELOPE_MAX);
    tm_status status = tm_index_payload_write(index, &payload);
    if (status == TM_OK) {
        status = put_envelope(identity, tm_buf_view(&payload), out);
    }
    TM_ASSERT(status != TM_OK || out->bytes - before <= ENVELOPE_MAX);
    tm_buf_deinit(&payload);
    if (status != TM_OK) {
        out->bytes = before;
        return tm_err_set(err, status, NULL, "cannot write the index", NULL, "%s with %zu releases",
                          tm_status_text(status), index->count);
    }
    return TM_OK;
}

/* ---- reading ---- */

struct envelope {
    struct tm_view payload; /* base64, borrowed from the document */
    struct tm_public_key key;
    struct tm_signature sig;
};

static tm_status malformed(const char *name, const char *why, struct tm_err *err)
{
    return tm_err_set(err, TM_E_MALFORMED, name, "cannot read the index", NULL, "%s", why);
}

static tm_status read_envelope(const struct tm_json *root, const char *name, struct envelope *out,
                               struct tm_err *err)
{
    struct tm_view keyid, key, sig;
    if (tm_json_kind(root) != TM_JSON_OBJECT || tm_json_count(root) != 4 ||
        !tm_json_str(tm_json_get(root, "payload"), &out->payload) ||
        !tm_json_str(tm_json_get(root, "keyid"), &keyid) ||
        !tm_json_str(tm_json_get(root, "key"), &key) ||
        !tm_json_str(tm_json_get(root, "sig"), &sig)) {
        return malformed(name,
                         "the envelope must be an object with the texts payload, keyid, key "
                         "and sig, and nothing else",
                         err);
    }
    if (tm_public_key_parse(key, &out->key, err) != TM_OK) {
        return malformed(name, "\"key\" is no public key", err);
    }
    char hex[TM_NODE_ID_TEXT];
    struct tm_node_id id = tm_node_id_of(&out->key);
    if (!tm_view_eq_str(keyid, tm_node_id_hex(&id, hex))) {
        return malformed(name, "\"keyid\" is not the id of \"key\"", err);
    }
    if (tm_hex_decode(sig, out->sig.b, TM_SIGNATURE_BYTES) != TM_OK) {
        return malformed(name, "\"sig\" is not 128 hex digits", err);
    }
    return TM_OK;
}

static tm_status check_trust(const struct envelope *e, const char *name,
                             const struct tm_public_key *trusted, size_t trusted_count,
                             struct tm_err *err)
{
    for (size_t i = 0; i < trusted_count; i++) {
        if (tm_public_key_eq(&trusted[i], &e->key)) {
            return TM_OK;
        }
    }
    char hex[TM_NODE_ID_TEXT], text[TM_PUBLIC_KEY_TEXT], hint[200];
    struct tm_node_id id = tm_node_id_of(&e->key);
    snprintf(hint, sizeof hint, "if you know this publisher: trust add %s",
             tm_public_key_text(&e->key, text));
    return tm_err_set(err, TM_E_VERIFY, name, "cannot use the index", hint,
                      "it is signed by key %s, which is not trusted (%zu keys are)",
                      tm_node_id_hex(&id, hex), trusted_count);
}

/* Decodes the payload into `payload` and checks the signature over it. */
static tm_status verify(const struct envelope *e, const char *name, struct tm_buf *payload,
                        struct tm_err *err)
{
    tm_status status = tm_base64_decode(e->payload, payload);
    if (status == TM_E_MALFORMED) {
        return malformed(name, "\"payload\" is not base64", err);
    }
    if (status != TM_OK) {
        return tm_err_set(err, status, name, "cannot read the index", NULL, "%s",
                          tm_status_text(status));
    }
    if (tm_sign_verify(&e->key, TM_SIGN_INDEX, tm_buf_view(payload), &e->sig) != TM_OK) {
        char hex[TM_NODE_ID_TEXT];
        struct tm_node_id id = tm_node_id_of(&e->key);
        return tm_err_set(err, TM_E_VERIFY, name, "cannot use the index", NULL,
                          "the signature is not that of key %s", tm_node_id_hex(&id, hex));
    }
    return TM_OK;
}

tm_status tm_index_read(struct tm_view envelope, const char *name,
                        const struct tm_public_key *trusted, size_t trusted_count,
                        struct tm_index *out, struct tm_public_key *signer, struct tm_err *err)
{
    struct tm_json_doc *doc = NULL;
    struct tm_buf payload;
    struct envelope e = {0};
    tm_index_init(out);
    if (envelope.bytes > ENVELOPE_MAX) {
        return tm_err_set(err, TM_E_LIMIT, name, "cannot read the index", NULL,
                          "it has %zu bytes, the limit is %u", envelope.bytes, ENVELOPE_MAX);
    }
    tm_buf_init(&payload, ENVELOPE_MAX);
    tm_status status;
    TM_TRY_GOTO(tm_json_parse(envelope, name, &doc, err), done);
    TM_TRY_GOTO(read_envelope(tm_json_root(doc), name, &e, err), done);
    TM_TRY_GOTO(check_trust(&e, name, trusted, trusted_count, err), done);
    TM_TRY_GOTO(verify(&e, name, &payload, err), done);
    TM_TRY_GOTO(tm_index_payload_parse(tm_buf_view(&payload), name, out, err), done);
    if (signer != NULL) {
        *signer = e.key;
    }
done:
    tm_buf_deinit(&payload);
    tm_json_free(&doc);
    return status;
}

/* SPDX-License-Identifier: Apache-2.0
 * Writes the sample package to argv[1] with the real writer, and to stdout what a reader must find
 * in it: the judge's expectations come from the sample's definition, not from the file. */
#include <stdio.h>
#include <stdlib.h>

#include "base/json.h"
#include "tests/support/package_sample.h"

static void put_chunks(struct tm_jw *jw, const struct sample *s)
{
    char hex[TM_DIGEST_TEXT];
    tm_jw_array(jw, "chunks");
    for (uint32_t i = 0; i < s->meta.chunk_count; i++) {
        struct tm_digest plain = tm_digest_of(tm_view_of(s->data[i], s->bytes[i]));
        tm_jw_object(jw, NULL);
        tm_jw_u64(jw, "bytes", s->bytes[i]);
        tm_jw_str(jw, "sha256", tm_digest_hex(&plain, hex));
        tm_jw_u64(jw, "rows", s->meta.chunks[i].rows);
        tm_jw_u64(jw, "cols", s->meta.chunks[i].cols);
        tm_jw_u64(jw, "checks", s->ledger.entries[i].checks);
        tm_jw_object_end(jw);
    }
    tm_jw_array_end(jw);
}

static void put_tensors(struct tm_jw *jw, const struct sample *s)
{
    char hex[TM_DIGEST_TEXT];
    tm_jw_array(jw, "tensors");
    for (uint32_t i = 0; i < s->meta.tensor_count; i++) {
        const struct tm_pkg_tensor *t = &s->meta.tensors[i];
        tm_jw_object(jw, NULL);
        tm_jw_strn(jw, "name", tm_view_of(t->name, t->name_bytes));
        tm_jw_u64(jw, "dtype", t->dtype);
        tm_jw_str(jw, "pipeline", s->meta.pipelines[t->pipeline]);
        tm_jw_array(jw, "shape");
        for (uint32_t k = 0; k < t->rank; k++) {
            tm_jw_u64(jw, NULL, t->dim[k]);
        }
        tm_jw_array_end(jw);
        tm_jw_u64(jw, "first_chunk", t->first_chunk);
        tm_jw_u64(jw, "chunk_count", t->chunk_count);
        tm_jw_u64(jw, "source_bytes", t->source_bytes);
        tm_jw_str(jw, "source", tm_digest_hex(&t->source, hex));
        tm_jw_object_end(jw);
    }
    tm_jw_array_end(jw);
}

static void put_attachments(struct tm_jw *jw, const struct sample *s)
{
    tm_jw_array(jw, "attachments");
    for (uint32_t i = 0; i < s->meta.attachment_count; i++) {
        const struct tm_pkg_attachment *a = &s->meta.attachments[i];
        tm_jw_object(jw, NULL);
        tm_jw_str(jw, "name", a->name);
        tm_jw_str(jw, "pipeline", s->meta.pipelines[a->pipeline]);
        tm_jw_u64(jw, "first_chunk", a->first_chunk);
        tm_jw_u64(jw, "chunk_count", a->chunk_count);
        tm_jw_u64(jw, "bytes", a->bytes);
        tm_jw_object_end(jw);
    }
    tm_jw_array_end(jw);
}

static tm_status put_all(const struct sample *s, const char *path, struct tm_buf *out,
                         struct tm_err *err)
{
    char hex[TM_DIGEST_TEXT], key[2 * TM_PUBLIC_KEY_BYTES + 1];
    struct tm_package *package;
    struct tm_jw jw;
    TM_TRY(tm_package_open(path, &package, err));
    tm_jw_begin(&jw, out, true);
    tm_jw_object(&jw, NULL);
    tm_jw_str(&jw, "model_name", s->meta.model_name);
    tm_jw_str(&jw, "arch", s->meta.arch);
    tm_jw_str(&jw, "plan", s->meta.plan);
    tm_jw_str(&jw, "id", tm_digest_hex(tm_package_id(package), hex));
    tm_jw_str(&jw, "root", tm_digest_hex(tm_package_root(package), hex));
    tm_jw_str(&jw, "owner",
              tm_hex_encode(tm_identity_public(s->owner)->b, TM_PUBLIC_KEY_BYTES, key));
    put_tensors(&jw, s);
    put_attachments(&jw, s);
    put_chunks(&jw, s);
    tm_jw_object_end(&jw);
    tm_package_close(&package);
    TM_TRY(tm_jw_end(&jw));
    return tm_buf_terminate(out);
}

int main(int argc, char **argv)
{
    struct sample s;
    struct tm_err err;
    struct tm_buf out;
    char line[1600];
    if (argc != 2) {
        fprintf(stderr, "usage: package_make FILE\n");
        return EXIT_FAILURE;
    }
    sample_make(&s, SAMPLE_SEED);
    tm_buf_init(&out, 1 << 20);
    tm_status status = sample_write(&s, argv[1], &err);
    if (status == TM_OK) {
        status = put_all(&s, argv[1], &out, &err);
    }
    if (status == TM_OK) {
        printf("%s\n", (const char *)out.data);
    } else {
        fprintf(stderr, "package_make: %s\n", tm_err_line(&err, line, sizeof line));
    }
    tm_buf_deinit(&out);
    sample_free(&s);
    return status == TM_OK ? EXIT_SUCCESS : EXIT_FAILURE;
}

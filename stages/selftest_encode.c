/* SPDX-License-Identifier: Apache-2.0
 * The self-test of pipeline_encode.h. */
#include "stages/pipeline_encode.h"

#include <string.h>

#include "base/cpu.h"
#include "stages/vectors_encode.h"

/* SHA-256 over the digests of all vectors in order. */
#define GOLDEN "4d19e0c1607c8b8f7ee1fe25763bc1d6a79db52ecc2afcd033a1dc7f9345c7d1"

/* zstd has no golden bytes (docs/decisions/0002): what it makes must decode to the source. */
static tm_status check_zstd(struct tm_err *err)
{
    uint8_t source[4096], back[sizeof source];
    struct tm_pipeline pipeline;
    struct tm_buf out;
    for (size_t i = 0; i < sizeof source; i++) {
        source[i] = (uint8_t)(i * i >> 9);
    }
    TM_TRY(tm_pipeline_parse(tm_view_str("zstd"), &pipeline, err));
    tm_buf_init(&out, 2 * sizeof source);
    tm_status status =
        tm_pipeline_encode_bytes(&pipeline, tm_view_of(source, sizeof source), &out, err);
    if (status == TM_OK) {
        status = tm_pipeline_decode_bytes(&pipeline, sizeof back, tm_buf_view(&out), back, err);
    }
    tm_buf_deinit(&out);
    if (status == TM_OK && memcmp(source, back, sizeof source) != 0) {
        status = tm_err_set(err, TM_E_VERIFY, "self-test", "this build is not sound", NULL,
                            "zstd does not give its input back");
    }
    return status;
}

static tm_status digest_of_all(struct tm_digest *out, struct tm_err *err)
{
    tm_status status = TM_OK;
    struct tm_hash *hash;
    struct tm_digest one;
    TM_TRY(tm_hash_new(&hash));
    for (size_t i = 0; i < tm_vector_count(); i++) {
        TM_TRY_GOTO(tm_vector_digest(tm_vector_at(i), &one, err), done);
        tm_hash_update(hash, one.b, sizeof one.b);
    }
    *out = tm_hash_final(hash);
done:
    tm_hash_destroy(&hash);
    return status;
}

tm_status tm_selftest(struct tm_digest *out, struct tm_err *err)
{
    struct tm_digest digest;
    char hex[TM_DIGEST_TEXT];
    TM_TRY(digest_of_all(&digest, err));
    if (out != NULL) {
        *out = digest;
    }
    if (strcmp(tm_digest_hex(&digest, hex), GOLDEN) != 0) {
        return tm_err_set(err, TM_E_VERIFY, "self-test", "this build is not sound",
                          "do not join a mesh with it; build it anew or with another compiler",
                          "the golden vectors give %.16s... with kernel %s, expected %.16s...", hex,
                          tm_kernel_name(tm_kernel_current()), GOLDEN);
    }
    return check_zstd(err);
}

struct tm_digest tm_encoders_digest(void)
{
#define ROW(code, value, text, version) #value " " text " " #version "\n"
    static const char all[] = "tensormill encoders\n" TM_STAGE_LIST(ROW) "golden " GOLDEN "\n";
#undef ROW
    return tm_digest_of(tm_view_str(all));
}

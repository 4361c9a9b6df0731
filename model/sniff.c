/* SPDX-License-Identifier: Apache-2.0 */
#include "model/sniff.h"

#include <string.h>
#include <strings.h>

#include "base/bytes.h"
#include "model/llama2c.h"
#include "model/tar.h"

static const char what_failed[] = "cannot read a model";
static const char hint_torch[] = "convert it to safetensors first";

struct signature {
    size_t at;
    const char *bytes;
    size_t count;
    const char *why;
    const char *hint;
};

#define SIGNATURE(at, text, why, hint)                                                             \
    {                                                                                              \
        at, text, sizeof text - 1, why, hint                                                       \
    }

/* Formats that we know by name and cannot read. */
static const struct signature foreign[] = {
    SIGNATURE(0, "lmgg", "an old GGML file (before GGUF)", "convert it to GGUF first"),
    SIGNATURE(0, "tjgg", "an old GGML file (ggjt, before GGUF)", "convert it to GGUF first"),
    SIGNATURE(0, "fmgg", "an old GGML file (ggmf, before GGUF)", "convert it to GGUF first"),
    SIGNATURE(0, "algg", "a GGML adapter (ggla)", "convert it to GGUF first"),
    SIGNATURE(0, "FUGG", "a byte-swapped GGUF file (big-endian magic FUGG)",
              "make it again as a little-endian GGUF"),
    SIGNATURE(0, "\x89HDF\r\n\x1a\n", "an HDF5 file (Keras or TensorFlow)", hint_torch),
    SIGNATURE(4, "TFL3", "a TensorFlow Lite model", hint_torch),
};

/* What holds no model as it is. */
static const struct signature no_models[] = {
    SIGNATURE(0, "\x93NUMPY", "a NumPy array, not a checkpoint", hint_torch),
    SIGNATURE(0, "\x1f\x8b", "compressed with gzip", "unpack it first"),
    SIGNATURE(0, "\x28\xb5\x2f\xfd", "compressed with zstd", "unpack it first"),
    SIGNATURE(0,
              "\xfd"
              "7zXZ",
              "compressed with xz", "unpack it first"),
    SIGNATURE(0, "7z\xbc\xaf", "a 7z archive", "unpack it first"),
    SIGNATURE(0, "BZh", "compressed with bzip2", "unpack it first"),
};

static bool has(struct tm_view head, size_t at, const char *bytes, size_t count)
{
    return head.bytes >= at + count && memcmp(head.data + at, bytes, count) == 0;
}

static bool has_text(struct tm_view head, const char *text)
{
    return has(head, 0, text, strlen(text));
}

tm_status tm_sniff_lfs(struct tm_view head, const char *path, struct tm_err *err)
{
    if (!has_text(head, "version https://git-lfs") && !has_text(head, "version http://git-media") &&
        !has_text(head, "version https://hawser")) {
        return TM_OK;
    }
    return tm_err_set(err, TM_E_MALFORMED, path, what_failed, "fetch the content: git lfs pull",
                      "it is a Git LFS pointer, not the file itself");
}

/* A pickle of protocol 0 has no mark of its own: it begins with a name ("cMODULE\nNAME\n") or with
 * a mark and a container. */
static bool like_old_pickle(struct tm_view head)
{
    if (head.bytes >= 3 && head.data[0] == '(') {
        return memchr("dlicIS", head.data[1], 6) != NULL;
    }
    size_t i = 1;
    while (i < head.bytes && (head.data[i] == '_' || head.data[i] == '.' ||
                              (head.data[i] >= 'A' && (head.data[i] | 0x20) <= 'z'))) {
        i++;
    }
    return head.bytes > 3 && head.data[0] == 'c' && i > 1 && i < head.bytes && head.data[i] == '\n';
}

/* The three forms of PyTorch checkpoints (model/pth.h), and pickles, which it looks into. */
static bool like_pytorch(struct tm_view head)
{
    return has_text(head, "PK\x03\x04") || has_text(head, "PK\x05\x06") ||
           (head.bytes >= 2 && head.data[0] == 0x80 && head.data[1] >= 1 && head.data[1] <= 5) ||
           tm_tar_is(head) || like_old_pickle(head);
}

static tm_status refuse_signature(struct tm_view head, const struct signature *list, size_t count,
                                  tm_status status, const char *path, struct tm_err *err)
{
    for (size_t i = 0; i < count; i++) {
        const struct signature *s = &list[i];
        if (has(head, s->at, s->bytes, s->count)) {
            return tm_err_set(err, status, path, what_failed, s->hint, "it is %s", s->why);
        }
    }
    return TM_OK;
}

static tm_status refuse_foreign(struct tm_view head, const char *path, struct tm_err *err)
{
    /* The first field of an ONNX ModelProto is its version, the second the producer's name. */
    if (head.bytes >= 3 && head.data[0] == 0x08 && head.data[1] < 0x20 && head.data[2] == 0x12) {
        return tm_err_set(err, TM_E_INCOMPATIBLE, path, what_failed, hint_torch,
                          "it is an ONNX model");
    }
    TM_TRY(refuse_signature(head, foreign, sizeof foreign / sizeof foreign[0], TM_E_INCOMPATIBLE,
                            path, err));
    return refuse_signature(head, no_models, sizeof no_models / sizeof no_models[0], TM_E_MALFORMED,
                            path, err);
}

/* The first byte that is no blank and no byte order mark. */
static struct tm_view skip_blanks(struct tm_view head)
{
    if (has_text(head, "\xef\xbb\xbf")) {
        head = tm_view_of(head.data + 3, head.bytes - 3);
    }
    while (head.bytes > 0 && memchr(" \t\r\n", head.data[0], 4) != NULL) {
        head = tm_view_of(head.data + 1, head.bytes - 1);
    }
    return head;
}

static tm_status sniff_text(struct tm_view head, const char *path, enum tm_file_kind *out,
                            bool *known, struct tm_err *err)
{
    struct tm_view text = skip_blanks(head);
    *known = true;
    if (text.bytes > 0 && text.data[0] == '{') {
        *out = TM_FILE_JSON;
        return TM_OK;
    }
    bool markup = text.bytes >= 5 && text.data[0] == '<' &&
                  (strncasecmp((const char *)text.data, "<!doc", 5) == 0 ||
                   strncasecmp((const char *)text.data, "<html", 5) == 0 ||
                   strncasecmp((const char *)text.data, "<head", 5) == 0 ||
                   strncasecmp((const char *)text.data, "<?xml", 5) == 0 ||
                   strncasecmp((const char *)text.data, "<erro", 5) == 0);
    if (markup) {
        return tm_err_set(err, TM_E_MALFORMED, path, what_failed,
                          "the download gave an error page: fetch the file again",
                          "it is a web page (HTML or XML), not a model");
    }
    *known = false;
    return TM_OK;
}

/* '{' where the header starts, perhaps behind blanks, which is no safetensors but is meant to be
 * one; or nothing but a header length. The reader says what is wrong with the rest. */
static bool like_safetensors(struct tm_view head, uint64_t file_bytes)
{
    if (head.bytes < 8) {
        return false;
    }
    uint64_t length = tm_get_u64(head.data);
    if (head.bytes == 8) {
        return length > 0 && length < 1u << 30;
    }
    struct tm_view text = tm_view_of(head.data + 8, head.bytes - 8);
    if (text.data[0] != '{' && length <= file_bytes - 8) {
        text = skip_blanks(text);
    }
    return text.bytes > 0 && text.data[0] == '{';
}

tm_status tm_sniff(struct tm_view head, uint64_t file_bytes, const char *path,
                   enum tm_file_kind *out, struct tm_err *err)
{
    if (file_bytes == 0) {
        return tm_err_set(err, TM_E_MALFORMED, path, what_failed, "fetch the file again",
                          "the file is empty");
    }
    TM_TRY(tm_sniff_lfs(head, path, err));
    if (has_text(head, "GGUF")) {
        *out = TM_FILE_GGUF;
        return TM_OK;
    }
    /* Before the signatures of one or two bytes, which may be sizes of a model (640 is 80 02). */
    if (tm_llama2c_is(head)) {
        *out = TM_FILE_LLAMA2C;
        return TM_OK;
    }
    if (like_safetensors(head, file_bytes)) {
        *out = TM_FILE_SAFETENSORS;
        return TM_OK;
    }
    if (like_pytorch(head)) {
        *out = TM_FILE_PYTORCH;
        return TM_OK;
    }
    TM_TRY(refuse_foreign(head, path, err));
    bool known = false;
    TM_TRY(sniff_text(head, path, out, &known, err));
    if (known) {
        return TM_OK;
    }
    if (head.bytes < 8) {
        return tm_err_set(err, TM_E_MALFORMED, path, what_failed, "fetch the file again",
                          "the file is too short to be a model: %llu bytes",
                          (unsigned long long)file_bytes);
    }
    return tm_err_set(err, TM_E_MALFORMED, path, what_failed,
                      "name a .safetensors, .gguf or .pth file, or a folder that holds one",
                      "it is neither safetensors, GGUF nor PyTorch: it begins with the bytes "
                      "%02x %02x %02x %02x",
                      head.data[0], head.data[1], head.data[2], head.data[3]);
}

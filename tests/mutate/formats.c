/* SPDX-License-Identifier: Apache-2.0 */
#include "tests/mutate/formats.h"

#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "base/bytes.h"
#include "base/json.h"
#include "base/mem.h"
#include "base/toml.h"
#include "crypto/keyfile.h"
#include "model/checkpoint.h"
#include "package/index_payload.h"
#include "package/ledger.h"
#include "package/package_tables.h"
#include "proto/wire.h"
#include "scheduler/plan.h"

/* ---- checkpoints: a file, opened by its content and read whole ---- */

static tm_status read_all(struct tm_checkpoint *checkpoint, struct tm_err *err)
{
    const struct tm_inventory *inventory = tm_checkpoint_inventory(checkpoint);
    for (size_t i = 0; i < inventory->tensor_count; i++) {
        struct tm_digest digest;
        TM_TRY(tm_checkpoint_hash(checkpoint, i, &digest, err));
    }
    for (size_t i = 0; i < inventory->attachment_count; i++) {
        struct tm_buf text;
        tm_buf_init(&text, 64u << 20);
        tm_status status = tm_checkpoint_attachment(checkpoint, i, &text, err);
        tm_buf_deinit(&text);
        TM_TRY(status);
    }
    return TM_OK;
}

/* A file without a name: its path into path[64]. */
static int as_file(struct tm_view bytes, char *path)
{
    int fd = memfd_create("mutate", MFD_CLOEXEC);
    TM_ASSERT(fd >= 0 && write(fd, bytes.data, bytes.bytes) == (ssize_t)bytes.bytes);
    snprintf(path, 64, "/proc/self/fd/%d", fd);
    return fd;
}

static tm_status read_checkpoint(struct tm_view bytes, struct tm_err *err)
{
    char path[64];
    int fd = as_file(bytes, path);
    struct tm_checkpoint *checkpoint = NULL;
    tm_status status = tm_checkpoint_open(path, &checkpoint, err);
    if (status == TM_OK) {
        /* What was accepted must be there: a failure now would be one in the middle of a job. Only
         * the checksums that a zip archive has of its data are looked at now, by hashing. */
        status = read_all(checkpoint, err);
        TM_ASSERT(status == TM_OK || (status == TM_E_MALFORMED && strstr(err->why, "CRC") != NULL));
        tm_checkpoint_close(&checkpoint);
    }
    close(fd);
    return status;
}

/* ---- packages ---- */

static tm_status read_package(struct tm_view bytes, struct tm_err *err)
{
    char path[64];
    int fd = as_file(bytes, path);
    struct tm_package *package = NULL;
    tm_status status = tm_package_open(path, &package, err);
    if (status == TM_OK) {
        uint32_t good;
        status = tm_package_check(package, err);
        if (status == TM_OK) {
            status = tm_package_check_ledger(package, &good, err);
        }
        tm_package_close(&package);
    }
    close(fd);
    return status;
}

/* The tables as if the owner had signed whatever they say: behind the digests, where damage by
 * chance never comes. */
static tm_status read_tables(struct tm_view bytes, struct tm_err *err)
{
    struct tm_pkg_layout layout;
    struct tm_pkg_meta meta;
    TM_TRY(tm_pkg_header_parse(bytes, "tables", &layout, err));
    if (bytes.bytes < layout.front_bytes) {
        return tm_err_set(err, TM_E_MALFORMED, "tables", "cut off", NULL, "at byte %zu",
                          bytes.bytes);
    }
    struct tm_view tables = tm_view_of(bytes.data + TM_PACKAGE_HEADER_BYTES,
                                       (size_t)layout.front_bytes - TM_PACKAGE_HEADER_BYTES);
    TM_TRY(tm_pkg_tables_parse(tables, "tables", &layout, &meta, err));
    tm_pkg_meta_deinit(&meta);
    return TM_OK;
}

static tm_status read_ledger(struct tm_view bytes, struct tm_err *err)
{
    struct tm_pkg_ledger ledger;
    uint32_t chunks = bytes.bytes >= 8 ? tm_get_u32(bytes.data + 4) : 0;
    TM_TRY(tm_pkg_ledger_parse(bytes, 0, "ledger", chunks, &ledger, err));
    tm_pkg_ledger_deinit(&ledger);
    return TM_OK;
}

static tm_status read_index(struct tm_view bytes, struct tm_err *err)
{
    struct tm_index index;
    TM_TRY(tm_index_payload_parse(bytes, "index", &index, err));
    tm_index_deinit(&index);
    return TM_OK;
}

/* ---- texts and messages ---- */

static tm_status read_wire(struct tm_view bytes, struct tm_err *err)
{
    static struct tm_msg message;
    return tm_wire_unpack(bytes, &message, err);
}

static tm_status read_json(struct tm_view bytes, struct tm_err *err)
{
    struct tm_json_doc *doc = NULL;
    TM_TRY(tm_json_parse(bytes, "json", &doc, err));
    tm_json_free(&doc);
    return TM_OK;
}

static tm_status read_toml(struct tm_view bytes, struct tm_err *err)
{
    struct tm_toml *toml = NULL;
    TM_TRY(tm_toml_parse(bytes, "toml", &toml, err));
    tm_toml_free(&toml);
    return TM_OK;
}

static tm_status read_plan(struct tm_view bytes, struct tm_err *err)
{
    static struct tm_tensor tensors[] = {
        {.name = "w", .name_bytes = 1, .dtype = TM_F32, .shape = {.rank = 2, .dim = {64, 64}}},
        {.name = "n", .name_bytes = 1, .dtype = TM_I64, .shape = {.rank = 1, .dim = {7}}},
    };
    static const struct tm_inventory model = {.tensors = tensors, .tensor_count = 2};
    struct tm_plan plan;
    TM_TRY(tm_plan_read(bytes, "plan", &model, &plan, err));
    tm_plan_deinit(&plan);
    return TM_OK;
}

static tm_status read_keyfile(struct tm_view bytes, struct tm_err *err)
{
    struct tm_keyfile file;
    return tm_keyfile_parse(bytes, "key", &file, err);
}

/* ---- the rows ---- */

static const char *const safetensors_words[] = {
    "\"F32\"",          "\"BF16\"",         "\"I64\"", "\"F8_E4M3\"", "\"dtype\"", "\"shape\"",
    "\"data_offsets\"", "\"__metadata__\"", "[0,",     ",{",          "}}",        NULL};
static const char *const gguf_words[] = {"GGUF",
                                         "general.alignment",
                                         "general.architecture",
                                         "tokenizer.ggml.tokens",
                                         "\4\0\0\0",
                                         "\x08\0\0\0",
                                         NULL};
static const char *const pth_words[] = {"ctorch\nFloatStorage\n",
                                        "ctorch\nHalfStorage\n",
                                        "cos\nsystem\n",
                                        "}(",
                                        "u.",
                                        "tR",
                                        "Q",
                                        "h\1",
                                        "\x86",
                                        "data.pkl",
                                        "PK",
                                        NULL};
static const char *const package_words[] = {"int.1", "rans.1", "zstd.1", "(bits=4", "TMPK", NULL};
static const char *const index_words[] = {
    "\"schema\"", "\"version\"", "\"releases\"", "\"name\"", "tmill.index/1",
    "null",       "true",        "{}",           "[]",       NULL};
static const char *const json_words[] = {"null", "true", "\\u0000", "\\ud800", "[[",
                                         "]]",   "{\"",  "\":",     NULL};
static const char *const toml_words[] = {"[[",   "]]",  "=",          "\"\"\"", "'''", "int",
                                         "rans", "\n[", "1979-05-27", "inf",    NULL};

#define CORPUS "tests/corpus/"

const struct format formats[] = {
    {"safetensors", CORPUS "safetensors_fuzz", 0, -1, read_checkpoint, safetensors_words, false},
    {"gguf", CORPUS "gguf_fuzz", 0, -1, read_checkpoint, gguf_words, false},
    {"llama2c", "tests/mutate/seeds/llama2c", 0, -1, read_checkpoint, NULL, false},
    {"pth", CORPUS "pth_fuzz", 0, -1, read_checkpoint, pth_words, false},
    {"package", CORPUS "package_fuzz", 1, 3, read_package, package_words, false},
    {"package-tables", CORPUS "package_fuzz", 1, 0, read_tables, package_words, false},
    {"ledger", CORPUS "package_fuzz", 1, 1, read_ledger, NULL, false},
    {"index", CORPUS "release_fuzz", 1, 0, read_index, index_words, false},
    {"wire", CORPUS "wire_fuzz", 0, -1, read_wire, NULL, true},
    {"json", CORPUS "json_fuzz", 0, -1, read_json, json_words, false},
    {"toml", CORPUS "toml_fuzz", 0, -1, read_toml, toml_words, false},
    {"plan", CORPUS "plan_fuzz", 0, -1, read_plan, toml_words, false},
    {"keyfile", CORPUS "keyfile_fuzz", 0, -1, read_keyfile, NULL, false},
};
const size_t format_count = sizeof formats / sizeof formats[0];

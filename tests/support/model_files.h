/* SPDX-License-Identifier: Apache-2.0
 * Small model files for the tests of model/: every field is given, so that wrong files can be made
 * as easily as right ones. Independent of the writers of the product. */
#ifndef TM_TESTS_MODEL_FILES_H
#define TM_TESTS_MODEL_FILES_H

#include <check.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/buf.h"
#include "base/file.h"

/* ---- folders ---- */

struct test_dir {
    char path[256];
};

static inline struct test_dir test_dir_make(void)
{
    struct test_dir dir;
    const char *tmp = getenv("TMPDIR");
    snprintf(dir.path, sizeof dir.path, "%s/tmill-test-XXXXXX", tmp != NULL ? tmp : "/tmp");
    ck_assert_ptr_nonnull(mkdtemp(dir.path));
    return dir;
}

static inline void test_dir_remove(const struct test_dir *dir)
{
    struct tm_err err;
    ck_assert_int_eq(tm_dir_remove_tree(dir->path, &err), TM_OK);
}

/* The path of a name in the folder, in one of four static buffers. */
static inline const char *test_path(const struct test_dir *dir, const char *name)
{
    static char paths[4][512];
    static unsigned next;
    char *path = paths[next++ % 4];
    snprintf(path, sizeof paths[0], "%s/%s", dir->path, name);
    return path;
}

/* Plain writes: the durable ones would cost a sync for each of thousands of files. */
static inline const char *test_put(const struct test_dir *dir, const char *name, const void *data,
                                   size_t bytes)
{
    const char *path = test_path(dir, name);
    FILE *f = fopen(path, "wb");
    ck_assert_ptr_nonnull(f);
    ck_assert_uint_eq(fwrite(data, 1, bytes, f), bytes);
    ck_assert_int_eq(fclose(f), 0);
    return path;
}

static inline const char *test_put_text(const struct test_dir *dir, const char *name,
                                        const char *text)
{
    return test_put(dir, name, text, strlen(text));
}

static inline const char *test_put_buf(const struct test_dir *dir, const char *name,
                                       const struct tm_buf *buf)
{
    return test_put(dir, name, buf->data, buf->bytes);
}

/* ---- bytes ---- */

static inline void put_bytes(struct tm_buf *buf, const void *data, size_t bytes)
{
    ck_assert_int_eq(tm_buf_put(buf, data, bytes), TM_OK);
}
static inline void put_u32(struct tm_buf *buf, uint32_t value)
{
    ck_assert_int_eq(tm_buf_put_u32(buf, value), TM_OK);
}
static inline void put_u64(struct tm_buf *buf, uint64_t value)
{
    ck_assert_int_eq(tm_buf_put_u64(buf, value), TM_OK);
}
/* bytes 0, 1, 2 ... 255, 0 ... */
static inline void put_data(struct tm_buf *buf, size_t bytes)
{
    for (size_t i = 0; i < bytes; i++) {
        ck_assert_int_eq(tm_buf_put_u8(buf, (uint8_t)i), TM_OK);
    }
}

/* ---- safetensors ---- */

static inline void st_file(struct tm_buf *buf, const char *header, size_t data_bytes)
{
    tm_buf_init(buf, 64u << 20);
    put_u64(buf, strlen(header));
    put_bytes(buf, header, strlen(header));
    put_data(buf, data_bytes);
}

static inline const char *st_put(const struct test_dir *dir, const char *name, const char *header,
                                 size_t data_bytes)
{
    struct tm_buf buf;
    st_file(&buf, header, data_bytes);
    const char *path = test_put_buf(dir, name, &buf);
    tm_buf_deinit(&buf);
    return path;
}

/* ---- GGUF ---- */

static inline void g_begin(struct tm_buf *buf, uint32_t version, uint64_t tensors, uint64_t keys)
{
    tm_buf_init(buf, 64u << 20);
    put_bytes(buf, "GGUF", 4);
    put_u32(buf, version);
    put_u64(buf, tensors);
    put_u64(buf, keys);
}
static inline void g_str(struct tm_buf *buf, const char *text)
{
    put_u64(buf, strlen(text));
    put_bytes(buf, text, strlen(text));
}
static inline void g_key(struct tm_buf *buf, const char *key, uint32_t type)
{
    g_str(buf, key);
    put_u32(buf, type);
}
static inline void g_kv_str(struct tm_buf *buf, const char *key, const char *value)
{
    g_key(buf, key, 8);
    g_str(buf, value);
}
static inline void g_kv_u32(struct tm_buf *buf, const char *key, uint32_t value)
{
    g_key(buf, key, 4);
    put_u32(buf, value);
}
/* texts end with NULL */
static inline void g_kv_strings(struct tm_buf *buf, const char *key, const char *const *texts)
{
    size_t count = 0;
    while (texts[count] != NULL) {
        count++;
    }
    g_key(buf, key, 9);
    put_u32(buf, 8);
    put_u64(buf, count);
    for (size_t i = 0; i < count; i++) {
        g_str(buf, texts[i]);
    }
}
/* ne innermost first */
static inline void g_tensor(struct tm_buf *buf, const char *name, uint32_t rank, const uint64_t *ne,
                            uint32_t type, uint64_t offset)
{
    g_str(buf, name);
    put_u32(buf, rank);
    for (uint32_t i = 0; i < rank; i++) {
        put_u64(buf, ne[i]);
    }
    put_u32(buf, type);
    put_u64(buf, offset);
}
static inline void g_pad(struct tm_buf *buf, size_t alignment)
{
    while (buf->bytes % alignment != 0) {
        ck_assert_int_eq(tm_buf_put_u8(buf, 0), TM_OK);
    }
}

/* ---- messages ---- */

#define ck_assert_says(err, word)                                                                  \
    do {                                                                                           \
        char said_[2048];                                                                          \
        tm_err_line((err), said_, sizeof said_);                                                   \
        ck_assert_msg(strstr(said_, (word)) != NULL, "'%s' is not in: %s", (word), said_);         \
    } while (0)

#endif

/* SPDX-License-Identifier: Apache-2.0
 * Reads paths from stdin, one a line, opens each as a model and prints one line a path: "accept"
 * and a SHA-256 of everything in it, or "refuse", the status and the reason. For
 * judge_safetensors_diff.py, which makes the same digest. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/file.h"
#include "model/checkpoint.h"

/* By bytewise order of names: length and bytes of the name, dtype, rank and dimensions, SHA-256 of
 * the data; numbers as u64. */
static tm_status digest_of(struct tm_checkpoint *checkpoint, struct tm_buf *text,
                           struct tm_digest *out, struct tm_err *err)
{
    const struct tm_inventory *inventory = tm_checkpoint_inventory(checkpoint);
    for (size_t i = 0; i < inventory->tensor_count; i++) {
        size_t index = inventory->by_name[i];
        const struct tm_tensor *t = &inventory->tensors[index];
        struct tm_digest data;
        TM_TRY(tm_buf_put_u64(text, t->name_bytes));
        TM_TRY(tm_buf_put(text, t->name, t->name_bytes));
        TM_TRY(tm_buf_put_str(text, tm_dtype_name(t->dtype)));
        TM_TRY(tm_buf_put_u64(text, t->shape.rank));
        for (uint32_t k = 0; k < t->shape.rank; k++) {
            TM_TRY(tm_buf_put_u64(text, t->shape.dim[k]));
        }
        TM_TRY(tm_checkpoint_hash(checkpoint, index, &data, err));
        TM_TRY(tm_buf_put(text, data.b, sizeof data.b));
    }
    *out = tm_digest_of(tm_buf_view(text));
    return TM_OK;
}

static void judge(const char *path)
{
    struct tm_checkpoint *checkpoint = NULL;
    struct tm_err err = {.status = TM_OK};
    struct tm_digest digest;
    struct tm_buf text;
    char hex[TM_DIGEST_TEXT], line[4096];
    tm_buf_init(&text, 1u << 26);
    tm_status status = tm_checkpoint_open(path, &checkpoint, &err);
    if (status == TM_OK) {
        status = digest_of(checkpoint, &text, &digest, &err);
    }
    if (status == TM_OK) {
        printf("accept\t%s\n", tm_digest_hex(&digest, hex));
    } else {
        tm_err_line(&err, line, sizeof line);
        printf("refuse\t%d\t%s\n", tm_status_exit_code(status), line);
    }
    tm_buf_deinit(&text);
    tm_checkpoint_close(&checkpoint);
}

int main(void)
{
    char path[TM_PATH_MAX];
    while (fgets(path, sizeof path, stdin) != NULL) {
        path[strcspn(path, "\n")] = '\0';
        judge(path);
    }
    return fflush(stdout) == 0 && !ferror(stdin) ? EXIT_SUCCESS : EXIT_FAILURE;
}

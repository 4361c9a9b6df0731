/* SPDX-License-Identifier: Apache-2.0
 * model_rewrite IN OUT safetensors|gguf keep|DTYPE: reads a checkpoint and writes it again, every
 * tensor in its own dtype, or the matrices in another one where their rows are whole blocks of it
 * (the rest then in F32). For judge_rewrite.py. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "model/checkpoint.h"
#include "model/convert.h"
#include "model/writer.h"

enum { PIECE = 1 << 15 }; /* elements, a multiple of every block */

struct rewrite {
    struct tm_checkpoint *in;
    const struct tm_inventory *inventory;
    struct tm_tensor_spec *specs;
    struct tm_writer *out;
    struct tm_buf metadata;
    bool keep;
    enum tm_dtype target;
};

static void declare(struct rewrite *job)
{
    for (size_t i = 0; i < job->inventory->tensor_count; i++) {
        const struct tm_tensor *tensor = &job->inventory->tensors[i];
        uint64_t bytes;
        bool fits = tensor->shape.rank >= 2 && tm_shape_bytes(&tensor->shape, job->target, &bytes);
        enum tm_dtype wanted = fits ? job->target : TM_F32;
        job->specs[i] = (struct tm_tensor_spec){.name = tensor->name,
                                                .name_bytes = tensor->name_bytes,
                                                .dtype = job->keep ? tensor->dtype : wanted,
                                                .shape = tensor->shape};
    }
}

static uint64_t bytes_of(enum tm_dtype dtype, uint64_t elements)
{
    return elements / tm_dtype_block_elements(dtype) * tm_dtype_block_bytes(dtype);
}

static tm_status copy_tensor(struct rewrite *job, size_t index, struct tm_err *err)
{
    static uint8_t from[PIECE * 8];
    static uint8_t to[PIECE * 8];
    static float floats[PIECE];
    const struct tm_tensor *tensor = &job->inventory->tensors[index];
    enum tm_dtype target = job->specs[index].dtype;
    uint64_t elements = 0;
    TM_ASSERT(tm_shape_elements(&tensor->shape, &elements));
    for (uint64_t at = 0; at < elements; at += PIECE) {
        uint64_t count = elements - at < PIECE ? elements - at : PIECE;
        size_t bytes = (size_t)bytes_of(tensor->dtype, count);
        TM_TRY(tm_checkpoint_read(job->in, index, bytes_of(tensor->dtype, at), from, bytes, err));
        if (target == tensor->dtype) {
            TM_TRY(tm_writer_append(job->out, from, bytes, err));
            continue;
        }
        TM_TRY(tm_convert_to_f32(tensor->dtype, from, count, floats));
        TM_TRY(tm_convert_from_f32(target, floats, count, to));
        TM_TRY(tm_writer_append(job->out, to, (size_t)bytes_of(target, count), err));
    }
    return TM_OK;
}

static tm_status load_metadata(struct rewrite *job, struct tm_err *err)
{
    for (size_t i = 0; i < job->inventory->attachment_count; i++) {
        if (strcmp(job->inventory->attachments[i].name, "gguf-metadata") == 0) {
            return tm_checkpoint_attachment(job->in, i, &job->metadata, err);
        }
    }
    return TM_OK;
}

static tm_status rewrite(struct rewrite *job, char **argv, struct tm_err *err)
{
    TM_TRY(tm_checkpoint_open(argv[1], &job->in, err));
    job->inventory = tm_checkpoint_inventory(job->in);
    job->specs = tm_calloc(job->inventory->tensor_count, sizeof *job->specs);
    TM_ASSERT(job->specs != NULL);
    declare(job);
    TM_TRY(load_metadata(job, err));
    struct tm_writer_options options = {
        .format = strcmp(argv[3], "gguf") == 0 ? TM_FORMAT_GGUF : TM_FORMAT_SAFETENSORS,
        .path = argv[2],
        .arch = job->inventory->arch,
        .gguf_metadata = tm_buf_view(&job->metadata)};
    TM_TRY(tm_writer_begin(&options, job->specs, job->inventory->tensor_count, &job->out, err));
    for (size_t i = 0; i < job->inventory->tensor_count; i++) {
        TM_TRY(copy_tensor(job, i, err));
    }
    return tm_writer_finish(&job->out, err);
}

int main(int argc, char **argv)
{
    struct rewrite job = {.keep = true};
    struct tm_err err = {0};
    if (argc != 5) {
        fprintf(stderr, "usage: model_rewrite IN OUT safetensors|gguf keep|DTYPE\n");
        return EXIT_FAILURE;
    }
    job.keep = !tm_dtype_parse(tm_view_str(argv[4]), &job.target);
    tm_buf_init(&job.metadata, 256u << 20);
    tm_status status = rewrite(&job, argv, &err);
    if (status != TM_OK) {
        char line[2048];
        fprintf(stderr, "model_rewrite: %s: %s\n", tm_status_name(status),
                tm_err_line(&err, line, sizeof line));
    }
    tm_writer_abort(&job.out);
    tm_buf_deinit(&job.metadata);
    tm_free(job.specs);
    tm_checkpoint_close(&job.in);
    return status == TM_OK ? EXIT_SUCCESS : EXIT_FAILURE;
}

/* SPDX-License-Identifier: Apache-2.0
 * Checkpoints of llama2.c (a Llama in one file, export.py and run.c there), little-endian. Private
 * to model/.
 *
 *   version 0 = config, tables                     nothing else tells what it is: the sizes must
 * fit version 1 = "24ka", u32 1, config, u8 shared, zeros up to byte 256, tables config    = 7 *
 * i32: dim, hidden, layers, heads, kv heads, vocabulary, context; a version 0 with a classifier of
 * its own has the vocabulary negated tables    = float32 without padding; each kind of tensor for
 * all layers, one layer behind the other (the order of the kinds is in llama2c.c)
 *
 * Tensors get the names of GGUF, which has the same rows: queries and keys rotate in neighbouring
 * pairs in both. The rotation tables at the end of version 0 follow from the config and are left
 * out. Version 2 (int8) is refused. */
#ifndef TM_MODEL_LLAMA2C_H
#define TM_MODEL_LLAMA2C_H

#include "model/sources.h"

#define TM_LLAMA2C_HEAD_BYTES 256 /* of the start of the file, or all of a shorter one */

/* Whether a file that starts with `head` is meant to be one: the magic, or a config with seven
 * sizes that fit to each other. It may still be cut short. */
bool tm_llama2c_is(struct tm_view head);

/* Adds the tensors to the inventory in execution order (not sealed). `head` is the start of a file
 * of file_bytes bytes; path is for errors. TM_E_MALFORMED: the sizes do not give file_bytes;
 * TM_E_INCOMPATIBLE: another version. On failure some tensors may have been added. */
struct tm_llama2c_options {
    const char *path;
    uint32_t file;
    uint64_t file_bytes;
};
tm_status tm_llama2c_parse(struct tm_view head, const struct tm_llama2c_options *options,
                           struct tm_inventory *inventory, struct tm_err *err) TM_MUST_USE;
/* Reads an open file. Attaches a tokenizer.bin beside it, and config and tokenizer as
 * "gguf-metadata", so that an export to GGUF is a whole Llama. Not sealed. */
tm_status tm_llama2c_open(struct tm_sources *sources, uint32_t file,
                          struct tm_err *err) TM_MUST_USE;

#endif

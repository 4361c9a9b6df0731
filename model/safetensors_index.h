/* SPDX-License-Identifier: Apache-2.0
 * Reader of a sharded checkpoint: model.safetensors.index.json (or pytorch_model.bin.index.json)
 * says in its weight_map which tensor is in which file. Map and files must agree both ways. Private
 * to model/. */
#ifndef TM_MODEL_SAFETENSORS_INDEX_H
#define TM_MODEL_SAFETENSORS_INDEX_H

#include "model/sources.h"

#define TM_INDEX_BYTES_MAX (100u << 20)

/* One line of the weight_map. */
struct tm_shards_entry {
    struct tm_view tensor; /* into the texts of the index */
    uint32_t shard;        /* index into shards */
};

struct tm_shards {
    struct tm_buf texts;
    struct tm_shards_entry *entries; /* in bytewise order of names, no name twice */
    size_t entry_count;
    char **shards; /* file names without a folder, in order of first mention, no name twice */
    size_t shard_count;
};

/* TM_E_MALFORMED: no JSON, no weight_map, a name twice, a shard that is not a plain file name. The
 * caller frees with tm_shards_deinit in every case. */
tm_status tm_shards_parse(struct tm_view text, const char *path, struct tm_shards *out,
                          struct tm_err *err) TM_MUST_USE;
void tm_shards_deinit(struct tm_shards *index);

/* Opens the index (an open file) and all its shards from the folder it lies in. */
tm_status tm_shards_open(struct tm_sources *sources, uint32_t file, struct tm_err *err) TM_MUST_USE;

#endif

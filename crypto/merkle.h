/* SPDX-License-Identifier: Apache-2.0
 * Merkle tree over chunks as in RFC 6962 section 2.1: leaf = SHA-256(0x00 || chunk), node =
 * SHA-256(0x01 || left || right), split at the largest power of two below n; the tree of no leaves
 * is SHA-256 of nothing. A leaf hash is also the chunk's content id in stores and on the wire. */
#ifndef TM_CRYPTO_MERKLE_H
#define TM_CRYPTO_MERKLE_H

#include "crypto/digest.h"

struct tm_digest tm_merkle_leaf(struct tm_view chunk);
struct tm_digest tm_merkle_root(const struct tm_digest *leaves, size_t count);

#define TM_MERKLE_PATH_MAX 64
/* Audit path of leaf `index` (RFC 6962 2.1.1), bottom up; *path_count <= TM_MERKLE_PATH_MAX. */
void tm_merkle_path(const struct tm_digest *leaves, size_t count, size_t index,
                    struct tm_digest *path, size_t *path_count);
/* Whether leaf at index of count leaves leads to root by path (RFC 9162 2.1.3.2). */
bool tm_merkle_check_path(const struct tm_digest *leaf, size_t index, size_t count,
                          const struct tm_digest *path, size_t path_count,
                          const struct tm_digest *root);

#endif

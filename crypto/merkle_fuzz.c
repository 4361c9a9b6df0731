/* SPDX-License-Identifier: Apache-2.0
 * Audit paths from strangers. Input: leaf, index, number of leaves (a byte each), then a path of
 * digests. Only the path of the tree itself leads to its root: whatever is accepted is that path.
 */
#include <string.h>

#include "crypto/merkle.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

#define LEAVES_MAX 64

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static struct tm_digest leaves[LEAVES_MAX];
    struct tm_digest path[TM_MERKLE_PATH_MAX], right[TM_MERKLE_PATH_MAX];
    if (size < 4) {
        return 0;
    }
    for (uint8_t i = 0; i < LEAVES_MAX; i++) {
        leaves[i] = tm_merkle_leaf(tm_view_of(&i, 1));
    }
    size_t count = 1u + data[2] % LEAVES_MAX, index = data[1], right_count = 0, path_count = 0;
    const struct tm_digest *leaf = &leaves[data[0] % LEAVES_MAX];
    struct tm_digest root = tm_merkle_root(leaves, count);
    if (index < count) {
        tm_merkle_path(leaves, count, index, right, &right_count);
    }
    if (data[3] % 2 == 0) { /* the right path with some of its bytes changed by the input */
        path_count = right_count;
        memcpy(path, right, right_count * sizeof *path);
        for (size_t i = 4; i + 1 < size && path_count > 0; i += 2) {
            path[data[i] % path_count].b[data[i + 1] % sizeof path->b] ^= data[3];
        }
    } else {
        path_count = (size - 4) / sizeof *path;
        path_count = path_count < TM_MERKLE_PATH_MAX ? path_count : TM_MERKLE_PATH_MAX;
        memcpy(path, data + 4, path_count * sizeof *path);
    }
    bool good = tm_merkle_check_path(leaf, index, count, path, path_count, &root);
    bool is_right = index < count && leaf == &leaves[index] && path_count == right_count &&
                    memcmp(path, right, right_count * sizeof *path) == 0;
    TM_ASSERT(good == is_right);
    return 0;
}

/* SPDX-License-Identifier: Apache-2.0 */
#include "crypto/merkle.h"

static struct tm_digest node_hash(const struct tm_digest *left, const struct tm_digest *right)
{
    static const uint8_t prefix = 0x01;
    const struct tm_view parts[] = {
        {&prefix, 1}, {left->b, TM_DIGEST_BYTES}, {right->b, TM_DIGEST_BYTES}};
    return tm_digest_of_parts(parts, 3);
}

struct tm_digest tm_merkle_leaf(struct tm_view chunk)
{
    static const uint8_t prefix = 0x00;
    const struct tm_view parts[] = {{&prefix, 1}, chunk};
    return tm_digest_of_parts(parts, 2);
}

/* Full subtrees are joined as soon as both halves are there: after i leaves the stack holds one
 * root for each bit set in i, largest first. What is left at the end is joined from the right,
 * which is the RFC's split at the largest power of two. */
struct tm_digest tm_merkle_root(const struct tm_digest *leaves, size_t count)
{
    if (count == 0) {
        return tm_digest_of((struct tm_view){NULL, 0});
    }
    struct tm_digest stack[TM_MERKLE_PATH_MAX + 1];
    size_t depth = 0;
    for (size_t i = 0; i < count; i++) {
        stack[depth++] = leaves[i];
        for (size_t bits = i; (bits & 1) != 0; bits >>= 1) {
            stack[depth - 2] = node_hash(&stack[depth - 2], &stack[depth - 1]);
            depth--;
        }
    }
    while (depth > 1) {
        stack[depth - 2] = node_hash(&stack[depth - 2], &stack[depth - 1]);
        depth--;
    }
    return stack[0];
}

/* The largest power of two below n, n >= 2. */
static size_t split_of(size_t n)
{
    size_t k = 1;
    while (k < n - k) {
        k *= 2;
    }
    return k;
}

void tm_merkle_path(const struct tm_digest *leaves, size_t count, size_t index,
                    struct tm_digest *path, size_t *path_count)
{
    TM_ASSERT(index < count);
    size_t found = 0;
    while (count > 1) {
        size_t k = split_of(count);
        if (index < k) {
            path[found++] = tm_merkle_root(leaves + k, count - k);
            count = k;
        } else {
            path[found++] = tm_merkle_root(leaves, k);
            leaves += k;
            count -= k;
            index -= k;
        }
    }
    for (size_t i = 0; i < found / 2; i++) {
        struct tm_digest swap = path[i];
        path[i] = path[found - 1 - i];
        path[found - 1 - i] = swap;
    }
    *path_count = found;
}

bool tm_merkle_check_path(const struct tm_digest *leaf, size_t index, size_t count,
                          const struct tm_digest *path, size_t path_count,
                          const struct tm_digest *root)
{
    if (index >= count) {
        return false;
    }
    size_t node = index;
    size_t last = count - 1;
    struct tm_digest hash = *leaf;
    for (size_t i = 0; i < path_count; i++) {
        if (last == 0) {
            return false; /* the path is longer than the tree is high */
        }
        if ((node & 1) != 0 || node == last) {
            hash = node_hash(&path[i], &hash);
            TM_ASSERT(node != 0);
            /* A last node without a sibling rises until it has one on its left. */
            while ((node & 1) == 0) {
                node >>= 1;
                last >>= 1;
            }
        } else {
            hash = node_hash(&hash, &path[i]);
        }
        node >>= 1;
        last >>= 1;
    }
    return last == 0 && tm_digest_eq(&hash, root);
}

/* SPDX-License-Identifier: Apache-2.0 */
#include "crypto/merkle.h"

#include <string.h>

#include "tests/support/suite.h"

/* The published vectors of the Certificate Transparency reference implementation: eight leaves, the
 * root of the first n of them, and some audit paths. */
static const char *const leaf_hex[8] = {"",
                                        "00",
                                        "10",
                                        "2021",
                                        "3031",
                                        "40414243",
                                        "5051525354555657",
                                        "606162636465666768696a6b6c6d6e6f"};
static const char *const root_hex[9] = {
    "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855",
    "6e340b9cffb37a989ca544e6bb780a2c78901d3fb33738768511a30617afa01d",
    "fac54203e7cc696cf0dfcb42c92a1d9dbaf70ad9e621f4bd8d98662f00e3c125",
    "aeb6bcfe274b70a14fb067a5e5578264db0fa9b51af5e0ba159158f329e06e77",
    "d37ee418976dd95753c1c73862b9398fa2a2cf9b4ff0fdfe8b30cd95209614b7",
    "4e3bbb1f7b478dcfe71fb631631519a3bca12c9aefca1612bfce4c13a86264d4",
    "76e67dadbcdf1e10e1b74ddc608abd2f98dfb16fbce75277b5232a127f2087ef",
    "ddb89be403809e325750d3d263cd78929c2942b7942a34b77e122c9594a74c8c",
    "5dc9da79a70659a9ad559cb701ded9a2ab9d823aad2f4960cfe370eff4604328",
};
static const struct {
    size_t index, count, path_count;
    const char *path[3];
} paths[] = {
    {0, 1, 0, {NULL}},
    {0,
     8,
     3,
     {"96a296d224f285c67bee93c30f8a309157f0daa35dc5b87e410b78630a09cfc7",
      "5f083f0a1a33ca076a95279832580db3e0ef4584bdff1f54c8a360f50de3031e",
      "6b47aaf29ee3c2af9af889bc1fb9254dabd31177f16232dd6aab035ca39bf6e4"}},
    {5,
     8,
     3,
     {"bc1a0643b12e4d2d7c77918f44e0f4f79a838b6cf9ec5b5c283e1f4d88599e6b",
      "ca854ea128ed050b41b35ffc1b87b8eb2bde461e9e3b5596ece6b9d5975a0ae0",
      "d37ee418976dd95753c1c73862b9398fa2a2cf9b4ff0fdfe8b30cd95209614b7"}},
    {2, 3, 1, {"fac54203e7cc696cf0dfcb42c92a1d9dbaf70ad9e621f4bd8d98662f00e3c125"}},
    {1,
     5,
     3,
     {"6e340b9cffb37a989ca544e6bb780a2c78901d3fb33738768511a30617afa01d",
      "5f083f0a1a33ca076a95279832580db3e0ef4584bdff1f54c8a360f50de3031e",
      "bc1a0643b12e4d2d7c77918f44e0f4f79a838b6cf9ec5b5c283e1f4d88599e6b"}},
};
#define PATH_COUNT (sizeof paths / sizeof paths[0])

static void published_leaves(struct tm_digest out[8])
{
    for (size_t i = 0; i < 8; i++) {
        uint8_t data[16];
        size_t bytes = strlen(leaf_hex[i]) / 2;
        ck_assert_int_eq(tm_hex_decode(tm_view_str(leaf_hex[i]), data, bytes), TM_OK);
        out[i] = tm_merkle_leaf(tm_view_of(data, bytes));
    }
}

START_TEST(roots_are_the_published_ones)
{
    struct tm_digest leaves[8];
    published_leaves(leaves);
    for (size_t n = 0; n <= 8; n++) {
        struct tm_digest root = tm_merkle_root(leaves, n);
        char text[TM_DIGEST_TEXT];
        ck_assert_str_eq(tm_digest_hex(&root, text), root_hex[n]);
    }
}
END_TEST

START_TEST(paths_are_the_published_ones)
{
    struct tm_digest leaves[8];
    published_leaves(leaves);
    for (size_t i = 0; i < PATH_COUNT; i++) {
        struct tm_digest path[TM_MERKLE_PATH_MAX];
        size_t count = 99;
        tm_merkle_path(leaves, paths[i].count, paths[i].index, path, &count);
        ck_assert_uint_eq(count, paths[i].path_count);
        for (size_t k = 0; k < count; k++) {
            char text[TM_DIGEST_TEXT];
            ck_assert_str_eq(tm_digest_hex(&path[k], text), paths[i].path[k]);
        }
    }
}
END_TEST

/* RFC 6962 section 2.1 word for word, as a second opinion for other sizes. */
static struct tm_digest root_by_definition(const struct tm_digest *leaves, size_t n)
{
    if (n == 1) {
        return leaves[0];
    }
    size_t k = 1;
    while (2 * k < n) {
        k *= 2;
    }
    struct tm_digest left = root_by_definition(leaves, k);
    struct tm_digest right = root_by_definition(leaves + k, n - k);
    uint8_t joined[1 + 2 * TM_DIGEST_BYTES] = {0x01};
    memcpy(joined + 1, left.b, sizeof left.b);
    memcpy(joined + 1 + TM_DIGEST_BYTES, right.b, sizeof right.b);
    return tm_digest_of(tm_view_of(joined, sizeof joined));
}

#define SIZE_MAX_TRIED 70

static void numbered_leaves(struct tm_digest out[SIZE_MAX_TRIED])
{
    for (size_t i = 0; i < SIZE_MAX_TRIED; i++) {
        uint8_t byte = (uint8_t)i;
        out[i] = tm_merkle_leaf(tm_view_of(&byte, 1));
    }
}

START_TEST(any_size_follows_the_definition)
{
    struct tm_digest leaves[SIZE_MAX_TRIED];
    numbered_leaves(leaves);
    for (size_t n = 1; n <= SIZE_MAX_TRIED; n++) {
        struct tm_digest root = tm_merkle_root(leaves, n);
        struct tm_digest expected = root_by_definition(leaves, n);
        ck_assert(tm_digest_eq(&root, &expected));
    }
}
END_TEST

START_TEST(every_path_leads_to_the_root_and_no_other_does)
{
    struct tm_digest leaves[SIZE_MAX_TRIED];
    numbered_leaves(leaves);
    for (size_t n = 1; n <= SIZE_MAX_TRIED; n++) {
        struct tm_digest root = tm_merkle_root(leaves, n);
        for (size_t i = 0; i < n; i++) {
            struct tm_digest path[TM_MERKLE_PATH_MAX];
            size_t count;
            tm_merkle_path(leaves, n, i, path, &count);
            ck_assert(tm_merkle_check_path(&leaves[i], i, n, path, count, &root));
            const struct tm_digest *other = &leaves[(i + 1) % SIZE_MAX_TRIED];
            ck_assert(!tm_merkle_check_path(other, i, n, path, count, &root));
            path[count] = root;
            ck_assert(!tm_merkle_check_path(&leaves[i], i, n, path, count + 1, &root));
            if (count > 0) {
                ck_assert(!tm_merkle_check_path(&leaves[i], i, n, path, count - 1, &root));
                path[count / 2].b[5] ^= 1;
                ck_assert(!tm_merkle_check_path(&leaves[i], i, n, path, count, &root));
            }
        }
    }
}
END_TEST

START_TEST(a_path_is_for_its_index_and_count_only)
{
    struct tm_digest leaves[8];
    published_leaves(leaves);
    struct tm_digest root = tm_merkle_root(leaves, 8);
    struct tm_digest path[TM_MERKLE_PATH_MAX];
    size_t count;
    tm_merkle_path(leaves, 8, 5, path, &count);
    for (size_t index = 0; index < 10; index++) {
        bool good = tm_merkle_check_path(&leaves[5], index, 8, path, count, &root);
        ck_assert(good == (index == 5));
    }
    ck_assert(!tm_merkle_check_path(&leaves[5], 0, 0, path, 0, &leaves[5]));
    ck_assert(tm_merkle_check_path(&leaves[5], 0, 1, path, 0, &leaves[5]));
    ck_assert(!tm_merkle_check_path(&leaves[5], 1, 1, path, 0, &leaves[5]));
    ck_assert(!tm_merkle_check_path(&leaves[5], 5, 6, path, count, &root));
    ck_assert(!tm_merkle_check_path(&leaves[5], 5, 16, path, count, &root));
}
END_TEST

START_TEST(leaves_and_nodes_live_in_different_domains)
{
    struct tm_digest leaves[2];
    leaves[0] = tm_merkle_leaf(tm_view_str("a"));
    leaves[1] = tm_merkle_leaf(tm_view_str("b"));
    uint8_t joined[2 * TM_DIGEST_BYTES];
    memcpy(joined, leaves[0].b, TM_DIGEST_BYTES);
    memcpy(joined + TM_DIGEST_BYTES, leaves[1].b, TM_DIGEST_BYTES);
    struct tm_digest root = tm_merkle_root(leaves, 2);
    struct tm_digest forged = tm_merkle_leaf(tm_view_of(joined, sizeof joined));
    ck_assert(!tm_digest_eq(&root, &forged));
    struct tm_digest plain = tm_digest_of(tm_view_str("a"));
    ck_assert(!tm_digest_eq(&leaves[0], &plain));
}
END_TEST

Suite *tm_suite(void)
{
    Suite *suite = suite_create("merkle");
    TCase *tests = tcase_create("merkle");
    tcase_add_test(tests, roots_are_the_published_ones);
    tcase_add_test(tests, paths_are_the_published_ones);
    tcase_add_test(tests, any_size_follows_the_definition);
    tcase_add_test(tests, every_path_leads_to_the_root_and_no_other_does);
    tcase_add_test(tests, a_path_is_for_its_index_and_count_only);
    tcase_add_test(tests, leaves_and_nodes_live_in_different_domains);
    suite_add_tcase(suite, tests);
    return suite;
}

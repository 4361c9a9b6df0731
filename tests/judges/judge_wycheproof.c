/* SPDX-License-Identifier: Apache-2.0
 * Judge of signatures: the vectors of Wycheproof and of CCTV (tests/vectors/ed25519/README.md)
 * through tm_verify_raw, which stands behind every signature that the product checks.
 *   judge_wycheproof FOLDER */
#include <stdio.h>
#include <string.h>

#include "base/file.h"
#include "crypto/digest.h"
#include "crypto/sign.h"

#define FILE_MAX (1u << 20)
#define MESSAGE_MAX 4096
#define FIELDS_MAX 6

struct tally {
    unsigned vectors, accepted, wrong;
};

/* The fields of one line; their number. */
static size_t split(struct tm_view line, struct tm_view fields[FIELDS_MAX])
{
    size_t count = 0;
    while (count < FIELDS_MAX) {
        const uint8_t *blank = memchr(line.data, ' ', line.bytes);
        size_t bytes = blank != NULL ? (size_t)(blank - line.data) : line.bytes;
        fields[count] = tm_view_of(line.data, bytes);
        if (tm_view_eq_str(fields[count], "-")) {
            fields[count].bytes = 0;
        }
        count++;
        if (blank == NULL) {
            break;
        }
        line = tm_view_of(line.data + bytes + 1, line.bytes - bytes - 1);
    }
    return count;
}

/* Whether we accept it; a signature that is not 64 bytes is refused when its text is read. */
static bool accepts(struct tm_view key_hex, struct tm_view sig_hex, struct tm_view message_hex)
{
    struct tm_public_key key;
    struct tm_signature sig;
    static uint8_t message[MESSAGE_MAX];
    size_t bytes = message_hex.bytes / 2;
    TM_ASSERT(bytes <= sizeof message);
    TM_ASSERT(tm_hex_decode(key_hex, key.b, sizeof key.b) == TM_OK);
    TM_ASSERT(tm_hex_decode(message_hex, message, bytes) == TM_OK);
    return tm_hex_decode(sig_hex, sig.b, sizeof sig.b) == TM_OK &&
           tm_verify_raw(&key, tm_view_of(message, bytes), &sig) == TM_OK;
}

static void count(struct tally *t, struct tm_view number, bool accepted, bool expected)
{
    t->vectors++;
    t->accepted += accepted ? 1 : 0;
    if (accepted != expected) {
        t->wrong++;
        printf("vector %.*s: %s, expected the contrary\n", (int)number.bytes,
               (const char *)number.data, accepted ? "accepted" : "refused");
    }
}

static void judge_wycheproof(struct tm_view line, struct tally *t)
{
    struct tm_view f[FIELDS_MAX];
    TM_ASSERT(split(line, f) == 6);
    bool valid = tm_view_eq_str(f[1], "valid");
    TM_ASSERT(valid || tm_view_eq_str(f[1], "invalid"));
    count(t, f[0], accepts(f[2], f[3], f[4]), valid);
}

/* The strict rule: nothing but a low-order component may be remarked. */
static bool only_components(struct tm_view flags)
{
    while (flags.bytes > 0) {
        const uint8_t *comma = memchr(flags.data, ',', flags.bytes);
        size_t bytes = comma != NULL ? (size_t)(comma - flags.data) : flags.bytes;
        struct tm_view flag = tm_view_of(flags.data, bytes);
        if (!tm_view_eq_str(flag, "low_order_component_A") &&
            !tm_view_eq_str(flag, "low_order_component_R")) {
            return false;
        }
        size_t past = comma != NULL ? bytes + 1 : bytes;
        flags = tm_view_of(flags.data + past, flags.bytes - past);
    }
    return true;
}

static void judge_cctv(struct tm_view line, struct tally *t)
{
    struct tm_view f[FIELDS_MAX];
    TM_ASSERT(split(line, f) == 5);
    count(t, f[0], accepts(f[1], f[2], f[3]), only_components(f[4]));
}

/* Every line of DIR/name; the figures must be those of the whole file. */
static bool judge_file(const char *dir, const char *name,
                       void (*judge)(struct tm_view line, struct tally *t), struct tally wanted)
{
    char path[TM_PATH_MAX], line_text[1024];
    struct tm_buf text;
    struct tm_err err = {0};
    struct tally t = {0};
    tm_buf_init(&text, FILE_MAX);
    if (tm_path_join(path, dir, name) != TM_OK || tm_file_read(path, &text, &err) != TM_OK) {
        printf("%s\n", tm_err_line(&err, line_text, sizeof line_text));
        tm_buf_deinit(&text);
        return false;
    }
    for (size_t at = 0; at < text.bytes;) {
        const uint8_t *end = memchr(text.data + at, '\n', text.bytes - at);
        TM_ASSERT(end != NULL);
        size_t bytes = (size_t)(end - text.data) - at;
        judge(tm_view_of(text.data + at, bytes), &t);
        at += bytes + 1;
    }
    tm_buf_deinit(&text);
    printf("%s: %u vectors, %u accepted, %u refused, %u wrong\n", name, t.vectors, t.accepted,
           t.vectors - t.accepted, t.wrong);
    return t.wrong == 0 && t.vectors == wanted.vectors && t.accepted == wanted.accepted;
}

int main(int argc, char **argv)
{
    struct tm_err err = {0};
    if (argc != 2 || tm_crypto_init(&err) != TM_OK) {
        fprintf(stderr, "judge_wycheproof FOLDER\n");
        return 2;
    }
    bool right = judge_file(argv[1], "wycheproof.txt", judge_wycheproof,
                            (struct tally){.vectors = 151, .accepted = 88});
    right &=
        judge_file(argv[1], "cctv.txt", judge_cctv, (struct tally){.vectors = 914, .accepted = 43});
    return right ? 0 : 1;
}

/* SPDX-License-Identifier: Apache-2.0 */
#include "model/where.h"

#include <stdio.h>
#include <string.h>

#define PATH_SHOWN 280 /* bytes; the end of a longer path is the part that tells */
#define NAME_SHOWN 180

/* Writes the (end of the) path and ": " when something follows; returns the bytes written. */
static size_t put_path(struct tm_where *out, const char *path, bool more)
{
    size_t bytes = strlen(path);
    const char *dots = "";
    if (bytes > PATH_SHOWN) {
        path += bytes - PATH_SHOWN;
        dots = "...";
    }
    int n =
        snprintf(out->text, sizeof out->text, "%s%s%s", dots, path, more && bytes > 0 ? ": " : "");
    return n > 0 ? (size_t)n : 0;
}

void tm_where_named(struct tm_where *out, const char *path, const char *noun, struct tm_view name)
{
    size_t at = put_path(out, path, name.bytes > 0);
    if (name.bytes == 0) {
        return;
    }
    bool cut = name.bytes > NAME_SHOWN;
    size_t shown = cut ? NAME_SHOWN : name.bytes;
    at += (size_t)snprintf(out->text + at, sizeof out->text - at, "%s '", noun);
    memcpy(out->text + at, name.data, shown);
    at += shown;
    snprintf(out->text + at, sizeof out->text - at, "%s'", cut ? "..." : "");
}

void tm_where(struct tm_where *out, const char *path, struct tm_view tensor)
{
    tm_where_named(out, path, "tensor", tensor);
}

void tm_where_byte(struct tm_where *out, const char *path, uint64_t offset)
{
    size_t at = put_path(out, path, true);
    snprintf(out->text + at, sizeof out->text - at, "byte %llu", (unsigned long long)offset);
}

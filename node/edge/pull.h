/* SPDX-License-Identifier: Apache-2.0
 * Pulls a release onto the device: signed index, front and back of the package, then only the
 * chunks that the device does not have, each verified on arrival; at last one atomic install. */
#ifndef TM_NODE_PULL_H
#define TM_NODE_PULL_H

#include "node/edge/fetch.h"
#include "package/install.h"

struct tm_pull_options {
    struct tm_device *device;
    const char *location; /* URL or folder */
    const char *name;
    const struct tm_public_key *trusted;
    size_t trusted_count;
    bool quiet;
    const volatile int *stop;
};

struct tm_pull_report {
    uint64_t release, previous; /* previous 0: first install */
    uint64_t package_bytes, fetched_bytes;
    uint32_t chunks, chunks_fetched; /* equal chunks come once */
};

/* Index and package must each be signed by a trusted key. TM_E_NOTHING: the device has the newest
 * release. TM_E_NOT_FOUND: the index does not list it. TM_E_VERIFY: unknown key, bad signature, an
 * older index or release than the device has seen. TM_E_REFUSED: no room for it. TM_E_STOPPED or a
 * failure on the way: the chunks that came are kept and not fetched again. *report is set in every
 * case. */
tm_status tm_pull(const struct tm_pull_options *options, struct tm_pull_report *report,
                  struct tm_err *err) TM_MUST_USE;

#endif

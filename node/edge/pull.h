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
    uint32_t chunks, chunks_fetched;
};

/* TM_E_NOTHING: the device has the newest release. TM_E_VERIFY: unknown key, bad signature, an
 * older index or release than the device has seen. */
tm_status tm_pull(const struct tm_pull_options *options, struct tm_pull_report *report,
                  struct tm_err *err) TM_MUST_USE;

#endif

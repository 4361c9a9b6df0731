/* SPDX-License-Identifier: Apache-2.0
 * Verifies a package: by itself (signature, digests, Merkle tree, ledger), and against its source
 * model by making units again and comparing bits. */
#ifndef TM_NODE_VERIFY_H
#define TM_NODE_VERIFY_H

#include "model/checkpoint.h"
#include "package/package.h"

struct tm_verify_options {
    const char *package_path;
    const char *model_path;            /* NULL: the package alone */
    const char *tensors_under;         /* tm_checkpoint_open_under */
    bool full;                         /* every unit, every tensor hashed whole */
    uint32_t sample;                   /* else that many units */
    const struct tm_public_key *owner; /* must have signed; NULL: any key */
    const uint64_t *seed;              /* of the sample; NULL: random */
    bool quiet;
    const volatile int *stop;
};

struct tm_verify_report {
    struct tm_digest package_id;
    struct tm_public_key owner;
    uint32_t chunks, signatures, nodes, banned; /* checked, all good */
    uint32_t audited, decoded, owner_made;      /* ledger: how the units were checked */
    uint32_t units, units_checked;              /* against the source */
    uint32_t units_reencoded, units_lossless;   /* of units_checked */
    uint32_t tensors, tensors_hashed;
    uint32_t files, files_same; /* that travel along; those that the source has, byte for byte */
    uint64_t seed;
};

/* TM_E_VERIFY names the first thing that does not hold: unit, tensor, reason. */
tm_status tm_verify(const struct tm_verify_options *options, struct tm_verify_report *report,
                    struct tm_err *err) TM_MUST_USE;

#endif

/* SPDX-License-Identifier: Apache-2.0
 * Logits of a base model on disk, so that it is run once for each text: a file for each window, in
 * $XDG_CACHE_HOME/tmill/logits, named by the digest of weights and tokens. A file has the floats of
 * this machine behind a header with their SHA-256, and is believed only when they have it. Memory:
 * what is read at a time. On disk: at most `max_bytes`; those not used for longest go first.
 *
 * A cache that cannot be written is no error: the base is then run each time. */
#ifndef TM_NODE_LOGITS_CACHE_H
#define TM_NODE_LOGITS_CACHE_H

#include "crypto/digest.h"
#include "model/pass/quality.h"

struct tm_logits_cache;

/* weights: tm_weights_digest of the base. dir: NULL for the default place. TM_E_NOMEM; errors of
 * tm_xdg_dir. */
tm_status tm_logits_cache_open(const char *dir, uint64_t max_bytes, const struct tm_digest *weights,
                               struct tm_logits_cache **out, struct tm_err *err) TM_MUST_USE;
void tm_logits_cache_close(struct tm_logits_cache **cache);
/* For tm_quality_options.store; lives as long as the cache. */
const struct tm_logits_store *tm_logits_cache_store(struct tm_logits_cache *cache);

#endif

/* SPDX-License-Identifier: Apache-2.0
 * Models installed on a device. Layout under DIR:
 *   objects/            chunks that arrived but are not installed yet (package/store.h)
 *   models/NAME/N/model.tmpk    generation N (the release counter), immutable once there
 *   models/NAME/current         text: the counter in use; renamed into place, the only commit point
 *   models/NAME/floor           highest counter ever installed; never goes down
 *   lock                        flock, one writer
 * Below DIR no symbolic link is followed (base/root.h); DIR itself may be one.
 * The previous generation is kept for rollback; older ones are removed after a commit. */
#ifndef TM_PACKAGE_INSTALL_H
#define TM_PACKAGE_INSTALL_H

#include "package/package.h"
#include "package/store.h"

struct tm_device;
/* Opens or makes the store; takes the lock when `writer` (TM_E_REFUSED when another holds it). */
tm_status tm_device_open(const char *dir, bool writer, struct tm_device **out,
                         struct tm_err *err) TM_MUST_USE;
void tm_device_close(struct tm_device **device);
struct tm_store *tm_device_chunks(struct tm_device *device);

struct tm_installed {
    char name[129];
    uint64_t current, previous, floor; /* previous 0: none to roll back to */
};
/* All installed models, sorted by name; free with tm_free. */
tm_status tm_device_list(struct tm_device *device, struct tm_installed **out, size_t *count,
                         struct tm_err *err) TM_MUST_USE;
/* TM_E_NOT_FOUND when NAME is not installed. */
tm_status tm_device_find(struct tm_device *device, const char *name, struct tm_installed *out,
                         struct tm_err *err) TM_MUST_USE;
/* Path of the package of a generation into out[TM_PATH_MAX]. */
tm_status tm_device_path(struct tm_device *device, const char *name, uint64_t counter,
                         char *out) TM_MUST_USE;
/* Opens the package of a generation; what is read through *out is then of that one file, whatever
 * happens to its name. */
tm_status tm_device_package(struct tm_device *device, const char *name, uint64_t counter,
                            struct tm_package **out, struct tm_err *err) TM_MUST_USE;
/* Appends chunk `leaf` to out from objects/ or from any installed package; hash checked.
 * TM_E_NOT_FOUND when the device does not have it. */
tm_status tm_device_find_chunk(struct tm_device *device, const struct tm_digest *leaf,
                               struct tm_buf *out, struct tm_err *err) TM_MUST_USE;
/* Puts the package together from front + chunks + back, verifies it whole, makes it durable and
 * current in one rename, raises the floor, removes all but the previous generation and the objects
 * that were used. Refuses counter < floor with TM_E_VERIFY ("older than"). */
struct tm_install_request {
    const char *name;
    uint64_t counter;
    struct tm_view front, back;
    const struct tm_digest *package_id;
    const struct tm_public_key *owner;
};
tm_status tm_device_install(struct tm_device *device, const struct tm_install_request *request,
                            struct tm_err *err) TM_MUST_USE;
/* Makes the previous generation current again. TM_E_NOTHING when there is none. The floor stays. */
tm_status tm_device_rollback(struct tm_device *device, const char *name,
                             struct tm_err *err) TM_MUST_USE;
tm_status tm_device_remove(struct tm_device *device, const char *name,
                           struct tm_err *err) TM_MUST_USE;
/* Highest index version seen from a repository (by signer key), and raising it durably: an older
 * index is refused by the caller. */
tm_status tm_device_index_floor(struct tm_device *device, const struct tm_public_key *signer,
                                uint64_t *out, struct tm_err *err) TM_MUST_USE;
tm_status tm_device_raise_index_floor(struct tm_device *device, const struct tm_public_key *signer,
                                      uint64_t version, struct tm_err *err) TM_MUST_USE;

#endif

/* SPDX-License-Identifier: Apache-2.0
 * What install.c, install_apply.c and install_chunks.c share. Inside package/ only. */
#ifndef TM_PACKAGE_INSTALL_STATE_H
#define TM_PACKAGE_INSTALL_STATE_H

#include "package/digest_map.h"
#include "package/install.h"

struct tm_device {
    char *dir;
    struct tm_root *root; /* of dir: every path below is resolved from it */
    bool writer;
    int lock; /* file descriptor, -1 for readers */
    struct tm_store *chunks;
    /* Installed packages and where their chunks are, built at the first look-up (install_chunks.c);
     * value: package << 32 | chunk. */
    bool indexed;
    struct tm_package **packages;
    size_t package_count, package_capacity;
    struct tm_digest_map leaves;
};

/* ---- install.c ---- */

tm_status tm_device_join(char *out, const char *dir, const char *name,
                         struct tm_err *err) TM_MUST_USE;
/* DIR/models/NAME or an entry in it; a bad name is TM_E_USAGE. */
tm_status tm_device_model_path(const struct tm_device *device, const char *name, const char *entry,
                               char *out, struct tm_err *err) TM_MUST_USE;
/* A file that holds one number from 1 and a line end; written atomically. */
tm_status tm_device_read_number(const struct tm_device *device, const char *path, uint64_t *out,
                                struct tm_err *err) TM_MUST_USE;
tm_status tm_device_write_number(const struct tm_device *device, const char *path, uint64_t value,
                                 struct tm_err *err) TM_MUST_USE;
tm_status tm_device_raise_floor(struct tm_device *device, const char *name, uint64_t counter,
                                struct tm_err *err) TM_MUST_USE;
tm_status tm_device_need_writer(const struct tm_device *device, struct tm_err *err) TM_MUST_USE;
/* Numbers of all generation folders, sorted; free with tm_free. */
tm_status tm_device_generations(struct tm_device *device, const char *name, uint64_t **out,
                                size_t *count, struct tm_err *err) TM_MUST_USE;
/* As tm_device_find, with current = 0 for a model that is not installed. */
tm_status tm_device_state(struct tm_device *device, const char *name, struct tm_installed *out,
                          struct tm_err *err) TM_MUST_USE;
tm_status tm_device_drop_generation(struct tm_device *device, const char *name, uint64_t counter,
                                    struct tm_err *err) TM_MUST_USE;
/* Removes what a writer that died left behind. */
tm_status tm_device_clean(struct tm_device *device, struct tm_err *err) TM_MUST_USE;

/* ---- install_chunks.c ---- */

/* Removes objects that an installed package holds too: an install that was cut short after its
 * commit left them. */
tm_status tm_device_drop_known_objects(struct tm_device *device, struct tm_err *err) TM_MUST_USE;
/* Closes the installed packages; the next look-up opens those that are there then. */
void tm_device_forget_packages(struct tm_device *device);

#endif

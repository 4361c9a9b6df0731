/* SPDX-License-Identifier: Apache-2.0
 * What writers leave that were killed or lost the power: temporary files "NAME.tmp-" and six
 * letters or digits (base/file.h). A living writer holds an flock on its temporary file; one
 * without a lock has no writer any more and is removed. Nothing here fails: what cannot be removed
 * stays. */
#ifndef TM_BASE_LEFTOVER_H
#define TM_BASE_LEFTOVER_H

/* Those of one file, beside it. */
void tm_leftover_remove(const char *path);
/* Those of all files of a folder; not of the folders in it. */
void tm_leftover_remove_all(const char *folder);

#endif

/* SPDX-License-Identifier: Apache-2.0
 * CRC-32 of zip archives (reflected polynomial 0xEDB88320, PKWARE APPNOTE 4.4.7). It finds
 * accidents and nothing else: never use it against an adversary. */
#ifndef TM_MODEL_CRC32_H
#define TM_MODEL_CRC32_H

#include "base/buf.h"

/* The checksum of what `crc` covers followed by data; start with 0. */
uint32_t tm_crc32(uint32_t crc, struct tm_view data);

#endif

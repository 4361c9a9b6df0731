/* SPDX-License-Identifier: Apache-2.0 */
#include "stages/packing.h"

#include <string.h>

size_t tm_packed_bytes(uint32_t alphabet, size_t count)
{
    return alphabet <= 16 ? count / 2 + count % 2 : count;
}

void tm_pack(uint32_t alphabet, const uint8_t *codes, size_t count, uint8_t *out)
{
    if (alphabet > 16) {
        if (count > 0) {
            memcpy(out, codes, count);
        }
        return;
    }
    for (size_t i = 0; i < count / 2; i++) {
        out[i] = (uint8_t)(codes[2 * i] | codes[2 * i + 1] << 4);
    }
    if (count % 2 != 0) {
        out[count / 2] = codes[count - 1];
    }
}

/* Offset of the first symbol that is not below the alphabet, or count. */
static size_t first_outside(uint32_t alphabet, const uint8_t *codes, size_t count)
{
    if (alphabet == 256) {
        return count;
    }
    size_t i = 0;
    while (i < count && codes[i] < alphabet) {
        i++;
    }
    return i;
}

tm_status tm_unpack(uint32_t alphabet, const uint8_t *packed, size_t count, uint8_t *codes,
                    size_t *bad)
{
    if (alphabet > 16) {
        if (count > 0) {
            memcpy(codes, packed, count);
        }
    } else {
        for (size_t i = 0; i < count / 2; i++) {
            codes[2 * i] = packed[i] & 15;
            codes[2 * i + 1] = packed[i] >> 4;
        }
        if (count % 2 != 0) {
            codes[count - 1] = packed[count / 2] & 15;
            if (packed[count / 2] >> 4 != 0) {
                *bad = count / 2;
                return TM_E_MALFORMED;
            }
        }
    }
    size_t outside = alphabet == 16 ? count : first_outside(alphabet, codes, count);
    if (outside < count) {
        *bad = alphabet <= 16 ? outside / 2 : outside;
        return TM_E_MALFORMED;
    }
    return TM_OK;
}

/* SPDX-License-Identifier: Apache-2.0 */
#include "model/crc32.h"

#include <pthread.h>

#include "base/bytes.h"

#define POLYNOMIAL 0xEDB88320u
#define SLICES 16

/* table[k][b]: the checksum of the byte b followed by k zero bytes. Sixteen bytes at a time, after
 * Kounavis and Berry, "A systematic approach to building high performance software-based CRC
 * generators" (2005). */
static uint32_t table[SLICES][256];
static pthread_once_t table_once = PTHREAD_ONCE_INIT;

static void fill_table(void)
{
    for (uint32_t b = 0; b < 256; b++) {
        uint32_t crc = b;
        for (int bit = 0; bit < 8; bit++) {
            crc = (crc >> 1) ^ ((crc & 1) != 0 ? POLYNOMIAL : 0);
        }
        table[0][b] = crc;
    }
    for (uint32_t b = 0; b < 256; b++) {
        for (int k = 1; k < SLICES; k++) {
            table[k][b] = (table[k - 1][b] >> 8) ^ table[0][table[k - 1][b] & 0xff];
        }
    }
}

/* What four bytes add that are followed by `behind` others. */
static uint32_t word(uint32_t value, int behind)
{
    return table[behind + 3][value & 0xff] ^ table[behind + 2][value >> 8 & 0xff] ^
           table[behind + 1][value >> 16 & 0xff] ^ table[behind][value >> 24];
}

uint32_t tm_crc32(uint32_t crc, struct tm_view data)
{
    pthread_once(&table_once, fill_table);
    size_t i = 0;
    crc = ~crc;
    for (; data.bytes - i >= SLICES; i += SLICES) {
        const uint8_t *at = data.data + i;
        uint32_t tail = word(tm_get_u32(at + 4), 8) ^ word(tm_get_u32(at + 8), 4) ^
                        word(tm_get_u32(at + 12), 0);
        crc = word(crc ^ tm_get_u32(at), 12) ^ tail;
    }
    for (; i < data.bytes; i++) {
        crc = (crc >> 8) ^ table[0][(crc ^ data.data[i]) & 0xff];
    }
    return ~crc;
}

/* SPDX-License-Identifier: Apache-2.0 */
#include "model/crc32.h"

#include <pthread.h>

#include "base/bytes.h"

#define POLYNOMIAL 0xEDB88320u
#define SLICES 8

/* table[k][b]: the checksum of the byte b followed by k zero bytes. Eight bytes at a time, after
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

uint32_t tm_crc32(uint32_t crc, struct tm_view data)
{
    pthread_once(&table_once, fill_table);
    size_t i = 0;
    crc = ~crc;
    for (; data.bytes - i >= SLICES; i += SLICES) {
        uint32_t low = crc ^ tm_get_u32(data.data + i), high = tm_get_u32(data.data + i + 4);
        crc = table[7][low & 0xff] ^ table[6][low >> 8 & 0xff] ^ table[5][low >> 16 & 0xff] ^
              table[4][low >> 24] ^ table[3][high & 0xff] ^ table[2][high >> 8 & 0xff] ^
              table[1][high >> 16 & 0xff] ^ table[0][high >> 24];
    }
    for (; i < data.bytes; i++) {
        crc = (crc >> 8) ^ table[0][(crc ^ data.data[i]) & 0xff];
    }
    return ~crc;
}

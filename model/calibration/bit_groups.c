/* SPDX-License-Identifier: Apache-2.0 */
#include "model/calibration/bit_groups.h"

#define WIDTH_MAX 64

static uint64_t fold(int64_t value)
{
    return (uint64_t)value << 1 ^ (value < 0 ? UINT64_MAX : 0);
}

static int64_t unfold(uint64_t folded)
{
    return (int64_t)(folded >> 1 ^ (folded & 1 ? UINT64_MAX : 0));
}

static unsigned width_of(uint64_t value)
{
    return value == 0 ? 0 : 64 - (unsigned)__builtin_clzll(value);
}

static size_t group_bytes(size_t count, unsigned width)
{
    return (count * width + 7) / 8;
}

uint64_t tm_bit_groups_bound(uint64_t count)
{
    return (count + TM_BIT_GROUP - 1) / TM_BIT_GROUP + count * 8;
}

tm_status tm_bit_end(struct tm_bit_writer *writer)
{
    uint64_t all = 0;
    for (size_t i = 0; i < writer->count; i++) {
        all |= writer->group[i];
    }
    if (writer->count == 0) {
        return TM_OK;
    }
    unsigned width = width_of(all);
    size_t bytes = group_bytes(writer->count, width);
    uint8_t *out;
    TM_TRY(tm_buf_extend(writer->out, 1 + bytes, &out));
    memset(out, 0, 1 + bytes);
    out[0] = (uint8_t)width;
    uint64_t bit = 8;
    for (size_t i = 0; i < writer->count; i++) {
        for (unsigned done = 0; done < width;) {
            unsigned at = (unsigned)(bit % 8), n = 8 - at < width - done ? 8 - at : width - done;
            uint64_t part = writer->group[i] >> done & ((1u << n) - 1);
            out[bit / 8] |= (uint8_t)(part << at);
            done += n;
            bit += n;
        }
    }
    writer->count = 0;
    return TM_OK;
}

tm_status tm_bit_put(struct tm_bit_writer *writer, int64_t value)
{
    writer->group[writer->count++] = fold(value);
    return writer->count == TM_BIT_GROUP ? tm_bit_end(writer) : TM_OK;
}

struct tm_bit_reader tm_bit_reader_of(struct tm_cursor *in, uint64_t count)
{
    return (struct tm_bit_reader){.in = in, .left = count};
}

/* Whether the group's bytes are the only ones that its values could have. */
static bool is_the_form(const struct tm_bit_reader *reader, unsigned width, uint64_t all,
                        struct tm_view packed)
{
    unsigned used = (unsigned)(reader->count * width % 8);
    bool padded = used == 0 || packed.data[packed.bytes - 1] >> used == 0;
    return width_of(all) == width && padded;
}

static void next_group(struct tm_bit_reader *reader)
{
    reader->at = 0;
    reader->count = reader->left < TM_BIT_GROUP ? (size_t)reader->left : TM_BIT_GROUP;
    memset(reader->group, 0, sizeof reader->group);
    unsigned width = tm_cursor_u8(reader->in);
    size_t bytes = width <= WIDTH_MAX ? group_bytes(reader->count, width) : 0;
    struct tm_view packed = tm_cursor_take(reader->in, bytes);
    if (width > WIDTH_MAX || reader->in->overrun || packed.bytes != bytes) {
        reader->bad = true;
        return;
    }
    uint64_t bit = 0, all = 0;
    for (size_t i = 0; i < reader->count; i++) {
        for (unsigned done = 0; done < width;) {
            unsigned at = (unsigned)(bit % 8), n = 8 - at < width - done ? 8 - at : width - done;
            uint64_t part = (uint64_t)packed.data[bit / 8] >> at & ((1u << n) - 1);
            reader->group[i] |= part << done;
            done += n;
            bit += n;
        }
        all |= reader->group[i];
    }
    reader->bad = !is_the_form(reader, width, all, packed);
}

int64_t tm_bit_get(struct tm_bit_reader *reader)
{
    TM_ASSERT(reader->left > 0);
    if (!reader->bad && reader->at == reader->count) {
        next_group(reader);
    }
    reader->left--;
    return reader->bad ? 0 : unfold(reader->group[reader->at++]);
}

/* SPDX-License-Identifier: Apache-2.0 */
#include "node/quality/task_vary.h"

#include "base/rng.h"

#define TYPO_EVERY 6        /* one word in so many, at random */
#define TYPO_LETTERS_MIN 4u /* shorter words stay: "on" would become "no" */

static const char *const distractions[] = {
    "The library closes at six on weekdays and at noon on Saturdays. Books can be given back at "
    "any "
    "hour through the slot beside the door.\n\n",
    "My neighbour keeps three bicycles in the hall, of which only the blue one has both wheels. He "
    "says that he will mend the others in spring.\n\n",
    "To make the soup, cut two onions and one leek, let them soften in butter, and add a litre of "
    "broth. Serve it with yesterday's bread.\n\n",
    "The train to the coast has eleven carriages in summer and four in winter. Seats by the window "
    "are on the left if you want to see the lake.\n\n",
};
#define DISTRACTIONS (sizeof distractions / sizeof distractions[0])

const char *tm_task_variant_name(enum tm_task_variant variant)
{
    static const char *const names[] = {"plain", "typos", "distraction"};
    return names[variant];
}

static bool is_letter(uint8_t c)
{
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z');
}

/* Letters [from, to) are a word: with some chance two inside it change places; the first stays. */
static void maybe_swap(uint8_t *text, size_t from, size_t to, struct tm_rng *rng)
{
    uint64_t die = tm_rng_below(rng, TYPO_EVERY), place = tm_rng_u64(rng);
    if (to - from < TYPO_LETTERS_MIN || die != 0) {
        return;
    }
    size_t at = from + 1 + (size_t)(place % (to - from - 2));
    uint8_t kept = text[at];
    text[at] = text[at + 1];
    text[at + 1] = kept;
}

static void add_typos(uint8_t *text, size_t bytes, struct tm_rng *rng)
{
    for (size_t at = 0; at < bytes;) {
        size_t from = at;
        while (at < bytes && is_letter(text[at])) {
            at++;
        }
        if (at > from) {
            maybe_swap(text, from, at, rng);
        } else {
            at++;
        }
    }
}

tm_status tm_task_vary(struct tm_view prompt, enum tm_task_variant variant, uint64_t seed,
                       uint64_t number, struct tm_buf *out)
{
    struct tm_rng rng;
    tm_rng_init(&rng, seed * 0x9e3779b97f4a7c15u + number);
    if (variant == TM_TASK_DISTRACTION) {
        TM_TRY(tm_buf_put_str(out, distractions[tm_rng_below(&rng, DISTRACTIONS)]));
    }
    size_t from = out->bytes;
    TM_TRY(tm_buf_put(out, prompt.data, prompt.bytes));
    if (variant == TM_TASK_TYPOS) {
        add_typos(out->data + from, prompt.bytes, &rng);
    }
    return TM_OK;
}

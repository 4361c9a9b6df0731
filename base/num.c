/* SPDX-License-Identifier: Apache-2.0 */
#include "base/num.h"

#include <float.h>
#include <locale.h>
#include <math.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/bytes.h"

/* The exact decimal expansion of a double has at most 1077 characters. */
#define F64_TEXT_MAX 1280

static locale_t c_locale;
static pthread_once_t c_locale_once = PTHREAD_ONCE_INIT;

static void make_c_locale(void)
{
    c_locale = newlocale(LC_ALL_MASK, "C", (locale_t)0);
    TM_ASSERT(c_locale != (locale_t)0);
}

static locale_t get_c_locale(void)
{
    pthread_once(&c_locale_once, make_c_locale);
    return c_locale;
}

bool tm_add_u64(uint64_t a, uint64_t b, uint64_t *out)
{
    if (b > UINT64_MAX - a) {
        return false;
    }
    *out = a + b;
    return true;
}

bool tm_mul_u64(uint64_t a, uint64_t b, uint64_t *out)
{
    if (a > 0 && b > UINT64_MAX / a) {
        return false;
    }
    *out = a * b;
    return true;
}

bool tm_align_u64(uint64_t a, uint64_t unit, uint64_t *out)
{
    TM_ASSERT(unit > 0);
    uint64_t over = a % unit;
    return tm_add_u64(a, over > 0 ? unit - over : 0, out);
}

static bool is_digit(uint8_t c)
{
    return c >= '0' && c <= '9';
}

/* Digits from text[*at] on; *at moves behind them. */
static size_t skip_digits(struct tm_view text, size_t *at)
{
    size_t start = *at;
    while (*at < text.bytes && is_digit(text.data[*at])) {
        ++*at;
    }
    return *at - start;
}

tm_status tm_parse_u64(struct tm_view text, uint64_t *out)
{
    size_t at = 0;
    if (skip_digits(text, &at) == 0 || at != text.bytes || (at > 1 && text.data[0] == '0')) {
        return TM_E_MALFORMED;
    }
    uint64_t value = 0;
    for (size_t i = 0; i < text.bytes; i++) {
        if (!tm_mul_u64(value, 10, &value) ||
            !tm_add_u64(value, (uint64_t)(text.data[i] - '0'), &value)) {
            return TM_E_LIMIT;
        }
    }
    *out = value;
    return TM_OK;
}

tm_status tm_parse_i64(struct tm_view text, int64_t *out)
{
    bool negative = text.bytes > 0 && text.data[0] == '-';
    if (negative) {
        text = tm_view_of(text.data + 1, text.bytes - 1);
    }
    uint64_t size = 0;
    TM_TRY(tm_parse_u64(text, &size));
    if (size > (uint64_t)INT64_MAX + (negative ? 1 : 0)) {
        return TM_E_LIMIT;
    }
    /* -1 - (size - 1) reaches INT64_MIN without overflow. */
    *out = !negative || size == 0 ? (int64_t)size : -1 - (int64_t)(size - 1);
    return TM_OK;
}

/* -?(0|[1-9][0-9]*)(\.[0-9]+)?([eE][+-]?[0-9]+)? */
static bool is_decimal(struct tm_view text)
{
    size_t at = text.bytes > 0 && text.data[0] == '-' ? 1 : 0;
    size_t first = at;
    size_t whole = skip_digits(text, &at);
    if (whole == 0 || (whole > 1 && text.data[first] == '0')) {
        return false;
    }
    if (at < text.bytes && text.data[at] == '.') {
        at++;
        if (skip_digits(text, &at) == 0) {
            return false;
        }
    }
    if (at < text.bytes && (text.data[at] == 'e' || text.data[at] == 'E')) {
        at++;
        if (at < text.bytes && (text.data[at] == '+' || text.data[at] == '-')) {
            at++;
        }
        if (skip_digits(text, &at) == 0) {
            return false;
        }
    }
    return at == text.bytes;
}

tm_status tm_parse_f64(struct tm_view text, double *out)
{
    if (!is_decimal(text)) {
        return TM_E_MALFORMED;
    }
    char copy[F64_TEXT_MAX];
    if (text.bytes >= sizeof copy) {
        return TM_E_LIMIT;
    }
    memcpy(copy, text.data, text.bytes);
    copy[text.bytes] = '\0';
    double value = strtod_l(copy, NULL, get_c_locale());
    if (!isfinite(value)) {
        return TM_E_LIMIT;
    }
    *out = value;
    return TM_OK;
}

static bool size_unit(struct tm_view unit, uint64_t *out)
{
    static const struct {
        const char *text;
        uint64_t factor;
    } units[] = {
        {"", 1},
        {"B", 1},
        {"k", 1000},
        {"kB", 1000},
        {"K", 1000},
        {"KB", 1000},
        {"M", 1000000},
        {"MB", 1000000},
        {"G", 1000000000},
        {"GB", 1000000000},
        {"T", 1000000000000},
        {"TB", 1000000000000},
        {"KiB", (uint64_t)1 << 10},
        {"kiB", (uint64_t)1 << 10},
        {"MiB", (uint64_t)1 << 20},
        {"GiB", (uint64_t)1 << 30},
        {"TiB", (uint64_t)1 << 40},
    };
    for (size_t i = 0; i < sizeof units / sizeof units[0]; i++) {
        if (tm_view_eq_str(unit, units[i].text)) {
            *out = units[i].factor;
            return true;
        }
    }
    return false;
}

/* The part after the point as a count of units/10^digits, rounded down: at most six digits, so that
 * the product with the largest unit stays below 2^60. */
static tm_status add_fraction(struct tm_view digits, uint64_t factor, uint64_t *bytes)
{
    if (digits.bytes == 0 || factor == 1) {
        return TM_E_MALFORMED;
    }
    if (digits.bytes > 6) {
        return TM_E_LIMIT;
    }
    uint64_t numerator = 0;
    uint64_t denominator = 1;
    for (size_t i = 0; i < digits.bytes; i++) {
        numerator = numerator * 10 + (uint64_t)(digits.data[i] - '0');
        denominator *= 10;
    }
    return tm_add_u64(*bytes, numerator * factor / denominator, bytes) ? TM_OK : TM_E_LIMIT;
}

tm_status tm_parse_size(struct tm_view text, uint64_t *out_bytes)
{
    size_t at = 0;
    skip_digits(text, &at);
    uint64_t whole = 0;
    TM_TRY(tm_parse_u64(tm_view_of(text.data, at), &whole));
    bool point = at < text.bytes && text.data[at] == '.';
    at += point ? 1 : 0;
    size_t fraction_at = at;
    size_t fraction_digits = point ? skip_digits(text, &at) : 0;
    uint64_t factor = 0;
    if (!size_unit(tm_view_of(text.data + at, text.bytes - at), &factor)) {
        return TM_E_MALFORMED;
    }
    uint64_t bytes = 0;
    if (!tm_mul_u64(whole, factor, &bytes)) {
        return TM_E_LIMIT;
    }
    if (point) {
        TM_TRY(add_fraction(tm_view_of(text.data + fraction_at, fraction_digits), factor, &bytes));
    }
    *out_bytes = bytes;
    return TM_OK;
}

tm_status tm_parse_duration_ms(struct tm_view text, uint64_t *out_ms)
{
    static const struct {
        const char *text;
        uint64_t ms;
    } units[] = {{"ms", 1}, {"s", 1000}, {"m", 60000}, {"h", 3600000}};
    size_t at = 0;
    skip_digits(text, &at);
    uint64_t value = 0;
    TM_TRY(tm_parse_u64(tm_view_of(text.data, at), &value));
    struct tm_view unit = tm_view_of(text.data + at, text.bytes - at);
    for (size_t i = 0; i < sizeof units / sizeof units[0]; i++) {
        if (tm_view_eq_str(unit, units[i].text)) {
            return tm_mul_u64(value, units[i].ms, out_ms) ? TM_OK : TM_E_LIMIT;
        }
    }
    return TM_E_MALFORMED;
}

const char *tm_format_bytes(uint64_t bytes, char *out)
{
    static const char *const names[] = {"B", "KiB", "MiB", "GiB", "TiB", "PiB", "EiB"};
    if (bytes < 1024) {
        snprintf(out, TM_NUM_TEXT, "%u B", (unsigned)bytes);
        return out;
    }
    unsigned power = 0;
    while (power < 6 && bytes >> (10 * (power + 1)) > 0) {
        power++;
    }
    /* 20 bits behind the point are plenty for two decimals and cannot overflow below. */
    uint64_t fixed = power > 2 ? bytes >> (10 * (power - 2)) : bytes << (10 * (2 - power));
    uint64_t half = (uint64_t)1 << 19;
    uint64_t hundredths = (fixed * 100 + half) >> 20;
    uint64_t tenths = (fixed * 10 + half) >> 20;
    uint64_t ones = (fixed + half) >> 20;
    if (ones >= 1024 && power < 6) {
        snprintf(out, TM_NUM_TEXT, "1.00 %s", names[power + 1]);
    } else if (hundredths < 1000) {
        snprintf(out, TM_NUM_TEXT, "%u.%02u %s", (unsigned)(hundredths / 100),
                 (unsigned)(hundredths % 100), names[power]);
    } else if (tenths < 1000) {
        snprintf(out, TM_NUM_TEXT, "%u.%u %s", (unsigned)(tenths / 10), (unsigned)(tenths % 10),
                 names[power]);
    } else {
        snprintf(out, TM_NUM_TEXT, "%u %s", (unsigned)ones, names[power]);
    }
    return out;
}

const char *tm_format_f64(double value, char *out)
{
    if (!isfinite(value)) {
        return memcpy(out, "null", sizeof "null");
    }
    if (value == 0) { /* a JSON reader would take "-0" as the integer 0 */
        snprintf(out, TM_NUM_TEXT, "%s", signbit(value) ? "-0.0" : "0");
        return out;
    }
    locale_t c = get_c_locale();
    locale_t before = uselocale(c);
    /* A normal double holds any 15 digits, so %.15g without its trailing zeros is the shortest form
     * if it reads back at all; subnormals hold fewer. */
    int first = fabs(value) < DBL_MIN ? 1 : DBL_DIG;
    for (int digits = first; digits <= 17; digits++) {
        snprintf(out, TM_NUM_TEXT, "%.*g", digits, value);
        if (tm_f64_bits(strtod_l(out, NULL, c)) == tm_f64_bits(value)) {
            break;
        }
    }
    uselocale(before);
    return out;
}

const char *tm_format_short(double value, char *out)
{
    /* Scaled to an integer by hand, so that no locale puts a comma in. */
    if (!(value >= 0 && value < 1e12)) {
        snprintf(out, TM_SHORT_TEXT, "-");
        return out;
    }
    int digits = 0;
    while (digits < 9 && value < 1000) {
        value *= 10;
        digits++;
    }
    uint64_t whole = (uint64_t)(value + 0.5), unit = 1;
    for (int i = 0; i < digits; i++) {
        unit *= 10;
    }
    if (digits == 0) {
        snprintf(out, TM_SHORT_TEXT, "%llu", (unsigned long long)whole);
    } else {
        snprintf(out, TM_SHORT_TEXT, "%llu.%0*llu", (unsigned long long)(whole / unit), digits,
                 (unsigned long long)(whole % unit));
    }
    return out;
}

/* Resource quantities: parsing, canonical printing, arithmetic.
 *
 * Upstream keeps either an int64 with a power of ten or an arbitrary decimal, and rounds what it
 * reads up to 10^-9. Here a value always is an __int128 count of 10^-9: that holds every decimal
 * upstream can store up to 10^28, exactly, and makes comparing and adding plain integer operations.
 */
#include "quantity.h"

#include <errno.h>
#include <stdio.h>

#define NANO ((__int128)1000000000)
#define MAX_INT64_NANO ((__int128)INT64_MAX * NANO)

static const struct suffix {
        const char *text;
        uint8_t base;
        int8_t exponent;
} suffixes[] = {
        { "", 10, 0 },   { "n", 10, -9 }, { "u", 10, -6 }, { "m", 10, -3 }, { "k", 10, 3 },
        { "M", 10, 6 },  { "G", 10, 9 },  { "T", 10, 12 }, { "P", 10, 15 }, { "E", 10, 18 },
        { "Ki", 2, 10 }, { "Mi", 2, 20 }, { "Gi", 2, 30 }, { "Ti", 2, 40 }, { "Pi", 2, 50 },
        { "Ei", 2, 60 },
};

static __int128 max_nano(void)
{
        __int128 v = NANO * NANO * NANO * NANO; /* 10^36 */
        return v * 10;
}

static const char *suffix_find(unsigned base, int exponent)
{
        for (size_t i = 0; i < ARRAY_SIZE(suffixes); i++)
                if (suffixes[i].base == base && suffixes[i].exponent == exponent)
                        return suffixes[i].text;
        return NULL;
}

/* "e3", "E-2": the sign and at least one digit, as strconv.ParseInt takes them. */
static bool parse_exponent(const char *s, int *ret)
{
        bool negative = *s == '-';
        long v = 0;

        if (*s == '+' || *s == '-')
                s++;
        if (!*s)
                return false;
        for (; *s; s++) {
                if (*s < '0' || *s > '9')
                        return false;
                v = MIN(v * 10 + (*s - '0'), 1000L); /* anything above saturates the value */
        }
        *ret = (int)(negative ? -v : v);
        return true;
}

static int parse_suffix(const char *s, unsigned *ret_base, int *ret_exponent, enum quantity_format *ret_format)
{
        for (size_t i = 0; i < ARRAY_SIZE(suffixes); i++) {
                const char *text = suffixes[i].text;

                if (s[0] != text[0] || (s[0] && (s[1] != text[1] || (s[1] && s[2])))) /* none is longer than two */
                        continue;
                *ret_base = suffixes[i].base;
                *ret_exponent = suffixes[i].exponent;
                *ret_format = suffixes[i].base == 2 ? QUANTITY_BINARY_SI : QUANTITY_DECIMAL_SI;
                return 0;
        }
        if ((*s == 'e' || *s == 'E') && s[1] && parse_exponent(s + 1, ret_exponent)) {
                *ret_base = 10;
                *ret_format = QUANTITY_DECIMAL_EXPONENT;
                return 0;
        }
        return -EDOM;
}

/* Where the suffix may end: letters of the known ones, a sign, digits; then nothing. */
static bool suffix_well_formed(const char *s)
{
        if (!*s)
                return true;
        s += strspn(s, "eEinumkKMGTP");
        if (*s == '+' || *s == '-')
                s++;
        s += strspn(s, "0123456789");
        return !*s;
}

/* MANT * 10^POWER, rounded up, saturating. STICKY: digits were cut off that count for rounding. */
static __int128 scale_10(__int128 mant, int power, bool sticky)
{
        static const int64_t tens[] = { 1, 10, 100, 1000, 10000, 100000, 1000000, 10000000, 100000000, 1000000000 };
        __int128 max;

        if (power >= 0 && power < (int)ARRAY_SIZE(tens) && mant < (int64_t)1 << 60) /* nearly all: far below the limit */
                return mant * tens[power] + sticky;
        max = max_nano();
        for (; power > 0 && mant; power--) {
                if (mant > max / 10)
                        return max;
                mant *= 10;
        }
        for (; power < 0 && mant; power++) {
                sticky |= mant % 10 != 0;
                mant /= 10;
        }
        return mant + sticky;
}

/* "100m", "64Mi", "3": nearly all are a few digits with a common suffix or none. False: another one. */
static bool parse_plain(const char *s, struct quantity *ret)
{
        uint64_t v = 0;
        unsigned n = 0;

        for (; s[n] >= '0' && s[n] <= '9'; n++) {
                if (n == 6)
                        return false;
                v = v * 10 + (uint64_t)(s[n] - '0');
        }
        s += n;
        if (!n || !v)
                return false;
        if (!*s || (*s == 'm' && !s[1])) {
                *ret = (struct quantity){ (__int128)(v * (*s ? 1000000 : 1000000000)), QUANTITY_DECIMAL_SI };
                return true;
        }
        if ((*s != 'K' && *s != 'M' && *s != 'G') || s[1] != 'i' || s[2])
                return false;
        *ret = (struct quantity){ (__int128)(v << (*s == 'K' ? 10 : *s == 'M' ? 20 : 30)) * NANO, QUANTITY_BINARY_SI };
        return true;
}

int quantity_parse(const char *s, struct quantity *ret)
{
        struct quantity q = { 0 };
        unsigned base = 10;
        int exponent = 0, fraction = 0, r;
        bool negative = *s == '-', point = false, sticky = false;
        __int128 mant = 0;
        size_t kept = 0;
        const char *p = s;

        if (parse_plain(s, ret))
                return 0;
        if (!*p)
                return -EINVAL;
        if (*p == '+' || *p == '-')
                p++;
        const char *digits = p;
        while ((*p >= '0' && *p <= '9') || (*p == '.' && !point))
                point |= *p++ == '.';
        if (!suffix_well_formed(p))
                return -EINVAL;
        r = parse_suffix(p, &base, &exponent, &q.format);
        if (r < 0)
                return r;

        /* 18 digits times 2^60 still fit; decimals keep twice as many. */
        size_t keep = base == 2 ? 18 : 36;
        point = false;
        for (; digits < p; digits++) {
                if (*digits == '.') {
                        point = true;
                        continue;
                }
                if (kept < keep) {
                        mant = mant * 10 + (*digits - '0');
                        kept += mant != 0;
                        fraction -= point;
                } else {
                        sticky |= *digits != '0';
                        fraction += !point;
                }
        }
        if (base == 2)
                q.nano = scale_10(mant << exponent, fraction + 9, sticky);
        else
                q.nano = scale_10(mant, fraction + exponent + 9, sticky);
        if (q.format == QUANTITY_BINARY_SI) {
                q.nano = MIN(q.nano, MAX_INT64_NANO);
                if (q.nano > 0 && q.nano < NANO)
                        q.format = QUANTITY_DECIMAL_SI;
        }
        if (negative)
                q.nano = -q.nano;
        *ret = q;
        return 0;
}

/* Decimal digits of V (not negative) into the end of BUF. */
static char *print_u128(__int128 v, char *end)
{
        *--end = '\0';
        do {
                *--end = (char)('0' + (int)(v % 10));
                v /= 10;
        } while (v);
        return end;
}

static char *format_decimal(__int128 v, bool negative, enum quantity_format format, char *buf)
{
        char digits[48], *d;
        int exponent = -9;
        const char *suffix;

        while (v % 10 == 0) {
                v /= 10;
                exponent++;
        }
        /* Exponents are multiples of three, downwards, and no more than the greatest suffix. */
        for (; exponent % 3 != 0 || (format == QUANTITY_DECIMAL_SI && exponent > 18); exponent--)
                v *= 10;
        d = print_u128(v, digits + sizeof(digits));
        suffix = suffix_find(10, exponent);
        if (format == QUANTITY_DECIMAL_EXPONENT && exponent != 0)
                snprintf(buf, QUANTITY_BUF, "%s%se%d", negative ? "-" : "", d, exponent);
        else
                snprintf(buf, QUANTITY_BUF, "%s%s%s", negative ? "-" : "", d, suffix ? suffix : "");
        return buf;
}

char *quantity_format(const struct quantity *q, char *buf)
{
        bool negative = q->nano < 0;
        __int128 v = negative ? -q->nano : q->nano;
        char digits[48];
        int exponent = 0;

        if (!v) {
                buf[0] = '0';
                buf[1] = '\0';
                return buf;
        }
        /* Below 1Ki, or with a fraction, a binary suffix would lose something. */
        if (q->format != QUANTITY_BINARY_SI || v < 1024 * NANO || v % NANO != 0)
                return format_decimal(v, negative,
                                      q->format == QUANTITY_BINARY_SI ? QUANTITY_DECIMAL_SI : q->format,
                                      buf);
        v /= NANO;
        for (; v % 1024 == 0 && exponent < 60; exponent += 10)
                v /= 1024;
        snprintf(buf, QUANTITY_BUF, "%s%s%s", negative ? "-" : "", print_u128(v, digits + sizeof(digits)),
                 exponent ? suffix_find(2, exponent) : "");
        return buf;
}

/* --- texts --- */

/* A text taken apart: digits without the point and without zeros in front. */
struct parts {
        char digits[128];
        size_t n, n_fraction;
        unsigned base;
        int exponent;
        enum quantity_format format;
        bool negative;
};

static bool take_apart(const char *s, struct parts *ret)
{
        struct parts p = { .base = 10, .negative = *s == '-' };
        bool point = false;

        s += *s == '+' || *s == '-';
        for (; (*s >= '0' && *s <= '9') || (*s == '.' && !point); s++) {
                if (*s == '.') {
                        point = true;
                        continue;
                }
                p.n_fraction += point;
                if ((*s == '0' && !p.n && !point) || p.n == sizeof(p.digits) - 1)
                        continue;
                p.digits[p.n++] = *s;
        }
        if (parse_suffix(s, &p.base, &p.exponent, &p.format) < 0)
                return false;
        *ret = p;
        return true;
}

/* Upstream's short way: the number is kept in 64 bits, and its text with it. */
static bool is_short(const struct parts *p)
{
        if (p->base == 2)
                return !p->n_fraction && 15 - (int)p->n - (int)((float)p->exponent * 3 / 10) - 1 >= 0;
        return p->n <= 18 && p->exponent - (int)p->n_fraction >= -9;
}

/* No other number and exponent would be printed for it. */
static bool is_canonical(const struct parts *p)
{
        int exponent = p->exponent;

        if (!p->n || p->n_fraction)
                return false;
        if (p->base == 2)
                return p->exponent == 60 || strtoull(p->digits, NULL, 10) % 1024 != 0;
        /* A multiple of three, and no three zeros at the end. */
        return exponent % 3 == 0 && (p->n < 3 || strcmp(p->digits + p->n - 3, "000") != 0);
}

/* Decimals beyond what 128 bits hold. */
static void print_big(struct parts *p, char *buf)
{
        int exponent = p->exponent - (int)p->n_fraction;
        const char *suffix;

        while (p->n > 1 && p->digits[p->n - 1] == '0') {
                p->digits[--p->n] = '\0';
                exponent++;
        }
        for (; (exponent % 3 != 0 || (p->format == QUANTITY_DECIMAL_SI && exponent > 18)) && p->n < 48; exponent--)
                p->digits[p->n++] = '0';
        p->digits[MIN(p->n, (size_t)48)] = '\0';
        suffix = suffix_find(10, exponent);
        if (p->format == QUANTITY_DECIMAL_EXPONENT && exponent)
                snprintf(buf, QUANTITY_BUF, "%s%.48se%d", p->negative ? "-" : "", p->digits, exponent);
        else
                snprintf(buf, QUANTITY_BUF, "%s%.48s%s", p->negative ? "-" : "", p->digits, suffix ? suffix : "");
}

/* "100m", "64Mi", "3": a few digits that no larger unit could say. False: maybe others, too. */
static bool plain_text(const char *s)
{
        unsigned v = 0, n = 0;

        if (*s < '1' || *s > '9')
                return false;
        for (; *s >= '0' && *s <= '9' && n < 6; s++, n++)
                v = v * 10 + (unsigned)(*s - '0');
        if (!*s || ((*s == 'm' || *s == 'k' || *s == 'M' || *s == 'G') && !s[1]))
                return v % 1000 != 0;
        return (*s == 'K' || *s == 'M' || *s == 'G') && s[1] == 'i' && !s[2] && v % 1024 != 0;
}

int quantity_keep_text(const char *s, char buf[QUANTITY_BUF])
{
        struct quantity q;
        struct parts p;
        int r;

        if (plain_text(s)) {
                memcpy(buf, s, strlen(s) + 1);
                return 0;
        }
        r = quantity_parse(s, &q);
        if (r < 0)
                return r;
        if (!take_apart(s, &p))
                return -EDOM;
        if (is_short(&p) && is_canonical(&p) && strlen(s) < QUANTITY_BUF)
                memcpy(buf, s, strlen(s) + 1);
        else if (p.base == 10 && (q.nano == max_nano() || q.nano == -max_nano()))
                print_big(&p, buf);
        else
                quantity_format(&q, buf);
        return 0;
}

bool quantity_seems_fractional(const char *s)
{
        struct quantity q;
        struct parts p;
        uint64_t low = 0;

        if (quantity_parse(s, &q) < 0 || !take_apart(s, &p))
                return false;
        if (q.nano % NANO != 0)
                return true;
        if (q.nano / 1000000 <= INT64_MAX && q.nano / 1000000 >= INT64_MIN)
                return false;
        if (is_short(&p))
                return false; /* upstream takes the thousandths for none where they do not fit */
        if (p.base == 2)
                low = (uint64_t)(q.nano / NANO);
        else
                for (size_t i = 0; i < p.n; i++) /* and for those that are left of them in 64 bits here */
                        low = low * 10 + (uint64_t)(p.digits[i] - '0');
        return (int64_t)(low * 1000) % 1000 != 0;
}

int quantity_cmp(const struct quantity *a, const struct quantity *b)
{
        return a->nano < b->nano ? -1 : a->nano > b->nano;
}

static __int128 clamp(__int128 v)
{
        __int128 max = max_nano();

        return v > max ? max : v < -max ? -max : v;
}

void quantity_add(struct quantity *a, const struct quantity *b)
{
        if (!a->nano)
                a->format = b->format;
        a->nano = clamp(a->nano + b->nano);
}

void quantity_sub(struct quantity *a, const struct quantity *b)
{
        if (!a->nano)
                a->format = b->format;
        a->nano = clamp(a->nano - b->nano);
}

void quantity_round_up_milli(struct quantity *q)
{
        const __int128 step = 1000000;
        __int128 rest = q->nano % step;

        if (rest > 0)
                q->nano += step - rest;
        else if (rest < 0)
                q->nano -= step + rest;
}

/* Towards plus infinity, saturating. */
static int64_t in_units(__int128 nano, __int128 unit)
{
        __int128 v = nano / unit + (nano > 0 && nano % unit != 0);

        return v > INT64_MAX ? INT64_MAX : v < INT64_MIN ? INT64_MIN : (int64_t)v;
}

int64_t quantity_value(const struct quantity *q)
{
        return in_units(q->nano, NANO);
}

int64_t quantity_milli(const struct quantity *q)
{
        return in_units(q->nano, 1000000);
}

struct quantity quantity_from_int(int64_t v, enum quantity_format f)
{
        return (struct quantity){ .nano = v * NANO, .format = f };
}

struct quantity quantity_from_milli(int64_t v, enum quantity_format f)
{
        return (struct quantity){ .nano = (__int128)v * 1000000, .format = f };
}

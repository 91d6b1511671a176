/* Go's layouts, element by element (go-time.h): the first element that does not fit names the error, but
 * whether the month has such a day is asked last. */
#include "go-time.h"

#include <time.h>

#include "../../lib/base/time.h"

static const struct element {
        const char *layout; /* how Go spells the element; what is no number is itself */
        unsigned digits;
        int min, max;
        const char *range;  /* the field named when out of range */
} elements[] = {
        { "2006", 4, 0, 9999, "year" }, { "-", 0 },  { "01", 2, 1, 12, "month" }, { "-", 0 },
        { "02", 2, 0, 99, "day" },      { "T", 0 },  { "15", 2, 0, 23, "hour" },  { ":", 0 },
        { "04", 2, 0, 59, "minute" },   { ":", 0 },  { "05", 2, 0, 59, "second" },
};

static bool digit(char c)
{
        return c >= '0' && c <= '9';
}

static char *failed(struct arena *a, const char *s, bool micro, const char *fmt, const char *rest, const char *element)
{
        const char *layout = micro ? "2006-01-02T15:04:05.000000Z07:00" : "2006-01-02T15:04:05Z07:00";

        return arena_printf(a, fmt, s, layout, rest, element);
}

#define CANNOT_PARSE "parsing time \"%s\" as \"%s\": cannot parse \"%s\" as \"%s\""

/* One element of digits or a literal; moves *PP behind it. Digits come back as a number. */
static char *element(struct arena *a, const char *s, const char **pp, bool micro, const struct element *e, int *ret)
{
        const char *p = *pp;
        int n = 0;

        if (!e->digits) {
                if (*p != *e->layout)
                        return failed(a, s, micro, CANNOT_PARSE, p, e->layout);
                *pp = p + 1;
                return NULL;
        }
        for (unsigned i = 0; i < e->digits; i++) {
                if (!digit(p[i]))
                        return failed(a, s, micro, CANNOT_PARSE, p, e->layout);
                n = n * 10 + p[i] - '0';
        }
        if (n < e->min || n > e->max)
                return arena_printf(a, "parsing time \"%s\": %s out of range", s, e->range);
        *pp = p + e->digits;
        *ret = n;
        return NULL;
}

static char *fraction(struct arena *a, const char *s, const char **pp, bool micro, int *ret_us)
{
        const char *p = *pp;
        unsigned n = 0;

        if (*p == '.' || (!micro && *p == ','))
                while (digit(p[1 + n]))
                        n++;
        if (micro && n < 6)
                return failed(a, s, micro, CANNOT_PARSE, p, ".000000");
        *ret_us = 0;
        for (unsigned i = 0; i < 6; i++)
                *ret_us = *ret_us * 10 + (i < n ? p[1 + i] - '0' : 0);
        if (n)
                *pp = p + 1 + (micro ? 6 : n);
        return NULL;
}

/* "Z" or "+01:00"; Go takes 24 hours and 60 minutes of an offset, too. */
static char *zone(struct arena *a, const char *s, const char **pp, bool micro, int *ret_seconds)
{
        const char *p = *pp;
        int hours, minutes;

        *ret_seconds = 0;
        if (*p == 'Z') {
                *pp = p + 1;
                return NULL;
        }
        if ((*p != '+' && *p != '-') || !digit(p[1]) || !digit(p[2]) || p[3] != ':' || !digit(p[4]) || !digit(p[5]))
                return failed(a, s, micro, CANNOT_PARSE, p, "Z07:00");
        hours = 10 * (p[1] - '0') + p[2] - '0';
        minutes = 10 * (p[4] - '0') + p[5] - '0';
        if (hours > 24 || minutes > 60)
                return arena_printf(a, "parsing time \"%s\": time zone offset %s out of range", s,
                                    hours > 24 ? "hour" : "minute");
        *ret_seconds = (*p == '-' ? -60 : 60) * (60 * hours + minutes);
        *pp = p + 6;
        return NULL;
}

/* Seconds since 1970 and microseconds: int64 nanoseconds would end in the years 1677 and 2262. */
static char *parse(struct arena *a, const char *s, bool micro, int64_t *ret_seconds, int *ret_us)
{
        int n[ARRAY_SIZE(elements)] = { 0 }, offset;
        const char *p = s;
        char *text;

        for (size_t i = 0; i < ARRAY_SIZE(elements); i++) {
                text = element(a, s, &p, micro, &elements[i], &n[i]);
                if (text)
                        return text;
        }
        text = fraction(a, s, &p, micro, ret_us);
        if (!text)
                text = zone(a, s, &p, micro, &offset);
        if (text)
                return text;
        if (*p)
                return arena_printf(a, "parsing time \"%s\": extra text: \"%s\"", s, p);
        if (n[4] < 1 || n[4] > time_days_in_month(n[0], n[2]))
                return arena_printf(a, "parsing time \"%s\": day out of range", s);
        *ret_seconds = time_days_since_1970(n[0], n[2], n[4]) * 86400 + n[6] * 3600 + n[8] * 60 + n[10] - offset;
        return NULL;
}

char *go_time_parse(struct arena *a, const char *s, bool micro, int64_t *ret_real_ns)
{
        int64_t seconds = 0, ns;
        int us = 0;
        char *text = parse(a, s, micro, &seconds, &us);

        if (text)
                return text;
        if (__builtin_mul_overflow(seconds, NS_PER_SEC, &ns) || __builtin_add_overflow(ns, us * 1000LL, &ns))
                ns = seconds < 0 ? INT64_MIN : INT64_MAX; /* the nearest that fits */
        *ret_real_ns = ns;
        return NULL;
}

#define ZERO_TIME (-62135596800LL) /* Go's zero: the year 1 begins */

char *go_time_canonical(struct arena *a, const char *s, bool micro, const char **ret_text)
{
        int64_t seconds = 0;
        int us = 0;
        char *text = parse(a, s, micro, &seconds, &us);
        time_t t = seconds;
        struct tm tm;
        int year;

        if (text)
                return text;
        if (seconds == ZERO_TIME && (!micro || us == 0)) {
                *ret_text = NULL;
                return NULL;
        }
        gmtime_r(&t, &tm);
        year = tm.tm_year + 1900;
        text = arena_printf(a, "%s%04d-%02d-%02dT%02d:%02d:%02d", year < 0 ? "-" : "", year < 0 ? -year : year,
                            tm.tm_mon + 1, tm.tm_mday, tm.tm_hour, tm.tm_min, tm.tm_sec);
        *ret_text = micro ? arena_printf(a, "%s.%06dZ", text, us) : arena_printf(a, "%sZ", text);
        return NULL;
}

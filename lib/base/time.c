/* Clocks, RFC 3339 and Go's durations: see time.h. */
#include "time.h"

#include <ctype.h>
#include <errno.h>
#include <stdio.h>
#include <time.h>

static int64_t clock_ns(clockid_t id)
{
        struct timespec ts;

        clock_gettime(id, &ts);
        return ts.tv_sec * NS_PER_SEC + ts.tv_nsec;
}

int64_t time_mono(void)
{
        return clock_ns(CLOCK_MONOTONIC);
}

int64_t time_real(void)
{
        return clock_ns(CLOCK_REALTIME);
}

static void split(int64_t ns, time_t *ret_sec, int64_t *ret_frac)
{
        *ret_sec = ns / NS_PER_SEC;
        *ret_frac = ns % NS_PER_SEC;
        if (*ret_frac < 0) {
                *ret_frac += NS_PER_SEC;
                (*ret_sec)--;
        }
}

char *time_format(int64_t real_ns, char *buf)
{
        static _Thread_local char last[TIME_BUF]; /* many ask within a second */
        static _Thread_local time_t last_sec = -1;
        struct tm tm;
        int64_t frac;
        time_t sec;

        split(real_ns, &sec, &frac);
        if (sec != last_sec) {
                gmtime_r(&sec, &tm);
                strftime(last, sizeof(last), "%Y-%m-%dT%H:%M:%SZ", &tm);
                last_sec = sec;
        }
        return memcpy(buf, last, TIME_BUF);
}

char *time_format_micro(int64_t real_ns, char *buf)
{
        struct tm tm;
        int64_t frac;
        time_t sec;
        size_t n;

        split(real_ns, &sec, &frac);
        gmtime_r(&sec, &tm);
        n = strftime(buf, TIME_BUF, "%Y-%m-%dT%H:%M:%S", &tm);
        snprintf(buf + n, TIME_BUF - n, ".%06dZ", (int)(frac / 1000));
        return buf;
}

/* Reads exactly N digits. */
static bool digits(const char **s, int n, int *ret)
{
        *ret = 0;
        for (int i = 0; i < n; i++, (*s)++) {
                if (!isdigit((unsigned char)**s))
                        return false;
                *ret = *ret * 10 + (**s - '0');
        }
        return true;
}

static bool literal(const char **s, const char *any_of)
{
        if (!**s || !strchr(any_of, **s))
                return false;
        (*s)++;
        return true;
}

int time_days_in_month(int year, int month)
{
        static const int days[] = { 31, 28, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31 };
        bool leap = (year % 4 == 0 && year % 100 != 0) || year % 400 == 0;

        return month == 2 && leap ? 29 : days[month - 1];
}

/* Years are taken to begin in March, so that the day a leap year adds is their last, and 400 later, so that none is negative.
 * timegm() takes twenty times as long. */
int64_t time_days_since_1970(int year, int month, int day)
{
        int64_t y = (month > 2 ? year : year - 1) + 400, of_year = (153 * (month > 2 ? month - 3 : month + 9) + 2) / 5 + day - 1;

        return y * 365 + y / 4 - y / 100 + y / 400 + of_year - 719468 - 146097;
}

int time_parse(const char *s, int64_t *ret_real_ns)
{
        struct tm tm = { 0 };
        int64_t frac = 0, offset = 0, unit = NS_PER_SEC / 10;
        int year, hours, minutes;

        if (!digits(&s, 4, &year) || !literal(&s, "-") || !digits(&s, 2, &tm.tm_mon) ||
            !literal(&s, "-") || !digits(&s, 2, &tm.tm_mday) || !literal(&s, "T") ||
            !digits(&s, 2, &tm.tm_hour) || !literal(&s, ":") || !digits(&s, 2, &tm.tm_min) ||
            !literal(&s, ":") || !digits(&s, 2, &tm.tm_sec))
                return -EINVAL;
        if (tm.tm_mon < 1 || tm.tm_mon > 12 || tm.tm_mday < 1 ||
            tm.tm_mday > time_days_in_month(year, tm.tm_mon) || tm.tm_hour > 23 || tm.tm_min > 59 ||
            tm.tm_sec > 59)
                return -EINVAL;
        if (literal(&s, ".")) {
                if (!isdigit((unsigned char)*s))
                        return -EINVAL;
                for (; isdigit((unsigned char)*s); s++, unit /= 10)
                        frac += (*s - '0') * unit;
        }
        if (*s == '+' || *s == '-') {
                int sign = *s++ == '-' ? -1 : 1;

                if (!digits(&s, 2, &hours) || !literal(&s, ":") || !digits(&s, 2, &minutes) ||
                    hours > 23 || minutes > 59)
                        return -EINVAL;
                offset = sign * (hours * 60 + minutes) * 60;
        } else if (!literal(&s, "Z")) {
                return -EINVAL;
        }
        if (*s)
                return -EINVAL;
        int64_t seconds = time_days_since_1970(year, tm.tm_mon, tm.tm_mday) * 86400 + tm.tm_hour * 3600 + tm.tm_min * 60 + tm.tm_sec -
                          offset, ns;

        /* What lies beyond the years 1678 to 2262 does not fit: the nearest that does. */
        if (__builtin_mul_overflow(seconds, NS_PER_SEC, &ns) ||
            __builtin_add_overflow(ns, frac, &ns))
                ns = seconds < 0 ? INT64_MIN : INT64_MAX;
        *ret_real_ns = ns;
        return 0;
}

static const struct unit {
        const char *name;
        int64_t ns;
} units[] = {
        /* Longer names first: "ms" before "m". */
        { "ns", 1 },         { "us", 1000 },         { "\xc2\xb5s", 1000 },   { "ms", NS_PER_MS },
        { "s", NS_PER_SEC }, { "m", 60 * NS_PER_SEC }, { "h", 3600 * NS_PER_SEC },
};

static const struct unit *unit_at(const char *s)
{
        for (size_t i = 0; i < ARRAY_SIZE(units); i++)
                if (str_has_prefix(s, units[i].name))
                        return &units[i];
        return NULL;
}

int duration_parse(const char *s, int64_t *ret_ns)
{
        bool negative = *s == '-';
        double total = 0;

        if (*s == '-' || *s == '+')
                s++;
        if (streq(s, "0")) {
                *ret_ns = 0;
                return 0;
        }
        if (!*s)
                return -EINVAL;
        while (*s) {
                const struct unit *unit;
                double value = 0, scale = 1;
                bool any = false;

                for (; isdigit((unsigned char)*s); s++, any = true)
                        value = value * 10 + (*s - '0');
                if (*s == '.')
                        for (s++; isdigit((unsigned char)*s); s++, any = true)
                                value += (*s - '0') * (scale /= 10);
                unit = any ? unit_at(s) : NULL;
                if (!unit)
                        return -EINVAL;
                s += strlen(unit->name);
                total += value * (double)unit->ns;
        }
        if (total > 9.2e18)
                return -EINVAL;
        *ret_ns = (int64_t)(negative ? -total : total);
        return 0;
}

/* "1.5" from 1500 thousandths: no trailing zeros. */
static void fraction(char *buf, size_t size, int64_t value, int64_t unit, const char *name)
{
        char frac[32] = "";

        if (value % unit) {
                int width = 0;

                for (int64_t u = unit; u > 1; u /= 10)
                        width++;
                snprintf(frac, sizeof(frac), ".%0*d", width, (int)(value % unit));
                for (size_t n = strlen(frac); frac[n - 1] == '0'; n--)
                        frac[n - 1] = '\0';
        }
        snprintf(buf, size, "%lld%s%s", (long long)(value / unit), frac, name);
}

char *duration_format(int64_t ns, char *buf)
{
        char *at = buf, *end = buf + TIME_BUF;
        int64_t seconds;

        if (ns < 0 && ns != INT64_MIN) {
                *at++ = '-';
                ns = -ns;
        }
        if (ns == 0) {
                snprintf(at, end - at, "0s");
        } else if (ns < 1000) {
                snprintf(at, end - at, "%lldns", (long long)ns);
        } else if (ns < NS_PER_MS) {
                fraction(at, end - at, ns, 1000, "\xc2\xb5s");
        } else if (ns < NS_PER_SEC) {
                fraction(at, end - at, ns, NS_PER_MS, "ms");
        } else {
                seconds = ns / NS_PER_SEC;
                if (seconds >= 3600)
                        at += snprintf(at, end - at, "%lldh", (long long)(seconds / 3600));
                if (seconds >= 60)
                        at += snprintf(at, end - at, "%dm", (int)(seconds / 60 % 60));
                fraction(at, end - at, ns % (60 * NS_PER_SEC), NS_PER_SEC, "s");
        }
        return buf;
}

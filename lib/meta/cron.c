/* Schedules: parsing, and the next time. Days and months are stepped through by the calendar, hours and minutes in
 * real time, so that an hour which a clock change takes away is skipped and one that it doubles comes once.
 */
#include "cron.h"

#include <ctype.h>
#include <errno.h>
#include <stdio.h>
#include <strings.h>
#include <time.h>
#include <unistd.h>

#include "../base/time.h"

struct bounds {
        int64_t min, max;
        const char *const *names; /* of the values from min on; NULL: none */
};

static const char *const month_names[] = { "jan", "feb", "mar", "apr", "may", "jun", "jul", "aug", "sep", "oct", "nov", "dec", NULL };
static const char *const day_names[] = { "sun", "mon", "tue", "wed", "thu", "fri", "sat", NULL };
static const struct bounds bounds[] = { { 0, 59, NULL }, { 0, 23, NULL }, { 1, 31, NULL }, { 1, 12, month_names }, { 0, 6, day_names } };

/* --- parsing --- */

static int parse_value(const char *text, const struct bounds *b, int64_t *ret, struct error *reterr)
{
        char *end;
        long long n;

        for (size_t i = 0; b->names && b->names[i]; i++)
                if (strcasecmp(b->names[i], text) == 0) {
                        *ret = b->min + (int64_t)i;
                        return 0;
                }
        n = strtoll(text, &end, 10);
        if (end == text || *end || isspace((unsigned char)*text))
                return error_set(reterr, -EINVAL, "failed to parse int from %s: strconv.Atoi: parsing \"%s\": invalid syntax", text, text);
        if (n < 0)
                return error_set(reterr, -EINVAL, "negative number (%lld) not allowed: %s", n, text);
        *ret = n;
        return 0;
}

struct range {
        int64_t first, last, step;
        bool star;
};

/* "*", "5", "1-5" and each with "/2". */
static int split_range(const char *text, const struct bounds *b, struct range *ret, struct error *reterr)
{
        char low[64], *step, *high;
        int r;

        if (strlen(text) >= sizeof(low))
                return error_set(reterr, -EINVAL, "failed to parse int from %s: strconv.Atoi: parsing \"%s\": invalid syntax", text, text);
        snprintf(low, sizeof(low), "%s", text);
        step = strchr(low, '/');
        if (step)
                *step++ = '\0';
        high = strchr(low, '-');
        if (high)
                *high++ = '\0';
        *ret = (struct range){ .step = 1 };
        if (streq(low, "*") || streq(low, "?")) {
                ret->first = b->min;
                ret->last = b->max;
                ret->star = true;
        } else {
                r = parse_value(low, b, &ret->first, reterr);
                if (r < 0)
                        return r;
                if (high && strchr(high, '-'))
                        return error_set(reterr, -EINVAL, "too many hyphens: %s", text);
                ret->last = ret->first;
                r = high ? parse_value(high, b, &ret->last, reterr) : 0;
                if (r < 0)
                        return r;
        }
        if (!step)
                return 0;
        if (strchr(step, '/'))
                return error_set(reterr, -EINVAL, "too many slashes: %s", text);
        r = parse_value(step, &(struct bounds){ 0, INT64_MAX, NULL }, &ret->step, reterr);
        if (r < 0)
                return r;
        if (!high && !ret->star)
                ret->last = b->max; /* "5/15": from there on */
        if (ret->step > 1)
                ret->star = false;
        return 0;
}

static int parse_range(const char *text, const struct bounds *b, uint64_t *bits, bool *star, struct error *reterr)
{
        struct range x;
        int r = split_range(text, b, &x, reterr);

        if (r < 0)
                return r;
        if (x.first < b->min)
                return error_set(reterr, -EINVAL, "beginning of range (%lld) below minimum (%lld): %s", (long long)x.first,
                                 (long long)b->min, text);
        if (x.last > b->max)
                return error_set(reterr, -EINVAL, "end of range (%lld) above maximum (%lld): %s", (long long)x.last,
                                 (long long)b->max, text);
        if (x.first > x.last)
                return error_set(reterr, -EINVAL, "beginning of range (%lld) beyond end of range (%lld): %s", (long long)x.first,
                                 (long long)x.last, text);
        if (x.step == 0)
                return error_set(reterr, -EINVAL, "step of range should be a positive number: %s", text);
        for (int64_t i = x.first; i <= x.last; i += x.step) {
                *bits |= UINT64_C(1) << i;
                if (x.step > 64)
                        break;
        }
        *star |= x.star;
        return 0;
}

static int parse_field(char *text, const struct bounds *b, uint64_t *bits, bool *star, struct error *reterr)
{
        char *save = NULL;

        for (char *part = strtok_r(text, ",", &save); part; part = strtok_r(NULL, ",", &save)) {
                int r = parse_range(part, b, bits, star, reterr);

                if (r < 0)
                        return r;
        }
        return 0;
}

static int parse_descriptor(const char *text, struct cron *c, struct error *reterr)
{
        static const struct {
                const char *name, *fields;
        } table[] = { { "@yearly", "0 0 1 1 *" }, { "@annually", "0 0 1 1 *" }, { "@monthly", "0 0 1 * *" },
                      { "@weekly", "0 0 * * 0" }, { "@daily", "0 0 * * *" },    { "@midnight", "0 0 * * *" },
                      { "@hourly", "0 * * * *" } };
        int64_t ns;

        for (size_t i = 0; i < ARRAY_SIZE(table); i++)
                if (streq(text, table[i].name))
                        return cron_parse(table[i].fields, c, reterr);
        if (!str_has_prefix(text, "@every "))
                return error_set(reterr, -EINVAL, "unrecognized descriptor: %s", text);
        if (duration_parse(text + strlen("@every "), &ns) < 0)
                return error_set(reterr, -EINVAL, "failed to parse duration %s: time: invalid duration \"%s\"", text,
                                 text + strlen("@every "));
        c->every_s = MAX(ns / NS_PER_SEC, INT64_C(1));
        return 0;
}

int cron_parse(const char *text, struct cron *ret, struct error *reterr)
{
        _cleanup_free_ char *copy = xstrdup(text);
        struct cron c = { 0 };
        uint64_t *const bits[] = { &c.minutes, &c.hours, &c.days, &c.months, &c.weekdays };
        bool ignored[3] = { 0 }, *const stars[] = { &ignored[0], &ignored[1], &c.any_day, &ignored[2], &c.any_weekday };
        char *fields[5], *save = NULL;
        size_t n = 0;
        int r;

        if (!*text)
                return error_set(reterr, -EINVAL, "empty spec string");
        if (*text == '@') {
                r = parse_descriptor(text, &c, reterr);
                if (r == 0)
                        *ret = c;
                return r;
        }
        for (char *f = strtok_r(copy, " \t\n\v\f\r", &save); f; f = strtok_r(NULL, " \t\n\v\f\r", &save)) {
                if (n < 5)
                        fields[n] = f;
                n++;
        }
        if (n != 5) {
                _cleanup_free_ char *list = xstrdup(text);

                for (char *p = list; *p; p++)
                        if (isspace((unsigned char)*p))
                                *p = ' ';
                return error_set(reterr, -EINVAL, "expected exactly 5 fields, found %zu: [%s]", n, list);
        }
        for (size_t i = 0; i < 5; i++) {
                r = parse_field(fields[i], &bounds[i], bits[i], stars[i], reterr);
                if (r < 0)
                        return r;
        }
        *ret = c;
        return 0;
}

/* --- time zones --- */

#define ZONES "/usr/share/zoneinfo/"

bool time_zone_exists(const char *zone)
{
        _cleanup_free_ char *path = NULL;

        if (!zone || !*zone || streq(zone, "UTC"))
                return true;
        if (*zone == '/' || strstr(zone, "..") || streq(zone, "Local"))
                return false;
        path = xasprintf(ZONES "%s", zone);
        return access(path, R_OK) == 0;
}

static char *enter_zone(const char *zone)
{
        const char *before = getenv("TZ");
        char *saved = before ? xstrdup(before) : NULL;
        _cleanup_free_ char *value = xasprintf(":%s", zone && *zone ? zone : "UTC");

        setenv("TZ", value, 1);
        tzset();
        return saved;
}

static void leave_zone(char *saved)
{
        if (saved)
                setenv("TZ", saved, 1);
        else
                unsetenv("TZ");
        tzset();
        free(saved);
}

char *time_format_zone(int64_t real_ns, const char *zone, char *buf)
{
        time_t t = (time_t)(real_ns / NS_PER_SEC);
        char *saved;
        struct tm tm;
        long off;

        if (!zone || !*zone)
                return time_format(real_ns, buf);
        saved = enter_zone(zone);
        localtime_r(&t, &tm);
        off = tm.tm_gmtoff / 60;
        leave_zone(saved);
        if (!off)
                return time_format(real_ns, buf);
        snprintf(buf, TIME_BUF, "%04d-%02d-%02dT%02d:%02d:%02d%c%02ld:%02ld", tm.tm_year + 1900, tm.tm_mon + 1, tm.tm_mday,
                 tm.tm_hour, tm.tm_min, tm.tm_sec, off < 0 ? '-' : '+', labs(off) / 60, labs(off) % 60);
        return buf;
}

/* --- the next time --- */

static bool has(uint64_t bits, int i)
{
        return bits >> i & 1;
}

/* Both given: either will do. One is "*": the other decides. */
static bool day_matches(const struct cron *c, const struct tm *tm)
{
        bool day = has(c->days, tm->tm_mday), weekday = has(c->weekdays, tm->tm_wday);

        return c->any_day || c->any_weekday ? day && weekday : day || weekday;
}

static time_t start_of_day(struct tm *tm, int months, int days)
{
        struct tm next = { .tm_year = tm->tm_year, .tm_mon = tm->tm_mon + months, .tm_mday = months ? 1 : tm->tm_mday + days,
                           .tm_isdst = -1 };

        return mktime(&next);
}

static time_t search(const struct cron *c, time_t t)
{
        struct tm tm;
        int last_year;

        localtime_r(&t, &tm);
        last_year = tm.tm_year + 5;
        for (;;) {
                localtime_r(&t, &tm);
                if (tm.tm_year > last_year)
                        return 0;
                if (!has(c->months, tm.tm_mon + 1))
                        t = start_of_day(&tm, 1, 0);
                else if (!day_matches(c, &tm))
                        t = start_of_day(&tm, 0, 1);
                else if (!has(c->hours, tm.tm_hour))
                        t += 3600 - tm.tm_min * 60;
                else if (!has(c->minutes, tm.tm_min))
                        t += 60;
                else
                        return t;
        }
}

int64_t cron_next(const struct cron *c, int64_t after_ns, const char *zone)
{
        time_t t = (time_t)(after_ns / NS_PER_SEC);
        char *saved;

        if (c->every_s)
                return (t + c->every_s) * NS_PER_SEC;
        saved = enter_zone(zone);
        t = search(c, t / 60 * 60 + 60);
        leave_zone(saved);
        return (int64_t)t * NS_PER_SEC;
}

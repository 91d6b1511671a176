/* Schedules of CronJobs: five fields or a descriptor, by the rules and in the words of the library that upstream
 * uses (robfig/cron v3, standard parser).
 */
#pragma once

#include "../base/error.h"

struct cron {
        uint64_t minutes, hours, days, months, weekdays; /* bits */
        bool any_day, any_weekday; /* written as "*": then the other alone decides */
        int64_t every_s;           /* of "@every 90s"; 0: the fields */
};

/* -EINVAL with upstream's text. */
int cron_parse(const char *text, struct cron *ret, struct error *reterr);
/* The first time after AFTER (real, ns) in the time zone ZONE (NULL: UTC); 0: none within five years.
 * Uses the C library's time zone for the moment of the call: no other thread may ask for local time. */
int64_t cron_next(const struct cron *c, int64_t after_ns, const char *zone);
bool time_zone_exists(const char *zone);
/* "2026-01-02T15:04:05+02:00" there; BUF holds TIME_BUF bytes. Returns BUF. */
char *time_format_zone(int64_t real_ns, const char *zone, char *buf);

/* Clocks and the two ways Kubernetes writes time.
 *
 * Nanoseconds everywhere: int64_t, realtime since 1970 UTC, monotonic since boot.
 */
#pragma once

#include "base.h"

#define NS_PER_SEC INT64_C(1000000000)
#define NS_PER_MS INT64_C(1000000)

int64_t time_mono(void);
int64_t time_real(void);

/* "2026-01-02T15:04:05Z" (metav1.Time); BUF holds at least TIME_BUF bytes. Returns BUF. */
#define TIME_BUF 40
char *time_format(int64_t real_ns, char *buf);
/* "2026-01-02T15:04:05.000000Z" (metav1.MicroTime) */
char *time_format_micro(int64_t real_ns, char *buf);
/* RFC 3339 with any offset and fraction. 0, or -EINVAL. */
int time_parse(const char *s, int64_t *ret_real_ns);
/* Of the Gregorian calendar, before it was in use too; MONTH and DAY from 1. */
int64_t time_days_since_1970(int year, int month, int day);
int time_days_in_month(int year, int month);

/* Go's duration: "1h2m3.5s", "300ms". 0, or -EINVAL. */
int duration_parse(const char *s, int64_t *ret_ns);
/* As Go prints it: "1m30s", "1.5s", "0s". BUF holds TIME_BUF bytes. Returns BUF. */
char *duration_format(int64_t ns, char *buf);

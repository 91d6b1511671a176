/* Exponential backoff as client-go's flowcontrol.Backoff counts it: 10 s, doubling to 5 minutes,
 * forgotten after twice the maximum without use.
 *
 * The first failure costs nothing: an entry that was never used is not in backoff, so a container
 * that ends restarts at once, then after 10 s, 20 s, 40 s.
 */
#pragma once

#include "../../lib/base/time.h"

#define BACKOFF_INITIAL (10 * NS_PER_SEC)
#define BACKOFF_MAX (300 * NS_PER_SEC)

struct backoff {
        int64_t delay;   /* 0: never used */
        int64_t updated; /* when delay was last raised */
};

/* Does the delay, counted from SINCE, still run at NOW? */
bool backoff_active(const struct backoff *b, int64_t since, int64_t now);
/* When it ends, counted from SINCE. */
int64_t backoff_until(const struct backoff *b, int64_t since);
/* Another attempt begins: doubles, or starts again when the entry is stale. SINCE: of the failure. */
void backoff_next(struct backoff *b, int64_t since, int64_t now);

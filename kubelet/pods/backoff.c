/* Exponential backoff: see backoff.h. */
#include "backoff.h"

/* An entry nobody touched for twice the maximum counts as new: ten minutes of health heal. */
static bool backoff_stale(const struct backoff *b, int64_t since)
{
        return b->delay == 0 || since - b->updated > 2 * BACKOFF_MAX;
}

bool backoff_active(const struct backoff *b, int64_t since, int64_t now)
{
        return !backoff_stale(b, since) && now - since < b->delay;
}

int64_t backoff_until(const struct backoff *b, int64_t since)
{
        return backoff_stale(b, since) ? since : since + b->delay;
}

void backoff_next(struct backoff *b, int64_t since, int64_t now)
{
        b->delay = backoff_stale(b, since) ? BACKOFF_INITIAL : MIN(b->delay * 2, BACKOFF_MAX);
        b->updated = now;
}

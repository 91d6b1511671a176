/* Times as Go's time.Parse reads them, with its error texts. */
#pragma once

#include "../../lib/base/arena.h"

/* RFC 3339 (MICRO: with a fraction of exactly six digits, as metav1.MicroTime). NULL on success, else
 * Go's text, in the arena: `parsing time "x" as "2006-01-02T15:04:05Z07:00": cannot parse "x" as "2006"`. */
char *go_time_parse(struct arena *a, const char *s, bool micro, int64_t *ret_real_ns);

/* The same, but gives the text as Go writes it back: in UTC, in whole seconds or microseconds, for any year. NULL where that is Go's
 * zero time, which is written as null. */
char *go_time_canonical(struct arena *a, const char *s, bool micro, const char **ret_text);

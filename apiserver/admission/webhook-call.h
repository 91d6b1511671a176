/* One call of a webhook: where it is, whether it can be trusted, and what came back. */
#pragma once

#include "internal.h"

/* On a fiber: posts REVIEW to WEBHOOK (an entry of a configuration's webhooks) and waits, at most its timeoutSeconds.
 * Services are their cluster IP, as to upstream's API server. NULL: *ret is the parsed answer, in the request's arena;
 * else the words that follow `failed calling webhook "x": `. */
const char *webhook_call(struct admission_attributes *at, const struct json *webhook, const struct json *review,
                         struct json **ret);
/* Connections that are kept end. */
void webhook_call_deinit(void);

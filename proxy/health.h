/* healthCheckNodePort: a balancer outside asks each node by HTTP whether it has endpoints of a Service
 * with externalTrafficPolicy Local. 200: it has; 503: it has none, send the clients elsewhere.
 */
#pragma once

#include "../lib/loop/loop.h"
#include "service.h"

struct health;

struct health *health_new(struct loop *loop);
void health_free(struct health *h);
/* What KEY ("namespace/name") is now; S NULL: gone. A port that is taken is an error, tried again at the
 * next change. */
int health_set(struct health *h, const char *key, const struct service *s, struct error *reterr);

/* /metrics: what dashboards and alerts for an API server ask for, by upstream's names. */
#pragma once

#include "../apiserver.h"

/* R is through: counts it, with how long it took. On R's fiber, before r->http goes. */
void metrics_count(const struct api_request *r);
/* All of them. */
void metrics_write(struct apiserver *s, struct strbuf *out);

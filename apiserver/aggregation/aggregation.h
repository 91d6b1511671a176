/* Aggregated API servers: group versions that an APIService hands to a Service.
 *
 * One table follows the APIServices of the watch cache. Requests below /apis/GROUP/VERSION of one that has a
 * spec.service are sent on to it, over TLS with the front proxy's certificate, and say in X-Remote-* headers who
 * asks. A fiber a server asks now and then whether it answers (condition Available) and what it serves, for
 * discovery and OpenAPI. And APIServices without a Service are made for what this server serves itself.
 *
 * Where a Service is: its cluster IP, as upstream's --enable-aggregator-routing=false; it takes a proxy on this
 * machine (colibri-proxy) to lead anywhere. With routing, which is the default where the cluster has no component
 * "proxy", one of its ready endpoints is spoken to.
 */
#pragma once

#include "../apiserver.h"

/* Starts to follow; called once the store is there. S->extra.remotes is this module's from then on. */
void aggregation_start(struct apiserver *s);
/* Whether another server answers what R asks for; then it has been asked, and R is answered. On R's fiber. Costs one
 * comparison where there are none. */
bool aggregation_handle(struct api_request *r);
/* The same for the OpenAPI v3 document of PATH ("apis/metrics.k8s.io/v1beta1"). */
bool aggregation_openapi_v3(struct api_request *r, const char *path);
/* For /metrics: which APIServices are not available. */
void aggregation_metrics(struct strbuf *out);

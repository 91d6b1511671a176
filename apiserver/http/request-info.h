/* What a URL names (upstream's RequestInfo): a pure function of method, path and query. */
#pragma once

#include "../apiserver.h"

/* Fills r->is_resource ... r->subpath, r->verb and r->res from r->http. -EINVAL: the URL cannot be understood. */
int request_info(struct api_request *r, struct error *reterr);
/* Go's reading of a boolean option in a URL: only absent, "0" and "false" are false. */
bool query_bool(const struct http_request *http, const char *name);

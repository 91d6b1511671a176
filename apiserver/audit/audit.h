/* The audit log: who did what, and what came of it, as a policy wants it recorded.
 *
 * Events are those of audit.k8s.io/v1, a JSON line each. A request has an event from authentication on, if a rule of the
 * policy gives it a level; what the layers know of it they tell here, and all functions that take a request do
 * nothing where it has none: r->audit is NULL, also for all requests of a server without a policy.
 */
#pragma once

#include "../apiserver.h"
#include "../../lib/http/server.h"
#include "log.h"

struct audit_event;

struct audit_options {
        const char *policy_file;      /* NULL: nothing is recorded */
        struct audit_log_options log; /* PATH NULL: not to a file */
        const char *webhook_file;     /* a kubeconfig; NULL: not to another server */
        int64_t webhook_max_wait;     /* ns */
        int64_t max_event;            /* bytes: longer ones are cut (event.h); 0: none is */
};
int audit_start(struct apiserver *s, const struct audit_options *o, struct error *reterr);
/* Writes what is left. */
void audit_stop(void);

/* R's id, for the header Audit-Id: the client's, or a new one in BUF. */
#define AUDIT_ID_BUF 37
const char *audit_id(const struct http_request *http, char buf[AUDIT_ID_BUF]);

/* R was authenticated, or was not (KNOWN false: nobody knows who asks). Sets r->audit. */
void audit_begin(struct api_request *r, bool known);
/* R was answered, or its stream began: r->audit is gone. The event is complete when the answer has ended. */
void audit_handled(struct api_request *r);

/* "authorization.k8s.io/decision": "allow". Copies; the first of one key stays. */
void audit_annotate(struct api_request *r, const char *key, const char *value);
/* Whether the event of R shows bodies, too. */
bool audit_shows_bodies(const struct api_request *r);
/* Adds VALUE to what the annotation says, behind ", ", unless it is there. */
void audit_join(struct api_request *r, const char *key, const char *value);
/* Adds X to the array that the annotation's text is. */
void audit_append(struct api_request *r, const char *key, const struct json *x);
/* What came in, as it was decoded; *PATCH: it is no object, but changes to one. */
void audit_request_object(struct api_request *r, const struct json *obj, bool patch);
/* What went out: a tree, or the bytes of JSON. The first one counts. */
void audit_response_object(struct api_request *r, const struct json *obj);
void audit_response_parts(struct api_request *r, struct buffer *const *parts, const uint32_t *skips, size_t n);
/* The Status that it was answered with. */
void audit_status(struct api_request *r, const struct json *status);
/* For /metrics. */
void audit_metrics(struct strbuf *out);

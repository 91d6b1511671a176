/* One audit event as text: pure. */
#pragma once

#include "../request.h"
#include "policy.h"

struct audit_event {
        struct arena *arena; /* all of it, itself included */
        struct audit_decision decision;
        const char *id, *uri, *verb, *agent;
        struct json *user, *impersonated, *ips, *ref; /* IMPERSONATED, REF: may be NULL */
        struct json *status;                          /* NULL: only its code is known */
        struct json *annotations;                     /* an object */
        const char *request, *response;               /* JSON; NULL: none */
        int64_t received;                             /* real time */
        unsigned code;
        bool long_running, started, handled, ended, anonymous;
};

/* Leaves out what makes an event long: the objects. Marked as upstream marks it. */
void audit_event_cut(struct audit_event *e);
/* The line of STAGE at NOW (real time), with its line feed. */
void audit_event_write(const struct audit_event *e, unsigned stage, int64_t now, struct strbuf *out);
/* Takes managedFields away from an object, or from the items of a list. */
void audit_strip(struct json *obj);

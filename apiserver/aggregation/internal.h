/* Shared by the files of aggregation: table.c (who there is), check.c (are they well), proxy.c (requests). */
#pragma once

#include "../../lib/base/time.h"
#include "../../lib/stream/relay.h"
#include "aggregation.h"
#include "decide.h"

/* An APIService. Those without a Service are kept too: they may need a condition. */
struct api_service {
        struct arena *arena;             /* what is not changed in place: all but REMOTE's text */
        unsigned refs;
        const struct json *object;
        const char *name;
        bool local;                      /* no spec.service */
        const char *service_namespace, *service_name, *ca_pem; /* CA_PEM NULL: the system's */
        bool insecure, available;
        int64_t port;

        /* What its server was last heard to serve; lives on in the next version of the object. */
        struct discovery_remote remote;
        struct documents {
                struct arena *arena;
                unsigned refs;
        } *documents;

        bool due, checking, gone;        /* to be looked at; being looked at; no longer in the table */
        int64_t next_check;              /* monotonic */
        unsigned failures;
};

struct aggregator {
        struct apiserver *server;
        struct api_service **list;       /* by name */
        size_t n, cap;
        const struct discovery_remote **remotes;
        struct fiber *fiber;
        struct loop_timer *timer;
        bool waits;
};
extern struct aggregator aggregator;

struct api_service *api_service_ref(struct api_service *s);
void api_service_unref(struct api_service *s);
void documents_unref(struct documents *d); /* NULL allowed */
/* The one for GROUP and VERSION that has a Service; NULL: none. Borrowed until the next park. */
struct api_service *aggregation_find(const char *group, const char *version);
void aggregation_wake(void);

/* Where its server is now; what is wrong otherwise. In A. */
int api_service_place(const struct api_service *s, struct arena *a, struct place *ret, struct error *reterr);
/* Its Service, NULL when there is none, and its EndpointSlices, an array. In A. */
void api_service_objects(const struct api_service *s, struct arena *a, struct json **ret_service, struct json **ret_slices);
/* How to reach it at PLACE. CHECKED: its certificate must be good, unless the APIService says otherwise. */
struct dial_options api_service_dial(const struct api_service *s, struct arena *a, const struct place *place, bool checked);

/* check.c: looks at S on a fiber of its own: condition, discovery, OpenAPI. Holds a reference meanwhile. */
void api_service_check(struct api_service *s);

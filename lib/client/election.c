/* Leader election, as client-go does it: a Lease names the holder, who renews it every two seconds;
 * who finds it unrenewed for fifteen seconds by his own clock takes it.
 *
 * Clocks of different machines are never compared: what counts is when we last saw the Lease change.
 * A holder that cannot renew for ten seconds stops leading, five before anybody may take over.
 *
 * One fiber sleeps between the tries. An only instance thus costs one request in two seconds.
 */
#include "election.h"

#include <errno.h>

#include "../base/encode.h"
#include "../base/time.h"

#define LEASE_S 15
#define RENEW_DEADLINE_NS (10 * NS_PER_SEC)
#define RETRY_NS (2 * NS_PER_SEC)

struct election {
        struct client *client;
        struct election_options o;
        char *identity, *path, *collection;
        char *seen;         /* resourceVersion last seen */
        int64_t seen_ns;    /* and when, monotonic */
        int64_t renewed_ns; /* our last success */
        bool leading, freed;
};

/* The spec of a Lease that we hold. */
static struct json *make_lease(struct election *e, struct arena *a, const struct json *old)
{
        struct json *lease = old ? json_clone(a, old) : json_new_object(a), *meta, *spec;
        const char *holder = json_path_string(old, "spec.holderIdentity");
        int64_t transitions = json_path_int(old, "spec.leaseTransitions", 0);
        char now[TIME_BUF];

        time_format_micro(time_real(), now);
        json_set_string(a, lease, "apiVersion", "coordination.k8s.io/v1");
        json_set_string(a, lease, "kind", "Lease");
        meta = json_ensure_object(a, lease, "metadata");
        json_set_string(a, meta, "name", e->o.name);
        json_set_string(a, meta, "namespace", e->o.namespace);
        spec = json_ensure_object(a, lease, "spec");
        if (!streq(holder, e->identity)) {
                json_set_string(a, spec, "acquireTime", now);
                transitions += old != NULL;
        }
        json_set_string(a, spec, "holderIdentity", e->identity);
        json_set_int(a, spec, "leaseDurationSeconds", LEASE_S);
        json_set_int(a, spec, "leaseTransitions", transitions);
        json_set_string(a, spec, "renewTime", now);
        return lease;
}

/* True: somebody else holds it and we have no reason to think that he is gone. */
static bool held_by_other(struct election *e, const struct json *lease)
{
        const char *holder = json_path_string(lease, "spec.holderIdentity");
        const char *rv = json_path_string(lease, "metadata.resourceVersion");
        int64_t now = loop_now(client_loop(e->client));

        if (!streq(rv, e->seen)) {
                free(e->seen);
                e->seen = rv ? xstrdup(rv) : NULL;
                e->seen_ns = now;
        }
        return !str_empty(holder) && !streq(holder, e->identity) &&
               now - e->seen_ns < json_path_int(lease, "spec.leaseDurationSeconds", LEASE_S) * NS_PER_SEC;
}

/* One try to take or keep the Lease; true: it is ours. */
static bool try_once(struct election *e)
{
        _cleanup_arena_ struct arena *a = arena_new(0);
        struct json *lease = NULL;
        int r = client_get(e->client, e->path, a, &lease, NULL);

        if (e->freed || r < 0)
                return false;
        if (r == CLIENT_NOT_FOUND)
                r = client_create(e->client, e->collection, make_lease(e, a, NULL), a, NULL, NULL);
        else if (r || held_by_other(e, lease))
                return false;
        else
                r = client_update(e->client, e->path, make_lease(e, a, lease), a, NULL, NULL);
        return r == 0;
}

static void release(struct election *e)
{
        free(e->identity);
        free(e->path);
        free(e->collection);
        free(e->seen);
        free((char *)e->o.namespace);
        free((char *)e->o.name);
        free(e);
}

static void election_fiber(void *userdata)
{
        struct election *e = userdata;

        while (!e->freed) {
                bool ours = try_once(e);
                int64_t now = time_mono();

                if (e->freed)
                        break;
                if (ours)
                        e->renewed_ns = now;
                if (ours && !e->leading) {
                        e->leading = true;
                        e->o.started(e->o.userdata);
                } else if (!ours && e->leading && now - e->renewed_ns > RENEW_DEADLINE_NS) {
                        e->leading = false;
                        e->o.stopped(e->o.userdata);
                }
                if (!e->freed)
                        fiber_sleep(RETRY_NS + (e->leading ? 0 : random_below(1000) * NS_PER_MS));
        }
        release(e);
}

struct election *election_new(struct client *c, const struct election_options *o)
{
        struct election *e = new0(struct election);

        e->client = c;
        e->o = *o;
        e->o.namespace = xstrdup(o->namespace);
        e->o.name = xstrdup(o->name);
        e->identity = xstrdup(o->identity);
        e->collection = xasprintf("/apis/coordination.k8s.io/v1/namespaces/%s/leases", o->namespace);
        e->path = xasprintf("%s/%s", e->collection, o->name);
        e->o.identity = e->identity;
        fiber_start(client_loop(c), election_fiber, e);
        return e;
}

void election_release(struct election *e)
{
        _cleanup_arena_ struct arena *a = arena_new(0);
        struct json *lease = NULL, *spec;

        if (!e->leading)
                return;
        e->leading = false;
        if (client_get(e->client, e->path, a, &lease, NULL) != 0 ||
            !streq(json_path_string(lease, "spec.holderIdentity"), e->identity))
                return;
        spec = json_ensure_object(a, lease, "spec");
        json_set_string(a, spec, "holderIdentity", "");
        json_set_int(a, spec, "leaseDurationSeconds", 1);
        client_update(e->client, e->path, lease, a, NULL, NULL);
}

/* The fiber frees it when it wakes: it sleeps or waits for an answer. */
void election_free(struct election *e)
{
        if (e)
                e->freed = true;
}

/* ServiceCIDRs: ranges that Services get their addresses from. Each is protected by a finalizer while an address comes from
 * it alone, and says that it is ready, or why it cannot go.
 */
#include "controllers.h"

#include <arpa/inet.h>

#define FINALIZER "networking.k8s.io/service-cidr-finalizer"
#define MANAGER "service-cidr-controller"
#define GRACE_NS (10 * NS_PER_SEC) /* for allocators to hear of the deletion */

struct prefix {
        unsigned char bytes[16];
        bool v6;
        long bits;
};

/* "10.0.0.0/8"; an address alone is a whole prefix. */
static bool parse_prefix(const char *text, struct prefix *ret)
{
        const char *slash = text ? strchr(text, '/') : NULL;
        char address[64] = "";

        if (!text || (slash ? (size_t)(slash - text) : strlen(text)) >= sizeof(address))
                return false;
        memcpy(address, text, slash ? (size_t)(slash - text) : strlen(text));
        *ret = (struct prefix){ .v6 = strchr(address, ':') != NULL };
        ret->bits = slash ? strtol(slash + 1, NULL, 10) : ret->v6 ? 128 : 32;
        return inet_pton(ret->v6 ? AF_INET6 : AF_INET, address, ret->bytes) == 1 && ret->bits >= 0 && ret->bits <= (ret->v6 ? 128 : 32);
}

static bool holds(const struct prefix *outer, const struct prefix *inner)
{
        if (outer->v6 != inner->v6 || outer->bits > inner->bits)
                return false;
        for (long i = 0; i < outer->bits; i++)
                if (((outer->bytes[i / 8] ^ inner->bytes[i / 8]) >> (7 - i % 8)) & 1)
                        return false;
        return true;
}

static bool range_holds(const struct object *range, const struct prefix *inner)
{
        json_foreach_item(json_path(range->json, "spec.cidrs"), c) {
                struct prefix p;

                if (parse_prefix(json_string(c), &p) && holds(&p, inner))
                        return true;
        }
        return false;
}

/* Another range that has all of INNER. */
static bool held_elsewhere(const struct snapshot *s, const struct object *range, const struct prefix *inner)
{
        struct map_entry *e;

        map_foreach(object_store_objects(s->stores[R_SERVICECIDRS]), e)
                if (e->value != range && range_holds(e->value, inner))
                        return true;
        return false;
}

static bool can_go(const struct snapshot *s, const struct object *range)
{
        bool inside = true;
        struct map_entry *e;

        json_foreach_item(json_path(range->json, "spec.cidrs"), c) {
                struct prefix p;

                inside &= parse_prefix(json_string(c), &p) && held_elsewhere(s, range, &p);
        }
        if (inside)
                return true;
        map_foreach(object_store_objects(s->stores[R_IPADDRESSES]), e) {
                const struct object *ip = e->value;
                struct prefix p;

                if (streq(object_label(ip->json, "ipaddress.kubernetes.io/managed-by"), "ipallocator.k8s.io") &&
                    parse_prefix(ip->name, &p) && range_holds(range, &p) && !held_elsewhere(s, range, &p))
                        return false;
        }
        return true;
}

static void set_condition(const struct snapshot *s, struct writes *w, const struct object *range, bool ready)
{
        const char *reason = ready ? "" : "Terminating";
        const char *message = ready ? "Kubernetes Service CIDR is ready" :
                                      "There are still IPAddresses referencing the ServiceCIDR, please remove them or create a new ServiceCIDR";
        const struct json *have = condition_find(json_path(range->json, "status.conditions"), "Ready");
        struct json *body = json_new_object(w->arena), *c = json_new_object(w->arena);
        char buf[TIME_BUF];

        if (have && streq(json_get_string(have, "status"), ready ? "True" : "False") && streq(json_get_string(have, "reason"), reason) &&
            streq(json_get_string(have, "message"), message))
                return;
        json_set_string(w->arena, body, "apiVersion", "networking.k8s.io/v1");
        json_set_string(w->arena, body, "kind", "ServiceCIDR");
        json_set_string(w->arena, json_ensure_object(w->arena, body, "metadata"), "name", range->name);
        json_set_string(w->arena, c, "type", "Ready");
        json_set_string(w->arena, c, "status", ready ? "True" : "False");
        json_set_string(w->arena, c, "reason", reason);
        json_set_string(w->arena, c, "message", message);
        json_set_string(w->arena, c, "lastTransitionTime", time_format(s->now, buf));
        json_append(w->arena, json_ensure_array(w->arena, json_ensure_object(w->arena, body, "status"), "conditions"), c);
        writes_apply(w, R_SERVICECIDRS, "status", MANAGER, body)->ignore_not_found = true;
}

static void set_finalizer(struct writes *w, const struct object *range, bool wanted)
{
        struct json *patch = json_new_object(w->arena), *meta = json_ensure_object(w->arena, patch, "metadata");

        json_append(w->arena, json_ensure_array(w->arena, meta, wanted ? "finalizers" : "$deleteFromPrimitiveList/finalizers"),
                    json_new_string(w->arena, FINALIZER));
        writes_patch(w, WRITE_PATCH_STRATEGIC, R_SERVICECIDRS, NULL, range, patch)->ignore_not_found = true;
}

static void reconcile(const struct snapshot *s, const char *key, struct writes *w)
{
        const struct object *range = snapshot_key(s, R_SERVICECIDRS, key);
        int64_t left;

        if (!range)
                return;
        if (!object_is_deleting(range->json)) {
                if (!object_has_finalizer(range->json, FINALIZER))
                        set_finalizer(w, range, true);
                set_condition(s, w, range, true);
                return;
        }
        if (!can_go(s, range)) {
                set_condition(s, w, range, false);
                return;
        }
        left = object_time(range->json, "metadata.deletionTimestamp") + GRACE_NS - s->now;
        if (left > 0)
                writes_requeue(w, left);
        else if (object_has_finalizer(range->json, FINALIZER))
                set_finalizer(w, range, false);
}

/* Another range, or an address that went, may set one free that waits. */
static void map_change(const struct snapshot *s, const struct object *old, const struct object *new, const struct keys *k)
{
        struct map_entry *e;

        if (k->resource == R_SERVICECIDRS && new)
                keys_add(k, new->key);
        if (k->resource == R_IPADDRESSES && new)
                return;
        map_foreach(object_store_objects(s->stores[R_SERVICECIDRS]), e)
                if (object_is_deleting(((const struct object *)e->value)->json))
                        keys_add(k, e->key);
}

const struct controller service_cidr_controller = {
        .name = "service-cidr-controller",
        .watches = { { .resource = R_SERVICECIDRS, .map = map_change }, { .resource = R_IPADDRESSES, .map = map_change } },
        .n_watches = 2,
        .workers = 1,
        .reconcile = reconcile,
};

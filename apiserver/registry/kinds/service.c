/* Services: cluster IPs and node ports.
 *
 * What must be unique is claimed in etcd by creating an object under its own key, so that of two API
 * servers only one gets it: an IPAddress for a cluster IP, as upstream; for a node port an entry under
 * /registry/ranges/servicenodeports. A claim whose service never came to be (a crash between the two
 * writes) is taken over once it is a minute old and no service uses it.
 */
#include "../../validation/validate.h"
#include "kinds.h"

#include <arpa/inet.h>
#include <errno.h>
#include <stdio.h>

#define TRIES 64
#define STALE_NS (60 * NS_PER_SEC)
#define MAX_CLAIMS 512

/* A range of addresses of one family, as 128 bits of network order. */
struct range {
        int family; /* AF_INET, AF_INET6; 0: none */
        unsigned char base[16];
        unsigned bits; /* of the prefix */
        uint64_t size; /* addresses, cut at 2^16 for IPv6 as upstream */
        char text[64];
};

struct claims {
        const char *taken[MAX_CLAIMS]; /* keys */
        size_t n_taken;
        const char *dropped[MAX_CLAIMS]; /* what the old object no longer needs */
        size_t n_dropped;
        int64_t highest_port; /* of those taken */
};

/* --- what a service needs --- */

static bool is_type(const struct json *svc, const char *type)
{
        const char *t = json_path_string(svc, "spec.type");

        return streq(t ? t : "ClusterIP", type);
}

static bool same(const struct json *x, const struct json *y, const char *path)
{
        return json_equal(json_path(x, path), json_path(y, path));
}

/* Of lists: none and an empty one are the same. */
static bool same_list(const struct json *x, const struct json *y, const char *path)
{
        return (!json_len(json_path(x, path)) && !json_len(json_path(y, path))) || same(x, y, path);
}

static bool needs_ip(const struct json *svc)
{
        return svc && !is_type(svc, "ExternalName");
}

static bool is_headless(const struct json *svc)
{
        return streq(json_string(json_at(json_path(svc, "spec.clusterIPs"), 0)), "None");
}

static bool needs_node_ports(const struct json *svc)
{
        if (!svc)
                return false;
        return is_type(svc, "NodePort") ||
               (is_type(svc, "LoadBalancer") && json_path_bool(svc, "spec.allocateLoadBalancerNodePorts", true));
}

/* It may have node ports, if only those that it asks for. */
static bool may_have_node_ports(const struct json *svc)
{
        return svc && (is_type(svc, "NodePort") || is_type(svc, "LoadBalancer"));
}

static bool needs_health_port(const struct json *svc)
{
        return svc && is_type(svc, "LoadBalancer") &&
               streq(json_path_string(svc, "spec.externalTrafficPolicy"), "Local");
}

/* --- addresses --- */

static unsigned family_size(int family)
{
        return family == AF_INET ? 4 : 16;
}

static bool parse_range(const char *text, size_t len, struct range *ret)
{
        char buf[64];
        char *slash;

        if (len >= sizeof(buf))
                return false;
        memcpy(buf, text, len);
        buf[len] = '\0';
        snprintf(ret->text, sizeof(ret->text), "%s", buf);
        slash = strchr(buf, '/');
        if (!slash)
                return false;
        *slash = '\0';
        ret->family = strchr(buf, ':') ? AF_INET6 : AF_INET;
        if (inet_pton(ret->family, buf, ret->base) != 1)
                return false;
        ret->bits = (unsigned)strtoul(slash + 1, NULL, 10);
        if (ret->bits > family_size(ret->family) * 8)
                return false;
        ret->size = UINT64_C(1) << MIN(family_size(ret->family) * 8 - ret->bits, ret->family == AF_INET ? 32u : 16u);
        return true;
}

/* The cluster's ranges: one or two families; the first is the default. */
static size_t ranges(const struct api_request *r, struct range ret[2])
{
        const char *p = r->server->o.service_cluster_ip_range;
        size_t n = 0;

        if (str_empty(p))
                p = "10.96.0.0/12";
        while (*p && n < 2) {
                size_t len = strcspn(p, ",");

                if (parse_range(p, len, &ret[n]))
                        n++;
                p += len + (p[len] == ',');
        }
        return n;
}

static const char *family_name(int family)
{
        return family == AF_INET6 ? "IPv6" : "IPv4";
}

static const struct range *range_of(const struct range *list, size_t n, const char *family)
{
        for (size_t i = 0; i < n; i++)
                if (streq(family_name(list[i].family), family))
                        return &list[i];
        return NULL;
}

static char *address_at(struct arena *a, const struct range *range, uint64_t offset)
{
        unsigned char bytes[16];
        char buf[INET6_ADDRSTRLEN];
        uint64_t carry = offset;

        memcpy(bytes, range->base, sizeof(bytes));
        for (int i = (int)family_size(range->family) - 1; i >= 0 && carry; i--) {
                carry += bytes[i];
                bytes[i] = (unsigned char)carry;
                carry >>= 8;
        }
        return arena_strdup(a, inet_ntop(range->family, bytes, buf, sizeof(buf)));
}

static bool in_range(const struct range *range, const char *ip)
{
        unsigned char bytes[16];

        if (inet_pton(range->family, ip, bytes) != 1)
                return false;
        for (unsigned bit = 0; bit < range->bits; bit++)
                if (((bytes[bit / 8] ^ range->base[bit / 8]) >> (7 - bit % 8)) & 1)
                        return false;
        return true;
}

/* --- claims --- */

struct in_use {
        struct api_request *r;
        const char *ip;
        int64_t port;
        bool found;
};

static bool uses(struct entry *e, void *userdata)
{
        struct in_use *u = userdata;
        struct json *svc = registry_object(u->r->arena, builtin_resource("", "v1", "services"), e);

        json_foreach_item(json_path(svc, "spec.clusterIPs"), it)
                u->found |= u->ip && streq(json_string(it), u->ip);
        json_foreach_item(json_path(svc, "spec.ports"), it)
                u->found |= u->port && json_get_int(it, "nodePort", 0) == u->port;
        u->found |= u->port && json_path_int(svc, "spec.healthCheckNodePort", 0) == u->port;
        return !u->found;
}

static bool service_uses(struct api_request *r, const char *ip, int64_t port)
{
        struct in_use u = { .r = r, .ip = ip, .port = port };

        store_scan(r->server->store, "/registry/services/specs/", NULL, uses, &u);
        return u.found;
}

/* 0: claimed; STORE_CONFLICT: taken; negative: as the store's. */
static int claim(struct api_request *r, struct claims *c, const char *key, const struct json *obj, const char *ip,
                 int64_t port, struct error *reterr)
{
        const struct resource *res = builtin_resource("networking.k8s.io", "v1", "ipaddresses");
        struct entry *there = NULL;
        int e;

        for (size_t i = 0; i < c->n_taken; i++)
                if (streq(c->taken[i], key))
                        return STORE_CONFLICT;
        if (c->n_taken == MAX_CLAIMS)
                return error_set(reterr, -EIO, "too many ports");
        if (r->dry_run) {
                e = store_get(r->server->store, key) ? STORE_CONFLICT : 0;
        } else {
                e = store_put(r->server->store, res, key, obj, 0, &there, reterr);
                if (e == STORE_CONFLICT && there && !service_uses(r, ip, port)) {
                        struct json *old = registry_object(r->arena, res, there);
                        int64_t made = 0;
                        uint64_t revision = there->revision;

                        if (time_parse(meta_string(old, "creationTimestamp"), &made) == 0 &&
                            request_now(r) - made > STALE_NS) {
                                entry_unref(there);
                                there = NULL;
                                e = store_put(r->server->store, res, key, obj, revision, &there, reterr);
                        }
                }
                entry_unref(there);
        }
        if (e == 0)
                c->taken[c->n_taken++] = key;
        return e;
}

static void drop(struct api_request *r, const char *key)
{
        struct entry *e = NULL;
        struct error err = ERROR_INIT;

        if (store_get_fresh(r->server->store, key, &e, &err) == 0 && e)
                store_delete(r->server->store, builtin_resource("networking.k8s.io", "v1", "ipaddresses"), key,
                             e->revision, NULL, NULL);
        entry_unref(e);
        error_deinit(&err);
}

static const char *ip_key(struct arena *a, const char *ip)
{
        return arena_printf(a, "/registry/ipaddresses/%s", ip);
}

static const char *port_key(struct arena *a, int64_t port)
{
        return arena_printf(a, "/registry/ranges/servicenodeports/%lld", (long long)port);
}

/* The IPAddress that stands for IP of SVC. */
static struct json *address_object(struct api_request *r, const struct json *svc, const char *ip, int family)
{
        struct arena *a = r->arena;
        struct json *obj = json_new_object(a), *ref = json_new_object(a), *labels = json_new_object(a);

        json_set_string(a, obj, "kind", "IPAddress");
        json_set_string(a, obj, "apiVersion", "networking.k8s.io/v1");
        json_path_set(a, obj, "metadata.name", json_new_string(a, ip));
        fill_system_fields(r, obj);
        json_set_string(a, labels, "ipaddress.kubernetes.io/ip-family", family_name(family));
        json_set_string(a, labels, "ipaddress.kubernetes.io/managed-by", "ipallocator.k8s.io");
        json_set(a, json_get(obj, "metadata"), "labels", labels);
        json_set_string(a, ref, "resource", "services");
        json_set_string(a, ref, "namespace", meta_string(svc, "namespace"));
        json_set_string(a, ref, "name", meta_string(svc, "name"));
        json_path_set(a, obj, "spec.parentRef", ref);
        return obj;
}

static struct json *port_object(struct api_request *r, int64_t port)
{
        struct json *obj = json_new_object(r->arena);

        json_set_string(r->arena, obj, "kind", "RangeAllocation");
        json_set_string(r->arena, obj, "apiVersion", "v1");
        json_path_set(r->arena, obj, "metadata.name", json_new_stringf(r->arena, "%lld", (long long)port));
        fill_system_fields(r, obj);
        return obj;
}

static const struct resource *services(void)
{
        return builtin_resource("", "v1", "services");
}

static const struct status *invalid(struct api_request *r, const struct json *svc, const char *path,
                                    const struct json *value, const char *detail)
{
        struct field_errors errs = { .arena = r->arena };

        field_error_add(&errs, FIELD_INVALID, path, value, "%s", detail);
        return status_invalid(r->arena, services(), meta_string(svc, "name"), &errs);
}

/* --- families: which addresses a service has (upstream's initIPFamilyFields) --- */

static bool is_policy(const struct json *svc, const char *policy)
{
        const char *is = json_path_string(svc, "spec.ipFamilyPolicy");

        return is && streq(is, policy);
}

/* What prefers two families follows no change of the cluster by itself. */
static bool keeps_families(const struct json *svc, const struct json *old)
{
        return needs_ip(old) && same(svc, old, "spec.type") && is_policy(svc, "PreferDualStack") && is_policy(old, "PreferDualStack") &&
               same(svc, old, "spec.clusterIPs") && same(svc, old, "spec.ipFamilies");
}

static bool has_fewer(const struct json *svc, const struct json *old, const char *path)
{
        size_t n = json_len(json_path(svc, path));

        return n && n < json_len(json_path(old, path));
}

static void policy_error(struct field_errors *errs, const struct json *svc, const char *detail)
{
        const struct json *policy = json_path(svc, "spec.ipFamilyPolicy");

        if (policy)
                field_error_add(errs, FIELD_INVALID, "spec.ipFamilyPolicy", policy, "%s", detail);
        else
                field_error_add_text(errs, FIELD_INVALID, "spec.ipFamilyPolicy", "null", "%s", detail);
}

/* An update that takes away the second address says so by its policy. */
static void check_release(struct field_errors *errs, struct json *svc, const struct json *old)
{
        if (is_policy(svc, "SingleStack")) {
                struct json *ips = json_path(svc, "spec.clusterIPs"), *families = json_path(svc, "spec.ipFamilies");

                if (json_len(ips) > 1 && same(svc, old, "spec.clusterIPs"))
                        json_remove(ips, 1);
                if (json_len(families) > 1 && same(svc, old, "spec.ipFamilies"))
                        json_remove(families, 1);
                return;
        }
        if (has_fewer(svc, old, "spec.clusterIPs"))
                policy_error(errs, svc, "must be 'SingleStack' to release the secondary cluster IP");
        if (has_fewer(svc, old, "spec.ipFamilies"))
                policy_error(errs, svc, "must be 'SingleStack' to release the secondary IP family");
}

/* One family, but for headless services without pods of their own: their endpoints may be of any family. */
static void default_policy(struct arena *a, struct json *svc, const struct json *old, bool any_family)
{
        const char *was = json_path_string(old, "spec.ipFamilyPolicy");
        struct json *spec = json_get(svc, "spec");

        if (!json_get(spec, "ipFamilyPolicy"))
                json_set_string(a, spec, "ipFamilyPolicy", was ? was : any_family ? "RequireDualStack" : "SingleStack");
}

static void add_other_family(struct arena *a, struct json *svc, struct json *families)
{
        if (json_len(families) == 1 && !is_policy(svc, "SingleStack"))
                json_append(a, families,
                            json_new_string(a, streq(json_string(json_at(families, 0)), "IPv4") ? "IPv6" : "IPv4"));
}

/* What addresses and families say of each other; families follow from addresses. */
static void infer_families(struct arena *a, struct field_errors *errs, struct json *svc, const struct range *list, size_t n)
{
        struct json *spec = json_get(svc, "spec"), *ips = json_get(spec, "clusterIPs"), *families = json_get(spec, "ipFamilies");
        bool headless = is_headless(svc);

        if (is_policy(svc, "SingleStack") && json_len(ips) == 2)
                policy_error(errs, svc, "must be 'RequireDualStack' or 'PreferDualStack' when multiple cluster IPs are specified");
        if (is_policy(svc, "SingleStack") && json_len(families) == 2)
                policy_error(errs, svc, "must be 'RequireDualStack' or 'PreferDualStack' when multiple IP families are specified");
        for (size_t i = json_len(families); i < json_len(ips) && !headless; i++) {
                const char *family = strchr(json_string(json_at(ips, i)), ':') ? "IPv6" : "IPv4";

                if (range_of(list, n, family))
                        json_append(a, families, json_new_string(a, family));
                else
                        field_error_add(errs, FIELD_INVALID, field_path(a, "spec.clusterIPs[%zu]", i), ips,
                                        "%s is not configured on this cluster", family);
        }
}

static const struct status *init_families(struct api_request *r, struct json *svc, const struct json *old)
{
        struct arena *a = r->arena;
        struct field_errors errs = { .arena = a };
        struct range list[2];
        size_t n = ranges(r, list);
        struct json *spec = json_ensure_object(a, svc, "spec"), *families;
        bool any_family = streq(json_get_string(spec, "clusterIP"), "None") && json_len(json_get(spec, "selector")) == 0;

        if (!needs_ip(svc) || n == 0 || keeps_families(svc, old))
                return NULL;
        default_policy(a, svc, old, any_family);
        validate_service_addresses(&errs, svc, old);
        if (errs.n)
                return status_invalid(a, services(), meta_string(svc, "name"), &errs);
        if (old)
                check_release(&errs, svc, old);
        families = json_ensure_array(a, spec, "ipFamilies");
        infer_families(a, &errs, svc, list, n);
        if (errs.n)
                return status_invalid(a, services(), meta_string(svc, "name"), &errs);
        if (any_family) {
                if (json_len(families) == 0)
                        json_append(a, families, json_new_string(a, family_name(list[0].family)));
                add_other_family(a, svc, families);
                return NULL;
        }
        if (is_policy(svc, "RequireDualStack") && n < 2)
                policy_error(&errs, svc, "this cluster is not configured for dual-stack services");
        for (size_t i = 0; i < json_len(families); i++)
                if (!range_of(list, n, json_string(json_at(families, i))))
                        field_error_add(&errs, FIELD_INVALID, field_path(a, "spec.ipFamilies[%zu]", i), json_at(families, i),
                                        "not configured on this cluster");
        if (errs.n)
                return status_invalid(a, services(), meta_string(svc, "name"), &errs);
        if (json_len(families) == 0)
                json_append(a, families, json_new_string(a, family_name(list[0].family)));
        if (n == 2)
                add_other_family(a, svc, families);
        return NULL;
}

/* --- clusterIP and clusterIPs say the same, whichever of them the client knows --- */

static void normalize_ips(struct arena *a, struct json *svc, const struct json *old)
{
        struct json *spec = json_ensure_object(a, svc, "spec");
        const char *ip = json_get_string(spec, "clusterIP"), *old_ip = json_path_string(old, "spec.clusterIP");
        bool none = json_len(json_get(spec, "clusterIPs")) == 0;
        struct json *list;

        if (!old) {
                if (!str_empty(ip) && none) {
                        list = json_new_array(a);
                        json_append(a, list, json_new_string(a, ip));
                        json_set(a, spec, "clusterIPs", list);
                }
                return;
        }
        if (!old_ip)
                old_ip = "";
        if (!ip)
                ip = "";
        if (none && json_len(json_path(old, "spec.clusterIPs")) && streq(ip, old_ip))
                copy_path(a, svc, old, "spec.clusterIPs");
        if (streq(ip, old_ip) || !same_list(svc, old, "spec.clusterIPs"))
                return;
        if (!*ip) {
                json_del(spec, "clusterIPs");
        } else {
                list = json_new_array(a);
                json_append(a, list, json_new_string(a, ip));
                json_set(a, spec, "clusterIPs", list);
        }
}

static bool has_node_port(const struct json *ports, int64_t port)
{
        json_foreach_item(ports, p)
                if (json_get_int(p, "nodePort", 0) == port)
                        return true;
        return false;
}

/* A port that left its node port out has it back by its name, unless another port was given it. */
static void patch_node_ports(struct arena *a, struct json *ports, const struct json *old_ports)
{
        size_t n = json_len(ports);
        int64_t *back = arena_calloc(a, (n + 1) * sizeof(*back));

        for (size_t i = 0; i < n; i++) {
                const char *name = json_get_string(json_at(ports, i), "name");

                if (json_get_int(json_at(ports, i), "nodePort", 0))
                        continue;
                json_foreach_item(old_ports, o)
                        if (streq(json_get_string(o, "name") ? json_get_string(o, "name") : "", name ? name : ""))
                                back[i] = json_get_int(o, "nodePort", 0);
                if (has_node_port(ports, back[i]))
                        back[i] = 0;
        }
        for (size_t i = 0; i < n; i++)
                if (back[i])
                        json_set_int(a, json_at(ports, i), "nodePort", back[i]);
}

/* An update that leaves allocated values out keeps them. */
static void patch_allocated(struct arena *a, struct json *svc, const struct json *old)
{
        struct json *spec = json_ensure_object(a, svc, "spec");

        if (needs_ip(old) && needs_ip(svc)) {
                if (str_empty(json_get_string(spec, "clusterIP")) && json_path(old, "spec.clusterIP"))
                        copy_path(a, svc, old, "spec.clusterIP");
                if (json_len(json_get(spec, "clusterIPs")) == 0)
                        copy_path(a, svc, old, "spec.clusterIPs");
        }
        if (needs_node_ports(old) && needs_node_ports(svc))
                patch_node_ports(a, json_get(spec, "ports"), json_path(old, "spec.ports"));
        if (needs_health_port(old) && needs_health_port(svc) && json_get_int(spec, "healthCheckNodePort", 0) == 0)
                copy_path(a, svc, old, "spec.healthCheckNodePort");
}

/* --- allocation --- */

static const struct status *allocation_failed(struct api_request *r, int code, struct error *err)
{
        const struct status *st = registry_store_status(r->arena, code, err);

        error_deinit(err);
        return st;
}

static const struct status *claim_ip(struct api_request *r, struct claims *c, struct json *svc, size_t i,
                                     const struct range *range)
{
        struct arena *a = r->arena;
        struct json *ips = json_ensure_array(a, json_get(svc, "spec"), "clusterIPs");
        const char *ip = json_string(json_at(ips, i)), *why;
        struct error err = ERROR_INIT;
        uint64_t offset = MIN(MAX(UINT64_C(16), range->size / 16), UINT64_C(256));
        int e;

        if (!str_empty(ip)) {
                why = in_range(range, ip) ? NULL :
                                            arena_printf(a,
                                                         "the provided IP (%s) is not in the valid range. The range of valid "
                                                         "IPs is %s",
                                                         ip, range->text);
                e = why ? STORE_CONFLICT : r->dry_run ? 0 :
                          claim(r, c, ip_key(a, ip), address_object(r, svc, ip, range->family), ip, 0, &err);
                if (e < 0)
                        return allocation_failed(r, e, &err);
                if (e == STORE_CONFLICT)
                        return invalid(r, svc, "spec.clusterIPs", ips,
                                       arena_printf(a, "failed to allocate IP %s: %s", ip,
                                                    why ? why : "provided IP is already allocated"));
                return NULL;
        }
        if (r->dry_run) { /* nothing is looked for: the range's own address stands for any */
                json_append(a, ips, json_new_string(a, address_at(a, range, 0)));
                return NULL;
        }
        /* At random, above the part that upstream leaves to addresses that are asked for. */
        for (unsigned t = 0; t < TRIES; t++) {
                uint64_t span = range->size - 1, at;

                if (span <= offset + 1)
                        offset = 0;
                at = 1 + offset + random_below((uint32_t)(span - offset - 1));
                ip = address_at(a, range, at);
                e = claim(r, c, ip_key(a, ip), address_object(r, svc, ip, range->family), ip, 0, &err);
                if (e < 0)
                        return allocation_failed(r, e, &err);
                if (e == 0) {
                        json_append(a, ips, json_new_string(a, ip));
                        return NULL;
                }
        }
        return status_internal(a, "failed to allocate a serviceIP: range is full");
}

static const struct status *claim_ips(struct api_request *r, struct claims *c, struct json *svc, const struct json *old)
{
        struct arena *a = r->arena;
        struct range list[2];
        size_t n = ranges(r, list);
        struct json *spec = json_get(svc, "spec"), *families = json_get(spec, "ipFamilies"), *ips;
        const struct json *before = needs_ip(old) && !is_headless(old) ? json_path(old, "spec.clusterIPs") : NULL;

        for (size_t i = 0; needs_ip(svc) && !is_headless(svc) && i < json_len(families); i++) {
                const struct range *range = range_of(list, n, json_string(json_at(families, i)));
                const char *want = json_string(json_at(json_get(spec, "clusterIPs"), i));
                const struct status *st;

                /* What it has it keeps; a change is for validation to refuse. */
                if (!range || (i < json_len(before) && (str_empty(want) || streq(want, json_string(json_at(before, i))) || i == 0)))
                        continue;
                st = claim_ip(r, c, svc, i, range);
                if (st)
                        return st;
        }
        ips = json_get(spec, "clusterIPs");
        if (json_len(ips) && needs_ip(svc))
                json_set_string(a, spec, "clusterIP", json_string(json_at(ips, 0)));
        json_foreach_item(before, it) {
                bool kept = false;

                json_foreach_item(ips, now)
                        kept |= streq(json_string(now), json_string(it));
                if (!kept && c->n_dropped < MAX_CLAIMS)
                        c->dropped[c->n_dropped++] = ip_key(a, json_string(it));
        }
        return NULL;
}

static void port_range(const struct api_request *r, int64_t *ret_low, int64_t *ret_high)
{
        int low = 30000, high = 32767;

        if (!str_empty(r->server->o.service_node_port_range))
                sscanf(r->server->o.service_node_port_range, "%d-%d", &low, &high);
        *ret_low = low;
        *ret_high = high;
}

/* Takes a node port that is asked for. RET_WHY says why it cannot be had; a dry run looks only whether another has it. */
static const struct status *take_port(struct api_request *r, struct claims *c, int64_t port, const char **ret_why)
{
        struct arena *a = r->arena;
        struct error err = ERROR_INIT;
        int64_t low, high;
        int e;

        *ret_why = NULL;
        port_range(r, &low, &high);
        if ((port < low || port > high) && !r->dry_run) {
                *ret_why = arena_printf(a, "provided port is not in the valid range. The range of valid ports is %lld-%lld",
                                        (long long)low, (long long)high);
                return NULL;
        }
        e = claim(r, c, port_key(a, port), port_object(r, port), NULL, port, &err);
        if (e < 0)
                return allocation_failed(r, e, &err);
        if (e)
                *ret_why = "provided port is already allocated";
        else
                c->highest_port = MAX(c->highest_port, port);
        return NULL;
}

/* Any node port; a dry run names one that stands for any, as upstream does. */
static const struct status *take_any_port(struct api_request *r, struct claims *c, int64_t *ret)
{
        int64_t low, high;

        if (r->dry_run) {
                c->highest_port = *ret = (c->n_taken ? c->highest_port : 32768) + 1;
                c->taken[c->n_taken++] = port_key(r->arena, *ret);
                return NULL;
        }
        port_range(r, &low, &high);
        for (unsigned t = 0; t < TRIES; t++) {
                const char *why;
                const struct status *st;

                *ret = low + random_below((uint32_t)(high - low + 1));
                st = take_port(r, c, *ret, &why);
                if (st || !why)
                        return st;
        }
        return status_internal(r->arena, "failed to allocate a nodePort: range is full");
}

/* The node port of port I: PORT, or any. */
static const struct status *claim_port(struct api_request *r, struct claims *c, const struct json *svc, size_t i, int64_t port)
{
        const struct status *st;
        const char *why = NULL;

        st = port ? take_port(r, c, port, &why) : take_any_port(r, c, &port);
        if (st)
                return st;
        if (why)
                return invalid(r, svc, field_path(r->arena, "spec.ports[%zu].nodePort", i), json_new_int(r->arena, port), why);
        json_set_int(r->arena, json_at(json_path(svc, "spec.ports"), i), "nodePort", port);
        return NULL;
}

/* What ports with the number of port I, those before it or all, have or ask for. */
static int64_t node_port_of(const struct json *ports, size_t i, size_t end)
{
        for (size_t k = 0; k < end; k++)
                if (json_get_int(json_at(ports, k), "port", 0) == json_get_int(json_at(ports, i), "port", 0) &&
                    json_get_int(json_at(ports, k), "nodePort", 0))
                        return json_get_int(json_at(ports, k), "nodePort", 0);
        return 0;
}

/* Of a new service: ports with the same number (and several protocols) share a node port. */
static const struct status *claim_new_ports(struct api_request *r, struct claims *c, struct json *svc)
{
        struct json *ports = json_path(svc, "spec.ports");
        const struct status *st = NULL;

        for (size_t i = 0; !st && i < json_len(ports); i++) {
                int64_t port = json_get_int(json_at(ports, i), "nodePort", 0), before = node_port_of(ports, i, i);

                if (!port && !needs_node_ports(svc))
                        continue;
                if (!before)
                        st = claim_port(r, c, svc, i, node_port_of(ports, i, json_len(ports)));
                else if (!port)
                        json_set_int(r->arena, json_at(ports, i), "nodePort", before);
                else if (port != before)
                        st = claim_port(r, c, svc, i, port);
        }
        return st;
}

static const struct status *claim_changed_ports(struct api_request *r, struct claims *c, struct json *svc, const struct json *old)
{
        struct json *ports = json_path(svc, "spec.ports");
        const struct status *st = NULL;

        for (size_t i = 0; !st && i < json_len(ports); i++) {
                struct json *p = json_at(ports, i);
                int64_t port = json_get_int(p, "nodePort", 0);
                bool shared = false;

                if (!port && !needs_node_ports(svc))
                        continue;
                for (size_t k = 0; k < i; k++)
                        shared |= port && json_get_int(json_at(ports, k), "nodePort", 0) == port;
                if (!port || (!shared && !has_node_port(json_path(old, "spec.ports"), port)))
                        st = claim_port(r, c, svc, i, port);
                for (size_t k = 0; !st && k < i; k++)
                        if (json_get_int(json_at(ports, k), "nodePort", 0) == json_get_int(p, "nodePort", 0) &&
                            streq(json_get_string(json_at(ports, k), "protocol"), json_get_string(p, "protocol")))
                                st = status_make(r->arena, 500, "", NULL, "duplicate nodePort: {%s %lld}",
                                                json_get_string(p, "protocol"), (long long)json_get_int(p, "nodePort", 0));
        }
        return st;
}

static const struct status *claim_health_port(struct api_request *r, struct claims *c, struct json *svc)
{
        int64_t port = json_path_int(svc, "spec.healthCheckNodePort", 0);
        const struct status *st;
        const char *why = NULL;

        st = port ? take_port(r, c, port, &why) : take_any_port(r, c, &port);
        if (why)
                return status_internal(r->arena, "failed to allocate requested HealthCheck NodePort %lld: %s", (long long)port, why);
        if (!st)
                json_path_set(r->arena, svc, "spec.healthCheckNodePort", json_new_int(r->arena, port));
        return st;
}

static const struct status *claim_ports(struct api_request *r, struct claims *c, struct json *svc, const struct json *old)
{
        const struct status *st = NULL;
        int64_t port;

        if (may_have_node_ports(svc))
                st = old ? claim_changed_ports(r, c, svc, old) : claim_new_ports(r, c, svc);
        if (!st && needs_health_port(svc) && !needs_health_port(old))
                st = claim_health_port(r, c, svc);
        if (st || !old)
                return st;
        json_foreach_item(json_path(old, "spec.ports"), p) {
                port = json_get_int(p, "nodePort", 0);
                if (port && !(may_have_node_ports(svc) && has_node_port(json_path(svc, "spec.ports"), port)) &&
                    c->n_dropped < MAX_CLAIMS)
                        c->dropped[c->n_dropped++] = port_key(r->arena, port);
        }
        port = json_path_int(old, "spec.healthCheckNodePort", 0);
        if (port && needs_health_port(old) && !needs_health_port(svc) && c->n_dropped < MAX_CLAIMS)
                c->dropped[c->n_dropped++] = port_key(r->arena, port);
        return NULL;
}

static void service_finish(struct api_request *r, void *state, bool done)
{
        struct claims *c = state;

        if (r->dry_run)
                return;
        for (size_t i = 0; !done && i < c->n_taken; i++)
                drop(r, c->taken[i]);
        for (size_t i = 0; done && i < c->n_dropped; i++)
                drop(r, c->dropped[i]);
}

/* None of its node ports is new. */
static bool no_new_node_port(const struct json *svc, const struct json *old)
{
        json_foreach_item(json_path(svc, "spec.ports"), p) {
                int64_t port = json_get_int(p, "nodePort", 0);

                if (port && !has_node_port(json_path(old, "spec.ports"), port))
                        return false;
        }
        return true;
}

static bool reachable(const struct json *svc)
{
        return may_have_node_ports(svc) || (is_type(svc, "ClusterIP") && json_len(json_path(svc, "spec.externalIPs")));
}

/* What a type that no longer has a field leaves behind goes, when the client sent it back unchanged. */
static void drop_type_dependent(struct arena *a, struct json *svc, const struct json *old)
{
        struct json *spec = json_get(svc, "spec");
        bool balancer = is_type(old, "LoadBalancer") && !is_type(svc, "LoadBalancer");

        if (needs_ip(old) && !needs_ip(svc)) {
                if (same_list(svc, old, "spec.clusterIPs")) {
                        json_del(spec, "clusterIP");
                        json_del(spec, "clusterIPs");
                }
                if (same_list(svc, old, "spec.ipFamilies"))
                        json_del(spec, "ipFamilies");
                if (same(svc, old, "spec.ipFamilyPolicy"))
                        json_del(spec, "ipFamilyPolicy");
                if (same(svc, old, "spec.internalTrafficPolicy"))
                        json_del(spec, "internalTrafficPolicy");
        }
        if (may_have_node_ports(old) && !may_have_node_ports(svc) && no_new_node_port(svc, old))
                json_foreach_item(json_get(spec, "ports"), p)
                        json_del(p, "nodePort");
        if (needs_health_port(old) && !needs_health_port(svc) && same(svc, old, "spec.healthCheckNodePort"))
                json_del(spec, "healthCheckNodePort");
        if (balancer && same(svc, old, "spec.allocateLoadBalancerNodePorts"))
                json_del(spec, "allocateLoadBalancerNodePorts");
        if (balancer && same(svc, old, "spec.loadBalancerClass"))
                json_del(spec, "loadBalancerClass");
        if (reachable(old) && !reachable(svc) && same(svc, old, "spec.externalTrafficPolicy"))
                json_del(spec, "externalTrafficPolicy");
        if (!is_type(svc, "LoadBalancer") && json_len(json_path(svc, "status.loadBalancer")))
                json_path_set(a, svc, "status.loadBalancer", json_new_object(a));
}

static void service_prepare_update(struct api_request *r, struct json *svc, const struct json *old, const char *sub)
{
        if (!*sub)
                drop_type_dependent(r->arena, svc, old);
}

static const struct status *service_allocate(struct api_request *r, struct json *svc, const struct json *old,
                                             void **ret_state)
{
        struct claims *c = arena_calloc(r->arena, sizeof(*c));
        const struct status *st;

        if (old)
                patch_allocated(r->arena, svc, old);
        normalize_ips(r->arena, svc, old);
        st = init_families(r, svc, old);
        if (!st)
                st = claim_ips(r, c, svc, old);
        if (!st)
                st = claim_ports(r, c, svc, old);
        if (st)
                service_finish(r, c, false);
        else
                *ret_state = c;
        return st;
}

static void service_after_delete(struct api_request *r, const struct json *svc)
{
        struct json *endpoints;
        bool gone;
        struct api_request own = *r;

        if (needs_ip(svc) && !is_headless(svc))
                json_foreach_item(json_path(svc, "spec.clusterIPs"), it)
                        drop(r, ip_key(r->arena, json_string(it)));
        if (may_have_node_ports(svc))
                json_foreach_item(json_path(svc, "spec.ports"), p)
                        if (json_get_int(p, "nodePort", 0))
                                drop(r, port_key(r->arena, json_get_int(p, "nodePort", 0)));
        if (needs_health_port(svc) && json_path_int(svc, "spec.healthCheckNodePort", 0))
                drop(r, port_key(r->arena, json_path_int(svc, "spec.healthCheckNodePort", 0)));
        /* Its endpoints go with it. */
        registry_delete(&own, builtin_resource("", "v1", "endpoints"), meta_string(svc, "namespace"),
                        meta_string(svc, "name"), NULL, &endpoints, &gone);
}

const struct strategy service_strategy = {
        .group = "",
        .kind = "Service",
        .allocate = service_allocate,
        .finish = service_finish,
        .prepare_update = service_prepare_update,
        .after_delete = service_after_delete,
};

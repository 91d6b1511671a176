/* Services and EndpointSlices as the zone's records. */
#include "cluster.h"

#include <ctype.h>

#define SERVICE_LABEL "kubernetes.io/service-name"

/* --- indexes --- */

typedef void add_fn(void *ctx, const char *value);

static void index_service_address(const struct object *o, add_fn *add, void *ctx)
{
        const struct json *spec = json_get(o->json, "spec"), *list = json_get(spec, "clusterIPs");
        const char *first = json_get_string(spec, "clusterIP");

        if (!json_len(list) && !str_empty(first))
                add(ctx, first);
        json_foreach_item(list, ip)
                if (json_string(ip))
                        add(ctx, json_string(ip));
}

static const char *slice_service(const struct object *o)
{
        return json_get_string(json_path(o->json, "metadata.labels"), SERVICE_LABEL);
}

static void index_slice_service(const struct object *o, add_fn *add, void *ctx)
{
        const char *name = slice_service(o);

        if (!str_empty(name)) {
                _cleanup_free_ char *key = xasprintf("%s/%s", o->namespace, name);

                add(ctx, key);
        }
}

static void index_slice_address(const struct object *o, add_fn *add, void *ctx)
{
        json_foreach_item(json_get(o->json, "endpoints"), e)
                json_foreach_item(json_get(e, "addresses"), address)
                        if (json_string(address))
                                add(ctx, json_string(address));
}

/* --- from JSON --- */

static const char *protocol_of(struct arena *a, const struct json *port)
{
        const char *p = json_get_string(port, "protocol");
        char *copy = arena_strdup(a, p ? p : "tcp");

        for (char *c = copy; *c; c++)
                *c = (char)tolower((unsigned char)*c);
        return copy;
}

static const struct dns_port *read_ports(struct arena *a, const struct json *list, size_t *ret_n)
{
        struct dns_port *ports = arena_calloc(a, (json_len(list) + 1) * sizeof(*ports));

        json_foreach_item(list, p) {
                const char *name = json_get_string(p, "name");

                ports[p_i] = (struct dns_port){ name ? name : "", protocol_of(a, p),
                                                (uint16_t)json_get_int(p, "port", 0) };
        }
        *ret_n = json_len(list);
        return ports;
}

static size_t count_addresses(struct object *const *slices, size_t n)
{
        size_t count = 0;

        for (size_t i = 0; i < n; i++)
                json_foreach_item(json_get(slices[i]->json, "endpoints"), e)
                        count += json_len(json_get(e, "addresses"));
        return count;
}

static void read_endpoints(struct dns_cluster *c, struct arena *a, const char *key, struct dns_service *s)
{
        size_t n_slices;
        struct object *const *slices = object_store_lookup(c->slices, c->slices_by_service, key, &n_slices);
        struct dns_endpoint *endpoints =
                arena_alloc(a, (count_addresses(slices, n_slices) + 1) * sizeof(*endpoints));

        s->endpoints = endpoints;
        for (size_t i = 0; i < n_slices; i++) {
                const struct json *slice = slices[i]->json;
                size_t n_ports;
                const struct dns_port *ports = read_ports(a, json_get(slice, "ports"), &n_ports);

                json_foreach_item(json_get(slice, "endpoints"), e)
                        json_foreach_item(json_get(e, "addresses"), address)
                                if (json_string(address))
                                        endpoints[s->n_endpoints++] = (struct dns_endpoint){
                                                json_string(address), json_get_string(e, "hostname"),
                                                json_path_bool(e, "conditions.ready", true), ports, n_ports,
                                        };
        }
}

static void read_addresses(struct arena *a, const struct json *spec, struct dns_service *s)
{
        const struct json *list = json_get(spec, "clusterIPs");
        const char *first = json_get_string(spec, "clusterIP");
        const char **addresses = arena_alloc(a, (json_len(list) + 1) * sizeof(*addresses));

        s->addresses = addresses;
        if (streq(first, "None")) {
                s->headless = true;
                return;
        }
        json_foreach_item(list, ip)
                if (!str_empty(json_string(ip)))
                        addresses[s->n_addresses++] = json_string(ip);
        if (!s->n_addresses && !str_empty(first))
                addresses[s->n_addresses++] = first;
}

static const struct dns_service *read_service(struct dns_cluster *c, struct arena *a, const struct object *o)
{
        const struct json *spec = json_get(o->json, "spec");
        struct dns_service *s = arena_calloc(a, sizeof(*s));

        s->namespace = o->namespace;
        s->name = o->name;
        if (streq(json_get_string(spec, "type"), "ExternalName")) {
                s->external_name = json_get_string(spec, "externalName");
                return s->external_name ? s : NULL;
        }
        s->publish_not_ready = json_get_bool(spec, "publishNotReadyAddresses", false);
        read_addresses(a, spec, s);
        s->ports = read_ports(a, json_get(spec, "ports"), &s->n_ports);
        read_endpoints(c, a, o->key, s);
        return s;
}

/* --- the source --- */

static bool source_ready(void *ctx)
{
        struct dns_cluster *c = ctx;

        return !c->synced || c->synced(c->userdata);
}

static bool source_has_namespace(void *ctx, const char *name)
{
        struct dns_cluster *c = ctx;

        return !c->namespaces || object_store_get(c->namespaces, name);
}

static const struct dns_service *source_service(void *ctx, struct arena *a, const char *namespace, const char *name)
{
        struct dns_cluster *c = ctx;
        struct object *o = object_store_get(c->services, arena_printf(a, "%s/%s", namespace, name));

        return o ? read_service(c, a, o) : NULL;
}

static size_t source_by_address(void *ctx, struct arena *a, const char *address,
                                const struct dns_service *const **ret)
{
        struct dns_cluster *c = ctx;
        size_t n_services, n_slices, n = 0;
        struct object *const *services = object_store_lookup(c->services, c->services_by_address, address, &n_services);
        struct object *const *slices = object_store_lookup(c->slices, c->slices_by_address, address, &n_slices);
        const struct dns_service **found = arena_alloc(a, (n_services + n_slices + 1) * sizeof(*found));

        for (size_t i = 0; i < n_services; i++) {
                found[n] = read_service(c, a, services[i]);
                n += found[n] != NULL;
        }
        for (size_t i = 0; i < n_slices; i++) {
                const char *name = slice_service(slices[i]);

                found[n] = name ? source_service(c, a, slices[i]->namespace, name) : NULL;
                n += found[n] != NULL;
        }
        *ret = found;
        return n;
}

void dns_cluster_init(struct dns_cluster *c, struct object_store *services, struct object_store *slices, struct object_store *namespaces)
{
        *c = (struct dns_cluster){ .services = services, .slices = slices, .namespaces = namespaces };
        c->services_by_address = object_store_add_index(services, index_service_address);
        c->slices_by_service = object_store_add_index(slices, index_slice_service);
        c->slices_by_address = object_store_add_index(slices, index_slice_address);
}

struct dns_source dns_cluster_source(struct dns_cluster *c)
{
        return (struct dns_source){ source_ready, source_has_namespace, source_service, source_by_address, c };
}

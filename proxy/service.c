/* From a Service and its EndpointSlices to the proxy's own picture: see service.h. */
#include "service.h"

#include <arpa/inet.h>
#include <stdio.h>

#define AFFINITY_DEFAULT_S 10800

const char *const service_protocol_names[] = { "tcp", "udp", "sctp" };

bool service_is_ipv4(const char *s)
{
        struct in_addr addr;

        return s && inet_pton(AF_INET, s, &addr) == 1;
}

bool service_is_cidr(const char *s)
{
        const char *slash = s ? strchr(s, '/') : NULL;
        char ip[INET_ADDRSTRLEN], *end;
        long bits;

        if (!slash || slash - s >= (ptrdiff_t)sizeof(ip) || slash[1] < '0' || slash[1] > '9')
                return false;
        memcpy(ip, s, slash - s);
        ip[slash - s] = '\0';
        bits = strtol(slash + 1, &end, 10);
        return !*end && bits >= 0 && bits <= 32 && service_is_ipv4(ip);
}

/* The API server allows nothing else in these names; here they become part of a chain's name. */
static bool name_is_plain(const char *s)
{
        return s && *s && strlen(s) <= 63 && strspn(s, "abcdefghijklmnopqrstuvwxyz0123456789-") == strlen(s);
}

static bool parse_protocol(const char *s, enum service_protocol *ret)
{
        static const char *const names[] = { "TCP", "UDP", "SCTP" };

        for (size_t i = 0; i < ARRAY_SIZE(names); i++)
                if (streq(s ? s : "TCP", names[i])) {
                        *ret = i;
                        return true;
                }
        return false;
}

static uint16_t port_or_zero(const struct json *obj, const char *key)
{
        int64_t port = json_get_int(obj, key, 0);

        return port > 0 && port <= 65535 ? port : 0;
}

/* The strings of LIST (or their member KEY) that pass CHECK. */
static const char **strings(struct arena *a, const struct json *list, const char *key, bool (*check)(const char *),
                            size_t *ret_n)
{
        const char **ret = arena_alloc(a, (json_len(list) + 1) * sizeof(*ret));

        *ret_n = 0;
        json_foreach_item(list, it) {
                const char *s = key ? json_get_string(it, key) : json_string(it);

                /* ipMode Proxy: the balancer hands packets to the node's own address */
                if (key && streq(json_get_string(it, "ipMode"), "Proxy"))
                        continue;
                if (check(s))
                        ret[(*ret_n)++] = s;
        }
        return ret;
}

/* --- endpoints --- */

static int by_address(const void *x, const void *y)
{
        const struct service_endpoint *a = x, *b = y;
        struct in_addr p = { 0 }, q = { 0 };

        inet_pton(AF_INET, a->ip, &p);
        inet_pton(AF_INET, b->ip, &q);
        if (p.s_addr != q.s_addr)
                return ntohl(p.s_addr) < ntohl(q.s_addr) ? -1 : 1;
        if (a->port != b->port)
                return a->port < b->port ? -1 : 1;
        /* Of doubles (a pod that moves between slices) the one that is of more use comes first. */
        return (b->ready * 2 + b->fallback) - (a->ready * 2 + a->fallback);
}

/* What a slice has for the service port NAME; 0: nothing. Ports are matched by name and protocol. */
static uint16_t slice_port(const struct json *slice, const char *name, enum service_protocol protocol)
{
        json_foreach_item(json_get(slice, "ports"), port) {
                const char *other = json_get_string(port, "name");
                enum service_protocol p;

                if (streq(other ? other : "", name) && parse_protocol(json_get_string(port, "protocol"), &p) &&
                    p == protocol)
                        return port_or_zero(port, "port");
        }
        return 0;
}

static bool read_endpoint(const struct json *item, const char *node, uint16_t port, struct service_endpoint *ret)
{
        const struct json *conditions = json_get(item, "conditions");
        const char *ip = json_string(json_at(json_get(item, "addresses"), 0));
        const char *where = json_get_string(item, "nodeName");
        /* Absent conditions are to be read as ready, and serving as ready. */
        bool ready = json_get_bool(conditions, "ready", true);
        bool serving = json_get_bool(conditions, "serving", ready);

        if (!service_is_ipv4(ip))
                return false;
        *ret = (struct service_endpoint){
                .ip = ip, .port = port, .local = where && streq(where, node), .ready = ready,
                .fallback = !ready && serving && json_get_bool(conditions, "terminating", false),
        };
        return ret->ready || ret->fallback;
}

static void collect_endpoints(struct arena *a, const struct json *const *slices, size_t n_slices, const char *name,
                              const char *node, struct service_port *port)
{
        struct service_endpoint *list;
        size_t n = 0, kept = 0;

        for (size_t i = 0; i < n_slices; i++)
                n += json_len(json_get(slices[i], "endpoints"));
        list = arena_alloc(a, (n + 1) * sizeof(*list));
        n = 0;
        for (size_t i = 0; i < n_slices; i++) {
                uint16_t number = slice_port(slices[i], name, port->protocol);

                if (!number || !streq(json_get_string(slices[i], "addressType"), "IPv4"))
                        continue;
                json_foreach_item(json_get(slices[i], "endpoints"), item)
                        if (read_endpoint(item, node, number, &list[n]))
                                n++;
        }
        qsort(list, n, sizeof(*list), by_address);
        for (size_t i = 0; i < n; i++)
                if (!kept || !streq(list[kept - 1].ip, list[i].ip) || list[kept - 1].port != list[i].port)
                        list[kept++] = list[i];
        port->endpoints = list;
        port->n_endpoints = kept;
}

/* --- the Service --- */

static void parse_ports(struct arena *a, const struct json *spec, const struct json *const *slices, size_t n_slices,
                        const char *node, struct service *s)
{
        const struct json *list = json_get(spec, "ports");
        struct service_port *ports = arena_calloc(a, (json_len(list) + 1) * sizeof(*ports));

        json_foreach_item(list, it) {
                struct service_port *p = &ports[s->n_ports];
                const char *name = json_get_string(it, "name");

                p->port = port_or_zero(it, "port");
                p->node_port = port_or_zero(it, "nodePort");
                if (!p->port || !parse_protocol(json_get_string(it, "protocol"), &p->protocol))
                        continue;
                collect_endpoints(a, slices, n_slices, name ? name : "", node, p);
                s->n_ports++;
        }
        s->ports = ports;
}

/* A dual-stack Service has one address of each family. */
static const char *find_cluster_ip(const struct json *spec)
{
        const char *first = json_get_string(spec, "clusterIP");

        if (service_is_ipv4(first))
                return first;
        json_foreach_item(json_get(spec, "clusterIPs"), it)
                if (service_is_ipv4(json_string(it)))
                        return json_string(it);
        return NULL;
}

struct service *service_parse(struct arena *a, const struct json *object, const struct json *const *slices,
                              size_t n_slices, const char *node)
{
        const struct json *spec = json_get(object, "spec"), *labels = json_path(object, "metadata.labels");
        struct service *s = arena_calloc(a, sizeof(*s));

        s->namespace = json_path_string(object, "metadata.namespace");
        s->name = json_path_string(object, "metadata.name");
        s->cluster_ip = find_cluster_ip(spec);
        if (!s->cluster_ip || !name_is_plain(s->namespace) || !name_is_plain(s->name) ||
            streq(json_get_string(spec, "type"), "ExternalName") ||
            json_get(labels, "service.kubernetes.io/service-proxy-name"))
                return NULL;
        s->external_ips = strings(a, json_get(spec, "externalIPs"), NULL, service_is_ipv4, &s->n_external_ips);
        s->balancer_ips = strings(a, json_path(object, "status.loadBalancer.ingress"), "ip", service_is_ipv4,
                                  &s->n_balancer_ips);
        s->source_ranges = strings(a, json_get(spec, "loadBalancerSourceRanges"), NULL, service_is_cidr,
                                   &s->n_source_ranges);
        s->internal_local = streq(json_get_string(spec, "internalTrafficPolicy"), "Local");
        s->external_local = streq(json_get_string(spec, "externalTrafficPolicy"), "Local");
        s->health_port = port_or_zero(spec, "healthCheckNodePort");
        if (streq(json_get_string(spec, "sessionAffinity"), "ClientIP")) {
                int64_t t = json_path_int(spec, "sessionAffinityConfig.clientIP.timeoutSeconds", AFFINITY_DEFAULT_S);

                s->affinity_s = t > 0 && t <= 86400 ? t : AFFINITY_DEFAULT_S;
        }
        parse_ports(a, spec, slices, n_slices, node, s);
        return s;
}

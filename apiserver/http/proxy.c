/* pods/NAME/proxy, services/NAME/proxy and nodes/NAME/proxy: any HTTP request, sent on to what the name stands for.
 *
 * NAME is "name", "name:port" or "scheme:name:port". Of a service the port is one of its ports, by number or by
 * name, and one of its ready endpoints answers; of a node it is the kubelet unless another port is named.
 */
#include <stdio.h>
#include <strings.h>

#include "../../lib/base/encode.h"
#include "../../lib/base/time.h"
#include "../admission/admission.h"
#include "connect.h"

/* Somebody else's program may think for a while before it answers. */
#define HEAD_TIMEOUT (600 * NS_PER_SEC)

struct target {
        const char *scheme, *name, *port; /* of the request's name; "" where not given */
        struct dial_options to;
};

static bool split_name(struct api_request *r, struct target *t)
{
        char *copy = arena_strdup(r->arena, r->name), *first = strchr(copy, ':'), *second;

        t->scheme = t->port = "";
        t->name = copy;
        if (first) {
                *first++ = '\0';
                second = strchr(first, ':');
                if (second) {
                        *second++ = '\0';
                        t->scheme = copy;
                        t->name = first;
                        t->port = second;
                } else {
                        t->port = first;
                }
        }
        return *t->name && !strchr(t->port, ':') &&
               (!*t->scheme || streq(t->scheme, "http") || streq(t->scheme, "https"));
}

static uint16_t port_number(const char *text)
{
        char *end;
        long n = strtol(text, &end, 10);

        return *end || n < 1 || n > 65535 ? 0 : (uint16_t)n;
}

/* Addresses that lead to the machine of the API server itself, or nowhere. */
static bool may_proxy_to(const char *ip)
{
        return !str_empty(ip) && !str_has_prefix(ip, "127.") && !str_has_prefix(ip, "169.254.") && !str_has_prefix(ip, "224.") &&
               !streq(ip, "0.0.0.0") && !streq(ip, "::1") && !streq(ip, "::") && strncasecmp(ip, "fe80:", 5) != 0;
}

static const struct status *pod_target(struct api_request *r, struct target *t)
{
        const char *ip;
        struct json *pod;
        const struct status *st = registry_get(r, r->res, r->namespace, t->name, &pod);
        uint16_t port = port_number(t->port);

        if (st)
                return st;
        ip = json_path_string(pod, "status.podIP");
        if (!may_proxy_to(ip))
                return status_bad_request(r->arena, "address not allowed");
        if (!*t->port) {
                json_foreach_item(json_path(pod, "spec.containers"), c)
                        if (!port)
                                port = (uint16_t)json_get_int(json_at(json_get(c, "ports"), 0), "containerPort", 0);
                if (!port)
                        port = streq(t->scheme, "https") ? 443 : 80;
        }
        t->to = (struct dial_options){.host = ip, .port = port};
        return NULL;
}

/* --- services --- */

struct endpoint_search {
        struct api_request *r;
        const char *service, *port_name;
        const char *address;
        uint16_t port;
        unsigned slices, candidates;
};

static void try_slice(struct endpoint_search *s, const struct json *slice)
{
        uint16_t number = 0;

        json_foreach_item(json_get(slice, "ports"), p) {
                const char *name = json_get_string(p, "name");
                if (!*s->port_name || streq(name ? name : "", s->port_name))
                        number = (uint16_t)json_get_int(p, "port", 0);
                if (number)
                        break;
        }
        if (!number)
                return;
        json_foreach_item(json_get(slice, "endpoints"), e) {
                const char *ip = json_string(json_at(json_get(e, "addresses"), 0));
                if (!json_path_bool(e, "conditions.ready", true) || !may_proxy_to(ip))
                        continue;
                /* Each that comes takes the place with a chance of one in all so far: all are as likely. */
                if (random_below(++s->candidates) == 0) {
                        s->address = ip;
                        s->port = number;
                }
        }
}

static bool visit_slice(struct entry *e, void *userdata)
{
        struct endpoint_search *s = userdata;
        struct json *slice = NULL;

        if (!streq(entry_label(e, "kubernetes.io/service-name"), s->service))
                return true;
        s->slices++;
        if (json_parse(s->r->arena, e->json->data, e->json->len, NULL, &slice, NULL) >= 0)
                try_slice(s, slice);
        return true;
}

/* A port's number becomes its name, which endpoints know it by. */
static const struct status *service_port_name(struct api_request *r, struct target *t, const char **ret)
{
        uint16_t number = port_number(t->port);
        struct json *service;
        const struct status *st;

        *ret = t->port;
        if (!number)
                return NULL;
        st = registry_get(r, r->res, r->namespace, t->name, &service);
        if (st)
                return st;
        json_foreach_item(json_path(service, "spec.ports"), p)
                if (json_get_int(p, "port", 0) == number) {
                        const char *name = json_get_string(p, "name");
                        *ret = name ? name : "";
                        return NULL;
                }
        return status_unavailable(r->arena, "no service port %u found for service \"%s\"", number, t->name);
}

static const struct status *service_target(struct api_request *r, struct target *t)
{
        const struct resource *slices = apiserver_resource(r->server, "discovery.k8s.io", "v1", "endpointslices");
        struct endpoint_search s = {.r = r, .service = t->name};
        const struct status *st = service_port_name(r, t, &s.port_name);

        if (st)
                return st;
        if (store_sync(r->server->store, NULL) < 0)
                return status_unavailable(r->arena, "the server is currently unable to handle the request");
        store_scan(r->server->store, registry_key(r->arena, slices, r->namespace, NULL), NULL, visit_slice, &s);
        if (!s.slices)
                return status_not_found(r->arena, r->res, t->name);
        if (!s.address)
                return status_unavailable(r->arena, "no endpoints available for service \"%s\"", r->name);
        t->to = (struct dial_options){.host = s.address, .port = s.port};
        return NULL;
}

/* --- nodes --- */

static const struct status *node_target(struct api_request *r, struct target *t)
{
        const struct status *st = kubelet_location(r, r->res, t->name, &t->to);
        uint16_t port = port_number(t->port);

        if (st)
                return st;
        if (!*t->port || port == t->to.port) {
                t->scheme = "https";
                return NULL;
        }
        if (!may_proxy_to(t->to.host))
                return status_bad_request(r->arena, "address not allowed");
        t->to = (struct dial_options){.host = t->to.host, .port = port};
        return NULL;
}

static const struct status *find_target(struct api_request *r, struct target *t)
{
        static const struct {
                const char *resource, *word;
                const struct status *(*fn)(struct api_request *r, struct target *t);
        } kinds[] = {{"pods", "pod", pod_target}, {"services", "service", service_target}, {"nodes", "node", node_target}};
        const struct status *st;
        size_t i = 0;

        while (i < ARRAY_SIZE(kinds) - 1 && !streq(r->res->name, kinds[i].resource))
                i++;
        if (!split_name(r, t))
                return status_bad_request(r->arena, "invalid %s request \"%s\"", kinds[i].word, r->name);
        st = kinds[i].fn(r, t);
        if (!st && streq(t->scheme, "https") && !t->to.tls) {
                t->to.tls = true;
                t->to.insecure = true; /* a pod's certificate is of its own making, as upstream has it */
        }
        return st;
}

/* The path up to and with ".../proxy", as it was sent. */
static const char *path_prefix(struct api_request *r)
{
        size_t len = strlen(r->http->path) - strlen(r->subpath);

        while (len && r->http->path[len - 1] == '/')
                len--;
        return arena_strndup(r->arena, r->http->path, len);
}

/* A location on the same server is given the way that leads through us. */
static void fix_location(struct api_request *r, const char **headers)
{
        for (; headers[0]; headers += 2)
                if (strcasecmp(headers[0], "Location") == 0 && headers[1][0] == '/' && headers[1][1] != '/')
                        headers[1] = arena_printf(r->arena, "%s%s", path_prefix(r), headers[1]);
}

static const char *const *with_forwarding(struct api_request *r, const char *const *headers)
{
        const char *host = http_header(r->http, "Host"), **out;
        size_t n = 0;

        while (headers[n])
                n++;
        out = arena_alloc(r->arena, (n + 7) * sizeof(*out));
        memcpy(out, headers, n * sizeof(*out));
        out[n++] = "X-Forwarded-Uri";
        out[n++] = r->http->path;
        out[n++] = "X-Forwarded-Host";
        out[n++] = host ? host : "";
        out[n++] = "X-Forwarded-Proto";
        out[n++] = "https";
        out[n] = NULL;
        return out;
}

void connect_proxy(struct api_request *r)
{
        struct target t;
        const struct status *st = admission_connect(r);
        const char *mark = strchr(r->http->target, '?') ? "?" : "";
        size_t len = strlen(r->http->path);
        _cleanup_error_ struct error err = ERROR_INIT;
        struct relay *l;

        if (!st)
                st = find_target(r, &t);
        if (st) {
                answer_status(r, st);
                return;
        }
        if (!*r->subpath && len && r->http->path[len - 1] != '/') { /* so that relative links lead below it */
                const char *const headers[] = {
                        "Location", arena_printf(r->arena, "%s/%s%s", r->http->path, mark, r->http->query), NULL};
                http_respond(r->http, &(struct http_answer){.status = 301, .headers = headers});
                return;
        }
        struct relay_request q = {
                .to = t.to,
                .method = r->http->method,
                .target = arena_printf(r->arena, "/%s%s%s", r->subpath, mark, r->http->query),
                .upgrade = asks_upgrade(r),
                .headers = with_forwarding(r, forwarded_headers(r, asks_upgrade(r))),
                .body = r->http->body,
                .body_len = r->http->body_len,
                .head_timeout_ns = HEAD_TIMEOUT,
        };
        if (relay_open(r->server->loop, &q, &l, &err) < 0)
                answer_status(r, status_unavailable(r->arena, "error trying to reach service: %s", error_text(&err)));
        else if (relay_status(l) == 101)
                relay_upgrade(l, r->http);
        else
                pass_answer(r, l, fix_location);
}

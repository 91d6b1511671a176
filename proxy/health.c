/* A small HTTP server for each Service that has such a port: see health.h. */
#include "health.h"

#include "../lib/base/map.h"
#include "../lib/http/server.h"

struct answering {
        struct http_server *server;
        uint16_t port;
        char *namespace, *name;
        size_t local; /* endpoints of this node */
};

struct health {
        struct loop *loop;
        struct map services;
};

static void answering_free(struct answering *a)
{
        http_server_free(a->server);
        free(a->namespace);
        free(a->name);
        free(a);
}

struct health *health_new(struct loop *loop)
{
        struct health *h = new0(struct health);

        h->loop = loop;
        map_init(&h->services);
        return h;
}

void health_free(struct health *h)
{
        struct map_entry *e;

        map_foreach(&h->services, e)
                answering_free(e->value);
        map_deinit(&h->services);
        free(h);
}

/* The port with the most: a pod that serves several ports is one endpoint. Only ready ones count, so that
 * a node that is being emptied gets no new clients while the old ones are served. */
static size_t count_local(const struct service *s)
{
        size_t most = 0;

        for (size_t i = 0; i < s->n_ports; i++) {
                size_t n = 0;

                for (size_t k = 0; k < s->ports[i].n_endpoints; k++)
                        n += s->ports[i].endpoints[k].local && s->ports[i].endpoints[k].ready;
                most = MAX(most, n);
        }
        return most;
}

static void answer(struct http_request *req, void *userdata)
{
        const struct answering *a = userdata;
        char *weight = arena_printf(req->arena, "%zu", a->local);
        const char *headers[] = { "X-Load-Balancing-Endpoint-Weight", weight, "X-Content-Type-Options", "nosniff", NULL };
        char *body = arena_printf(req->arena,
                                  "{\"service\":{\"namespace\":\"%s\",\"name\":\"%s\"},\"localEndpoints\":%zu,"
                                  "\"serviceProxyHealthy\":true}",
                                  a->namespace, a->name, a->local);
        struct http_answer reply = {
                .status = a->local ? 200 : 503, .content_type = "application/json", .headers = headers, .body = body,
                .body_len = strlen(body),
        };

        http_respond(req, &reply);
}

int health_set(struct health *h, const char *key, const struct service *s, struct error *reterr)
{
        bool wanted = s && s->health_port && s->external_local;
        struct answering *a = map_get(&h->services, key);
        struct http_server_options o = { .address = "0.0.0.0", .handler = answer, .max_body = 1024, .max_connections = 256 };
        int r;

        if (a && (!wanted || a->port != s->health_port)) {
                map_del(&h->services, key);
                answering_free(a);
                a = NULL;
        }
        if (!wanted)
                return 0;
        if (!a) {
                a = new0(struct answering);
                o.port = a->port = s->health_port;
                o.userdata = a;
                r = http_server_new(h->loop, &o, &a->server, reterr);
                if (r < 0) {
                        free(a);
                        return error_wrap(reterr, r, "health check of %s on port %u", key, s->health_port);
                }
                a->namespace = xstrdup(s->namespace);
                a->name = xstrdup(s->name);
                map_put(&h->services, key, a);
        }
        a->local = count_local(s);
        return 0;
}

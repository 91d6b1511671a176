/* Pods reach the API server through this Service, so it is written by the API server itself, at every
 * start: the address may be another than last time. */
#include "kubernetes-service.h"

#include <arpa/inet.h>
#include <sys/socket.h>

#include "registry/registry.h"
#include "schema/default.h"

/* Connecting a datagram socket sends nothing, but makes the kernel choose the address it would send from. */
static const char *routed_address(struct arena *a)
{
        struct sockaddr_in to = {.sin_family = AF_INET, .sin_port = htons(9)}, own = {0};
        socklen_t len = sizeof(own);
        char text[INET_ADDRSTRLEN];
        _cleanup_close_ int fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);

        inet_pton(AF_INET, "192.0.2.1", &to.sin_addr);
        if (fd < 0 || connect(fd, (struct sockaddr *)&to, sizeof(to)) < 0 ||
            getsockname(fd, (struct sockaddr *)&own, &len) < 0)
                return "127.0.0.1";
        return arena_strdup(a, inet_ntop(AF_INET, &own.sin_addr, text, sizeof(text)));
}

const char *advertise_address(const struct apiserver *s, struct arena *a)
{
        const char *bind = s->o.bind_address;

        if (!str_empty(s->o.advertise_address))
                return s->o.advertise_address;
        return str_empty(bind) || streq(bind, "0.0.0.0") || streq(bind, "::") ? routed_address(a) : bind;
}

/* "10.96.0.0/12" -> "10.96.0.1" */
static const char *first_address(struct arena *a, const char *range)
{
        struct in_addr in;
        char text[INET_ADDRSTRLEN];

        if (inet_pton(AF_INET, arena_strndup(a, range, strcspn(range, "/")), &in) != 1)
                return NULL;
        in.s_addr = htonl(ntohl(in.s_addr) + 1);
        return arena_strdup(a, inet_ntop(AF_INET, &in, text, sizeof(text)));
}

struct wanted {
        const struct resource *res;
        const char *text; /* the object as JSON */
};

static const struct status *give(struct api_request *r, const struct json *old, struct json **ret_new, void *userdata)
{
        const struct wanted *w = userdata;
        struct json *obj, *now;

        if (json_parse(r->arena, w->text, strlen(w->text), NULL, &obj, NULL) < 0)
                return status_internal(r->arena, "malformed %s", w->res->name);
        schema_default(r->arena, w->res, obj);
        if (old) { /* only what says where we are */
                now = json_clone(r->arena, old);
                for (size_t i = 0; i < obj->len; i++)
                        if (!streq(obj->members[i].key, "metadata"))
                                json_set(r->arena, now, obj->members[i].key, obj->members[i].value);
                obj = now;
        }
        *ret_new = obj;
        return NULL;
}

static const struct status *ensure(struct api_request *r, const char *group, const char *version, const char *name,
                                   bool update, const char *text)
{
        struct wanted w = {.res = apiserver_resource(r->server, group, version, name), .text = text};
        const struct status *st;
        struct json *obj, *out;
        bool created;

        if (!w.res)
                return status_internal(r->arena, "no resource %s", name);
        r->group = group;
        r->version = version;
        r->resource = name;
        r->namespace = "default";
        r->name = "kubernetes";
        r->res = w.res;
        st = registry_get(r, w.res, "default", "kubernetes", &obj);
        if (st && st->code == 404) {
                r->verb = "create";
                st = give(r, NULL, &obj, &w);
                return st ? st : registry_create(r, w.res, "default", obj, &out);
        }
        if (st || !update)
                return st;
        r->verb = "update";
        return registry_update(r, w.res, "default", "kubernetes", "", give, &w, &out, &created);
}

const struct status *kubernetes_service_ensure(struct api_request *r)
{
        struct arena *a = r->arena;
        const char *ip = first_address(a, r->server->o.service_cluster_ip_range);
        const char *address = advertise_address(r->server, a);
        unsigned port = r->server->o.secure_port;
        const struct status *st;

        if (!ip)
                return status_internal(a, "--service-cluster-ip-range: %s is no IPv4 range",
                                       r->server->o.service_cluster_ip_range);
        st = ensure(r, "", "v1", "services", false,
                    arena_printf(a,
                                 "{\"kind\":\"Service\",\"apiVersion\":\"v1\",\"metadata\":{\"name\":\"kubernetes\",\"namespace\":"
                                 "\"default\",\"labels\":{\"component\":\"apiserver\",\"provider\":\"kubernetes\"}},\"spec\":"
                                 "{\"ports\":[{\"name\":\"https\",\"protocol\":\"TCP\",\"port\":443,\"targetPort\":%u}],"
                                 "\"clusterIP\":\"%s\",\"clusterIPs\":[\"%s\"],\"type\":\"ClusterIP\",\"sessionAffinity\":\"None\","
                                 "\"ipFamilies\":[\"IPv4\"],\"ipFamilyPolicy\":\"SingleStack\"}}",
                                 port, ip, ip));
        if (!st)
                st = ensure(r, "", "v1", "endpoints", true,
                            arena_printf(a,
                                         "{\"kind\":\"Endpoints\",\"apiVersion\":\"v1\",\"metadata\":{\"name\":\"kubernetes\","
                                         "\"namespace\":\"default\",\"labels\":{\"endpointslice.kubernetes.io/skip-mirror\":\"true\"}},"
                                         "\"subsets\":[{\"addresses\":[{\"ip\":\"%s\"}],\"ports\":[{\"name\":\"https\",\"port\":%u,"
                                         "\"protocol\":\"TCP\"}]}]}",
                                         address, port));
        if (!st)
                st = ensure(r, "discovery.k8s.io", "v1", "endpointslices", true,
                            arena_printf(a,
                                         "{\"kind\":\"EndpointSlice\",\"apiVersion\":\"discovery.k8s.io/v1\",\"metadata\":{\"name\":"
                                         "\"kubernetes\",\"namespace\":\"default\",\"labels\":{\"kubernetes.io/service-name\":"
                                         "\"kubernetes\"}},\"addressType\":\"IPv4\",\"endpoints\":[{\"addresses\":[\"%s\"],\"conditions\":"
                                         "{\"ready\":true}}],\"ports\":[{\"name\":\"https\",\"port\":%u,\"protocol\":\"TCP\"}]}",
                                         address, port));
        return st;
}

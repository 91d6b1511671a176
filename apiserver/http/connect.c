/* Subresources that lead to a node's kubelet: log so far; exec, attach and port-forward need a tunnel that is
 * not there yet and say so.
 *
 * The kubelet's answer is passed on as it comes, so that `logs -f` streams; the exchange ends when either
 * side leaves.
 */
#include "../registry/registry.h"
#include "verbs.h"

struct relay {
        struct apiserver *server;
        struct http_client *client;
        struct http_exchange *exchange;
        struct http_stream *stream;
};

static void relay_free(struct relay *l)
{
        http_exchange_free(l->exchange);
        http_client_free(l->client);
        free(l);
}

static void on_closed(struct http_stream *s, void *userdata)
{
        relay_free(userdata);
}

static void on_data(struct http_exchange *x, const char *data, size_t len, void *userdata)
{
        struct relay *l = userdata;

        http_stream_write(l->stream, data, len);
}

static void on_end(struct http_exchange *x, int code, const char *text, void *userdata)
{
        struct relay *l = userdata;

        l->exchange = NULL;
        http_stream_end(l->stream);
}

static const struct http_exchange_ops exchange_ops = {.data = on_data, .end = on_end};
static const struct http_stream_ops stream_ops = {.closed = on_closed};

/* "https://10.0.0.5:10250" of the pod's node. */
static const struct status *kubelet_of(struct api_request *r, const struct json *pod, const char **ret)
{
        const struct resource *nodes = apiserver_resource(r->server, "", "v1", "nodes");
        const char *name = json_path_string(pod, "spec.nodeName"), *address = NULL;
        const struct status *st;
        struct json *node;

        if (str_empty(name))
                return status_bad_request(r->arena, "pod %s does not have a host assigned", r->name);
        st = registry_get(r, nodes, "", name, &node);
        if (st)
                return st;
        json_foreach_item(json_path(node, "status.addresses"), item)
                if (!address || streq(json_get_string(item, "type"), "InternalIP"))
                        address = json_get_string(item, "address");
        if (!address)
                return status_internal(r->arena, "no preferred addresses found; known addresses: []");
        *ret = arena_printf(r->arena, strchr(address, ':') ? "https://[%s]:%lld" : "https://%s:%lld", address,
                            (long long)json_path_int(node, "status.daemonEndpoints.kubeletEndpoint.Port", 10250));
        return NULL;
}

/* The container asked for, or the only one. */
static const struct status *container_of_log(struct api_request *r, const struct json *pod, const char **ret)
{
        static const char *const lists[] = {"spec.containers", "spec.initContainers", "spec.ephemeralContainers"};
        const char *wanted = http_query(r->http, "container"), *names = "", *inits = "";
        const struct json *annotated = json_path(pod, "metadata.annotations");
        const char *usual = json_get_string(annotated, "kubectl.kubernetes.io/default-container");
        struct json *containers = json_path(pod, lists[0]);

        if (str_empty(wanted) && json_len(containers) == 1 && !json_len(json_path(pod, lists[1])))
                wanted = json_get_string(json_at(containers, 0), "name");
        if (str_empty(wanted) && usual)
                wanted = usual;
        for (size_t i = 0; i < ARRAY_SIZE(lists); i++)
                json_foreach_item(json_path(pod, lists[i]), c) {
                        const char *name = json_get_string(c, "name"), **to = i ? &inits : &names;
                        if (streq(name, wanted)) {
                                *ret = name;
                                return NULL;
                        }
                        *to = arena_printf(r->arena, "%s%s%s", *to, **to ? " " : "", name);
                }
        if (!str_empty(wanted))
                return status_bad_request(r->arena, "container %s is not valid for pod %s", wanted, r->name);
        if (*inits)
                return status_bad_request(
                        r->arena, "a container name must be specified for pod %s, choose one of: [%s] or one of the init containers: [%s]",
                        r->name, names, inits);
        return status_bad_request(r->arena, "a container name must be specified for pod %s, choose one of: [%s]", r->name,
                                  names);
}

static int new_client(struct api_request *r, struct http_client **ret, struct error *reterr)
{
        const struct apiserver_options *o = &r->server->o;
        struct http_client_options co = {
                .cert_file = o->kubelet_client_certificate,
                .key_file = o->kubelet_client_key,
                .ca_file = o->kubelet_certificate_authority,
                .insecure = !o->kubelet_certificate_authority, /* upstream's default: kubelets sign their own */
        };

        return http_client_new(r->server->loop, &co, ret, reterr);
}

static void serve_log(struct api_request *r)
{
        const struct resource *pods = r->res;
        const char *base = "", *container = "";
        struct json *pod;
        const struct status *st = registry_get(r, pods, r->namespace, r->name, &pod);
        _cleanup_error_ struct error err = ERROR_INIT;
        struct http_call call = {.method = "GET", .timeout_ns = -1};
        struct relay *l;

        if (!st)
                st = container_of_log(r, pod, &container);
        if (!st)
                st = kubelet_of(r, pod, &base);
        if (st) {
                answer_status(r, st);
                return;
        }
        call.url = arena_printf(r->arena, "%s/containerLogs/%s/%s/%s?%s", base, r->namespace, r->name, container,
                                r->http->query);
        l = new0(struct relay);
        l->server = r->server;
        if (new_client(r, &l->client, &err) < 0) {
                free(l);
                answer_status(r, status_internal(r->arena, "%s", error_text(&err)));
                return;
        }
        if (!http_query(r->http, "follow")) { /* with an end: so that the kubelet's refusal keeps its status */
                struct http_reply reply = {0};
                int e = http_call(l->client, &call, &reply, &err);
                struct http_answer a = {.status = reply.status, .content_type = "text/plain", .body = strbuf_str(&reply.body),
                                        .body_len = reply.body.len, .headers = answer_headers(r, NULL)};
                if (e < 0)
                        answer_status(r, status_make(r->arena, 500, "", NULL, "Get \"%s\": %s", call.url, error_text(&err)));
                else if (reply.status == 200)
                        http_respond(r->http, &a);
                else
                        answer_status(r, status_make(r->arena, reply.status, reply.status == 400 ? "BadRequest" : reply.status == 404 ? "NotFound" : "InternalError",
                                                     NULL, "%s", strbuf_str(&reply.body)));
                http_reply_deinit(&reply);
                http_client_free(l->client);
                free(l);
                return;
        }
        l->stream = http_stream_start(r->http, 200, "text/plain", answer_headers(r, NULL), &stream_ops, l);
        l->exchange = http_open(l->client, &call, &exchange_ops, l);
}

void connect_subresource(struct api_request *r)
{
        if (streq(r->subresource, "log"))
                serve_log(r);
        else
                answer_status(r, status_make(r->arena, 501, "NotImplemented", NULL,
                                             "%s/%s: this API server has no tunnel to the kubelet yet", r->res->name,
                                             r->subresource));
}

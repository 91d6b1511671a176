/* The kubelet's server: who asks, whether they may, and where the path leads. See kubelet-server.h. */
#include <errno.h>
#include <stdio.h>

#include "internal.h"

/* --- small things --- */

void answer_text(struct http_request *req, unsigned status, const char *fmt, ...)
{
        va_list ap;
        va_start(ap, fmt);
        char *text = arena_vprintf(req->arena, fmt, ap);
        va_end(ap);
        http_respond(req, &(struct http_answer){
                                  .status = status, .content_type = "text/plain", .body = text, .body_len = strlen(text)});
}

static void answer_json(struct http_request *req, const struct json *j)
{
        char *text = json_print(req->arena, j);
        http_respond(req, &(struct http_answer){
                                  .status = 200, .content_type = "application/json", .body = text, .body_len = strlen(text)});
}

bool query_flag(const struct http_request *req, const char *name)
{
        const char *v = http_query(req, name);
        return streq(v, "true") || streq(v, "1");
}

struct header_walk {
        struct arena *a;
        const char *name, **out;
        size_t n, max;
};

static void header_one(const char *name, const char *value, void *userdata)
{
        struct header_walk *w = userdata;
        char *save = NULL;
        if (strcasecmp(name, w->name) != 0)
                return;
        for (char *p = strtok_r(arena_strdup(w->a, value), ", ", &save); p && w->n < w->max; p = strtok_r(NULL, ", ", &save))
                w->out[w->n++] = p;
}

size_t header_list(struct http_request *req, const char *name, const char **ret, size_t max)
{
        struct header_walk w = {req->arena, name, ret, 0, max};
        http_header_each(req, header_one, &w);
        return w.n;
}

const char *negotiate(struct arena *a, const char *const *offered, size_t n_offered, const char *const *supported)
{
        for (size_t i = 0; i < n_offered; i++)
                for (size_t j = 0; supported[j]; j++)
                        if (streq(offered[i], supported[j]))
                                return arena_strdup(a, offered[i]);
        return NULL;
}

bool wants_websocket(const struct http_request *req)
{
        const char *upgrade = http_header(req, "Upgrade");
        return upgrade && strcasecmp(upgrade, "websocket") == 0;
}

/* --- who may --- */

static bool in_group(const struct http_peer *peer, const char *group)
{
        for (char **o = peer->organizations; o && *o; o++)
                if (streq(*o, group))
                        return true;
        return false;
}

/* The subresource of the node that a path stands for. */
static const char *path_subresource(const char *path)
{
        static const char *const table[][2] = {{"/stats", "stats"}, {"/metrics", "metrics"}, {"/containerLogs", "log"},
                                               {"/logs", "log"},    {"/healthz", "healthz"}, {"/pods", "pods"}};
        for (size_t i = 0; i < ARRAY_SIZE(table); i++)
                if (str_has_prefix(path, table[i][0]))
                        return table[i][1];
        return "proxy";
}

/* Asks the API server. Only certificates of the cluster's CA get this far. */
static bool allowed(struct kubelet_server *s, struct http_request *req)
{
        const struct http_peer *peer = req->peer;
        struct arena *a = req->arena;
        if (in_group(peer, "system:masters"))
                return true;
        struct json *review = json_new_object(a), *groups = json_new_array(a), *answer = NULL;
        struct json *spec = json_ensure_object(a, review, "spec"), *at = json_ensure_object(a, spec, "resourceAttributes");
        json_set_string(a, review, "kind", "SubjectAccessReview");
        json_set_string(a, review, "apiVersion", "authorization.k8s.io/v1");
        for (char **o = peer->organizations; o && *o; o++)
                json_append(a, groups, json_new_string(a, *o));
        json_append(a, groups, json_new_string(a, "system:authenticated"));
        json_set_string(a, spec, "user", peer->common_name);
        json_set(a, spec, "groups", groups);
        json_set_string(a, at, "verb", streq(req->method, "POST") ? "create" : streq(req->method, "GET") ? "get" : "update");
        json_set_string(a, at, "version", "v1");
        json_set_string(a, at, "resource", "nodes");
        json_set_string(a, at, "subresource", path_subresource(req->path));
        json_set_string(a, at, "name", s->k->config.node_name);
        int r = client_create(s->k->client, "/apis/authorization.k8s.io/v1/subjectaccessreviews", review, a, &answer, NULL);
        return r == 0 && json_path_bool(answer, "status.allowed", false);
}

/* --- what it says of itself --- */

static void serve_pods(struct kubelet_server *s, struct http_request *req)
{
        struct arena *a = req->arena;
        struct json *list = json_new_object(a), *items = json_new_array(a);
        struct map_entry *e;
        json_set_string(a, list, "kind", "PodList");
        json_set_string(a, list, "apiVersion", "v1");
        json_set(a, list, "metadata", json_new_object(a));
        map_foreach(&s->k->workers, e) {
                struct pod_worker *w = e->value;
                struct json *pod = json_clone(a, w->object->json);
                if (w->status)
                        json_set(a, pod, "status", json_clone(a, w->status));
                json_append(a, items, pod);
        }
        json_set(a, list, "items", items);
        answer_json(req, list);
}

/* --- containers --- */

/* The id of a container that runs; NULL: answered. */
static const char *running_id(struct http_request *req, struct pod_worker *w, const char *name)
{
        struct lifecycle_container *c = lifecycle_find(w->lc, name);
        if (c && container_has_process(c) && c->run.id)
                return arena_strdup(req->arena, c->run.id);
        answer_text(req, 500, "container not found (\"%s\")", name);
        return NULL;
}

static void serve_exec(struct kubelet_server *s, struct http_request *req, struct pod_worker *w, const char *container,
                       bool attach)
{
        const char **command;
        size_t n = http_query_all(req, "command", &command);
        const char **argv = arena_calloc(req->arena, (n + 1) * sizeof(*argv));
        for (size_t i = 0; i < n; i++)
                argv[i] = command[i];
        /* The kubelet's own names, and those of the API server's query, which may come through as it is. */
        struct remote_request r = {
                .container_id = running_id(req, w, container),
                .argv = attach ? NULL : argv,
                .in = query_flag(req, "input") || query_flag(req, "stdin"),
                .out = query_flag(req, "output") || query_flag(req, "stdout"),
                .tty = query_flag(req, "tty"),
        };
        r.err = !r.tty && (query_flag(req, "error") || query_flag(req, "stderr"));
        if (!r.container_id)
                return;
        if (!attach && n == 0) {
                answer_text(req, 400, "you must specify a command");
                return;
        }
        serve_remote(s, req, &r);
}

static void serve_run(struct kubelet_server *s, struct http_request *req, struct pod_worker *w, const char *container)
{
        const char *id = running_id(req, w, container), *cmd = http_query(req, "cmd");
        struct runtime_exec_result result = {0};
        _cleanup_error_ struct error err = ERROR_INIT;
        const char *argv[64] = {NULL};
        char *save = NULL;
        size_t n = 0;
        if (!id)
                return;
        for (char *p = cmd ? strtok_r(arena_strdup(req->arena, cmd), " ", &save) : NULL; p && n < 63; p = strtok_r(NULL, " ", &save))
                argv[n++] = p;
        if (!n || s->k->runtime->ops->exec_sync(s->k->runtime, id, argv, 0, &result, &err) != 0)
                answer_text(req, n ? 500 : 400, "%s", n ? error_text(&err) : "cmd is missing");
        else
                answer_text(req, 200, "%s%s", strbuf_str(&result.out), strbuf_str(&result.err));
        runtime_exec_result_deinit(&result);
}

/* --- routes --- */

static size_t split_path(struct http_request *req, char **parts, size_t max)
{
        char *save = NULL;
        size_t n = 0;
        for (char *p = strtok_r(arena_strdup(req->arena, req->path), "/", &save); p && n < max; p = strtok_r(NULL, "/", &save))
                parts[n++] = http_unescape(req->arena, p, strlen(p), false);
        for (size_t i = 0; i < n; i++)
                if (!parts[i])
                        return 0;
        return n;
}

/* /VERB/NAMESPACE/POD[/UID][/CONTAINER] */
static void serve_pod_verb(struct kubelet_server *s, struct http_request *req, char **parts, size_t n)
{
        struct pod_worker *w = n >= 3 ? pods_find(s->k, parts[1], parts[2]) : NULL;
        const char *container = n >= 4 ? parts[n - 1] : "";
        if (!w) {
                answer_text(req, 404, "pod does not exist");
                return;
        }
        worker_ref(w);
        if (streq(parts[0], "containerLogs") && n == 4)
                serve_logs(s, req, w, container);
        else if (streq(parts[0], "exec") && n >= 4)
                serve_exec(s, req, w, container, false);
        else if (streq(parts[0], "attach") && n >= 4)
                serve_exec(s, req, w, container, true);
        else if (streq(parts[0], "run") && n >= 4)
                serve_run(s, req, w, container);
        else if (streq(parts[0], "portForward"))
                serve_port_forward(s, req, w);
        else
                answer_text(req, 404, "404 page not found\n");
        worker_unref(w);
}

static void handle(struct http_request *req, void *userdata)
{
        struct kubelet_server *s = userdata;
        char *parts[6];
        size_t n = split_path(req, parts, ARRAY_SIZE(parts));
        if (!req->peer || !req->peer->verified) {
                answer_text(req, 401, "Unauthorized");
                return;
        }
        if (!allowed(s, req)) {
                answer_text(req, 403, "Forbidden (user=%s, verb=%s, resource=nodes, subresource(s)=[%s])",
                            req->peer->common_name, req->method, path_subresource(req->path));
                return;
        }
        if (n == 1 && (streq(parts[0], "healthz") || streq(parts[0], "livez")))
                answer_text(req, 200, "ok");
        else if (n == 1 && streq(parts[0], "pods"))
                serve_pods(s, req);
        else if (n == 1 && streq(parts[0], "metrics"))
                serve_metrics(s, req);
        else if (n == 2 && streq(parts[0], "metrics") && streq(parts[1], "resource"))
                serve_resource_metrics(s, req);
        else if (n == 2 && streq(parts[0], "stats") && streq(parts[1], "summary"))
                serve_stats(s, req);
        else if (n >= 3)
                serve_pod_verb(s, req, parts, n);
        else
                answer_text(req, 404, "404 page not found\n");
}

int kubelet_server_new(struct kubelet *k, const struct kubelet_server_options *o, struct kubelet_server **ret,
                       struct error *reterr)
{
        struct kubelet_server *s = new0(struct kubelet_server);
        struct http_server_options h = {.address = o->address,
                                        .port = o->port,
                                        .cert_file = o->cert_file,
                                        .key_file = o->key_file,
                                        .client_ca_file = o->client_ca_file,
                                        .handler = handle,
                                        .userdata = s};
        s->k = k;
        int r = http_server_new(k->loop, &h, &s->http, reterr);
        if (r < 0) {
                free(s);
                return r;
        }
        k->config.port = http_server_port(s->http);
        *ret = s;
        return 0;
}

/* Subresources of pods that lead to their node's kubelet: exec, attach, portforward and log.
 *
 * The request is checked here, as far as the pod's object tells, and sent on with the API server's own client
 * certificate: the kubelet never sees who asked. An upgrade is passed through as it is, for our kubelet
 * speaks SPDY and all WebSocket protocols itself, and from then on only bytes are moved (lib/stream/relay.c).
 */
#include "connect.h"

#include <stdio.h>
#include <strings.h>

#include "../../lib/base/time.h"
#include "../../lib/stream/websocket.h"
#include "../admission/admission.h"
#include "../auth/auth.h"
#include "../schema/field-error.h"
#include "../schema/go-time.h"
#include "request-info.h"

/* --- the node --- */

/* The first of the preferred types that the node has an address of. */
static const char *node_address(struct api_request *r, const struct json *node)
{
        const char *types = r->server->o.kubelet_preferred_address_types;
        char *save = NULL, *copy = arena_strdup(r->arena, str_empty(types) ? "InternalIP,ExternalIP,Hostname" : types);

        for (char *type = strtok_r(copy, ", ", &save); type; type = strtok_r(NULL, ", ", &save))
                json_foreach_item(json_path(node, "status.addresses"), item)
                        if (streq(json_get_string(item, "type"), type))
                                return json_get_string(item, "address");
        return NULL;
}

const struct status *kubelet_location(struct api_request *r, const struct resource *res, const char *name,
                                      struct dial_options *ret)
{
        const struct apiserver_options *o = &r->server->o;
        const struct resource *nodes = apiserver_resource(r->server, "", "v1", "nodes");
        const char *address;
        struct json *node;
        const struct status *st = registry_get(r, nodes, "", name, &node);

        if (st)
                return st->code == 404 ? status_not_found(r->arena, res, name) : st;
        address = node_address(r, node);
        if (!address) {
                struct json *known = json_path(node, "status.addresses");
                return status_make(r->arena, 500, "", NULL, "no preferred addresses found; known addresses: %s",
                                   json_len(known) ? json_print(r->arena, known) : "[]");
        }
        *ret = (struct dial_options){
                .host = address,
                .port = (uint16_t)json_path_int(node, "status.daemonEndpoints.kubeletEndpoint.Port", 10250),
                .tls = true,
                .ca_file = o->kubelet_certificate_authority,
                .cert_file = o->kubelet_client_certificate,
                .key_file = o->kubelet_client_key,
                .insecure = !o->kubelet_certificate_authority, /* upstream's default: kubelets sign their own */
        };
        return NULL;
}

/* --- the container --- */

static const char *const container_lists[] = {"spec.initContainers", "spec.containers", "spec.ephemeralContainers"};

/* The container asked for, or the only one. */
static const struct status *pick_container(struct api_request *r, const struct json *pod, const char **ret)
{
        const char *wanted = http_query(r->http, "container"), *names = "";
        struct json *containers = json_path(pod, "spec.containers");

        if (str_empty(wanted) && json_len(containers) == 1) {
                *ret = json_get_string(json_at(containers, 0), "name");
                return NULL;
        }
        for (size_t i = 0; i < ARRAY_SIZE(container_lists); i++)
                json_foreach_item(json_path(pod, container_lists[i]), c) {
                        const char *name = json_get_string(c, "name");
                        if (streq(name, wanted)) {
                                *ret = name;
                                return NULL;
                        }
                        names = arena_printf(r->arena, "%s%s%s", names, *names ? " " : "", name);
                }
        if (!str_empty(wanted))
                return status_bad_request(r->arena, "container %s is not valid for pod %s", wanted, r->name);
        return status_bad_request(r->arena, "a container name must be specified for pod %s, choose one of: [%s]",
                                  r->name, names);
}

/* "/exec/NAMESPACE/POD/CONTAINER?"; CONTAINER may be NULL. */
static void begin_target(struct api_request *r, struct strbuf *b, const char *verb, const char *container)
{
        const char *const parts[] = {verb, r->namespace, r->name, container};

        for (size_t i = 0; i < ARRAY_SIZE(parts) && parts[i]; i++) {
                strbuf_putc(b, '/');
                http_escape(b, parts[i]);
        }
        strbuf_putc(b, '?');
}

static void add_query(struct strbuf *b, const char *name, const char *value)
{
        strbuf_printf(b, "%s%s=", b->data[b->len - 1] == '?' ? "" : "&", name);
        http_escape(b, value);
}

/* --- requests that are sent on --- */

struct forwarding {
        struct arena *arena;
        const char **list;
        size_t n, cap;
        bool upgrade, host;
};

static void add_header(struct forwarding *f, const char *name, const char *value)
{
        const char **list = f->list;

        if (f->n + 3 > f->cap) {
                f->cap = f->cap ? 2 * f->cap : 32;
                f->list = arena_alloc(f->arena, f->cap * sizeof(*f->list));
                if (f->n)
                        memcpy(f->list, list, f->n * sizeof(*list));
        }
        f->list[f->n++] = arena_strdup(f->arena, name);
        f->list[f->n++] = arena_strdup(f->arena, value);
        f->list[f->n] = NULL;
}

/* The subprotocols but for the one that carries a browser's token. */
static const char *without_token(struct arena *a, const char *value)
{
        char *save = NULL, *copy = arena_strdup(a, value);
        const char *out = "";

        for (char *p = strtok_r(copy, ", ", &save); p; p = strtok_r(NULL, ", ", &save))
                if (!str_has_prefix(p, "base64url.bearer.authorization.k8s.io."))
                        out = arena_printf(a, "%s%s%s", out, *out ? ", " : "", p);
        return out;
}

static void forward_one(const char *name, const char *value, void *userdata)
{
        static const char *const dropped[] = {"Authorization", "Connection", "Keep-Alive", "Proxy-Connection", "TE",
                                              "Trailer", "Transfer-Encoding", "Content-Length", "Expect"};
        static const char *const prefixes[] = {"X-Remote-", "Impersonate-"};
        struct forwarding *f = userdata;

        for (size_t i = 0; i < ARRAY_SIZE(dropped); i++)
                if (strcasecmp(name, dropped[i]) == 0)
                        return;
        for (size_t i = 0; i < ARRAY_SIZE(prefixes); i++)
                if (strncasecmp(name, prefixes[i], strlen(prefixes[i])) == 0)
                        return;
        if (!f->upgrade && strcasecmp(name, "Upgrade") == 0)
                return;
        f->host |= strcasecmp(name, "Host") == 0;
        if (strcasecmp(name, "Sec-WebSocket-Protocol") == 0)
                value = without_token(f->arena, value);
        add_header(f, name, value);
}

const char *const *forwarded_headers(struct api_request *r, bool upgrade)
{
        struct forwarding f = {.arena = r->arena, .upgrade = upgrade};

        http_header_each(r->http, forward_one, &f);
        if (!f.host)
                add_header(&f, "Host", "localhost");
        add_header(&f, "X-Forwarded-For", r->http->peer ? r->http->peer->address : "");
        return f.list;
}

bool asks_upgrade(const struct api_request *r)
{
        const char *connection = http_header(r->http, "Connection");

        return connection && http_has_token(connection, "upgrade") && http_header(r->http, "Upgrade");
}

void pass_answer(struct api_request *r, struct relay *l, void (*fix)(struct api_request *r, const char **headers))
{
        static const char *const dropped[] = {"Connection", "Keep-Alive", "Transfer-Encoding", "Content-Length", "Date",
                                              "Content-Type", "Trailer", "Upgrade"};
        size_t n, at = 0;
        const struct http_field *fields = relay_headers(l, &n);
        const char **headers = arena_alloc(r->arena, (2 * n + 1) * sizeof(*headers));
        const char *type = relay_header(l, "Content-Type");

        for (size_t i = 0; i < n; i++) {
                size_t j = 0;
                while (j < ARRAY_SIZE(dropped) && strcasecmp(fields[i].name, dropped[j]) != 0)
                        j++;
                if (j < ARRAY_SIZE(dropped))
                        continue;
                headers[at++] = arena_strdup(r->arena, fields[i].name);
                headers[at++] = arena_strdup(r->arena, fields[i].value);
        }
        headers[at] = NULL;
        if (fix)
                fix(r, headers);
        relay_answer(l, r->http, relay_status(l), arena_strdup(r->arena, type), headers);
}

/* --- a refusal inside a WebSocket --- */

/* Clients of the v5 protocol hear of errors on its channel 3: to them, as upstream's translator does, the
 * connection is first upgraded and then ended with a Status. */
struct refusal {
        struct loop *loop;
        struct wire *wire;
        struct websocket *ws;
        struct loop_timer *timer;
        char *status;
};

static void refusal_free(struct refusal *f)
{
        wire_free(f->wire);
        websocket_free(f->ws);
        loop_timer_free(f->timer);
        free(f->status);
        free(f);
}

static void refusal_release(void *userdata)
{
        refusal_free(userdata);
}

static void refusal_write(const void *data, size_t len, void *userdata)
{
        struct refusal *f = userdata;

        wire_write(f->wire, data, len);
}

static void refusal_data(struct wire *w, const uint8_t *data, size_t len, void *userdata)
{
        /* Read, so that no reset overtakes what we said; of no more interest. */
}

static void refusal_closed(struct wire *w, int code, void *userdata)
{
        refusal_free(userdata);
}

static void refusal_timer(struct loop_timer *t, void *userdata)
{
        refusal_free(userdata);
}

static void refusal_upgraded(int fd, const void *already, size_t len, void *userdata)
{
        static const struct wire_ops wire_ops = {.data = refusal_data, .closed = refusal_closed};
        static const struct websocket_ops ws_ops = {.write = refusal_write};
        struct refusal *f = userdata;
        static const char channel = 3;

        if (fd < 0) {
                loop_defer(f->loop, refusal_release, f);
                return;
        }
        f->wire = wire_new(f->loop, fd, &wire_ops, f);
        f->ws = websocket_new(&ws_ops, f);
        websocket_send(f->ws, false, &channel, 1, f->status, strlen(f->status));
        websocket_close(f->ws, 1000);
        wire_finish(f->wire);
        f->timer = loop_timer_new(f->loop, refusal_timer, f);
        loop_timer_arm(f->timer, 5 * NS_PER_SEC);
}

static bool speaks_v5(const struct api_request *r)
{
        const char *upgrade = http_header(r->http, "Upgrade"), *protocols = http_header(r->http, "Sec-WebSocket-Protocol");

        return upgrade && strcasecmp(upgrade, "websocket") == 0 && protocols &&
               http_has_token(protocols, "v5.channel.k8s.io") && http_header(r->http, "Sec-WebSocket-Key");
}

static void refuse_in_websocket(struct api_request *r, const struct status *st)
{
        struct refusal *f = new0(struct refusal);
        char accept[WEBSOCKET_ACCEPT_BUF];
        const char *const headers[] = {
                "Connection", "Upgrade", "Upgrade", "websocket", "Sec-WebSocket-Accept",
                websocket_accept(http_header(r->http, "Sec-WebSocket-Key"), accept), "Sec-WebSocket-Protocol",
                "v5.channel.k8s.io", NULL};

        f->loop = r->server->loop;
        f->status = xstrdup(json_print(r->arena, status_json(r->arena, st)));
        http_upgrade(r->http, headers, refusal_upgraded, f);
}

/* --- exec, attach, portforward --- */

static void tunnel(struct api_request *r, const struct relay_request *q)
{
        bool v5 = speaks_v5(r) && !streq(r->subresource, "portforward");
        _cleanup_strbuf_ struct strbuf body = STRBUF_INIT;
        _cleanup_error_ struct error err = ERROR_INIT;
        struct relay *l;

        if (relay_open(r->server->loop, q, &l, &err) < 0) {
                if (v5)
                        refuse_in_websocket(r, status_internal(r->arena, "error dialing backend: %s", error_text(&err)));
                else
                        answer_status(r, status_make(r->arena, 500, "", NULL, "error dialing backend: %s", error_text(&err)));
        } else if (relay_status(l) == 101) {
                relay_upgrade(l, r->http);
        } else if (v5) {
                relay_body(l, 4096, &body);
                relay_free(l);
                refuse_in_websocket(r, status_internal(r->arena, "unable to upgrade connection: %s", strbuf_str(&body)));
        } else {
                pass_answer(r, l, NULL);
        }
}

/* The kubelet's names of what the API calls stdin, stdout, stderr and tty. */
static void add_stream_options(struct api_request *r, struct strbuf *target)
{
        static const char *const names[][2] = {{"stdin", "input"}, {"stdout", "output"}, {"stderr", "error"}, {"tty", "tty"}};
        const char **values;
        size_t n = http_query_all(r->http, "command", &values);

        for (size_t i = 0; i < n; i++)
                add_query(target, "command", values[i]);
        for (size_t i = 0; i < ARRAY_SIZE(names); i++)
                if (query_bool(r->http, names[i][0]) || streq(http_query(r->http, names[i][0]), ""))
                        add_query(target, names[i][1], "1");
}

static void add_ports(struct api_request *r, struct strbuf *target)
{
        const char **values;
        size_t n = http_query_all(r->http, "ports", &values);

        for (size_t i = 0; i < n; i++)
                add_query(target, "ports", values[i]);
}

static const struct status *check_stream(struct api_request *r)
{
        const char *verb = r->verb;
        const struct status *st;

        if (!str_empty(http_query(r->http, "dryRun")))
                return status_bad_request(r->arena, "dryRun is not supported");
        /* A WebSocket can only begin with GET; to run something one must be allowed to create. */
        if (!streq(verb, "get") || !asks_upgrade(r))
                return NULL;
        r->verb = "create";
        st = authorize_request(r);
        r->verb = verb;
        return st;
}

static void serve_stream(struct api_request *r)
{
        bool forward = streq(r->subresource, "portforward");
        const char *kubelet_verb = forward ? "portForward" : r->subresource;
        const struct status *st = check_stream(r);
        const char *container = NULL, *node;
        struct relay_request q = {.method = r->http->method, .upgrade = true};
        _cleanup_strbuf_ struct strbuf target = STRBUF_INIT;
        struct json *pod;

        if (!st)
                st = admission_connect(r);
        if (!st)
                st = registry_get(r, r->res, r->namespace, r->name, &pod);
        if (!st && !forward)
                st = pick_container(r, pod, &container);
        if (!st) {
                node = json_path_string(pod, "spec.nodeName");
                st = str_empty(node) ? status_bad_request(r->arena, "pod %s does not have a host assigned", r->name)
                                     : kubelet_location(r, r->res, node, &q.to);
        }
        if (!st && !asks_upgrade(r))
                st = status_bad_request(r->arena, "Upgrade request required");
        if (st) {
                answer_status(r, st);
                return;
        }
        begin_target(r, &target, kubelet_verb, container);
        if (forward)
                add_ports(r, &target);
        else
                add_stream_options(r, &target);
        q.target = target.data;
        q.headers = forwarded_headers(r, true);
        tunnel(r, &q);
}

/* --- log --- */

/* A number of the query; *ret is -1 when it is absent. */
static const struct status *query_number(struct api_request *r, const char *name, int64_t *ret)
{
        const char *text = http_query(r->http, name);
        char *end;

        *ret = -1;
        if (!text)
                return NULL;
        errno = 0;
        *ret = strtoll(text, &end, 10);
        if (errno == ERANGE)
                return status_bad_request(r->arena, "strconv.ParseInt: parsing \"%s\": value out of range", text);
        if (end == text || *end || !(*text == '-' || *text == '+' || (*text >= '0' && *text <= '9')))
                return status_bad_request(r->arena, "strconv.ParseInt: parsing \"%s\": invalid syntax", text);
        return NULL;
}

static void at_least(struct field_errors *errs, struct api_request *r, const char *name, int64_t value, int64_t least)
{
        if (http_query(r->http, name) && value < least)
                field_error_add_text(errs, FIELD_INVALID, name, arena_printf(r->arena, "%lld", (long long)value),
                                     least ? "must be greater than 0" : "must be greater than or equal to 0");
}

/* PodLogOptions, as upstream reads and validates them; QUERY: for the kubelet. */
static const struct status *log_options(struct api_request *r, struct strbuf *target)
{
        static const struct resource kind = {.group = "", .version = "v1", .kind = "PodLogOptions", .name = "PodLogOptions"};
        static const char *const flags[] = {"follow", "previous", "timestamps"};
        static const char *const passed[] = {"tailLines", "limitBytes", "sinceSeconds", "sinceTime"};
        struct field_errors errs = {.arena = r->arena};
        const char *since = http_query(r->http, "sinceTime"), *bad;
        int64_t tail, limit, seconds, time;
        const struct status *st = query_number(r, "limitBytes", &limit);

        if (!st)
                st = query_number(r, "sinceSeconds", &seconds);
        if (!st && !str_empty(since) && (bad = go_time_parse(r->arena, since, false, &time)))
                st = status_bad_request(r->arena, "%s", bad);
        if (!st)
                st = query_number(r, "tailLines", &tail);
        if (st)
                return st;
        at_least(&errs, r, "tailLines", tail, 0);
        at_least(&errs, r, "limitBytes", limit, 1);
        if (http_query(r->http, "sinceSeconds") && !str_empty(since))
                field_error_add_text(&errs, FIELD_FORBIDDEN, "[]", NULL,
                                     "at most one of `sinceTime` or `sinceSeconds` may be specified");
        else
                at_least(&errs, r, "sinceSeconds", seconds, 1);
        if (http_query(r->http, "stream"))
                field_error_add_text(&errs, FIELD_FORBIDDEN, "stream", NULL, "may not be specified");
        if (errs.n)
                return status_invalid(r->arena, &kind, r->name, &errs);
        for (size_t i = 0; i < ARRAY_SIZE(flags); i++)
                if (query_bool(r->http, flags[i]))
                        add_query(target, flags[i], "true");
        for (size_t i = 0; i < ARRAY_SIZE(passed); i++)
                if (!str_empty(http_query(r->http, passed[i])))
                        add_query(target, passed[i], http_query(r->http, passed[i]));
        return NULL;
}

/* What the kubelet's refusal is to a client. */
static const struct status *log_refusal(struct api_request *r, unsigned status, const char *text)
{
        struct json *details = json_new_object(r->arena);

        if (status == 500)
                return status_internal(r->arena, "%s", text);
        if (status == 400)
                return status_bad_request(r->arena, "%s", text);
        json_set_string(r->arena, details, "name", r->name);
        json_set_string(r->arena, details, "kind", "pods/log");
        if (status == 404)
                return status_make(r->arena, 404, "NotFound", details,
                                   "the server could not find the requested resource ( pods/log %s)", r->name);
        return status_make(r->arena, status, "InternalError", details,
                           "the server responded with the status code %u but did not return more details ( pods/log %s)",
                           status, r->name);
}

static const struct status *open_log(struct api_request *r, const struct relay_request *q, struct relay **ret)
{
        _cleanup_strbuf_ struct strbuf text = STRBUF_INIT;
        _cleanup_error_ struct error err = ERROR_INIT;
        unsigned status;

        if (relay_open(r->server->loop, q, ret, &err) < 0)
                return status_make(r->arena, 500, "", NULL, "Get \"https://%s:%u%s\": %s", q->to.host, q->to.port, q->target,
                                   error_text(&err));
        status = relay_status(*ret);
        if (status >= 200 && status <= 206)
                return NULL;
        relay_body(*ret, 4096, &text);
        relay_free(*ret);
        return log_refusal(r, status, strbuf_str(&text));
}

static void serve_log(struct api_request *r)
{
        _cleanup_strbuf_ struct strbuf query = STRBUF_INIT, target = STRBUF_INIT;
        const char *container = "", *node;
        struct relay_request q = {.method = "GET"};
        struct relay *l;
        struct json *pod;
        const struct status *st;

        strbuf_putc(&query, '?');
        st = log_options(r, &query);
        if (!st)
                st = registry_get(r, r->res, r->namespace, r->name, &pod);
        if (!st)
                st = pick_container(r, pod, &container);
        if (!st && str_empty(node = json_path_string(pod, "spec.nodeName"))) { /* nothing has been said yet */
                http_respond(r->http, &(struct http_answer){.status = 204, .headers = answer_headers(r, NULL)});
                return;
        }
        if (!st)
                st = kubelet_location(r, r->res, node, &q.to);
        if (!st) {
                q.to.insecure |= query_bool(r->http, "insecureSkipTLSVerifyBackend");
                begin_target(r, &target, "containerLogs", container);
                target.len--;
                strbuf_puts(&target, query.len > 1 ? query.data : "");
                q.target = strbuf_str(&target);
                q.headers = forwarded_headers(r, false);
                st = open_log(r, &q, &l);
        }
        if (st)
                answer_status(r, st);
        else
                relay_answer(l, r->http, 200, "text/plain", answer_headers(r, NULL));
}

void connect_subresource(struct api_request *r)
{
        if (streq(r->subresource, "log"))
                serve_log(r);
        else if (streq(r->subresource, "proxy"))
                connect_proxy(r);
        else
                serve_stream(r);
}

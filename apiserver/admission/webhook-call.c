/* The HTTPS side of webhooks: see webhook-call.h.
 *
 * Each CA bundle has an HTTP client of its own, which keeps connections: a webhook that is asked for every pod is not
 * greeted anew each time. Errors are in the words of Go's net/http, since people search for those.
 */
#include "webhook-call.h"

#include <errno.h>
#include <limits.h>

#include "../../lib/base/encode.h"
#include "../../lib/base/time.h"
#include "../../lib/http/client.h"

enum { CLIENTS_MAX = 64, ANSWER_MAX = 8 << 20 };

/* --- clients by what they trust --- */

static struct client {
        char *ca; /* PEM; "": the system's */
        struct http_client *http;
        unsigned users;
        uint64_t used; /* a clock of uses */
} clients[CLIENTS_MAX];
static uint64_t uses;

static void client_clear(struct client *c)
{
        http_client_free(c->http);
        free(c->ca);
        *c = (struct client){ 0 };
}

/* The one for this CA: kept, or in the place of the one that was not used for longest. NULL: all are in use. */
static struct client *client_for(const char *ca)
{
        const struct http_client_options o = { .ca_data = *ca ? ca : NULL, .max_body = ANSWER_MAX };
        struct client *place = NULL;

        for (struct client *c = clients; c < clients + CLIENTS_MAX; c++) {
                if (c->ca && streq(c->ca, ca)) {
                        c->used = ++uses;
                        return c;
                }
                if (!c->users && (!place || c->used < place->used))
                        place = c;
        }
        if (!place)
                return NULL;
        client_clear(place);
        if (http_client_new(admission_loop, &o, &place->http, NULL) < 0)
                return NULL;
        place->ca = xstrdup(ca);
        place->used = ++uses;
        return place;
}

void webhook_call_deinit(void)
{
        for (struct client *c = clients; c < clients + CLIENTS_MAX; c++)
                client_clear(c);
}

/* --- where it is --- */

struct target {
        const char *url;        /* without its query */
        const char *host;       /* "name.namespace.svc:443", as in the URL */
        const char *connect_to; /* NULL: looked up */
        const char *trouble;    /* why there is none */
};

static bool has_port(const struct json *service, int64_t port)
{
        json_foreach_item(json_path(service, "spec.ports"), p)
                if (json_get_int(p, "port", 0) == port)
                        return true;
        return false;
}

static void resolve_service(struct admission_attributes *at, const char *namespace, const char *name, int64_t port,
                            struct target *t)
{
        struct arena *a = at->request->arena;
        const struct json *service = admission_get(at, "", "v1", "services", namespace, name);
        const char *ip = get_string(service, "spec.clusterIP"), *type = get_string(service, "spec.type");

        if (!service)
                t->trouble = arena_printf(a, "service \"%s\" not found", name);
        else if (streq(type, "ExternalName"))
                t->connect_to = arena_printf(a, "%s:%lld", get_string(service, "spec.externalName"), (long long)port);
        else if (!*ip || streq(ip, "None"))
                t->trouble = arena_printf(a, "cannot route to service with ClusterIP \"%s\"", ip);
        else if (!has_port(service, port))
                t->trouble = arena_printf(a, "no service port %lld found for service \"%s\"", (long long)port, name);
        else
                t->connect_to = arena_printf(a, strchr(ip, ':') ? "[%s]:%lld" : "%s:%lld", ip, (long long)port);
}

static void find_target(struct admission_attributes *at, const struct json *config, struct target *t)
{
        struct arena *a = at->request->arena;
        const struct json *service = json_get(config, "service");
        const char *url = get_string(config, "url"), *path = get_string(service, "path"), *host;
        int64_t port = json_get_int(service, "port", 443);

        *t = (struct target){ 0 };
        if (json_is_object(service)) {
                t->host = arena_printf(a, "%s.%s.svc:%lld", get_string(service, "name"), get_string(service, "namespace"),
                                       (long long)port);
                t->url = arena_printf(a, "https://%s%s%s", t->host, *path == '/' ? "" : "/", path);
                resolve_service(at, get_string(service, "namespace"), get_string(service, "name"), port, t);
                return;
        }
        host = strstr(url, "://") ? strstr(url, "://") + 3 : url;
        t->host = arena_strndup(a, host, strcspn(host, "/?#"));
        if (!strrchr(t->host, ':') || t->host[strlen(t->host) - 1] == ']')
                t->host = arena_printf(a, "%s:443", t->host);
        t->url = arena_printf(a, "%s%s", url, strchr(host, '/') ? "" : "/");
}

/* --- what went wrong, as Go says it --- */

static const char *certificate_trouble(struct arena *a, const struct target *t, const char *text)
{
        int host = (int)(strrchr(t->host, ':') - t->host);
        const char *why = text;

        if (strstr(text, "name in the certificate does not match") || strstr(text, "hostname"))
                why = arena_printf(a, "x509: certificate is not valid for any names, but wanted to match %.*s", host, t->host);
        else if (strstr(text, "expired") || strstr(text, "not yet"))
                why = "x509: certificate has expired or is not yet valid";
        else if (strstr(text, "issuer") || strstr(text, "signer"))
                why = "x509: certificate signed by unknown authority";
        return arena_printf(a, "tls: failed to verify certificate: %s", why);
}

static const char *call_trouble(struct arena *a, const struct target *t, int code, const char *text)
{
        const char *to = t->connect_to ? t->connect_to : t->host;

        switch (code) {
        case -ETIMEDOUT:
                return "context deadline exceeded";
        case -ECONNREFUSED:
                return arena_printf(a, "dial tcp %s: connect: connection refused", to);
        case -EHOSTUNREACH:
                if (str_has_prefix(text, "look up "))
                        return arena_printf(a, "dial tcp: lookup %.*s: no such host", (int)(strrchr(to, ':') - to), to);
                return arena_printf(a, "dial tcp %s: connect: no route to host", to);
        case -ENETUNREACH:
                return arena_printf(a, "dial tcp %s: connect: network is unreachable", to);
        case -ECONNRESET:
                return "EOF";
        case -EACCES:
                return certificate_trouble(a, t, text);
        default:
                return arena_strdup(a, text);
        }
}

/* An answer that is none: client-go's words for statuses. */
static const char *status_trouble(struct arena *a, const struct http_reply *reply)
{
        const char *body = reply->body.data ? reply->body.data : "", *type = http_reply_header(reply, a, "Content-Type");
        unsigned status = reply->status;
        struct json *told = NULL;
        size_t len;

        /* A Status that is a failure speaks for itself. */
        if (json_parse(a, body, strlen(body), NULL, &told, NULL) == 0 && streq(json_get_string(told, "kind"), "Status") &&
            streq(json_get_string(told, "apiVersion"), "v1") && !streq(json_get_string(told, "status"), "Success"))
                return get_string(told, "message");
        if (!type || !str_has_prefix(type, "text/"))
                body = "";
        body += strspn(body, " \t\r\n");
        for (len = strlen(body); len && strchr(" \t\r\n", body[len - 1]);)
                len--;
        switch (status) {
        case 400:
                return "the server rejected our request for an unknown reason";
        case 401:
                return "the server has asked for the client to provide credentials";
        case 403:
                return len ? arena_strndup(a, body, len) : "unknown";
        case 404:
                return "the server could not find the requested resource";
        case 405:
                return "the server does not allow this method on the requested resource";
        case 429:
                return "the server has received too many requests and has asked us to try again later";
        case 503:
                return "the server is currently unable to handle the request";
        case 504:
                return "the server was unable to return a response in the time allotted, but may still be processing the request";
        }
        if (status >= 500)
                return arena_printf(a, "an error on the server (\"%.*s\") has prevented the request from succeeding",
                                    len ? (int)MIN(len, (size_t)INT_MAX) : 7, len ? body : "unknown");
        return arena_printf(a, "the server responded with the status code %u but did not return more details", status);
}

/* --- the call --- */

static const char *post(struct admission_attributes *at, struct client *client, const struct target *t, int64_t seconds,
                        const struct json *review, struct json **ret)
{
        static const char *const headers[] = { "Content-Type: application/json", "Accept: application/json, */*",
                                               "User-Agent: kube-apiserver-admission", NULL };
        struct arena *a = at->request->arena;
        const char *body = json_print(a, review);
        const char *url = arena_printf(a, "%s?timeout=%llds", t->url, (long long)seconds);
        struct http_call call = { .method = "POST", .url = url, .headers = headers, .body = body, .body_len = strlen(body),
                                  .timeout_ns = seconds * NS_PER_SEC, .no_redirects = true, .connect_to = t->connect_to };
        _cleanup_(http_reply_deinit) struct http_reply reply = { 0 };
        _cleanup_error_ struct error err = ERROR_INIT;
        int code;

        if (t->trouble)
                return arena_printf(a, "failed to call webhook: Post \"%s\": %s", url, t->trouble);
        code = http_call(client->http, &call, &reply, &err);
        if (code < 0)
                return arena_printf(a, "failed to call webhook: Post \"%s\": %s", url, call_trouble(a, t, code, error_text(&err)));
        if (reply.status < 200 || reply.status > 299)
                return arena_printf(a, "failed to call webhook: %s", status_trouble(a, &reply));
        if (!reply.body.len)
                return arena_printf(a, "failed to call webhook: 0-length response with status code: %u and content type: %s", reply.status,
                                    http_reply_header(&reply, a, "Content-Type") ? http_reply_header(&reply, a, "Content-Type") : "");
        if (json_parse(a, strbuf_str(&reply.body), reply.body.len, NULL, ret, &err) < 0)
                return arena_printf(a, "failed to call webhook: couldn't get version/kind; json parse error: %s", error_text(&err));
        return NULL;
}

const char *webhook_call(struct admission_attributes *at, const struct json *webhook, const struct json *review,
                         struct json **ret)
{
        const struct json *config = json_get(webhook, "clientConfig");
        const char *bundle = get_string(config, "caBundle"), *trouble;
        int64_t seconds = json_get_int(webhook, "timeoutSeconds", 10);
        _cleanup_strbuf_ struct strbuf ca = STRBUF_INIT;
        struct client *client;
        struct target t;

        base64_decode(&ca, bundle, strlen(bundle), NULL);
        client = client_for(strbuf_str(&ca));
        if (!client)
                return "could not get REST client: too many calls with CA bundles of their own are under way";
        find_target(at, config, &t);
        client->users++;
        trouble = post(at, client, &t, MIN(MAX(seconds, 1), 30), review, ret);
        client->users--;
        return trouble;
}

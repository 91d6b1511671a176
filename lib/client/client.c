/* The client: a kubeconfig read once, and one function that turns a call into a request and a
 * Status into an outcome.
 *
 * A token from a file is read again when it is older than a minute, and at once after a 401: the
 * kubelet replaces projected tokens, and an administrator may replace any.
 */
#include "client.h"

#include <errno.h>
#include <stdio.h>

#include "../base/encode.h"
#include "../base/file.h"
#include "../base/time.h"
#include "../json/yaml.h"

#define TOKEN_FRESH_NS (60 * NS_PER_SEC)

struct client {
        struct loop *loop;
        struct http_client *http;
        char *server;     /* without a trailing slash */
        char *user_agent; /* "User-Agent: ..." */
        char *token;      /* NULL: none */
        char *token_file; /* NULL: none */
        int64_t token_read_ns;
};

/* --- kubeconfig --- */

static const struct json *named(const struct json *config, const char *list, const char *name, const char *member)
{
        json_foreach_item(json_get(config, list), it) {
                if (streq(json_get_string(it, "name"), name))
                        return json_get(it, member);
        }
        return NULL;
}

/* Paths in a kubeconfig are relative to its folder. */
static char *resolve_path(struct arena *a, const char *kubeconfig, const char *path)
{
        const char *slash = strrchr(kubeconfig, '/');

        if (!path || *path == '/' || !slash)
                return arena_strdup(a, path);
        return arena_printf(a, "%.*s/%s", (int)(slash - kubeconfig), kubeconfig, path);
}

static int inline_data(struct arena *a, const struct json *from, const char *key, const char **ret,
                       struct error *reterr)
{
        _cleanup_strbuf_ struct strbuf raw = STRBUF_INIT;
        const char *text = json_get_string(from, key);

        if (str_empty(text))
                return 0;
        if (base64_decode(&raw, text, strlen(text), NULL) < 0)
                return error_set(reterr, -EINVAL, "%s is not base64", key);
        *ret = arena_strdup(a, strbuf_str(&raw));
        return 0;
}

static int read_credentials(struct arena *a, const char *kubeconfig, const struct json *cluster,
                            const struct json *user, struct http_client_options *o, struct error *reterr)
{
        int r = inline_data(a, cluster, "certificate-authority-data", &o->ca_data, reterr);

        if (!r)
                r = inline_data(a, user, "client-certificate-data", &o->cert_data, reterr);
        if (!r)
                r = inline_data(a, user, "client-key-data", &o->key_data, reterr);
        if (r)
                return r;
        o->ca_file = resolve_path(a, kubeconfig, json_get_string(cluster, "certificate-authority"));
        o->cert_file = resolve_path(a, kubeconfig, json_get_string(user, "client-certificate"));
        o->key_file = resolve_path(a, kubeconfig, json_get_string(user, "client-key"));
        o->insecure = json_get_bool(cluster, "insecure-skip-tls-verify", false);
        return 0;
}

static char *trim_slashes(const char *s)
{
        size_t n = strlen(s);

        while (n && s[n - 1] == '/')
                n--;
        return xstrndup(s, n);
}

/* Fills C from the current context of the configuration. */
static int configure(struct client *c, struct arena *a, const char *kubeconfig, const struct json *config,
                     struct error *reterr)
{
        const char *context_name = json_get_string(config, "current-context"), *text;
        const struct json *context = named(config, "contexts", context_name ? context_name : "", "context");
        const struct json *cluster = named(config, "clusters", json_get_string(context, "cluster"), "cluster");
        const struct json *user = named(config, "users", json_get_string(context, "user"), "user");
        struct http_client_options o = { 0 };
        int r;

        if (!context)
                return error_set(reterr, -EINVAL, "no context \"%s\"", context_name ? context_name : "");
        text = json_get_string(cluster, "server");
        if (str_empty(text))
                return error_set(reterr, -EINVAL, "context \"%s\" has no cluster with a server", context_name);
        c->server = trim_slashes(text);
        r = read_credentials(a, kubeconfig, cluster, user, &o, reterr);
        if (r < 0)
                return r;
        if (json_get_string(user, "token"))
                c->token = xstrdup(json_get_string(user, "token"));
        text = resolve_path(a, kubeconfig, json_get_string(user, "tokenFile"));
        if (text)
                c->token_file = xstrdup(text);
        return http_client_new(c->loop, &o, &c->http, reterr);
}

int client_new(struct loop *loop, const char *kubeconfig, const char *user_agent, struct client **ret,
               struct error *reterr)
{
        _cleanup_arena_ struct arena *a = arena_new(0);
        _cleanup_free_ char *text = NULL;
        struct json *config;
        struct client *c;
        size_t len;
        int r;

        r = file_read(kubeconfig, 4 << 20, &text, &len, reterr);
        if (r < 0)
                return r;
        r = yaml_parse(a, text, len, NULL, &config, reterr);
        if (r < 0) {
                error_wrap(reterr, r, "%s", kubeconfig);
                return r;
        }
        c = new0(struct client);
        c->loop = loop;
        c->user_agent = xasprintf("User-Agent: %s", user_agent);
        r = configure(c, a, kubeconfig, config, reterr);
        if (r < 0) {
                error_wrap(reterr, r, "%s", kubeconfig);
                client_free(c);
                return r;
        }
        *ret = c;
        return 0;
}

void client_free(struct client *c)
{
        if (!c)
                return;
        http_client_free(c->http);
        free(c->server);
        free(c->user_agent);
        free(c->token);
        free(c->token_file);
        free(c);
}

const char *client_server(const struct client *c)
{
        return c->server;
}

struct http_client *client_http(struct client *c)
{
        return c->http;
}

struct loop *client_loop(struct client *c)
{
        return c->loop;
}

/* --- calls --- */

static void refresh_token(struct client *c)
{
        char *text;
        size_t len;

        if (!c->token_file || (c->token && loop_now(c->loop) - c->token_read_ns < TOKEN_FRESH_NS))
                return;
        if (file_read(c->token_file, 1 << 16, &text, &len, NULL) < 0)
                return; /* the old one may still do; if not, the server says so */
        while (len && strchr("\r\n \t", text[len - 1]))
                text[--len] = '\0';
        free(c->token);
        c->token = text;
        c->token_read_ns = loop_now(c->loop);
}

void client_headers(struct client *c, struct arena *a, const char *content_type, const char *accept,
                    const char *ret_headers[CLIENT_HEADERS])
{
        size_t n = 0;

        refresh_token(c);
        ret_headers[n++] = c->user_agent;
        ret_headers[n++] = arena_printf(a, "Accept: %s", accept ? accept : "application/json");
        if (content_type)
                ret_headers[n++] = arena_printf(a, "Content-Type: %s", content_type);
        if (c->token)
                ret_headers[n++] = arena_printf(a, "Authorization: Bearer %s", c->token);
        ret_headers[n] = NULL;
}

void client_unauthorized(struct client *c)
{
        c->token_read_ns = INT64_MIN / 2;
}

int client_outcome(unsigned status, const struct json *body)
{
        const char *reason = json_get_string(body, "reason");

        switch (status) {
        case 401:
                return CLIENT_UNAUTHORIZED;
        case 403:
                return CLIENT_FORBIDDEN;
        case 404:
                return CLIENT_NOT_FOUND;
        case 409:
                return streq(reason, "AlreadyExists") ? CLIENT_EXISTS : CLIENT_CONFLICT;
        case 410:
                return CLIENT_GONE;
        case 400:
        case 422:
                return CLIENT_INVALID;
        case 429:
        case 503:
        case 504:
                return CLIENT_BUSY;
        default:
                return status < 300 ? CLIENT_OK : CLIENT_REFUSED;
        }
}

/* The answer as a tree; a body that is no JSON is an error unless the status already is one. */
static int take_reply(const struct http_reply *reply, struct arena *a, struct json **ret, struct error *reterr)
{
        struct json *body = NULL;
        const char *message;
        int r = json_parse(a, strbuf_str(&reply->body), reply->body.len, NULL, &body,
                           reply->status < 300 ? reterr : NULL);

        if (r < 0 && reply->status < 300) {
                error_wrap(reterr, r, "answer of %zu bytes", reply->body.len);
                return -EPROTO;
        }
        if (ret)
                *ret = body;
        r = client_outcome(reply->status, body);
        if (r == CLIENT_OK)
                return 0;
        message = json_get_string(body, "message");
        if (message)
                return error_set(reterr, r, "%s", message);
        return error_set(reterr, r, "the server answered %u: %.200s", reply->status, strbuf_str(&reply->body));
}

int client_call_accept(struct client *c, const char *method, const char *path, const char *content_type,
                       const char *accept, const struct json *body, struct arena *a, struct json **ret,
                       struct error *reterr)
{
        _cleanup_strbuf_ struct strbuf text = STRBUF_INIT;
        const char *headers[CLIENT_HEADERS];
        struct http_reply reply = { 0 };
        struct http_call call = { .method = method, .headers = headers };
        int r;

        call.url = arena_printf(a, "%s%s", c->server, path);
        client_headers(c, a, body ? content_type : NULL, accept, headers);
        if (body) {
                json_write(&text, body);
                call.body = strbuf_str(&text);
                call.body_len = text.len;
        }
        r = http_call(c->http, &call, &reply, reterr);
        if (r < 0) {
                error_wrap(reterr, r, "%s %s", method, path);
                http_reply_deinit(&reply);
                return r;
        }
        r = take_reply(&reply, a, ret, reterr);
        http_reply_deinit(&reply);
        if (r == CLIENT_UNAUTHORIZED)
                client_unauthorized(c);
        return r;
}

int client_call(struct client *c, const char *method, const char *path, const char *content_type,
                const struct json *body, struct arena *a, struct json **ret, struct error *reterr)
{
        return client_call_accept(c, method, path, content_type, NULL, body, a, ret, reterr);
}

int client_get(struct client *c, const char *path, struct arena *a, struct json **ret, struct error *reterr)
{
        return client_call(c, "GET", path, NULL, NULL, a, ret, reterr);
}

int client_create(struct client *c, const char *path, const struct json *body, struct arena *a,
                  struct json **ret, struct error *reterr)
{
        return client_call(c, "POST", path, "application/json", body, a, ret, reterr);
}

int client_update(struct client *c, const char *path, const struct json *body, struct arena *a,
                  struct json **ret, struct error *reterr)
{
        return client_call(c, "PUT", path, "application/json", body, a, ret, reterr);
}

int client_patch(struct client *c, const char *path, enum client_patch type, const struct json *body,
                 struct arena *a, struct json **ret, struct error *reterr)
{
        static const char *const types[] = {
                [CLIENT_PATCH_JSON] = "application/json-patch+json",
                [CLIENT_PATCH_MERGE] = "application/merge-patch+json",
                [CLIENT_PATCH_STRATEGIC] = "application/strategic-merge-patch+json",
        };

        return client_call(c, "PATCH", path, types[type], body, a, ret, reterr);
}

int client_delete(struct client *c, const char *path, const struct json *options, struct arena *a,
                  struct json **ret, struct error *reterr)
{
        return client_call(c, "DELETE", path, "application/json", options, a, ret, reterr);
}

char *client_path(struct arena *a, const char *group, const char *version, const char *resource,
                  const char *namespace, const char *name, const char *subresource)
{
        _cleanup_strbuf_ struct strbuf b = STRBUF_INIT;

        if (str_empty(group))
                strbuf_printf(&b, "/api/%s", version);
        else
                strbuf_printf(&b, "/apis/%s/%s", group, version);
        if (!str_empty(namespace))
                strbuf_printf(&b, "/namespaces/%s", namespace);
        strbuf_printf(&b, "/%s", resource);
        if (name)
                strbuf_printf(&b, "/%s", name);
        if (subresource)
                strbuf_printf(&b, "/%s", subresource);
        return arena_strdup(a, strbuf_str(&b));
}

/* What is no resource: the root, health, version, discovery, OpenAPI, token keys. */
#include <stdio.h>

#include "../auth/auth.h"
#include "../schema/openapi.h"
#include "verbs.h"

static void not_found(struct api_request *r)
{
        answer_text(r, 404, "text/plain; charset=utf-8", "404 page not found\n");
}

/* --- health --- */

static bool check_ping(const struct apiserver *s)
{
        return true;
}

static bool check_etcd(const struct apiserver *s)
{
        return store_ready(s->store);
}

static bool check_bootstrap(const struct apiserver *s)
{
        return s->bootstrapped;
}

static const struct check {
        const char *name;
        bool (*ok)(const struct apiserver *s);
        bool live; /* /livez asks it too */
} checks[] = {
        {"ping", check_ping, true},
        {"etcd", check_etcd, false},
        {"poststarthook/rbac/bootstrap-roles", check_bootstrap, false},
};

/* "/readyz", "/readyz/etcd", "?verbose", "?exclude=etcd" as upstream. */
static void health(struct api_request *r, const char *kind, const char *one)
{
        _cleanup_strbuf_ struct strbuf out = STRBUF_INIT;
        bool live = streq(kind, "livez"), ok = true, found = !*one;

        for (size_t i = 0; i < ARRAY_SIZE(checks); i++) {
                const char **excluded;
                size_t n = http_query_all(r->http, "exclude", &excluded);
                bool skip = (live && !checks[i].live) || (*one && !streq(one, checks[i].name)), good;

                found |= *one && streq(one, checks[i].name);
                for (size_t k = 0; k < n; k++)
                        skip |= streq(excluded[k], checks[i].name);
                if (skip)
                        continue;
                good = checks[i].ok(r->server);
                ok &= good;
                strbuf_printf(&out, "[%c]%s %s\n", good ? '+' : '-', checks[i].name, good ? "ok" : "failed: reason withheld");
        }
        if (!found)
                not_found(r);
        else if (!ok || http_query(r->http, "verbose")) {
                strbuf_printf(&out, "%s check %s\n", kind, ok ? "passed" : "failed");
                answer_text(r, ok ? 200 : 500, "text/plain; charset=utf-8", strbuf_str(&out));
        } else
                answer_text(r, 200, "text/plain; charset=utf-8", "ok");
}

/* --- documents --- */

static void answer_json(struct api_request *r, struct buffer *b)
{
        if (b)
                answer_buffer(r, 200, "application/json", b, NULL);
        else
                not_found(r);
}

static bool wants_aggregated(const struct api_request *r)
{
        const char *accept = http_header(r->http, "Accept");

        return accept && strstr(accept, "as=APIGroupDiscoveryList") && strstr(accept, "v=v2;");
}

static void aggregated(struct api_request *r, bool core)
{
        char etag[DISCOVERY_ETAG];
        struct buffer *b = discovery_aggregated(core, &r->server->extra, etag);
        const char *const headers[] = {"ETag", etag, "Vary", "Accept", NULL};

        if (streq(http_header(r->http, "If-None-Match"), etag)) {
                buffer_unref(b);
                answer_buffer(r, 304, DISCOVERY_MEDIA_TYPE, buffer_new(0), headers);
                return;
        }
        answer_buffer(r, 200, DISCOVERY_MEDIA_TYPE, b, headers);
}

static void api(struct api_request *r, const char *rest)
{
        const struct apiserver *s = r->server;

        if (!*rest && wants_aggregated(r))
                aggregated(r, true);
        else if (!*rest)
                answer_json(r, discovery_versions(arena_printf(r->arena, "%s:%u", s->o.advertise_address, s->o.secure_port)));
        else
                answer_json(r, streq(rest, "v1") ? discovery_resources("", "v1", &s->extra) : NULL);
}

static void apis(struct api_request *r, const char *rest)
{
        const struct discovery_extra *extra = &r->server->extra;
        const char *slash = strchr(rest, '/');

        if (!*rest && wants_aggregated(r))
                aggregated(r, false);
        else if (!*rest)
                answer_json(r, discovery_groups(extra));
        else if (!slash)
                answer_json(r, discovery_group(rest, extra));
        else
                answer_json(r, discovery_resources(arena_strndup(r->arena, rest, (size_t)(slash - rest)), slash + 1, extra));
}

static void openapi_three(struct api_request *r, const char *rest)
{
        const struct discovery_extra *extra = &r->server->extra;
        char hash[OPENAPI_HASH];
        struct buffer *b;

        if (!*rest) {
                answer_json(r, openapi_v3_index(extra));
                return;
        }
        b = openapi_v3(rest, extra, hash);
        if (!b) {
                not_found(r);
                return;
        }
        const char *const headers[] = {"ETag", arena_printf(r->arena, "\"%s\"", hash), "Vary", "Accept", NULL};

        answer_buffer(r, 200, "application/json", b, headers);
}

static void openapi_two(struct api_request *r)
{
        const char *accept = http_header(r->http, "Accept");
        bool protobuf = accept && strstr(accept, "com.github.proto-openapi.spec.v2");
        char hash[OPENAPI_HASH];

        openapi_v2_hash(&r->server->extra, hash);
        const char *const headers[] = {"ETag", arena_printf(r->arena, "\"%s\"", hash), "Vary", "Accept", NULL};

        answer_buffer(r, 200, protobuf ? OPENAPI_V2_PROTOBUF_TYPE : "application/json",
                      openapi_v2(protobuf ? OPENAPI_V2_PROTOBUF : OPENAPI_V2_JSON, &r->server->extra), headers);
}

static void root(struct api_request *r)
{
        struct json *doc = json_new_object(r->arena), *paths = json_ensure_array(r->arena, doc, "paths");
        static const char *const tail[] = {"/healthz", "/livez", "/openapi/v2", "/openapi/v3", "/openid/v1/jwks", "/readyz", "/version"};

        json_append(r->arena, paths, json_new_string(r->arena, "/.well-known/openid-configuration"));
        json_append(r->arena, paths, json_new_string(r->arena, "/api"));
        json_append(r->arena, paths, json_new_string(r->arena, "/api/v1"));
        json_append(r->arena, paths, json_new_string(r->arena, "/apis"));
        for (unsigned i = 0; i < n_builtin_groups; i++) {
                const struct api_group *g = &builtin_groups[i];

                if (!*g->name)
                        continue;
                json_append(r->arena, paths, json_new_stringf(r->arena, "/apis/%s", g->name));
                for (const char *const *v = g->versions; *v; v++)
                        json_append(r->arena, paths, json_new_stringf(r->arena, "/apis/%s/%s", g->name, *v));
        }
        for (size_t i = 0; i < ARRAY_SIZE(tail); i++)
                json_append(r->arena, paths, json_new_string(r->arena, tail[i]));
        answer_text(r, 200, "application/json", json_print(r->arena, doc));
}

/* What follows PREFIX in PATH, without slashes around it; NULL: PATH is not below PREFIX. */
static const char *below(struct arena *a, const char *path, const char *prefix)
{
        size_t n = strlen(prefix);
        char *rest;

        if (strncmp(path, prefix, n) != 0 || (path[n] && path[n] != '/'))
                return NULL;
        rest = arena_strdup(a, path + n + (path[n] == '/'));
        n = strlen(rest);
        if (n && rest[n - 1] == '/')
                rest[n - 1] = '\0';
        return rest;
}

void nonresource_handle(struct api_request *r)
{
        static const char *const healths[] = {"healthz", "livez", "readyz"};
        const char *path = r->http->path, *rest, *type;

        if (!streq(r->http->method, "GET") && !streq(r->http->method, "HEAD")) {
                answer_status(r, status_method_not_supported(r->arena, NULL, NULL));
                return;
        }
        for (size_t i = 0; i < ARRAY_SIZE(healths); i++)
                if ((rest = below(r->arena, path, arena_printf(r->arena, "/%s", healths[i])))) {
                        health(r, healths[i], rest);
                        return;
                }
        if (streq(path, "/"))
                root(r);
        else if ((rest = below(r->arena, path, "/version")) && !*rest)
                answer_json(r, discovery_version());
        else if ((rest = below(r->arena, path, "/api")))
                api(r, rest);
        else if ((rest = below(r->arena, path, "/apis")))
                apis(r, rest);
        else if ((rest = below(r->arena, path, "/openapi/v3")))
                openapi_three(r, rest);
        else if (streq(path, "/openapi/v2"))
                openapi_two(r);
        else if (streq(path, "/.well-known/openid-configuration") && (rest = auth_openid_configuration(r, &type)))
                answer_text(r, 200, type, rest);
        else if (streq(path, "/openid/v1/jwks") && (rest = auth_openid_jwks(r, &type)))
                answer_text(r, 200, type, rest);
        else
                not_found(r);
}

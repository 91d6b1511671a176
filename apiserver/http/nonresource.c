/* Paths that name no resource: discovery, OpenAPI, health, version, keys, metrics. */
#include <strings.h>
#include <time.h>

#include "../../lib/base/time.h"
#include "../aggregation/aggregation.h"
#include "../audit/audit.h"
#include "../auth/auth.h"
#include "../flow/flow.h"
#include "../schema/openapi.h"
#include "../schema/protobuf.h"
#include "health.h"
#include "metrics.h"
#include "debug.h"
#include "request-info.h"
#include "verbs.h"

#define DISCOVERY_TYPES "application/json, application/yaml, " PROTOBUF_MEDIA_TYPE

static void not_found(struct api_request *r)
{
        answer_text(r, 404, "text/plain; charset=utf-8", "404 page not found\n");
}

static const struct discovery_extra *extra(const struct api_request *r)
{
        return &r->server->extra;
}

/* Most paths take any method. Behind those that upstream serves by routes there is one for GET only. */
static bool only_get(struct api_request *r)
{
        if (streq(r->http->method, "GET"))
                return false;
        answer_status(r, status_method_not_supported(r->arena, NULL, NULL));
        return true;
}

/* Nor is a body wanted, but if its type is told it must be one of CONSUMES. */
static bool only_get_of(struct api_request *r, const char *consumes)
{
        const char *type = http_header(r->http, "Content-Type");

        if (only_get(r))
                return true;
        if (str_empty(type) || !negotiate_route(r->arena, type, consumes))
                return false;
        answer_status(r, status_make(r->arena, 415, "UnsupportedMediaType", json_new_object(r->arena), "415: Unsupported Media Type"));
        return true;
}

/* The same for those that come in one form only. CONSUMES NULL: whatever. */
static bool only_get_as(struct api_request *r, const char *produces, const char *consumes)
{
        const struct status *st;

        if (consumes ? only_get_of(r, consumes) : only_get(r))
                return true;
        st = negotiate_route(r->arena, http_header(r->http, "Accept"), produces);
        if (st)
                answer_status(r, st);
        return st;
}

/* --- discovery --- */

static struct buffer *as_protobuf(struct api_request *r, struct buffer *json)
{
        const struct schema *s = builtin_body("apidiscovery.k8s.io/v2", "APIGroupDiscoveryList");
        _cleanup_strbuf_ struct strbuf out = STRBUF_INIT;
        struct json *j = NULL;

        if (json_parse(r->arena, json->data, json->len, NULL, &j, NULL) == 0)
                protobuf_encode(&out, s, j);
        buffer_unref(json);
        return buffer_new_copy(out.data, out.len);
}

static struct buffer *as_yaml(struct api_request *r, struct buffer *json)
{
        _cleanup_strbuf_ struct strbuf out = STRBUF_INIT;
        struct json *j = NULL;

        if (json_parse(r->arena, json->data, json->len, NULL, &j, NULL) == 0)
                yaml_write(&out, j);
        buffer_unref(json);
        return buffer_new_copy(strbuf_str(&out), out.len);
}

static void answer_unless(struct api_request *r, bool known, const char *type, struct buffer *b, const char *const *headers)
{
        struct http_answer unchanged = {.status = 304};

        if (!known) {
                answer_buffer(r, 200, type, b, headers);
                return;
        }
        buffer_unref(b);
        unchanged.headers = answer_headers(r, headers);
        http_respond(r->http, &unchanged);
}

/* Plain discovery documents, in what Accept asks for. B may be NULL; LISTED: no route of upstream's gives it out, but the
 * aggregator (groups, and the list of them) or the handler of custom resources. */
static void answer_document(struct api_request *r, struct buffer *b, bool listed)
{
        struct media media;
        const struct status *st;
        struct json *j;

        if (!b) {
                not_found(r);
                return;
        }
        st = negotiate(r->arena, http_header(r->http, "Accept"), listed ? 0 : NEGOTIATE_ROUTE, &media);
        if (st) {
                buffer_unref(b);
                answer_status(r, st);
                return;
        }
        if (media.type == MEDIA_YAML && json_parse(r->arena, b->data, b->len, NULL, &j, NULL) == 0) {
                buffer_unref(b);
                r->media = &media;
                answer_object(r, 200, NULL, j);
                r->media = NULL;
                return;
        }
        if (media.type == MEDIA_PROTOBUF && json_parse(r->arena, b->data, b->len, NULL, &j, NULL) == 0) {
                const char *gv = json_get_string(j, "apiVersion"), *kind = json_get_string(j, "kind");
                const struct schema *s = builtin_body(gv ? gv : "v1", kind ? kind : "");
                _cleanup_strbuf_ struct strbuf out = STRBUF_INIT;
                if (s) {
                        buffer_unref(b);
                        protobuf_encode(&out, s, j);
                        answer_buffer(r, 200, PROTOBUF_MEDIA_TYPE, buffer_new_copy(out.data, out.len), NULL);
                        return;
                }
        }
        answer_buffer(r, 200, "application/json", b, NULL);
}

static void serve_root_groups(struct api_request *r, bool core)
{
        static const char *const types[] = {DISCOVERY_MEDIA_TYPE, "application/yaml" DISCOVERY_MEDIA_PARAMETERS,
                                            PROTOBUF_MEDIA_TYPE DISCOVERY_MEDIA_PARAMETERS};
        char etag[DISCOVERY_ETAG];
        enum media_type type;

        if (negotiate_discovery(r->arena, http_header(r->http, "Accept"), &type)) {
                struct buffer *b = discovery_aggregated(core, extra(r), etag);

                if (type == MEDIA_PROTOBUF)
                        b = as_protobuf(r, b);
                else if (type == MEDIA_YAML)
                        b = as_yaml(r, b);
                const char *const headers[] = {"ETag", etag, "Vary", "Accept", "Cache-Control", "public", NULL};
                const char *match = http_header(r->http, "If-None-Match");

                answer_unless(r, match && streq(match, etag), types[type], b, headers);
                return;
        }
        answer_document(r, core ? discovery_versions(arena_printf(r->arena, "%s:%u",
                                                                  r->server->o.advertise_address
                                                                          ? r->server->o.advertise_address
                                                                          : "127.0.0.1",
                                                                  r->server->o.secure_port))
                                : discovery_groups(extra(r)), !core);
}

static void serve_discovery(struct api_request *r, const char *path)
{
        const char *slash = NULL, *group;
        struct buffer *b = NULL;
        bool ours = false;

        if (streq(path, "/api") || streq(path, "/apis")) {
                if (streq(path, "/apis") || !only_get_of(r, DISCOVERY_TYPES))
                        serve_root_groups(r, streq(path, "/api"));
                return;
        }
        if (str_has_prefix(path, "/api/")) {
                b = discovery_resources("", path + 5, extra(r));
                ours = true;
        } else {
                path += strlen("/apis/");
                slash = strchr(path, '/');
                group = arena_strndup(r->arena, path, slash ? (size_t)(slash - path) : strlen(path));
                b = slash ? discovery_resources(group, slash + 1, extra(r)) : discovery_group(group, extra(r));
                for (unsigned i = 0; slash && i < n_builtin_groups; i++)
                        ours |= streq(builtin_groups[i].name, group);
        }
        if (!b && ours && (slash ? slash > path : true)) { /* below groups of our own it is a Status; elsewhere nobody is there to write one */
                answer_status(r, status_make(r->arena, 404, "NotFound", json_new_object(r->arena),
                                             "the server could not find the requested resource"));
                return;
        }
        ours |= streq(path, "apiregistration.k8s.io");
        if (b && ours && only_get_of(r, DISCOVERY_TYPES))
                buffer_unref(b);
        else
                answer_document(r, b, !ours);
}

/* --- OpenAPI --- */

static const char *quoted(struct arena *a, const char *s)
{
        return arena_printf(a, "\"%s\"", s);
}

/* 0: JSON, above: protobuf, by its old or its new name; -1: neither. */
static int openapi_form(const struct api_request *r, int version)
{
        static const char *const types[][4] = {
                {"application/json", "application/com.github.proto-openapi.spec.v2@v1.0+protobuf", OPENAPI_V2_PROTOBUF_TYPE},
                {"application/json", "application/com.github.proto-openapi.spec.v3@v1.0+protobuf", OPENAPI_V3_PROTOBUF_TYPE},
        };

        return negotiate_plain(r->arena, http_header(r->http, "Accept"), types[version - 2]);
}

static void empty_answer(struct api_request *r, unsigned code, const char *const *headers)
{
        struct http_answer a = {.status = code, .headers = answer_headers(r, headers)};

        http_respond(r->http, &a);
}

/* If-None-Match as RFC 9110 has it: a list of tags, weak or not, or "*". */
static bool is_known(const struct api_request *r, const char *etag)
{
        const char *list = http_header(r->http, "If-None-Match");

        return list && (streq(list, "*") || http_names_tag(list, etag));
}

static void serve_openapi_v2(struct api_request *r)
{
        static const char *const vary[] = {"Vary", "Accept-Encoding", NULL};
        int form = openapi_form(r, 2);
        bool protobuf = form > 0;
        char hash[OPENAPI_HASH];
        const char *etag;

        if (form < 0) {
                empty_answer(r, 406, vary);
                return;
        }
        openapi_v2_hash(extra(r), hash);
        etag = quoted(r->arena, hash);
        const char *const headers[] = {"ETag", etag, "Vary", "Accept-Encoding", NULL};

        answer_unless(r, is_known(r, etag), protobuf ? OPENAPI_V2_PROTOBUF_TYPE : "application/json",
                      openapi_v2(protobuf ? OPENAPI_V2_PROTOBUF : OPENAPI_V2_JSON, extra(r)), headers);
}

static const char *in_a_year(struct arena *a)
{
        time_t then = time_real() / NS_PER_SEC + 365 * 86400;
        char text[64];
        struct tm tm;

        strftime(text, sizeof(text), "%a, %d %b %Y %H:%M:%S GMT", gmtime_r(&then, &tm));
        return arena_strdup(a, text);
}

static void serve_openapi_v3(struct api_request *r, const char *path)
{
        static const char *const vary[] = {"Vary", "Accept", NULL};
        const char *wanted = http_query(r->http, "hash");
        int form = openapi_form(r, 3);
        char hash[OPENAPI_HASH];
        struct buffer *b;

        if (aggregation_openapi_v3(r, path + strlen("/openapi/v3/")))
                return;
        b = openapi_v3(path + strlen("/openapi/v3/"), extra(r), hash);
        if (!b) {
                empty_answer(r, 404, NULL);
        } else if (form < 0) {
                buffer_unref(b);
                empty_answer(r, 406, vary);
        } else if (!str_empty(wanted) && !streq(wanted, hash)) {
                const char *const headers[] = {"Location", arena_printf(r->arena, "%s?hash=%s", path, hash), NULL};
                buffer_unref(b);
                answer_buffer(r, 301, "application/json", buffer_new_copy("", 0), headers);
        } else { /* what is asked for by its hash stays what it is */
                const char *etag = quoted(r->arena, hash);
                const char *const headers[] = {"ETag", etag, "Vary", "Accept", str_empty(wanted) ? NULL : "Cache-Control", "public, immutable",
                                               "Expires", in_a_year(r->arena), NULL};

                answer_unless(r, is_known(r, etag), form ? OPENAPI_V3_PROTOBUF_TYPE : "application/json",
                              form ? openapi_v3_protobuf(b) : b, headers);
        }
}

static void serve_openapi(struct api_request *r, const char *path)
{
        if (streq(r->path, "/openapi/v2"))
                serve_openapi_v2(r);
        else if (streq(r->path, "/openapi/v3"))
                answer_buffer(r, 200, "text/plain; charset=utf-8", openapi_v3_index(extra(r)), NULL);
        else if (str_has_prefix(path, "/openapi/v3/"))
                serve_openapi_v3(r, r->path);
        else if (streq(path, "/openapi/v3")) /* with a slash: a document without a name */
                empty_answer(r, 404, NULL);
        else
                not_found(r);
}

/* --- the rest --- */

static void serve_metrics(struct api_request *r)
{
        _cleanup_strbuf_ struct strbuf b = STRBUF_INIT;

        metrics_write(r->server, &b);
        answer_buffer(r, 200, "text/plain; version=0.0.4; charset=utf-8; escaping=underscores", buffer_new_copy(strbuf_str(&b), b.len), NULL);
}

static int by_name(const void *a, const void *b)
{
        return strcmp(*(const char *const *)a, *(const char *const *)b);
}

/* What there is to ask for, with the groups that others serve or define. */
static void serve_root(struct api_request *r)
{
        static const char *const fixed[] = {"/.well-known/openid-configuration", "/api", "/api/v1", "/apis", "/apis/", "/flagz", "/metrics",
                                            "/metrics/slis", "/openapi/v2", "/openapi/v3", "/openapi/v3/", "/openid/v1/jwks",
                                            "/statusz", "/version"};
        struct json *out = json_new_object(r->arena), *paths = json_ensure_array(r->arena, out, "paths"), *groups = NULL;
        struct buffer *b = discovery_groups(extra(r));
        const char **list;
        size_t n = 0;

        json_parse(r->arena, b->data, b->len, NULL, &groups, NULL);
        buffer_unref(b);
        for (size_t i = 0; i < ARRAY_SIZE(fixed); i++)
                json_append(r->arena, paths, json_new_string(r->arena, fixed[i]));
        json_foreach_item(json_get(groups, "groups"), g) {
                json_append(r->arena, paths, json_new_stringf(r->arena, "/apis/%s", json_get_string(g, "name")));
                json_foreach_item(json_get(g, "versions"), v)
                        json_append(r->arena, paths, json_new_stringf(r->arena, "/apis/%s", json_get_string(v, "groupVersion")));
        }
        health_paths(r->arena, paths);
        list = arena_alloc(r->arena, (json_len(paths) + 1) * sizeof(*list));
        json_foreach_item(paths, item)
                list[n++] = json_string(item);
        qsort(list, n, sizeof(*list), by_name);
        paths = json_new_array(r->arena);
        for (size_t i = 0; i < n; i++)
                json_append(r->arena, paths, json_new_string(r->arena, list[i]));
        json_set(r->arena, out, "paths", paths);
        answer_object(r, 200, NULL, out);
}

void nonresource_handle(struct api_request *r)
{
        static const char *const cached[] = {"Cache-Control", "public, max-age=3600", NULL};
        size_t len = strlen(r->path);
        const char *path = len > 1 && r->path[len - 1] == '/' ? arena_strndup(r->arena, r->path, len - 1)
                                                                    : r->path;
        const char *type = NULL, *text;

        if (health_handle(r) || debug_handle(r))
                return;
        if (streq(path, "/") || streq(r->path, "/index.html")) {
                serve_root(r);
        } else if (streq(path, "/version")) {
                if (!only_get_as(r, "application/json", "application/json"))
                        answer_buffer(r, 200, "application/json", discovery_version(), NULL);
        } else if (streq(path, "/api") || streq(path, "/apis") || str_has_prefix(path, "/api/") ||
                   str_has_prefix(path, "/apis/")) {
                serve_discovery(r, path);
        } else if (str_has_prefix(path, "/openapi/")) {
                serve_openapi(r, path);
        } else if (streq(r->path, "/metrics")) {
                if (streq(r->http->method, "DELETE")) /* upstream's begin anew, which rates need not know */
                        answer_buffer(r, 200, "text/plain; charset=utf-8", buffer_new_copy("metrics reset\n", 14), NULL);
                else
                        serve_metrics(r);
        } else if (streq(path, "/.well-known/openid-configuration") || streq(path, "/openid/v1/jwks")) {
                if (only_get_as(r, streq(path, "/openid/v1/jwks") ? "application/jwk-set+json" : "application/json", NULL))
                        return;
                text = streq(path, "/openid/v1/jwks") ? auth_openid_jwks(r, &type) : auth_openid_configuration(r, &type);
                if (text)
                        answer_buffer(r, 200, type, buffer_new_copy(text, strlen(text)), cached);
                else
                        not_found(r);
        } else if (str_has_prefix(path, "/version/") || str_has_prefix(path, "/openid/v1/jwks/") ||
                   str_has_prefix(path, "/.well-known/openid-configuration/")) {
                answer_status(r, status_make(r->arena, 404, "NotFound", json_new_object(r->arena),
                                             "the server could not find the requested resource"));
        } else {
                not_found(r);
        }
}

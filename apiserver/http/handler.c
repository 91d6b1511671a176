/* One request, step by step: what does the URL name, who asks, may they, in what form, and off to the verb. */
#include <errno.h>

#include "../../lib/base/time.h"
#include "../../lib/loop/fiber.h"
#include "../aggregation/aggregation.h"
#include "../audit/audit.h"
#include "../auth/auth.h"
#include "../flow/flow.h"
#include "../registry/definitions.h"
#include "../registry/registry.h"
#include "../schema/crd.h"
#include "metrics.h"
#include "request-info.h"
#include "verbs.h"

#define PATIENCE_NS (5 * NS_PER_SEC)
#define PAUSE_NS (20 * NS_PER_MS)

const struct resource *apiserver_resource(const struct apiserver *s, const char *group, const char *version,
                                          const char *name)
{
        const struct resource *res = builtin_resource(group, version, name);

        for (size_t i = 0; !res && s && i < s->extra.n; i++) {
                const struct resource *x = s->extra.list[i];
                if (streq(x->group, group) && streq(x->version, version) && streq(x->name, name))
                        res = x;
        }
        return res;
}

bool apiserver_serves(const struct apiserver *s, const char *group, const char *version)
{
        for (unsigned i = 0; i < n_builtin_groups; i++)
                if (streq(builtin_groups[i].name, group)) {
                        for (const char *const *v = builtin_groups[i].versions; version && *v; v++)
                                if (streq(*v, version))
                                        return true;
                        return !version;
                }
        for (size_t i = 0; i < s->extra.n; i++)
                if (streq(s->extra.list[i]->group, group) && (!version || streq(s->extra.list[i]->version, version)))
                        return true;
        return false;
}

static bool has(const char *const *list, const char *s)
{
        for (; list && *list; list++)
                if (streq(*list, s))
                        return true;
        return false;
}

static const struct status *route_missing(struct api_request *r)
{
        return status_make(r->arena, 404, "NotFound", json_new_object(r->arena),
                           "the server could not find the requested resource");
}

/* Whether the URL's form fits: collections of namespaced kinds are only read across namespaces. */
static bool form_fits(const struct api_request *r)
{
        const char *method = r->http->method;
        bool named = *r->name && !streq(r->verb, "list") && !streq(r->verb, "watch"), post = streq(method, "POST");

        if (*r->subresource)
                return true;
        if (r->res->namespaced && !*r->namespace)
                return streq(r->verb, "list") || streq(r->verb, "watch");
        if (post)
                return !named;
        return named || !(streq(method, "PUT") || streq(method, "PATCH"));
}

/* Groups that are not built in are served by whoever defines them: what nobody defines is no resource at all. */
static bool is_builtin_group(const char *group)
{
        for (unsigned i = 0; i < n_builtin_groups; i++)
                if (streq(builtin_groups[i].name, group))
                        return true;
        return false;
}

static bool nobodys(const struct api_request *r)
{
        bool builtin = false;

        for (unsigned i = 0; i < n_builtin_groups; i++)
                for (const char *const *v = builtin_groups[i].versions; streq(builtin_groups[i].name, r->group) && *v; v++)
                        builtin |= streq(*v, r->version);
        return *r->group && !builtin && (!r->res || (!r->res->namespaced && *r->namespace));
}

/* Routes of built-in kinds are there for GET, not for HEAD; what is passed on takes any method. */
static bool is_head(const struct api_request *r)
{
        return streq(r->http->method, "HEAD") && !r->res->crd && !streq(r->subresource, "proxy");
}

static bool only_created(const struct resource *res)
{
        return !has(res->verbs, "get") && !has(res->verbs, "list") && !has(res->verbs, "delete");
}

static const struct status *check_route(struct api_request *r)
{
        if (!r->res || streq(r->verb, "proxy")) /* so it was once: /api/v1/proxy/nodes/x */
                return route_missing(r);
        if (!r->res->namespaced && *r->namespace && !streq(r->res->name, "namespaces"))
                return route_missing(r);
        if (*r->name && !*r->subresource && !r->res->crd && only_created(r->res)) /* what is only created has no names */
                return route_missing(r);
        if (r->res->namespaced && *r->name && !*r->namespace && (*r->subresource || streq(r->verb, "get")))
                return route_missing(r);
        if (*r->subresource) {
                for (unsigned i = 0; i < r->res->n_subresources; i++) {
                        const struct subresource *s = &r->res->subresources[i];
                        if (!streq(s->name, r->subresource))
                                continue;
                        if (*r->subpath && !streq(s->name, "proxy"))
                                return route_missing(r);
                        return has(s->verbs, r->verb) && !is_head(r)
                                       ? NULL : status_method_not_supported(r->arena, r->res->crd && !is_head(r) ? r->res : NULL, r->verb);
                }
                return r->res->crd ? status_not_found(r->arena, r->res, r->name) : route_missing(r);
        }
        if (r->res->crd && r->res->crd->crd->terminating && form_fits(r) &&
            (*r->name ? streq(r->verb, "patch") || streq(r->verb, "update") : streq(r->verb, "create")))
                return NULL; /* discovery does not tell, but how else would finalizers go; a create is refused when its name is known */
        return has(r->res->verbs, r->verb) && form_fits(r) && !is_head(r) ? NULL : status_method_not_supported(r->arena, NULL, NULL);
}

static bool is_connect(const char *sub)
{
        static const char *const connects[] = {"exec", "attach", "portforward", "log", "proxy", NULL};

        return has(connects, sub);
}

/* What upstream's storage makes no key of. */
static const struct status *check_name(struct api_request *r)
{
        const char *why = streq(r->name, ".") ? "may not be '.'" : streq(r->name, "..") ? "may not be '..'" :
                          strchr(r->name, '%') ? "may not contain '%'" : NULL;
        bool reads = streq(r->verb, "get") || streq(r->verb, "patch") || streq(r->verb, "delete");
        _cleanup_strbuf_ struct strbuf quoted = STRBUF_INIT;

        if (!why || !reads || streq(r->subresource, "proxy"))
                return NULL;
        json_write_string(&quoted, r->name, strlen(r->name));
        return status_bad_request(r->arena, "Name parameter invalid: %s: %s", strbuf_str(&quoted), why);
}

static void run_verb(struct api_request *r)
{
        static const struct {
                const char *verb;
                void (*fn)(struct api_request *r);
        } verbs[] = {
                {"get", verb_get},       {"list", verb_list},     {"watch", verb_watch},
                {"create", verb_create}, {"update", verb_update}, {"patch", verb_patch},
                {"delete", verb_delete}, {"deletecollection", verb_delete_collection},
        };

        if (*r->subresource && is_connect(r->subresource)) {
                connect_subresource(r);
                return;
        }
        if (*r->subresource && streq(r->verb, "get")) {
                verb_get_subresource(r);
                return;
        }
        if (*r->subresource && streq(r->verb, "create")) {
                verb_create_subresource(r);
                return;
        }
        if (streq(r->res->name, "bindings") && !*r->res->group && streq(r->verb, "create")) {
                verb_create_binding(r);
                return;
        }
        for (size_t i = 0; i < ARRAY_SIZE(verbs); i++)
                if (streq(r->verb, verbs[i].verb)) {
                        verbs[i].fn(r);
                        return;
                }
        answer_status(r, status_method_not_supported(r->arena, NULL, NULL));
}

static bool wants_pretty(const struct api_request *r)
{
        const char *agent, *pretty = http_query(r->http, "pretty");

        if (pretty)
                return query_bool(r->http, "pretty");
        agent = http_header(r->http, "User-Agent");
        return agent && (str_has_prefix(agent, "curl") || str_has_prefix(agent, "Wget") ||
                         str_has_prefix(agent, "Mozilla/5.0"));
}

/* etcd that restarts is back within the second: whoever asks meanwhile need not hear of it. */
static bool wait_for_store(struct api_request *r)
{
        int64_t give_up = time_mono() + PATIENCE_NS;

        while (!store_ready(r->server->store) && time_mono() < give_up)
                fiber_sleep(PAUSE_NS);
        return store_ready(r->server->store);
}

/* `?timeout=` bounds a request that answers once; we are quicker than any that makes sense, but it must be one. */
static const struct status *check_timeout(struct api_request *r)
{
        const char *text = http_query(r->http, "timeout");
        int64_t ns;

        if (str_empty(text) || streq(r->verb, "watch") || duration_parse(text, &ns) == 0)
                return NULL;
        return status_bad_request(r->arena, "invalid timeout specified in the request URL - time: invalid duration \"%s\"", text);
}

/* What upstream's endpoints do not print as a Table: what is never stored, and some subresources. */
static bool has_table(const struct api_request *r)
{
        static const struct {
                const char *resource, *subresource;
        } none[] = {
                {"bindings", ""}, {"pods", "binding"}, {"pods", "eviction"}, {"pods", "ephemeralcontainers"}, {"pods", "resize"},
                {"serviceaccounts", "token"}, {"namespaces", "finalize"}, {"certificatesigningrequests", "approval"},
                {"resourceclaims", "status"}, {"customresourcedefinitions", "status"}, {"apiservices", "status"},
        };

        for (size_t i = 0; i < ARRAY_SIZE(none) && !r->res->crd; i++)
                if (streq(r->subresource, none[i].subresource) && streq(r->res->name, none[i].resource))
                        return false;
        return !auth_is_review(r->res);
}

static void handle_resource(struct api_request *r)
{
        struct media media = {.version = "v1"};
        const struct status *st;

        if (nobodys(r) && !is_builtin_group(r->group)) {
                answer_text(r, 404, "text/plain; charset=utf-8", "404 page not found\n");
                return;
        }
        st = nobodys(r) ? route_missing(r) : check_route(r);
        bool connect = *r->subresource && is_connect(r->subresource);

        if (!st && !connect)
                st = check_timeout(r);
        if (!st && !connect)
                st = negotiate(r->arena, http_header(r->http, "Accept"),
                               NEGOTIATE_TRANSFORM | (has_table(r) ? NEGOTIATE_TABLE : 0) |
                                       (streq(r->verb, "watch") ? NEGOTIATE_STREAM : 0) |
                                       (r->res->crd ? NEGOTIATE_CUSTOM : NEGOTIATE_ROUTE) |
                                       (streq(r->verb, "list") || streq(r->verb, "watch") ? NEGOTIATE_COLLECTION : 0),
                               &media);
        if (st) {
                /* no route has refused it: the error is negotiated */
                r->media = r->res && st->code == 406 && (r->res->crd || media.type == MEDIA_YAML) ? &media : NULL;
                answer_status(r, st);
                r->media = NULL;
                return;
        }
        if (!connect) {
                media.pretty |= wants_pretty(r);
                r->media = &media;
        }
        if (!wait_for_store(r)) {
                _cleanup_error_ struct error err = ERROR_INIT;
                int c = store_unready(r->server->store, &err);

                answer_status(r, c ? registry_store_status(r->arena, c, &err) :
                                     status_unavailable(r->arena, "the server is currently unable to handle the request"));
                return;
        }
        if (r->res->deprecated)
                request_warn(r, "%s", r->res->deprecated);
        if (r->res->deprecated)
                audit_annotate(r, "k8s.io/deprecated", "true");
        st = check_name(r);
        if (st)
                answer_status(r, st);
        else
                run_verb(r);
        r->media = NULL;
}

static void handle_authenticated(struct api_request *r)
{
        const struct resource *res = r->res; /* a definition may go while we wait for etcd */
        const struct status *st = authorize_request(r);

        if (st) {
                r->no_sniff = true;
                answer_status(r, st);
        } else if (aggregation_handle(r)) {
                return;
        } else if (r->is_resource) {
                if (res)
                        resource_ref(res);
                handle_resource(r);
                if (res)
                        resource_unref(res);
        } else {
                nonresource_handle(r);
        }
}

void apiserver_handle(struct http_request *http, void *apiserver)
{
        struct api_request r = {.server = apiserver, .http = http, .arena = http->arena};
        _cleanup_error_ struct error err = ERROR_INIT;
        char id[AUDIT_ID_BUF];
        struct flow_ticket ticket;
        const struct status *st;
        int e;

        r.server->requests++;
        if (streq(http->target, "*")) { /* OPTIONS, of the server itself */
                static const struct http_answer nothing = {.status = 200};

                http_respond(http, &nothing);
                return;
        }
        r.audit_id = audit_id(http, id);
        e = request_info(&r, &err);
        if (e < 0) {
                if (e == -EILSEQ) /* no URL at all, to the HTTP server of Go */
                        answer_text(&r, 400, "text/plain; charset=utf-8", "400 Bad Request");
                else
                        answer_text(&r, 500, "text/plain; charset=utf-8",
                                    arena_printf(r.arena, "Internal Server Error: \"%s\": failed to create RequestInfo: %s\n",
                                                 http->target, error_text(&err)));
                return;
        }
        st = authenticate(&r);
        audit_begin(&r, !st || r.real_user.name);
        r.no_sniff = st && st->code != 401;
        if (st)
                answer_status(&r, st);
        else if (flow_enter(&r, &ticket)) {
                handle_authenticated(&r);
                flow_leave(&ticket);
        }
        metrics_count(&r);
        audit_handled(&r);
}

void apiserver_refuse(unsigned status, const char **ret_content_type, const char **ret_body)
{
        *ret_content_type = "application/json";
        *ret_body = "{\"kind\":\"Status\",\"apiVersion\":\"v1\",\"metadata\":{},\"status\":\"Failure\",\"message\":\"Request entity too large: limit is "
                    "3145728\",\"reason\":\"RequestEntityTooLarge\",\"code\":413}\n";
}

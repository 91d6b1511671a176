/* Whether an aggregated server is well, and what it serves.
 *
 * Each look runs on a fiber of its own, so that one that hangs holds up no other: first what its Service and endpoints
 * say, then a GET of its discovery as system:kube-aggregator, then, where that went well, the discovery and OpenAPI
 * documents themselves. Nothing is written while nothing changes.
 */
#include <errno.h>
#include <limits.h>

#include "../../lib/base/log.h"
#include "../registry/registry.h"
#include "internal.h"

#define CHECK_TIMEOUT_NS (5 * NS_PER_SEC)
#define DOCUMENT_MAX ((size_t)16 << 20)
#define RETRY_NS (5 * NS_PER_SEC) /* doubled up to the regular look */
#define RETRY_MAX_NS (30 * NS_PER_SEC)

#define ACCEPT_AGGREGATED                                                                                                        \
        "application/json;g=apidiscovery.k8s.io;v=v2;as=APIGroupDiscoveryList,"                                                  \
        "application/json;g=apidiscovery.k8s.io;v=v2beta1;as=APIGroupDiscoveryList,application/json"

/* --- one GET --- */

struct answer {
        unsigned status;
        const char *type;
        struct strbuf body;
};

static void answer_deinit(struct answer *x)
{
        strbuf_deinit(&x->body);
}

static const char *url_of(struct arena *a, const struct place *p, const char *path)
{
        return arena_printf(a, strchr(p->host, ':') ? "https://[%s]:%u%s" : "https://%s:%u%s", p->host, p->port, path);
}

/* 0: an answer, whatever its status. */
static int get(const struct api_service *s, struct arena *a, const struct place *p, const char *path, const char *accept,
               bool checked, struct answer *ret, struct error *reterr)
{
        const char *const headers[] = {"Host", arena_printf(a, "%s:%u", p->host, p->port), "Accept", accept, "User-Agent",
                                       "kube-aggregator", "X-Remote-User", "system:kube-aggregator", "X-Remote-Group",
                                       "system:masters", NULL};
        struct relay_request q = {.to = api_service_dial(s, a, p, checked), .method = "GET", .target = path,
                                  .headers = headers, .keep = true, .head_timeout_ns = CHECK_TIMEOUT_NS};
        struct relay *l;
        int r;

        q.to.timeout_ns = CHECK_TIMEOUT_NS;
        r = relay_open(aggregator.server->loop, &q, &l, reterr);
        if (r < 0)
                return r;
        ret->status = relay_status(l);
        ret->type = arena_strdup(a, relay_header(l, "Content-Type") ? relay_header(l, "Content-Type") : "");
        r = relay_body(l, DOCUMENT_MAX, &ret->body);
        relay_free(l);
        return r < 0 ? error_set(reterr, r, "unexpected EOF") : 0;
}

/* A JSON document; NULL: it could not be had. *RET_TYPE may be NULL. */
static struct json *get_json(const struct api_service *s, struct arena *a, const struct place *p, const char *path,
                             const char *accept, const char **ret_type)
{
        _cleanup_(answer_deinit) struct answer x = {0};
        struct json *j = NULL;

        if (get(s, a, p, path, accept, true, &x, NULL) < 0 || x.status != 200 ||
            json_parse(a, strbuf_str(&x.body), x.body.len, NULL, &j, NULL) < 0)
                return NULL;
        if (ret_type)
                *ret_type = x.type;
        return j;
}

static const char *group_version_path(const struct api_service *s, struct arena *a)
{
        return *s->remote.group ? arena_printf(a, "/apis/%s/%s", s->remote.group, s->remote.version)
                                : arena_printf(a, "/api/%s", s->remote.version);
}

/* --- what it serves --- */

/* False: it could not be asked; *RET is then untouched. */
static bool fetch_resources(const struct api_service *s, struct arena *a, const struct place *p, const char **ret)
{
        const char *type = "";
        struct json *list = get_json(s, a, p, "/apis", ACCEPT_AGGREGATED, &type), *resources = NULL;

        if (list && strstr(type, "as=APIGroupDiscoveryList")) {
                resources = discovery_pick(list, s->remote.group, s->remote.version);
        } else {
                list = get_json(s, a, p, group_version_path(s, a), "application/json", NULL);
                if (!list)
                        return false;
                resources = discovery_from_legacy(a, list);
        }
        *ret = json_len(resources) ? json_print(a, resources) : "[]";
        return true;
}

/* Asks for all documents. They replace the old ones only where they came: a server that is gone for a while is still
 * known by what it served, and called stale. */
static void fetch_documents(struct api_service *s, const struct place *p)
{
        _cleanup_arena_ struct arena *a = arena_new(0);
        const char *v2_path = "/openapi/v2", *v3_path = "/openapi/v3", *json = "application/json", *resources, *hash;
        struct arena *keep = arena_new(0);
        struct documents *d = arena_calloc(keep, sizeof(*d));
        struct discovery_remote *to = &s->remote;
        struct json *v2, *v3;

        d->arena = keep;
        d->refs = 1;
        if (!fetch_resources(s, a, p, &resources)) {
                to->stale = true;
                documents_unref(d);
                return;
        }
        v3 = get_json(s, a, p, v3_path, json, NULL);
        v2 = get_json(s, a, p, v2_path, json, NULL);
        v2 = v2 ? openapi_v2_pick(a, v2, to->group, to->version) : NULL;
        hash = v3 ? openapi_v3_pick(a, v3, to->group, to->version) : NULL;
        to->resources = arena_strdup(keep, resources);
        to->openapi_v3_hash = arena_strdup(keep, hash ? hash : "");
        to->openapi_v2 = v2 ? json_clone(keep, v2) : NULL;
        to->stale = false;
        documents_unref(s->documents);
        s->documents = d;
}

/* --- the condition --- */

#define ATTEMPTS 5

/* Whether the server itself answers, as one that was told by its Service it should. */
static struct availability ask_once(const struct api_service *s, struct arena *a, struct place *ret_place)
{
        _cleanup_error_ struct error err = ERROR_INIT;
        _cleanup_(answer_deinit) struct answer x = {0};
        const char *path = group_version_path(s, a), *url;
        int r = api_service_place(s, a, ret_place, &err);

        if (r < 0)
                return (struct availability){"False", "FailedDiscoveryCheck", arena_strdup(a, error_text(&err))};
        url = url_of(a, ret_place, path);
        r = get(s, a, ret_place, path, "*/*", false, &x, &err);
        if (r == -ETIMEDOUT)
                error_set(&err, r, "%s", "context deadline exceeded (Client.Timeout exceeded while awaiting headers)");
        if (r < 0)
                return (struct availability){
                        "False", "FailedDiscoveryCheck",
                        arena_printf(a, "failing or missing response from %s: Get \"%s\": %s", url, url, error_text(&err))};
        if (x.status < 200 || x.status >= 300)
                return (struct availability){"False", "FailedDiscoveryCheck",
                                             arena_printf(a, "failing or missing response from %s: bad status from %s: %u", url, url,
                                                          x.status)};
        return (struct availability){"True", "Passed", "all checks passed"};
}

/* Attempts beside each other, with what they found; the last one to end wakes whoever waits. */
struct attempts {
        const struct api_service *s;
        struct arena *a;
        struct fiber *waiter;
        size_t under_way;
        struct availability found;
        struct place place;
};

static void attempt(void *userdata)
{
        struct attempts *x = userdata;
        struct place place = {0};
        struct availability v = ask_once(x->s, x->a, &place);

        if (!streq(x->found.status, "True")) {
                x->found = v;
                x->place = place;
        }
        if (--x->under_way == 0 && x->waiter)
                fiber_wake(x->waiter);
}

/* One answer of five is enough, as upstream has it: of a server's endpoints some may be ill. The other four are only asked
 * when the first gave none. */
static struct availability ask_server(const struct api_service *s, struct arena *a, struct place *ret_place)
{
        struct attempts x = {.s = s, .a = a, .under_way = ATTEMPTS - 1, .found = ask_once(s, a, ret_place)};

        if (streq(x.found.status, "True"))
                return x.found;
        for (int i = 1; i < ATTEMPTS; i++)
                fiber_start(aggregator.server->loop, attempt, &x);
        if (x.under_way) {
                x.waiter = fiber_self();
                fiber_park();
        }
        *ret_place = x.place;
        return x.found;
}

static const struct status *set_condition(struct api_request *r, const struct json *old, struct json **ret_new, void *userdata)
{
        char when[TIME_BUF];
        struct json *list;

        *ret_new = json_clone(r->arena, old);
        if (availability_set(r->arena, json_path(old, "status.conditions"), userdata, time_format(time_real(), when), &list))
                json_path_set(r->arena, *ret_new, "status.conditions", list);
        return NULL;
}

static void write_condition(const struct api_service *s, struct availability *v)
{
        _cleanup_arena_ struct arena *a = arena_new(0);
        const struct status *st;
        struct api_request r;
        struct json *out;

        if (!availability_set(a, json_path(s->object, "status.conditions"), v, "", &out))
                return;
        log_info("APIService %s: available %s, %s: %s", s->name, v->status, v->reason, v->message);
        request_init_internal(&r, aggregator.server, a);
        r.res = builtin_resource("apiregistration.k8s.io", "v1", "apiservices");
        r.verb = "update";
        r.subresource = "status";
        st = registry_update(&r, r.res, "", s->name, "status", set_condition, v, &out, NULL);
        if (st && st->code != 404)
                log_error("APIService %s: %s", s->name, st->message);
}

/* When it is looked at again: soon after a failure, then ever later. */
static void plan(struct api_service *s, bool well)
{
        int64_t wait = RETRY_MAX_NS;

        s->failures = well ? 0 : s->failures + 1;
        if (s->failures && s->failures < 4)
                wait = MIN(RETRY_NS << (s->failures - 1), RETRY_MAX_NS);
        s->next_check = time_mono() + wait;
}

static void check(void *userdata)
{
        struct api_service *s = userdata;
        _cleanup_arena_ struct arena *a = arena_new(0);
        struct availability v = {"True", "Local", "Local APIServices are always available"};
        struct json *service, *slices;
        struct place place = {0};

        if (!s->local) {
                api_service_objects(s, a, &service, &slices);
                v = availability_of_service(a, s->object, service, slices);
                if (!v.reason)
                        v = ask_server(s, a, &place);
                if (streq(v.status, "True") && !s->gone)
                        fetch_documents(s, &place);
                else
                        s->remote.stale = true;
                plan(s, !streq(v.reason, "FailedDiscoveryCheck")); /* of all else events tell */
        }
        s->checking = false;
        if (!s->gone)
                write_condition(s, &v);
        aggregation_wake();
        api_service_unref(s);
}

void api_service_check(struct api_service *s)
{
        s->checking = true;
        api_service_ref(s);
        fiber_start(aggregator.server->loop, check, s);
}

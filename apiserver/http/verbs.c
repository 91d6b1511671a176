/* get, create, update, delete, deletecollection: from the body to the registry and back. */
#include "verbs.h"

#include <errno.h>

#include "../auth/auth.h"
#include "../registry/registry.h"
#include "../registry/strategy.h"
#include "request-info.h"
#include "selection.h"

static const struct status *too_large_version(struct api_request *r, uint64_t rv)
{
        struct json *details = json_new_object(r->arena), *cause = json_new_object(r->arena);

        json_set_string(r->arena, cause, "reason", "ResourceVersionTooLarge");
        json_set_string(r->arena, cause, "message", "Too large resource version");
        json_append(r->arena, json_ensure_array(r->arena, details, "causes"), cause);
        json_set_int(r->arena, details, "retryAfterSeconds", 1);
        return status_make(r->arena, 504, "Timeout", details, "Timeout: Too large resource version: %llu, current: %llu",
                           (unsigned long long)rv, (unsigned long long)store_revision(r->server->store));
}

const struct status *read_wait(struct api_request *r, const char *rv, uint64_t *ret_rv, bool *ret_any)
{
        _cleanup_error_ struct error err = ERROR_INIT;
        unsigned long long n;
        char *end;
        int e;

        *ret_rv = 0;
        *ret_any = streq(rv, "0");
        if (str_empty(rv)) {
                e = store_sync(r->server->store, &err);
                return e < 0 ? registry_store_status(r->arena, e, &err) : NULL;
        }
        errno = 0;
        n = strtoull(rv, &end, 10);
        if (*end || *rv < '0' || *rv > '9' || errno)
                return status_bad_request(r->arena,
                                          "invalid resource version: resourceVersion: Invalid value: \"%s\": strconv.ParseUint: "
                                          "parsing \"%s\": %s",
                                          rv, rv, errno ? "value out of range" : "invalid syntax");
        *ret_rv = n;
        if (n <= store_revision(r->server->store))
                return NULL;
        e = store_sync(r->server->store, &err); /* our cache may merely lag */
        if (e == 0 && n > store_revision(r->server->store))
                e = store_wait(r->server->store, n, &err);
        if (e == -ETIMEDOUT)
                return too_large_version(r, n);
        return e < 0 ? registry_store_status(r->arena, e, &err) : NULL;
}

/* The one component that a client of old can ask us about. It has just answered: the read before waited for it. */
static struct json *etcd_status(struct arena *a)
{
        struct json *obj = json_new_object(a), *meta = json_new_object(a), *list = json_new_array(a), *healthy = json_new_object(a);

        json_set_string(a, obj, "kind", "ComponentStatus");
        json_set_string(a, obj, "apiVersion", "v1");
        json_set_string(a, meta, "name", "etcd-0");
        json_set(a, obj, "metadata", meta);
        json_set_string(a, healthy, "type", "Healthy");
        json_set_string(a, healthy, "status", "True");
        json_set_string(a, healthy, "message", "ok");
        json_append(a, list, healthy);
        json_set(a, obj, "conditions", list);
        return obj;
}

void verb_get(struct api_request *r)
{
        const char *key = registry_key(r->arena, r->res, r->namespace, r->name);
        struct resource by_singular = *r->res; /* what upstream says of components */
        const struct status *st;
        struct entry *e;
        uint64_t rv;
        bool any;

        by_singular.name = r->res->singular;
        if (http_query(r->http, "export")) {
                answer_status(r, status_bad_request(r->arena,
                                                    "the export parameter, deprecated since v1.14, is no longer supported"));
                return;
        }
        st = read_wait(r, http_query(r->http, "resourceVersion"), &rv, &any);
        if (st && st->code == 400) /* as upstream has it for a single object */
                st = status_make(r->arena, 500, "", NULL, "%s", strstr(st->message, ": ") + 2);
        if (st) {
                answer_status(r, st);
                return;
        }
        e = store_get(r->server->store, key);
        if (e) {
                entry_ref(e);
                st = registry_converted(r, r->res, &e, 1);
                if (st)
                        answer_status(r, st);
                else
                        answer_entry(r, r->res, e);
                entry_unref(e);
        } else if (streq(r->res->kind, "ComponentStatus") && !r->res->crd && streq(r->name, "etcd-0")) {
                answer_object(r, 200, answer_resource(r), etcd_status(r->arena));
        } else {
                answer_status(r, status_not_found(r->arena, streq(r->res->kind, "ComponentStatus") && !r->res->crd ? &by_singular : r->res, r->name));
        }
}

/* --- create --- */

void verb_create(struct api_request *r)
{
        struct body_type type = body_type_of(r->arena, r->res);
        const struct status *st = write_options(r, "CreateOptions");
        struct json *obj, *out;

        if (!st)
                st = body_decode(r, &type, &obj);
        if (!st && auth_is_review(r->res))
                st = auth_create_review(r, r->res, obj, &out);
        else if (!st)
                st = registry_create(r, r->res, r->namespace, obj, &out);
        if (st)
                answer_status(r, st);
        else
                answer_object(r, 201, r->res, out);
}

/* --- update --- */

/* The registry changes what it is given, and asks again after a conflict, which is rare: then it is decoded anew. */
struct update_body {
        struct body_type type;
        struct json *decoded;
};

static const struct status *give_body(struct api_request *r, const struct json *old, struct json **ret_new, void *userdata)
{
        struct update_body *body = userdata;

        if (!body->decoded)
                return body_decode(r, &body->type, ret_new);
        *ret_new = steal_ptr(body->decoded);
        return NULL;
}

void verb_update(struct api_request *r)
{
        struct update_body body = {.type = body_type_target(r)};
        const struct status *st = write_options(r, "UpdateOptions");
        struct json *out;
        bool created = false;

        if (!st)
                st = body_decode(r, &body.type, &body.decoded);
        if (!st)
                st = registry_update(r, r->res, r->namespace, r->name, r->subresource, give_body, &body, &out, &created);
        if (st)
                answer_status(r, st);
        else
                answer_object(r, created ? 201 : 200, answer_resource(r), out);
}

/* --- delete --- */

static struct json *deleted_details(struct api_request *r, const struct json *obj)
{
        struct json *d = json_new_object(r->arena);

        json_set_string(r->arena, d, "name", r->name);
        if (*r->res->group)
                json_set_string(r->arena, d, "group", r->res->group);
        json_set_string(r->arena, d, "kind", r->res->name);
        json_set_string(r->arena, d, "uid", json_path_string(obj, "metadata.uid"));
        return d;
}

void verb_delete(struct api_request *r)
{
        struct json *options, *obj = NULL;
        const struct status *st = delete_options(r, &options);
        bool gone = false;

        if (!st)
                st = registry_delete(r, r->res, r->namespace, r->name, options, &obj, &gone);
        if (st) {
                answer_status(r, st);
        } else if (gone && !r->res->delete_returns_object) {
                answer_success(r, 200, deleted_details(r, obj));
        } else {
                struct json *orphan = json_get(options, "orphanDependents");
                answer_object(r, !gone && json_is_bool(orphan) && !orphan->boolean ? 202 : 200, r->res, obj);
        }
}

/* --- deletecollection --- */

/* What is to be deleted, as it was. */
struct gathered {
        const struct resource *res;
        struct arena *arena;
        struct entry **entries;
        size_t n;
};

/* Each delete parks, so all are gathered first. What is gone meanwhile is as good as deleted by us. */
static const struct status *delete_gathered(struct api_request *r, const struct gathered *g, const struct json *options,
                                            struct json *items)
{
        for (size_t i = 0; i < g->n; i++) {
                struct json *obj;
                bool gone;
                const struct status *st =
                        registry_delete(r, r->res, g->entries[i]->namespace, g->entries[i]->name, options, &obj, &gone);
                if (st && st->code == 404)
                        continue;
                if (st)
                        return st;
                obj = registry_object(g->arena, g->res, g->entries[i]);
                if (!obj)
                        continue;
                if (!r->res->crd) {
                        obj = json_clone_shallow(r->arena, obj);
                        json_del(obj, "kind");
                        json_del(obj, "apiVersion");
                }
                json_append(r->arena, items, obj);
        }
        return NULL;
}

void verb_delete_collection(struct api_request *r)
{
        struct body_type type = body_type_of(r->arena, r->res);
        struct selection sel;
        struct gathered g = {.res = r->res, .arena = r->arena};
        struct json *options, *list = json_new_object(r->arena), *items = json_new_array(r->arena), *meta;
        int64_t limit;
        const struct status *st = list_query(r, &sel, &limit);

        if (!st)
                st = delete_options(r, &options);
        if (!st)
                st = list_entries(r, &g.entries, &g.n, &meta);
        if (!st)
                st = registry_converted(r, r->res, g.entries, g.n);
        if (!st)
                st = delete_gathered(r, &g, options, items);
        for (size_t i = 0; i < g.n; i++)
                entry_unref(g.entries[i]);
        free(g.entries);
        if (st) {
                answer_status(r, st);
                return;
        }
        json_set_string(r->arena, list, "kind", r->res->list_kind);
        json_set_string(r->arena, list, "apiVersion", type.group_version);
        json_set(r->arena, list, "metadata", meta);
        json_set(r->arena, list, "items", items);
        answer_object(r, 200, NULL, list);
}

/* --- POST to a subresource --- */

void verb_create_subresource(struct api_request *r)
{
        struct body_type type = body_type_target(r);
        const struct status *st = write_options(r, "CreateOptions");
        struct json *obj, *out;

        if (!st)
                st = body_decode(r, &type, &obj);
        if (!st && streq(r->subresource, "token"))
                st = auth_create_token(r, obj, &out);
        else if (!st)
                st = registry_create_subresource(r, r->res, r->namespace, r->name, r->subresource, obj, &out);
        if (st)
                answer_status(r, st);
        else
                answer_object(r, 201, NULL, out);
}

/* POST to bindings: the older door to pods/binding, which takes the pod's name from the body. */
void verb_create_binding(struct api_request *r)
{
        struct body_type type = body_type_of(r->arena, r->res);
        const struct resource *pods = apiserver_resource(r->server, "", "v1", "pods");
        const struct status *st = write_options(r, "CreateOptions");
        struct json *obj, *out;
        const char *name;

        if (!st)
                st = body_decode(r, &type, &obj);
        name = st ? NULL : json_path_string(obj, "metadata.name");
        if (!st && str_empty(name))
                st = status_bad_request(r->arena, "name is required");
        if (!st)
                st = registry_create_subresource(r, pods, r->namespace, name, "binding", obj, &out);
        if (st)
                answer_status(r, st);
        else
                answer_object(r, 201, NULL, out);
}

void verb_get_subresource(struct api_request *r)
{
        struct json *obj;
        const struct status *st = registry_get_subresource(r, r->res, r->namespace, r->name, r->subresource, &obj);

        if (st)
                answer_status(r, st);
        else
                answer_object(r, 200, answer_resource(r), obj);
}

/* PATCH: four kinds of patch, one way to the registry. */
#include <errno.h>

#include "../../lib/base/time.h"
#include "../../lib/json/yaml.h"
#include "../registry/registry.h"
#include "../schema/apply.h"
#include "../schema/default.h"
#include "../schema/patch-json.h"
#include "../schema/patch-merge.h"
#include "../schema/patch-strategic.h"
#include "request-info.h"
#include "verbs.h"

static const char *const media_types[] = {
        [PATCH_JSON] = "application/json-patch+json",
        [PATCH_MERGE] = "application/merge-patch+json",
        [PATCH_STRATEGIC] = "application/strategic-merge-patch+json",
        [PATCH_APPLY] = "application/apply-patch+yaml",
};

static const struct status *patch_type(struct api_request *r, struct patch *ret)
{
        const char *media = content_type_base(r->arena, http_header(r->http, "Content-Type"));

        for (size_t i = 0; i < ARRAY_SIZE(media_types); i++)
                if (streq(media, media_types[i]) && !(i == PATCH_STRATEGIC && r->res->crd)) {
                        ret->type = i;
                        return NULL;
                }
        if (r->res->crd)
                return status_unsupported_media_type(
                        r->arena, "application/json-patch+json, application/merge-patch+json, application/apply-patch+yaml");
        return status_make(r->arena, 415, "UnsupportedMediaType", json_new_object(r->arena), "415: Unsupported Media Type");
}

static const struct status *patch_options(struct api_request *r, struct patch *p)
{
        struct field_errors errs = {.arena = r->arena};
        const char *force = http_query(r->http, "force");
        const struct status *st = write_options(r, "PatchOptions");

        if (st)
                return st;
        p->force = query_bool(r->http, "force");
        if (p->type == PATCH_APPLY && str_empty(http_query(r->http, "fieldManager")))
                field_error_add(&errs, FIELD_REQUIRED, "fieldManager", NULL, "is required for apply patch");
        if (p->type != PATCH_APPLY && !str_empty(force))
                field_error_add(&errs, FIELD_FORBIDDEN, "force", NULL, "may not be specified for non-apply patch");
        return errs.n ? status_invalid(r->arena, meta_kind(r->arena, "PatchOptions"), "", &errs) : NULL;
}

const struct status *patch_parse(struct api_request *r, struct patch *ret)
{
        const struct status *st = patch_type(r, ret);
        struct json_limits limits = {.on_duplicate = strict_errors_duplicate, .userdata = &ret->strict};
        _cleanup_error_ struct error err = ERROR_INIT;
        int e;

        if (!st)
                st = patch_options(r, ret);
        if (st)
                return st;
        ret->strict = (struct strict_errors){.arena = r->arena};
        if (ret->type == PATCH_APPLY) {
                e = yaml_parse(r->arena, r->http->body, r->http->body_len, &limits, &ret->body, &err);
                return e < 0 ? status_bad_request(r->arena, "error decoding YAML: error converting YAML to JSON: %s",
                                                  error_text(&err))
                             : NULL;
        }
        e = json_parse(r->arena, r->http->body, r->http->body_len, &limits, &ret->body, &err);
        return e < 0 ? status_bad_request(r->arena, "error decoding patch: %s", error_text(&err)) : NULL;
}

/* What a 422 shows as the value: the patched JSON, or Go's map of it. */
static const char *shown(struct api_request *r, const struct patch *p, const struct json *obj)
{
        _cleanup_strbuf_ struct strbuf b = STRBUF_INIT;

        if (p->type != PATCH_STRATEGIC)
                return json_print(r->arena, obj);
        go_print(&b, obj);
        return arena_strdup(r->arena, strbuf_str(&b));
}

static const struct status *strict_outcome(struct api_request *r, const struct patch *p,
                                           const struct strict_errors *strict, const char *value)
{
        if (!strict->n || r->field_validation == FIELD_VALIDATION_IGNORE)
                return NULL;
        if (r->field_validation == FIELD_VALIDATION_STRICT)
                return patch_undecodable(r->arena, value, strict_errors_print(r->arena, strict));
        for (size_t i = 0; i < strict->n; i++)
                request_warn(r, "%s", strict->list[i]);
        return NULL;
}

const struct status *patch_run(struct api_request *r, const struct patch *p, const struct body_type *type,
                               const struct json *old, struct json **ret)
{
        struct strict_errors strict = {.arena = r->arena};
        _cleanup_error_ struct error err = ERROR_INIT;
        const struct status *st;
        struct json *obj;
        const char *value;

        if (p->type == PATCH_JSON)
                st = patch_json(r->arena, old, p->body, &obj);
        else if (p->type == PATCH_MERGE)
                st = patch_merge(r->arena, old, p->body, &obj);
        else
                st = patch_strategic(r->arena, type->schema, old, p->body, &obj);
        if (st)
                return st;
        value = shown(r, p, obj);
        obj = json_clone(r->arena, obj); /* it shares with OLD, and decoding changes it */
        for (size_t i = 0; i < p->strict.n; i++)
                strict_errors_add(&strict, "%s", p->strict.list[i]);
        if (!json_is_object(obj))
                return patch_undecodable(r->arena, value, "json: cannot unmarshal into Go value");
        if (!streq(json_get_string(obj, "kind"), type->kind) || !streq(json_get_string(obj, "apiVersion"), type->group_version))
                return patch_undecodable(r->arena, value,
                                         arena_printf(r->arena,
                                                      "no kind \"%s\" is registered for version \"%s\" in scheme "
                                                      "\"pkg/api/legacyscheme/scheme.go:30\"",
                                                      json_get_string(obj, "kind") ? json_get_string(obj, "kind") : "",
                                                      json_get_string(obj, "apiVersion") ? json_get_string(obj, "apiVersion") : ""));
        if (type->schema && schema_decode(r->arena, type->schema, obj, &strict, &err) < 0)
                return patch_undecodable(r->arena, value, err.message);
        st = strict_outcome(r, p, &strict, value);
        if (st)
                return st;
        if (type->res)
                schema_default(r->arena, type->res, obj);
        *ret = obj;
        return NULL;
}

static const struct status *apply(struct api_request *r, const struct patch *p, const struct body_type *type,
                                  const struct json *old, struct json **ret)
{
        struct strict_errors strict = {.arena = r->arena};
        const struct status *st;
        struct json *config = json_clone(r->arena, p->body), *obj;

        for (size_t i = 0; i < p->strict.n; i++)
                strict_errors_add(&strict, "%s", p->strict.list[i]);
        st = apply_patch(r->arena, r->res, old, config, r->field_manager, p->force, r->subresource, time_real(), &obj);
        if (!st)
                st = body_check(r, type, json_clone(r->arena, obj), &strict, ret);
        return st;
}

static const struct status *patch_object(struct api_request *r, const struct json *old, struct json **ret_new,
                                         void *userdata)
{
        const struct patch *p = userdata;
        struct body_type type = body_type_target(r);

        if (p->type == PATCH_APPLY) {
                if (type.res != r->res)
                        return status_internal(r->arena, "server-side apply of %s/%s is not there yet", r->res->name,
                                               r->subresource);
                r->applied = true;
                return apply(r, p, &type, old, ret_new);
        }
        return old ? patch_run(r, p, &type, old, ret_new) : status_not_found(r->arena, r->res, r->name);
}

void verb_patch(struct api_request *r)
{
        struct patch p = {0};
        const struct status *st = patch_parse(r, &p);
        struct json *out;
        bool created = false;

        if (!st)
                st = registry_update(r, r->res, r->namespace, r->name, r->subresource, patch_object, &p, &out, &created);
        if (st)
                answer_status(r, st);
        else
                answer_object(r, created ? 201 : 200, answer_resource(r), out);
}

/* PATCH: four kinds of patch, one way to the registry. */
#include <errno.h>

#include <stdlib.h>

#include "../../lib/base/time.h"
#include "../../lib/json/yaml.h"
#include "../audit/audit.h"
#include "../registry/registry.h"
#include "../schema/apply.h"
#include "../schema/crd.h"
#include "../schema/default.h"
#include "../schema/go-order.h"
#include "../schema/go-value.h"
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

        p->force = query_bool(r->http, "force");
        if (p->type == PATCH_APPLY && str_empty(http_query(r->http, "fieldManager")))
                field_error_add(&errs, FIELD_REQUIRED, "fieldManager", NULL, "is required for apply patch");
        if (p->type != PATCH_APPLY && force)
                field_error_add(&errs, FIELD_FORBIDDEN, "force", NULL, "may not be specified for non-apply patch");
        write_options_take(r, &errs);
        return errs.n ? status_invalid(r->arena, meta_kind(r->arena, "PatchOptions"), "", &errs) : NULL;
}

/* A configuration is a map. */
static const struct status *parse_apply(struct api_request *r, struct patch *p, const struct json_limits *limits)
{
        static const char *const names[] = {
                [JSON_BOOL] = "bool", [JSON_NUMBER] = "number", [JSON_STRING] = "string", [JSON_ARRAY] = "array",
        };
        _cleanup_error_ struct error err = ERROR_INIT;

        if (yaml_parse(r->arena, r->http->body, r->http->body_len, limits, &p->body, &err) < 0)
                return status_bad_request(r->arena, "error decoding YAML: error converting YAML to JSON: %s", error_text(&err));
        if (json_is_object(p->body) || json_is_null(p->body))
                return NULL;
        return status_bad_request(r->arena, "error decoding YAML: error unmarshaling JSON: while decoding JSON: json: cannot "
                                            "unmarshal %s into Go value of type map[string]interface {}", names[p->body->type]);
}

/* Keys that come twice in a configuration: told once it is carried out. */
static const struct status *duplicates_outcome(struct api_request *r, const struct patch *p)
{
        if (p->strict.n && r->field_validation == FIELD_VALIDATION_STRICT)
                return status_bad_request(r->arena, "error strict decoding YAML: error converting YAML to JSON: %s",
                                          strict_errors_of_yaml(r->arena, &p->strict));
        if (r->field_validation == FIELD_VALIDATION_WARN)
                for (size_t i = 0; i < p->strict.n; i++)
                        request_warn(r, "%s", p->strict.list[i]);
        return NULL;
}

/* What no operation has, and the name that all complaints about a JSON patch carry. */
static void check_operations(struct api_request *r, struct patch *p)
{
        static const char *const known[] = { "op", "path", "from", "value" };

        json_foreach_item(p->body, op)
                json_foreach_member(op, m) {
                        bool found = false;

                        for (size_t i = 0; i < ARRAY_SIZE(known) && !found; i++)
                                found = streq(m->key, known[i]);
                        if (!found)
                                strict_errors_add(&p->strict, "unknown field \"[%zu].%s\"", op_i, m->key);
                }
        for (size_t i = 0; i < p->strict.n; i++)
                p->strict.list[i] = arena_printf(r->arena, "json patch %s", p->strict.list[i]);
}

/* Without field validation the patch libraries read the text themselves, and have other words. */
static const struct status *parse_text(struct api_request *r, struct patch *p, const struct json_limits *limits)
{
        bool raw = r->field_validation == FIELD_VALIDATION_IGNORE;
        _cleanup_error_ struct error err = ERROR_INIT;

        if (json_parse(r->arena, r->http->body, r->http->body_len, limits, &p->body, &err) == 0) {
                const struct json *bad = raw ? NULL : json_beyond_double(p->body);

                return !bad ? NULL : status_bad_request(r->arena, "%sjson: cannot unmarshal number %s into Go %s of type float64",
                                                        p->type == PATCH_STRATEGIC ? "" : "error decoding patch: ", bad->str,
                                                        p->type == PATCH_JSON ? "struct field jsonPatchOp.value" : "value");
        }
        if (raw && p->type == PATCH_MERGE)
                return status_bad_request(r->arena, "Invalid JSON Patch");
        if (raw || p->type == PATCH_STRATEGIC)
                return status_bad_request(r->arena, "%s", error_text(&err));
        return status_bad_request(r->arena, "error decoding patch: %s", error_text(&err));
}

const struct status *patch_parse(struct api_request *r, struct patch *ret)
{
        const struct status *st = patch_type(r, ret);
        struct json_limits limits = {.userdata = &ret->strict};

        if (!st)
                st = patch_options(r, ret);
        if (st)
                return st;
        ret->strict = (struct strict_errors){.arena = r->arena};
        limits.on_duplicate = ret->type == PATCH_APPLY ? strict_errors_yaml : strict_errors_duplicate;
        ret->bad = ret->type == PATCH_APPLY ? parse_apply(r, ret, &limits) : parse_text(r, ret, &limits);
        if (ret->bad)
                return NULL;
        if (ret->type == PATCH_JSON && r->field_validation != FIELD_VALIDATION_IGNORE)
                check_operations(r, ret);
        audit_request_object(r, ret->body, true);
        return NULL;
}

static struct json *run_text_patch(struct api_request *r, const struct patch *p, const struct json *old)
{
        struct json *obj = NULL;

        if (p->type == PATCH_JSON)
                return patch_json(r->arena, old, p->body, true, &obj) ? NULL : obj;
        return patch_merge(r->arena, old, p->body, true, &obj) ? NULL : obj;
}

/* The patched object in the order of Go's text: fields are decoded, and complained about, in that order. */
static struct json *ordered(struct api_request *r, const struct patch *p, const struct body_type *type,
                            const struct json *old)
{
        struct json *obj = run_text_patch(r, p, go_order(r->arena, type->schema, old));

        if (!obj)
                return NULL;
        obj = json_clone(r->arena, obj);
        go_order_patched(obj, p->body);
        return obj;
}

/* What a 422 shows as the value: the patched JSON, or Go's map of a strategic patch, LEFT of its being carried out. */
static const char *shown(struct api_request *r, const struct patch *p, const struct json *left, const struct body_type *type,
                         const struct json *old)
{
        _cleanup_strbuf_ struct strbuf b = STRBUF_INIT;
        struct json *obj;

        if (p->type == PATCH_STRATEGIC) {
                go_print(&b, left);
                return arena_strdup(r->arena, strbuf_str(&b));
        }
        obj = ordered(r, p, type, old);
        if (obj && r->res && r->res->crd) { /* a map in Go: its keys are sorted */
                obj = json_clone(r->arena, obj);
                json_sort_keys(obj);
        }
        return obj ? json_print(r->arena, obj) : "";
}

static int by_text(const void *x, const void *y)
{
        return strcmp(*(const char *const *)x, *(const char *const *)y);
}

static const struct status *strict_outcome(struct api_request *r, const struct patch *p, const struct json *left,
                                           const struct body_type *type, const struct json *old, const struct strict_errors *strict)
{
        if (!strict->n || r->field_validation == FIELD_VALIDATION_IGNORE)
                return NULL;
        if (r->field_validation == FIELD_VALIDATION_STRICT)
                return patch_undecodable(r->arena, shown(r, p, left, type, old), strict_errors_print(r->arena, strict));
        for (size_t i = 0; i < strict->n; i++)
                request_warn(r, "%s", strict->list[i]);
        return NULL;
}

const struct status *patch_run(struct api_request *r, const struct patch *p, const struct body_type *type,
                               const struct json *old, struct json **ret)
{
        struct strict_errors strict = {.arena = r->arena};
        _cleanup_error_ struct error err = ERROR_INIT;
        bool raw = r->field_validation == FIELD_VALIDATION_IGNORE;
        const struct status *st = p->bad;
        const struct json *left = p->body;
        const char *gv, *kind;
        struct json *obj;

        if (st)
                return st;
        if (p->type == PATCH_JSON)
                st = patch_json(r->arena, old, p->body, raw, &obj);
        else if (p->type == PATCH_MERGE)
                st = patch_merge(r->arena, old, p->body, raw, &obj);
        else
                st = patch_strategic(r->arena, type->schema, old, &left, &obj);
        if (st)
                return st;
        obj = json_clone(r->arena, obj); /* it shares with OLD, and decoding changes it */
        for (size_t i = 0; i < p->strict.n; i++)
                strict_errors_add(&strict, "%s", p->strict.list[i]);
        if (!json_is_object(obj))
                return patch_undecodable(r->arena, json_print(r->arena, obj), body_find_type(r->arena, obj, &gv, &kind));
        gv = json_get_string(obj, "apiVersion");
        kind = json_get_string(obj, "kind");
        gv = str_empty(gv) ? type->group_version : gv;
        kind = str_empty(kind) ? type->kind : kind;
        if (r->res->crd && streq(kind, type->kind) && !streq(gv, type->group_version)) {
                struct field_errors errs = {.arena = r->arena};
                struct resource by_version = *r->res;

                by_version.group = "";
                field_error_add(&errs, FIELD_INVALID, "apiVersion", json_get(obj, "apiVersion"), "must be %s", type->group_version);
                return status_invalid(r->arena, &by_version, json_path_string(obj, "metadata.name"), &errs);
        }
        if (r->res->crd && !streq(kind, type->kind)) {
                struct resource by_kind = *r->res;
                struct field_errors errs = {.arena = r->arena};

                by_kind.kind = kind;
                field_error_add(&errs, FIELD_INVALID, "kind", json_get(obj, "kind"), "must be %s", type->kind);
                return status_invalid(r->arena, &by_kind, json_path_string(obj, "metadata.name"), &errs);
        }
        json_set_string(r->arena, obj, "kind", type->kind);
        json_set_string(r->arena, obj, "apiVersion", type->group_version);
        if (!streq(kind, type->kind) || !streq(gv, type->group_version))
                return patch_undecodable(r->arena, shown(r, p, left, type, old),
                                         arena_printf(r->arena,
                                                      "no kind \"%s\" is registered for version \"%s\" in scheme "
                                                      "\"pkg/api/legacyscheme/scheme.go:30\"",
                                                      kind, gv));
        if (type->schema && schema_decode(r->arena, type->schema, obj, &strict, &err) < 0)
                return patch_undecodable(r->arena, shown(r, p, left, type, old), err.message);
        if (strict.n > p->strict.n && p->type != PATCH_STRATEGIC && type->schema) {
                /* Again in Go's order, for the order of the complaints. */
                struct json *again = ordered(r, p, type, old);

                strict.n = p->strict.n;
                if (again && schema_decode(r->arena, type->schema, again, &strict, NULL) == 0)
                        obj = again;
        }
        if (p->type == PATCH_STRATEGIC && strict.n > 1)
                qsort(strict.list, strict.n, sizeof(*strict.list), by_text);
        st = strict_outcome(r, p, left, type, old, &strict);
        if (st)
                return st;
        if (type->res)
                schema_default(r->arena, type->res, obj);
        *ret = obj;
        return NULL;
}

/* The merged object did not decode: it goes into a Go struct by way of maps, whose converter has its own words. */
static const struct status *unconvertible(struct api_request *r, const struct patch *p, const struct body_type *type,
                                          const struct json *merged, struct json **ret)
{
        struct strict_errors strict = {.arena = r->arena};
        struct json *obj = json_clone(r->arena, merged);
        const char *why = patch_go_convert(r->arena, obj, type->schema), *gvk;
        _cleanup_error_ struct error err = ERROR_INIT;

        if (!why && schema_decode(r->arena, type->schema, json_clone(r->arena, obj), NULL, &err) < 0)
                why = error_text(&err);
        if (!why)
                return body_check(r, type, obj, &strict, ret);
        gvk = arena_printf(r->arena, "%s%s, Kind=%s", strchr(type->group_version, '/') ? "" : "/", type->group_version, type->kind);
        return status_make(r->arena, 500, "", NULL,
                           "failed to convert new object (%s/%s; %s) to proper version: unable to convert unstructured object to "
                           "%s: %s", json_path_string(p->body, "metadata.namespace") ?: "",
                           json_path_string(p->body, "metadata.name") ?: "", gvk, gvk, why);
}

static const struct status *apply(struct api_request *r, const struct patch *p, const struct body_type *type,
                                  const struct json *old, struct json **ret)
{
        struct strict_errors strict = {.arena = r->arena};
        const struct status *st = p->bad;
        struct json *config, *obj;

        if (st)
                return st;
        config = json_clone(r->arena, p->body);
        st = apply_patch(r->arena, r->res, old, config, r->field_manager, p->force, r->subresource, time_real(), &obj);
        if (st)
                return st;
        st = body_check(r, type, json_clone(r->arena, obj), &strict, ret);
        if (!st && r->res->crd && type->res == r->res)
                crd_keep_nulls(r->arena, r->res->schema, obj, *ret);
        if (st && type->schema && !r->res->crd)
                st = unconvertible(r, p, type, obj, ret);
        return st ? st : duplicates_outcome(r, p);
}

static const struct status *patch_object(struct api_request *r, const struct json *old, struct json **ret_new,
                                         void *userdata)
{
        const struct patch *p = userdata;
        struct body_type type = body_type_target(r);

        if (p->type == PATCH_APPLY) {
                if (r->scale_parent) /* a Scale is a view of it */
                        old = r->scale_parent;
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

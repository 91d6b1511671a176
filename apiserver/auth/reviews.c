/* Reviews: questions about users and permissions in the form of objects that are created and never stored. */
#include "../../lib/base/time.h"
#include "../../lib/meta/selector.h"
#include "../schema/decode.h"
#include "../schema/managed-fields.h"
#include "internal.h"
#include "../validation/names.h"

/* The errors of these kinds carry no kind of their own, only the group: so upstream. */
static const struct resource nameless = { .group = "authorization.k8s.io", .kind = "" };

bool auth_is_review(const struct resource *res)
{
        static const char *const kinds[] = { "TokenReview",              "SelfSubjectReview",
                                             "SubjectAccessReview",      "LocalSubjectAccessReview",
                                             "SelfSubjectAccessReview",  "SelfSubjectRulesReview", NULL };

        return res && strings_has(kinds, res->kind) &&
               (streq(res->group, "authorization.k8s.io") || streq(res->group, "authentication.k8s.io"));
}

static struct json *user_json(struct arena *a, const struct user_info *u)
{
        struct json *j = json_new_object(a);

        if (!str_empty(u->name))
                json_set_string(a, j, "username", u->name);
        if (!str_empty(u->uid))
                json_set_string(a, j, "uid", u->uid);
        if (u->groups && u->groups[0])
                json_set(a, j, "groups", strings_json(a, u->groups));
        if (json_len(u->extra))
                json_set(a, j, "extra", json_clone(a, u->extra));
        return j;
}

/* --- authentication.k8s.io --- */

static const struct status *token_review(struct api_request *r, struct json *obj)
{
        struct arena *a = r->arena;
        const char *token = json_path_string(obj, "spec.token"), *error = NULL;
        const char *const *audiences = strings_read(a, json_path(obj, "spec.audiences")), *const *matched = NULL;
        static const char *const nobody[] = { "system:unauthenticated", NULL };
        struct json *status = json_new_object(a);
        struct user_info user = { .name = "system:anonymous", .groups = nobody };

        if (str_empty(token))
                return status_bad_request(a, "token is required for TokenReview in authentication");
        /* It is judged as a header would be, which ends at a space, and without a token there is nobody. */
        if (*token != ' ')
                token = arena_strndup(a, token, strcspn(token, " "));
        else if (!audiences)
                audiences = (const char *const *)the_auth->audiences;
        if (*token == ' ') {
                json_set_bool(a, status, "authenticated", true);
                json_set(a, status, "user", user_json(a, &user));
                json_set(a, status, "audiences", strings_json(a, audiences));
        } else if (token_authenticate(r, token, audiences, &user, &matched, &error) == TOKEN_OK) {
                json_set_bool(a, status, "authenticated", true);
                json_set(a, status, "user", user_json(a, &user));
                json_set(a, status, "audiences", strings_json(a, matched));
        } else {
                json_set(a, status, "user", json_new_object(a));
                json_set_string(a, status, "error", error);
        }
        json_set(a, obj, "status", status);
        return NULL;
}

static const struct status *self_subject_review(struct api_request *r, struct json *obj)
{
        struct json *status = json_new_object(r->arena);
        char now[TIME_BUF];

        json_set(r->arena, obj, "metadata", json_new_object(r->arena)); /* the answer is a new one */
        json_set_string(r->arena, json_get(obj, "metadata"), "creationTimestamp", time_format(time_real(), now));
        json_set(r->arena, status, "userInfo", user_json(r->arena, &r->user));
        json_set(r->arena, obj, "status", status);
        return NULL;
}

/* --- authorization.k8s.io --- */

static const char *member(const struct json *obj, const char *key)
{
        const char *s = json_get_string(obj, key);

        return s ? s : "";
}

/* Requirements or text, not both; unknown operators are for later versions to know. LABELS: else fields. */
static void validate_selector(const struct json *sel, const char *path, bool labels, struct field_errors *errs)
{
        const struct json *list = json_get(sel, "requirements"), *raw = json_get(sel, "rawSelector");
        struct arena *a = errs->arena;

        if (!json_is_object(sel))
                return;
        if (!str_empty(json_string(raw)) && json_len(list))
                field_error_add(errs, FIELD_INVALID, field_path(a, "%s.rawSelector", path), raw,
                                "may not specified at the same time as requirements");
        if (str_empty(json_string(raw)) && !json_len(list))
                field_error_add(errs, FIELD_REQUIRED, field_path(a, "%s.requirements", path), NULL,
                                "when %s is specified, requirements or rawSelector is required", path);
        json_foreach_item(list, q) {
                const char *at = field_path(a, "%s.requirements[%zu]", path, q_i), *op = json_get_string(q, "operator");
                const char *key = json_get_string(q, "key");
                size_t n = json_len(json_get(q, "values"));

                if (!labels && str_empty(key))
                        field_error_add(errs, FIELD_REQUIRED, field_path(a, "%s.key", at), NULL, "must be specified");
                if ((streq(op, "In") || streq(op, "NotIn")) && !n)
                        field_error_add(errs, FIELD_REQUIRED, field_path(a, "%s.values", at), NULL,
                                        "must be specified when `operator` is 'In' or 'NotIn'");
                if ((streq(op, "Exists") || streq(op, "DoesNotExist")) && n)
                        field_error_add(errs, FIELD_FORBIDDEN, field_path(a, "%s.values", at), NULL,
                                        "may not be specified when `operator` is 'Exists' or 'DoesNotExist'");
                if (!labels)
                        continue;
                name_validate_string(errs, NAME_QUALIFIED, field_path(a, "%s.key", at), key ? key : "");
                json_foreach_item(json_get(q, "values"), v)
                        name_validate(errs, NAME_LABEL_VALUE, field_path(a, "%s.values[%zu]", at, v_i), v);
        }
}

/* As messages show it: Go's names, nothing left out. */
static struct json *path_value(struct arena *a, const struct json *path)
{
        struct json *value = json_new_object(a);

        json_set_string(a, value, "Path", member(path, "path"));
        json_set_string(a, value, "Verb", member(path, "verb"));
        return value;
}

static void validate_spec(const struct json *spec, bool self, struct field_errors *errs)
{
        const struct json *res = json_get(spec, "resourceAttributes"), *path = json_get(spec, "nonResourceAttributes");

        if (json_is_object(res) && json_is_object(path))
                field_error_add(errs, FIELD_INVALID, "spec.nonResourceAttributes", path_value(errs->arena, path),
                                "cannot be specified in combination with resourceAttributes");
        if (!json_is_object(res) && !json_is_object(path))
                field_error_add_text(errs, FIELD_INVALID, "spec.resourceAttributes", "null",
                                     "exactly one of nonResourceAttributes or resourceAttributes must be specified");
        if (!self && str_empty(json_get_string(spec, "user")) && !json_len(json_get(spec, "groups")))
                field_error_add_text(errs, FIELD_INVALID, "spec.user", "\"\"", "at least one of user or group must be specified");
        validate_selector(json_get(res, "fieldSelector"), "spec.resourceAttributes.fieldSelector", false, errs);
        validate_selector(json_get(res, "labelSelector"), "spec.resourceAttributes.labelSelector", true, errs);
}

static bool meta_set(const struct json *j)
{
        return j && !json_is_null(j) && !(json_is_string(j) && !j->len) && !(json_is_number(j) && json_to_double(j, 0) == 0) &&
               !((json_is_object(j) || json_is_array(j)) && !json_len(j));
}

static void validate_local(struct arena *a, const struct json *obj, struct field_errors *errs)
{
        const struct json *spec = json_get(obj, "spec"), *path = json_get(spec, "nonResourceAttributes"), *where;
        const char *ns = json_path_string(obj, "metadata.namespace");

        if (json_is_object(json_get(spec, "resourceAttributes"))) {
                where = json_path(spec, "resourceAttributes.namespace");
                if (!streq(json_string(where) ? json_string(where) : "", ns ? ns : ""))
                        field_error_add(errs, FIELD_INVALID, "spec.resourceAttributes.namespace",
                                        json_new_string(a, json_string(where) ? json_string(where) : ""),
                                        "must match metadata.namespace");
        }
        if (json_is_object(path)) {
                field_error_add(errs, FIELD_INVALID, "spec.nonResourceAttributes", path_value(a, path),
                                "disallowed on this kind of request");
        }
}

/* Nothing is stored of a review, so there is nothing to name. Shown is what a write would have stored. */
static void validate_metadata(struct api_request *r, const struct resource *res, struct json *obj, struct field_errors *errs)
{
        static const char *const fields[] = { "name", "generateName", "namespace", "selfLink", "uid", "resourceVersion",
                                              "generation", "creationTimestamp", "deletionTimestamp",
                                              "deletionGracePeriodSeconds", "labels", "annotations", "ownerReferences",
                                              "finalizers", "managedFields" };
        struct json *meta = json_get(obj, "metadata"), *shown = json_new_object(r->arena);
        bool local = streq(res->kind, "LocalSubjectAccessReview"), other = false;

        for (size_t i = 0; i < ARRAY_SIZE(fields) - 1; i++)
                other |= meta_set(json_get(meta, fields[i])) && !(local && streq(fields[i], "namespace"));
        if (!other)
                return;
        for (size_t i = 0; i < ARRAY_SIZE(fields); i++)
                if (meta_set(json_get(meta, fields[i])))
                        json_set(r->arena, shown, fields[i], json_clone(r->arena, json_get(meta, fields[i])));
        field_error_add(errs, FIELD_INVALID, "metadata", shown, local ? "must be empty except for namespace" : "must be empty");
}

/* {"requirements":[{"key","operator":"In","values"}]} or {"rawSelector"} as the text of a field selector. */
static const char *selector_text(struct arena *a, const struct json *sel)
{
        _cleanup_strbuf_ struct strbuf b = STRBUF_INIT;

        if (json_get_string(sel, "rawSelector"))
                return json_get_string(sel, "rawSelector");
        json_foreach_item(json_get(sel, "requirements"), q) {
                if (streq(json_get_string(q, "operator"), "In") && json_len(json_get(q, "values")) == 1)
                        strbuf_printf(&b, "%s%s=%s", b.len ? "," : "", member(q, "key"),
                                      json_string(json_at(json_get(q, "values"), 0)));
        }
        return b.len ? arena_strndup(a, b.data, b.len) : NULL;
}

/* Of a field only one value can be asked for, and no more than that it has it or not. */
static bool understood(const struct json *q, bool labels)
{
        const char *op = member(q, "operator");
        bool set = streq(op, "In") || streq(op, "NotIn");

        if (labels)
                return set || streq(op, "Exists") || streq(op, "DoesNotExist");
        return set && json_len(json_get(q, "values")) == 1;
}

/* What of a selector was not understood, and so did not narrow the question; NULL: nothing. */
static const char *ignored(struct arena *a, const struct json *attributes, const char *name)
{
        const struct json *sel = json_get(attributes, name), *list = json_get(sel, "requirements");
        bool labels = streq(name, "labelSelector"), any = false, all = true;
        const char *raw = member(sel, "rawSelector");
        struct selector parsed;

        if (*raw)
                all = (labels ? selector_parse(a, raw, &parsed, NULL) : field_selector_parse(a, raw, &parsed, NULL)) >= 0;
        json_foreach_item(list, q) {
                any |= understood(q, labels);
                all &= understood(q, labels);
        }
        return all ? NULL : arena_printf(a, "spec.resourceAttributes.%s %signored due to parse error", name,
                                         any ? "partially " : "");
}

static void read_attributes(struct arena *a, const struct json *spec, struct authz_attributes *at)
{
        const struct json *res = json_get(spec, "resourceAttributes"), *path = json_get(spec, "nonResourceAttributes");

        if (json_is_object(res)) {
                *at = (struct authz_attributes){ .user = at->user,
                                                 .verb = member(res, "verb"),
                                                 .group = member(res, "group"),
                                                 .version = member(res, "version"),
                                                 .namespace = member(res, "namespace"),
                                                 .resource = member(res, "resource"),
                                                 .subresource = member(res, "subresource"),
                                                 .name = member(res, "name"),
                                                 .is_resource = true,
                                                 .field_selector = selector_text(a, json_get(res, "fieldSelector")) };
                return;
        }
        *at = (struct authz_attributes){ .user = at->user, .verb = member(path, "verb"), .path = member(path, "path"),
                                         .group = "", .namespace = "", .resource = "", .subresource = "", .name = "" };
}

static const struct status *access_review(struct api_request *r, const struct resource *res, struct json *obj)
{
        struct arena *a = r->arena;
        bool self = streq(res->kind, "SelfSubjectAccessReview");
        struct field_errors errs = { .arena = a };
        struct json *spec = json_get(obj, "spec"), *status = json_new_object(a);
        struct user_info user = { .name = member(spec, "user"), .uid = member(spec, "uid") };
        struct authz_attributes at = { .user = self ? &r->user : &user };
        const char *reason, *fields, *labels;
        enum authz_decision d;

        if (streq(res->kind, "LocalSubjectAccessReview"))
                json_set_string(a, json_ensure_object(a, obj, "metadata"), "namespace", r->namespace);
        validate_spec(spec, self, &errs);
        validate_metadata(r, res, obj, &errs);
        if (streq(res->kind, "LocalSubjectAccessReview"))
                validate_local(a, obj, &errs);
        if (errs.n)
                return status_invalid(a, &nameless, "", &errs);
        user.groups = strings_read(a, json_get(spec, "groups"));
        user.extra = json_get(spec, "extra");
        read_attributes(a, spec, &at);
        d = authorize(r, &at, &reason);
        json_set_bool(a, status, "allowed", d == AUTHZ_ALLOW);
        if (d == AUTHZ_DENY)
                json_set_bool(a, status, "denied", true);
        if (!str_empty(reason))
                json_set_string(a, status, "reason", reason);
        fields = ignored(a, json_get(spec, "resourceAttributes"), "fieldSelector");
        labels = ignored(a, json_get(spec, "resourceAttributes"), "labelSelector");
        if (fields || labels)
                json_set_string(a, status, "evaluationError",
                                fields && labels ? arena_printf(a, "%s; %s", fields, labels) : fields ? fields : labels);
        json_set(a, obj, "status", status);
        return NULL;
}

static struct json *rule_json(struct arena *a, const struct rbac_rule *rule)
{
        struct json *j = json_new_object(a);

        json_set(a, j, "verbs", strings_json(a, rule->verbs));
        if (rule->urls) {
                json_set(a, j, "nonResourceURLs", strings_json(a, rule->urls));
                return j;
        }
        json_set(a, j, "apiGroups", strings_json(a, rule->groups));
        json_set(a, j, "resources", strings_json(a, rule->resources));
        if (rule->names)
                json_set(a, j, "resourceNames", strings_json(a, rule->names));
        return j;
}

static const struct status *rules_review(struct api_request *r, struct json *obj)
{
        struct arena *a = r->arena;
        const char *ns = json_path_string(obj, "spec.namespace"), *errors = NULL;
        struct json *status = json_new_object(a), *resources = json_new_array(a), *urls = json_new_array(a);
        bool node = node_identity(&r->user) != NULL;
        struct rbac_rules rules;

        if (str_empty(ns))
                return status_bad_request(a, "no namespace on request");
        rbac_rules_for(the_auth->rbac, a, &r->user, ns, NULL, &rules, &errors);
        for (size_t i = 0; i < rules.n; i++) {
                if (rules.list[i].resources)
                        json_append(a, resources, rule_json(a, &rules.list[i]));
                else if (rules.list[i].urls)
                        json_append(a, urls, rule_json(a, &rules.list[i]));
        }
        if (node)
                errors = errors ? arena_printf(a, "[node authorizer does not support user rule resolution, %s]", errors)
                                : "node authorizer does not support user rule resolution";
        json_set(a, status, "resourceRules", resources);
        json_set(a, status, "nonResourceRules", urls);
        json_set_bool(a, status, "incomplete", node); /* roles that are missing make it no less complete */
        if (errors)
                json_set_string(a, status, "evaluationError", errors);
        json_set(a, obj, "metadata", json_new_object(a)); /* the answer is a new one */
        json_set(a, obj, "spec", json_new_object(a));
        json_set(a, obj, "status", status);
        return NULL;
}

const struct status *auth_create_review(struct api_request *r, const struct resource *res, struct json *obj,
                                        struct json **ret)
{
        const char *ns = json_path_string(obj, "metadata.namespace");
        const struct status *st;

        static const char *const system[] = { "uid", "creationTimestamp", "deletionTimestamp", "deletionGracePeriodSeconds",
                                              "selfLink" };
        struct json *meta = json_ensure_object(r->arena, obj, "metadata");

        for (size_t i = 0; i < ARRAY_SIZE(system); i++)
                json_del(meta, system[i]);
        if (!res->namespaced)
                json_path_del(obj, "metadata.namespace");
        else if (!str_empty(ns) && !streq(ns, r->namespace))
                return status_bad_request(r->arena, "the namespace of the provided object does not match the namespace sent on "
                                                    "the request");
        /* They are written down like any object's, where the answer is the object that came. */
        if (!streq(res->kind, "SelfSubjectReview") && !streq(res->kind, "SelfSubjectRulesReview"))
                managed_fields_update(r->arena, res, NULL, obj, r->field_manager, "", time_real());
        if (streq(res->kind, "TokenReview"))
                st = token_review(r, obj);
        else if (streq(res->kind, "SelfSubjectReview"))
                st = self_subject_review(r, obj);
        else if (streq(res->kind, "SelfSubjectRulesReview"))
                st = rules_review(r, obj);
        else
                st = access_review(r, res, obj);
        if (st)
                return st;
        schema_canonicalise(r->arena, res->schema, obj);
        *ret = obj;
        return NULL;
}

/* ValidatingAdmissionPolicy and MutatingAdmissionPolicy: CEL expressions that clients wrote judge and change what is
 * written (k8s.io/apiserver/pkg/admission/plugin/policy). A policy says what; a binding says where, and with which
 * parameters. */
#include "../../lib/cel/cel.h"
#include "../audit/audit.h"
#include "../registry/status.h"
#include "../schema/patch-json.h"
#include "../schema/typed.h"
#include "matching.h"
#include "policy-variables.h"

enum { MESSAGE_MAX = 5 * 1024 };

struct kind_of_policy {
        const char *kind, *policies, *bindings; /* resources */
};

static const struct kind_of_policy validating = { "ValidatingAdmissionPolicy", "validatingadmissionpolicies",
                                                  "validatingadmissionpolicybindings" };
static const struct kind_of_policy mutating = { "MutatingAdmissionPolicy", "mutatingadmissionpolicies",
                                                "mutatingadmissionpolicybindings" };

/* One policy with one binding and one parameter. */
struct judgement {
        struct admission_attributes *at;
        const struct kind_of_policy *kind;
        const struct json *policy, *binding, *params;
        struct policy_variables *variables;
        const struct status *first; /* why the request is denied; what is to be warned of or noted is, all the same */
};

/* --- what is said --- */

static const struct status *denied(struct judgement *j, const char *reason, const char *why)
{
        static const struct {
                const char *reason;
                unsigned code;
        } codes[] = { { "Invalid", 422 }, { "Forbidden", 403 }, { "Unauthorized", 401 }, { "RequestEntityTooLarge", 413 } };
        struct arena *a = j->at->request->arena;
        const char *with = j->binding ? arena_printf(a, " with binding '%s'", get_string(j->binding, "metadata.name")) : "";
        const char *text = arena_printf(a, "%s '%s'%s denied request: %s", j->kind->kind, get_string(j->policy, "metadata.name"), with, why);
        const struct status *st = deny(j->at, "%s", text);
        struct json *details = json_clone(a, st->details), *cause = json_new_object(a);
        unsigned code = 422;

        for (size_t i = 0; i < ARRAY_SIZE(codes); i++)
                if (streq(reason, codes[i].reason))
                        code = codes[i].code;
        json_set_string(a, cause, "message", text);
        json_append(a, json_ensure_array(a, details, "causes"), cause);
        return status_make(a, code, reason, details, "%s", st->message);
}

/* For the audit log: all failures of a request in one annotation. */
static void note_failure(struct judgement *j, size_t index, const char *why)
{
        static const char key[] = "validation.policy.admission.k8s.io/validation_failure";
        struct api_request *r = j->at->request;
        struct json *x;

        if (!r->audit)
                return;
        x = json_new_object(r->arena);
        json_set_string(r->arena, x, "message", why);
        json_set_string(r->arena, x, "policy", get_string(j->policy, "metadata.name"));
        json_set_string(r->arena, x, "binding", get_string(j->binding, "metadata.name"));
        json_set_int(r->arena, x, "expressionIndex", (int64_t)index);
        json_set(r->arena, x, "validationActions", json_clone(r->arena, json_path(j->binding, "spec.validationActions")));
        audit_append(r, key, x);
}

/* What a failed validation, the INDEX-th, comes to, after the binding's validationActions. */
static void act(struct judgement *j, size_t index, const char *reason, const char *why)
{
        json_foreach_item(json_path(j->binding, "spec.validationActions"), action) {
                if (streq(json_string(action), "Deny") && !j->first)
                        j->first = denied(j, reason, why);
                else if (streq(json_string(action), "Audit"))
                        note_failure(j, index, why);
                else if (streq(json_string(action), "Warn"))
                        request_warn(j->at->request, "Validation failed for %s '%s' with binding '%s': %s", j->kind->kind,
                                     get_string(j->policy, "metadata.name"), get_string(j->binding, "metadata.name"), why);
        }
}

static bool ignores_failures(const struct json *policy)
{
        return streq(get_string(policy, "spec.failurePolicy"), "Ignore");
}

/* An error of the policy itself. Only changes end with it. */
static const struct status *broken_at(struct judgement *j, size_t index, const char *why)
{
        if (ignores_failures(j->policy))
                return NULL;
        if (j->kind != &validating)
                return denied(j, "Invalid", why);
        act(j, index, "Invalid", why);
        return NULL;
}

static const struct status *broken(struct judgement *j, const char *why)
{
        return broken_at(j, 0, why);
}

/* A policy or a binding that cannot be used denies, whatever the binding's actions are. */
static const struct status *misconfigured(struct judgement *j, const char *what, const char *why)
{
        const char *text = arena_printf(j->at->request->arena, "failed to configure %s: %s", what, why);

        if (ignores_failures(j->policy))
                return NULL;
        if (j->kind != &validating)
                return denied(j, "Invalid", text);
        if (!j->first)
                j->first = denied(j, "Invalid", text);
        return NULL;
}

static const char *failed_expression(struct arena *a, const char *text, const struct cel_value *v)
{
        if (v->type == CEL_ERROR && streq(v->str.s, POLICY_OVER_BUDGET))
                return POLICY_OVER_BUDGET;
        return arena_printf(a, "expression '%s' resulted in error: %s", text, cel_text(a, v));
}

/* --- judging --- */

/* 1: all match conditions hold; 0: one does not; <0: *ret_why. */
static int conditions_hold(struct judgement *j, const char **ret_why)
{
        const char *first = NULL;

        json_foreach_item(json_path(j->policy, "spec.matchConditions"), c) {
                const char *text = get_string(c, "expression");
                struct cel_value v = policy_match(j->variables, text);

                if (v.type == CEL_BOOL && !v.b)
                        return 0;
                if (v.type != CEL_BOOL && !first)
                        first = failed_expression(j->at->request->arena, text, &v);
        }
        *ret_why = first;
        return first ? -EINVAL : 1;
}

static const char *trimmed(struct arena *a, const char *s)
{
        size_t len;

        s += strspn(s, " \t\r\n");
        for (len = strlen(s); len && strchr(" \t\r\n", s[len - 1]);)
                len--;
        return arena_strndup(a, s, len);
}

static const char *message_of(struct judgement *j, const struct json *validation)
{
        struct arena *a = j->at->request->arena;
        const char *expression = json_get_string(validation, "messageExpression"), *message = json_get_string(validation, "message"),
                   *made;

        if (!str_empty(expression)) {
                struct cel_value v = policy_eval(j->variables, expression);

                made = v.type == CEL_STRING ? trimmed(a, cel_text(a, &v)) : "";
                if (*made && strlen(made) <= MESSAGE_MAX && !strchr(made, '\n'))
                        return made;
        }
        if (!str_empty(message))
                return trimmed(a, message);
        return arena_printf(a, "failed expression: %s", trimmed(a, get_string(validation, "expression")));
}

/* Values of one key are noted once each, from all bindings and parameters. */
static void note(struct judgement *j, const char *key, const char *value)
{
        struct api_request *r = j->at->request;

        if (r->audit)
                audit_join(r, arena_printf(r->arena, "%s/%s", get_string(j->policy, "metadata.name"), key), value);
}

/* What a policy wants noted, whatever comes of it. */
static void note_annotations(struct judgement *j)
{
        struct arena *a = j->at->request->arena;

        json_foreach_item(json_path(j->policy, "spec.auditAnnotations"), x) {
                const char *text = get_string(x, "valueExpression"), *wrong = NULL;
                struct cel_value v = policy_eval(j->variables, text);

                if (v.type == CEL_STRING && *trimmed(a, cel_text(a, &v)))
                        note(j, get_string(x, "key"), trimmed(a, cel_text(a, &v)));
                else if (v.type == CEL_ERROR)
                        wrong = failed_expression(a, text, &v);
                else if (v.type != CEL_STRING && v.type != CEL_NULL)
                        wrong = arena_printf(a, "valueExpression '%s' resulted in unsupported return type: %s. Return type must be either "
                                                "string or null.", text, cel_type_name(&v));
                if (wrong && !j->first && !ignores_failures(j->policy))
                        j->first = denied(j, "Invalid", wrong);
        }
}

static const struct status *judge(struct judgement *j)
{
        struct arena *a = j->at->request->arena;

        json_foreach_item(json_path(j->policy, "spec.validations"), validation) {
                const char *text = get_string(validation, "expression"), *reason = json_get_string(validation, "reason"), *why;
                struct cel_value v = policy_eval(j->variables, text);

                if (v.type == CEL_BOOL) {
                        if (!v.b)
                                act(j, validation_i, str_empty(reason) ? "Invalid" : reason, message_of(j, validation));
                        continue;
                }
                why = failed_expression(a, text, &v);
                broken_at(j, validation_i, why);
                if (streq(why, POLICY_OVER_BUDGET))
                        break;
        }
        note_annotations(j);
        return NULL;
}

/* --- changing --- */

/* [JSONPatch{op: "add", path: "/x", value: 1}] as RFC 6902 writes it. */
static const struct status *change_by_patch(struct judgement *j, struct json *patch, struct json **ret)
{
        return json_is_array(patch) ? patch_json(j->at->request->arena, j->at->object, patch, ret)
                                    : broken(j, "JSONPatch expression must evaluate to array");
}

static const struct status *change_by_apply(struct judgement *j, struct json *config, struct json **ret)
{
        struct typed t = { .a = j->at->request->arena, .schema = j->at->res->schema, .deduce = j->at->res->crd };
        const char *wrong;

        if (!json_is_object(config))
                return broken(j, "must evaluate to Object but got none");
        wrong = typed_validate(&t, config);
        if (wrong)
                return broken(j, wrong);
        *ret = typed_merge(&t, j->at->object, config);
        return NULL;
}

static const struct status *change(struct judgement *j)
{
        struct arena *a = j->at->request->arena;

        json_foreach_item(json_path(j->policy, "spec.mutations"), m) {
                bool apply = streq(get_string(m, "patchType"), "ApplyConfiguration");
                const char *text = get_string(m, apply ? "applyConfiguration.expression" : "jsonPatch.expression");
                struct cel_value v = policy_eval(j->variables, text);
                struct json *made = v.type == CEL_ERROR ? NULL : cel_to_json(a, &v), *changed = NULL;
                const struct status *st;

                if (!made)
                        st = broken(j, failed_expression(a, text, &v));
                else
                        st = apply ? change_by_apply(j, made, &changed) : change_by_patch(j, made, &changed);
                if (st)
                        return st;
                if (changed) /* others hold on to the object: it changes in place */
                        *j->at->object = *json_clone(a, changed);
                policy_object_changed(j->variables);
        }
        return NULL;
}

/* --- which policies, which bindings, which parameters --- */

static const struct status *with_params(struct judgement *j)
{
        const char *why = NULL;
        int held;

        j->variables = policy_variables_new(j->at, j->policy, j->params);
        held = conditions_hold(j, &why);
        if (held < 0)
                return broken(j, why);
        return !held ? NULL : j->kind == &validating ? judge(j) : change(j);
}

/* A kind of ours or of a definition; NULL: there is none. */
static const struct resource *kind_of_params(struct judgement *j)
{
        struct arena *a = j->at->request->arena;
        const struct apiserver *s = j->at->request->server;
        const char *api = get_string(j->policy, "spec.paramKind.apiVersion"), *kind = get_string(j->policy, "spec.paramKind.kind"),
                   *slash = strchr(api, '/'), *group = slash ? arena_strndup(a, api, (size_t)(slash - api)) : "",
                   *version = slash ? slash + 1 : api;
        const struct resource *res = builtin_kind(group, version, kind);

        for (size_t i = 0; !res && s && i < s->extra.n; i++)
                if (streq(s->extra.list[i]->kind, kind) && streq(s->extra.list[i]->group, group) && streq(s->extra.list[i]->version, version))
                        res = s->extra.list[i];
        return res;
}

struct found_params {
        struct judgement *j;
        const struct resource *res;
        const struct selector *selector;
        struct json *list;
};

static bool add_params(struct entry *e, void *userdata)
{
        struct found_params *f = userdata;
        struct json *obj = registry_object(f->j->at->request->arena, f->res, e);

        if (obj && (!f->selector || selector_matches(f->selector, json_path(obj, "metadata.labels"))))
                json_append(f->j->at->request->arena, f->list, obj);
        return true;
}

/* The objects that a binding's paramRef means, as an array; NULL: *ret_why. */
static struct json *params_of(struct judgement *j, const struct resource *res, const struct json *ref, const char **ret_why)
{
        struct arena *a = j->at->request->arena;
        const char *ns = json_get_string(ref, "namespace"), *name = json_get_string(ref, "name");
        struct found_params f = { .j = j, .res = res, .list = json_new_array(a) };
        struct selector s;
        struct entry *one;

        if (!res->namespaced && !str_empty(ns)) {
                *ret_why = "paramRef.namespace must not be provided for a cluster-scoped `paramKind`";
                return NULL;
        }
        if (res->namespaced && str_empty(ns) && str_empty(ns = j->at->namespace)) {
                *ret_why = "cannot use namespaced paramRef in policy binding that matches cluster-scoped resources";
                return NULL;
        }
        if (!admission_store)
                return f.list;
        if (!str_empty(name)) {
                one = store_get(admission_store, registry_key(a, res, ns, name));
                if (one)
                        add_params(one, &f);
        } else if (selector_from_object(a, json_get(ref, "selector"), &s, NULL) == 0) {
                f.selector = &s;
                store_scan(admission_store,
                           arena_join(a, "/registry/", res->storage_prefix, "/", res->namespaced ? ns : "", res->namespaced ? "/" : "", NULL),
                           NULL, add_params, &f);
        }
        if (!json_len(f.list) && streq(json_get_string(ref, "parameterNotFoundAction"), "Deny")) {
                *ret_why = "no params found for policy binding with `Deny` parameterNotFoundAction";
                return NULL;
        }
        return f.list;
}

static const struct status *with_binding(struct judgement *j)
{
        const struct json *ref = json_path(j->binding, "spec.paramRef");
        struct json *params;
        const char *why = NULL;
        const struct status *st;

        j->params = NULL;
        if (!json_is_object(json_path(j->policy, "spec.paramKind")) || !json_is_object(ref))
                return with_params(j);
        params = params_of(j, kind_of_params(j), ref, &why);
        if (!params)
                return misconfigured(j, "binding", why);
        json_foreach_item(params, p) {
                j->params = p;
                if ((st = with_params(j)))
                        return st;
        }
        return NULL;
}

/* One policy with those of BINDINGS that are its own. */
static const struct status *with_policy(struct judgement *j, const struct json *bindings)
{
        struct arena *a = j->at->request->arena;
        const struct status *st;

        json_foreach_item(bindings, b) {
                if (!streq(get_string(b, "spec.policyName"), get_string(j->policy, "metadata.name")))
                        continue;
                if (json_is_object(json_path(j->policy, "spec.paramKind")) && !kind_of_params(j)) {
                        j->binding = NULL;
                        return misconfigured(j, "policy", arena_printf(a, "failed to find resource referenced by paramKind: '%s, Kind=%s'",
                                                                       get_string(j->policy, "spec.paramKind.apiVersion"),
                                                                       get_string(j->policy, "spec.paramKind.kind")));
                }
                j->binding = b;
                if (match_resources(j->at, json_path(b, "spec.matchResources"), true) && (st = with_binding(j)))
                        return st;
        }
        return NULL;
}

static const struct status *run(struct admission_attributes *at, const struct kind_of_policy *kind)
{
        struct judgement j = { .at = at, .kind = kind };
        struct json *bindings = NULL;
        const struct status *st;

        /* Who writes policies is not judged by them: a wrong one could never be mended. */
        if (streq(at->res->group, REGISTRATION))
                return NULL;
        json_foreach_item(admission_list(at, REGISTRATION, "v1", kind->policies, ""), p) {
                if (!match_resources(at, json_path(p, "spec.matchConstraints"), false))
                        continue;
                if (!bindings)
                        bindings = admission_list(at, REGISTRATION, "v1", kind->bindings, "");
                j.policy = p;
                st = with_policy(&j, bindings);
                if (st)
                        return st;
        }
        return j.first;
}

static const struct status *validate(struct admission_attributes *at)
{
        return run(at, &validating);
}

static const struct status *mutate(struct admission_attributes *at)
{
        return run(at, &mutating);
}

const struct admission_plugin plugin_validating_policies = {
        .name = "ValidatingAdmissionPolicy",
        .ops = ADMISSION_CREATE | ADMISSION_UPDATE | ADMISSION_DELETE | ADMISSION_CONNECT,
        .validate = validate,
};
const struct admission_plugin plugin_mutating_policies = {
        .name = "MutatingAdmissionPolicy", .ops = ADMISSION_CREATE | ADMISSION_UPDATE, .mutate = mutate
};

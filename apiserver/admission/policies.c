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
};

/* --- what is said --- */

static const struct status *denied(struct judgement *j, const char *reason, const char *why)
{
        static const struct {
                const char *reason;
                unsigned code;
        } codes[] = { { "Invalid", 422 }, { "Forbidden", 403 }, { "Unauthorized", 401 }, { "RequestEntityTooLarge", 413 } };
        struct arena *a = j->at->request->arena;
        const char *text = arena_printf(a, "%s '%s' with binding '%s' denied request: %s", j->kind->kind,
                                        get_string(j->policy, "metadata.name"), get_string(j->binding, "metadata.name"), why);
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
static const struct status *act(struct judgement *j, size_t index, const char *reason, const char *why)
{
        const struct status *st = NULL;

        json_foreach_item(json_path(j->binding, "spec.validationActions"), action) {
                if (streq(json_string(action), "Deny") && !st)
                        st = denied(j, reason, why);
                else if (streq(json_string(action), "Audit"))
                        note_failure(j, index, why);
                else if (streq(json_string(action), "Warn"))
                        request_warn(j->at->request, "Validation failed for %s '%s' with binding '%s': %s", j->kind->kind,
                                     get_string(j->policy, "metadata.name"), get_string(j->binding, "metadata.name"), why);
        }
        return st;
}

static bool ignores_failures(const struct json *policy)
{
        return streq(get_string(policy, "spec.failurePolicy"), "Ignore");
}

/* An error of the policy itself. */
static const struct status *broken_at(struct judgement *j, size_t index, const char *why)
{
        if (ignores_failures(j->policy))
                return NULL;
        return j->kind == &validating ? act(j, index, "Invalid", why) : denied(j, "Invalid", why);
}

static const struct status *broken(struct judgement *j, const char *why)
{
        return broken_at(j, 0, why);
}

static const char *failed_expression(struct arena *a, const char *text, const struct cel_value *v)
{
        return arena_printf(a, "expression '%s' resulted in error: %s", text, cel_text(a, v));
}

/* --- judging --- */

/* 1: all match conditions hold; 0: one does not; <0: *ret_why. */
static int conditions_hold(struct judgement *j, const char **ret_why)
{
        const char *first = NULL;

        json_foreach_item(json_path(j->policy, "spec.matchConditions"), c) {
                const char *text = get_string(c, "expression");
                struct cel_value v = policy_eval(j->variables, text);

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

/* What a policy wants noted, whatever comes of it. */
static void note_annotations(struct judgement *j)
{
        struct api_request *r = j->at->request;

        json_foreach_item(json_path(j->policy, "spec.auditAnnotations"), x) {
                struct cel_value v;

                if (!r->audit)
                        return;
                v = policy_eval(j->variables, get_string(x, "valueExpression"));
                if (v.type == CEL_STRING)
                        audit_annotate(r, arena_printf(r->arena, "%s/%s", get_string(j->policy, "metadata.name"), get_string(x, "key")),
                                       trimmed(r->arena, cel_text(r->arena, &v)));
        }
}

static const struct status *judge(struct judgement *j)
{
        struct arena *a = j->at->request->arena;

        note_annotations(j);
        json_foreach_item(json_path(j->policy, "spec.validations"), validation) {
                const char *text = get_string(validation, "expression"), *reason = json_get_string(validation, "reason");
                struct cel_value v = policy_eval(j->variables, text);
                const struct status *st = NULL;

                if (v.type != CEL_BOOL)
                        st = broken_at(j, validation_i, failed_expression(a, text, &v));
                else if (!v.b)
                        st = act(j, validation_i, str_empty(reason) ? "Invalid" : reason, message_of(j, validation));
                if (st)
                        return st;
        }
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

/* The objects that a binding's paramRef means, as an array; NULL: *ret_why. */
static struct json *params_of(struct judgement *j, const struct json *ref, const char **ret_why)
{
        struct arena *a = j->at->request->arena;
        const char *api = get_string(j->policy, "spec.paramKind.apiVersion"), *kind = get_string(j->policy, "spec.paramKind.kind"),
                   *slash = strchr(api, '/'), *ns = json_get_string(ref, "namespace"), *name = json_get_string(ref, "name");
        const struct resource *res = builtin_kind(slash ? arena_strndup(a, api, (size_t)(slash - api)) : "",
                                                  slash ? slash + 1 : api, kind);
        struct json *list = json_new_array(a), *one;
        struct selector s;

        if (!res) {
                *ret_why = arena_printf(a, "failed to configure policy: failed to find resource referenced by paramKind: '%s, Kind=%s'",
                                        api, kind);
                return NULL;
        }
        if (!res->namespaced)
                ns = "";
        else if (str_empty(ns))
                ns = j->at->namespace;
        if (!str_empty(name)) {
                one = admission_get(j->at, res->group, res->version, res->name, ns, name);
                if (one)
                        json_append(a, list, one);
        } else if (selector_from_object(a, json_get(ref, "selector"), &s, NULL) == 0) {
                json_foreach_item(admission_list(j->at, res->group, res->version, res->name, ns), p)
                        if (selector_matches(&s, json_path(p, "metadata.labels")))
                                json_append(a, list, p);
        }
        return list;
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
        params = params_of(j, ref, &why);
        if (!params)
                return broken(j, why);
        if (!json_len(params) && streq(json_get_string(ref, "parameterNotFoundAction"), "Deny"))
                return broken(j, "failed to configure binding: no params found for policy binding with `Deny` "
                                 "parameterNotFoundAction");
        json_foreach_item(params, p) {
                j->params = p;
                if ((st = with_params(j)))
                        return st;
        }
        return NULL;
}

static const struct status *run(struct admission_attributes *at, const struct kind_of_policy *kind)
{
        struct json *bindings = NULL;

        /* Who writes policies is not judged by them: a wrong one could never be mended. */
        if (streq(at->res->group, REGISTRATION))
                return NULL;
        json_foreach_item(admission_list(at, REGISTRATION, "v1", kind->policies, ""), p) {
                struct judgement j = { .at = at, .kind = kind, .policy = p };
                const struct status *st;

                if (!match_resources(at, json_path(p, "spec.matchConstraints"), false))
                        continue;
                if (!bindings)
                        bindings = admission_list(at, REGISTRATION, "v1", kind->bindings, "");
                json_foreach_item(bindings, b) {
                        j.binding = b;
                        if (streq(get_string(b, "spec.policyName"), get_string(p, "metadata.name")) &&
                            match_resources(at, json_path(b, "spec.matchResources"), true) && (st = with_binding(&j)))
                                return st;
                }
        }
        return NULL;
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

/* ValidatingAdmissionPolicy and MutatingAdmissionPolicy: CEL expressions that clients wrote judge and change what is
 * written (k8s.io/apiserver/pkg/admission/plugin/policy). A policy says what; a binding says where, and with which
 * parameters. */
#include "../../lib/cel/cel.h"
#include "../audit/audit.h"
#include "../registry/status.h"
#include "matching.h"
#include "policy-change.h"
#include "policy-variables.h"
#include "rounds.h"

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
        const struct resource *as;         /* what the policy wants the resource to be */
        struct admission_attributes shown; /* the request with its objects of that version */
        const struct status *first; /* why the request is denied; what is to be warned of or noted is, all the same */
        struct json *details;       /* of that, where a change fails */
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

/* Changes go on after an error: the first one is the answer, with all of them as causes. */
static void fault(struct judgement *j, const char *reason, const char *why)
{
        struct arena *a = j->at->request->arena;
        const char *name = get_string(j->policy, "metadata.name"),
                   *text = j->binding ? arena_printf(a, "policy '%s' with binding '%s' denied request: %s", name,
                                                     get_string(j->binding, "metadata.name"), why)
                                      : arena_printf(a, "policy \"%s\" denied request: %s", name, why);
        struct json *cause = json_new_object(a);

        json_set_string(a, cause, "message", text);
        if (!j->first) {
                j->details = json_clone(a, deny(j->at, "%s", text)->details);
                j->first = status_make(a, 403, reason, j->details, "%s", text);
        }
        json_append(a, json_ensure_array(a, j->details, "causes"), cause);
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

/* An error of the policy itself. */
static void broken_at(struct judgement *j, size_t index, const char *why)
{
        if (ignores_failures(j->policy))
                return;
        if (j->kind == &validating)
                act(j, index, "Invalid", why);
        else
                fault(j, "Invalid", why);
}

static void broken(struct judgement *j, const char *why)
{
        broken_at(j, 0, why);
}

/* A policy or a binding that cannot be used denies, whatever the binding's actions are. */
static void misconfigured(struct judgement *j, const char *what, const char *why)
{
        const char *text = arena_printf(j->at->request->arena, "failed to configure %s: %s", what, why);

        if (ignores_failures(j->policy))
                return;
        if (j->kind != &validating)
                fault(j, "Forbidden", text);
        else if (!j->first)
                j->first = denied(j, "Invalid", text);
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
        struct arena *a = j->at->request->arena;
        const char **errors = strings_new(a, json_len(json_path(j->policy, "spec.matchConditions")));

        json_foreach_item(json_path(j->policy, "spec.matchConditions"), c) {
                const char *text = get_string(c, "expression");
                struct cel_value v = policy_match(j->variables, text);

                if (v.type == CEL_BOOL && !v.b)
                        return 0;
                if (v.type != CEL_BOOL)
                        match_error_add(errors, failed_expression(a, text, &v));
        }
        *ret_why = match_errors(a, errors);
        return *ret_why ? -EINVAL : 1;
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

static void judge(struct judgement *j)
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
}

/* --- changing --- */

/* One mutation. 0; <0: *ret_st is the answer, or NULL: a fault was told. *ret: as policy_change_by_patch(). */
static int change_by(struct judgement *j, const struct json *m, struct json **ret, const struct status **ret_st)
{
        struct arena *a = j->at->request->arena;
        bool apply = streq(get_string(m, "patchType"), "ApplyConfiguration");
        const char *text = get_string(m, apply ? "applyConfiguration.expression" : "jsonPatch.expression"), *why = NULL;
        struct cel_value v = policy_eval(j->variables, text);
        int r = -EINVAL;

        if (v.type == CEL_ERROR)
                why = failed_expression(a, text, &v);
        else if (apply)
                r = policy_change_by_apply(&j->shown, &v, ret, &why);
        else if (v.type != CEL_LIST)
                why = "JSONPatch expression must evaluate to array";
        else
                r = policy_change_by_patch(&j->shown, cel_to_json(a, &v), ret, &why, ret_st);
        if (why)
                broken(j, why);
        return r;
}

/* Each mutation sees what those before it made of the object. */
static const struct status *change(struct judgement *j, bool *ret_changed)
{
        json_foreach_item(json_path(j->policy, "spec.mutations"), m) {
                struct json *changed = NULL;
                const struct status *st = NULL;

                if (change_by(j, m, &changed, &st) < 0) {
                        if (st)
                                return st;
                        continue;
                }
                *ret_changed = true;
                if (changed) /* others hold on to the object: it changes in place */
                        *j->shown.object = *changed;
                if (changed && j->as != j->at->res) {
                        changed = match_convert(j->at, j->as, changed, true, &st);
                        if (!changed)
                                return st;
                        *j->at->object = *changed;
                }
                policy_object_changed(j->variables);
        }
        return NULL;
}

/* Called again after others changed the object, if it asks for that. */
static const struct status *change_in_round(struct judgement *j)
{
        struct arena *a = j->at->request->arena;
        const char *uid = arena_printf(a, "%s/%s/%s/%s", get_string(j->policy, "metadata.name"), get_string(j->binding, "metadata.name"),
                                       get_string(j->params, "metadata.namespace"), get_string(j->params, "metadata.name"));
        struct rounds *rounds = j->at->policies;
        const struct status *st;
        bool changed = false;

        if (!rounds_due(j->at, rounds, uid))
                return NULL;
        st = change(j, &changed);
        if (streq(get_string(j->policy, "spec.reinvocationPolicy"), "IfNeeded"))
                json_append(a, rounds->called, json_new_string(a, uid));
        if (changed) {
                rounds_changed(j->at, rounds);
                j->at->reinvoke = true;
        }
        return st;
}

/* --- which policies, which bindings, which parameters --- */

static const struct status *with_params(struct judgement *j)
{
        const char *why = NULL;
        int held;

        j->variables = policy_variables_new(&j->shown, j->policy, j->params);
        policy_variables_asked(j->variables, j->at->res);
        held = conditions_hold(j, &why);
        if (held < 0)
                broken(j, why);
        if (held <= 0)
                return NULL;
        if (j->kind == &mutating)
                return change_in_round(j);
        judge(j);
        return NULL;
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

/* Objects as the policy's rules name them: made once for each of its bindings, as others may have changed them. */
static const struct status *show(struct judgement *j)
{
        const struct status *st = NULL;

        j->shown = *j->at;
        if (j->as == j->at->res || *j->at->subresource)
                return NULL;
        j->shown.res = j->as;
        j->shown.object = match_convert(j->at, j->as, j->at->object, false, &st);
        if (!st)
                j->shown.old = match_convert(j->at, j->as, j->at->old, false, &st);
        return st;
}

static const struct status *with_binding(struct judgement *j)
{
        const struct json *ref = json_path(j->binding, "spec.paramRef");
        struct json *params;
        const char *why = NULL;
        const struct status *st;

        j->params = NULL;
        if ((st = show(j)))
                return st;
        if (!json_is_object(json_path(j->policy, "spec.paramKind")) || !json_is_object(ref))
                return with_params(j);
        params = params_of(j, kind_of_params(j), ref, &why);
        if (!params) {
                misconfigured(j, "binding", why);
                return NULL;
        }
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
                        misconfigured(j, "policy", arena_printf(a, "failed to find resource referenced by paramKind: '%s%s, Kind=%s'",
                                                                strchr(get_string(j->policy, "spec.paramKind.apiVersion"), '/') ? "" : "/",
                                                                get_string(j->policy, "spec.paramKind.apiVersion"),
                                                                get_string(j->policy, "spec.paramKind.kind")));
                        return NULL;
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
                j.as = match_resources(at, json_path(p, "spec.matchConstraints"), false);
                if (!j.as)
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
        const struct status *st;

        if (!at->object)
                return NULL;
        rounds_begin(at, &at->policies);
        st = run(at, &mutating);
        rounds_end(at, at->policies);
        return st;
}

const struct admission_plugin plugin_validating_policies = {
        .name = "ValidatingAdmissionPolicy",
        .ops = ADMISSION_CREATE | ADMISSION_UPDATE | ADMISSION_DELETE | ADMISSION_CONNECT,
        .validate = validate,
};
const struct admission_plugin plugin_mutating_policies = {
        .name = "MutatingAdmissionPolicy", .ops = ADMISSION_CREATE | ADMISSION_UPDATE, .mutate = mutate
};

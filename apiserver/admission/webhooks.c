/* MutatingAdmissionWebhook and ValidatingAdmissionWebhook (k8s.io/apiserver/pkg/admission/plugin/webhook): servers that
 * clients registered change and judge what is written.
 *
 * Mutating webhooks are asked one after the other, by the names of their configurations; each sees what those before it
 * made of the object. When one changed it, the whole chain of mutation runs once more, and of the webhooks those that
 * ask for it (reinvocationPolicy IfNeeded) and were called before the change. Validating webhooks are asked all at once.
 * Every call waits on the request's own fiber: a webhook that hangs holds up those requests only that it is about.
 */
#include "../audit/audit.h"
#include "../../lib/base/encode.h"
#include "../schema/crd.h"
#include "../schema/decode.h"
#include "../schema/default.h"
#include "../schema/patch-json.h"
#include "policy-variables.h"
#include "rounds.h"
#include "webhook-call.h"
#include "webhook-review.h"
#include "../registry/internal.h"

/* One webhook that is about a request. */
struct hook {
        struct admission_attributes *at;
        const struct json *webhook;
        const char *uid;           /* "configuration/webhook" */
        const struct json *config;
        size_t index;              /* of all that there are; of those that are asked, where they judge */
        const struct resource *as; /* what it wants the resource to be */
        bool mutating;
};

/* --- whom to call --- */

/* 1: it is about this request; 0: not; <0: *ret_st says why it cannot be told. */
static int concerns(struct hook *h, const struct status **ret_st)
{
        struct admission_attributes *at = h->at;
        const struct json *w = h->webhook;
        struct policy_variables *variables;
        struct admission_attributes *seen;
        const char **errors, *why;

        if (!match_selectors(at, w))
                return 0;
        h->as = match_rules(at, json_get(w, "rules"), streq(json_get_string(w, "matchPolicy"), "Exact"));
        if (!h->as || !json_len(json_get(w, "matchConditions")))
                return h->as != NULL;
        seen = arena_memdup(at->request->arena, at, sizeof(*at));
        if (h->as != at->res && !*at->subresource) {
                seen->res = h->as;
                seen->object = match_convert(at, h->as, at->object, false, ret_st);
                seen->old = *ret_st ? NULL : match_convert(at, h->as, at->old, false, ret_st);
                if (*ret_st)
                        return -EINVAL;
        }
        variables = policy_variables_new(seen, w, NULL);
        policy_variables_asked(variables, at->res);
        errors = strings_new(at->request->arena, json_len(json_get(w, "matchConditions")));
        json_foreach_item(json_get(w, "matchConditions"), c) {
                const char *text = get_string(c, "expression");
                struct cel_value v = policy_match(variables, text);

                if (v.type == CEL_BOOL && !v.b)
                        return 0;
                if (v.type != CEL_BOOL)
                        match_error_add(errors, arena_printf(at->request->arena, "expression '%s' resulted in error: %s", text,
                                                             cel_text(at->request->arena, &v)));
        }
        why = match_errors(at->request->arena, errors);
        if (!why)
                return 1;
        if (streq(get_string(w, "failurePolicy"), "Ignore"))
                return 0;
        *ret_st = deny(at, "%s", why);
        return -EINVAL;
}

/* --- what the audit log says of it --- */

static const char *annotation(struct hook *h, const char *what)
{
        return arena_printf(h->at->request->arena, "%s.admission.k8s.io/round_%d_index_%zu", what, h->at->reinvoking ? 1 : 0, h->index);
}

static struct json *annotated(struct hook *h)
{
        struct arena *a = h->at->request->arena;
        struct json *j = json_new_object(a);

        json_set_string(a, j, "configuration", get_string(h->config, "metadata.name"));
        json_set_string(a, j, "webhook", get_string(h->webhook, "name"));
        return j;
}

static void note_mutation(struct hook *h, bool changed, const struct json *patch)
{
        struct arena *a = h->at->request->arena;
        struct json *j;

        if (!h->at->request->audit)
                return;
        j = annotated(h);
        json_set_bool(a, j, "mutated", changed);
        audit_annotate(h->at->request, annotation(h, "mutation.webhook"), json_print(a, j));
        if (!patch || !audit_shows_bodies(h->at->request))
                return;
        j = annotated(h);
        json_set(a, j, "patch", json_clone(a, patch));
        json_set_string(a, j, "patchType", "JSONPatch");
        audit_annotate(h->at->request, annotation(h, "patch.webhook"), json_print(a, j));
}

/* --- one call --- */

static const struct status *failed_calling(struct hook *h, const char *why)
{
        if (streq(get_string(h->webhook, "failurePolicy"), "Ignore")) {
                audit_annotate(h->at->request, annotation(h, h->mutating ? "failed-open.mutating.webhook" : "failed-open.validating.webhook"),
                               get_string(h->webhook, "name"));
                return NULL;
        }
        return status_internal(h->at->request->arena, "failed calling webhook \"%s\": %s", get_string(h->webhook, "name"), why);
}

/* A dry run must leave nothing behind anywhere. */
static const struct status *check_dry_run(struct hook *h)
{
        const char *effects = get_string(h->webhook, "sideEffects");

        if (!h->at->dry_run || streq(effects, "None") || streq(effects, "NoneOnDryRun"))
                return NULL;
        return status_bad_request(h->at->request->arena, "admission webhook \"%s\" does not support dry run",
                                  get_string(h->webhook, "name"));
}

static bool is_scale(const struct hook *h)
{
        return streq(h->at->subresource, "scale");
}

/* An object as the webhook knows it: a Scale, or of another version; NULL with *ret_st: it could not be converted. */
static struct json *shown(struct hook *h, const struct json *obj, const struct status **ret_st)
{
        if (obj && is_scale(h))
                return scale_of(h->at->request->arena, h->at->res, obj);
        return match_convert(h->at, h->as, obj, false, ret_st);
}

/* 0: *ret is what it says; 1: it could not be asked, and that is to be ignored; -1: *ret_st. */
static int ask(struct hook *h, const struct json *object, struct webhook_verdict *ret, const struct status **ret_st)
{
        struct admission_attributes *at = h->at;
        struct arena *a = at->request->arena;
        const char *version = webhook_version(h->webhook), *why = NULL;
        struct json *review, *old, *answer = NULL;
        char uid[UUID_BUF];

        *ret_st = check_dry_run(h);
        old = *ret_st ? NULL : shown(h, at->old, ret_st);
        if (*ret_st)
                return -1;
        uuid_new(uid);
        if (!version)
                why = "could not create admission objects: webhook does not accept known AdmissionReview versions (v1, v1beta1)";
        if (!why) {
                review = webhook_review(at, h->as, object, old, version, uid);
                why = webhook_call(at, h->webhook, review, &answer);
        }
        if (!why && (why = webhook_undecodable(a, answer, version)))
                why = arena_printf(a, "failed to call webhook: %s", why);
        if (!why) {
                why = webhook_verdict(a, h->webhook, answer, version, uid, h->mutating, ret);
                why = why ? arena_printf(a, "received invalid webhook response: %s", why) : ret->trouble;
        }
        if (why) {
                *ret_st = failed_calling(h, why);
                return *ret_st ? -1 : 1;
        }
        json_foreach_item(ret->warnings, w)
                if (json_is_string(w))
                        request_warn(at->request, "%s", json_string(w));
        json_foreach_member(json_path(answer, "response.auditAnnotations"), m)
                if (json_is_string(m->value))
                        audit_annotate(at->request, arena_printf(a, "%s/%s", get_string(h->webhook, "name"), m->key),
                                       json_string(m->value));
        *ret_st = ret->denied;
        return ret->denied ? -1 : 0;
}

/* --- changing --- */

static struct json *kind_first(struct arena *a, const struct json *obj)
{
        static const char *const front[] = { "kind", "apiVersion" };
        struct json *out = json_new_object(a);

        for (size_t i = 0; i < ARRAY_SIZE(front); i++)
                json_set_string(a, out, front[i], json_get_string(obj, front[i]));
        json_foreach_member(obj, m)
                if (!streq(m->key, "kind") && !streq(m->key, "apiVersion"))
                        json_setn(a, out, m->key, m->key_len, m->value);
        return out;
}

/* What comes from a webhook is read as what comes from a client is: known fields of the right types, with defaults. */
static int reread(struct hook *h, struct json *obj, struct error *reterr)
{
        struct arena *a = h->at->request->arena;
        const struct schema *body;

        if (!*h->at->subresource || streq(get_string(obj, "kind"), h->as->kind)) {
                if (h->as->schema && schema_decode(a, h->as->schema, obj, NULL, reterr) < 0)
                        return -EINVAL;
                schema_default(a, h->as, obj);
                schema_canonicalise(a, h->as->schema, obj);
                return 0;
        }
        body = builtin_body(get_string(obj, "apiVersion"), get_string(obj, "kind"));
        if (body && schema_decode(a, body, obj, NULL, reterr) < 0)
                return -EINVAL;
        if (body)
                schema_default_type(a, body, obj);
        return 0;
}

/* Of a Scale only the number goes back into its object. */
static void take_scale(struct hook *h, const struct json *scale)
{
        const struct resource *res = h->at->res;
        const char *path = res->crd ? res->crd->spec_replicas : "spec.replicas";
        struct json *n = json_path(scale, "spec.replicas");

        if (path && n)
                json_path_set(h->at->request->arena, h->at->object, path + (*path == '.'), n);
}

static const struct status *apply_patch(struct hook *h, struct json *object, const struct json *patch, bool *ret_changed)
{
        struct admission_attributes *at = h->at;
        struct arena *a = at->request->arena;
        _cleanup_error_ struct error err = ERROR_INIT;
        const struct status *st = NULL;
        struct json *made = NULL;
        const char *why = NULL;

        if (!object)
                return status_internal(a, "admission webhook \"%s\" attempted to modify the object, which is not supported for "
                                          "this operation", get_string(h->webhook, "name"));
        if (patch_json_made(a, object, patch, &made, &why) < 0)
                return status_internal(a, "%s", why);
        made = kind_first(a, json_clone(a, made));
        if (reread(h, made, &err) < 0)
                return status_internal(a, "%s", error_text(&err));
        *ret_changed = !json_equal(object, made);
        if (!*ret_changed)
                return NULL;
        if (!is_scale(h)) {
                made = match_convert(at, h->as, json_clone(a, made), true, &st);
                if (!made)
                        return st;
        }
        if (is_scale(h))
                take_scale(h, made);
        else /* others hold on to the object: it changes in place */
                *at->object = *made;
        return NULL;
}

static const struct status *call_mutating(struct hook *h, bool *ret_changed)
{
        const struct status *st = NULL;
        struct json *object = shown(h, h->at->object, &st);
        struct webhook_verdict verdict;

        *ret_changed = false;
        if (st)
                return st;
        if (ask(h, object, &verdict, &st) != 0) {
                note_mutation(h, false, NULL);
                return st;
        }
        st = verdict.patch ? apply_patch(h, object, verdict.patch, ret_changed) : NULL;
        note_mutation(h, *ret_changed, st ? NULL : verdict.patch);
        return st;
}

/* --- rounds --- */

static const struct status *mutate_by(struct hook *h, struct rounds *rounds)
{
        struct admission_attributes *at = h->at;
        struct arena *a = at->request->arena;
        const struct status *st = NULL;
        bool changed;
        int about_it = concerns(h, &st);

        if (about_it <= 0 || !rounds_due(at, rounds, h->uid))
                return st;
        st = call_mutating(h, &changed);
        if (changed) {
                rounds_changed(at, rounds);
                at->reinvoke = true;
        }
        if (streq(get_string(h->webhook, "reinvocationPolicy"), "IfNeeded"))
                json_append(a, rounds->called, json_new_string(a, h->uid));
        return st;
}

static const char *hook_uid(struct arena *a, const struct json *config, const struct json *webhook)
{
        return arena_printf(a, "%s/%s", get_string(config, "metadata.name"), get_string(webhook, "name"));
}

/* Who writes configurations is not judged by them: a wrong one could never be mended. */
static bool exempt(const struct admission_attributes *at)
{
        return streq(at->res->group, REGISTRATION);
}

static const struct status *mutate(struct admission_attributes *at)
{
        struct arena *a = at->request->arena;
        struct rounds *rounds;
        const struct status *st = NULL;
        struct json *configs;
        size_t index = 0;

        if (exempt(at))
                return NULL;
        configs = admission_list(at, REGISTRATION, "v1", "mutatingwebhookconfigurations", "");
        if (!json_len(configs))
                return NULL;
        rounds = rounds_begin(at, &at->webhooks);
        json_foreach_item(configs, config) {
                json_foreach_item(json_get(config, "webhooks"), w) {
                        struct hook h = { .at = at, .webhook = w, .uid = hook_uid(a, config, w), .config = config, .index = index++,
                                          .mutating = true };

                        st = mutate_by(&h, rounds);
                        if (st)
                                return st;
                }
        }
        rounds_end(at, rounds);
        return NULL;
}

/* --- validating, all at once --- */

struct jury {
        struct fiber *waiting;
        unsigned running;
};

struct juror {
        struct hook hook;
        struct jury *jury;
        const struct status *st;
};

static void judge(void *userdata)
{
        struct juror *j = userdata;
        struct webhook_verdict verdict;
        struct json *object;

        object = shown(&j->hook, j->hook.at->object, &j->st);
        if (!j->st)
                ask(&j->hook, object, &verdict, &j->st);
        if (--j->jury->running == 0 && j->jury->waiting)
                fiber_wake(j->jury->waiting);
}

/* The first refusal in the order of the configurations, though they are all asked. */
static const struct status *judge_all(struct juror *list, size_t n)
{
        struct jury jury = { .running = (unsigned)n };

        for (size_t i = 0; i < n; i++)
                list[i].jury = &jury;
        if (n == 1) {
                judge(&list[0]);
                return list[0].st;
        }
        for (size_t i = 0; i < n; i++)
                fiber_start(admission_loop, judge, &list[i]);
        jury.waiting = fiber_self();
        while (jury.running)
                fiber_park();
        for (size_t i = 0; i < n; i++)
                if (list[i].st)
                        return list[i].st;
        return NULL;
}

static const struct status *validate(struct admission_attributes *at)
{
        struct arena *a = at->request->arena;
        struct juror *list = NULL;
        struct json *configs;
        size_t n = 0, cap = 0;

        if (exempt(at))
                return NULL;
        configs = admission_list(at, REGISTRATION, "v1", "validatingwebhookconfigurations", "");
        json_foreach_item(configs, config)
                cap += json_len(json_get(config, "webhooks"));
        if (!cap)
                return NULL;
        list = arena_calloc(a, cap * sizeof(*list));
        json_foreach_item(configs, config) {
                json_foreach_item(json_get(config, "webhooks"), w) {
                        const struct status *st = NULL;

                        list[n].hook = (struct hook){ .at = at, .webhook = w, .uid = hook_uid(a, config, w), .config = config, .index = n };
                        if (concerns(&list[n].hook, &st) > 0)
                                n++;
                        else if (st)
                                return st;
                }
        }
        return n ? judge_all(list, n) : NULL;
}

#define WRITES (ADMISSION_CREATE | ADMISSION_UPDATE | ADMISSION_DELETE | ADMISSION_CONNECT)

const struct admission_plugin plugin_mutating_webhooks = { .name = "MutatingAdmissionWebhook", .ops = WRITES, .mutate = mutate };
const struct admission_plugin plugin_validating_webhooks = {
        .name = "ValidatingAdmissionWebhook", .ops = WRITES, .validate = validate
};

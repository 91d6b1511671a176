/* Questions to webhooks and their answers: see webhook-review.h. */
#include "webhook-review.h"

#include "../../lib/base/encode.h"
#include "policy-variables.h"

#define GROUP "admission.k8s.io"

const char *webhook_version(const struct json *webhook)
{
        json_foreach_item(json_get(webhook, "admissionReviewVersions"), v)
                if (streq(json_string(v), "v1") || streq(json_string(v), "v1beta1"))
                        return json_string(v);
        return NULL;
}

/* CreateOptions and so on: deletions bring theirs along, of the others what the request says. */
static struct json *options_of(struct admission_attributes *at)
{
        struct arena *a = at->request->arena;
        struct json *o = at->options ? json_clone(a, at->options) : json_new_object(a);

        if (json_get_string(o, "kind"))
                return o;
        if (at->op == ADMISSION_CONNECT)
                return json_new_null(a);
        json_set_string(a, o, "kind", at->op == ADMISSION_CREATE   ? "CreateOptions"
                                      : at->op == ADMISSION_UPDATE ? "UpdateOptions"
                                                                   : "DeleteOptions");
        json_set_string(a, o, "apiVersion", "meta.k8s.io/v1");
        if (at->op != ADMISSION_DELETE && !str_empty(at->request->field_manager))
                json_set_string(a, o, "fieldManager", at->request->field_manager);
        if (at->dry_run && !json_get(o, "dryRun"))
                json_append(a, json_ensure_array(a, o, "dryRun"), json_new_string(a, "All"));
        return o;
}

struct json *webhook_review(struct admission_attributes *at, const struct resource *as, const struct json *object,
                            const struct json *old, const char *version, const char *uid)
{
        struct arena *a = at->request->arena;
        struct json *review = json_new_object(a), *r = json_new_object(a);

        json_set_string(a, review, "kind", "AdmissionReview");
        json_set_string(a, review, "apiVersion", arena_printf(a, GROUP "/%s", version));
        json_set_string(a, r, "uid", uid);
        json_foreach_member(policy_request(at, as), m)
                json_set(a, r, m->key, m->value);
        json_set(a, r, "object", object ? (struct json *)object : json_new_null(a));
        json_set(a, r, "oldObject", old ? (struct json *)old : json_new_null(a));
        json_set(a, r, "options", options_of(at));
        json_set(a, review, "request", r);
        return review;
}

/* A refusal is an error, whatever the webhook calls it (upstream's ToStatusErr). */
static const struct status *refusal(struct arena *a, const char *webhook, const struct json *result)
{
        const char *message = json_get_string(result, "message"), *reason = json_get_string(result, "reason"), *text;
        int64_t code = json_get_int(result, "code", 0);

        if (!str_empty(message))
                text = arena_printf(a, ": %s", message);
        else if (!str_empty(reason))
                text = arena_printf(a, ": %s", reason);
        else
                text = " without explanation";
        return status_make(a, code < 400 || code > 599 ? 400 : (unsigned)code, reason ? reason : "", json_get(result, "details"),
                           "admission webhook \"%s\" denied the request%s", webhook, text);
}

/* Patch and its type come together, and from mutating webhooks only. Version 1 says so, version 1beta1 did not. */
static const char *check_patch(struct arena *a, const struct json *response, bool v1, bool mutating)
{
        const char *patch = json_get_string(response, "patch"), *type = json_get_string(response, "patchType");

        if (v1 && !mutating)
                return !str_empty(patch) ? "validating webhook may not return response.patch"
                       : type            ? "validating webhook may not return response.patchType"
                                         : NULL;
        if (v1 && !str_empty(patch) && !type)
                return "webhook returned response.patch but not response.patchType";
        if (v1 && str_empty(patch) && type)
                return "webhook returned response.patchType but not response.patch";
        if (type && !streq(type, "JSONPatch"))
                return arena_printf(a, "webhook returned invalid response.patchType of \"%s\"", type);
        return NULL;
}

static const char *read_patch(struct arena *a, const char *text, const struct json **ret)
{
        _cleanup_strbuf_ struct strbuf bytes = STRBUF_INIT;
        _cleanup_error_ struct error err = ERROR_INIT;
        struct json *patch;

        if (base64_decode(&bytes, text, strlen(text), NULL) < 0)
                return "response.patch is not base64";
        if (json_parse(a, strbuf_str(&bytes), bytes.len, NULL, &patch, &err) < 0)
                return arena_strdup(a, error_text(&err));
        *ret = json_len(patch) || !json_is_array(patch) ? patch : NULL;
        return NULL;
}

const char *webhook_verdict(struct arena *a, const struct json *webhook, const struct json *answer, const char *version,
                            const char *uid, bool mutating, struct webhook_verdict *ret)
{
        const struct json *response = json_get(answer, "response");
        const char *api = get_string(answer, "apiVersion"), *kind = get_string(answer, "kind"), *wrong,
                   *patch = json_get_string(response, "patch");
        bool v1 = streq(version, "v1");

        *ret = (struct webhook_verdict){ 0 };
        if (!json_is_object(response))
                return "webhook response was absent";
        if (v1 && (!streq(api, GROUP "/v1") || !streq(kind, "AdmissionReview")))
                return arena_printf(a, "expected webhook response of " GROUP "/v1, Kind=AdmissionReview, got %s, Kind=%s", api, kind);
        if (v1 && !streq(get_string(response, "uid"), uid))
                return arena_printf(a, "expected response.uid=\"%s\", got \"%s\"", uid, get_string(response, "uid"));
        wrong = check_patch(a, response, v1, mutating);
        if (wrong)
                return wrong;
        ret->warnings = json_get(response, "warnings");
        if (!json_is_true(json_get(response, "allowed")))
                ret->denied = refusal(a, get_string(webhook, "name"), json_get(response, "status"));
        else if (mutating && !str_empty(patch))
                return read_patch(a, patch, &ret->patch);
        return NULL;
}

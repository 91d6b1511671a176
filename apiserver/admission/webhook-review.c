/* Questions to webhooks and their answers: see webhook-review.h. */
#include "../schema/decode.h"
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

struct json *webhook_review(struct admission_attributes *at, const struct resource *as, const struct json *object,
                            const struct json *old, const char *version, const char *uid)
{
        struct arena *a = at->request->arena;
        struct json *review = json_new_object(a), *r = json_new_object(a), *options, *shown = object ? json_clone(a, object) : NULL;

        /* What is always written is there, whatever was taken out on the way here. */
        if (shown && !*at->subresource && as->schema && !as->crd)
                schema_canonicalise(a, as->schema, shown);

        json_set_string(a, review, "kind", "AdmissionReview");
        json_set_string(a, review, "apiVersion", arena_printf(a, GROUP "/%s", version));
        json_set_string(a, r, "uid", uid);
        json_foreach_member(policy_request(at, as), m)
                json_set(a, r, m->key, m->value);
        options = json_get(r, "options");
        json_del(r, "options");
        json_set(a, r, "object", shown ? shown : json_new_null(a));
        json_set(a, r, "oldObject", old ? (struct json *)old : json_new_null(a));
        json_set(a, r, "options", options ? options : json_new_null(a));
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
        return v1 && type && !*type ? "webhook returned invalid response.patchType of \"\"" : NULL;
}

static const char *type_name(const struct json *v)
{
        return json_is_string(v) ? "string" : json_is_number(v) ? "number" : json_is_array(v) ? "array" : json_is_object(v) ? "object" : "bool";
}

const char *webhook_undecodable(struct arena *a, const struct json *answer, const char *version)
{
        const char *api = get_string(answer, "apiVersion"), *kind = get_string(answer, "kind"),
                   *expected = arena_printf(a, GROUP "/%s", version), *patch = get_string(answer, "response.patch");
        const struct json *allowed = json_path(answer, "response.allowed");
        _cleanup_strbuf_ struct strbuf bytes = STRBUF_INIT;
        size_t bad = 0;

        if (!json_is_object(answer))
                return arena_printf(a, "couldn't get version/kind; json parse error: json: cannot unmarshal %s into Go value of type "
                                       "struct { APIVersion string \"json:\\\"apiVersion,omitempty\\\"\"; Kind string "
                                       "\"json:\\\"kind,omitempty\\\"\" }", type_name(answer));
        if (*api || *kind) { /* what is missing is as it should be */
                api = *api ? api : expected;
                kind = *kind ? kind : "AdmissionReview";
                if (!streq(kind, "AdmissionReview") || (!streq(api, GROUP "/v1") && !streq(api, GROUP "/v1beta1")))
                        return arena_printf(a, "no kind \"%s\" is registered for version \"%s\" in scheme "
                                               "\"pkg/util/webhook/client.go:71\"", kind, api);
        }
        if (allowed && !json_is_null(allowed) && !json_is_bool(allowed))
                return arena_printf(a, "json: cannot unmarshal %s into Go struct field AdmissionResponse.response.allowed of type bool",
                                    type_name(allowed));
        if (base64_decode(&bytes, patch, strlen(patch), &bad) < 0)
                return arena_printf(a, "illegal base64 data at input byte %zu", bad);
        if (*api && !streq(api, expected))
                return arena_printf(a, "converting (%s.AdmissionReview) to (%s.AdmissionReview): unknown conversion",
                                    strchr(api, '/') + 1, version);
        return NULL;
}

/* NULL: *ret is the patch, NULL when it is empty; else what is wrong with it. */
static const char *read_patch(struct arena *a, const char *text, const char *type, const struct json **ret)
{
        _cleanup_strbuf_ struct strbuf bytes = STRBUF_INIT;
        _cleanup_error_ struct error err = ERROR_INIT;
        struct json *patch;

        base64_decode(&bytes, text, strlen(text), NULL);
        if (json_parse(a, strbuf_str(&bytes), bytes.len, NULL, &patch, &err) < 0)
                return arena_printf(a, "received undecodable patch in webhook response: %s", error_text(&err));
        if (!json_is_null(patch) && !json_is_array(patch))
                return arena_printf(a, "received undecodable patch in webhook response: json: cannot unmarshal %s into Go value of "
                                       "type jsonpatch.Patch", type_name(patch));
        if (!json_len(patch))
                return NULL;
        if (!streq(type, "JSONPatch"))
                return arena_printf(a, "unsupported patch type \"%s\"", type);
        *ret = patch;
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
                return arena_printf(a, "expected webhook response of " GROUP "/v1, Kind=AdmissionReview, got %s%s, Kind=%s",
                                    strchr(api, '/') ? "" : "/", api, kind);
        if (v1 && !streq(get_string(response, "uid"), uid))
                return arena_printf(a, "expected response.uid=\"%s\", got \"%s\"", uid, get_string(response, "uid"));
        wrong = check_patch(a, response, v1, mutating);
        if (wrong)
                return wrong;
        ret->warnings = json_get(response, "warnings");
        if (!json_is_true(json_get(response, "allowed")))
                ret->denied = refusal(a, get_string(webhook, "name"), json_get(response, "status"));
        else if (mutating && !str_empty(patch))
                ret->trouble = read_patch(a, patch, v1 ? get_string(response, "patchType") : "JSONPatch", &ret->patch);
        return NULL;
}

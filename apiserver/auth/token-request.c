/* serviceaccounts/token: tokens for an account, bound to a pod, secret or node where asked; and the
 * documents by which others verify them (OpenID Connect discovery). */
#include "../../lib/base/encode.h"
#include "../../lib/base/time.h"
#include "../admission/admission.h"
#include "../audit/audit.h"
#include "internal.h"

#define MIN_LIFE_S 600
#define DEFAULT_LIFE_S 3600
/* What kubelets ask for: such a token lives on for a year, for clients that never read it again, and says
 * from when it ought to have been renewed. */
#define WARN_LIFE_S 3607
#define EXTENDED_LIFE_S (365 * 24 * 3600)

static const struct resource token_request = { .group = "authentication.k8s.io", .kind = "TokenRequest" };

static const struct status *validate_request(struct arena *a, struct json *spec)
{
        struct field_errors errs = { .arena = a };
        const struct json *life = json_get(spec, "expirationSeconds");
        int64_t s = 0;

        if (!life || json_is_null(life))
                return NULL;
        json_to_int(life, &s);
        if (s < MIN_LIFE_S)
                field_error_add(&errs, FIELD_INVALID, "spec.expirationSeconds", life,
                                "may not specify a duration less than 10 minutes");
        if (s > INT64_C(1) << 32)
                field_error_add(&errs, FIELD_INVALID, "spec.expirationSeconds", life,
                                "may not specify a duration larger than 2^32 seconds");
        return errs.n ? status_invalid(a, &token_request, "", &errs) : NULL;
}

static struct json *reference(struct arena *a, const struct json *obj)
{
        struct json *ref = json_new_object(a);

        json_set_string(a, ref, "name", json_path_string(obj, "metadata.name"));
        json_set_string(a, ref, "uid", json_path_string(obj, "metadata.uid"));
        return ref;
}

/* The object that the token is to be bound to: it must exist, be the one meant, and a pod must run as SA. */
static const struct status *find_bound(struct api_request *r, const struct json *ref, const char *sa, struct json **ret)
{
        static const struct {
                const char *kind, *resource, *claim;
        } kinds[] = { { "Pod", "pods", "pod" }, { "Secret", "secrets", "secret" }, { "Node", "nodes", "node" } };
        struct arena *a = r->arena;
        const char *kind = json_get_string(ref, "kind"), *version = json_get_string(ref, "apiVersion");
        const char *name = json_get_string(ref, "name"), *uid = json_get_string(ref, "uid");
        size_t i = 0;

        while (i < ARRAY_SIZE(kinds) && !streq(kinds[i].kind, kind))
                i++;
        if (i == ARRAY_SIZE(kinds) || (version && strchr(version, '/'))) {
                const char *slash = version ? strchr(version, '/') : NULL;

                return status_bad_request(a, "cannot bind token to object of type %.*s/%s, Kind=%s",
                                          slash ? (int)(slash - version) : 0, version ? version : "",
                                          slash ? slash + 1 : version ? version : "", kind ? kind : "");
        }
        if (str_empty(name))
                return status_bad_request(a, "Name parameter required.");
        *ret = auth_lookup(a, "", "v1", kinds[i].resource, streq(kind, "Node") ? "" : r->namespace, name);
        if (!*ret)
                return status_not_found(a, builtin_resource("", "v1", kinds[i].resource), name ? name : "");
        if (streq(kind, "Pod") && !streq(json_path_string(*ret, "spec.serviceAccountName"), sa))
                return status_bad_request(a,
                                          "cannot bind token for serviceaccount \"%s\" to pod running with different "
                                          "serviceaccount name.",
                                          sa);
        if (!str_empty(uid) && !streq(uid, json_path_string(*ret, "metadata.uid"))) {
                const struct resource res = { .group = "", .name = kind, .kind = kind };

                return status_conflict(a, &res, name,
                                       "the UID in the bound object reference (%s) does not match the UID in record. "
                                       "The object might have been deleted and then recreated",
                                       uid);
        }
        return NULL;
}

static struct json *private_claims(struct api_request *r, const struct json *sa, const char *kind, const struct json *bound)
{
        struct arena *a = r->arena;
        struct json *k = json_new_object(a);

        json_set_string(a, k, "namespace", r->namespace);
        if (streq(kind, "Pod")) {
                const char *node_name = json_path_string(bound, "spec.nodeName");
                const struct json *node = auth_lookup(a, "", "v1", "nodes", "", node_name);

                json_set(a, k, "pod", reference(a, bound));
                if (node) {
                        json_set(a, k, "node", reference(a, node));
                } else if (!str_empty(node_name)) {
                        json_set_string(a, json_ensure_object(a, k, "node"), "name", node_name);
                }
        } else if (bound) {
                json_set(a, k, streq(kind, "Node") ? "node" : "secret", reference(a, bound));
        }
        json_set(a, k, "serviceaccount", reference(a, sa));
        return k;
}

static const struct status *admit(struct api_request *r, struct json *obj, bool mutate)
{
        struct admission_attributes at = {
                .request = r,
                .op = ADMISSION_CREATE,
                .res = builtin_resource("", "v1", "serviceaccounts"),
                .subresource = "token",
                .namespace = r->namespace,
                .name = r->name,
                .object = obj,
                .dry_run = r->dry_run,
        };
        return mutate ? admission_mutate(&at) : admission_validate(&at);
}

/* The account may be named in the body, too: then it is this one. */
static const struct status *check_account(struct api_request *r, const struct json *meta, const struct json *sa)
{
        static const struct resource request = { .group = "authentication.k8s.io", .name = "TokenRequest", .kind = "TokenRequest" };
        const char *name = json_get_string(meta, "name"), *uid = json_get_string(meta, "uid");
        struct arena *a = r->arena;

        if (!str_empty(name) && !streq(name, r->name)) {
                struct field_errors errs = { .arena = a };

                field_error_add(&errs, FIELD_INVALID, "metadata.name", json_get(meta, "name"),
                                "must match the service account name if specified");
                return status_invalid(a, &token_request, r->name, &errs);
        }
        if (!sa)
                return status_not_found(a, builtin_resource("", "v1", "serviceaccounts"), r->name);
        if (!str_empty(uid) && !streq(uid, json_path_string(sa, "metadata.uid")))
                return status_conflict(a, &request, r->name,
                                       "the UID in the token request (%s) does not match the UID of the service account (%s)", uid,
                                       json_path_string(sa, "metadata.uid"));
        return NULL;
}

static bool all_ours(const struct json *audiences)
{
        json_foreach_item(audiences, audience) {
                if (!strings_has((const char *const *)the_auth->audiences, json_string(audience)))
                        return false;
        }
        return true;
}

const struct status *auth_create_token(struct api_request *r, struct json *obj, struct json **ret)
{
        struct arena *a = r->arena;
        struct json *spec = json_ensure_object(a, obj, "spec"), *meta = json_ensure_object(a, obj, "metadata");
        struct json *sa = auth_lookup(a, "", "v1", "serviceaccounts", r->namespace, r->name), *bound = NULL;
        struct json *ref = json_get(spec, "boundObjectRef"), *claims = json_new_object(a), *k;
        int64_t now = time_real() / NS_PER_SEC, life, claim_life;
        _cleanup_error_ struct error err = ERROR_INIT;
        const char *namespace = json_get_string(meta, "namespace");
        char text[TIME_BUF], uuid[UUID_BUF], *token;
        const struct status *st;

        if (!str_empty(namespace) && !streq(namespace, r->namespace))
                return status_bad_request(a, "the namespace of the provided object does not match the namespace sent on the request");
        if ((st = admit(r, obj, true)) || (st = check_account(r, meta, sa)) || (st = validate_request(a, spec)) ||
            (st = admit(r, obj, false)))
                return st;
        if (json_is_object(ref) && (st = find_bound(r, ref, r->name, &bound)))
                return st;
        if (!json_len(json_get(spec, "audiences")))
                json_set(a, spec, "audiences", strings_json(a, (const char *const *)the_auth->audiences));
        life = json_get_int(spec, "expirationSeconds", DEFAULT_LIFE_S);
        json_set_int(a, spec, "expirationSeconds", life);
        if (!ref)
                json_set(a, spec, "boundObjectRef", json_new_null(a));

        k = private_claims(r, sa, json_get_string(ref, "kind"), bound);
        claim_life = life;
        if (life == WARN_LIFE_S && bound && streq(json_get_string(ref, "kind"), "Pod") &&
            all_ours(json_get(spec, "audiences"))) {
                claim_life = EXTENDED_LIFE_S;
                json_set_int(a, k, "warnafter", now + life);
        }
        json_set(a, claims, "aud", json_clone(a, json_get(spec, "audiences")));
        json_set_int(a, claims, "exp", now + claim_life);
        json_set_int(a, claims, "iat", now);
        json_set_string(a, claims, "iss", the_auth->issuer);
        json_set_string(a, claims, "jti", uuid_new(uuid));
        json_set(a, claims, "kubernetes.io", k);
        json_set_int(a, claims, "nbf", now);
        json_set(a, claims, "sub", json_new_stringf(a, "system:serviceaccount:%s:%s", r->namespace, r->name));
        if (jwt_sign(the_auth->keys, a, claims, &token, &err) < 0)
                return status_internal(a, "%s", error_text(&err));
        audit_annotate(r, "authentication.kubernetes.io/issued-credential-id", arena_printf(a, "JTI=%s", json_get_string(claims, "jti")));

        json_set_string(a, meta, "name", r->name);
        json_set_string(a, meta, "namespace", r->namespace);
        json_set_string(a, meta, "uid", json_path_string(sa, "metadata.uid"));
        json_set_string(a, meta, "creationTimestamp", time_format(time_real(), text));
        json_set(a, obj, "status", json_new_object(a));
        json_set_string(a, json_get(obj, "status"), "token", token);
        json_set_string(a, json_get(obj, "status"), "expirationTimestamp",
                        time_format((now + life) * NS_PER_SEC, text));
        *ret = obj;
        return NULL;
}

/* --- discovery --- */

const char *auth_openid_configuration(struct api_request *r, const char **ret_type)
{
        struct arena *a = r->arena;
        struct json *doc = json_new_object(a), *jwks = NULL, *algs;

        json_set_string(a, doc, "issuer", the_auth->issuer);
        json_set_string(a, doc, "jwks_uri", the_auth->jwks_uri);
        json_append(a, json_ensure_array(a, doc, "response_types_supported"), json_new_string(a, "id_token"));
        json_append(a, json_ensure_array(a, doc, "subject_types_supported"), json_new_string(a, "public"));
        algs = json_ensure_array(a, doc, "id_token_signing_alg_values_supported");
        if (jwt_keys_jwks(the_auth->keys, a, &jwks, NULL) >= 0) {
                json_foreach_item(json_get(jwks, "keys"), key) {
                        bool known = false;

                        json_foreach_item(algs, alg) {
                                known = known || streq(json_string(alg), json_get_string(key, "alg"));
                        }
                        if (!known)
                                json_append(a, algs, json_get(key, "alg"));
                }
        }
        *ret_type = "application/json";
        return json_print(a, doc);
}

const char *auth_openid_jwks(struct api_request *r, const char **ret_type)
{
        struct json *jwks = NULL;

        if (jwt_keys_jwks(the_auth->keys, r->arena, &jwks, NULL) < 0)
                jwks = json_new_object(r->arena);
        *ret_type = "application/jwk-set+json";
        return json_print(r->arena, jwks);
}

/* Bearer tokens: service accounts' (bound, and those of Secrets) and bootstrap tokens.
 *
 * A service-account token is good while its signature, its times and audiences are, and while what it is
 * bound to exists with the same uid: the account, and the pod, secret or node that it was issued for.
 * The signature of a token is checked once and remembered; what it is bound to is looked up in the watch
 * cache with every request, where an entry that is still the same object needs no second look.
 */
#include "../../lib/base/encode.h"
#include "../../lib/base/time.h"
#include "internal.h"

#define MAX_TOKENS 4096
#define EXTRA "authentication.kubernetes.io/"
#define LEGACY_ISSUER "kubernetes/serviceaccount"
#define LEGACY_CLAIM "kubernetes.io/serviceaccount/"

static const char invalid[] = "invalid bearer token";
static const char invalidated[] = "service account token has been invalidated";

/* An object that a token is bound to, and the entry that was last found to be it. */
struct bond {
        const char *resource, *namespace, *name, *uid; /* uid NULL: any */
        struct entry *seen;
};

struct token {
        struct arena *arena;
        const struct json *claims;
        struct user_info user;
        const char *const *audiences;
        int64_t expires, not_before, issued; /* seconds */
        const char *malformed;     /* what of the claims is no claim; NULL: nothing */
        const char *wrong;         /* why it names no account; NULL: it does */
        struct bond bonds[3];
        unsigned n_bonds;
        const char *legacy_secret; /* "ns/name" of the Secret that must hold this very token; NULL: none */
        const char *text;
};

struct token_cache {
        struct map tokens;
};

static void token_free(struct token *t)
{
        for (unsigned i = 0; i < t->n_bonds; i++)
                entry_unref(t->bonds[i].seen);
        arena_free(t->arena);
}

struct token_cache *token_cache_new(void)
{
        return new0(struct token_cache);
}

static void cache_clear(struct token_cache *c)
{
        struct map_entry *e;

        map_foreach(&c->tokens, e) {
                token_free(e->value);
        }
        map_clear(&c->tokens);
}

void token_cache_free(struct token_cache *c)
{
        if (!c)
                return;
        cache_clear(c);
        map_deinit(&c->tokens);
        free(c);
}

/* --- reading the claims --- */

static void add_bond(struct token *t, const char *resource, const char *ns, const struct json *ref)
{
        if (!ref)
                return;
        t->bonds[t->n_bonds++] = (struct bond){ .resource = resource,
                                                .namespace = ns,
                                                .name = json_get_string(ref, "name") ? json_get_string(ref, "name") : "",
                                                .uid = json_get_string(ref, "uid") ? json_get_string(ref, "uid") : "" };
}

static void set_extra(struct arena *a, struct json *extra, const char *key, const char *value)
{
        if (!str_empty(value))
                json_append(a, json_ensure_array(a, extra, key), json_new_string(a, value));
}

static void fill_user(struct token *t, const char *ns, const char *name, const char *uid, struct json *extra)
{
        const char **groups = strings_new(t->arena, 3);

        groups[0] = "system:serviceaccounts";
        groups[1] = arena_printf(t->arena, "system:serviceaccounts:%s", ns);
        groups[2] = "system:authenticated";
        t->user = (struct user_info){ .name = arena_printf(t->arena, "system:serviceaccount:%s:%s", ns, name),
                                      .uid = uid ? uid : "",
                                      .groups = groups,
                                      .extra = json_len(extra) ? extra : NULL };
}

/* {"iss","sub","aud","exp","nbf","jti","kubernetes.io":{"namespace","serviceaccount":{},"pod":{}, ...}} */
static void read_bound(struct token *t)
{
        struct arena *a = t->arena;
        const struct json *k = json_get(t->claims, "kubernetes.io"), *sa = json_get(k, "serviceaccount");
        const struct json *pod = json_get(k, "pod"), *node = json_get(k, "node");
        const char *ns = json_get_string(k, "namespace"), *name = json_get_string(sa, "name");
        const char *jti = json_get_string(t->claims, "jti");
        struct json *extra = json_new_object(a);

        ns = ns ? ns : "";
        name = name ? name : "";
        add_bond(t, "serviceaccounts", ns, sa ? sa : json_new_object(a));
        add_bond(t, "pods", ns, pod);
        if (json_get(k, "secret"))
                add_bond(t, "secrets", ns, json_get(k, "secret"));
        else if (node && !pod) /* beside a pod, the node is a remark only */
                add_bond(t, "nodes", "", node);
        if (jti)
                set_extra(a, extra, EXTRA "credential-id", arena_printf(a, "JTI=%s", jti));
        set_extra(a, extra, EXTRA "pod-name", json_get_string(pod, "name"));
        set_extra(a, extra, EXTRA "pod-uid", json_get_string(pod, "uid"));
        set_extra(a, extra, EXTRA "node-name", json_get_string(node, "name"));
        set_extra(a, extra, EXTRA "node-uid", json_get_string(node, "uid"));
        fill_user(t, ns, name, json_get_string(sa, "uid"), extra);
}

/* The token of a Secret: no times, no audience, good as long as the Secret holds it. */
static void read_legacy(struct token *t)
{
        const struct json *c = t->claims;
        const char *ns = json_get_string(c, LEGACY_CLAIM "namespace");
        const char *name = json_get_string(c, LEGACY_CLAIM "service-account.name");
        const char *uid = json_get_string(c, LEGACY_CLAIM "service-account.uid");
        const char *secret = json_get_string(c, LEGACY_CLAIM "secret.name");

        const char *sub = json_get_string(c, "sub");

        t->legacy_secret = secret ? secret : "";
        t->wrong = str_empty(sub)      ? "sub claim is missing"
                   : str_empty(ns)     ? "namespace claim is missing"
                   : str_empty(secret) ? "secretName claim is missing"
                   : str_empty(name)   ? "serviceAccountName claim is missing"
                   : str_empty(uid)    ? "serviceAccountUID claim is missing"
                   : streq(sub, arena_printf(t->arena, "system:serviceaccount:%s:%s", ns, name)) ? NULL
                                                                                                : "sub claim is invalid";
        if (t->wrong)
                return;
        t->bonds[t->n_bonds++] = (struct bond){ .resource = "secrets", .namespace = ns, .name = secret, .uid = NULL };
        t->bonds[t->n_bonds++] = (struct bond){ .resource = "serviceaccounts", .namespace = ns, .name = name, .uid = uid };
        fill_user(t, ns, name, uid, NULL);
}

static const char *const *read_audiences(struct arena *a, const struct json *aud)
{
        const char **one;

        if (!json_is_string(aud))
                return strings_read(a, aud);
        one = strings_new(a, 1);
        one[0] = json_string(aud);
        return one;
}

/* A NumericDate; OTHERWISE where there is none. */
static int64_t read_date(struct token *t, const char *key, int64_t otherwise)
{
        const struct json *date = json_get(t->claims, key);

        if (!date || json_is_null(date))
                return otherwise;
        if (!json_is_number(date) && !t->malformed)
                t->malformed = "go-jose/go-jose/jwt: expected number value to unmarshal NumericDate";
        return (int64_t)json_to_double(date, 0);
}

/* A token whose signature is ours, read; NULL: it is none. */
static struct token *token_read(const char *text)
{
        struct arena *a = arena_new(2048);
        struct token *t = arena_calloc(a, sizeof(*t));
        struct json *claims;
        const char *issuer;

        t->arena = a;
        t->text = arena_strdup(a, text);
        if (jwt_verify(the_auth->keys, a, text, &claims, NULL) != JWT_OK) {
                arena_free(a);
                return NULL;
        }
        t->claims = claims;
        if (json_get(claims, "aud") && !json_is_string(json_get(claims, "aud")) && !json_is_array(json_get(claims, "aud")))
                t->malformed = "go-jose/go-jose/jwt: expected string or array value to unmarshal to Audience";
        t->expires = read_date(t, "exp", INT64_MAX);
        t->not_before = read_date(t, "nbf", INT64_MIN);
        t->issued = read_date(t, "iat", INT64_MIN);
        t->audiences = read_audiences(a, json_get(claims, "aud"));
        issuer = json_get_string(claims, "iss");
        if (streq(issuer, the_auth->issuer)) {
                read_bound(t);
        } else if (streq(issuer, LEGACY_ISSUER)) {
                read_legacy(t);
        } else {
                token_free(t);
                return NULL;
        }
        /* Who names no audience means this server. */
        if (!strings_len(t->audiences))
                t->audiences = (const char *const *)the_auth->audiences;
        return t;
}

static struct token *token_get(const char *text)
{
        struct token_cache *c = the_auth->tokens;
        struct token *t = map_get(&c->tokens, text);

        if (t)
                return t;
        t = token_read(text);
        if (!t)
                return NULL;
        if (c->tokens.n >= MAX_TOKENS)
                cache_clear(c);
        map_put(&c->tokens, text, t);
        return t;
}

/* --- what it is bound to --- */

static const char *uid_of(struct arena *a, const struct entry *e, struct json **ret)
{
        struct json *obj = NULL;

        if (json_parse(a, e->json->data, e->json->len, NULL, &obj, NULL) < 0)
                return "";
        *ret = obj;
        return json_path_string(obj, "metadata.uid") ? json_path_string(obj, "metadata.uid") : "";
}

/* One that is being deleted still lends its name for a minute: the pod's last requests. */
static bool deleted_long_ago(const struct json *obj)
{
        const char *at = json_path_string(obj, "metadata.deletionTimestamp");
        int64_t when;

        return at && time_parse(at, &when) >= 0 && time_real() > when + 60 * NS_PER_SEC;
}

/* Why a token of a Secret no longer holds, as far as the Secret goes; NULL: it does. */
static const char *legacy_broken(struct arena *a, const struct json *secret, const struct token *t, const struct bond *b)
{
        static const char label[] = "kubernetes.io/legacy-token-invalid-since";
        const char *data = json_path_string(secret, "data.token"), *name = json_path_string(t->claims, "sub");
        const char *account = strrchr(name, ':') + 1;
        _cleanup_strbuf_ struct strbuf held = STRBUF_INIT;

        if (json_path(secret, "metadata.deletionTimestamp"))
                return "Token has been invalidated";
        if (!data || base64_decode(&held, data, strlen(data), NULL) < 0 || !streq(strbuf_str(&held), t->text))
                return "Token does not match server's copy";
        if (!str_empty(json_get_string(json_path(secret, "metadata.labels"), label)))
                return arena_printf(a, "the token in secret %s/%s for service account %s/%s has been marked invalid. Use tokens "
                                       "from the TokenRequest API or manually created secret-based tokens, or remove the '%s' "
                                       "label from the secret to temporarily allow use of this token",
                                    b->namespace, b->name, b->namespace, account, label);
        return NULL;
}

/* Of what a token may be bound to: the words for another uid. */
static const struct {
        const char *resource, *what, *claim;
} bond_words[] = {
        { "serviceaccounts", "service account", "claim" },
        { "secrets", "secret", "service account secret ref claim" },
        { "pods", "pod", "service account pod ref claim" },
        { "nodes", "node", "service account node ref claim" },
};

/* Why the token no longer holds by what it is bound to; NULL: it does. */
static const char *bond_broken(struct arena *a, struct token *t, struct bond *b)
{
        struct entry *e = *b->name ? auth_lookup_entry(a, "", "v1", b->resource, b->namespace, b->name) : NULL;
        bool account = streq(b->resource, "serviceaccounts"), legacy = t->legacy_secret != NULL;
        struct json *obj = NULL;
        const char *uid, *why;
        size_t w = 0;

        if (account && !*b->name)
                return "resource name may not be empty";
        if (!e && account)
                return arena_printf(a, "serviceaccounts \"%s\" not found", b->name);
        if (!e)
                return legacy ? "Token has been invalidated" : invalidated;
        if (e == b->seen)
                return NULL;
        while (!streq(bond_words[w].resource, b->resource))
                w++;
        uid = uid_of(a, e, &obj);
        if (b->uid && !streq(uid, b->uid))
                return arena_printf(a, "%s UID (%s) does not match %s (%s)", legacy ? "ServiceAccount" : bond_words[w].what, uid,
                                    bond_words[w].claim, b->uid);
        if (deleted_long_ago(obj))
                return account ? arena_printf(a, "%s %s/%s has been deleted", legacy ? "ServiceAccount" : "service account",
                                              b->namespace, b->name)
                               : invalidated;
        why = legacy && !account ? legacy_broken(a, obj, t, b) : NULL;
        if (why)
                return why;
        /* Being deleted, it must be looked at again: a minute later it no longer holds. */
        entry_unref(b->seen);
        b->seen = json_path(obj, "metadata.deletionTimestamp") ? NULL : entry_ref(e);
        return NULL;
}

static const char *bonds_broken(struct arena *a, struct token *t)
{
        const char *why = NULL;

        for (unsigned i = 0; i < t->n_bonds && !why; i++)
                why = bond_broken(a, t, &t->bonds[i]);
        return why;
}

/* --- judging --- */

static const char *print_strings(struct arena *a, const char *const *list)
{
        _cleanup_strbuf_ struct strbuf b = STRBUF_INIT;

        strbuf_putc(&b, '[');
        for (size_t i = 0; list && list[i]; i++) {
                strbuf_puts(&b, i ? " " : "");
                go_quote(&b, list[i], strlen(list[i]));
        }
        strbuf_putc(&b, ']');
        return arena_strndup(a, b.data, b.len);
}

static const char *const *intersect(struct arena *a, const char *const *wanted, const char *const *has)
{
        const char **out = strings_new(a, strings_len(wanted));
        size_t n = 0;

        for (; wanted && *wanted; wanted++) {
                if (strings_has(has, *wanted))
                        out[n++] = *wanted;
        }
        return n ? out : NULL;
}

static int refuse(struct arena *a, const char **ret_error, const char *why)
{
        *ret_error = why ? arena_printf(a, "[%s, %s]", invalid, why) : invalid;
        return TOKEN_INVALID;
}

/* Why TEXT, which is no token of ours, is refused by who makes tokens here; NULL: it does not look like one of them. */
static const char *bad_signature(struct arena *a, const char *text)
{
        _cleanup_strbuf_ struct strbuf head = STRBUF_INIT, signature = STRBUF_INIT;
        const char *dot = strchr(text, '.'), *last = strrchr(text, '.'), *issuer, *kid;
        struct json *claims = NULL, *header = NULL, *jwks = NULL;

        if (!dot || jwt_peek(a, text, &claims) != JWT_OK)
                return NULL;
        issuer = json_get_string(claims, "iss");
        if (!streq(issuer, the_auth->issuer) && !streq(issuer, LEGACY_ISSUER))
                return NULL;
        if (base64_decode(&head, text, (size_t)(dot - text), NULL) < 0 || strlen(last + 1) % 4 == 1 ||
            base64_decode(&signature, last + 1, strlen(last + 1), NULL) < 0 ||
            (head.len && json_parse(a, strbuf_str(&head), head.len, NULL, &header, NULL) < 0))
                return NULL;
        kid = json_get_string(header, "kid");
        if (!str_empty(kid) && jwt_keys_jwks(the_auth->keys, a, &jwks, NULL) >= 0) {
                json_foreach_item(json_get(jwks, "keys"), key)
                        if (streq(json_get_string(key, "kid"), kid))
                                return "go-jose/go-jose: error in cryptographic primitive";
                return "invalid signature, no keys found";
        }
        return "go-jose/go-jose: error in cryptographic primitive";
}

static int service_account_token(struct api_request *r, const char *text, const char *const *audiences,
                                 struct user_info *ret_user, const char *const **ret_audiences, const char **ret_error)
{
        struct arena *a = r->arena;
        struct token *t = token_get(text);
        int64_t now = time_real() / NS_PER_SEC, leeway = 60;
        const char *const *matching, *why;

        if (!t)
                return refuse(a, ret_error, bad_signature(a, text));
        if (t->malformed)
                return refuse(a, ret_error, t->malformed);
        matching = intersect(a, audiences, t->audiences);
        if (!matching)
                return refuse(a, ret_error,
                              arena_printf(a, "token audiences %s is invalid for the target audiences %s",
                                           print_strings(a, t->audiences), print_strings(a, audiences)));
        if (t->wrong)
                return refuse(a, ret_error, t->wrong);
        /* Clocks may differ by a minute. A Secret's token has no times. */
        if (!t->legacy_secret && t->not_before > now + leeway)
                return refuse(a, ret_error, "service account token is not valid yet");
        if (!t->legacy_secret && t->expires < now - leeway)
                return refuse(a, ret_error, "service account token has expired");
        if (!t->legacy_secret && t->issued > now + leeway)
                return refuse(a, ret_error, "service account token is issued in the future");
        why = bonds_broken(a, t);
        if (why) {
                /* Perhaps the account or pod is newer than our cache. After the wait, the token may have left ours. */
                if (!the_auth->store || store_sync(the_auth->store, NULL) < 0 || !(t = token_get(text)))
                        return refuse(a, ret_error, why);
                why = bonds_broken(a, t);
                if (why)
                        return refuse(a, ret_error, why);
        }
        /* The cache may drop the token while the request still runs: what is handed out is the request's own. */
        *ret_user = (struct user_info){ .name = arena_strdup(a, t->user.name), .uid = arena_strdup(a, t->user.uid) };
        ret_user->extra = t->user.extra ? json_clone(a, t->user.extra) : NULL;
        const char **groups = strings_new(a, strings_len(t->user.groups));

        for (size_t i = 0; t->user.groups[i]; i++)
                groups[i] = arena_strdup(a, t->user.groups[i]);
        ret_user->groups = groups;
        if (ret_audiences)
                *ret_audiences = matching;
        return TOKEN_OK;
}

/* --- bootstrap tokens: "abcdef.0123456789abcdef", a Secret bootstrap-token-abcdef in kube-system --- */

static bool bootstrap_form(const char *text)
{
        if (strlen(text) != 23 || text[6] != '.')
                return false;
        for (size_t i = 0; i < 23; i++) {
                if (i != 6 && !((text[i] >= 'a' && text[i] <= 'z') || (text[i] >= '0' && text[i] <= '9')))
                        return false;
        }
        return true;
}

static const char *secret_value(struct arena *a, const struct json *secret, const char *key)
{
        const char *data = json_get_string(json_get(secret, "data"), key);
        _cleanup_strbuf_ struct strbuf b = STRBUF_INIT;

        if (!data || base64_decode(&b, data, strlen(data), NULL) < 0)
                return "";
        return arena_strndup(a, strbuf_str(&b), b.len);
}

/* Takes as long whatever differs. */
static bool equal_secretly(const char *x, const char *y)
{
        size_t n = strlen(x);
        unsigned char diff = strlen(y) != n;

        for (size_t i = 0; i < n && !(strlen(y) != n); i++)
                diff |= (unsigned char)(x[i] ^ y[i]);
        return !diff;
}

static const char *const *bootstrap_groups(struct arena *a, const char *extra)
{
        const char *const *groups = strings_with(a, NULL, "system:bootstrappers");
        char *list = arena_strdup(a, extra), *save = NULL;

        for (char *g = strtok_r(list, ",", &save); g; g = strtok_r(NULL, ",", &save)) {
                if (str_has_prefix(g, "system:bootstrappers:"))
                        groups = strings_with(a, groups, g);
        }
        return strings_with(a, groups, "system:authenticated");
}

static int bootstrap_token(struct api_request *r, const char *text, struct user_info *ret_user, const char **ret_error)
{
        struct arena *a = r->arena;
        const char *id = arena_strndup(a, text, 6), *expiration;
        struct json *secret = auth_lookup(a, "", "v1", "secrets", "kube-system", arena_printf(a, "bootstrap-token-%s", id));
        int64_t when;

        if (!secret || json_path(secret, "metadata.deletionTimestamp") ||
            !streq(json_get_string(secret, "type"), "bootstrap.kubernetes.io/token") ||
            !equal_secretly(secret_value(a, secret, "token-secret"), text + 7) ||
            !streq(secret_value(a, secret, "token-id"), id) ||
            !streq(secret_value(a, secret, "usage-bootstrap-authentication"), "true"))
                return refuse(a, ret_error, NULL);
        expiration = secret_value(a, secret, "expiration");
        if (*expiration && (time_parse(expiration, &when) < 0 || time_real() > when))
                return refuse(a, ret_error, NULL);
        *ret_user = (struct user_info){ .name = arena_printf(a, "system:bootstrap:%s", id),
                                        .uid = "",
                                        .groups = bootstrap_groups(a, secret_value(a, secret, "auth-extra-groups")) };
        return TOKEN_OK;
}

int token_authenticate(struct api_request *r, const char *token, const char *const *audiences,
                       struct user_info *ret_user, const char *const **ret_audiences, const char **ret_error)
{
        const char *const *wanted = audiences ? audiences : (const char *const *)the_auth->audiences;

        if (bootstrap_form(token)) {
                if (ret_audiences)
                        *ret_audiences = intersect(r->arena, wanted, (const char *const *)the_auth->audiences);
                return bootstrap_token(r, token, ret_user, ret_error);
        }
        return service_account_token(r, token, wanted, ret_user, ret_audiences, ret_error);
}

/* Bootstrap tokens: Secrets in kube-system with which a machine that knows nothing yet joins the cluster.
 *
 * Such a machine reads the ConfigMap kube-public/cluster-info without being anybody. That what it read is the cluster's
 * own word it knows by a signature made with its token: a JWS (RFC 7515) without its content, beside the kubeconfig that
 * it signs, one for each token that is meant for it. Tokens whose time is over are removed.
 */
#include "controllers.h"

#include <gnutls/crypto.h>

#include "../lib/base/encode.h"

#define TYPE "bootstrap.kubernetes.io/token"
#define PREFIX "bootstrap-token-"
#define ID_LENGTH 6
#define SIGNATURE "jws-kubeconfig-"
#define INFO_NAMESPACE "kube-public"
#define INFO_NAME "cluster-info"

static bool is_token(const struct object *secret)
{
        return streq(secret->namespace, "kube-system") && streq(json_get_string(secret->json, "type"), TYPE);
}

/* A value of the Secret as text; "" when there is none. */
static const char *data_of(struct arena *a, const struct object *secret, const char *key)
{
        _cleanup_strbuf_ struct strbuf b = STRBUF_INIT;
        const char *encoded = json_get_string(json_get(secret->json, "data"), key);

        if (!encoded || base64_decode(&b, encoded, strlen(encoded), NULL) < 0)
                return "";
        return arena_strdup(a, strbuf_str(&b));
}

/* ns until the token ends; 0: it has; -1: it never does. A time that cannot be read is over. */
static int64_t time_left(struct arena *a, const struct object *secret, int64_t now)
{
        const char *text = data_of(a, secret, "expiration");
        int64_t end;

        if (!*text)
                return -1;
        return time_parse(text, &end) == 0 && end > now ? end - now : 0;
}

/* The token that may sign, or NULL. */
static const char *signing_secret(const struct snapshot *s, struct arena *a, const struct object *secret, const char **ret_id)
{
        const char *id = data_of(a, secret, "token-id"), *key = data_of(a, secret, "token-secret");

        if (!is_token(secret) || !str_has_prefix(secret->name, PREFIX) || strlen(id) != ID_LENGTH ||
            !streq(secret->name + strlen(PREFIX), id) || !*key || time_left(a, secret, s->now) == 0 ||
            !streq(data_of(a, secret, "usage-bootstrap-signing"), "true"))
                return NULL;
        *ret_id = id;
        return key;
}

/* "<header>..<signature>"; NULL: the library would not. */
static const char *sign_detached(struct arena *a, const char *content, const char *id, const char *key)
{
        const char *header = arena_printf(a, "{\"alg\":\"HS256\",\"kid\":\"%s\"}", id);
        _cleanup_strbuf_ struct strbuf b = STRBUF_INIT, sum = STRBUF_INIT, head = STRBUF_INIT;
        unsigned char mac[32];

        base64url_encode(&head, header, strlen(header));
        strbuf_puts(&b, strbuf_str(&head));
        strbuf_putc(&b, '.');
        base64url_encode(&b, content, strlen(content));
        if (gnutls_hmac_fast(GNUTLS_MAC_SHA256, key, strlen(key), strbuf_str(&b), b.len, mac) < 0)
                return NULL;
        base64url_encode(&sum, mac, sizeof(mac));
        return arena_printf(a, "%s..%s", strbuf_str(&head), strbuf_str(&sum));
}

static void reconcile_info(const struct snapshot *s, const char *key, struct writes *w)
{
        const struct object *info = snapshot_key(s, R_CONFIGMAPS, key);
        const char *content = info ? json_get_string(json_get(info->json, "data"), "kubeconfig") : NULL;
        struct json *copy, *data;
        struct object *const *secrets;
        size_t n;

        if (!content)
                return;
        data = json_new_object(w->arena);
        json_foreach_member(json_get(info->json, "data"), m)
                if (!str_has_prefix(m->key, SIGNATURE))
                        json_set(w->arena, data, m->key, json_clone(w->arena, m->value));
        secrets = snapshot_in_namespace(s, R_SECRETS, "kube-system", &n);
        for (size_t i = 0; i < n; i++) {
                const char *id, *secret = signing_secret(s, w->arena, secrets[i], &id);
                const char *signature = secret ? sign_detached(w->arena, content, id, secret) : NULL;

                if (signature)
                        json_set_string(w->arena, data, arena_printf(w->arena, SIGNATURE "%s", id), signature);
        }
        if (json_equal(data, json_get(info->json, "data")))
                return;
        copy = object_editable(w->arena, info->json);
        json_set(w->arena, copy, "data", data);
        writes_update(w, R_CONFIGMAPS, NULL, copy)->ignore_not_found = true;
}

static void map_info(const struct snapshot *s, const struct object *old, const struct object *new, const struct keys *k)
{
        const struct object *o = new ? new : old;

        if (streq(o->namespace, INFO_NAMESPACE) && streq(o->name, INFO_NAME))
                keys_add(k, o->key);
}

static void map_token(const struct snapshot *s, const struct object *old, const struct object *new, const struct keys *k)
{
        if (is_token(new ? new : old))
                keys_add(k, INFO_NAMESPACE "/" INFO_NAME);
}

const struct controller bootstrap_signer = {
        .name = "bootstrap-signer-controller",
        .watches = { { .resource = R_CONFIGMAPS, .map = map_info }, { .resource = R_SECRETS, .map = map_token } },
        .n_watches = 2,
        .workers = 1,
        .reconcile = reconcile_info,
};

static void reconcile_token(const struct snapshot *s, const char *key, struct writes *w)
{
        const struct object *secret = snapshot_key(s, R_SECRETS, key);
        int64_t left;

        if (!secret || !is_token(secret))
                return;
        left = time_left(w->arena, secret, s->now);
        if (left == 0)
                writes_delete(w, R_SECRETS, secret, -1, NULL);
        else if (left > 0)
                writes_requeue(w, left);
}

static void map_cleaned(const struct snapshot *s, const struct object *old, const struct object *new, const struct keys *k)
{
        if (new && is_token(new))
                keys_add(k, new->key);
}

const struct controller token_cleaner = {
        .name = "token-cleaner-controller",
        .watches = { { .resource = R_SECRETS, .map = map_cleaned } },
        .n_watches = 1,
        .workers = 1,
        .reconcile = reconcile_token,
};

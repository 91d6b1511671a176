/* Secrets of type kubernetes.io/service-account-token: filled with a token of their ServiceAccount, the cluster's
 * CA and their namespace, and removed with the account.
 *
 * These tokens have no end; kubelets and clients of today use bound ones instead. They are for what lives outside
 * the cluster.
 */
#include "controllers.h"

#include "../lib/base/encode.h"

#define TYPE "kubernetes.io/service-account-token"
#define ACCOUNT "kubernetes.io/service-account.name"
#define ACCOUNT_UID "kubernetes.io/service-account.uid"

static bool is_token(const struct object *secret)
{
        return secret && streq(json_get_string(secret->json, "type"), TYPE) && object_annotation(secret->json, ACCOUNT);
}

static const char *make_token(const struct snapshot *s, struct arena *a, const struct object *secret,
                              const struct object *account)
{
        struct json *claims = json_new_object(a);
        char *token = NULL;

        json_set_string(a, claims, "iss", "kubernetes/serviceaccount");
        json_set_string(a, claims, "kubernetes.io/serviceaccount/namespace", secret->namespace);
        json_set_string(a, claims, "kubernetes.io/serviceaccount/secret.name", secret->name);
        json_set_string(a, claims, "kubernetes.io/serviceaccount/service-account.name", account->name);
        json_set_string(a, claims, "kubernetes.io/serviceaccount/service-account.uid", account->uid);
        json_set(a, claims, "sub", json_new_stringf(a, "system:serviceaccount:%s:%s", account->namespace, account->name));
        return jwt_sign(settings_of(s)->sa_keys, a, claims, &token, NULL) == 0 ? token : NULL;
}

static bool set_data(struct arena *a, struct json *data, const char *key, const char *text)
{
        _cleanup_strbuf_ struct strbuf encoded = STRBUF_INIT;

        if (!text)
                return false;
        base64_encode(&encoded, text, strlen(text));
        if (streq(json_get_string(data, key), strbuf_str(&encoded)))
                return false;
        json_set_string(a, data, key, strbuf_str(&encoded));
        return true;
}

static void fill(const struct snapshot *s, const struct object *secret, const struct object *account, struct writes *w)
{
        struct arena *a = w->arena;
        struct json *copy = object_editable(a, secret->json), *data = json_get(copy, "data");
        bool changed;

        data = json_is_object(data) ? json_clone(a, data) : json_new_object(a);
        changed = set_data(a, data, "ca.crt", settings_of(s)->root_ca);
        if (!json_get(data, "namespace"))
                changed |= set_data(a, data, "namespace", secret->namespace);
        if (str_empty(json_get_string(data, "token")) && settings_of(s)->sa_keys)
                changed |= set_data(a, data, "token", make_token(s, a, secret, account));
        if (!streq(object_annotation(copy, ACCOUNT_UID), account->uid)) {
                object_set_annotation(a, copy, ACCOUNT_UID, account->uid);
                changed = true;
        }
        json_set(a, copy, "data", data);
        if (changed)
                writes_update(w, R_SECRETS, NULL, copy)->ignore_not_found = true;
}

static void reconcile(const struct snapshot *s, const char *key, struct writes *w)
{
        const struct object *secret = snapshot_key(s, R_SECRETS, key), *account;
        const char *name, *uid;
        struct write *x;

        if (!is_token(secret) || object_is_deleting(secret->json))
                return;
        name = object_annotation(secret->json, ACCOUNT);
        uid = object_annotation(secret->json, ACCOUNT_UID);
        account = snapshot_get(s, R_SERVICEACCOUNTS, secret->namespace, name);
        if (account && (str_empty(uid) || streq(uid, account->uid))) {
                fill(s, secret, account, w);
                return;
        }
        x = writes_add(w, WRITE_EXPECT_ABSENT, R_SERVICEACCOUNTS, secret->namespace, name, NULL);
        x->uid = arena_strdup(w->arena, uid);
        x->any_uid = str_empty(uid);
        writes_delete(w, R_SECRETS, secret, -1, NULL);
}

static void map_account(const struct snapshot *s, const struct object *old, const struct object *new, const struct keys *k)
{
        const struct object *o = new ? new : old;
        struct object *const *secrets;
        size_t n;

        secrets = snapshot_in_namespace(s, R_SECRETS, o->namespace, &n);
        for (size_t i = 0; i < n; i++)
                if (is_token(secrets[i]) && streq(object_annotation(secrets[i]->json, ACCOUNT), o->name))
                        keys_add(k, secrets[i]->key);
}

static void map_secret(const struct snapshot *s, const struct object *old, const struct object *new, const struct keys *k)
{
        if (is_token(new))
                keys_add(k, new->key);
}

const struct controller token_controller = {
        .name = "serviceaccount-token-controller",
        .watches = { { .resource = R_SECRETS, .map = map_secret }, { .resource = R_SERVICEACCOUNTS, .map = map_account } },
        .n_watches = 2,
        .reconcile = reconcile,
};

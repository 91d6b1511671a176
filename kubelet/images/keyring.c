/* Which credentials of a pod's imagePullSecrets go to which registry.
 *
 * Keys are written in many ways: "https://index.docker.io/v1/", "docker.io", "reg.io:5000/team", "*.reg.io". The
 * longest that matches comes first; a registry that refuses it is asked again with the next, as with upstream's keyring.
 */
#include "../../lib/base/encode.h"
#include "store.h"

/* "https://Host/v1/path/" -> host and path without the API's version. */
static void normalise(struct arena *a, const char *key, const char **ret_host, const char **ret_path)
{
        const char *rest = strstr(key, "://"), *slash;

        rest = rest ? rest + 3 : key;
        slash = strchr(rest, '/');
        *ret_host = arena_strndup(a, rest, slash ? (size_t)(slash - rest) : strlen(rest));
        *ret_path = slash ? slash + 1 : "";
        if (streq(*ret_path, "v1/") || streq(*ret_path, "v2/") || streq(*ret_path, "v1") || streq(*ret_path, "v2"))
                *ret_path = "";
        if (streq(*ret_host, "index.docker.io") || streq(*ret_host, "registry-1.docker.io"))
                *ret_host = "docker.io";
}

/* Labels one by one; "*" stands for any one. */
static bool host_matches(const char *pattern, const char *host)
{
        for (;;) {
                size_t p = strcspn(pattern, "."), h = strcspn(host, ".");
                bool any = p == 1 && *pattern == '*';
                if (!any && (p != h || memcmp(pattern, host, p)))
                        return false;
                if (!pattern[p] || !host[h])
                        return !pattern[p] && !host[h];
                pattern += p + 1;
                host += h + 1;
        }
}

static bool path_matches(const char *path, const char *repository)
{
        size_t n = strlen(path);

        while (n && path[n - 1] == '/')
                n--;
        return !strncmp(path, repository, n) && (!n || !repository[n] || repository[n] == '/');
}

static char *auth_of(struct arena *a, const struct json *entry)
{
        const char *auth = json_get_string(entry, "auth");
        const char *user = json_get_string(entry, "username"), *password = json_get_string(entry, "password");
        struct strbuf b = STRBUF_INIT;
        char *pair, *out;

        if (!str_empty(auth))
                return arena_strdup(a, auth);
        if (!user || !password)
                return NULL;
        pair = arena_printf(a, "%s:%s", user, password);
        base64_encode(&b, pair, strlen(pair));
        out = arena_strdup(a, strbuf_str(&b));
        strbuf_deinit(&b);
        return out;
}

struct credential {
        const char *auth;
        size_t key_len, order;
};

static int by_precision(const void *x, const void *y)
{
        const struct credential *a = x, *b = y;

        if (a->key_len != b->key_len)
                return a->key_len > b->key_len ? -1 : 1;
        return a->order < b->order ? -1 : 1;
}

static char *print_authfile(struct arena *a, const char *host, const char *auth)
{
        struct json *out = json_new_object(a);

        json_set_string(a, json_ensure_object(a, json_ensure_object(a, out, "auths"), host), "auth", auth);
        return json_print(a, out);
}

char *keyring_authfile(struct arena *a, const char *const *secrets, const char *host, const char *repository,
                       size_t nth)
{
        struct credential *list = NULL;
        size_t n = 0, cap = 0;
        struct json *j;
        char *out = NULL;

        for (; secrets && *secrets; secrets++) {
                const struct json *auths;
                if (json_parse(a, *secrets, strlen(*secrets), NULL, &j, NULL) < 0)
                        continue;
                auths = json_get(j, "auths");
                json_foreach_member(auths ? auths : j, m) {
                        const char *key_host, *key_path, *auth;
                        normalise(a, m->key, &key_host, &key_path);
                        if (!host_matches(key_host, host) || !path_matches(key_path, repository))
                                continue;
                        auth = auth_of(a, m->value);
                        if (!auth)
                                continue;
                        array_reserve(list, cap, n + 1);
                        list[n] = (struct credential){ auth, m->key_len, n };
                        n++;
                }
        }
        if (n)
                qsort(list, n, sizeof(*list), by_precision);
        if (nth < n)
                out = print_authfile(a, host, list[nth].auth);
        free(list);
        return out;
}

/* The RBAC authorizer.
 *
 * Bindings are indexed by subject, so that a request looks at the bindings that name its user or one of
 * its groups and at no other:
 *
 *      subjects: "u:alice"          -> grants: ClusterRoleBindings that name User alice
 *                "prod/g:developers" -> RoleBindings of namespace prod that name the group
 *      roles:    "name", "ns/name"  -> compiled rules
 *
 * A role is looked up when it is needed: bindings may come before the role they refer to, and outlive it.
 */
#include "rbac.h"

#include "../../lib/base/map.h"
#include "feed.h"

struct role {
        struct arena *arena;
        struct rbac_rules rules;
};

/* A subject of a binding. */
struct grant {
        struct binding *binding;
        const char *kind, *name, *namespace; /* of the subject as written, for the reason */
        size_t place;                        /* among the binding's */
};

struct bucket {
        struct grant *grants;
        size_t n, cap;
};

struct binding {
        struct arena *arena;
        const char *namespace, *name; /* NULL namespace: a ClusterRoleBinding */
        bool cluster_role;            /* what it refers to */
        const char *role;             /* its name */
        const char *role_key;         /* in roles */
        const char **subject_keys;    /* in subjects, to unlink it */
        size_t n_subjects;
};

struct rbac {
        struct store *store;
        struct map roles, bindings, subjects;
        struct feed feeds[4];
};

/* "name" or "namespace/name" */
static const char *object_key(struct arena *a, const char *namespace, const char *name)
{
        return str_empty(namespace) ? arena_strdup(a, name) : arena_printf(a, "%s/%s", namespace, name);
}

/* --- roles --- */

static void role_free(struct role *role)
{
        if (role)
                arena_free(role->arena);
}

void rbac_put_role(struct rbac *r, const char *namespace, const char *name, const struct json *obj)
{
        _cleanup_arena_ struct arena *reading = arena_new(0);
        struct arena *a = arena_new(256);
        struct role *role = arena_calloc(a, sizeof(*role));
        struct rbac_rules rules;

        role->arena = a;
        rbac_rules_read(reading, json_get(obj, "rules"), &rules);
        rbac_rules_keep(a, &rules, &role->rules);
        role_free(map_put(&r->roles, object_key(a, namespace, name), role));
}

void rbac_del_role(struct rbac *r, const char *namespace, const char *name)
{
        _cleanup_arena_ struct arena *a = arena_new(256);

        role_free(map_del(&r->roles, object_key(a, namespace, name)));
}

bool rbac_role_rules(struct rbac *r, const char *namespace, const char *name, struct rbac_rules *ret)
{
        _cleanup_arena_ struct arena *a = arena_new(256);
        struct role *role = map_get(&r->roles, object_key(a, namespace, name));

        if (role)
                *ret = role->rules;
        return role != NULL;
}

/* --- bindings --- */

static void bucket_add(struct rbac *r, const char *key, const struct grant *grant)
{
        struct bucket *b = map_get(&r->subjects, key);

        if (!b) {
                b = new0(struct bucket);
                map_put(&r->subjects, key, b);
        }
        array_reserve(b->grants, b->cap, b->n + 1);
        b->grants[b->n++] = *grant;
}

static void bucket_remove(struct rbac *r, const char *key, const struct binding *binding)
{
        struct bucket *b = map_get(&r->subjects, key);
        size_t n = 0;

        if (!b)
                return;
        for (size_t i = 0; i < b->n; i++) {
                if (b->grants[i].binding != binding)
                        b->grants[n++] = b->grants[i];
        }
        b->n = n;
        if (!n) {
                map_del(&r->subjects, key);
                free(b->grants);
                free(b);
        }
}

/* What a subject is filed under; NULL: a kind that no user has. */
static const char *subject_key(struct arena *a, const char *binding_namespace, const struct grant *g)
{
        const char *prefix = binding_namespace ? binding_namespace : "", *slash = binding_namespace ? "/" : "";

        if (!g->kind || !g->name)
                return NULL;
        if (strcmp(g->kind, "User") == 0)
                return arena_printf(a, "%s%su:%s", prefix, slash, g->name);
        if (strcmp(g->kind, "Group") == 0)
                return arena_printf(a, "%s%sg:%s", prefix, slash, g->name);
        if (strcmp(g->kind, "ServiceAccount") == 0 && !str_empty(g->namespace))
                return arena_printf(a, "%s%su:system:serviceaccount:%s:%s", prefix, slash, g->namespace, g->name);
        return NULL;
}

/* TAIL as the end of TEXT, which ends so. */
static const char *end_of(const char *text, const char *tail)
{
        return text + strlen(text) - strlen(tail);
}

static void add_subjects(struct rbac *r, struct binding *b, const struct json *subjects)
{
        b->subject_keys = arena_alloc(b->arena, (json_len(subjects) + 1) * sizeof(char *));
        json_foreach_item(subjects, s) {
                struct grant g = { .binding = b,
                                   .kind = json_get_string(s, "kind"),
                                   .name = json_get_string(s, "name"),
                                   .namespace = json_get_string(s, "namespace"),
                                   .place = s_i };
                const char *key;

                if (str_empty(g.namespace))
                        g.namespace = b->namespace;
                key = subject_key(b->arena, b->namespace, &g);
                if (!key)
                        continue;
                /* The tree goes, the binding stays. */
                g.name = end_of(key, g.name);
                g.kind = *g.kind == 'U' ? "User" : *g.kind == 'G' ? "Group" : "ServiceAccount";
                if (g.namespace != b->namespace)
                        g.namespace = arena_strdup(b->arena, g.namespace);
                b->subject_keys[b->n_subjects++] = key;
                bucket_add(r, key, &g);
        }
}

static void binding_unlink(struct rbac *r, struct binding *b)
{
        if (!b)
                return;
        for (size_t i = 0; i < b->n_subjects; i++)
                bucket_remove(r, b->subject_keys[i], b);
        arena_free(b->arena);
}

void rbac_put_binding(struct rbac *r, const char *namespace, const char *name, const struct json *obj)
{
        struct arena *a = arena_new(256);
        struct binding *b = arena_calloc(a, sizeof(*b));
        const char *role = json_path_string(obj, "roleRef.name"), *key;

        role = role ? role : "";
        b->arena = a;
        b->namespace = str_empty(namespace) ? NULL : arena_strdup(a, namespace);
        b->name = arena_strdup(a, name);
        b->cluster_role = !streq(json_path_string(obj, "roleRef.kind"), "Role");
        b->role_key = object_key(a, b->cluster_role ? NULL : b->namespace, role);
        b->role = end_of(b->role_key, role);
        key = object_key(a, namespace, name);
        binding_unlink(r, map_del(&r->bindings, key));
        map_put(&r->bindings, key, b);
        add_subjects(r, b, json_get(obj, "subjects"));
}

void rbac_del_binding(struct rbac *r, const char *namespace, const char *name)
{
        _cleanup_arena_ struct arena *a = arena_new(256);

        binding_unlink(r, map_del(&r->bindings, object_key(a, namespace, name)));
}

/* --- the watch cache's side --- */

static struct json *entry_parse(struct arena *a, const struct entry *e)
{
        struct json *obj = NULL;

        return json_parse(a, e->json->data, e->json->len, NULL, &obj, NULL) < 0 ? NULL : obj;
}

static void feed_put_role(struct entry *e, void *userdata)
{
        _cleanup_arena_ struct arena *a = arena_new(0);

        rbac_put_role(userdata, e->namespace, e->name, entry_parse(a, e));
}

static void feed_del_role(struct entry *e, void *userdata)
{
        rbac_del_role(userdata, e->namespace, e->name);
}

static void feed_put_binding(struct entry *e, void *userdata)
{
        _cleanup_arena_ struct arena *a = arena_new(0);

        rbac_put_binding(userdata, e->namespace, e->name, entry_parse(a, e));
}

static void feed_del_binding(struct entry *e, void *userdata)
{
        rbac_del_binding(userdata, e->namespace, e->name);
}

/* Forgets the roles, or bindings, of the cluster or of the namespaces: the four feeds start one by one. */
static void forget(struct rbac *r, struct map *m, bool namespaced)
{
        struct map_entry *e;
        const char **keys = NULL;
        size_t n = 0, cap = 0;

        map_foreach(m, e) {
                if ((strchr(e->key, '/') != NULL) == namespaced) {
                        array_reserve(keys, cap, n + 1);
                        keys[n++] = xstrdup(e->key);
                }
        }
        for (size_t i = 0; i < n; i++) {
                if (m == &r->roles)
                        role_free(map_del(m, keys[i]));
                else
                        binding_unlink(r, map_del(m, keys[i]));
                free((char *)keys[i]);
        }
        free(keys);
}

static void clear_cluster_roles(void *r)
{
        forget(r, &((struct rbac *)r)->roles, false);
}
static void clear_roles(void *r)
{
        forget(r, &((struct rbac *)r)->roles, true);
}
static void clear_cluster_bindings(void *r)
{
        forget(r, &((struct rbac *)r)->bindings, false);
}
static void clear_bindings(void *r)
{
        forget(r, &((struct rbac *)r)->bindings, true);
}

struct rbac *rbac_new(struct store *s)
{
        static const char group[] = "rbac.authorization.k8s.io";
        struct rbac *r = new0(struct rbac);

        r->store = s;
        r->feeds[0] = (struct feed){ group, "v1", "clusterroles", clear_cluster_roles, feed_put_role, feed_del_role, r };
        r->feeds[1] = (struct feed){ group, "v1", "roles", clear_roles, feed_put_role, feed_del_role, r };
        r->feeds[2] = (struct feed){ group, "v1", "clusterrolebindings", clear_cluster_bindings, feed_put_binding,
                                     feed_del_binding, r };
        r->feeds[3] = (struct feed){ group, "v1", "rolebindings", clear_bindings, feed_put_binding, feed_del_binding, r };
        return r;
}

bool rbac_ready(struct rbac *r)
{
        bool ready = true;

        for (size_t i = 0; r->store && i < ARRAY_SIZE(r->feeds); i++)
                ready = feed_ensure(&r->feeds[i], r->store) && ready;
        return ready;
}

void rbac_free(struct rbac *r)
{
        if (!r)
                return;
        for (size_t i = 0; i < ARRAY_SIZE(r->feeds); i++)
                feed_stop(&r->feeds[i]);
        for (int i = 0; i < 2; i++) {
                forget(r, &r->bindings, i);
                forget(r, &r->roles, i);
        }
        map_deinit(&r->roles);
        map_deinit(&r->bindings);
        map_deinit(&r->subjects);
        free(r);
}

/* --- asking --- */

/* Called for each binding that names the user; false ends the walk. */
typedef bool visit_fn(const struct grant *g, const struct role *role, void *userdata);

static bool visit_bucket(struct rbac *r, const char *key, visit_fn *fn, void *userdata)
{
        const struct bucket *b = map_get(&r->subjects, key);

        for (size_t i = 0; b && i < b->n; i++) {
                if (!fn(&b->grants[i], map_get(&r->roles, b->grants[i].binding->role_key), userdata))
                        return false;
        }
        return true;
}

static bool visit_subjects(struct rbac *r, const struct user_info *user, const char *namespace, visit_fn *fn,
                           void *userdata)
{
        char stack[512];
        size_t prefix = str_empty(namespace) ? 0 : strlen(namespace) + 1;
        const char *const *group = user->groups;
        const char *name = user->name;
        char kind = 'u';

        do {
                size_t len = strlen(name);
                _cleanup_free_ char *heap = NULL;
                char *key = stack;

                if (prefix + len + 3 > sizeof(stack))
                        key = heap = xmalloc(prefix + len + 3);
                if (prefix) {
                        memcpy(key, namespace, prefix - 1);
                        key[prefix - 1] = '/';
                }
                key[prefix] = kind;
                key[prefix + 1] = ':';
                memcpy(key + prefix + 2, name, len + 1);
                if (!visit_bucket(r, key, fn, userdata))
                        return false;
                kind = 'g';
        } while (group && (name = *group++));
        return true;
}

static bool visit(struct rbac *r, const struct user_info *user, const char *namespace, visit_fn *fn, void *userdata)
{
        return visit_subjects(r, user, NULL, fn, userdata) &&
               (str_empty(namespace) || visit_subjects(r, user, namespace, fn, userdata));
}

struct query {
        struct arena *arena;
        const struct authz_attributes *at;
        const struct grant *allowed_by;
        const struct binding **seen; /* a binding that names somebody twice counts once */
        size_t n_seen, cap_seen;
        struct rbac_rules rules;
        const char *missing; /* what a role that is not there is called; NULL: by its kind */
        struct strbuf errors;
        unsigned n_errors;
};

static void note_missing(struct query *q, const struct binding *b)
{
        _cleanup_free_ char *text =
                xasprintf("%s.rbac.authorization.k8s.io \"%s\" not found",
                          q->missing ? q->missing : b->cluster_role ? "clusterrole" : "role", b->role);

        if (q->n_errors && strstr(q->errors.data, text))
                return;
        strbuf_printf(&q->errors, "%s%s", q->n_errors++ ? ", " : "", text);
}

static bool visit_allow(const struct grant *g, const struct role *role, void *userdata)
{
        struct query *q = userdata;

        if (!role) {
                note_missing(q, g->binding);
                return true;
        }
        if (!rbac_rules_allow(&role->rules, q->at))
                return true;
        q->allowed_by = g;
        return false;
}

/* Of the subjects of one binding that mean the user the first is the one that is told. */
static bool visit_first(const struct grant *g, const struct role *role, void *userdata)
{
        struct query *q = userdata;

        (void)role;
        if (g->binding == q->allowed_by->binding && g->place < q->allowed_by->place)
                q->allowed_by = g;
        return true;
}

static const char *errors_text(struct arena *a, const struct query *q)
{
        if (!q->n_errors)
                return NULL;
        return arena_printf(a, q->n_errors > 1 ? "[%s]" : "%s", q->errors.data);
}

static const char *describe(struct arena *a, const struct grant *g)
{
        const struct binding *b = g->binding;
        bool account = strcmp(g->kind, "ServiceAccount") == 0;

        return arena_printf(a, "RBAC: allowed by %s \"%s%s%s\" of %s \"%s\" to %s \"%s%s%s\"",
                            b->namespace ? "RoleBinding" : "ClusterRoleBinding", b->name, b->namespace ? "/" : "",
                            b->namespace ? b->namespace : "", b->cluster_role ? "ClusterRole" : "Role", b->role, g->kind,
                            g->name, account ? "/" : "", account ? g->namespace : "");
}

enum authz_decision rbac_authorize(struct rbac *r, struct arena *a, const struct authz_attributes *at,
                                   const char **ret_reason)
{
        struct query q = { .arena = a, .at = at };
        const char *errors;

        rbac_ready(r);
        visit(r, at->user, at->is_resource ? at->namespace : NULL, visit_allow, &q);
        errors = errors_text(a, &q);
        strbuf_deinit(&q.errors);
        if (ret_reason && q.allowed_by)
                visit(r, at->user, at->is_resource ? at->namespace : NULL, visit_first, &q);
        if (ret_reason)
                *ret_reason = q.allowed_by ? describe(a, q.allowed_by) : errors ? arena_printf(a, "RBAC: %s", errors) : "";
        return q.allowed_by ? AUTHZ_ALLOW : AUTHZ_NO_OPINION;
}

static bool seen_before(struct query *q, const struct binding *b)
{
        for (size_t i = 0; i < q->n_seen; i++) {
                if (q->seen[i] == b)
                        return true;
        }
        array_reserve(q->seen, q->cap_seen, q->n_seen + 1);
        q->seen[q->n_seen++] = b;
        return false;
}

static bool visit_collect(const struct grant *g, const struct role *role, void *userdata)
{
        struct query *q = userdata;

        if (seen_before(q, g->binding))
                return true;
        if (!role) {
                note_missing(q, g->binding);
                return true;
        }
        if (q->rules.n + role->rules.n > q->rules.cap) {
                struct rbac_rule *more;

                q->rules.cap = (q->rules.n + role->rules.n) * 2;
                more = arena_alloc(q->arena, q->rules.cap * sizeof(*more));
                if (q->rules.n)
                        memcpy(more, q->rules.list, q->rules.n * sizeof(*more));
                q->rules.list = more;
        }
        if (role->rules.n)
                memcpy(q->rules.list + q->rules.n, role->rules.list, role->rules.n * sizeof(*role->rules.list));
        q->rules.n += role->rules.n;
        return true;
}

void rbac_rules_for(struct rbac *r, struct arena *a, const struct user_info *user, const char *namespace,
                    const char *missing, struct rbac_rules *ret, const char **ret_errors)
{
        struct query q = { .arena = a, .missing = missing };

        rbac_ready(r);
        visit(r, user, namespace, visit_collect, &q);
        *ret = q.rules;
        if (ret_errors)
                *ret_errors = errors_text(a, &q);
        strbuf_deinit(&q.errors);
        free(q.seen);
}

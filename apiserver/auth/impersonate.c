/* Impersonation: Impersonate-User, -Group, -Uid and -Extra-* headers, when the one who asks may.
 *
 * Two ways lead to it. The plain one: the verb "impersonate" on the users, groups and so on themselves.
 * The constrained one: "impersonate:MODE" on them together with "impersonate-on:MODE:VERB" on what is
 * being asked for, so that a helper may stand in for somebody in some requests only.
 */
#include "internal.h"

#define MAX_IMPERSONATE_GROUPS 1024

struct wanted {
        struct api_request *r;
        const char *name, *uid;
        const char **groups;
        size_t n_groups;
        struct json *extra;
        bool any;
};

static void collect(const char *name, const char *value, void *userdata)
{
        static const char prefix[] = "Impersonate-";
        struct wanted *w = userdata;
        struct arena *a = w->r->arena;
        const char *what = name + strlen(prefix);

        if (strncasecmp(name, prefix, strlen(prefix)) != 0)
                return;
        if (strcasecmp(what, "User") == 0 && !w->name) {
                w->name = arena_strdup(a, value);
                w->any = w->any || *value;
        } else if (strcasecmp(what, "Uid") == 0 && !w->uid) {
                w->uid = arena_strdup(a, value);
                w->any = w->any || *value;
        } else if (strcasecmp(what, "Group") == 0 && w->n_groups < MAX_IMPERSONATE_GROUPS) {
                if (!w->groups)
                        w->groups = strings_new(a, MAX_IMPERSONATE_GROUPS + 3);
                w->groups[w->n_groups++] = arena_strdup(a, value);
                w->any = true;
        } else if (strncasecmp(what, "Extra-", 6) == 0) {
                char *key = http_unescape(a, what + 6, strlen(what + 6), false);

                for (char *c = key; c && *c; c++)
                        *c = *c >= 'A' && *c <= 'Z' ? *c + 32 : *c;
                if (!key)
                        return;
                if (!w->extra)
                        w->extra = json_new_object(a);
                json_append(a, json_ensure_array(a, w->extra, key), json_new_string(a, value));
                w->any = true;
        }
}

/* --- 400: something, but no user --- */

static void print_strings(struct strbuf *b, const struct json *array)
{
        strbuf_puts(b, "[]string{");
        json_foreach_item(array, s) {
                if (s_i)
                        strbuf_puts(b, ", ");
                go_quote(b, json_string(s), strlen(json_string(s)));
        }
        strbuf_puts(b, "}");
}

static const struct status *no_user(const struct wanted *w)
{
        _cleanup_strbuf_ struct strbuf b = STRBUF_INIT;
        struct arena *a = w->r->arena;
        bool first = true;

        strbuf_puts(&b, "Name:\"\", UID:");
        go_quote(&b, w->uid ? w->uid : "", w->uid ? strlen(w->uid) : 0);
        strbuf_puts(&b, ", Groups:");
        if (w->n_groups)
                print_strings(&b, strings_json(a, w->groups));
        else
                strbuf_puts(&b, "[]string(nil)");
        strbuf_puts(&b, ", Extra:map[string][]string");
        strbuf_puts(&b, w->extra ? "{" : "(nil)");
        json_foreach_member(w->extra, m) {
                strbuf_puts(&b, first ? "" : ", ");
                go_quote(&b, m->key, m->key_len);
                strbuf_putc(&b, ':');
                print_strings(&b, m->value);
                first = false;
        }
        if (w->extra)
                strbuf_putc(&b, '}');
        return status_bad_request(a, "requested &user.DefaultInfo{%s} without impersonating a user name", b.data);
}

/* --- may they? --- */

/* "system:serviceaccount:ns:name" taken apart, in A. */
static bool service_account(struct arena *a, const char *user, const char **ns, const char **name)
{
        static const char prefix[] = "system:serviceaccount:";
        const char *colon;

        if (!str_has_prefix(user, prefix) || !(colon = strchr(user + strlen(prefix), ':')) || strchr(colon + 1, ':'))
                return false;
        *ns = arena_strndup(a, user + strlen(prefix), colon - user - strlen(prefix));
        *name = colon + 1;
        return true;
}

struct check {
        struct api_request *r;
        const char *verb;
        const char *group;       /* of users, groups and service accounts */
        const struct status *refused;
};

static bool may(struct check *c, const char *group, const char *resource, const char *sub, const char *ns, const char *name)
{
        const struct authz_attributes at = { .user = &c->r->real_user, .verb = c->verb, .group = group, .version = "v1",
                                             .namespace = ns, .resource = resource, .subresource = sub, .name = name,
                                             .is_resource = true };
        const char *reason;

        if (authorize(c->r, &at, &reason) == AUTHZ_ALLOW)
                return true;
        c->refused = forbidden(c->r->arena, &at, reason);
        return false;
}

/* Each of the parts of who is wanted, one by one. */
static bool check_parts(struct check *c, const struct wanted *w, const char *const *groups)
{
        static const char authentication[] = "authentication.k8s.io";
        const char *ns, *name;

        if (service_account(c->r->arena, w->name, &ns, &name)) {
                if (!may(c, c->group, "serviceaccounts", "", ns, name))
                        return false;
        } else if (!may(c, c->group, "users", "", "", w->name)) {
                return false;
        }
        for (; groups && *groups; groups++) {
                if (!may(c, c->group, "groups", "", "", *groups))
                        return false;
        }
        json_foreach_member(w->extra, m) {
                json_foreach_item(m->value, v) {
                        if (!may(c, authentication, "userextras", m->key, "", json_string(v)))
                                return false;
                }
        }
        return str_empty(w->uid) || may(c, authentication, "uids", "", "", w->uid);
}

static const char *mode_of(struct arena *a, const char *user)
{
        const char *ns, *name;

        if (service_account(a, user, &ns, &name))
                return "serviceaccount";
        return str_has_prefix(user, "system:node:") ? "arbitrary-node" : "user-info";
}

/* The constrained way: first what is asked for, then who. */
static bool check_constrained(struct check *c, const struct wanted *w, const char *const *groups)
{
        struct api_request *r = c->r;
        const char *mode = mode_of(r->arena, w->name), *reason;
        const struct authz_attributes at = {
                .user = &r->real_user,
                .verb = arena_printf(r->arena, "impersonate-on:%s:%s", mode, r->verb),
                .is_resource = r->is_resource,
                .group = r->group ? r->group : "",
                .version = r->version ? r->version : "",
                .namespace = r->namespace ? r->namespace : "",
                .resource = r->resource ? r->resource : "",
                .subresource = r->subresource ? r->subresource : "",
                .name = r->name ? r->name : "",
                .path = r->http->path,
        };

        if (authorize(r, &at, &reason) != AUTHZ_ALLOW) {
                c->refused = forbidden(r->arena, &at, reason);
                return false;
        }
        c->verb = arena_printf(r->arena, "impersonate:%s", mode);
        c->group = "authentication.k8s.io";
        return check_parts(c, w, groups);
}

static const struct status *check(struct api_request *r, const struct wanted *w, const char *const *groups)
{
        struct check plain = { .r = r, .verb = "impersonate", .group = "" }, constrained = { .r = r };
        const char *who = r->real_user.name;

        if (check_parts(&plain, w, groups)) {
                map_put(&the_auth->legacy_impersonators, who, (void *)1);
                return NULL;
        }
        if (check_constrained(&constrained, w, groups))
                return NULL;
        /* Who got in the plain way before is told what it lacks of that. */
        return map_has(&the_auth->legacy_impersonators, who) ? plain.refused : constrained.refused;
}

/* --- whom they become --- */

static const char *const *default_groups(struct api_request *r, const struct wanted *w)
{
        const char *ns, *name;

        if (w->n_groups)
                return w->groups;
        if (service_account(r->arena, w->name, &ns, &name)) {
                const char **groups = strings_new(r->arena, 2);

                groups[0] = "system:serviceaccounts";
                groups[1] = arena_printf(r->arena, "system:serviceaccounts:%s", ns);
                return groups;
        }
        return NULL;
}

const struct status *impersonate(struct api_request *r)
{
        struct wanted w = { .r = r };
        const struct status *st;
        const char *const *groups;

        http_header_each(r->http, collect, &w);
        if (!w.any)
                return NULL;
        if (str_empty(w.name))
                return no_user(&w);
        groups = default_groups(r, &w);
        /* The groups that follow from a service account's name need no permission of their own. */
        st = check(r, &w, w.n_groups ? groups : NULL);
        if (st)
                return st;
        if (streq(w.name, "system:anonymous")) {
                if (!strings_has(groups, "system:unauthenticated"))
                        groups = strings_with(r->arena, groups, "system:unauthenticated");
        } else if (!strings_has(groups, "system:authenticated") && !strings_has(groups, "system:unauthenticated")) {
                groups = strings_with(r->arena, groups, "system:authenticated");
        }
        r->user = (struct user_info){ .name = w.name, .uid = w.uid ? w.uid : "", .groups = groups, .extra = w.extra };
        return NULL;
}

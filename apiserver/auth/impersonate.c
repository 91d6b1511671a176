/* Impersonation: Impersonate-User, -Group, -Uid and -Extra-* headers, when the one who asks may.
 *
 * Two ways lead to it. The plain one: the verb "impersonate" on the users, groups and so on themselves.
 * The constrained ones: "impersonate:MODE" on them together with "impersonate-on:MODE:VERB" on what is
 * being asked for, so that a helper may stand in for somebody in some requests only. Modes are tried in
 * their order, but the one that this user got in by last before the others: it is likely again, and its
 * refusal is the one that they are told.
 */
#include "internal.h"
#include "../../lib/meta/names.h"
#include "../validation/names.h"

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
                w->name = header_text(a, value);
                w->any = w->any || *value;
        } else if (strcasecmp(what, "Uid") == 0 && !w->uid) {
                w->uid = header_text(a, value);
                w->any = w->any || *value;
        } else if (strcasecmp(what, "Group") == 0 && w->n_groups < MAX_IMPERSONATE_GROUPS) {
                if (!w->groups)
                        w->groups = strings_new(a, MAX_IMPERSONATE_GROUPS + 3);
                w->groups[w->n_groups++] = header_text(a, value);
                w->any = true;
        } else if (strncasecmp(what, "Extra-", 6) == 0) {
                const char *key = extra_key(a, what + 6);

                if (!w->extra)
                        w->extra = json_new_object(a);
                json_append(a, json_ensure_array(a, w->extra, key), json_new_string(a, header_text(a, value)));
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
        json_sort_keys(w->extra);
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
static bool service_account(struct arena *a, const char *user, const char **ret_ns, const char **ret_name)
{
        static const char prefix[] = "system:serviceaccount:";
        const char *colon, *ns;

        if (!str_has_prefix(user, prefix) || !(colon = strchr(user + strlen(prefix), ':')))
                return false;
        ns = arena_strndup(a, user + strlen(prefix), colon - user - strlen(prefix));
        if (!is_dns1123_label(ns) || !is_dns1123_subdomain(colon + 1))
                return false;
        *ret_ns = ns;
        *ret_name = colon + 1;
        return true;
}

/* The name of "system:node:name"; NULL: no node's. */
static const char *node_of(const char *user)
{
        static const char prefix[] = "system:node:";

        return str_has_prefix(user, prefix) && is_dns1123_subdomain(user + strlen(prefix)) ? user + strlen(prefix) : NULL;
}

enum mode { ASSOCIATED_NODE, ARBITRARY_NODE, SERVICE_ACCOUNT, USER_INFO, LEGACY, N_MODES };

static const char *const mode_names[] = { "associated-node", "arbitrary-node", "serviceaccount", "user-info", NULL };

struct check {
        struct api_request *r;
        const struct wanted *w;
        enum mode mode;
        const char *verb;
        const char *group;       /* of users, groups and service accounts */
        const struct status *refused;
};

static bool refuse(struct check *c, const struct authz_attributes *at, const char *reason)
{
        c->refused = forbidden(c->r->arena, at, reason);
        return false;
}

static struct authz_attributes part(const struct check *c, const char *group, const char *resource, const char *sub,
                                    const char *ns, const char *name)
{
        return (struct authz_attributes){ .user = &c->r->real_user, .verb = c->verb, .group = group, .version = "v1",
                                          .namespace = ns, .resource = resource, .subresource = sub, .name = name,
                                          .is_resource = true };
}

static bool may(struct check *c, const char *group, const char *resource, const char *sub, const char *ns, const char *name)
{
        const struct authz_attributes at = part(c, group, resource, sub, ns, name);
        const char *reason;

        return authorize(c->r, &at, &reason) == AUTHZ_ALLOW || refuse(c, &at, reason);
}

static bool check_name(struct check *c)
{
        const char *user = c->w->name, *ns, *name, *node = c->mode == LEGACY ? NULL : node_of(user);

        if (node) /* whose agent it is does not matter: that it is the agent's own was looked at before */
                return may(c, c->group, "nodes", "", "", c->mode == ASSOCIATED_NODE ? "*" : node);
        if (service_account(c->r->arena, user, &ns, &name))
                return may(c, c->group, "serviceaccounts", "", ns, name);
        return may(c, c->group, "users", "", "", user);
}

/* From so many on, somebody who may have all of them is not asked about each. */
#define MANY 4

static bool check_groups(struct check *c)
{
        struct authz_attributes at = part(c, c->group, "groups", "", "", "");
        const struct wanted *w = c->w;

        if (c->mode != LEGACY && w->n_groups) {
                if (strings_has(w->groups, ""))
                        return refuse(c, &at, "impersonating the empty string group is not allowed");
                at.name = "system:masters";
                if (strings_has(w->groups, at.name))
                        return refuse(c, &at, "impersonating the system:masters group is not allowed");
                if (w->n_groups >= MANY && may(c, c->group, "groups", "", "", "*"))
                        return true;
        }
        for (size_t i = 0; i < w->n_groups; i++) {
                if (!may(c, c->group, "groups", "", "", w->groups[i]))
                        return false;
        }
        return true;
}

static const char *bad_extra(struct arena *a, const struct json *extra)
{
        json_foreach_member(extra, m) {
                struct field_errors errs = { .arena = a };

                if (!*m->key)
                        return "impersonating the empty string key in extra is not allowed";
                name_validate_string(&errs, NAME_DOMAIN_PREFIXED_PATH, "extra.key", m->key);
                if (errs.n)
                        return arena_printf(a, "impersonating an invalid key in extra is not allowed: %s",
                                            field_errors_print(a, &errs));
                if (strpbrk(m->key, "ABCDEFGHIJKLMNOPQRSTUVWXYZ"))
                        return arena_printf(a, "impersonating a non-lowercase key in extra is not allowed: \"%s\"", m->key);
                json_foreach_item(m->value, v) {
                        if (!*json_string(v))
                                return "impersonating the empty string value in extra is not allowed";
                }
        }
        return NULL;
}

static bool check_extra(struct check *c)
{
        static const char group[] = "authentication.k8s.io";
        const struct authz_attributes at = part(c, group, "userextras", "", "", "");
        const struct json *extra = c->w->extra;
        const char *bad;
        size_t n = 0;

        if (c->mode != LEGACY && extra) {
                bad = bad_extra(c->r->arena, extra);
                if (bad)
                        return refuse(c, &at, bad);
                json_foreach_member(extra, m)
                        n += json_len(m->value);
                if (n >= MANY && may(c, group, "userextras", "*", "", "*"))
                        return true;
        }
        json_foreach_member(extra, m) {
                json_foreach_item(m->value, v) {
                        if (!may(c, group, "userextras", m->key, "", json_string(v)))
                                return false;
                }
        }
        return true;
}

/* Each of the parts of who is wanted, one by one. */
static bool check_parts(struct check *c)
{
        return check_name(c) && (str_empty(c->w->uid) || may(c, "authentication.k8s.io", "uids", "", "", c->w->uid)) &&
               check_groups(c) && check_extra(c);
}

/* A service account whose token was made for a pod on that node. */
static bool agent_of(struct api_request *r, const char *node)
{
        const struct json *nodes = json_get(r->real_user.extra, "authentication.kubernetes.io/node-name");
        const char *ns, *name;

        return node && service_account(r->arena, r->real_user.name, &ns, &name) && json_len(nodes) == 1 &&
               streq(json_string(json_at(nodes, 0)), node);
}

/* Nodes and service accounts are what their name says, with nothing added: user-info is for all others. */
static bool applies(const struct check *c)
{
        const struct wanted *w = c->w;
        const char *node = node_of(w->name), *ns, *name;
        bool account = service_account(c->r->arena, w->name, &ns, &name);
        bool plain = str_empty(w->uid) && !w->n_groups && !w->extra;

        switch (c->mode) {
        case ASSOCIATED_NODE:
                return plain && agent_of(c->r, node);
        case ARBITRARY_NODE:
                return plain && node;
        case SERVICE_ACCOUNT:
                return plain && account;
        case USER_INFO:
                return !node && !account;
        default:
                return true;
        }
}

/* True: in. Else the reason is added where there is one. */
static bool check_mode(struct check *c, enum mode mode)
{
        struct api_request *r = c->r;
        const char *reason;

        c->mode = mode;
        c->refused = NULL;
        if (!applies(c))
                return false;
        c->verb = "impersonate";
        c->group = "";
        if (mode != LEGACY) {
                struct authz_attributes at;

                request_attributes(r, &at);
                at.user = &r->real_user;
                at.verb = arena_printf(r->arena, "impersonate-on:%s:%s", mode_names[mode], r->verb);
                if (authorize(r, &at, &reason) != AUTHZ_ALLOW)
                        return refuse(c, &at, reason);
                c->verb = arena_printf(r->arena, "impersonate:%s", mode_names[mode]);
                c->group = "authentication.k8s.io";
        }
        return check_parts(c);
}

/* So many users' last modes are kept; beyond that all are forgotten. */
#define MAX_REMEMBERED 10000

static const struct status *check(struct api_request *r, const struct wanted *w, enum mode *ret_mode)
{
        struct map *last = &the_auth->impersonators;
        const char *who = r->real_user.name;
        size_t before = (size_t)map_get(last, who);
        const struct status *first = NULL;
        struct check c = { .r = r, .w = w };

        if (before && check_mode(&c, before - 1)) {
                *ret_mode = before - 1;
                return NULL;
        }
        first = c.refused;
        for (size_t mode = 0; mode < N_MODES; mode++) {
                if (mode + 1 == before)
                        continue;
                if (check_mode(&c, mode)) {
                        if (last->n >= MAX_REMEMBERED)
                                map_clear(last);
                        map_put(last, who, (void *)(mode + 1));
                        *ret_mode = mode;
                        return NULL;
                }
                first = first ? first : c.refused;
        }
        return first;
}

/* --- whom they become --- */

static const char *const *groups_of(struct api_request *r, const struct wanted *w, enum mode mode)
{
        static const char *const nodes[] = { "system:nodes", NULL };
        const char *ns, *name;

        if (w->n_groups)
                return w->groups;
        if (mode == ASSOCIATED_NODE || mode == ARBITRARY_NODE)
                return nodes;
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
        const char *const *groups, *implied;
        enum mode mode = LEGACY;

        http_header_each(r->http, collect, &w);
        if (!w.any)
                return NULL;
        if (str_empty(w.name))
                return no_user(&w);
        st = check(r, &w, &mode);
        if (st)
                return st;
        groups = groups_of(r, &w, mode);
        implied = streq(w.name, "system:anonymous") ? "system:unauthenticated" : "system:authenticated";
        if (!strings_has(groups, implied) && !strings_has(groups, "system:unauthenticated"))
                groups = strings_with(r->arena, groups, implied);
        r->user = (struct user_info){ .name = w.name, .uid = w.uid ? w.uid : "", .groups = groups, .extra = w.extra };
        return NULL;
}

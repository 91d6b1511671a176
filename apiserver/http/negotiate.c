/* Accept, clause by clause, by weight and then by how specific they are. */
#include "negotiate.h"

#include <strings.h>

#include "../schema/protobuf.h"

#define CLAUSES_MAX 32
#define PRODUCES "application/json, application/yaml, " PROTOBUF_MEDIA_TYPE

struct clause {
        const char *type, *subtype;
        double q;
        const char *as, *group, *version, *stream;
        bool pretty, server_version;
        size_t order;
};

static char *trimmed(struct arena *a, const char *s, size_t len)
{
        while (len && (*s == ' ' || *s == '\t')) {
                s++;
                len--;
        }
        while (len && (s[len - 1] == ' ' || s[len - 1] == '\t'))
                len--;
        return arena_strndup(a, s, len);
}

static void set_param(struct clause *c, const char *name, const char *value)
{
        if (streq(name, "q"))
                c->q = strtod(value, NULL);
        else if (streq(name, "as"))
                c->as = value;
        else if (streq(name, "g"))
                c->group = value;
        else if (streq(name, "v"))
                c->version = value;
        else if (streq(name, "stream"))
                c->stream = value;
        else if (streq(name, "pretty"))
                c->pretty = streq(value, "1");
        else if (streq(name, "sv"))
                c->server_version = *value;
}

static bool parse_clause(struct arena *a, const char *s, size_t len, struct clause *ret)
{
        char *text = trimmed(a, s, len), *params = strchr(text, ';'), *slash;

        *ret = (struct clause){.q = 1, .as = "", .group = "", .version = "", .stream = ""};
        if (params)
                *params++ = '\0';
        slash = strchr(text, '/');
        if (!slash && !streq(text, "*"))
                return false;
        if (slash)
                *slash++ = '\0';
        ret->type = trimmed(a, text, strlen(text));
        ret->subtype = slash ? trimmed(a, slash, strlen(slash)) : "*";
        while (params && *params) {
                size_t n = strcspn(params, ";");
                char *p = trimmed(a, params, n), *eq = strchr(p, '=');
                if (eq) {
                        *eq++ = '\0';
                        set_param(ret, trimmed(a, p, strlen(p)), trimmed(a, eq, strlen(eq)));
                }
                params += n + (params[n] == ';');
        }
        return true;
}

static int clause_cmp(const void *x, const void *y)
{
        const struct clause *a = x, *b = y;

        if (a->q != b->q)
                return a->q > b->q ? -1 : 1;
        if (streq(a->type, "*") != streq(b->type, "*"))
                return streq(a->type, "*") ? 1 : -1;
        if (streq(a->subtype, "*") != streq(b->subtype, "*"))
                return streq(a->subtype, "*") ? 1 : -1;
        return a->order < b->order ? -1 : a->order > b->order;
}

static bool clause_names(const struct clause *c, const char *subtype)
{
        if (streq(c->type, "*"))
                return streq(c->subtype, "*");
        return streq(c->type, "application") && (streq(c->subtype, "*") || streq(c->subtype, subtype));
}

static bool clause_transform(const struct clause *c, unsigned flags, struct media *m)
{
        static const struct {
                const char *as;
                enum media_as is;
        } kinds[] = {{"Table", MEDIA_AS_TABLE},
                     {"PartialObjectMetadata", MEDIA_AS_PARTIAL},
                     {"PartialObjectMetadataList", MEDIA_AS_PARTIAL_LIST}};

        if (!*c->as && !*c->group && !*c->version)
                return true;
        if (!(flags & NEGOTIATE_TRANSFORM) || !streq(c->group, "meta.k8s.io") ||
            (!streq(c->version, "v1") && !streq(c->version, "v1beta1")))
                return false;
        for (size_t i = 0; i < ARRAY_SIZE(kinds); i++)
                if (streq(c->as, kinds[i].as)) {
                        m->as = kinds[i].is;
                        m->version = c->version;
                        return m->as != MEDIA_AS_TABLE || ((flags & NEGOTIATE_TABLE) && m->type != MEDIA_PROTOBUF);
                }
        return false;
}

const struct status *negotiate_route(struct arena *a, const char *accept, const char *produces)
{
        for (const char *s = str_empty(accept) ? "*/*" : accept; ; s += strcspn(s, ",") + 1) {
                const char *type = trimmed(a, s, strcspn(s, ",;")), *at = *type ? strstr(produces, type) : NULL;

                if (streq(type, "*/*") || (at && (at == produces || at[-1] == ' ') && strchr(",;", at[strlen(type)])))
                        return NULL;
                if (!s[strcspn(s, ",")])
                        break;
        }
        return status_make(a, 406, "NotAcceptable", json_new_object(a), "406: Not Acceptable\n\nAvailable representations: %s",
                           produces);
}

/* Takes what CLAUSE and one of our types agree on. */
static bool clause_take(const struct clause *c, enum media_type type, unsigned flags, struct media *ret)
{
        static const char *const subtypes[] = {"json", "yaml", "vnd.kubernetes.protobuf"};
        struct media m = {.type = type, .version = "v1", .pretty = c->pretty};

        if (!clause_names(c, subtypes[type]))
                return false;
        if (*c->stream && (!streq(c->stream, "watch") || type == MEDIA_YAML))
                return false;
        if (c->server_version) /* upstream has that for groups that take several, and none does */
                return false;
        if (!clause_transform(c, flags, &m) || (type == MEDIA_PROTOBUF && (flags & NEGOTIATE_CUSTOM) && m.as == MEDIA_AS_IS))
                return false;
        *ret = m;
        return true;
}

static const struct status *not_acceptable(struct arena *a, const char *accepted)
{
        return status_make(a, 406, "NotAcceptable", NULL, "only the following media types are accepted: %s", accepted);
}

/* The clauses of ACCEPT, in the order in which they are to be tried. */
static size_t parse_clauses(struct arena *a, const char *accept, struct clause *clauses)
{
        size_t n = 0;

        for (const char *s = accept; *s && n < CLAUSES_MAX; s += *s == ',') {
                size_t len = strcspn(s, ",");
                if (parse_clause(a, s, len, &clauses[n])) {
                        clauses[n].order = n;
                        n++;
                }
                s += len;
        }
        qsort(clauses, n, sizeof(*clauses), clause_cmp);
        return n;
}

bool negotiate_discovery(struct arena *a, const char *accept, enum media_type *ret)
{
        static const char *const subtypes[] = {"json", "yaml", "vnd.kubernetes.protobuf"};
        struct clause clauses[CLAUSES_MAX];
        size_t n = parse_clauses(a, accept ? accept : "", clauses);

        for (size_t i = 0; i < n; i++)
                for (enum media_type t = MEDIA_JSON; t <= MEDIA_PROTOBUF; t++) {
                        const struct clause *c = &clauses[i];

                        if (!clause_names(c, subtypes[t]) || !streq(c->as, "APIGroupDiscoveryList") ||
                            !streq(c->group, "apidiscovery.k8s.io") || !streq(c->version, "v2") || c->server_version)
                                continue;
                        *ret = t;
                        return true;
                }
        return false;
}

int negotiate_plain(struct arena *a, const char *accept, const char *const *types)
{
        struct clause clauses[CLAUSES_MAX];
        size_t n = parse_clauses(a, str_empty(accept) ? "*/*" : accept, clauses);

        for (size_t i = 0; i < n; i++)
                for (int t = 0; types[t]; t++)
                        if (clause_names(&clauses[i], strchr(types[t], '/') + 1))
                                return t;
        return -1;
}

const struct status *negotiate_page(struct arena *a, const char *accept, const char *kind, int *ret_type, const char **ret_version)
{
        struct clause clauses[CLAUSES_MAX];
        size_t n = parse_clauses(a, str_empty(accept) ? "text/plain" : accept, clauses);

        for (size_t i = 0; i < n; i++) {
                const struct clause *c = &clauses[i];
                bool any = streq(c->type, "*"), converted = *c->as || *c->group || *c->version;

                for (int t = MEDIA_JSON; t <= MEDIA_YAML; t++)
                        if (converted && clause_names(c, t == MEDIA_JSON ? "json" : "yaml") && streq(c->as, kind) &&
                            streq(c->group, "config.k8s.io") && (streq(c->version, "v1alpha1") || streq(c->version, "v1beta1"))) {
                                *ret_type = t;
                                *ret_version = c->version;
                                return NULL;
                        }
                if (!converted && (any || (streq(c->type, "text") && (streq(c->subtype, "*") || streq(c->subtype, "plain"))))) {
                        *ret_type = -1;
                        return NULL;
                }
        }
        return status_make(a, 406, "NotAcceptable", NULL,
                           "only the following media types are accepted: application/json, application/yaml, text/plain");
}

const struct status *negotiate(struct arena *a, const char *accept, unsigned flags, struct media *ret)
{
        struct clause clauses[CLAUSES_MAX];
        const struct status *st = NULL;
        size_t n;

        *ret = (struct media){.version = "v1"};
        if (flags & NEGOTIATE_ROUTE)
                st = negotiate_route(a, accept, flags & NEGOTIATE_COLLECTION ? PRODUCES ", application/json;stream=watch, "
                                                                               PROTOBUF_MEDIA_TYPE ";stream=watch" : PRODUCES);
        if (st || str_empty(accept))
                return st;
        n = parse_clauses(a, accept, clauses);
        for (size_t i = 0; i < n; i++)
                for (enum media_type t = MEDIA_JSON; t <= MEDIA_PROTOBUF; t++)
                        if (clause_take(&clauses[i], t, flags, ret)) /* what is liked best may be nothing that can be streamed */
                                return t != MEDIA_YAML || !(flags & NEGOTIATE_STREAM) ? NULL :
                                       not_acceptable(a, "application/json;stream=watch, " PROTOBUF_MEDIA_TYPE ";stream=watch");
        return not_acceptable(a, PRODUCES);
}

const char *media_content_type(const struct media *m)
{
        static const char *const types[] = {"application/json", "application/yaml", PROTOBUF_MEDIA_TYPE};

        return types[m->type];
}

/* "; charset=utf-8; x=\"y\"", where nothing may be missing but what follows the last semicolon. */
static bool params_are_valid(const char *s)
{
        static const char separators[] = " \t\"(),/:;<=>?@[\\]{}";

        while (*s == ';') {
                size_t n;

                s += 1 + strspn(s + 1, " \t");
                if (!*s)
                        return true;
                n = strcspn(s, separators);
                if (!n || s[n] != '=')
                        return false;
                s += n + 1;
                if (*s == '"') {
                        for (s++; *s && *s != '"'; s++)
                                s += *s == '\\' && s[1];
                        if (*s++ != '"')
                                return false;
                } else {
                        n = strcspn(s, separators);
                        if (!n)
                                return false;
                        s += n;
                }
                s += strspn(s, " \t");
        }
        return !*s;
}

const char *content_type_base(struct arena *a, const char *content_type)
{
        char *s;

        if (!content_type)
                return "";
        s = trimmed(a, content_type, strcspn(content_type, ";"));
        for (char *p = s; *p; p++)
                if (*p >= 'A' && *p <= 'Z')
                        *p |= 0x20;
        return s;
}

const char *content_type_of_body(struct arena *a, const char *content_type)
{
        const char *base = content_type_base(a, content_type);

        if (str_empty(content_type) || (*base && params_are_valid(content_type + strcspn(content_type, ";"))))
                return base;
        return "?";
}

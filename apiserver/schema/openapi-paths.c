/* The paths of a resource, as OpenAPI path items (openapi-internal.h).
 *
 * Clients read little of them: which media types PATCH takes, whether dryRun and fieldValidation are
 * known, and the group, version and kind behind an operation. So the parameters are tables, one per sort of
 * operation, and operations are generated from the verbs that discovery announces.
 */
#include <assert.h>
#include <ctype.h>
#include <stdio.h>

#include "../../lib/base/base.h"
#include "openapi-internal.h"

#define META_V1 "io.k8s.apimachinery.pkg.apis.meta.v1."

/* All lists of them are sorted by name. */
struct parameter {
        const char *name, *type;
};

static const struct parameter list_parameters[] = {
        { "allowWatchBookmarks", "boolean" }, { "continue", "string" },        { "fieldSelector", "string" },
        { "labelSelector", "string" },        { "limit", "integer" },          { "resourceVersion", "string" },
        { "resourceVersionMatch", "string" }, { "sendInitialEvents", "boolean" }, { "shardSelector", "string" },
        { "timeoutSeconds", "integer" },      { "watch", "boolean" },          { NULL, NULL },
};
static const struct parameter custom_get_parameters[] = { { "resourceVersion", "string" }, { NULL, NULL } };
static const struct parameter write_parameters[] = {
        { "dryRun", "string" }, { "fieldManager", "string" }, { "fieldValidation", "string" }, { NULL, NULL },
};
static const struct parameter patch_parameters[] = {
        { "dryRun", "string" }, { "fieldManager", "string" }, { "fieldValidation", "string" }, { "force", "boolean" },
        { NULL, NULL },
};
static const struct parameter delete_parameters[] = {
        { "dryRun", "string" },
        { "gracePeriodSeconds", "integer" },
        { "ignoreStoreReadErrorWithClusterBreakingPotential", "boolean" },
        { "orphanDependents", "boolean" },
        { "propagationPolicy", "string" },
        { NULL, NULL },
};
static const struct parameter deletecollection_parameters[] = {
        { "continue", "string" },
        { "dryRun", "string" },
        { "fieldSelector", "string" },
        { "gracePeriodSeconds", "integer" },
        { "ignoreStoreReadErrorWithClusterBreakingPotential", "boolean" },
        { "labelSelector", "string" },
        { "limit", "integer" },
        { "orphanDependents", "boolean" },
        { "propagationPolicy", "string" },
        { "resourceVersion", "string" },
        { "resourceVersionMatch", "string" },
        { "sendInitialEvents", "boolean" },
        { "shardSelector", "string" },
        { "timeoutSeconds", "integer" },
        { NULL, NULL },
};
static const struct parameter log_parameters[] = {
        { "container", "string" },     { "follow", "boolean" },    { "insecureSkipTLSVerifyBackend", "boolean" },
        { "limitBytes", "integer" },   { "previous", "boolean" },  { "sinceSeconds", "integer" },
        { "stream", "string" },        { "tailLines", "integer" }, { "timestamps", "boolean" },
        { NULL, NULL },
};
static const struct parameter attach_parameters[] = {
        { "container", "string" }, { "stderr", "boolean" }, { "stdin", "boolean" },
        { "stdout", "boolean" },   { "tty", "boolean" },    { NULL, NULL },
};
static const struct parameter exec_parameters[] = {
        { "command", "string" }, { "container", "string" }, { "stderr", "boolean" }, { "stdin", "boolean" },
        { "stdout", "boolean" }, { "tty", "boolean" },      { NULL, NULL },
};
static const struct parameter portforward_parameters[] = { { "ports", "integer" }, { NULL, NULL } };
static const struct parameter proxy_parameters[] = { { "path", "string" }, { NULL, NULL } };

/* One operation of a path item. */
struct operation {
        const char *method;      /* "get" */
        const char *action;      /* x-kubernetes-action; NULL: none */
        const struct parameter *parameters;
        const char *codes;       /* "200 201": what it answers */
        const char *body;        /* name of the type sent; NULL: none */
        const char *answer;      /* name of the type that comes back; NULL: a string */
        enum { ANSWER_OBJECT, ANSWER_LIST, ANSWER_TEXT, ANSWER_LOG } media;
        const char *verb;        /* of its id; NULL: that of the action */
};

#define MAX_OPERATIONS 8 /* of one path: HTTP has no more methods */

/* Where operations are: what all of one path share. */
struct place {
        struct openapi_doc *doc;
        const struct resource *res;
        const char *path;
        bool namespaced, named, pretty;
        bool with_path;              /* .../proxy/{path} */
        const char *group, *version, *kind; /* of the body */
        const char *camel, *id;      /* of operation ids: "AppsV1", and what follows */
        const char *tag;
        const char *produces;        /* of a plain path: its only media type; NULL: as others */
        bool connect;                /* ids of operations say the method too */
        struct operation operations[MAX_OPERATIONS];
        unsigned n;
};

static void write_parameter(struct place *p, const char *name, const char *type, const char *in, bool *first)
{
        struct strbuf *out = p->doc->out;

        strbuf_printf(out, "%s{\"name\":\"%s\",\"in\":\"%s\"%s,", *first ? "" : ",", name, in,
                      streq(in, "path") ? ",\"required\":true" : "");
        if (p->doc->v2)
                strbuf_printf(out, "\"type\":\"%s\",\"uniqueItems\":true}", type);
        else
                strbuf_printf(out, "\"schema\":{\"type\":\"%s\",\"uniqueItems\":true}}", type);
        *first = false;
}

static bool has_parameter(const struct operation *op, const char *name)
{
        for (const struct parameter *q = op->parameters; q && q->name; q++)
                if (streq(q->name, name))
                        return true;
        return false;
}

/* What every operation of a path takes is said once, for the path. */
static bool is_shared(const struct place *p, const char *name)
{
        for (unsigned i = 0; i < p->n; i++)
                if (!has_parameter(&p->operations[i], name))
                        return false;
        return true;
}

/* Sorted by name; one in the path stands before one in the query. */
static void write_shared_parameters(struct place *p)
{
        const struct {
                const char *name, *in;
                bool there;
        } own[] = {
                { "name", "path", p->named },
                { "namespace", "path", p->namespaced },
                { "path", "path", p->with_path },
                { "pretty", "query", p->pretty },
        };
        const struct parameter *q = p->operations[0].parameters;
        bool first = true;

        strbuf_puts(p->doc->out, "\"parameters\":[");
        for (size_t i = 0;;) {
                while (i < ARRAY_SIZE(own) && !own[i].there)
                        i++;
                while (q && q->name && !is_shared(p, q->name))
                        q++;
                if (i < ARRAY_SIZE(own) && !(q && q->name && strcmp(q->name, own[i].name) < 0)) {
                        write_parameter(p, own[i].name, "string", own[i].in, &first);
                        i++;
                } else if (q && q->name) {
                        write_parameter(p, q->name, q->type, "query", &first);
                        q++;
                } else {
                        break;
                }
        }
        strbuf_puts(p->doc->out, "],");
        if (first) /* none */
                p->doc->out->len -= strlen("\"parameters\":[],");
}

static void write_media(struct strbuf *out, const struct place *p, const struct operation *op)
{
        static const char *const object[] = { "application/json", "application/yaml", "application/vnd.kubernetes.protobuf", NULL };
        static const char *const list[] = { "application/json", "application/yaml", "application/vnd.kubernetes.protobuf",
                                            "application/json;stream=watch",
                                            "application/vnd.kubernetes.protobuf;stream=watch", NULL };
        static const char *const custom[] = { "application/json", "application/yaml", NULL };
        static const char *const text[] = { "*/*", NULL };
        static const char *const log[] = { "text/plain", "application/json", "application/yaml",
                                           "application/vnd.kubernetes.protobuf", NULL };
        const char *const one[] = { p->produces, NULL };
        const char *const *types = p->produces ? one : op->media == ANSWER_TEXT ? text : op->media == ANSWER_LOG ? log
                                   : p->res && p->res->crd  ? custom
                                   : op->media == ANSWER_LIST ? list : object;

        for (size_t i = 0; types[i]; i++) {
                if (i)
                        strbuf_putc(out, ',');
                if (p->doc->v2) {
                        strbuf_printf(out, "\"%s\"", types[i]);
                        continue;
                }
                strbuf_printf(out, "\"%s\":{\"schema\":", types[i]);
                if (op->answer)
                        openapi_ref(p->doc, op->answer);
                else
                        strbuf_puts(out, "{\"type\":\"string\"}");
                strbuf_putc(out, '}');
        }
}

static const char *code_text(const char *code)
{
        return code[2] == '1' ? "Created" : code[2] == '2' ? "Accepted" : "OK";
}

static void write_responses(struct place *p, const struct operation *op)
{
        struct strbuf *out = p->doc->out;

        strbuf_puts(out, "\"responses\":{");
        for (const char *code = op->codes; *code; code += code[3] ? 4 : 3) {
                strbuf_printf(out, "\"%.3s\":{\"description\":\"%s\",", code, code_text(code));
                if (p->doc->v2) {
                        strbuf_puts(out, "\"schema\":");
                        if (op->answer)
                                openapi_ref(p->doc, op->answer);
                        else
                                strbuf_puts(out, "{\"type\":\"string\"}");
                } else {
                        strbuf_puts(out, "\"content\":{");
                        write_media(out, p, op);
                        strbuf_putc(out, '}');
                }
                strbuf_puts(out, "},");
        }
        strbuf_puts(out, "\"401\":{\"description\":\"Unauthorized\"}}");
}

static const char *const patch_types[] = { "application/json-patch+json", "application/merge-patch+json",
                                           "application/strategic-merge-patch+json", "application/apply-patch+yaml", NULL };

static void write_body(struct place *p, const struct operation *op)
{
        static const char *const any[] = { "*/*", NULL }, *const custom[] = { "application/json", "application/yaml", NULL };
        const char *const *types = streq(op->method, "patch") ? patch_types : p->res && p->res->crd ? custom : any;
        struct strbuf *out = p->doc->out;

        strbuf_puts(out, p->doc->v2 ? "\"consumes\":[" : "\"requestBody\":{\"content\":{");
        for (size_t i = 0; types[i]; i++) {
                if (p->res && p->res->crd && strstr(types[i], "strategic"))
                        continue; /* custom resources have no merge keys */
                strbuf_printf(out, "%s\"%s\"", i ? "," : "", types[i]);
                if (!p->doc->v2) {
                        strbuf_puts(out, ":{\"schema\":");
                        openapi_ref(p->doc, op->body);
                        strbuf_putc(out, '}');
                }
        }
        strbuf_puts(out, p->doc->v2 ? "]," : streq(op->method, "delete") ? "}}," : "},\"required\":true},");
}

/* "readCoreV1NamespacedPod": generators of clients name their functions by it. A verb of two words has the second one
 * behind the group. */
static void write_id(struct place *p, const struct operation *op)
{
        static const struct {
                const char *action, *verb, *second;
        } verbs[] = {
                { "get", "read", "" },        { "post", "create", "" },
                { "put", "replace", "" },     { "deletecollection", "delete", "Collection" },
                { "watchlist", "watch", "" },
        };
        const char *verb = op->verb ? op->verb : op->action, *second = "";

        for (size_t i = 0; !op->verb && i < ARRAY_SIZE(verbs); i++)
                if (streq(op->action, verbs[i].action)) {
                        verb = verbs[i].verb;
                        second = verbs[i].second;
                }
        strbuf_printf(p->doc->out, "\"operationId\":\"%s%s%s", verb, p->camel, second);
        if (p->connect)
                strbuf_printf(p->doc->out, "%c%s", toupper((unsigned char)op->method[0]), op->method + 1);
        strbuf_printf(p->doc->out, "%s\",\"tags\":[\"%s\"],", p->id, p->tag);
}

static void put_parameters(struct place *p, const struct operation *op)
{
        struct strbuf *out = p->doc->out;
        bool body = p->doc->v2 && op->body, first = !body, any = body;

        for (const struct parameter *q = op->parameters; q && q->name; q++)
                any |= !is_shared(p, q->name);
        if (!any)
                return;
        strbuf_puts(out, "\"parameters\":[");
        if (body) {
                strbuf_printf(out, "{\"name\":\"body\",\"in\":\"body\",%s\"schema\":",
                              streq(op->method, "delete") ? "" : "\"required\":true,");
                openapi_ref(p->doc, op->body);
                strbuf_putc(out, '}');
        }
        for (const struct parameter *q = op->parameters; q && q->name; q++)
                if (!is_shared(p, q->name))
                        write_parameter(p, q->name, q->type, "query", &first);
        strbuf_puts(out, "],");
}

static void add_operation(struct place *p, const struct operation *op)
{
        assert(p->n < MAX_OPERATIONS);
        p->operations[p->n++] = *op;
}

static void write_operation(struct place *p, const struct operation *op)
{
        struct strbuf *out = p->doc->out;

        strbuf_printf(out, "\"%s\":{", op->method);
        write_id(p, op);
        if (op->body)
                write_body(p, op);
        if (p->doc->v2) {
                bool plain = op->verb, json = p->produces && streq(p->produces, "application/json");

                if (plain && (!p->produces || (json && streq(p->tag, "version")))) {
                        strbuf_puts(out, "\"consumes\":[");
                        write_media(out, p, op);
                        strbuf_puts(out, "],");
                } else if (!plain && !op->body) {
                        strbuf_puts(out, p->res && p->res->crd ? "\"consumes\":[\"application/json\",\"application/yaml\"]," :
                                                                 "\"consumes\":[\"*/*\"],");
                }
                strbuf_puts(out, "\"produces\":[");
                write_media(out, p, op);
                strbuf_puts(out, "],\"schemes\":[\"https\"],");
        }
        put_parameters(p, op);
        write_responses(p, op);
        if (op->action)
                strbuf_printf(out, ",\"x-kubernetes-action\":\"%s\",\"x-kubernetes-group-version-kind\":"
                                   "{\"group\":\"%s\",\"kind\":\"%s\",\"version\":\"%s\"}",
                              op->action, p->group, p->kind, p->version);
        strbuf_putc(out, '}');
}

static void end_path(struct place *p, openapi_path_fn *fn, void *userdata)
{
        if (!p->n)
                return;
        strbuf_reset(p->doc->out);
        strbuf_putc(p->doc->out, '{');
        write_shared_parameters(p);
        for (unsigned i = 0; i < p->n; i++) {
                if (i)
                        strbuf_putc(p->doc->out, ',');
                write_operation(p, &p->operations[i]);
        }
        strbuf_putc(p->doc->out, '}');
        fn(p->path, strbuf_str(p->doc->out), p->doc->out->len, userdata);
}

/* --- names --- */

/* Words of S, up to LEN, as one: "rbac.authorization" -> "RbacAuthorization", or with a small letter in front. */
static size_t camel(const char *s, size_t len, bool up, char *buf, size_t size)
{
        size_t n = 0;

        for (size_t i = 0; i < len && n + 1 < size; i++) {
                if (!isalnum((unsigned char)s[i])) {
                        up = true;
                        continue;
                }
                buf[n++] = up ? toupper((unsigned char)s[i]) : s[i];
                up = false;
        }
        buf[n] = '\0';
        return n;
}

/* "apps", "v1" -> "AppsV1", "apps_v1"; VERSION may be "" */
static void name_group(const char *group, const char *version, char *ret_camel, char *ret_tag, size_t size)
{
        size_t len = str_has_suffix(group, ".k8s.io") ? strlen(group) - strlen(".k8s.io") : strlen(group), n;

        if (!*group) {
                group = "core";
                len = strlen(group);
        }
        n = camel(group, len, true, ret_camel, size);
        camel(version, strlen(version), true, ret_camel + n, size - n);
        n = camel(group, len, false, ret_tag, size);
        if (*version && n + 1 < size) {
                ret_tag[n++] = '_';
                camel(version, strlen(version), false, ret_tag + n, size - n);
        }
}

/* The definition names of a resource's object and list. */
static void type_name(const struct resource *res, bool list, char *buf, size_t size)
{
        if (res->crd || !res->schema || !res->schema->name)
                openapi_custom_name(res, list, buf, size);
        else
                snprintf(buf, size, "%s%s", res->schema->name, list ? "List" : "");
}

static bool has_verb(const char *const *verbs, const char *verb)
{
        for (; *verbs; verbs++)
                if (streq(*verbs, verb))
                        return true;
        return false;
}

/* --- the paths of a resource --- */

struct names {
        char object[512], list[512], camel[256], tag[256], id[512], path[1024], root[600];
};

static void start(struct place *p, struct openapi_doc *doc, const struct resource *res, struct names *n, const char *id_suffix)
{
        snprintf(n->id, sizeof(n->id), "%s%s%s", p->namespaced ? "Namespaced" : "", res->kind, id_suffix);
        p->doc = doc;
        p->res = res;
        p->path = n->path;
        p->pretty = true;
        p->group = res->group;
        p->version = res->version;
        p->kind = res->kind;
        p->camel = n->camel;
        p->tag = n->tag;
        p->id = n->id;
}

#define OBJECT(m, a, q, c, b, r) (&(struct operation){ m, a, q, c, b, r, ANSWER_OBJECT, NULL })
#define LIST(a, r) (&(struct operation){ "get", a, list_parameters, "200", NULL, r, ANSWER_LIST, NULL })

static void collection_path(struct openapi_doc *doc, const struct resource *res, struct names *n, bool namespaced,
                            openapi_path_fn *fn, void *userdata)
{
        struct place p = { .namespaced = namespaced };
        bool all = res->namespaced && !namespaced;

        snprintf(n->path, sizeof(n->path), "%s%s%s", n->root, namespaced ? "/namespaces/{namespace}/" : "/", res->name);
        start(&p, doc, res, n, all ? "ForAllNamespaces" : "");
        if (has_verb(res->verbs, "list"))
                add_operation(&p, LIST("list", n->list));
        if (!all && has_verb(res->verbs, "create"))
                add_operation(&p, OBJECT("post", "post", write_parameters, "200 201 202", n->object, n->object));
        if (!all && has_verb(res->verbs, "deletecollection"))
                add_operation(&p, OBJECT("delete", "deletecollection", res->crd ? list_parameters : deletecollection_parameters, "200",
                                         res->crd ? NULL : META_V1 "DeleteOptions", META_V1 "Status"));
        end_path(&p, fn, userdata);
}

static void object_path(struct openapi_doc *doc, const struct resource *res, struct names *n, openapi_path_fn *fn,
                        void *userdata)
{
        struct place p = { .namespaced = res->namespaced, .named = true };

        snprintf(n->path, sizeof(n->path), "%s%s%s/{name}", n->root, res->namespaced ? "/namespaces/{namespace}/" : "/",
                 res->name);
        start(&p, doc, res, n, "");
        if (has_verb(res->verbs, "get"))
                add_operation(&p, OBJECT("get", "get", res->crd ? custom_get_parameters : NULL, "200", NULL, n->object));
        if (has_verb(res->verbs, "update"))
                add_operation(&p, OBJECT("put", "put", write_parameters, "200 201", n->object, n->object));
        if (has_verb(res->verbs, "delete"))
                add_operation(&p, OBJECT("delete", "delete", delete_parameters, "200 202", META_V1 "DeleteOptions",
                                           res->delete_returns_object && !streq(res->name, "namespaces") ? n->object :
                                           META_V1 "Status"));
        if (has_verb(res->verbs, "patch"))
                add_operation(&p, OBJECT("patch", "patch", patch_parameters, res->crd ? "200" : "200 201", META_V1 "Patch", n->object));
        end_path(&p, fn, userdata);
}

static void watch_paths(struct openapi_doc *doc, const struct resource *res, struct names *n, openapi_path_fn *fn,
                        void *userdata)
{
        static const char *const namespaced[] = { "/watch/%s", "/watch/namespaces/{namespace}/%s",
                                                  "/watch/namespaces/{namespace}/%s/{name}" };
        static const char *const cluster[] = { "/watch/%s", "/watch/%s/{name}" };
        const char *const *forms = res->namespaced ? namespaced : cluster;

        if (!has_verb(res->verbs, "watch") || res->crd)
                return;
        for (size_t i = 0; i < (res->namespaced ? ARRAY_SIZE(namespaced) : ARRAY_SIZE(cluster)); i++) {
                bool named = strstr(forms[i], "{name}");
                struct place p = { .namespaced = strstr(forms[i], "{namespace}"), .named = named };

                start(&p, doc, res, n, named ? "" : res->namespaced && !i ? "ListForAllNamespaces" : "List");
                snprintf(n->path, sizeof(n->path), "%s", n->root);
                snprintf(n->path + strlen(n->path), sizeof(n->path) - strlen(n->path), forms[i], res->name);
                add_operation(&p, LIST(named ? "watch" : "watchlist", META_V1 "WatchEvent"));
                end_path(&p, fn, userdata);
        }
}

static const struct parameter *connect_parameters(const char *sub)
{
        return streq(sub, "exec")          ? exec_parameters
               : streq(sub, "attach")      ? attach_parameters
               : streq(sub, "portforward") ? portforward_parameters
               : streq(sub, "proxy")       ? proxy_parameters
                                           : NULL;
}

static void connect_path(struct openapi_doc *doc, const struct resource *res, const struct subresource *s, struct names *n,
                         bool with_path, openapi_path_fn *fn, void *userdata)
{
        static const char *const all[] = { "get", "put", "post", "delete", "options", "head", "patch" };
        static const char *const two[] = { "get", "post" };
        const char *const *methods = streq(s->name, "proxy") ? all : two;
        struct place p = { .namespaced = res->namespaced, .named = true, .with_path = with_path };
        char suffix[128];

        snprintf(suffix, sizeof(suffix), "%c%s%s", toupper((unsigned char)s->name[0]), s->name + 1, with_path ? "WithPath" : "");
        start(&p, doc, res, n, suffix);
        p.pretty = false;
        p.connect = true;
        p.kind = s->kind;
        for (size_t i = 0; i < (methods == all ? ARRAY_SIZE(all) : ARRAY_SIZE(two)); i++) {
                struct operation op = { methods[i], "connect", connect_parameters(s->name), "200", NULL, NULL, ANSWER_TEXT, NULL };

                add_operation(&p, &op);
        }
        end_path(&p, fn, userdata);
}

static void subresource_path(struct openapi_doc *doc, const struct resource *res, const struct subresource *s,
                             struct names *n, openapi_path_fn *fn, void *userdata)
{
        struct place p = { .namespaced = res->namespaced, .named = true };
        char gv[256], suffix[128], object[512];
        const struct schema *body;

        snprintf(n->path, sizeof(n->path), "%s%s%s/{name}/%s", n->root, res->namespaced ? "/namespaces/{namespace}/" : "/",
                 res->name, s->name);
        if (connect_parameters(s->name)) {
                connect_path(doc, res, s, n, false, fn, userdata);
                if (streq(s->name, "proxy")) {
                        snprintf(n->path + strlen(n->path), sizeof(n->path) - strlen(n->path), "/{path}");
                        connect_path(doc, res, s, n, true, fn, userdata);
                }
                return;
        }
        snprintf(suffix, sizeof(suffix), "%c%s", toupper((unsigned char)s->name[0]), s->name + 1);
        start(&p, doc, res, n, suffix);
        if (!res->crd) { /* operations on a custom resource all bear its own kind */
                p.group = s->group;
                p.version = s->version;
                p.kind = s->kind;
        }
        snprintf(gv, sizeof(gv), "%s%s%s", s->group, s->group[0] ? "/" : "", s->version);
        body = streq(s->kind, res->kind) ? NULL : builtin_body(gv, s->kind);
        snprintf(object, sizeof(object), "%s", body ? body->name : n->object);
        if (has_verb(s->verbs, "get")) {
                struct operation log = { "get", "get", log_parameters, "200", NULL, NULL, ANSWER_LOG, NULL };

                add_operation(&p, streq(s->name, "log") ? &log
                                  : OBJECT("get", "get", res->crd ? custom_get_parameters : NULL, "200", NULL, object));
        }
        if (has_verb(s->verbs, "update"))
                add_operation(&p, OBJECT("put", "put", write_parameters, "200 201", object, object));
        if (has_verb(s->verbs, "create"))
                add_operation(&p, OBJECT("post", "post", write_parameters, "200 201 202", object, object));
        if (has_verb(s->verbs, "patch"))
                add_operation(&p, OBJECT("patch", "patch", patch_parameters, res->crd ? "200" : "200 201", META_V1 "Patch", object));
        end_path(&p, fn, userdata);
}

void openapi_resource_paths(struct openapi_doc *doc, const struct resource *res, openapi_path_fn *fn, void *userdata)
{
        struct names n;

        if (res->group[0])
                snprintf(n.root, sizeof(n.root), "/apis/%s/%s", res->group, res->version);
        else
                snprintf(n.root, sizeof(n.root), "/api/%s", res->version);
        name_group(res->group, res->version, n.camel, n.tag, sizeof(n.tag));
        type_name(res, false, n.object, sizeof(n.object));
        type_name(res, true, n.list, sizeof(n.list));
        collection_path(doc, res, &n, res->namespaced, fn, userdata);
        if (res->namespaced)
                collection_path(doc, res, &n, false, fn, userdata);
        object_path(doc, res, &n, fn, userdata);
        for (unsigned i = 0; i < res->n_subresources; i++)
                subresource_path(doc, res, &res->subresources[i], &n, fn, userdata);
        watch_paths(doc, res, &n, fn, userdata);
}

void openapi_plain_path(struct openapi_doc *doc, const struct openapi_plain *x, openapi_path_fn *fn, void *userdata)
{
        struct place p = { .doc = doc, .path = x->path, .camel = "", .id = x->id, .tag = x->tag, .produces = x->produces };
        struct operation op = { "get", NULL, NULL, "200", NULL, x->type, ANSWER_OBJECT, "get" };

        add_operation(&p, &op);
        end_path(&p, fn, userdata);
}

void openapi_group_path(struct openapi_doc *doc, const char *group, const char *version, openapi_path_fn *fn, void *userdata)
{
        char words[256], tag[256], id[300], path[600];
        struct openapi_plain x = { path, NULL, id, tag, NULL };

        name_group(group, version, words, tag, sizeof(words));
        snprintf(id, sizeof(id), "%s%s", words, *version ? "APIResources" : "APIGroup");
        snprintf(path, sizeof(path), "%s%s%s%s/", *group ? "/apis/" : "/api", group, *version ? "/" : "", version);
        x.type = *version ? META_V1 "APIResourceList" : META_V1 "APIGroup";
        openapi_plain_path(doc, &x, fn, userdata);
}

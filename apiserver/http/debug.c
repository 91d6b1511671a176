/* What people ask a server that behaves oddly: debug.h.
 *
 * /statusz and /flagz are upstream's of v1.36, as text or as objects of config.k8s.io. Profiles are Go's own and cannot
 * be had here: their index is empty, and asking for one says so. perf and gdb do better.
 */
#include "debug.h"

#include <time.h>

#include "../../lib/base/log.h"
#include "../../lib/base/time.h"
#include "../flow/flow.h"
#include "../schema/version.h"
#include "answer.h"

#define WARNING "Warning: This endpoint is not meant to be machine parseable, has no formatting compatibility guarantees and is for debugging purposes only.\n"
#define TEXT "text/plain; charset=utf-8"

/* In the one or the other form. */
static void answer_page(struct api_request *r, int type, const char *version, const char *kind, const struct json *obj)
{
        const char *const old[] = {"Warning", arena_printf(r->arena, "299 - \"This version of the %s endpoint is deprecated. Please use a newer version.\"",
                                                           streq(kind, "Flagz") ? "flagz" : "statusz"), NULL};
        _cleanup_strbuf_ struct strbuf b = STRBUF_INIT;

        if (type == MEDIA_YAML) {
                yaml_write(&b, obj);
        } else {
                json_write(&b, obj);
                strbuf_putc(&b, '\n');
        }
        answer_buffer(r, 200, type == MEDIA_YAML ? "application/yaml" : "application/json", buffer_new_copy(strbuf_str(&b), b.len),
                      streq(version, "v1alpha1") ? old : NULL);
}

static struct json *page_object(struct api_request *r, const char *kind, const char *version)
{
        struct json *obj = json_new_object(r->arena), *meta = json_new_object(r->arena);

        json_set_string(r->arena, obj, "kind", kind);
        json_set_string(r->arena, obj, "apiVersion", arena_printf(r->arena, "config.k8s.io/%s", version));
        json_set(r->arena, obj, "metadata", meta);
        json_set_string(r->arena, meta, "name", "apiserver");
        return obj;
}

static void serve_statusz(struct api_request *r, int type, const char *version)
{
        static const char *const paths[] = {"/flagz", "/healthz", "/livez", "/metrics", "/readyz", "/statusz", "/version"};
        time_t started = r->server->started / NS_PER_SEC;
        long long up = (time_real() - r->server->started) / NS_PER_SEC;
        _cleanup_strbuf_ struct strbuf b = STRBUF_INIT;
        struct json *obj, *list;
        char when[64];
        struct tm tm;

        if (type >= 0) {
                obj = page_object(r, "Statusz", version);
                json_set_string(r->arena, obj, "startTime", time_format(r->server->started, when));
                json_set_int(r->arena, obj, "uptimeSeconds", up);
                json_set_string(r->arena, obj, "goVersion", "");
                json_set_string(r->arena, obj, "binaryVersion", VERSION_MAJOR "." VERSION_MINOR);
                json_set_string(r->arena, obj, "emulationVersion", VERSION_MAJOR "." VERSION_MINOR);
                list = json_ensure_array(r->arena, obj, "paths");
                for (size_t i = 0; i < ARRAY_SIZE(paths); i++)
                        json_append(r->arena, list, json_new_string(r->arena, paths[i]));
                answer_page(r, type, version, "Statusz", obj);
                return;
        }
        strftime(when, sizeof(when), "%a %b %e %H:%M:%S UTC %Y", gmtime_r(&started, &tm));
        strbuf_printf(&b, "\napiserver statusz\n" WARNING "\nStarted: %s\nUp: %lld hr %02lld min %02lld sec\nGo version: \n"
                          "Binary version: %s\nEmulation version: %s\nPaths:", when, up / 3600, up / 60 % 60, up % 60,
                      VERSION_MAJOR "." VERSION_MINOR, VERSION_MAJOR "." VERSION_MINOR);
        for (size_t i = 0; i < ARRAY_SIZE(paths); i++)
                strbuf_printf(&b, " %s", paths[i]);
        strbuf_putc(&b, '\n');
        answer_buffer(r, 200, TEXT, buffer_new_copy(b.data, b.len), NULL);
}

static int by_text(const void *a, const void *b)
{
        return strcmp(*(const char *const *)a, *(const char *const *)b);
}

/* "name=value" of each, sorted; *ret_n of them. */
static const char **flag_lines(struct api_request *r, size_t *ret_n)
{
        const char **lines;
        size_t n = 0;

        for (char **arg = r->server->flags; arg && *arg; arg++)
                n++;
        lines = arena_alloc(r->arena, (n + 1) * sizeof(*lines));
        n = 0;
        for (char **arg = r->server->flags; arg && *arg; arg++) {
                const char *name = *arg + strspn(*arg, "-");

                if (**arg == '-') /* else the value of the one before */
                        lines[n++] = strchr(name, '=') ? name : arena_printf(r->arena, "%s=%s", name, arg[1] && arg[1][0] != '-' ? arg[1] : "true");
        }
        if (n)
                qsort(lines, n, sizeof(*lines), by_text);
        *ret_n = n;
        return lines;
}

static void serve_flagz(struct api_request *r, int type, const char *version)
{
        _cleanup_strbuf_ struct strbuf b = STRBUF_INIT;
        struct json *obj = page_object(r, "Flagz", version ? version : ""), *flags = json_new_object(r->arena);
        size_t n;
        const char **lines = flag_lines(r, &n);

        strbuf_puts(&b, "\napiserver flagz\n" WARNING);
        for (size_t i = 0; i < n; i++) {
                const char *eq = strchr(lines[i], '=');

                strbuf_printf(&b, "%s\n", lines[i]);
                json_set_string(r->arena, flags, arena_strndup(r->arena, lines[i], eq - lines[i]), eq + 1);
        }
        json_set(r->arena, obj, "flags", flags);
        if (type >= 0)
                answer_page(r, type, version, "Flagz", obj);
        else
                answer_buffer(r, 200, TEXT, buffer_new_copy(b.data, b.len), NULL);
}

static void serve_page(struct api_request *r, const char *kind, void (*fn)(struct api_request *r, int type, const char *version))
{
        const char *version = NULL;
        int type = -1;
        const struct status *st = negotiate_page(r->arena, http_header(r->http, "Accept"), kind, &type, &version);

        if (st)
                answer_status(r, st);
        else
                fn(r, type, version);
}

static void serve_profiles(struct api_request *r, const char *name)
{
        static const char *const headers[] = {"X-Content-Type-Options", "nosniff", "X-Go-Pprof", "1", NULL};
        static const char index[] = "<html>\n<head>\n<title>/debug/pprof/</title>\n</head>\n<body>\n/debug/pprof/\n<p>This server is not "
                                    "written in Go and has no Go profiles. Use perf or gdb on colibri-apiserver.</p>\n</body>\n</html>\n";
        static const char unknown[] = "Unknown profile\n";

        if (*name)
                answer_buffer(r, 404, TEXT, buffer_new_copy(unknown, sizeof(unknown) - 1), headers);
        else
                answer_buffer(r, 200, "text/html; charset=utf-8", buffer_new_copy(index, sizeof(index) - 1), NULL);
}

static void serve_fairness(struct api_request *r, const char *what)
{
        _cleanup_strbuf_ struct strbuf b = STRBUF_INIT;
        const char *details = http_query(r->http, "includeRequestDetails");

        if (flow_dump(what, !str_empty(details), &b))
                answer_buffer(r, 200, TEXT, buffer_new_copy(strbuf_str(&b), b.len), NULL);
        else
                answer_text(r, 404, TEXT, "404 page not found\n");
}

/* How much is logged may be changed while the server runs: PUT a number, as upstream's -v. */
static void serve_verbosity(struct api_request *r)
{
        static const char *const plain[] = {"X-Content-Type-Options", "nosniff", NULL};
        bool number = r->http->body_len && strspn(r->http->body, "0123456789") == r->http->body_len && r->http->body_len < 10;
        const char *text;
        unsigned code = 200;

        if (!streq(r->http->method, "PUT")) {
                code = 406;
                text = "unsupported http method\n";
        } else if (!number) {
                code = 400;
                text = arena_printf(r->arena, "failed set klog.logging.verbosity %s: strconv.ParseInt: parsing \"%s\": invalid syntax\n",
                                    r->http->body, r->http->body);
        } else {
                log_init("apiserver", atoi(r->http->body) >= 4 ? LOG_LEVEL_DEBUG : LOG_LEVEL_INFO);
                text = arena_printf(r->arena, "successfully set klog.logging.verbosity to %s\n", r->http->body);
        }
        answer_buffer(r, code, "text/plain", buffer_new_copy(text, strlen(text)), plain);
}

static void serve_flags_index(struct api_request *r)
{
        static const char index[] = "<html>\n<head>\n<title>/debug/flags/</title>\n</head>\n<body>\n/debug/flags/<br>\n<br>\nflags:<br>\n"
                                    "<table>\n<tr>v<br>\n</table>\n<br>\nfull flags configurable<br>\n</body>\n</html>\n";

        answer_buffer(r, 200, "text/html; charset=utf-8", buffer_new_copy(index, sizeof(index) - 1), NULL);
}

bool debug_handle(struct api_request *r)
{
        static const char profiles[] = "/debug/pprof/", fairness[] = "/debug/api_priority_and_fairness/";
        static const char *const there[] = {"Location", profiles, NULL};
        static const char found[] = "<a href=\"/debug/pprof/\">Found</a>.\n\n";
        const char *path = r->path;
        bool get = streq(r->http->method, "GET");

        if (streq(path, "/statusz"))
                serve_page(r, "Statusz", serve_statusz);
        else if (streq(path, "/flagz"))
                serve_page(r, "Flagz", serve_flagz);
        else if (streq(path, "/debug/pprof"))
                answer_buffer(r, 302, get || streq(r->http->method, "HEAD") ? "text/html; charset=utf-8" : NULL,
                              buffer_new_copy(found, get ? sizeof(found) - 1 : 0), there);
        else if (str_has_prefix(path, profiles))
                serve_profiles(r, path + sizeof(profiles) - 1);
        else if (streq(path, "/debug/flags/v"))
                serve_verbosity(r);
        else if (streq(path, "/debug/flags") || str_has_prefix(path, "/debug/flags/"))
                serve_flags_index(r);
        else if (str_has_prefix(path, fairness))
                serve_fairness(r, path + sizeof(fairness) - 1);
        else
                return false;
        return true;
}

/* Where a webhook is called (webhook-client.h), in the words of Go's parser of URLs. */
#include "webhook-client.h"

#include <ctype.h>

#include "names.h"

#define FORM "; desired format: https://host[/path]"

static void invalid(struct field_errors *errs, const char *path, const char *value, const char *detail)
{
        field_error_add(errs, FIELD_INVALID, path, json_new_string(errs->arena, value), "%s", detail);
}

/* What Go's parser says of a host and its port; NULL: nothing. */
static const char *bad_host(struct arena *a, const char *host)
{
        const char *port = strrchr(host, ':');

        for (const char *p = host; *p; p++) {
                if ((unsigned char)*p < 0x20 || *p == 0x7f)
                        return "net/url: invalid control character in URL";
                if ((unsigned char)*p < 0x80 && *p != '%' && !isalnum((unsigned char)*p) && !strchr("-_.~!$&'()*+,;=:[]<>\"", *p))
                        return arena_printf(a, "invalid character \"%c\" in host name", *p);
        }
        if (port && !strchr(port, ']') && port[strspn(port + 1, "0123456789") + 1])
                return arena_printf(a, "invalid port \"%s\" after host", port);
        return NULL;
}

struct url {
        const char *scheme, *user, *host, *query, *fragment; /* NULL or "": absent */
};

/* NULL, or what Go's parser says. */
static const char *parse(struct arena *a, const char *s, struct url *ret)
{
        const char *colon = strchr(s, ':'), *rest = s, *at;

        *ret = (struct url){ .scheme = "", .host = "", .query = strchr(s, '?'), .fragment = strchr(s, '#') };
        if (colon == s)
                return "missing protocol scheme";
        if (colon && isalpha((unsigned char)*s) && !memchr(s, '/', (size_t)(colon - s))) {
                ret->scheme = arena_strndup(a, s, (size_t)(colon - s));
                rest = colon + 1;
        }
        if (rest[0] == '/' && rest[1] == '/') {
                ret->host = arena_strndup(a, rest + 2, strcspn(rest + 2, "/?#"));
                at = strrchr(ret->host, '@');
                if (at) {
                        ret->user = arena_strndup(a, ret->host, (size_t)(at - ret->host));
                        ret->host = at + 1;
                }
        }
        if (ret->query && ret->fragment && ret->query > ret->fragment)
                ret->query = NULL;
        return bad_host(a, ret->host);
}

void webhook_check_url(struct field_errors *errs, const char *path, const char *s)
{
        struct url url;
        const char *wrong = parse(errs->arena, s, &url);

        if (wrong) {
                field_error_add(errs, FIELD_REQUIRED, path, NULL, "url must be a valid URL: parse \"%s\": %s" FORM, s, wrong);
                return;
        }
        if (!streq(url.scheme, "https"))
                invalid(errs, path, url.scheme, "'https' is the only allowed URL scheme" FORM);
        if (!*url.host)
                invalid(errs, path, "", "host must be specified" FORM);
        if (url.user)
                invalid(errs, path, url.user, "user information is not permitted in the URL");
        if (url.fragment && url.fragment[1])
                invalid(errs, path, url.fragment + 1, "fragments are not permitted in the URL");
        if (url.query && url.query[1] && url.query[1] != '#')
                invalid(errs, path, arena_strndup(errs->arena, url.query + 1, strcspn(url.query + 1, "#")),
                        "query parameters are not permitted in the URL");
}

void webhook_check_path(struct field_errors *errs, const char *path, const char *s)
{
        const char *messages[NAME_MESSAGES];
        size_t end = strlen(s);

        if (!*s || streq(s, "/"))
                return;
        if (streq(s, "//")) {
                invalid(errs, path, s, "segment[0] may not be empty");
                return;
        }
        if (*s != '/')
                invalid(errs, path, s, "must start with a '/'");
        if (s[end - 1] == '/')
                end--;
        for (size_t start = 1, i = 0; start <= end; i++) {
                size_t len = strcspn(s + start, "/");
                const char *step = arena_strndup(errs->arena, s + start, len);

                if (!len)
                        invalid(errs, path, s, arena_printf(errs->arena, "segment[%zu] may not be empty", i));
                else
                        for (unsigned k = 0, n = name_check(errs->arena, NAME_DNS1123_SUBDOMAIN, step, messages); k < n; k++)
                                invalid(errs, path, s, arena_printf(errs->arena, "segment[%zu]: %s", i, messages[k]));
                start += len + 1;
        }
}

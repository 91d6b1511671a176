/* Where a webhook is called (webhook-client.h), in the words of Go's parser of URLs. */
#include "webhook-client.h"

#include "../../lib/cel/cel.h"
#include "names.h"

#define FORM "; desired format: https://host[/path]"

static void invalid(struct field_errors *errs, const char *path, const char *value, const char *detail)
{
        field_error_add(errs, FIELD_INVALID, path, json_new_string(errs->arena, value), "%s", detail);
}

void webhook_check_url(struct field_errors *errs, const char *path, const char *s)
{
        struct cel_string user, fragment;
        struct cel_url url;
        const char *wrong = cel_parse_reference(errs->arena, s, &url, &user, &fragment);

        if (wrong) {
                field_error_add(errs, FIELD_REQUIRED, path, NULL, "url must be a valid URL: %s" FORM, wrong);
                return;
        }
        if (url.scheme.len != 5 || memcmp(url.scheme.s, "https", 5) != 0)
                invalid(errs, path, arena_strndup(errs->arena, url.scheme.s ?: "", url.scheme.len), "'https' is the only allowed URL scheme" FORM);
        if (!url.host.len)
                invalid(errs, path, "", "host must be specified" FORM);
        if (user.s)
                invalid(errs, path, arena_strndup(errs->arena, user.s, user.len), "user information is not permitted in the URL");
        if (fragment.len)
                invalid(errs, path, arena_strndup(errs->arena, fragment.s, fragment.len), "fragments are not permitted in the URL");
        if (url.query.len)
                invalid(errs, path, arena_strndup(errs->arena, url.query.s, url.query.len), "query parameters are not permitted in the URL");
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

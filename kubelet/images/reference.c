/* Image names.
 *
 *      name   [registry/]component{/component}
 *      component   runs of a-z0-9, parted by one of . _ __ or any number of -
 *      :tag   a letter, digit or _, then up to 127 of those and . -
 *      @digest   algorithm:hex
 *
 * The first component is a registry when it has a dot or a colon, is "localhost", or has capitals.
 */
#include "reference.h"

#include <errno.h>

static bool is_lower_alnum(char c)
{
        return (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9');
}

static bool is_word(char c)
{
        return is_lower_alnum(c) || (c >= 'A' && c <= 'Z') || c == '_';
}

/* Length of the separator at P inside a component; 0: none. */
static size_t separator(const char *p)
{
        size_t n;

        if (*p == '.')
                return 1;
        if (*p == '_')
                return p[1] == '_' ? 2 : 1;
        for (n = 0; p[n] == '-'; n++)
                ;
        return n;
}

static bool valid_component(const char *s, size_t len)
{
        const char *end = s + len;

        if (!len || !is_lower_alnum(*s))
                return false;
        while (s < end) {
                if (is_lower_alnum(*s)) {
                        s++;
                        continue;
                }
                size_t n = separator(s);
                if (!n || s + n >= end || !is_lower_alnum(s[n]))
                        return false;
                s += n;
        }
        return true;
}

static bool valid_repository(const char *s)
{
        for (;;) {
                size_t len = strcspn(s, "/");
                if (!valid_component(s, len))
                        return false;
                if (!s[len])
                        return true;
                s += len + 1;
        }
}

/* host[:port], [ipv6][:port] */
static bool valid_registry(const char *s)
{
        const char *p = s;

        if (*p == '[') {
                p++;
                while ((*p >= '0' && *p <= '9') || (*p >= 'a' && *p <= 'f') || (*p >= 'A' && *p <= 'F') || *p == ':')
                        p++;
                if (*p++ != ']')
                        return false;
        } else {
                for (;;) {
                        const char *label = p;
                        while ((is_word(*p) && *p != '_') || *p == '-')
                                p++;
                        if (p == label || *label == '-' || p[-1] == '-')
                                return false;
                        if (*p != '.')
                                break;
                        p++;
                }
        }
        if (*p == ':') {
                const char *port = ++p;
                while (*p >= '0' && *p <= '9')
                        p++;
                if (p == port)
                        return false;
        }
        return *p == '\0';
}

static bool valid_tag(const char *s)
{
        size_t n = strlen(s);

        if (n < 1 || n > 128 || !is_word(*s))
                return false;
        for (; *s; s++)
                if (!is_word(*s) && *s != '.' && *s != '-')
                        return false;
        return true;
}

static bool is_hex(const char *s, size_t at_least)
{
        size_t n = strspn(s, "0123456789abcdef");

        return !s[n] && n >= at_least;
}

static bool valid_digest(const char *s)
{
        const char *colon = strchr(s, ':');

        if (!colon || colon == s || !((*s >= 'a' && *s <= 'z') || (*s >= 'A' && *s <= 'Z')))
                return false;
        if (str_has_prefix(s, "sha256:"))
                return is_hex(s + 7, 64) && strlen(s + 7) == 64;
        if (str_has_prefix(s, "sha512:"))
                return is_hex(s + 7, 128) && strlen(s + 7) == 128;
        return is_hex(colon + 1, 32);
}

static bool has_upper(const char *s)
{
        for (; *s; s++)
                if (*s >= 'A' && *s <= 'Z')
                        return true;
        return false;
}

/* Docker's rule for what the first component is. */
static void split_registry(struct arena *a, const char *name, const char **ret_registry, const char **ret_rest)
{
        const char *slash = strchr(name, '/');
        char *first = slash ? arena_strndup(a, name, (size_t)(slash - name)) : NULL;

        if (!first || (!strpbrk(first, ".:") && !streq(first, "localhost") && !has_upper(first))) {
                *ret_registry = "docker.io";
                *ret_rest = name;
        } else {
                *ret_registry = streq(first, "index.docker.io") ? "docker.io" : first;
                *ret_rest = slash + 1;
        }
        if (streq(*ret_registry, "docker.io") && !strchr(*ret_rest, '/'))
                *ret_rest = arena_printf(a, "library/%s", *ret_rest);
}

static int invalid(struct error *reterr, const char *text, const char *why)
{
        return error_set(reterr, -EINVAL, "couldn't parse image name \"%s\": invalid reference format%s%s", text,
                         why ? ": " : "", why ? why : "");
}

#define NAME_MAX_LEN 255

int image_reference_parse(struct arena *a, const char *text, struct image_reference *ret, struct error *reterr)
{
        struct image_reference ref = { 0 };
        const char *at = strchr(text, '@'), *rest, *colon;
        char *name = arena_strndup(a, text, at ? (size_t)(at - text) : strlen(text)), *repository;

        if (is_hex(text, 64) && strlen(text) == 64)
                return error_set(reterr, -EINVAL,
                                 "couldn't parse image name \"%s\": invalid repository name (%s), cannot specify "
                                 "64-byte hexadecimal strings", text, text);
        if (at)
                ref.digest = arena_strdup(a, at + 1);
        split_registry(a, name, &ref.registry, &rest);
        colon = strchr(rest, ':');
        repository = arena_strndup(a, rest, colon ? (size_t)(colon - rest) : strlen(rest));
        if (colon)
                ref.tag = colon + 1;
        /* Capitals are told first, whatever else is wrong with it: that is the mistake people make. */
        if (has_upper(repository))
                return invalid(reterr, text,
                               arena_printf(a, "repository name (%s) must be lowercase", repository));
        if (!*text || !valid_repository(repository) || !valid_registry(ref.registry) ||
            (ref.tag && !valid_tag(ref.tag)) || (at && !valid_digest(ref.digest)))
                return invalid(reterr, text, NULL);
        if (strlen(repository) + strlen(ref.registry) + 1 > NAME_MAX_LEN)
                return error_set(reterr, -EINVAL,
                                 "couldn't parse image name \"%s\": repository name must not be more than %d characters",
                                 text, NAME_MAX_LEN);
        ref.repository = repository;
        if (!ref.tag && !ref.digest)
                ref.tag = "latest";
        *ret = ref;
        return 0;
}

char *image_reference_name(struct arena *a, const struct image_reference *ref)
{
        return arena_printf(a, "%s/%s", ref->registry, ref->repository);
}

char *image_reference_print(struct arena *a, const struct image_reference *ref)
{
        if (ref->digest)
                return arena_printf(a, "%s/%s@%s", ref->registry, ref->repository, ref->digest);
        return arena_printf(a, "%s/%s:%s", ref->registry, ref->repository, ref->tag);
}

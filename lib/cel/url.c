/* URLs as Go's net/url takes them, ParseRequestURI (an absolute URI, or an absolute path) and Parse (any reference), and
 * their words for all others: clients see them in errors. */
#include <string.h>

#include "ast.h"

static bool letter(char c)
{
        return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z');
}

static bool digit(char c)
{
        return c >= '0' && c <= '9';
}

static bool hex(char c)
{
        return digit(c) || (c >= 'a' && c <= 'f') || (c >= 'A' && c <= 'F');
}

static struct cel_string part(struct cel_string s, size_t from, size_t to)
{
        return (struct cel_string){ s.s + from, to - from };
}

static size_t find(struct cel_string s, char c)
{
        const char *at = s.len ? memchr(s.s, c, s.len) : NULL;

        return at ? (size_t)(at - s.s) : s.len;
}

static size_t find_last(struct cel_string s, char c)
{
        const char *at = s.len ? memrchr(s.s, c, s.len) : NULL;

        return at ? (size_t)(at - s.s) : s.len;
}

const char *cel_go_quote(struct arena *a, struct cel_string s)
{
        static const char escapes[] = "abtnvfr";
        _cleanup_strbuf_ struct strbuf b = STRBUF_INIT;

        strbuf_putc(&b, '"');
        for (size_t i = 0; i < s.len; i++) {
                unsigned char c = (unsigned char)s.s[i];

                if (c == '"' || c == '\\')
                        strbuf_printf(&b, "\\%c", c);
                else if (c >= 7 && c <= 13)
                        strbuf_printf(&b, "\\%c", escapes[c - 7]);
                else if (c < ' ' || c == 0x7f)
                        strbuf_printf(&b, "\\x%02x", c);
                else
                        strbuf_putc(&b, (char)c);
        }
        strbuf_putc(&b, '"');
        return arena_strdup(a, strbuf_str(&b));
}

/* Escapes, and of a host what may stand in one. */
static const char *check_escapes(struct arena *a, struct cel_string s, bool host)
{
        for (size_t i = 0; i < s.len; i++) {
                if (s.s[i] == '%') {
                        size_t n = MIN(s.len - i, (size_t)3);

                        if (n < 3 || !hex(s.s[i + 1]) || !hex(s.s[i + 2]) || (host && s.s[i + 1] < '8' && memcmp(s.s + i, "%25", 3) != 0))
                                return arena_printf(a, "invalid URL escape %s", cel_go_quote(a, part(s, i, i + n)));
                        i += 2;
                } else if (host && (unsigned char)s.s[i] < 0x80 && !letter(s.s[i]) && !digit(s.s[i]) &&
                           !strchr("-_.~!$&'()*+,;=:[]<>\"", s.s[i])) {
                        return arena_printf(a, "invalid character %s in host name", cel_go_quote(a, part(s, i, i + 1)));
                }
        }
        return NULL;
}

/* ":80", ":" or nothing. */
static const char *check_port(struct arena *a, struct cel_string port)
{
        bool ok = !port.len || *port.s == ':';

        for (size_t i = 1; i < port.len; i++)
                ok &= digit(port.s[i]);
        return ok ? NULL : arena_printf(a, "invalid port %s after host", cel_go_quote(a, port));
}

static const char *check_host(struct arena *a, struct cel_string host)
{
        size_t bracket = find_last(host, ']'), colon;
        const char *wrong;

        if (host.len && *host.s == '[') {
                if (bracket == host.len)
                        return "missing ']' in host";
                wrong = check_port(a, part(host, bracket + 1, host.len));
        } else if (find(host, '[') < host.len) {
                return "invalid IP-literal";
        } else {
                colon = find(host, ':'); /* the first: there is one port at most */
                wrong = colon < host.len ? check_port(a, part(host, colon, host.len)) : NULL;
        }
        return wrong ? wrong : check_escapes(a, host, true);
}

static const char *check_user(struct arena *a, struct cel_string user)
{
        for (size_t i = 0; i < user.len; i++)
                if (!letter(user.s[i]) && !digit(user.s[i]) && !strchr("-._:~!$&'()*+,;=%@", user.s[i]))
                        return "net/url: invalid userinfo";
        return check_escapes(a, user, false);
}

/* "x:" of S: 0; 1: there is none; <0: it is missing before its colon. */
static int read_scheme(struct cel_string s, size_t *ret_len)
{
        for (size_t i = 0; i < s.len; i++) {
                if (s.s[i] == ':') {
                        *ret_len = i;
                        return i ? 0 : -EINVAL;
                }
                if (!letter(s.s[i]) && (i == 0 || !(digit(s.s[i]) || strchr("+-.", s.s[i]))))
                        return 1;
        }
        return 1;
}

/* REQUEST: no reference that has no host. */
static const char *parse(struct arena *a, struct cel_string s, bool request, struct cel_url *ret, struct cel_string *ret_user)
{
        struct cel_url u = { 0 };
        const char *wrong = NULL;
        size_t at = 0, query, user;
        int r;

        for (size_t i = 0; i < s.len; i++)
                if ((unsigned char)s.s[i] < ' ' || s.s[i] == 0x7f)
                        return "net/url: invalid control character in URL";
        if (!s.len && request)
                return "empty url";
        if (s.len == 1 && *s.s == '*') {
                *ret = (struct cel_url){ .path = s };
                return NULL;
        }
        r = read_scheme(s, &at);
        if (r < 0)
                return "missing protocol scheme";
        if (r == 0) {
                char *lower = arena_strndup(a, s.s, at);

                for (char *p = lower; *p; p++)
                        *p = *p >= 'A' && *p <= 'Z' ? (char)(*p + 32) : *p;
                u.scheme = (struct cel_string){ lower, at };
                s = part(s, at + 1, s.len);
        }
        query = find(s, '?');
        if (query < s.len)
                u.query = part(s, query + 1, s.len);
        s.len = query;
        if (!s.len || *s.s != '/') {
                if (!u.scheme.len && request)
                        return "invalid URI for request";
                if (!u.scheme.len && find(part(s, 0, find(s, '/')), ':') < find(s, '/'))
                        return "first path segment in URL cannot contain colon";
                if (u.scheme.len) {
                        *ret = u; /* opaque: "mailto:x" */
                        return NULL;
                }
        }
        if (s.len >= 2 && memcmp(s.s, "//", 2) == 0 && (u.scheme.len || (!request && (s.len == 2 || s.s[2] != '/')))) {
                struct cel_string authority = part(s, 2, s.len);
                size_t slash = find(authority, '/');

                s = part(authority, slash, authority.len);
                authority.len = slash;
                user = find_last(authority, '@');
                u.host = user < authority.len ? part(authority, user + 1, authority.len) : authority;
                wrong = check_host(a, u.host);
                if (!wrong && user < authority.len) {
                        *ret_user = part(authority, 0, user);
                        wrong = check_user(a, *ret_user);
                }
        }
        wrong = wrong ? wrong : check_escapes(a, s, false);
        if (wrong)
                return wrong;
        u.path = s;
        *ret = u;
        return NULL;
}

const char *cel_parse_url(struct arena *a, struct cel_string s, struct cel_url *ret)
{
        struct cel_string user;

        return parse(a, s, true, ret, &user);
}

const char *cel_parse_reference(struct arena *a, const char *text, struct cel_url *ret, struct cel_string *ret_user,
                                struct cel_string *ret_fragment)
{
        struct cel_string s = { text, strlen(text) }, before = part(s, 0, find(s, '#'));
        const char *wrong;

        *ret = (struct cel_url){ 0 };
        *ret_user = (struct cel_string){ 0 };
        *ret_fragment = part(s, before.len + (before.len < s.len), s.len);
        wrong = parse(a, before, false, ret, ret_user);
        if (!wrong) {
                wrong = check_escapes(a, *ret_fragment, false);
                before = s;
        }
        return wrong ? arena_printf(a, "parse %s: %s", cel_go_quote(a, before), wrong) : NULL;
}

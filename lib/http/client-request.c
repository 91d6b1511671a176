/* What is sent: the URL's parts, and the head and body that follow from them. */
#include "client-internal.h"

#include <strings.h>

bool exchange_read_url(struct http_exchange *x)
{
        static const char *const schemes[] = {"http://", "https://"};
        const char *at = x->url, *end;
        size_t n;

        x->scheme = NULL;
        for (size_t i = 0; i < ARRAY_SIZE(schemes); i++)
                if (strncasecmp(at, schemes[i], strlen(schemes[i])) == 0)
                        x->scheme = (char *)schemes[i];
        if (!x->scheme)
                return false;
        at += strlen(x->scheme);
        if (*at == '[') {
                end = strchr(++at, ']');
                if (!end)
                        return false;
                x->host = arena_strndup(x->arena, at, end - at);
                at = end + 1;
        } else {
                n = strcspn(at, ":/?#");
                x->host = arena_strndup(x->arena, at, n);
                at += n;
        }
        x->port = streq(x->scheme, "https://") ? "443" : "80";
        if (*at == ':') {
                n = strspn(++at, "0123456789");
                if (!n || n > 5)
                        return false;
                x->port = arena_strndup(x->arena, at, n);
                at += n;
        }
        n = strcspn(at, "#");
        x->target = arena_printf(x->arena, "%s%.*s", *at == '/' ? "" : "/", (int)n, at);
        for (const char *c = x->target; *c; c++)
                if ((unsigned char)*c <= ' ' || *c == 0x7f)
                        return false;
        return *x->host && strchr("/?#", *at);
}

static bool names_header(const char *const *headers, const char *name)
{
        size_t len = strlen(name);

        for (; headers && *headers; headers++)
                if (strncasecmp(*headers, name, len) == 0 && (*headers)[len] == ':')
                        return true;
        return false;
}

/* Nothing in a header may end its line early. */
static void put_line(struct strbuf *out, const char *line)
{
        for (; *line; line++)
                strbuf_putc(out, *line == '\r' || *line == '\n' ? ' ' : *line);
        strbuf_append(out, "\r\n", 2);
}

void exchange_write(struct http_exchange *x)
{
        bool standard = streq(x->port, streq(x->scheme, "https://") ? "443" : "80");
        bool body = x->body || streq(x->method, "POST") || streq(x->method, "PUT") || streq(x->method, "PATCH");
        struct strbuf *out = &x->out;

        strbuf_reset(out);
        x->out_at = 0;
        strbuf_reserve(out, 512 + x->body_len);
        strbuf_printf(out, "%s %s HTTP/1.1\r\n", x->method, x->target);
        if (!names_header(x->headers, "host"))
                strbuf_printf(out, strchr(x->host, ':') ? "Host: [%s]%s%s\r\n" : "Host: %s%s%s\r\n", x->host,
                              standard ? "" : ":", standard ? "" : x->port);
        if (!names_header(x->headers, "accept"))
                strbuf_puts(out, "Accept: */*\r\n");
        for (const char *const *h = x->headers; h && *h; h++)
                if (!x->cross ||
                    (strncasecmp(*h, "authorization:", 14) != 0 && strncasecmp(*h, "cookie:", 7) != 0))
                        put_line(out, *h);
        if (body)
                strbuf_printf(out, "Content-Length: %zu\r\n", x->body_len);
        strbuf_append(out, "\r\n", 2);
        if (x->body_len)
                strbuf_append(out, x->body, x->body_len);
}

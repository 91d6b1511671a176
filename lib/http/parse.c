/* One pass over the head's own copy, which is cut up in place. */
#include "parse.h"

#include <errno.h>
#include <strings.h>

#define MAX_FIELDS 2000 /* each is looked at for each that is looked up */
#define MAX_CHUNK_LINE 256
#define MAX_TRAILERS 8192

size_t http_head_length(const char *data, size_t len, size_t *scanned)
{
        size_t at = 0, from;

        while (at < len && (data[at] == '\r' || data[at] == '\n'))
                at++;
        from = MAX(at, *scanned > 3 ? *scanned - 3 : 0);
        for (const char *p = data + from, *end = data + len; p < end;) {
                const char *nl = memchr(p, '\n', end - p);
                if (!nl)
                        break;
                if (nl + 1 < end && nl[1] == '\n')
                        return nl + 2 - data;
                if (nl + 2 < end && nl[1] == '\r' && nl[2] == '\n')
                        return nl + 3 - data;
                p = nl + 1;
        }
        *scanned = len;
        return 0;
}

/* RFC 9110's tchar. */
static bool is_token_char(unsigned char c)
{
        return (c >= '0' && c <= '9') || (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') ||
               (c && strchr("!#$%&'*+-.^_`|~", c));
}

static size_t token_length(const char *s)
{
        size_t n = 0;

        while (is_token_char(s[n]))
                n++;
        return n;
}

const char *http_head_field(const struct http_head *h, const char *name)
{
        for (size_t i = 0; i < h->n_fields; i++)
                if (strcasecmp(h->fields[i].name, name) == 0)
                        return h->fields[i].value;
        return NULL;
}

bool http_has_token(const char *value, const char *token)
{
        size_t want = strlen(token);

        while (value && *value) {
                size_t n;
                value += strspn(value, " \t,");
                n = strcspn(value, ",");
                while (n && (value[n - 1] == ' ' || value[n - 1] == '\t'))
                        n--;
                if (n == want && strncasecmp(value, token, n) == 0)
                        return true;
                value += strcspn(value, ",");
        }
        return false;
}

static bool is_hex(char c)
{
        return (c >= '0' && c <= '9') || ((c | 0x20) >= 'a' && (c | 0x20) <= 'f');
}

/* Of the path: what is wrong with the query, its readers see. */
static bool escapes_fit(const char *target)
{
        for (const char *p = target; *p && *p != '?'; p++)
                if (*p == '%' && (!is_hex(p[1]) || !is_hex(p[2])))
                        return false;
        return true;
}

/* "GET /path?query HTTP/1.1" */
static unsigned parse_request_line(char *line, struct http_head *h, const char **ret_why)
{
        size_t n = token_length(line);
        char *target = line + n + 1, *version, *mark;

        if (!n || line[n] != ' ')
                return 400;
        line[n] = '\0';
        h->method = line;
        version = strchr(target, ' ');
        if (!version || version == target)
                return 400;
        *version++ = '\0';
        for (const unsigned char *p = (unsigned char *)target; *p; p++)
                if (*p <= ' ' || *p == 0x7f)
                        return 400;
        if (strncmp(version, "HTTP/", 5) != 0 || strlen(version) != 8 || version[5] < '0' || version[5] > '9' || version[6] != '.' ||
            version[7] < '0' || version[7] > '9')
                return 400;
        if (version[5] != '1') {
                *ret_why = "unsupported protocol version";
                return 505;
        }
        h->minor = MIN(version[7] - '0', 1);
        if (strncasecmp(target, "http://", 7) == 0 || strncasecmp(target, "https://", 8) == 0) {
                target = strchr(target + 8, '/');
                if (!target)
                        return 400;
        } else if (*target != '/' && !(streq(target, "*") && streq(h->method, "OPTIONS"))) {
                return 400;
        }
        h->target = target;
        if (!escapes_fit(target))
                return 400;
        mark = strchr(target, '?');
        h->query = mark ? mark + 1 : "";
        return 0;
}

/* "Name: value" */
static unsigned parse_field(char *line, struct http_field *f)
{
        size_t n = token_length(line);
        char *value = line + n + 1, *end;

        if (!n || line[n] != ':')
                return 400;
        line[n] = '\0';
        value += strspn(value, " \t");
        end = value + strlen(value);
        while (end > value && (end[-1] == ' ' || end[-1] == '\t'))
                end--;
        *end = '\0';
        for (const unsigned char *p = (unsigned char *)value; *p; p++)
                if ((*p < ' ' && *p != '\t') || *p == 0x7f)
                        return 400;
        f->name = line;
        f->value = value;
        return 0;
}

static unsigned parse_length(struct http_head *h, const char *s)
{
        uint64_t n = 0;

        if (!*s || strlen(s) > 18)
                return 400;
        for (; *s; s++) {
                if (*s < '0' || *s > '9')
                        return 400;
                n = n * 10 + (*s - '0');
        }
        if (h->has_length && h->length != n)
                return 400;
        h->has_length = true;
        h->length = n;
        return 0;
}

/* What the fields say about the message itself. */
static unsigned parse_framing(struct http_head *h, const char **ret_why)
{
        bool host = false, expected = false;

        h->keep_alive = h->minor >= 1;
        for (size_t i = 0; i < h->n_fields; i++) {
                const char *name = h->fields[i].name, *value = h->fields[i].value;
                if (strcasecmp(name, "content-length") == 0) {
                        if (parse_length(h, value))
                                return 400;
                } else if (strcasecmp(name, "transfer-encoding") == 0) {
                        if (h->chunked || strcasecmp(value, "chunked") != 0) {
                                *ret_why = "Unsupported transfer encoding";
                                return 501;
                        }
                        h->chunked = true;
                } else if (strcasecmp(name, "connection") == 0) {
                        if (http_has_token(value, "close"))
                                h->keep_alive = false;
                        else if (http_has_token(value, "keep-alive"))
                                h->keep_alive = true;
                } else if (strcasecmp(name, "expect") == 0) {
                        h->expect_continue = http_has_token(value, "100-continue") && h->minor >= 1;
                        if (*value && !http_has_token(value, "100-continue"))
                                expected = true;
                } else if (strcasecmp(name, "host") == 0) {
                        if (host) {
                                *ret_why = "too many Host headers";
                                return 400;
                        }
                        host = true;
                }
        }
        if (h->chunked && (h->has_length || h->minor < 1))
                return 400;
        if (h->minor >= 1 && !host) {
                *ret_why = "missing required Host header";
                return 400;
        }
        return expected ? 417 : 0;
}

/* Cuts the next line off; NULL: it holds what no line may. */
static char *next_line(char **at, char *end)
{
        char *line = *at, *nl = memchr(line, '\n', end - line);

        if (!nl)
                return NULL;
        *at = nl + 1;
        if (nl > line && nl[-1] == '\r')
                nl--;
        *nl = '\0';
        return strlen(line) == (size_t)(nl - line) && !strchr(line, '\r') ? line : NULL;
}

unsigned http_head_parse(struct arena *a, const char *data, size_t len, struct http_head *ret, const char **ret_why)
{
        struct http_head h = {0};
        char *text, *at, *end, *line;
        size_t n = 0;
        unsigned refused;

        *ret_why = NULL;
        while (len && (*data == '\r' || *data == '\n')) {
                data++;
                len--;
        }
        at = text = arena_strndup(a, data, len);
        end = text + len;
        if (memchr(data, '\0', len))
                return 400;
        line = next_line(&at, end);
        if (!line)
                return 400;
        refused = parse_request_line(line, &h, ret_why);
        if (refused)
                return refused;
        for (const char *p = at; p < end; p++)
                n += *p == '\n';
        if (n > MAX_FIELDS)
                return 431;
        h.fields = arena_alloc(a, (n + 1) * sizeof(*h.fields));
        while (at < end) {
                line = next_line(&at, end);
                if (!line)
                        return 400;
                if (!*line)
                        break;
                refused = parse_field(line, &h.fields[h.n_fields++]);
                if (refused)
                        return refused;
        }
        h.path = *h.query || strchr(h.target, '?')
                         ? arena_strndup(a, h.target, strcspn(h.target, "?"))
                         : h.target;
        refused = parse_framing(&h, ret_why);
        if (!refused)
                *ret = h;
        return refused;
}

/* --- chunks --- */

enum { SIZE, EXTENSION, SIZE_LF, DATA, DATA_CR, DATA_LF, TRAILER, TRAILER_LINE, TRAILER_LF, LAST_LF, DONE };

static int hex_value(char c)
{
        if (c >= '0' && c <= '9')
                return c - '0';
        c |= 0x20;
        return c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

/* One byte of what stands between the data. -EINVAL, or 0. */
static int feed_framing(struct http_chunks *c, char ch)
{
        int digit;

        switch (c->state) {
        case SIZE:
                digit = hex_value(ch);
                if (digit >= 0) {
                        if (++c->line > 15)
                                return -EINVAL;
                        c->left = c->left * 16 + digit;
                        return 0;
                }
                if (!c->line)
                        return -EINVAL;
                c->state = ch == '\r' ? SIZE_LF : EXTENSION;
                return ch == '\r' || ch == ';' || ch == ' ' || ch == '\t' ? 0 : -EINVAL;
        case EXTENSION:
                if (ch == '\r')
                        c->state = SIZE_LF;
                return ++c->line > MAX_CHUNK_LINE || ch == '\n' ? -EINVAL : 0;
        case SIZE_LF:
                c->state = c->left ? DATA : TRAILER;
                c->line = 0;
                return ch == '\n' ? 0 : -EINVAL;
        case DATA_CR:
                c->state = DATA_LF;
                return ch == '\r' ? 0 : -EINVAL;
        case DATA_LF:
                c->state = SIZE;
                c->line = 0;
                return ch == '\n' ? 0 : -EINVAL;
        case TRAILER:
                c->state = ch == '\r' ? LAST_LF : TRAILER_LINE;
                return ch == '\n' || ++c->trailers > MAX_TRAILERS ? -EINVAL : 0;
        case TRAILER_LINE:
                if (ch == '\r')
                        c->state = TRAILER_LF;
                return ch == '\n' || ++c->trailers > MAX_TRAILERS ? -EINVAL : 0;
        case TRAILER_LF:
                c->state = TRAILER;
                return ch == '\n' ? 0 : -EINVAL;
        case LAST_LF:
                c->state = DONE;
                return ch == '\n' ? 0 : -EINVAL;
        default:
                return -EINVAL;
        }
}

int http_chunks_feed(struct http_chunks *c, const char *data, size_t len, struct strbuf *out, size_t *ret_used)
{
        size_t at = 0;

        while (at < len && c->state != DONE) {
                if (c->state == DATA) {
                        size_t n = MIN(len - at, c->left);
                        strbuf_append(out, data + at, n);
                        if (out->overflow)
                                return -EFBIG;
                        at += n;
                        c->left -= n;
                        if (!c->left)
                                c->state = DATA_CR;
                        continue;
                }
                if (feed_framing(c, data[at++]) < 0)
                        return -EINVAL;
        }
        *ret_used = at;
        return c->state == DONE ? HTTP_CHUNKS_DONE : HTTP_CHUNKS_MORE;
}

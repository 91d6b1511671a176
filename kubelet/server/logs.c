/* Container logs: see logs.h. A line is "TIME STREAM TAG text", TAG "P" when the line goes on. */
#include "logs.h"

void log_filter_init(struct log_filter *f, const struct log_options *o)
{
        *f = (struct log_filter){.options = *o};
}

void log_filter_deinit(struct log_filter *f)
{
        strbuf_deinit(&f->partial);
}

bool log_filter_done(const struct log_filter *f)
{
        return f->options.limit >= 0 && f->written >= f->options.limit;
}

static void emit(struct log_filter *f, const char *data, size_t len, struct strbuf *out)
{
        if (f->options.limit >= 0)
                len = MIN(len, (size_t)MAX(f->options.limit - f->written, (int64_t)0));
        strbuf_append(out, data, len);
        f->written += (int64_t)len;
}

static bool too_old(const struct log_filter *f, const char *stamp, size_t len)
{
        char buf[TIME_BUF];
        int64_t t;
        if (!f->options.since || len >= sizeof(buf))
                return false;
        memcpy(buf, stamp, len);
        buf[len] = '\0';
        return time_parse(buf, &t) == 0 && t < f->options.since;
}

static void line(struct log_filter *f, const char *p, size_t len, struct strbuf *out)
{
        const char *end = p + len, *fields[3];
        size_t lens[3];
        for (size_t i = 0; i < 3; i++) {
                const char *space = memchr(p, ' ', (size_t)(end - p));
                if (!space)
                        return; /* torn by a crash of the writer */
                fields[i] = p;
                lens[i] = (size_t)(space - p);
                p = space + 1;
        }
        bool is_err = lens[1] == 6 && memcmp(fields[1], "stderr", 6) == 0, part = *fields[2] == 'P';
        if (too_old(f, fields[0], lens[0]) || (f->options.only_stdout && is_err) || (f->options.only_stderr && !is_err))
                return;
        if (f->options.timestamps && !f->continued) {
                size_t n = lens[0];
                bool utc = n > 6 && memcmp(fields[0] + n - 6, "+00:00", 6) == 0; /* as conmon writes what others call Z */
                emit(f, fields[0], utc ? n - 6 : n, out);
                emit(f, utc ? "Z " : " ", utc ? 2 : 1, out);
        }
        emit(f, p, (size_t)(end - p), out);
        if (!part)
                emit(f, "\n", 1, out);
        f->continued = part;
}

void log_filter_feed(struct log_filter *f, const char *data, size_t len, struct strbuf *out)
{
        while (len && !log_filter_done(f)) {
                const char *eol = memchr(data, '\n', len);
                size_t n = eol ? (size_t)(eol - data) : len;
                if (!eol) {
                        strbuf_append(&f->partial, data, n);
                        return;
                }
                if (f->partial.len) {
                        strbuf_append(&f->partial, data, n);
                        line(f, f->partial.data, f->partial.len, out);
                        strbuf_reset(&f->partial);
                } else {
                        line(f, data, n, out);
                }
                data += n + 1;
                len -= n + 1;
        }
}

size_t log_tail_offset(const char *text, size_t len, size_t n, size_t *ret_lines)
{
        size_t lines = 0, at = len;
        if (n == 0) {
                *ret_lines = 0;
                return len;
        }
        if (at && text[at - 1] == '\n')
                at--;
        if (len)
                lines = 1;
        while (at > 0) {
                if (text[at - 1] == '\n') {
                        if (lines == n)
                                break;
                        lines++;
                }
                at--;
        }
        *ret_lines = lines;
        return at;
}

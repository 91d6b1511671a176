/* The last words of a container: see termination.h. */
#include "termination.h"

#include <fcntl.h>
#include <stdio.h>
#include <sys/stat.h>

#define MESSAGE_MAX 4096
#define LOG_LINES 80
#define LOG_BYTES 2048

/* At most MAX bytes from OFFSET of a file of at most SIZE; never follows a link that a container made. */
static char *read_part(struct arena *a, const char *path, size_t max, bool from_end, size_t *ret_len)
{
        _cleanup_close_ int fd = open(path, O_RDONLY | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK);
        struct stat st;
        if (fd < 0 || fstat(fd, &st) < 0 || !S_ISREG(st.st_mode))
                return NULL;
        char *buf = arena_alloc(a, max + 1);
        off_t at = from_end && st.st_size > (off_t)max ? st.st_size - (off_t)max : 0;
        ssize_t n = pread(fd, buf, max, at);
        if (n <= 0)
                return NULL;
        buf[n] = '\0';
        *ret_len = (size_t)n;
        return buf;
}

/* "2026-01-02T15:04:05.123456789Z stdout F text": the text, or NULL for what is no such line. */
static const char *line_text(const char *line, const char *end, bool *ret_partial)
{
        for (int field = 0; field < 3; field++) {
                const char *space = memchr(line, ' ', (size_t)(end - line));
                if (!space)
                        return NULL;
                if (field == 2)
                        *ret_partial = *line == 'P';
                line = space + 1;
        }
        return line;
}

char *termination_log_tail(struct arena *a, const char *log, size_t len, size_t max_lines, size_t max_bytes)
{
        const char *start = log + len;
        size_t lines = 0;
        while (start > log && lines <= max_lines) {
                start--;
                if (*start == '\n' && start != log + len - 1 && ++lines == max_lines) {
                        start++;
                        break;
                }
        }
        struct strbuf out = STRBUF_INIT;
        for (const char *p = start, *end = log + len; p < end;) {
                const char *eol = memchr(p, '\n', (size_t)(end - p));
                const char *stop = eol ? eol : end;
                bool partial = false;
                const char *text = line_text(p, stop, &partial);
                if (text) {
                        strbuf_append(&out, text, (size_t)(stop - text));
                        if (!partial)
                                strbuf_putc(&out, '\n');
                }
                p = stop + 1;
        }
        size_t skip = out.len > max_bytes ? out.len - max_bytes : 0;
        char *r = out.len ? arena_strdup(a, out.data + skip) : NULL;
        strbuf_deinit(&out);
        return r;
}

char *termination_message(struct volumes *v, struct arena *a, const char *pod_uid, const struct json *container,
                          uint32_t attempt, int exit_code, const char *log_path)
{
        size_t len = 0;
        const char *path = json_get_string(container, "terminationMessagePath");
        char *file = str_empty(path) ? NULL
                                     : volumes_termination_log(v, a, pod_uid, json_get_string(container, "name"),
                                                               attempt, NULL);
        char *text = file ? read_part(a, file, MESSAGE_MAX, false, &len) : NULL;
        if (text && len)
                return text;
        if (exit_code == 0 || !log_path ||
            !streq(json_get_string(container, "terminationMessagePolicy"), "FallbackToLogsOnError"))
                return NULL;
        char *log = read_part(a, log_path, 64 << 10, true, &len);
        return log ? termination_log_tail(a, log, len, LOG_LINES, LOG_BYTES) : NULL;
}

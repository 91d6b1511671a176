/* Lines on standard error: see log.h. One write a line, so that daemons sharing a file do not mix. */
#include "log.h"

#include <stdio.h>

#include "strbuf.h"
#include "time.h"

static const char *log_component = "colibri";
static enum log_level log_least = LOG_LEVEL_INFO;

void log_init(const char *component, enum log_level least)
{
        log_component = component;
        log_least = least;
}

bool log_enabled(enum log_level level)
{
        return level >= log_least;
}

void log_line(enum log_level level, const char *fmt, ...)
{
        static const char *const names[] = { "DEBUG", "INFO ", "WARN ", "ERROR" };
        _cleanup_strbuf_ struct strbuf line = STRBUF_INIT_MAX(8192);
        char when[TIME_BUF];
        va_list ap;
        ssize_t n;

        if (!log_enabled(level))
                return;
        time_format_micro(time_real(), when);
        strbuf_printf(&line, "%.23sZ %s %s: ", when, names[level], log_component);
        va_start(ap, fmt);
        strbuf_vprintf(&line, fmt, ap);
        va_end(ap);
        line.max = 0;
        strbuf_putc(&line, '\n');
        n = write(STDERR_FILENO, line.data, line.len);
        unused(n);
}

/* Errors with a text that grows on its way up: see error.h. */
#include "error.h"

int error_set(struct error *reterr, int code, const char *fmt, ...)
{
        va_list ap;

        if (!reterr)
                return code;
        va_start(ap, fmt);
        char *message = xvasprintf(fmt, ap); /* before the old text goes: it may be an argument */
        va_end(ap);
        free(reterr->message);
        reterr->message = message;
        reterr->code = code;
        return code;
}

int error_wrap(struct error *reterr, int code, const char *fmt, ...)
{
        va_list ap;

        if (!reterr)
                return code;
        va_start(ap, fmt);
        _cleanup_free_ char *prefix = xvasprintf(fmt, ap);
        va_end(ap);
        char *message = xasprintf("%s: %s", prefix, error_text(reterr));
        free(reterr->message);
        reterr->message = message;
        return code;
}

const char *error_text(const struct error *err)
{
        if (err->message)
                return err->message;
        return strerror(err->code < 0 ? -err->code : err->code);
}

void error_deinit(struct error *err)
{
        free(err->message);
        *err = (struct error)ERROR_INIT;
}

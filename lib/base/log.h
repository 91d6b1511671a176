/* Lines on standard error, for daemons and tools. Libraries never log: they return errors.
 *
 * "2026-01-02T15:04:05.123Z INFO  apiserver: listening on 127.0.0.1:6443"
 */
#pragma once

#include "base.h"

enum log_level { LOG_LEVEL_DEBUG, LOG_LEVEL_INFO, LOG_LEVEL_WARN, LOG_LEVEL_ERROR };

void log_init(const char *component, enum log_level least);
void log_line(enum log_level level, const char *fmt, ...) printf_like(2, 3);
bool log_enabled(enum log_level level);

#define log_debug(...)                                                                             \
        do {                                                                                       \
                if (log_enabled(LOG_LEVEL_DEBUG))                                                  \
                        log_line(LOG_LEVEL_DEBUG, __VA_ARGS__);                                    \
        } while (0)
#define log_info(...) log_line(LOG_LEVEL_INFO, __VA_ARGS__)
#define log_warn(...) log_line(LOG_LEVEL_WARN, __VA_ARGS__)
#define log_error(...) log_line(LOG_LEVEL_ERROR, __VA_ARGS__)

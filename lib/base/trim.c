/* A start runs through much that is never run again: the loader's relocations, self-tests of the crypto library, the
 * registration of kinds. The kernel maps sixteen pages around each that is touched, so that a daemon at rest
 * seems to need megabytes of libraries. Only what is executed after the start comes back.
 */
#include "trim.h"

#include <malloc.h>
#include <stdio.h>
#include <sys/mman.h>

#include "base.h"

void trim_heap(void)
{
        malloc_trim(0);
}

/* Private mappings of files that cannot be written and of which no page is a copy of our own (those that
 * the loader relocated are): dropping them loses nothing. */
void trim_files(void)
{
        unsigned long from = 0, to = 0, first, end, inode, kb;
        bool fixed = false;
        char line[512], mode[8];
        FILE *f = fopen("/proc/self/smaps", "re");

        while (f && fgets(line, sizeof(line), f)) {
                if (sscanf(line, "%lx-%lx %7s %*s %*s %lu", &first, &end, mode, &inode) == 4) {
                        fixed = inode && mode[0] == 'r' && mode[1] == '-' && mode[3] == 'p';
                        from = first;
                        to = end;
                } else if (fixed && sscanf(line, "Anonymous: %lu kB", &kb) == 1 && kb == 0) {
                        madvise((void *)from, to - from, MADV_DONTNEED);
                }
        }
        if (f)
                fclose(f);
}

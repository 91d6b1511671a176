/* Giving memory back that a program needed for its start, or for a moment. */
#pragma once

/* What malloc holds and nobody uses goes back to the kernel, in whole pages. */
void trim_heap(void);
/* Pages of programs and libraries that were mapped by the start, and stay mapped though they are never looked at
 * again, are let go: what is needed comes back from the page cache at the next use. Once, after a start. */
void trim_files(void);

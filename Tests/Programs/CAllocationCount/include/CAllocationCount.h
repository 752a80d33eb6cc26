#pragma once

/// Calls of malloc, calloc and realloc so far, in all threads of a program that links this.
long allocation_count(void);

#pragma once

/// Calls of malloc, calloc and realloc so far, by the calling thread of a program that links this.
long allocation_count(void);

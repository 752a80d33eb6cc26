#ifndef NADI_CLIBPQ_SHIM_H
#define NADI_CLIBPQ_SHIM_H
#include <libpq-fe.h>
#endif

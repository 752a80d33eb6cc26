#ifndef NADI_CZSTD_SHIM_H
#define NADI_CZSTD_SHIM_H
#include <zstd.h>
#include <zstd_errors.h>
#endif

#ifndef NADI_CLIBCRYPTO_SHIM_H
#define NADI_CLIBCRYPTO_SHIM_H
#include <openssl/err.h>
#include <openssl/evp.h>
#include <openssl/hmac.h>
#include <openssl/sha.h>
#endif
